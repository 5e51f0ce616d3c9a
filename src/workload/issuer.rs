//! A small issuer for tests: right unless it is told to make one kind of mistake.

use std::collections::HashMap;
use std::collections::HashSet;

use serde_json::Value as Json;

use crate::dialect::Dialect;
use crate::dialect::inbound::Context;
use crate::dialect::inbound::Inbound;
use crate::domain::action::ActionCode;
use crate::domain::answer::Answer;
use crate::domain::answer::Balances;
use crate::domain::answer::PartialApproval;
use crate::domain::event::Sequence;
use crate::domain::money::Currency;
use crate::domain::money::Money;
use crate::domain::party::NameId;
use crate::domain::request::Advice;
use crate::domain::request::ApprovalCode;
use crate::domain::request::AuthorizationRequest;
use crate::domain::request::MessageClass;
use crate::domain::request::ReversalRequest;
use crate::domain::request::TransactionKind;
use crate::iso8583::view::Spans;
use crate::workload::identity::BRIEF_CATEGORY;
use crate::workload::population::Population;
use crate::workload::presenting::Cleared;

/// What goes wrong, on every 50th message that it can go wrong with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Planted {
    Nothing,
    AnswersTwice,
    AnswersToNothing,
    ApprovesOverLimit,
    PartAboveWhole,
    OtherCodeToRepeat,
    OtherAmountToRepeat,
    OtherBalanceToRepeat,
    DeclinesReversal,
    ApprovesAfterReversal,
    ApprovesUnknownCards,
    SaysNothing,
    ForgetsHold,
    /// Posts a record of a clearing file as often as it comes.
    PostsAgain,
    Refuses,
}

/// Card, DE 37, and whether it is an advice.
type Key = (u64, [u8; 12], bool);
/// Card, DE 11, DE 32 and DE 7.
type Original = (u64, u32, u64, u32);

/// What one message took.
struct Entry {
    original: Original,
    reference: u64,
    code: [u8; 6],
    account: (u64, Currency),
    class: MessageClass,
    /// It began a purchase; an increment, or what a completion posted, did not.
    begins: bool,
    reversed: bool,
    rrn: [u8; 12],
    /// Its hold runs out (R19).
    brief: bool,
    /// A message has posted it.
    completed: bool,
    /// A record of a clearing file has.
    captured: bool,
    held: i64,
    posted: i64,
}

/// Its books: by card the account of each currency, by message what was answered.
pub(crate) struct Issuer {
    pub(crate) planted: Planted,
    pub(crate) accounts: HashMap<(u64, Currency), (i64, i64)>,
    wallet_of: HashMap<u64, (u64, ActionCode)>,
    answers: HashMap<Key, Answer>,
    entries: HashMap<u64, Vec<Entry>>,
    tombstones: HashSet<Original>,
    /// Messages whose repeat came first.
    repeats: HashSet<Key>,
    /// Records of clearing files: acquirer reference number, function and part.
    records: HashSet<(String, String, String)>,
    count: u64,
}

impl Issuer {
    pub(crate) fn new(population: &Population, planted: Planted) -> Self {
        let account = |a: &crate::workload::population::Account| ((a.wallet.0, a.currency), (a.balance, 0));
        let cards = population.good.iter().chain(&population.blocked);
        let wallet = |place: u32| population.accounts[place as usize].wallet.0;
        Self {
            planted,
            accounts: population.accounts.iter().map(account).collect(),
            wallet_of: cards.map(|card| (card.pan, (wallet(card.account), card.expected))).collect(),
            answers: HashMap::new(),
            entries: HashMap::new(),
            tombstones: HashSet::new(),
            repeats: HashSet::new(),
            records: HashSet::new(),
            count: 0,
        }
    }

