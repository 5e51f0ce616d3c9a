//! `turnpike load`: offers traffic to a daemon over its real sockets, measures, and proves the money.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use crate::config::seed::Seed;
use crate::domain::time::Timestamp;
use crate::edge::exit;
use crate::edge::loadtest::drive::LoadError;
use crate::edge::loadtest::drive::drive;
use crate::edge::loadtest::plan::Pace;
use crate::edge::loadtest::plan::Plan;
use crate::edge::loadtest::plan::Target;
use crate::edge::loadtest::plan::duration;
use crate::edge::loadtest::report::Report;
use crate::edge::loadtest::threshold::Threshold;
use crate::workload::identity::Run;
use crate::workload::population::Composition;
use crate::workload::population::NewCard;
use crate::workload::population::Population;
use crate::workload::traffic::Mix;
use crate::workload::traffic::Traffic;

mod connection;
pub mod drive;
pub mod echo;
pub mod http;
pub mod measure;
pub mod plan;
pub mod report;
pub mod threshold;
pub mod verify;

/// Offers traffic to a running daemon, measures latencies, and compares the money at the end.
///
/// Exit codes: 99 when a threshold failed, an answer was wrong or the money differs; 69 when a target cannot be
/// reached; 65 when the seed file is wrong; 2 when the arguments are.
#[derive(clap::Args, Clone, Debug)]
pub struct LoadArgs {
    /// A peer to call, such as visa=127.0.0.1:8583. Repeatable.
    #[arg(long = "target", value_name = "DIALECT=ADDR", value_parser = Target::parse)]
    pub targets: Vec<Target>,
    /// Connections to each target.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub connections: u16,
    /// Messages a second over all connections, however fast they are answered (open loop) [default: 1000].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "window")]
    pub rate: Option<u64>,
    /// Messages in flight on each connection, instead of a rate (closed loop).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub window: Option<u32>,
    /// How long messages are sent.
    #[arg(long = "for", value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub length: Duration,
    /// Stop earlier, after so many messages.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=4_000_000_000))]
    pub messages: Option<u64>,
    /// Leave out latencies of so long at the beginning.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = duration)]
    pub warm_up: Duration,
    /// How long an answer is waited for.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    pub timeout: Duration,
    /// The daemon's seed file: the wallets and cards to draw from.
    #[arg(long, value_name = "FILE", conflicts_with = "wallets")]
    pub seed_file: Option<PathBuf>,
    /// Draw from so many generated wallets, those that --make-seed writes.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub wallets: u32,
    /// Write a seed file with so many wallets to the standard output, and do nothing else.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub make_seed: Option<u32>,
    /// Makes other cards and other traffic; equal seeds give equal traffic.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Weights by kind, such as purchase=90,repeat=5,reversal=5.
    #[arg(long, value_name = "MIX", value_parser = Mix::parse)]
    pub mix: Option<Mix>,
    /// Keep about so many holds alive by reversing the oldest.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=500_000_000))]
    pub level: Option<u32>,
    /// Make all frames before the first is sent; needs --messages or --rate.
    #[arg(long)]
    pub prepare: bool,
    /// The daemon's HTTP face, where money is compared.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8580")]
    pub http: SocketAddr,
    /// Do not compare money over HTTP.
    #[arg(long)]
    pub no_verify: bool,
    /// Compare at most so many wallets one by one; the totals cover all.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub verify_wallets: u32,
    /// What must hold, such as auth.p99<2ms, err<0.01%, ledger.mismatch==0. Repeatable.
    #[arg(long = "threshold", value_name = "CONDITION", value_parser = Threshold::parse)]
    pub thresholds: Vec<Threshold>,
    /// Write the report as JSON to this file too.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// The peer is `turnpike echo`: answers are not judged.
    #[arg(long)]
    pub echo_peer: bool,
}

