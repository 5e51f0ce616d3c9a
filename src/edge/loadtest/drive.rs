//! The run itself: one task that offers messages, reads answers, settles what is open, and has the money compared.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use crate::dialect::Dialect;
use crate::domain::time::Timestamp;
use crate::edge::loadtest::connection::Connection;
use crate::edge::loadtest::http::HttpError;
use crate::edge::loadtest::measure::LATE_NS;
use crate::edge::loadtest::measure::Measured;
use crate::edge::loadtest::measure::processor_time;
use crate::edge::loadtest::plan::Pace;
use crate::edge::loadtest::plan::Plan;
use crate::edge::loadtest::report::Report;
use crate::edge::loadtest::verify::Before;
use crate::workload::acquirer::Acquirer;
use crate::workload::answers::Received;
use crate::workload::exchange::Kind;
use crate::workload::population::Population;
use crate::workload::template::TemplateError;

const SECOND_NS: u64 = 1_000_000_000;
/// Nearer to the next message than this, the task does not sleep: timers are coarser.
const SPIN_NS: u64 = 2_000_000;
/// How often something open is settled again.
const SETTLE_TRIES: u32 = 5;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A target does not listen.
    #[error("{dialect} at {address} cannot be reached: {error}")]
    Target {
        /// Its dialect.
        dialect: String,
        /// Where it should listen.
        address: SocketAddr,
        /// Why not.
        error: std::io::Error,
    },
    /// A target does not answer the sign-on.
    #[error("{address} does not answer a sign-on (0800); is it of another dialect?")]
    SignOn {
        /// Where it listens.
        address: SocketAddr,
    },
    /// The HTTP face.
    #[error("the HTTP face at {address}: {error}")]
    Http {
        /// Where it should listen.
        address: SocketAddr,
        /// Why not.
        error: HttpError,
    },
    /// The dialect cannot carry the traffic.
    #[error("{0}")]
    Template(#[from] TemplateError),
    /// A histogram.
    #[error("latencies cannot be counted: {0}")]
    Histogram(#[from] hdrhistogram::CreationError),
    /// A prepared run needs an end.
    #[error("a prepared run needs a number of messages, or a rate")]
    Unbounded,
}

/// Drives a load test to its report.
///
/// # Errors
/// It cannot begin, or the daemon is gone when the money is to be compared.
pub async fn drive(plan: Plan) -> Result<Report, LoadError> {
    drive_keeping(plan).await.map(|(report, _)| report)
}

/// Drives a load test and keeps its exchanges and books, for tests that ask further.
///
/// # Errors
/// As for [`drive`].
pub async fn drive_keeping(mut plan: Plan) -> Result<(Report, Acquirer), LoadError> {
    if plan.echo {
        plan.traffic.echo = true;
        (plan.settle, plan.http) = (false, None);
    }
    let population = std::mem::take(&mut plan.population);
    let http_error =
        |error| LoadError::Http { address: plan.http.unwrap_or(([0, 0, 0, 0], 0).into()), error };
    let before = match plan.http {
        Some(address) => {
            let seed = plan.traffic.seed;
            let read = Before::read(address, &population, plan.verify_wallets, seed).await;
            Some(read.map_err(http_error)?)
        }
        None => None,
    };
    let mut driver = Driver::connect(&plan, population).await?;
    driver.sign_on().await?;
    driver.prepare();
    let begin = driver.send_all().await;
    // What is settled and signed off afterwards is no measurement.
    let (measured, late_answers) = (driver.measured.clone(), driver.acquirer.late_answers());
    let settled = if plan.settle { driver.settle().await } else { 0 };
    if plan.settle {
        driver.sign_off().await;
    }
    let Driver { acquirer, .. } = driver;
    let comparison = match before {
        Some(before) => Some(before.compare(&acquirer).await.map_err(http_error)?),
        None => None,
    };
    let mut report = Report::new(&plan, &acquirer, measured, settled, comparison, begin);
    report.late_answers = late_answers;
    Ok((report, acquirer))
}

/// Sends the repeats (0101, 0201, 0401, 0421) of exchanges of an earlier run with the same plan, as a network does
/// after an outage. What their answers say stands in the books' mistakes.
///
/// # Errors
/// A target cannot be reached.
pub async fn repeat(plan: &Plan, acquirer: Acquirer, numbers: &[u32]) -> Result<Acquirer, LoadError> {
    let mut driver = Driver::with(plan, acquirer).await?;
    driver.sign_on().await?;
    let now = driver.now();
    for number in numbers {
        let mut frame = Vec::new();
        let Some((stream, repeat)) = driver.acquirer.compose_repeat(*number, &mut frame) else { continue };
        let connection = &mut driver.connections[stream];
        connection.output.extend_from_slice(&frame);
        connection.waiting.push_back(repeat);
        connection.in_flight += 1;
        driver.acquirer.sent(repeat, now, now);
    }
    let timeout = plan.timeout.as_nanos() as u64;
    driver.pump(false, now.saturating_add(timeout).saturating_add(SECOND_NS)).await;
    Ok(driver.acquirer)
}

/// The frames of one connection, made before the run.
#[derive(Default)]
struct Prepared {
    frames: Vec<u8>,
    messages: Vec<(u32, u32)>,
    next: usize,
    at: usize,
}

struct Driver<'p> {
    plan: &'p Plan,
    acquirer: Acquirer,
    connections: Vec<Connection>,
    measured: Measured,
    prepared: Vec<Prepared>,
    started: Instant,
    wall: Timestamp,
    second: u64,
    /// Nanoseconds of the run in which messages are sent.
    sending: std::ops::Range<u64>,
    offered: u64,
    messages: u64,
}

