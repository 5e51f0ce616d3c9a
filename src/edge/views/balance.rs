//! `GET /v1/wallets/{wallet}/balance`: what a wallet has now, or had as of a record or a time.

use std::ops::ControlFlow;
use std::sync::Arc;

use axum::Json;
use axum::extract::Path;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::Uri;
use axum::response::IntoResponse;
use axum::response::Response;
use serde_json::Value;
use serde_json::json;

use crate::domain::event::Event;
use crate::domain::event::Sequence;
use crate::domain::party::Slot;
use crate::domain::party::WalletId;
use crate::domain::time::Timestamp;
use crate::edge::api::Face;
use crate::edge::api::is_durable;
use crate::edge::verbs::number;
use crate::edge::verbs::problem::Problem;
use crate::edge::views;
use crate::edge::views::Reader;
use crate::edge::views::account_json;
use crate::edge::views::no_such_wallet;
use crate::edge::views::query::Asked;
use crate::edge::views::query::Point;
use crate::journal::follow;
use crate::ledger::shard::Shard;
use crate::ledger::wallet_view::WalletView;
use crate::pipeline::moving::NotMoved;
use crate::recovery::one_slot;
use crate::recovery::one_slot::Span;
use crate::recovery::one_slot::Witness;

pub(super) async fn balance(State(face): State<Arc<Face>>, Path(text): Path<String>, uri: Uri) -> Response {
    let answer = async {
        let wallet = WalletId(number(&text, "wallet")?);
        let asked = Asked::of(&uri, &["as_of_sequence", "as_of_time"])?;
        let record = asked.number("as_of_sequence")?.map(|record| Point::Record(Sequence(record)));
        let time = asked.time("as_of_time")?.map(Point::Time);
        if record.is_some() && time.is_some() {
            return Err(Problem::malformed("`as_of_sequence` and `as_of_time` are two points; ask for one"));
        }
        let Some(point) = record.or(time) else {
            let now = face.pipeline.wallet_view(wallet).ok_or_else(|| no_such_wallet(wallet))?;
            return shown_now(&face, wallet, now).await;
        };
        face.pipeline.has_wallet(wallet).then_some(()).ok_or_else(|| no_such_wallet(wallet))?;
        views::settled(&face, Some(point)).await?;
        let (view, sequence) = views::read(&face, move |reader| as_of(reader, wallet, point)).await?;
        Ok(Json(shown(wallet, &view, sequence)).into_response())
    };
    views::answered(answer.await)
}

/// What is in memory, once it is on disk.
async fn shown_now(
    face: &Face,
    wallet: WalletId,
    (view, sequence): (WalletView, Sequence),
) -> Result<Response, Problem> {
    if is_durable(face, sequence).await {
        Ok(Json(shown(wallet, &view, sequence)).into_response())
    } else {
        Err(NotMoved::Unavailable.into())
    }
}

fn as_of(reader: &Reader, wallet: WalletId, point: Point) -> Result<(WalletView, Sequence), Problem> {
    let sequence = record_of(reader, point)?;
    let span = Span { after: sequence, through: sequence };
    let slot = Slot::of_wallet(wallet);
    let (shard, _) = one_slot::replay(&reader.source(), slot, span, &mut Nobody(reader))?;
    let view = shard.wallet_view(wallet).ok_or_else(|| {
        let words = format!("wallet {} was not open at record {}", wallet.0, sequence.0);
        Problem::new("no-such-wallet", StatusCode::NOT_FOUND, words)
    })?;
    Ok((view, sequence))
}

/// The last record up to a point.
pub(super) fn record_of(reader: &Reader, point: Point) -> Result<Sequence, Problem> {
    match point {
        Point::Record(record) => Ok(record),
        Point::Time(time) => Ok(follow::last_before(&reader.disk, time, reader.durable)?),
    }
}

/// Looks at nothing on the way.
struct Nobody<'r>(&'r Reader);

impl Witness for Nobody<'_> {
    fn begins(&mut self, _: &Shard) {}

    fn applied(&mut self, _: &Shard, _: Sequence, _: Timestamp, _: &Event) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn goes_on(&self) -> bool {
        self.0.goes_on()
    }
}

fn shown(wallet: WalletId, view: &WalletView, sequence: Sequence) -> Value {
    let account = |account| {
        let mut shown = account_json(account);
        shown["pending_credits"] = json!(view.pending_credits(account.number));
        shown
    };
    let accounts: Vec<Value> = view.accounts.iter().map(account).collect();
    json!({
        "wallet": wallet.0,
        "status": view.status.name(),
        "sequence": sequence.0,
        "accounts": accounts,
    })
}
