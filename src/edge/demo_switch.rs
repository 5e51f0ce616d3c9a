//! The part of the demo in which a card is another's: a processor behind the switch answers, goes away, and comes back.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::config::Config;
use crate::config::seed::Seed;
use crate::dialect::Dialect;
use crate::dialect::inbound::Inbound;
use crate::domain::time::TransmissionTime;
use crate::edge::clock;
use crate::edge::daemon::Daemon;
use crate::edge::daemon::StartOptions;
use crate::iso8583::frame::Kind;
use crate::iso8583::view::Spans;
use crate::pipeline::channel::ChannelSettings;

/// Cards of the processor; test ranges only.
const CARDS: u32 = 100;
const IIN: &str = "559900";
/// Purchases a second on them.
const RATE: u64 = 50;
/// Cents: each costs as much and a little.
const AMOUNT: u32 = 1_000;
/// How long what is stored may take to be told at the end.
const TELLING: Duration = Duration::from_secs(20);

/// What came of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Summary {
    /// Purchases that were sent.
    sent: u32,
    /// Of them, those that were approved, and their sum in cents.
    approved: (u32, i64),
    declined: u32,
    unanswered: u32,
    /// For how long the processor was away, milliseconds.
    away_ms: u128,
    /// Approved in its place, told to it afterwards, and not told at the end.
    stood_in: u64,
    told: u64,
    left: usize,
    /// What it holds in the end, cents.
    held: i128,
}

impl Summary {
    /// Whether the processor has what cardholders were told, to the cent.
    pub(super) const fn agrees(&self) -> bool {
        self.left == 0 && self.unanswered == 0 && self.held == self.approved.1 as i128
    }

    /// For a person.
    pub(super) fn lines(&self) -> String {
        let Self { sent, approved, declined, away_ms, stood_in, told, left, held, .. } = self;
        let verdict = if self.agrees() {
            "to the cent what cardholders were told"
        } else {
            "NOT WHAT CARDHOLDERS WERE TOLD"
        };
        format!(
            "  switch: {sent} purchases on cards of a processor, {} approved and {declined} declined; it was away for \
             {away_ms} ms\n  stand-in: {stood_in} approved in its place; {told} stored messages told when it was back, \
             {left} left\n  the processor holds {held}, {verdict}",
            approved.0
        )
    }
}

/// The processor: a daemon of its own that knows nothing of the other.
pub(super) struct Processor {
    daemon: Daemon,
    config: Config,
    seed: Seed,
    address: SocketAddr,
}

fn digits(card: u32) -> String {
    let body = format!("{IIN}{card:09}");
    let doubled = |(n, digit): (usize, u32)| match (n % 2, digit * 2) {
        (0, double) => double / 10 + double % 10,
        _ => digit,
    };
    let sum: u32 = body.chars().rev().filter_map(|digit| digit.to_digit(10)).enumerate().map(doubled).sum();
    format!("{body}{}", (10 - sum % 10) % 10)
}

impl Processor {
    /// Starts it, with its journal in a directory beside the other's.
    pub(super) async fn start(directory: &Path) -> Result<Self, String> {
        let text = "[admin]\nlisten = \"127.0.0.1:0\"\n[daemon]\nshards = 16\ndrain_quiet_ms = 0\n\
            drain_limit_ms = 200\n[ledger]\nwallets_max = 1000\ncards_max = 1000\nauthorizations_max = 200000\n\
            authorizations_per_card = 10000\n[journal]\nsegment_mib = 16\nspare_segments = 0\nreserve_mib = 1\n\
            reply = \"fsync\"\nmax_unsynced_ms = 60000\n\
            [links.switch]\ndialect = \"iso87-ascii\"\nlisten = \"127.0.0.1:0\"\n";
        let told = |findings: Vec<crate::settings::Finding>| {
            findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        };
        let mut config = Config::from_toml("the processor's settings", text).map_err(told)?;
        config.daemon.data_dir = directory.join("processor");
        let lines =
            (1..=CARDS).map(|card| format!("{card},840,100000000,0,{},3012,201,active\n", digits(card)));
        let heading = "wallet,currency,balance,overdraft,pan,expiry,service_code,status\n";
        let seed = heading.to_owned() + &lines.collect::<String>();
        let seed = Seed::from_csv("the processor's cards", seed.as_bytes()).map_err(told)?;
        let daemon = serve(&config, &seed).await?;
        let address = daemon.links.first().map(|(_, _, address)| *address).ok_or("it does not listen")?;
        for link in &mut config.links {
            link.listen = Some(address);
        }
        Ok(Self { daemon, config, seed, address })
    }

    /// What the daemon in front of it is configured with.
    pub(super) fn routes(&self) -> String {
        format!(
            "\n[links.processor]\ndialect = \"iso87-ascii\"\nconnect = [\"{}\"]\nconnect_again_max_ms = 500\n\
             sign_on = \"us\"\nsign_on_pause_ms = 200\n\
             [links.processor.forward]\ntimeout_ms = 1000\nagain_ms = 200\nagain_max_ms = 1000\n\
             [routes.partner-cards]\niin = [\"{IIN}\"]\nto = [\"processor\"]\nstand_in = \"small\"\n\
             [stand_in.small]\nfloor = {{ \"840\" = 5000 }}\nexposure = {{ \"840\" = 10000 }}\n",
            self.address
        )
    }

