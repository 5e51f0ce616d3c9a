//! The walk through all segments that recovery and inspection share: what is whole, what is torn, what is damaged.

use crate::domain::event::Sequence;
use crate::domain::time::Timestamp;
use crate::journal::batch::BATCH_HEADER_BYTES;
use crate::journal::batch::BLOCK_BYTES;
use crate::journal::batch::BatchFault;
use crate::journal::batch::BatchHeader;
use crate::journal::record::RecordError;
use crate::journal::recover::Proof;
use crate::journal::recover::RecoverError;
use crate::journal::recover::Recovered;
use crate::journal::recover::Torn;
use crate::journal::segment;
use crate::journal::segment::Segment;
use crate::journal::segment::SegmentHeader;
use crate::journal::storage::Storage;
use crate::journal::storage::StorageError;
use crate::journal::storage::StorageFile;

/// How much of a segment is in memory at a time, unless it is said otherwise; several batches of full size.
const WINDOW_BYTES: usize = 1 << 20;
const BLOCK: u64 = BLOCK_BYTES as u64;

/// Where a batch stands.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) file: &'a str,
    pub(crate) offset: u64,
}

impl Place<'_> {
    pub(crate) fn broken(self, field: &'static str, expected: u128, found: u128) -> RecoverError {
        RecoverError::Broken { file: self.file.to_owned(), offset: self.offset, field, expected, found }
    }

    pub(crate) fn record(self, sequence: Sequence, error: RecordError) -> RecoverError {
        RecoverError::Record { file: self.file.to_owned(), offset: self.offset, sequence, error }
    }

    /// Whether a batch holds what its header says, once its records are read: nothing is left, and the last one's
    /// time is the batch's.
    pub(crate) fn ends(self, header: &BatchHeader, rest: &[u8], time: Timestamp) -> Result<(), RecoverError> {
        if !rest.is_empty() {
            return Err(self.broken("bytes after the last record", 0, rest.len() as u128));
        }
        if header.count > 0 && header.time != time {
            return Err(self.broken("time", time.0.into(), header.time.0.into()));
        }
        Ok(())
    }
}

/// Sees every segment and every whole batch, in order.
pub(crate) trait Visit {
    fn segment(&mut self, file: &str, header: &SegmentHeader);

    /// `body` is the records.
    fn batch(&mut self, place: Place<'_>, header: &BatchHeader, body: &[u8]) -> Result<(), RecoverError>;

    /// Whether more is wanted. Otherwise the walk ends well behind the batch that was visited last.
    fn goes_on(&self) -> bool {
        true
    }
}

/// Walks through all segments. `fingerprint` is that of the key, when there is one; records up to `covered` may be
/// missing, since snapshots hold what they did.
pub(crate) fn walk<S: Storage>(
    storage: &S,
    fingerprint: Option<[u8; 8]>,
    covered: Sequence,
    visit: &mut dyn Visit,
) -> Result<Recovered, RecoverError> {
    let mut walk = Walk::begin(storage, fingerprint, covered, WINDOW_BYTES)?;
    loop {
        match walk.step()? {
            Step::Segment(file, header) => visit.segment(file, header),
            Step::Batch(found) => {
                visit.batch(found.place, &found.header, found.body)?;
                if !visit.goes_on() {
                    break;
                }
            }
            Step::Ended => {}
            Step::End => break,
        }
    }
    Ok(walk.end())
}

/// What the next step of a walk has come to.
pub(crate) enum Step<'w> {
    /// A segment begins.
    Segment(&'w str, &'w SegmentHeader),
    /// A whole batch.
    Batch(Found<'w>),
    /// The segment has no more whole batches. Why, is judged by the step after this.
    Ended,
    /// There are no more segments.
    End,
}

/// A whole batch that was found.
pub(crate) struct Found<'w> {
    pub(crate) place: Place<'w>,
    pub(crate) header: BatchHeader,
    /// Its records.
    pub(crate) body: &'w [u8],
    /// Where they begin in the walk's window.
    pub(crate) at: usize,
}

/// A walk through all segments, step by step.
pub(crate) struct Walk<'s, S: Storage> {
    storage: &'s S,
    covered: Sequence,
    headers: Vec<SegmentHeader>,
    /// Which of them comes next.
    next: usize,
    reading: Option<Reading<S::File>>,
    recovered: Recovered,
    window: Window,
}

