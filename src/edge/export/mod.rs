//! `turnpike journal export`: the records of a journal as lines of JSON or as CSV, for people and for other programs.
//! Card numbers are masked. A daemon may be running.

mod assets;
mod column;
mod forward;
mod row;
mod shown;

use std::io;
use std::io::BufWriter;
use std::io::ErrorKind;
use std::io::StdoutLock;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;

use clap::Args;
use clap::ValueEnum;
use clap::builder::PossibleValuesParser;

use crate::crypto::keys::Keys;
use crate::domain::event::Event;
use crate::domain::event::Sequence;
use crate::domain::time::Timestamp;
use crate::edge::commands::complain;
use crate::edge::disk::Disk;
use crate::edge::exit;
use crate::edge::export::column::Column;
use crate::edge::export::row::Row;
pub(in crate::edge) use crate::edge::export::shown::Shown;
use crate::edge::export::shown::put_json;
use crate::edge::keys;
use crate::journal::kind::Kind;
use crate::journal::recover;
use crate::journal::recover::Opener;
use crate::journal::recover::RecoverError;
use crate::journal::recover::Recovered;
use crate::journal::segment;
use crate::journal::segment::Segment;

/// `turnpike journal export`.
#[derive(Args, Debug)]
pub struct ExportArgs {
    /// Where the journal is.
    #[arg(long)]
    data_dir: PathBuf,
    /// How the records are written.
    #[arg(long, value_enum, default_value = "jsonl")]
    format: Format,
    /// The first record.
    #[arg(long, value_name = "SEQ", default_value_t = 1)]
    from: u64,
    /// The last record; the journal's last one if it is not given.
    #[arg(long, value_name = "SEQ")]
    to: Option<u64>,
    /// Records of this kind only.
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(Kind::ALL.map(|(_, name)| name)))]
    kind: Option<String>,
    /// The key it was written under, if it is not in the data directory.
    #[arg(long)]
    key_file: Option<PathBuf>,
}

/// How records are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Format {
    /// A JSON object for each record, a line each.
    Jsonl,
    /// A line of names, then a line for each record.
    Csv,
}

/// Runs `turnpike journal export` and returns the exit code.
#[must_use]
pub fn run(arguments: &ExportArgs) -> u8 {
    let last = arguments.to.unwrap_or(u64::MAX);
    if arguments.from > last {
        complain(format!(
            "record {} comes after record {last}; --from must not be above --to",
            arguments.from
        ));
        return exit::USAGE;
    }
    let in_data_dir = arguments.data_dir.join("keys/master.key");
    let keys = match keys::load(arguments.key_file.as_deref().unwrap_or(&in_data_dir), true) {
        Ok(keys) => keys,
        Err(error) => {
            complain(error);
            return exit::DATA;
        }
    };
    let disk = Disk::look_at(&arguments.data_dir);
    let mut export = Export {
        first: arguments.from,
        last,
        kind: arguments.kind.as_deref(),
        sink: Sink::new(arguments.format),
        next: arguments.from,
        records: 0,
        failed: None,
    };
    let outcome = export.read(&disk, &keys);
    export.conclude(&disk, outcome)
}

/// An export while it runs.
struct Export<'a> {
    first: u64,
    last: u64,
    kind: Option<&'a str>,
    sink: Sink,
    /// The record that was not looked at yet.
    next: u64,
    /// How many were written.
    records: u64,
    /// Why nothing more can be written.
    failed: Option<io::Error>,
}

/// What was read, and the first segment that was there.
struct Reading {
    oldest: Segment,
    recovered: Result<Recovered, RecoverError>,
}

