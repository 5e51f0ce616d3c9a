//! `turnpike clearing`: sends a clearing file to a daemon and tells what became of it, or looks through a file without
//! posting anything (R20).

use std::fmt;
use std::fs::File;
use std::io;
use std::io::IsTerminal;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::clearing::Alphabet;
use crate::clearing::Context;
use crate::clearing::Format;
use crate::clearing::Reader;
use crate::clearing::Reason;
use crate::clearing::check::Check;
use crate::clearing::check::Summary;
use crate::clearing::detect::HEAD;
use crate::domain::clearing::Purpose;
use crate::domain::day::Day;
use crate::domain::party::NameId;
use crate::edge::client::Refused;
use crate::edge::client::answer;
use crate::edge::client::begin_post;
use crate::edge::client::get;
use crate::edge::client::json_of;
use crate::edge::client::lines_from;
use crate::edge::clock;
use crate::edge::exit;

/// How much of a file is read at once.
const PORTION: usize = 256 * 1024;
/// How often it is asked how far a file has come.
const LOOK: Duration = Duration::from_millis(200);

/// What is told of the records of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Lines {
    /// None.
    None,
    /// Those that did not just capture, or find posted, what was authorized.
    Exceptions,
    /// All.
    All,
}

/// Sends a file to the daemon at this address, waits until it is posted, and prints the lines of its records as JSON
/// and then the sums.
#[must_use]
pub fn post(path: &Path, daemon: SocketAddr, lines: Lines) -> u8 {
    let name = path.display();
    match send(path, daemon, lines) {
        Ok(state) if state["state"] == "posted" => {
            say(&Told(&state));
            exit::OK
        }
        Ok(state) => {
            say(&Told(&state));
            eprintln!("{name}: {}", text_of(&state["error"]));
            exit::UNAVAILABLE
        }
        Err(NotSent::File(error)) => {
            eprintln!("{name}: {error}");
            exit::IO
        }
        Err(NotSent::Daemon(error)) => {
            eprintln!(
                "{daemon}: {error}; is a daemon running there? send the file again, it goes on where it was"
            );
            exit::UNAVAILABLE
        }
        Err(NotSent::Refused(Refused(status, why))) => {
            eprintln!("{name}: {}", why.trim_end());
            if status == 422 { exit::DATA } else { exit::UNAVAILABLE }
        }
    }
}

/// Writes to where results go. Whoever reads them may have seen enough.
fn say(text: &dyn fmt::Display) {
    let _seen = write!(io::stdout(), "{text}");
}

enum NotSent {
    File(io::Error),
    Daemon(io::Error),
    Refused(Refused),
}

impl From<Refused> for NotSent {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

fn send(path: &Path, daemon: SocketAddr, lines: Lines) -> Result<Value, NotSent> {
    let mut file = File::open(path).map_err(NotSent::File)?;
    let length = file.metadata().map_err(NotSent::File)?.len();
    let explain = if lines == Lines::All { "all" } else { "exceptions" };
    let path = format!("/v1/clearing?explain={explain}");
    let mut socket = begin_post(daemon, &path, length).map_err(NotSent::Daemon)?;
    let (mut portion, mut left) = (vec![0; PORTION], length);
    while left > 0 {
        let most = portion.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let read = file.read(&mut portion[..most]).map_err(NotSent::File)?;
        if read == 0 {
            return Err(NotSent::File(io::ErrorKind::UnexpectedEof.into()));
        }
        // A daemon that takes no more has said why.
        if socket.write_all(&portion[..read]).is_err() {
            break;
        }
        left -= read as u64;
    }
    let mut state = json_of(answer(&mut socket).map_err(NotSent::Daemon)?)?;
    let id = text_of(&state["file"]).to_owned();
    let mut from = 0;
    loop {
        let ended = state["state"] != "posting";
        if lines != Lines::None {
            from += print_lines(daemon, &id, from)?;
        }
        if ended {
            return Ok(state);
        }
        if io::stderr().is_terminal() {
            eprint!("\r{} of {} records", state["done"], state["records"]);
        }
        thread::sleep(LOOK);
        state = json_of(get(daemon, &format!("/v1/clearing/{id}")).map_err(NotSent::Daemon)?)?;
    }
}

/// Prints what there is of a report behind a byte, marks left out. Returns how many bytes that was.
fn print_lines(daemon: SocketAddr, id: &str, from: u64) -> Result<u64, NotSent> {
    let print = |line: &[u8]| {
        if !line.starts_with(b"{\"mark\"") {
            say(&format_args!("{}\n", String::from_utf8_lossy(line)));
        }
    };
    lines_from(daemon, &format!("/v1/clearing/{id}/records"), from, print).map_err(NotSent::Daemon)
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

/// How a file stands, in lines.
struct Told<'s>(&'s Value);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0;
        let (done, of, resumed) = (&state["done"], &state["records"], &state["resumed_from"]);
        write!(f, "{}: {}, {done} of {of} records", text_of(&state["file"]), text_of(&state["state"]))?;
        if resumed.as_u64().is_some_and(|resumed| resumed > 0) {
            write!(f, ", {resumed} of them before this posting")?;
        }
        writeln!(f, "; {} a second", state["records_per_s"])?;
        let tally = &state["tally"];
        if let Some(from) = state["tally_from"].as_u64().filter(|from| *from > 0) {
            writeln!(f, "the report of the first {from} was lost; what follows is of the others")?;
        }
        for (outcome, records) in tally["outcomes"].as_object().into_iter().flatten() {
            writeln!(f, "  {outcome}: {records}")?;
        }
        for (key, told) in [
            ("repeated", "repeated, and not posted again"),
            ("over", "above what was authorized"),
            ("under", "below what was authorized"),
            ("near_misses", "forced, though they nearly fit an authorization"),
        ] {
            if tally[key].as_u64().is_some_and(|records| records > 0) {
                writeln!(f, "  {told}: {}", tally[key])?;
            }
        }
        for (currency, outcomes) in tally["currencies"].as_object().into_iter().flatten() {
            for (outcome, sums) in outcomes.as_object().into_iter().flatten() {
                let (debits, credits) = (text_of(&sums["debits"]), text_of(&sums["credits"]));
                writeln!(f, "currency {currency}, {outcome}: {debits} from cardholders, {credits} to them")?;
            }
        }
        Ok(())
    }
}

