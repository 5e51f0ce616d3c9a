//! A daemon in this process with peers on real sockets: what the tests over TCP share.

use std::collections::BTreeMap;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value as Json;
use turnpike::config::Config;
use turnpike::config::seed::Seed;
use turnpike::dialect::Dialect;
use turnpike::dialect::inbound::Context;
use turnpike::domain::event::Sequence;
use turnpike::domain::party::NameId;
use turnpike::domain::request::NetworkManagement;
use turnpike::edge::daemon::Daemon;
use turnpike::edge::daemon::Drained;
use turnpike::edge::daemon::StartError;
use turnpike::edge::daemon::StartOptions;
use turnpike::edge::disk::Disk;
use turnpike::iso8583::frame::Kind;
use turnpike::iso8583::value::Value;
use turnpike::iso8583::view::Spans;
use turnpike::journal::inspect::inspect;
use turnpike::journal::kind::Kind as Kinds;

/// Fields with their values as text.
pub(crate) type Values<'v> = [(u8, &'v str)];

/// Links by name, with their dialects. Every test of what dialects share walks them.
pub(crate) const LINKS: [(&str, &str); 4] =
    [("visa", "visa"), ("mastercard", "mastercard"), ("iso87", "iso87-ascii"), ("packed", "iso87-binary")];

/// The settings of a test's daemon. The bound on unsynced time is far away, so that a slow disk declines nothing.
const SETTINGS: &str = r#"
[daemon]
shards = 16
drain_quiet_ms = 100
drain_limit_ms = 10000
[admin]
listen = "127.0.0.1:0"
[ledger]
wallets_max = 1000
cards_max = 1000
authorizations_max = 40000
authorizations_per_card = 5000
closed_per_slot = 32
answers_per_slot = 64
[journal]
max_unsynced_ms = 60000
segment_mib = 8
spare_segments = 0
reserve_mib = 1
disk_free_min_mib = 0
[links.visa]
dialect = "visa"
listen = "127.0.0.1:0"
[links.mastercard]
dialect = "mastercard"
listen = "127.0.0.1:0"
[links.iso87]
dialect = "iso87-ascii"
listen = "127.0.0.1:0"
[links.packed]
dialect = "iso87-binary"
listen = "127.0.0.1:0"
"#;

pub(crate) const HEADING: &str = "wallet,currency,balance,overdraft,pan,expiry,service_code,status\n";

/// The card of wallet 1, which has 1,000.00.
pub(crate) const PAN: &str = "4111111111111111";

/// Wallets of a test's daemon, with a line for each.
pub(crate) const SEED: &str = "\
1,840,100000,0,4111111111111111,3012,201,active
2,840,5000,500,4222222222222220,3012,201,active
3,840,100000,0,4000000000000036,3012,201,frozen
4,840,100000,0,4000000000000044,3012,201,lost
5,840,100000,0,4000000000000051,3012,201,stolen
6,840,100000,0,4000000000000069,3012,201,closed
7,840,100000,0,4000000000000077,2001,201,active
8,978,70000,0,4000000000000085,3012,201,active
";

/// A purchase of 50.00 on wallet 1 in any dialect.
pub(crate) const PURCHASE: &Values<'static> = &[
    (2, PAN),
    (3, "000000"),
    (4, "000000005000"),
    (7, "0604123456"),
    (11, "000001"),
    (14, "3012"),
    (18, "5999"),
    (32, "12345678901"),
    (37, "REF000000001"),
    (41, "TERMID01"),
    (42, "MERCHANT0000001"),
    (49, "840"),
];

/// `base` with other values, in the order of fields; an empty one leaves the field out.
pub(crate) fn with<'v>(base: &Values<'v>, changes: &Values<'v>) -> Vec<(u8, &'v str)> {
    let mut values: BTreeMap<u8, &str> = base.iter().copied().collect();
    values.extend(changes.iter().copied());
    values.into_iter().filter(|(_, value)| !value.is_empty()).collect()
}