impl<'s, S: Storage> Walk<'s, S> {
    /// Reads all headers first. `window_bytes` of a segment are in memory at a time.
    pub(crate) fn begin(
        storage: &'s S,
        fingerprint: Option<[u8; 8]>,
        covered: Sequence,
        window_bytes: usize,
    ) -> Result<Self, RecoverError> {
        let headers = headers(storage, fingerprint)?;
        let mut recovered = Recovered::default();
        if let Some(first) = headers.first() {
            if first.first > covered.next() {
                let file = segment::name(first.number);
                return Err(RecoverError::StartMissing { file, first: first.first, covered });
            }
            recovered.last = Sequence(first.first.0 - 1);
            recovered.last_batch = first.first_batch.wrapping_sub(1);
            recovered.chain = first.chain;
        }
        let window = Window::of(window_bytes);
        Ok(Self { storage, covered, headers, next: 0, reading: None, recovered, window })
    }

    /// Goes on by one step. After an error it is over.
    pub(crate) fn step(&mut self) -> Result<Step<'_>, RecoverError> {
        match self.reading.as_mut().map(|reading| reading.fault) {
            None => self.open_next(),
            Some(Some(fault)) => {
                self.judge(fault)?;
                self.open_next()
            }
            Some(None) => self.next_batch(),
        }
    }

    /// Whether the next step stays within the window: what was found there is still in memory after it.
    pub(crate) fn stays_in_window(&self) -> bool {
        let Some(reading) = self.reading.as_ref().filter(|reading| reading.fault.is_none()) else {
            return false;
        };
        let Some(bytes) = self.window.held(reading.offset, BATCH_HEADER_BYTES) else { return false };
        BatchHeader::parse(bytes)
            .is_ok_and(|header| self.window.held(reading.offset, header.bytes_on_disk()).is_some())
    }

    /// Gives away the memory in which batches were found, in exchange for other.
    pub(crate) fn exchange(&mut self, bytes: &mut Vec<u8>) {
        std::mem::swap(&mut self.window.bytes, bytes);
        self.window.forget();
    }

    /// What was recovered.
    pub(crate) fn end(self) -> Recovered {
        self.recovered
    }

    fn open_next(&mut self) -> Result<Step<'_>, RecoverError> {
        loop {
            let Some(header) = self.headers.get(self.next) else {
                reaches(&self.recovered, self.covered)?;
                return Ok(Step::End);
            };
            self.next += 1;
            if let Some(next) = self.headers.get(self.next).filter(|next| next.first <= self.covered.next()) {
                // Snapshots hold all of it.
                self.recovered.segments.push(passed_by(self.storage, *header, next)?);
                self.recovered.last = Sequence(next.first.0 - 1);
                self.recovered.last_batch = next.first_batch.wrapping_sub(1);
                self.recovered.chain = next.chain;
                continue;
            }
            let file = segment::name(header.number);
            self.window.forget();
            let content = self.storage.open(&file)?;
            let reading =
                Reading { file, content, header: *header, offset: BLOCK, unmarked: BLOCK, fault: None };
            let Reading { file, header, .. } = self.reading.insert(reading);
            return Ok(Step::Segment(file, header));
        }
    }

    fn next_batch(&mut self) -> Result<Step<'_>, RecoverError> {
        let Self { reading, recovered, window, .. } = self;
        let Some(reading) = reading else { return Ok(Step::End) };
        let offset = reading.offset;
        let (header, checksum) = match reading.batch(window, offset)? {
            Ok(whole) => whole,
            Err(fault) => {
                reading.fault = Some(fault);
                return Ok(Step::Ended);
            }
        };
        let place = Place { file: &reading.file, offset };
        follows(place, &header, &reading.header, recovered)?;
        if header.durable_batch == recovered.last_batch {
            reading.unmarked = offset;
        }
        recovered.chain = checksum;
        recovered.last = header.last();
        recovered.last_batch = header.number;
        recovered.time = header.time;
        recovered.records += u64::from(header.count);
        recovered.batches += 1;
        recovered.marked = recovered.marked.max(header.durable);
        reading.offset += header.bytes_on_disk() as u64;
        let at = (offset - window.start) as usize + BATCH_HEADER_BYTES;
        let batch = window.get(&reading.content, offset, header.bytes_on_disk())?;
        let body = &batch[BATCH_HEADER_BYTES..BATCH_HEADER_BYTES + header.body_bytes as usize];
        Ok(Step::Batch(Found { place, header, body, at }))
    }

    /// What to make of the end of a segment's whole batches.
    fn judge(&mut self, fault: BatchFault) -> Result<(), RecoverError> {
        let Some(reading) = self.reading.take() else { return Ok(()) };
        let Self { recovered, window, .. } = self;
        let end = reading.offset;
        match self.headers.get(self.next) {
            Some(next) => continues(next, recovered, Place { file: &reading.file, offset: end }, fault)?,
            None => recovered.torn = reading.tail(window, recovered, end, fault)?,
        }
        let Reading { header, unmarked, .. } = reading;
        recovered.epoch = header.epoch;
        let (length, last) = (reading.content.length()?, recovered.last);
        recovered.segments.push(Segment { header, last, unmarked, end, length });
        Ok(())
    }
}