    /// Answers the frames of a read; returns how many bytes were whole frames.
    pub(crate) fn answer(&mut self, dialect: &Dialect, input: &[u8], out: &mut Vec<u8>) -> usize {
        let (mut at, mut spans) = (0, Spans::default());
        while let Some(frame) = dialect.frame(&input[at..]).expect("frames") {
            let body = &input[at + frame.body.start..at + frame.body.end];
            at += frame.total;
            let context = Context { network: NameId(1), link: NameId(1) };
            let received = dialect.decode(body, context, &mut spans).expect("a right message");
            self.count += 1;
            let planted = self.count.is_multiple_of(50);
            let answer = match &received.inbound {
                Inbound::NetworkManagement(request) => {
                    dialect.write_network_answer(&received, request, out).expect("an answer");
                    continue;
                }
                Inbound::Authorization(request) => self.decide(request, planted),
                Inbound::Reversal(reversal) => self.reverse(reversal, planted),
                Inbound::Advice(advice) => self.advise(advice),
                other => panic!("{other:?}"),
            };
            let before = out.len();
            dialect.write_answer(&received, &answer, out).expect("an answer");
            match self.planted {
                Planted::SaysNothing if planted => out.truncate(before),
                Planted::AnswersTwice if planted => out.extend_from_within(before..),
                Planted::AnswersToNothing if planted => {
                    // The exchange's number in DE 37: its first digit becomes a nine.
                    let mut again = out[before..].to_vec();
                    let rrn = received.view.content(37).expect("DE 37").to_vec();
                    let place = again.windows(12).position(|part| part == rrn).expect("echoed");
                    again[place + 3] = rrn[2] | 0x09;
                    out.extend_from_slice(&again);
                }
                _ => {}
            }
        }
        at
    }

    fn decide(&mut self, request: &AuthorizationRequest, planted: bool) -> Answer {
        let key = (request.pan.value(), request.key.rrn.0, false);
        if let Some(first) = self.answers.get(&key) {
            let after_repeat = self.repeats.remove(&key);
            assert!(request.repeat || after_repeat, "no two messages are alike");
            let mut answer = *first;
            let inquiry = request.kind == TransactionKind::BalanceInquiry;
            match (self.planted, &mut answer.partial) {
                (Planted::OtherCodeToRepeat, _) => {
                    answer.approval_code = Some(ApprovalCode(*b"WRONG1"));
                    answer.action = ActionCode::Approved;
                }
                (Planted::OtherAmountToRepeat, Some(part)) => part.amount.minor -= 1,
                (Planted::OtherBalanceToRepeat, _) if inquiry => {
                    let currency = request.amount.currency;
                    answer.balances = Some(Balances { ledger: 1, available: 1, currency });
                }
                _ => {}
            }
            return answer;
        }
        if request.repeat {
            self.repeats.insert(key);
        }
        let (action, taken) = self.outcome(request, planted);
        let code = format!("{:06}", self.count % 1_000_000);
        let approved = action.is_approval();
        let mut answer = Answer::decline(action, Sequence(0));
        answer.approval_code = approved.then(|| ApprovalCode(code.as_bytes().try_into().expect("six")));
        if action == ActionCode::ApprovedPartially {
            let part = Money::new(taken, request.amount.currency);
            answer.partial = Some(PartialApproval { amount: part, billing: part, original: request.amount });
        }
        if taken > 0 && !(planted && self.planted == Planted::ForgetsHold) {
            let (held, posted) = match (request.class, request.kind.is_credit()) {
                (MessageClass::Authorization, true) => (0, 0),
                (MessageClass::Authorization, false) => (taken, 0),
                (MessageClass::Financial, true) => (0, taken),
                (MessageClass::Financial, false) => (0, -taken),
            };
            self.open(Entry {
                original: original_key(request),
                reference: request.key.network_reference,
                code: answer.approval_code.map_or([0; 6], |code| code.0),
                account: (self.wallet(request.pan.value()), request.amount.currency),
                class: request.class,
                begins: !request.increment,
                reversed: false,
                rrn: request.key.rrn.0,
                brief: request.mcc == BRIEF_CATEGORY,
                completed: request.class == MessageClass::Financial,
                captured: false,
                held,
                posted,
            });
        }
        if action != ActionCode::Unavailable {
            self.answers.insert(key, answer);
        }
        answer
    }

    fn outcome(&self, request: &AuthorizationRequest, planted: bool) -> (ActionCode, i64) {
        let wrong = |mistake| planted && self.planted == mistake;
        let pan = request.pan.value();
        let Some((wallet, expected)) = self.wallet_of.get(&pan).copied() else {
            let approves = self.planted == Planted::ApprovesUnknownCards;
            return (if approves { ActionCode::Approved } else { ActionCode::UnknownCard }, 0);
        };
        let original = original_key(request);
        if self.tombstones.contains(&original) && self.planted != Planted::ApprovesAfterReversal {
            return (ActionCode::ReversedBeforeArrival, 0);
        }
        if request.increment && self.is_ended(request) {
            return (ActionCode::ReversedBeforeArrival, 0);
        }
        if wrong(Planted::Refuses) {
            return (ActionCode::Unavailable, 0);
        }
        if expected != ActionCode::Approved {
            return (expected, 0);
        }
        match request.kind {
            TransactionKind::AccountVerification => return (ActionCode::NoReasonToDecline, 0),
            TransactionKind::BalanceInquiry => return (ActionCode::Approved, 0),
            kind if kind.is_credit() => return (ActionCode::Approved, request.amount.minor),
            _ => {}
        }
        let (posted, held) = self.accounts[&(wallet, request.amount.currency)];
        let (available, asked) = (posted - held, request.amount.minor);
        if asked <= available || self.planted == Planted::ApprovesOverLimit {
            return (ActionCode::Approved, asked);
        }
        if request.partial_supported && !request.merchant_initiated && available > 0 {
            let part = if self.planted == Planted::PartAboveWhole { asked + 1 } else { available };
            return (ActionCode::ApprovedPartially, part);
        }
        (ActionCode::InsufficientFunds, 0)
    }