pub(crate) fn dialect(name: &str) -> Dialect {
    Dialect::built_in(name).expect("a dialect that is compiled in")
}

/// DE 70 of a network management request, three digits.
pub(crate) fn network_code(dialect: &Dialect, what: NetworkManagement) -> String {
    format!("{:03}", dialect.network_code(what))
}

/// A frame that asks whether the daemon is there.
pub(crate) fn echo_frame(dialect: &Dialect, stan: &str) -> Vec<u8> {
    let code = network_code(dialect, NetworkManagement::Echo);
    frame(dialect, 800, &[(7, "0604123456"), (11, stan), (70, &code)])
}

/// A whole frame.
pub(crate) fn frame(dialect: &Dialect, mti: u16, values: &Values<'_>) -> Vec<u8> {
    let values: Vec<(u8, Value<'_>)> = values.iter().map(|(f, v)| (*f, Value::Text(v))).collect();
    let mut out = Vec::new();
    dialect.compose(mti, &values, &mut out).expect("values that fit their fields");
    out
}

/// Visa's reject of a frame of ours: a header of 26 bytes with the code in BCD, then our own header and message.
pub(crate) fn reject(ours: &[u8], code: u16) -> Vec<u8> {
    let rejected = &ours[4..];
    let length = (26 + rejected.len() as u16).to_be_bytes();
    let mut reject = [&length[..], &[0, 0, 0x1a, 0x81, 0x02], &length].concat();
    reject.resize(4 + 22, 0);
    reject.extend([0x80, 0]);
    reject.extend(code.to_be_bytes());
    reject.extend(rejected);
    reject
}

pub(crate) fn seed(lines: &str) -> Seed {
    Seed::from_csv("seed.csv", format!("{HEADING}{lines}").as_bytes()).expect("a right seed file")
}

pub(crate) fn config(data: &Path, change: impl FnOnce(&mut Config)) -> Config {
    let mut config = config_with(data, "");
    change(&mut config);
    config
}

/// With more settings in TOML.
pub(crate) fn config_with(data: &Path, more: &str) -> Config {
    let mut config = Config::from_toml("test.toml", &format!("{SETTINGS}{more}")).expect("right settings");
    config.daemon.data_dir = data.to_owned();
    config
}

/// Has a test's daemon route cards that begin like this to one of its links.
pub(crate) fn route(config: &mut Config, iin: &str, to: &str) {
    let row = format!("[routes.others]\niin = [\"{iin}\"]\nto = [\"{to}\"]\n");
    config.routes = config_with(Path::new(""), &row).routes;
}

/// Tries until something holds; it must within half a minute.
pub(crate) fn eventually(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(30), "not so after 30 seconds: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A running daemon, with its event loop on a thread of its own.
pub(crate) struct House {
    daemon: Option<Daemon>,
    event_loop: tokio::runtime::Handle,
    /// The event loop ends when this is gone.
    _running: tokio::sync::oneshot::Sender<()>,
}

impl House {
    /// Starts in a data directory.
    pub(crate) fn start(config: &Config, seed: Option<&Seed>) -> Result<Self, StartError> {
        Self::start_named(config, seed.map(|seed| ("seed.csv", seed)))
    }

    pub(crate) fn start_named(config: &Config, seed: Option<(&str, &Seed)>) -> Result<Self, StartError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("an event loop");
        let daemon = runtime.block_on(Daemon::start(config, seed, StartOptions::default()))?;
        let event_loop = runtime.handle().clone();
        let (running, ended) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || runtime.block_on(ended));
        Ok(Self { daemon: Some(daemon), event_loop, _running: running })
    }

    /// Starts in a directory of its own with the usual wallets. The directory goes when it is dropped.
    pub(crate) fn fresh(change: impl FnOnce(&mut Config)) -> (Self, tempfile::TempDir) {
        let directory = tempfile::tempdir().expect("a directory");
        let house = Self::start(&config(directory.path(), change), Some(&seed(SEED))).expect("a start");
        (house, directory)
    }

    pub(crate) fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().expect("it has not been drained")
    }

    /// A new socket of a link.
    pub(crate) fn connect(&self, link: &str) -> Peer {
        let found = self.daemon().links.iter().find(|(name, _, _)| name == link);
        let (_, dialect, address) = found.expect("a link of this name");
        Peer::connect(dialect, *address)
    }

    /// A new socket of a link whose messages look like a built-in dialect's.
    pub(crate) fn connect_like(&self, link: &str, dialect: &str) -> Peer {
        let found = self.daemon().links.iter().find(|(name, _, _)| name == link);
        Peer::connect(dialect, found.expect("a link of this name").2)
    }

    /// The reading of one metric, labels included; zero when there is none.
    pub(crate) fn metric(&self, metric: &str) -> u64 {
        reading(&self.daemon().face.metrics(), metric)
    }

    pub(crate) fn dropped(&self, link: &str, reason: &str) -> u64 {
        self.metric(&format!("turnpike_dropped_total{{link=\"{link}\",reason=\"{reason}\"}}"))
    }

    /// Everything of a link that was dropped, whatever the reason.
    pub(crate) fn dropped_in_all(&self, link: &str) -> u64 {
        let text = self.daemon().face.metrics();
        let start = format!("turnpike_dropped_total{{link=\"{link}\",");
        let lines = text.lines().filter(|line| line.starts_with(&start));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    }

    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        http_get(self.daemon().admin, path)
    }

    pub(crate) fn json(&self, path: &str) -> Json {
        let (status, body) = self.get(path);
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).expect("JSON")
    }

    /// Posted and held of a wallet's first account, over HTTP.
    pub(crate) fn balance(&self, wallet: u64) -> (i64, i64) {
        let json = self.json(&format!("/v1/wallets/{wallet}"));
        let account = &json["accounts"][0];
        let number = |name: &str| account[name].as_i64().expect("a number");
        assert_eq!(number("available"), number("posted") + number("overdraft") - number("held"));
        (number("posted"), number("held"))
    }

    /// Gives a wallet a status, over HTTP.
    pub(crate) fn set_status(&self, wallet: u64, status: &str) {
        let path = format!("/v1/wallets/{wallet}/status");
        let answer = http(self.daemon().admin, "PUT", &path, &format!("{{\"status\":\"{status}\"}}"));
        assert_eq!(answer.0, 200, "{path}: {}", answer.1);
    }

    /// Status and body in JSON of the answer to a verb over HTTP.
    pub(crate) fn verb(&self, method: &str, path: &str, body: &str) -> (u16, Json) {
        let (status, body) = http(self.daemon().admin, method, path, body);
        (status, serde_json::from_str(&body).unwrap_or_default())
    }

    /// Begins a drain, which [`Draining::end`] waits for.
    pub(crate) fn begin_drain(mut self) -> Draining {
        let daemon = self.daemon.take().expect("it has not been drained");
        let task = self.event_loop.spawn(daemon.drain());
        Draining { task, house: self }
    }

    pub(crate) fn drain(self) -> Drained {
        self.begin_drain().end()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        // Ends the journal's thread of a daemon that was not drained.
        if let Some(daemon) = &self.daemon {
            daemon.face.pipeline.close();
        }
    }
}

