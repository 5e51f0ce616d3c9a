//! What waits for answers, against a list of it.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::domain::event::Sequence;
use crate::domain::forward::Carried;
use crate::domain::forward::OwnKey;
use crate::domain::money::Stated;
use crate::domain::party::InstitutionId;
use crate::domain::party::Text;
use crate::domain::request::Stan;
use crate::domain::time::TransmissionTime;
use crate::switch::exchange::Exchanges;
use crate::switch::exchange::Found;
use crate::switch::exchange::Handle;
use crate::switch::exchange::Open;
use crate::switch::exchange::Purpose;
use crate::switch::exchange::Refusal;
use crate::switch::exchange::STAN_MAX;
use crate::switch::exchange::source_print;
use crate::switch::matching::Answering;
use crate::switch::matching::MatchKey;
use crate::switch::trunk::ItemId;

use super::carried;
use super::cases;
use super::dollars;
use super::euros;
use super::moment;

/// What is added to the last STAN on record at a start.
const LEAP: u32 = 131_072;
/// How much earlier than it went out a message may have been read.
const READ_BEFORE: u64 = 20;
const LIMITS: [u64; 3] = [50, 100, 300];

#[derive(Clone, Copy, Debug)]
enum Step {
    Name,
    Second,
    /// A request or a stored message under a name that was given, counted back from the newest.
    Open {
        name: usize,
        limit: usize,
        card: u8,
        reference: u8,
        is_request: bool,
        read_before: u64,
    },
    End(usize),
    EndAgain(usize),
    Later(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let open = (0..6_usize, 0..LIMITS.len(), 0..3_u8, 0..4_u8, any::<bool>(), 0..=READ_BEFORE).prop_map(
        |(name, limit, card, reference, is_request, read_before)| Step::Open {
            name,
            limit,
            card,
            reference,
            is_request,
            read_before,
        },
    );
    prop_oneof![
        4 => Just(Step::Name),
        1 => Just(Step::Second),
        6 => open,
        3 => any::<usize>().prop_map(Step::End),
        1 => any::<usize>().prop_map(Step::EndAgain),
        2 => (0..80_u64).prop_map(Step::Later),
    ]
}

/// What waits, in the order in which it was opened, and what has ended.
struct Model {
    most: usize,
    waiting: Vec<(Handle, Open<u32>)>,
    ended: Vec<Handle>,
    /// The newest that came with a fingerprint, until it ends.
    sources: BTreeMap<u64, Handle>,
    names: Vec<OwnKey>,
    of_this_second: Vec<Stan>,
    next: u32,
    second: u8,
    now: u64,
}

impl Model {
    fn name(&mut self) -> OwnKey {
        loop {
            let stan = Stan(self.next);
            self.next = if self.next == STAN_MAX { 1 } else { self.next + 1 };
            if self.waiting.iter().all(|(_, open)| open.own.stan != stan) {
                return OwnKey { stan, transmission: moment(self.second) };
            }
        }
    }

