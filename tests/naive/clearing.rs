//! What the model expects of clearing records (R14, R15, R20): one list of all that ever came, searched from
//! one end to the other.

use std::cmp::Reverse;

use turnpike::domain::cleared::Clearance;
use turnpike::domain::cleared::MatchedBy;
use turnpike::domain::clearing::Part;
use turnpike::domain::clearing::Presentment;
use turnpike::domain::clearing::Purpose;
use turnpike::domain::clearing::Usage;
use turnpike::domain::money::Money;
use turnpike::domain::request::Advice;
use turnpike::domain::request::MessageClass;
use turnpike::domain::request::MessageKey;

use super::How;
use super::Model;
use super::Said;
use super::Stands;
use super::Taken;
use super::is_credit;
use super::same_purchase;

/// How far above what was authorized a record may be that names it by less than the network's id, in
/// hundredths.
pub(crate) const TOLERANCE_PERCENT: u16 = 20;

/// Above this no balance goes.
const BALANCE_MAX: i128 = i64::MAX as i128 / 2;

/// What the model expects of a clearing record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Expected {
    /// The same one was handled by this record of the journal.
    Again(u64),
    /// It is handled.
    New {
        outcome: Clearance,
        by: MatchedBy,
        /// The record of what it belongs to; zero for none.
        matches: u64,
        /// What leaves the wallet's account, or the suspense account.
        posted: i64,
        currency: u16,
    },
}

/// A clearing record that came.
#[derive(Clone, Debug)]
pub(super) struct Record {
    sequence: u64,
    presentment: Presentment,
    /// It has posted an amount, whatever became of that later.
    posts: bool,
    /// What it has posted and not given back.
    pub(super) takes: Option<Taken>,
    /// Nothing was known that began what it posted.
    orphan: bool,
    /// A message that stands for its posting was reversed, with all that it did.
    pub(super) both_undone: bool,
    /// What it found posted by a message.
    found: Option<usize>,
    /// It was a part of that, and was given back.
    returned: bool,
}

/// How a record and what it may belong to fit; greater is better.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Fit {
    Closed,
    PostedAbout,
    Open,
    PostedSame,
}

/// What a record belongs to.
#[derive(Clone, Copy, Debug)]
struct Match {
    at: usize,
    by: MatchedBy,
    posted: bool,
}

impl Model {
    /// What becomes of a clearing record.
    pub(crate) fn clear(&mut self, sequence: u64, presentment: &Presentment) -> Expected {
        if let Some(before) = self.records.iter().find(|before| is_same(&before.presentment, presentment)) {
            return Expected::Again(before.sequence);
        }
        let Some(card) = self.cards.get(&presentment.pan.value()).copied() else {
            return self.suspend(sequence, presentment, Clearance::UnknownCard);
        };
        if presentment.function.usage == Usage::Second {
            return self.suspend(sequence, presentment, Clearance::SecondPresentment);
        }
        let mut found = None;
        if presentment.function.reversal {
            if let Some(expected) = self.give_back(sequence, presentment) {
                return expected;
            }
        } else {
            found = self.presented(presentment);
        }
        if let Some(Match { at, by, posted: true }) = found {
            return self.pass(sequence, presentment, (at, by));
        }
        let own = found.map(|found| self.said[found.at].own_currency);
        let Some((currency, amount)) = self.target(card.wallet, presentment, own) else {
            return self.suspend(sequence, presentment, Clearance::CurrencyNotHeld);
        };
        if !self.has_range(card.wallet, currency, amount) {
            return self.suspend(sequence, presentment, Clearance::AmountOutOfRange);
        }
        let taken = Taken { wallet: card.wallet, currency, amount, how: How::Posted };
        self.post(sequence, presentment, taken, found)
    }

