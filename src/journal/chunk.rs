//! The journal some megabytes at a time: whole batches as they were read, with their records sorted into parts.
//!
//! Reading, checking and sorting is one thread's work and cheap. Records of different parts have nothing to do with
//! each other, so that others may decode and apply them, one a part, while the next chunk is read.

use crate::domain::card::PanSeal;
use crate::domain::card::SealNonce;
use crate::domain::event::Event;
use crate::domain::event::Sequence;
use crate::domain::time::Timestamp;
use crate::journal::batch::BATCH_BYTES_MAX;
use crate::journal::record::Frame;
use crate::journal::record::RecordError;
use crate::journal::record::decode;
use crate::journal::record::frame;
use crate::journal::recover::Opener;
use crate::journal::recover::RecoverError;
use crate::journal::recover::Recovered;
use crate::journal::storage::Storage;
use crate::journal::walk::Found;
use crate::journal::walk::Place;
use crate::journal::walk::Step;
use crate::journal::walk::Walk;

/// Bytes of a chunk. The larger it is, the more often what one part's records touch is still near from the one before;
/// two of them are in memory.
pub const CHUNK_BYTES: usize = 32 << 20;

/// Where a record belongs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Route {
    /// To this part.
    To(usize),
    /// To this part and to others.
    ToSome(usize, [Option<usize>; 2]),
    /// To every part.
    ToAll,
}

/// A record in a chunk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Where it begins.
    at: u32,
    /// How many records of the chunk are before it.
    nth: u32,
    bytes: u16,
}

/// Whole batches of one segment.
#[derive(Debug, Default)]
pub struct Chunk {
    file: String,
    epoch: u32,
    bytes: Vec<u8>,
    first: Sequence,
    records: u32,
    /// Where batches begin in the file, each with how many records are before it.
    batches: Vec<(u32, u64)>,
    parts: Vec<Vec<Entry>>,
    failure: Option<RecoverError>,
    is_last: bool,
}

impl Chunk {
    /// A chunk for records of so many parts.
    #[must_use]
    pub fn new(parts: usize) -> Self {
        Self { parts: vec![Vec::new(); parts], ..Self::default() }
    }

    /// The records of a part, in order.
    #[must_use]
    pub fn part(&self, part: usize) -> &[Entry] {
        self.parts.get(part).map_or(&[], Vec::as_slice)
    }

    /// Whether nothing comes after this one.
    #[must_use]
    pub const fn is_last(&self) -> bool {
        self.is_last
    }

    /// Why the journal cannot be trusted from behind these records on. One of them that cannot be read comes first.
    #[must_use]
    pub const fn take_failure(&mut self) -> Option<RecoverError> {
        self.failure.take()
    }

    /// A record's bytes.
    #[must_use]
    pub fn bytes(&self, entry: Entry) -> &[u8] {
        let from = entry.at as usize;
        self.bytes.get(from..from + usize::from(entry.bytes)).unwrap_or_default()
    }

    /// Reads a record.
    ///
    /// # Errors
    /// It is one of a newer version, or a card number does not open: [`Chunk::unreadable`] says where.
    #[inline]
    pub fn decode(
        &self,
        entry: Entry,
        seal: &dyn PanSeal,
    ) -> Result<(Sequence, Timestamp, Event), RecordError> {
        let sequence = self.sequence(entry);
        let place = SealNonce { epoch: self.epoch, sequence: sequence.0 };
        let (frame, event) = decode(self.bytes(entry), place, seal)?;
        Ok((sequence, frame.time, event))
    }

    /// A record's number in the journal.
    #[must_use]
    pub const fn sequence(&self, entry: Entry) -> Sequence {
        Sequence(self.first.0 + entry.nth as u64)
    }

    /// That a record cannot be read, with the place where it stands.
    #[must_use]
    pub fn unreadable(&self, entry: Entry, error: RecordError) -> RecoverError {
        let batch = self.batches.partition_point(|(before, _)| *before <= entry.nth).saturating_sub(1);
        let offset = self.batches.get(batch).map_or(0, |(_, offset)| *offset);
        Place { file: &self.file, offset }.record(self.sequence(entry), error)
    }

