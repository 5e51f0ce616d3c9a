//! What is measured while a run goes: counts, and latencies by link, group and interval.
//!
//! Latencies belong to the interval in which their message was due, counts to the one in which they happened. An
//! interval whose answers are all in is written down (HdrHistogram's V2 form), so that a long run stays small.

use std::collections::VecDeque;
use std::time::Duration;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::Serializer;
use hdrhistogram::serialization::V2Serializer;

use crate::edge::loadtest::host::Cores;
use crate::edge::loadtest::host::Daemon;
use crate::edge::loadtest::host::Processor;
use crate::edge::loadtest::host::Threads;
use crate::edge::loadtest::knee::per;
use crate::workload::answers::Group;

/// Latencies above this count as this.
const LATENCY_MAX_NS: u64 = 600_000_000_000;
/// A message that is sent so long after it was due was late.
pub(super) const LATE_NS: u64 = 1_000_000;
/// Answers to messages of an interval are waited for this much longer than the time-out.
const PATIENCE_NS: u64 = 500_000_000;
/// Empty histograms that are kept for each cell, and altogether.
const POOLED: usize = 8;
const POOL_MAX: usize = 64;

/// Latencies of one group.
#[derive(Clone, Debug)]
pub struct Latencies {
    /// From when a message was due; the one to judge a system by.
    pub response: Histogram<u64>,
    /// From when it was sent.
    pub service: Histogram<u64>,
}

impl Latencies {
    /// Nothing yet.
    ///
    /// # Errors
    /// The histograms cannot be made; their bounds are constants.
    pub(super) fn new() -> Result<Self, hdrhistogram::CreationError> {
        let histogram = || Histogram::new_with_bounds(1, LATENCY_MAX_NS, 3);
        Ok(Self { response: histogram()?, service: histogram()? })
    }

    fn clear(&mut self) {
        self.response.reset();
        self.service.reset();
    }

    /// Takes in what another counted. All have the same bounds, so that nothing is refused.
    pub(super) fn merge(&mut self, other: &Self) {
        let _same_bounds = self.response.add(&other.response);
        let _same_bounds = self.service.add(&other.service);
    }
}

/// What happened, of a whole run or of a part of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Messages that were sent.
    pub sent: u64,
    /// Answers that came in time.
    pub answered: u64,
    /// Messages whose answer was given up.
    pub given_up: u64,
    /// Messages that the generator sent more than a millisecond after they were due.
    pub late: u64,
    /// The same, while the peer did not take what was there to be written.
    pub held_back: u64,
    /// Nanoseconds in which the generator had something to do.
    pub busy: u64,
}

impl Counts {
    const fn since(&self, before: &Self) -> Self {
        Self {
            sent: self.sent - before.sent,
            answered: self.answered - before.answered,
            given_up: self.given_up - before.given_up,
            late: self.late - before.late,
            held_back: self.held_back - before.held_back,
            busy: self.busy - before.busy,
        }
    }

    /// Takes in what happened in another part.
    pub(super) const fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.answered += other.answered;
        self.given_up += other.given_up;
        self.late += other.late;
        self.held_back += other.held_back;
        self.busy += other.busy;
    }
}

/// One interval. Times are nanoseconds since sending began.
#[derive(Clone, Debug, Default)]
pub struct Interval {
    /// When it begins.
    pub start: u64,
    /// When it ends.
    pub end: u64,
    /// It is left out of rates and percentiles.
    pub warm_up: bool,
    /// Messages that were due in it; in a closed loop there is no plan.
    pub planned: u64,
    /// What happened in it.
    pub counts: Counts,
    /// The longest time between due and sent of what was sent in it; nanoseconds.
    pub slip: u64,
    /// Answers that came in it, by DE 39.
    pub codes: Vec<([u8; 2], u64)>,
    /// Those that say "not now" or "out of order".
    pub refused: u64,
    /// Processor time of the generator.
    pub processor: Processor,
    /// Time of the machine's cores.
    pub cores: Cores,
    /// Processor time of the daemon, where it is watched.
    pub daemon: Option<Daemon>,
    /// By cell: response and service times, written down.
    cells: Vec<Option<[Vec<u8>; 2]>>,
}