impl Export<'_> {
    /// Reads from the segment that holds the first record that is wanted. `None` when there is no journal.
    fn read(&mut self, disk: &Disk, keys: &Keys) -> Result<Option<Reading>, RecoverError> {
        let segments = segment::survey(disk)?;
        let Some(oldest) = segments.first().cloned() else { return Ok(None) };
        let before = segments.iter().take_while(|segment| segment.header.first.0 <= self.first);
        let begin = before.last().unwrap_or(&oldest).header.first;
        let opener = Opener { seal: &keys.vault, fingerprint: keys.vault.fingerprint() };
        if let Err(error) = self.sink.begin() {
            self.failed = Some(error);
            return Ok(Some(Reading { oldest, recovered: Ok(Recovered::default()) }));
        }
        let recovered = recover::read(disk, opener, Sequence(begin.0 - 1), |sequence, time, event| {
            self.record(sequence, time, &event)
        });
        if self.failed.is_none() {
            self.failed = self.sink.flush().err();
        }
        Ok(Some(Reading { oldest, recovered }))
    }

    fn record(&mut self, sequence: Sequence, time: Timestamp, event: &Event) -> ControlFlow<()> {
        if sequence.0 > self.last {
            return ControlFlow::Break(());
        }
        if sequence.0 < self.first {
            return ControlFlow::Continue(());
        }
        self.next = sequence.0 + 1;
        let name = Kind::of(event).name();
        if self.kind.is_none_or(|kind| kind == name) {
            if let Err(error) = self.sink.write(&Row::of(sequence, time, name, event)) {
                self.failed = Some(error);
                return ControlFlow::Break(());
            }
            self.records += 1;
        }
        if sequence.0 == self.last { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Says on stderr where the export ended, and why.
    fn conclude(&self, disk: &Disk, outcome: Result<Option<Reading>, RecoverError>) -> u8 {
        match &self.failed {
            // Whoever reads has seen enough.
            Some(error) if error.kind() == ErrorKind::BrokenPipe => return exit::OK,
            Some(error) => {
                complain(format!("stopped before record {}: stdout: {error}", self.next));
                return exit::IO;
            }
            None => {}
        }
        let (oldest, recovered) = match outcome {
            Ok(Some(Reading { oldest, recovered })) => (oldest, recovered),
            Ok(None) => {
                complain("there is no journal");
                return exit::DATA;
            }
            Err(error) => {
                complain(error);
                return exit::DATA;
            }
        };
        if oldest.header.first.0 > self.first {
            let first = oldest.header.first.0;
            complain(format!("the journal begins with record {first}: snapshots hold what was before it"));
        }
        match recovered {
            Ok(recovered) => {
                self.tell_end(&recovered);
                exit::OK
            }
            Err(error) => self.refuse(disk, &oldest, &error),
        }
    }

    fn tell_end(&self, recovered: &Recovered) {
        let records = self.records;
        let end = recovered.last.0;
        if self.next > self.last {
            complain(format!("{records} records, up to record {}, as asked for", self.last));
            return;
        }
        let why = match &recovered.torn {
            Some(torn) => format!(
                "behind it are {} bytes in {} from offset {} that are no whole batch: a crash tore them, or a \
                 daemon is writing them",
                torn.bytes, torn.file, torn.offset
            ),
            None => "the journal ends there".to_owned(),
        };
        complain(format!("{records} records, up to record {end}: {why}"));
    }

    /// A segment that a daemon has recycled under our eyes is no damage.
    fn refuse(&self, disk: &Disk, oldest: &Segment, error: &RecoverError) -> u8 {
        let listed = segment::list(disk).unwrap_or_default();
        let next = self.next;
        if listed.first().is_some_and(|first| *first > oldest.header.number) {
            complain(format!(
                "stopped before record {next}: the daemon has recycled segments meanwhile; go on with --from {next}"
            ));
            return exit::UNAVAILABLE;
        }
        complain(format!("stopped before record {next}: {error}"));
        exit::DATA
    }
}

/// Where records go.
enum Sink {
    Jsonl(BufWriter<StdoutLock<'static>>),
    Csv(Box<csv::Writer<StdoutLock<'static>>>),
}

impl Sink {
    fn new(format: Format) -> Self {
        let stdout = io::stdout().lock();
        match format {
            Format::Jsonl => Self::Jsonl(BufWriter::with_capacity(1 << 16, stdout)),
            Format::Csv => Self::Csv(Box::new(csv::Writer::from_writer(stdout))),
        }
    }

    fn begin(&mut self) -> io::Result<()> {
        match self {
            Self::Jsonl(_) => Ok(()),
            Self::Csv(csv) => csv.write_record(Column::NAMES).map_err(cause),
        }
    }

    fn write(&mut self, row: &Row) -> io::Result<()> {
        match self {
            Self::Jsonl(out) => {
                put_json(row, out)?;
                out.write_all(b"\n")
            }
            Self::Csv(csv) => {
                for (_, cell) in row.cells() {
                    let text = cell.map(ToString::to_string).unwrap_or_default();
                    csv.write_field(text).map_err(cause)?;
                }
                csv.write_record(None::<&[u8]>).map_err(cause)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Jsonl(out) => out.flush(),
            Self::Csv(csv) => csv.flush(),
        }
    }
}

/// What the system said. As an error of its own it would hide whether the reader is gone.
fn cause(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}
