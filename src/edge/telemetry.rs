//! Metrics and diagnostics. Handles are resolved once; a batch of messages adds to them once.

use std::sync::Arc;
use std::sync::OnceLock;

use metrics::Counter;
use metrics::Gauge;
use metrics::Recorder;
use metrics_exporter_prometheus::PrometheusBuilder;
use metrics_exporter_prometheus::PrometheusHandle;
use metrics_exporter_prometheus::PrometheusRecorder;
use parking_lot::Mutex;

use crate::dialect::unknown::Path;
use crate::domain::action::ActionCode;
use crate::domain::time::Timestamp;
use crate::edge::clearing::Counters;
use crate::edge::counters::PeerCounters;
use crate::edge::histogram::Histogram;
use crate::edge::histogram::Unit;
use crate::edge::history;
use crate::edge::metered::Meter;
use crate::edge::page::Facts;
use crate::edge::page::Page;
use crate::edge::snapshots::Status;
use crate::link::session::Session;
use crate::link::state::Advices;
use crate::pipeline::core::Pipeline;
use crate::pipeline::notice::Reason;
use crate::pipeline::notice::RejectCode;
use crate::pipeline::tally::Answers;
use crate::pipeline::tally::MTIS;
use crate::pipeline::tally::Tally;
use crate::pipeline::unknown::UnknownElements;

pub(super) const METADATA: metrics::Metadata<'static> =
    metrics::Metadata::new(module_path!(), metrics::Level::INFO, Some(module_path!()));

/// Writes diagnostics to stderr, at the level that `RUST_LOG` asks for, or else at this one. A second call changes
/// nothing.
pub fn start_diagnostics_at(level: &str) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Already set when a test starts several daemons in one process: the first one serves them all.
    let _ = subscriber.try_init();
}

/// The metrics of one daemon.
pub struct Telemetry {
    recorder: Arc<PrometheusRecorder>,
    handle: PrometheusHandle,
    /// What is free where the data directory is, in bytes.
    pub disk_free: Gauge,
    facts: Facts,
    pub(super) meter: Arc<Meter>,
    /// A link's histograms each.
    stages: Mutex<Vec<Arc<Stages>>>,
}

/// How long the stages of a link's messages take.
struct Stages([Histogram; 3]);

impl Stages {
    fn of(link: &str) -> Self {
        Self(["decided", "durable", "written"].map(|stage| {
            let labels = [("link", link), ("stage", stage)];
            Histogram::new("turnpike_message_stage_seconds", Unit::Seconds, &labels)
        }))
    }
}

impl Telemetry {
    /// Without a link, and with what the start has found.
    #[must_use]
    pub fn new(facts: Facts) -> Self {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        let disk_free = metrics::Key::from_name("turnpike_disk_free_bytes");
        let disk_free = recorder.register_gauge(&disk_free, &METADATA);
        let (recorder, meter, stages) = (Arc::new(recorder), Arc::default(), Mutex::default());
        Self { recorder, handle, disk_free, facts, meter, stages }
    }

    /// The text that Prometheus reads. State is read now.
    #[must_use]
    pub fn render(
        &self,
        pipeline: &Pipeline,
        snapshots: Option<&Status>,
        history: Option<&history::Status>,
        clearing: Option<&Counters>,
    ) -> String {
        self.handle.run_upkeep();
        let mut page = Page::after(self.handle.render());
        let stages = self.stages.lock();
        page.histograms(stages.iter().flat_map(|link| &link.0));
        drop(stages);
        let Meter { sync, bytes, records } = &*self.meter;
        page.histograms([sync, bytes, records]);
        page.journal(pipeline);
        page.ledger(pipeline, &self.facts.capacity);
        if let Some(status) = snapshots {
            page.snapshots(status);
        }
        if let Some(status) = history {
            page.history(status, &pipeline.asked());
        }
        if let Some(counters) = clearing {
            page.clearing(counters);
        }
        if let Some(board) = pipeline.switchboard() {
            page.switch(board);
        }
        page.facts(&self.facts);
        page.process();
        page.into_text()
    }

