//! Authorizations that have left memory, over real sockets: what comes about them later nets to the same money as if
//! they had stayed, whatever happens to the daemon and to its history in between (R6, R7, R9).

#![expect(clippy::expect_used, reason = "what fails here fails the test")]

#[expect(dead_code, reason = "each test over sockets uses a part of what they share")]
mod harness;

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::fs;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use harness::House;
use harness::LINKS;
use harness::PURCHASE;
use harness::Peer;
use harness::SEED;
use harness::Values;
use harness::config;
use harness::dialect;
use harness::echo_frame;
use harness::eventually;
use harness::frame;
use harness::http as http_verb;
use harness::http_get;
use harness::original;
use harness::records_by_kind;
use harness::seed;
use harness::with;
use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;
use turnpike::config::Config;
use turnpike::dialect::Dialect;

/// Closed authorizations that a slot keeps in memory.
const KEPT: u32 = 4;

/// Settings under which little stays in memory.
fn forgetful(data: &Path) -> Config {
    config(data, |config| {
        config.ledger.bounds.closed_per_slot = KEPT;
        config.ledger.bounds.answers_per_slot = 2;
        config.journal.retained_segments = 1_000;
    })
}

fn start(data: &Path) -> House {
    House::start(&forgetful(data), Some(&seed(SEED))).expect("a start")
}

/// Purchases on wallet 1 that are reversed at once, until whatever was closed before has left memory, and declines,
/// until whatever was answered before is forgotten.
fn push_out(peer: &mut Peer, numbers: &mut u32) {
    for _ in 0..KEPT {
        let (first, second) = (*numbers + 1, *numbers + 2);
        *numbers += 2;
        let (stan, rrn) = (format!("{first:06}"), format!("PUSH{first:08}"));
        let values = with(PURCHASE, &[(4, "000000000100"), (11, &stan), (37, &rrn)]);
        assert_eq!(peer.ask(100, &values).outcome(), (110, "00"));
        let (own, named) = (format!("{second:06}"), original(100, &stan));
        let values = with(&values, &[(11, &own), (14, ""), (90, &named)]);
        assert_eq!(peer.ask(400, &values).outcome(), (410, "00"));
    }
    for _ in 0..2 {
        *numbers += 1;
        let (stan, rrn) = (format!("{numbers:06}"), format!("PUSH{numbers:08}"));
        let values = with(PURCHASE, &[(4, "000099999999"), (11, &stan), (37, &rrn)]);
        assert_eq!(peer.ask(100, &values).outcome(), (110, "51"));
    }
}

/// A message, and what wallet 1 has posted and held after it. All are answered 00.
type Told<'v> = (u16, &'v Values<'v>, (i64, i64));

const NEVER_CAME: &str = "a reversal of what never came is repeated";
const FREE: (i64, i64) = (100_000, 0);
const PAID: (i64, i64) = (95_000, 0);

/// Every step but the first comes when all that the steps before have closed has left memory.
struct Life<'v> {
    name: &'static str,
    steps: &'v [Told<'v>],
}

