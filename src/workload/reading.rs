//! Answers read at the cost of a few comparisons: where the fields of interest stand is learned from the first answer
//! of each shape, and every later one is checked to have that shape.

use xxhash_rust::xxh3::xxh3_64;

use crate::dialect::Dialect;
use crate::dialect::inbound::Context;
use crate::dialect::inbound::Inbound;
use crate::domain::party::NameId;
use crate::iso8583::digits;
use crate::iso8583::spec::Encoding;
use crate::iso8583::spec::Length;
use crate::iso8583::view::Spans;
use crate::iso8583::view::View;
use crate::workload::identity::Run;

/// Shapes that are remembered. A daemon has a few tens: one a kind of answer and length.
const SHAPES_MAX: usize = 48;

/// What an answer says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reading {
    /// The exchange's number; `None` when DE 37 is not of this run.
    pub number: Option<u32>,
    /// The MTI, 110 for `0110`.
    pub mti: u16,
    /// DE 39; spaces when absent.
    pub code: [u8; 2],
    /// DE 38; zeros when absent.
    pub approval: [u8; 6],
    /// DE 4, minor units; zero when absent.
    pub amount: u64,
    /// A fingerprint of DE 54; zero when absent.
    pub amounts: u64,
}

impl Reading {
    /// A fingerprint of what it says of money: DE 4 and DE 54.
    #[inline]
    #[must_use]
    pub const fn money(&self) -> u64 {
        self.amount ^ self.amounts
    }
}

/// What came in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Incoming {
    /// An answer.
    Answer(Reading),
    /// A network management request of the peer, which wants an answer.
    Request,
    /// Not readable as either.
    Unreadable,
}

/// One field's content in a frame's body.
#[derive(Clone, Copy, Default, Debug)]
struct Place {
    at: u16,
    bytes: u8,
    encoding: u8,
}

const ASCII: u8 = 0;
const EBCDIC: u8 = 1;
const BCD: u8 = 2;

impl Place {
    fn of(view: &View<'_>, header: usize, field: u8) -> Self {
        let (Some((_, content)), Some(bytes)) = (view.offsets(field), view.content(field)) else {
            return Self::default();
        };
        let encoding = match view.layout().field(field).map(|spec| spec.encoding) {
            Some(Encoding::Ebcdic) => EBCDIC,
            Some(Encoding::Bcd) => BCD,
            _ => ASCII,
        };
        Self { at: (header + content) as u16, bytes: bytes.len() as u8, encoding }
    }

    #[inline]
    fn content<'b>(&self, body: &'b [u8]) -> &'b [u8] {
        let at = usize::from(self.at);
        body.get(at..at + usize::from(self.bytes)).unwrap_or(&[])
    }

    #[inline]
    fn characters<const N: usize>(&self, body: &[u8], blank: u8) -> [u8; N] {
        let mut text = [blank; N];
        for (to, from) in text.iter_mut().zip(self.content(body)) {
            *to = if self.encoding == EBCDIC { digits::from_ebcdic(*from) } else { *from };
        }
        text
    }

    #[inline]
    fn fingerprint(&self, body: &[u8]) -> u64 {
        if self.bytes == 0 { 0 } else { xxh3_64(self.content(body)) }
    }

    #[inline]
    fn number(&self, body: &[u8]) -> u64 {
        let content = self.content(body);
        match self.encoding {
            BCD => digits::bcd_value(content).unwrap_or(0),
            _ => content
                .iter()
                .fold(0, |value: u64, byte| value.wrapping_mul(10).wrapping_add(u64::from(byte & 0x0f))),
        }
    }
}

/// A length, an MTI, bitmaps and the lengths of variable fields: with these equal, fields stand at equal places.
#[derive(Clone, Debug)]
struct Shape {
    length: usize,
    /// From the MTI to the end of the bitmaps.
    head_at: usize,
    head: Vec<u8>,
    /// Single bytes that must be equal: lengths of variable fields, and the header's own length and flags.
    guards: Vec<(u16, u8)>,
    mti: u16,
    amount: Place,
    rrn: Place,
    approval: Place,
    code: Place,
    amounts: Place,
}

