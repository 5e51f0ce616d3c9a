//! The verbs of wallets on the HTTP face: open and close, issue cards, fund and withdraw, transfer, pay, refund and
//! adjust. Each is journaled, has the caller's own key, so that it is done once however often it is sent (R10), and is
//! answered when its record is on disk (R1).

mod assets;
mod body;
pub(super) mod bulk;
mod cards;
mod mandates;
mod openapi;
pub(super) mod problem;

use std::convert::Infallible;
use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::body::Body;
use axum::body::Bytes;
use axum::extract::FromRequest;
use axum::extract::Path;
use axum::extract::Request;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::routing::get;
use axum::routing::post;
use axum::routing::put;
use http_body_util::BodyExt;
use serde_json::Value;
use serde_json::json;

use crate::authorizer::moving::Order;
use crate::authorizer::moving::Party;
use crate::authorizer::moving::Refusal;
use crate::domain::event::Sequence;
use crate::domain::money::Currency;
use crate::domain::moved::Reason;
use crate::domain::moved::Verb;
use crate::domain::party::WalletId;
use crate::domain::party::WalletStatus;
use crate::edge::api::Face;
use crate::edge::api::is_durable;
use crate::edge::clock;
use crate::edge::verbs::body::Named;
use crate::edge::verbs::problem::Problem;
use crate::pipeline::core::Pipeline;
use crate::pipeline::moving::Carried;
use crate::pipeline::moving::NotMoved;
use crate::pipeline::seeding::NewAccount;
use crate::pipeline::seeding::NotSet;
use crate::pipeline::seeding::Opened;

pub(super) use assets::interest_json;

/// Most transfers of one batch.
pub(super) const BATCH_MAX: usize = 1_000;
/// Most bytes that are read of a body that is too large.
const THROWN_AWAY_MAX: usize = 64 << 20;
/// Most accounts of a wallet that is opened by a verb.
const ACCOUNTS_MAX: usize = Pipeline::ACCOUNTS_MAX;

/// The routes.
pub(super) fn routes() -> Router<Arc<Face>> {
    Router::new()
        .route("/v1/wallets/{wallet}", put(open))
        .route("/v1/wallets/{wallet}/close", post(close))
        .route("/v1/wallets/{wallet}/fund", post(fund))
        .route("/v1/wallets/{wallet}/withdraw", post(withdraw))
        .route("/v1/wallets/{wallet}/adjust", post(adjust))
        .route("/v1/wallets/{wallet}/cards", post(cards::issue))
        .route("/v1/wallets/{wallet}/mandates", get(mandates::list).post(mandates::give))
        .route("/v1/wallets/{wallet}/mandates/{mandate}", get(mandates::one))
        .route("/v1/wallets/{wallet}/mandates/{mandate}/charges", post(mandates::charge))
        .route("/v1/wallets/{wallet}/mandates/{mandate}/cancel", post(mandates::cancel))
        .route("/v1/cards/{card}/replace", post(cards::replace))
        .route("/v1/transfers", post(transfer))
        .route("/v1/transfers/batch", post(batch))
        .route("/v1/payments", post(pay))
        .route("/v1/wallets/{wallet}/payments/{payment}/refunds", post(refund))
        .route("/v1/transfers/bulk", post(bulk::bulk))
        .route("/v1/assets", get(assets::list))
        .route("/v1/assets/{code}", put(assets::set))
        .route("/v1/rates", get(assets::rates).post(assets::set_rates))
        .route("/v1/conversions", post(assets::convert))
        .route("/v1/wallets/{wallet}/accounts/{account}", put(assets::open_account))
        .route("/v1/wallets/{wallet}/spending", put(assets::set_spending))
        .route(
            "/v1/wallets/{wallet}/accounts/{account}/interest",
            put(assets::set_interest).delete(assets::end_interest),
        )
        .route("/v1/openapi.json", get(openapi::openapi))
}

/// What came as a body, or why none could be read.
pub(super) struct Came(Result<Bytes, Problem>);

impl<S: Sync> FromRequest<S> for Came {
    type Rejection = Infallible;

