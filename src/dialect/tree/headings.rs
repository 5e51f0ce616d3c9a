//! What stands in front of an MTI, as nodes: a TPDU, Visa's headers with their parts, a literal.

use super::Node;
use super::What;
use crate::dialect::Dialect;
use crate::dialect::MessageHeader;
use crate::dialect::mask::Secrecy;
use crate::iso8583::digits;
use crate::iso8583::frame::TPDU_BYTES;

/// Visa's header, by the numbers of its parts.
const HEADER_PARTS: [(&str, &str, std::ops::Range<usize>); 14] = [
    ("H1", "Header length", 0..1),
    ("H2", "Header flag and format", 1..2),
    ("H3", "Text format", 2..3),
    ("H4", "Total message length", 3..5),
    ("H5", "Destination station", 5..8),
    ("H6", "Source station", 8..11),
    ("H7", "Round-trip control", 11..12),
    ("H8", "BASE I flags", 12..14),
    ("H9", "Message status flags", 14..17),
    ("H10", "Batch number", 17..18),
    ("H11", "Reserved", 18..21),
    ("H12", "User information", 21..22),
    ("H13", "Bitmap", 22..24),
    ("H14", "Reject code", 24..26),
];

/// Everything in front of the MTI.
pub(super) fn read(dialect: &Dialect, bytes: &[u8], at: usize, nodes: &mut Vec<Node>) {
    let tpdu = if dialect.framing().tpdu.is_some() { TPDU_BYTES } else { 0 };
    let (tpdu, mut rest) = bytes.split_at_checked(tpdu).unwrap_or((&[], bytes));
    if !tpdu.is_empty() {
        let node = Node::new(What::Tpdu, "", "TPDU", at, tpdu.len());
        let addresses =
            format!("to {}, from {}", digits::hex_text(&tpdu[1..3]), digits::hex_text(&tpdu[3..]));
        nodes.push(node.with(Secrecy::Open, &digits::hex_text(tpdu), 0).meaning(Some(addresses)));
    }
    let mut at = at + tpdu.len();
    if dialect.header() == MessageHeader::Literal && !rest.is_empty() {
        let ebcdic = rest.first().is_some_and(|byte| *byte >= 0x80);
        let text =
            rest.iter().map(|byte| char::from(if ebcdic { digits::from_ebcdic(*byte) } else { *byte }));
        let node = Node::new(What::Header, "", "Header", at, rest.len());
        nodes.push(node.with(Secrecy::Open, &text.collect::<String>(), 0));
        return;
    }
    while dialect.header() == MessageHeader::Visa && !rest.is_empty() {
        let length = usize::from(rest[0]).clamp(1, rest.len());
        let (one, after) = rest.split_at(length);
        let mut header = Node::new(What::Header, "", "Header", at, one.len());
        for (id, name, range) in HEADER_PARTS {
            if let Some(part) = one.get(range.clone()) {
                let node = Node::new(What::HeaderPart, id, name, at + range.start, part.len());
                header.parts.push(node.with(Secrecy::Open, &digits::hex_text(part), 0));
            }
        }
        nodes.push(header);
        rest = after;
        at += length;
    }
}