fn lives(check: &mut dyn FnMut(&Life<'_>)) {
    let sale = &original(200, "000001");
    let request = &original(100, "000001");
    let named = |other: &'static str, of: &'static str| [(11, other), (90, of)];
    let sale: &'static str = sale.clone().leak();
    let request: &'static str = request.clone().leak();
    let (undo_sale, undo_request) = (named("000002", sale), named("000002", request));
    let complete = [(11, "000003"), (39, "00"), (90, request)];
    let approved = [(39, "00")];
    let mut life = |name, steps: &[Told<'_>]| check(&Life { name, steps });
    life(
        "a posting is reversed once",
        &[(200, &[], PAID), (420, &undo_sale, FREE), (421, &undo_sale, FREE), (400, &undo_sale, FREE)],
    );
    life(
        "a completion is posted once",
        &[
            (100, &[], (100_000, 5_000)),
            (220, &complete, PAID),
            (221, &complete, PAID),
            (220, &complete, PAID),
        ],
    );
    life(
        "what was reversed is paid when it is completed, once",
        &[
            (100, &[], (100_000, 5_000)),
            (400, &undo_request, FREE),
            (400, &undo_request, FREE),
            (220, &complete, PAID),
            (221, &complete, PAID),
        ],
    );
    life(NEVER_CAME, &[(420, &undo_request, FREE), (421, &undo_request, FREE), (420, &undo_request, FREE)]);
    life(
        "a stand-in advice about a sale that was answered comes late",
        &[(200, &[], PAID), (220, &approved, PAID), (221, &approved, PAID), (420, &undo_sale, FREE)],
    );
}

fn told(house: &House, peer: &mut Peer, life: &Life<'_>, at: usize, link: &str) {
    let (mti, changes, balance) = life.steps[at];
    let values = with(PURCHASE, changes);
    let values = if mti / 100 == 4 { with(&values, &[(14, "")]) } else { values };
    let answer = peer.ask(mti, &values);
    let what = format!("{link}: {}: step {at}", life.name);
    assert_eq!(answer.outcome(), (mti + 10 - mti % 2, "00"), "{what}");
    assert_eq!(house.balance(1), balance, "{what}");
}

#[test]
fn r9_what_has_left_memory_is_matched_all_the_same() {
    for (link, _) in LINKS {
        lives(&mut |life| {
            let directory = tempfile::tempdir().expect("a directory");
            let house = start(directory.path());
            let mut peer = house.connect(link);
            let mut numbers = 1_000;
            for at in 0..life.steps.len() {
                told(&house, &mut peer, life, at, link);
                push_out(&mut peer, &mut numbers);
            }
            let asked = house.daemon().face.pipeline.asked();
            let comes_back = life.name != NEVER_CAME;
            let what = format!("{link}: {}: {asked:?}", life.name);
            assert!(asked.look_ups > 0 && (asked.recalled > 0) == comes_back, "{what}");
            assert_eq!((asked.failed, asked.refused, asked.waiting), (0, 0, 0));
            drop(peer);
            let drained = house.drain();
            assert_eq!(records_by_kind(directory.path())["recalled"] > 0, comes_back, "{what}");
            let house = start(directory.path());
            let replayed = *house.daemon().face.last_hash.lock();
            assert_eq!(replayed, (drained.hash, drained.last), "{link}: {}: replay asks nobody", life.name);
        });
    }
}

#[test]
fn r9_a_restart_and_a_lost_history_change_nothing() {
    lives(&mut |life| {
        for lost in [false, true] {
            let directory = tempfile::tempdir().expect("a directory");
            let data = directory.path();
            let mut numbers = 1_000;
            for at in 0..life.steps.len() {
                let house = start(data);
                let mut peer = house.connect("visa");
                told(&house, &mut peer, life, at, "visa");
                push_out(&mut peer, &mut numbers);
                drop(peer);
                house.drain();
                if lost {
                    fs::remove_dir_all(data.join("history")).expect("it was there");
                }
            }
        }
    });
}

/// A real process with its directory, which is killed again and again.
struct Process {
    directory: tempfile::TempDir,
    child: Child,
    http: SocketAddr,
    visa: SocketAddr,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _waited = self.child.wait();
    }
}

const BALANCE: i64 = 1_000_000_000;
/// Wallets, each with a peer of its own.
const PEERS: u64 = 3;

fn card(peer: u64) -> String {
    format!("40000000000{peer:05}")
}

fn spawn(directory: &Path, http: SocketAddr) -> Child {
    let log = fs::File::options().create(true).append(true).open(directory.join("log")).expect("a log");
    let mut child = Command::new(env!("CARGO_BIN_EXE_turnpike"))
        .args(["serve", "--config", "turnpike.toml", "--seed", "seed.csv", "--data-dir", "data"])
        .current_dir(directory)
        .env("NO_COLOR", "1")
        .stdout(Stdio::from(log.try_clone().expect("a log")))
        .stderr(Stdio::from(log))
        .spawn()
        .expect("the daemon starts");
    let begun = Instant::now();
    while !TcpStream::connect(http).is_ok_and(|_| http_get(http, "/readyz").0 == 200) {
        let log = || fs::read_to_string(directory.join("log")).unwrap_or_default();
        let runs = child.try_wait().expect("its state").is_none();
        assert!(runs && begun.elapsed() < Duration::from_secs(60), "not ready: {}", log());
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}

impl Process {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
        let [http, visa] = listeners.map(|listener| listener.local_addr().expect("bound"));
        let settings = format!(
            "[admin]\nlisten = \"{http}\"\n\
             [ledger]\nwallets_max = 100\ncards_max = 100\nauthorizations_max = 20000\n\
             closed_per_slot = {KEPT}\nanswers_per_slot = 2\n\
             [journal]\nreply = \"fsync\"\nsegment_mib = 1\nspare_segments = 0\nretained_segments = 1\n\
             reserve_mib = 1\ndisk_free_min_mib = 0\nmax_unsynced_ms = 60000\n\
             [history]\nflush_every_s = 1\n\
             [links.visa]\ndialect = \"visa\"\nlisten = \"{visa}\"\n"
        );
        let lines =
            (1..=PEERS).map(|peer| format!("{peer},840,{BALANCE},0,{},3012,201,active\n", card(peer)));
        fs::write(directory.path().join("turnpike.toml"), settings).expect("written");
        let seed = lines.fold(harness::HEADING.to_owned(), |text, line| text + &line);
        fs::write(directory.path().join("seed.csv"), seed).expect("written");
        let child = spawn(directory.path(), http);
        Self { directory, child, http, visa }
    }

    fn end(&mut self, signal: Signal) {
        let process = Pid::from_child(&self.child);
        kill_process(process, signal).expect("a signal");
        self.child.wait().expect("it ends");
    }

    fn command(&self, verb: [&str; 2]) -> (Option<i32>, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_turnpike"));
        let command = command.args(verb).args(["--data-dir", "data"]).current_dir(self.directory.path());
        let output = command.output().expect("it runs");
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).expect("text"))
    }
}

