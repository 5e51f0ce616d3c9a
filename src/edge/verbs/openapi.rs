//! The description of the HTTP face (OpenAPI 3.1), held against the routes by `tests/openapi.rs`.

use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::response::Response;

/// The document as it is served.
pub(super) const OPENAPI: &str = include_str!("../../../docs/openapi.json");

pub(super) async fn openapi() -> Response {
    ([(CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}
