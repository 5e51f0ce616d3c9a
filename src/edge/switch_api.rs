//! The switch on the HTTP face: what each link was asked and must still be told, what answered nothing, and what an
//! operator can do about it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Json;
use axum::Router;
use axum::extract::Path;
use axum::extract::Query;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::routing::get;
use axum::routing::post;
use serde_json::Value;
use serde_json::json;

use crate::config::Config;
use crate::domain::event::Sequence;
use crate::domain::forward::Settlement;
use crate::domain::forward::Tells;
use crate::edge::api;
use crate::edge::api::Face;
use crate::edge::clock;
use crate::edge::route_texts::RouteTexts;
use crate::edge::text;
use crate::pipeline::switching::Line;
use crate::pipeline::switching::LineView;
use crate::pipeline::switching::Switchboard;
use crate::pipeline::switching::cases::Case;
use crate::pipeline::switching::cases::Kind;
use crate::pipeline::switching::tick::NotDone;
use crate::pipeline::switching::waiting::WaitingThere;
use crate::switch::queue::Item;
use crate::switch::queue::ItemId;
use crate::switch::route::Row;

/// Stored messages on a page unless it asks for fewer.
const PAGE: usize = 100;
const PAGE_MAX: usize = 1_000;
/// The most that `per_second` may be, as in the configuration.
const PACE_MAX: u32 = 1_000_000;

pub(super) fn routes() -> Router<Arc<Face>> {
    Router::new()
        .route("/v1/links/{link}/stored", get(stored))
        .route("/v1/links/{link}/stored/{id}/{verb}", post(settle))
        .route("/v1/links/{link}/queue/{verb}", post(queue))
        .route("/v1/links/{link}/cases", get(cases))
        .route("/v1/routes", get(table))
        .route("/v1/routes/reload", post(reload))
}

type Refused = (StatusCode, String);

fn refused(status: StatusCode, error: impl Into<String>) -> Refused {
    (status, error.into())
}

fn answer(result: Result<Value, Refused>) -> Response {
    match result {
        Ok(value) => Json(value).into_response(),
        Err((status, error)) => (status, Json(json!({ "error": error }))).into_response(),
    }
}

fn board(face: &Face) -> Result<&Arc<Switchboard>, Refused> {
    let none = || refused(StatusCode::NOT_FOUND, "nothing is routed to other links; add `[routes.NAME]`");
    face.pipeline.switchboard().ok_or_else(none)
}

fn line<'f>(face: &'f Face, name: &str) -> Result<&'f Line, Refused> {
    let lines = board(face)?.lines();
    let none = || refused(StatusCode::NOT_FOUND, format!("there is no link \"{}\"", name.escape_default()));
    lines.iter().find(|line| &*line.name == name).ok_or_else(none)
}

type Queries = Query<BTreeMap<String, String>>;

/// `GET /v1/links/{link}/stored`: messages that the party must still be told, the oldest first.
async fn stored(
    State(face): State<Arc<Face>>,
    Path(name): Path<String>,
    Query(queries): Queries,
) -> Response {
    answer(stored_page(&face, &name, &queries))
}

fn stored_page(face: &Face, name: &str, queries: &BTreeMap<String, String>) -> Result<Value, Refused> {
    let line = line(face, name)?;
    if let Some(key) = queries.keys().find(|key| !["after", "limit"].contains(&key.as_str())) {
        let error = format!("\"{}\" is not known; there are `after` and `limit`", key.escape_default());
        return Err(refused(StatusCode::BAD_REQUEST, error));
    }
    let after = match queries.get("after") {
        None => ItemId { stored: Sequence(0), advice: false },
        Some(id) => id_of(id)?,
    };
    let limit = match queries.get("limit").map(|limit| limit.parse::<usize>()) {
        None => PAGE,
        Some(Ok(limit)) if (1..=PAGE_MAX).contains(&limit) => limit,
        Some(_) => {
            let error = format!("`limit` must be a number from 1 to {PAGE_MAX}");
            return Err(refused(StatusCode::BAD_REQUEST, error));
        }
    };
    let items = line.stored_after(after, limit);
    let next = items.last().filter(|_| items.len() == limit).map(|(id, _)| text_of(*id));
    let view = line.view(clock::now());
    Ok(json!({
        "link": name,
        "stored": view.stored,
        "messages": items.iter().map(|(id, item)| item_json(*id, item)).collect::<Vec<_>>(),
        "next": next,
    }))
}