impl<'p> Driver<'p> {
    async fn connect(plan: &'p Plan, population: Population) -> Result<Self, LoadError> {
        let dialects: Vec<Dialect> = plan.targets.iter().map(|target| target.dialect.clone()).collect();
        let networks: Vec<usize> =
            (0..plan.connections * dialects.len()).map(|place| place % dialects.len()).collect();
        let mut traffic = plan.traffic.clone();
        if plan.prepare {
            let messages = plan.prepared_messages().ok_or(LoadError::Unbounded)?;
            traffic.remembered = traffic.remembered.max(usize::try_from(messages).unwrap_or(usize::MAX));
        }
        let acquirer = Acquirer::new(population, &dialects, &networks, &traffic, plan.run)?;
        Self::with(plan, acquirer).await
    }

    /// Opens the connections for what is to be sent.
    async fn with(plan: &'p Plan, mut acquirer: Acquirer) -> Result<Self, LoadError> {
        let room = match plan.pace {
            Pace::Closed { window } => window + 1,
            Pace::Open { .. } => 1 << 16,
        };
        let mut connections = Vec::new();
        // Connections of all targets alternate, so that an open loop's schedule does.
        for target in (0..plan.connections).flat_map(|_| &plan.targets) {
            let framing = target.dialect.framing().clone();
            let opened = Connection::open(target.address, framing, room).await;
            connections.push(opened.map_err(|error| LoadError::Target {
                dialect: target.dialect.name().to_owned(),
                address: target.address,
                error,
            })?);
        }
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall = Timestamp(u64::try_from(since_1970.as_nanos()).unwrap_or(0));
        acquirer.set_time(wall);
        Ok(Self {
            plan,
            acquirer,
            connections,
            measured: Measured::new()?,
            prepared: Vec::new(),
            started: Instant::now(),
            wall,
            second: 0,
            sending: 0..0,
            offered: 0,
            messages: plan.messages.unwrap_or(u64::MAX),
        })
    }

    /// Nanoseconds of the run.
    #[inline]
    fn now(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }

    fn keep_time(&mut self, now: u64) {
        let second = now / SECOND_NS;
        if second != self.second {
            self.second = second;
            self.acquirer.set_time(Timestamp(self.wall.0 + now));
        }
    }