impl Interval {
    /// How many cells there are: links times groups.
    #[must_use]
    pub const fn cells(&self) -> usize {
        self.cells.len()
    }

    /// Latencies of a cell; `None` when there are none.
    #[must_use]
    pub fn latencies(&self, cell: usize) -> Option<Latencies> {
        let [response, service] = self.cells.get(cell)?.as_ref()?;
        let read = |bytes: &[u8]| Deserializer::new().deserialize(&mut &*bytes).ok();
        Some(Latencies { response: read(response)?, service: read(service)? })
    }

    fn write_down(&mut self, cell: usize, latencies: &Latencies) {
        let write = |histogram: &Histogram<u64>| {
            let mut bytes = Vec::new();
            V2Serializer::new().serialize(histogram, &mut bytes).ok().map(|_| bytes)
        };
        if let (Some(response), Some(service)) = (write(&latencies.response), write(&latencies.service))
            && let Some(place) = self.cells.get_mut(cell)
        {
            *place = Some([response, service]);
        }
    }
}

/// Latencies of an interval that still has answers to come.
#[derive(Debug)]
struct Open {
    interval: usize,
    start: u64,
    cells: Vec<Option<Latencies>>,
}

/// Where intervals begin and how much is planned in them.
#[derive(Clone, Debug, Default)]
pub(super) struct Cut {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) warm_up: bool,
    pub(super) planned: u64,
}

/// Counts and latencies of a run that goes on.
#[derive(Debug)]
pub(super) struct Recorder {
    /// Since sending began.
    pub(super) counts: Counts,
    /// The longest slip since the interval began.
    pub(super) slip: u64,
    intervals: Vec<Interval>,
    current: usize,
    open: VecDeque<Open>,
    pool: Vec<Latencies>,
    blank: Latencies,
    cell_count: usize,
    timeout: u64,
    daemon: Option<u32>,
    before: Before,
}

/// What was read at the beginning of an interval.
#[derive(Debug, Default)]
struct Before {
    counts: Counts,
    codes: Vec<([u8; 2], u64)>,
    refused: u64,
    processor: Processor,
    cores: Cores,
    threads: Option<Threads>,
}

impl Before {
    fn read(counts: Counts, codes: Vec<([u8; 2], u64)>, refused: u64, daemon: Option<u32>) -> Self {
        Self {
            counts,
            codes,
            refused,
            processor: Processor::now(),
            cores: Cores::now(),
            threads: daemon.and_then(Threads::of),
        }
    }
}