/// Reads a whole file and prints what is in it, or everything that is wrong with it.
#[must_use]
pub fn check(path: &Path) -> u8 {
    let name = path.display();
    match read(path) {
        Ok((format, Ok(summary))) => {
            say(&format_args!("{name}: {}\n{}", Named(format), Shown(&summary)));
            exit::OK
        }
        Ok((_, Err(findings))) => {
            eprint!("{findings}");
            eprintln!("{name}: nothing of it may be posted");
            exit::DATA
        }
        Err(Unread::Io(error)) => {
            eprintln!("{name}: {error}");
            exit::IO
        }
        Err(Unread::Format(error)) => {
            eprintln!("{name}: {error}");
            exit::DATA
        }
    }
}

enum Unread {
    Io(io::Error),
    Format(crate::clearing::error::ClearingError),
}

type Checked = Result<Summary, crate::clearing::check::Findings>;

fn read(path: &Path) -> Result<(Format, Checked), Unread> {
    let mut file = File::open(path).map_err(Unread::Io)?;
    let mut buffer = vec![0; PORTION];
    let mut filled = 0;
    // A pipe gives what it has; the head is wanted whole.
    while filled < HEAD {
        match file.read(&mut buffer[filled..]).map_err(Unread::Io)? {
            0 => break,
            more => filled += more,
        }
    }
    let format = Format::detect(&buffer[..filled]).map_err(Unread::Format)?;
    let network = match format {
        Format::Ipm { .. } => "mastercard",
        Format::BaseTwo { .. } => "visa",
        Format::Csv | Format::JsonLines => "",
    };
    let context = Context { network: NameId::of(network), day: Day::at(clock::wall()) };
    let (mut reader, mut check) = (Reader::new(format, context), Check::new());
    while filled > 0 {
        reader.feed(&buffer[..filled]);
        while let Some(next) = reader.next_item() {
            check.take(&next);
        }
        filled = file.read(&mut buffer).map_err(Unread::Io)?;
    }
    reader.end();
    while let Some(next) = reader.next_item() {
        check.take(&next);
    }
    Ok((format, check.finish()))
}

/// A format by its name.
pub(super) struct Named(pub(super) Format);

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letters = |alphabet| match alphabet {
            Alphabet::Ascii => "ASCII",
            Alphabet::Ebcdic => "EBCDIC",
        };
        match self.0 {
            Format::Ipm { alphabet, blocked, hex_bitmap } => {
                let blocks = if blocked { "1014-byte blocks" } else { "no blocks" };
                let bitmap = if hex_bitmap { ", bitmaps in hex" } else { "" };
                write!(f, "Mastercard IPM, {}, {blocks}{bitmap}", letters(alphabet))
            }
            Format::BaseTwo { alphabet, .. } => write!(f, "Visa BASE II, {}", letters(alphabet)),
            Format::Csv => f.write_str("CSV"),
            Format::JsonLines => f.write_str("JSON lines"),
        }
    }
}

/// A summary, a line for each thing that there is.
struct Shown<'s>(&'s Summary);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let summary = self.0;
        if summary.test {
            writeln!(f, "a test, as its header says")?;
        }
        writeln!(f, "{} presentments and reversals", summary.presentments)?;
        for ((_, name), [presented, reversed]) in Purpose::ALL.iter().zip(summary.by_function) {
            if presented + reversed > 0 {
                writeln!(f, "  {name}: {presented} presented, {reversed} reversed")?;
            }
        }
        if summary.partial > 0 {
            writeln!(f, "  {} say that more will come", summary.partial)?;
        }
        for (currency, sums) in &summary.sums {
            writeln!(
                f,
                "currency {currency}: {} from cardholders, {} to them, minor units",
                sums.debits, sums.credits
            )?;
        }
        for ((_, name), count) in Reason::ALL.iter().zip(summary.skipped) {
            if count > 0 {
                writeln!(f, "{count} records passed over: {name}")?;
            }
        }
        write!(f, "{} trailers agree", summary.trailers)?;
        match summary.sums_not_compared {
            0 => writeln!(f),
            some => writeln!(f, "; the sums of {some} could not be compared"),
        }
    }
}
