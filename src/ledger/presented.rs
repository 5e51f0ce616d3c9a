//! Finding what a clearing record is about (R7, R8, R14, R20): the authorization that it posts, the posting that a
//! message has made of it already, or the presentment that it reverses.

use crate::domain::cleared::MatchedBy;
use crate::domain::clearing::Part;
use crate::domain::clearing::Presentment;
use crate::domain::event::Sequence;
use crate::domain::party::Text;
use crate::domain::request::Advice;
use crate::domain::request::MessageClass;

use super::authorization::Authorization;
use super::authorization::AuthorizationState;
use super::chain::network_bits;
use super::shard::Card;
use super::shard::Shard;

/// What a clearing record belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Presented<'s> {
    /// The authorization, or the posting.
    pub authorization: &'s Authorization,
    /// By what they belong together.
    pub by: MatchedBy,
    /// A message has posted it: it is not posted again.
    pub posted: bool,
}

/// In what an authorization differs from a clearing record that nothing was found for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Difference {
    /// The same DE 38; the record's amount is further above what was authorized than may be.
    Amount,
    /// The same DE 38, another currency.
    Currency,
    /// The same DE 38 or amount; one is a credit and the other is not.
    Direction,
    /// Amount, currency and merchant are the same, and no key that both have.
    Keys,
    /// The same acquirer reference; the reversal has another amount than the presentment.
    ReversedAmount,
}

impl Difference {
    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Amount => "amount",
            Self::Currency => "currency",
            Self::Direction => "direction",
            Self::Keys => "keys",
            Self::ReversedAmount => "reversed-amount",
        }
    }
}

/// An authorization that a clearing record nearly fits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NearMiss {
    /// Its record.
    pub authorization: Sequence,
    /// In what it differs.
    pub difference: Difference,
}

/// Most near misses that are told of one record.
pub const NEAR_MISSES_MAX: usize = 3;

/// How far above what was authorized an amount may be that is matched by less than the network's id, in percent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tolerance(pub u16);

impl Tolerance {
    /// Whether an amount is not too far above what was authorized.
    #[must_use]
    pub const fn takes(self, amount: i64, authorized: i64) -> bool {
        amount as i128 * 100 <= authorized as i128 * (100 + self.0 as i128)
    }

    /// Whether two amounts are near enough to be the same one, of which one message knew more than the other.
    #[must_use]
    pub const fn are_near(self, one: i64, other: i64) -> bool {
        self.takes(one, other) && self.takes(other, one)
    }
}

/// Which of equally strong matches comes first; greater does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    /// It was captured, has expired or was reversed: what is posted is late.
    Closed,
    /// A message has posted about this amount of it, or what this is a part of.
    Posted,
    /// It is open.
    Open,
    /// A message has posted just this amount of it.
    PostedSame,
}

