//! The journal from any record on, while a daemon writes it: whole batches that are durable, each once and in order,
//! over the ends of segments.
//!
//! A follower keeps its place in the file, so that going on costs what is new and no more. Segments may be recycled
//! under it: their checksums are seeded with their numbers, so that what a later segment has written over an earlier
//! one is never taken for it. Whoever falls behind that far is told which record is the oldest.

use std::ops::ControlFlow;

use crate::domain::card::PanSeal;
use crate::domain::card::SealNonce;
use crate::domain::event::Event;
use crate::domain::event::Sequence;
use crate::domain::time::Timestamp;
use crate::journal::batch::BATCH_BYTES_MAX;
use crate::journal::batch::BATCH_HEADER_BYTES;
use crate::journal::batch::BLOCK_BYTES;
use crate::journal::batch::BatchFault;
use crate::journal::batch::BatchHeader;
use crate::journal::record::Frame;
use crate::journal::record::RecordError;
use crate::journal::record::decode;
use crate::journal::record::frame;
use crate::journal::recover::RecoverError;
use crate::journal::segment;
use crate::journal::segment::SegmentHeader;
use crate::journal::storage::Storage;
use crate::journal::storage::StorageError;
use crate::journal::storage::StorageFile;
use crate::journal::walk::Place;
use crate::journal::walk::Window;

/// How often the names of the files are read anew when one of them went meanwhile.
const TRIES: usize = 4;
/// So much of a file is read at once: a batch of full size.
const WINDOW_BYTES: usize = BATCH_BYTES_MAX;

/// Why the journal cannot be followed from here on.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FollowError {
    /// The segment was recycled.
    #[error("the journal begins with record {}: what was before it has been recycled", oldest.0)]
    Gone {
        /// The first record that is there.
        oldest: Sequence,
    },
    /// A durable batch is not where it should be.
    #[error(
        "{file} cannot be read at offset {offset}: record {record} should be there, but {fault}",
        record = sequence.0
    )]
    Unreadable {
        /// The file.
        file: String,
        /// Where the batch should be.
        offset: u64,
        /// Its first record.
        sequence: Sequence,
        /// What was found.
        fault: BatchFault,
    },
    /// Files went away as often as they were looked at.
    #[error("segments are recycled faster than they can be looked at; try again")]
    Restless,
    /// The disk failed, or a file is damaged.
    #[error(transparent)]
    Journal(#[from] RecoverError),
}

impl From<StorageError> for FollowError {
    fn from(error: StorageError) -> Self {
        Self::Journal(error.into())
    }
}

/// One record as it stands on disk.
#[derive(Clone, Copy)]
pub struct Record<'b> {
    /// Its number.
    pub sequence: Sequence,
    /// What it says of itself.
    pub frame: Frame,
    epoch: u32,
    bytes: &'b [u8],
}

impl Record<'_> {
    /// Reads what has happened.
    ///
    /// # Errors
    /// It is of a newer version, or a card number does not open.
    pub fn decode(&self, seal: &dyn PanSeal) -> Result<Event, RecordError> {
        let place = SealNonce { epoch: self.epoch, sequence: self.sequence.0 };
        decode(self.bytes, place, seal).map(|(_, event)| event)
    }
}

/// Takes one record after the other, and says whether it wants more.
pub type Take<'t> = dyn FnMut(&Record<'_>) -> ControlFlow<()> + 't;

/// A place in the journal that moves on.
pub struct Follower<S: Storage> {
    storage: S,
    file: String,
    content: S::File,
    header: SegmentHeader,
    /// Where the batch begins that holds the next record, or the one before it.
    offset: u64,
    /// What that batch follows.
    last: Sequence,
    last_batch: u64,
    chain: u128,
    /// The record that is handed out next.
    next: Sequence,
    window: Window,
}

impl<S: Storage> std::fmt::Debug for Follower<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { file, offset, next, .. } = self;
        f.debug_struct("Follower")
            .field("file", file)
            .field("offset", offset)
            .field("next", next)
            .finish_non_exhaustive()
    }
}

impl<S: Storage> Follower<S> {
    /// Begins before the record `from`, which need not be there yet.
    ///
    /// # Errors
    /// It has been recycled, or the disk failed.
    pub fn begin(storage: S, from: Sequence) -> Result<Self, FollowError> {
        let holds = |_: &S, header: &SegmentHeader| Ok(header.first <= from);
        match last_that(&storage, holds)? {
            Ok((header, content)) => Ok(Self::of_segment(storage, header, content, from)),
            Err(oldest) => Err(FollowError::Gone { oldest }),
        }
    }

    fn of_segment(storage: S, header: SegmentHeader, content: S::File, from: Sequence) -> Self {
        Self {
            storage,
            file: segment::name(header.number),
            content,
            header,
            offset: BLOCK_BYTES as u64,
            last: Sequence(header.first.0 - 1),
            last_batch: header.first_batch.wrapping_sub(1),
            chain: header.chain,
            next: from.max(header.first),
            window: Window::of(WINDOW_BYTES),
        }
    }