    /// A message has posted it. Of a credit that was given when it was authorized the difference is posted.
    fn pass(&mut self, sequence: u64, presentment: &Presentment, (at, by): (usize, MatchedBy)) -> Expected {
        let (outcome, matches) = (Clearance::AlreadyPosted, self.said[at].sequence);
        let taken = self.said[at].takes.expect("what was posted");
        let target = self.target(taken.wallet, presentment, Some(taken.currency));
        let more = match target {
            Some((currency, amount)) if self.said[at].class == 1 && currency == taken.currency => {
                amount.saturating_sub(taken.amount)
            }
            _ => 0,
        };
        if more != 0 {
            if !self.has_range(taken.wallet, taken.currency, taken.amount + more) {
                return self.suspend(sequence, presentment, Clearance::AmountOutOfRange);
            }
            self.take(Taken { amount: more, ..taken }, 1);
            self.said[at].takes = Some(Taken { amount: taken.amount + more, ..taken });
        }
        self.records.push(Record { found: Some(at), ..Record::new(sequence, presentment) });
        let currency = if more == 0 { 0 } else { taken.currency };
        Expected::New { outcome, by, matches, posted: more, currency }
    }

    /// Posts what a record asks for, and ends what it belongs to or takes its part of that.
    fn post(
        &mut self,
        sequence: u64,
        presentment: &Presentment,
        taken: Taken,
        found: Option<Match>,
    ) -> Expected {
        let mut outcome = Clearance::Forced;
        let mut orphan = !presentment.function.reversal;
        if let Some(Match { at, .. }) = found {
            outcome =
                if self.said[at].stands == Stands::Open { Clearance::Captured } else { Clearance::Late };
            orphan = !self.knows_beginning(at);
            if is_final(presentment.part) {
                self.capture(at, sequence);
            } else {
                self.take_part(at, taken);
            }
        }
        self.take(taken, 1);
        let takes = Some(taken);
        self.records.push(Record { posts: true, takes, orphan, ..Record::new(sequence, presentment) });
        Expected::New {
            outcome,
            by: found.map_or(MatchedBy::Nothing, |found| found.by),
            matches: found.map_or(0, |found| self.said[found.at].sequence),
            posted: taken.amount,
            currency: taken.currency,
        }
    }

    /// No wallet takes it.
    fn suspend(&mut self, sequence: u64, presentment: &Presentment, outcome: Clearance) -> Expected {
        let Money { minor, currency } = presentment.billing.unwrap_or(presentment.amount);
        let posted = if gives(presentment) { -minor } else { minor };
        let currency = currency.numeric();
        *self.suspense.entry(currency).or_default() -= i128::from(posted);
        self.records.push(Record::new(sequence, presentment));
        Expected::New { outcome, by: MatchedBy::Nothing, matches: 0, posted, currency }
    }

    /// Gives back what a reversal's presentment posted, or what a message had posted of it.
    fn give_back(&mut self, sequence: u64, reversal: &Presentment) -> Option<Expected> {
        let Presentment { arn, amount, .. } = *reversal;
        // What a message posted may have another direction by now: an advice has said so.
        let stands = |record: &Record| {
            let posted = |at: usize| self.said[at].takes.filter(|_| self.said[at].stands == Stands::Posted);
            let taken = record.found.map_or(record.takes, posted);
            !record.returned && taken.is_some_and(|taken| (taken.amount < 0) == gives(&record.presentment))
        };
        let presented = self.records.iter().rposition(|record| {
            let of = &record.presentment;
            let nameless = arn.is_zero()
                && (of.network_reference, of.approval_code)
                    != (reversal.network_reference, reversal.approval_code);
            (of.pan.value(), of.network, of.arn) == (reversal.pan.value(), reversal.network, arn)
                && !nameless
                && !of.function.reversal
                && of.amount == amount
                && gives(of) != gives(reversal)
                && stands(record)
        })?;
        let found = self.records[presented].found;
        let matches = found.map_or(self.records[presented].sequence, |at| self.said[at].sequence);
        let part = match found.map(|at| self.part_of(at, reversal)) {
            None => None,
            Some(Ok(part)) => part,
            Some(Err(())) => return Some(self.suspend(sequence, reversal, Clearance::CurrencyNotHeld)),
        };
        if let (Some(at), Some(part)) = (found, part) {
            self.take(part, 1);
            let taken = self.said[at].takes.as_mut().expect("what was posted");
            taken.amount += part.amount;
            self.records[presented].returned = true;
        } else {
            let taken = match found {
                Some(at) => {
                    self.said[at].stands = Stands::Reversed;
                    self.said[at].takes.take()
                }
                None => self.records[presented].takes.take(),
            };
            self.take(taken.expect("what was posted"), -1);
        }
        self.records.push(Record::new(sequence, reversal));
        let (outcome, by) = (Clearance::Returned, MatchedBy::Arn);
        let (posted, currency) = part.map_or((0, 0), |part| (part.amount, part.currency));
        Some(Expected::New { outcome, by, matches, posted, currency })
    }