    async fn from_request(request: Request, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(whole(request.into_body()).await))
    }
}

/// A body to its end. One that is too large is read and thrown away, up to a bound, so that whoever sends it hears why
/// it was refused, and not only that the socket is gone.
async fn whole(mut body: Body) -> Result<Bytes, Problem> {
    let (mut whole, mut length) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Problem::malformed("the body ended before its length"))?;
        let Ok(portion) = frame.into_data() else { continue };
        length += portion.len();
        if length <= body::BODY_BYTES_MAX {
            whole.extend_from_slice(&portion);
        } else if length > THROWN_AWAY_MAX {
            break;
        }
    }
    if length > body::BODY_BYTES_MAX { Err(body::too_large()) } else { Ok(whole.into()) }
}

fn bytes(came: Came) -> Result<Bytes, Problem> {
    came.0
}

/// A number in a path.
pub(super) fn number(text: &str, what: &str) -> Result<u64, Problem> {
    // What came is not repeated: it may be a card number.
    text.parse().map_err(|_| Problem::malformed(format!("a {what} is named by its number")))
}

/// Waits until a record is on disk (R1).
async fn until_durable(face: &Face, sequence: Sequence) -> Result<(), Problem> {
    if is_durable(face, sequence).await { Ok(()) } else { Err(NotMoved::Unavailable.into()) }
}

/// What was done, or why it was not.
fn answered(done: Result<Value, Problem>) -> Response {
    match done {
        Ok(done) => Json(done).into_response(),
        Err(problem) => problem.into_response(),
    }
}

/// What a verb has done, as its answer says it.
fn done(verb: Verb, carried: Carried) -> Value {
    let Carried { sequence, again } = carried;
    let mut done = json!({ "verb": verb.name(), "sequence": sequence.0, "again": again });
    if verb == Verb::Payment {
        done["payment"] = json!(sequence.0);
    }
    done
}

/// Does what a verb asks for, and answers when it is on disk.
async fn carry_out(face: &Face, order: Result<(Order, u64), Problem>) -> Response {
    let answer = async {
        let (order, created_s) = order?;
        let carried = face.pipeline.move_money(&order, created_s, clock::now())?;
        until_durable(face, carried.sequence).await?;
        Ok::<_, Problem>(done(order.verb, carried))
    };
    answered(answer.await)
}

/// An order of which the parts that all verbs have are filled in.
fn plain(verb: Verb, named: &Named, currency: Currency, amount: i64, reason: Reason) -> Order {
    Order {
        verb,
        key: named.key,
        from: None,
        to: None,
        currency,
        amount,
        fee: 0,
        into: None,
        about: Sequence(0),
        returns_fee: false,
        refundable_until_s: 0,
        reason,
    }
}

const fn party(wallet: u64, account: Option<u16>) -> Option<Party> {
    Some(Party { wallet: WalletId(wallet), account })
}

/// A verb about one wallet and the house.
fn about_one(face: &Face, verb: Verb, wallet: &str, came: Came) -> Result<(Order, u64), Problem> {
    let wallet = number(wallet, "wallet")?;
    let asked: body::Move = body::read(&bytes(came)?)?;
    if verb == Verb::Adjustment && asked.reason.as_deref().is_none_or(|reason| reason.trim().is_empty()) {
        return Err(Problem::malformed("an adjustment needs a `reason`"));
    }
    let reason = body::reason(asked.reason.as_deref())?;
    let body::Move { currency, account, amount, .. } = asked;
    let currency = currency.of(face)?;
    let what = format!("{}|{wallet}|{account:?}|{currency}|{amount}|{reason}", verb.name());
    let named = Named::new(&asked.key, &asked.created, &what)?;
    // An adjustment says by its sign which way it goes.
    let takes = verb == Verb::Withdraw || verb == Verb::Adjustment && amount < 0;
    let amount = if verb == Verb::Adjustment { amount.saturating_abs() } else { amount };
    let plain = plain(verb, &named, currency, amount, reason);
    let owner = party(wallet, account);
    let order = if takes { Order { from: owner, ..plain } } else { Order { to: owner, ..plain } };
    Ok((order, named.created_s))
}

