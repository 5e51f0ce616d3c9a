//! A report as one HTML page: nothing is loaded from elsewhere, nothing is run, and it reads in light and dark.

use std::fmt::Write;

use crate::edge::loadtest::chart::Chart;
use crate::edge::loadtest::chart::Scale;
use crate::edge::loadtest::chart::Series;
use crate::edge::loadtest::chart::escape;
use crate::edge::loadtest::chart::nice;
use crate::edge::loadtest::chart::nines;
use crate::edge::loadtest::knee::per;
use crate::edge::loadtest::measure::Interval;
use crate::edge::loadtest::measure::Latencies;
use crate::edge::loadtest::measure::together;
use crate::edge::loadtest::report::GROUPS;
use crate::edge::loadtest::report::PERCENTILES;
use crate::edge::loadtest::report::Report;
use crate::edge::loadtest::report::at;
use crate::edge::loadtest::text::time;
use crate::edge::loadtest::threshold::Percentile;
use crate::workload::answers::Group;

const SECOND_NS: u64 = 1_000_000_000;
const STYLE: &str = include_str!("report.css");
/// Answers that get an area of their own; the rest is drawn together.
const CODES_MAX: usize = 5;

impl Report {
    /// The page.
    #[must_use]
    pub fn to_html(&self) -> String {
        let (counts, _) = self.counted();
        let mut page = format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <title>Load test of {0}</title><style>{STYLE}</style></head><body><main><h1>Load test</h1><p>{0}, \
             {1}</p>",
            escape(&self.began.to_string()),
            escape(&self.conditions.plan_words())
        );
        self.write_banners(&mut page);
        let facts = [
            ("planned", self.planned_rate().map_or("as fast as answered".to_owned(), per_second)),
            ("sent", per_second(self.sent_rate())),
            ("answered", per_second(self.rate())),
            ("p99 of authorizations", self.percentile_of_authorizations(99_000)),
            ("unanswered", grouped(self.measured.given_up)),
            ("wrong", if self.echo { "not judged".to_owned() } else { grouped(self.mismatches()) }),
            ("largest slip", time(self.slip_max())),
            ("late in the generator", grouped(counts.late)),
        ];
        page += "<dl class=\"facts\">";
        for (name, value) in facts {
            let _infallible = write!(page, "<div><dt>{name}</dt><dd>{}</dd></div>", escape(&value));
        }
        page += "</dl>";
        self.write_verdicts(&mut page);
        self.write_knee(&mut page);
        self.write_curve(&mut page);
        self.write_over_time(&mut page);
        self.write_latencies(&mut page);
        self.write_answers(&mut page);
        self.write_conditions(&mut page);
        page + "</main></body></html>\n"
    }

    fn percentile_of_authorizations(&self, percentile: u32) -> String {
        let found = self.groups[Group::Authorization as usize].as_ref();
        found.map_or("none".to_owned(), |found| time(at(&found.response, Percentile(percentile))))
    }

    fn write_banners(&self, page: &mut String) {
        if let Some(partial) = &self.partial {
            let _infallible =
                write!(page, "<p class=\"banner\"><b>&#9888; PARTIAL</b> {}</p>", escape(&partial.reason));
        }
        for reason in self.invalid() {
            let _infallible = write!(
                page,
                "<p class=\"banner\"><b>&#10006; INVALID</b> {}: these figures say little about the daemon</p>",
                escape(&reason)
            );
        }
        if self.mismatches() > 0 {
            let _infallible = write!(
                page,
                "<p class=\"banner\"><b>&#10006; WRONG</b> {} answers or accounts</p>",
                grouped(self.mismatches())
            );
        }
    }

    fn write_verdicts(&self, page: &mut String) {
        let judged = self
            .thresholds
            .iter()
            .map(|one| (one.threshold.to_string(), format!("measured {}", one.words()), one.met));
        let compared = self.compared.iter().map(|one| {
            let words = format!("{} before, {} now", grouped(one.before), grouped(one.now));
            (format!("{} against the baseline", one.name), words, !one.regressed)
        });
        let rows: Vec<(String, String, bool)> = judged.chain(compared).collect();
        if rows.is_empty() {
            return;
        }
        *page += "<h2>What must hold</h2><table>";
        for (what, measured, met) in rows {
            let (class, word) = if met { ("good", "&#10003; met") } else { ("bad", "&#10006; failed") };
            let _infallible = write!(
                page,
                "<tr><th>{}</th><td>{}</td><td class=\"{class}\">{word}</td></tr>",
                escape(&what),
                escape(&measured)
            );
        }
        *page += "</table>";
    }

    fn write_knee(&self, page: &mut String) {
        let Some(knee) = &self.knee else { return };
        let _infallible = write!(page, "<h2>Knee</h2><p>{}</p>", escape(&knee.words()));
        *page += "<table><tr class=\"head\"><th>planned</th><th>sent</th><th>answered</th><th>p99.9</th>\
                  <th>samples</th>\
                  <th></th><th class=\"words\">limits met</th></tr>";
        for step in &knee.steps {
            let limits: Vec<String> = step.limits.iter().map(ToString::to_string).collect();
            let (class, word) =
                if step.held { ("good", "&#10003; held") } else { ("bad", "&#10006; not held") };
            let _infallible = write!(
                page,
                "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td class=\"{class}\">{word}</td>\
                 <td class=\"words\">{}</td></tr>",
                per_second(step.planned),
                per_second(step.sent),
                per_second(step.answered),
                if step.samples > 0 { time(step.p999) } else { "none".to_owned() },
                grouped(step.samples),
                escape(&limits.join("; "))
            );
        }
        *page += "</table>";
    }

    fn write_curve(&self, page: &mut String) {
        let mut series = Vec::new();
        for (colour, (name, group)) in GROUPS.iter().zip(&self.groups).enumerate() {
            let Some(group) = group else { continue };
            for (dashed, from, histogram) in [(false, "due", &group.response), (true, "sent", &group.service)]
            {
                let points = curve(histogram);
                series.push(Series { name: format!("{name} from {from}"), colour, dashed, points });
            }
        }
        let marks = ["0 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %"];
        let furthest = series.iter().filter_map(|one| one.points.last()).map(|(x, _)| *x).max();
        let chart = Chart {
            title: "Latency by percentile",
            series,
            marks: marks.iter().zip(0..).map(|(mark, n)| (n * 1_000, (*mark).to_owned())).collect(),
            x_max: 5_000,
            scale: Scale::Logarithmic,
            label: time,
            stacked: false,
        };
        if furthest.is_some() {
            *page += "<h2>Latency by percentile</h2>";
            *page += &chart.draw();
        }
    }

    fn write_over_time(&self, page: &mut String) {
        let intervals = &self.recorded.intervals;
        let Some(end) = intervals.last().map(|last| last.end) else { return };
        let step = nice(end / SECOND_NS / 8) * SECOND_NS;
        let marks: Vec<(u64, String)> =
            (0..=end / step).map(|n| (n * step, format!("{} s", n * step / SECOND_NS))).collect();
        let chart = |title, series, scale, label: fn(u64) -> String, stacked| {
            let chart = Chart { title, series, marks: marks.clone(), x_max: end, scale, label, stacked };
            format!("<h2>{title}</h2>{}", chart.draw())
        };
        let rate = |count: fn(&Interval) -> u64| stairs(intervals, |one| Some(rate_of(one, count(one))));
        let mut rates = vec![
            line("sent", 1, false, rate(|one| one.counts.sent)),
            line("answered", 0, false, rate(|one| one.counts.answered)),
        ];
        if self.planned_rate().is_some() {
            rates.insert(0, line("planned", 3, true, rate(|one| one.planned)));
        }
        *page += &chart("Rate over time", rates, Scale::Even, short_rate, false);
        let all: Vec<Option<Latencies>> = intervals.iter().map(all_of).collect();
        let latency = |percentile| {
            let mut at_each = all.iter();
            stairs(intervals, |_| {
                at_each.next().and_then(Option::as_ref).map(|one| at(&one.response, Percentile(percentile)))
            })
        };
        let latencies = vec![
            line("p50", 0, false, latency(50_000)),
            line("p99", 1, false, latency(99_000)),
            line("p99.9", 2, false, latency(99_900)),
            line("largest", 3, true, latency(100_000)),
        ];
        *page += &chart(
            "Latency over time, from when messages were due",
            latencies,
            Scale::Logarithmic,
            time,
            false,
        );
        *page += &chart("Answers over time, by DE 39", self.answers(), Scale::Even, short_rate, true);
    }

    /// The most frequent DE 39, the others together, and what was not answered; a second.
    fn answers(&self) -> Vec<Series> {
        let intervals = &self.recorded.intervals;
        let mut codes = self.codes.clone();
        codes.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        codes.truncate(CODES_MAX);
        let count = |interval: &Interval, wanted: &str| {
            let of = |code: &[u8; 2]| String::from_utf8_lossy(code) == wanted;
            interval.codes.iter().filter(|(code, _)| of(code)).map(|(_, count)| *count).sum::<u64>()
        };
        let others = |interval: &Interval| {
            let all: u64 = interval.codes.iter().map(|(_, count)| *count).sum();
            all - codes.iter().map(|(code, _)| count(interval, code)).sum::<u64>()
        };
        let mut series = Vec::new();
        for (colour, (code, all)) in codes.iter().enumerate() {
            let points = stairs(intervals, |one| Some(rate_of(one, count(one, code))));
            series.push(line(&format!("{code} ({})", grouped(*all)), colour, false, points));
        }
        let points = stairs(intervals, |one| Some(rate_of(one, others(one))));
        series.push(line("others", CODES_MAX, false, points));
        let points = stairs(intervals, |one| Some(rate_of(one, one.counts.given_up)));
        series.push(line("unanswered", CODES_MAX + 1, false, points));
        series
    }

    fn write_latencies(&self, page: &mut String) {
        *page += "<h2>Latencies</h2><table><tr class=\"head\"><th></th><th>from</th>";
        for (name, _) in PERCENTILES {
            let _infallible = write!(page, "<th>{name}</th>");
        }
        *page += "<th>samples</th></tr>";
        let of_all = GROUPS.iter().zip(&self.groups).map(|(name, group)| ((*name).to_owned(), group));
        let of_links =
            self.conditions.links.iter().zip(self.cells.chunks(Group::COUNT)).flat_map(|(link, cells)| {
                GROUPS.iter().zip(cells).map(|(name, cell)| (format!("{} {name}", link.name), cell))
            });
        let several = self.conditions.links.len() > 1;
        for (name, latencies) in of_all.chain(of_links.filter(|_| several)) {
            let Some(latencies) = latencies else { continue };
            for (from, histogram) in [("due", &latencies.response), ("sent", &latencies.service)] {
                let _infallible = write!(page, "<tr><th>{}</th><td>{from}</td>", escape(&name));
                for (_, percentile) in PERCENTILES {
                    let _infallible =
                        write!(page, "<td>{}</td>", time(at(histogram, Percentile(percentile))));
                }
                let _infallible = write!(page, "<td>{}</td></tr>", grouped(histogram.len()));
            }
        }
        *page += "</table><p class=\"note\">From due: since a message should have been sent, whatever the generator \
                  or the peer did meanwhile. From sent: since it was. Percentiles are of merged histograms, without \
                  the warm-up.</p>";
    }

    fn write_answers(&self, page: &mut String) {
        let mut rows: Vec<(String, String)> = vec![
            ("sent".to_owned(), grouped(self.measured.sent)),
            ("answered".to_owned(), grouped(self.measured.answered)),
            ("unanswered".to_owned(), grouped(self.measured.given_up)),
            ("answered too late".to_owned(), grouped(self.late_answers)),
            ("settled by a reversal".to_owned(), grouped(self.settled)),
            ("not settled".to_owned(), grouped(self.unsettled)),
        ];
        let money = match &self.comparison {
            Some(found) => format!(
                "{} differences in {} of {} wallets",
                grouped(found.differences),
                grouped(found.wallets),
                grouped(found.of_wallets)
            ),
            None => "not compared".to_owned(),
        };
        rows.push(("money".to_owned(), money));
        if let Some(found) = &self.verbs {
            let done = format!("{}, {} mistakes", grouped(found.done_in_all()), grouped(found.mistakes()));
            rows.push(("verbs of wallets".to_owned(), done));
        }
        rows.extend(self.kinds.iter().map(|(kind, count)| (format!("sent: {kind}"), grouped(*count))));
        rows.extend(self.lives.iter().map(|(life, count)| (format!("begun: {life}"), grouped(*count))));
        rows.extend(self.codes.iter().map(|(code, count)| (format!("DE 39: {code}"), grouped(*count))));
        *page += "<h2>Messages</h2>";
        write_rows(page, &rows);
    }

    fn write_conditions(&self, page: &mut String) {
        let conditions = &self.conditions;
        let processor = self.processor();
        let ns = |time: std::time::Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let percent = |permille: u64| format!("{}.{} %", permille / 10, permille % 10);
        let (cores, all) = conditions.host.cores;
        let mut rows: Vec<(String, String)> = vec![
            ("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
            ("processor".to_owned(), conditions.host.processor.clone()),
            ("cores".to_owned(), format!("{all}, {cores} of them for the generator")),
            ("kernel".to_owned(), conditions.host.kernel.clone()),
        ];
        rows.extend(conditions.links.iter().map(|link| {
            let words = format!(
                "{} at {}, weight {}, {} connections",
                link.dialect, link.address, link.weight, link.connections
            );
            (format!("target {}", link.name), words)
        }));
        rows.extend([
            ("seed".to_owned(), conditions.seed.to_string()),
            ("answers waited for".to_owned(), time(ns(conditions.timeout))),
            ("frames made beforehand".to_owned(), if conditions.prepared { "yes" } else { "no" }.to_owned()),
            ("generator busy".to_owned(), percent(self.busy_permille())),
            (
                "its processor time".to_owned(),
                format!(
                    "{}: {} user, {} system",
                    time(ns(processor.all)),
                    time(ns(processor.user)),
                    time(ns(processor.system))
                ),
            ),
            ("stolen by the host".to_owned(), percent(self.stolen_permille())),
        ]);
        *page += "<h2>Conditions</h2>";
        write_rows(page, &rows);
    }
}

