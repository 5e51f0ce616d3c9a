//! What stands in front of the MTI: Visa's header of 22 bytes and the longer one that carries a reject, a literal text
//! such as `ISO015000077`, and the TPDU of terminal networks.

use crate::dialect::MessageHeader;
use crate::iso8583::digits;
use crate::iso8583::frame::TPDU_BYTES;
use crate::iso8583::frame::Tpdu;

/// Bytes of Visa's header (H1 = 0x16).
pub const VISA_HEADER_BYTES: usize = 22;
/// Bytes of a Visa header that carries a reject code (H1 = 0x1A).
pub const VISA_REJECT_BYTES: usize = 26;
/// H2: another header follows this one.
const ANOTHER_FOLLOWS: u8 = 0x80;
/// H13: a reject code follows.
const REJECTED: u8 = 0x80;

/// Why a header cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HeaderError {
    /// The message ends inside its header.
    #[error("the message ends inside its header")]
    CutOff,
    /// H1 says a length that no header has.
    #[error("the header's own length is neither 22 nor 26")]
    Length,
}

/// A body divided into header and message.
#[derive(Clone, Copy)]
pub(super) struct Split<'a> {
    /// The last header before the message: the one that an answer takes over. Empty without one.
    pub(super) header: &'a [u8],
    /// A reject header came first.
    pub(super) rejected: bool,
    /// H14, when the reject header has one.
    pub(super) reject_code: Option<u16>,
    /// From the MTI on.
    pub(super) message: &'a [u8],
}

/// The id of a TPDU that we begin; the addresses are zeros, since nobody has told us any.
const OWN_TPDU: [u8; TPDU_BYTES] = [0x60, 0, 0, 0, 0];

/// A literal text in front of every MTI.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Literal {
    /// The bytes that our own messages have. Those of others are as long and not checked: hosts keep codes in them.
    pub(super) own: Box<[u8]>,
    /// An answer has our own bytes too; else those that the request came with.
    pub(super) set: bool,
}

/// Everything that may stand in front of a dialect's MTI. A TPDU and Visa's header exclude each other.
#[derive(Clone, Copy)]
pub(super) struct Heading<'d> {
    pub(super) tpdu: Option<Tpdu>,
    pub(super) kind: MessageHeader,
    pub(super) literal: &'d Literal,
}

impl Heading<'_> {
    const fn tpdu_bytes(self) -> usize {
        if self.tpdu.is_some() { TPDU_BYTES } else { 0 }
    }

    /// How many bytes stand in front of the MTI of a message of ours.
    pub(super) const fn bytes(self) -> usize {
        self.tpdu_bytes()
            + match self.kind {
                MessageHeader::None => 0,
                MessageHeader::Visa => VISA_HEADER_BYTES,
                MessageHeader::Literal => self.literal.own.len(),
            }
    }
}

#[inline]
pub(super) fn split<'a>(heading: Heading<'_>, body: &'a [u8]) -> Result<Split<'a>, HeaderError> {
    if heading.kind == MessageHeader::Visa {
        return split_visa(body);
    }
    let (header, message) = body.split_at_checked(heading.bytes()).ok_or(HeaderError::CutOff)?;
    Ok(Split { header, rejected: false, reject_code: None, message })
}

fn split_visa(body: &[u8]) -> Result<Split<'_>, HeaderError> {
    let mut split = Split { header: &[], rejected: false, reject_code: None, message: body };
    loop {
        let next = split_one(split.message);
        let (header, rest) = match next {
            // The code of a reject counts even when what it is about cannot be read.
            Err(_) if split.rejected => return Ok(split),
            next => next?,
        };
        split.header = header;
        split.message = rest;
        let reject = header.len() == VISA_REJECT_BYTES;
        if reject {
            split.rejected = true;
            let code = &header[24..26];
            if header[22] & REJECTED != 0 && digits::is_bcd(code) {
                split.reject_code = digits::bcd_value(code).map(|code| code as u16);
            }
        }
        // A reject header is followed by the message that was rejected, with the header that we gave it.
        let another = header[1] & ANOTHER_FOLLOWS != 0 || reject;
        if !another {
            return Ok(split);
        }
    }
}

