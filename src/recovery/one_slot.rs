//! The books of one slot as they were at a record, from disk alone: the newest snapshot whose cut is not after it, then
//! the records of that slot through the same `apply`. Whoever looks holds no lock of the books that are served, and can
//! see the slot before and after each of its records.

use std::cell::Cell;
use std::ops::ControlFlow;

use crate::domain::card::PanSeal;
use crate::domain::event::Bounds;
use crate::domain::event::Event;
use crate::domain::event::Sequence;
use crate::domain::party::Slot;
use crate::domain::seal::SnapshotKeys;
use crate::domain::time::Timestamp;
use crate::journal::follow;
use crate::journal::follow::FollowError;
use crate::journal::follow::Follower;
use crate::journal::follow::Record;
use crate::journal::record::RecordError;
use crate::journal::snapshot;
use crate::journal::snapshot::Part;
use crate::journal::snapshot::SnapshotError;
use crate::journal::snapshot::Wanted;
use crate::journal::storage::Storage;
use crate::ledger::apply::ApplyError;
use crate::ledger::books::Misfit;
use crate::ledger::one_slot::ShardImage;
use crate::ledger::one_slot::slots_in;
use crate::ledger::shard::Capacity;
use crate::ledger::shard::Shard;

/// Room for what comes after a snapshot, at first. What a slot owns at once is bounded by what the daemon has room for,
/// and is far less than that nearly always.
const ROOM: Capacity = Capacity {
    wallets: 256,
    further_accounts: 256,
    cards: 256,
    authorizations: 2_048,
    limits: 256,
    counted: 2_048,
};
/// How much more there is of it at the next try.
const MORE: usize = 8;
/// How often it is begun anew when files are recycled under it.
const TRIES: usize = 3;

/// Where the books are read from.
pub struct Source<'s, S: Storage> {
    /// The data directory.
    pub storage: &'s S,
    /// Opens card numbers in records.
    pub seal: &'s dyn PanSeal,
    /// Opens snapshots.
    pub keys: &'s dyn SnapshotKeys,
    /// What snapshots were made under.
    pub seed: u64,
    /// The most room that there may be.
    pub most: Capacity,
    /// The last durable record. Nothing after it is looked at.
    pub durable: Sequence,
}

/// Which records are looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// The books begin as they were after this record.
    pub after: Sequence,
    /// The last one.
    pub through: Sequence,
}

/// Who sees the slot on its way. It may be begun anew at any time, with [`Witness::begins`].
pub trait Witness {
    /// The books as they were after the first record of the span.
    fn begins(&mut self, shard: &Shard);

    /// The books after one more record of the slot. Breaking off ends it well.
    fn applied(
        &mut self,
        shard: &Shard,
        sequence: Sequence,
        time: Timestamp,
        event: &Event,
    ) -> ControlFlow<()>;

    /// Whether anybody still wants to know.
    fn goes_on(&self) -> bool;
}

/// Why the past cannot be seen.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PastError {
    /// It was recycled.
    #[error("what was before record {} has been recycled", oldest.0)]
    Gone {
        /// The first record after which the books can still be seen.
        oldest: Sequence,
    },
    /// Nobody wanted to know any more.
    #[error("it was given up")]
    GivenUp,
    /// The journal.
    #[error(transparent)]
    Journal(FollowError),
    /// A snapshot.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// A record cannot be read.
    #[error("record {} cannot be read: {error}", sequence.0)]
    Record {
        /// The record.
        sequence: Sequence,
        /// Why not.
        error: RecordError,
    },
    /// A record does not fit what was before it.
    #[error(transparent)]
    Misfit(#[from] Misfit),
}

impl From<FollowError> for PastError {
    fn from(error: FollowError) -> Self {
        match error {
            FollowError::Gone { oldest } => Self::Gone { oldest },
            other => Self::Journal(other),
        }
    }
}

