//! A party on the other side as a book: an issuer that answers by rules and knows what it has taken, with faults that a
//! seed tells. It shares no code with the ledger.

use std::collections::BTreeMap;
use std::collections::HashMap;

use crate::domain::action::ActionCode;
use crate::domain::answer::Answer;
use crate::domain::card::MaskedPan;
use crate::domain::card::Pan;
use crate::domain::event::Sequence;
use crate::domain::money::Currency;
use crate::domain::request::Advice;
use crate::domain::request::ApprovalCode;
use crate::domain::request::AuthorizationRequest;
use crate::domain::request::Legs;
use crate::domain::request::MessageClass;
use crate::domain::request::MessageKey;
use crate::domain::request::OriginalData;
use crate::domain::request::ReversalRequest;

use super::chance::Chance;

/// What is declined.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Rules {
    /// One in so many requests; zero is none.
    pub decline_every: u64,
    /// Amounts above this, minor units.
    pub decline_above: Option<i64>,
}

/// What names a message for its repeats: card, what it is (the MTI without its repeat), DE 11, DE 32, DE 37 and DE 41.
type Named = (Pan, u16, u32, u64, [u8; 12], [u8; 8]);
/// What DE 90 names: card, class, DE 11 and, where it says so, DE 7 and DE 32.
type Originally = (Pan, u8, u32, u32, u64);
/// What passes unchanged from end to end: card, DE 37 and DE 41.
type Reference = (Pan, [u8; 12], [u8; 8]);

/// What is known of one purchase: our own decision, and what was decided in our place (R4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Entry {
    card: MaskedPan,
    posts: bool,
    currency: Currency,
    /// Its request has come: one that comes with the same DE 37 and DE 41 is another.
    asked: bool,
    /// What we approved, and has not been undone, minor units.
    ours: i64,
    /// What was decided in our place, and has not been undone, minor units.
    told: Option<i64>,
    /// A reversal came before the request.
    reversed: bool,
    /// All of it was reversed: what was decided in our place is no more.
    ended: bool,
}

impl Entry {
    /// What is held or posted for it now.
    fn taken(&self) -> i64 {
        self.told.unwrap_or(self.ours)
    }
}

/// What a simulated issuer has been asked and told.
#[derive(Clone, Debug, Default)]
pub struct Book {
    rules: Rules,
    /// By what names a message: its first answer.
    answered: HashMap<Named, Answer>,
    entries: Vec<Entry>,
    by_original: HashMap<Originally, usize>,
    by_reference: HashMap<Reference, usize>,
    /// Messages by what they are.
    counts: BTreeMap<&'static str, u64>,
}

/// What is held and posted for the cards of one mask in one currency.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Taken {
    /// Minor units.
    pub held: i64,
    /// Minor units.
    pub posted: i64,
}

