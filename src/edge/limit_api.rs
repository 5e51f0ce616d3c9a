//! Cards, limits and controls on the HTTP face. What is set is effective for the next message, and acknowledged once it
//! is on disk (R1).

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::Path;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::Uri;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::routing::get;
use axum::routing::post;
use axum::routing::put;
use serde_json::Value;
use serde_json::json;

use crate::domain::card::CardRef;
use crate::domain::card::CardStatus;
use crate::domain::control::Control;
use crate::domain::event::Sequence;
use crate::domain::limit::Number;
use crate::domain::limit::Subject;
use crate::edge::api;
use crate::edge::api::Face;
use crate::edge::api::error;
use crate::edge::api::wallet_id;
use crate::edge::clock;
use crate::edge::limit_json;
use crate::edge::limit_json::Asked;
use crate::edge::product_api;
use crate::edge::zones;
use crate::ledger::view::CardView;
use crate::pipeline::limits::name_of;
use crate::pipeline::seeding::NotSet;
use crate::pipeline::switching::card_file::Told;

/// The routes. Those of limits and controls are the same under a card and under a wallet.
pub(super) fn routes() -> Router<Arc<Face>> {
    let mut router = product_api::routes()
        .route("/v1/wallets/{wallet}/cards", get(wallet_cards))
        .route("/v1/cards/{card}", get(card))
        .route("/v1/cards/{card}/status", post(set_status).put(set_status));
    for under in [format!("{CARDS}{{card}}"), "/v1/wallets/{wallet}".to_owned()] {
        router = router
            .route(&format!("{under}/limits"), get(limits))
            .route(&format!("{under}/limits/{{number}}"), put(set_limit).delete(remove_limit))
            .route(&format!("{under}/controls"), get(controls))
            .route(&format!("{under}/controls/{{number}}"), put(set_control).delete(remove_control));
    }
    router
}

/// Where cards are.
const CARDS: &str = "/v1/cards/";

/// Whose limits a path names, or the answer that says what is wrong with it.
fn subject_of(uri: &Uri, text: &str) -> Result<Subject, Box<Response>> {
    if uri.path().starts_with(CARDS) {
        card_ref(text).map(Subject::Card)
    } else {
        wallet_id(text).map(Subject::Wallet)
    }
}

/// The same with the number of a limit or a control.
fn place_of(uri: &Uri, (text, number): &(String, String)) -> Result<(Subject, Number), Box<Response>> {
    Ok((subject_of(uri, text)?, number_of(number)?))
}

/// The number of a limit or a control from the path.
pub(super) fn number_of(text: &str) -> Result<Number, Box<Response>> {
    text.parse()
        .ok()
        .and_then(Number::new)
        .ok_or_else(|| Box::new(error(StatusCode::BAD_REQUEST, format!("a number is 1 to {}", Number::MAX))))
}

/// A card's reference from the path.
fn card_ref(text: &str) -> Result<CardRef, Box<Response>> {
    // What came is not repeated: it may be a card number.
    let words = "a card is named by its reference, a number that `/v1/wallets/{wallet}/cards` shows";
    text.parse().map(CardRef).map_err(|_| Box::new(error(StatusCode::BAD_REQUEST, words)))
}

pub(super) fn not_there(what: &str) -> Response {
    error(StatusCode::NOT_FOUND, format!("there is no such {what}"))
}

async fn card(State(face): State<Arc<Face>>, Path(text): Path<String>) -> Response {
    let card = match card_ref(&text) {
        Ok(card) => card,
        Err(response) => return *response,
    };
    let Some(view) = face.pipeline.card(card) else { return not_there("card") };
    let mut shown = card_json(&face, &view);
    if let Ok(told) = face.pipeline.told_of_card(card) {
        shown["networks_told"] = told.iter().map(told_json).collect();
    }
    Json(shown).into_response()
}

/// What a network was told of a card, and its 0312 (R32).
fn told_json(told: &Told) -> Value {
    let code = told.said.map(|(code, _)| String::from_utf8_lossy(&code).into_owned());
    json!({
        "link": told.link,
        "status": told.status.name(),
        "state": told.state,
        "response_code": code,
        "answered_at": told.said.map(|(_, at)| at.to_string()),
    })
}

async fn wallet_cards(State(face): State<Arc<Face>>, Path(text): Path<String>) -> Response {
    let wallet = match wallet_id(&text) {
        Ok(wallet) => wallet,
        Err(response) => return *response,
    };
    let Some(cards) = face.pipeline.wallet_cards(wallet) else { return not_there("wallet") };
    let cards: Vec<Value> = cards.iter().map(|view| card_json(&face, view)).collect();
    Json(json!({ "wallet": wallet.0, "cards": cards })).into_response()
}

fn card_json(face: &Face, view: &CardView) -> Value {
    let products = face.products.get().into_iter().flatten();
    let product = products.into_iter().find(|product| Some(product.number) == view.product);
    json!({
        "card": view.card.0,
        "wallet": view.wallet.0,
        "pan": view.pan.to_string(),
        "expiry": format!("{:04}", view.expiry.digits()),
        "status": view.status.name(),
        "product": product.map(|product| &product.name),
    })
}

