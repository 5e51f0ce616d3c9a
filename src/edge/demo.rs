//! `turnpike demo`: a daemon with its journal, a small population, every network over real TCP, and what came of it,
//! told to a person who sees it for the first time.

use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use crate::config::Config;
use crate::config::seed::Seed;
use crate::dialect::Dialect;
use crate::dialect::describe::describe;
use crate::domain::time::TransmissionTime;
use crate::edge::clock;
use crate::edge::commands::code_of;
use crate::edge::commands::complain;
use crate::edge::commands::say;
use crate::edge::crew::Threads;
use crate::edge::daemon;
use crate::edge::daemon::Daemon;
use crate::edge::daemon::Drained;
use crate::edge::daemon::StartOptions;
use crate::edge::demo_switch::Processor;
use crate::edge::disk::Disk;
use crate::edge::exit;
use crate::edge::keys;
use crate::edge::loadtest::drive::drive;
use crate::edge::loadtest::plan::Pace;
use crate::edge::loadtest::plan::Plan;
use crate::edge::loadtest::plan::Target;
use crate::edge::loadtest::report::Report;
use crate::edge::telemetry;
use crate::iso8583::value::Value;
use crate::journal::recover::Opener;
use crate::ledger::books::Layout;
use crate::recovery;
use crate::workload::identity::Run;
use crate::workload::population::Composition;
use crate::workload::population::Population;

/// The commented default, which is also what a newcomer starts from.
pub const DEFAULT_CONFIG: &str = include_str!("../../config/turnpike.toml");

const WALLETS: u32 = 10_000;
/// Messages a second: enough to see, little enough for any laptop.
const RATE: u64 = 2_000;

/// The data directory of a demo, and whether it goes away with it.
struct Place {
    directory: PathBuf,
    temporary: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.temporary {
            // Nothing is lost but a temporary directory.
            let _ = std::fs::remove_dir_all(&self.directory);
        }
    }
}

/// Runs the demo for about `length` and returns the exit code: 99 when an answer or a cent was wrong.
#[must_use]
pub fn demo(length: Duration, data_dir: Option<PathBuf>) -> u8 {
    telemetry::start_diagnostics_at("error");
    let temporary = data_dir.is_none();
    let directory = data_dir
        .unwrap_or_else(|| std::env::temp_dir().join(format!("turnpike-demo-{}", std::process::id())));
    let place = Place { directory, temporary };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(format!("the event loop cannot be started: {error}"));
            return exit::UNAVAILABLE;
        }
    };
    runtime.block_on(run(&place, length)).unwrap_or_else(|code| code)
}

/// The commented default, with a processor to which its cards are routed.
fn configure(place: &Place, processor: &Processor) -> Result<Config, u8> {
    let text = DEFAULT_CONFIG.to_owned() + &processor.routes();
    let mut config = Config::from_toml("config/turnpike.toml", &text).map_err(|findings| {
        findings.iter().for_each(complain);
        exit::CONFIGURATION
    })?;
    config.daemon.data_dir.clone_from(&place.directory);
    // A demo needs no room for a day.
    config.journal.segment_mib = 16;
    Ok(config)
}

async fn run(place: &Place, length: Duration) -> Result<u8, u8> {
    let failed = |error: String| {
        complain(error);
        exit::UNAVAILABLE
    };
    let processor = Processor::start(&place.directory).await.map_err(failed)?;
    let config = &configure(place, &processor)?;
    let population = Population::generate(Composition::of(WALLETS, 1));
    let seed = Seed::from_csv("the demo's population", population.to_seed_csv().as_bytes());
    let seed = seed.map_err(|findings| {
        findings.iter().for_each(complain);
        exit::DATA
    })?;
    let options = StartOptions { free_ports: true };
    let daemon = Daemon::start(config, Some(("demo", &seed)), options).await.map_err(|error| {
        complain(&error);
        code_of(&error)
    })?;
    introduce(&daemon, place);
    for purchase in &PURCHASES {
        one_authorization(&daemon, &seed, purchase).await?;
    }
    let (report, summary) =
        tokio::join!(traffic(&daemon, population, length), processor.rehearse(&daemon, length));
    let (report, summary) = (report?, summary.map_err(failed)?);
    let drained = daemon.drain().await.map_err(|error| {
        complain(error);
        exit::IO
    })?;
    conclude(&report, &drained);
    say(summary.lines());
    read_back(config, &place.directory, &drained)?;
    Ok(if summary.agrees() { report.exit_code() } else { exit::THRESHOLD })
}

fn introduce(daemon: &Daemon, place: &Place) {
    say("Turnpike answers card authorizations over TCP, from wallets in memory with a journal on disk.\n");
    for (name, dialect, address) in &daemon.links {
        say(format!("  link {name:<8} {address:<18} speaks {dialect}"));
    }
    say(format!("  admin face    http://{}", daemon.admin));
    let fate = if place.temporary { "removed at the end" } else { "kept" };
    say(format!("  journal       {} ({fate})", place.directory.join("journal").display()));
    say(format!(
        "  population    {WALLETS} wallets, test card numbers only; PIN, CVV and cryptograms are not verified\n"
    ));
}

/// A purchase that is shown, and what its network has besides what all have.
struct Purchase {
    dialect: &'static str,
    network: &'static str,
    own: &'static [(u8, &'static str)],
}

const PURCHASES: [Purchase; 2] = [
    Purchase {
        dialect: "visa",
        network: "Visa",
        own: &[(11, "000001"), (19, "840"), (22, "0510"), (25, "00"), (37, "DEMO00000001")],
    },
    Purchase {
        dialect: "mastercard",
        network: "Mastercard",
        own: &[
            (11, "000002"),
            (22, "051"),
            (37, "DEMO00000002"),
            (48, "R610510000"),
            (61, "0000000000800840902101234"),
            (63, "MCCDEMO01"),
        ],
    },
];

