//! What `turnpike journal inspect` and `verify` show: segments, batches, records by kind. Card numbers stay sealed,
//! so no key is needed.

use std::fmt;

use crate::domain::event::Sequence;
use crate::domain::time::Timestamp;
use crate::journal::batch::BatchHeader;
use crate::journal::kind::Kind;
use crate::journal::record::frame;
use crate::journal::recover::RecoverError;
use crate::journal::recover::Recovered;
use crate::journal::segment::SegmentHeader;
use crate::journal::storage::Storage;
use crate::journal::walk::Place;
use crate::journal::walk::Visit;
use crate::journal::walk::walk;

/// How many records there are of each kind, in the order of [`Kind::ALL`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Kinds(pub [u64; Kind::ALL.len()]);

impl fmt::Display for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for ((_, name), count) in Kind::ALL.iter().zip(self.0).filter(|(_, count)| *count > 0) {
            write!(f, "{separator}{name} {count}")?;
            separator = ", ";
        }
        if separator.is_empty() { f.write_str("none") } else { Ok(()) }
    }
}

/// One segment in a listing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SegmentListing {
    /// Its file.
    pub file: String,
    /// What its first block says.
    pub header: SegmentHeader,
    /// Whole batches, marks included.
    pub batches: u64,
    /// Batches without records.
    pub marks: u64,
    /// Its last record; the one before its first when it has none.
    pub last: Sequence,
    /// The times of its first and last record.
    pub times: Option<(Timestamp, Timestamp)>,
    /// The highest record that one of its batches marks as durable.
    pub marked: Sequence,
    /// Bytes of records.
    pub record_bytes: u64,
    /// Bytes of batches, headers and fillings included.
    pub batch_bytes: u64,
    /// Records by kind.
    pub kinds: Kinds,
    /// Each batch, when asked for.
    pub listing: Vec<BatchListing>,
}

/// One batch in a listing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchListing {
    /// Where it begins.
    pub offset: u64,
    /// What stands before its records.
    pub header: BatchHeader,
    /// Records by kind.
    pub kinds: Kinds,
}

/// What was found in a journal: all that is whole, and how the walk ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Inspection {
    /// Every segment that was reached.
    pub segments: Vec<SegmentListing>,
    /// The totals and the torn tail, or why the walk ended early.
    pub verdict: Result<Recovered, RecoverError>,
}

/// Walks through the whole journal and lists it; every checksum, number and time is checked. With `batches`, each
/// batch is listed too. Of a journal that a daemon is writing, the last batches may look torn.
#[must_use]
pub fn inspect<S: Storage>(storage: &S, covered: Sequence, batches: bool) -> Inspection {
    let mut listing = Listing { segments: Vec::new(), batches, time: Timestamp::default() };
    let verdict = walk(storage, None, covered, &mut listing);
    Inspection { segments: listing.segments, verdict }
}

struct Listing {
    segments: Vec<SegmentListing>,
    batches: bool,
    time: Timestamp,
}

impl Visit for Listing {
    fn segment(&mut self, file: &str, header: &SegmentHeader) {
        self.segments.push(SegmentListing {
            file: file.to_owned(),
            header: *header,
            batches: 0,
            marks: 0,
            last: Sequence(header.first.0 - 1),
            times: None,
            marked: Sequence::default(),
            record_bytes: 0,
            batch_bytes: 0,
            kinds: Kinds::default(),
            listing: Vec::new(),
        });
    }

    fn batch(&mut self, place: Place<'_>, header: &BatchHeader, body: &[u8]) -> Result<(), RecoverError> {
        let Some(segment) = self.segments.last_mut() else { return Ok(()) };
        let mut kinds = Kinds::default();
        let mut rest = body;
        let mut sequence = header.first;
        for _ in 0..header.count {
            let frame = frame(rest).map_err(|error| place.record(sequence, error))?;
            if frame.time < self.time {
                return Err(place.broken("time at least", self.time.0.into(), frame.time.0.into()));
            }
            self.time = frame.time;
            segment.times = Some((segment.times.map_or(frame.time, |(first, _)| first), frame.time));
            // Kinds count from one.
            kinds.0[frame.kind as usize - 1] += 1;
            rest = &rest[frame.length..];
            sequence = sequence.next();
        }
        place.ends(header, rest, self.time)?;
        segment.batches += 1;
        segment.marks += u64::from(header.count == 0);
        segment.last = header.last();
        segment.marked = segment.marked.max(header.durable);
        segment.record_bytes += u64::from(header.body_bytes);
        segment.batch_bytes += header.bytes_on_disk() as u64;
        for (total, count) in segment.kinds.0.iter_mut().zip(kinds.0) {
            *total += count;
        }
        if self.batches {
            segment.listing.push(BatchListing { offset: place.offset, header: *header, kinds });
        }
        Ok(())
    }
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.segments {
            write!(f, "{segment}")?;
        }
        match &self.verdict {
            Ok(recovered) => {
                let Recovered { records, batches, epoch, last, marked, segments, .. } = recovered;
                let (last, marked, segments) = (last.0, marked.0, segments.len());
                writeln!(f, "{records} records in {batches} batches and {segments} segments, epoch {epoch}")?;
                writeln!(f, "last record {last}, marked as durable up to record {marked}")?;
                match &recovered.torn {
                    Some(torn) => writeln!(f, "{torn}: the next start cuts it"),
                    None => writeln!(f, "whole to the end"),
                }
            }
            Err(error) => writeln!(f, "refused: {error}"),
        }
    }
}

impl fmt::Display for SegmentListing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SegmentListing { file, header, batches, marks, last, record_bytes, batch_bytes, kinds, .. } =
            self;
        writeln!(f, "{file}  epoch {}  records {}..={}", header.epoch, header.first.0, last.0)?;
        writeln!(
            f,
            "  {batches} batches, {marks} of them marks; {record_bytes} bytes of records in {batch_bytes}"
        )?;
        if let Some((first, last)) = self.times {
            writeln!(f, "  {first} to {last}")?;
        }
        writeln!(f, "  {kinds}")?;
        for batch in &self.listing {
            writeln!(f, "  {batch}")?;
        }
        Ok(())
    }
}

impl fmt::Display for BatchListing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { offset, header, kinds } = self;
        write!(f, "{offset:>10}  batch {}  ", header.number)?;
        match header.count {
            0 => write!(f, "mark")?,
            _ => write!(f, "records {}..={}  {kinds}", header.first.0, header.last().0)?,
        }
        write!(f, "  durable {}  {}", header.durable.0, header.time)
    }
}
