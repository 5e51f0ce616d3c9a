//! `turnpike simulate`: a party on the other side, for tests and rehearsals, which answers by rules and misbehaves by a
//! seed.

mod issuer;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::dialect::Dialect;
use crate::edge::exit;
use crate::workload::party::Faults;
use crate::workload::party::Rules;

/// Answers as the issuer behind a switch would.
#[derive(clap::Args, Clone, Debug)]
pub struct SimulateArgs {
    /// Whose messages it speaks.
    #[arg(long, value_name = "DIALECT")]
    dialect: String,
    /// Where it listens.
    #[arg(long, value_name = "ADDR")]
    listen: SocketAddr,
    /// Decline one in so many requests; 0 is none.
    #[arg(long, value_name = "N", default_value_t = 0)]
    decline_every: u64,
    /// Decline what is above this, minor units.
    #[arg(long, value_name = "MINOR")]
    decline_above: Option<i64>,
    /// What the faults are drawn from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long an answer takes: milliseconds, or from and to.
    #[arg(long, value_name = "MS[..MS]", default_value = "0", value_parser = range)]
    delay_ms: (u32, u32),
    /// The share of answers that are not sent, 0 to 1.
    #[arg(long, value_name = "P", default_value = "0", value_parser = share)]
    drop: u32,
    /// The share of answers that are sent twice.
    #[arg(long, value_name = "P", default_value = "0", value_parser = share)]
    duplicate: u32,
    /// The share of answers that are sent after the next one.
    #[arg(long, value_name = "P", default_value = "0", value_parser = share)]
    reorder: u32,
    /// The share of answers in the middle of which the socket is closed.
    #[arg(long, value_name = "P", default_value = "0", value_parser = share)]
    close: u32,
    /// The share of answers in whose place something else is sent.
    #[arg(long, value_name = "P", default_value = "0", value_parser = share)]
    garbage: u32,
    /// After so many seconds nothing is answered any more ...
    #[arg(long, value_name = "S")]
    silent_after: Option<u64>,
    /// ... for so many seconds.
    #[arg(long, value_name = "S", default_value_t = 10, requires = "silent_after")]
    silent_for: u64,
    /// Where the book is written at the end, and whenever SIGUSR1 comes: JSON.
    #[arg(long, value_name = "FILE")]
    book: Option<PathBuf>,
}

/// `5` or `5..20`.
fn range(text: &str) -> Result<(u32, u32), String> {
    let (from, to) = text.split_once("..").unwrap_or((text, text));
    let number =
        |text: &str| text.parse::<u32>().map_err(|_| format!("\"{text}\" is no number of milliseconds"));
    let (from, to) = (number(from)?, number(to)?);
    if from <= to && to <= 600_000 {
        Ok((from, to))
    } else {
        Err("a delay is from a shorter to a longer time, ten minutes at most".to_owned())
    }
}

/// A share from 0 to 1, in millionths.
fn share(text: &str) -> Result<u32, String> {
    let (whole, parts) = text.split_once('.').unwrap_or((text, ""));
    let right = !whole.is_empty()
        && parts.len() <= 6
        && (whole.to_owned() + parts).bytes().all(|b| b.is_ascii_digit());
    let number =
        format!("{whole}{parts:0<6}").parse::<u32>().ok().filter(|millionths| *millionths <= 1_000_000);
    number
        .filter(|_| right)
        .ok_or_else(|| format!("\"{text}\" is no share from 0 to 1, of six decimals at most"))
}

/// Serves until SIGTERM or SIGINT.
#[must_use]
pub fn run(args: &SimulateArgs) -> ExitCode {
    let Some(dialect) = Dialect::built_in(&args.dialect) else {
        eprintln!("no dialect `{}`; there are {}", args.dialect, Dialect::built_in_names().join(", "));
        return ExitCode::from(exit::USAGE);
    };
    let faults = Faults {
        seed: args.seed,
        delay_ms: args.delay_ms,
        drop: args.drop,
        duplicate: args.duplicate,
        reorder: args.reorder,
        close: args.close,
        garbage: args.garbage,
    };
    if [faults.drop, faults.duplicate, faults.reorder, faults.close, faults.garbage].iter().sum::<u32>()
        > 1_000_000
    {
        eprintln!(
            "the shares of --drop, --duplicate, --reorder, --close and --garbage are more than 1 together"
        );
        return ExitCode::from(exit::USAGE);
    }
    let rules = Rules { decline_every: args.decline_every, decline_above: args.decline_above };
    let silent = args.silent_after.map(|after| (after, args.silent_for));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let served = runtime.and_then(|runtime| {
        runtime.block_on(issuer::serve(args.listen, dialect, rules, faults, silent, args.book.as_deref()))
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("simulate: {error}");
            ExitCode::from(exit::IO)
        }
    }
}