    fn passes(&self, carried: &Carried) -> bool {
        let parts = |of: &Carried| (of.pan, of.amount, of.class, of.key.rrn, of.key.terminal);
        let mut requests = self.waiting.iter().filter(|(_, open)| open.source.is_some());
        !carried.key.rrn.is_blank() && requests.any(|(_, open)| parts(&open.carried) == parts(carried))
    }
}

fn request(card: u8, reference: u8) -> Carried {
    let mut carried = carried(card, 7, reference);
    if reference == 0 {
        carried.key.rrn = Text::BLANK;
    }
    carried
}

fn open(model: &Model, own: OwnKey, step: Step) -> Option<(Open<u32>, u64)> {
    let Step::Open { limit, card, reference, is_request, read_before, .. } = step else { return None };
    let carried = request(card, reference);
    let (record, limit_ns) = (Sequence(model.now), LIMITS[limit]);
    let open = Open {
        purpose: match is_request {
            true => Purpose::Request(record),
            false => Purpose::Item(ItemId { stored: record, advice: false }),
        },
        own,
        answer_mti: if is_request { 110 } else { 430 },
        carried,
        source: is_request.then(|| source_print(&carried.key, carried.pan, 1)),
        sent_ns: model.now,
        deadline_ns: model.now.saturating_sub(read_before) + limit_ns,
        way: record.0 as u32,
    };
    Some((open, limit_ns))
}

fn run(steps: &[Step], most: usize, last: Option<u32>) -> Result<(), TestCaseError> {
    let mut exchanges = Exchanges::new(most, last.map(Stan));
    let mut model = Model {
        most,
        waiting: Vec::new(),
        ended: Vec::new(),
        sources: BTreeMap::new(),
        names: Vec::new(),
        of_this_second: Vec::new(),
        next: last.map_or(1, |last| (last + LEAP) % STAN_MAX + 1),
        second: 0,
        now: 1_000,
    };
    for step in steps {
        take(&mut exchanges, &mut model, *step)?;
        agrees(&exchanges, &model)?;
    }
    Ok(())
}

fn take(exchanges: &mut Exchanges<u32>, model: &mut Model, step: Step) -> Result<(), TestCaseError> {
    match step {
        Step::Name => {
            let name = exchanges.name(moment(model.second));
            prop_assert_eq!(name, Ok(model.name()));
            let stan = name.map(|own| own.stan).expect("a name");
            prop_assert!((1..=STAN_MAX).contains(&stan.0));
            prop_assert!(!model.of_this_second.contains(&stan), "given twice in a second");
            prop_assert!(model.waiting.iter().all(|(_, open)| open.own.stan != stan), "it waits");
            model.of_this_second.push(stan);
            model.names.extend(name);
        }
        Step::Second => {
            model.second += 1;
            model.of_this_second.clear();
        }
        Step::Open { name, .. } => {
            let Some(own) = model.names.iter().rev().nth(name).copied() else { return Ok(()) };
            let Some((open, limit_ns)) = open(model, own, step) else { return Ok(()) };
            let is_free = model.waiting.iter().all(|(_, waits)| waits.own.stan != own.stan);
            prop_assert_eq!(exchanges.is_free(own), is_free);
            match exchanges.open(open, limit_ns) {
                Ok(handle) => {
                    prop_assert!(is_free && model.waiting.len() < model.most);
                    model.waiting.push((handle, open));
                    model.sources.extend(open.source.map(|source| (source, handle)));
                }
                Err(Refusal::Full) => prop_assert_eq!(model.waiting.len(), model.most),
                Err(Refusal::NoStan) => prop_assert!(!is_free),
            }
        }
        Step::End(at) => {
            if !model.waiting.is_empty() {
                let (handle, open) = model.waiting.remove(at % model.waiting.len());
                prop_assert_eq!(exchanges.end(handle), Some(open));
                model.ended.push(handle);
                model.sources.retain(|_, newest| *newest != handle);
            }
        }
        Step::EndAgain(at) => {
            if !model.ended.is_empty() {
                prop_assert_eq!(exchanges.end(model.ended[at % model.ended.len()]), None);
            }
        }
        Step::Later(ns) => model.now += ns,
    }
    Ok(())
}

fn agrees(exchanges: &Exchanges<u32>, model: &Model) -> Result<(), TestCaseError> {
    prop_assert_eq!(exchanges.len(), model.waiting.len());
    prop_assert_eq!(exchanges.is_empty(), model.waiting.is_empty());
    prop_assert_eq!(exchanges.is_full(), model.waiting.len() >= model.most);
    for (handle, open) in &model.waiting {
        prop_assert_eq!(exchanges.get(*handle), Some(open));
        prop_assert_eq!(exchanges.find(&echo(open), MatchKey::STRONG), Found::Answer(*handle));
    }
    for handle in &model.ended {
        prop_assert_eq!(exchanges.get(*handle), None, "a handle to what has ended");
    }
    let overdue = exchanges.overdue(model.now);
    let due = model.waiting.iter().filter(|(_, open)| open.deadline_ns <= model.now);
    let due: Vec<Handle> = due.map(|(handle, _)| *handle).collect();
    prop_assert_eq!(overdue.is_some(), !due.is_empty());
    prop_assert!(overdue.is_none_or(|overdue| due.contains(&overdue)));
    let oldest = model.waiting.iter().map(|(_, open)| model.now - open.sent_ns).max().unwrap_or(0);
    let shown = exchanges.oldest_ns(model.now);
    prop_assert!((oldest.saturating_sub(READ_BEFORE)..=oldest).contains(&shown), "{shown} of {oldest}");
    for (card, reference) in (0..3).flat_map(|card| (0..4).map(move |reference| (card, reference))) {
        let carried = request(card, reference);
        prop_assert_eq!(exchanges.has_gone(&carried), model.passes(&carried));
        let source = source_print(&carried.key, carried.pan, 1);
        prop_assert_eq!(exchanges.of_source(source), model.sources.get(&source).copied());
    }
    Ok(())
}

/// An answer as it should be.
fn echo<R>(open: &Open<R>) -> Answering {
    let Carried { key, amount, billing, .. } = open.carried;
    Answering {
        mti: open.answer_mti,
        stan: open.own.stan,
        transmission: Some(open.own.transmission),
        acquirer: Some(key.acquirer),
        rrn: Some(key.rrn),
        terminal: Some(key.terminal),
        amount: Stated::of(amount),
        billing: billing.map_or(Stated::NOTHING, Stated::of),
        whole: false,
    }
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn r30_what_waits_is_what_a_list_holds(
        steps in proptest::collection::vec(step(), 1..120),
        most in 1_usize..12,
        // Some lives begin just before the last STAN.
        last in prop_oneof![Just(None), (0..=STAN_MAX).prop_map(Some), (868_900..868_930_u32).prop_map(Some)],
    ) {
        run(&steps, most, last)?;
    }

    /// An answer is one to an entry when all that it has is as it was sent, and else the first difference is named.
    #[test]
    fn r30_an_answer_that_differs_anywhere_is_no_answer(
        differs in any::<[bool; 6]>(),
        lacks in any::<[bool; 5]>(),
        blank in any::<[bool; 3]>(),
        part in 0..=5_000_i64,
        wrong in 0..4_usize,
    ) {
        let mut carried = carried(1, 7, 3);
        let [no_rrn, no_terminal, no_acquirer] = blank;
        if no_rrn {
            carried.key.rrn = Text::BLANK;
        }
        if no_terminal {
            carried.key.terminal = Text::BLANK;
        }
        if no_acquirer {
            carried.key.acquirer = InstitutionId(0);
        }
        let mut exchanges = Exchanges::new(4, None);
        let own = exchanges.name(moment(1)).expect("a name");
        let (source, purpose) = (None, Purpose::Request(Sequence(1)));
        let (sent_ns, deadline_ns, way) = (0, 1, ());
        let open = Open { purpose, own, answer_mti: 110, carried, source, sent_ns, deadline_ns, way };
        let handle = exchanges.open(open, 1).expect("room");
        let mut answer = Answering { amount: Stated::of(dollars(part)), ..echo(&open) };
        let [mti, transmission, rrn, terminal, acquirer, amount] = differs;
        if mti {
            answer.mti = 210;
        }
        if transmission {
            answer.transmission = Some(TransmissionTime::new(604_123_459).expect("a time"));
        }
        if rrn {
            answer.rrn = Some(Text::from_ascii(b"REF999999999"));
        }
        if terminal {
            answer.terminal = Some(Text::from_ascii(b"TERMID99"));
        }
        if acquirer {
            answer.acquirer = Some(InstitutionId(9));
        }
        if amount {
            answer.amount = Stated::of([dollars(5_001), dollars(-1), euros(5_000), euros(0)][wrong]);
        }
        let [no_transmission, no_rrn_back, no_terminal_back, no_acquirer_back, no_amount] = lacks;
        if no_transmission {
            answer.transmission = None;
        }
        if no_rrn_back {
            answer.rrn = None;
        }
        if no_terminal_back {
            answer.terminal = None;
        }
        if no_acquirer_back {
            answer.acquirer = None;
        }
        if no_amount {
            answer.amount = Stated::NOTHING;
        }
        let expected = [
            (0, mti),
            (7, transmission && !no_transmission),
            (37, rrn && !no_rrn_back && !no_rrn),
            (41, terminal && !no_terminal_back && !no_terminal),
            (32, acquirer && !no_acquirer_back && !no_acquirer),
            (4, amount && !no_amount),
        ];
        let expected = match expected.into_iter().find(|(_, differs)| *differs) {
            None => Found::Answer(handle),
            Some((field, _)) => Found::Differs { nearest: handle, field },
        };
        prop_assert_eq!(exchanges.find(&answer, MatchKey::STRONG), expected);
        let other = Answering { stan: Stan(own.stan.0 + 1), ..answer };
        prop_assert_eq!(exchanges.find(&other, MatchKey::STRONG), Found::Nothing);
    }
}

#[test]
fn r30_a_second_has_as_many_names_as_there_are_and_no_more() {
    let mut exchanges = Exchanges::new(10, Some(Stan(500_000)));
    for _ in 0..5 {
        let own = exchanges.name(moment(0)).expect("a name");
        let (step, carried) = (Purpose::Request(Sequence(1)), carried(1, 1, 1));
        let (sent_ns, deadline_ns, way) = (0, 1, ());
        let open =
            Open { purpose: step, own, answer_mti: 110, carried, source: None, sent_ns, deadline_ns, way };
        exchanges.open(open, 1).expect("room");
    }
    for second in [1, 2] {
        let mut given = vec![false; STAN_MAX as usize + 1];
        let mut count = 0;
        while let Ok(own) = exchanges.name(moment(second)) {
            let before = core::mem::replace(&mut given[own.stan.0 as usize], true);
            assert!(!before && exchanges.is_free(own), "{:?}", own.stan);
            count += 1;
        }
        assert_eq!((count, given[0]), (STAN_MAX - 5, false), "all but those that wait");
        assert_eq!(exchanges.name(moment(second)), Err(Refusal::NoStan));
    }
}

#[test]
fn a_last_name_that_is_none_gives_names_all_the_same() {
    for last in [0, 1, STAN_MAX, STAN_MAX + 1, u32::MAX] {
        let mut exchanges: Exchanges<()> = Exchanges::new(1, Some(Stan(last)));
        let own = exchanges.name(moment(0)).expect("a name");
        assert!((1..=STAN_MAX).contains(&own.stan.0), "{last}");
    }
}
