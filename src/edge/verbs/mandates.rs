//! Mandates on the HTTP face: given by payers, charged by payees, cancelled, and shown with what was charged.

use std::sync::Arc;

use axum::extract::Path;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;
use serde_json::json;

use crate::authorizer::moving::Order;
use crate::authorizer::moving::Party;
use crate::authorizer::moving::Refusal;
use crate::domain::event::Sequence;
use crate::domain::mandate::Period;
use crate::domain::moved::Verb;
use crate::domain::party::WalletId;
use crate::domain::time::Timestamp;
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
use crate::ledger::mandates::Mandate;
use crate::pipeline::mandates::Asked;
use crate::pipeline::moving::NotMoved;

fn no_such_mandate() -> Problem {
    Problem::new("no-such-mandate", StatusCode::NOT_FOUND, "this wallet has given no such mandate")
}

/// Gives a mandate.
pub(super) async fn give(State(face): State<Arc<Face>>, Path(payer): Path<String>, came: Came) -> Response {
    let answer = async {
        let payer = number(&payer, "wallet")?;
        let asked: body::Mandate = body::read(&bytes(came)?)?;
        let period = Period::ALL.iter().find(|(_, name)| *name == asked.period).map(|(period, _)| *period);
        let period = period
            .ok_or_else(|| Problem::malformed("`period` must be one of day, week, month, year, once"))?;
        let until_s = match &asked.until {
            None => 0,
            Some(text) => body::seconds_of(text)
                .and_then(|seconds| u32::try_from(seconds).ok())
                .filter(|until| u64::from(*until) > face.pipeline.seconds(clock::now()))
                .ok_or_else(|| Problem::malformed("`until` is a time to come, as in 2027-11-29T18:00:00Z"))?,
        };
        let charges_max = asked.charges_max.unwrap_or(0);
        let body::Mandate { account, payee, payee_account, currency, max, .. } = asked;
        let currency = currency.of(&face)?;
        let what = format!(
            "mandate|{payer}|{account:?}|{payee}|{payee_account:?}|{currency}|{max}|{}|{charges_max}|{until_s}",
            period.name()
        );
        // The key is one of the payer's wallet.
        let named = Named::new(&asked.key, &asked.created, &what)?.of_wallet(payer);
        let asked = Asked {
            payer: Party { wallet: WalletId(payer), account },
            payee: Party { wallet: WalletId(payee), account: payee_account },
            currency,
            max,
            charges_max,
            period,
            until_s,
        };
        let carried = face.pipeline.give_mandate(&asked, &named.key, named.created_s, clock::now())?;
        until_durable(&face, carried.sequence).await?;
        let (sequence, again) = (carried.sequence.0, carried.again);
        Ok::<_, Problem>(json!({ "mandate": sequence, "sequence": sequence, "again": again }))
    };
    answered(answer.await)
}

/// Charges by a mandate.
pub(super) async fn charge(
    State(face): State<Arc<Face>>,
    Path((payer, mandate)): Path<(String, String)>,
    came: Came,
) -> Response {
    let order = bytes(came).and_then(|body| {
        let (payer, mandate) = (number(&payer, "wallet")?, number(&mandate, "mandate")?);
        let body::Charge { key, created, amount, reason } = body::read(&body)?;
        let reason = body::reason(reason.as_deref())?;
        let what = format!("charge|{payer}|{mandate}|{amount}|{reason}");
        let named = Named::new(&key, &created, &what)?;
        let known = face.pipeline.mandate(WalletId(payer), Sequence(mandate)).ok_or_else(no_such_mandate)?;
        let plain = plain(Verb::Charge, &named, known.terms.currency, amount, reason);
        let from = party(payer, Some(known.terms.payer.account));
        Ok((Order { from, about: Sequence(mandate), ..plain }, named.created_s))
    });
    carry_out(&face, order).await
}

/// Cancels a mandate for good.
pub(super) async fn cancel(
    State(face): State<Arc<Face>>,
    Path((payer, mandate)): Path<(String, String)>,
) -> Response {
    let answer = async {
        let (payer, mandate) = (number(&payer, "wallet")?, number(&mandate, "mandate")?);
        let cancelled = face.pipeline.cancel_mandate(WalletId(payer), Sequence(mandate), clock::now())?;
        until_durable(&face, cancelled.sequence).await?;
        Ok::<_, Problem>(json!({
            "mandate": mandate,
            "sequence": cancelled.sequence.0,
            "again": cancelled.again,
        }))
    };
    answered(answer.await)
}

/// The mandates of a payer.
pub(super) async fn list(State(face): State<Arc<Face>>, Path(payer): Path<String>) -> Response {
    let shown = number(&payer, "wallet").and_then(|payer| {
        let known = face.pipeline.mandates_of(WalletId(payer));
        let known = known.ok_or_else(|| NotMoved::from(Refusal::NoSuchWallet(WalletId(payer))))?;
        let known: Vec<Value> = known.iter().map(|mandate| shown(&face, mandate)).collect();
        Ok(json!({ "wallet": payer, "mandates": known }))
    });
    answered(shown)
}

/// One mandate.
pub(super) async fn one(
    State(face): State<Arc<Face>>,
    Path((payer, mandate)): Path<(String, String)>,
) -> Response {
    let found = number(&payer, "wallet").and_then(|payer| {
        let mandate = number(&mandate, "mandate")?;
        face.pipeline.mandate(WalletId(payer), Sequence(mandate)).ok_or_else(no_such_mandate)
    });
    answered(found.map(|mandate| shown(&face, &mandate)))
}

fn shown(face: &Face, mandate: &Mandate) -> Value {
    let time = |seconds: u32| (seconds != 0).then(|| Timestamp::from_seconds(seconds.into()).to_string());
    let (terms, now_s) = (mandate.terms, face.pipeline.seconds(clock::now()));
    let (used, charges) = mandate.used(now_s);
    let latest: Vec<Value> = mandate
        .latest
        .iter()
        .rev()
        .map(|charge| {
            json!({ "sequence": charge.sequence.0, "amount": charge.amount, "at": time(charge.at_s) })
        })
        .collect();
    json!({
        "mandate": mandate.sequence.0,
        "payer": terms.payer.wallet.0,
        "account": terms.payer.account,
        "payee": terms.payee.wallet.0,
        "payee_account": terms.payee.account,
        "currency": terms.currency.to_string(),
        "max": terms.max,
        "period": terms.period.name(),
        "charges_max": (terms.charges_max != 0).then_some(terms.charges_max),
        "until": time(terms.until_s),
        "cancelled": time(mandate.cancelled_s),
        "ended": mandate.has_ended(now_s),
        "used": used,
        "charges": charges,
        "latest": latest,
    })
}
