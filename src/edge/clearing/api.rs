//! Clearing on the HTTP face: files that are sent, how they stand, their reports, and what waits on suspense.

use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::extract::Query;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::routing::get;
use http_body_util::BodyExt;
use serde_json::Value;
use serde_json::json;

use crate::domain::event::Sequence;
use crate::domain::time::Timestamp;
use crate::edge::api::Face;
use crate::edge::api::error;
use crate::edge::clearing::Busy;
use crate::edge::clearing::Clearing;
use crate::edge::clearing::intake::Portion;
use crate::edge::clearing::intake::Refused;
use crate::edge::clearing::report;
use crate::edge::clearing::report::Explain;
use crate::ledger::suspense::Suspended;

/// How much of a report one answer holds.
const PAGE_BYTES: u64 = 1 << 20;
/// How many suspended records one answer holds.
const SUSPENDED_PER_PAGE: usize = 1_000;

type Queries = Query<std::collections::BTreeMap<String, String>>;

/// The routes.
pub(in crate::edge) fn routes() -> Router<Arc<Face>> {
    Router::new()
        .route("/v1/clearing", get(files).post(take))
        .route("/v1/clearing/{file}", get(file))
        .route("/v1/clearing/{file}/records", get(records))
        .route("/v1/suspense", get(suspense))
}

fn clearing(face: &Face) -> Result<&Arc<Clearing>, Box<Response>> {
    face.clearing.get().ok_or_else(|| {
        Box::new(error(StatusCode::SERVICE_UNAVAILABLE, "the daemon is not ready yet; look at /readyz"))
    })
}

/// `POST /v1/clearing` with a file as its body: answered once the file is looked through, with 202 while it is posted,
/// or with everything that is wrong with it.
async fn take(State(face): State<Arc<Face>>, Query(queries): Queries, body: Body) -> Response {
    let clearing = match clearing(&face) {
        Ok(clearing) => clearing,
        Err(response) => return *response,
    };
    let explain = match queries.get("explain").map_or("exceptions", String::as_str) {
        "exceptions" => Explain::Exceptions,
        "all" => Explain::All,
        _ => return error(StatusCode::BAD_REQUEST, "`explain` is \"exceptions\" or \"all\""),
    };
    let Ok(upload) = clearing.begin(explain) else {
        let Busy = Busy;
        return error(StatusCode::CONFLICT, "another file is being posted; wait until it is done");
    };
    let mut body = body;
    loop {
        let portion = match body.frame().await {
            None => Portion::End,
            Some(Ok(frame)) => match frame.into_data() {
                Ok(bytes) => Portion::Bytes(bytes),
                Err(_trailers) => continue,
            },
            Some(Err(_)) => return refused(&Refused::Broken),
        };
        let ended = matches!(portion, Portion::End);
        // A file that is refused before its end is not taken any further.
        if upload.portions.send(portion).await.is_err() || ended {
            break;
        }
    }
    match upload.outcome.await {
        Ok(Ok(progress)) => (StatusCode::ACCEPTED, Json(progress.state.lock().clone())).into_response(),
        Ok(Err(why)) => refused(&why),
        Err(_) => refused(&Refused::Stopping),
    }
}

fn refused(why: &Refused) -> Response {
    let status = match why {
        Refused::Broken | Refused::Format(_) | Refused::Findings(_) | Refused::Test => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
        Refused::TooLong(_) => StatusCode::PAYLOAD_TOO_LARGE,
        Refused::Io(_) => StatusCode::INSUFFICIENT_STORAGE,
        Refused::Random | Refused::Stopping => StatusCode::SERVICE_UNAVAILABLE,
    };
    error(status, why.to_string())
}

/// `GET /v1/clearing`: the files of this run, the newest first.
async fn files(State(face): State<Arc<Face>>) -> Response {
    match clearing(&face) {
        Ok(clearing) => Json(json!({ "files": clearing.states() })).into_response(),
        Err(response) => *response,
    }
}

