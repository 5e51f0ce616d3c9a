//! Messages in a stream of bytes: the length in front of each, and what surrounds it.

use std::ops::Range;

use crate::iso8583::digits;
use crate::iso8583::spec::Encoding;
use crate::iso8583::spec::Prefix;
use crate::iso8583::value;

/// Bytes of a TPDU: an id, then two bytes each of where it goes and where it comes from.
pub const TPDU_BYTES: usize = 5;

/// What an answer does with the addresses of a TPDU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tpdu {
    /// They change places: what came from a terminal goes back to it.
    Swap,
    /// They stay as they came.
    Keep,
}

/// How messages are told apart in a stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Framing {
    /// Bytes in front of the length that mean nothing to us; written as zeros, or as `reserved` says.
    pub before: u8,
    /// How the length is written. A width of zero is no length: a message goes on until its trailer.
    pub length: Prefix,
    /// A binary length has its lowest byte first.
    pub little_endian: bool,
    /// The length counts itself and what stands beside it.
    pub inclusive: bool,
    /// Bytes between the length and the message; written as zeros, or as `reserved` says.
    pub after: u8,
    /// What the bytes before and after the length are: a protocol's id, or STX. Empty for zeros. They are not looked
    /// at, but for a message without a length, which must begin with them.
    pub reserved: Vec<u8>,
    /// The fourth byte's high nibble 2 marks session control (Visa's 4-byte header).
    pub session_control: bool,
    /// What every message ends with.
    pub trailer: Vec<u8>,
    /// Behind the trailer of a message without a length stands the longitudinal redundancy check: the exclusive or of
    /// all bytes from the message's first to the trailer's last.
    pub check: bool,
    /// The length counts the trailer.
    pub trailer_counted: bool,
    /// Five bytes with two addresses stand at the start of every message, and the length counts them.
    pub tpdu: Option<Tpdu>,
    /// The longest message that is accepted, in bytes of what follows the length.
    pub max: u32,
}

/// What a frame holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A message.
    Message,
    /// Nothing: the peer shows that it lives.
    KeepAlive,
    /// Visa session control: not a message, and not ours to read.
    SessionControl,
}

/// One frame at the start of a buffer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// How many bytes of the buffer it takes.
    pub total: usize,
    /// Where its message is.
    pub body: Range<usize>,
    /// What it holds.
    pub kind: Kind,
}

/// Why a stream cannot be read on: its place is lost, and the connection has to be closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FrameError {
    /// A length that is not made of digits.
    #[error("the frame's length is not a number")]
    LengthNotDigits,
    /// A length above the limit, known before its bytes arrive.
    #[error("the frame says it has {length} bytes, and {max} are allowed")]
    TooLong {
        /// What it says.
        length: u32,
        /// What is allowed.
        max: u32,
    },
    /// A length that is shorter than what it must count.
    #[error("the frame's length is shorter than what it counts")]
    TooShort,
    /// The frame does not end with its trailer.
    #[error("the frame does not end with its trailer")]
    NoTrailer,
    /// A message without a length does not begin with the bytes that are reserved for that.
    #[error("the frame does not begin as all must")]
    WrongBegin,
    /// The longitudinal redundancy check does not fit the bytes.
    #[error("the frame's check byte does not fit its bytes")]
    WrongCheck,
    /// A message without a length has the trailer's bytes in it, so that nobody could find its end.
    #[error("the message has its own trailer inside")]
    TrailerInside,
}

impl Default for Framing {
    /// A big-endian length of two bytes that counts the message, and nothing else.
    fn default() -> Self {
        Self {
            before: 0,
            length: Prefix { encoding: Encoding::Binary, width: 2 },
            little_endian: false,
            inclusive: false,
            after: 0,
            reserved: Vec::new(),
            session_control: false,
            trailer: Vec::new(),
            check: false,
            trailer_counted: true,
            tpdu: None,
            max: 4096,
        }
    }
}

impl Framing {
    /// Bytes in front of a message, its TPDU not counted.
    #[must_use]
    pub const fn prefix_bytes(&self) -> usize {
        self.before as usize + self.length.width as usize + self.after as usize
    }