    /// Has its cards used for so long, while it goes away after a third of the time and is back after another.
    pub(super) async fn rehearse(self, front: &Daemon, length: Duration) -> Result<Summary, String> {
        let visa =
            front.links.iter().find(|(_, dialect, _)| dialect == "visa").ok_or("there is no Visa link")?;
        let spending = tokio::spawn(spend(visa.2, length));
        tokio::time::sleep(length / 3).await;
        let away = Instant::now();
        self.daemon.drain().await.map_err(|error| error.to_string())?;
        tokio::time::sleep((length / 3).saturating_sub(away.elapsed())).await;
        let back = serve(&self.config, &self.seed).await?;
        let away_ms = away.elapsed().as_millis();
        let mut summary = spending.await.map_err(|error| error.to_string())??;
        let line = front.face.pipeline.switchboard().and_then(|board| {
            let index = board.index_of(crate::domain::party::NameId::of("processor"))?;
            Some((board.clone(), index))
        });
        let (board, index) = line.ok_or("there is no switch")?;
        let view = || board.line(index).map(|line| line.view(clock::now()));
        let limit = Instant::now() + TELLING;
        while view().is_some_and(|view| view.stored > 0) && Instant::now() < limit {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let view = view().ok_or("there is no switch")?;
        let held = back.face.pipeline.audit().totals.iter().map(|totals| totals.held).sum();
        back.drain().await.map_err(|error| error.to_string())?;
        summary.away_ms = away_ms;
        summary.stood_in = view.counts.stood_in[0];
        summary.told = view.counts.settled[crate::domain::forward::Settlement::Acknowledged as usize];
        (summary.left, summary.held) = (view.stored, held);
        Ok(summary)
    }
}

async fn serve(config: &Config, seed: &Seed) -> Result<Daemon, String> {
    let started = Daemon::start(config, Some(("processor", seed)), StartOptions::default()).await;
    started.map_err(|error| error.to_string())
}

/// One purchase in the dialect of Visa.
fn purchase(dialect: &Dialect, n: u32, out: &mut Vec<u8>) -> Result<(), String> {
    let transmission = format!("{:010}", TransmissionTime::at(clock::wall()).digits());
    let (card, stan) = (digits(n % CARDS + 1), format!("{:06}", n + 1));
    let (reference, amount) = (format!("SWITCH{:06}", n + 1), format!("{:012}", AMOUNT + n % 100));
    let fields = [
        (2, card.as_str()),
        (3, "000000"),
        (4, &amount),
        (7, &transmission),
        (11, &stan),
        (14, "3012"),
        (18, "5812"),
        (19, "840"),
        (22, "0510"),
        (25, "00"),
        (32, "12345678901"),
        (37, &reference),
        (41, "DEMO0001"),
        (42, "COFFEE BAR"),
        (49, "840"),
    ];
    let fields = fields.map(|(field, value)| (field, value.into()));
    dialect.compose(100, &fields, out).map_err(|error| error.to_string())
}

/// Sends purchases at a steady rate and counts what is answered.
async fn spend(address: SocketAddr, length: Duration) -> Result<Summary, String> {
    let failed = |error: std::io::Error| error.to_string();
    let dialect = Dialect::built_in("visa").ok_or("there is no dialect `visa`")?;
    let (mut from, mut to) = TcpStream::connect(address).await.map_err(failed)?.into_split();
    let sending = async {
        let mut tick = tokio::time::interval(Duration::from_millis(1_000 / RATE));
        let (until, mut sent) = (Instant::now() + length, 0);
        while Instant::now() < until {
            tick.tick().await;
            let mut frame = Vec::new();
            purchase(&dialect, sent, &mut frame)?;
            to.write_all(&frame).await.map_err(failed)?;
            sent += 1;
        }
        Ok::<u32, String>(sent)
    };
    let receiving = async {
        let mut summary = Summary::default();
        let (mut unread, mut bytes) = (Vec::new(), vec![0; 4_096]);
        // Whatever was sent last has had its answer by then.
        let patience = length + Duration::from_secs(3);
        let until = tokio::time::Instant::now() + patience;
        while let Ok(read) = tokio::time::timeout_at(until, from.read(&mut bytes)).await {
            match read.map_err(failed)? {
                0 => break,
                read => unread.extend_from_slice(&bytes[..read]),
            }
            while let Some(frame) = dialect.frame(&unread).map_err(|error| error.to_string())? {
                if frame.kind == Kind::Message {
                    count(&dialect, &unread[frame.body.clone()], &mut summary);
                }
                unread.drain(..frame.total);
            }
        }
        Ok::<Summary, String>(summary)
    };
    let (sent, summary) = tokio::join!(sending, receiving);
    let (sent, mut summary) = (sent?, summary?);
    summary.sent = sent;
    summary.unanswered = sent - summary.approved.0 - summary.declined;
    Ok(summary)
}

fn count(dialect: &Dialect, body: &[u8], summary: &mut Summary) {
    let mut spans = Spans::default();
    let context = ChannelSettings::context_of("visa", "visa");
    let Ok(message) = dialect.decode(body, context, &mut spans) else { return };
    let Inbound::Response(response) = &message.inbound else { return };
    if response.response_code == *b"00" {
        summary.approved.0 += 1;
        summary.approved.1 += response.amount.minor.unwrap_or(0);
    } else {
        summary.declined += 1;
    }
}
