//! A report for a person.

use std::fmt;
use std::fmt::Write;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::edge::loadtest::plan::Pace;
use crate::edge::loadtest::report::Conditions;
use crate::edge::loadtest::report::GROUPS;
use crate::edge::loadtest::report::PERCENTILES;
use crate::edge::loadtest::report::Report;
use crate::edge::loadtest::report::at;
use crate::edge::loadtest::threshold::Percentile;
use crate::workload::answers::Group;
use crate::workload::model::ClearedExample;
use crate::workload::model::Example;
use crate::workload::model::Mistake;
use crate::workload::presenting::Cleared;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(partial) = &self.partial {
            writeln!(f, "PARTIAL    {}", partial.reason)?;
        }
        let measured = &self.measured;
        let (_, length) = self.counted();
        writeln!(f, "planned    {}", self.conditions.plan_words())?;
        writeln!(
            f,
            "achieved   {}/s sent, {}/s answered in {}; {} sent, {} answered in all",
            self.sent_rate(),
            self.rate(),
            time(u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)),
            measured.sent,
            measured.answered
        )?;
        let sent: Vec<String> = self.kinds.iter().map(|(name, count)| format!("{name} {count}")).collect();
        writeln!(f, "sent       {}", sent.join(", "))?;
        let lives: Vec<String> = self.lives.iter().map(|(name, count)| format!("{name} {count}")).collect();
        if !lives.is_empty() {
            writeln!(f, "lives      {}", lives.join(", "))?;
        }
        let codes: Vec<String> = self.codes.iter().map(|(code, count)| format!("{code}: {count}")).collect();
        writeln!(f, "DE 39      {}", codes.join(", "))?;
        for (name, group) in GROUPS.iter().zip(&self.groups) {
            let Some(group) = group else { continue };
            writeln!(f, "{name:<11}{} from due", latency_line(&group.response))?;
            writeln!(f, "{:<11}{} from sent", "", latency_line(&group.service))?;
        }
        self.write_links(f)?;
        writeln!(
            f,
            "open       {} unanswered, {} late answers, {} settled, {} not settled",
            measured.given_up, self.late_answers, self.settled, self.unsettled
        )?;
        self.write_money(f)?;
        self.write_verbs(f)?;
        self.write_generator(f)?;
        if let Some(knee) = &self.knee {
            writeln!(f, "knee       {}", knee.words())?;
        }
        for judged in &self.thresholds {
            let word = if judged.met { "met" } else { "FAILED" };
            writeln!(f, "threshold {} {word}, measured {}", judged.threshold, judged.words())?;
        }
        for compared in &self.compared {
            let word = if compared.regressed { "REGRESSED" } else { "kept" };
            writeln!(
                f,
                "baseline   {} {word}: {} before, {} now",
                compared.name, compared.before, compared.now
            )?;
        }
        Ok(())
    }
}

impl Conditions {
    /// How much was to be offered, in words.
    pub(super) fn plan_words(&self) -> String {
        let (seconds, ms) = (self.length.as_secs(), self.length.subsec_millis());
        let connections: usize = self.links.iter().map(|link| link.connections).sum();
        let how = match &self.pace {
            Pace::Open { rate } => format!("{rate}/s"),
            Pace::Ramp(ramp) => format!("a ramp from {}/s to {}/s", ramp.from, ramp.to),
            Pace::Steps { rates, each } => {
                let all: Vec<String> = rates.0.iter().map(u64::to_string).collect();
                format!("steps of {} s: {}/s", each.as_secs(), all.join(", "))
            }
            Pace::Closed { window } => format!("{window} in flight a connection"),
        };
        let plural = if connections == 1 { "" } else { "s" };
        let mut words = format!("{how} on {connections} connection{plural} for {seconds}.{ms:03} s");
        if !self.warm_up.is_zero() {
            let (seconds, ms) = (self.warm_up.as_secs(), self.warm_up.subsec_millis());
            let _infallible = write!(words, ", the first {seconds}.{ms:03} s left out");
        }
        words
    }
}

impl Report {
    /// Latencies of each link, where there are several.
    fn write_links(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.conditions.links.len() < 2 {
            return Ok(());
        }
        for (link, cells) in self.conditions.links.iter().zip(self.cells.chunks(Group::COUNT)) {
            for (name, cell) in GROUPS.iter().zip(cells) {
                let Some(cell) = cell else { continue };
                writeln!(f, "  {} {name}: {} from due", link.name, latency_line(&cell.response))?;
            }
        }
        Ok(())
    }

