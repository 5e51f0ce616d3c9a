//! Links on the HTTP face: their state, and what an operator can have them do (R23).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use axum::Json;
use axum::extract::Path;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::response::Response;
use serde_json::Value;
use serde_json::json;

use crate::domain::request::Scope;
use crate::edge::api::Face;
use crate::edge::clock;
use crate::edge::link::LinkRuntime;
use crate::edge::link::OpenSocket;
use crate::edge::switch_api;
use crate::link::orders::NotTaken;
use crate::link::orders::Order;
use crate::link::orders::Outcome;
use crate::link::session::Session;
use crate::link::session::Socket;
use crate::link::state::Advices;
use crate::link::state::Ours;
use crate::link::state::SignOn;

/// How often an order that waits for the peer is looked at.
const ORDER_POLL: Duration = Duration::from_millis(1);

/// `GET /v1/links`.
pub(super) async fn links(State(face): State<Arc<Face>>) -> Response {
    let links = face.links.get().into_iter().flatten();
    let links: Vec<Value> = links.map(|link| link_json(&face, link)).collect();
    Json(json!({ "links": links })).into_response()
}

/// `GET /v1/links/{link}`.
pub(super) async fn link(State(face): State<Arc<Face>>, Path(name): Path<String>) -> Response {
    find(&face, &name)
        .map_or_else(|| no_such_link(&name), |link| Json(link_json(&face, &link)).into_response())
}

/// `POST /v1/links/{link}/echo`.
pub(super) async fn echo(State(face): State<Arc<Face>>, Path(name): Path<String>) -> Response {
    order(&face, &name, Order::Echo).await
}

/// `POST /v1/links/{link}/sign-on`.
pub(super) async fn sign_on(State(face): State<Arc<Face>>, Path(name): Path<String>) -> Response {
    order(&face, &name, Order::SignOn).await
}

/// `POST /v1/links/{link}/sign-off`.
pub(super) async fn sign_off(State(face): State<Arc<Face>>, Path(name): Path<String>) -> Response {
    order(&face, &name, Order::SignOff).await
}

fn find(face: &Face, name: &str) -> Option<Arc<LinkRuntime>> {
    face.links.get()?.iter().find(|link| link.name == name).cloned()
}

fn no_such_link(name: &str) -> Response {
    let error = format!("there is no link \"{}\"", name.escape_default());
    (StatusCode::NOT_FOUND, Json(json!({ "error": error }))).into_response()
}

/// Has the link ask the peer, and answers when the peer has, or has not in time.
async fn order(face: &Face, name: &str, order: Order) -> Response {
    let Some(link) = find(face, name) else { return no_such_link(name) };
    let taken = link.station.with(|session| session.order(order, clock::moment(Instant::now())));
    let ticket = match taken {
        Ok(ticket) => ticket,
        Err(error) => {
            let status = match error {
                NotTaken::Busy => StatusCode::CONFLICT,
                NotTaken::NoSocket | NotTaken::Draining => StatusCode::SERVICE_UNAVAILABLE,
            };
            return (status, Json(json!({ "error": error.to_string() }))).into_response();
        }
    };
    link.ring();
    // Its end comes with the peer's answer, with the time for one, or with the last socket.
    let outcome = loop {
        if let Some(outcome) = link.station.with(|session| session.outcome(order, ticket)) {
            break outcome;
        }
        tokio::time::sleep(ORDER_POLL).await;
    };
    let (status, body) = match outcome {
        Outcome::Accepted { round_trip_us } => {
            (StatusCode::OK, json!({ "response_code": "00", "round_trip_us": round_trip_us }))
        }
        Outcome::Refused(code) => {
            (StatusCode::BAD_GATEWAY, json!({ "response_code": code.escape_ascii().to_string() }))
        }
        Outcome::NotAnswered => {
            (StatusCode::GATEWAY_TIMEOUT, json!({ "error": "the peer did not answer in time" }))
        }
        Outcome::Lost => {
            (StatusCode::GATEWAY_TIMEOUT, json!({ "error": "it was given up, or its socket was lost" }))
        }
    };
    (status, Json(body)).into_response()
}

fn link_json(face: &Face, link: &LinkRuntime) -> Value {
    let switch = switch_api::line_of(face, &link.name);
    let open = link.open();
    link.station.with(|session| {
        let counts = *session.counts();
        let sockets: Vec<Value> =
            open.iter().map(|(id, socket)| socket_json(id.0, socket, session.sockets().get(id))).collect();
        let members: Vec<Value> = session.peer().listed().iter().map(member_json).collect();
        json!({
            "link": link.name,
            "dialect": link.dialect,
            "sign_on": sign_on_name(session.settings().sign_on),
            "signed_on": session.signed_on(),
            "in_service": session.in_service(),
            "declines_requests": session.refuses_requests(),
            "us": ours_name(session),
            "peer_signed_on": session.peer().any_on(),
            "members": members,
            "stored_advices": advices_name(session.advices()),
            "echo_round_trip_us": session.round_trip_us(),
            "sign_ons": counts.sign_ons,
            "sign_offs": counts.sign_offs,
            "losses": counts.losses,
            "requests_refused": counts.refused,
            "requests_unanswered": counts.unanswered,
            "key_exchanges_refused": counts.key_exchanges,
            "sockets": sockets,
            "switch": switch,
        })
    })
}

fn socket_json(id: u64, socket: &OpenSocket, seen: Option<&Socket>) -> Value {
    json!({
        "socket": id,
        "peer": socket.peer.to_string(),
        "since": socket.since.to_string(),
        "frames": socket.frames.load(Ordering::Relaxed),
        "echo_misses": seen.map_or(0, |seen| seen.echo_misses),
        "echo_round_trip_us": seen.and_then(|seen| seen.round_trip_us),
    })
}

fn member_json((scope, on): &(Scope, bool)) -> Value {
    let (kind, id) = match scope {
        Scope::Link => ("link", String::new()),
        Scope::Group(id) => ("group", id.to_string()),
        Scope::Prefix(id) => ("prefix", id.to_string()),
    };
    json!({ "kind": kind, "id": id, "signed_on": on })
}

const fn sign_on_name(sign_on: SignOn) -> &'static str {
    match sign_on {
        SignOn::Peer => "peer",
        SignOn::Us => "us",
        SignOn::Both => "both",
    }
}

fn ours_name(session: &Session) -> &'static str {
    match session.ours() {
        Ours::On => "signed-on",
        Ours::Leaving => "signing-off",
        Ours::Off if session.is_signing_on() => "signing-on",
        Ours::Off => "signed-off",
    }
}

const fn advices_name(advices: Advices) -> &'static str {
    match advices {
        Advices::NotAsked => "not-asked",
        Advices::Asked => "asked",
        Advices::Running => "running",
        Advices::Ended => "ended",
        Advices::Stopped => "stopped",
    }
}
