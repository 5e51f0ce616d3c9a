//! A party there and back as bytes.

use proptest::prelude::*;

use crate::domain::event::Event;
use crate::domain::event::Sequence;
use crate::domain::forward::Settled;
use crate::domain::forward::Settlement;
use crate::domain::party::NameId;
use crate::domain::party::Slot;
use crate::domain::time::Timestamp;
use crate::switch::image::ImageError;
use crate::switch::image::begin;
use crate::switch::image::begin_more;
use crate::switch::image::more;
use crate::switch::image::take;
use crate::switch::image::take_more;
use crate::switch::queue::Item;
use crate::switch::queue::ItemId;
use crate::switch::queue::Place;
use crate::switch::trunk::Trunk;

use super::cases;
use super::trunk::BOUNDS;
use super::trunk::Model;
use super::trunk::Step;
use super::trunk::step;

const NAME: NameId = NameId(0x1234_5678);

/// The records that steps leave.
fn records(steps: &[Step]) -> Vec<(Sequence, Timestamp, Event)> {
    let mut model = Model::default();
    let mut records = Vec::new();
    for step in steps {
        if let Some(event) = model.event(*step) {
            model.happens(&event);
            records.push((Sequence(model.record), model.time(), event));
        }
    }
    records
}

fn apply(trunk: &mut Trunk, records: &[(Sequence, Timestamp, Event)]) {
    records.iter().for_each(|(sequence, time, event)| trunk.apply(*sequence, *time, event));
}

/// The parts of a copy as of now, some bytes at a time, with records applied in between.
fn copied(
    trunk: &mut Trunk,
    cut: Sequence,
    hold_bytes: usize,
    mut between: impl FnMut(&mut Trunk),
) -> Vec<Vec<u8>> {
    let mut parts = vec![Vec::new()];
    let mut copying = begin(NAME, trunk, cut, &mut parts[0]);
    let mut goes_on = true;
    while goes_on {
        between(trunk);
        let mut part = Vec::new();
        begin_more(&copying, &mut part);
        goes_on = more(&mut copying, trunk, hold_bytes, &mut part);
        parts.push(part);
    }
    parts
}

fn parts(trunk: &Trunk) -> Vec<Vec<u8>> {
    copied(&mut trunk.clone(), Sequence(u64::MAX), usize::MAX / 2, |_| {})
}

fn taken(parts: &[Vec<u8>]) -> Result<Trunk, ImageError> {
    let mut trunk = Trunk::new(BOUNDS);
    let name = take(&parts[0], &mut trunk)?;
    for part in &parts[1..] {
        take_more(part, |of| (of == name).then_some(&mut trunk))?;
    }
    trunk.restored();
    Ok(trunk)
}

fn restored(parts: &[Vec<u8>]) -> Trunk {
    taken(parts).expect("an image")
}

/// Sends and acknowledges all that may go; in which order.
fn drained(trunk: &mut Trunk) -> Vec<ItemId> {
    let mut order = Vec::new();
    while let Some(id) = trunk.queue().next(u64::MAX) {
        trunk.queue_mut().sent(id);
        order.push(id);
        let settled = Settled {
            slot: Slot::wrapping(3),
            to: NAME,
            stored: id.stored,
            advice: id.advice,
            settlement: Settlement::Acknowledged,
        };
        trunk.apply(Sequence(900_000), Timestamp(0), &Event::Settled(settled));
    }
    order
}

