//! `turnpike load`: offers traffic to a daemon over its real sockets, measures, and proves the money.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use crate::config::seed::Seed;
use crate::domain::time::Timestamp;
use crate::edge::exit;
use crate::edge::loadtest::baseline::Baseline;
use crate::edge::loadtest::baseline::Tolerance;
use crate::edge::loadtest::drive::drive;
use crate::edge::loadtest::host::Threads;
use crate::edge::loadtest::plan::Pace;
use crate::edge::loadtest::plan::Plan;
use crate::edge::loadtest::plan::Target;
use crate::edge::loadtest::plan::duration;
use crate::edge::loadtest::plan::tell_apart;
use crate::edge::loadtest::profile::Ramp;
use crate::edge::loadtest::profile::Steps;
use crate::edge::loadtest::report::INTERRUPTED;
use crate::edge::loadtest::report::Report;
use crate::edge::loadtest::threshold::Threshold;
use crate::workload::identity::Run;
use crate::workload::population::Composition;
use crate::workload::population::NewCard;
use crate::workload::population::Population;
use crate::workload::traffic::Mix;
use crate::workload::traffic::Traffic;

pub mod baseline;
mod chart;
mod connection;
mod courier;
pub mod drive;
pub mod echo;
mod hlog;
pub mod host;
mod html;
pub mod http;
pub mod json;
pub mod knee;
pub mod measure;
pub mod plan;
pub mod profile;
mod pump;
pub mod report;
mod schedule;
mod settle;
mod text;
pub mod threshold;
pub mod verbs;
pub mod verify;