impl Shape {
    fn learn(body: &[u8], header: usize, view: &View<'_>) -> Self {
        let first =
            view.fields().iter().filter_map(|field| view.offsets(field)).map(|(start, _)| start).min();
        let head_end = (header + first.unwrap_or(0)).min(body.len());
        let mut guards: Vec<(u16, u8)> =
            (0..header.min(2)).filter_map(|at| Some((at as u16, *body.get(at)?))).collect();
        for field in view.fields().iter() {
            let variable = view.layout().field(field).map(|spec| spec.length);
            if let (Some(Length::Variable { .. }), Some((start, content))) = (variable, view.offsets(field)) {
                guards.extend((start..content).filter_map(|at| {
                    let at = header + at;
                    Some((at as u16, *body.get(at)?))
                }));
            }
        }
        Self {
            length: body.len(),
            head_at: header,
            head: body.get(header..head_end).unwrap_or(&[]).to_vec(),
            guards,
            mti: view.mti(),
            amount: Place::of(view, header, 4),
            rrn: Place::of(view, header, 37),
            approval: Place::of(view, header, 38),
            code: Place::of(view, header, 39),
            amounts: Place::of(view, header, 54),
        }
    }

    #[inline]
    fn fits(&self, body: &[u8]) -> bool {
        body.len() == self.length
            && body[self.head_at..].starts_with(&self.head)
            && self.guards.iter().all(|(at, byte)| body[usize::from(*at)] == *byte)
    }

    #[inline]
    fn read(&self, body: &[u8], run: Run) -> Reading {
        Reading {
            number: run.number_in(self.rrn.characters(body, b' ')),
            mti: self.mti,
            code: self.code.characters(body, b' '),
            approval: self.approval.characters(body, 0),
            amount: self.amount.number(body),
            amounts: self.amounts.fingerprint(body),
        }
    }
}

/// Reads the answers of one dialect in one run.
#[derive(Clone, Debug)]
pub struct Reader {
    dialect: Dialect,
    run: Run,
    shapes: Vec<Shape>,
    spans: Spans,
    any: bool,
}

impl Reader {
    /// A reader that has seen nothing yet.
    #[must_use]
    pub fn new(dialect: Dialect, run: Run) -> Self {
        let shapes = Vec::with_capacity(SHAPES_MAX);
        Self { dialect, run, shapes, spans: Spans::default(), any: false }
    }

    /// Takes every message for an answer: the peer sends frames back as they came.
    pub const fn take_any(&mut self) {
        self.any = true;
    }

    /// The dialect.
    #[must_use]
    pub const fn dialect(&self) -> &Dialect {
        &self.dialect
    }

    /// Reads a frame's body.
    #[inline]
    pub fn read(&mut self, body: &[u8]) -> Incoming {
        match self.shapes.iter().find(|shape| shape.fits(body)) {
            Some(shape) => Incoming::Answer(shape.read(body, self.run)),
            None => self.learn(body),
        }
    }

    fn learn(&mut self, body: &[u8]) -> Incoming {
        let context = Context { network: NameId::default(), link: NameId::default() };
        let Ok(received) = self.dialect.decode(body, context, &mut self.spans) else {
            return Incoming::Unreadable;
        };
        match received.inbound {
            inbound if self.any || matches!(inbound, Inbound::Response(_)) => {
                let shape = Shape::learn(body, received.header.len(), &received.view);
                let reading = shape.read(body, self.run);
                if self.shapes.len() == SHAPES_MAX {
                    self.shapes.remove(0);
                }
                self.shapes.push(shape);
                Incoming::Answer(reading)
            }
            Inbound::NetworkManagement(_) => Incoming::Request,
            _ => Incoming::Unreadable,
        }
    }

    /// Appends the answer to a network management request of the peer.
    pub fn answer_request(&mut self, body: &[u8], out: &mut Vec<u8>) {
        let context = Context { network: NameId::default(), link: NameId::default() };
        let Ok(received) = self.dialect.decode(body, context, &mut self.spans) else { return };
        if let Inbound::NetworkManagement(request) = received.inbound {
            // What cannot be written is not answered; the peer asks again.
            let _not_written = self.dialect.write_network_answer(&received, &request, out);
        }
    }
}