fn write_rows(page: &mut String, rows: &[(String, String)]) {
    *page += "<table>";
    for (name, value) in rows {
        let _infallible = write!(page, "<tr><th>{}</th><td>{}</td></tr>", escape(name), escape(value));
    }
    *page += "</table>";
}

fn line(name: &str, colour: usize, dashed: bool, points: Vec<(u64, u64)>) -> Series {
    Series { name: name.to_owned(), colour, dashed, points }
}

/// A value for each interval, drawn as long as it lasts.
fn stairs(intervals: &[Interval], mut value: impl FnMut(&Interval) -> Option<u64>) -> Vec<(u64, u64)> {
    let both = |interval: &Interval, value| [(interval.start, value), (interval.end, value)];
    intervals.iter().filter_map(|one| value(one).map(|value| both(one, value))).flatten().collect()
}

fn all_of(interval: &Interval) -> Option<Latencies> {
    let cells: Vec<Option<Latencies>> = (0..interval.cells()).map(|cell| interval.latencies(cell)).collect();
    together(cells.iter())
}

fn rate_of(interval: &Interval, count: u64) -> u64 {
    per(count, SECOND_NS, interval.end - interval.start)
}

/// Latency by nines, as far as the samples say something: every percentile has a sample above it.
fn curve(histogram: &hdrhistogram::Histogram<u64>) -> Vec<(u64, u64)> {
    let mut points = vec![(0, histogram.min())];
    for power in 1..=5_u32 {
        for digit in (1..=9_u64).rev() {
            let above = digit * 10_u64.pow(5 - power);
            if histogram.len().saturating_mul(above) < 100_000 {
                break;
            }
            let percentile = Percentile(100_000 - above as u32);
            points.push((nines(digit, u64::from(power)), at(histogram, percentile)));
        }
    }
    points
}