/// Replays one slot over a span of records. Returns its books as they were after the last record that was looked at,
/// and that record: the span's end, unless `witness` broke off.
///
/// # Errors
/// The span begins before what journal and snapshots still have; or they cannot be read.
pub fn replay<S: Storage + Clone>(
    source: &Source<'_, S>,
    slot: Slot,
    span: Span,
    witness: &mut dyn Witness,
) -> Result<(Shard, Sequence), PastError> {
    let mut room = smaller(ROOM, source.most);
    let mut tries = 0;
    loop {
        match attempt(source, slot, span, room, witness) {
            Err(PastError::Misfit(Misfit { cause: ApplyError::Full(_), .. })) if room != source.most => {
                room = smaller(larger(room), source.most);
            }
            // The snapshot was there, and what comes after it went meanwhile: a newer one serves, or none.
            Err(PastError::Gone { .. }) if tries < TRIES => tries += 1,
            done => return done,
        }
    }
}

fn attempt<S: Storage + Clone>(
    source: &Source<'_, S>,
    slot: Slot,
    span: Span,
    room: Capacity,
    witness: &mut dyn Witness,
) -> Result<(Shard, Sequence), PastError> {
    let (shard, cut) = base(source, slot, span.after, room)?;
    let mut follower = Follower::begin(source.storage.clone(), cut.next())?;
    let mut applying =
        Applying { shard, slot, span, seal: source.seal, witness, begun: false, ended: None, failed: None };
    while applying.ended.is_none() {
        let more = follower.advance(source.durable, &mut |record| applying.take(record))?;
        if let Some(failed) = applying.failed {
            return Err(failed);
        }
        if !more {
            break;
        }
        if !applying.witness.goes_on() {
            return Err(PastError::GivenUp);
        }
    }
    applying.begin();
    Ok((applying.shard, applying.ended.unwrap_or(span.through.min(source.durable))))
}

/// The books while records are applied.
struct Applying<'a> {
    shard: Shard,
    slot: Slot,
    span: Span,
    seal: &'a dyn PanSeal,
    witness: &'a mut dyn Witness,
    begun: bool,
    /// The last record, once it is over.
    ended: Option<Sequence>,
    failed: Option<PastError>,
}

impl Applying<'_> {
    fn begin(&mut self) {
        if !self.begun {
            self.begun = true;
            self.witness.begins(&self.shard);
        }
    }

    fn take(&mut self, record: &Record<'_>) -> ControlFlow<()> {
        if record.sequence > self.span.through {
            self.ended = Some(self.span.through);
            return ControlFlow::Break(());
        }
        if record.sequence > self.span.after {
            self.begin();
        }
        let frame = &record.frame;
        let is_here =
            frame.slot.is_none_or(|slot| slot == self.slot) || frame.others.contains(&Some(self.slot));
        if !is_here {
            return ControlFlow::Continue(());
        }
        match self.apply(record) {
            Ok(ControlFlow::Continue(())) => ControlFlow::Continue(()),
            Ok(ControlFlow::Break(())) => {
                self.ended = Some(record.sequence);
                ControlFlow::Break(())
            }
            Err(failed) => {
                self.failed = Some(failed);
                ControlFlow::Break(())
            }
        }
    }

    fn apply(&mut self, record: &Record<'_>) -> Result<ControlFlow<()>, PastError> {
        let (sequence, time) = (record.sequence, record.frame.time);
        let event = record.decode(self.seal).map_err(|error| PastError::Record { sequence, error })?;
        let part = match event.slot() {
            None => Some(event),
            Some(_) if event.trunk().is_some() => None,
            Some(_) => event.within(|slot| slot == self.slot),
        };
        let Some(part) = part else { return Ok(ControlFlow::Continue(())) };
        self.shard.apply(sequence, time, &part).map_err(|cause| Misfit { sequence, cause })?;
        if sequence <= self.span.after {
            return Ok(ControlFlow::Continue(()));
        }
        Ok(self.witness.applied(&self.shard, sequence, time, &event))
    }
}

