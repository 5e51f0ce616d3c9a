//! `turnpike simulate`: a party on the other side, for tests and rehearsals, which lives by rules and misbehaves by a
//! seed.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;
use tokio::signal::unix::Signal;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;

use crate::dialect::Dialect;
use crate::domain::money::Currency;
use crate::edge::clock;
use crate::edge::exit;
use crate::edge::loadtest::plan::duration;
use crate::edge::simulate::line::Voice;
use crate::edge::simulate::network::Span;
use crate::edge::simulate::place::Place;
use crate::workload::identity::Run;
use crate::workload::network::Network;
use crate::workload::network::Settings;
use crate::workload::party::Faults;
use crate::workload::party::Rules;
use crate::workload::party::Taken;
use crate::workload::population::Iin;

mod issuer;
mod line;
mod network;
mod place;

/// A party that is silent for longer than a year does not come back.
const SILENCE_MAX_S: u64 = 366 * 24 * 3_600;
const EXIT_CODES: &str = "Exit codes: of a network 0 when all is settled, 99 when something stayed open, 69 when \
                          nobody was ever there, 130 when it was interrupted; of both 2 when arguments are wrong, 74 \
                          when a file or an address is not to be had.";

/// An issuer answers until it is ended. A network buys for a time, settles what is open, says what has happened, and
/// ends. What goes wrong is what each of them sends: answers of an issuer, messages of a network.
#[derive(clap::Args, Clone, Debug)]
#[command(group = clap::ArgGroup::new("place").required(true), after_help = EXIT_CODES)]
pub struct SimulateArgs {
    /// Whose messages it speaks.
    #[arg(long, value_name = "DIALECT")]
    dialect: String,
    /// Which side it is on: an issuer answers what comes, a network sends purchases of its cards.
    #[arg(long, value_enum, default_value = "issuer")]
    role: Role,
    /// Where it listens.
    #[arg(long, value_name = "ADDR", group = "place")]
    listen: Option<SocketAddr>,
    /// Where it connects, and connects again. Repeatable.
    #[arg(long, value_name = "ADDR", group = "place")]
    connect: Vec<SocketAddr>,
    /// Sockets to each address that it connects to.
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "listen",
        value_parser = clap::value_parser!(u16).range(1..=1024))]
    connections: u16,
    /// Who signs on (0800): us, on every socket, or the peer [default: whoever connects].
    #[arg(long, value_enum, value_name = "WHO")]
    sign_on: Option<SignsOn>,
    /// What everything is drawn from.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How long an answer or a message takes to leave: milliseconds, or from and to.
    #[arg(long, value_name = "MS[..MS]", default_value = "0", value_parser = range)]
    delay_ms: (u32, u32),
    /// The share that is not sent, 0 to 1. A network believes to have sent it.
    #[arg(long, value_name = "P", default_value = "0", value_parser = share)]
    drop: u32,
    /// The share that is sent twice.
    #[arg(long, value_name = "P", default_value = "0", value_parser = share)]
    duplicate: u32,
    /// The share that is sent after the next one.
    #[arg(long, value_name = "P", default_value = "0", value_parser = share)]
    reorder: u32,
    /// The share in the middle of which the socket is closed.
    #[arg(long, value_name = "P", default_value = "0", value_parser = share)]
    close: u32,
    /// The share in whose place something else is sent.
    #[arg(long, value_name = "P", default_value = "0", value_parser = share)]
    garbage: u32,
    /// After so many seconds nothing is answered any more, and a network reads and sends nothing ...
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(..=SILENCE_MAX_S))]
    silent_after: Option<u64>,
    /// ... for so many seconds.
    #[arg(
        long, value_name = "S", default_value_t = 10, requires = "silent_after",
        value_parser = clap::value_parser!(u64).range(..=SILENCE_MAX_S),
    )]
    silent_for: u64,
    /// Where the book is written at the end, and whenever SIGUSR1 comes: JSON.
    #[arg(long, value_name = "FILE")]
    book: Option<PathBuf>,
    #[command(flatten)]
    issuer: IssuerArgs,
    #[command(flatten)]
    network: NetworkArgs,
}

/// Which side a simulated party is on.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum Role {
    Issuer,
    Network,
}

#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum SignsOn {
    Us,
    Peer,
}

#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Issuer")]
struct IssuerArgs {
    /// Decline one in so many requests; 0 is none.
    #[arg(long, value_name = "N")]
    decline_every: Option<u64>,
    /// Decline what is above this, minor units.
    #[arg(long, value_name = "MINOR")]
    decline_above: Option<i64>,
}

