//! A network, the daemon as a switch, and a processor, all real processes: either of the two is killed, and the way
//! between them is cut, while messages flow. In the end the processor has what the network was told, to the cent.
//!
//! `TURNPIKE_KILLS` says how often the switch is killed; 4 without it.

#![expect(clippy::expect_used, reason = "what fails here fails the test")]

use std::fs;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;
use turnpike::edge::loadtest::drive;
use turnpike::edge::loadtest::http::Http;
use turnpike::edge::loadtest::plan::Pace;
use turnpike::edge::loadtest::plan::Plan;
use turnpike::edge::loadtest::plan::Target;
use turnpike::workload::acquirer::Acquirer;
use turnpike::workload::identity::Run;
use turnpike::workload::population::Composition;
use turnpike::workload::population::Population;
use turnpike::workload::traffic::Mix;

const WALLETS: u32 = 200;
/// Messages that the switch has forwarded before something is done to it, each time.
const FORWARDED: u64 = 2_000;
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn the_processor_has_what_the_network_was_told_whoever_was_killed() {
    let kills: u64 = std::env::var("TURNPIKE_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(4);
    for kill in 0..kills {
        one_kill(kill);
    }
}

/// A daemon as a process, with its directory.
struct Daemon {
    directory: tempfile::TempDir,
    process: Child,
    http: SocketAddr,
    link: SocketAddr,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _waited = self.process.wait();
    }
}

fn free_ports<const N: usize>() -> [SocketAddr; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("bound"))
}

fn start(directory: &Path, http: SocketAddr) -> Child {
    let log = fs::File::options().create(true).append(true).open(directory.join("log")).expect("a log");
    let mut command = Command::new(env!("CARGO_BIN_EXE_turnpike"));
    command.arg("serve").arg("--config").arg(directory.join("turnpike.toml"));
    command.arg("--data-dir").arg(directory.join("data"));
    if directory.join("seed.csv").exists() {
        command.arg("--seed").arg(directory.join("seed.csv"));
    }
    let output = Stdio::from(log.try_clone().expect("a log"));
    let mut process =
        command.env("NO_COLOR", "1").stdout(output).stderr(Stdio::from(log)).spawn().expect("it starts");
    let begun = Instant::now();
    while block_on(page(http, "/readyz")).is_none() {
        let log = || fs::read_to_string(directory.join("log")).unwrap_or_default();
        let ended = process.try_wait().expect("its state");
        assert!(ended.is_none() && begun.elapsed() < PATIENCE, "not ready: {}", log());
        thread::sleep(Duration::from_millis(5));
    }
    process
}

impl Daemon {
    fn new(http: SocketAddr, link: SocketAddr, more: &str, seed: Option<String>) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let config = format!(
            "[admin]\nlisten = \"{http}\"\n[daemon]\nshards = 16\n\
             [ledger]\nwallets_max = 1000\ncards_max = 1000\nauthorizations_max = 400000\nclosed_per_slot = 128\n\
             [journal]\nreply = \"fsync\"\nsegment_mib = 1\nspare_segments = 1\nmax_unsynced_ms = 60000\n\
             [links.visa]\ndialect = \"visa\"\nlisten = \"{link}\"\n{more}"
        );
        fs::write(directory.path().join("turnpike.toml"), config).expect("written");
        if let Some(seed) = seed {
            fs::write(directory.path().join("seed.csv"), seed).expect("written");
        }
        let process = start(directory.path(), http);
        Self { directory, process, http, link }
    }

    fn kill(&mut self) {
        self.process.kill().expect("killed");
        self.process.wait().expect("ended");
    }

    fn restart(&mut self) {
        self.process = start(self.directory.path(), self.http);
    }
}

/// The way between two parties, which can be cut: what is on it then is lost, and nothing more passes.
struct Wire {
    address: SocketAddr,
    is_cut: Arc<AtomicBool>,
}

impl Wire {
    fn to(there: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let (address, is_cut) = (listener.local_addr().expect("bound"), Arc::new(AtomicBool::new(false)));
        let cut = Arc::clone(&is_cut);
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let Ok(far) = TcpStream::connect(there) else { continue };
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let (from, to) = (from.try_clone().expect("a socket"), to.try_clone().expect("a socket"));
                    let cut = Arc::clone(&cut);
                    thread::spawn(move || pass(from, to, &cut));
                }
            }
        });
        Self { address, is_cut }
    }

    fn cut(&self, cut: bool) {
        self.is_cut.store(cut, Ordering::SeqCst);
    }
}

