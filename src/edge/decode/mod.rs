//! `turnpike decode`: shows messages, finds out how they are written, and compares two of them.

pub(super) mod input;

use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

use clap::Args;

use crate::dialect::Dialect;
use crate::dialect::compare;
use crate::dialect::describe;
use crate::dialect::guess;
use crate::dialect::guess::Guess;
use crate::dialect::tree;
use crate::dialect::tree::Message;
use crate::edge::commands::complain;
use crate::edge::commands::complain_all;
use crate::edge::commands::read_dialect;
use crate::edge::commands::read_text;
use crate::edge::commands::say;
use crate::edge::decode::input::Coding;
use crate::edge::decode::input::InputArgs;
use crate::edge::decode::input::Pieces;
use crate::edge::exit;

/// The exit code when two messages differ.
const DIFFERENT: u8 = 1;

/// `turnpike decode`.
#[derive(Args, Debug)]
pub struct DecodeArgs {
    /// A dialect that is compiled in, or a dialect file.
    #[arg(long, required_unless_present_any = ["guess", "dialect_a"])]
    dialect: Option<String>,
    /// Another dialect file that is tried.
    #[arg(long, value_name = "FILE", requires = "guess")]
    dialect_file: Vec<PathBuf>,
    /// Finds framing, header, encodings and dialect that fit the whole input, and prints a link that is set so.
    #[arg(long, conflicts_with_all = ["dialect", "diff"])]
    guess: bool,
    /// Writes the dialect that was found as a dialect file, to begin with.
    #[arg(long, value_name = "FILE", requires = "guess")]
    dialect_out: Option<PathBuf>,
    /// Compares two messages. The exit code is 0 when they are equal and 1 when they differ.
    #[arg(long)]
    diff: bool,
    /// The dialect of the first message.
    #[arg(long, value_name = "NAME|FILE", requires = "diff", requires = "dialect_b")]
    dialect_a: Option<String>,
    /// The dialect of the second message.
    #[arg(long, value_name = "NAME|FILE", requires = "diff")]
    dialect_b: Option<String>,
    /// Lists what is the same too.
    #[arg(long, requires = "diff")]
    all: bool,
    /// JSON: a document for each frame, or one of the comparison or the guesses.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    from: InputArgs,
}

/// Runs `turnpike decode` and returns the exit code.
#[must_use]
pub fn run(arguments: &DecodeArgs) -> u8 {
    let inputs = match inputs(arguments) {
        Ok(inputs) => inputs,
        Err(code) => return code,
    };
    let outcome = if arguments.guess {
        guess(arguments, &inputs)
    } else if arguments.diff {
        diff(arguments, &inputs)
    } else {
        show(arguments, &inputs)
    };
    outcome.unwrap_or_else(|code| code)
}

/// Every input in the order of the command line.
fn inputs(arguments: &DecodeArgs) -> Result<Vec<Pieces>, u8> {
    let mut inputs = Vec::new();
    for (n, message) in (1..).zip(&arguments.from.messages) {
        inputs.push(given(&format!("message {n}"), message, arguments.from.input)?);
    }
    for file in &arguments.from.files {
        inputs.push(pieces(&file.display().to_string(), std::fs::read(file), arguments.from.input)?);
    }
    Ok(inputs)
}

/// A message of the command line, or standard input for `-`.
fn given(name: &str, message: &str, coding: Coding) -> Result<Pieces, u8> {
    if message != "-" {
        return pieces(name, Ok(message.as_bytes().to_vec()), coding);
    }
    let mut bytes = Vec::new();
    let read = std::io::stdin().read_to_end(&mut bytes).map(|_| bytes);
    pieces("standard input", read, coding)
}

/// The bytes of one input in whatever way it is written; complains and returns the exit code otherwise.
pub(super) fn read_message(message: &str) -> Result<Vec<u8>, u8> {
    given("the message", message, Coding::Auto).map(|pieces| pieces.concat())
}

fn pieces(name: &str, bytes: std::io::Result<Vec<u8>>, coding: Coding) -> Result<Pieces, u8> {
    let bytes = bytes.map_err(|error| {
        complain(format!("{name}: {error}"));
        exit::DATA
    })?;
    input::read(&bytes, coding).map_err(|error| {
        complain(format!("{name}: {error}"));
        exit::DATA
    })
}

/// A dialect that is compiled in, or one from a file.
pub(super) fn dialect(name: &str) -> Result<Dialect, u8> {
    if let Some(dialect) = Dialect::built_in(name) {
        return Ok(dialect);
    }
    read_dialect(name)
}

