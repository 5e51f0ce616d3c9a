//! Merging of a day's runs, some bytes at a time.
//!
//! Runs of about the same size are merged once there are many of them, so that a row of a day that goes on is written
//! once for each power of sixteen in which the day's rows outnumber a flush. What is left of a day that is over is
//! merged into one.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::journal::storage::Storage;
use crate::journal::storage::StorageFile;

use super::block::BLOCK_BYTES;
use super::entry::Day;
use super::error::HistoryError;
use super::merge::Merge;
use super::merge::Next;
use super::merge::Rows;
use super::merge::Source;
use super::run::Run;
use super::run_writer::RunWriter;

/// So many runs of about the same size are merged into one.
pub(super) const FAN: usize = 16;
/// Most runs that are merged at once; each takes the memory of a block.
const RUNS_MAX: usize = 64;

/// Runs that are being merged into one.
#[derive(Debug)]
pub(super) struct Merging<F> {
    pub(super) inputs: Vec<u64>,
    pub(super) output: u64,
    pub(super) day: Day,
    merge: Merge<'static, F>,
    writer: RunWriter<F>,
    ended: bool,
}

/// Which runs should be merged now; none when all is well.
pub(super) fn choose<F>(runs: &[Arc<Run<F>>]) -> Vec<Arc<Run<F>>> {
    let days: BTreeSet<Day> = runs.iter().map(|run| run.described.day).collect();
    let newest = days.last().copied();
    let mut whole_day = None;
    for day in days {
        let mut of_day: Vec<&Arc<Run<F>>> = runs.iter().filter(|run| run.described.day == day).collect();
        of_day.sort_by_key(|run| run.described.rows);
        // Small ones first: where most are, a look-up has most to do.
        for same_size in of_day.chunk_by(|one, other| tier(one) == tier(other)) {
            if same_size.len() >= FAN {
                return same_size[..FAN].iter().map(|run| Arc::clone(run)).collect();
            }
        }
        if of_day.len() > 1 && Some(day) < newest && whole_day.is_none() {
            of_day.truncate(RUNS_MAX);
            whole_day = Some(of_day);
        }
    }
    whole_day.unwrap_or_default().into_iter().map(Arc::clone).collect()
}

/// Runs of one tier differ in size by less than sixteen times.
fn tier<F>(run: &Arc<Run<F>>) -> u32 {
    run.described.rows.max(1).ilog2() / FAN.ilog2()
}

impl<F: StorageFile> Merging<F> {
    /// Begins to merge these runs, of which there is one at least.
    pub(super) fn begin<S: Storage<File = F>>(
        storage: &S,
        output: u64,
        runs: &[Arc<Run<F>>],
    ) -> Result<Option<Self>, HistoryError> {
        let Some(first) = runs.first() else { return Ok(None) };
        let day = first.described.day;
        let cards = runs.iter().map(|run| run.footer.cards).sum();
        let writer = RunWriter::create(storage, output, day, cards)?;
        let sources = runs.iter().map(|run| Source::Run(Rows::new(run, 0, 0))).collect();
        let inputs = runs.iter().map(|run| run.described.number).collect();
        Ok(Some(Self { inputs, output, day, merge: Merge::new(sources), writer, ended: false }))
    }

    /// Goes on until about so many bytes were read and written. Returns how many there were, and whether the run is
    /// whole and durable.
    pub(super) fn step(&mut self, budget: u64) -> Result<(u64, bool), HistoryError> {
        let began = self.moved();
        while !self.ended && self.moved() - began < budget.max(1) {
            match self.merge.next(u128::MAX, u64::MAX)? {
                Next::Row(key) => {
                    self.writer.push(&self.merge.row())?;
                    self.merge.skip(key);
                }
                Next::End | Next::Unread => self.ended = true,
            }
        }
        let moved = self.moved() - began;
        if !self.ended {
            return Ok((moved, false));
        }
        let left = budget.saturating_sub(moved).clamp(1, u64::MAX - 1);
        let before = self.writer.written();
        let whole = self.writer.end(left)?;
        Ok((moved + self.writer.written() - before, whole))
    }

    /// Bytes that were read, and made to be written.
    const fn moved(&self) -> u64 {
        self.merge.blocks * BLOCK_BYTES as u64 + self.writer.bytes()
    }

    pub(super) fn into_run(self) -> Run<F> {
        self.writer.into_run()
    }
}
