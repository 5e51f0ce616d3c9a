//! `turnpike simulate`, and the switch in front of it: whatever a simulated issuer does with its answers, and a
//! simulated network with its messages, in the end the one has what the other knows.

#![expect(clippy::expect_used, reason = "what fails here fails the test")]

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
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
const LOAD: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(60);
/// How many loads follow each other until what is wanted has happened.
const ROUNDS_MAX: usize = 20;

/// What the switch has to have counted, and how often at least, by its place in what a link's page says.
type Wanted<'a> = &'a [(&'a str, u64)];

/// Ends with its test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _waited = self.0.wait();
    }
}

impl Process {
    fn start(log: &Path, arguments: &[&str]) -> Self {
        let log = fs::File::options().create(true).append(true).open(log).expect("a log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_turnpike"));
        command.args(arguments).stdout(Stdio::null()).stderr(Stdio::from(log));
        Self(command.spawn().expect("it starts"))
    }

    fn signal(&self, signal: &str) {
        let id = self.0.id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status().expect("kill");
        assert!(sent.success());
    }

    fn end(mut self) {
        self.signal("-TERM");
        assert!(self.0.wait().expect("it ends").success());
    }

    /// With which code it ends by itself.
    fn ended(&mut self) -> Option<i32> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().expect("its state") {
                return status.code();
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

fn free_ports<const N: usize>() -> [SocketAddr; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("bound"))
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}

async fn page(http: SocketAddr, path: &str) -> Option<Value> {
    Http::connect(http).await.ok()?.get(path).await.ok()
}

fn wait(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "not so in time: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

fn switch(http: SocketAddr, what: &str) -> Value {
    block_on(page(http, "/v1/links/issuer")).map_or(Value::Null, |link| link["switch"][what].clone())
}

/// A daemon in front of an issuer.
struct Pair {
    directory: tempfile::TempDir,
    http: SocketAddr,
    link: SocketAddr,
    issuer: Process,
    daemon: Process,
}

impl Pair {
    /// An issuer with these faults, for whose answer the daemon waits this long, and what else it is told about it.
    fn start(dialect: &str, faults: &[&str], timeout_ms: u32, forward: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name);
        let [http, link, there] = free_ports();
        let (listen, book) = (there.to_string(), at("book.json").display().to_string());
        let mut arguments = vec!["simulate", "--dialect", dialect, "--listen", &listen, "--book", &book];
        arguments.extend(faults);
        let issuer = Process::start(&at("issuer.log"), &arguments);
        wait("the issuer listens", || TcpStream::connect(there).is_ok());
        let config = format!(
            "[admin]\nlisten = \"{http}\"\n[daemon]\nshards = 16\n[ledger]\nwallets_max = 1000\ncards_max = 1000\n\
             authorizations_max = 40000\n[journal]\nreply = \"fsync\"\nsegment_mib = 4\nspare_segments = 1\n\
             max_unsynced_ms = 60000\n[links.visa]\ndialect = \"visa\"\nlisten = \"{link}\"\n\
             answer_deadline_ms = 60000\n\
             [links.issuer]\ndialect = \"{dialect}\"\nconnect = [\"{there}\"]\nconnect_sockets = 4\n\
             connect_again_ms = 10\nconnect_again_max_ms = 50\npartial_frame_ms = 300\n\
             [links.issuer.forward]\ntimeout_ms = {timeout_ms}\nagain_ms = 50\nagain_max_ms = 200\nsick_after = 1000\n\
             {forward}\n[routes.all]\niin = [\"0-9\"]\nto = [\"issuer\"]\n"
        );
        fs::write(at("turnpike.toml"), config).expect("written");
        let (file, data) = (at("turnpike.toml").display().to_string(), at("data").display().to_string());
        let daemon = Process::start(&at("log"), &["serve", "--config", &file, "--data-dir", &data]);
        wait("the issuer is connected", || switch(http, "up") == true);
        Self { directory, http, link, issuer, daemon }
    }

    /// A network's load, until all that came of it is told. Returns what the network knows.
    fn load(&self, of: u64) -> Acquirer {
        let composition = Composition { second_currency_every: 0, ..Composition::of(WALLETS, 7) };
        let target = Target::parse(&format!("visa={}", self.link)).expect("a target");
        let (population, pace) = (Population::generate(composition), Pace::Closed { window: 32 });
        let mut plan = Plan::new(vec![target], population, pace, LOAD, Run::new(of));
        plan.traffic.mix =
            Mix::parse("purchase=70,sale=8,cash=4,repeat=4,reversal=6,reversal-advice=6,early-reversal=2")
                .expect("a mix");
        let (report, acquirer) = block_on(drive::drive_keeping(plan)).expect("a report");
        assert_eq!(report.mistakes.iter().sum::<u64>(), 0, "{report}");
        let http = self.http;
        wait("everything is told", || switch(http, "stored") == 0 && switch(http, "in_flight") == 0);
        acquirer
    }

    /// Resident memory of the daemon in KiB, and how many files and sockets it has open.
    fn holds(&self) -> (u64, usize) {
        let of = |what: &str| format!("/proc/{}/{what}", self.daemon.0.id());
        let status = fs::read_to_string(of("status")).expect("a status");
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let resident = resident.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
        (resident.expect("resident memory"), fs::read_dir(of("fd")).expect("open files").count())
    }
}

