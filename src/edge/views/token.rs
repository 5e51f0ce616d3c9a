//! Tokens of pages: where the next one begins, and a MAC (SipHash-2-4 with 128 bits, under a key of the daemon's own)
//! over that and over what was asked. A token of another question, or one that was made up, is refused; one of before a
//! restart is not.

use axum::http::StatusCode;
use siphasher::sip128::Hasher128;
use siphasher::sip128::SipHasher24;
use std::hash::Hasher;

use crate::domain::event::Sequence;
use crate::edge::verbs::problem::Problem;

/// Where a page begins, and where the last one ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    /// What was shown reaches up to this record.
    pub(super) after: Sequence,
    /// Nothing after this record is shown, whatever is appended meanwhile.
    pub(super) through: Sequence,
}

/// The token of a place in the answer to a question.
pub(super) fn seal(key: &[u8; 16], question: &str, place: Place) -> String {
    let Place { after, through } = place;
    format!("{:016x}{:016x}{:032x}", after.0, through.0, mac(key, question, place))
}

/// The place that a token names.
pub(super) fn open(key: &[u8; 16], question: &str, token: &str) -> Result<Place, Problem> {
    let words = "`page_token` is not of a page of this question: ask for the first page again";
    let refused = || Problem::new("page-token", StatusCode::BAD_REQUEST, words);
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if token.len() != 64 || !token.bytes().all(is_hex) {
        return Err(refused());
    }
    let number = |text: &str| u64::from_str_radix(text, 16).map(Sequence).map_err(|_| refused());
    let place = Place { after: number(&token[..16])?, through: number(&token[16..32])? };
    let told = u128::from_str_radix(&token[32..], 16).map_err(|_| refused())?;
    if told == mac(key, question, place) { Ok(place) } else { Err(refused()) }
}

fn mac(key: &[u8; 16], question: &str, place: Place) -> u128 {
    let mut hasher = SipHasher24::new_with_key(key);
    hasher.write(&place.after.0.to_le_bytes());
    hasher.write(&place.through.0.to_le_bytes());
    hasher.write(question.as_bytes());
    hasher.finish128().as_u128()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_of_its_question_and_of_nothing_else() {
        let (key, place) = ([7; 16], Place { after: Sequence(12), through: Sequence(99) });
        let token = seal(&key, "statement|1||", place);
        assert_eq!(open(&key, "statement|1||", &token), Ok(place));
        let changed = |at: usize| {
            let mut token = token.clone().into_bytes();
            token[at] = if token[at] == b'0' { b'1' } else { b'0' };
            String::from_utf8(token).expect("digits")
        };
        let mut wrong: Vec<String> = (0..token.len()).map(changed).collect();
        let texts = ["", "x", &token[1..], &token.to_uppercase(), &"é".repeat(32), &format!("{token}0")];
        wrong.extend(texts.map(str::to_owned));
        for wrong in wrong.iter().filter(|wrong| **wrong != token) {
            let refused = open(&key, "statement|1||", wrong).expect_err("no token");
            assert_eq!((refused.name, refused.status), ("page-token", StatusCode::BAD_REQUEST));
        }
        assert!(open(&key, "statement|2||", &token).is_err());
        assert!(open(&[8; 16], "statement|1||", &token).is_err());
    }
}