    /// The handles of one link.
    #[must_use]
    pub fn link(&self, name: &str) -> Arc<LinkMetrics> {
        let counter = |metric: &'static str, label: Option<(&'static str, &'static str)>| {
            let mut labels = vec![metrics::Label::new("link", name.to_owned())];
            labels.extend(label.map(|(key, value)| metrics::Label::from_static_parts(key, value)));
            self.recorder.register_counter(&metrics::Key::from_parts(metric, labels), &METADATA)
        };
        let gauge = |metric: &'static str| {
            let labels = vec![metrics::Label::new("link", name.to_owned())];
            self.recorder.register_gauge(&metrics::Key::from_parts(metric, labels), &METADATA)
        };
        let by_reason =
            |&reason: &Reason| (reason, counter("turnpike_dropped_total", Some(("reason", reason.name()))));
        let recorder = || Arc::clone(&self.recorder);
        let stages = Arc::new(Stages::of(name));
        self.stages.lock().push(Arc::clone(&stages));
        Arc::new(LinkMetrics {
            frames: counter("turnpike_frames_total", None),
            keep_alives: counter("turnpike_keep_alives_total", None),
            unverified: counter("turnpike_verification_not_performed_total", None),
            answers: MTIS.map(|_| ActionCode::ALL.iter().map(|_| OnceLock::new()).collect()),
            stages,
            recorder: recorder(),
            dropped: Reason::ALL.iter().map(by_reason).collect(),
            connections: gauge("turnpike_connections"),
            in_flight: gauge("turnpike_link_in_flight"),
            signed_on: gauge("turnpike_link_signed_on"),
            in_service: gauge("turnpike_link_in_service"),
            members_signed_on: gauge("turnpike_link_members_signed_on"),
            stored_advices: gauge("turnpike_link_stored_advices_running"),
            echo_round_trip: gauge("turnpike_link_echo_round_trip_seconds"),
            sign_ons: counter("turnpike_link_sign_ons_total", None),
            sign_offs: counter("turnpike_link_sign_offs_total", None),
            losses: counter("turnpike_link_losses_total", None),
            refused: counter("turnpike_link_requests_refused_total", None),
            unanswered: counter("turnpike_link_requests_unanswered_total", None),
            key_exchanges: counter("turnpike_link_key_exchanges_refused_total", None),
            lines: LineBudget::default(),
            unknown: PeerCounters::new(recorder(), name, "turnpike_unknown_elements_total", "path"),
            rejects: PeerCounters::new(recorder(), name, "turnpike_rejects_total", "code"),
            link: name.to_owned(),
        })
    }
}

/// The handles of one link.
pub struct LinkMetrics {
    frames: Counter,
    keep_alives: Counter,
    unverified: Counter,
    /// By type of message and outcome, made when the first such answer is counted.
    answers: [Box<[OnceLock<Counter>]>; MTIS.len()],
    stages: Arc<Stages>,
    recorder: Arc<PrometheusRecorder>,
    dropped: Vec<(Reason, Counter)>,
    /// Sockets open now.
    pub connections: Gauge,
    /// Requests that were read and whose answers wait for the disk.
    pub in_flight: Gauge,
    signed_on: Gauge,
    in_service: Gauge,
    members_signed_on: Gauge,
    stored_advices: Gauge,
    echo_round_trip: Gauge,
    sign_ons: Counter,
    sign_offs: Counter,
    losses: Counter,
    refused: Counter,
    unanswered: Counter,
    key_exchanges: Counter,
    /// What may be logged about the link's peers.
    pub lines: LineBudget,
    unknown: PeerCounters<Path>,
    rejects: PeerCounters<RejectCode>,
    link: String,
}

/// Lines about what peers do, over all sockets of a link, in so many seconds.
const LINES_MAX: u32 = 100;
const LINES_WINDOW_S: u64 = 10;

/// Bounds the lines that peers can cause: whoever connects again and again starts with no new budget.
#[derive(Debug, Default)]
pub struct LineBudget(Mutex<Lines>);

#[derive(Debug, Default)]
struct Lines {
    window: Window,
    left_out: u64,
}

/// How many lines were written in the latest window of time. The next window begins with none.
#[derive(Debug, Default)]
pub struct Window {
    number: u64,
    written: u32,
}

impl Window {
    /// Takes one of `most` lines; false when none is left in this window.
    pub fn take(&mut self, most: u32, now: Timestamp) -> bool {
        let number = now.seconds() / LINES_WINDOW_S;
        if self.number != number {
            *self = Self { number, written: 0 };
        }
        let may = self.written < most;
        self.written += u32::from(may);
        may
    }
}

impl LineBudget {
    /// Takes one line. How many were left out since the last one that was not; `None` when this one is.
    pub fn take(&self, now: Timestamp) -> Option<u64> {
        let mut lines = self.0.lock();
        if !lines.window.take(LINES_MAX, now) {
            lines.left_out += 1;
            return None;
        }
        Some(std::mem::take(&mut lines.left_out))
    }