    /// The first frame of a buffer; `None` while it is not whole.
    ///
    /// # Errors
    /// The stream cannot be read on.
    #[inline]
    pub fn next(&self, buffer: &[u8]) -> Result<Option<Frame>, FrameError> {
        if self.length.width == 0 {
            return self.next_delimited(buffer);
        }
        let prefix = self.prefix_bytes();
        let Some(head) = buffer.get(..prefix) else { return Ok(None) };
        let start = usize::from(self.before);
        let length = self.read_length(&head[start..start + usize::from(self.length.width)])?;
        let mut counted = u64::from(length);
        // A poll has a length of zero even where lengths count themselves.
        if self.inclusive && counted > 0 {
            counted = counted.checked_sub(prefix as u64).ok_or(FrameError::TooShort)?;
        }
        if counted > u64::from(self.max) {
            return Err(FrameError::TooLong { length, max: self.max });
        }
        let counted = counted as usize;
        if self.session_control && head.get(3).is_some_and(|byte| byte >> 4 == 2) {
            let total = prefix + counted;
            let whole = buffer.len() >= total;
            return Ok(whole.then_some(Frame { total, body: prefix..total, kind: Kind::SessionControl }));
        }
        if counted == 0 && self.trailer_counted {
            return Ok(Some(Frame { total: prefix, body: prefix..prefix, kind: Kind::KeepAlive }));
        }
        let (body, total) = if self.trailer_counted {
            (counted.checked_sub(self.trailer.len()).ok_or(FrameError::TooShort)?, prefix + counted)
        } else {
            (counted, prefix + counted + self.trailer.len())
        };
        let Some(frame) = buffer.get(..total) else { return Ok(None) };
        // Most have none. Comparing no bytes is a call that takes some processors as long as the rest of this.
        if !self.trailer.is_empty() && !frame.ends_with(&self.trailer) {
            return Err(FrameError::NoTrailer);
        }
        let kind = if body == 0 { Kind::KeepAlive } else { Kind::Message };
        Ok(Some(Frame { total, body: prefix..prefix + body, kind }))
    }

    /// A message without a length, up to its trailer. A trailer alone is a frame without a message.
    #[cold]
    fn next_delimited(&self, buffer: &[u8]) -> Result<Option<Frame>, FrameError> {
        let (prefix, max) = (self.prefix_bytes(), self.max as usize);
        let width = self.trailer.len();
        let (begun, expected) = (&buffer[..buffer.len().min(prefix)], &self.reserved);
        if !expected.is_empty() && !expected.starts_with(begun) {
            return Err(FrameError::WrongBegin);
        }
        let Some(rest) = buffer.get(prefix..) else { return Ok(None) };
        let searched = rest.get(..max + width).unwrap_or(rest);
        let found =
            if width == 0 { None } else { searched.windows(width).position(|end| end == self.trailer) };
        match found {
            Some(body) => {
                let checked = &rest[..body + width];
                if self.check {
                    let Some(check) = rest.get(checked.len()) else { return Ok(None) };
                    if *check != redundancy(checked) {
                        return Err(FrameError::WrongCheck);
                    }
                }
                let kind = if body == 0 { Kind::KeepAlive } else { Kind::Message };
                let total = prefix + checked.len() + usize::from(self.check);
                Ok(Some(Frame { total, body: prefix..prefix + body, kind }))
            }
            None if rest.len() >= max + width => Err(FrameError::TooLong {
                length: u32::try_from(rest.len()).unwrap_or(u32::MAX),
                max: self.max,
            }),
            None => Ok(None),
        }
    }

    #[inline]
    fn read_length(&self, bytes: &[u8]) -> Result<u32, FrameError> {
        let fold = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        let value = match self.length.encoding {
            Encoding::Binary if self.little_endian => Some(bytes.iter().rev().fold(0, fold)),
            Encoding::Binary => Some(bytes.iter().fold(0, fold)),
            Encoding::Bcd if digits::is_bcd(bytes) => digits::bcd_value(bytes),
            Encoding::Ascii if digits::is_zoned(bytes, digits::ASCII_ZERO) => digits::zoned_value(bytes),
            Encoding::Ebcdic if digits::is_zoned(bytes, digits::EBCDIC_ZERO) => digits::zoned_value(bytes),
            Encoding::Hex => bytes
                .iter()
                .try_fold(0, |value, byte| Some(value << 4 | u64::from(digits::hex_nibble(*byte)?))),
            _ => None,
        };
        let value = value.ok_or(FrameError::LengthNotDigits)?;
        Ok(u32::try_from(value).unwrap_or(u32::MAX))
    }

