//! `turnpike match`: proves over a capture by what a party's answers can be known, or shows where that fails.

mod capture;
mod pairs;
mod report;

use std::io::Cursor;
use std::io::Read;
use std::path::PathBuf;

use clap::Args;

use crate::dialect::Dialect;
use crate::edge::commands::complain;
use crate::edge::commands::read_config;
use crate::edge::commands::say;
use crate::edge::decode;
use crate::edge::decode::input::Coding;
use crate::edge::decode::input::InputArgs;
use crate::edge::dialects;
use crate::edge::exit;
use crate::edge::matching::capture::Capture;
use crate::edge::matching::capture::Found;
use crate::edge::matching::pairs::Pairs;
use crate::edge::matching::pairs::Place;
use crate::edge::matching::report::Report;
use crate::edge::route_command;
use crate::iso8583::view::Spans;
use crate::switch::matching::MatchKey;

/// `turnpike match`.
#[derive(Args, Debug)]
pub struct MatchArgs {
    /// A dialect that is compiled in, or a dialect file.
    #[arg(long, required_unless_present = "link", conflicts_with = "link")]
    dialect: Option<String>,
    /// The key: data elements such as 7,11,37, with 11 among them. Left out, that of the link, else everything that can
    /// be compared, as far as answers have it.
    #[arg(long, value_name = "ELEMENTS", value_delimiter = ',')]
    on: Vec<u8>,
    /// The link whose dialect and key are taken from the configuration.
    #[arg(long, value_name = "NAME", requires = "config")]
    link: Option<String>,
    /// The configuration file.
    #[arg(long, value_name = "FILE", requires = "link")]
    config: Option<PathBuf>,
    /// One JSON document.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    from: InputArgs,
}

/// Runs `turnpike match` and returns the exit code: 0 when the key is unique and every answer has its request, 65 when
/// not.
#[must_use]
pub fn run(arguments: &MatchArgs) -> u8 {
    run_or(arguments).unwrap_or_else(|code| code)
}

fn run_or(arguments: &MatchArgs) -> Result<u8, u8> {
    let (dialect, of_link) = dialect(arguments)?;
    let key = if arguments.on.is_empty() {
        of_link
    } else {
        MatchKey::of(&arguments.on).map_err(|error| {
            complain(format!("--on: {error}"));
            exit::USAGE
        })?
    };
    let mut pairs = Pairs::new(&dialect, key);
    let inputs = inputs(arguments);
    let mut names = Vec::with_capacity(inputs.len());
    for (name, reader) in inputs {
        read(&dialect, (names.len(), &name), reader, arguments.from.input, &mut pairs)?;
        names.push(name);
    }
    pairs.end();
    let report = Report { dialect: &dialect, pairs: &pairs, inputs: &names };
    if arguments.json {
        say(report.json());
    } else {
        say(report.text().trim_end());
        report.findings().iter().for_each(complain);
    }
    Ok(if report.is_right() { exit::OK } else { exit::DATA })
}

/// The dialect, and the key of the link.
fn dialect(arguments: &MatchArgs) -> Result<(Dialect, MatchKey), u8> {
    let (Some(name), Some(file)) = (&arguments.link, &arguments.config) else {
        let dialect = decode::dialect(arguments.dialect.as_deref().unwrap_or_default())?;
        return Ok((dialect, MatchKey::STRONG));
    };
    let config = read_config(file)?;
    let Some(link) = route_command::link(&config, Some(name))? else { return Err(exit::USAGE) };
    let dialect = dialects::of_link(&config, link).map_err(|_| exit::CONFIGURATION)?;
    Ok((dialect, link.forward.party.match_on))
}

type Reader = std::io::Result<Box<dyn Read>>;

/// Every input in the order of the command line, with its name.
fn inputs(arguments: &MatchArgs) -> Vec<(String, Reader)> {
    let given = (1..).zip(&arguments.from.messages).map(|(n, message)| -> (String, Reader) {
        match message.as_str() {
            "-" => ("standard input".to_owned(), Ok(Box::new(std::io::stdin()))),
            text => (format!("message {n}"), Ok(Box::new(Cursor::new(text.as_bytes().to_vec())))),
        }
    });
    let files = arguments.from.files.iter().map(|file| -> (String, Reader) {
        let opened = std::fs::File::open(file);
        (file.display().to_string(), opened.map(|file| Box::new(file) as Box<dyn Read>))
    });
    given.chain(files).collect()
}

fn read(
    dialect: &Dialect,
    (input, name): (usize, &str),
    reader: Reader,
    coding: Coding,
    pairs: &mut Pairs<'_>,
) -> Result<(), u8> {
    let mut spans = Spans::default();
    let mut take = |offset: u64, found: Found<'_>| {
        let at = Place { input, offset };
        match found {
            Found::Broken(why) => pairs.broken(at, why),
            Found::Message(body) => match capture::view(dialect, body, &mut spans) {
                Ok(view) => pairs.message(at, &view),
                Err(fault) => pairs.broken(at, fault.to_string()),
            },
        }
    };
    let read = reader
        .map_err(Into::into)
        .and_then(|mut reader| Capture::new(dialect).read(&mut *reader, coding, &mut take));
    read.map_err(|error| {
        complain(format!("{name}: {error}"));
        exit::DATA
    })
}