/// A segment that is not read, by its own header and the next one's.
pub(crate) fn passed_by<S: Storage>(
    storage: &S,
    header: SegmentHeader,
    next: &SegmentHeader,
) -> Result<Segment, StorageError> {
    let length = storage.open(&segment::name(header.number))?.length()?;
    Ok(Segment { header, last: Sequence(next.first.0 - 1), unmarked: length, end: length, length })
}

/// Snapshots hold durable records only: a journal that ends before them has lost its end.
const fn reaches(recovered: &Recovered, covered: Sequence) -> Result<(), RecoverError> {
    if recovered.last.0 < covered.0 {
        return Err(RecoverError::EndMissing { last: recovered.last, covered });
    }
    Ok(())
}

/// Reads all headers first: a missing file or a wrong key is found before anything is fed.
pub(crate) fn headers<S: Storage>(
    storage: &S,
    fingerprint: Option<[u8; 8]>,
) -> Result<Vec<SegmentHeader>, RecoverError> {
    let mut headers: Vec<SegmentHeader> = Vec::new();
    let mut block = vec![0; BLOCK_BYTES];
    for number in segment::list(storage)? {
        let file = segment::name(number);
        if let Some(before) = headers.last()
            && before.number + 1 != number
        {
            return Err(RecoverError::SegmentMissing { file: segment::name(before.number + 1), next: file });
        }
        let read = storage.open(&file)?.read_at(0, &mut block)?;
        let header = SegmentHeader::read(&block[..read], &file, number)?;
        let place = Place { file: &file, offset: 0 };
        if fingerprint.is_some_and(|fingerprint| fingerprint != header.fingerprint) {
            return Err(RecoverError::WrongKey { file });
        }
        if header.partition != 0 {
            return Err(place.broken("partition", 0, header.partition.into()));
        }
        if let Some(before) = headers.last().filter(|before| before.epoch > header.epoch) {
            return Err(place.broken("epoch at least", before.epoch.into(), header.epoch.into()));
        }
        headers.push(header);
    }
    Ok(headers)
}

/// Whether the next segment follows the last whole batch. If so, what comes after that batch is dead: a restart, or
/// the end of a segment. If not, the next segment is proof that there was more.
fn continues(
    next: &SegmentHeader,
    so_far: &Recovered,
    end: Place<'_>,
    fault: BatchFault,
) -> Result<(), RecoverError> {
    let file = segment::name(next.number);
    let place = Place { file: &file, offset: 0 };
    let (expected, found) = (so_far.last_batch + 1, next.first_batch);
    if found > expected {
        return Err(damaged(end, so_far, fault, Proof { file, offset: 0 }));
    }
    if found < expected {
        return Err(place.broken("first batch", expected.into(), found.into()));
    }
    if next.first != so_far.last.next() {
        return Err(place.broken("first record", so_far.last.next().0.into(), next.first.0.into()));
    }
    if next.chain != so_far.chain {
        return Err(place.broken("checksum of the batch before", so_far.chain, next.chain));
    }
    Ok(())
}

fn damaged(at: Place<'_>, so_far: &Recovered, fault: BatchFault, proof: Proof) -> RecoverError {
    RecoverError::Damaged {
        file: at.file.to_owned(),
        offset: at.offset,
        batch: so_far.last_batch + 1,
        sequence: so_far.last.next(),
        fault,
        proof,
    }
}

/// One segment while it is read.
struct Reading<F> {
    file: String,
    content: F,
    header: SegmentHeader,
    /// Where the next batch should be.
    offset: u64,
    /// Where the batches begin that no later one marks as durable.
    unmarked: u64,
    /// Why there is none.
    fault: Option<BatchFault>,
}

impl<F: StorageFile> Reading<F> {
    /// The whole batch at this offset with its checksum, or why there is none.
    fn batch(
        &self,
        window: &mut Window,
        offset: u64,
    ) -> Result<Result<(BatchHeader, u128), BatchFault>, StorageError> {
        let header = match BatchHeader::parse(window.get(&self.content, offset, BATCH_HEADER_BYTES)?) {
            Ok(header) => header,
            Err(fault) => return Ok(Err(fault)),
        };
        let batch = window.get(&self.content, offset, header.bytes_on_disk())?;
        Ok(header.check(batch, self.header.number).map(|checksum| (header, checksum)))
    }

