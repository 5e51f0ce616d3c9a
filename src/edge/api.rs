//! The admin face over HTTP/1.1: JSON, and text for metrics. Nothing here decides.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::extract::Path;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::routing::get;
use axum::routing::post;
use axum::routing::put;
use parking_lot::Mutex;
use serde_json::Value;
use serde_json::json;

use crate::config::products::ProductSettings;
use crate::domain::card::Verification;
use crate::domain::event::Sequence;
use crate::domain::money::Currency;
use crate::domain::party::Text;
use crate::domain::party::WalletId;
use crate::domain::party::WalletStatus;
use crate::domain::product::PanRange;
use crate::domain::product::Products;
use crate::domain::request::ApprovalCode;
use crate::domain::time::Timestamp;
use crate::edge::clearing;
use crate::edge::clearing::Clearing;
use crate::edge::clock;
use crate::edge::history::Keeper;
use crate::edge::history_api;
use crate::edge::limit_api;
use crate::edge::link::LinkRuntime;
use crate::edge::link_api;
use crate::edge::snapshots::Made;
use crate::edge::snapshots::NotMade;
use crate::edge::snapshots::Snapshots;
use crate::edge::switch_api;
use crate::edge::telemetry::Telemetry;
use crate::edge::verbs;
use crate::edge::views;
use crate::edge::views::Views;
use crate::ledger::authorization::LegState;
use crate::ledger::shard::Account;
use crate::ledger::share::ShareView;
use crate::ledger::state_hash::StateHash;
use crate::ledger::totals::Totals;
use crate::ledger::view::AuthorizationView;
use crate::pipeline::core::Pipeline;
use crate::pipeline::past::Standing;
use crate::pipeline::seeding::NotSet;
use crate::pipeline::switching::card_file::Telling;

/// How often a verb that waits for the disk looks at it.
const DURABLE_POLL: Duration = Duration::from_micros(200);

/// What cards are issued by.
#[derive(Debug)]
pub struct Issuing {
    /// Where numbers begin that are drawn.
    pub ranges: Vec<PanRange>,
    /// How many digits such a number has.
    pub digits: u8,
    /// What a card asks to be verified (R28).
    pub verification: Verification,
    /// Which product a number is of.
    pub products: Products,
}

/// What the face shows.
pub struct Face {
    /// The books.
    pub pipeline: Arc<Pipeline>,
    /// The metrics.
    pub telemetry: Arc<Telemetry>,
    /// The links, once they listen.
    pub links: OnceLock<Vec<Arc<LinkRuntime>>>,
    /// Sockets are served; false before the start is complete and while draining.
    pub serving: AtomicBool,
    /// What makes snapshots, once the start is complete.
    pub snapshots: OnceLock<Snapshots>,
    /// What posts clearing files, once the start is complete.
    pub clearing: OnceLock<Arc<Clearing>>,
    /// The file that the configuration is from, when it is from one.
    pub configuration: OnceLock<PathBuf>,
    /// What keeps the history, if there is to be one.
    pub history: OnceLock<Keeper>,
    /// What cards are issued by, once the start is complete.
    pub issuing: OnceLock<Issuing>,
    /// The products of the configuration, once their cards are known.
    pub products: OnceLock<Vec<ProductSettings>>,
    /// What looks into the past and streams events, once the start is complete.
    pub views: OnceLock<Views>,
    /// The state hash that was computed last, and of which sequence it is.
    pub last_hash: Mutex<(StateHash, Sequence)>,
}

impl Face {
    /// That of a daemon which does not serve yet. `hash` is of the books as they were found.
    #[must_use]
    pub fn new(pipeline: Arc<Pipeline>, telemetry: Arc<Telemetry>, hash: (StateHash, Sequence)) -> Self {
        Self {
            pipeline,
            telemetry,
            links: OnceLock::new(),
            serving: AtomicBool::new(false),
            snapshots: OnceLock::new(),
            clearing: OnceLock::new(),
            configuration: OnceLock::new(),
            history: OnceLock::new(),
            issuing: OnceLock::new(),
            products: OnceLock::new(),
            views: OnceLock::new(),
            last_hash: Mutex::new(hash),
        }
    }