/// `POST /v1/cards/{card}/status` with `{"status": "frozen"}`. Where the card's networks want to know of that,
/// the messages to them are on disk too before this is answered.
async fn set_status(
    State(face): State<Arc<Face>>,
    Path(text): Path<String>,
    Json(body): Json<Value>,
) -> Response {
    let card = match card_ref(&text) {
        Ok(card) => card,
        Err(response) => return *response,
    };
    let Some(status) = body.get("status").and_then(Value::as_str).and_then(CardStatus::from_name) else {
        let names = CardStatus::ALL.map(|(_, name)| name).join(", ");
        return error(StatusCode::BAD_REQUEST, format!("`status` must be one of {names}"));
    };
    match face.pipeline.set_card_status_and_tell(card, status, clock::now()) {
        Ok((sequence, told)) => {
            let done = json!({ "card": card.0, "status": status.name(), "sequence": sequence.0 });
            api::when_told(&face, sequence, told, done).await
        }
        Err(refused) => refusal(refused),
    }
}

pub(super) fn refusal(refused: NotSet) -> Response {
    match refused {
        NotSet::NotThere(what) => not_there(what),
        NotSet::Ended(status) => {
            error(StatusCode::CONFLICT, format!("the card is {}, which is for good", status.name()))
        }
        NotSet::Full(setting) => {
            error(StatusCode::SERVICE_UNAVAILABLE, format!("the table is full; raise `ledger.{setting}`"))
        }
        NotSet::Spent(what) => {
            error(StatusCode::CONFLICT, format!("there were so many {what} that no other can be named"))
        }
        NotSet::Unavailable => api::unavailable(),
    }
}

async fn limits(State(face): State<Arc<Face>>, uri: Uri, Path(text): Path<String>) -> Response {
    let subject = match subject_of(&uri, &text) {
        Ok(subject) => subject,
        Err(response) => return *response,
    };
    let now = clock::now().wall;
    let Some(views) = face.pipeline.limits(subject, now) else {
        return not_there(name_of(subject));
    };
    let list: Vec<Value> = views.iter().map(limit_json::limit_json).collect();
    let mut shown = json!({ name_of(subject): subject.parts().1, "limits": list });
    if let Subject::Card(card) = subject {
        let views = face.pipeline.product_limits_of(card, now).unwrap_or_default();
        shown["product_limits"] = views.iter().map(limit_json::limit_json).collect();
    }
    Json(shown).into_response()
}

async fn controls(State(face): State<Arc<Face>>, uri: Uri, Path(text): Path<String>) -> Response {
    let subject = match subject_of(&uri, &text) {
        Ok(subject) => subject,
        Err(response) => return *response,
    };
    let Some(views) = face.pipeline.controls(subject) else { return not_there(name_of(subject)) };
    let list: Vec<Value> = views.iter().map(limit_json::control_json).collect();
    Json(json!({ name_of(subject): subject.parts().1, "controls": list })).into_response()
}

/// A limit's or a control's place: whose, and its number.
type Place = Path<(String, String)>;

async fn set_limit(
    State(face): State<Arc<Face>>,
    uri: Uri,
    Path(place): Place,
    Json(body): Json<Value>,
) -> Response {
    let now = clock::now().wall;
    match limit_json::limit_of(body, &|name| zones::look_up(name, now)) {
        Ok(asked) => put_limit(&face, &uri, &place, Some(asked)).await,
        Err(words) => error(StatusCode::BAD_REQUEST, words),
    }
}

async fn remove_limit(State(face): State<Arc<Face>>, uri: Uri, Path(place): Place) -> Response {
    put_limit(&face, &uri, &place, None).await
}

async fn put_limit(face: &Face, uri: &Uri, place: &(String, String), asked: Option<Asked>) -> Response {
    let (subject, number) = match place_of(uri, place) {
        Ok(found) => found,
        Err(response) => return *response,
    };
    let (limit, zone) =
        (asked.as_ref().map(|asked| asked.limit), asked.as_ref().and_then(|asked| asked.zone.as_ref()));
    let set = face.pipeline.set_limit(subject, number, limit, zone, clock::now());
    acknowledge(face, subject, number, limit.is_some(), set).await
}

async fn set_control(
    State(face): State<Arc<Face>>,
    uri: Uri,
    Path(place): Place,
    Json(body): Json<Value>,
) -> Response {
    match limit_json::control_of(body) {
        Ok(control) => put_control(&face, &uri, &place, Some(control)).await,
        Err(words) => error(StatusCode::BAD_REQUEST, words),
    }
}

async fn remove_control(State(face): State<Arc<Face>>, uri: Uri, Path(place): Place) -> Response {
    put_control(&face, &uri, &place, None).await
}

async fn put_control(face: &Face, uri: &Uri, place: &(String, String), control: Option<Control>) -> Response {
    let (subject, number) = match place_of(uri, place) {
        Ok(found) => found,
        Err(response) => return *response,
    };
    let set = face.pipeline.set_control(subject, number, control, clock::now());
    acknowledge(face, subject, number, control.is_some(), set).await
}

/// Answers a verb once its record is on disk, or says why nothing was done.
async fn acknowledge(
    face: &Face,
    subject: Subject,
    number: Number,
    is_set: bool,
    set: Result<Sequence, NotSet>,
) -> Response {
    let sequence = match set {
        Ok(sequence) => sequence,
        Err(refused) => return refusal(refused),
    };
    let done = json!({
        name_of(subject): subject.parts().1,
        "number": number.get(),
        "set": is_set,
        "sequence": sequence.0,
    });
    api::when_durable(face, sequence, done).await
}