    /// What a reversal gives back of a message's posting, if its presentment was only a part of that: others have
    /// found it too, or it is of less. Where it says nothing in the currency of the account, it is the same part of
    /// what was posted as it is of what is left of the transaction; an error where it is not in the currency of that.
    fn part_of(&self, at: usize, reversal: &Presentment) -> Result<Option<Taken>, ()> {
        let said = &self.said[at];
        let Some(taken) = said.takes else { return Ok(None) };
        let amount = reversal.amount;
        let same_currency = amount.currency.numeric() == said.currency;
        let alone = self.records.iter().filter(|record| record.found == Some(at)).count() == 1;
        let target = self.target(taken.wallet, reversal, Some(taken.currency));
        let own = target.filter(|(currency, _)| *currency == taken.currency).map(|(_, back)| back);
        let all =
            near(amount.minor, said.amount) || own.is_some_and(|back| near(back.abs(), taken.amount.abs()));
        if alone && same_currency && all {
            return Ok(None);
        }
        let back = match own {
            Some(back) => back,
            None if same_currency => {
                let returned =
                    self.records.iter().filter(|record| record.found == Some(at) && record.returned);
                let returned = returned.map(|record| &record.presentment.amount);
                let left = returned.fold(i128::from(said.amount), |left, of| {
                    let same = of.currency.numeric() == said.currency;
                    left - if same { i128::from(of.minor) } else { i128::from(i64::MAX) }
                });
                let part = i128::from(taken.amount) * i128::from(amount.minor) / left.max(1);
                i64::try_from(-part).unwrap_or(i64::MAX)
            }
            None => return Err(()),
        };
        Ok((back.abs() < taken.amount.abs()).then_some(Taken { amount: back, ..taken }))
    }

    /// In which currency of the wallet how much is posted: in that of what was authorized, else in the first
    /// that the record has and the wallet too.
    fn target(&self, wallet: u64, presentment: &Presentment, own: Option<u16>) -> Option<(u16, i64)> {
        let amounts = [presentment.billing.unwrap_or(presentment.amount), presentment.amount];
        let held = &self.currencies[&wallet];
        let of = |money: &&Money| Some(money.currency.numeric()) == own;
        let any = |money: &&Money| held.contains(&money.currency.numeric());
        let Money { minor, currency } = *amounts.iter().find(of).or_else(|| amounts.iter().find(any))?;
        Some((currency.numeric(), if gives(presentment) { -minor } else { minor }))
    }

    fn has_range(&self, wallet: u64, currency: u16, amount: i64) -> bool {
        let balance = self.balances[&(wallet, currency)];
        let amount = i128::from(amount);
        [balance.posted, balance.held]
            .into_iter()
            .map(i128::from)
            .all(|balance| (balance + amount).abs() <= BALANCE_MAX && (balance - amount).abs() <= BALANCE_MAX)
    }

    /// What a presentment belongs to: the strongest key; then what stands; then the first request of a
    /// purchase before its increments.
    fn presented(&self, presentment: &Presentment) -> Option<Match> {
        let pan = presentment.pan.value();
        let mut best = None;
        for (named, said) in self.said.iter().enumerate() {
            if said.pan != pan || !said.approved || said.settles.is_some() {
                continue;
            }
            let Some(by) = belongs(said, presentment) else { continue };
            let (fit, at) =
                self.completion(named, presentment).unwrap_or((self.fit(named, presentment), named));
            let of = &self.said[at];
            let same_code = presentment.approval_code.is_some_and(|code| code.0 == of.code);
            let same_amount = of.amount == presentment.amount.minor;
            let rank = (by, fit, same_code, !of.increment, same_amount, of.sequence);
            if best.is_none_or(|(before, _)| before < rank) {
                let posted = matches!(fit, Fit::PostedSame | Fit::PostedAbout);
                best = Some((rank, Match { at, by, posted }));
            }
        }
        best.map(|(_, found)| found)
    }

