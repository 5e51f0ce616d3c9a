//! Recovery: every record of the journal in order, or the reason why it cannot be trusted.
//!
//! A batch that is not whole is one of two things. If anything proves that it had been written whole (a later batch
//! that was written when it was durable, or a next segment that continues behind it), the disk has lost or changed
//! it, and nobody may go on as if it had never been. Otherwise it is the torn tail: it was being written when the
//! power failed, nobody was told that it is durable, and it is cut.

use std::fmt;
use std::ops::ControlFlow;

use crate::domain::card::PanSeal;
use crate::domain::card::SealNonce;
use crate::domain::event::Event;
use crate::domain::event::Sequence;
use crate::domain::time::Timestamp;
use crate::journal::batch::BatchFault;
use crate::journal::batch::BatchHeader;
use crate::journal::record::RecordError;
use crate::journal::record::decode;
use crate::journal::segment::Segment;
use crate::journal::segment::SegmentHeader;
use crate::journal::storage::Storage;
use crate::journal::storage::StorageError;
use crate::journal::walk::Place;
use crate::journal::walk::Visit;
use crate::journal::walk::walk;

/// What opens card numbers, and how its key is told from another.
#[derive(Clone, Copy)]
pub struct Opener<'a> {
    /// The vault.
    pub seal: &'a dyn PanSeal,
    /// Of its key.
    pub fingerprint: [u8; 8],
}

/// What was recovered, and where the next epoch goes on.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Recovered {
    /// The highest epoch so far; zero for a new journal.
    pub epoch: u32,
    /// The last record; zero when there is none.
    pub last: Sequence,
    /// The last record's time.
    pub time: Timestamp,
    /// The number of the last batch; zero when there is none.
    pub last_batch: u64,
    /// The last batch's checksum.
    pub chain: u128,
    /// How many records there are.
    pub records: u64,
    /// How many batches there are, marks included.
    pub batches: u64,
    /// The highest record that a batch marks as durable.
    pub marked: Sequence,
    /// Every segment, in order.
    pub segments: Vec<Segment>,
    /// What a crash tore, if anything. [`crate::journal::writer::Writer::begin`] cuts it.
    pub torn: Option<Torn>,
}

/// The tail that a crash tore: written at least in part, never known to be durable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Torn {
    /// In which file.
    pub file: String,
    /// Where it begins.
    pub offset: u64,
    /// How many bytes of it there are.
    pub bytes: u64,
    /// The last record before it.
    pub last: Sequence,
}

impl fmt::Display for Torn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, offset, bytes, last } = self;
        write!(f, "a torn tail of {bytes} bytes in {file} from offset {offset}, after record {}", last.0)
    }
}

/// What shows that more had been written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proof {
    /// In which file.
    pub file: String,
    /// Of a batch; zero for the segment's header.
    pub offset: u64,
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.offset {
            0 => write!(f, "the header of {} continues behind it", self.file),
            offset => write!(f, "the batch at offset {offset} of {} marks it as durable", self.file),
        }
    }
}