    /// Begins a frame at the end of `out`; the message is appended after it. Returns where the frame starts.
    #[inline(always)]
    #[must_use]
    pub fn begin(&self, out: &mut Vec<u8>) -> usize {
        let start = out.len();
        let prefix = self.prefix_bytes();
        if prefix <= 8 {
            // A constant size, and what is too much taken back, is cheaper than the exact one.
            out.extend_from_slice(&[0; 8]);
            out.truncate(start + prefix);
        } else {
            out.resize(start + prefix, 0);
        }
        if !self.reserved.is_empty() {
            self.write_reserved(&mut out[start..]);
        }
        start
    }

    #[cold]
    fn write_reserved(&self, head: &mut [u8]) {
        let (before, rest) = head.split_at_mut(usize::from(self.before));
        for (byte, reserved) in
            before.iter_mut().chain(&mut rest[usize::from(self.length.width)..]).zip(&self.reserved)
        {
            *byte = *reserved;
        }
    }

    /// Ends the frame that starts at `start`: appends the trailer and fills in the length.
    ///
    /// # Errors
    /// The message is longer than the framing allows; `out` is as it was before the frame began.
    #[inline(always)]
    pub fn finish(&self, out: &mut Vec<u8>, start: usize) -> Result<(), FrameError> {
        let prefix = self.prefix_bytes();
        let body = out.len().saturating_sub(start + prefix);
        let mut counted = body;
        if !self.trailer.is_empty() {
            out.extend_from_slice(&self.trailer);
            if self.trailer_counted {
                counted += self.trailer.len();
            }
        }
        if self.length.width == 0 {
            return self.finish_delimited(out, start, body);
        }
        let length = if self.inclusive { counted + prefix } else { counted };
        let largest = largest(self.length);
        if length > largest as usize || counted > self.max as usize {
            let max = self.max.min(largest);
            out.truncate(start);
            return Err(FrameError::TooLong { length: u32::try_from(length).unwrap_or(u32::MAX), max });
        }
        let at = start + usize::from(self.before);
        let width = usize::from(self.length.width);
        if self.length.encoding == Encoding::Binary {
            let room = &mut out[at..at + width];
            if let ([high, low], false) = (&mut *room, self.little_endian) {
                [*high, *low] = (length as u16).to_be_bytes();
                return Ok(());
            }
            let mut rest = length;
            for byte in room.iter_mut().rev() {
                *byte = (rest & 0xff) as u8;
                rest >>= 8;
            }
            if self.little_endian {
                room.reverse();
            }
        } else {
            // Written at the end, then moved into its place.
            let end = out.len();
            value::push_length(self.length, length, out);
            out.copy_within(end.., at);
            out.truncate(end);
        }
        Ok(())
    }

    /// What a message without a length must be: not too long, and without its own trailer inside.
    #[cold]
    fn finish_delimited(&self, out: &mut Vec<u8>, start: usize, body: usize) -> Result<(), FrameError> {
        if self.check {
            let check = redundancy(out.get(start + self.prefix_bytes()..).unwrap_or_default());
            out.push(check);
        }
        let found = out.get(start..).map(|frame| self.next_delimited(frame));
        match found {
            Some(Ok(Some(frame))) if frame.total == out.len() - start => Ok(()),
            _ => {
                out.truncate(start);
                let (length, max) = (u32::try_from(body).unwrap_or(u32::MAX), self.max);
                Err(if body > max as usize {
                    FrameError::TooLong { length, max }
                } else {
                    FrameError::TrailerInside
                })
            }
        }
    }
}

/// The longitudinal redundancy check.
fn redundancy(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |check, byte| check ^ byte)
}