    /// What a message has posted in the place of a hold, if that can be what the record is about.
    fn completion(&self, hold: usize, presentment: &Presentment) -> Option<(Fit, usize)> {
        let held = &self.said[hold];
        if held.class != 1 || matches!(held.stands, Stands::Open | Stands::Posted) {
            return None;
        }
        let postings = self.said.iter().enumerate().filter(|(_, said)| {
            said.pan == held.pan
                && said.stands == Stands::Posted
                && is_credit(said.processing_code) == is_credit(held.processing_code)
                && (held.closed_by == Some(said.sequence) || same_purchase(&said.key, &held.key))
        });
        let fits = postings.map(|(at, _)| (self.fit(at, presentment), at));
        fits.filter(|(fit, _)| *fit != Fit::Closed).max()
    }

    fn fit(&self, at: usize, presentment: &Presentment) -> Fit {
        let said = &self.said[at];
        let taken = match (said.stands, said.takes) {
            (Stands::Open, _) => return Fit::Open,
            (Stands::Posted, Some(taken)) => taken,
            _ => return Fit::Closed,
        };
        let found = || self.records.iter().filter(|record| record.found == Some(at));
        if said.class == 1 {
            return if found().next().is_none() { Fit::PostedSame } else { Fit::Closed };
        }
        if found().any(|record| record.presentment.amount.currency.numeric() != said.currency) {
            return Fit::Closed;
        }
        let before: i64 = found().map(|record| record.presentment.amount.minor).sum();
        let fit = |posted: i64, amount: i64| {
            let rest = posted - before;
            if rest == amount {
                Fit::PostedSame
            } else if rest > 0 && (presentment.part != Part::Whole && amount < rest || near(amount, rest)) {
                Fit::PostedAbout
            } else {
                Fit::Closed
            }
        };
        let in_transaction = if presentment.amount.currency.numeric() == said.currency {
            fit(said.amount, presentment.amount.minor)
        } else {
            Fit::Closed
        };
        let amounts = [presentment.billing.unwrap_or(presentment.amount), presentment.amount];
        let own = amounts.iter().find(|money| money.currency.numeric() == taken.currency);
        let on_account = match own {
            Some(own) if before == 0 || *own == presentment.amount && taken.currency == said.currency => {
                fit(taken.amount.abs(), own.minor)
            }
            _ => Fit::Closed,
        };
        in_transaction.max(on_account)
    }

    /// Whether what began the purchase of something said is known.
    pub(super) fn knows_beginning(&self, at: usize) -> bool {
        let of = &self.said[at];
        self.said.iter().enumerate().any(|(other, said)| {
            let of_purchase = other == at || same_purchase(&said.key, &of.key);
            said.pan == of.pan && of_purchase && said.approved && !said.capture && !said.increment
        })
    }

    /// Takes a part that is posted out of what is held: of what the record belongs to, then of its
    /// increments.
    fn take_part(&mut self, at: usize, posted: Taken) {
        let mut members = self.open_others(at);
        members.retain(|other| self.said[*other].increment);
        members.sort_unstable_by_key(|other| Reverse(*other));
        if self.said[at].stands == Stands::Open {
            members.insert(0, at);
        }
        let mut left = posted.amount.abs();
        for member in members {
            let Some(mut taken) = self.said[member].takes else { continue };
            if taken.currency == posted.currency {
                let less = left.min(taken.amount.abs());
                let back = Taken { amount: less * taken.amount.signum(), ..taken };
                self.take(back, -1);
                taken.amount -= back.amount;
                self.said[member].takes = Some(taken);
                left -= less;
            }
        }
    }