    fn write_money(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.echo {
            return writeln!(f, "money      not judged: the peer only sends back what it gets");
        }
        let mistakes: u64 = self.mistakes.iter().sum();
        writeln!(f, "answers    {mistakes} wrong")?;
        for ((_, name), count) in Mistake::ALL.iter().zip(self.mistakes).filter(|(_, count)| *count > 0) {
            writeln!(f, "           {name} {count}")?;
        }
        for one in &self.examples {
            writeln!(f, "           {}", example(one))?;
        }
        if self.cards_left_out > 0 {
            writeln!(f, "           {} cards without 16 digits were left out", self.cards_left_out)?;
        }
        match &self.comparison {
            None => writeln!(f, "money      not compared"),
            Some(found) => {
                writeln!(
                    f,
                    "money      {} differences in {} of {} wallets and the totals of all, at sequence {}",
                    found.differences, found.wallets, found.of_wallets, found.sequence
                )?;
                found.told.iter().try_for_each(|words| writeln!(f, "           {words}"))
            }
        }
    }

    fn write_verbs(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.verbs_lost {
            return writeln!(f, "verbs      not known: the HTTP face does not answer any more");
        }
        let Some(found) = &self.verbs else { return Ok(()) };
        let (ms, done) = (found.length.as_millis().max(1), found.done_in_all());
        let each: Vec<String> = found.done.iter().map(|(name, count)| format!("{count} {name}")).collect();
        writeln!(
            f,
            "verbs      {done} done over HTTP between {} wallets, {}/s of {}/s: {}; {} sent again",
            found.settings.wallets,
            u128::from(done) * 1_000 / ms,
            found.settings.rate,
            each.join(", "),
            found.again
        )?;
        writeln!(f, "           {} from due", latency_line(&found.latency))?;
        writeln!(
            f,
            "           {} wrong, {} without an answer, {} differences in these wallets",
            found.wrong, found.unanswered, found.differences
        )?;
        found.told.iter().try_for_each(|words| writeln!(f, "           {words}"))
    }

    fn write_generator(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (counts, _) = self.counted();
        let (busy, processor) = (self.busy_permille(), self.processor());
        let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        writeln!(
            f,
            "generator  busy {}.{} % of the time, {} of processor time ({} user, {} system); {} messages late, {} held \
             back by the peer, slip at most {}; {}.{} % of the machine stolen",
            busy / 10,
            busy % 10,
            time(ns(processor.all)),
            time(ns(processor.user)),
            time(ns(processor.system)),
            counts.late,
            counts.held_back,
            time(self.slip_max()),
            self.stolen_permille() / 10,
            self.stolen_permille() % 10
        )?;
        if let Some((all, each)) = self.daemon() {
            writeln!(
                f,
                "daemon     {} of processor time, all threads; {} for each answer",
                time(ns(all)),
                time(ns(each))
            )?;
        }
        self.invalid().iter().try_for_each(|why| writeln!(f, "INVALID    {why}"))
    }
}

pub(super) fn example(example: &Example) -> String {
    let mut words = example.mistake.name().to_owned();
    if let Some(kind) = example.kind {
        let _infallible = write!(words, ": {}", kind.name());
    }
    if let Some(number) = example.number {
        let _infallible = write!(words, " {number}");
    }
    let _infallible = match example.cleared {
        Some(ClearedExample { life, expected, became }) => {
            let became = became.map_or("something else", Cleared::name);
            write!(words, " of a {life} became {became} and not {}", expected.name())
        }
        None => write!(words, " answered {}", String::from_utf8_lossy(&example.code)),
    };
    words
}

fn latency_line(histogram: &Histogram<u64>) -> String {
    let mut line = String::new();
    for (name, percentile) in PERCENTILES {
        let _infallible = write!(line, "{name} {}, ", time(at(histogram, Percentile(percentile))));
    }
    let _infallible = write!(line, "{} samples", histogram.len());
    line
}

/// A time with three digits or more in the unit that suits it.
pub(super) fn time(ns: u64) -> String {
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => format!("{}.{} us", ns / 1_000, ns / 100 % 10),
        1_000_000..1_000_000_000 => format!("{}.{:02} ms", ns / 1_000_000, ns / 10_000 % 100),
        _ => format!("{}.{:02} s", ns / 1_000_000_000, ns / 10_000_000 % 100),
    }
}