#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Network")]
struct NetworkArgs {
    /// Purchases a second [default: 10].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    rate: Option<u64>,
    /// How long something new is bought, counted from when the peer is there [default: 60s].
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    length: Option<Duration>,
    /// How long what is then open may take to be settled [default: 60s].
    #[arg(long, value_name = "TIME", value_parser = duration)]
    settle_for: Option<Duration>,
    /// How long an answer is waited for before the request is repeated, reversed or stood in for [default: 5000].
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=600_000))]
    timeout_ms: Option<u64>,
    /// How its cards begin: digits of a test range [default: 400000, the cards of `load --make-seed`].
    #[arg(long, value_name = "PREFIX", value_parser = Iin::parse)]
    iin: Option<Iin>,
    /// How many cards there are [default: 1000].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    cards: Option<u32>,
    /// A currency of purchases, ISO 4217 numeric [default: 840]. Repeatable.
    #[arg(long, value_name = "CODE", value_parser = currency)]
    currency: Vec<Currency>,
    /// The least and the most of a purchase, minor units [default: 100..20000].
    #[arg(long, value_name = "MINOR..MINOR", value_parser = amounts)]
    amounts: Option<(u32, u32)>,
}

impl NetworkArgs {
    /// The first that was given.
    fn given(&self) -> Option<&'static str> {
        let given = [
            (self.rate.is_some(), "--rate"),
            (self.length.is_some(), "--for"),
            (self.settle_for.is_some(), "--settle-for"),
            (self.timeout_ms.is_some(), "--timeout-ms"),
            (self.iin.is_some(), "--iin"),
            (self.cards.is_some(), "--cards"),
            (!self.currency.is_empty(), "--currency"),
            (self.amounts.is_some(), "--amounts"),
        ];
        given.into_iter().find(|(given, _)| *given).map(|(_, name)| name)
    }
}

/// Two numbers with `..` between them, or one that is both.
fn from_to(text: &str, what: &str) -> Result<(u32, u32), String> {
    let (from, to) = text.split_once("..").unwrap_or((text, text));
    let number = |text: &str| text.parse::<u32>().map_err(|_| format!("\"{text}\" is no number of {what}"));
    Ok((number(from)?, number(to)?))
}

/// `5` or `5..20`.
fn range(text: &str) -> Result<(u32, u32), String> {
    let (from, to) = from_to(text, "milliseconds")?;
    if from <= to && to <= 600_000 {
        Ok((from, to))
    } else {
        Err("a delay is from a shorter to a longer time, ten minutes at most".to_owned())
    }
}

fn amounts(text: &str) -> Result<(u32, u32), String> {
    let (from, to) = from_to(text, "minor units")?;
    if 1 <= from && from <= to {
        Ok((from, to))
    } else {
        Err("amounts are from a smaller to a larger one, and not zero".to_owned())
    }
}

fn currency(text: &str) -> Result<Currency, String> {
    let right = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    let code = text.parse().ok().filter(|_| right).and_then(Currency::new);
    code.ok_or_else(|| format!("\"{text}\" is no currency; write its three digits (ISO 4217), such as 978"))
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

/// What a signal asks for.
enum Called {
    Show,
    End,
}

/// The signals that a party listens to.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    show: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            show: signal(SignalKind::user_defined1())?,
        })
    }

    async fn next(&mut self) -> Called {
        tokio::select! {
            _ = self.terminate.recv() => Called::End,
            _ = self.interrupt.recv() => Called::End,
            _ = self.show.recv() => Called::Show,
        }
    }
}

/// Writes a book: what was counted, and what is taken by card and currency.
fn write_book(
    file: Option<&Path>,
    counts: &BTreeMap<String, u64>,
    taken: &BTreeMap<(String, u16), Taken>,
) -> io::Result<()> {
    let Some(file) = file else { return Ok(()) };
    let cards: Vec<_> = taken
        .iter()
        .map(|((card, currency), taken)| {
            let (currency, held) = (format!("{currency:03}"), taken.held);
            json!({ "card": card, "currency": currency, "held": held, "posted": taken.posted })
        })
        .collect();
    // Whoever waits for it never sees a part.
    let mut whole = file.as_os_str().to_owned();
    whole.push(".part");
    std::fs::write(&whole, json!({ "counts": counts, "cards": cards }).to_string())?;
    std::fs::rename(whole, file)
}