impl Recorder {
    /// For so many links.
    ///
    /// # Errors
    /// The histograms cannot be made; their bounds are constants.
    pub(super) fn new(
        cuts: Vec<Cut>,
        links: usize,
        timeout: Duration,
        daemon: Option<u32>,
    ) -> Result<Self, hdrhistogram::CreationError> {
        let blank = Latencies::new()?;
        let cell_count = links * Group::COUNT;
        let intervals = cuts.into_iter().map(|cut| Interval {
            start: cut.start,
            end: cut.end,
            warm_up: cut.warm_up,
            planned: cut.planned,
            cells: vec![None; cell_count],
            ..Interval::default()
        });
        Ok(Self {
            counts: Counts::default(),
            slip: 0,
            intervals: intervals.collect(),
            current: 0,
            open: VecDeque::new(),
            // Made before the run, so that no message waits for them.
            pool: vec![blank.clone(); (cell_count * POOLED).min(POOL_MAX)],
            blank,
            cell_count,
            timeout: u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX),
            daemon,
            before: Before::default(),
        })
    }

    /// Sending begins. `codes` are the answers that came before, which count nowhere.
    pub(super) fn begin(&mut self, codes: Vec<([u8; 2], u64)>, refused: u64) {
        (self.counts, self.slip) = (Counts::default(), 0);
        self.before = Before::read(Counts::default(), codes, refused, self.daemon);
        self.open_interval();
    }

    fn open_interval(&mut self) {
        if let Some(interval) = self.intervals.get(self.current) {
            let cells = (0..self.cell_count).map(|_| None).collect();
            self.open.push_back(Open { interval: self.current, start: interval.start, cells });
        }
    }

    /// An answer came to a message that was due at `due`, nanoseconds since sending began.
    #[inline]
    pub(super) fn latency(&mut self, cell: usize, due: u64, (since_due, since_sent): (u64, u64)) {
        let mut place = self.open.len().saturating_sub(1);
        while place > 0 && self.open[place].start > due {
            place -= 1;
        }
        let Some(open) = self.open.get_mut(place) else { return };
        let latencies = match &mut open.cells[cell] {
            Some(latencies) => latencies,
            empty => empty.insert(self.pool.pop().unwrap_or_else(|| self.blank.clone())),
        };
        latencies.response.saturating_record(since_due);
        latencies.service.saturating_record(since_sent);
    }

    /// Whether the interval is over at this time since sending began.
    #[inline]
    pub(super) fn is_over(&self, at: u64) -> bool {
        self.intervals.get(self.current).is_some_and(|interval| interval.end <= at)
    }

    /// Ends the intervals that are over. `codes` are all answers so far.
    pub(super) fn turn(&mut self, at: u64, codes: Vec<([u8; 2], u64)>, refused: u64) {
        self.take_down(codes, refused);
        while self.is_over(at) {
            self.current += 1;
            self.open_interval();
        }
        let limit = at.saturating_sub(self.timeout).saturating_sub(PATIENCE_NS);
        while self.open.len() > 1
            && self.open.front().is_some_and(|open| self.intervals[open.interval].end < limit)
        {
            self.close_oldest();
        }
    }

    /// Puts what happened since the last time into the current interval.
    fn take_down(&mut self, codes: Vec<([u8; 2], u64)>, refused: u64) {
        let now = Before::read(self.counts, codes, refused, self.daemon);
        let Some(interval) = self.intervals.get_mut(self.current) else { return };
        interval.counts = now.counts.since(&self.before.counts);
        interval.slip = std::mem::take(&mut self.slip);
        interval.refused = now.refused - self.before.refused;
        interval.processor = now.processor.since(self.before.processor);
        interval.cores = now.cores.since(self.before.cores);
        interval.daemon =
            now.threads.as_ref().zip(self.before.threads.as_ref()).map(|(now, before)| now.since(before));
        interval.codes = now
            .codes
            .iter()
            .map(|(code, count)| {
                let before = self.before.codes.iter().find(|(other, _)| other == code);
                (*code, count - before.map_or(0, |(_, count)| *count))
            })
            .filter(|(_, count)| *count > 0)
            .collect();
        self.before = now;
    }

    fn close_oldest(&mut self) {
        let Some(open) = self.open.pop_front() else { return };
        for (cell, latencies) in open.cells.into_iter().enumerate() {
            let Some(mut latencies) = latencies else { continue };
            self.intervals[open.interval].write_down(cell, &latencies);
            latencies.clear();
            self.pool.push(latencies);
        }
    }

    /// Sending ended: what would have come is dropped, and what comes from here on counts into an interval after it.
    pub(super) fn end(&mut self, at: u64, codes: Vec<([u8; 2], u64)>, refused: u64) {
        self.take_down(codes, refused);
        let cut = self.current.min(self.intervals.len().saturating_sub(1));
        self.intervals.truncate(cut + 1);
        if let Some(last) = self.intervals.last_mut() {
            let whole = last.end - last.start;
            last.end = last.end.min(at.max(last.start + 1));
            // An interval has one rate.
            last.planned = per(last.planned, last.end - last.start, whole);
        }
        let after =
            Interval { start: at, end: at, cells: vec![None; self.cell_count], ..Interval::default() };
        self.intervals.push(after);
        self.current = cut + 1;
    }

    /// The answers are in.
    pub(super) fn finish(mut self, at: u64, codes: Vec<([u8; 2], u64)>, refused: u64) -> Recorded {
        self.take_down(codes, refused);
        while !self.open.is_empty() {
            self.close_oldest();
        }
        let mut after = self.intervals.pop().unwrap_or_default();
        after.end = at;
        Recorded { intervals: self.intervals, after, counts: self.counts, cells: self.cell_count }
    }
}

/// What a run left.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    /// The intervals in which messages were sent.
    pub intervals: Vec<Interval>,
    /// What came after the last message was sent.
    pub after: Interval,
    /// All of it.
    pub counts: Counts,
    cells: usize,
}

