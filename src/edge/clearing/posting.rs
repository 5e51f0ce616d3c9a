//! Posts a file that was taken, record by record.

use std::io;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;
use serde_json::json;

use crate::clearing::Item;
use crate::clearing::Reader;
use crate::clearing::error::Position;
use crate::domain::cleared::FilePosted;
use crate::domain::clearing::Presentment;
use crate::domain::event::Bounds;
use crate::domain::event::Sequence;
use crate::edge::clearing::Office;
use crate::edge::clearing::command::Named;
use crate::edge::clearing::intake::Refused;
use crate::edge::clearing::intake::Taken;
use crate::edge::clearing::report::Explain;
use crate::edge::clearing::report::Lines;
use crate::edge::clearing::report::Tally;
use crate::edge::clock;
use crate::pipeline::clearing::Posting as Posted;

/// Most records between two notes in the journal of how far a file has come.
const RECORDS_PER_NOTE_MAX: u64 = 5_000;
/// Records between two syncs of the report.
const RECORDS_PER_SYNC: u64 = 5_000;
/// Records between two looks at how far it has come.
const RECORDS_PER_LOOK: u64 = 256;
/// How long to wait when the journal takes nothing.
const PAUSE: Duration = Duration::from_millis(1);

/// A file that is being posted.
pub(super) struct Posting {
    taken: Taken,
    lines: Lines,
    tally: Tally,
    /// Records that are done.
    done: u64,
    /// Records that were done when this posting began.
    resumed: u64,
    /// Of those `resumed`, their outcomes are in the tally.
    whole: bool,
    began: Instant,
}

/// Why a posting ended before the end of its file.
#[derive(Debug, thiserror::Error)]
enum Stopped {
    #[error("the table of {0} is full; raise `ledger.{0}_max`, start again, and send the file again")]
    Full(&'static str),
    #[error(
        "a slot has as many records on suspense as it may have; most likely the file is not for this issuer"
    )]
    Suspense,
    #[error("the journal has failed; send the file again once the daemon has started again")]
    Failed,
    #[error("the daemon stops; send the file again once it has started again")]
    Stopping,
    #[error("the file or its report cannot be read or written: {0}; send the file again")]
    Io(#[from] io::Error),
}

/// How often it is noted how far a file has come: before the entries of the records since then can have left memory by
/// count, since these are what a posting that goes on after a crash knows them by.
pub(super) fn records_per_note(bounds: &Bounds) -> u64 {
    let kept = u64::from(bounds.closed_per_slot.min(bounds.authorizations_per_card)) / 2;
    kept.clamp(1, RECORDS_PER_NOTE_MAX)
}

impl Posting {
    /// Begins, or goes on where the journal says that it was left.
    pub(super) fn open(office: &Office, taken: Taken, explain: Explain) -> Result<Self, Refused> {
        if office.stopping.load(Ordering::Acquire) {
            return Err(Refused::Stopping);
        }
        let known = office.pipeline.posted_file(taken.checksum);
        let done = known.map_or(0, |file| file.records);
        let (lines, tally) = Lines::open(&office.directory, taken.checksum, done, explain)?;
        let whole = tally.is_some();
        let (tally, began) = (tally.unwrap_or_default(), Instant::now());
        Ok(Self { taken, lines, tally, done, resumed: done, whole, began })
    }

    /// The checksum of the file.
    pub(super) const fn checksum(&self) -> u128 {
        self.taken.checksum
    }

    const fn of(&self) -> u64 {
        self.taken.summary.presentments
    }

    /// As it is shown until it has ended.
    pub(super) fn state(&self) -> Value {
        self.told("posting", None)
    }

    fn told(&self, state: &str, why: Option<String>) -> Value {
        let summary = &self.taken.summary;
        let took = self.began.elapsed();
        let posted = self.done.saturating_sub(self.resumed);
        json!({
            "file": format!("{:032x}", self.taken.checksum),
            "format": Named(self.taken.format).to_string(),
            "bytes": self.taken.spool.bytes(),
            "state": state,
            "error": why,
            "records": self.of(),
            "done": self.done,
            "resumed_from": self.resumed,
            "tally_from": if self.whole { 0 } else { self.resumed },
            "skipped": summary.skipped.iter().sum::<u64>(),
            "trailers": summary.trailers,
            "sums_not_compared": summary.sums_not_compared,
            "took_ms": took.as_millis() as u64,
            "records_per_s": (u128::from(posted) * 1_000 / took.as_millis().max(1)) as u64,
            "tally": self.tally.json(),
        })
    }