/// A network's load through a switch to an issuer with these faults. Returns what the network was told, the issuer's
/// book, and what the switch has counted. A disk that stalls can let a whole load time out: loads follow each other
/// until the switch has counted what is `wanted`.
fn run(dialect: &str, faults: &[&str], timeout_ms: u32, wanted: Wanted) -> (Vec<Acquirer>, Value, Value) {
    let pair = Pair::start(dialect, faults, timeout_ms, "");
    let mut acquirers = Vec::new();
    let counted = loop {
        acquirers.push(pair.load(7 + acquirers.len() as u64));
        let counted = block_on(page(pair.http, "/v1/links/issuer")).expect("the link")["switch"].clone();
        if wanted.iter().all(|(what, least)| counted.pointer(what).and_then(Value::as_u64) >= Some(*least)) {
            break counted;
        }
        assert!(acquirers.len() < ROUNDS_MAX, "not {wanted:?}: {counted}");
    };
    let Pair { directory, issuer, daemon: _daemon, .. } = pair;
    issuer.end();
    let book = fs::read_to_string(directory.path().join("book.json")).expect("a book");
    (acquirers, serde_json::from_str(&book).expect("JSON"), counted)
}

/// Card by card, as it may be shown: what the issuer has taken lies within what the network was told.
fn agree(acquirers: &[Acquirer], book: &Value) {
    let seed = acquirers[0].population().to_seed_csv();
    let rows = seed.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>());
    // First six and last four digits of each wallet's card, as books show it.
    let mask = |pan: &str| format!("{}{}{}", &pan[..6], "*".repeat(pan.len() - 10), &pan[pan.len() - 4..]);
    let cards: BTreeMap<u64, String> =
        rows.map(|row| (row[0].parse().expect("a wallet"), mask(row[4]))).collect();
    let mut told: BTreeMap<String, [i64; 4]> = BTreeMap::new();
    for acquirer in acquirers {
        for (account, between) in acquirer.population().accounts().iter().zip(acquirer.taken_between()) {
            let card = cards[&account.wallet.0].clone();
            let sums = told.entry(card).or_default();
            let (held, posted) = (between.held, between.posted);
            for (sum, amount) in sums.iter_mut().zip([held.0, held.1, posted.0, posted.1]) {
                *sum += amount;
            }
        }
    }
    let mut rows: BTreeMap<&str, &Value> = BTreeMap::new();
    for row in book["cards"].as_array().expect("cards") {
        rows.insert(row["card"].as_str().expect("a card"), row);
    }
    assert!(!rows.is_empty(), "something was taken");
    // A card of which nothing is taken has no row.
    for (card, [least, most, least_posted, most_posted]) in told {
        let row = rows.remove(card.as_str());
        let amount = |name: &str| row.map_or(0, |row| row[name].as_i64().expect("an amount"));
        let (held, posted) = (amount("held"), amount("posted"));
        assert!((least..=most).contains(&held), "{card}: {held} held, {least} to {most}");
        assert!((least_posted..=most_posted).contains(&posted), "{card}: {posted} posted, {least_posted}");
    }
    assert!(rows.is_empty(), "cards that nobody has: {rows:?}");
}

#[test]
fn an_issuer_that_answers_has_what_the_network_was_told() {
    for dialect in ["visa", "iso87-ascii"] {
        let (acquirers, book, counted) = run(dialect, &[], 30_000, &[("/answered", 500)]);
        agree(&acquirers, &book);
        assert_eq!(
            (&counted["timed_out"], &counted["cases"]["mismatch"]),
            (&0.into(), &0.into()),
            "{dialect}"
        );
    }
}

