//! `GET /v1/wallets/{wallet}/statement`: what has changed a wallet's accounts, page by page, as JSON or as CSV.

use std::sync::Arc;

use axum::Json;
use axum::extract::Path;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::HeaderValue;
use axum::http::Uri;
use axum::http::header::ACCEPT;
use axum::http::header::CONTENT_TYPE;
use axum::http::header::LINK;
use axum::response::IntoResponse;
use axum::response::Response;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::domain::event::Sequence;
use crate::domain::party::Slot;
use crate::domain::party::WalletId;
use crate::edge::api::Face;
use crate::edge::verbs::number;
use crate::edge::verbs::problem::Problem;
use crate::edge::views;
use crate::edge::views::Reader;
use crate::edge::views::account_json;
use crate::edge::views::balance::record_of;
use crate::edge::views::entries::DETAILS;
use crate::edge::views::entries::Detail;
use crate::edge::views::entries::Entries;
use crate::edge::views::entries::Entry;
use crate::edge::views::no_such_wallet;
use crate::edge::views::query::Asked;
use crate::edge::views::query::Point;
use crate::edge::views::sheet;
use crate::edge::views::token;
use crate::edge::views::token::Place;
use crate::ledger::shard::Account;
use crate::recovery::one_slot;
use crate::recovery::one_slot::PastError;
use crate::recovery::one_slot::Span;

/// Most entries of a page, and as many unless it is asked for fewer.
const PAGE_MAX: usize = 1_000;
const PAGE: usize = 100;

