//! Assets and rates on the HTTP face, further accounts of wallets, the order in which they are spent, and conversions
//! from one of them to another.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Path;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;
use serde_json::json;

use crate::authorizer::moving::Order;
use crate::authorizer::moving::Turned;
use crate::domain::asset::AssetCode;
use crate::domain::asset::AssetSet;
use crate::domain::asset::Price;
use crate::domain::asset::Quote;
use crate::domain::asset::Rate;
use crate::domain::asset::RateSet;
use crate::domain::event::Sequence;
use crate::domain::interest::DayCount;
use crate::domain::interest::PaidOut;
use crate::domain::interest::Terms;
use crate::domain::moved::Verb;
use crate::domain::party::WalletId;
use crate::domain::share::Spending;
use crate::edge::api::Face;
use crate::edge::clock;
use crate::edge::verbs::Came;
use crate::edge::verbs::answered;
use crate::edge::verbs::body;
use crate::edge::verbs::body::Named;
use crate::edge::verbs::bytes;
use crate::edge::verbs::carry_out;
use crate::edge::verbs::number;
use crate::edge::verbs::party;
use crate::edge::verbs::plain;
use crate::edge::verbs::problem::Problem;
use crate::edge::verbs::until_durable;
use crate::pipeline::assets::NotKept;

/// Most rates that are set at once.
const RATES_MAX: usize = 1_000;
/// How long, and how often, rates wait for the journal to have room.
const MOMENT: Duration = Duration::from_millis(10);
const PATIENCE: u32 = 200;

impl From<NotKept> for Problem {
    fn from(why: NotKept) -> Self {
        let (name, status) = match why {
            NotKept::OtherDecimals(_) => ("other-decimals", StatusCode::CONFLICT),
            NotKept::NoNumber => ("no-asset-number", StatusCode::UNPROCESSABLE_ENTITY),
            NotKept::NoSuchAsset(_) => ("no-such-asset", StatusCode::NOT_FOUND),
            NotKept::NoRate(..) => ("invalid-rate", StatusCode::UNPROCESSABLE_ENTITY),
            NotKept::NoSuchWallet => ("no-such-wallet", StatusCode::NOT_FOUND),
            NotKept::NoSuchAccount(_) => ("no-such-account", StatusCode::NOT_FOUND),
            NotKept::OtherAccount(_) => ("other-account", StatusCode::CONFLICT),
            NotKept::OutOfRange => ("out-of-range", StatusCode::UNPROCESSABLE_ENTITY),
            NotKept::Closed => ("wallet-status", StatusCode::CONFLICT),
            NotKept::ManyRates => ("many-rates", StatusCode::UNPROCESSABLE_ENTITY),
            NotKept::Full(_) => ("full", StatusCode::SERVICE_UNAVAILABLE),
            NotKept::Unavailable => ("unavailable", StatusCode::SERVICE_UNAVAILABLE),
        };
        Self::new(name, status, why.to_string())
    }
}

fn asset_json(set: &AssetSet) -> Value {
    json!({
        "code": set.code.to_string(),
        "currency": set.asset.to_string(),
        "decimals": set.asset.exponent(),
        "name": set.name.to_string(),
    })
}

fn rate_json(rate: &Rate) -> Value {
    json!({
        "from": rate.from.to_string(),
        "to": rate.to.to_string(),
        "price": rate.quote.price.to_string(),
        "spread_ppm": rate.quote.spread_ppm,
        "rate": rate.version.0,
    })
}

/// Every asset.
pub(super) async fn list(State(face): State<Arc<Face>>) -> Response {
    let assets: Vec<Value> = face.pipeline.quotes().assets().map(|set| asset_json(&set)).collect();
    answered(Ok(json!({ "assets": assets })))
}

