//! What life cycles wait for that is no answer to a message: records of clearing files (R20), which somebody else
//! brings to the daemon and back with what became of them, and the time at which a hold has run out (R19).

use std::collections::VecDeque;
use std::fmt;
use std::io::Write;
use std::time::Duration;

use crate::workload::acquirer::Acquirer;
use crate::workload::exchange::Kind;
use crate::workload::identity;
use crate::workload::model::ClearedExample;
use crate::workload::model::Example;
use crate::workload::model::Mistake;
use crate::workload::script::Act;
use crate::workload::script::Portion;

/// What became of a record of a clearing file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cleared {
    /// It was of something held.
    Captured,
    /// It was of something that had ended.
    Late,
    /// A message had posted it.
    AlreadyPosted,
    /// It belongs to nothing.
    Forced,
    /// It took back what another has posted.
    Returned,
    /// It was handled before.
    Repeated,
}

impl Cleared {
    /// An outcome as the daemon calls it; `None` for one that no record of ours can have.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, known)| *known == name).map(|(outcome, _)| outcome)
    }

    /// What the daemon calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    const ALL: [(Self, &'static str); 6] = [
        (Self::Captured, "captured"),
        (Self::Late, "late"),
        (Self::AlreadyPosted, "already-posted"),
        (Self::Forced, "forced"),
        (Self::Returned, "returned"),
        (Self::Repeated, "repeated"),
    ];
}

/// Which record of a file is which step of which life cycle.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Presented {
    life: u32,
    step: u8,
    /// It was in a file before.
    again: bool,
}

/// A clearing file of JSON lines, and what its records are. It has card numbers in clear and does not print.
#[derive(Clone, Default)]
pub struct ClearingFile {
    records: Vec<Presented>,
    lines: Vec<u8>,
    sum: u64,
}

impl fmt::Debug for ClearingFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a clearing file of {} records", self.records.len())
    }
}

impl ClearingFile {
    /// What its records are, in their order.
    #[must_use]
    pub fn records(&self) -> &[Presented] {
        &self.records
    }

    /// Its bytes, the last line included.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        let mut lines = self.lines;
        let records = self.records.len();
        lines.extend_from_slice(format!("{{\"records\":{records},\"sum\":{}}}\n", self.sum).as_bytes());
        lines
    }
}

/// What is waited for.
#[derive(Clone, Debug)]
pub(super) struct Quiet {
    /// Somebody brings clearing files to the daemon.
    pub(super) clears: bool,
    /// How long after its answer a hold of the brief category is surely gone, nanoseconds.
    pub(super) expires_after: Option<u64>,
    /// Nanoseconds of the run.
    now: u64,
    /// Records that no file has been made of.
    file: ClearingFile,
    /// How many files there were.
    files: u32,
    /// Records that are with the daemon.
    away: usize,
    /// When which step of which life cycle has run out, the first first.
    expiring: VecDeque<(u64, u32, u8)>,
}

impl Quiet {
    pub(super) fn new(clears: bool, expires_after: Option<Duration>) -> Self {
        Self {
            clears,
            expires_after: expires_after.map(|time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)),
            now: 0,
            file: ClearingFile::default(),
            files: 0,
            away: 0,
            expiring: VecDeque::new(),
        }
    }
}

impl Acquirer {
    /// Begins the next step of a life cycle if no message is sent for it. False when one is.
    pub(super) fn begin_quietly(&mut self, first: u32) -> bool {
        let Some(life) = self.lives.life(first) else { return false };
        let Some(step) = life.next() else { return false };
        let again = life.step(step).act == Act::Repeat;
        let Some(of) = (if again { life.step(step).named() } else { Some(step) }) else { return false };
        let act = life.step(of).act;
        if !act.is_quiet() {
            return false;
        }
        life.write(step);
        self.may_undo(first, step);
        if act == Act::Expire {
            let due = self.quiet.now.saturating_add(self.quiet.expires_after.unwrap_or(0));
            self.quiet.expiring.push_back((due, first, of as u8));
        } else if self.present(first, of, again).is_none() {
            // What it is about is forgotten.
            self.lives.end(first);
        }
        true
    }