/// A stored message's name: the record that stored it, and a letter for the advice of a record that stored two.
fn text_of(id: ItemId) -> String {
    format!("{}{}", id.stored.0, if id.advice { "a" } else { "" })
}

fn id_of(text: &str) -> Result<ItemId, Refused> {
    let (number, advice) = text.strip_suffix('a').map_or((text, false), |number| (number, true));
    let stored = number.parse().map(Sequence).map_err(|_| {
        let shown = text.escape_default();
        refused(
            StatusCode::BAD_REQUEST,
            format!("\"{shown}\" names no stored message; take an `id` of the list"),
        )
    })?;
    Ok(ItemId { stored, advice })
}

/// What a network is told of a card: it has no amount and is about no message.
fn card_file_json(id: ItemId, item: &Item, status: &str) -> Value {
    json!({
        "id": text_of(id),
        "what": "card-file",
        "card_status": status,
        "state": item.place.name(),
        "since": item.since.to_string(),
        "attempts": item.attempts,
        "refusals": item.refusals,
        "card": item.message.carried.pan.masked().to_string(),
        "stan": format!("{:06}", item.message.own.stan.0),
        "rrn": item.message.carried.key.rrn.to_string(),
    })
}

fn item_json(id: ItemId, item: &Item) -> Value {
    let carried = &item.message.carried;
    let what = match item.message.tells {
        Tells::Reversal { replacement: None, .. } => "reversal",
        Tells::Reversal { .. } => "partial-reversal",
        Tells::Advice { .. } => "advice",
        Tells::CardEnded { status } => return card_file_json(id, item, status.name()),
    };
    json!({
        "id": text_of(id),
        "what": what,
        "state": item.place.name(),
        "since": item.since.to_string(),
        "attempts": item.attempts,
        "refusals": item.refusals,
        "card": carried.pan.masked().to_string(),
        "amount": carried.amount.minor,
        "currency": format!("{:03}", carried.amount.currency.numeric()),
        "stan": format!("{:06}", item.message.own.stan.0),
        "rrn": carried.key.rrn.to_string(),
        "original_stan": format!("{:06}", carried.key.stan.0),
        "waits_for_request": item.after.map(|after| after.0),
    })
}

/// `POST /v1/links/{link}/stored/{id}/hold|release|purge`.
async fn settle(
    State(face): State<Arc<Face>>,
    Path((name, id, verb)): Path<(String, String, String)>,
) -> Response {
    match settle_one(&face, &name, &id, &verb) {
        Ok((sequence, done)) => api::when_durable(&face, sequence, done).await,
        Err(refused) => answer(Err(refused)),
    }
}

fn settle_one(face: &Face, name: &str, id: &str, verb: &str) -> Result<(Sequence, Value), Refused> {
    let line = line(face, name)?;
    let settlement = match verb {
        "hold" => Settlement::Held,
        "release" => Settlement::Released,
        "purge" => Settlement::Purged,
        _ => return Err(refused(StatusCode::NOT_FOUND, "the verbs are hold, release and purge")),
    };
    let id = id_of(id)?;
    let done = face.pipeline.settle_stored(line, id, settlement, clock::now());
    let sequence = done.map_err(|error| match error {
        NotDone::Unknown => refused(StatusCode::NOT_FOUND, "no such message is stored"),
        NotDone::OnItsWay => {
            refused(StatusCode::CONFLICT, "it is on its way; hold it once it is waiting again")
        }
        NotDone::Unavailable => refused(StatusCode::SERVICE_UNAVAILABLE, "the journal takes nothing now"),
    })?;
    Ok((sequence, json!({ "id": text_of(id), "settlement": settlement.name(), "sequence": sequence.0 })))
}

