//! `turnpike rates`: sets the rates of a file in a running daemon, and lists those that it has.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;

use clap::Args;
use serde_json::Value;
use serde_json::json;

use crate::domain::asset::Price;
use crate::edge::client;
use crate::edge::commands::complain;
use crate::edge::commands::say;
use crate::edge::exit;

/// Most rates that the daemon takes at once.
const AT_ONCE: usize = 1_000;

/// `turnpike rates`.
#[derive(Args, Debug)]
pub struct RatesArgs {
    /// Lines of `from,to,price,spread_ppm` below a heading that says so; a rate without a price is withdrawn. Without a
    /// file the daemon's rates are listed in the same form.
    file: Option<PathBuf>,
    /// Where the daemon's admin face listens.
    #[arg(long, default_value = "127.0.0.1:8580")]
    http: SocketAddr,
}

/// What stands in the first line.
const HEADING: [&str; 4] = ["from", "to", "price", "spread_ppm"];

/// Runs `turnpike rates` and returns the exit code.
#[must_use]
pub fn run(arguments: &RatesArgs) -> u8 {
    let done = match &arguments.file {
        None => list(arguments.http),
        Some(file) => match read(file) {
            Ok(rates) => set(arguments.http, &rates),
            Err(findings) => {
                findings.iter().for_each(complain);
                return exit::DATA;
            }
        },
    };
    match done {
        Ok(()) => exit::OK,
        Err((code, why)) => {
            complain(why);
            code
        }
    }
}

/// The rates of a file as the daemon takes them, or every mistake with its line. Nothing is set where there is one.
fn read(file: &Path) -> Result<Vec<Value>, Vec<String>> {
    let name = file.display();
    let text = fs::read_to_string(file).map_err(|error| vec![format!("{name}: {error}")])?;
    let mut reader =
        csv::ReaderBuilder::new().trim(csv::Trim::All).comment(Some(b'#')).from_reader(text.as_bytes());
    let heading = reader.headers().map_err(|error| vec![format!("{name}: {error}")])?;
    if !heading.iter().eq(HEADING) {
        return Err(vec![format!("{name}:1: the first line must be `{}`", HEADING.join(","))]);
    }
    let (mut rates, mut findings) = (Vec::new(), Vec::new());
    for record in reader.records() {
        let rate =
            record.map_err(|error| (error.position().map_or(0, csv::Position::line), error.to_string()));
        match rate.and_then(|record| {
            let line = record.position().map_or(0, csv::Position::line);
            rate_of(&record).map_err(|why| (line, why))
        }) {
            Ok(rate) => rates.push(rate),
            Err((line, why)) => findings.push(format!("{name}:{line}: {why}")),
        }
    }
    if rates.is_empty() && findings.is_empty() {
        findings.push(format!("{name}: there are no rates in it"));
    }
    if findings.is_empty() { Ok(rates) } else { Err(findings) }
}

fn rate_of(record: &csv::StringRecord) -> Result<Value, String> {
    let field = |at: usize| record.get(at).unwrap_or_default();
    let price = match field(2) {
        "" => None,
        text => Some(text.parse::<Price>().map_err(|error| error.to_string())?.to_string()),
    };
    let spread_ppm = match field(3) {
        "" => 0,
        text => text.parse::<u32>().map_err(|_| "`spread_ppm` is a whole number of millionths".to_owned())?,
    };
    Ok(json!({ "from": field(0), "to": field(1), "price": price, "spread_ppm": spread_ppm }))
}

/// Sets rates, as many at once as the daemon takes: those of one request all or none.
fn set(daemon: SocketAddr, rates: &[Value]) -> Result<(), (u8, String)> {
    for (part, rates) in rates.chunks(AT_ONCE).enumerate() {
        let body = json!({ "rates": rates }).to_string();
        let answered = client::begin_post(daemon, "/v1/rates", body.len() as u64).and_then(|mut socket| {
            socket.write_all(body.as_bytes())?;
            client::answer(&mut socket)
        });
        let answer = read_answer(daemon, answered).map_err(|(code, why)| {
            let before =
                if part == 0 { String::new() } else { format!(" after {} were set", part * AT_ONCE) };
            (code, format!("{why}{before}"))
        })?;
        say(format!("{} rates set, record {}", answer["set"], answer["sequence"]));
    }
    Ok(())
}

fn list(daemon: SocketAddr) -> Result<(), (u8, String)> {
    let answer = read_answer(daemon, client::get(daemon, "/v1/rates"))?;
    say(HEADING.join(","));
    for rate in answer["rates"].as_array().into_iter().flatten() {
        let text = |name: &str| rate[name].as_str().unwrap_or_default().to_owned();
        say(format!("{},{},{},{}", text("from"), text("to"), text("price"), rate["spread_ppm"]));
    }
    Ok(())
}

fn read_answer(daemon: SocketAddr, answered: std::io::Result<(u16, Vec<u8>)>) -> Result<Value, (u8, String)> {
    let gone = |error| (exit::UNAVAILABLE, format!("{daemon}: {error}; is a daemon running there?"));
    let (status, body) = answered.map_err(gone)?;
    let value: Value = serde_json::from_slice(&body).unwrap_or_default();
    if status == 200 {
        return Ok(value);
    }
    let why = value["detail"].as_str().or(value["error"].as_str()).unwrap_or("no reason given");
    let code = if (400..500).contains(&status) { exit::DATA } else { exit::UNAVAILABLE };
    Err((code, format!("{why} ({status})")))
}