impl Recorded {
    /// What counts: the intervals after the warm-up.
    pub fn counted(&self) -> impl Iterator<Item = &Interval> {
        self.intervals.iter().filter(|interval| !interval.warm_up)
    }

    /// Latencies of some intervals by cell, merged; `None` where there are none.
    #[must_use]
    pub fn merged<'i>(&self, intervals: impl Iterator<Item = &'i Interval>) -> Vec<Option<Latencies>> {
        let mut merged: Vec<Option<Latencies>> = vec![None; self.cells];
        for interval in intervals {
            for (cell, into) in merged.iter_mut().enumerate() {
                let Some(latencies) = interval.latencies(cell) else { continue };
                match into {
                    Some(into) => into.merge(&latencies),
                    None => *into = Some(latencies),
                }
            }
        }
        merged
    }
}

/// Latencies of several cells as one; `None` when there are none.
#[must_use]
pub fn together<'l>(cells: impl Iterator<Item = &'l Option<Latencies>>) -> Option<Latencies> {
    let mut all: Option<Latencies> = None;
    for latencies in cells.flatten() {
        match &mut all {
            Some(all) => all.merge(latencies),
            None => all = Some(latencies.clone()),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(start: u64, end: u64) -> Cut {
        Cut { start, end, warm_up: start == 0, planned: 10 }
    }

    #[test]
    fn latencies_belong_to_when_their_message_was_due() {
        let cuts = vec![cut(0, 1_000), cut(1_000, 2_000), cut(2_000, 9_000)];
        let mut recorder = Recorder::new(cuts, 2, Duration::from_nanos(100), None).expect("histograms");
        recorder.begin(Vec::new(), 0);
        let code = |count| vec![(*b"00", count)];
        // (now, cell, due, latency)
        for (now, cell, due, latency) in [
            (900, 0, 500, 400_u64),
            (1_100, 0, 999, 101),
            (1_200, 5, 1_001, 199),
            (2_500, 5, 1_999, 501),
            (2_600, 0, 2_000, 600),
        ] {
            while recorder.is_over(now) {
                recorder.turn(now, code(recorder.counts.answered), 0);
            }
            recorder.counts.answered += 1;
            recorder.latency(cell, due, (latency, latency / 2));
        }
        recorder.end(3_000, code(5), 0);
        recorder.counts.answered += 1;
        recorder.latency(0, 2_900, (700, 700));
        let recorded = recorder.finish(4_000, code(6), 0);
        let samples = |interval: &Interval, cell| interval.latencies(cell).map_or(0, |l| l.response.len());
        let table: Vec<(u64, u64, u64, u64)> = recorded
            .intervals
            .iter()
            .map(|one| (one.end, one.counts.answered, samples(one, 0), samples(one, 5)))
            .collect();
        assert_eq!(table, [(1_000, 1, 2, 0), (2_000, 2, 0, 2), (3_000, 2, 2, 0)]);
        assert_eq!((recorded.after.counts.answered, recorded.counts.answered), (1, 6));
        let counted = recorded.merged(recorded.counted());
        let all = together(counted.iter()).expect("latencies");
        assert_eq!((all.response.len(), all.response.max(), all.service.min()), (4, 700, 99));
        assert!(together(counted[1..5].iter()).is_none());
        assert_eq!(recorded.intervals[1].codes, code(2));
        let planned: Vec<u64> = recorded.intervals.iter().map(|one| one.planned).collect();
        assert_eq!(planned, [10, 10, 1]);
    }

    #[test]
    fn merged_histograms_have_the_percentiles_of_all_samples() {
        let mut whole = Latencies::new().expect("a histogram");
        let mut parts: Vec<Option<Latencies>> = (0..7).map(|_| Latencies::new().ok()).collect();
        for n in 0..50_000_u64 {
            let value = n * n % 1_000_003 + 20;
            whole.response.saturating_record(value);
            let part = parts[(n % 7) as usize].as_mut().expect("a part");
            part.response.saturating_record(value);
        }
        let merged = together(parts.iter()).expect("latencies");
        assert_eq!(merged.response, whole.response);
    }
}