    /// Makes all frames of a prepared run.
    fn prepare(&mut self) {
        let Some(messages) = self.plan.prepared_messages().filter(|_| self.plan.prepare) else { return };
        self.messages = messages;
        let count = self.connections.len();
        self.prepared.resize_with(count, Prepared::default);
        for n in 0..messages {
            let stream = (n % count as u64) as usize;
            let prepared = &mut self.prepared[stream];
            let before = prepared.frames.len();
            let number = self.acquirer.compose(stream, &mut prepared.frames);
            prepared.messages.push((number, (prepared.frames.len() - before) as u32));
        }
    }

    /// Sends and receives until the time or the messages are over and the answers are in. Returns when it began.
    async fn send_all(&mut self) -> Timestamp {
        let begin = self.now();
        let length = u64::try_from(self.plan.length.as_nanos()).unwrap_or(u64::MAX);
        self.sending = begin..begin.saturating_add(length);
        let processor = processor_time();
        self.pump(true, self.sending.end).await;
        self.measured.sending = Duration::from_nanos(self.now() - begin);
        self.measured.processor = processor_time().saturating_sub(processor);
        let timeout = u64::try_from(self.plan.timeout.as_nanos()).unwrap_or(u64::MAX);
        self.pump(false, self.now().saturating_add(timeout).saturating_add(SECOND_NS)).await;
        self.measured.lost_connections =
            self.connections.iter().filter(|connection| connection.closed).count();
        Timestamp(self.wall.0 + begin)
    }

    /// When the next message of a connection is due; `None` when that is later than now, or never.
    #[inline]
    fn due(&self, place: usize, now: u64) -> Option<u64> {
        if self.offered >= self.messages {
            return None;
        }
        let connection = &self.connections[place];
        let due = match self.plan.pace {
            Pace::Closed { window } => {
                if connection.in_flight >= window {
                    return None;
                }
                now
            }
            Pace::Open { .. } => self.scheduled(place),
        };
        (due <= now && due < self.sending.end).then_some(due)
    }

    #[inline]
    fn scheduled(&self, place: usize) -> u64 {
        let Pace::Open { rate } = self.plan.pace else { return 0 };
        let turn = self.connections[place].offered * self.connections.len() as u64 + place as u64;
        let after = u128::from(turn) * u128::from(SECOND_NS) / u128::from(rate.max(1));
        self.sending.start.saturating_add(u64::try_from(after).unwrap_or(u64::MAX))
    }

