//! Why a verb was not done, as a problem document (RFC 9457) with a type that stays the same.

use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::response::Response;
use serde_json::Value;
use serde_json::json;

use crate::authorizer::moving::Refusal;
use crate::pipeline::issuing::NotIssued;
use crate::pipeline::moving::NotMoved;

/// What every type begins with.
pub(in crate::edge) const TYPES: &str = "urn:turnpike:problem:";

/// A problem: the name of its type, its status, and what is wrong in this case.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::edge) struct Problem {
    pub(in crate::edge) name: &'static str,
    pub(in crate::edge) status: StatusCode,
    pub(in crate::edge) detail: String,
}

impl Problem {
    pub(in crate::edge) fn new(name: &'static str, status: StatusCode, detail: impl Into<String>) -> Self {
        Self { name, status, detail: detail.into() }
    }

    pub(in crate::edge) fn malformed(detail: impl Into<String>) -> Self {
        Self::new("malformed", StatusCode::BAD_REQUEST, detail)
    }

    /// The document.
    pub(in crate::edge) fn json(&self) -> Value {
        let mut title = self.name.replace('-', " ");
        title[..1].make_ascii_uppercase();
        json!({
            "type": format!("{TYPES}{}", self.name),
            "title": title,
            "status": self.status.as_u16(),
            "detail": self.detail,
        })
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let kind = HeaderValue::from_static("application/problem+json");
        (self.status, [(CONTENT_TYPE, kind)], self.json().to_string()).into_response()
    }
}

impl From<NotMoved> for Problem {
    fn from(why: NotMoved) -> Self {
        let (name, status) = match why {
            NotMoved::Refused(refusal) => match refusal {
                Refusal::KeyReused(_) => ("key-reused", StatusCode::CONFLICT),
                Refusal::InvalidAmount => ("invalid-amount", StatusCode::UNPROCESSABLE_ENTITY),
                Refusal::NoSuchWallet(_) => ("no-such-wallet", StatusCode::NOT_FOUND),
                Refusal::NoSuchAccount(..) => ("no-such-account", StatusCode::NOT_FOUND),
                Refusal::ToItself => ("to-itself", StatusCode::UNPROCESSABLE_ENTITY),
                Refusal::WalletStatus(..) => ("wallet-status", StatusCode::CONFLICT),
                Refusal::NoSuchPayment(_) => ("no-such-payment", StatusCode::NOT_FOUND),
                Refusal::RefundTooLarge(_) => ("refund-too-large", StatusCode::CONFLICT),
                Refusal::NoSuchMandate(..) => ("no-such-mandate", StatusCode::NOT_FOUND),
                Refusal::MandateEnded => ("mandate-ended", StatusCode::CONFLICT),
                Refusal::MandateExhausted(_) | Refusal::MandateUsed => {
                    ("mandate-exhausted", StatusCode::CONFLICT)
                }
                Refusal::InsufficientFunds(..) => ("insufficient-funds", StatusCode::CONFLICT),
                Refusal::NoRate(..) => ("no-rate", StatusCode::NOT_FOUND),
                Refusal::ComesToLess(..) => ("comes-to-less", StatusCode::CONFLICT),
                Refusal::OutOfRange(_) => ("out-of-range", StatusCode::UNPROCESSABLE_ENTITY),
            },
            NotMoved::KeyExpired(_) => ("key-expired", StatusCode::UNPROCESSABLE_ENTITY),
            NotMoved::KeyOfTheFuture => ("key-of-the-future", StatusCode::UNPROCESSABLE_ENTITY),
            NotMoved::Full(_) => ("full", StatusCode::SERVICE_UNAVAILABLE),
            NotMoved::Unavailable => ("unavailable", StatusCode::SERVICE_UNAVAILABLE),
        };
        Self::new(name, status, why.to_string())
    }
}

impl From<NotIssued> for Problem {
    fn from(why: NotIssued) -> Self {
        let (name, status) = match why {
            NotIssued::Verb(why) => return why.into(),
            NotIssued::Taken => ("card-number-taken", StatusCode::CONFLICT),
            NotIssued::RangeFull | NotIssued::Elsewhere(_) => ("no-card-number", StatusCode::CONFLICT),
            NotIssued::Full(_) => ("full", StatusCode::SERVICE_UNAVAILABLE),
        };
        Self::new(name, status, why.to_string())
    }
}
