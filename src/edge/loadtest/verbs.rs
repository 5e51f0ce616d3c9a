//! Verbs of wallets beside the card traffic (docs/wallets.md): wallets of their own, opened and funded beforehand,
//! between which money is sent, paid, given back and charged over HTTP at a constant rate; and a model of them that
//! is compared to the cent.
//!
//! They have a thread of their own, since the generator of card traffic never waits. Each connection has its own part
//! of the keys, so that what was not answered is sent again under its key until it is, and the model knows what was
//! done (R10).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use hdrhistogram::Histogram;
use serde_json::Value;
use serde_json::json;

use crate::domain::time::Timestamp;
use crate::edge::loadtest::http::Http;
use crate::edge::loadtest::http::HttpError;
use crate::workload::chance::Chance;

/// What the verbs are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Verbs a second, over all connections.
    pub rate: u64,
    /// Between how many wallets.
    pub wallets: u32,
}

/// Connections, each with one verb at a time.
const CONNECTIONS: u64 = 4;
/// What each wallet has at the beginning, minor units: more than it can send.
const FUNDS: i64 = 1_000_000_000;
/// The first of the wallets: none of a seed file that --make-seed writes.
const FIRST_WALLET: u64 = 1 << 40;
/// Wallets that have given the next one a mandate.
const MANDATES: u32 = 100;
/// Payments that each connection may still give back.
const PAYMENTS_KEPT: usize = 64;
/// How often what has no answer is sent again, and how long after.
const TRIES: u32 = 50;
const AGAIN_AFTER: Duration = Duration::from_millis(100);
/// The longest latency that is told apart: an hour.
const LATENCY_MAX_NS: u64 = 3_600_000_000_000;
/// Differences and wrong answers that are told in words.
const TOLD_MAX: usize = 20;

/// What came of them.
#[derive(Clone, Debug)]
pub struct Found {
    /// What was asked for.
    pub settings: Settings,
    /// How long verbs were sent.
    pub length: Duration,
    /// By name: how many were done.
    pub done: BTreeMap<&'static str, u64>,
    /// Verbs that were sent again on purpose, and were answered as done before.
    pub again: u64,
    /// Answers that were none of those that had to come.
    pub wrong: u64,
    /// Verbs that nobody answered, however often they were sent.
    pub unanswered: u64,
    /// From when a verb was due to its answer, nanoseconds.
    pub latency: Histogram<u64>,
    /// Wallets whose balance is not the model's.
    pub differences: u64,
    /// The first wrong answers and differences in words.
    pub told: Vec<String>,
    /// What all these wallets have more than before, minor units of currency 840: less by fees.
    pub moved: i128,
}

impl Found {
    fn new(settings: Settings) -> Result<Self, hdrhistogram::CreationError> {
        Ok(Self {
            settings,
            length: Duration::ZERO,
            done: BTreeMap::new(),
            again: 0,
            wrong: 0,
            unanswered: 0,
            latency: Histogram::new_with_bounds(1, LATENCY_MAX_NS, 3)?,
            differences: 0,
            told: Vec::new(),
            moved: 0,
        })
    }

    /// Everything that must not be.
    #[must_use]
    pub const fn mistakes(&self) -> u64 {
        self.wrong + self.unanswered + self.differences
    }

    /// How many were done, all together.
    #[must_use]
    pub fn done_in_all(&self) -> u64 {
        self.done.values().sum()
    }

    fn tell(&mut self, words: String) {
        if self.told.len() < TOLD_MAX {
            self.told.push(words);
        }
    }

    fn add(&mut self, other: Self) {
        other.done.iter().for_each(|(name, count)| *self.done.entry(name).or_default() += count);
        self.again += other.again;
        self.wrong += other.wrong;
        self.unanswered += other.unanswered;
        let _same_bounds = self.latency.add(&other.latency);
        other.told.into_iter().for_each(|words| self.tell(words));
    }
}