async fn fund(State(face): State<Arc<Face>>, Path(wallet): Path<String>, came: Came) -> Response {
    carry_out(&face, about_one(&face, Verb::Fund, &wallet, came)).await
}

async fn withdraw(State(face): State<Arc<Face>>, Path(wallet): Path<String>, came: Came) -> Response {
    carry_out(&face, about_one(&face, Verb::Withdraw, &wallet, came)).await
}

async fn adjust(State(face): State<Arc<Face>>, Path(wallet): Path<String>, came: Came) -> Response {
    carry_out(&face, about_one(&face, Verb::Adjustment, &wallet, came)).await
}

/// The order of a transfer.
fn transferred(face: &Face, asked: &body::Transfer) -> Result<(Order, u64), Problem> {
    let reason = body::reason(asked.reason.as_deref())?;
    let body::Transfer { from, from_account, to, to_account, currency, amount, .. } = *asked;
    let currency = currency.of(face)?;
    let what = format!("transfer|{from}|{from_account:?}|{to}|{to_account:?}|{currency}|{amount}|{reason}");
    let named = Named::new(&asked.key, &asked.created, &what)?;
    let plain = plain(Verb::Transfer, &named, currency, amount, reason);
    Ok((Order { from: party(from, from_account), to: party(to, to_account), ..plain }, named.created_s))
}

async fn transfer(State(face): State<Arc<Face>>, came: Came) -> Response {
    let order = bytes(came).and_then(|body| transferred(&face, &body::read(&body)?));
    carry_out(&face, order).await
}

/// Up to [`BATCH_MAX`] transfers, each for itself: one that is refused keeps none of the others from being done.
async fn batch(State(face): State<Arc<Face>>, came: Came) -> Response {
    let answer = async {
        let batch: body::Batch = body::read(&bytes(came)?)?;
        if batch.transfers.is_empty() || batch.transfers.len() > BATCH_MAX {
            let words = format!("a batch has 1 to {BATCH_MAX} `transfers`");
            return Err(Problem::malformed(words));
        }
        let mut last = Sequence(0);
        let carried: Vec<Result<Carried, Problem>> =
            batch.transfers.iter().map(|asked| carry(&face, transferred(&face, asked), &mut last)).collect();
        until_durable(&face, last).await?;
        Ok::<_, Problem>(json!({ "results": carried.into_iter().map(result).collect::<Vec<Value>>() }))
    };
    answered(answer.await)
}

/// Does one of many; `last` is the newest record of all of them.
fn carry(face: &Face, order: Result<(Order, u64), Problem>, last: &mut Sequence) -> Result<Carried, Problem> {
    let (order, created_s) = order?;
    let carried = face.pipeline.move_money(&order, created_s, clock::now())?;
    *last = (*last).max(carried.sequence);
    Ok(carried)
}

/// What became of one of many.
fn result(carried: Result<Carried, Problem>) -> Value {
    match carried {
        Ok(carried) => {
            let mut done = done(Verb::Transfer, carried);
            done["status"] = json!(StatusCode::OK.as_u16());
            done
        }
        Err(problem) => problem.json(),
    }
}

async fn pay(State(face): State<Arc<Face>>, came: Came) -> Response {
    let order = bytes(came).and_then(|body| {
        let asked: body::Pay = body::read(&body)?;
        let reason = body::reason(asked.reason.as_deref())?;
        let body::Pay { from, from_account, merchant, merchant_account, currency, amount, fee, .. } = asked;
        let currency = currency.of(&face)?;
        let what = format!(
            "payment|{from}|{from_account:?}|{merchant}|{merchant_account:?}|{currency}|{amount}|{fee}|{reason}",
        );
        let named = Named::new(&asked.key, &asked.created, &what)?;
        let plain = plain(Verb::Payment, &named, currency, amount, reason);
        let (from, to) = (party(from, from_account), party(merchant, merchant_account));
        Ok((Order { from, to, fee, ..plain }, named.created_s))
    });
    carry_out(&face, order).await
}