/// What one peer knows of its sales.
#[derive(Default)]
struct Sales {
    /// Numbers that its messages take.
    number: u32,
    /// Those that stand: the number and the amount.
    standing: VecDeque<(u32, i64)>,
    /// Reversals that were acknowledged.
    undone: Vec<(u32, i64)>,
    /// A sale or a reversal whose answer never came: it is undone until that is acknowledged.
    doubt: Option<(u32, i64)>,
    random: u64,
}

impl Sales {
    fn message(peer: u64, number: u32, amount: i64) -> Vec<(u8, String)> {
        let amount = format!("{amount:012}");
        let (stan, rrn) = (format!("{number:06}"), format!("SALE{number:08}"));
        let changes = [(2, card(peer)), (4, amount), (11, stan), (37, rrn)];
        let mut values: BTreeMap<u8, String> =
            PURCHASE.iter().map(|(field, value)| (*field, (*value).to_owned())).collect();
        values.extend(changes);
        values.into_iter().collect()
    }

    fn next(&mut self, below: u64) -> u64 {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % below
    }

    /// Reverses a sale; whether that was acknowledged.
    fn undo(&mut self, wire: &mut Wire, peer: u64, mti: u16, (number, amount): (u32, i64)) -> bool {
        self.doubt = Some((number, amount));
        self.number += 1;
        let mut values: BTreeMap<u8, String> = Self::message(peer, number, amount).into_iter().collect();
        values.insert(90, original(200, &format!("{number:06}")));
        values.insert(11, format!("{:06}", self.number));
        values.remove(&14);
        let acknowledged = wire.ask(mti, &values.into_iter().collect::<Vec<_>>()).as_deref() == Some("00");
        if acknowledged {
            self.doubt = None;
            self.undone.push((number, amount));
        }
        acknowledged
    }

    /// Sells and undoes until the daemon is gone, or so many times.
    fn go_on(&mut self, visa: SocketAddr, peer: u64, most: u32) {
        let Some(mut wire) = Wire::connect(visa) else { return };
        if let Some(doubt) = self.doubt
            && !self.undo(&mut wire, peer, 421, doubt)
        {
            return;
        }
        for _ in 0..most {
            let goes_on = match self.next(4) {
                // One that has left memory long ago, or one that is there.
                0 if self.standing.len() > 20 => {
                    let at = if self.next(2) == 0 { 0 } else { self.standing.len() - 1 };
                    let sale = self.standing.remove(at).expect("there are some");
                    self.undo(&mut wire, peer, 420, sale)
                }
                1 if !self.undone.is_empty() => {
                    let at = self.next(self.undone.len() as u64) as usize;
                    let sale = self.undone.swap_remove(at);
                    self.undo(&mut wire, peer, 421, sale)
                }
                _ => self.sell(&mut wire, peer),
            };
            if !goes_on {
                return;
            }
        }
    }