    /// The text that Prometheus reads.
    #[must_use]
    pub fn metrics(&self) -> String {
        let snapshots = self.snapshots.get().map(Snapshots::status);
        let history = self.history.get().map(Keeper::status);
        let clearing = self.clearing.get().map(|clearing| clearing.counters());
        self.telemetry.render(&self.pipeline, snapshots.as_ref(), history.as_ref(), clearing)
    }
}

/// The routes.
pub fn routes(face: Arc<Face>) -> Router {
    Router::new()
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/v1/wallets/{wallet}", get(wallet))
        .route("/v1/wallets/{wallet}/status", put(set_status))
        .route("/v1/wallets/{wallet}/authorizations", get(authorizations))
        .route("/v1/audit/balance", get(balance))
        .route("/v1/audit/holds", get(holds))
        .route("/v1/snapshots", get(snapshots).post(make_snapshot))
        .route("/v1/links", get(link_api::links))
        .route("/v1/links/{link}", get(link_api::link))
        .route("/v1/links/{link}/echo", post(link_api::echo))
        .route("/v1/links/{link}/sign-on", post(link_api::sign_on))
        .route("/v1/links/{link}/sign-off", post(link_api::sign_off))
        .route("/v1/history", get(history_api::search))
        .merge(limit_api::routes())
        .merge(verbs::routes())
        .merge(views::routes())
        .merge(switch_api::routes())
        .merge(clearing::routes())
        .with_state(face)
}

async fn ready(State(face): State<Arc<Face>>) -> Response {
    let serving = face.serving.load(Ordering::Acquire);
    let journal = !face.pipeline.has_failed();
    let window = face.pipeline.within_bounds(clock::now()) || !journal;
    let room = !face.pipeline.is_short_of_room();
    let ready = serving && journal && window && room;
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let checks = json!({
        "serving": serving,
        "journal": journal,
        "journal_within_bounds": window,
        "disk_space": room,
    });
    // Everything is answered without it, so that it is no reason to send nothing here.
    let history =
        face.history.get().map(|history| history.status().standing.map_or("missing", Standing::name));
    let degraded = history.is_some_and(|history| history != Standing::Works.name());
    let body = json!({ "ready": ready, "checks": checks, "degraded": degraded, "history": history });
    (status, Json(body)).into_response()
}

async fn metrics(State(face): State<Arc<Face>>) -> Response {
    let text = face.metrics();
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}

async fn snapshots(State(face): State<Arc<Face>>) -> Response {
    let status = face.snapshots.get().map(Snapshots::status).unwrap_or_default();
    let last = status.last.as_ref().map(made_json);
    Json(json!({ "last": last, "running": status.running, "failures": status.failures })).into_response()
}

/// Makes a snapshot now, and answers when it is on disk and verified.
async fn make_snapshot(State(face): State<Arc<Face>>) -> Response {
    let made = match face.snapshots.get() {
        Some(snapshots) => snapshots.make().await,
        None => Err(NotMade::Stopping),
    };
    match made {
        Ok(made) => Json(made_json(&made)).into_response(),
        Err(error) => {
            (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "error": error.to_string() }))).into_response()
        }
    }
}

fn made_json(made: &Made) -> Value {
    json!({
        "number": made.number,
        "covered_sequence": made.tail.covered.0,
        "last_sequence": made.tail.last.0,
        "wallets": made.tail.wallets,
        "bytes": made.bytes,
        "took_ms": made.took.as_millis() as u64,
        "age_s": made.at.elapsed().as_secs(),
        "segments_released": made.released,
    })
}

/// A wallet's number from the path, or the answer that says what is wrong with it.
pub(super) fn wallet_id(text: &str) -> Result<WalletId, Box<Response>> {
    // What came is not repeated: it may be a card number.
    let wrong = || Box::new(error(StatusCode::BAD_REQUEST, "a wallet is named by its number"));
    text.parse().map(WalletId).map_err(|_| wrong())
}

/// An answer that says why something was not done.
pub(super) fn error(status: StatusCode, words: impl Into<String>) -> Response {
    let words: String = words.into();
    (status, Json(json!({ "error": words }))).into_response()
}