type DrainTask = tokio::task::JoinHandle<Result<Drained, turnpike::journal::writer::JournalError>>;

/// A daemon that is being drained.
pub(crate) struct Draining {
    task: DrainTask,
    house: House,
}

impl Draining {
    pub(crate) fn has_ended(&self) -> bool {
        self.task.is_finished()
    }

    pub(crate) fn end(self) -> Drained {
        let (sender, drained) = std::sync::mpsc::channel();
        let task = self.task;
        self.house.event_loop.spawn(async move { sender.send(task.await) });
        let drained = drained.recv_timeout(Duration::from_secs(30)).expect("an end of the drain");
        drained.expect("it does not panic").expect("the journal works")
    }
}

/// One line of a text for Prometheus.
pub(crate) fn reading(text: &str, metric: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(metric)?.strip_prefix(' '));
    line.map_or(0, |number| number.parse().expect("a whole number"))
}

/// How many records of each kind a journal has that no daemon is writing.
pub(crate) fn records_by_kind(data: &Path) -> BTreeMap<&'static str, u64> {
    let inspection = inspect(&Disk::look_at(data), Sequence(0), false);
    let mut counts = BTreeMap::new();
    for segment in &inspection.segments {
        for ((_, name), count) in Kinds::ALL.iter().zip(segment.kinds.0) {
            *counts.entry(*name).or_insert(0) += count;
        }
    }
    counts
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("a name");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