    fn sell(&mut self, wire: &mut Wire, peer: u64) -> bool {
        self.number += 1;
        let sale = (self.number, 100 + self.next(900) as i64);
        self.doubt = Some(sale);
        let answer = wire.ask(200, &Self::message(peer, sale.0, sale.1));
        if answer.is_none() {
            return false;
        }
        self.doubt = None;
        assert_eq!(answer.as_deref(), Some("00"));
        self.standing.push_back(sale);
        true
    }
}

/// A socket that may break.
struct Wire {
    socket: TcpStream,
    dialect: Dialect,
}

impl Wire {
    fn connect(visa: SocketAddr) -> Option<Self> {
        let socket = TcpStream::connect(visa).ok()?;
        socket.set_nodelay(true).ok()?;
        socket.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
        Some(Self { socket, dialect: harness::dialect("visa") })
    }

    /// DE 39 of the answer; `None` when the daemon is gone.
    fn ask(&mut self, mti: u16, values: &[(u8, String)]) -> Option<String> {
        let values: Vec<(u8, &str)> = values.iter().map(|(field, value)| (*field, value.as_str())).collect();
        self.socket.write_all(&frame(&self.dialect, mti, &values)).ok()?;
        let (mut bytes, mut room) = (Vec::new(), [0; 4_096]);
        loop {
            if let Some(found) = self.dialect.frame(&bytes).expect("right framing") {
                return Some(harness::read(&self.dialect, &bytes[found.body]).value(39).to_owned());
            }
            match self.socket.read(&mut room).ok()? {
                0 => return None,
                read => bytes.extend_from_slice(&room[..read]),
            }
        }
    }
}

