//! The run itself: one task that offers messages and reads answers, as fast as one core can.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use crate::dialect::Dialect;
use crate::domain::time::Timestamp;
use crate::edge::loadtest::connection::Connection;
use crate::edge::loadtest::courier::Courier;
use crate::edge::loadtest::drive::LoadError;
use crate::edge::loadtest::measure::Cut;
use crate::edge::loadtest::measure::LATE_NS;
use crate::edge::loadtest::measure::Recorded;
use crate::edge::loadtest::measure::Recorder;
use crate::edge::loadtest::plan::Pace;
use crate::edge::loadtest::plan::Plan;
use crate::edge::loadtest::schedule::Schedule;
use crate::edge::loadtest::schedule::Share;
use crate::edge::loadtest::schedule::planned;
use crate::workload::acquirer::Acquirer;
use crate::workload::answers::Group;
use crate::workload::answers::Received;
use crate::workload::population::Population;

pub(super) const SECOND_NS: u64 = 1_000_000_000;
/// Nearer to the next message than this, the task does not sleep: timers are coarser.
const SPIN_NS: u64 = 2_000_000;
/// After so long without a pause the runtime looks which sockets have become ready: without that, an open loop that
/// always has something to send would never read.
const POLL_NS: u64 = 20_000;
/// So many messages are in flight on each connection while the level is being reached.
const FILL_WINDOW: usize = 256;
/// So long at least it is waited in the end for clearing files that are under way.
const QUIET_MIN: Duration = Duration::from_secs(30);
/// How often the run is looked at for a reason to end early.
const WATCH_NS: u64 = 50_000_000;
/// A peer that answered before has fallen silent once so many messages in a row were given up.
const SILENT_AFTER: u64 = 10;
/// Intervals are so long, and longer in runs that would have more of them than this.
const INTERVAL_NS: u64 = SECOND_NS;
const INTERVALS_MAX: u64 = 900;

/// Why a run ended before its time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stop {
    /// Somebody pressed Ctrl-C.
    Interrupted,
    /// No answer came for so long.
    Silent(Duration),
    /// So many connections were closed by the peer, of so many.
    Lost(usize, usize),
    /// A clearing file is not posted, or a hold has not run out.
    Unclear,
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interrupted => f.write_str("interrupted"),
            Self::Silent(time) => {
                write!(
                    f,
                    "the peer fell silent: no answer for {}.{:03} s",
                    time.as_secs(),
                    time.subsec_millis()
                )
            }
            Self::Unclear => f.write_str("a clearing file is not posted, or a hold has not run out"),
            Self::Lost(lost, of) => write!(f, "the peer closed {lost} of {of} connections"),
        }
    }
}

/// The frames of one connection, made before the run.
#[derive(Default)]
struct Prepared {
    frames: Vec<u8>,
    messages: Vec<(u32, u32)>,
    next: usize,
    at: usize,
}

/// The last time that an answer came.
#[derive(Clone, Copy, Default)]
struct Heard {
    at: u64,
    answered: u64,
    given_up: u64,
}

/// A run that goes on. Times are nanoseconds of the run unless they are said to count from when sending began.
pub(super) struct Driver<'p> {
    pub(super) plan: &'p Plan,
    pub(super) acquirer: Acquirer,
    pub(super) connections: Vec<Connection>,
    courier: Option<Courier>,
    recorder: Recorder,
    schedule: Schedule,
    prepared: Vec<Prepared>,
    started: Instant,
    wall: Timestamp,
    second: u64,
    watched: u64,
    heard: Heard,
    /// When messages are sent.
    sending: std::ops::Range<u64>,
    /// The level is still to be reached: nothing of this counts.
    filling: bool,
    offered: u64,
    messages: u64,
    /// Why the run ended early.
    pub(super) stop: Option<Stop>,
}

impl<'p> Driver<'p> {
    pub(super) async fn connect(plan: &'p Plan, population: Population) -> Result<Self, LoadError> {
        let dialects: Vec<Dialect> = plan.targets.iter().map(|target| target.dialect.clone()).collect();
        let mut traffic = plan.traffic.clone();
        // Without the HTTP face nobody takes a clearing file.
        traffic.clears &= plan.http.is_some();
        if plan.prepare && traffic.mix.has_lives() {
            return Err(LoadError::Lives);
        }
        if plan.prepare {
            let messages = plan.prepared_messages().ok_or(LoadError::Unbounded)?;
            let before = if plan.fill { traffic.level_remembers() } else { 0 };
            let messages = usize::try_from(messages).unwrap_or(usize::MAX);
            traffic.remembered = traffic.remembered.max(messages.saturating_add(before));
        }
        let acquirer = Acquirer::new(population, &dialects, &plan.places(), &traffic, plan.run)?;
        Self::with(plan, acquirer).await
    }