/// The messages of an input. Its pieces are one stream, unless each of them is right by itself and the stream is not:
/// then they are messages side by side.
fn messages(dialect: &Dialect, pieces: &Pieces) -> Vec<Message> {
    let right = |messages: &[Message]| messages.iter().all(|message| message.mistakes.is_empty());
    let whole = tree::messages(dialect, &pieces.concat());
    if pieces.len() == 1 || right(&whole) {
        return whole;
    }
    let mut apart = Vec::new();
    let mut at = 0;
    for piece in pieces {
        for mut message in tree::messages(dialect, piece) {
            message.move_by(at);
            apart.push(message);
        }
        at += piece.len();
    }
    if right(&apart) { apart } else { whole }
}

fn show(arguments: &DecodeArgs, inputs: &[Pieces]) -> Result<u8, u8> {
    let dialect = dialect(arguments.dialect.as_deref().unwrap_or_default())?;
    let mut code = exit::OK;
    let mut first = true;
    for message in inputs.iter().flat_map(|input| messages(&dialect, input)) {
        if arguments.json {
            say(describe::json(&dialect, &message));
        } else {
            if !std::mem::take(&mut first) {
                say("");
            }
            say(describe::text(&message).trim_end());
        }
        for mistake in &message.mistakes {
            complain(mistake);
            code = exit::DATA;
        }
    }
    Ok(code)
}

fn diff(arguments: &DecodeArgs, inputs: &[Pieces]) -> Result<u8, u8> {
    let name = |own: &Option<String>| own.clone().or_else(|| arguments.dialect.clone()).unwrap_or_default();
    let (dialect_a, dialect_b) =
        (dialect(&name(&arguments.dialect_a))?, dialect(&name(&arguments.dialect_b))?);
    let [a, b] = inputs else {
        complain("`--diff` compares two messages: give two of them");
        return Err(exit::USAGE);
    };
    let mut sides = Vec::new();
    for (side, dialect, input) in [("first", &dialect_a, a), ("second", &dialect_b, b)] {
        let mut found = messages(dialect, input);
        match (found.pop(), found.len()) {
            (Some(message), 0) => sides.push(message),
            _ => {
                complain(format!("the {side} input has more than one message"));
                return Err(exit::DATA);
            }
        }
        for mistake in sides.iter().skip(sides.len() - 1).flat_map(|message| &message.mistakes) {
            complain(format!("the {side} message: {mistake}"));
        }
    }
    if sides.iter().any(|message| !message.mistakes.is_empty()) {
        return Err(exit::DATA);
    }
    let rows = compare::compare(&sides[0], &sides[1]);
    if arguments.json {
        say(compare::json(&rows));
    } else if compare::equal(&rows) && !arguments.all {
        say("equal");
    } else {
        say(compare::text(&rows, arguments.all).trim_end());
    }
    Ok(if compare::equal(&rows) { exit::OK } else { DIFFERENT })
}

fn guess(arguments: &DecodeArgs, inputs: &[Pieces]) -> Result<u8, u8> {
    let mut own = Vec::new();
    for file in &arguments.dialect_file {
        own.push((file.clone(), read_text(file)?));
    }
    let files: Vec<(&str, &str)> =
        own.iter().map(|(file, text)| (file.to_str().unwrap_or("dialect.toml"), text.as_str())).collect();
    for (file, text) in &files {
        if let Err(findings) = Dialect::from_toml(file, text) {
            complain_all(&findings);
            return Err(exit::CONFIGURATION);
        }
    }
    let pieces: Vec<&[u8]> = inputs.iter().flatten().map(Vec::as_slice).collect();
    let streams: Vec<Vec<u8>> = inputs.iter().map(|input| input.concat()).collect();
    let streams: Vec<&[u8]> = streams.iter().map(Vec::as_slice).collect();
    let mut guesses = guess::guess(&streams, &files);
    if guesses.is_empty() && pieces.len() > streams.len() {
        guesses = guess::guess(&pieces, &files);
    }
    let Some(best) = guesses.first() else {
        complain("no framing, header and dialect fit the input to its end");
        return Err(exit::DATA);
    };
    if let Some(file) = &arguments.dialect_out {
        write_dialect(best, file)?;
    }
    if arguments.json {
        say(serde_json::Value::Array(guesses.iter().map(Guess::json).collect()));
        return Ok(exit::OK);
    }
    say(best.text());
    if guesses.len() > 1 {
        say("\nwhat fits too, and less well:");
        for other in guesses.iter().skip(1).take(5) {
            say(format!("  {}", other.summary()));
        }
    }
    Ok(exit::OK)
}

fn write_dialect(guess: &Guess, file: &Path) -> Result<(), u8> {
    let written = std::fs::OpenOptions::new().write(true).create_new(true).open(file);
    let written = written.and_then(|mut out| std::io::Write::write_all(&mut out, guess.table().as_bytes()));
    written.map_err(|error| {
        complain(format!("{}: {error}", file.display()));
        exit::IO
    })
}