/// Wallets that are open and funded.
#[derive(Debug)]
pub struct Prepared {
    address: SocketAddr,
    settings: Settings,
    /// Tells the keys of this run from those of others.
    tag: String,
    /// The mandate of each of the first wallets.
    mandates: Vec<u64>,
    /// What each wallet has before the first verb, minor units; an earlier run may have left something.
    posted: Vec<i64>,
}

/// What one connection knows: how balances have changed by it, and what it may give back.
struct Model {
    balances: BTreeMap<u64, i64>,
    payments: Vec<Payment>,
}

/// A payment that may still be given back.
#[derive(Clone, Copy)]
struct Payment {
    number: u64,
    payer: u64,
    merchant: u64,
    left: i64,
}

/// A verb with what it does to the model once it is done.
struct Verb {
    name: &'static str,
    path: String,
    body: Value,
    moves: Vec<(u64, i64)>,
    pays: Option<Payment>,
}

impl Prepared {
    /// Opens the wallets, funds them, and has some of them give mandates.
    ///
    /// # Errors
    /// The HTTP face is not there, or refuses.
    pub async fn new(address: SocketAddr, settings: Settings, now: Timestamp) -> Result<Self, HttpError> {
        let tag = format!("load-{:x}", now.0);
        let mut prepared = Self { address, settings, tag, mandates: Vec::new(), posted: Vec::new() };
        let mut http = Http::connect(address).await?;
        let bank = FIRST_WALLET - 1;
        let accounts = json!({ "accounts": [{ "currency": "840" }] });
        for wallet in (0..settings.wallets).map(|n| FIRST_WALLET + u64::from(n)).chain([bank]) {
            http.must("PUT", &format!("/v1/wallets/{wallet}"), &accounts).await?;
        }
        let all = FUNDS.saturating_mul(settings.wallets.into());
        let fund = prepared.keyed("fund", json!({ "currency": "840", "amount": all }));
        http.must("POST", &format!("/v1/wallets/{bank}/fund"), &fund).await?;
        let wallets: Vec<u64> = (0..settings.wallets).map(|n| FIRST_WALLET + u64::from(n)).collect();
        for some in wallets.chunks(500) {
            let one = |wallet: &u64| {
                let rest = json!({ "from": bank, "to": wallet, "currency": "840", "amount": FUNDS });
                prepared.keyed(&format!("give-{wallet}"), rest)
            };
            let batch = json!({ "transfers": some.iter().map(one).collect::<Vec<Value>>() });
            http.must("POST", "/v1/transfers/batch", &batch).await?;
        }
        for n in 0..settings.wallets.min(MANDATES) {
            let (payer, payee) = (prepared.wallet(n), prepared.wallet(n + 1));
            let rest = json!({ "payee": payee, "currency": "840", "max": FUNDS, "period": "once" });
            let given = prepared.keyed(&format!("mandate-{n}"), rest);
            let path = format!("/v1/wallets/{payer}/mandates");
            let answer = http.must("POST", &path, &given).await?;
            prepared.mandates.push(answer["mandate"].as_u64().ok_or(HttpError::Json(path))?);
        }
        for wallet in wallets {
            let posted = posted(&mut http, wallet).await?;
            prepared.posted.push(posted.ok_or_else(|| HttpError::Json(format!("/v1/wallets/{wallet}")))?);
        }
        Ok(prepared)
    }

    fn wallet(&self, n: u32) -> u64 {
        FIRST_WALLET + u64::from(n % self.settings.wallets.max(1))
    }

    /// A body with a key of this run.
    fn keyed(&self, key: &str, mut body: Value) -> Value {
        body["key"] = json!(format!("{}-{key}", self.tag));
        body["created"] = json!(super::now().to_string());
        body
    }