    /// Opens the connections for what is to be sent.
    pub(super) async fn with(plan: &'p Plan, mut acquirer: Acquirer) -> Result<Self, LoadError> {
        let room = match plan.pace {
            Pace::Closed { window } => window + 1,
            _ => 1 << 16,
        };
        let places = plan.places();
        let mut connections = Vec::with_capacity(places.len());
        for place in &places {
            let target = &plan.targets[*place];
            let opened = Connection::open(*place, target, room).await;
            connections.push(opened.map_err(|error| LoadError::Target {
                dialect: target.dialect.name().to_owned(),
                address: target.address,
                error,
            })?);
        }
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall = Timestamp(u64::try_from(since_1970.as_nanos()).unwrap_or(0));
        acquirer.set_time(wall);
        let courier = match plan.http.filter(|_| plan.traffic.clears) {
            Some(address) => Some(
                Courier::new(address).map_err(|error| LoadError::Http { address, error: error.into() })?,
            ),
            None => None,
        };
        let recorder = Recorder::new(cuts(plan), plan.targets.len(), plan.timeout, plan.daemon)?;
        Ok(Self {
            plan,
            acquirer,
            connections,
            courier,
            recorder,
            schedule: Schedule::new(plan.pieces(), &shares(plan, &places), &places),
            prepared: Vec::new(),
            started: Instant::now(),
            wall,
            second: 0,
            watched: 0,
            heard: Heard::default(),
            sending: 0..0,
            filling: false,
            offered: 0,
            messages: plan.messages.unwrap_or(u64::MAX),
            stop: None,
        })
    }

    /// Nanoseconds of the run.
    #[inline]
    pub(super) fn now(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }

    /// Follows the clock: DE 7, intervals, and reasons to end early.
    #[inline]
    fn keep_time(&mut self, sending: bool, now: u64) {
        let second = now / SECOND_NS;
        if second != self.second {
            self.second = second;
            self.acquirer.set_time(Timestamp(self.wall.0 + now));
        }
        if sending {
            let at = now - self.sending.start;
            if !self.filling && self.recorder.is_over(at) {
                let (codes, refused) = self.codes();
                self.recorder.turn(at, codes, refused);
            }
            if now >= self.watched {
                self.watched = now + WATCH_NS;
                self.watch(now);
            }
        }
    }

    /// Life cycles go on whose holds have run out, or whose clearing file is posted.
    fn look_after_quiet(&mut self, now: u64) {
        self.acquirer.wake(now);
        if let Some(courier) = &mut self.courier
            && let Err(error) = courier.look(&mut self.acquirer)
        {
            eprintln!("turnpike load: {error}");
            self.courier = None;
            self.stop = self.stop.or(Some(Stop::Unclear));
        }
    }