    /// Counts a line that is left out for another reason, so that it is told with the others.
    pub fn leave_out(&self) {
        self.0.lock().left_out += 1;
    }
}

impl LinkMetrics {
    /// Adds what a socket has counted, and sets it back to zero.
    pub fn add(&self, tally: &mut Tally) {
        self.frames.increment(tally.frames);
        if tally.keep_alives > 0 {
            self.keep_alives.increment(tally.keep_alives);
        }
        if tally.unverified > 0 {
            self.unverified.increment(tally.unverified);
        }
        self.add_unknown(&tally.unknown);
        for answers in tally.answers() {
            self.add_answers(answers);
        }
        let Stages([decided, durable, written]) = &*self.stages;
        decided.add(&mut tally.decided);
        durable.add(&mut tally.durable);
        written.add(&mut tally.written);
        for (reason, counter) in &self.dropped {
            let count = tally.dropped(*reason);
            if count > 0 {
                counter.increment(count);
            }
        }
        tally.clear();
    }

    fn add_answers(&self, answers: &Answers) {
        let (kind, action) = (usize::from(answers.kind), answers.action);
        let Some(at) = ActionCode::ALL.iter().position(|(known, _)| *known == action) else { return };
        let counter = self.answers[kind][at].get_or_init(|| {
            let labels = vec![
                metrics::Label::new("link", self.link.clone()),
                metrics::Label::from_static_parts("mti", MTIS[kind].1),
                metrics::Label::from_static_parts("action", action.name()),
            ];
            let key = metrics::Key::from_parts("turnpike_answers_total", labels);
            self.recorder.register_counter(&key, &METADATA)
        });
        counter.increment(answers.count.into());
    }

    fn add_unknown(&self, seen: &UnknownElements) {
        for (path, count) in seen.paths() {
            if self.unknown.add(path, count) {
                let link = self.link.as_str();
                tracing::warn!(link, %path, "the dialect does not know this element; it is kept and counted");
            }
        }
        self.unknown.add_others(seen.others());
    }

    /// Counts a message of ours that the network did not take, by its code.
    pub fn add_reject(&self, code: RejectCode) {
        self.rejects.add(code, 1);
    }

    /// Shows the state of the link's session.
    pub fn show(&self, session: &Session) {
        let flag = |flag: bool| f64::from(u8::from(flag));
        self.signed_on.set(flag(session.signed_on()));
        self.in_service.set(flag(session.in_service()));
        let members = session.peer().listed().iter().filter(|(_, on)| *on).count();
        self.members_signed_on.set(members as f64);
        self.stored_advices.set(flag(session.advices() == Advices::Running));
        if let Some(us) = session.round_trip_us() {
            self.echo_round_trip.set(std::time::Duration::from_micros(us).as_secs_f64());
        }
        let counts = session.counts();
        self.sign_ons.absolute(counts.sign_ons);
        self.sign_offs.absolute(counts.sign_offs);
        self.losses.absolute(counts.losses);
        self.refused.absolute(counts.refused);
        self.unanswered.absolute(counts.unanswered);
        self.key_exchanges.absolute(counts.key_exchanges);
    }

    /// Counts one thing that ended a socket or a message.
    pub fn count(&self, reason: Reason) {
        if let Some((_, counter)) = self.dropped.iter().find(|(known, _)| *known == reason) {
            counter.increment(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_bounded_in_each_window_and_the_rest_is_told() {
        let budget = LineBudget::default();
        let taken = |seconds| budget.take(Timestamp::from_seconds(seconds));
        for _ in 0..LINES_MAX {
            assert_eq!(taken(1_000_000), Some(0));
        }
        for _ in 0..7 {
            assert_eq!(taken(1_000_000 + LINES_WINDOW_S - 1), None);
        }
        budget.leave_out();
        assert_eq!(taken(1_000_000 + LINES_WINDOW_S), Some(8));
        assert_eq!(taken(1_000_000 + LINES_WINDOW_S), Some(0));
    }

    #[test]
    fn a_socket_that_was_too_loud_is_heard_again_in_the_next_window() {
        let mut window = Window::default();
        let mut taken = |second: u64, tries: u64| {
            let now = Timestamp::from_seconds(1_000_000 + second);
            (0..tries).filter(|_| window.take(3, now)).count() as u64
        };
        for (second, tries, written) in [(0, 2, 2), (1, 5, 1), (9, 5, 0), (10, 5, 3), (19, 1, 0), (40, 1, 1)]
        {
            assert_eq!(taken(second, tries), written, "second {second}");
        }
    }
}