/// Passes bytes on until either side is gone. While it is cut they vanish, and afterwards the framing would be lost: so
/// both sockets end with the cut.
fn pass(mut from: TcpStream, mut to: TcpStream, cut: &AtomicBool) {
    let mut bytes = [0; 4096];
    let mut was_cut = false;
    from.set_read_timeout(Some(Duration::from_millis(20))).expect("a socket");
    loop {
        let is_cut = cut.load(Ordering::SeqCst);
        if was_cut && !is_cut {
            break;
        }
        was_cut = is_cut;
        match from.read(&mut bytes) {
            Ok(0) => break,
            Ok(_) if is_cut => {}
            Ok(read) if to.write_all(&bytes[..read]).is_ok() => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            _ => break,
        }
    }
    let _gone = from.shutdown(std::net::Shutdown::Both);
    let _gone = to.shutdown(std::net::Shutdown::Both);
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}

async fn page(http: SocketAddr, path: &str) -> Option<Value> {
    Http::connect(http).await.ok()?.get(path).await.ok()
}

/// What the switch shows of its way to the processor.
fn shown(switch: &Daemon, what: &str) -> u64 {
    let link = block_on(page(switch.http, "/v1/links/processor"));
    link.and_then(|link| link["switch"][what].as_u64()).unwrap_or(0)
}

fn wait(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "not so in time: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

fn plan(switch: &Daemon, kill: u64, population: Population) -> Plan {
    let target = Target::parse(&format!("visa={}", switch.link)).expect("a target");
    let mut plan = Plan::new(vec![target], population, Pace::Closed { window: 32 }, PATIENCE, Run::new(kill));
    plan.traffic.seed = kill;
    plan.traffic.mix = Mix::parse(
        "purchase=70,sale=10,cash=4,over-limit=2,inquiry=2,reversal=6,reversal-advice=5,early-reversal=1",
    )
    .expect("a mix");
    plan.settle = false;
    plan
}

fn one_kill(kill: u64) {
    let population =
        Population::generate(Composition { second_currency_every: 0, ..Composition::of(WALLETS, kill) });
    let [http_there, there, http, link] = free_ports();
    let mut processor = Daemon::new(http_there, there, "", Some(population.to_seed_csv()));
    let wire = Wire::to(there);
    let forward = format!(
        "[links.processor]\ndialect = \"visa\"\nconnect = [\"{}\"]\nconnect_sockets = 2\nconnect_again_ms = 20\n\
         connect_again_max_ms = 100\n[links.processor.forward]\ntimeout_ms = 500\nagain_ms = 100\nagain_max_ms = 300\n\
         [routes.all]\niin = [\"0-9\"]\nto = [\"processor\"]\n",
        wire.address
    );
    let mut switch = Daemon::new(http, link, &forward, None);
    wait("the processor is connected", || shown(&switch, "in_flight_allowed") > 0 && is_up(&switch));
    let plan = plan(&switch, kill, population);
    let again = plan.clone();
    let load = thread::spawn(move || block_on(drive::drive_keeping(plan)).expect("a report"));
    wait("much is forwarded", || shown(&switch, "forwarded") >= FORWARDED);
    if kill.is_multiple_of(2) {
        processor.kill();
        thread::sleep(Duration::from_millis(700));
        processor.restart();
    } else {
        wire.cut(true);
        thread::sleep(Duration::from_millis(700));
        wire.cut(false);
    }
    wait("it is connected again", || is_up(&switch));
    let before = shown(&switch, "forwarded");
    wait("more is forwarded", || shown(&switch, "forwarded") >= before + FORWARDED);
    switch.kill();
    let (report, acquirer) = load.join().expect("the load ends when the daemon does");
    assert_eq!(report.mistakes.iter().sum::<u64>(), 0, "kill {kill}:\n{report}");
    switch.restart();
    wait("everything is told", || {
        is_up(&switch) && shown(&switch, "stored") == 0 && shown(&switch, "in_flight") == 0
    });
    block_on(compare(processor.http, &acquirer, kill));
    drop(again);
}

fn is_up(switch: &Daemon) -> bool {
    block_on(page(switch.http, "/v1/links/processor")).is_some_and(|link| link["switch"]["up"] == true)
}

/// Every wallet at the processor has what the network was told; what nobody was told is not there.
async fn compare(http: SocketAddr, acquirer: &Acquirer, kill: u64) {
    let mut http = Http::connect(http).await.expect("the HTTP face");
    let (mut held, mut posted) = (0, 0);
    for (account, between) in acquirer.population().accounts().iter().zip(acquirer.taken_between()) {
        let path = format!("/v1/wallets/{}", account.wallet.0);
        let wallet = http.get(&path).await.expect("the wallet");
        let amount = |name: &str| wallet["accounts"][0][name].as_i64().expect("an amount");
        for (what, taken, (least, most)) in [
            ("held", amount("held"), between.held),
            ("posted", account.balance - amount("posted"), between.posted),
        ] {
            assert!(
                least <= taken && taken <= most,
                "kill {kill}: {path}: {taken} is {what}, {least} to {most}"
            );
        }
        held += amount("held");
        posted += account.balance - amount("posted");
    }
    assert!(held > 0 && posted > 0, "kill {kill}: something was taken");
}
