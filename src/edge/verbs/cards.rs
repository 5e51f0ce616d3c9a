//! Issuing cards and replacing them.

use std::sync::Arc;

use axum::extract::Path;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;
use serde_json::json;

use crate::domain::card::CardRef;
use crate::domain::card::CardStatus;
use crate::domain::card::Pan;
use crate::domain::card::ServiceCode;
use crate::domain::party::WalletId;
use crate::domain::time::Expiry;
use crate::edge::api::Face;
use crate::edge::clock;
use crate::edge::verbs::Came;
use crate::edge::verbs::answered;
use crate::edge::verbs::body;
use crate::edge::verbs::body::Named;
use crate::edge::verbs::bytes;
use crate::edge::verbs::number;
use crate::edge::verbs::problem::Problem;
use crate::edge::verbs::until_durable;
use crate::pipeline::issuing::Issued;
use crate::pipeline::issuing::Numbering;
use crate::pipeline::issuing::Wanted;
use crate::pipeline::moving::NotMoved;
use crate::pipeline::seeding::NotSet;

/// Opens a card on a wallet.
pub(super) async fn issue(State(face): State<Arc<Face>>, Path(wallet): Path<String>, came: Came) -> Response {
    let answer = async {
        let wallet = WalletId(number(&wallet, "wallet")?);
        let issued = issued(&face, wallet, &body::read(&bytes(came)?)?, "issue")?;
        until_durable(&face, issued.sequence).await?;
        Ok::<_, Problem>(shown(wallet, &issued))
    };
    answered(answer.await)
}

/// Opens a card on the same wallet in the place of another one, which is closed. Lost and stolen stay what they are.
pub(super) async fn replace(State(face): State<Arc<Face>>, Path(card): Path<String>, came: Came) -> Response {
    let answer = async {
        let before = CardRef(number(&card, "card")?);
        let no_such = || Problem::new("no-such-card", StatusCode::NOT_FOUND, "there is no such card");
        let view = face.pipeline.card(before).ok_or_else(no_such)?;
        let what = format!("replace|{}", before.0);
        let issued = issued(&face, view.wallet, &body::read(&bytes(came)?)?, &what)?;
        // Asked again after a crash in between, it goes on here. What has ended it may not be on disk yet (R1).
        let mut last = issued.sequence.max(face.pipeline.appended());
        if !CardStatus::ENDED.contains(&view.status) {
            match face.pipeline.set_card_status_and_tell(before, CardStatus::Closed, clock::now()) {
                Ok((sequence, told)) => {
                    last = told.iter().map(|(sequence, _)| *sequence).fold(last.max(sequence), Ord::max);
                }
                Err(NotSet::Ended(_)) => last = face.pipeline.appended(),
                Err(_) => return Err(NotMoved::Unavailable.into()),
            }
        }
        until_durable(&face, last).await?;
        let mut done = shown(view.wallet, &issued);
        done["replaces"] = json!(before.0);
        Ok::<_, Problem>(done)
    };
    answered(answer.await)
}

fn shown(wallet: WalletId, issued: &Issued) -> Value {
    json!({
        "wallet": wallet.0,
        "card": issued.card.0,
        "pan": issued.pan.to_string(),
        "sequence": issued.sequence.0,
        "again": issued.again,
    })
}

fn issued(face: &Face, wallet: WalletId, asked: &body::Issue, verb: &str) -> Result<Issued, Problem> {
    let four_digits = |text: &str| text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_digit());
    let expiry = Some(asked.expiry.as_str()).filter(|text| four_digits(text));
    let expiry = expiry.and_then(|text| text.parse().ok()).and_then(Expiry::new);
    let expiry = expiry.ok_or_else(|| Problem::malformed("`expiry` is a month as YYMM"))?;
    let service_code = asked.service_code.as_deref().unwrap_or("201");
    let code = Some(service_code).filter(|text| text.len() == 3).and_then(|text| text.parse().ok());
    let code = code.filter(|code: &u16| *code < 1_000);
    let code = code.ok_or_else(|| Problem::malformed("`service_code` has three digits"))?;
    let given = asked.pan.as_deref().map(|digits| Pan::from_ascii(digits.as_bytes())).transpose();
    let given = given.map_err(|_| Problem::malformed("`pan` is a card number of 8 to 19 digits"))?;
    let Some(issuing) = face.issuing.get() else { return Err(NotMoved::Unavailable.into()) };
    let numbering = match given {
        Some(pan) => Numbering::Given(pan),
        None => Numbering::Drawn(&issuing.ranges, issuing.digits),
    };
    // What stands for a number is made under a secret, so that nobody finds it by trying.
    let number = given.map(|pan| face.pipeline.print_of(pan));
    let what = format!("{verb}|{}|{number:?}|{}|{code}", wallet.0, expiry.digits());
    let named = Named::new(&asked.key, &asked.created, &what)?.of_wallet(wallet.0);
    let wanted = Wanted {
        wallet,
        numbering,
        expiry,
        service_code: ServiceCode(code),
        verification: issuing.verification,
        key: named.key,
        created_s: named.created_s,
    };
    Ok(face.pipeline.issue_card(&wanted, &|pan| issuing.products.of(pan), clock::now())?)
}