    fn send(&mut self, part: usize, entry: Entry) {
        if let Some(part) = self.parts.get_mut(part) {
            part.push(entry);
        }
    }

    fn clear(&mut self) {
        self.records = 0;
        self.batches.clear();
        self.parts.iter_mut().for_each(Vec::clear);
        self.failure = None;
        self.is_last = false;
    }

    /// Takes a batch in. `time` is that of the record before it.
    fn take(
        &mut self,
        found: &Found<'_>,
        time: &mut Timestamp,
        route: &mut impl FnMut(&Frame, Sequence) -> Route,
    ) -> Result<(), RecoverError> {
        let Found { place, header, body, at } = found;
        if self.batches.is_empty() {
            place.file.clone_into(&mut self.file);
            (self.epoch, self.first) = (header.epoch, header.first);
        }
        self.batches.push((self.records, place.offset));
        let mut rest = *body;
        let mut sequence = header.first;
        for _ in 0..header.count {
            let frame = frame(rest).map_err(|error| place.record(sequence, error))?;
            let entry = Entry {
                at: (at + body.len() - rest.len()) as u32,
                nth: self.records,
                bytes: frame.length as u16,
            };
            match route(&frame, sequence) {
                Route::To(part) => self.send(part, entry),
                Route::ToSome(first, [second, third]) => {
                    self.send(first, entry);
                    let second = second.filter(|second| *second != first);
                    let third = third.filter(|third| *third != first && Some(*third) != second);
                    for other in [second, third].into_iter().flatten() {
                        self.send(other, entry);
                    }
                }
                Route::ToAll => self.parts.iter_mut().for_each(|part| part.push(entry)),
            }
            self.records += 1;
            // What the record itself holds is looked at first: whoever decodes it goes before this.
            if frame.time < *time {
                return Err(place.broken("time at least", time.0.into(), frame.time.0.into()));
            }
            *time = frame.time;
            rest = &rest[frame.length..];
            sequence = sequence.next();
        }
        place.ends(header, rest, *time)
    }
}

/// Reads the journal chunk by chunk.
pub struct Chunks<'s, S: Storage> {
    walk: Walk<'s, S>,
    time: Timestamp,
}

impl<'s, S: Storage> Chunks<'s, S> {
    /// Begins before the first record that snapshots up to `covered` do not hold, or some records earlier. `bytes` are
    /// the most that a chunk has; a batch of full size fits in any case.
    ///
    /// # Errors
    /// The journal is foreign, or incomplete by the names of its files.
    pub fn begin(
        storage: &'s S,
        opener: Opener<'_>,
        covered: Sequence,
        bytes: usize,
    ) -> Result<Self, RecoverError> {
        let walk = Walk::begin(storage, Some(opener.fingerprint), covered, bytes.max(BATCH_BYTES_MAX))?;
        Ok(Self { walk, time: Timestamp::default() })
    }

    /// Reads the next chunk, in place of what `chunk` held before. Every record is sent where `route` says. What is
    /// wrong ends the chunk, and is told by [`Chunk::take_failure`].
    pub fn next(&mut self, chunk: &mut Chunk, route: &mut impl FnMut(&Frame, Sequence) -> Route) {
        chunk.clear();
        if let Err(error) = self.fill(chunk, route) {
            chunk.failure = Some(error);
            chunk.is_last = true;
        }
        self.walk.exchange(&mut chunk.bytes);
    }

    fn fill(
        &mut self,
        chunk: &mut Chunk,
        route: &mut impl FnMut(&Frame, Sequence) -> Route,
    ) -> Result<(), RecoverError> {
        while chunk.batches.is_empty() || self.walk.stays_in_window() {
            match self.walk.step()? {
                Step::Batch(found) => chunk.take(&found, &mut self.time, route)?,
                Step::End => {
                    chunk.is_last = true;
                    return Ok(());
                }
                Step::Segment(..) => {}
                // What judges the end of a segment reads on, and a chunk is of one segment.
                Step::Ended if chunk.batches.is_empty() => {}
                Step::Ended => return Ok(()),
            }
        }
        Ok(())
    }

    /// What was recovered, after the last chunk.
    #[must_use]
    pub fn end(self) -> Recovered {
        self.walk.end()
    }
}