/// Makes an asset known.
pub(super) async fn set(State(face): State<Arc<Face>>, Path(code): Path<String>, came: Came) -> Response {
    let answer = async {
        let code: AssetCode = code.parse().map_err(|error| Problem::malformed(format!("{error}")))?;
        let asked: body::Asset = body::read(&bytes(came)?)?;
        let name = body::reason(Some(&asked.name))?;
        let (asset, sequence) = face.pipeline.set_asset(code, asked.decimals, name, clock::now())?;
        until_durable(&face, sequence).await?;
        Ok::<_, Problem>(asset_json(&AssetSet { asset, code, name }))
    };
    answered(answer.await)
}

/// Every rate.
pub(super) async fn rates(State(face): State<Arc<Face>>) -> Response {
    let rates: Vec<Value> = face.pipeline.quotes().rates().map(rate_json).collect();
    answered(Ok(json!({ "rates": rates })))
}

/// Sets rates, and withdraws those without a price: all or none.
pub(super) async fn set_rates(State(face): State<Arc<Face>>, came: Came) -> Response {
    let answer = async {
        let asked: body::Rates = body::read(&bytes(came)?)?;
        if asked.rates.is_empty() || asked.rates.len() > RATES_MAX {
            return Err(Problem::malformed(format!("1 to {RATES_MAX} `rates` are set at once")));
        }
        let rates = asked.rates.iter().map(|rate| rate_set(&face, rate)).collect::<Result<Vec<_>, _>>()?;
        face.pipeline.check_rates(&rates)?;
        let (mut set, mut sequence, mut waited) = (0, Sequence(0), 0);
        while set < rates.len() {
            let (more, last) = face.pipeline.set_rates(&rates[set..], clock::now());
            (set, sequence) = (set + more, sequence.max(last));
            if more > 0 {
                until_durable(&face, sequence).await?;
            } else if waited == PATIENCE {
                let words = format!(
                    "{set} of {} rates are set, and the journal takes no more: send all again",
                    rates.len()
                );
                return Err(Problem::new("unavailable", StatusCode::SERVICE_UNAVAILABLE, words));
            } else {
                waited += 1;
                tokio::time::sleep(MOMENT).await;
            }
        }
        Ok::<_, Problem>(json!({ "set": rates.len(), "sequence": sequence.0 }))
    };
    answered(answer.await)
}

fn rate_set(face: &Face, asked: &body::RateOf) -> Result<RateSet, Problem> {
    let (from, to) = (asked.from.of(face)?, asked.to.of(face)?);
    let quote = match &asked.price {
        None => None,
        Some(price) => {
            let unprocessable = StatusCode::UNPROCESSABLE_ENTITY;
            let price: Price = price
                .parse()
                .map_err(|error| Problem::new("invalid-rate", unprocessable, format!("{error}")))?;
            Some(Quote { price, spread_ppm: asked.spread_ppm })
        }
    };
    Ok(RateSet { from, to, quote })
}

/// Opens a further account.
pub(super) async fn open_account(
    State(face): State<Arc<Face>>,
    Path((wallet, account)): Path<(String, String)>,
    came: Came,
) -> Response {
    let answer = async {
        let wallet = WalletId(number(&wallet, "wallet")?);
        let account = account_number(&account)?;
        let asked: body::OpenAccount = body::read(&bytes(came)?)?;
        if asked.overdraft < 0 {
            return Err(Problem::malformed("an `overdraft` is from 0"));
        }
        let currency = asked.currency.of(&face)?;
        let place = (account, currency);
        let (sequence, again) = face.pipeline.open_pocket(wallet, place, asked.overdraft, clock::now())?;
        until_durable(&face, sequence).await?;
        Ok::<_, Problem>(json!({
            "wallet": wallet.0,
            "account": account,
            "currency": currency.to_string(),
            "sequence": sequence.0,
            "again": again,
        }))
    };
    answered(answer.await)
}

pub(super) fn account_number(text: &str) -> Result<u16, Problem> {
    text.parse().map_err(|_| Problem::malformed("an account is named by its number"))
}