/// One page.
pub(super) struct Page {
    wallet: WalletId,
    /// The accounts before it.
    pub(super) opening: Vec<Account>,
    pub(super) entries: Vec<Entry>,
    /// The accounts after it.
    pub(super) closing: Vec<Account>,
    /// What it is of: what came after this record, up to that one.
    span: Span,
    /// Where the statement ends.
    end: Sequence,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Format {
    Json,
    Csv,
}

pub(super) async fn statement(
    State(face): State<Arc<Face>>,
    Path(text): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let answer = async {
        let wallet = WalletId(number(&text, "wallet")?);
        let asked = Asked::of(&uri, &["from", "to", "limit", "page_token", "format"])?;
        let format = format_of(&asked, &headers)?;
        let (limit, from, to) = (asked.limit(PAGE, PAGE_MAX)?, asked.point("from")?, asked.point("to")?);
        let question = format!(
            "statement|{}|{}|{}",
            wallet.0,
            asked.text("from").unwrap_or_default(),
            asked.text("to").unwrap_or_default()
        );
        let key = views::of(&face)?.keys.page_token_key();
        let place = asked.text("page_token").map(|token| token::open(key, &question, token)).transpose()?;
        face.pipeline.has_wallet(wallet).then_some(()).ok_or_else(|| no_such_wallet(wallet))?;
        if place.is_none() {
            begins_in_time(&face, from)?;
            views::settled(&face, from.filter(|from| matches!(from, Point::Time(_)))).await?;
            views::settled(&face, to).await?;
        }
        let asked = Question { wallet, from, to, place, limit };
        let page = views::read(&face, move |reader| page(reader, asked)).await?;
        let next = (page.span.through < page.end)
            .then(|| token::seal(key, &question, Place { after: page.span.through, through: page.end }));
        let link = next.as_deref().and_then(|token| link(&uri, token));
        let mut answer = match format {
            Format::Json => Json(shown(&page, next)).into_response(),
            Format::Csv => {
                let kind = HeaderValue::from_static("text/csv; charset=utf-8; header=present");
                ([(CONTENT_TYPE, kind)], sheet::csv(&page)).into_response()
            }
        };
        if let Some(link) = link {
            answer.headers_mut().insert(LINK, link);
        }
        Ok(answer)
    };
    views::answered(answer.await)
}

/// A statement may begin with the record that comes next: it is empty until then.
fn begins_in_time(face: &Face, from: Option<Point>) -> Result<(), Problem> {
    let next = face.pipeline.durable().next();
    match from {
        Some(Point::Record(Sequence(0))) => Err(Problem::malformed("records are numbered from 1")),
        Some(Point::Record(from)) if from > next => {
            Err(views::of_the_future(format!("the next record is {}", next.0)))
        }
        _ => Ok(()),
    }
}

/// As it is asked for, or as the reader likes it.
fn format_of(asked: &Asked, headers: &HeaderMap) -> Result<Format, Problem> {
    let accepts = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    match asked.text("format") {
        Some("json") => Ok(Format::Json),
        Some("csv") => Ok(Format::Csv),
        Some(_) => Err(Problem::malformed("`format` is json or csv")),
        None if accepts.contains("text/csv") => Ok(Format::Csv),
        None => Ok(Format::Json),
    }
}

/// Where the next page is (RFC 8288): the same question with another token.
fn link(uri: &Uri, token: &str) -> Option<HeaderValue> {
    let same = uri.query().unwrap_or_default().split('&');
    let same = same.filter(|pair| !pair.is_empty() && !pair.starts_with("page_token="));
    let query: String = same.map(|pair| format!("{pair}&")).collect();
    HeaderValue::from_str(&format!("<{}?{query}page_token={token}>; rel=\"next\"", uri.path())).ok()
}

struct Question {
    wallet: WalletId,
    from: Option<Point>,
    to: Option<Point>,
    place: Option<Place>,
    limit: usize,
}

fn page(reader: &Reader, asked: Question) -> Result<Page, Problem> {
    let Question { wallet, from, to, place, limit } = asked;
    let end = match (place, to) {
        (Some(place), _) => place.through,
        (None, Some(to)) => record_of(reader, to)?,
        (None, None) => reader.durable,
    };
    let after = match (place, from) {
        (Some(place), _) => Some(place.after),
        (None, Some(Point::Record(from))) => Some(Sequence(from.0.saturating_sub(1))),
        (None, Some(from)) => Some(record_of(reader, from)?),
        (None, None) => None,
    };
    if after.is_some_and(|after| after > end) {
        return Err(Problem::malformed("`from` is not before `to`"));
    }
    let slot = Slot::of_wallet(wallet);
    let mut entries = Entries::new(reader, wallet, limit);
    let mut span = Span { after: after.unwrap_or_default(), through: end };
    let mut replayed = one_slot::replay(&reader.source(), slot, span, &mut entries);
    // Whoever does not say where to begin gets what there is.
    if let (Err(PastError::Gone { oldest }), None) = (&replayed, after)
        && *oldest <= end
    {
        span.after = *oldest;
        replayed = one_slot::replay(&reader.source(), slot, span, &mut entries);
    }
    let (_, through) = replayed?;
    let Entries { opening, closing, entries, .. } = entries;
    Ok(Page { wallet, opening, entries, closing, span: Span { through, ..span }, end })
}

fn shown(page: &Page, next: Option<String>) -> Value {
    let accounts = |accounts: &[Account]| accounts.iter().map(account_json).collect::<Vec<Value>>();
    json!({
        "wallet": page.wallet.0,
        "from": page.span.after.next().0,
        "to": page.span.through.0,
        "opening": accounts(&page.opening),
        "entries": page.entries.iter().map(entry).collect::<Vec<Value>>(),
        "closing": accounts(&page.closing),
        "next": next,
    })
}

fn entry(entry: &Entry) -> Value {
    let mut shown = Map::new();
    let mut put = |name: &str, value: Value| shown.insert(name.to_owned(), value);
    put("sequence", json!(entry.sequence.0));
    put("time", json!(entry.time));
    put("kind", json!(entry.kind));
    // A change of an account is a difference of two numbers of 64 bits.
    put("amount", json!(i64::try_from(entry.amount).unwrap_or(i64::MAX)));
    put("held_change", json!(i64::try_from(entry.held_change).unwrap_or(i64::MAX)));
    if let Value::Object(account) = account_json(&entry.account) {
        account.into_iter().for_each(|(name, value)| {
            put(&name, value);
        });
    }
    for (name, detail) in DETAILS.iter().zip(&entry.details) {
        match detail {
            Some(Detail::Number(number)) => put(name, json!(number)),
            Some(Detail::Text(text)) => put(name, json!(text)),
            None => None,
        };
    }
    Value::Object(shown)
}