fn no_such_wallet(wallet: WalletId) -> Response {
    let error = format!("there is no wallet {}", wallet.0);
    (StatusCode::NOT_FOUND, Json(json!({ "error": error }))).into_response()
}

async fn wallet(State(face): State<Arc<Face>>, Path(text): Path<String>) -> Response {
    let wallet = match wallet_id(&text) {
        Ok(wallet) => wallet,
        Err(response) => return *response,
    };
    let Some((status, accounts)) = face.pipeline.wallet(wallet) else { return no_such_wallet(wallet) };
    let accounts: Vec<Value> = accounts.iter().map(|account| account_json(&face, wallet, account)).collect();
    let spending = face.pipeline.spending(wallet);
    Json(json!({
        "wallet": wallet.0,
        "status": status.name(),
        "accounts": accounts,
        "spending": spending.as_slice(),
    }))
    .into_response()
}

/// `PUT /v1/wallets/{wallet}/status` with `{"status": "frozen"}`: effective for the next message, and acknowledged
/// once it is on disk. Networks that want to know of closed cards are told of those of a closed wallet.
async fn set_status(
    State(face): State<Arc<Face>>,
    Path(text): Path<String>,
    Json(body): Json<Value>,
) -> Response {
    let wallet = match wallet_id(&text) {
        Ok(wallet) => wallet,
        Err(response) => return *response,
    };
    let Some(status) = body.get("status").and_then(Value::as_str).and_then(WalletStatus::from_name) else {
        let names: Vec<&str> = WalletStatus::ALL.iter().map(|(_, name)| *name).collect();
        let error = format!("`status` must be one of {}", names.join(", "));
        return (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response();
    };
    let set = face.pipeline.set_wallet_status(wallet, status, clock::now()).and_then(|sequence| {
        let told = match status {
            WalletStatus::Closed => face.pipeline.tell_wallet_closed(wallet, clock::now())?,
            WalletStatus::Active | WalletStatus::Frozen => Vec::new(),
        };
        Ok((sequence, told))
    });
    match set {
        Ok((sequence, told)) => {
            let done = json!({ "wallet": wallet.0, "status": status.name(), "sequence": sequence.0 });
            when_told(&face, sequence, told, done).await
        }
        Err(NotSet::NotThere(_)) => no_such_wallet(wallet),
        Err(NotSet::Ended(_) | NotSet::Full(_) | NotSet::Spent(_) | NotSet::Unavailable) => unavailable(),
    }
}

/// Answers once a status is on disk, and what networks are told of it (R32).
pub(super) async fn when_told(
    face: &Face,
    sequence: Sequence,
    told: Vec<Telling>,
    mut done: Value,
) -> Response {
    let last = told.iter().map(|(stored, _)| *stored).fold(sequence, Sequence::max);
    let links: BTreeSet<String> = told.into_iter().map(|(_, link)| link.into()).collect();
    done["networks_told"] = links.into_iter().collect();
    when_durable(face, last, done).await
}

/// Answers once a record is on disk (R1).
pub(super) async fn when_durable(face: &Face, sequence: Sequence, done: Value) -> Response {
    if is_durable(face, sequence).await { Json(done).into_response() } else { unavailable() }
}

/// Waits until a record is on disk; false when the journal has failed before.
pub(super) async fn is_durable(face: &Face, sequence: Sequence) -> bool {
    while face.pipeline.durable() < sequence {
        if face.pipeline.has_failed() {
            return false;
        }
        tokio::time::sleep(DURABLE_POLL).await;
    }
    true
}

pub(super) fn unavailable() -> Response {
    let error = "the journal takes nothing now; try again, and look at /readyz";
    (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "error": error }))).into_response()
}

fn account_json(face: &Face, wallet: WalletId, account: &Account) -> Value {
    let interest = face.pipeline.interest_of(wallet, account.number);
    json!({
        "account": account.number,
        "asset": face.pipeline.code_of_asset(account.currency).map(|code| code.to_string()),
        "currency": account.currency.to_string(),
        "posted": account.posted,
        "held": account.held,
        "overdraft": account.overdraft,
        "available": account.available(),
        "interest": interest.as_ref().map(verbs::interest_json),
    })
}