    /// Posts what is left of the file. `tell` is called now and then with how it stands. Returns how it stands at the
    /// end.
    pub(super) fn run(mut self, office: &Office, tell: impl Fn(Value)) -> Value {
        self.began = Instant::now();
        let mut posted = self.post(office, &tell);
        let ends_in_order = matches!(posted, Err(Stopped::Full(_) | Stopped::Suspense | Stopped::Stopping));
        if ends_in_order && self.done > self.resumed {
            // So that the next posting, and its report, go on just there.
            posted = self.note(office, true).and(posted);
        }
        let (state, why) = match posted {
            Ok(()) => ("posted", None),
            Err(stopped) => ("stopped", Some(stopped.to_string())),
        };
        let file = format!("{:032x}", self.taken.checksum);
        match &why {
            None => tracing::info!(file, records = self.done, "a clearing file is posted"),
            Some(why) => tracing::error!(file, done = self.done, of = self.of(), "posting stopped: {why}"),
        }
        self.told(state, why)
    }

    fn post(&mut self, office: &Office, tell: &impl Fn(Value)) -> Result<(), Stopped> {
        if self.done >= self.of() && self.done > 0 {
            return Ok(());
        }
        let mut reader = Reader::new(self.taken.format, self.taken.context);
        let (mut bytes, mut seen) = (Vec::new(), 0);
        for block in 0..=self.taken.spool.blocks() {
            if block < self.taken.spool.blocks() {
                self.taken.spool.read(block, &mut bytes)?;
                reader.feed(&bytes);
            } else {
                reader.end();
            }
            while let Some(next) = reader.next_item() {
                let located =
                    next.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
                let Item::Presentment(presentment) = located.item else { continue };
                seen += 1;
                if seen <= self.done {
                    continue;
                }
                self.record(office, located.position, &presentment)?;
                self.done = seen;
                if seen.is_multiple_of(office.records_per_note) {
                    self.note(office, seen.is_multiple_of(RECORDS_PER_SYNC))?;
                }
                if seen.is_multiple_of(RECORDS_PER_LOOK) {
                    tell(self.told("posting", None));
                }
            }
        }
        let last = self.note(office, true)?;
        self.until_durable(office, last)
    }

    /// Posts one record, and waits while the journal takes nothing.
    fn record(
        &mut self,
        office: &Office,
        position: Position,
        presentment: &Presentment,
    ) -> Result<(), Stopped> {
        loop {
            if office.stopping.load(Ordering::Acquire) {
                return Err(Stopped::Stopping);
            }
            match office.pipeline.clear(presentment, clock::now()) {
                Posted::Done(sequence, event, explanation) => {
                    office.counters.count(Some(event.outcome));
                    self.tally.add(presentment, &event, &explanation);
                    self.lines.record(position, presentment, (sequence, &event, &explanation))?;
                    return Ok(());
                }
                Posted::Again(first) => {
                    office.counters.count(None);
                    self.tally.repeat();
                    self.lines.repeat(position, presentment, first)?;
                    return Ok(());
                }
                Posted::Full("suspense") => return Err(Stopped::Suspense),
                Posted::Full(table) => return Err(Stopped::Full(table)),
                Posted::Failed => return Err(Stopped::Failed),
                Posted::Later => thread::sleep(PAUSE),
            }
        }
    }

    /// Notes in the report and then in the journal how far it has come.
    fn note(&mut self, office: &Office, sync: bool) -> Result<Sequence, Stopped> {
        self.lines.mark(self.done, &self.tally, sync)?;
        let posted = FilePosted::new(self.taken.checksum, self.done, self.of());
        loop {
            if let Some(sequence) = office.pipeline.note_file(&posted, clock::now()) {
                return Ok(sequence);
            }
            if office.pipeline.has_failed() {
                return Err(Stopped::Failed);
            }
            thread::sleep(PAUSE);
        }
    }

    /// Waits until everything is on disk (R1).
    fn until_durable(&self, office: &Office, last: Sequence) -> Result<(), Stopped> {
        while office.pipeline.durable() < last {
            if office.pipeline.has_failed() {
                return Err(Stopped::Failed);
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }
}