fn split_one(message: &[u8]) -> Result<(&[u8], &[u8]), HeaderError> {
    let length = usize::from(*message.first().ok_or(HeaderError::CutOff)?);
    if length != VISA_HEADER_BYTES && length != VISA_REJECT_BYTES {
        return Err(HeaderError::Length);
    }
    message.split_at_checked(length).ok_or(HeaderError::CutOff)
}

fn station(number: u32) -> [u8; 3] {
    let pair = |pair: u32| (((pair / 10 % 10) << 4) | (pair % 10)) as u8;
    [pair(number / 10_000), pair(number / 100), pair(number)]
}

/// Appends what stands in front of an answer's MTI. Visa: stations swapped (H5, H6), round-trip fields (H7 to H12) as
/// they came. Returns where the header starts.
#[inline]
pub(super) fn begin_answer(
    heading: Heading<'_>,
    request: &[u8],
    own: Option<u32>,
    out: &mut Vec<u8>,
) -> usize {
    let start = out.len();
    if heading.kind == MessageHeader::Visa {
        begin_visa_answer(request, own, out);
    } else if !request.is_empty() {
        begin_plain_answer(heading, request, out);
    }
    start
}

fn begin_visa_answer(request: &[u8], own: Option<u32>, out: &mut Vec<u8>) {
    if let Some(header) = request.first_chunk::<VISA_HEADER_BYTES>() {
        let mut header = *header;
        let [length, format, _, length_high, length_low, d1, d2, d3, s1, s2, s3, ..] = &mut header;
        *length = VISA_HEADER_BYTES as u8;
        *format &= !ANOTHER_FOLLOWS;
        // H4, the length, is filled in at the end.
        (*length_high, *length_low) = (0, 0);
        let from = own.map_or([*d1, *d2, *d3], station);
        ([*d1, *d2, *d3], [*s1, *s2, *s3]) = ([*s1, *s2, *s3], from);
        out.extend_from_slice(&header);
    }
}

/// TPDU and literal: the bytes of the request, but addresses that change places and a text that is ours.
fn begin_plain_answer(heading: Heading<'_>, request: &[u8], out: &mut Vec<u8>) {
    let (tpdu, literal) = request.split_at_checked(heading.tpdu_bytes()).unwrap_or((&[], request));
    match (heading.tpdu, tpdu) {
        (Some(Tpdu::Swap), [id, t1, t2, f1, f2]) => out.extend_from_slice(&[*id, *f1, *f2, *t1, *t2]),
        _ => out.extend_from_slice(tpdu),
    }
    out.extend_from_slice(if heading.literal.set { &heading.literal.own } else { literal });
}

/// Appends what stands in front of the MTI of a message of ours. Returns where the header starts.
pub(super) fn begin_own(heading: Heading<'_>, to: u32, from: u32, out: &mut Vec<u8>) -> usize {
    if heading.tpdu.is_some() {
        out.extend_from_slice(&OWN_TPDU);
    }
    let start = out.len();
    match heading.kind {
        MessageHeader::None => {}
        MessageHeader::Visa => {
            out.extend([VISA_HEADER_BYTES as u8, 1, 2, 0, 0]);
            out.extend(station(to));
            out.extend(station(from));
            out.resize(start + VISA_HEADER_BYTES, 0);
        }
        MessageHeader::Literal => out.extend_from_slice(&heading.literal.own),
    }
    start
}

/// Fills in the length of header and message (H4), when there is a header.
pub(super) fn finish(kind: MessageHeader, start: usize, out: &mut [u8]) {
    if kind == MessageHeader::Visa {
        let length = (out.len() - start).min(usize::from(u16::MAX)) as u16;
        if let Some(room) = out.get_mut(start + 3..start + 5) {
            room.copy_from_slice(&length.to_be_bytes());
        }
    }
}