impl Book {
    /// An empty book.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self { rules, ..Self::default() }
    }

    /// Messages by what they are and what became of them.
    #[must_use]
    pub const fn counts(&self) -> &BTreeMap<&'static str, u64> {
        &self.counts
    }

    /// What is taken, by card as it may be shown and by currency; cards of which nothing is are not there.
    #[must_use]
    pub fn taken(&self) -> BTreeMap<(String, u16), Taken> {
        let mut sums: BTreeMap<(String, u16), Taken> = BTreeMap::new();
        for entry in self.entries.iter().filter(|entry| entry.taken() != 0) {
            let key = (entry.card.to_string(), entry.currency.numeric());
            let sum = sums.entry(key).or_default();
            *(if entry.posts { &mut sum.posted } else { &mut sum.held }) += entry.taken();
        }
        sums
    }

    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// Answers a request; a message that came before gets its first answer, and changes nothing.
    pub fn request(&mut self, request: &AuthorizationRequest) -> Answer {
        let mti = 100 * request.class as u16;
        let named = named(&request.key, request.pan, mti);
        if let Some(answer) = self.answered.get(&named).copied() {
            self.count("repeats");
            return answer;
        }
        self.count("requests");
        let amount = request.billed();
        let known = self.told_before(request);
        let declines = self.rules.decline_every > 0
            && (self.counts["requests"]).is_multiple_of(self.rules.decline_every)
            || self.rules.decline_above.is_some_and(|most| amount.minor > most);
        let action = if known.is_some_and(|place| self.entries[place].reversed) {
            self.count("reversed before they came");
            ActionCode::ReversedBeforeArrival
        } else if declines {
            self.count("declined");
            ActionCode::InsufficientFunds
        } else {
            self.count("approved");
            ActionCode::Approved
        };
        let approved = action.is_approval();
        let posts = request.class == MessageClass::Financial;
        let place = known.unwrap_or_else(|| self.begin(&request.key, request.pan, amount.currency, posts));
        let entry = &mut self.entries[place];
        (entry.asked, entry.currency) = (true, amount.currency);
        entry.posts |= posts;
        entry.ours = if approved && !request.kind.is_credit() { amount.minor } else { 0 };
        self.is_named(originally(&request.key, request.pan, request.class), place);
        let approval_code = approved.then(|| code(self.counts["requests"]));
        let answer = Answer { approval_code, ..Answer::decline(action, Sequence(0)) };
        self.answered.insert(named, answer);
        answer
    }

    /// What a reversal or an advice has told of a request that comes only now.
    fn told_before(&self, request: &AuthorizationRequest) -> Option<usize> {
        let key = &request.key;
        let referred = reference(key, request.pan).and_then(|reference| self.by_reference.get(&reference));
        let names = originally(key, request.pan, request.class);
        let named = names.iter().filter_map(|name| self.by_original.get(name));
        referred.into_iter().chain(named).copied().find(|place| !self.entries[*place].asked)
    }

    /// A purchase that nothing was known of.
    fn begin(&mut self, key: &MessageKey, pan: Pan, currency: Currency, posts: bool) -> usize {
        let (asked, reversed, ended) = (false, false, false);
        let card = pan.masked();
        self.entries.push(Entry { card, posts, currency, asked, ours: 0, told: None, reversed, ended });
        let place = self.entries.len() - 1;
        if let Some(reference) = reference(key, pan) {
            self.by_reference.insert(reference, place);
        }
        place
    }

    fn is_named(&mut self, names: impl IntoIterator<Item = Originally>, place: usize) {
        self.by_original.extend(names.into_iter().map(|name| (name, place)));
    }

    /// What a message is about: by what passes unchanged from end to end, else by DE 90. That may be in the names of
    /// whoever sent it, which are another message's here (R30).
    fn find(&self, key: &MessageKey, pan: Pan, original: Option<&OriginalData>) -> Option<usize> {
        let referred = reference(key, pan).and_then(|reference| self.by_reference.get(&reference));
        referred.or_else(|| self.by_original.get(&of_original(pan, original?)?)).copied()
    }

    /// Whether DE 90 names another purchase than what passes unchanged from end to end.
    fn contradicts_itself(&self, key: &MessageKey, pan: Pan, original: Option<&OriginalData>) -> bool {
        let referred = reference(key, pan).and_then(|reference| self.by_reference.get(&reference));
        let named = original.and_then(|original| self.by_original.get(&of_original(pan, original)?));
        referred.zip(named).is_some_and(|(referred, named)| referred != named)
    }

    /// Takes a reversal: what it is about is given back, once; before that has come it leaves a tombstone. One of our
    /// own decision leaves what was decided in our place (R4).
    pub fn reversal(&mut self, reversal: &ReversalRequest) -> Answer {
        let named = named(&reversal.key, reversal.pan, 400);
        let done = Answer::decline(ActionCode::Approved, Sequence(0));
        if self.answered.contains_key(&named) {
            self.count("repeats");
            return done;
        }
        self.count("reversals");
        self.answered.insert(named, done);
        let ReversalRequest { key, pan, original, legs, .. } = reversal;
        if self.contradicts_itself(key, *pan, original.as_ref()) {
            self.count("reversals that name two purchases");
        }
        let place = self.find(key, *pan, original.as_ref()).unwrap_or_else(|| {
            self.count("tombstones");
            let class = original.and_then(|original| original.class);
            let posts = class == Some(MessageClass::Financial);
            let place = self.begin(key, *pan, reversal.amount.currency, posts);
            self.is_named(original.as_ref().and_then(|original| of_original(*pan, original)), place);
            place
        });
        let keeps = reversal.replacement.map_or(0, |keeps| keeps.amount);
        let entry = &mut self.entries[place];
        entry.reversed |= !entry.asked;
        entry.ours = entry.ours.min(keeps);
        if *legs == Legs::Both {
            entry.told = entry.told.map(|told| told.min(keeps));
            entry.ended |= reversal.replacement.is_none();
        }
        done
    }

    /// Takes an advice over: what it is about has its outcome, and nothing is held twice.
    pub fn advice(&mut self, advice: &Advice) -> Answer {
        let named = named(&advice.key, advice.pan, 100 * advice.class as u16 + 20);
        let done = Answer::decline(ActionCode::Approved, Sequence(0));
        if self.answered.contains_key(&named) {
            self.count("repeats");
            return done;
        }
        self.count("advices");
        self.answered.insert(named, done);
        let taken = if advice.approved && !advice.is_credit() { advice.billed().minor } else { 0 };
        let posts = advice.class == MessageClass::Financial;
        let Advice { key, class, pan, original, .. } = advice;
        let place = self.find(key, *pan, original.as_ref()).unwrap_or_else(|| {
            let place = self.begin(key, *pan, advice.billed().currency, posts);
            // Its request may come yet, under the same name.
            self.is_named(originally(key, *pan, *class), place);
            place
        });
        let entry = &mut self.entries[place];
        entry.told = Some(if entry.ended { 0 } else { taken });
        // What completes a hold takes its place.
        entry.posts |= posts;
        done
    }
}

