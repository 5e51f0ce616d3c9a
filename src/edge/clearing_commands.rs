//! `turnpike clearing`: looks through a clearing file before anything of it is posted (R20).

use std::fmt;
use std::fs::File;
use std::io;
use std::io::Read;
use std::path::Path;

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
use crate::edge::clock;
use crate::edge::exit;

/// How much of a file is read at once.
const PORTION: usize = 256 * 1024;

/// Reads a whole file and prints what is in it, or everything that is wrong with it.
#[must_use]
pub fn check(path: &Path) -> u8 {
    let name = path.display();
    match read(path) {
        Ok((format, Ok(summary))) => {
            print!("{name}: {}\n{}", Named(format), Shown(&summary));
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
struct Named(Format);

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