/// Offers traffic to a running daemon, measures latencies, and compares the money at the end.
///
/// The rate is constant (--rate), climbs evenly (--ramp) or in steps (--steps), or follows the answers (--window). A
/// run that is interrupted, or whose peer goes away or falls silent, still writes its reports, marked as partial.
///
/// Exit codes: 99 when a threshold failed, a figure regressed, an answer was wrong or the money differs; 69 when a
/// target cannot be reached, goes away or falls silent; 65 when the seed file or the baseline is wrong; 2 when the
/// arguments are; 130 when it was interrupted.
#[derive(clap::Args, Clone, Debug)]
pub struct LoadArgs {
    /// A peer to call, such as visa=127.0.0.1:8583, and after commas name=, weight= and connections=. Repeatable.
    #[arg(long = "target", value_name = "DIALECT=HOST:PORT", value_parser = Target::parse)]
    pub targets: Vec<Target>,
    /// Connections to each target.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub connections: u16,
    /// Messages a second over all connections, such as 50k, however fast they are answered (open loop) [default: 1000].
    #[arg(long, value_name = "RATE", value_parser = profile::rate, group = "profile")]
    pub rate: Option<u64>,
    /// An open loop whose rate changes evenly, such as 10k..200k, and finds the knee.
    #[arg(long, value_name = "FROM..TO", value_parser = Ramp::parse, group = "profile")]
    pub ramp: Option<Ramp>,
    /// An open loop that holds one rate after the other, such as 50k,100k or 50k..500k/50k, and finds the knee.
    #[arg(long, value_name = "RATES", value_parser = Steps::parse, group = "profile", conflicts_with = "length")]
    pub steps: Option<Steps>,
    /// How long each step is held.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration, requires = "steps")]
    pub step_for: Duration,
    /// A step holds while its 99.9th percentile is within this [default: ten times that of the slowest step].
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub knee_within: Option<Duration>,
    /// Messages in flight on each connection, instead of a rate (closed loop).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65536), group = "profile")]
    pub window: Option<u32>,
    /// How long messages are sent.
    #[arg(long = "for", id = "length", value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub length: Duration,
    /// Stop earlier, after so many messages.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=4_000_000_000))]
    pub messages: Option<u64>,
    /// Leave so much of the beginning out of latencies and rates.
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
    /// How long after its answer a hold at a merchant of MCC 4784 is surely gone, by the daemon's `[expiry]` and
    /// `expire_every_s`, for the life cycles that let holds expire.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub expires_after: Option<Duration>,
    /// Keep about so many holds alive by reversing the oldest.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=500_000_000))]
    pub level: Option<u32>,
    /// Reach the level before the time begins, as fast as is answered; what that takes is in no rate or latency.
    #[arg(long, requires = "level")]
    pub fill: bool,
    /// Make all frames before the first is sent, for the highest rates; needs --messages or an open loop.
    #[arg(long)]
    pub prepare: bool,
    /// The daemon's HTTP face, where money is compared.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8580")]
    pub http: SocketAddr,
    /// Do not compare money over HTTP.
    #[arg(long)]
    pub no_verify: bool,
    /// So many verbs of wallets a second over HTTP beside the messages, such as 500: transfers, payments, refunds and
    /// charges between wallets that are opened and funded for it.
    #[arg(long, value_name = "RATE", value_parser = profile::rate, conflicts_with = "no_verify")]
    pub verbs: Option<u64>,
    /// Between how many wallets verbs move money.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    pub verb_wallets: u32,
    /// Compare at most so many wallets one by one; the totals cover all.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub verify_wallets: u32,
    /// What must hold, such as auth.p99<2ms, err<0.01%, ledger.mismatch==0. Repeatable.
    #[arg(long = "threshold", value_name = "CONDITION", value_parser = Threshold::parse)]
    pub thresholds: Vec<Threshold>,
    /// An earlier report (--json) that rate and percentiles are compared with.
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// How much worse than the baseline they may be.
    #[arg(long, value_name = "PART", default_value = "5%", value_parser = Tolerance::parse, requires = "baseline")]
    pub max_regress: Tolerance,
    /// The daemon's process on this machine: its threads' processor time is watched, to say what saturates.
    #[arg(long, value_name = "PID")]
    pub daemon_pid: Option<u32>,
    /// Write the report as JSON to this file too.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the report as one HTML page with charts to this file too.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Write latencies by interval as an HdrHistogram log to this file too.
    #[arg(long, value_name = "FILE")]
    pub hlog: Option<PathBuf>,
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
    let (plan, baseline) = match plan_of(args).and_then(|plan| Ok((plan, baseline_of(args)?))) {
        Ok(both) => both,
        Err((code, words)) => return fail(code, &words),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().event_interval(1).build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(exit::IO, &error.to_string()),
    };
    watch_for_interrupts(&plan);
    let conditions = Report::conditions(&plan);
    match runtime.block_on(drive(plan)) {
        Ok(mut report) => {
            if let Some(baseline) = &baseline {
                report.compare(baseline);
            }
            finish(args, &report)
        }
        Err(error) => {
            let report = Report::not_begun(conditions, &error, now());
            let written = write_files(args, &report);
            let failed = fail(error.exit_code(), &error.to_string());
            written.map_or_else(ExitCode::from, |()| failed)
        }
    }
}

/// Ctrl-C ends the run early, and a second one the process. The generator never waits while it is busy, so that a
/// thread of its own listens.
fn watch_for_interrupts(plan: &Plan) {
    let interrupted = Arc::clone(&plan.interrupted);
    std::thread::spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        runtime.block_on(async {
            while tokio::signal::ctrl_c().await.is_ok() {
                if interrupted.swap(true, Ordering::Relaxed) {
                    std::process::exit(INTERRUPTED.into());
                }
                eprintln!("turnpike load: interrupted; settling what is open (again to stop at once)");
            }
        });
    });
}

fn fail(code: u8, words: &str) -> ExitCode {
    eprintln!("turnpike load: {words}");
    ExitCode::from(code)
}

fn finish(args: &LoadArgs, report: &Report) -> ExitCode {
    print!("{report}");
    if let Some(partial) = &report.partial {
        eprintln!("turnpike load: the report is partial: {}", partial.reason);
    }
    match write_files(args, report) {
        Ok(()) => ExitCode::from(report.exit_code()),
        Err(code) => ExitCode::from(code),
    }
}