const EVERYTHING_WRONG: [&str; 18] = [
    "--seed",
    "11",
    "--delay-ms",
    "0..30",
    "--drop",
    "0.02",
    "--duplicate",
    "0.02",
    "--reorder",
    "0.02",
    "--close",
    "0.002",
    "--garbage",
    "0.02",
    "--silent-after",
    "2",
    "--silent-for",
    "1",
];

#[test]
fn an_issuer_that_does_everything_wrong_has_what_the_network_was_told() {
    let wanted = [
        ("/answered", 500),
        ("/timed_out", 20),
        ("/cases/duplicate", 1),
        ("/cases/mismatch", 1),
        ("/cases/orphan", 1),
    ];
    let (acquirers, book, _) = run("iso87-ascii", &EVERYTHING_WRONG, 400, &wanted);
    agree(&acquirers, &book);
}

/// Rounds of load by which tables fill, sockets break and messages are stored: `TURNPIKE_SOAK` says how many, of three
/// seconds each.
#[test]
fn after_any_number_of_rounds_tables_sockets_and_memory_are_what_they_were() {
    let rounds = std::env::var("TURNPIKE_SOAK").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(4);
    // The names that are kept reach their bound in the first round.
    let pair = Pair::start("iso87-ascii", &EVERYTHING_WRONG, 400, "originals_max = 500");
    let mut settled = Vec::new();
    for round in 0..rounds {
        pair.load(100 + round);
        wait("its sockets are open again", || {
            switch(pair.http, "sockets").as_array().is_some_and(|sockets| sockets.len() == 4)
        });
        assert!(switch(pair.http, "originals").as_u64().is_some_and(|originals| originals <= 500));
        settled.push(pair.holds());
    }
    println!("resident KiB and open files after each round: {settled:?}");
    // The first two fill what is filled once.
    let (first, last) = (settled[1.min(rounds as usize - 1)], settled[rounds as usize - 1]);
    assert!(last.0 < first.0 + 16 * 1_024, "memory grows: {settled:?}");
    assert!(last.1 <= first.1 + 1, "files or sockets are left open: {settled:?}");
}

/// A daemon between a network and an issuer that both are simulated.
struct Between {
    directory: tempfile::TempDir,
    http: SocketAddr,
    /// Where the network connects, or listens.
    near: SocketAddr,
    /// Where the issuer connects.
    far: SocketAddr,
    daemon: Process,
}

impl Between {
    /// `near`: `listen`, or `connect` where the daemon makes the connections to the network.
    fn start(network: &str, near: &str, issuer: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let [http, here, there] = free_ports();
        let here_is = if near == "connect" {
            format!(
                "connect = [\"{here}\"]\nconnect_sockets = 2\nconnect_again_ms = 10\nconnect_again_max_ms = 50\n\
                 sign_on = \"us\""
            )
        } else {
            format!("listen = \"{here}\"\nbefore_sign_on = \"decline\"")
        };
        let config = format!(
            "[admin]\nlisten = \"{http}\"\n[daemon]\nshards = 16\n[ledger]\nwallets_max = 100\ncards_max = 100\n\
             authorizations_max = 1000\n[journal]\nreply = \"fsync\"\nsegment_mib = 4\nspare_segments = 1\n\
             max_unsynced_ms = 60000\n[links.network]\ndialect = \"{network}\"\n{here_is}\npartial_frame_ms = 300\n\
             [links.issuer]\ndialect = \"{issuer}\"\nlisten = \"{there}\"\nbefore_sign_on = \"decline\"\n\
             partial_frame_ms = 300\n[links.issuer.forward]\ntimeout_ms = 300\nagain_ms = 50\nagain_max_ms = 200\n\
             [routes.all]\niin = [\"520474\"]\nto = [\"issuer\"]\n"
        );
        fs::write(directory.path().join("turnpike.toml"), config).expect("written");
        let daemon = Self::serve(directory.path());
        Self { directory, http, near: here, far: there, daemon }
    }

    fn serve(directory: &Path) -> Process {
        let at = |name: &str| directory.join(name).display().to_string();
        let arguments = ["serve", "--config", &at("turnpike.toml"), "--data-dir", &at("data")];
        Process::start(&directory.join("log"), &arguments)
    }

