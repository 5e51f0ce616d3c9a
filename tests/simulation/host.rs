//! A host behind the switch: it decides about its own cards, keeps two legs apart (R4), and answers as it likes.
//!
//! Its book is the independent side: it knows messages only, by their DE 37.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use turnpike::dialect::Dialect;
use turnpike::dialect::inbound::Inbound;
use turnpike::domain::request::Legs;
use turnpike::iso8583::value::Value;
use turnpike::iso8583::view::Spans;
use turnpike::pipeline::channel::ChannelSettings;

use super::exchange::APPROVED;
use super::messages;
use super::world::Random;

/// What it echoes in an answer.
const ECHOED: [u8; 11] = [2, 3, 4, 7, 11, 32, 37, 41, 42, 49, 90];
const DECLINED: &str = "05";

/// What it has of one purchase.
#[derive(Clone, Default, Debug)]
pub(crate) struct Entry {
    /// What it decided itself: how much, and nothing for a decline.
    ours: Option<i64>,
    ours_undone: bool,
    /// What was decided in its place.
    told: Option<i64>,
    both_undone: bool,
    /// DE 11 of all requests and advices about it.
    names: BTreeSet<u32>,
}

impl Entry {
    /// What is held of it.
    pub(crate) fn held(&self) -> i64 {
        match (self.both_undone, self.told, self.ours) {
            (true, ..) => 0,
            (false, Some(told), _) => told,
            (false, None, Some(ours)) if !self.ours_undone => ours,
            _ => 0,
        }
    }
}

/// One host.
#[derive(Default)]
pub(crate) struct Host {
    pub(crate) book: BTreeMap<u32, Entry>,
    /// First answers by MTI and DE 11: a repeat gets the same.
    answers: BTreeMap<(u16, u32), Vec<u8>>,
}

/// What it says, and what it was about.
pub(crate) struct Said {
    pub(crate) mti: u16,
    pub(crate) number: u32,
    pub(crate) answer: Vec<u8>,
    /// The same answer with something of another one, for whoever plays a trick.
    pub(crate) wrong: Vec<u8>,
}

fn compose(dialect: &Dialect, mti: u16, values: &BTreeMap<u8, String>) -> Vec<u8> {
    let values: Vec<(u8, Value<'_>)> =
        values.iter().map(|(field, text)| (*field, Value::Text(text))).collect();
    let mut frame = Vec::new();
    dialect.compose(mti, &values, &mut frame).expect("values that fit");
    frame
}

/// DE 38 that names the purchase, so that an answer that went astray is seen.
pub(crate) fn code(number: u32) -> String {
    format!("H{:05}", number % 100_000)
}

impl Host {
    /// A message of the daemon; network management is answered too.
    pub(crate) fn hears(&mut self, settings: &ChannelSettings, body: &[u8], random: &mut Random) -> Said {
        let dialect = &settings.dialect;
        let mut spans = Spans::default();
        let Ok(received) = dialect.decode(body, settings.context, &mut spans) else {
            panic!("what the daemon sends can be read")
        };
        let view = &received.view;
        let (mti, text) = (view.mti(), |field| dialect.value(view, field).unwrap_or_default());
        let stan: u32 = text(11).parse().expect("DE 11");
        let number = messages::number_of(text(37).as_bytes()).expect("DE 37 passes unchanged");
        let class = mti - mti % 2;
        let repeated = self.answers.get(&(class, stan)).cloned();
        let entry = self.book.entry(number).or_default();
        let mut values: BTreeMap<u8, String> = ECHOED
            .into_iter()
            .map(|field| (field, text(field)))
            .filter(|(_, text)| !text.is_empty())
            .collect();
        let amount: i64 = text(4).parse().expect("DE 4");
        let mut decided = APPROVED;
        match &received.inbound {
            Inbound::Authorization(request) => {
                entry.names.insert(stan);
                let undone = entry.both_undone || entry.ours_undone;
                // It decides once; that it was told first counts as well.
                let approves = !undone && entry.told.is_none() && !random.one_in(6);
                if repeated.is_none() {
                    assert_eq!(entry.ours, None, "purchase {number} is asked for twice: {:?}", request.key);
                    entry.ours = Some(if approves { amount } else { 0 });
                }
                if approves {
                    values.insert(38, code(number));
                } else {
                    decided = DECLINED;
                }
            }
            Inbound::Reversal(reversal) => {
                if let Some(original) = reversal.original {
                    let known = entry.ours.is_none() || entry.names.contains(&original.stan.0);
                    assert!(known, "DE 90 names {:?} of purchase {number}: {entry:?}", original.stan);
                }
                entry.ours_undone = true;
                entry.both_undone |= reversal.legs == Legs::Both;
            }
            Inbound::Advice(advice) => {
                // A repeat of one tells nothing new, whatever came after the first.
                if repeated.is_none() {
                    entry.told = Some(if advice.approved { amount } else { 0 });
                }
                entry.names.insert(stan);
            }
            other => panic!("a host gets no {other:?}"),
        }
        values.insert(39, decided.to_owned());
        let answer = repeated.unwrap_or_else(|| compose(dialect, class + 10, &values));
        self.answers.insert((class, stan), answer.clone());
        let mut wrong = values;
        if random.one_in(2) {
            wrong.insert(11, format!("{:06}", (stan + 1) % 1_000_000));
        } else {
            wrong.insert(4, format!("{:012}", amount + 1));
        }
        Said { mti, number, answer, wrong: compose(dialect, class + 10, &wrong) }
    }
}
