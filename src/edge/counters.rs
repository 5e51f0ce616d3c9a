//! Counters whose label is chosen by a peer: so many values have one of their own, and the rest share one.

use std::sync::Arc;

use metrics::Counter;
use metrics::Key;
use metrics::Label;
use metrics::Recorder;
use metrics_exporter_prometheus::PrometheusRecorder;
use parking_lot::Mutex;

use crate::edge::telemetry::METADATA;

/// Values of the label that have a counter of their own. The rest is counted as [`OTHER`].
const VALUES_MAX: usize = 64;
const OTHER: &str = "other";

/// The counters of one metric of one link.
pub(super) struct PeerCounters<V> {
    recorder: Arc<PrometheusRecorder>,
    link: String,
    metric: &'static str,
    label: &'static str,
    known: Mutex<Vec<(V, Counter)>>,
}

impl<V: Copy + PartialEq + std::fmt::Display> PeerCounters<V> {
    pub(super) fn new(
        recorder: Arc<PrometheusRecorder>,
        link: &str,
        metric: &'static str,
        label: &'static str,
    ) -> Self {
        Self { recorder, link: link.to_owned(), metric, label, known: Mutex::default() }
    }

    fn counter(&self, value: String) -> Counter {
        let labels = vec![Label::new("link", self.link.clone()), Label::new(self.label, value)];
        self.recorder.register_counter(&Key::from_parts(self.metric, labels), &METADATA)
    }

    /// Counts a value as so many. Tells whether it is the first time, and it now has a counter of its own.
    pub(super) fn add(&self, value: V, count: u64) -> bool {
        let mut known = self.known.lock();
        if let Some((_, counter)) = known.iter().find(|(known, _)| *known == value) {
            counter.increment(count);
            return false;
        }
        let is_new = known.len() < VALUES_MAX;
        if is_new {
            let counter = self.counter(value.to_string());
            counter.increment(count);
            known.push((value, counter));
        } else {
            self.add_others(count);
        }
        is_new
    }

    /// Counts what was not told apart.
    pub(super) fn add_others(&self, count: u64) {
        if count > 0 {
            self.counter(OTHER.to_owned()).increment(count);
        }
    }
}
