//! What was forwarded, against a list of it.

use proptest::prelude::*;

use crate::domain::event::Sequence;
use crate::domain::forward::Carried;
use crate::domain::party::InstitutionId;
use crate::domain::party::NameId;
use crate::domain::party::Text;
use crate::domain::request::MessageClass;
use crate::domain::request::MessageKey;
use crate::domain::request::OriginalData;
use crate::domain::time::Timestamp;
use crate::switch::originals::Known;
use crate::switch::originals::Memo;
use crate::switch::originals::Originals;

use super::carried;
use super::cases;
use super::moment;
use super::own;

/// Everything that look-ups compare, each by a number among few; a reference of zero is a blank one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Named {
    network: u8,
    card: u8,
    class: u8,
    stan: u8,
    reference: u8,
    terminal: u8,
    acquirer: u8,
    transmission: u8,
}

fn named() -> impl Strategy<Value = Named> {
    let who = (0..2_u8, 0..3_u8, 1..3_u8, 0..4_u8);
    (who, (0..4_u8, 0..2_u8, 1..3_u8, 0..2_u8)).prop_map(|(who, what)| {
        let (network, card, class, stan) = who;
        let (reference, terminal, acquirer, transmission) = what;
        Named { network, card, class, stan, reference, terminal, acquirer, transmission }
    })
}

impl Named {
    fn carried(self) -> Carried {
        let mut carried = carried(self.card, self.stan.into(), self.reference);
        let key = &mut carried.key;
        key.network = NameId(self.network.into());
        key.terminal = Text::from_ascii(format!("TERM{}", self.terminal).as_bytes());
        key.acquirer = InstitutionId(self.acquirer.into());
        key.transmission = moment(self.transmission);
        if self.reference == 0 {
            key.rrn = Text::BLANK;
        }
        carried.class = MessageClass::from_digit(self.class).expect("a class");
        carried
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Add(Named),
    Later(u64),
    /// A message was stored that has this fingerprint.
    Told(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => named().prop_map(Step::Add),
        1 => (0..40_u64).prop_map(Step::Later),
        2 => (0..30_u64).prop_map(Step::Told),
    ]
}

struct Model {
    most: usize,
    window: u64,
    now: u64,
    kept: Vec<(u64, u64, Carried)>,
    shortened: u64,
    told: Vec<(u64, u64, Sequence)>,
    records: u64,
}

impl Model {
    fn new(most: usize, window: u32) -> Self {
        let (now, window) = (1_000, window.into());
        Self { most, window, now, kept: Vec::new(), shortened: 0, told: Vec::new(), records: 0 }
    }

    fn take(&mut self, originals: &mut Originals, step: Step) {
        self.records += 1;
        let record = Sequence(self.records);
        let (since, now) = (self.now.saturating_sub(self.window), self.now);
        match step {
            Step::Later(seconds) => self.now += seconds,
            Step::Add(named) => {
                let carried = named.carried();
                originals.add(record, Timestamp::from_seconds(now), own(record.0 as u32, 0), &carried);
                self.kept.retain(|(at, ..)| *at >= since);
                self.kept.push((now, record.0, carried));
                let over = self.kept.len().saturating_sub(self.most);
                self.kept.drain(..over);
                self.shortened += over as u64;
            }
            Step::Told(print) => {
                originals.note(Memo::Told, record, now as u32, print);
                self.told.retain(|(at, ..)| *at >= since);
                self.told.push((now, print, record));
                let over = self.told.len().saturating_sub(self.most);
                self.told.drain(..over);
            }
        }
    }

    fn newest(&self, is_it: impl Fn(&Carried) -> bool) -> Option<Sequence> {
        let found = self.kept.iter().rev().find(|(_, _, carried)| is_it(carried));
        found.map(|(_, record, _)| Sequence(*record))
    }

    fn repeated_by(&self, of: &Carried, repeat: bool) -> Option<Sequence> {
        let parts = |of: &Carried| {
            let MessageKey { network, stan, acquirer, rrn, terminal, .. } = of.key;
            (of.pan, of.class, network, stan, acquirer, rrn, terminal)
        };
        self.newest(|known| {
            parts(known) == parts(of) && (repeat || known.key.transmission == of.key.transmission)
        })
    }