    /// Begins to send.
    #[must_use]
    pub fn begin(self) -> Running {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.ok().and_then(|runtime| runtime.block_on(self.run(&stopped)).ok())
        });
        Running { stop, thread: Some(thread) }
    }

    async fn run(self, stop: &Arc<AtomicBool>) -> Result<Found, HttpError> {
        let prepared = Arc::new(self);
        let began = Instant::now();
        let connections: Vec<_> = (0..CONNECTIONS)
            .map(|number| tokio::spawn(connection(Arc::clone(&prepared), number, began, Arc::clone(stop))))
            .collect();
        let unusable = || HttpError::Form("a latency".to_owned());
        let mut found = Found::new(prepared.settings).map_err(|_| unusable())?;
        let mut balances: BTreeMap<u64, i64> = BTreeMap::new();
        for connection in connections {
            let (part, model) = connection.await.map_err(|_| unusable())?.map_err(|_| unusable())?;
            found.add(part);
            model
                .balances
                .iter()
                .for_each(|(wallet, change)| *balances.entry(*wallet).or_default() += change);
        }
        found.length = began.elapsed();
        let mut http = Http::connect(prepared.address).await?;
        for (n, before) in (0..prepared.settings.wallets).zip(&prepared.posted) {
            let wallet = prepared.wallet(n);
            let should = before + balances.get(&wallet).copied().unwrap_or(0);
            let is = posted(&mut http, wallet).await?;
            found.moved += i128::from(is.unwrap_or(0)) - i128::from(*before);
            if is != Some(should) {
                found.differences += 1;
                found.tell(format!("wallet {wallet}: posted {is:?}, the answers say {should}"));
            }
        }
        Ok(found)
    }
}

/// Verbs that are being sent.
#[derive(Debug)]
pub struct Running {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Option<Found>>>,
}