    /// Composes what is due on a connection. True when something was.
    #[inline]
    fn offer(&mut self, place: usize, now: u64) -> bool {
        let backlog = self.connections[place].has_output();
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
            connection.offered += 1;
            self.offered += 1;
            self.measured.sent += 1;
            let slip = now - due;
            if slip > LATE_NS {
                *(if backlog { &mut self.measured.held_back } else { &mut self.measured.late }) += 1;
            }
            self.measured.slip_max = self.measured.slip_max.max(Duration::from_nanos(slip));
            any = true;
        }
        any
    }

    /// Reads a connection and takes in its answers. True when something came.
    fn absorb(&mut self, place: usize) -> bool {
        let connection = &mut self.connections[place];
        if !connection.fill() {
            return false;
        }
        let now = self.started.elapsed().as_nanos() as u64;
        let counted = now >= self.sending.start + self.plan.warm_up.as_nanos() as u64;
        let (acquirer, measured) = (&mut self.acquirer, &mut self.measured);
        let mut answered = 0;
        connection.take_messages(|body, output| match acquirer.receive(place, body, now) {
            Received::Answer { group, since_due, since_sent } => {
                answered += 1;
                if counted {
                    measured.latency(group, since_due, since_sent);
                }
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
        measured.answered += answered as u64;
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
                    self.measured.given_up += 1;
                    connection.in_flight = connection.in_flight.saturating_sub(1);
                }
            }
            connection.waiting.pop_front();
        }
    }

    /// Runs the connections until `deadline` (nanoseconds of the run), until all messages are sent, or, when not
    /// sending, until nothing is in flight.
    async fn pump(&mut self, sending: bool, deadline: u64) {
        loop {
            let now = self.now();
            self.keep_time(now);
            let mut progress = false;
            for place in 0..self.connections.len() {
                progress |= self.absorb(place);
                if sending {
                    progress |= self.offer(place, now);
                }
                progress |= self.connections[place].flush();
                self.expire(place, now);
            }
            let over = if sending {
                self.offered >= self.messages
                    || self.prepared.first().is_some_and(|_| self.all_prepared_sent())
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
                if sending {
                    self.measured.busy += Duration::from_nanos(self.now() - now);
                }
            } else {
                self.idle(sending, now).await;
            }
        }
    }

    fn all_prepared_sent(&self) -> bool {
        self.prepared.iter().all(|prepared| prepared.next == prepared.messages.len())
    }

    /// Until a socket is ready, or something is due.
    async fn idle(&self, sending: bool, now: u64) {
        let mut limit = 20_000_000;
        if sending && matches!(self.plan.pace, Pace::Open { .. }) {
            let next = (0..self.connections.len()).map(|place| self.scheduled(place)).min();
            let wait = next.unwrap_or(now).saturating_sub(now);
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

    /// Sends a network management request on every open connection and waits for the answers.
    async fn manage(&mut self, kind: Kind) {
        let now = self.now();
        for place in 0..self.connections.len() {
            let connection = &mut self.connections[place];
            if connection.closed {
                continue;
            }
            let number = self.acquirer.compose_management(place, kind, &mut connection.output);
            self.acquirer.sent(number, now, now);
            connection.waiting.push_back(number);
            connection.in_flight += 1;
        }
        let timeout = self.plan.timeout.as_nanos() as u64;
        self.pump(false, self.now().saturating_add(timeout)).await;
    }

    async fn sign_on(&mut self) -> Result<(), LoadError> {
        self.manage(Kind::SignOn).await;
        let silent = self.connections.iter().find(|connection| connection.in_flight > 0 || connection.closed);
        if let Some(silent) = silent {
            return Err(LoadError::SignOn { address: silent.address });
        }
        // What the sign-on took is no measurement.
        self.measured = Measured::new()?;
        Ok(())
    }

    async fn sign_off(&mut self) {
        self.manage(Kind::SignOff).await;
    }

    /// Settles what has no answer (R33). Returns how many exchanges were.
    async fn settle(&mut self) -> u64 {
        let mut open = Vec::new();
        self.acquirer.unsettled(&mut open);
        let first = open.len();
        for _ in 0..SETTLE_TRIES {
            if open.is_empty() {
                break;
            }
            for connection in &mut self.connections {
                if connection.closed && connection.reopen().await.is_err() {
                    // Nobody there; the exchange stays open and is reported.
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
            let now = self.now();
            let mut awaited = Vec::with_capacity(open.len());
            for number in open.drain(..) {
                let mut frame = Vec::new();
                let Some((stream, answer)) = self.acquirer.compose_settlement(number, &mut frame) else {
                    continue;
                };
                self.connections[stream].output.extend_from_slice(&frame);
                if answer != number {
                    self.acquirer.sent(answer, now, now);
                }
                awaited.push(answer);
            }
            let wait = self.plan.timeout.min(Duration::from_secs(2)).as_nanos() as u64;
            let until = self.now().saturating_add(wait);
            while let Some(number) = awaited.pop() {
                self.pump_until_answered(until, number).await;
            }
            self.acquirer.unsettled(&mut open);
        }
        (first - open.len().min(first)) as u64
    }

    async fn pump_until_answered(&mut self, deadline: u64, number: u32) {
        let answered = |driver: &Self| {
            driver.acquirer.exchanges().get(number).is_none_or(|exchange| exchange.answer().is_some())
        };
        while !answered(self) && self.now() < deadline && self.connections.iter().any(|c| !c.closed) {
            let mut progress = false;
            for place in 0..self.connections.len() {
                progress |= self.connections[place].flush();
                progress |= self.absorb(place);
            }
            if !progress {
                let now = self.now();
                self.idle(false, now).await;
            }
        }
    }
}