    /// Goes on with the beginning of a segment.
    fn enter(&mut self, header: SegmentHeader, content: S::File) {
        self.file = segment::name(header.number);
        self.last = Sequence(header.first.0 - 1);
        self.last_batch = header.first_batch.wrapping_sub(1);
        self.chain = header.chain;
        (self.content, self.header, self.offset) = (content, header, BLOCK_BYTES as u64);
        self.window.forget();
    }

    /// The record that is handed out next.
    #[must_use]
    pub const fn next(&self) -> Sequence {
        self.next
    }

    /// Hands out the records of one more batch, or the rest of it where `take` broke off the last time. `durable` is
    /// the last record that is known to be durable; nothing after it is looked at. False when there was none.
    ///
    /// # Errors
    /// The next record has been recycled or cannot be read, or the disk failed.
    pub fn advance(&mut self, durable: Sequence, take: &mut Take<'_>) -> Result<bool, FollowError> {
        while self.next <= durable {
            let (header, checksum) = match self.whole()? {
                Ok(whole) => whole,
                Err(fault) => {
                    self.go_on(fault)?;
                    continue;
                }
            };
            if header.last() < self.next {
                // A mark, or what was before the first record that is wanted.
                self.pass(&header, checksum);
                continue;
            }
            let broke_off = self.hand_out(&header, durable, take)?;
            if !broke_off || self.next > header.last() {
                self.pass(&header, checksum);
            }
            return Ok(true);
        }
        Ok(false)
    }

    fn pass(&mut self, header: &BatchHeader, checksum: u128) {
        self.offset += header.bytes_on_disk() as u64;
        (self.last, self.last_batch, self.chain) = (header.last(), header.number, checksum);
    }

    /// Hands out what is left of a batch. Whether `take` broke off.
    fn hand_out(
        &mut self,
        header: &BatchHeader,
        durable: Sequence,
        take: &mut Take<'_>,
    ) -> Result<bool, FollowError> {
        let Self { content, window, offset, file, next, .. } = self;
        let place = Place { file, offset: *offset };
        let batch = window.get(content, *offset, header.bytes_on_disk())?;
        let mut rest = &batch[BATCH_HEADER_BYTES..BATCH_HEADER_BYTES + header.body_bytes as usize];
        let mut sequence = header.first;
        for _ in 0..header.count {
            let frame = frame(rest).map_err(|error| place.record(sequence, error))?;
            let (bytes, after) = rest.split_at(frame.length);
            rest = after;
            if sequence > durable {
                return Ok(true);
            }
            if sequence >= *next {
                *next = sequence.next();
                let record = Record { sequence, frame, epoch: header.epoch, bytes };
                if take(&record).is_break() {
                    return Ok(true);
                }
            }
            sequence = sequence.next();
        }
        Ok(false)
    }

    /// The batch at this place with its checksum, or why there is none. What was read before it was written is read
    /// again.
    fn whole(&mut self) -> Result<Result<(BatchHeader, u128), BatchFault>, FollowError> {
        let found = match self.read()? {
            Ok(whole) => Ok(whole),
            Err(_) => {
                self.window.forget();
                self.read()?
            }
        };
        if let Ok((header, _)) = &found {
            self.follows(header)?;
        }
        Ok(found)
    }

    fn read(&mut self) -> Result<Result<(BatchHeader, u128), BatchFault>, StorageError> {
        let Self { content, window, offset, header, .. } = self;
        let batch = match BatchHeader::parse(window.get(content, *offset, BATCH_HEADER_BYTES)?) {
            Ok(batch) => batch,
            Err(fault) => return Ok(Err(fault)),
        };
        let bytes = window.get(content, *offset, batch.bytes_on_disk())?;
        Ok(batch.check(bytes, header.number).map(|checksum| (batch, checksum)))
    }

