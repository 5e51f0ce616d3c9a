//! The command line: verbs and their flags. What they do is in `turnpike::edge`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use clap::Subcommand;
use rustix::process::Resource;
use rustix::process::Rlimit;
use rustix::process::setrlimit;
use turnpike::edge::clearing::command as clearing;
use turnpike::edge::commands;
use turnpike::edge::decode;
use turnpike::edge::decode::DecodeArgs;
use turnpike::edge::demo;
use turnpike::edge::exit;
use turnpike::edge::export;
use turnpike::edge::export::ExportArgs;
use turnpike::edge::history_commands;
use turnpike::edge::journal_commands;
use turnpike::edge::loadtest;
use turnpike::edge::loadtest::LoadArgs;
use turnpike::edge::loadtest::echo;
use turnpike::edge::loadtest::echo::EchoArgs;
use turnpike::edge::loadtest::plan::duration;
use turnpike::edge::matching;
use turnpike::edge::matching::MatchArgs;
use turnpike::edge::rates_command;
use turnpike::edge::rates_command::RatesArgs;
use turnpike::edge::route_command;
use turnpike::edge::route_command::RouteArgs;
use turnpike::edge::simulate;
use turnpike::edge::simulate::SimulateArgs;
use turnpike::edge::stored_command;
use turnpike::edge::stored_command::StoredArgs;

#[derive(Parser)]
#[command(name = "turnpike", version, about = "Card authorization and payment switch daemon")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Start a daemon, send it traffic over TCP, and show what happened.
    Demo {
        /// How long the traffic lasts.
        #[arg(long = "for", value_name = "TIME", default_value = "10s", value_parser = duration)]
        length: Duration,
        /// Keep journal and keys here, instead of in a temporary directory.
        #[arg(long)]
        data_dir: Option<PathBuf>,
    },
    /// Serve links from a configuration file, until SIGTERM.
    Serve {
        /// The configuration file.
        #[arg(long)]
        config: PathBuf,
        /// Where journal and keys are kept, instead of what the configuration says.
        #[arg(long)]
        data_dir: Option<PathBuf>,
        /// Wallets and cards to begin with (CSV), loaded once.
        #[arg(long)]
        seed: Option<PathBuf>,
    },
    /// Check a configuration file with its dialect files, or one dialect file, and name every mistake.
    Check {
        /// The configuration file.
        #[arg(long, required_unless_present = "dialect_file")]
        config: Option<PathBuf>,
        /// A dialect file.
        #[arg(long, value_name = "FILE")]
        dialect_file: Option<PathBuf>,
    },
    /// Show messages as trees, with card data masked; find out how they are written; compare two of them.
    Decode(Box<DecodeArgs>),
    /// Prove over a capture what a link's answers are known by, or show where that fails, and name the strongest key.
    Match(Box<MatchArgs>),
    /// Offer traffic to a daemon, measure, and prove the money.
    Load(Box<LoadArgs>),
    /// Send every frame back as it came: the floor to measure a daemon against.
    #[command(hide = true)]
    Echo(EchoArgs),
    /// Be the issuer behind a switch, or the network in front of it, and misbehave by a seed.
    Simulate(Box<SimulateArgs>),
    /// Look into a journal, or prove it.
    #[command(subcommand)]
    Journal(JournalVerb),
    /// Prove what is kept of authorizations that have left memory, or build it again.
    #[command(subcommand)]
    History(HistoryVerb),
    /// Post a clearing file: send it to the running daemon, and tell what became of its records. A file that was posted
    /// in part goes on where it was, one that was posted whole changes nothing.
    #[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
    Clearing(ClearingArgs),
    /// Show the routing table of a configuration, or which row takes a message and why.
    Route(Box<RouteArgs>),
    /// Show what a running daemon must still tell a link; hold, release or purge it; pause and drain the link.
    Stored(StoredArgs),
    /// Set the rates of a file in a running daemon, at which it turns one asset into another; or list them.
    Rates(RatesArgs),
}

#[derive(clap::Args)]
struct ClearingArgs {
    #[command(subcommand)]
    verb: Option<ClearingVerb>,
    /// Mastercard IPM, Visa BASE II, CSV or JSON lines.
    #[arg(required = true)]
    file: Option<PathBuf>,
    /// Where the daemon's admin face listens.
    #[arg(long, default_value = "127.0.0.1:8580")]
    http: SocketAddr,
    /// Which records are printed, a line of JSON each.
    #[arg(long, value_enum, default_value = "exceptions")]
    lines: clearing::Lines,
}