/// `TURNPIKE_KILLS` says how often.
#[test]
fn r9_a_killed_daemon_finds_what_had_left_memory() {
    let kills: u64 = std::env::var("TURNPIKE_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(8);
    let mut process = Process::new();
    let mut peers: Vec<Sales> =
        (1..=PEERS).map(|peer| Sales { random: peer * 7_919, ..Sales::default() }).collect();
    for kill in 0..=kills {
        let (visa, http) = (process.visa, process.http);
        let most = if kill == kills { 200 } else { u32::MAX };
        std::thread::scope(|scope| {
            for (peer, sales) in (1..).zip(&mut peers) {
                scope.spawn(move || sales.go_on(visa, peer, most));
            }
            if kill < kills {
                std::thread::sleep(Duration::from_millis(400 + kill * 331 % 900));
                if kill % 2 == 1 {
                    assert_eq!(http_verb(http, "POST", "/v1/snapshots", "").0, 200);
                }
                process.end(Signal::KILL);
            }
        });
        if kill == kills {
            break;
        }
        if kill % 4 == 2 {
            // Every second kill without a snapshot: the journal still has all.
            let history = process.directory.path().join("data/history");
            let is_whole = process.directory.path().join("data/journal/00000001.seg").exists();
            if is_whole {
                fs::remove_dir_all(history).expect("it was there");
            }
        }
        process.child = spawn(process.directory.path(), process.http);
    }
    for (peer, sales) in (1..).zip(&peers) {
        assert_eq!(sales.doubt, None, "peer {peer}");
        let paid: i64 = sales.standing.iter().map(|(_, amount)| amount).sum();
        let wallet = http_get(process.http, &format!("/v1/wallets/{peer}")).1;
        let wallet: serde_json::Value = serde_json::from_str(&wallet).expect("JSON");
        assert_eq!(wallet["accounts"][0]["posted"], BALANCE - paid, "peer {peer}");
        assert!(sales.undone.len() > 5, "peer {peer}: {}", sales.undone.len());
    }
    let metrics = http_get(process.http, "/metrics").1;
    assert_eq!(harness::reading(&metrics, "turnpike_history_working"), 1);
    assert!(harness::reading(&metrics, "turnpike_history_recalled_total") > 0, "{metrics}");
    process.end(Signal::TERM);
    let log = fs::read_to_string(process.directory.path().join("log")).expect("a log");
    let stopped = log.lines().rfind(|line| line.contains("stopped; everything")).expect("it was told");
    let hash = stopped.split("hash=").nth(1).and_then(|rest| rest.split(' ').next()).expect("a hash");
    let (code, told) = process.command(["journal", "verify"]);
    assert!(code == Some(0) && told.contains(hash), "{hash}: {told}");
    let (code, told) = process.command(["history", "verify"]);
    assert_eq!(code, Some(0), "{told}");
    let of = |told: &str, name: &str| {
        told.lines().find_map(|line| line.strip_prefix(name)).expect("a line").trim().to_owned()
    };
    let (code, rebuilt) = process.command(["history", "rebuild"]);
    assert_eq!(code, Some(0), "{rebuilt}");
    assert_eq!(of(&rebuilt, "contained to"), of(&told, "contained to"));
    let (code, told) = process.command(["history", "verify"]);
    assert_eq!(code, Some(0), "{told}");
}

/// A sale of wallet 1 that has left memory, and is on disk: its daemon has stopped.
fn sold_and_gone(data: &Path) {
    let house = start(data);
    let mut peer = house.connect("visa");
    assert_eq!(peer.ask(200, PURCHASE).outcome(), (210, "00"));
    push_out(&mut peer, &mut 1_000);
    drop(peer);
    house.drain();
}

/// A reversal of it, 0420 or 0421.
fn undo(original: &str) -> Vec<(u8, &str)> {
    with(PURCHASE, &[(11, "000002"), (14, ""), (90, original)])
}

fn runs(data: &Path) -> Vec<PathBuf> {
    let names =
        fs::read_dir(data.join("history")).expect("a history").map(|entry| entry.expect("a name").path());
    let mut runs: Vec<PathBuf> =
        names.filter(|path| path.extension().is_some_and(|end| end == "run")).collect();
    runs.sort();
    runs
}

fn flip(path: &Path, at: impl Fn(usize) -> usize) {
    let mut bytes = fs::read(path).expect("a file");
    let at = at(bytes.len());
    bytes[at] ^= 1;
    fs::write(path, bytes).expect("a file");
}

fn standing(house: &House) -> (u16, String) {
    let (status, body) = house.get("/readyz");
    let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(body["degraded"], body["history"] != "works");
    (status, body["history"].as_str().unwrap_or("none").to_owned())
}

#[test]
fn r9_a_history_whose_files_are_damaged_is_built_again_from_a_whole_journal() {
    let sale = original(200, "000001");
    for damage in ["footer", "missing", "manifest"] {
        let directory = tempfile::tempdir().expect("a directory");
        let data = directory.path();
        sold_and_gone(data);
        let manifest = |number: usize| data.join(format!("history/{number:08}.manifest"));
        match damage {
            "footer" => runs(data).iter().for_each(|run| flip(run, |length| length - 20)),
            "missing" => runs(data).iter().for_each(|run| fs::remove_file(run).expect("it was there")),
            _ => {
                let all = (0..100).map(manifest).filter(|path| path.exists());
                all.for_each(|path| flip(&path, |_| 30));
            }
        }
        let house = start(data);
        assert_eq!(standing(&house), (200, "works".to_owned()), "{damage}");
        let mut peer = house.connect("visa");
        assert_eq!(peer.ask(420, &undo(&sale)).outcome(), (430, "00"));
        assert_eq!(house.balance(1), FREE, "{damage}");
    }
}

#[test]
fn r2_a_look_up_that_fails_is_not_answered_and_what_comes_then_is_decided_without() {
    let sale = original(200, "000001");
    let directory = tempfile::tempdir().expect("a directory");
    sold_and_gone(directory.path());
    // In a block, which nobody reads at a start.
    runs(directory.path()).iter().for_each(|run| flip(run, |_| 100));
    let house = start(directory.path());
    assert_eq!(standing(&house), (200, "works".to_owned()));
    let mut peer = house.connect("visa");
    peer.send(420, &undo(&sale));
    peer.echo();
    eventually("it is known", || standing(&house) == (200, "failed".to_owned()));
    assert_eq!(house.balance(1), PAID);
    assert_eq!(house.metric("turnpike_history_look_ups_failed_total"), 1);
    eventually("it is counted", || house.dropped("visa", "unkept") == 1);
    // The network sends it again: it is kept, as a reversal of what is not known.
    assert_eq!(peer.ask(421, &undo(&sale)).outcome(), (430, "00"));
    assert_eq!(house.balance(1), PAID);
    assert_eq!(house.metric("turnpike_history_without_total"), 1);
    assert_eq!(house.metric("turnpike_history_working"), 0);
    // Everything else goes on.
    assert_eq!(
        peer.ask(100, &with(PURCHASE, &[(11, "000009"), (37, "AFTER0000009")])).outcome(),
        (110, "00")
    );
    drop(peer);
    house.drain();
}

#[test]
fn r9_a_damaged_history_that_the_journal_cannot_replace_is_left_as_it_is() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path();
    let little = |config: &mut Config| config.journal.retained_segments = 1;
    let settings = {
        let mut config = forgetful(data);
        little(&mut config);
        config
    };
    sold_and_gone(data);
    // Segments are recycled behind the snapshots of several starts.
    for _ in 0..3 {
        let house = House::start(&settings, None).expect("a start");
        assert_eq!(house.verb("POST", "/v1/snapshots", "").0, 200);
        house.drain();
    }
    assert!(!data.join("journal/00000001.seg").exists(), "the journal's beginning is gone");
    let run = runs(data).remove(0);
    let whole = fs::read(&run).expect("a run");
    flip(&run, |length| length - 20);
    let house = House::start(&settings, None).expect("a start without it");
    assert_eq!(standing(&house), (200, "missing".to_owned()));
    let mut peer = house.connect("visa");
    let never = with(PURCHASE, &[(11, "000007"), (37, "NEVER0000007"), (14, "")]);
    assert_eq!(peer.ask(420, &never).outcome(), (430, "00"));
    assert_eq!(house.metric("turnpike_history_without_total"), 1);
    assert_eq!(house.get("/v1/history").0, 503);
    drop(peer);
    house.drain();
    // The file is put back, and nothing was lost.
    fs::write(&run, whole).expect("a run");
    let house = House::start(&settings, None).expect("a start");
    assert_eq!(standing(&house), (200, "works".to_owned()));
    let sale = original(200, "000001");
    assert_eq!(house.connect("visa").ask(420, &undo(&sale)).outcome(), (430, "00"));
    assert_eq!(house.balance(1), FREE);
}