    /// A batch whose checksum fits is the one that comes next, or the file is not what it was.
    fn follows(&self, batch: &BatchHeader) -> Result<(), FollowError> {
        let place = Place { file: &self.file, offset: self.offset };
        let checks: [(&'static str, u128, u128); 4] = [
            ("epoch", self.header.epoch.into(), batch.epoch.into()),
            ("batch", (self.last_batch.wrapping_add(1)).into(), batch.number.into()),
            ("first record", self.last.next().0.into(), batch.first.0.into()),
            ("checksum of the batch before", self.chain, batch.chain),
        ];
        match checks.into_iter().find(|(_, expected, found)| expected != found) {
            Some((field, expected, found)) => Err(place.broken(field, expected, found).into()),
            None => Ok(()),
        }
    }

    /// The next record is durable and not here: it is the first of the next segment, or it is lost to us.
    fn go_on(&mut self, fault: BatchFault) -> Result<(), FollowError> {
        if let Some((next, content)) = read_header(&self.storage, self.header.number + 1)? {
            let (first, batch, chain) = (self.last.next(), self.last_batch.wrapping_add(1), self.chain);
            if (next.first, next.first_batch, next.chain) == (first, batch, chain) {
                self.enter(next, content);
                return Ok(());
            }
        }
        // Names are looked at after the next one was missed: the oldest go first.
        let numbers = segment::list(&self.storage)?;
        // It was recycled while it was read. What comes next may be in a segment that is still there: those between may
        // have had no records.
        if !numbers.contains(&self.header.number) {
            let next = self.next;
            return match last_that(&self.storage, |_: &S, header| Ok(header.first <= next))? {
                Ok((header, content)) => {
                    self.enter(header, content);
                    Ok(())
                }
                Err(oldest) => Err(FollowError::Gone { oldest }),
            };
        }
        Err(FollowError::Unreadable {
            file: self.file.clone(),
            offset: self.offset,
            sequence: self.last.next(),
            fault,
        })
    }
}

/// The last record before a point in time, among those up to `durable`; zero where the journal's first one is later. A
/// record's time is never before that of the record before it.
///
/// # Errors
/// The journal's first records have been recycled, and what is left begins later than that. Or the disk failed.
pub fn last_before<S: Storage + Clone>(
    storage: &S,
    time: Timestamp,
    durable: Sequence,
) -> Result<Sequence, FollowError> {
    let begins_before = |storage: &S, header: &SegmentHeader| {
        let mut follower = Follower::begin(storage.clone(), header.first)?;
        let mut before = false;
        follower.advance(durable, &mut |record| {
            before = record.frame.time < time;
            ControlFlow::Break(())
        })?;
        Ok(before)
    };
    let (header, content) = match last_that(storage, begins_before)? {
        Ok(found) => found,
        Err(Sequence(1)) => return Ok(Sequence(0)),
        Err(oldest) => return Err(FollowError::Gone { oldest }),
    };
    let mut follower = Follower::of_segment(storage.clone(), header, content, header.first);
    let mut last = Sequence(header.first.0 - 1);
    let mut over = false;
    while !over
        && follower.advance(durable, &mut |record| {
            over = record.frame.time >= time;
            if over {
                return ControlFlow::Break(());
            }
            last = record.sequence;
            ControlFlow::Continue(())
        })?
    {}
    Ok(last)
}

/// The first record of the journal that is there; one where there is none yet.
///
/// # Errors
/// The disk failed, or a file is damaged.
pub fn oldest<S: Storage>(storage: &S) -> Result<Sequence, FollowError> {
    match last_that(storage, |_, _| Ok(false))? {
        Ok((header, _)) => Ok(header.first),
        Err(oldest) => Ok(oldest),
    }
}

/// A segment's header with its open file.
type Opened<S> = (SegmentHeader, <S as Storage>::File);

/// The last segment of which something holds that holds for all before it; where it holds for none, the first record of
/// the first one.
fn last_that<S: Storage>(
    storage: &S,
    holds: impl Fn(&S, &SegmentHeader) -> Result<bool, FollowError>,
) -> Result<Result<Opened<S>, Sequence>, FollowError> {
    let mut tries = 0;
    loop {
        tries += 1;
        let numbers = segment::list(storage)?;
        match bisect(storage, &numbers, &holds) {
            Ok(Some(found)) => return Ok(found),
            // A file went while it was looked at.
            Ok(None) | Err(_) if tries < TRIES && segment::list(storage)? != numbers => {}
            Ok(None) if numbers.is_empty() => return Ok(Err(Sequence(1))),
            Ok(None) => return Err(FollowError::Restless),
            Err(error) => return Err(error),
        }
    }
}

/// `None` when a file is not there.
fn bisect<S: Storage>(
    storage: &S,
    numbers: &[u64],
    holds: &impl Fn(&S, &SegmentHeader) -> Result<bool, FollowError>,
) -> Result<Option<Result<Opened<S>, Sequence>>, FollowError> {
    let Some(first) = numbers.first() else { return Ok(None) };
    let Some((header, content)) = read_header(storage, *first)? else { return Ok(None) };
    if !holds(storage, &header)? {
        return Ok(Some(Err(header.first)));
    }
    let mut best = (header, content);
    let (mut low, mut high) = (1, numbers.len());
    while low < high {
        let middle = low.midpoint(high);
        let Some((header, content)) = read_header(storage, numbers[middle])? else { return Ok(None) };
        if holds(storage, &header)? {
            best = (header, content);
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(Some(Ok(best)))
}

/// A segment by its number; `None` when there is no such file any more, or not yet.
fn read_header<S: Storage>(storage: &S, number: u64) -> Result<Option<Opened<S>>, FollowError> {
    let file = segment::name(number);
    let read = || {
        let content = storage.open(&file)?;
        let mut block = vec![0; BLOCK_BYTES];
        let length = content.read_at(0, &mut block)?;
        Ok::<_, RecoverError>((SegmentHeader::read(&block[..length], &file, number)?, content))
    };
    match read() {
        Ok(opened) => Ok(Some(opened)),
        // Whoever recycles renames first, and writes another header then.
        Err(_) if !segment::list(storage)?.contains(&number) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
