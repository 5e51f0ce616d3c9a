//! A party on the other side as a book: an issuer that answers by rules and knows what it has taken, with faults that a
//! seed tells. It shares no code with the ledger.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::HashSet;

use crate::domain::action::ActionCode;
use crate::domain::answer::Answer;
use crate::domain::card::MaskedPan;
use crate::domain::card::Pan;
use crate::domain::event::Sequence;
use crate::domain::money::Money;
use crate::domain::request::Advice;
use crate::domain::request::ApprovalCode;
use crate::domain::request::AuthorizationRequest;
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
type Named = (u64, u16, u32, u64, [u8; 12], [u8; 8]);
/// What DE 90 names: card, class, DE 11 and, where it says so, DE 7.
type Originally = (u64, u8, u32, u32);

/// What became of one purchase.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Entry {
    card: MaskedPan,
    posts: bool,
    amount: Money,
    /// What is held or posted for it now.
    taken: i64,
}

/// What a simulated issuer has been asked and told.
#[derive(Clone, Debug, Default)]
pub struct Book {
    rules: Rules,
    /// By what names a message: its first answer.
    answered: HashMap<Named, Answer>,
    entries: Vec<Entry>,
    by_original: HashMap<Originally, usize>,
    by_reference: HashMap<(u64, [u8; 12], [u8; 8]), usize>,
    tombstones: HashSet<Originally>,
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

    /// What is taken, by card as it may be shown and by currency.
    #[must_use]
    pub fn taken(&self) -> BTreeMap<(String, u16), Taken> {
        let mut sums: BTreeMap<(String, u16), Taken> = BTreeMap::new();
        for entry in &self.entries {
            let key = (entry.card.to_string(), entry.amount.currency.numeric());
            let sum = sums.entry(key).or_default();
            *(if entry.posts { &mut sum.posted } else { &mut sum.held }) += entry.taken;
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
        let [exact, any_time] = originally(&request.key, request.pan, request.class);
        let amount = request.billed();
        let declines = self.rules.decline_every > 0
            && (self.counts["requests"]).is_multiple_of(self.rules.decline_every)
            || self.rules.decline_above.is_some_and(|most| amount.minor > most);
        let action = if self.tombstones.contains(&exact) || self.tombstones.contains(&any_time) {
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
        let taken = if approved && !request.kind.is_credit() { amount.minor } else { 0 };
        let posts = request.class == MessageClass::Financial;
        self.enter(
            &request.key,
            request.pan,
            request.class,
            Entry { card: request.pan.masked(), posts, amount, taken },
        );
        let approval_code = approved.then(|| code(self.entries.len() as u64));
        let answer = Answer { approval_code, ..Answer::decline(action, Sequence(0)) };
        self.answered.insert(named, answer);
        answer
    }

    fn enter(&mut self, key: &MessageKey, pan: Pan, class: MessageClass, entry: Entry) {
        let place = self.entries.len();
        self.entries.push(entry);
        for original in originally(key, pan, class) {
            self.by_original.insert(original, place);
        }
        self.by_reference.insert((pan.value(), key.rrn.0, key.terminal.0), place);
    }

    fn find(&self, key: &MessageKey, pan: Pan, original: Option<&OriginalData>) -> Option<usize> {
        let by_data =
            original.and_then(|original| self.by_original.get(&of_original(pan, original)?)).copied();
        by_data.or_else(|| self.by_reference.get(&(pan.value(), key.rrn.0, key.terminal.0)).copied())
    }

    /// Takes a reversal: what it is about is given back, once; before that has come it leaves a tombstone.
    pub fn reversal(&mut self, reversal: &ReversalRequest) -> Answer {
        let named = named(&reversal.key, reversal.pan, 400);
        let done = Answer::decline(ActionCode::Approved, Sequence(0));
        if self.answered.contains_key(&named) {
            self.count("repeats");
            return done;
        }
        self.count("reversals");
        self.answered.insert(named, done);
        match self.find(&reversal.key, reversal.pan, reversal.original.as_ref()) {
            Some(place) => {
                let keeps = reversal.replacement.map_or(0, |keeps| keeps.amount);
                let entry = &mut self.entries[place];
                entry.taken = entry.taken.min(keeps);
            }
            None => {
                self.count("tombstones");
                let original = reversal.original.as_ref().and_then(|it| of_original(reversal.pan, it));
                self.tombstones.extend(original);
            }
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
        match self.find(&advice.key, advice.pan, advice.original.as_ref()) {
            Some(place) => self.entries[place].taken = taken,
            None => {
                let posts = advice.class == MessageClass::Financial;
                let (card, amount) = (advice.pan.masked(), advice.billed());
                self.enter(&advice.key, advice.pan, advice.class, Entry { card, posts, amount, taken });
            }
        }
        done
    }
}

fn named(key: &MessageKey, pan: Pan, mti: u16) -> Named {
    (pan.value(), mti, key.stan.0, key.acquirer.0, key.rrn.0, key.terminal.0)
}

/// With DE 7 and without.
fn originally(key: &MessageKey, pan: Pan, class: MessageClass) -> [Originally; 2] {
    [key.transmission.digits(), 0].map(|when| (pan.value(), class as u8, key.stan.0, when))
}

fn of_original(pan: Pan, original: &OriginalData) -> Option<Originally> {
    let when = original.transmission.map_or(0, |transmission| transmission.digits());
    Some((pan.value(), original.class? as u8, original.stan.0, when))
}

fn code(mut number: u64) -> ApprovalCode {
    let mut code = [b'0'; 6];
    for place in code.iter_mut().rev() {
        *place = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[(number % 36) as usize];
        number /= 36;
    }
    ApprovalCode(code)
}

/// What goes wrong with answers, by chance in millionths for each.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Faults {
    /// Tells everything.
    pub seed: u64,
    /// An answer is delayed by so many milliseconds, from and to.
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

/// What becomes of one answer.
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

impl Faults {
    /// What becomes of the answer to a message with these bytes that has come so often before, and how many
    /// milliseconds it takes. The same seed tells the same of the same message, in whichever order they come.
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