async fn refund(
    State(face): State<Arc<Face>>,
    Path((merchant, payment)): Path<(String, String)>,
    came: Came,
) -> Response {
    let order = bytes(came).and_then(|body| {
        let (merchant, payment) = (number(&merchant, "wallet")?, number(&payment, "payment")?);
        let asked: body::Refund = body::read(&body)?;
        let reason = body::reason(asked.reason.as_deref())?;
        let body::Refund { currency, amount, returns_fee, .. } = asked;
        let currency = currency.of(&face)?;
        let what = format!("refund|{merchant}|{payment}|{currency}|{amount}|{returns_fee}|{reason}");
        let named = Named::new(&asked.key, &asked.created, &what)?;
        let plain = plain(Verb::Refund, &named, currency, amount, reason);
        let about = Sequence(payment);
        Ok((Order { from: party(merchant, None), about, returns_fee, ..plain }, named.created_s))
    });
    carry_out(&face, order).await
}

/// Opens a wallet with its accounts, in their order. What is open already stays; an account in a currency that the
/// wallet has is not opened twice.
async fn open(State(face): State<Arc<Face>>, Path(wallet): Path<String>, came: Came) -> Response {
    let answer = async {
        let wallet = WalletId(number(&wallet, "wallet")?);
        let asked: body::Open = body::read(&bytes(came)?)?;
        let overdrawn = asked.accounts.iter().any(|account| account.overdraft < 0);
        if asked.accounts.is_empty() || asked.accounts.len() > ACCOUNTS_MAX || overdrawn {
            let words =
                format!("a wallet has 1 to {ACCOUNTS_MAX} `accounts`, each with an `overdraft` from 0");
            return Err(Problem::malformed(words));
        }
        let mut again = true;
        for account in &asked.accounts {
            let body::OpenAccount { currency, overdraft } = account;
            let currency = currency.of(&face)?;
            face.pipeline.must_know(currency)?;
            let new = NewAccount { wallet, currency, balance: 0, overdraft: *overdraft };
            let now = clock::now();
            if !face.pipeline.admits(now) {
                return Err(NotMoved::Unavailable.into());
            }
            match face.pipeline.open_account(&new, now) {
                Opened::New => again = false,
                Opened::Already => {}
                Opened::Full(setting) => {
                    let words = format!("the table is full; raise `ledger.{setting}`");
                    return Err(Problem::new("full", StatusCode::SERVICE_UNAVAILABLE, words));
                }
                Opened::Later | Opened::Refused | Opened::Under(_) => {
                    return Err(NotMoved::Unavailable.into());
                }
            }
        }
        let sequence = face.pipeline.appended();
        face.pipeline.wake_writer();
        until_durable(&face, sequence).await?;
        Ok::<_, Problem>(json!({ "wallet": wallet.0, "sequence": sequence.0, "again": again }))
    };
    answered(answer.await)
}

/// Closes a wallet for good whose accounts are at zero and hold nothing.
async fn close(State(face): State<Arc<Face>>, Path(wallet): Path<String>) -> Response {
    let answer = async {
        let wallet = WalletId(number(&wallet, "wallet")?);
        let sequence = match face.pipeline.close_wallet(wallet, clock::now()) {
            Ok(Some(sequence)) => sequence,
            Ok(None) => {
                let words = format!("wallet {} still has money, or something is held", wallet.0);
                return Err(Problem::new("balance-not-zero", StatusCode::CONFLICT, words));
            }
            Err(NotSet::NotThere(_)) => return Err(NotMoved::from(Refusal::NoSuchWallet(wallet)).into()),
            Err(_) => return Err(NotMoved::Unavailable.into()),
        };
        let told = face.pipeline.tell_wallet_closed(wallet, clock::now());
        let told = told.map_err(|_| Problem::from(NotMoved::Unavailable))?;
        let last = told.iter().map(|(sequence, _)| *sequence).max().unwrap_or_default().max(sequence);
        until_durable(&face, last).await?;
        let status = WalletStatus::Closed.name();
        Ok::<_, Problem>(json!({ "wallet": wallet.0, "status": status, "sequence": sequence.0 }))
    };
    answered(answer.await)
}
