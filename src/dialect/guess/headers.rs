//! What may stand between framing and MTI: nothing, a TPDU, Visa's header, or a literal text.

use crate::dialect::Dialect;
use crate::dialect::MessageHeader;
use crate::dialect::header::VISA_HEADER_BYTES;
use crate::dialect::header::VISA_REJECT_BYTES;
use crate::dialect::mask;
use crate::dialect::meaning;
use crate::iso8583::digits;
use crate::iso8583::frame::TPDU_BYTES;
use crate::iso8583::frame::Tpdu;

/// The ids that a TPDU begins with.
const TPDU_IDS: [u8; 2] = [0x60, 0x68];
/// The longest literal that is looked for.
const LITERAL_BYTES_MAX: usize = 40;

/// What stands in front of every message.
pub(super) struct Front {
    pub(super) tpdu: Option<Tpdu>,
    pub(super) header: MessageHeader,
    /// The literal of the first message.
    pub(super) literal: Vec<u8>,
    /// How much speaks for it.
    pub(super) score: i32,
}

impl Front {
    /// How many bytes it takes, when each message has as many.
    pub(super) const fn bytes(&self) -> usize {
        let header = match self.header {
            MessageHeader::None => 0,
            MessageHeader::Visa => VISA_HEADER_BYTES,
            MessageHeader::Literal => self.literal.len(),
        };
        header + if self.tpdu.is_some() { TPDU_BYTES } else { 0 }
    }

    pub(super) fn reason(&self) -> String {
        let tpdu = if self.tpdu.is_some() { "header: a TPDU of 5 bytes" } else { "" };
        let header = match self.header {
            MessageHeader::None => String::new(),
            MessageHeader::Visa => "header: Visa's, as long as its first byte says".to_owned(),
            MessageHeader::Literal => {
                format!("header: a text of {} characters before every MTI", self.literal.len())
            }
        };
        [tpdu, &header].into_iter().filter(|text| !text.is_empty()).collect::<Vec<&str>>().join("; ")
    }
}

/// Every front that all messages may have.
pub(super) fn fronts(bodies: &[&[u8]]) -> Vec<Front> {
    let plain = |tpdu, score| Front { tpdu, header: MessageHeader::None, literal: Vec::new(), score };
    let mut fronts = vec![plain(None, 0)];
    let lengths = [VISA_HEADER_BYTES as u8, VISA_REJECT_BYTES as u8];
    if bodies.iter().all(|body| body.first().is_some_and(|first| lengths.contains(first))) {
        fronts.push(Front { header: MessageHeader::Visa, ..plain(None, 2) });
    }
    let tpdu = |body: &&[u8]| body.len() > TPDU_BYTES && TPDU_IDS.contains(&body[0]);
    let mut tpdus = vec![(0, None)];
    if bodies.iter().all(tpdu) {
        fronts.push(plain(Some(Tpdu::Swap), 1));
        tpdus.push((TPDU_BYTES, Some(Tpdu::Swap)));
    }
    for (at, tpdu) in tpdus {
        let rest: Vec<&[u8]> = bodies.iter().map(|body| body.get(at..).unwrap_or_default()).collect();
        for length in literals(&rest) {
            let literal = rest.first().and_then(|body| body.get(..length)).unwrap_or_default().to_vec();
            fronts.push(Front { header: MessageHeader::Literal, literal, ..plain(tpdu, 1) });
        }
    }
    fronts
}

/// How long a text in front of every MTI may be: letters first, then what can be printed, and an MTI behind it.
fn literals(bodies: &[&[u8]]) -> Vec<usize> {
    let ascii = |byte: u8| byte;
    let ebcdic = digits::from_ebcdic;
    let mut lengths = Vec::new();
    for convert in [ascii, ebcdic] {
        let fits = |length: usize| {
            bodies.iter().all(|body| {
                let Some((text, message)) = body.split_at_checked(length) else { return false };
                convert(text[0]).is_ascii_alphabetic()
                    && text.iter().all(|byte| matches!(convert(*byte), b' '..=b'~'))
                    && may_be_shown(text.iter().map(|byte| char::from(convert(*byte))).collect())
                    && begins_with_mti(message)
            })
        };
        lengths.extend((1..=LITERAL_BYTES_MAX).filter(|length| fits(*length)));
    }
    lengths
}

/// A literal is printed as it is, so that what could hold a card number is none.
fn may_be_shown(text: String) -> bool {
    mask::shown(&text) == text
}

fn begins_with_mti(message: &[u8]) -> bool {
    let four = message.get(..4).unwrap_or_default();
    let two = message.get(..2).unwrap_or_default();
    let value = if digits::is_zoned(four, digits::ASCII_ZERO) || digits::is_zoned(four, digits::EBCDIC_ZERO) {
        digits::zoned_value(four)
    } else if digits::is_bcd(two) {
        digits::bcd_value(two)
    } else {
        None
    };
    value.filter(|_| four.len() == 4).is_some_and(|mti| meaning::is_message_type(mti as u16))
}

/// The name of a dialect's header in its table.
pub(super) const fn name(dialect: &Dialect) -> &'static str {
    match dialect.header {
        MessageHeader::None => "none",
        MessageHeader::Visa => "visa",
        MessageHeader::Literal => "literal",
    }
}

/// A dialect's header in words, after those of its framing.
pub(super) fn words(dialect: &Dialect) -> String {
    match dialect.header {
        MessageHeader::None => String::new(),
        MessageHeader::Visa => "; Visa's header".to_owned(),
        MessageHeader::Literal => format!("; a literal of {} characters", dialect.literal.own.len()),
    }
}

/// The keys of `[message]` that say it, with those that must go.
pub(super) fn keys(dialect: &Dialect) -> Vec<(&'static str, Option<String>)> {
    let mut keys = vec![("header", Some(format!("\"{}\"", name(dialect))))];
    if dialect.header == MessageHeader::Literal {
        let ebcdic = dialect.literal.own.first().is_some_and(|byte| *byte >= 0x80);
        let convert = |byte: &u8| char::from(if ebcdic { digits::from_ebcdic(*byte) } else { *byte });
        let text: String = dialect.literal.own.iter().map(convert).collect();
        keys.push(("header_text", Some(serde_json::Value::from(text).to_string())));
    } else {
        keys.extend([("header_text", None), ("header_answer", None)]);
    }
    keys
}