/// Why a journal cannot be used as it is. Nothing on disk has been changed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RecoverError {
    /// The disk did not do what was asked.
    #[error("{0}; the journal was not changed")]
    Storage(#[from] StorageError),
    /// Something else has the name of a segment.
    #[error("{file} is not a segment of a journal; move it out of the directory")]
    NotASegment {
        /// The file.
        file: String,
    },
    /// A newer version wrote it.
    #[error(
        "{file} has format {format}, which is newer than this turnpike reads; start the version that wrote it"
    )]
    NewerFormat {
        /// The file.
        file: String,
        /// Its format.
        format: u16,
    },
    /// The first block does not fit its checksum.
    #[error(
        "{file} is damaged: its first 4,096 bytes do not fit their checksum; put back a copy of the file"
    )]
    HeaderDamaged {
        /// The file.
        file: String,
    },
    /// A segment has the name of another.
    #[error("{file} is segment {number} by its header; give it back the name of that number")]
    Misnamed {
        /// The file.
        file: String,
        /// Its number.
        number: u64,
    },
    /// Card numbers were sealed with another key.
    #[error("{file} was written with another key; name the key file that this data directory was made with")]
    WrongKey {
        /// The file.
        file: String,
    },
    /// A segment is missing between two others.
    #[error("{file} is missing, though {next} is there; put the file back")]
    SegmentMissing {
        /// The missing file.
        file: String,
        /// The next one after it.
        next: String,
    },
    /// The first segments are missing.
    #[error(
        "the journal begins with record {first} in {file}, but snapshots hold only what was before record \
         {after}; put the files before it back",
        first = first.0, after = covered.0 + 1
    )]
    StartMissing {
        /// The first file that is there.
        file: String,
        /// Its first record.
        first: Sequence,
        /// The last record that snapshots cover.
        covered: Sequence,
    },
    /// The last segments are missing.
    #[error(
        "the journal ends with record {last}, but snapshots hold what was up to record {covered}; put the newest \
         files back into journal/",
        last = last.0, covered = covered.0
    )]
    EndMissing {
        /// The last record that is there.
        last: Sequence,
        /// The last record that snapshots cover.
        covered: Sequence,
    },
    /// A batch that had been durable is gone or changed.
    #[error(
        "{file} is damaged at offset {offset}: batch {batch} with record {record} should be there, but {fault}, \
         and {proof}; put back a copy of the file",
        record = sequence.0
    )]
    Damaged {
        /// The file.
        file: String,
        /// Where the batch should be.
        offset: u64,
        /// The batch's number.
        batch: u64,
        /// Its first record.
        sequence: Sequence,
        /// What was found.
        fault: BatchFault,
        /// What shows that it had been there.
        proof: Proof,
    },
    /// A whole batch or header that does not continue what is before it.
    #[error(
        "{file} does not continue the journal at offset {offset}: expected {field} {expected}, found {found}; \
         put back a copy of the file, and look for a second program that writes here"
    )]
    Broken {
        /// The file.
        file: String,
        /// Of the batch; zero for the segment's header.
        offset: u64,
        /// What does not fit.
        field: &'static str,
        /// What it should be.
        expected: u128,
        /// What it is.
        found: u128,
    },
    /// A record in a whole batch that cannot be read.
    #[error("record {record} in the batch at offset {offset} of {file} cannot be read: {error}", record = sequence.0)]
    Record {
        /// The file.
        file: String,
        /// Of the batch.
        offset: u64,
        /// The record.
        sequence: Sequence,
        /// Why not.
        error: RecordError,
    },
}

/// Reads the whole journal and hands every record to `feed`, in order. Nothing on disk is changed.
///
/// `covered` is the last record that snapshots hold: segments before it may be gone. Records up to it that are
/// still there are fed too.
///
/// # Errors
/// The journal is damaged, incomplete, or not this daemon's; the error names the file and what to do. What was
/// fed until then must not be used.
pub fn recover<S: Storage>(
    storage: &S,
    opener: Opener<'_>,
    covered: Sequence,
    mut feed: impl FnMut(Sequence, Timestamp, Event),
) -> Result<Recovered, RecoverError> {
    read(storage, opener, covered, |sequence, time, event| {
        feed(sequence, time, event);
        ControlFlow::Continue(())
    })
}

/// Reads the journal as [`recover`] does, until `feed` breaks off; what is returned then ends with the batch in which
/// it did so. A daemon may be writing: what it has not written whole is left out.
///
/// # Errors
/// As [`recover`].
pub fn read<S: Storage>(
    storage: &S,
    opener: Opener<'_>,
    covered: Sequence,
    feed: impl FnMut(Sequence, Timestamp, Event) -> ControlFlow<()>,
) -> Result<Recovered, RecoverError> {
    let mut decoding = Decoding { seal: opener.seal, time: Timestamp::default(), feed, goes_on: true };
    walk(storage, Some(opener.fingerprint), covered, &mut decoding)
}

struct Decoding<'a, Feed> {
    seal: &'a dyn PanSeal,
    time: Timestamp,
    feed: Feed,
    goes_on: bool,
}

impl<Feed: FnMut(Sequence, Timestamp, Event) -> ControlFlow<()>> Visit for Decoding<'_, Feed> {
    fn segment(&mut self, _: &str, _: &SegmentHeader) {}

    fn batch(&mut self, place: Place<'_>, header: &BatchHeader, body: &[u8]) -> Result<(), RecoverError> {
        let mut rest = body;
        let mut sequence = header.first;
        for _ in 0..header.count {
            let nonce = SealNonce { epoch: header.epoch, sequence: sequence.0 };
            let (frame, event) =
                decode(rest, nonce, self.seal).map_err(|error| place.record(sequence, error))?;
            if frame.time < self.time {
                return Err(place.broken("time at least", self.time.0.into(), frame.time.0.into()));
            }
            self.time = frame.time;
            if (self.feed)(sequence, frame.time, event).is_break() {
                self.goes_on = false;
                return Ok(());
            }
            rest = &rest[frame.length..];
            sequence = sequence.next();
        }
        place.ends(header, rest, self.time)
    }

    fn goes_on(&self) -> bool {
        self.goes_on
    }
}