    fn reverse(&mut self, reversal: &ReversalRequest, planted: bool) -> Answer {
        let original = reversal.original.expect("DE 90");
        let transmission = original.transmission.expect("a date").digits();
        let key = (reversal.pan.value(), original.stan.0, original.acquirer.0, transmission);
        if planted && self.planted == Planted::DeclinesReversal {
            return Answer::decline(ActionCode::UnknownCard, Sequence(0));
        }
        let keeps = reversal.replacement.map(|replacement| replacement.amount);
        if self.find(key.0, |entry| entry.original == key).is_none() {
            self.tombstones.insert(key);
        }
        self.change(
            key.0,
            |entry| entry.original == key,
            |entry| match keeps {
                Some(keeps) => {
                    entry.held = entry.held.min(keeps);
                    entry.posted = entry.posted.clamp(-keeps, keeps);
                }
                None => (entry.held, entry.posted, entry.reversed) = (0, 0, true),
            },
        );
        if keeps.is_none() {
            // With the first request of a purchase goes what adds to it.
            let begun = self.find(key.0, |entry| entry.original == key && entry.begins && entry.held >= 0);
            let reference =
                begun.filter(|entry| entry.class == MessageClass::Authorization).map(|e| e.reference);
            let adds =
                |entry: &Entry| Some(entry.reference) == reference && entry.reference != 0 && !entry.begins;
            self.change(key.0, adds, |entry| entry.held = 0);
        }
        Answer::decline(ActionCode::Approved, Sequence(0))
    }

    /// Takes over what the network tells: an outcome (0120), or what is posted (0220).
    fn advise(&mut self, advice: &Advice) -> Answer {
        let done = Answer::decline(ActionCode::Approved, Sequence(0));
        let pan = advice.pan.value();
        if self.answers.insert((pan, advice.key.rrn.0, true), done).is_some() {
            return done;
        }
        let key = &advice.key;
        let own: Original = (pan, key.stan.0, key.acquirer.0, key.transmission.digits());
        let named = advice.original.map(|original| {
            (pan, original.stan.0, original.acquirer.0, original.transmission.map_or(0, |time| time.digits()))
        });
        let code = advice.approval_code.map(|code| code.0);
        let is_named = |entry: &Entry| {
            let by_id = key.network_reference != 0 && entry.reference == key.network_reference;
            entry.begins && (by_id || Some(entry.original) == named || Some(entry.code) == code)
        };
        let found = self.find(pan, is_named).map(|entry| (entry.original, entry.class, entry.reference));
        let amount = advice.amount.minor;
        let credit = advice.is_credit();
        let sum = if credit { amount } else { -amount };
        let account = (self.wallet(pan), advice.amount.currency);
        let (reference, class) = (key.network_reference, advice.class);
        let code = code.unwrap_or_default();
        let entry = |held, posted, begins| Entry {
            original: own,
            reference,
            code,
            account,
            class,
            begins,
            reversed: false,
            rrn: key.rrn.0,
            brief: false,
            completed: class == MessageClass::Financial,
            captured: false,
            held,
            posted,
        };
        let at = |original| move |entry: &Entry| entry.original == original;
        match (advice.class, found) {
            (MessageClass::Authorization, Some((original, ..))) => {
                let held = if advice.approved { amount } else { 0 };
                self.change(pan, at(original), |entry| entry.held = held);
            }
            (MessageClass::Authorization, None) => self.open(entry(amount, 0, true)),
            (MessageClass::Financial, Some((original, MessageClass::Financial, _))) => {
                self.change(pan, at(original), |entry| entry.posted = sum);
            }
            (MessageClass::Financial, found) => {
                if let Some((original, _, group)) = found {
                    self.change(pan, at(original), |entry| entry.completed = true);
                    let all = |e: &Entry| e.original == original || group != 0 && e.reference == group;
                    self.change(pan, all, |entry| entry.held = 0);
                }
                self.open(entry(0, sum, found.is_none()));
            }
        }
        done
    }

