//! Bodies of verbs: read strictly into types. What is wrong is told by its place, never by what stood there, which may
//! be a card number.

use axum::body::Bytes;
use axum::http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde::de::Deserializer;
use serde::de::Error as _;
use xxhash_rust::xxh3::xxh3_64;
use xxhash_rust::xxh3::xxh3_128;

use crate::dialect::mask;
use crate::domain::asset::AssetCode;
use crate::domain::money::Currency;
use crate::domain::moved::CallerKey;
use crate::domain::moved::Reason;
use crate::domain::party::Text;
use crate::edge::api::Face;
use crate::edge::verbs::problem::Problem;

/// Most bytes of a body.
pub(super) const BODY_BYTES_MAX: usize = 1 << 20;
/// Most characters of a caller's key.
pub(super) const KEY_CHARACTERS_MAX: usize = 64;

/// What an amount is of, as a caller names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unit {
    /// ISO 4217 in digits, or the number of an asset.
    Number(Currency),
    /// The code of an asset.
    Code(AssetCode),
}

impl Unit {
    /// Which one it is.
    pub(super) fn of(self, face: &Face) -> Result<Currency, Problem> {
        let code = match self {
            Self::Number(currency) => return Ok(currency),
            Self::Code(code) => code,
        };
        face.pipeline.asset_of_code(code).ok_or_else(|| {
            Problem::new("no-such-asset", StatusCode::NOT_FOUND, format!("there is no asset {code}"))
        })
    }
}

impl<'de> Deserialize<'de> for Unit {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = <&str>::deserialize(from)?;
        let digits = (3..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits {
            return text.parse().map(Self::Code).map_err(|_| D::Error::custom("no currency"));
        }
        let number = text.parse().ok().and_then(Currency::from_number);
        let written = number.filter(|currency| currency.to_string() == text);
        written.map(Self::Number).ok_or_else(|| D::Error::custom("no currency"))
    }
}

/// The caller's name for a verb (R10).
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub(super) key: CallerKey,
    pub(super) created_s: u64,
}

impl Named {
    /// `what` stands for everything else that is asked for.
    pub(super) fn new(key: &str, created: &str, what: &str) -> Result<Self, Problem> {
        let fits = !key.is_empty()
            && key.len() <= KEY_CHARACTERS_MAX
            && key.bytes().all(|byte| byte.is_ascii_graphic());
        if !fits {
            let words = format!("`key` has 1 to {KEY_CHARACTERS_MAX} printable characters without spaces");
            return Err(Problem::malformed(words));
        }
        let created_s = seconds_of(created).ok_or_else(|| {
            Problem::malformed("`created` is when the key was made, as in 2026-11-29T18:00:00Z")
        })?;
        let key = CallerKey { print: xxh3_128(key.as_bytes()), body: xxh3_64(what.as_bytes()), until_s: 0 };
        Ok(Self { key, created_s })
    }

    /// As one of a wallet's own: another wallet's key of the same text is another one.
    pub(super) fn of_wallet(mut self, wallet: u64) -> Self {
        let mut name = [0; 24];
        name[..16].copy_from_slice(&self.key.print.to_le_bytes());
        name[16..].copy_from_slice(&wallet.to_le_bytes());
        self.key.print = xxh3_128(&name);
        self
    }
}

/// A point in time as RFC 3339 writes it, in whole seconds since 1970.
pub(super) fn seconds_of(text: &str) -> Option<u64> {
    let time: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(time.as_second()).ok()
}

/// Why, in the caller's words.
pub(super) fn reason(text: Option<&str>) -> Result<Reason, Problem> {
    let text = text.unwrap_or_default();
    let fits = text.len() <= 32 && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    // It is kept in clear.
    if fits && mask::shown(text) != text {
        Err(Problem::malformed("`reason` must not have a card number"))
    } else if fits {
        Ok(Text::from_ascii(text.as_bytes()))
    } else {
        Err(Problem::malformed("`reason` has up to 32 printable characters of ASCII"))
    }
}

/// Reads a body.
pub(super) fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, Problem> {
    read_text(body)
}