    /// Somebody at one of its ends, with a book of that name.
    fn party(&self, name: &str, where_to: [&str; 2], more: &[&str]) -> Process {
        let at = |ending: &str| self.directory.path().join(format!("{name}.{ending}"));
        let book = at("json").display().to_string();
        let mut arguments = vec!["simulate", "--role", name, "--book", &book];
        arguments.extend(where_to);
        arguments.extend(more);
        Process::start(&at("log"), &arguments)
    }

    fn book(&self, name: &str) -> Value {
        let book = fs::read_to_string(self.directory.path().join(format!("{name}.json"))).expect("a book");
        serde_json::from_str(&book).expect("JSON")
    }
}

const NETWORK_FAULTS: &str = "--seed 5 --delay-ms 0..20 --drop 0.03 --duplicate 0.02 --reorder 0.02 --close 0.002 \
                              --garbage 0.01 --silent-after 1 --silent-for 1";
const ISSUER_FAULTS: &str = "--seed 6 --delay-ms 0..30 --drop 0.03 --duplicate 0.02 --reorder 0.02 --close 0.002 \
                             --garbage 0.01 --decline-every 9";

/// A network's life in front of a switch in front of an issuer; what each of them does wrong is drawn. Returns what the
/// network has counted once both have the same, to the cent, and nobody has to be told anything.
fn same_books(network: &str, near: &str, issuer: &str, killed: bool) -> Value {
    let mut between = Between::start(network, near, issuer);
    let (here, there) = (between.near.to_string(), between.far.to_string());
    let mut arguments = vec!["--dialect", issuer, "--connections", "2"];
    arguments.extend(ISSUER_FAULTS.split_whitespace());
    let behind = between.party("issuer", ["--connect", &there], &arguments);
    wait("the issuer is signed on", || switch(between.http, "up") == true);
    let mut arguments = vec!["--dialect", network, "--rate", "200", "--for", "3s", "--timeout-ms", "400"];
    arguments.extend(["--iin", "520474", "--cards", "60", "--currency", "840", "--currency", "978"]);
    arguments.extend(NETWORK_FAULTS.split_whitespace());
    let place = if near == "connect" { "--listen" } else { "--connect" };
    if near == "listen" {
        arguments.extend(["--connections", "2"]);
    }
    let mut in_front = between.party("network", [place, &here], &arguments);
    if killed {
        for forwarded in [100, 60] {
            wait("much is forwarded", || switch(between.http, "forwarded").as_u64() >= Some(forwarded));
            between.daemon.0.kill().expect("killed");
            between.daemon.0.wait().expect("ended");
            between.daemon = Between::serve(between.directory.path());
        }
    }
    let log = || fs::read_to_string(between.directory.path().join("network.log")).unwrap_or_default();
    assert_eq!(in_front.ended(), Some(0), "{network} to {issuer}: {} {}", log(), between.book("network"));
    wait("everything is told", || {
        switch(between.http, "stored") == 0 && switch(between.http, "in_flight") == 0
    });
    behind.end();
    let (known, held) = (between.book("network"), between.book("issuer"));
    let cards = known["cards"].as_array().expect("cards");
    assert!(cards.len() > 10, "cards in two currencies were used: {known}");
    for card in cards {
        assert!(held["cards"].as_array().is_some_and(|all| all.contains(card)), "{card}: {known}\n{held}");
    }
    assert_eq!(known["cards"], held["cards"]);
    for (book, never) in
        [(&known, "whole approvals of another amount"), (&held, "reversals that name two purchases")]
    {
        assert!(book["counts"].is_object() && book["counts"][never].is_null(), "{never}: {book}");
    }
    known["counts"].clone()
}

fn expect_counted(counts: &Value, all: &[&str]) {
    for what in all {
        assert!(counts[what].as_u64() > Some(0), "{what}: {counts}");
    }
}

#[test]
fn a_network_that_connects_and_its_issuer_have_the_same_whatever_goes_wrong() {
    let counts = same_books("visa", "listen", "iso87-ascii", false);
    expect_counted(&counts, &["0100", "0101", "0120", "0200", "0400", "0420", "approved", "declined"]);
    expect_counted(&counts, &["time-outs", "given back by cardholders", "stood in, approved"]);
}

#[test]
fn a_network_that_is_connected_to_and_its_issuer_have_the_same_whatever_goes_wrong() {
    let counts = same_books("mastercard", "connect", "iso87-binary", false);
    expect_counted(&counts, &["0100", "0200", "0400", "0420", "time-outs", "stood in, approved"]);
}

