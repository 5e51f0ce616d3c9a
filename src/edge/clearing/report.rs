//! What is told of a posting: sums by outcome and currency, and a line for each record in a file of its own, with the
//! card number masked. Between the lines stand marks with the sums up to there, from which a posting that was cut off
//! goes on.

use std::collections::BTreeMap;
use std::fs;
use std::fs::File;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::BufWriter;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;

use crate::authorizer::clear::Explanation;
use crate::clearing::error::Position;
use crate::domain::cleared::Clearance;
use crate::domain::cleared::Cleared;
use crate::domain::clearing::Part;
use crate::domain::clearing::Presentment;
use crate::domain::event::Sequence;
use crate::domain::money::Currency;
use crate::domain::money::Money;

/// How long a report is kept.
const KEPT: Duration = Duration::from_secs(45 * 86_400);
/// The longest line that is read back.
const LINE_MAX: usize = 64 * 1024;

/// Which records a line is written for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Explain {
    /// Every one.
    All,
    /// Those that did not just capture, or find posted, what was authorized.
    Exceptions,
}

/// What records of one currency and outcome add up to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Sums {
    records: u64,
    debits: u128,
    credits: u128,
}

/// What became of the records up to a place in the file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Tally {
    sums: BTreeMap<(Currency, Clearance), Sums>,
    /// Records that were posted before, by another file or before a crash.
    repeated: u64,
    /// Records that were posted with more than was authorized, and with less.
    over: u64,
    under: u64,
    /// Forced records that nearly fit an authorization.
    near: u64,
}

impl Tally {
    pub(super) fn repeat(&mut self) {
        self.repeated += 1;
    }

    /// Counts a record.
    pub(super) fn add(&mut self, presentment: &Presentment, event: &Cleared, explanation: &Explanation) {
        let amount = amount_of(presentment, event);
        let sums = self.sums.entry((amount.currency, event.outcome)).or_default();
        sums.records += 1;
        let side = if event.function.is_credit() { &mut sums.credits } else { &mut sums.debits };
        *side += u128::from(amount.minor.unsigned_abs());
        match difference(presentment, explanation) {
            Some(more) if more > 0 => self.over += 1,
            Some(more) if more < 0 => self.under += 1,
            _ => {}
        }
        self.near += u64::from(!explanation.near.is_empty());
    }

    /// As it is shown. Sums may be wider than what a JSON reader takes for a number, so they are texts.
    pub(super) fn json(&self) -> Value {
        let mut outcomes: BTreeMap<&str, u64> = BTreeMap::new();
        let mut currencies: BTreeMap<String, serde_json::Map<String, Value>> = BTreeMap::new();
        for ((currency, outcome), sums) in &self.sums {
            *outcomes.entry(outcome.name()).or_default() += sums.records;
            let shown = json!({
                "records": sums.records,
                "debits": sums.debits.to_string(),
                "credits": sums.credits.to_string(),
            });
            currencies.entry(currency.to_string()).or_default().insert(outcome.name().to_owned(), shown);
        }
        json!({
            "outcomes": outcomes,
            "repeated": self.repeated,
            "over": self.over,
            "under": self.under,
            "near_misses": self.near,
            "currencies": currencies,
        })
    }

    /// From [`Self::json`].
    fn from_json(value: &Value) -> Option<Self> {
        let number = |key: &str| value.get(key).and_then(Value::as_u64);
        let mut tally = Self {
            repeated: number("repeated")?,
            over: number("over")?,
            under: number("under")?,
            near: number("near_misses")?,
            sums: BTreeMap::new(),
        };
        for (currency, outcomes) in value.get("currencies")?.as_object()? {
            let currency = currency.parse().ok().and_then(Currency::new)?;
            for (name, sums) in outcomes.as_object()? {
                let (outcome, _) = Clearance::ALL.into_iter().find(|(_, known)| known == name)?;
                let wide = |key: &str| sums.get(key)?.as_str()?.parse().ok();
                let records = sums.get("records")?.as_u64()?;
                let sums = Sums { records, debits: wide("debits")?, credits: wide("credits")? };
                tally.sums.insert((currency, outcome), sums);
            }
        }
        Some(tally)
    }
}

/// What a record is about, in the currency in which it was or would be posted.
fn amount_of(presentment: &Presentment, event: &Cleared) -> Money {
    let billed = presentment.billed();
    if billed.currency == event.posted_in { billed } else { presentment.amount }
}

/// How much more than authorized a record posts, where both are in one currency.
fn difference(presentment: &Presentment, explanation: &Explanation) -> Option<i64> {
    let authorization = explanation.matched.as_ref()?.authorization;
    let same = authorization.currency == presentment.amount.currency.numeric();
    same.then(|| presentment.amount.minor.saturating_sub(authorization.amount))
}

/// The file with the lines.
pub(super) struct Lines {
    out: BufWriter<File>,
    explain: Explain,
}

/// Where the report of a file is.
pub(super) fn path_of(directory: &Path, checksum: u128) -> PathBuf {
    directory.join(format!("{checksum:032x}.jsonl"))
}

