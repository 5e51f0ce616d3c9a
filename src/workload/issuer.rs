//! A small issuer for tests: right unless it is told to make one kind of mistake.

use std::collections::HashMap;
use std::collections::HashSet;

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
use crate::domain::request::ApprovalCode;
use crate::domain::request::AuthorizationRequest;
use crate::domain::request::MessageClass;
use crate::domain::request::ReversalRequest;
use crate::domain::request::TransactionKind;
use crate::iso8583::view::Spans;
use crate::workload::population::Population;

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
    Refuses,
}

type Key = (u64, [u8; 12], bool);
/// Card, DE 11, DE 32 and DE 7.
type Original = (u64, u32, u64, u32);

/// Its books: by card the account of each currency, by message what was answered.
pub(crate) struct Issuer {
    pub(crate) planted: Planted,
    pub(crate) accounts: HashMap<(u64, Currency), (i64, i64)>,
    wallet_of: HashMap<u64, (u64, ActionCode)>,
    answers: HashMap<Key, Answer>,
    taken: HashMap<Original, (i64, Currency, MessageClass)>,
    tombstones: HashSet<Original>,
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
            taken: HashMap::new(),
            tombstones: HashSet::new(),
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
            assert!(request.repeat, "no two messages are alike");
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
            let wallet = self.wallet_of.get(&request.pan.value()).map_or(0, |(wallet, _)| *wallet);
            let account = self.accounts.entry((wallet, request.amount.currency)).or_default();
            match request.class {
                MessageClass::Authorization => account.1 += taken,
                MessageClass::Financial => account.0 -= taken,
            }
            let original = original_key(request);
            self.taken.insert(original, (taken, request.amount.currency, request.class));
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
        if wrong(Planted::Refuses) {
            return (ActionCode::Unavailable, 0);
        }
        if expected != ActionCode::Approved {
            return (expected, 0);
        }
        match request.kind {
            TransactionKind::AccountVerification => return (ActionCode::NoReasonToDecline, 0),
            TransactionKind::BalanceInquiry => return (ActionCode::Approved, 0),
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
        let pan = reversal.pan.value();
        let wallet = self.wallet_of.get(&pan).map_or(0, |(wallet, _)| *wallet);
        match self.taken.remove(&key) {
            Some((taken, currency, class)) => {
                let account = self.accounts.entry((wallet, currency)).or_default();
                match class {
                    MessageClass::Authorization => account.1 -= taken,
                    MessageClass::Financial => account.0 += taken,
                }
            }
            None => {
                self.tombstones.insert(key);
            }
        }
        Answer::decline(ActionCode::Approved, Sequence(0))
    }
}

fn original_key(request: &AuthorizationRequest) -> Original {
    let key = &request.key;
    (request.pan.value(), key.stan.0, key.acquirer.0, key.transmission.digits())
}