#[test]
fn r9_what_has_left_memory_is_searched_page_by_page() {
    let directory = tempfile::tempdir().expect("a directory");
    let house = start(directory.path());
    let mut peer = house.connect("visa");
    assert_eq!(peer.ask(200, PURCHASE).outcome(), (210, "00"));
    let mut numbers = 1_000;
    (0..3).for_each(|_| push_out(&mut peer, &mut numbers));
    let sequence = |one: &serde_json::Value| one["sequence"].as_u64().expect("a number");
    let list = |path: &str| -> (Vec<serde_json::Value>, Option<String>) {
        let page = house.json(path);
        let next = page["next"].as_str().map(str::to_owned);
        (page["authorizations"].as_array().expect("a list").clone(), next)
    };
    eventually("it has left memory", || list("/v1/history?limit=200").0.len() == 1 + 2 * KEPT as usize);
    let memory = house.json("/v1/wallets/1/authorizations");
    let in_memory = memory["authorizations"].as_array().expect("a list").clone();
    let (all, _) = list("/v1/history?limit=200");
    let shape = |one: &serde_json::Value| -> Vec<String> {
        one.as_object().expect("an object").keys().cloned().collect()
    };
    assert_eq!(shape(&all[0]), shape(&in_memory[0]), "they are shown alike");
    let (sale, none) = list("/v1/history?rrn=REF000000001&stan=000001");
    assert_eq!((sale.len(), none), (1, None));
    assert_eq!((&sale[0]["state"], &sale[0]["taken"]), (&"posted".into(), &5_000.into()));
    let card = &sale[0]["card"];
    for by_card in [String::new(), format!("card={card}&")] {
        let (mut found, mut after) = (Vec::new(), String::new());
        loop {
            let (page, next) = list(&format!("/v1/history?{by_card}limit=2{after}"));
            found.extend(page.iter().map(sequence));
            match next {
                Some(next) => after = format!("&after={next}"),
                None => break,
            }
        }
        found.sort_unstable();
        let mut expected: Vec<u64> = all.iter().map(sequence).collect();
        expected.sort_unstable();
        assert_eq!(found, expected, "\"{by_card}\"");
    }
    assert!(list("/v1/history?from=2001-01-01&to=2001-12-31").0.is_empty());
    assert_eq!(house.get("/v1/history?colour=1").0, 400);
}