proptest! {
    #![proptest_config(cases(200))]

    /// A start from an image and the records after it is as good as one from all records.
    #[test]
    fn an_image_and_the_records_after_it_are_worth_all_records(
        steps in proptest::collection::vec(step(), 1..100),
        at in any::<proptest::sample::Index>(),
        hold_bytes in 1..2_000_usize,
    ) {
        let records = records(&steps);
        let (before, after) = records.split_at(at.index(records.len() + 1));
        let mut all = Trunk::new(BOUNDS);
        apply(&mut all, before);
        let mut other = restored(&parts(&all));
        prop_assert_eq!(parts(&other), parts(&all));
        // A copy in steps, each after a record more, says the same.
        let (mut live, mut next) = (all.clone(), after);
        let cut = live.applied();
        let in_steps = copied(&mut live, cut, hold_bytes, |live| {
            if let Some((record, rest)) = next.split_first() {
                apply(live, core::slice::from_ref(record));
                next = rest;
            }
        });
        let mut slow = restored(&in_steps);
        apply(&mut all, after);
        apply(&mut other, after);
        apply(&mut slow, after);
        prop_assert_eq!(parts(&other), parts(&all));
        prop_assert_eq!(parts(&slow), parts(&all));
        prop_assert_eq!(drained(&mut slow), drained(&mut all.clone()));
        for (_, _, event) in &records {
            if let Event::Forwarded(forwarded) = event {
                let carried = &forwarded.carried;
                prop_assert_eq!(other.exposure(carried), all.exposure(carried));
                prop_assert_eq!(other.reversal_of(forwarded.own), all.reversal_of(forwarded.own));
                let found = |trunk: &Trunk| {
                    let known = trunk.originals().repeated_by(carried, true);
                    known.map(|known| (known.exchange, known.own, known.standing))
                };
                prop_assert_eq!(found(&other), found(&all));
            }
        }
        prop_assert_eq!(drained(&mut other), drained(&mut all));
    }

    /// What was on its way waits again.
    #[test]
    fn an_image_of_a_party_that_is_being_told_has_everything_waiting(
        steps in proptest::collection::vec(step(), 1..60),
        sent in 0..4_usize,
    ) {
        let mut trunk = Trunk::new(BOUNDS);
        apply(&mut trunk, &records(&steps));
        for _ in 0..sent {
            if let Some(id) = trunk.queue().next(u64::MAX) {
                trunk.queue_mut().sent(id);
            }
        }
        let again = |(id, item): (&ItemId, &Item)| {
            let place = if item.place == Place::InFlight { Place::Waiting } else { item.place };
            (*id, Item { place, attempts: 0, ..*item })
        };
        let other = restored(&parts(&trunk));
        let expected: Vec<_> = trunk.queue().iter().map(again).collect();
        prop_assert_eq!(other.queue().iter().map(|(id, item)| (*id, *item)).collect::<Vec<_>>(), expected);
        prop_assert_eq!((other.queue().in_flight(), other.queue().dead()), (0, trunk.queue().dead()));
    }

    #[test]
    fn cut_bytes_are_refused_and_changed_ones_never_panic(
        steps in proptest::collection::vec(step(), 1..40),
        later in proptest::collection::vec(step(), 1..40),
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), 0..8_u32), 1..40),
    ) {
        let mut trunk = Trunk::new(BOUNDS);
        let records = records(&steps);
        apply(&mut trunk, &records);
        let whole = parts(&trunk);
        for cut in 0..whole[0].len() {
            prop_assert!(take(&whole[0][..cut], &mut Trunk::new(BOUNDS)).is_err(), "cut at {cut}");
        }
        let longer = [&whole[0][..], &[0]].concat();
        prop_assert!(take(&longer, &mut Trunk::new(BOUNDS)).is_err());
        // Each of the later parts ends where an entry does.
        let each = copied(&mut trunk, Sequence(u64::MAX), 1, |_| {});
        for part in each.into_iter().skip(1).filter(|part| part.len() > 4) {
            for cut in (0..part.len()).filter(|cut| *cut != 4) {
                let mut other = Trunk::new(BOUNDS);
                prop_assert!(take_more(&part[..cut], |_| Some(&mut other)).is_err(), "cut at {cut}");
            }
            prop_assert!(take_more(&part, |_| None).is_err(), "nobody's");
        }
        for (at, bit) in changes {
            let mut changed = whole.clone();
            let of = at.index(changed.iter().map(Vec::len).sum());
            let byte = changed.iter_mut().flatten().nth(of).expect("a byte");
            *byte ^= 1 << bit;
            if let Ok(mut other) = taken(&changed) {
                apply(&mut other, &self::records(&later));
                drained(&mut other);
                parts(&other);
            }
        }
    }
}