/// Lives until it is ended, or until a network has settled what it did.
#[must_use]
pub fn run(args: &SimulateArgs) -> ExitCode {
    let lived = match Party::of(args) {
        Ok(party) => party.live(args),
        Err(words) => return fail(exit::USAGE, words),
    };
    match lived {
        Ok(code) => ExitCode::from(code),
        Err(error) => fail(exit::IO, error),
    }
}

fn fail(code: u8, words: impl Display) -> ExitCode {
    eprintln!("simulate: {words}");
    ExitCode::from(code)
}

/// What arguments that are each right come to.
struct Party {
    place: Place,
    voice: Voice,
    faults: Faults,
    who: Who,
}

enum Who {
    Issuer(Rules),
    Network(Box<Network>, Span),
}

impl Party {
    fn of(args: &SimulateArgs) -> Result<Self, String> {
        let dialect = Dialect::built_in(&args.dialect).ok_or_else(|| {
            format!("no dialect `{}`; there are {}", args.dialect, Dialect::built_in_names().join(", "))
        })?;
        let SimulateArgs { seed, delay_ms, drop, duplicate, reorder, close, garbage, .. } = *args;
        let faults = Faults { seed, delay_ms, drop, duplicate, reorder, close, garbage };
        if [drop, duplicate, reorder, close, garbage].iter().sum::<u32>() > 1_000_000 {
            let words = "the shares of --drop, --duplicate, --reorder, --close and --garbage are more than 1";
            return Err(format!("{words} together"));
        }
        let IssuerArgs { decline_every, decline_above } = args.issuer;
        let who = match args.role {
            Role::Issuer => match args.network.given() {
                Some(name) => return Err(format!("{name} is for --role network")),
                None => Who::Issuer(Rules { decline_every: decline_every.unwrap_or(0), decline_above }),
            },
            Role::Network if decline_every.is_some() || decline_above.is_some() => {
                return Err("--decline-every and --decline-above are for --role issuer".to_owned());
            }
            Role::Network => network_of(&args.network, faults, &dialect)?,
        };
        let place = match args.listen {
            Some(address) => Place::Listens(address),
            None => Place::Connects(args.connect.clone(), args.connections),
        };
        let by_place = if args.listen.is_some() { SignsOn::Peer } else { SignsOn::Us };
        let signs_on = args.sign_on.unwrap_or(by_place) == SignsOn::Us;
        let silent = args.silent_after.map(|after| (after, args.silent_for));
        let name = if args.role == Role::Issuer { "issuer" } else { "network" };
        Ok(Self { place, voice: Voice::new(dialect, name, signs_on, silent), faults, who })
    }

    fn live(self, args: &SimulateArgs) -> io::Result<u8> {
        let Self { place, voice, faults, who } = self;
        let book = args.book.as_deref();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        match who {
            Who::Issuer(rules) => {
                let served = runtime.block_on(issuer::serve(&place, voice, rules, faults, book));
                served.map(|()| exit::OK)
            }
            Who::Network(network, span) => {
                let end = runtime.block_on(network::live(&place, voice, *network, span, book))?;
                Ok(end.exit_code())
            }
        }
    }
}

fn network_of(args: &NetworkArgs, faults: Faults, dialect: &Dialect) -> Result<Who, String> {
    let minute = Duration::from_secs(60);
    let span = Span { length: args.length.unwrap_or(minute), settle: args.settle_for.unwrap_or(minute) };
    let (iin, cards) = (args.iin.unwrap_or(Iin::GENERATED), args.cards.unwrap_or(1_000));
    if u64::from(cards) > iin.cards() {
        return Err(format!(
            "--iin leaves room for {} cards; ask for no more, or make it shorter",
            iin.cards()
        ));
    }
    let dollars = Currency::new(840).unwrap_or_default();
    let currencies = if args.currency.is_empty() { vec![dollars] } else { args.currency.clone() };
    let settings = Settings {
        seed: faults.seed,
        rate: args.rate.unwrap_or(10),
        iin,
        cards,
        currencies,
        amounts: args.amounts.unwrap_or((100, 20_000)),
        timeout_ms: args.timeout_ms.unwrap_or(5_000),
        faults,
    };
    // No two runs have the same keys, but for one in a thousand.
    let run = Run::new(clock::wall().seconds().wrapping_mul(37).wrapping_add(faults.seed));
    let network = Network::new(settings, dialect, run).map_err(|error| error.to_string())?;
    Ok(Who::Network(Box::new(network), span))
}
