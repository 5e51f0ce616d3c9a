//! `turnpike stored`: what a running daemon must still tell a link, and what an operator does about it.

use std::io;
use std::net::SocketAddr;

use clap::Args;
use clap::Subcommand;
use serde_json::Value;

use crate::edge::client;
use crate::edge::commands::complain;
use crate::edge::commands::say;
use crate::edge::exit;

/// `turnpike stored`.
#[derive(Args, Debug)]
pub struct StoredArgs {
    /// Where the daemon's admin face listens.
    #[arg(long, default_value = "127.0.0.1:8580")]
    http: SocketAddr,
    /// The link.
    #[arg(long)]
    link: String,
    #[command(subcommand)]
    verb: Option<StoredVerb>,
}

#[derive(Subcommand, Clone, Debug)]
enum StoredVerb {
    /// List the stored messages, the oldest first.
    List,
    /// Hold one back, and what comes after it for its card.
    Hold {
        /// As the list names it.
        id: String,
    },
    /// Let one go on that was held, or that was refused too often.
    Release {
        /// As the list names it.
        id: String,
    },
    /// Take one out for good: the party is never told.
    Purge {
        /// As the list names it.
        id: String,
    },
    /// Send no stored messages for now.
    Pause,
    /// Send stored messages again.
    Resume,
    /// Send so many a second at most, until the next start.
    Pace {
        /// Zero is no limit.
        #[arg(value_parser = clap::value_parser!(u32).range(..=1_000_000))]
        per_second: u32,
    },
    /// Forward nothing new to the link; what is open ends, and what is stored goes.
    Drain,
    /// Forward to it again.
    Serve,
    /// List answers of the party that answered nothing.
    Cases,
}

/// What the daemon did not do, and why.
enum NotDone {
    Gone(io::Error),
    Refused(u16, String),
}

/// Runs `turnpike stored` and returns the exit code.
#[must_use]
pub fn run(arguments: &StoredArgs) -> u8 {
    let link = encoded(&arguments.link);
    let at = |path: &str| format!("/v1/links/{link}/{path}");
    let settle = |id: &str, verb: &str| {
        let done = ask(arguments.http, "POST", &at(&format!("stored/{}/{verb}", encoded(id))))?;
        say(format!("{}: {}", text(&done["id"]), text(&done["settlement"])));
        Ok(())
    };
    let queue = |verb: &str| {
        ask(arguments.http, "POST", &at(&format!("queue/{verb}"))).map(|line| say(line_text(&line)))
    };
    let done = match arguments.verb.as_ref().unwrap_or(&StoredVerb::List) {
        StoredVerb::List => list(arguments.http, &at("stored")),
        StoredVerb::Hold { id } => settle(id, "hold"),
        StoredVerb::Release { id } => settle(id, "release"),
        StoredVerb::Purge { id } => settle(id, "purge"),
        StoredVerb::Pause => queue("pause"),
        StoredVerb::Resume => queue("resume"),
        StoredVerb::Pace { per_second } => queue(&format!("pace?per_second={per_second}")),
        StoredVerb::Drain => queue("drain"),
        StoredVerb::Serve => queue("serve"),
        StoredVerb::Cases => ask(arguments.http, "GET", &at("cases")).map(|answer| {
            let cases = answer["cases"].as_array().into_iter().flatten();
            cases.for_each(|case| say(case_text(case)));
        }),
    };
    match done {
        Ok(()) => exit::OK,
        Err(NotDone::Gone(error)) => {
            complain(format!("{}: {error}; is a daemon running there?", arguments.http));
            exit::UNAVAILABLE
        }
        Err(NotDone::Refused(status, why)) => {
            complain(why);
            if matches!(status, 400 | 404) { exit::DATA } else { exit::UNAVAILABLE }
        }
    }
}

/// Page by page, however many there are.
fn list(daemon: SocketAddr, path: &str) -> Result<(), NotDone> {
    let mut after = String::new();
    loop {
        let page = ask(daemon, "GET", &format!("{path}?limit=1000{after}"))?;
        let messages = page["messages"].as_array().into_iter().flatten();
        messages.for_each(|message| say(message_text(message)));
        match page["next"].as_str() {
            Some(next) => after = format!("&after={}", encoded(next)),
            None => return Ok(()),
        }
    }
}

fn ask(daemon: SocketAddr, method: &str, path: &str) -> Result<Value, NotDone> {
    let (status, body) = client::ask(daemon, method, path).map_err(NotDone::Gone)?;
    let value: Value = serde_json::from_slice(&body).unwrap_or_default();
    if status == 200 {
        return Ok(value);
    }
    let why = value["error"].as_str().map_or_else(|| format!("the daemon answers {status}"), str::to_owned);
    Err(NotDone::Refused(status, why))
}

/// A part of a path: what could end it or the request is written as a number.
fn encoded(part: &str) -> String {
    let mut out = String::with_capacity(part.len());
    for byte in part.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => out.push(char::from(byte)),
            _ => out += &format!("%{byte:02X}"),
        }
    }
    out
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

fn message_text(message: &Value) -> String {
    let of = |key: &str| text(&message[key]);
    let waits = match message["waits_for_request"].as_u64() {
        Some(record) => format!(", after request {record}"),
        None => String::new(),
    };
    if let Some(status) = message["card_status"].as_str() {
        return format!(
            "{} {} {} of {}, which is {status}: STAN {}, since {}, {} attempts, {} refused",
            of("id"),
            of("state"),
            of("what"),
            of("card"),
            of("stan"),
            of("since"),
            message["attempts"],
            message["refusals"],
        );
    }
    format!(
        "{} {} {} of {}: {} minor units of {}, STAN {} for {}, RRN {}, since {}, {} attempts, {} refused{waits}",
        of("id"),
        of("state"),
        of("what"),
        of("card"),
        message["amount"],
        of("currency"),
        of("stan"),
        of("original_stan"),
        of("rrn"),
        of("since"),
        message["attempts"],
        message["refusals"],
    )
}

fn case_text(case: &Value) -> String {
    let of = |key: &str| text(&case[key]);
    let mut line = format!(
        "{} {} {} {}: STAN {}, RRN {}",
        of("at"),
        of("kind"),
        of("mti"),
        of("response_code"),
        of("stan"),
        of("rrn")
    );
    if let Some(card) = case["nearest_card"].as_str() {
        line += &format!(", nearest {card} with RRN {}", of("nearest_rrn"));
    }
    match case["differs_in"].as_u64() {
        Some(0) => line += ", which expects another MTI",
        Some(field) => line += &format!(", which differs in DE {field}"),
        None => {}
    }
    if let Some(stan) = case["fits_stan"].as_str() {
        line += &format!("; all but its name fits STAN {stan}");
    }
    line
}

fn line_text(line: &Value) -> String {
    let is = |key: &str, yes: &'static str, no: &'static str| if line[key] == true { yes } else { no };
    format!(
        "{}, {}, stored messages are {}: {} stored, {} on their way, {} dead; {} requests in flight",
        is("up", "up", "down"),
        is("draining", "draining", "serving"),
        is("paused", "paused", "sent"),
        line["stored"],
        line["stored_on_their_way"],
        line["stored_dead"],
        line["in_flight"],
    )
}