impl Shard {
    /// What a presentment is about: the strongest match, one that a message has posted with the same amount before an
    /// open one, an open one before a closed one, the first request of a purchase before its increments.
    #[must_use]
    pub fn presented(
        &self,
        card: &Card,
        presentment: &Presentment,
        over: Tolerance,
    ) -> Option<Presented<'_>> {
        let all = self.open_of(card).chain(self.closed_of(card)).map(|(_, entry)| entry);
        let candidates = all.filter(|entry| entry.state.is_authorization() && !entry.is_clearing());
        let ranked = candidates.filter_map(|entry| {
            let by = self.presented_by(entry, presentment, over)?;
            let (standing, entry) = self
                .completion_of(card, entry, presentment, over)
                .unwrap_or_else(|| (self.standing(card, entry, presentment, over), entry));
            let same_code = presentment.approval_code.is_some_and(|code| code.0 == entry.approval_code);
            let same_amount = entry.amount == presentment.amount.minor;
            let rank = (by, standing, same_code, !entry.is_increment(), same_amount, entry.sequence);
            Some((rank, entry))
        });
        let ((by, standing, ..), authorization) = ranked.max_by_key(|(rank, _)| *rank)?;
        let posted = matches!(standing, Standing::Posted | Standing::PostedSame);
        Some(Presented { authorization, by, posted })
    }

    /// By what a presentment and an authorization belong together. Two ids of the network that differ keep them apart.
    fn presented_by(
        &self,
        entry: &Authorization,
        presentment: &Presentment,
        over: Tolerance,
    ) -> Option<MatchedBy> {
        if entry.network != presentment.network.0 as u16
            || is_credit(entry) != presentment.function.is_credit()
        {
            return None;
        }
        if entry.network_reference != 0 && presentment.network_reference != 0 {
            let same = entry.network_reference == presentment.network_reference;
            return same.then_some(MatchedBy::NetworkReference);
        }
        let by_code = presentment.approval_code.is_some_and(|code| code.0 == entry.approval_code)
            && presentment.amount.currency.numeric() == entry.currency;
        if by_code && over.takes(presentment.amount.minor, entry.amount) {
            return Some(MatchedBy::ApprovalCode);
        }
        let by_reference = !presentment.rrn.is_blank()
            && presentment.rrn.0 == entry.rrn
            && self.terminal_print(&presentment.terminal) == entry.terminal
            && self.merchant_print(&presentment.merchant) == entry.merchant;
        by_reference.then_some(MatchedBy::Reference)
    }

    /// What a message has posted of an authorization, as far as it can be what a record is about: it may have other
    /// keys than the authorization by which the record is found.
    fn completion_of(
        &self,
        card: &Card,
        entry: &Authorization,
        presentment: &Presentment,
        over: Tolerance,
    ) -> Option<(Standing, &Authorization)> {
        // What was reversed may have been completed all the same (R14).
        let ended = entry.state != AuthorizationState::Posted && !entry.state.is_open();
        if !ended || entry.class() != Some(MessageClass::Authorization) {
            return None;
        }
        let closed = self.closed_of(card).map(|(_, posting)| posting);
        let postings = closed.filter(|posting| {
            posting.state == AuthorizationState::Posted
                && !posting.is_clearing()
                && is_credit(posting) == is_credit(entry)
                && (posting.sequence == entry.closed_by || posting.is_of_group(entry))
        });
        let standing = postings.map(|posting| (self.standing(card, posting, presentment, over), posting));
        let found = standing.max_by_key(|(standing, posting)| (*standing, posting.sequence));
        found.filter(|(standing, _)| matches!(standing, Standing::Posted | Standing::PostedSame))
    }

    fn standing(
        &self,
        card: &Card,
        entry: &Authorization,
        presentment: &Presentment,
        over: Tolerance,
    ) -> Standing {
        if entry.state.is_open() {
            return Standing::Open;
        }
        if entry.state != AuthorizationState::Posted {
            return Standing::Closed;
        }
        let settled = self.settled_of(card, entry);
        // A credit that was given when it was authorized: whatever its record says, only the difference is left (R15).
        if entry.class() == Some(MessageClass::Authorization) {
            return if settled == 0 { Standing::PostedSame } else { Standing::Closed };
        }
        let of = |posted: i64, amount: i64| {
            let rest = posted.saturating_sub(settled);
            let part = presentment.part != Part::Whole && amount < rest;
            if rest == amount {
                Standing::PostedSame
            } else if rest > 0 && (part || over.are_near(amount, rest)) {
                Standing::Posted
            } else {
                Standing::Closed
            }
        };
        let (asked, currency) = (presentment.amount, self.account_currency(entry));
        let in_transaction = if asked.currency.numeric() == entry.currency {
            of(entry.amount, asked.minor)
        } else {
            Standing::Closed
        };
        // A part was approved or given back, or an advice has set another amount: the account tells what was
        // posted.
        let own = [presentment.billed(), asked].into_iter().find(|own| Some(own.currency) == currency);
        let own = own.filter(|own| settled == 0 || *own == asked && own.currency.numeric() == entry.currency);
        let on_account = own.map(|own| of(entry.taken.saturating_abs(), own.minor));
        on_account.map_or(in_transaction, |on_account| on_account.max(in_transaction))
    }

    /// How much of a posting others have found, in the currency of its transaction; one in another has found
    /// it all.
    fn settled_of(&self, card: &Card, posting: &Authorization) -> i64 {
        self.found_of(card, posting, |_| true)
    }

    /// How much of a posting presentments had found that were given back since, in the same currency.
    #[must_use]
    pub fn returned_of(&self, card: &Card, posting: &Authorization) -> i64 {
        self.found_of(card, posting, Authorization::is_returned)
    }

    fn found_of(&self, card: &Card, posting: &Authorization, which: impl Fn(&Authorization) -> bool) -> i64 {
        let found = self.closed_of(card).map(|(_, entry)| entry);
        let found = found.filter(|entry| entry.settles() == Some(posting.sequence) && which(entry));
        let amount = |entry: &Authorization| {
            if entry.currency == posting.currency { entry.amount } else { i64::MAX }
        };
        found.fold(0, |sum, entry| sum.saturating_add(amount(entry)))
    }

    /// The posting that a reversal of a presentment gives back: of the same acquirer reference, in the other direction
    /// and with the same amount.
    #[must_use]
    pub fn returned_by(&self, card: &Card, reversal: &Presentment) -> Option<Presented<'_>> {
        let posting = self.presentments_of(card, reversal).find(|(entry, _)| {
            entry.amount == reversal.amount.minor && entry.currency == reversal.amount.currency.numeric()
        });
        posting.map(|(_, authorization)| Presented { authorization, by: MatchedBy::Arn, posted: true })
    }

    /// Whether the presentment of a reversal that was found is only a part of what a message has posted:
    /// others have found that as well, or it is of less.
    #[must_use]
    pub fn returns_part(
        &self,
        card: &Card,
        reversal: &Presentment,
        found: &Presented<'_>,
        over: Tolerance,
    ) -> bool {
        let posting = found.authorization;
        if !reversal.function.reversal || posting.is_clearing() {
            return false;
        }
        let (amount, currency) = (reversal.amount, self.account_currency(posting));
        let own = [reversal.billed(), amount].into_iter().find(|own| Some(own.currency) == currency);
        let all = over.are_near(amount.minor, posting.amount)
            || own.is_some_and(|own| over.are_near(own.minor, posting.taken.saturating_abs()));
        self.settled_of(card, posting) != amount.minor || !all
    }

    /// What presentments of a reversal's acquirer reference have left, and the postings that stand for them, the newest
    /// first.
    fn presentments_of(
        &self,
        card: &Card,
        reversal: &Presentment,
    ) -> impl Iterator<Item = (&Authorization, &Authorization)> {
        let arn = reversal.key().arn_print();
        let given = reversal.function.is_credit();
        let mut left: Vec<_> = self.closed_of(card).filter(|(_, entry)| entry.is_of_arn(arn)).collect();
        left.reverse();
        left.into_iter().filter_map(move |(_, entry)| {
            let posting = match entry.settles() {
                Some(posting) => self.closed_of(card).find(|(_, entry)| entry.sequence == posting)?.1,
                None => entry,
            };
            let stands = posting.state == AuthorizationState::Posted && (posting.taken < 0) != given;
            (stands && !entry.is_returned()).then_some((entry, posting))
        })
    }

    /// The clearing record that has posted what a message, a completion or its like, is about to post: of the
    /// same purchase by the network's id, by DE 38, or by DE 37, DE 41 and DE 42, of the message or of what
    /// it is about; in the same direction, found by no other message, and of the same amount or one that is
    /// near it: a purchase may be completed in several deliveries.
    #[must_use]
    pub fn cleared_of_purchase(
        &self,
        card: &Card,
        advice: &Advice,
        over: Tolerance,
    ) -> Option<&Authorization> {
        let all = || self.closed_of(card).map(|(_, entry)| entry);
        if !all().any(Authorization::is_clearing) {
            return None;
        }
        let about = self.advised_by(card, advice);
        let postings = all().filter(|entry| {
            entry.is_clearing()
                && entry.state == AuthorizationState::Posted
                && self.is_cleared_by(entry, advice, about)
                // The reversal of a purchase gives money as well, and is no refund.
                && (entry.taken < 0, is_credit(entry)) == (advice.is_credit(), advice.is_credit())
                && entry.currency == advice.amount.currency.numeric()
                && over.are_near(entry.amount, advice.amount.minor)
                && self.settled_of(card, entry) == 0
        });
        postings.max_by_key(|entry| (entry.amount == advice.amount.minor, entry.sequence))
    }

    /// Whether what a clearing record left is of the purchase of a message, which is about this: the record
    /// may have named that, and the message may name it by other keys.
    fn is_cleared_by(&self, entry: &Authorization, advice: &Advice, about: Option<&Authorization>) -> bool {
        let key = &advice.key;
        let ids = [key.network_reference, about.map_or(0, |about| about.network_reference)];
        let same_id = |id: u64| id != 0 && id == entry.network_reference;
        let differs = |id: u64| id != 0 && entry.network_reference != 0 && id != entry.network_reference;
        if entry.network != network_bits(key) || ids.into_iter().any(differs) {
            return false;
        }
        let has_code = |code: [u8; 6]| code != [0; 6] && code == entry.approval_code;
        let by_code = advice.approval_code.is_some_and(|code| has_code(code.0))
            || about.is_some_and(|about| has_code(about.approval_code));
        let place = (entry.rrn, entry.terminal, entry.merchant);
        let by_keys = !Text(entry.rrn).is_blank()
            && (place == (key.rrn.0, self.terminal_bits(key), self.merchant_bits(key))
                || about.is_some_and(|about| place == (about.rrn, about.terminal, about.merchant)));
        let ended = about.is_some_and(|about| about.closed_by == entry.sequence);
        ids.into_iter().any(same_id) || by_code || by_keys || ended
    }

    /// Authorizations that a record nearly fits, newest first; at most [`NEAR_MISSES_MAX`].
    #[must_use]
    pub fn near_misses(&self, card: &Card, presentment: &Presentment, over: Tolerance) -> Vec<NearMiss> {
        if presentment.function.reversal {
            let found = self.presentments_of(card, presentment).take(NEAR_MISSES_MAX);
            let near = |(_, posting): (_, &Authorization)| NearMiss {
                authorization: posting.sequence,
                difference: Difference::ReversedAmount,
            };
            return found.map(near).collect();
        }
        let all = self.open_of(card).chain(self.closed_of(card)).map(|(_, entry)| entry);
        let candidates = all.filter(|entry| {
            entry.state.is_authorization()
                && !entry.is_clearing()
                && entry.network == presentment.network.0 as u16
        });
        let mut found: Vec<NearMiss> = candidates
            .filter_map(|entry| {
                let difference = self.difference(entry, presentment, over)?;
                Some(NearMiss { authorization: entry.sequence, difference })
            })
            .collect();
        found.sort_by_key(|near| std::cmp::Reverse(near.authorization));
        found.truncate(NEAR_MISSES_MAX);
        found
    }

    fn difference(
        &self,
        entry: &Authorization,
        presentment: &Presentment,
        over: Tolerance,
    ) -> Option<Difference> {
        let same_code = presentment.approval_code.is_some_and(|code| code.0 == entry.approval_code);
        let same_currency = entry.currency == presentment.amount.currency.numeric();
        let same_amount = same_currency && entry.amount == presentment.amount.minor;
        let same_merchant = self.merchant_print(&presentment.merchant) == entry.merchant;
        let other_direction = is_credit(entry) != presentment.function.is_credit();
        if (same_code || same_amount && same_merchant) && other_direction {
            Some(Difference::Direction)
        } else if same_code && !same_currency {
            Some(Difference::Currency)
        } else if same_code && !over.takes(presentment.amount.minor, entry.amount) {
            Some(Difference::Amount)
        } else if same_amount && same_merchant {
            Some(Difference::Keys)
        } else {
            None
        }
    }
}

/// Whether an authorization gives money to the cardholder.
const fn is_credit(entry: &Authorization) -> bool {
    entry.coded.processing_code().kind().is_credit()
}