    /// The record that has posted what a completion is about to post: found by the keys of the completion or
    /// of what that is about, and by no other message.
    pub(super) fn cleared_before(&self, advice: &Advice, about: Option<usize>) -> Option<usize> {
        if advice.class != MessageClass::Financial || !advice.approved {
            return None;
        }
        let about = about.map(|at| &self.said[at]);
        let keys = || [Some(&advice.key), about.map(|said| &said.key)].into_iter().flatten();
        let codes =
            [advice.approval_code.map(|code| code.0), about.map(|said| said.code)].into_iter().flatten();
        let codes: Vec<[u8; 6]> = codes.filter(|code| *code != [0; 6]).collect();
        let fits = |at: usize| {
            let record = &self.records[at];
            let of = &record.presentment;
            let known = |key: &&MessageKey| key.network_reference != 0 && of.network_reference != 0;
            let apart = keys().filter(known).any(|key| key.network_reference != of.network_reference);
            let place = |key: &MessageKey| (key.rrn, key.terminal, key.merchant);
            let same_place =
                !of.rrn.is_blank() && keys().any(|key| place(key) == (of.rrn, of.terminal, of.merchant));
            let named = keys().any(|key| record.is_of(advice.pan.value(), key))
                || of.approval_code.is_some_and(|code| codes.contains(&code.0))
                || about.is_some_and(|said| said.closed_by == Some(record.sequence))
                || same_place;
            record.takes.is_some()
                && !of.function.reversal
                && (of.pan, of.network) == (advice.pan, advice.key.network)
                && gives(of) == is_credit(advice.processing_code.0)
                && of.amount.currency == advice.amount.currency
                && near(of.amount.minor, advice.amount.minor)
                && !self.said.iter().any(|said| said.settles == Some(at))
                && named
                && !apart
        };
        let found = (0..self.records.len()).filter(|at| fits(*at));
        found.max_by_key(|at| (self.records[*at].presentment.amount == advice.amount, *at))
    }

    /// What clearing records have posted of the purchase that a message names by the network's id.
    pub(super) fn cleared_of(&self, pan: u64, key: &MessageKey) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(move |record| record.posts && record.is_of(pan, key))
    }
}

impl Record {
    fn new(sequence: u64, presentment: &Presentment) -> Self {
        let presentment = *presentment;
        let (takes, found) = (None, None);
        Self {
            sequence,
            presentment,
            posts: false,
            takes,
            orphan: false,
            both_undone: false,
            found,
            returned: false,
        }
    }

    /// Whether it is of the purchase that a message names by the network's id.
    fn is_of(&self, pan: u64, key: &MessageKey) -> bool {
        let of = &self.presentment;
        of.network_reference != 0
            && (of.pan.value(), of.network, of.network_reference) == (pan, key.network, key.network_reference)
    }

    /// Whether it paid what no request was known for.
    pub(super) const fn is_orphan(&self) -> bool {
        self.orphan
    }
}

/// Whether two records are the same one (R20).
fn is_same(one: &Presentment, other: &Presentment) -> bool {
    let named = |of: &Presentment| {
        let nameless = of.arn.is_zero().then_some((of.network_reference, of.approval_code));
        (of.network, of.arn, of.pan, nameless)
    };
    let what = |of: &Presentment| (of.function.code, of.function.purpose, of.function.reversal);
    named(one) == named(other)
        && what(one) == what(other)
        && (one.amount, one.part) == (other.amount, other.part)
}

/// Whether a record gives money to the cardholder.
fn gives(presentment: &Presentment) -> bool {
    matches!(presentment.function.purpose, Purpose::Refund | Purpose::OriginalCredit)
        != presentment.function.reversal
}

/// Whether nothing more is to come after this part.
fn is_final(part: Part) -> bool {
    match part {
        Part::Whole | Part::Final => true,
        Part::Partial => false,
        Part::Numbered { sequence, count } => sequence >= count,
    }
}

/// Whether an amount is not too far above what was authorized.
fn is_within(amount: i64, authorized: i64) -> bool {
    i128::from(amount) * 100 <= i128::from(authorized) * i128::from(100 + TOLERANCE_PERCENT)
}

/// Whether two amounts may be the same one.
fn near(one: i64, other: i64) -> bool {
    is_within(one, other) && is_within(other, one)
}

/// By what a record and something said belong together. Two ids of the network that differ keep them apart.
fn belongs(said: &Said, presentment: &Presentment) -> Option<MatchedBy> {
    if said.key.network != presentment.network || is_credit(said.processing_code) != gives(presentment) {
        return None;
    }
    let (one, other) = (said.key.network_reference, presentment.network_reference);
    if one != 0 && other != 0 {
        return (one == other).then_some(MatchedBy::NetworkReference);
    }
    let by_code = presentment.approval_code.is_some_and(|code| code.0 == said.code)
        && presentment.amount.currency.numeric() == said.currency
        && is_within(presentment.amount.minor, said.amount);
    let place = (presentment.rrn, presentment.terminal, presentment.merchant);
    let by_place =
        !presentment.rrn.is_blank() && place == (said.key.rrn, said.key.terminal, said.key.merchant);
    if by_code { Some(MatchedBy::ApprovalCode) } else { by_place.then_some(MatchedBy::Reference) }
}