impl Running {
    /// Ends the sending, and returns what came of it; `None` when the daemon is gone.
    #[must_use]
    pub fn end(mut self) -> Option<Found> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().and_then(|thread| thread.join().ok()).flatten()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// What a wallet's account in dollars has; `None` where it has none.
async fn posted(http: &mut Http, wallet: u64) -> Result<Option<i64>, HttpError> {
    let shown = http.get(&format!("/v1/wallets/{wallet}")).await?;
    Ok(shown["accounts"][0]["posted"].as_i64())
}

/// One connection's part: a verb when it is due, one after the other.
async fn connection(
    prepared: Arc<Prepared>,
    number: u64,
    began: Instant,
    stop: Arc<AtomicBool>,
) -> Result<(Found, Model), hdrhistogram::CreationError> {
    let mut found = Found::new(prepared.settings)?;
    let mut model = Model { balances: BTreeMap::new(), payments: Vec::new() };
    let mut chance = Chance::new(number + 1);
    let mut http = None;
    // Each connection has every fourth verb.
    let step = Duration::from_nanos(1_000_000_000 * CONNECTIONS / prepared.settings.rate.max(1));
    for count in 0_u32.. {
        let due = began + step * count + step * u32::try_from(number).unwrap_or(0) / CONNECTIONS as u32;
        tokio::time::sleep_until(due.into()).await;
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let verb = draw(&prepared, &mut chance, &model, &format!("{number}-{count}"));
        // Now and then it is sent once more, as a caller does that got no answer.
        for again in (0..=u32::from(chance.below(50) == 0)).map(|time| time > 0) {
            let Some((status, answer)) = answered(&prepared, &mut http, &verb).await else {
                found.unanswered += 1;
                found.tell(format!("{} {} was never answered", verb.name, verb.body));
                break;
            };
            let nanoseconds = u64::try_from(due.elapsed().as_nanos()).unwrap_or(u64::MAX);
            if status != 200 || again && answer["again"] != true {
                found.wrong += 1;
                found.tell(format!("{}: {status} {answer}", verb.name));
            } else if again {
                found.again += 1;
            } else {
                found.latency.saturating_record(nanoseconds);
                *found.done.entry(verb.name).or_default() += 1;
                model.take(&verb, &answer);
            }
        }
    }
    Ok((found, model))
}

/// Sends a verb until it is answered; `None` when nobody answers for seconds.
async fn answered(prepared: &Prepared, http: &mut Option<Http>, verb: &Verb) -> Option<(u16, Value)> {
    for _ in 0..TRIES {
        let connected = match http.take() {
            Some(connected) => Some(connected),
            None => Http::connect(prepared.address).await.ok(),
        };
        if let Some(mut connected) = connected
            && let Ok((status, answer)) = connected.ask("POST", &verb.path, &verb.body).await
        {
            *http = Some(connected);
            // It takes nothing now; the same may be asked again.
            if status != 503 {
                return Some((status, answer));
            }
        }
        tokio::time::sleep(AGAIN_AFTER).await;
    }
    None
}

/// The next verb of a connection.
fn draw(prepared: &Prepared, chance: &mut Chance, model: &Model, key: &str) -> Verb {
    let wallets = prepared.settings.wallets;
    let at = chance.below(wallets);
    let (from, to) = (prepared.wallet(at), prepared.wallet(at + 1 + chance.below(wallets.saturating_sub(1))));
    let amount = i64::from(1 + chance.below(5_000));
    match chance.below(20) {
        0..=2 => {
            let fee = amount / 100;
            let rest = json!({
                "from": from, "merchant": to, "currency": "840", "amount": amount, "fee": fee,
            });
            let payment = Payment { number: 0, payer: from, merchant: to, left: amount };
            Verb {
                name: "payment",
                path: "/v1/payments".to_owned(),
                body: prepared.keyed(key, rest),
                moves: vec![(from, -amount), (to, amount - fee)],
                pays: Some(payment),
            }
        }
        3 if !model.payments.is_empty() => {
            let payment = model.payments[chance.below(model.payments.len() as u32) as usize];
            let amount = 1 + i64::from(chance.below(u32::try_from(payment.left).unwrap_or(1)));
            let path = format!("/v1/wallets/{}/payments/{}/refunds", payment.merchant, payment.number);
            Verb {
                name: "refund",
                path,
                body: prepared.keyed(key, json!({ "currency": "840", "amount": amount })),
                moves: vec![(payment.merchant, -amount), (payment.payer, amount)],
                pays: Some(Payment { left: payment.left - amount, ..payment }),
            }
        }
        4 | 5 if !prepared.mandates.is_empty() => {
            let n = chance.below(prepared.mandates.len() as u32);
            let (payer, payee) = (prepared.wallet(n), prepared.wallet(n + 1));
            let path = format!("/v1/wallets/{payer}/mandates/{}/charges", prepared.mandates[n as usize]);
            // What all charges of a run come to is within the mandates.
            let amount = 1 + amount % 100;
            Verb {
                name: "charge",
                path,
                body: prepared.keyed(key, json!({ "amount": amount })),
                moves: vec![(payer, -amount), (payee, amount)],
                pays: None,
            }
        }
        _ => {
            let rest = json!({ "from": from, "to": to, "currency": "840", "amount": amount });
            Verb {
                name: "transfer",
                path: "/v1/transfers".to_owned(),
                body: prepared.keyed(key, rest),
                moves: vec![(from, -amount), (to, amount)],
                pays: None,
            }
        }
    }
}

impl Model {
    /// Takes over what was done.
    fn take(&mut self, verb: &Verb, answer: &Value) {
        for (wallet, change) in &verb.moves {
            *self.balances.entry(*wallet).or_default() += change;
        }
        let Some(payment) = verb.pays else { return };
        match self.payments.iter().position(|known| known.number == payment.number && payment.number != 0) {
            Some(at) if payment.left == 0 => _ = self.payments.swap_remove(at),
            Some(at) => self.payments[at] = payment,
            None => {
                if self.payments.len() == PAYMENTS_KEPT {
                    self.payments.swap_remove(0);
                }
                let number = answer["payment"].as_u64().unwrap_or(0);
                self.payments.push(Payment { number, ..payment });
            }
        }
    }
}