/// Runs `turnpike load`.
#[must_use]
pub fn run(args: &LoadArgs) -> ExitCode {
    if let Some(wallets) = args.make_seed {
        return make_seed(wallets, args.seed);
    }
    let plan = match plan_of(args) {
        Ok(plan) => plan,
        Err((code, words)) => return fail(code, &words),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().event_interval(1).build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(exit::IO, &error.to_string()),
    };
    match runtime.block_on(drive(plan)) {
        Ok(report) => finish(args, &report),
        Err(error @ (LoadError::Unbounded | LoadError::Template(_))) => fail(exit::USAGE, &error.to_string()),
        Err(error) => fail(exit::UNAVAILABLE, &error.to_string()),
    }
}

fn fail(code: u8, words: &str) -> ExitCode {
    eprintln!("turnpike load: {words}");
    ExitCode::from(code)
}

fn finish(args: &LoadArgs, report: &Report) -> ExitCode {
    print!("{report}");
    if let Some(file) = &args.json
        && let Err(error) = std::fs::write(file, format!("{:#}\n", report.to_json()))
    {
        return fail(exit::IO, &format!("{}: {error}", file.display()));
    }
    ExitCode::from(report.exit_code())
}

fn make_seed(wallets: u32, seed: u64) -> ExitCode {
    let population = Population::generate(Composition::of(wallets, seed));
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let written = population.seed_lines().try_for_each(|line| writeln!(out, "{line}"));
    match written.and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(exit::IO, &error.to_string()),
    }
}

fn plan_of(args: &LoadArgs) -> Result<Plan, (u8, String)> {
    if args.targets.is_empty() {
        return Err((exit::USAGE, "no --target is named; write --target visa=127.0.0.1:8583".to_owned()));
    }
    if args.prepare && args.rate.is_none() && args.messages.is_none() {
        return Err((exit::USAGE, "--prepare needs --messages or --rate".to_owned()));
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = Timestamp(u64::try_from(now.as_nanos()).unwrap_or(0));
    let population = match &args.seed_file {
        None => Population::generate(Composition::of(args.wallets, args.seed)),
        Some(file) => {
            let name = file.display().to_string();
            let text = std::fs::read(file).map_err(|error| (exit::DATA, format!("{name}: {error}")))?;
            population_of_seed(&name, &text, now).map_err(|words| (exit::DATA, words))?
        }
    };
    let pace = match args.window {
        Some(window) => Pace::Closed { window: window as usize },
        None => Pace::Open { rate: args.rate.unwrap_or(1_000) },
    };
    let run = Run::new(now.seconds());
    let mut plan = Plan::new(args.targets.clone(), population, pace, args.length, run);
    plan.connections = usize::from(args.connections);
    plan.messages = args.messages;
    plan.warm_up = args.warm_up;
    plan.timeout = args.timeout;
    plan.traffic = Traffic { seed: args.seed, level: args.level, ..Traffic::default() };
    if let Some(mix) = args.mix.clone().or_else(|| args.level.map(|_| Mix::purchases())) {
        plan.traffic.mix = mix;
    }
    plan.prepare = args.prepare;
    plan.http = (!args.no_verify).then_some(args.http);
    plan.verify_wallets = args.verify_wallets as usize;
    plan.thresholds = args.thresholds.clone();
    plan.echo = args.echo_peer;
    Ok(plan)
}

/// The population of a seed file.
///
/// # Errors
/// What is wrong with the file, a line each.
pub fn population_of_seed(name: &str, text: &[u8], now: Timestamp) -> Result<Population, String> {
    let seed = Seed::from_csv(name, text)
        .map_err(|findings| findings.iter().map(ToString::to_string).collect::<Vec<String>>().join("\n"))?;
    let mut population = Population::default();
    for wallet in seed.wallets() {
        let accounts: Vec<_> = wallet
            .accounts
            .iter()
            .map(|account| (account.currency, account.balance, account.overdraft))
            .collect();
        let cards: Vec<NewCard> = wallet
            .cards
            .iter()
            .map(|card| NewCard { pan: card.pan, expiry: card.expiry, status: card.status })
            .collect();
        population.add(wallet.wallet, &accounts, &cards, now);
    }
    Ok(population)
}

#[cfg(test)]
mod tests;