    /// Looks through what lies behind the last whole batch of the last segment. A whole batch there that was
    /// written when the missing one was durable proves damage. Otherwise it is a tail that a crash tore, or what an
    /// earlier life of the file left.
    fn tail(
        &self,
        window: &mut Window,
        so_far: &Recovered,
        end: u64,
        fault: BatchFault,
    ) -> Result<Option<Torn>, RecoverError> {
        let length = self.content.length()?;
        let missing = so_far.last_batch + 1;
        let mut torn_until = end;
        let mut offset = end;
        while offset < length {
            let block = window.get(&self.content, offset, BLOCK_BYTES)?;
            if !self.header.recycled && block.iter().any(|byte| *byte != 0) {
                torn_until = torn_until.max(offset + block.len() as u64);
            }
            if let Ok(header) = BatchHeader::parse(block)
                && header.epoch == self.header.epoch
                && header.number >= missing
            {
                torn_until = torn_until.max(length.min(offset + header.bytes_on_disk() as u64));
                match self.batch(window, offset)? {
                    Ok((header, _)) if header.durable_batch >= missing => {
                        // A daemon that is running may have written both since the missing one was read.
                        window.forget();
                        if self.batch(window, end)?.is_ok() {
                            return Ok(None);
                        }
                        let proof = Proof { file: self.file.clone(), offset };
                        return Err(damaged(Place { file: &self.file, offset: end }, so_far, fault, proof));
                    }
                    Err(BatchFault::Format(format)) => {
                        return Err(RecoverError::NewerFormat { file: self.file.clone(), format });
                    }
                    _ => {}
                }
            }
            offset += BLOCK;
        }
        let torn = Torn { file: self.file.clone(), offset: end, bytes: torn_until - end, last: so_far.last };
        Ok((torn.bytes > 0).then_some(torn))
    }
}

/// Whether a whole batch is the one that must come next. Its checksum fits, so it was never torn: anything else is
/// refused, wherever it stands.
fn follows(
    place: Place<'_>,
    batch: &BatchHeader,
    segment: &SegmentHeader,
    so_far: &Recovered,
) -> Result<(), RecoverError> {
    let number = so_far.last_batch + 1;
    let checks: [(&'static str, u128, u128); 5] = [
        ("partition", segment.partition.into(), batch.partition.into()),
        ("epoch", segment.epoch.into(), batch.epoch.into()),
        ("batch", number.into(), batch.number.into()),
        ("first record", so_far.last.next().0.into(), batch.first.0.into()),
        ("checksum of the batch before", so_far.chain, batch.chain),
    ];
    for (field, expected, found) in checks {
        if expected != found {
            return Err(place.broken(field, expected, found));
        }
    }
    if batch.time < so_far.time {
        return Err(place.broken("time at least", so_far.time.0.into(), batch.time.0.into()));
    }
    if batch.durable > so_far.last || batch.durable_batch > so_far.last_batch {
        let found = batch.durable.0.into();
        return Err(place.broken("durable record at most", so_far.last.0.into(), found));
    }
    Ok(())
}

/// The part of a file that is in memory.
#[derive(Default)]
pub(crate) struct Window {
    /// How much is read at a time.
    limit: usize,
    bytes: Vec<u8>,
    start: u64,
    filled: usize,
}

impl Window {
    /// An empty one that reads so many bytes at a time.
    pub(crate) fn of(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    /// Up to `count` bytes from `offset`; fewer where the file ends.
    pub(crate) fn get<F: StorageFile>(
        &mut self,
        file: &F,
        offset: u64,
        count: usize,
    ) -> Result<&[u8], StorageError> {
        let end = self.start + self.filled as u64;
        let inside = offset >= self.start && offset + count as u64 <= end;
        if !inside {
            let ahead = file.length()?.saturating_sub(offset).min(self.limit as u64) as usize;
            if self.bytes.len() < ahead {
                self.bytes.resize(ahead, 0);
            }
            self.filled = file.read_at(offset, &mut self.bytes[..ahead])?;
            self.start = offset;
        }
        let from = (offset - self.start) as usize;
        Ok(&self.bytes[from..self.filled.min(from + count)])
    }

    /// `count` bytes from `offset`, if all of them are in memory.
    fn held(&self, offset: u64, count: usize) -> Option<&[u8]> {
        let from = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        self.bytes[..self.filled].get(from..from.checked_add(count)?)
    }

    pub(crate) fn forget(&mut self) {
        self.filled = 0;
    }
}