fn named(key: &MessageKey, pan: Pan, mti: u16) -> Named {
    (pan, mti, key.stan.0, key.acquirer.0, key.rrn.0, key.terminal.0)
}

/// With DE 7 and DE 32, and without.
fn originally(key: &MessageKey, pan: Pan, class: MessageClass) -> [Originally; 4] {
    let (when, acquirer) = (key.transmission.digits(), key.acquirer.0);
    [(when, acquirer), (when, 0), (0, acquirer), (0, 0)]
        .map(|(when, acquirer)| (pan, class as u8, key.stan.0, when, acquirer))
}

/// `None` where messages do not say it: then nothing is found by it.
fn reference(key: &MessageKey, pan: Pan) -> Option<Reference> {
    (!key.rrn.is_blank()).then_some((pan, key.rrn.0, key.terminal.0))
}

fn of_original(pan: Pan, original: &OriginalData) -> Option<Originally> {
    let when = original.transmission.map_or(0, |transmission| transmission.digits());
    Some((pan, original.class? as u8, original.stan.0, when, original.acquirer.0))
}

fn code(mut number: u64) -> ApprovalCode {
    let mut code = [b'0'; 6];
    for place in code.iter_mut().rev() {
        *place = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[(number % 36) as usize];
        number /= 36;
    }
    ApprovalCode(code)
}

/// What goes wrong with answers, or with messages of one's own, by chance in millionths for each.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Faults {
    /// Tells everything.
    pub seed: u64,
    /// It is delayed by so many milliseconds, from and to.
    pub delay_ms: (u32, u32),
    /// It is not sent.
    pub drop: u32,
    /// It is sent twice.
    pub duplicate: u32,
    /// It is sent after the next one.
    pub reorder: u32,
    /// Half of it is sent, and the socket is closed.
    pub close: u32,
    /// Noise is sent in its place: it has another DE 11, 37 or 41, or is no message.
    pub garbage: u32,
}

/// What becomes of one answer or message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It is sent.
    Sent,
    /// It is not sent.
    Dropped,
    /// It is sent twice.
    Twice,
    /// It is sent after the next one.
    Later,
    /// Half of it is sent, and the socket is closed.
    Cut,
    /// Something else is sent: so many bits of chance say what.
    Garbled(u32),
}

impl Fate {
    /// Whether what is sent in place of a message is no message at all. No byte after it can be read, so that the
    /// socket ends with it.
    #[must_use]
    pub const fn is_noise(bits: u32) -> bool {
        bits.is_multiple_of(8)
    }
}

/// Bytes without framing: none has such a length that a peer could wait for.
#[must_use]
pub fn noise(bits: u32) -> Vec<u8> {
    bits.to_le_bytes().repeat(16)
}