/// One purchase over the link of its network, shown as it goes over the wire.
async fn one_authorization(daemon: &Daemon, seed: &Seed, purchase: &Purchase) -> Result<(), u8> {
    let link = daemon.links.iter().find(|(_, dialect, _)| dialect == purchase.dialect);
    let Some((_, dialect, address)) = link else { return Ok(()) };
    let Some(dialect) = Dialect::built_in(dialect) else { return Ok(()) };
    let Some(card) = seed.cards().first() else { return Ok(()) };
    let mut digits = [0; crate::domain::card::PAN_DIGITS_MAX];
    let start = card.pan.clear_ascii(&mut digits);
    let number = String::from_utf8_lossy(&digits[start..]).into_owned();
    let transmission = format!("{:010}", TransmissionTime::at(clock::wall()).digits());
    let mut request = Vec::new();
    let day = &transmission[..4];
    let mut fields: Vec<(u8, Value<'_>)> = vec![
        (2, number.as_str().into()),
        (3, "000000".into()),
        (4, "000000001234".into()),
        (7, transmission.as_str().into()),
        (15, day.into()),
        (18, "5812".into()),
        (32, "12345678901".into()),
        (41, "DEMO0001".into()),
        (42, "COFFEE BAR".into()),
        (49, "840".into()),
    ];
    fields.extend(purchase.own.iter().map(|(field, value)| (*field, (*value).into())));
    fields.sort_by_key(|(field, _)| *field);
    if let Err(error) = dialect.compose(100, &fields, &mut request) {
        complain(error);
        return Err(exit::DATA);
    }
    let wallet = |when: &str| {
        let accounts =
            daemon.face.pipeline.wallet(card.wallet).map(|(_, accounts)| accounts).unwrap_or_default();
        for account in accounts.iter().take(1) {
            let (available, held) = (account.available(), account.held);
            say(format!("  wallet {} {when}: {available} available, {held} held (cents)", card.wallet.0));
        }
    };
    say(format!("One purchase of 12.34, as {} sends it:\n", purchase.network));
    say(indented(&describe(&dialect, &request)));
    wallet("before");
    let address = *address;
    // A plain blocking socket: the daemon serves it on a thread of its own.
    let answer = tokio::task::spawn_blocking(move || exchange(address, &request)).await;
    let answer = answer.ok().and_then(Result::ok).ok_or_else(|| {
        complain("the daemon did not answer");
        exit::UNAVAILABLE
    })?;
    wallet("after ");
    say("\nand our answer:\n");
    say(indented(&describe(&dialect, &answer)));
    Ok(())
}

fn exchange(address: SocketAddr, request: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    socket.write_all(request)?;
    let mut answer = vec![0; 4096];
    let bytes = socket.read(&mut answer)?;
    answer.truncate(bytes);
    Ok(answer)
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

async fn traffic(daemon: &Daemon, population: Population, length: Duration) -> Result<Report, u8> {
    let targets = daemon
        .links
        .iter()
        .filter_map(|(_, dialect, address)| Some(Target::new(Dialect::built_in(dialect)?, *address)));
    let run = Run::new(clock::wall().seconds());
    let targets: Vec<Target> = targets.collect();
    let seconds = length.as_secs();
    say(format!(
        "Now {RATE} messages a second for {seconds} s on {} links: purchases, cash, sales, declines, inquiries, \
         repeats, reversals ...\n",
        targets.len()
    ));
    let mut plan = Plan::new(targets, population, Pace::Open { rate: RATE }, length, run);
    plan.connections = 2;
    plan.http = Some(daemon.admin);
    drive(plan).await.map_err(|error| {
        complain(error);
        exit::UNAVAILABLE
    })
}

fn conclude(report: &Report, drained: &Drained) {
    say(indented(&report.to_string()));
    let verdict = if report.mismatches() == 0 {
        "every answer was right, and no wallet is a cent off the generator's own model"
    } else {
        "ANSWERS OR BALANCES DIFFER from the generator's own model"
    };
    say(format!("  {verdict}"));
    for totals in &drained.totals {
        say(format!(
            "  currency {}: all postings sum to {}, {} held",
            totals.currency,
            totals.sum(),
            totals.held
        ));
    }
}

/// Reads the journal as a restart would, and compares.
fn read_back(config: &Config, directory: &Path, drained: &Drained) -> Result<(), u8> {
    let keys = keys::load(&config.daemon.key_path(), true).map_err(|error| {
        complain(error);
        exit::DATA
    })?;
    let opener = Opener { seal: &keys.vault, fingerprint: keys.vault.fingerprint() };
    let settings = recovery::Settings {
        layout: Layout::new(config.daemon.shards),
        capacity: daemon::capacity(config),
        seed: 0,
    };
    let began = Instant::now();
    let rebuilt =
        recovery::rebuild(&Disk::look_at(directory), opener, settings, &Threads::for_each_processor())
            .map_err(|error| {
                complain(error);
                exit::DATA
            })?;
    let (records, ms) = (rebuilt.recovered.records, began.elapsed().as_millis());
    if rebuilt.books.state_hash() == drained.hash {
        say(format!(
            "  journal: {records} records read back in {ms} ms give the same books ({})",
            drained.hash
        ));
        Ok(())
    } else {
        complain("the journal read back gives OTHER BOOKS");
        Err(exit::DATA)
    }
}