impl Lines {
    /// Opens a file's report to go on behind the mark that stands after `records`, and returns the tally up to there.
    /// Without such a mark it begins anew, with nothing in the tally.
    pub(super) fn open(
        directory: &Path,
        checksum: u128,
        records: u64,
        explain: Explain,
    ) -> io::Result<(Self, Option<Tally>)> {
        let path = path_of(directory, checksum);
        let mut options = fs::OpenOptions::new();
        let mut file = options.read(true).write(true).create(true).truncate(false).open(path)?;
        let (end, tally) = if records == 0 { (0, Some(Tally::default())) } else { behind(&file, records)? };
        file.set_len(end)?;
        io::Seek::seek(&mut file, io::SeekFrom::Start(end))?;
        Ok((Self { out: BufWriter::new(file), explain }, tally))
    }

    /// Writes a record's line, if it is to have one.
    pub(super) fn record(
        &mut self,
        position: Position,
        presentment: &Presentment,
        (sequence, event, explanation): (Sequence, &Cleared, &Explanation),
    ) -> io::Result<()> {
        let more = difference(presentment, explanation);
        let plain =
            matches!(event.outcome, Clearance::Captured | Clearance::AlreadyPosted) && more == Some(0);
        if self.explain == Explain::Exceptions && plain {
            return Ok(());
        }
        let mut line = about(position, presentment);
        let near = explanation.near.iter().map(
            |near| json!({ "authorization": near.authorization.0, "differs_in": near.difference.name() }),
        );
        let told = json!({
            "outcome": event.outcome.name(),
            "sequence": sequence.0,
            "account": event.account,
            "posted": event.posted,
            "posted_currency": event.posted_in.to_string(),
            "matched_by": event.by.name(),
            "matches": (event.matches != Sequence(0)).then_some(event.matches.0),
            "matched": explanation.matched.as_ref().map(|matched| json!({
                "state": matched.authorization.state.name(),
                "amount": matched.authorization.amount,
                "held": matched.held,
            })),
            "above_authorized": more,
            "near": near.collect::<Vec<_>>(),
        });
        if let (Some(line), Value::Object(told)) = (line.as_object_mut(), told) {
            line.extend(told);
        }
        writeln!(self.out, "{line}")
    }

    /// Writes the line of a record that was posted before.
    pub(super) fn repeat(
        &mut self,
        position: Position,
        presentment: &Presentment,
        first: Sequence,
    ) -> io::Result<()> {
        let mut line = about(position, presentment);
        line["outcome"] = json!("repeated");
        line["sequence"] = json!(first.0);
        writeln!(self.out, "{line}")
    }

    /// Writes a mark, and hands everything up to it to the system, or brings it to disk.
    pub(super) fn mark(&mut self, records: u64, tally: &Tally, sync: bool) -> io::Result<()> {
        writeln!(self.out, "{}", json!({ "mark": records, "tally": tally.json() }))?;
        self.out.flush()?;
        if sync { self.out.get_ref().sync_data() } else { Ok(()) }
    }
}

/// Which record it is.
fn about(position: Position, presentment: &Presentment) -> Value {
    let function = presentment.function;
    let part = match presentment.part {
        Part::Whole => None,
        Part::Numbered { sequence, count } => Some(format!("{sequence} of {count}")),
        Part::Partial => Some("partial".to_owned()),
        Part::Final => Some("final".to_owned()),
    };
    json!({
        "record": position.record,
        "offset": position.offset,
        "arn": presentment.arn.to_string(),
        "pan": presentment.pan.masked().to_string(),
        "purpose": function.purpose.name(),
        "reversal": function.reversal,
        "part": part,
        "amount": presentment.amount.minor,
        "currency": presentment.amount.currency.to_string(),
        "billed": presentment.billed().minor,
        "billed_currency": presentment.billed().currency.to_string(),
    })
}

/// Where the mark of so many records ends in a report, and its tally; the beginning when there is none.
fn behind(file: &File, records: u64) -> io::Result<(u64, Option<Tally>)> {
    let (mut reader, mut line, mut end) = (BufReader::new(file), Vec::new(), 0);
    let mut found = (0, None);
    loop {
        line.clear();
        let length = io::Read::take(&mut reader, LINE_MAX as u64).read_until(b'\n', &mut line)?;
        if length == 0 || line.last() != Some(&b'\n') {
            return Ok(found);
        }
        end += length as u64;
        if !line.starts_with(b"{\"mark\"") {
            continue;
        }
        let Ok(mark) = serde_json::from_slice::<Value>(&line) else { continue };
        if mark.get("mark").and_then(Value::as_u64) == Some(records) {
            found = (end, mark.get("tally").and_then(Tally::from_json));
        }
    }
}

/// Removes reports that are older than they are kept. What cannot be looked at stays.
pub(super) fn remove_old(directory: &Path) {
    let Ok(entries) = directory.read_dir() else { return };
    for entry in entries.flatten() {
        let age = entry.metadata().and_then(|data| data.modified()).map(|time| time.elapsed());
        if age.is_ok_and(|age| age.is_ok_and(|age| age > KEPT)) {
            let _removed = fs::remove_file(entry.path());
        }
    }
}