/// `POST /v1/links/{link}/queue/pause|resume|pace|drain|serve`: whether stored messages go and how many a second, and
/// whether anything new does.
async fn queue(
    State(face): State<Arc<Face>>,
    Path((name, verb)): Path<(String, String)>,
    Query(queries): Queries,
) -> Response {
    answer(line(&face, &name).and_then(|line| {
        match verb.as_str() {
            "pace" => line.per_second.store(pace_of(&queries)?, Ordering::Release),
            "pause" => line.paused.store(true, Ordering::Release),
            "resume" => line.paused.store(false, Ordering::Release),
            "drain" => line.draining.store(true, Ordering::Release),
            "serve" => line.draining.store(false, Ordering::Release),
            _ => {
                return Err(refused(
                    StatusCode::NOT_FOUND,
                    "the verbs are pause, resume, pace, drain and serve",
                ));
            }
        }
        Ok(line_json(line))
    }))
}

/// `?per_second=N`: zero is no limit.
fn pace_of(queries: &BTreeMap<String, String>) -> Result<u32, Refused> {
    let given = queries.get("per_second").and_then(|given| given.parse().ok());
    given.filter(|pace| *pace <= PACE_MAX).ok_or_else(|| {
        let words = format!("say `per_second` from 0, which is no limit, to {PACE_MAX}");
        refused(StatusCode::BAD_REQUEST, words)
    })
}

/// `GET /v1/links/{link}/cases`: answers that answered nothing, the newest last.
async fn cases(State(face): State<Arc<Face>>, Path(name): Path<String>) -> Response {
    answer(line(&face, &name).map(|line| {
        let cases: Vec<Value> = line.cases().iter().map(case_json).collect();
        json!({ "link": name, "cases": cases })
    }))
}

fn case_json(case: &Case) -> Value {
    json!({
        "at": case.at.to_string(),
        "kind": case.kind.name(),
        "mti": format!("{:04}", case.mti),
        "stan": format!("{:06}", case.stan.0),
        "rrn": case.rrn.map(|rrn| rrn.to_string()),
        "response_code": case.code.escape_ascii().to_string(),
        "nearest_card": case.card.map(|card| card.to_string()),
        "nearest_rrn": case.nearest.map(|rrn| rrn.to_string()),
        "differs_in": case.differs,
        "fits_stan": case.fits.map(|stan| format!("{:06}", stan.0)),
    })
}

/// What was asked on a socket, and what came of that.
fn socket_json(waiting: &WaitingThere) -> Value {
    let outbox = &waiting.outbox;
    let [asked, answered, silent] =
        [&outbox.asked, &outbox.answered, &outbox.silent].map(|count| count.load(Ordering::Relaxed));
    // Of what was asked and does not wait any more.
    let share = (answered * 1_000).checked_div(asked.saturating_sub(waiting.requests));
    json!({
        "socket": outbox.socket.0,
        "asked": asked,
        "answered": answered,
        "answered_permille": share,
        "in_flight": waiting.requests,
        "oldest_in_flight_us": waiting.oldest_ns / 1_000,
        "unanswered_in_a_row": silent,
        "quarantined": outbox.quarantined.load(Ordering::Relaxed),
    })
}