/// Sets in which order a wallet's accounts are spent.
pub(super) async fn set_spending(
    State(face): State<Arc<Face>>,
    Path(wallet): Path<String>,
    came: Came,
) -> Response {
    let answer = async {
        let wallet = WalletId(number(&wallet, "wallet")?);
        let asked: body::SpendingOrder = body::read(&bytes(came)?)?;
        let order = Spending::new(&asked.accounts).ok_or_else(|| {
            Problem::malformed(format!("up to {} `accounts` are in an order, each once", Spending::MAX))
        })?;
        let sequence = face.pipeline.set_spending(wallet, order, clock::now())?;
        until_durable(&face, sequence).await?;
        let accounts = order.as_slice();
        Ok::<_, Problem>(json!({ "wallet": wallet.0, "accounts": accounts, "sequence": sequence.0 }))
    };
    answered(answer.await)
}

/// Sets what an account earns from today on.
pub(super) async fn set_interest(
    State(face): State<Arc<Face>>,
    Path(place): Path<(String, String)>,
    came: Came,
) -> Response {
    let answer = async {
        let asked: body::Interest = body::read(&bytes(came)?)?;
        if asked.rate_ppm > Terms::RATE_MAX_PPM {
            let words = format!("a `rate_ppm` is 0 to {} millionths a year", Terms::RATE_MAX_PPM);
            return Err(Problem::new("invalid-rate", StatusCode::UNPROCESSABLE_ENTITY, words));
        }
        let day_count = named(&DayCount::ALL, &asked.day_count, "day_count")?;
        let paid_out = named(&PaidOut::ALL, &asked.paid_out, "paid_out")?;
        earn(&face, place, Some(Terms { rate_ppm: asked.rate_ppm, day_count, paid_out })).await
    };
    answered(answer.await)
}

/// Pays out what an account has earned; it earns no more.
pub(super) async fn end_interest(
    State(face): State<Arc<Face>>,
    Path(place): Path<(String, String)>,
) -> Response {
    answered(earn(&face, place, None).await)
}

async fn earn(
    face: &Face,
    (wallet, account): (String, String),
    terms: Option<Terms>,
) -> Result<Value, Problem> {
    let (wallet, account) = (WalletId(number(&wallet, "wallet")?), account_number(&account)?);
    let sequence = face.pipeline.set_interest(wallet, account, terms, clock::now())?;
    until_durable(face, sequence).await?;
    let interest = terms.as_ref().map(interest_json);
    Ok(json!({ "wallet": wallet.0, "account": account, "interest": interest, "sequence": sequence.0 }))
}

/// What an account earns, as it is shown.
pub(in crate::edge) fn interest_json(terms: &Terms) -> Value {
    json!({
        "rate_ppm": terms.rate_ppm,
        "day_count": terms.day_count.name(),
        "paid_out": terms.paid_out.name(),
    })
}

/// The one of these that a text names.
fn named<T: Copy>(all: &[(T, &str)], text: &str, field: &str) -> Result<T, Problem> {
    all.iter().find(|(_, name)| *name == text).map(|(one, _)| *one).ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|(_, name)| *name).collect();
        Problem::malformed(format!("`{field}` must be one of {}", names.join(", ")))
    })
}

/// Turns an amount of one of a wallet's accounts into another asset, for another of its accounts.
pub(super) async fn convert(State(face): State<Arc<Face>>, came: Came) -> Response {
    let order = bytes(came).and_then(|body| {
        let asked: body::Convert = body::read(&body)?;
        let (currency, into) = (asked.currency.of(&face)?, asked.to_currency.of(&face)?);
        let body::Convert { wallet, from_account, to_account, amount, at_least, .. } = asked;
        let what = format!(
            "conversion|{wallet}|{from_account:?}|{to_account:?}|{currency}|{into}|{amount}|{at_least}"
        );
        let named = Named::new(&asked.key, &asked.created, &what)?;
        let plain = plain(Verb::Conversion, &named, currency, amount, body::reason(None)?);
        let turned = Turned { currency: into, at_least };
        let (from, to) = (party(wallet, from_account), party(wallet, to_account));
        Ok((Order { from, to, into: Some(turned), ..plain }, named.created_s))
    });
    carry_out(&face, order).await
}