async fn authorizations(State(face): State<Arc<Face>>, Path(text): Path<String>) -> Response {
    let wallet = match wallet_id(&text) {
        Ok(wallet) => wallet,
        Err(response) => return *response,
    };
    let Some(views) = face.pipeline.wallet_authorizations(wallet) else { return no_such_wallet(wallet) };
    let list: Vec<Value> = views.iter().map(authorization_json).collect();
    Json(json!({ "wallet": wallet.0, "authorizations": list })).into_response()
}

/// What a further account bears of an authorization (R13).
fn share_json(share: &ShareView) -> Value {
    let rate = (share.rate != Sequence(0)).then_some(share.rate.0);
    json!({ "account": share.account, "amount": share.amount, "covers": share.covers, "rate": rate })
}

pub(super) fn authorization_json(view: &AuthorizationView) -> Value {
    let authorization = &view.authorization;
    let seconds = |s: u32| (s != 0).then(|| Timestamp::from_seconds(u64::from(s)).to_string());
    let code = authorization.approval_code;
    let currency = Currency::from_number(authorization.currency).unwrap_or_default();
    json!({
        "sequence": authorization.sequence.0,
        "card": view.card.0,
        "state": authorization.state.name(),
        "action": authorization.action.name(),
        "approval_code": (code != [0; 6]).then(|| ApprovalCode(code).to_string()),
        "clearing": authorization.is_clearing(),
        "unanswered": authorization.legs.has(LegState::UNANSWERED),
        "amount": authorization.amount,
        "currency": currency.to_string(),
        "taken": authorization.taken,
        "fee": view.fee,
        "shares": view.shares.iter().map(share_json).collect::<Vec<Value>>(),
        "account": authorization.account,
        "account_currency": view.account_currency.to_string(),
        "stan": (!authorization.is_clearing()).then(|| format!("{:06}", authorization.stan)),
        "rrn": Text(authorization.rrn).to_string(),
        "changed": seconds(authorization.changed_s),
        "hold_until": seconds(authorization.hold_until_s),
        "closed_by": (authorization.closed_by != Sequence(0)).then_some(authorization.closed_by.0),
    })
}

async fn balance(State(face): State<Arc<Face>>) -> Response {
    let audit = face.pipeline.audit();
    let (hash, of) = *face.last_hash.lock();
    let currencies: Vec<Value> = audit.totals.iter().map(totals_json).collect();
    Json(json!({
        "sequence": audit.sequence.0,
        "currencies": currencies,
        "state_hash": { "hash": hash.to_string(), "sequence": of.0 },
    }))
    .into_response()
}

/// Differences that are told one by one.
const ORPHANS_TOLD: usize = 100;

async fn holds(State(face): State<Arc<Face>>) -> Response {
    let holds = face.pipeline.audit_holds();
    let told = holds.orphans.iter().take(ORPHANS_TOLD).map(|orphan| {
        json!({
            "wallet": orphan.wallet.0,
            "account": orphan.account,
            "held": orphan.held,
            "open": orphan.open,
        })
    });
    Json(json!({
        "accounts": holds.accounts,
        "open_authorizations": holds.open,
        "orphans": holds.orphans.len(),
        "told": told.collect::<Vec<Value>>(),
    }))
    .into_response()
}

/// Sums may be wider than what a JSON reader takes for a number, so they are texts.
fn totals_json(totals: &Totals) -> Value {
    json!({
        "currency": totals.currency.to_string(),
        "wallets": totals.wallets.to_string(),
        "funding": totals.funding.to_string(),
        "settlement": totals.settlement.to_string(),
        "suspense": totals.suspense.to_string(),
        "fees": totals.fees.to_string(),
        "transit": totals.transit.to_string(),
        "adjustments": totals.adjustments.to_string(),
        "exchange": totals.exchange.to_string(),
        "interest": totals.interest.to_string(),
        "held": totals.held.to_string(),
        "sum": totals.sum().to_string(),
    })
}