    fn about(&self, of: &Carried, original: Option<&OriginalData>) -> Option<Sequence> {
        let card = |known: &Carried| (known.pan, known.key.network) == (of.pan, of.key.network);
        let by_data = original.and_then(|original| {
            self.newest(|known| {
                card(known)
                    && original.class == Some(known.class)
                    && original.stan == known.key.stan
                    && (original.acquirer == InstitutionId(0) || original.acquirer == known.key.acquirer)
                    && original.transmission.is_none_or(|time| time == known.key.transmission)
            })
        });
        by_data.or_else(|| {
            self.newest(|known| {
                card(known)
                    && !of.key.rrn.is_blank()
                    && (known.key.rrn, known.key.terminal) == (of.key.rrn, of.key.terminal)
            })
        })
    }

    fn agrees(&self, originals: &Originals, asked: &[Asked]) -> Result<(), TestCaseError> {
        let record = |known: &Known| known.exchange;
        let kept: Vec<Sequence> = originals.iter().map(record).collect();
        let expected: Vec<Sequence> = self.kept.iter().map(|(_, record, _)| Sequence(*record)).collect();
        prop_assert_eq!(kept, expected);
        prop_assert_eq!(originals.len(), self.kept.len());
        prop_assert_eq!(originals.shortened(), self.shortened);
        prop_assert_eq!(originals.newest(1).next().map(record), self.newest(|_| true));
        let [recent, ..] = originals.recent();
        let told = (1..=recent.end()).filter_map(|number| recent.before(number));
        let told: Vec<(u64, u64, Sequence)> =
            told.map(|(at, print, stored)| (at.into(), print, stored)).collect();
        prop_assert_eq!(&told, &self.told);
        for (_, print, _) in &self.told {
            let newest = self.told.iter().rev().find(|(_, other, _)| other == print);
            prop_assert_eq!(originals.told(*print), newest.map(|(.., stored)| *stored));
        }
        for Asked { named, repeat, original } in asked {
            let carried = named.carried();
            let found = originals.repeated_by(&carried, *repeat).map(record);
            prop_assert_eq!(found, self.repeated_by(&carried, *repeat));
            let found = originals.about(&carried.key, carried.pan, original.as_ref()).map(record);
            prop_assert_eq!(found, self.about(&carried, original.as_ref()));
        }
        Ok(())
    }
}

/// What is looked up.
#[derive(Clone, Copy, Debug)]
struct Asked {
    named: Named,
    repeat: bool,
    original: Option<OriginalData>,
}

fn asked() -> impl Strategy<Value = Asked> {
    let original = (named(), any::<[bool; 3]>()).prop_map(|(named, lacks)| {
        let [no_class, no_transmission, no_acquirer] = lacks;
        let carried = named.carried();
        OriginalData {
            class: (!no_class).then_some(carried.class),
            stan: carried.key.stan,
            transmission: (!no_transmission).then_some(carried.key.transmission),
            acquirer: if no_acquirer { InstitutionId(0) } else { carried.key.acquirer },
        }
    });
    (named(), any::<bool>(), proptest::option::of(original)).prop_map(|(named, repeat, original)| Asked {
        named,
        repeat,
        original,
    })
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn r30_what_was_forwarded_is_found_as_in_a_list(
        steps in proptest::collection::vec(step(), 1..80),
        asked in proptest::collection::vec(asked(), 1..12),
        most in 1_usize..30,
        window in 1_u32..100,
    ) {
        let mut originals = Originals::new(most, window);
        let mut model = Model::new(most, window);
        for step in steps {
            model.take(&mut originals, step);
            model.agrees(&originals, &asked)?;
        }
    }
}

proptest! {
    #![proptest_config(cases(12))]

    /// More than there are places at first, so that the chains are laid anew and cross, and more than are kept.
    #[test]
    fn r30_chains_grow_and_shrink_with_what_is_kept(
        names in proptest::collection::vec(named(), 40..60),
        rounds in 20_u8..120,
        asked in proptest::collection::vec(asked(), 8..12),
        most in 900_usize..5_000,
        fewer in 1_usize..900,
    ) {
        let mut originals = Originals::new(most, 1_000_000);
        let mut model = Model::new(most, 1_000_000);
        let in_round = |named: &Named, round: u8| Named { reference: named.reference.wrapping_add(round), ..*named };
        for round in 0..rounds {
            for named in &names {
                model.take(&mut originals, Step::Add(in_round(named, round)));
            }
            if round % 16 == 0 {
                let before = names.iter().map(|named| in_round(named, round / 2));
                let before = before.map(|named| Asked { named, repeat: true, original: None });
                model.agrees(&originals, &before.chain(asked.iter().copied()).collect::<Vec<_>>())?;
            }
        }
        originals.bound(fewer, 1_000_000);
        model.most = fewer;
        model.take(&mut originals, Step::Add(names[0]));
        model.agrees(&originals, &asked)?;
    }
}