/// A number with a space between thousands.
fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

fn per_second(value: u64) -> String {
    format!("{}/s", grouped(value))
}

/// A rate on an axis.
fn short_rate(value: u64) -> String {
    match value {
        0..10_000 => format!("{value}/s"),
        10_000..10_000_000 => format!("{}k/s", value / 1_000),
        _ => format!("{}M/s", value / 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_ends_where_samples_do() {
        let mut histogram = Latencies::new().expect("a histogram").response;
        (1..=1_000_u64).for_each(|value| histogram.saturating_record(value * 1_000));
        let points = curve(&histogram);
        assert_eq!(points.first(), Some(&(0, histogram.min())));
        // 1000 samples: the last percentile with one above it is 99.9.
        assert_eq!(points.last().map(|(x, _)| *x), Some(3_000));
        assert!(points.windows(2).all(|two| two[0].0 < two[1].0 && two[0].1 <= two[1].1), "{points:?}");
    }

    #[test]
    fn numbers_are_written_for_people() {
        for (value, text) in
            [(0, "0"), (999, "999"), (1_000, "1\u{202f}000"), (1_234_567, "1\u{202f}234\u{202f}567")]
        {
            assert_eq!(grouped(value), text);
        }
        for (value, text) in [(500, "500/s"), (50_000, "50k/s"), (20_000_000, "20M/s")] {
            assert_eq!(short_rate(value), text);
        }
    }
}