    /// Waits for what life cycles wait for beside answers, so that money can be compared.
    pub(super) async fn await_quiet(&mut self) {
        let wait = self.plan.timeout.max(QUIET_MIN) + self.plan.traffic.expires_after.unwrap_or_default();
        let deadline = self.now().saturating_add(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX));
        while self.acquirer.waits_quietly() {
            let now = self.now();
            // What nobody brings any more is never posted.
            if now >= deadline || self.courier.is_none() && self.acquirer.waits_for_clearing() {
                self.stop = self.stop.or(Some(Stop::Unclear));
                return;
            }
            self.look_after_quiet(now);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn codes(&self) -> (Vec<([u8; 2], u64)>, u64) {
        (self.acquirer.codes_seen().collect(), self.acquirer.refusals_seen())
    }

    /// Ends the run when somebody wants it, or when the peer has fallen silent.
    fn watch(&mut self, now: u64) {
        if self.plan.interrupted.load(Ordering::Relaxed) {
            self.stop = Some(Stop::Interrupted);
            return;
        }
        let counts = &self.recorder.counts;
        if counts.answered != self.heard.answered {
            self.heard = Heard { at: now, answered: counts.answered, given_up: counts.given_up };
            return;
        }
        let given_up = counts.given_up - self.heard.given_up;
        let enough = if counts.answered == 0 { 1 } else { SILENT_AFTER };
        let silent = Duration::from_nanos(now - self.heard.at);
        if given_up >= enough && silent > self.plan.timeout {
            self.stop = Some(Stop::Silent(silent));
        }
    }

    /// Reaches the level that the plan keeps, as fast as is answered, and waits for the answers.
    pub(super) async fn fill(&mut self) {
        if !self.plan.fill {
            return;
        }
        let begin = self.now();
        (self.filling, self.sending, self.heard.at) = (true, begin..u64::MAX, begin);
        self.pump(true, u64::MAX).await;
        self.filling = false;
        self.pump(false, self.patience()).await;
        self.offered = 0;
    }

    /// Until when answers may come to what has been sent by now.
    fn patience(&self) -> u64 {
        let timeout = u64::try_from(self.plan.timeout.as_nanos()).unwrap_or(u64::MAX);
        self.now().saturating_add(timeout).saturating_add(SECOND_NS)
    }

    /// Makes all frames of a prepared run.
    pub(super) fn prepare(&mut self) {
        let Some(messages) = self.plan.prepared_messages().filter(|_| self.plan.prepare) else { return };
        let count = self.connections.len();
        self.prepared.resize_with(count, Prepared::default);
        let mut schedule = self.schedule.clone();
        for n in 0..messages {
            let by_time = schedule.first().map(|(place, _)| place);
            let stream = by_time.unwrap_or((n % count as u64) as usize);
            if by_time.is_some() {
                schedule.advance(stream);
            }
            let prepared = &mut self.prepared[stream];
            let before = prepared.frames.len();
            let number = self.acquirer.compose(stream, &mut prepared.frames);
            prepared.messages.push((number, (prepared.frames.len() - before) as u32));
        }
    }

    /// Sends and receives until the time or the messages are over and the answers are in. Returns when it began, and
    /// what was measured.
    pub(super) async fn send_all(&mut self) -> Result<(Timestamp, Recorded), LoadError> {
        let begin = self.now();
        let length = u64::try_from(self.plan.sending().as_nanos()).unwrap_or(u64::MAX);
        self.sending = begin..begin.saturating_add(length);
        self.heard.at = begin;
        let (codes, refused) = self.codes();
        self.recorder.begin(codes, refused);
        self.pump(true, self.sending.end).await;
        let (codes, refused) = self.codes();
        let end = self.now() - begin;
        self.recorder.end(end, codes, refused);
        self.pump(false, self.patience()).await;
        let lost = self.connections.iter().filter(|connection| connection.closed).count();
        if lost > 0 {
            self.stop = self.stop.or(Some(Stop::Lost(lost, self.connections.len())));
        }
        let (codes, refused) = self.codes();
        let idle = Recorder::new(Vec::new(), 0, self.plan.timeout, None)?;
        let recorder = std::mem::replace(&mut self.recorder, idle);
        Ok((Timestamp(self.wall.0 + begin), recorder.finish(self.now() - begin, codes, refused)))
    }

    /// When the next message of a connection is due; `None` when that is later than now, or never.
    #[inline]
    fn due(&self, place: usize, now: u64) -> Option<u64> {
        let in_flight = self.connections[place].in_flight;
        if self.filling {
            return (in_flight < FILL_WINDOW && !self.acquirer.is_level(place)).then_some(now);
        }
        if self.offered >= self.messages {
            return None;
        }
        let due = match self.plan.pace {
            Pace::Closed { window } if in_flight >= window => return None,
            Pace::Closed { .. } => now,
            _ => self.sending.start.saturating_add(self.schedule.next(place)),
        };
        (due <= now && due < self.sending.end).then_some(due)
    }

    /// When a connection's next messages are due as a group.
    #[inline]
    fn ripe(&self, place: usize) -> u64 {
        let next = self.schedule.next(place).saturating_add(self.schedule.hold(place));
        self.sending.start.saturating_add(next)
    }

    /// Composes what is due on a connection. True when something was.
    #[inline]
    fn offer(&mut self, place: usize, now: u64) -> bool {
        let open = !self.filling && !matches!(self.plan.pace, Pace::Closed { .. });
        if open && now < self.sending.end && now < self.ripe(place) {
            return false;
        }
        let mut any = false;
        while self.connections[place].has_room() {
            let Some(due) = self.due(place, now) else { break };
            let connection = &mut self.connections[place];
            let number = match self.prepared.get_mut(place) {
                None => self.acquirer.compose(place, &mut connection.output),
                Some(prepared) => {
                    let Some((number, length)) = prepared.messages.get(prepared.next).copied() else { break };
                    let end = prepared.at + length as usize;
                    connection.output.extend_from_slice(&prepared.frames[prepared.at..end]);
                    (prepared.next, prepared.at) = (prepared.next + 1, end);
                    number
                }
            };
            self.acquirer.sent(number, due, now);
            connection.waiting.push_back(number);
            connection.in_flight += 1;
            if open {
                self.schedule.advance(place);
            }
            self.offered += 1;
            let recorder = &mut self.recorder;
            recorder.counts.sent += 1;
            let slip = now - due;
            if slip > LATE_NS {
                let held_back = due <= connection.blocked;
                *(if held_back { &mut recorder.counts.held_back } else { &mut recorder.counts.late }) += 1;
            }
            recorder.slip = recorder.slip.max(slip);
            any = true;
        }
        any
    }

    /// Reads a connection and takes in its answers. True when something came.
    pub(super) fn absorb(&mut self, place: usize) -> bool {
        let connection = &mut self.connections[place];
        if !connection.fill() {
            return false;
        }
        let now = self.started.elapsed().as_nanos() as u64;
        let since_sending = now.saturating_sub(self.sending.start);
        let first_cell = connection.target * Group::COUNT;
        let (acquirer, recorder) = (&mut self.acquirer, &mut self.recorder);
        let mut answered = 0;
        connection.take_messages(|body, output| match acquirer.receive(place, body, now) {
            Received::Answer { group, since_due, since_sent } => {
                answered += 1;
                let due = since_sending.saturating_sub(since_due);
                recorder.latency(first_cell + group as usize, due, (since_due, since_sent));
            }
            Received::Stray => {}
            Received::Request => {
                let network = acquirer.network_of(place);
                if let Some(reader) = acquirer.reader(network) {
                    reader.answer_request(body, output);
                }
            }
        });
        connection.in_flight = connection.in_flight.saturating_sub(answered);
        recorder.counts.answered += answered as u64;
        true
    }

    /// Waits no longer for answers that should be there.
    fn expire(&mut self, place: usize, now: u64) {
        let connection = &mut self.connections[place];
        while let Some(oldest) = connection.waiting.front().copied() {
            if !self.acquirer.is_over(oldest) {
                let timeout = self.plan.timeout.as_nanos() as u64;
                if !connection.closed && self.acquirer.sent_at(oldest).saturating_add(timeout) > now {
                    break;
                }
                if self.acquirer.give_up(oldest) {
                    self.recorder.counts.given_up += 1;
                    connection.in_flight = connection.in_flight.saturating_sub(1);
                }
            }
            connection.waiting.pop_front();
        }
    }

    /// Runs the connections until `deadline`, until all messages are sent, or, when not sending, until nothing is in
    /// flight.
    pub(super) async fn pump(&mut self, sending: bool, deadline: u64) {
        let mut polled = self.now();
        loop {
            let now = self.now();
            self.keep_time(sending, now);
            self.look_after_quiet(now);
            let mut progress = false;
            for place in 0..self.connections.len() {
                progress |= self.absorb(place);
                if sending {
                    progress |= self.offer(place, now);
                }
                let connection = &mut self.connections[place];
                progress |= connection.flush();
                if connection.has_output() {
                    connection.blocked = now;
                }
                self.expire(place, now);
            }
            let over = if sending {
                self.stop.is_some() || self.is_all_sent()
            } else {
                self.connections
                    .iter()
                    .all(|connection| connection.in_flight == 0 && !connection.has_output())
            };
            let lost = self.connections.iter().all(|connection| connection.closed);
            if over || now >= deadline || lost {
                return;
            }
            if progress {
                let after = self.now();
                if sending {
                    self.recorder.counts.busy += after - now;
                }
                if after - polled > POLL_NS {
                    tokio::task::yield_now().await;
                    polled = after;
                }
            } else {
                self.idle(sending && !self.filling, now).await;
                polled = now;
            }
        }
    }

    /// Whether nothing more is to be sent, apart from the time.
    fn is_all_sent(&self) -> bool {
        if self.filling {
            return (0..self.connections.len()).all(|place| self.acquirer.is_level(place));
        }
        self.offered >= self.messages
    }

    /// Until a socket is ready, or something is due.
    pub(super) async fn idle(&self, sending: bool, now: u64) {
        let mut limit = 20_000_000;
        if sending && let Some((place, _)) = self.schedule.first() {
            let wait = self.ripe(place).saturating_sub(now);
            if wait < SPIN_NS {
                return tokio::task::yield_now().await;
            }
            limit = limit.min(wait - SPIN_NS / 2);
        }
        let mut sleep = pin!(tokio::time::sleep(Duration::from_nanos(limit)));
        poll_fn(|context| {
            if self.connections.iter().any(|connection| connection.poll_ready(context)) {
                return Poll::Ready(());
            }
            sleep.as_mut().poll(context)
        })
        .await;
    }
}

fn shares(plan: &Plan, places: &[usize]) -> Vec<Share> {
    let share = |(place, weight)| Share {
        weight,
        connections: places.iter().filter(|target| **target == place).count(),
    };
    plan.targets.iter().map(|target| target.weight).enumerate().map(share).collect()
}

/// Where intervals begin: at the end of the warm-up, with every piece of the schedule, and every second.
fn cuts(plan: &Plan) -> Vec<Cut> {
    let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let (end, warm_up) = (ns(plan.sending()), ns(plan.warm_up));
    let length = INTERVAL_NS.max(end.div_ceil(INTERVALS_MAX));
    let pieces = plan.pieces();
    let mut edges = vec![0, warm_up.min(end), end];
    edges.extend(pieces.iter().map(|piece| piece.start));
    // Seconds count from the beginning of each step, and in other profiles from the end of the warm-up.
    let parts: Vec<(u64, u64)> = match plan.pace {
        Pace::Steps { .. } => pieces.iter().map(|piece| (piece.start, piece.end)).collect(),
        _ => vec![(0, warm_up), (warm_up, end)],
    };
    for (start, end) in parts {
        edges.extend((0..INTERVALS_MAX).map(|n| start.saturating_add(n * length)).take_while(|at| *at < end));
    }
    edges.sort_unstable();
    edges.dedup();
    edges
        .windows(2)
        .filter_map(|edge| edge.first().copied().zip(edge.last().copied()))
        .map(|(start, end)| Cut {
            start,
            end,
            warm_up: end <= warm_up,
            planned: planned(&pieces, start, end),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::loadtest::profile::Steps;
    use crate::workload::identity::Run;

    #[test]
    fn intervals_are_cut_at_the_warm_up_and_at_every_step() {
        let ms = |n: u64| n * 1_000_000;
        let steps =
            |rates: &[u64]| Pace::Steps { rates: Steps(rates.to_vec()), each: Duration::from_millis(1_500) };
        let table: [(Pace, u64, u64, &[u64]); 4] = [
            (Pace::Open { rate: 10 }, 2_000, 0, &[0, 1_000, 2_000]),
            (Pace::Open { rate: 10 }, 2_300, 500, &[0, 500, 1_500, 2_300]),
            (steps(&[10, 20]), 0, 0, &[0, 1_000, 1_500, 2_500, 3_000]),
            (Pace::Closed { window: 1 }, 1_200, 1_100, &[0, 1_000, 1_100, 1_200]),
        ];
        for (pace, length, warm_up, edges) in table {
            let length = Duration::from_millis(length);
            let mut plan = Plan::new(Vec::new(), Population::default(), pace, length, Run::new(1));
            plan.warm_up = Duration::from_millis(warm_up);
            let cuts = cuts(&plan);
            let starts: Vec<u64> =
                cuts.iter().map(|cut| cut.start).chain(cuts.last().map(|cut| cut.end)).collect();
            assert_eq!(starts, edges.iter().copied().map(ms).collect::<Vec<u64>>());
            assert!(cuts.iter().all(|cut| cut.warm_up == (cut.end <= ms(warm_up))));
            let all: u64 = cuts.iter().map(|cut| cut.planned).sum();
            let pieces = plan.pieces();
            assert_eq!(all, pieces.last().map_or(0, |last| planned(&pieces, 0, last.end)));
        }
        let day = Duration::from_secs(86_400);
        let plan = Plan::new(Vec::new(), Population::default(), Pace::Open { rate: 1 }, day, Run::new(1));
        assert!(cuts(&plan).len() <= 901);
    }
}
