//! The numbers that an authorization is made of, and the way in which nearly all dialects write them: each with the
//! same digits, packed or one a byte. What is known beforehand need not be looked up for each message.

use crate::iso8583::spec::Inside;
use crate::iso8583::spec::Layout;
use crate::iso8583::spec::place;
use crate::iso8583::view::View;

/// The fields, with their digits.
const USUAL: [(u8, u16); 12] = [
    (3, 6),
    (4, 12),
    (6, 12),
    (7, 10),
    (11, 6),
    (13, 4),
    (14, 4),
    (15, 4),
    (17, 4),
    (18, 4),
    (19, 3),
    (22, 3),
];

/// How many digits a field usually has; zero of those that are always looked up.
#[inline(always)]
const fn usual_digits(field: u8) -> u16 {
    let mut at = 0;
    while at < USUAL.len() {
        if USUAL[at].0 == field {
            return USUAL[at].1;
        }
        at += 1;
    }
    0
}

/// How a message's numbers are read.
pub(super) trait Digits {
    /// A field as a number, as [`View::number`] reads it.
    fn number(view: &View<'_>, field: u8) -> Option<u64>;
}

/// By the table's rows.
pub(super) enum Any {}

/// Digits of one byte each in the usual fields.
pub(super) enum Zoned {}

/// BCD in the usual fields.
pub(super) enum Packed {}

impl Digits for Any {
    #[inline(always)]
    fn number(view: &View<'_>, field: u8) -> Option<u64> {
        view.number(field)
    }
}

impl Digits for Zoned {
    #[inline(always)]
    fn number(view: &View<'_>, field: u8) -> Option<u64> {
        // The field is a constant wherever this is inlined, and so is its arm.
        match usual_digits(field) {
            3 => view.zoned_number::<3>(field),
            4 => view.zoned_number::<4>(field),
            6 => view.zoned_number::<6>(field),
            10 => view.zoned_number::<10>(field),
            12 => view.zoned_number::<12>(field),
            _ => view.number(field),
        }
    }
}

impl Digits for Packed {
    #[inline(always)]
    fn number(view: &View<'_>, field: u8) -> Option<u64> {
        match usual_digits(field).div_ceil(2) {
            2 => view.packed_number::<2>(field),
            3 => view.packed_number::<3>(field),
            5 => view.packed_number::<5>(field),
            6 => view.packed_number::<6>(field),
            _ => view.number(field),
        }
    }
}

/// How a dialect writes the usual fields.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Writing {
    Zoned,
    Packed,
}

/// What a dialect's table says of the usual fields.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usual {
    writing: Writing,
    /// Those that it writes in another way, the first field in the lowest bit.
    others: u64,
}

impl Usual {
    /// What a table says.
    pub(super) fn of(layout: &Layout) -> Self {
        let others = |inside: Inside| {
            let others = USUAL.iter().filter(|(field, digits)| {
                let (row, half) = (&layout.rows()[place(*field)], u16::from(inside == Inside::Bcd));
                row.inside != inside || row.digits == 0 || row.bytes != (digits + half) >> half
            });
            others.fold(0_u64, |others, (field, _)| others | 1 << place(*field))
        };
        let (zoned, packed) = (others(Inside::Zoned), others(Inside::Bcd));
        if packed.count_ones() < zoned.count_ones() {
            Self { writing: Writing::Packed, others: packed }
        } else {
            Self { writing: Writing::Zoned, others: zoned }
        }
    }

    /// How all of the usual fields of this message are written; `None` when one is written in another way.
    #[inline(always)]
    pub(super) fn in_message(self, view: &View<'_>) -> Option<Writing> {
        (view.fields().word(0) & self.others == 0).then_some(self.writing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Dialect;
    use crate::iso8583::spec::Bitmaps;
    use crate::iso8583::spec::FieldSet;
    use crate::iso8583::value::Value;
    use crate::iso8583::view::Spans;

    #[test]
    fn usual_fields_are_read_as_the_table_says() {
        // What each dialect writes in another way than most.
        let table: [(&str, Writing, &[u8]); 4] = [
            ("visa", Writing::Packed, &[17]),
            ("mastercard", Writing::Zoned, &[]),
            ("iso87-ascii", Writing::Zoned, &[]),
            ("iso87-binary", Writing::Packed, &[]),
        ];
        for (name, writing, others) in table {
            let dialect = Dialect::built_in(name).expect("compiled in");
            assert_eq!(
                (dialect.usual.writing, dialect.usual.others),
                (writing, FieldSet::of(others).word(0))
            );
            let texts = USUAL.map(|(field, digits)| {
                let digit = |at: u16| char::from(b'0' + ((at * 7 + u16::from(field) * 3) % 10) as u8);
                (field, (0..digits).map(digit).collect::<String>())
            });
            for left_out in (0..=64).filter(|field| *field == 0 || usual_digits(*field) > 0) {
                let values: Vec<(u8, Value<'_>)> = texts
                    .iter()
                    .filter(|(field, _)| *field != left_out)
                    .map(|(field, text)| (*field, Value::Text(text)))
                    .collect();
                let mut message = Vec::new();
                dialect.compose_message(100, &values, Bitmaps::AS_NEEDED, &mut message).expect("a message");
                let mut spans = Spans::default();
                let Ok(view) = View::parse(dialect.layout(), &message, &mut spans) else {
                    panic!("{name}: it is right");
                };
                let all = others.iter().all(|other| *other == left_out);
                assert_eq!(dialect.usual.in_message(&view), all.then_some(writing), "{name} {left_out}");
                for field in (0..=64).filter(|field| !others.contains(field)) {
                    let read = match writing {
                        Writing::Zoned => Zoned::number(&view, field),
                        Writing::Packed => Packed::number(&view, field),
                    };
                    assert_eq!(read, view.number(field), "{name} {field} without {left_out}");
                    assert_eq!(Any::number(&view, field), read);
                }
            }
        }
    }
}