    /// What is held for seconds is held no longer.
    pub(crate) fn expire(&mut self) {
        let pans: Vec<u64> = self.entries.keys().copied().collect();
        for pan in pans {
            self.change(pan, |entry| entry.brief, |entry| entry.held = 0);
        }
    }

    /// Posts the records of a clearing file.
    pub(crate) fn clear(&mut self, file: &[u8]) -> Vec<Option<Cleared>> {
        let lines: Vec<Json> = file
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).expect("JSON"))
            .collect();
        let (end, records) = lines.split_last().expect("a last line");
        assert_eq!(end["records"], records.len());
        let sum: u64 = records.iter().filter_map(|record| record["amount"].as_u64()).sum();
        assert_eq!(end["sum"], sum);
        records.iter().map(|record| Some(self.clear_one(record))).collect()
    }

    fn clear_one(&mut self, record: &Json) -> Cleared {
        let text = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
        let (arn, function) = (text("arn"), text("function"));
        let known = !self.records.insert((arn.clone(), function.clone(), text("part")));
        if known && self.planted != Planted::PostsAgain {
            return Cleared::Repeated;
        }
        let pan: u64 = text("pan").parse().expect("a card");
        let amount = record["amount"].as_i64().expect("an amount");
        let rrn: [u8; 12] = text("rrn").as_bytes().try_into().expect("DE 37");
        // Entries of records have a name that no message has.
        let own: Original =
            (pan, u32::MAX, arn[..19].parse().expect("digits"), u32::from(text("part") == "2/2"));
        if function.ends_with("-reversal") {
            self.change(pan, |entry| entry.original == own, |entry| entry.posted = 0);
            return Cleared::Returned;
        }
        let currency = Currency::new(text("currency").parse().expect("digits")).expect("a currency");
        let account = (self.wallet(pan), currency);
        let found = self.find(pan, |entry| entry.rrn == rrn && entry.original.1 != u32::MAX);
        let outcome = match found {
            None => Cleared::Forced,
            Some(entry) if entry.completed => return Cleared::AlreadyPosted,
            Some(entry) if entry.held > 0 || function == "refund" && !entry.captured => Cleared::Captured,
            Some(_) => Cleared::Late,
        };
        if let Some(entry) = found {
            let (original, group, first) = (entry.original, entry.reference, text("part") == "1/2");
            let all = |e: &Entry| e.original == original || group != 0 && e.reference == group;
            self.change(pan, all, |entry| {
                entry.captured = true;
                entry.held = if first { entry.held - amount.min(entry.held) } else { 0 };
            });
        }
        self.open(Entry {
            original: own,
            reference: 0,
            code: [0; 6],
            account,
            class: MessageClass::Financial,
            begins: false,
            reversed: false,
            rrn,
            brief: false,
            completed: false,
            captured: true,
            held: 0,
            posted: if function == "refund" { amount } else { -amount },
        });
        outcome
    }

    fn wallet(&self, pan: u64) -> u64 {
        self.wallet_of.get(&pan).map_or(0, |(wallet, _)| *wallet)
    }

    fn open(&mut self, entry: Entry) {
        let account = self.accounts.entry(entry.account).or_default();
        *account = (account.0 + entry.posted, account.1 + entry.held);
        self.entries.entry(entry.original.0).or_default().push(entry);
    }

    fn find(&self, pan: u64, is_one: impl Fn(&Entry) -> bool) -> Option<&Entry> {
        self.entries.get(&pan)?.iter().rev().find(|entry| is_one(entry))
    }

    /// Changes entries, and their accounts with them.
    fn change(&mut self, pan: u64, is_one: impl Fn(&Entry) -> bool, change: impl Fn(&mut Entry)) {
        for entry in self.entries.entry(pan).or_default().iter_mut().filter(|entry| is_one(entry)) {
            let (held, posted) = (entry.held, entry.posted);
            change(entry);
            let account = self.accounts.entry(entry.account).or_default();
            *account = (account.0 + entry.posted - posted, account.1 + entry.held - held);
        }
    }

    /// Whether the purchase that a request adds to was reversed.
    fn is_ended(&self, request: &AuthorizationRequest) -> bool {
        let of = request.key.network_reference;
        let begun = self.find(request.pan.value(), |entry| entry.reference == of && entry.begins);
        begun.is_some_and(|entry| entry.reversed)
    }
}

fn original_key(request: &AuthorizationRequest) -> Original {
    let key = &request.key;
    (request.pan.value(), key.stan.0, key.acquirer.0, key.transmission.digits())
}