/// What is on disk at this moment, as a daemon that was killed now would leave it.
pub(crate) fn copy_of(data: &Path) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    copy(data, directory.path());
    directory
}

/// A daemon started from what is on disk at this moment, as if the first had been killed.
pub(crate) fn as_if_killed(data: &Path) -> (House, tempfile::TempDir) {
    as_if_killed_with(data, |_| {})
}

/// The same, with other settings.
pub(crate) fn as_if_killed_with(data: &Path, change: impl FnOnce(&mut Config)) -> (House, tempfile::TempDir) {
    let directory = tempfile::tempdir().expect("a directory");
    let data_then = directory.path().join("data");
    copy(data, &data_then);
    let house = House::start(&config(&data_then, change), None).expect("a start from a copy");
    (house, directory)
}

/// Status and body of an answer over HTTP.
pub(crate) fn http_get(address: SocketAddr, path: &str) -> (u16, String) {
    http(address, "GET", path, "")
}

/// The same for a request with a body in JSON.
pub(crate) fn http(address: SocketAddr, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut socket = TcpStream::connect(address).expect("the face listens");
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: turnpike\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("an answer in text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, body.to_owned())
}

/// A message as a peer sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Message {
    /// Zero for a frame without a message.
    pub(crate) mti: u16,
    pub(crate) values: BTreeMap<u8, String>,
}

impl Message {
    /// A field's value; empty when it is not there.
    pub(crate) fn value(&self, field: u8) -> &str {
        self.values.get(&field).map_or("", String::as_str)
    }

    /// MTI and DE 39.
    pub(crate) fn outcome(&self) -> (u16, &str) {
        (self.mti, self.value(39))
    }
}

/// The other end of a link.
pub(crate) struct Peer {
    pub(crate) dialect: Dialect,
    pub(crate) socket: TcpStream,
    unread: Vec<u8>,
}

