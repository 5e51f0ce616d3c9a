//! The real process, for the tests that kill it.

use std::fs;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

/// Starts it over what a directory has: `turnpike.toml`, `seed.csv`, `data` and the `log` that it adds to.
pub(crate) fn spawn(directory: &Path) -> Child {
    let log = fs::File::options().create(true).append(true).open(directory.join("log")).expect("a log");
    Command::new(env!("CARGO_BIN_EXE_turnpike"))
        .args(["serve", "--config"])
        .arg(directory.join("turnpike.toml"))
        .arg("--seed")
        .arg(directory.join("seed.csv"))
        .arg("--data-dir")
        .arg(directory.join("data"))
        .env("NO_COLOR", "1")
        .stdout(Stdio::from(log.try_clone().expect("a log")))
        .stderr(Stdio::from(log))
        .spawn()
        .expect("the daemon starts")
}
