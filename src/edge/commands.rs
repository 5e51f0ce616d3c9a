//! The verbs of the command line. Each prints its result on stdout and what is wrong on stderr, and returns an exit
//! code.

use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use tokio::signal::unix::SignalKind;

use crate::config::Config;
use crate::config::seed::Seed;
use crate::dialect::Dialect;
use crate::edge::daemon::Daemon;
use crate::edge::daemon::StartError;
use crate::edge::daemon::StartOptions;
use crate::edge::dialects;
use crate::edge::exit;
use crate::edge::telemetry;
use crate::edge::text;
use crate::edge::text::FileError;
use crate::settings::Finding;

/// Prints a line on stdout. A reader that has gone away is not our failure.
pub(super) fn say(line: impl std::fmt::Display) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Prints a line on stderr.
pub(super) fn complain(line: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Prints every finding on stderr.
pub(super) fn complain_all(findings: &[Finding]) {
    findings.iter().for_each(complain);
}

/// The text of a file of settings; complains and returns the exit code otherwise.
pub(super) fn read_text(file: &Path) -> Result<String, u8> {
    text::read(file).map_err(|error| {
        match error {
            FileError::Wrong(findings) => complain_all(&findings),
            FileError::Unreadable(error) => complain(format!("{}: {error}", file.display())),
        }
        exit::CONFIGURATION
    })
}

/// Reads and checks a configuration file, its dialect files included; complains of every mistake in them and returns
/// the exit code otherwise.
pub(super) fn read_config(file: &Path) -> Result<Config, u8> {
    let name = file.display().to_string();
    let (config, mut findings) = Config::read(&name, &read_text(file)?);
    let mut of_dialects = Vec::new();
    for link in &config.links {
        // What is neither built in nor a file was found already.
        let found = link.dialect_file.is_none() && !Dialect::built_in_names().contains(&&*link.dialect);
        if !found && let Err(more) = dialects::of_link(&config, link) {
            let (here, there) = more.into_iter().partition::<Vec<_>, _>(|finding| finding.file == name);
            findings.extend(here);
            of_dialects.extend(there);
        }
    }
    findings.sort_by_key(|finding| (finding.line, finding.column));
    for finding in of_dialects {
        // Two links may have one file.
        if !findings.contains(&finding) {
            findings.push(finding);
        }
    }
    complain_all(&findings);
    if findings.is_empty() { Ok(config) } else { Err(exit::CONFIGURATION) }
}

/// `turnpike check`: names every mistake of a configuration file with its dialect files, or of one dialect file.
#[must_use]
pub fn check(config: Option<&Path>, dialect: Option<&Path>) -> u8 {
    let mut code = exit::OK;
    if let Some(file) = dialect {
        match read_dialect(&file.display().to_string()) {
            Ok(dialect) => {
                let fields = dialect.layout().fields().count();
                say(format!("{}: right, {fields} fields", file.display()));
            }
            Err(wrong) => code = wrong,
        }
    }
    if let Some(file) = config {
        match read_config(file) {
            Ok(config) => {
                let links = config.links.len();
                say(format!("{}: right, {links} link{}", file.display(), if links == 1 { "" } else { "s" }));
                // Right, and yet not what somebody would want who knows what it means.
                for link in config.links.iter().filter(|link| link.forward.party.match_on.is_weak()) {
                    let message = "note: `match_on` has neither DE 7 nor DE 37, so that an answer which comes a \
                                   round of DE 11 too late may be taken for another's";
                    complain(config.finding(&link.name, "forward", message));
                }
            }
            Err(wrong) => code = wrong,
        }
    }
    code
}

/// A dialect from its file; complains and returns the exit code otherwise.
pub(super) fn read_dialect(name: &str) -> Result<Dialect, u8> {
    dialects::from_file(Path::new(name)).map_err(|error| {
        match error {
            FileError::Wrong(findings) => complain_all(&findings),
            FileError::Unreadable(error) => {
                let known = Dialect::built_in_names().join(", ");
                complain(format!("`{name}` is no dialect ({known}) and no file that can be read: {error}"));
            }
        }
        exit::CONFIGURATION
    })
}

fn read_seed(file: &Path) -> Result<Seed, u8> {
    let name = file.display().to_string();
    let text = std::fs::read(file).map_err(|error| {
        complain(format!("{name}: {error}"));
        exit::DATA
    })?;
    Seed::from_csv(&name, &text).map_err(|findings| {
        complain_all(&findings);
        complain(format!("{name}: nothing was loaded"));
        exit::DATA
    })
}

/// `turnpike serve`: serves until SIGTERM or SIGINT, then drains. A second signal ends it at once.
#[must_use]
pub fn serve(file: &Path, data_dir: Option<PathBuf>, seed: Option<&Path>) -> u8 {
    telemetry::start_diagnostics_at("info");
    let mut config = match read_config(file) {
        Ok(config) => config,
        Err(code) => return code,
    };
    if let Some(data_dir) = data_dir {
        config.daemon.data_dir = data_dir;
    }
    let seed = match seed.map(|file| read_seed(file).map(|seed| (file.display().to_string(), seed))) {
        Some(Err(code)) => return code,
        Some(Ok(seed)) => Some(seed),
        None => None,
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(format!("the event loop cannot be started: {error}"));
            return exit::UNAVAILABLE;
        }
    };
    runtime.block_on(async {
        let named = seed.as_ref().map(|(name, seed)| (name.as_str(), seed));
        let daemon = match Daemon::start(&config, named, StartOptions::default()).await {
            Ok(daemon) => daemon,
            Err(error) => {
                complain(&error);
                return code_of(&error);
            }
        };
        let _set_once = daemon.face.configuration.set(file.to_path_buf());
        // It holds every card number in clear, and at ten million wallets 700 MB.
        drop(seed);
        stop_signal().await;
        let drained = tokio::select! {
            drained = daemon.drain() => drained,
            () = stop_signal() => {
                complain("stopped at once; what was answered and not on disk may be lost");
                return exit::UNAVAILABLE;
            }
        };
        match drained {
            Ok(_) => exit::OK,
            Err(error) => {
                complain(error);
                exit::IO
            }
        }
    })
}

/// Waits for SIGTERM or SIGINT. Where signals cannot be had it waits for ever, and the process ends as it is killed.
async fn stop_signal() {
    let (terminate, interrupt) = (
        tokio::signal::unix::signal(SignalKind::terminate()),
        tokio::signal::unix::signal(SignalKind::interrupt()),
    );
    let (Ok(mut terminate), Ok(mut interrupt)) = (terminate, interrupt) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// The exit code of a start that failed.
#[must_use]
pub fn code_of(error: &StartError) -> u8 {
    match error {
        StartError::Dialect(_) => exit::CONFIGURATION,
        StartError::Seed(_) | StartError::Rebuild(_) | StartError::Key(_) => exit::DATA,
        StartError::Listen { .. } | StartError::Thread(_) => exit::UNAVAILABLE,
        StartError::Disk(crate::edge::disk::DiskError::Locked { .. }) => exit::UNAVAILABLE,
        StartError::Disk(_) | StartError::Storage(_) | StartError::Journal(_) => exit::IO,
    }
}