impl Peer {
    pub(crate) fn connect(dialect_name: &str, address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).expect("the link listens");
        Self::over(dialect(dialect_name), socket)
    }

    /// The other end of a socket that is open.
    pub(crate) fn over(dialect: Dialect, socket: TcpStream) -> Self {
        socket.set_nodelay(true).expect("a socket");
        socket.set_read_timeout(Some(Duration::from_secs(30))).expect("a socket");
        Self { dialect, socket, unread: Vec::new() }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).expect("the daemon reads");
    }

    pub(crate) fn send(&mut self, mti: u16, values: &Values<'_>) {
        let frame = frame(&self.dialect, mti, values);
        self.write(&frame);
    }

    /// Sends a message and takes what comes next for its answer.
    pub(crate) fn ask(&mut self, mti: u16, values: &Values<'_>) -> Message {
        self.send(mti, values);
        self.receive().expect("an answer")
    }

    /// The bytes of the next frame; `None` when the daemon has closed the socket.
    pub(crate) fn receive_frame(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(frame) = self.dialect.frame(&self.unread).expect("right framing") {
                return Some(self.unread.drain(..frame.total).collect());
            }
            let mut bytes = [0; 4096];
            match self.socket.read(&mut bytes).expect("the daemon answers") {
                0 => return None,
                read => self.unread.extend(&bytes[..read]),
            }
        }
    }

    /// The next frame; `None` when the daemon has closed the socket.
    pub(crate) fn receive(&mut self) -> Option<Message> {
        loop {
            if let Some(frame) = self.dialect.frame(&self.unread).expect("right framing") {
                let message = match frame.kind {
                    Kind::Message => read(&self.dialect, &self.unread[frame.body.clone()]),
                    _ => Message { mti: 0, values: BTreeMap::new() },
                };
                self.unread.drain(..frame.total);
                return Some(message);
            }
            let mut buffer = [0; 65_536];
            match self.socket.read(&mut buffer) {
                Ok(0) => return None,
                Ok(bytes) => self.unread.extend_from_slice(&buffer[..bytes]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => unanswered(&error),
            }
        }
    }

    /// Asks whether the daemon is there; what comes first must be the answer.
    pub(crate) fn echo(&mut self) {
        let request = echo_frame(&self.dialect, "999999");
        self.write(&request);
        let answer = self.receive().expect("an answer");
        assert_eq!(answer.outcome(), (810, "00"));
        assert_eq!(answer.value(11), "999999");
    }

    /// Nothing has come and nothing comes before the answer to an echo.
    pub(crate) fn expect_closed(&mut self) {
        assert_eq!(self.receive(), None, "the socket is closed");
    }
}

#[expect(clippy::panic, reason = "a peer that waits in vain fails its test")]
fn unanswered(error: &std::io::Error) -> ! {
    panic!("nothing came: {error}")
}

/// A message as a peer reads it.
pub(crate) fn read(dialect: &Dialect, body: &[u8]) -> Message {
    let context = Context { network: NameId::of("peer"), link: NameId::of("peer") };
    let mut spans = Spans::default();
    let view = match dialect.decode(body, context, &mut spans) {
        Ok(received) => received.view,
        Err(malformed) => malformed.view.expect("a message"),
    };
    let values = view.fields().iter();
    let values = values.map(|field| (field, dialect.value(&view, field).expect("a field")));
    Message { mti: view.mti(), values: values.collect() }
}

/// A message by its MTI and what differs in it from the usual purchase, the DE 39 of its answer, and what wallet 1 has
/// posted and held then.
pub(crate) type Step<'s> = (u16, &'s Values<'s>, &'s str, (i64, i64));

/// What wallet 1 has before anything happened.
pub(crate) const FREE: (i64, i64) = (100_000, 0);

/// Runs the steps in a house of their own, which sums to zero at the end. An empty code is that of a request after its
/// reversal, which each dialect has for itself.
pub(crate) fn run_steps(link: &str, steps: &[Step<'_>]) {
    let (house, _directory) = House::fresh(|_| {});
    let mut peer = house.connect(link);
    for (n, (mti, changes, code, balance)) in steps.iter().enumerate() {
        let answer = peer.ask(*mti, &with(PURCHASE, changes));
        let code = if code.is_empty() { if link == "visa" { "79" } else { "12" } } else { code };
        assert_eq!(answer.value(39), code, "{link}: step {n}: {mti:04} with {changes:?}");
        assert_eq!(house.balance(1), *balance, "{link}: after step {n}: {mti:04} with {changes:?}");
    }
    drop(peer);
    let audit = house.json("/v1/audit/balance");
    for currency in audit["currencies"].as_array().expect("a list") {
        assert_eq!(currency["sum"], "0", "{link}: the books sum to zero: {currency}");
    }
}

/// DE 90: the MTI and DE 11 of the original, which is the usual purchase but for its trace number.
pub(crate) fn original(mti: u16, stan: &str) -> String {
    format!("{mti:04}{stan}06041234561234567890100000000000")
}
