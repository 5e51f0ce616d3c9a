//! The metric of elements that a link's dialect does not have, and the one log line of each.

use std::sync::Arc;

use metrics::Counter;
use metrics::Key;
use metrics::Label;
use metrics::Recorder;
use metrics_exporter_prometheus::PrometheusRecorder;
use parking_lot::Mutex;

use crate::dialect::unknown::Path;
use crate::edge::telemetry::METADATA;
use crate::pipeline::unknown::UnknownElements;

/// Paths of a link that have a counter of their own: a peer chooses them. The rest is counted as `other`.
const PATHS_MAX: usize = 64;

/// The counters of one link.
pub(super) struct UnknownCounters {
    recorder: Arc<PrometheusRecorder>,
    link: String,
    paths: Mutex<Vec<(Path, Counter)>>,
}

impl UnknownCounters {
    pub(super) fn new(recorder: Arc<PrometheusRecorder>, link: &str) -> Self {
        Self { recorder, link: link.to_owned(), paths: Mutex::default() }
    }

    fn counter(&self, path: String) -> Counter {
        let labels = vec![Label::new("link", self.link.clone()), Label::new("path", path)];
        let key = Key::from_parts("turnpike_unknown_elements_total", labels);
        self.recorder.register_counter(&key, &METADATA)
    }

    /// Adds what a socket has seen.
    pub(super) fn add(&self, seen: &UnknownElements) {
        let mut others = seen.others();
        for (path, count) in seen.paths() {
            let mut paths = self.paths.lock();
            if let Some((_, counter)) = paths.iter().find(|(known, _)| *known == path) {
                counter.increment(count);
            } else if paths.len() < PATHS_MAX {
                let counter = self.counter(path.to_string());
                counter.increment(count);
                paths.push((path, counter));
                let link = self.link.as_str();
                tracing::warn!(link, %path, "the dialect does not know this element; it is kept and counted");
            } else {
                others += count;
            }
        }
        if others > 0 {
            self.counter("other".to_owned()).increment(others);
        }
    }
}