/// What the switch shows of a link.
pub(super) fn line_json(line: &Line) -> Value {
    let now = clock::now();
    let (view, waiting) = (line.view(now), line.waiting(now));
    let LineView { counts, cases, .. } = view;
    let settled: Value = Settlement::ALL
        .iter()
        .map(|(settlement, name)| ((*name).to_owned(), json!(counts.settled[*settlement as usize])))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let cases: Value = Kind::ALL
        .iter()
        .map(|(kind, name)| ((*name).to_owned(), json!(cases[*kind as usize])))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let left_out: Value = line
        .left_out
        .by_element()
        .map(|(element, count)| (element.to_string(), json!(count)))
        .collect::<serde_json::Map<_, _>>()
        .into();
    // As fast as they went last.
    let empty_in_s = ((view.stored - view.dead) as u64).checked_div(u64::from(view.per_second));
    json!({
        "up": view.up,
        "sick": view.sick,
        "draining": view.draining,
        "paused": view.paused,
        "in_flight": view.in_flight,
        "in_flight_allowed": view.allowed,
        "in_flight_ends_within_ms": waiting.ends_in_ns.div_ceil(1_000_000),
        "oldest_in_flight_us": view.oldest_ns / 1_000,
        "latency_us": view.latency_ns / 1_000,
        "forwarded": counts.forwarded,
        "answered": counts.answered,
        "timed_out": counts.timed_out,
        "stood_in_approved": counts.stood_in[0],
        "stood_in_declined": counts.stood_in[1],
        "stored": view.stored,
        "stored_on_their_way": view.sending,
        "stored_dead": view.dead,
        "stored_per_second_max": line.per_second.load(Ordering::Acquire),
        "stored_empty_in_s": empty_in_s,
        "settled": settled,
        "originals": view.originals,
        "originals_left_early": view.originals_shortened,
        "asked_again": view.asked_again,
        "elements_dropped": view.dropped_elements,
        "elements_dropped_by_number": left_out,
        "match_on": line.settings.match_on.elements().collect::<Vec<u8>>(),
        "cases": cases,
        "sockets": waiting.sockets.iter().map(socket_json).collect::<Vec<Value>>(),
    })
}

/// The line of a link by its name, where there is a switch.
pub(super) fn line_of(face: &Face, name: &str) -> Option<Value> {
    line(face, name).ok().map(line_json)
}

/// `GET /v1/routes`: the rows in force, in words.
async fn table(State(face): State<Arc<Face>>) -> Response {
    answer(board(&face).map(|board| {
        let (version, table) = (board.version(), board.table());
        let names = board.lines().iter().map(|line| &*line.name).collect();
        let told = RouteTexts { names, table: &table };
        let row = |row: &Row| {
            json!({
                "name": row.name,
                "takes": told.conditions(&row.conditions),
                "to": told.target(&row.target),
            })
        };
        json!({ "version": version, "rows": table.rows().iter().map(row).collect::<Vec<Value>>() })
    }))
}

/// `POST /v1/routes/reload`: reads the routes of the configuration file again and puts them in force, all or none.
async fn reload(State(face): State<Arc<Face>>) -> Response {
    answer(reload_routes(&face))
}

fn reload_routes(face: &Face) -> Result<Value, Refused> {
    let board = board(face)?;
    let none = || refused(StatusCode::CONFLICT, "the configuration is not from a file");
    let file = face.configuration.get().ok_or_else(none)?;
    let text = text::read(file)
        .map_err(|error| refused(StatusCode::BAD_REQUEST, format!("{}: {error}", file.display())))?;
    let config = Config::from_toml(&file.display().to_string(), &text)
        .map_err(|findings| refused(StatusCode::BAD_REQUEST, text::told(&findings)))?;
    let same = config.links.len() == board.lines().len()
        && config.links.iter().zip(board.lines()).all(|(link, line)| *link.name == *line.name);
    if !same {
        let error = "the file has other links than the daemon; only routes and stand-in rules are read again";
        return Err(refused(StatusCode::CONFLICT, error));
    }
    board.set_table(config.routes.table().clone());
    tracing::info!(version = board.version(), "routes are in force that were read again");
    Ok(json!({ "version": board.version() }))
}
