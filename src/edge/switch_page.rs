//! What `/metrics` shows of the switch: one reading for each link, made when it is asked for.

use crate::domain::forward::Settlement;
use crate::edge::clock;
use crate::edge::histogram::seconds;
use crate::edge::page::Page;
use crate::edge::page::Sample;
use crate::pipeline::switching::LineView;
use crate::pipeline::switching::Switchboard;
use crate::pipeline::switching::cases::Kind;

impl Page {
    /// Nothing where nothing is routed to other links.
    pub(super) fn switch(&mut self, board: &Switchboard) {
        let now = clock::now();
        let views: Vec<(String, LineView)> =
            board.lines().iter().map(|line| (format!("link=\"{}\"", line.name), line.view(now))).collect();
        let each = |value: fn(&LineView) -> String| -> Vec<Sample> {
            views.iter().map(|(labels, view)| (labels.clone(), value(view))).collect()
        };
        self.gauge("turnpike_switch_up", each(|view| u8::from(view.up).to_string()));
        self.gauge("turnpike_switch_sick", each(|view| u8::from(view.sick).to_string()));
        self.gauge("turnpike_switch_in_flight", each(|view| view.in_flight.to_string()));
        self.gauge("turnpike_switch_in_flight_allowed", each(|view| view.allowed.to_string()));
        self.gauge("turnpike_switch_oldest_in_flight_seconds", each(|view| seconds(view.oldest_ns)));
        self.gauge("turnpike_switch_latency_seconds", each(|view| seconds(view.latency_ns)));
        self.gauge("turnpike_switch_stored", each(|view| view.stored.to_string()));
        self.gauge("turnpike_switch_stored_dead", each(|view| view.dead.to_string()));
        self.gauge("turnpike_switch_originals", each(|view| view.originals.to_string()));
        self.counter(
            "turnpike_switch_originals_left_early_total",
            each(|view| view.originals_shortened.to_string()),
        );
        self.counter("turnpike_switch_forwarded_total", each(|view| view.counts.forwarded.to_string()));
        self.counter("turnpike_switch_asked_again_total", each(|view| view.asked_again.to_string()));
        self.counter("turnpike_switch_answered_total", each(|view| view.counts.answered.to_string()));
        self.counter("turnpike_switch_timed_out_total", each(|view| view.counts.timed_out.to_string()));
        self.counter(
            "turnpike_switch_stood_in_total",
            each(|view| view.counts.stood_in.iter().sum::<u64>().to_string()),
        );
        self.counter(
            "turnpike_switch_elements_dropped_total",
            each(|view| view.dropped_elements.to_string()),
        );
        let settled = views.iter().flat_map(|(labels, view)| {
            Settlement::ALL.iter().map(move |(settlement, name)| {
                let count = view.counts.settled[*settlement as usize];
                (format!("{labels},settlement=\"{name}\""), count.to_string())
            })
        });
        self.counter("turnpike_switch_settled_total", settled);
        let cases = views.iter().flat_map(|(labels, view)| {
            Kind::ALL.iter().map(move |(kind, name)| {
                (format!("{labels},case=\"{name}\""), view.cases[*kind as usize].to_string())
            })
        });
        self.counter("turnpike_switch_cases_total", cases);
    }
}
