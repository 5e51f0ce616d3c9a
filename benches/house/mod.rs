//! A whole daemon on a real disk for a bench: the default configuration, one wallet for each card, an event loop on a
//! thread of its own.

use std::path::Path;
use std::path::PathBuf;

use turnpike::config::Config;
use turnpike::config::seed::Seed;
use turnpike::edge::daemon::Daemon;
use turnpike::edge::daemon::StartOptions;

/// A daemon that runs until it is drained.
pub(crate) struct House {
    pub(crate) daemon: Daemon,
    directory: PathBuf,
    events: tokio::runtime::Handle,
    /// The event loop ends when this is gone.
    running: tokio::sync::oneshot::Sender<()>,
}

impl House {
    /// Starts one with so many cards, in a directory of this name below Cargo's.
    pub(crate) fn start(name: &str, cards: u64, change: impl FnOnce(&mut Config)) -> Self {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _none = std::fs::remove_dir_all(&directory);
        let text = include_str!("../../config/turnpike.toml");
        let mut config = Config::from_toml("turnpike.toml", text).expect("right settings");
        config.daemon.data_dir.clone_from(&directory);
        config.admin.listen = ([127, 0, 0, 1], 0).into();
        config.links.iter_mut().for_each(|link| link.listen = Some(([127, 0, 0, 1], 0).into()));
        change(&mut config);
        let lines = (0..cards)
            .map(|n| format!("{},840,100000000,0,{},3012,201,active\n", n + 1, 4_000_000_000_000_000 + n));
        let heading = "wallet,currency,balance,overdraft,pan,expiry,service_code,status\n".to_owned();
        let seed = std::iter::once(heading).chain(lines).collect::<String>();
        let seed = Seed::from_csv("seed.csv", seed.as_bytes()).expect("a right seed file");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("an event loop");
        let seed = Some(("seed.csv", &seed));
        let daemon = runtime.block_on(Daemon::start(&config, seed, StartOptions::default()));
        let daemon = daemon.expect("it starts");
        let events = runtime.handle().clone();
        let (running, ended) = tokio::sync::oneshot::channel::<()>();
        std::thread::spawn(move || runtime.block_on(ended));
        Self { daemon, directory, events, running }
    }

    /// Drains it, and removes what it has written.
    pub(crate) fn end(self) {
        let Self { daemon, directory, events, running } = self;
        let (told, drained) = std::sync::mpsc::channel();
        events.spawn(async move { told.send(daemon.drain().await.is_ok()) });
        assert_eq!(drained.recv(), Ok(true), "it drains");
        drop(running);
        let _none = std::fs::remove_dir_all(&directory);
    }
}
