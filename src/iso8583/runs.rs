//! Fields of fixed length with nothing but digits: those that stand side by side are placed one after the other and
//! checked at once.

use crate::iso8583::digits;
use crate::iso8583::read::Span;
use crate::iso8583::spec::Encoding;
use crate::iso8583::spec::Inside;
use crate::iso8583::spec::Row;
use crate::iso8583::spec::Shape;
use crate::iso8583::spec::place;

/// The same offset as a span's start, content and end.
const THREE_TIMES: u64 = 0x0001_0001_0001;

/// Which fields can be in a run: their digits are written as the MTI's are, as those of nearly all fields.
#[derive(Clone, Debug)]
pub(crate) struct Runs {
    /// The byte of the digit zero; 0 of BCD.
    zero: u8,
    /// By bitmap, the first field in the lowest bit; there is a word for every place that a row has.
    fields: [u64; 4],
    /// Those of them that begin with a spare nibble.
    odd: [u64; 4],
    steps: Box<[Step; 256]>,
}

/// What one field adds.
#[derive(Clone, Copy, Debug)]
struct Step {
    /// To its own start, as a span.
    span: u64,
    /// To the start of the next one, in all of a span's places.
    next: u64,
}

impl Runs {
    /// Without fields.
    pub(crate) fn new(encoding: Encoding) -> Self {
        let steps = Box::new([Step { span: 0, next: 0 }; 256]);
        Self { zero: encoding.zero(), fields: [0; 4], odd: [0; 4], steps }
    }

    /// Takes a field up, or leaves it out, by its row.
    pub(crate) fn define(&mut self, field: u8, row: &Row) {
        let (place, bcd) = (place(field), row.inside == Inside::Bcd);
        let fixed = matches!(row.shape, Shape::Fixed | Shape::Wide);
        let taken = fixed && row.zero == self.zero && (bcd || row.inside == Inside::Zoned);
        let odd = taken && bcd && row.units % 2 == 1;
        for (fields, has) in [(&mut self.fields, taken), (&mut self.odd, odd)] {
            let word = &mut fields[place / 64];
            *word = *word & !(1 << (place % 64)) | u64::from(has) << (place % 64);
        }
        self.steps[place] = Step { span: row.span, next: u64::from(row.bytes) * THREE_TIMES };
    }

    /// The fields of one bitmap that can be in a run.
    #[inline(always)]
    pub(crate) const fn word(&self, bitmap: usize) -> u64 {
        self.fields[bitmap & 3]
    }

    /// Reads some of these fields, which stand side by side from `start` on, and says where they end; `None` when one
    /// of them is wrong. Every message has at least eight bytes in front of its first field.
    #[inline(always)]
    pub(super) fn read(
        &self,
        bitmap: usize,
        run: u64,
        body: &[u8],
        start: u32,
        spans: &mut [Span; 64],
    ) -> Option<u32> {
        let steps = &self.steps.as_chunks::<64>().0[bitmap & 3];
        let (mut rest, mut at) = (run, u64::from(start) * THREE_TIMES);
        while rest != 0 {
            let place = (rest.trailing_zeros() & 63) as usize;
            rest &= rest - 1;
            spans[place] = Span::at(at, steps[place].span);
            at += steps[place].next;
        }
        // Nothing is lost above the highest of the three: an end behind the longest message is found here.
        let end = (at >> 32) as usize;
        let right = if self.zero == 0 {
            digits::are_bcd(body, start as usize, end) && self.pads_are_right(bitmap, run, body, spans)
        } else {
            digits::are_zoned(body, start as usize, end, self.zero)
        };
        right.then_some(end as u32)
    }

    /// Whether the spare nibbles of a run are zeros.
    #[inline(always)]
    fn pads_are_right(&self, bitmap: usize, run: u64, body: &[u8], spans: &[Span; 64]) -> bool {
        let (mut odd, mut first) = (run & self.odd[bitmap & 3], 0);
        while odd != 0 {
            first |= body.get(spans[(odd.trailing_zeros() & 63) as usize].start()).copied().unwrap_or(0xff);
            odd &= odd - 1;
        }
        first >> 4 == 0
    }
}