#[inline(always)]
fn largest(length: Prefix) -> u32 {
    let width = u32::from(length.width);
    if length.encoding == Encoding::Binary {
        return if width < 4 { (1 << (8 * width)) - 1 } else { u32::MAX };
    }
    largest_in_digits(length, width)
}

#[cold]
fn largest_in_digits(length: Prefix, width: u32) -> u32 {
    let base: u64 = match length.encoding {
        Encoding::Ascii | Encoding::Ebcdic => 10,
        Encoding::Bcd => 100,
        Encoding::Hex | Encoding::Binary => 16,
    };
    base.checked_pow(width).map_or(u32::MAX, |end| u32::try_from(end - 1).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Found = Result<Option<Frame>, FrameError>;

    fn framing(encoding: Encoding, width: u8) -> Framing {
        Framing { length: Prefix { encoding, width }, ..Framing::default() }
    }

    /// STX, the message, ETX, and the check.
    fn serial() -> Framing {
        let none = framing(Encoding::Binary, 0);
        Framing { before: 1, reserved: vec![2], trailer: vec![3], check: true, ..none }
    }

    fn variants() -> Vec<Framing> {
        let two = framing(Encoding::Binary, 2);
        vec![
            two.clone(),
            Framing { inclusive: true, ..two.clone() },
            Framing { little_endian: true, ..two.clone() },
            Framing { before: 2, ..two.clone() },
            Framing { after: 2, session_control: true, ..two.clone() },
            Framing { trailer: vec![3], ..two.clone() },
            framing(Encoding::Binary, 4),
            framing(Encoding::Binary, 3),
            framing(Encoding::Bcd, 2),
            framing(Encoding::Ascii, 4),
            framing(Encoding::Hex, 4),
            Framing { inclusive: true, ..framing(Encoding::Ascii, 6) },
            framing(Encoding::Ebcdic, 4),
            framing(Encoding::Binary, 6),
            Framing { trailer: vec![3], trailer_counted: false, ..two.clone() },
            Framing { inclusive: true, trailer: vec![13, 10], ..framing(Encoding::Bcd, 3) },
            Framing { trailer: vec![3], ..framing(Encoding::Binary, 0) },
            Framing { before: 1, trailer: vec![3, 0xff], ..framing(Encoding::Binary, 0) },
            Framing { before: 1, after: 1, reserved: vec![0x60, 0x01], ..two },
            serial(),
        ]
    }

    fn frames(framing: &Framing, bodies: &[&[u8]]) -> Vec<u8> {
        let mut stream = Vec::new();
        for body in bodies {
            let start = framing.begin(&mut stream);
            stream.extend_from_slice(body);
            framing.finish(&mut stream, start).expect("short enough");
        }
        stream
    }

    #[test]
    fn several_frames_in_one_read_and_one_frame_in_many() {
        let bodies: &[&[u8]] = &[b"one", b"another message", &[0; 300]];
        for framing in variants() {
            let stream = frames(&framing, bodies);
            for split in 0..=stream.len() {
                // What has arrived up to the split, then the rest.
                let mut at = 0;
                let mut found = Vec::new();
                for arrived in [split, stream.len()] {
                    while let Some(frame) = framing.next(&stream[at..arrived]).expect("a right stream") {
                        assert_eq!(frame.kind, Kind::Message);
                        found.push(&stream[at..][frame.body]);
                        at += frame.total;
                    }
                }
                assert_eq!(found, bodies, "{framing:?} split at {split}");
            }
        }
    }

    #[test]
    fn a_length_above_the_limit_is_an_error_before_its_bytes_arrive() {
        for framing in variants() {
            let framing = Framing { max: 100, ..framing };
            let mut stream = Vec::new();
            let start = framing.begin(&mut stream);
            stream.extend_from_slice(&[1; 120]);
            assert!(framing.finish(&mut stream, start).is_err());
            assert!(stream.is_empty(), "what could not be written is taken back");
            let wide = Framing { max: 4096, ..framing.clone() };
            let stream = frames(&wide, &[&[1; 101]]);
            // Without a length it is known with the first byte that is too much.
            let known = if framing.length.width == 0 { 100 + framing.trailer.len() } else { 0 };
            let head = &stream[..framing.prefix_bytes() + known];
            assert!(matches!(framing.next(head), Err(FrameError::TooLong { .. })), "{framing:?}");
        }
    }

    #[test]
    fn keep_alive_session_control_and_broken_lengths() {
        let visa = Framing { after: 2, session_control: true, ..framing(Encoding::Binary, 2) };
        let etx = Framing { trailer: vec![3], ..framing(Encoding::Binary, 2) };
        let apart = Framing { trailer_counted: false, ..etx.clone() };
        let delimited = Framing { trailer: vec![3], ..framing(Encoding::Binary, 0) };
        let inclusive = Framing { inclusive: true, ..framing(Encoding::Binary, 2) };
        let ascii = framing(Encoding::Ascii, 4);
        let frame = |total, body, kind| Ok(Some(Frame { total, body, kind }));
        let long = [0, 15, 0, 0x20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
        let table: &[(&Framing, &[u8], Found)] = &[
            (&visa, &[0, 0, 0, 0], frame(4, 4..4, Kind::KeepAlive)),
            (&visa, &[0, 0, 0, 0x20, 9], frame(4, 4..4, Kind::SessionControl)),
            (&visa, &long[..18], Ok(None)),
            (&visa, &long, frame(19, 4..19, Kind::SessionControl)),
            (&visa, &[0, 1, 0, 0x10, 9], frame(5, 4..5, Kind::Message)),
            (&ascii, b"0000", frame(4, 4..4, Kind::KeepAlive)),
            (&ascii, b"00x0", Err(FrameError::LengthNotDigits)),
            (&ascii, b"000", Ok(None)),
            (&inclusive, &[0, 0], frame(2, 2..2, Kind::KeepAlive)),
            (&inclusive, &[0, 2], frame(2, 2..2, Kind::KeepAlive)),
            (&inclusive, &[0, 1], Err(FrameError::TooShort)),
            (&etx, &[0, 2, 65, 3], frame(4, 2..3, Kind::Message)),
            (&etx, &[0, 2, 65, 4], Err(FrameError::NoTrailer)),
            (&etx, &[0, 2, 65], Ok(None)),
            (&etx, &[0, 1, 3], frame(3, 2..2, Kind::KeepAlive)),
            (&apart, &[0, 1, 65, 3], frame(4, 2..3, Kind::Message)),
            (&apart, &[0, 0, 3], frame(3, 2..2, Kind::KeepAlive)),
            (&apart, &[0, 0], Ok(None)),
            (&apart, &[0, 0, 4], Err(FrameError::NoTrailer)),
            (&delimited, &[65, 66, 3, 67], frame(3, 0..2, Kind::Message)),
            (&delimited, &[3, 3], frame(1, 0..0, Kind::KeepAlive)),
            (&delimited, &[65, 66], Ok(None)),
            (&delimited, &[], Ok(None)),
            (&serial(), &[2, 65, 66, 3, 65 ^ 66 ^ 3, 2], frame(5, 1..3, Kind::Message)),
            // The check may be like the trailer.
            (&serial(), &[2, 65, 65, 3, 3], frame(5, 1..3, Kind::Message)),
            (&serial(), &[2, 3, 3], frame(3, 1..1, Kind::KeepAlive)),
            (&serial(), &[2, 65, 66, 3], Ok(None)),
            (&serial(), &[2, 65, 66, 3, 9], Err(FrameError::WrongCheck)),
            (&serial(), &[65], Err(FrameError::WrongBegin)),
            (&serial(), &[], Ok(None)),
        ];
        for (framing, bytes, expected) in table {
            assert_eq!(&framing.next(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn a_message_that_has_its_own_trailer_inside_is_not_written() {
        let framing = Framing { trailer: vec![3], ..framing(Encoding::Binary, 0) };
        let mut stream = vec![7];
        let start = framing.begin(&mut stream);
        stream.extend_from_slice(&[1, 3, 2]);
        assert_eq!(framing.finish(&mut stream, start), Err(FrameError::TrailerInside));
        assert_eq!(stream, [7]);
    }
}
