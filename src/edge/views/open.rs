//! `GET /v1/wallets/{wallet}/holds` and `/pending-credits`: what is open on a wallet, newest first, from memory.

use std::sync::Arc;

use axum::Json;
use axum::extract::Path;
use axum::extract::State;
use axum::http::Uri;
use axum::response::IntoResponse;
use axum::response::Response;
use serde_json::Value;
use serde_json::json;

use crate::domain::card::MaskedPan;
use crate::domain::event::Sequence;
use crate::domain::party::WalletId;
use crate::edge::api::Face;
use crate::edge::api::authorization_json;
use crate::edge::api::is_durable;
use crate::edge::verbs::number;
use crate::edge::verbs::problem::Problem;
use crate::edge::views;
use crate::edge::views::no_such_wallet;
use crate::edge::views::query::Asked;
use crate::edge::views::token;
use crate::edge::views::token::Place;
use crate::ledger::authorization::AuthorizationState;
use crate::ledger::view::AuthorizationView;
use crate::pipeline::moving::NotMoved;

/// Most of one page, and as many unless it is asked for fewer.
const PAGE_MAX: usize = 1_000;
const PAGE: usize = 100;

pub(super) async fn holds(State(face): State<Arc<Face>>, Path(text): Path<String>, uri: Uri) -> Response {
    views::answered(listed(&face, &text, &uri, AuthorizationState::Held, "holds").await)
}

pub(super) async fn pending_credits(
    State(face): State<Arc<Face>>,
    Path(text): Path<String>,
    uri: Uri,
) -> Response {
    views::answered(listed(&face, &text, &uri, AuthorizationState::Pending, "pending_credits").await)
}

async fn listed(
    face: &Face,
    text: &str,
    uri: &Uri,
    state: AuthorizationState,
    name: &str,
) -> Result<Response, Problem> {
    let wallet = WalletId(number(text, "wallet")?);
    let asked = Asked::of(uri, &["limit", "page_token"])?;
    let limit = asked.limit(PAGE, PAGE_MAX)?;
    let (key, question) = (views::of(face)?.keys.page_token_key(), format!("{name}|{}", wallet.0));
    // New ones come before the first; a page goes on with what is older than the last one shown.
    let below = match asked.text("page_token") {
        Some(token) => token::open(key, &question, token)?.after,
        None => Sequence(u64::MAX),
    };
    let (known, sequence) = face.pipeline.wallet_view(wallet).ok_or_else(|| no_such_wallet(wallet))?;
    let older = known.in_state(state).filter(|(view, _)| view.authorization.sequence < below);
    let mut page: Vec<&(AuthorizationView, MaskedPan)> = older.take(limit + 1).collect();
    let more = page.len() > limit;
    page.truncate(limit);
    let next = page.last().filter(|_| more).map(|(view, _)| {
        let after = view.authorization.sequence;
        token::seal(key, &question, Place { after, through: Sequence(0) })
    });
    let list: Vec<Value> = page.into_iter().map(shown).collect();
    if !is_durable(face, sequence).await {
        return Err(NotMoved::Unavailable.into());
    }
    let mut answer = json!({ "wallet": wallet.0, "sequence": sequence.0, "next": next });
    answer[name] = list.into();
    Ok(Json(answer).into_response())
}

/// As among a wallet's authorizations, with the card's number as it may be shown and what else is kept.
fn shown((view, pan): &(AuthorizationView, MaskedPan)) -> Value {
    let authorization = &view.authorization;
    let print = |bits: u32| (bits != 0).then(|| format!("{bits:08x}"));
    let mut shown = authorization_json(view);
    shown["pan"] = json!(pan.to_string());
    shown["merchant_print"] = json!(print(authorization.merchant));
    shown["terminal_print"] = json!(print(authorization.terminal));
    shown
}
