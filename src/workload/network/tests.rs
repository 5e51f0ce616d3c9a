//! A network and an issuer's book with nothing but a bad way between them: in the end both have the same.

use std::collections::BTreeMap;

use super::*;
use crate::dialect::inbound::Context;
use crate::dialect::inbound::Inbound;
use crate::domain::party::NameId;
use crate::iso8583::view::Spans;
use crate::workload::party::Book;
use crate::workload::party::Rules;

const CONTEXT: Context = Context { network: NameId(1), link: NameId(1) };
const DIALECTS: [&str; 4] = ["visa", "mastercard", "iso87-ascii", "iso87-binary"];
const STEP_MS: u64 = 10;
const BEGAN: Timestamp = Timestamp::from_seconds(1_780_000_000);

fn settings(seed: u64, faults: Faults) -> Settings {
    let currencies = [840, 978].map(|code| Currency::new(code).expect("a currency")).to_vec();
    let iin = Iin::parse("520474").expect("digits");
    Settings { seed, rate: 40, iin, cards: 30, currencies, amounts: (1, 20_000), timeout_ms: 400, faults }
}

fn bad(seed: u64) -> Faults {
    let (drop, duplicate, reorder, close, garbage) = (60_000, 40_000, 40_000, 10_000, 20_000);
    Faults { seed, delay_ms: (0, 300), drop, duplicate, reorder, close, garbage }
}

/// What is on its way, by when it arrives and in which order it left: frames to the issuer, and to the network.
#[derive(Default)]
struct Way {
    count: u64,
    there: BTreeMap<(u64, u64), Vec<u8>>,
    back: BTreeMap<(u64, u64), Vec<u8>>,
}

impl Way {
    fn send(&mut self, back: bool, now_ms: u64, frame: Vec<u8>, (fate, delay_ms): (Fate, u32)) {
        let at = now_ms + 20 + u64::from(delay_ms);
        let times = match fate {
            Fate::Dropped | Fate::Cut => &[][..],
            Fate::Twice => &[at, at + 30],
            Fate::Later => &[at + 900],
            Fate::Sent | Fate::Garbled(_) => &[at],
        };
        let way = if back { &mut self.back } else { &mut self.there };
        for at in times {
            self.count += 1;
            way.insert((*at, self.count), frame.clone());
        }
    }

    fn arrived(way: &mut BTreeMap<(u64, u64), Vec<u8>>, now_ms: u64) -> Vec<Vec<u8>> {
        let later = way.split_off(&(now_ms + 1, 0));
        std::mem::replace(way, later).into_values().collect()
    }
}

/// Answers a frame as the book says; `None` for what is no message about money.
fn answer(book: &mut Book, dialect: &Dialect, frame: &[u8]) -> Option<Vec<u8>> {
    let whole = dialect.frame(frame).ok()??;
    let mut spans = Spans::default();
    let message = dialect.decode(&frame[whole.body], CONTEXT, &mut spans).ok()?;
    let answer = match &message.inbound {
        Inbound::Authorization(request) => book.request(request),
        Inbound::Reversal(reversal) => book.reversal(reversal),
        Inbound::Advice(advice) => book.advice(advice),
        _ => return None,
    };
    let mut out = Vec::new();
    dialect.write_answer(&message, &answer, &mut out).expect("an answer that fits");
    Some(out)
}

fn hear(network: &mut Network, dialect: &Dialect, frame: &[u8], now_ms: u64) {
    let whole = dialect.frame(frame).expect("framing").expect("a frame");
    let mut spans = Spans::default();
    let message = dialect.decode(&frame[whole.body], CONTEXT, &mut spans).expect("an answer");
    let Inbound::Response(response) = &message.inbound else { panic!("an answer") };
    network.hears(response, now_ms);
}

/// Lives for some seconds and settles.
fn live(dialect: &str, seed: u64, faults: Faults) -> (Network, Book) {
    let dialect = Dialect::built_in(dialect).expect("a dialect");
    let mut network = Network::new(settings(seed, faults), &dialect, Run::new(seed)).expect("a network");
    let mut book = Book::new(Rules { decline_every: 9, decline_above: Some(19_000) });
    let (mut way, mut leaving) = (Way::default(), Vec::new());
    network.begin(0);
    for now_ms in (0..).step_by(STEP_MS as usize) {
        if now_ms == 10_000 {
            network.end();
        }
        if now_ms > 10_000 && network.open() == 0 {
            break;
        }
        assert!(now_ms < 200_000, "it does not settle: {:?}", network.counts());
        // For a while nobody can be reached.
        let reached = !(4_000..5_000).contains(&now_ms);
        network.tick(now_ms, BEGAN.plus_ms(now_ms), reached, &mut leaving);
        for Leaving { frame, fate, delay_ms, .. } in leaving.drain(..) {
            way.send(false, now_ms, frame, (fate, delay_ms));
        }
        for frame in Way::arrived(&mut way.there, now_ms) {
            if let Some(answer) = answer(&mut book, &dialect, &frame) {
                let fate = faults.of(&frame, now_ms as u32);
                let fate = if let (Fate::Garbled(_), delay) = fate { (Fate::Dropped, delay) } else { fate };
                way.send(true, now_ms, answer, fate);
            }
        }
        for frame in Way::arrived(&mut way.back, now_ms) {
            hear(&mut network, &dialect, &frame, now_ms);
        }
    }
    // What is late arrives, and changes nothing any more.
    for frame in std::mem::take(&mut way.there).into_values() {
        let _unheard = answer(&mut book, &dialect, &frame);
    }
    (network, book)
}