#[derive(Subcommand)]
enum HistoryVerb {
    /// Read every block, and look up whatever the journal says has left memory. The daemon must not be running.
    Verify(DataDir),
    /// Remove the history and feed it again from the journal. The daemon must not be running.
    Rebuild(DataDir),
}

#[derive(clap::Args)]
struct DataDir {
    /// Where the journal is.
    #[arg(long)]
    data_dir: PathBuf,
    /// The key it was written under, if it is not in the data directory.
    #[arg(long)]
    key_file: Option<PathBuf>,
}

#[derive(Subcommand)]
enum ClearingVerb {
    /// Read a whole file, compare it with its trailers, and print what is in it or everything that is wrong. Its format
    /// is found out.
    Check {
        /// Mastercard IPM, Visa BASE II, CSV or JSON lines.
        file: PathBuf,
    },
}

#[derive(Subcommand)]
enum JournalVerb {
    /// List segments and what is in them. A daemon may be running.
    Inspect {
        /// Where the journal is.
        #[arg(long)]
        data_dir: PathBuf,
        /// List every batch too.
        #[arg(long)]
        batches: bool,
    },
    /// Print records as lines of JSON or as CSV, card numbers masked. A daemon may be running.
    Export(ExportArgs),
    /// Read every record, rebuild the books from them and check that they hold.
    Verify {
        /// Where the journal is.
        #[arg(long)]
        data_dir: PathBuf,
        /// The key it was written under, if it is not in the data directory.
        #[arg(long)]
        key_file: Option<PathBuf>,
    },
}

/// Reads the command line, does what it says, and returns the process's exit code.
pub(crate) fn run() -> ExitCode {
    // Card numbers are in memory; a core file would put them on disk in clear (R34).
    let nothing = Rlimit { current: Some(0), maximum: Some(0) };
    let _where_the_system_allows = setrlimit(Resource::Core, nothing);
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let code = if error.use_stderr() { exit::USAGE } else { exit::OK };
            // Help and version were asked for and go to stdout; anything else is a mistake and goes to stderr.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    ExitCode::from(match arguments.verb {
        Verb::Demo { length, data_dir } => demo::demo(length, data_dir),
        Verb::Serve { config, data_dir, seed } => commands::serve(&config, data_dir, seed.as_deref()),
        Verb::Check { config, dialect_file } => commands::check(config.as_deref(), dialect_file.as_deref()),
        Verb::Decode(arguments) => decode::run(&arguments),
        Verb::Match(arguments) => matching::run(&arguments),
        Verb::Load(arguments) => return loadtest::run(&arguments),
        Verb::Echo(arguments) => return echo::run(&arguments),
        Verb::Simulate(arguments) => return simulate::run(&arguments),
        Verb::Clearing(ClearingArgs { verb: Some(ClearingVerb::Check { file }), .. }) => {
            clearing::check(&file)
        }
        Verb::Clearing(ClearingArgs { file: Some(file), http, lines, .. }) => {
            clearing::post(&file, http, lines)
        }
        // The command line asks for one of the two.
        Verb::Clearing(_) => exit::USAGE,
        Verb::Route(arguments) => route_command::run(&arguments),
        Verb::Stored(arguments) => stored_command::run(&arguments),
        Verb::Rates(arguments) => rates_command::run(&arguments),
        Verb::History(HistoryVerb::Verify(DataDir { data_dir, key_file })) => {
            history_commands::verify(&data_dir, key_file.as_deref())
        }
        Verb::History(HistoryVerb::Rebuild(DataDir { data_dir, key_file })) => {
            history_commands::rebuild(&data_dir, key_file.as_deref())
        }
        Verb::Journal(JournalVerb::Inspect { data_dir, batches }) => {
            journal_commands::inspect(&data_dir, batches)
        }
        Verb::Journal(JournalVerb::Export(arguments)) => export::run(&arguments),
        Verb::Journal(JournalVerb::Verify { data_dir, key_file }) => {
            journal_commands::verify(&data_dir, key_file.as_deref())
        }
    })
}
