//! Captures as messages, one after the other, however long they are.
//!
//! Bytes are read as one stream. Text is read in blocks that end where a line does, or where a dump begins anew; its
//! pieces, lines of hex or captured packets, are one stream too, unless one of them is right by itself and the stream
//! is not: then it came between the parts of another, as in a capture of both directions.

use std::io::Read;

use crate::dialect::Dialect;
use crate::dialect::inbound::Context;
use crate::dialect::inbound::Fault;
use crate::domain::party::NameId;
use crate::edge::decode::input;
use crate::edge::decode::input::Coding;
use crate::edge::decode::input::InputError;
use crate::iso8583::frame::FrameError;
use crate::iso8583::frame::Kind;
use crate::iso8583::view::Spans;
use crate::iso8583::view::View;

/// Bytes that are read at once.
const BLOCK: usize = 1 << 20;
/// Most bytes of text without a place where they could be cut.
const TEXT_MAX: usize = 64 << 20;
/// Most bytes of packets that may gather for a frame whose end has not come.
const REST_MAX: usize = 1 << 20;

/// Why an input cannot be read on.
#[derive(Debug, thiserror::Error)]
pub(super) enum CaptureError {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Input(#[from] InputError),
    #[error("line {line} begins a part of {TEXT_MAX} bytes that cannot be cut; give it as bytes (`xxd -r`)")]
    TooLong { line: usize },
}

/// What stands at a place of a capture.
pub(super) enum Found<'m> {
    /// A message without its frame.
    Message(&'m [u8]),
    /// Bytes that are none, and why.
    Broken(String),
}

/// Takes what is found, with the offset where it starts.
pub(super) type Taker<'t> = &'t mut dyn FnMut(u64, Found<'_>);

/// What a message has, when nothing is wrong with its bytes.
pub(super) fn view<'m>(
    dialect: &'m Dialect,
    body: &'m [u8],
    spans: &'m mut Spans,
) -> Result<View<'m>, Fault> {
    let context = Context { network: NameId(0), link: NameId(0) };
    match dialect.decode(body, context, spans) {
        Ok(received) => Ok(received.view),
        // What an answer is told by can be read all the same.
        Err(malformed) => match (malformed.fault, malformed.view) {
            (Fault::Field { .. }, Some(view)) => Ok(view),
            (fault, _) => Err(fault),
        },
    }
}

/// One input on its way through.
pub(super) struct Capture<'d> {
    dialect: &'d Dialect,
    /// Bytes of messages so far, as the input has them.
    at: u64,
    /// The beginning of a frame, and where it stands.
    rest: Vec<u8>,
    rest_at: u64,
    /// Nobody knows any more where a frame begins.
    lost: bool,
}

impl<'d> Capture<'d> {
    pub(super) const fn new(dialect: &'d Dialect) -> Self {
        Self { dialect, at: 0, rest: Vec::new(), rest_at: 0, lost: false }
    }

    /// Reads an input to its end.
    ///
    /// # Errors
    /// It cannot be read, or is not written as `coding` says. What was read before was taken.
    pub(super) fn read(
        mut self,
        reader: &mut dyn Read,
        coding: Coding,
        take: Taker<'_>,
    ) -> Result<(), CaptureError> {
        let mut block = Vec::with_capacity(BLOCK);
        reader.take(BLOCK as u64).read_to_end(&mut block)?;
        if coding == Coding::Raw || coding == Coding::Auto && !block.iter().all(|byte| input::is_text(*byte))
        {
            while !block.is_empty() {
                self.stream(&block, take);
                block.clear();
                reader.take(BLOCK as u64).read_to_end(&mut block)?;
            }
            self.ends(take);
            return Ok(());
        }
        let mut lines = 0;
        loop {
            let before = block.len();
            reader.take(BLOCK as u64).read_to_end(&mut block)?;
            let is_end = block.len() == before;
            let cut = if is_end { Some(block.len()) } else { input::cut(&block) };
            match cut {
                Some(cut) => {
                    let text = block.get(..cut).unwrap_or_default();
                    match input::read(text, coding) {
                        Ok(pieces) => pieces.iter().for_each(|piece| self.packet(piece, take)),
                        // Blank lines at the end.
                        Err(InputError::Empty) if lines > 0 => {}
                        Err(error) => return Err(error.further(lines).into()),
                    }
                    lines += text.iter().filter(|byte| **byte == b'\n').count();
                    block.drain(..cut);
                }
                None if block.len() > TEXT_MAX => return Err(CaptureError::TooLong { line: lines + 1 }),
                None => {}
            }
            if is_end {
                self.ends(take);
                return Ok(());
            }
        }
    }