fn checksum(text: &str) -> Result<u128, Box<Response>> {
    let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = if digits { u128::from_str_radix(text, 16).ok() } else { None };
    number.ok_or_else(|| Box::new(error(StatusCode::BAD_REQUEST, "a file is named by 32 hexadecimal digits")))
}

/// `GET /v1/clearing/{file}`: how a file stands. Of one that was posted before this run only that.
async fn file(State(face): State<Arc<Face>>, Path(text): Path<String>) -> Response {
    let (clearing, checksum) = match clearing(&face).and_then(|known| Ok((known, checksum(&text)?))) {
        Ok(found) => found,
        Err(response) => return *response,
    };
    if let Some(state) = clearing.state_of(checksum) {
        return Json(state).into_response();
    }
    match face.pipeline.posted_file(checksum) {
        None => error(StatusCode::NOT_FOUND, "no such file was posted"),
        Some(file) => {
            let state = if file.records >= file.of { "posted" } else { "stopped" };
            Json(json!({ "file": text, "state": state, "records": file.of, "done": file.records }))
                .into_response()
        }
    }
}

/// `GET /v1/clearing/{file}/records?from=N`: the lines of a file's report from that byte on, whole lines of about a
/// megabyte; the next answer goes on behind them. An empty answer is the end, as far as there is one yet.
async fn records(
    State(face): State<Arc<Face>>,
    Path(text): Path<String>,
    Query(queries): Queries,
) -> Response {
    let (clearing, checksum) = match clearing(&face).and_then(|known| Ok((known, checksum(&text)?))) {
        Ok(found) => found,
        Err(response) => return *response,
    };
    let Ok(from) = queries.get("from").map_or(Ok(0), |text| text.parse::<u64>()) else {
        return error(StatusCode::BAD_REQUEST, "`from` is a number of bytes");
    };
    let path = report::path_of(clearing.directory(), checksum);
    let read = tokio::task::spawn_blocking(move || lines_from(&path, from)).await;
    match read {
        Ok(Ok(lines)) => ([(CONTENT_TYPE, "application/x-ndjson")], lines).into_response(),
        Ok(Err(why)) if why.kind() == io::ErrorKind::NotFound => {
            error(StatusCode::NOT_FOUND, "there is no report of such a file")
        }
        Ok(Err(why)) => error(StatusCode::INTERNAL_SERVER_ERROR, format!("the report cannot be read: {why}")),
        Err(_) => error(StatusCode::SERVICE_UNAVAILABLE, "the daemon stops"),
    }
}

fn lines_from(path: &std::path::Path, from: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(from))?;
    let mut lines = Vec::new();
    file.take(PAGE_BYTES).read_to_end(&mut lines)?;
    let whole = lines.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    lines.truncate(whole);
    Ok(lines)
}

/// `GET /v1/suspense?after=N`: what was cleared and no wallet could take, the oldest first.
async fn suspense(State(face): State<Arc<Face>>, Query(queries): Queries) -> Response {
    let Ok(after) = queries.get("after").map_or(Ok(0), |text| text.parse::<u64>()) else {
        return error(StatusCode::BAD_REQUEST, "`after` is the number of a record");
    };
    let (found, count) = face.pipeline.suspended(Sequence(after), SUSPENDED_PER_PAGE);
    let list: Vec<Value> = found.iter().map(suspended_json).collect();
    Json(json!({ "count": count, "suspended": list })).into_response()
}

fn suspended_json(entry: &Suspended) -> Value {
    json!({
        "sequence": entry.sequence.0,
        "network": format!("{:08x}", entry.network.0),
        "arn": entry.arn.to_string(),
        "pan": entry.card.to_string(),
        "amount": entry.amount.minor,
        "currency": entry.amount.currency.to_string(),
        "reason": entry.outcome.name(),
        "since": Timestamp::from_seconds(u64::from(entry.since_s)).to_string(),
    })
}