#[test]
fn both_have_the_same_in_the_end_in_every_dialect() {
    let mut happened = BTreeMap::<String, u64>::new();
    for (dialect, seed) in DIALECTS.into_iter().zip(0..).chain(DIALECTS.into_iter().zip(10..)) {
        let (network, book) = live(dialect, seed, bad(seed));
        assert_eq!(network.taken(), book.taken(), "{dialect}, seed {seed}");
        assert!(network.taken().values().any(|taken| taken.held > 0 && taken.posted > 0), "{dialect}");
        for (what, count) in network.counts() {
            *happened.entry(what).or_default() += count;
        }
    }
    for what in
        ["0100", "0101", "0120", "0121", "0200", "0201", "0220", "0221", "0400", "0401", "0420", "0421"]
    {
        assert!(happened[what] > 3, "{what}: {happened:?}");
    }
    for what in [
        "approved",
        "declined",
        "late approvals",
        "late declines",
        "stood in, approved",
        "stood in, declined",
        "given back by cardholders",
        "declined without asking",
        "answers that came again",
    ] {
        assert!(happened[what] > 3, "{what}: {happened:?}");
    }
    assert_eq!(happened["open"], 0);
}

#[test]
fn with_a_good_way_everything_is_answered_once() {
    for dialect in DIALECTS {
        let (network, book) = live(dialect, 3, Faults::default());
        assert_eq!(network.taken(), book.taken(), "{dialect}");
        let counts = network.counts();
        for never in
            ["time-outs", "reversed", "0101", "answers to nothing", "answers that differ from the first"]
        {
            assert_eq!(counts.get(never), None, "{dialect}: {counts:?}");
        }
    }
}

#[test]
fn the_same_seed_buys_the_same_whatever_comes_in_between() {
    let plans = |seed: u64| {
        let draw = |place| Plan::draw(seed, place, 100, 2, (1, 5_000));
        (0..500).map(draw).collect::<Vec<Plan>>()
    };
    assert_eq!(plans(7), plans(7));
    assert_ne!(plans(7), plans(8));
    let all = plans(7);
    let share = |is: &dyn Fn(&Plan) -> bool| all.iter().filter(|plan| is(plan)).count();
    assert!((60..140).contains(&share(&|plan| plan.class == MessageClass::Financial)));
    assert!((30..100).contains(&share(&|plan| plan.cancelled_after.is_some())));
    assert!((3..40).contains(&share(&|plan| plan.alone.is_some())));
    assert!(
        all.iter().all(|plan| plan.on_timeout(2) != OnTimeout::Repeat && (1..=5_000).contains(&plan.amount))
    );
}

#[test]
fn two_answers_that_differ_and_a_refusal_of_one_of_several_are_reversed() {
    let dialect = Dialect::built_in("iso87-ascii").expect("a dialect");
    let faults = Faults { duplicate: 1_000_000, ..Faults::default() };
    for (codes, reverses) in [
        (&[ActionCode::Approved, ActionCode::Approved][..], false),
        (&[ActionCode::Approved, ActionCode::InsufficientFunds], true),
        (&[ActionCode::InsufficientFunds], false),
        (&[ActionCode::Unavailable], true),
    ] {
        let mut network = Network::new(settings(1, faults), &dialect, Run::new(1)).expect("a network");
        let mut leaving = Vec::new();
        network.begin(0);
        network.tick(0, BEGAN, true, &mut leaving);
        network.end();
        let frame = leaving.remove(0).frame;
        let whole = dialect.frame(&frame).expect("framing").expect("a frame");
        let mut spans = Spans::default();
        let message = dialect.decode(&frame[whole.body], CONTEXT, &mut spans).expect("a request");
        for code in codes {
            let answer = crate::domain::answer::Answer::decline(*code, crate::domain::event::Sequence(0));
            let mut out = Vec::new();
            dialect.write_answer(&message, &answer, &mut out).expect("an answer");
            hear(&mut network, &dialect, &out, 5);
        }
        assert_eq!(network.open(), u64::from(reverses), "{codes:?}");
        assert_eq!(network.taken().is_empty(), reverses || codes.len() == 1, "{codes:?}");
    }
}

#[test]
fn what_leaves_does_not_print_a_card() {
    let dialect = Dialect::built_in("iso87-ascii").expect("a dialect");
    let mut network = Network::new(settings(1, Faults::default()), &dialect, Run::new(1)).expect("a network");
    let mut leaving = Vec::new();
    network.begin(0);
    network.tick(1_000, BEGAN, true, &mut leaving);
    assert!(leaving.len() > 10);
    for one in &leaving {
        let (bytes, fate) = (one.frame.len(), one.fate);
        assert_eq!(format!("{one:?}"), format!("{bytes} bytes, {fate:?} after {} ms", one.delay_ms));
    }
    let shown = format!("{network:?}");
    assert!(network.cards.iter().all(|pan| !shown.contains(&pan.value().to_string())), "{shown}");
}