/// The books to begin with, and the last record that is in them.
fn base<S: Storage>(
    source: &Source<'_, S>,
    slot: Slot,
    after: Sequence,
    room: Capacity,
) -> Result<(Shard, Sequence), PastError> {
    let storage = source.storage;
    let mut oldest = None;
    let numbers = snapshot::list(storage).map_err(SnapshotError::from)?;
    for number in numbers.into_iter().rev() {
        match image(source, number, slot, after) {
            Ok((image, _)) if image.cut > after => oldest = Some(image.cut),
            Ok((image, bounds)) => {
                let shard = image.restore(slot, bounds, room, source.seed).map_err(|error| {
                    SnapshotError::Unfit { file: snapshot::name(number), cause: error.to_string() }
                })?;
                return Ok((shard, image.cut));
            }
            Err(error) if error.is_damage() => {}
            // It was retired while it was read.
            Err(SnapshotError::Storage(_))
                if !snapshot::list(storage).map_err(SnapshotError::from)?.contains(&number) => {}
            Err(error) => return Err(error.into()),
        }
    }
    match follow::oldest(storage)? {
        Sequence(1) => Ok((Shard::new(slot, 1, room, Bounds::default(), source.seed), Sequence(0))),
        first => Err(PastError::Gone { oldest: oldest.unwrap_or(first) }),
    }
}

/// What a snapshot holds of the shard that a slot was in. Of one whose cut is after `after` no wallets.
fn image<S: Storage>(
    source: &Source<'_, S>,
    number: u64,
    slot: Slot,
    after: Sequence,
) -> Result<(ShardImage, Bounds), SnapshotError> {
    // Shards are equal ranges of slots, lowest first; the first one tells how large they are.
    let (begun, per_shard, is_late) = (Cell::new(0_u16), Cell::new(0_u16), Cell::new(false));
    let ours = || slot.number().checked_div(per_shard.get());
    let mut image = ShardImage::default();
    let mut wants = |part| match part {
        Part::Shard => {
            let at = begun.replace(begun.get() + 1);
            match ours() {
                None => Wanted::Yes,
                Some(ours) if at < ours => Wanted::No,
                Some(ours) if at == ours => Wanted::Yes,
                Some(_) => Wanted::Enough,
            }
        }
        Part::Wallets if ours() != begun.get().checked_sub(1) => Wanted::No,
        Part::Wallets if is_late.get() => Wanted::Enough,
        Part::Wallets => Wanted::Yes,
        Part::Trunk | Part::TrunkMore | Part::End => Wanted::Enough,
    };
    let mut take = |part, cut, body: &[u8]| {
        if part == Part::Wallets {
            image.wallets.push(body.to_vec());
            return Ok(());
        }
        per_shard.set(slots_in(body).ok_or("its shards have no slots")?);
        if ours() == begun.get().checked_sub(1) {
            is_late.set(cut > after);
            (image.cut, image.shard) = (cut, body.to_vec());
        }
        Ok(())
    };
    let head = snapshot::read_some(source.storage, number, source.keys, &mut wants, &mut take)?;
    if image.shard.is_empty() {
        let cause = "it does not hold all slots that it should".to_owned();
        return Err(SnapshotError::Unfit { file: snapshot::name(number), cause });
    }
    Ok((image, head.configured.bounds))
}

fn each(one: Capacity, other: Capacity, with: impl Fn(usize, usize) -> usize) -> Capacity {
    Capacity {
        wallets: with(one.wallets, other.wallets),
        further_accounts: with(one.further_accounts, other.further_accounts),
        cards: with(one.cards, other.cards),
        authorizations: with(one.authorizations, other.authorizations),
        limits: with(one.limits, other.limits),
        counted: with(one.counted, other.counted),
    }
}

fn smaller(one: Capacity, other: Capacity) -> Capacity {
    each(one, other, usize::min)
}

fn larger(one: Capacity) -> Capacity {
    each(one, one, |one, _| one.saturating_mul(MORE))
}
