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

/// How much of a segment is in memory at a time; several batches of full size.
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
    let headers = headers(storage, fingerprint)?;
    let mut recovered = Recovered::default();
    let Some(first) = headers.first() else { return reaches(recovered, covered) };
    if first.first > covered.next() {
        let file = segment::name(first.number);
        return Err(RecoverError::StartMissing { file, first: first.first, covered });
    }
    recovered.last = Sequence(first.first.0 - 1);
    recovered.last_batch = first.first_batch.wrapping_sub(1);
    recovered.chain = first.chain;
    let mut window = Window::default();
    for (index, header) in headers.iter().enumerate() {
        let file = segment::name(header.number);
        if let Some(next) = headers.get(index + 1).filter(|next| next.first <= covered.next()) {
            // Snapshots hold all of it.
            recovered.segments.push(passed_by(storage, *header, next)?);
            recovered.last = Sequence(next.first.0 - 1);
            recovered.last_batch = next.first_batch.wrapping_sub(1);
            recovered.chain = next.chain;
            continue;
        }
        visit.segment(&file, header);
        window.forget();
        let content = storage.open(&file)?;
        let mut reading = Reading { file: &file, content, header, window: &mut window, unmarked: BLOCK };
        let Some((end, fault)) = reading.batches(&mut recovered, visit)? else { return Ok(recovered) };
        match headers.get(index + 1) {
            Some(next) => continues(next, &recovered, Place { file: &file, offset: end }, fault)?,
            None => recovered.torn = reading.tail(&recovered, end, fault)?,
        }
        recovered.epoch = header.epoch;
        let (length, unmarked) = (reading.content.length()?, reading.unmarked);
        recovered.segments.push(Segment { header: *header, last: recovered.last, unmarked, end, length });
    }
    reaches(recovered, covered)
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
fn reaches(recovered: Recovered, covered: Sequence) -> Result<Recovered, RecoverError> {
    if recovered.last < covered {
        return Err(RecoverError::EndMissing { last: recovered.last, covered });
    }
    Ok(recovered)
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
struct Reading<'a, F> {
    file: &'a str,
    content: F,
    header: &'a SegmentHeader,
    window: &'a mut Window,
    /// Where the batches begin that no later one marks as durable.
    unmarked: u64,
}

impl<F: StorageFile> Reading<'_, F> {
    /// Visits whole batches until there is none, and returns where, and why; `None` when no more is wanted.
    fn batches(
        &mut self,
        so_far: &mut Recovered,
        visit: &mut dyn Visit,
    ) -> Result<Option<(u64, BatchFault)>, RecoverError> {
        let mut offset = BLOCK;
        loop {
            let place = Place { file: self.file, offset };
            let header = match self.batch(offset)? {
                Ok((header, checksum)) => {
                    follows(place, &header, self.header, so_far)?;
                    so_far.chain = checksum;
                    header
                }
                Err(fault) => return Ok(Some((offset, fault))),
            };
            let batch = self.window.get(&self.content, offset, header.bytes_on_disk())?;
            let body = &batch[BATCH_HEADER_BYTES..BATCH_HEADER_BYTES + header.body_bytes as usize];
            visit.batch(place, &header, body)?;
            if header.durable_batch == so_far.last_batch {
                self.unmarked = offset;
            }
            so_far.last = header.last();
            so_far.last_batch = header.number;
            so_far.time = header.time;
            so_far.records += u64::from(header.count);
            so_far.batches += 1;
            so_far.marked = so_far.marked.max(header.durable);
            offset += header.bytes_on_disk() as u64;
            if !visit.goes_on() {
                return Ok(None);
            }
        }
    }

    /// The whole batch at this offset with its checksum, or why there is none.
    fn batch(&mut self, offset: u64) -> Result<Result<(BatchHeader, u128), BatchFault>, StorageError> {
        let header = match BatchHeader::parse(self.window.get(&self.content, offset, BATCH_HEADER_BYTES)?) {
            Ok(header) => header,
            Err(fault) => return Ok(Err(fault)),
        };
        let batch = self.window.get(&self.content, offset, header.bytes_on_disk())?;
        Ok(header.check(batch, self.header.number).map(|checksum| (header, checksum)))
    }

    /// Looks through what lies behind the last whole batch of the last segment. A whole batch there that was
    /// written when the missing one was durable proves damage. Otherwise it is a tail that a crash tore, or what an
    /// earlier life of the file left.
    fn tail(
        &mut self,
        so_far: &Recovered,
        end: u64,
        fault: BatchFault,
    ) -> Result<Option<Torn>, RecoverError> {
        let length = self.content.length()?;
        let missing = so_far.last_batch + 1;
        let mut torn_until = end;
        let mut offset = end;
        while offset < length {
            let block = self.window.get(&self.content, offset, BLOCK_BYTES)?;
            if !self.header.recycled && block.iter().any(|byte| *byte != 0) {
                torn_until = torn_until.max(offset + block.len() as u64);
            }
            if let Ok(header) = BatchHeader::parse(block)
                && header.epoch == self.header.epoch
                && header.number >= missing
            {
                torn_until = torn_until.max(length.min(offset + header.bytes_on_disk() as u64));
                match self.batch(offset)? {
                    Ok((header, _)) if header.durable_batch >= missing => {
                        // A daemon that is running may have written both since the missing one was read.
                        self.window.forget();
                        if self.batch(end)?.is_ok() {
                            return Ok(None);
                        }
                        let proof = Proof { file: self.file.to_owned(), offset };
                        return Err(damaged(Place { file: self.file, offset: end }, so_far, fault, proof));
                    }
                    Err(BatchFault::Format(format)) => {
                        return Err(RecoverError::NewerFormat { file: self.file.to_owned(), format });
                    }
                    _ => {}
                }
            }
            offset += BLOCK;
        }
        let torn =
            Torn { file: self.file.to_owned(), offset: end, bytes: torn_until - end, last: so_far.last };
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
struct Window {
    bytes: Vec<u8>,
    start: u64,
    filled: usize,
}

impl Window {
    /// Up to `count` bytes from `offset`; fewer where the file ends.
    fn get<F: StorageFile>(&mut self, file: &F, offset: u64, count: usize) -> Result<&[u8], StorageError> {
        let end = self.start + self.filled as u64;
        let inside = offset >= self.start && offset + count as u64 <= end;
        if !inside {
            let ahead = file.length()?.saturating_sub(offset).min(WINDOW_BYTES as u64) as usize;
            if self.bytes.len() < ahead {
                self.bytes.resize(ahead, 0);
            }
            self.filled = file.read_at(offset, &mut self.bytes[..ahead])?;
            self.start = offset;
        }
        let from = (offset - self.start) as usize;
        Ok(&self.bytes[from..self.filled.min(from + count)])
    }

    fn forget(&mut self) {
        self.filled = 0;
    }
}