#[test]
fn r4_a_reversal_goes_before_the_request_that_comes_right_behind_it() {
    for (link, _) in LINKS {
        let (house, _directory) = House::fresh(|_| {});
        let mut peer = house.connect(link);
        let mut frames = Vec::new();
        for n in 0..50 {
            let (stan, rrn) = (format!("{:06}", 100 + n), format!("EARLY{n:07}"));
            let named = original(100, &stan);
            let request = with(PURCHASE, &[(11, &stan), (37, &rrn)]);
            let own = format!("{:06}", 500 + n);
            frames.extend(frame(&peer.dialect, 420, &with(&request, &[(11, &own), (14, ""), (90, &named)])));
            frames.extend(frame(&peer.dialect, 100, &request));
        }
        peer.write(&frames);
        let late = if link == "visa" { "79" } else { "12" };
        for _ in 0..100 {
            let answer = peer.receive().expect("an answer");
            let code = if answer.mti == 430 { "00" } else { late };
            assert_eq!(answer.value(39), code, "{link}: {answer:?}");
        }
        assert_eq!(house.balance(1), FREE);
        assert_eq!(house.metric("turnpike_history_look_ups_total"), 50);
    }
}

#[test]
fn r5_repeats_that_wait_side_by_side_undo_once_and_one_whose_socket_is_gone_still_does() {
    let sale = original(200, "000001");
    let directory = tempfile::tempdir().expect("a directory");
    sold_and_gone(directory.path());
    let house = start(directory.path());
    let mut peers: Vec<Peer> = (0..4).map(|_| house.connect("visa")).collect();
    for peer in &mut peers {
        // A socket that was not taken yet when the drain begins is not served any more.
        peer.write(&echo_frame(&dialect("visa"), "000009"));
        assert!(peer.receive().is_some_and(|answer| answer.mti == 810));
    }
    for round in 0..10 {
        for (n, peer) in peers.iter_mut().enumerate() {
            peer.send(if round + n == 0 { 420 } else { 421 }, &undo(&sale));
        }
    }
    let draining = house.begin_drain();
    for peer in &mut peers {
        // The drain's sign-off comes in between.
        let answers = std::iter::from_fn(|| peer.receive()).filter(|answer| answer.mti != 800).take(10);
        let answered = answers.filter(|answer| answer.outcome() == (430, "00")).count();
        assert_eq!(answered, 10);
    }
    drop(peers);
    draining.end();
    let house = start(directory.path());
    assert_eq!(house.balance(1), FREE);
    let mut peer = house.connect("visa");
    let again = with(PURCHASE, &[(11, "000031"), (37, "REF000000031")]);
    assert_eq!(peer.ask(200, &again).outcome(), (210, "00"));
    push_out(&mut peer, &mut 3_000);
    let sale = original(200, "000031");
    peer.send(420, &with(&again, &[(11, "000032"), (14, ""), (90, &sale)]));
    drop(peer);
    eventually("it is given back", || house.balance(1) == FREE);
    drop(house.drain());
    let recalled = records_by_kind(directory.path())["recalled"];
    assert_eq!(recalled, 2, "each sale came back once");
}