/// Reads one object.
pub(super) fn read_text<T: DeserializeOwned>(text: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(text).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        let words = error.to_string();
        // A name of ours, and a name that cannot be a number, may be told.
        let named = words.split('`').nth(1).filter(|name| {
            let is_name = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
            name.len() <= 32 && name.bytes().all(is_name)
        });
        let what = match named {
            Some(name) if words.starts_with("unknown field") => format!("`{name}` is not known"),
            Some(name) if words.starts_with("missing field") => format!("`{name}` is missing"),
            Some(name) if words.starts_with("duplicate field") => format!("`{name}` is there twice"),
            _ if error.is_data() => {
                "a value of another kind is expected; amounts are whole numbers of minor \
                                     units below 2^63, currencies ISO 4217 in three digits as a text, or \
                                     the code of an asset"
                    .to_owned()
            }
            _ => "this is no JSON object".to_owned(),
        };
        Problem::malformed(format!("{what} ({place})"))
    })
}

pub(super) fn too_large() -> Problem {
    let words = format!("a body has at most {BODY_BYTES_MAX} bytes; send large numbers of transfers in bulk");
    Problem::new("body-too-large", StatusCode::PAYLOAD_TOO_LARGE, words)
}

/// `{"accounts": [{"currency": "840"}]}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Open {
    pub(super) accounts: Vec<OpenAccount>,
}

/// An account of a new wallet.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OpenAccount {
    pub(super) currency: Unit,
    #[serde(default)]
    pub(super) overdraft: i64,
}

/// Of `fund`, `withdraw` and `adjust`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Move {
    pub(super) key: String,
    pub(super) created: String,
    pub(super) currency: Unit,
    pub(super) account: Option<u16>,
    pub(super) amount: i64,
    pub(super) reason: Option<String>,
}

/// A transfer, or with a fee a payment.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Transfer {
    pub(super) key: String,
    pub(super) created: String,
    pub(super) from: u64,
    pub(super) from_account: Option<u16>,
    pub(super) to: u64,
    pub(super) to_account: Option<u16>,
    pub(super) currency: Unit,
    pub(super) amount: i64,
    pub(super) reason: Option<String>,
}

/// A payment to a merchant.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pay {
    pub(super) key: String,
    pub(super) created: String,
    pub(super) from: u64,
    pub(super) from_account: Option<u16>,
    pub(super) merchant: u64,
    pub(super) merchant_account: Option<u16>,
    pub(super) currency: Unit,
    pub(super) amount: i64,
    #[serde(default)]
    pub(super) fee: i64,
    pub(super) reason: Option<String>,
}

/// What a merchant gives back.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Refund {
    pub(super) key: String,
    pub(super) created: String,
    pub(super) currency: Unit,
    pub(super) amount: i64,
    #[serde(default)]
    pub(super) returns_fee: bool,
    pub(super) reason: Option<String>,
}

/// What a payer allows a payee.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mandate {
    pub(super) key: String,
    pub(super) created: String,
    pub(super) account: Option<u16>,
    pub(super) payee: u64,
    pub(super) payee_account: Option<u16>,
    pub(super) currency: Unit,
    pub(super) max: i64,
    pub(super) period: String,
    pub(super) charges_max: Option<u16>,
    pub(super) until: Option<String>,
}

/// What a payee charges by a mandate.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Charge {
    pub(super) key: String,
    pub(super) created: String,
    pub(super) amount: i64,
    pub(super) reason: Option<String>,
}

/// Many transfers at once.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Batch {
    pub(super) transfers: Vec<Transfer>,
}

/// A card to be issued, or one that takes another's place. Its number, where there is one, is not shown.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Issue {
    pub(super) key: String,
    pub(super) created: String,
    pub(super) pan: Option<String>,
    pub(super) expiry: String,
    pub(super) service_code: Option<String>,
}

/// `{"decimals": 6, "name": "USD Coin"}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asset {
    pub(super) decimals: u16,
    #[serde(default)]
    pub(super) name: String,
}

/// Rates to be set.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rates {
    pub(super) rates: Vec<RateOf>,
}

/// A rate; without a price it is withdrawn.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RateOf {
    pub(super) from: Unit,
    pub(super) to: Unit,
    pub(super) price: Option<String>,
    #[serde(default)]
    pub(super) spread_ppm: u32,
}

/// In which order accounts are spent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SpendingOrder {
    pub(super) accounts: Vec<u16>,
}

/// From one account of a wallet to another in another asset.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Convert {
    pub(super) key: String,
    pub(super) created: String,
    pub(super) wallet: u64,
    pub(super) from_account: Option<u16>,
    pub(super) currency: Unit,
    pub(super) to_account: Option<u16>,
    pub(super) to_currency: Unit,
    pub(super) amount: i64,
    #[serde(default)]
    pub(super) at_least: i64,
}

/// What an account earns.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Interest {
    pub(super) rate_ppm: u32,
    pub(super) day_count: String,
    pub(super) paid_out: String,
}
