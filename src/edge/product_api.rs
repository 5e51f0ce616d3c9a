//! Products on the HTTP face, with the limits, controls and fees of their cards and wallets.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::Path;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::routing::get;
use axum::routing::put;
use serde_json::Value;
use serde_json::json;

use crate::config::products::ProductSettings;
use crate::domain::control::Aspect;
use crate::domain::control::Control;
use crate::domain::event::Sequence;
use crate::domain::fee::Fee;
use crate::domain::limit::Number;
use crate::edge::api;
use crate::edge::api::Face;
use crate::edge::api::error;
use crate::edge::clock;
use crate::edge::fee_json;
use crate::edge::limit_api;
use crate::edge::limit_json;
use crate::edge::limit_json::Asked;
use crate::edge::zones;
use crate::pipeline::seeding::NotSet;

/// The routes.
pub(super) fn routes() -> Router<Arc<Face>> {
    Router::new()
        .route("/v1/products", get(products))
        .route("/v1/products/{product}/limits", get(limits))
        .route("/v1/products/{product}/limits/{number}", put(set_limit).delete(remove_limit))
        .route("/v1/products/{product}/controls", get(controls))
        .route("/v1/products/{product}/controls/{number}", put(set_control).delete(remove_control))
        .route("/v1/products/{product}/fees", get(fees))
        .route("/v1/products/{product}/fees/{number}", put(set_fee).delete(remove_fee))
}

/// A product by its name, or the answer that there is none.
fn product_of<'f>(face: &'f Face, name: &str) -> Result<&'f ProductSettings, Box<Response>> {
    let known = face.products.get().into_iter().flatten().find(|product| product.name == name);
    known.ok_or_else(|| Box::new(limit_api::not_there("product")))
}

/// The same with the number of a limit or a control.
fn place_of<'f>(
    face: &'f Face,
    (name, number): &(String, String),
) -> Result<(&'f ProductSettings, Number), Box<Response>> {
    Ok((product_of(face, name)?, limit_api::number_of(number)?))
}

async fn products(State(face): State<Arc<Face>>) -> Response {
    let products = face.products.get().into_iter().flatten();
    let shown = products.map(|product| {
        let ranges: Vec<String> = product.ranges.iter().map(ToString::to_string).collect();
        json!({ "product": product.name, "number": product.number.get(), "ranges": ranges })
    });
    Json(json!({ "products": shown.collect::<Vec<Value>>() })).into_response()
}

async fn limits(State(face): State<Arc<Face>>, Path(name): Path<String>) -> Response {
    let product = match product_of(&face, &name) {
        Ok(product) => product,
        Err(response) => return *response,
    };
    let views = face.pipeline.product_limits(product.number);
    let list: Vec<Value> = views.iter().map(limit_json::rule_json).collect();
    Json(json!({ "product": product.name, "limits": list })).into_response()
}

async fn controls(State(face): State<Arc<Face>>, Path(name): Path<String>) -> Response {
    let product = match product_of(&face, &name) {
        Ok(product) => product,
        Err(response) => return *response,
    };
    let controls = face.pipeline.product_controls(product.number);
    let list: Vec<Value> =
        controls.iter().map(|(number, control)| limit_json::plain_control_json(*number, control)).collect();
    Json(json!({ "product": product.name, "controls": list })).into_response()
}

async fn fees(State(face): State<Arc<Face>>, Path(name): Path<String>) -> Response {
    let product = match product_of(&face, &name) {
        Ok(product) => product,
        Err(response) => return *response,
    };
    let fees = face.pipeline.product_fees(product.number);
    let list: Vec<Value> = fees.iter().map(|(number, fee)| fee_json::fee_json(*number, fee)).collect();
    Json(json!({ "product": product.name, "fees": list })).into_response()
}

type Place = Path<(String, String)>;

async fn set_limit(
    State(face): State<Arc<Face>>,
    Path(place): Place,
    Json(mut body): Json<Value>,
) -> Response {
    let per = body.as_object_mut().and_then(|keys| keys.remove("per"));
    let per_wallet = match per.as_ref().map(Value::as_str) {
        None | Some(Some("card")) => false,
        Some(Some("wallet")) => true,
        Some(_) => return error(StatusCode::BAD_REQUEST, "`per` must be one of card, wallet"),
    };
    let now = clock::now().wall;
    match limit_json::limit_of(body, &|name| zones::look_up(name, now)) {
        Ok(asked) => put_limit(&face, &place, per_wallet, Some(asked)).await,
        Err(words) => error(StatusCode::BAD_REQUEST, words),
    }
}

async fn remove_limit(State(face): State<Arc<Face>>, Path(place): Place) -> Response {
    put_limit(&face, &place, false, None).await
}

async fn put_limit(
    face: &Face,
    place: &(String, String),
    per_wallet: bool,
    asked: Option<Asked>,
) -> Response {
    let (product, number) = match place_of(face, place) {
        Ok(found) => found,
        Err(response) => return *response,
    };
    let (limit, zone) = (asked.as_ref().map(|asked| asked.limit), asked.and_then(|asked| asked.zone));
    let of = (product.number, per_wallet);
    let set = face.pipeline.set_product_limit(of, number, limit, zone.as_ref(), clock::now());
    acknowledge(face, product, number, limit.is_some(), set).await
}

async fn set_control(State(face): State<Arc<Face>>, Path(place): Place, Json(body): Json<Value>) -> Response {
    match limit_json::control_of(body) {
        Ok(control) if control.aspect() == Aspect::FirstMerchant => {
            error(StatusCode::BAD_REQUEST, "a lock is of one card or one wallet; a product has none")
        }
        Ok(control) => put_control(&face, &place, Some(control)).await,
        Err(words) => error(StatusCode::BAD_REQUEST, words),
    }
}

async fn remove_control(State(face): State<Arc<Face>>, Path(place): Place) -> Response {
    put_control(&face, &place, None).await
}

async fn put_control(face: &Face, place: &(String, String), control: Option<Control>) -> Response {
    let (product, number) = match place_of(face, place) {
        Ok(found) => found,
        Err(response) => return *response,
    };
    let set = face.pipeline.set_product_control(product.number, number, control, clock::now());
    acknowledge(face, product, number, control.is_some(), set).await
}

async fn set_fee(State(face): State<Arc<Face>>, Path(place): Place, Json(body): Json<Value>) -> Response {
    match fee_json::fee_of(body) {
        Ok(fee) => put_fee(&face, &place, Some(fee)).await,
        Err(words) => error(StatusCode::BAD_REQUEST, words),
    }
}

async fn remove_fee(State(face): State<Arc<Face>>, Path(place): Place) -> Response {
    put_fee(&face, &place, None).await
}

async fn put_fee(face: &Face, place: &(String, String), fee: Option<Fee>) -> Response {
    let (product, number) = match place_of(face, place) {
        Ok(found) => found,
        Err(response) => return *response,
    };
    let set = face.pipeline.set_product_fee(product.number, number, fee, clock::now());
    acknowledge(face, product, number, fee.is_some(), set).await
}

/// Answers a verb once its records are on disk, or says why it was not done.
async fn acknowledge(
    face: &Face,
    product: &ProductSettings,
    number: Number,
    is_set: bool,
    set: Result<Sequence, NotSet>,
) -> Response {
    let sequence = match set {
        Ok(sequence) => sequence,
        Err(refused) => return limit_api::refusal(refused),
    };
    let done = json!({
        "product": product.name,
        "number": number.get(),
        "set": is_set,
        "sequence": sequence.0,
    });
    api::when_durable(face, sequence, done).await
}