    /// Bytes that follow on those before.
    fn stream(&mut self, bytes: &[u8], take: Taker<'_>) {
        let at = self.at;
        self.at += bytes.len() as u64;
        if self.lost {
            return;
        }
        let (rest, rest_at) = (core::mem::take(&mut self.rest), self.rest_at);
        let joined = if rest.is_empty() { bytes.to_vec() } else { [&rest, bytes].concat() };
        self.lost = self.walk(&joined, (rest.len(), rest_at, at), take).is_err();
    }

    /// A line of hex or a packet.
    fn packet(&mut self, bytes: &[u8], take: Taker<'_>) {
        let at = self.at;
        self.at += bytes.len() as u64;
        let joined = [&self.rest, bytes].concat();
        let goes_on = !self.rest.is_empty() && self.begins_frame(&joined);
        if !goes_on && self.are_frames(bytes) {
            // What was begun before it may go on behind it.
            let (rest, rest_at) = (core::mem::take(&mut self.rest), self.rest_at);
            let _whole = self.walk(bytes, (0, at, at), take);
            (self.rest, self.rest_at) = (rest, rest_at);
            return;
        }
        if !goes_on && self.reads(bytes) {
            // A message without framing: what came before it was none that goes on.
            self.ends(take);
            take(at, Found::Message(bytes));
            return;
        }
        let (begun, rest_at) = (self.rest.len(), self.rest_at);
        self.rest.clear();
        // Where nothing fits any more, the next packet begins a frame.
        let _lost = self.walk(&joined, (begun, rest_at, at), take);
        if self.rest.len() > REST_MAX {
            self.ends(take);
        }
    }

    /// Takes every whole frame, and keeps what is left. `place` says how many of the bytes came before, where they
    /// stand, and where the others do.
    fn walk(&mut self, bytes: &[u8], place: (usize, u64, u64), take: Taker<'_>) -> Result<(), FrameError> {
        let (begun, begun_at, others_at) = place;
        let place = |at: usize| match at.checked_sub(begun) {
            Some(further) => others_at + further as u64,
            None => begun_at + at as u64,
        };
        let mut at = 0;
        while let Some(left) = bytes.get(at..).filter(|left| !left.is_empty()) {
            match self.dialect.frame(left) {
                Ok(Some(frame)) => {
                    if frame.kind == Kind::Message {
                        take(place(at), Found::Message(left.get(frame.body).unwrap_or_default()));
                    }
                    at += frame.total;
                }
                Ok(None) => {
                    self.rest = left.to_vec();
                    self.rest_at = place(at);
                    break;
                }
                Err(error) => {
                    take(place(at), Found::Broken(format!("no frame begins here: {error}")));
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Nothing more comes of a frame that was begun.
    fn ends(&mut self, take: Taker<'_>) {
        if !self.rest.is_empty() {
            let bytes = self.rest.len();
            take(
                self.rest_at,
                Found::Broken(format!("the input ends inside the frame, after {bytes} bytes")),
            );
            self.rest.clear();
        }
    }

    fn reads(&self, body: &[u8]) -> bool {
        view(self.dialect, body, &mut Spans::default()).is_ok()
    }

    fn begins_frame(&self, bytes: &[u8]) -> bool {
        match self.dialect.frame(bytes) {
            Ok(Some(frame)) => {
                frame.kind != Kind::Message || self.reads(bytes.get(frame.body).unwrap_or_default())
            }
            _ => false,
        }
    }

    /// Whether bytes are whole frames to their end, and the first of them is right.
    fn are_frames(&self, bytes: &[u8]) -> bool {
        let mut at = 0;
        while let Some(left) = bytes.get(at..).filter(|left| !left.is_empty()) {
            match self.dialect.frame(left) {
                Ok(Some(frame)) => at += frame.total,
                _ => return false,
            }
        }
        self.begins_frame(bytes)
    }
}