#[test]
fn a_network_and_its_issuer_have_the_same_when_the_switch_between_them_was_killed() {
    let counts = same_books("iso87-ascii", "listen", "visa", true);
    expect_counted(&counts, &["0100", "0101", "0400", "0120", "time-outs"]);
}

/// Takes whatever comes, and says nothing.
fn deaf() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        let sockets: Vec<TcpStream> = listener.incoming().map_while(Result::ok).collect();
        drop(sockets);
    });
    address
}

#[test]
fn a_network_says_by_its_exit_code_how_it_ended() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = |name: &str| directory.path().join(name).display().to_string();
    let [nobody] = free_ports();
    let network = |address: SocketAddr, book: &str, more: &str| {
        let (address, book) = (address.to_string(), at(book));
        let mut arguments = vec!["simulate", "--role", "network", "--dialect", "visa", "--book", &book];
        arguments.extend(["--connect", &address]);
        arguments.extend(more.split_whitespace());
        Process::start(&directory.path().join("log"), &arguments)
    };
    let begun = || fs::read_to_string(at("log")).is_ok_and(|log| log.contains("a network that speaks"));
    let alone = network(nobody, "alone", "--for 100ms").ended();
    assert_eq!(alone, Some(69), "nobody listens");
    let unsigned = network(deaf(), "unsigned", "--for 100ms").ended();
    assert_eq!(unsigned, Some(69), "the sign-on is not answered");
    let unanswered = "--sign-on peer --for 200ms --settle-for 200ms --timeout-ms 50 --rate 100";
    assert_eq!(network(deaf(), "open", unanswered).ended(), Some(99), "nothing is answered");
    let open = fs::read_to_string(at("open")).expect("a book");
    let open: Value = serde_json::from_str(&open).expect("JSON");
    assert!(open["counts"]["open"].as_u64() > Some(0) && open["counts"]["0401"].as_u64() > Some(0), "{open}");
    fs::remove_file(at("log")).expect("removed");
    let mut interrupted = network(deaf(), "interrupted", "--sign-on peer");
    wait("it listens to signals", begun);
    wait("it has bought something", || {
        interrupted.signal("-USR1");
        fs::read_to_string(at("interrupted")).is_ok_and(|book| book.contains("\"0100\""))
    });
    interrupted.signal("-INT");
    assert_eq!(interrupted.ended(), Some(130));
}

#[test]
fn arguments_that_make_no_sense_are_named() {
    let here = ["--listen", "127.0.0.1:0"];
    let table: [(&[&str], &str); 12] = [
        (&["--dialect", "odd", "--listen", "127.0.0.1:0"], "no dialect `odd`"),
        (&["--dialect", "visa"], "<--listen <ADDR>|--connect <ADDR>>"),
        (&["--connect", "127.0.0.1:9", "--dialect", "visa", here[0], here[1]], "cannot be used with"),
        (&["--dialect", "visa", here[0], here[1], "--connections", "2"], "cannot be used with"),
        (&["--dialect", "visa", here[0], here[1], "--drop", "1.5"], "no share from 0 to 1"),
        (&["--dialect", "visa", here[0], here[1], "--drop", "0.6", "--close", "0.6"], "more than 1 together"),
        (&["--dialect", "visa", here[0], here[1], "--delay-ms", "9..3"], "from a shorter to a longer time"),
        (&["--dialect", "visa", here[0], here[1], "--silent-for", "3"], "--silent-after"),
        (&["--dialect", "visa", here[0], here[1], "--rate", "3"], "--rate is for --role network"),
        (
            &["--dialect", "visa", here[0], here[1], "--role", "network", "--decline-every", "3"],
            "are for --role issuer",
        ),
        (&["--dialect", "visa", here[0], here[1], "--iin", "12x"], "1 to 12 digits of a test range"),
        (
            &[
                "--dialect",
                "visa",
                here[0],
                here[1],
                "--role",
                "network",
                "--iin",
                "520474123456",
                "--cards",
                "1001",
            ],
            "leaves room for",
        ),
    ];
    for (arguments, words) in table {
        let mut command = Command::new(env!("CARGO_BIN_EXE_turnpike"));
        let output = command.arg("simulate").args(arguments).output();
        let output = output.expect("it runs");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
        assert!(told.contains(words), "{arguments:?}: {told}");
    }
}