impl Faults {
    /// What becomes of a message that is named by these bytes, or of its answer, after it has come or gone so often
    /// before, and how many milliseconds it takes. The same seed tells the same of the same message, in whichever order
    /// they come.
    #[must_use]
    pub fn of(&self, message: &[u8], before: u32) -> (Fate, u32) {
        let message = xxhash_rust::xxh3::xxh3_64_with_seed(message, before.into());
        let mut chance = Chance::new(self.seed ^ message);
        let (from, to) = self.delay_ms;
        let delay = from + chance.below(to.saturating_sub(from) + 1);
        let mut drawn = chance.below(1_000_000);
        let table = [
            (self.drop, Fate::Dropped),
            (self.duplicate, Fate::Twice),
            (self.reorder, Fate::Later),
            (self.close, Fate::Cut),
            (self.garbage, Fate::Garbled(chance.next() as u32)),
        ];
        for (millionths, fate) in table {
            match drawn.checked_sub(millionths) {
                Some(rest) => drawn = rest,
                None => return (fate, delay),
            }
        }
        (Fate::Sent, delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::money::Money;
    use crate::domain::party::InstitutionId;
    use crate::domain::party::MerchantId;
    use crate::domain::party::NameId;
    use crate::domain::party::Rrn;
    use crate::domain::party::TerminalId;
    use crate::domain::request::ProcessingCode;
    use crate::domain::request::Stan;
    use crate::domain::time::TransmissionTime;
    use crate::domain::usage::Channel;

    const AMOUNT: i64 = 5_000;

    fn pan() -> Pan {
        Pan::from_value(4_111_111_111_111_111, 16).expect("a test card")
    }

    fn key(stan: u32) -> MessageKey {
        MessageKey {
            network: NameId(1),
            link: NameId(1),
            stan: Stan(stan),
            transmission: TransmissionTime::new(601_120_000).expect("a date"),
            acquirer: InstitutionId(400_001),
            rrn: Rrn::from_ascii(b"600112000001"),
            terminal: TerminalId::BLANK,
            merchant: MerchantId::BLANK,
            network_reference: 0,
        }
    }

    fn money() -> Money {
        Money::new(AMOUNT, Currency::new(840).expect("a currency"))
    }

    fn advice(stan: u32, approved: bool) -> Advice {
        Advice {
            key: key(stan),
            class: MessageClass::Authorization,
            repeat: false,
            pan: pan(),
            processing_code: ProcessingCode(0),
            mcc: 5411,
            country: 840,
            channel: Channel::default(),
            finality: Default::default(),
            card_present: true,
            amount: money(),
            billing: None,
            approved,
            reason: 0,
            approval_code: None,
            original: None,
            increment: false,
            completes: false,
        }
    }

    fn reversal(stan: u32, legs: Legs) -> ReversalRequest {
        ReversalRequest {
            key: key(stan),
            advice: true,
            repeat: false,
            pan: pan(),
            processing_code: ProcessingCode(0),
            amount: money(),
            billing: None,
            replacement: None,
            approval_code: None,
            original: None,
            legs,
            reason: 0,
        }
    }

    fn request() -> AuthorizationRequest {
        AuthorizationRequest {
            key: key(1),
            class: MessageClass::Authorization,
            repeat: false,
            pan: pan(),
            expiry: None,
            processing_code: ProcessingCode(0),
            kind: ProcessingCode(0).kind(),
            amount: money(),
            billing: None,
            mcc: 5411,
            country: 840,
            entry_mode: 51,
            channel: Channel::default(),
            partial_supported: false,
            merchant_initiated: false,
            increment: false,
            finality: Default::default(),
            card_present: true,
            presented: Default::default(),
        }
    }

    #[test]
    fn r30_names_of_somebody_else_are_no_names_of_ours() {
        let mut book = Book::new(Rules::default());
        let _approved = book.request(&request());
        let mut other = reversal(9, Legs::Both);
        other.key.rrn = Rrn::from_ascii(b"600112000002");
        let class = Some(MessageClass::Authorization);
        let transmission = Some(request().key.transmission);
        let acquirer = InstitutionId(400_002);
        other.original = Some(OriginalData { class, stan: Stan(1), transmission, acquirer });
        let _taken = book.reversal(&other);
        assert_eq!(book.taken().values().map(|taken| taken.held).sum::<i64>(), AMOUNT);
        other.original =
            other.original.map(|original| OriginalData { acquirer: InstitutionId(400_001), ..original });
        (other.key.stan, other.key.rrn) = (Stan(10), Rrn::from_ascii(b"600112000003"));
        let _taken = book.reversal(&other);
        assert!(book.taken().is_empty(), "no part of DE 90 differs");
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Request,
        Approved,
        Declined,
        Ours,
        Both,
    }

    #[test]
    fn r4_two_legs_are_kept_apart_in_any_order() {
        use Step::Approved;
        use Step::Both;
        use Step::Declined;
        use Step::Ours;
        use Step::Request;
        let table: [(&[Step], i64); 13] = [
            (&[Request], AMOUNT),
            (&[Request, Request], AMOUNT),
            (&[Request, Ours], 0),
            (&[Ours, Request], 0),
            (&[Request, Ours, Approved], AMOUNT),
            (&[Request, Approved, Ours], AMOUNT),
            (&[Approved, Request, Ours], AMOUNT),
            (&[Ours, Approved, Request], AMOUNT),
            (&[Request, Declined], 0),
            (&[Declined, Request], 0),
            (&[Request, Approved, Both], 0),
            (&[Both, Approved, Request], 0),
            (&[Approved, Both, Request, Approved], 0),
        ];
        for (steps, held) in table {
            let mut book = Book::new(Rules::default());
            for (step, stan) in steps.iter().zip(10..) {
                let _answered = match step {
                    Request => book.request(&request()),
                    Approved => book.advice(&advice(stan, true)),
                    Declined => book.advice(&advice(stan, false)),
                    Ours => book.reversal(&reversal(stan, Legs::Ours)),
                    Both => book.reversal(&reversal(stan, Legs::Both)),
                };
            }
            let sum: i64 = book.taken().values().map(|taken| taken.held).sum();
            assert_eq!(sum, held, "{steps:?}");
        }
    }
}