    /// Writes the record of a step behind the others. `None` when what it is about is forgotten.
    fn present(&mut self, first: u32, step: usize, again: bool) -> Option<()> {
        let script = self.lives.life(first)?.script;
        let number = |step| first + script.rank(step);
        let act = script.steps.get(step)?.act;
        let named = script.steps.get(step)?.named();
        let exchange = self.exchanges.get(number(step))?;
        // One that takes back names the record, which is about the purchase.
        let record = if act == Act::TakeBack { named? } else { step };
        let of = script.steps.get(record)?.named().unwrap_or(record);
        let about = self.exchanges.get(number(of))?;
        let root = number(script.root());
        let network = &self.networks[self.network_of(usize::from(exchange.stream))];
        let (pan, _) = self.card(exchange);
        let currency = self.population.accounts.get(exchange.account as usize)?.currency;
        let function = match (script.credit, act == Act::TakeBack) {
            (false, false) => "purchase",
            (false, true) => "purchase-reversal",
            (true, false) => "refund",
            (true, true) => "refund-reversal",
        };
        let run = network.templates.run();
        // No two files are alike: the same file again would be known as a whole, by its bytes.
        let stan = self.quiet.files % 1_000_000;
        let file = &mut self.quiet.file;
        let mut write = |text: fmt::Arguments<'_>| file.lines.write_fmt(text).ok();
        write(format_args!(
            "{{\"network\":\"{}\",\"function\":\"{function}\",\"pan\":\"{pan}\",\"arn\":\"{}\",\"amount\":{},\
             \"currency\":\"{:03}\",\"rrn\":\"{}\",\"stan\":{stan},\"terminal\":\"{:08}\",\
             \"merchant\":\"MERCHANT{:07}\"",
            network.reader.dialect().name(),
            run.arn(number(record)),
            exchange.amount,
            currency.numeric(),
            String::from_utf8_lossy(&run.rrn(about.number)),
            identity::terminal(root),
            identity::merchant(root),
        ))?;
        match act {
            Act::Present(Portion::First) => write(format_args!(",\"part\":\"1/2\""))?,
            Act::Present(Portion::Last) => write(format_args!(",\"part\":\"2/2\""))?,
            _ => {}
        }
        if about.approval != [0; 6] {
            let code = String::from_utf8_lossy(&about.approval);
            write(format_args!(",\"approval_code\":\"{code}\""))?;
        }
        if network.templates.has_transaction_id() {
            write(format_args!(",\"network_reference\":{}", run.transaction_id(root)))?;
        }
        write(format_args!("}}\n"))?;
        file.records.push(Presented { life: first, step: step as u8, again });
        file.sum += u64::from(exchange.amount);
        self.count(Kind::LifePresentment);
        Some(())
    }

    /// The records since the last file, if there are any: somebody is to bring them to the daemon, and say with
    /// [`Self::cleared`] what became of them.
    pub fn take_clearing_file(&mut self) -> Option<ClearingFile> {
        if self.quiet.file.records.is_empty() {
            return None;
        }
        let file = std::mem::take(&mut self.quiet.file);
        self.quiet.files = self.quiet.files.wrapping_add(1);
        self.quiet.away += file.records.len();
        Some(file)
    }

    /// What became of the records of a file, in their order; `None` where that is not known. `twice`: the file was
    /// brought more than once, so that any of its records may have been handled before.
    pub fn cleared(&mut self, records: &[Presented], outcomes: &[Option<Cleared>], twice: bool) {
        self.quiet.away = self.quiet.away.saturating_sub(records.len());
        for (record, outcome) in records.iter().zip(outcomes) {
            let Presented { life: first, step, again } = *record;
            let Some(life) = self.lives.life(first) else { continue };
            let expected = if again { Cleared::Repeated } else { life.becomes(usize::from(step)) };
            let repeated = twice && *outcome == Some(Cleared::Repeated);
            if *outcome != Some(expected) && !repeated {
                let life = life.script;
                self.model.mistake(Example {
                    mistake: Mistake::ClearedOtherwise,
                    number: Some(first + life.rank(usize::from(step))),
                    kind: Some(Kind::LifePresentment),
                    code: *b"  ",
                    cleared: Some(ClearedExample { life: life.name, expected, became: *outcome }),
                });
            }
            self.end_quietly(first, step, again);
        }
    }

    /// Goes on with what has run out by now, nanoseconds of the run.
    #[inline]
    pub fn wake(&mut self, now: u64) {
        self.quiet.now = now;
        while let Some((due, first, step)) = self.quiet.expiring.front().copied()
            && due <= now
        {
            self.quiet.expiring.pop_front();
            self.end_quietly(first, step, false);
        }
    }

    /// Whether life cycles wait for a clearing file, or for what they hold to run out.
    #[must_use]
    pub fn waits_quietly(&self) -> bool {
        self.waits_for_clearing() || !self.quiet.expiring.is_empty()
    }

    /// Whether life cycles wait for a clearing file.
    #[must_use]
    pub fn waits_for_clearing(&self) -> bool {
        self.quiet.away > 0 || !self.quiet.file.records.is_empty()
    }

    /// A step without a message has ended.
    fn end_quietly(&mut self, first: u32, step: u8, again: bool) {
        let Some(life) = self.lives.life(first) else { return };
        let stream = life.stream;
        if !again {
            let before = life.totals();
            life.answer(usize::from(step), true);
            let (account, after) = (life.account, life.totals());
            self.model.move_life(account, before, after);
        }
        self.go_on_from(first, stream);
    }
}