/// Writes the files that were asked for; complains and returns the exit code otherwise.
fn write_files(args: &LoadArgs, report: &Report) -> Result<(), u8> {
    let mut outcome = Ok(());
    let mut write = |file: &Option<PathBuf>, content: &dyn Fn() -> Result<Vec<u8>, String>| {
        let Some(file) = file else { return };
        let written =
            content().and_then(|content| std::fs::write(file, content).map_err(|error| error.to_string()));
        if let Err(error) = written {
            eprintln!("turnpike load: {}: {error}", file.display());
            outcome = Err(exit::IO);
        }
    };
    write(&args.json, &|| Ok(format!("{:#}\n", report.to_json()).into_bytes()));
    write(&args.html, &|| Ok(report.to_html().into_bytes()));
    write(&args.hlog, &|| report.to_hlog());
    outcome
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

fn now() -> Timestamp {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since_1970.as_nanos()).unwrap_or(0))
}

fn baseline_of(args: &LoadArgs) -> Result<Option<Baseline>, (u8, String)> {
    let Some(file) = &args.baseline else { return Ok(None) };
    let name = file.display().to_string();
    let text = std::fs::read(file).map_err(|error| (exit::DATA, format!("{name}: {error}")))?;
    Baseline::read(&name, &text, args.max_regress).map(Some).map_err(|words| (exit::DATA, words))
}

/// What is wrong with arguments that are each right.
fn contradiction(args: &LoadArgs) -> Option<&'static str> {
    let open = args.rate.is_some() || args.ramp.is_some() || args.steps.is_some();
    if args.targets.is_empty() {
        return Some("no --target is named; write --target visa=127.0.0.1:8583");
    }
    if args.prepare && !open && args.messages.is_none() {
        return Some("--prepare needs --messages, or a rate (--rate, --ramp or --steps)");
    }
    if args.window.is_some() && args.targets.iter().any(|target| target.weight != 1) {
        return Some("weights divide a rate; with --window every connection goes as fast as it is answered");
    }
    if args.daemon_pid.is_some_and(|process| Threads::of(process).is_none()) {
        return Some("--daemon-pid names no process of this machine");
    }
    None
}

fn plan_of(args: &LoadArgs) -> Result<Plan, (u8, String)> {
    if let Some(words) = contradiction(args) {
        return Err((exit::USAGE, words.to_owned()));
    }
    let now = now();
    let population = match &args.seed_file {
        None => Population::generate(Composition::of(args.wallets, args.seed)),
        Some(file) => {
            let name = file.display().to_string();
            let text = std::fs::read(file).map_err(|error| (exit::DATA, format!("{name}: {error}")))?;
            population_of_seed(&name, &text, now).map_err(|words| (exit::DATA, words))?
        }
    };
    let pace = match (args.window, args.ramp, &args.steps) {
        (Some(window), _, _) => Pace::Closed { window: window as usize },
        (_, Some(ramp), _) => Pace::Ramp(ramp),
        (_, _, Some(steps)) => Pace::Steps { rates: steps.clone(), each: args.step_for },
        _ => Pace::Open { rate: args.rate.unwrap_or(1_000) },
    };
    let run = Run::new(now.seconds());
    let mut targets = args.targets.clone();
    tell_apart(&mut targets);
    let mut plan = Plan::new(targets, population, pace, args.length, run);
    if plan.sending().is_zero() || args.warm_up >= plan.sending() {
        let words = "nothing would be measured: --for (or the steps) must be longer than --warm-up";
        return Err((exit::USAGE, words.to_owned()));
    }
    plan.connections = usize::from(args.connections);
    plan.messages = args.messages;
    plan.warm_up = args.warm_up;
    plan.timeout = args.timeout;
    let (seed, level, expires_after) = (args.seed, args.level, args.expires_after);
    plan.traffic = Traffic { seed, level, expires_after, clears: !args.no_verify, ..Traffic::default() };
    if let Some(mix) = args.mix.clone().or_else(|| args.level.map(|_| Mix::purchases())) {
        plan.traffic.mix = mix;
    }
    plan.fill = args.fill;
    plan.prepare = args.prepare;
    plan.http = (!args.no_verify).then_some(args.http);
    plan.verbs = args.verbs.map(|rate| verbs::Settings { rate, wallets: args.verb_wallets });
    plan.verify_wallets = args.verify_wallets as usize;
    plan.thresholds = args.thresholds.clone();
    plan.echo = args.echo_peer;
    plan.knee_within = args.knee_within;
    plan.daemon = args.daemon_pid;
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
