//! What is kept of a closed authorization, and the numbers that it is stored as.

use std::fmt;

use crate::domain::action::ActionCode;
use crate::domain::card::CardRef;
use crate::domain::closed::Counted;
use crate::domain::event::Sequence;
use crate::domain::fee::CodeAndCharge;
use crate::domain::money::Currency;
use crate::domain::product::ProductNumber;
use crate::domain::time::Timestamp;
use crate::ledger::authorization::Authorization;
use crate::ledger::authorization::AuthorizationState;
use crate::ledger::authorization::LegState;
use crate::ledger::slab::NONE;

const SECONDS_PER_DAY: u64 = 86_400;

/// A day of the journal's time: days since 1970-01-01 UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Day(pub u32);

impl Day {
    /// The day of a point in time.
    #[must_use]
    pub const fn of(time: Timestamp) -> Self {
        Self((time.seconds() / SECONDS_PER_DAY) as u32)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let civil = Timestamp::from_seconds(u64::from(self.0) * SECONDS_PER_DAY).civil();
        write!(f, "{:04}-{:02}-{:02}", civil.year, civil.month, civil.day)
    }
}

/// One closed authorization as of one record. Its card and its own sequence name it; of two states of it the one with
/// the later version counts.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Its card.
    pub card: CardRef,
    /// The record at which it left memory, or which has changed it since.
    pub version: Sequence,
    /// What the ledger kept of it, without positions. DE 41 and DE 42 are the ledger's fingerprints: the same as long
    /// as the master key is.
    pub authorization: Authorization,
    /// What limits had counted of it.
    pub counted: Option<Counted>,
}

impl Entry {
    /// What is kept of an authorization that leaves memory. That it came back before is told apart, by which call gives
    /// it to the history.
    #[must_use]
    pub const fn new(
        card: CardRef,
        version: Sequence,
        authorization: &Authorization,
        counted: Option<Counted>,
    ) -> Self {
        let authorization = Authorization {
            chain_next: NONE,
            card: NONE,
            closed_previous: NONE,
            closed_next: NONE,
            class: authorization.class & !Authorization::RECALLED,
            ..*authorization
        };
        Self { card, version, authorization, counted }
    }

    /// `again`: an earlier version may be in the runs of another day.
    pub(super) fn row(&self, again: bool) -> Row {
        let of = &self.authorization;
        let (rrn_high, rrn_low) = numbers_of_text(&of.rrn);
        let [counted, counted_at, counted_amount, counted_by, counted_as] = self.counted_numbers();
        let outcome = u64::from(again)
            | (of.state as u64) << 1
            | u64::from(of.class) << 5
            | u64::from(of.legs.0) << 13
            | (of.action as u64) << 21;
        [
            self.card.0,
            !of.sequence.0,
            self.version.0,
            of.network_reference,
            of.acquirer,
            rrn_high,
            rrn_low,
            of.stan.into(),
            of.transmission.into(),
            of.terminal.into(),
            of.merchant.into(),
            number_of_code(of.approval_code),
            of.network.into(),
            of.coded.bits().into(),
            ordered(of.amount),
            difference(of.amount, of.taken),
            difference(of.amount, of.answered),
            self.version.0.wrapping_sub(of.closed_by.0),
            of.changed_s.into(),
            of.hold_until_s.into(),
            of.currency.into(),
            of.account.into(),
            outcome,
            counted,
            counted_at,
            counted_amount,
            counted_by,
            counted_as,
        ]
    }

    /// `None` for numbers that no entry is stored as.
    pub(super) fn from_row(row: &Row) -> Option<Self> {
        let narrow = |column: usize| u32::try_from(row[column]).ok();
        let short = |column: usize| u16::try_from(row[column]).ok();
        let amount = (row[AMOUNT] ^ SIGN) as i64;
        let outcome = row[OUTCOME];
        let authorization = Authorization {
            sequence: Sequence(!row[MADE]),
            network_reference: row[NETWORK_REFERENCE],
            acquirer: row[ACQUIRER],
            rrn: text_of_numbers(row[RRN_HIGH], row[RRN_LOW])?,
            stan: narrow(STAN)?,
            transmission: narrow(TRANSMISSION)?,
            terminal: narrow(TERMINAL)?,
            merchant: narrow(MERCHANT)?,
            chain_next: NONE,
            card: NONE,
            approval_code: code_of_number(row[APPROVAL_CODE])?,
            network: short(NETWORK)?,
            coded: CodeAndCharge::from_bits(narrow(CODED)?)?,
            amount,
            taken: amount.wrapping_sub(undo_zigzag(row[TAKEN])),
            answered: amount.wrapping_sub(undo_zigzag(row[ANSWERED])),
            closed_by: Sequence(row[VERSION].wrapping_sub(row[CLOSED_BY])),
            changed_s: narrow(CHANGED)?,
            hold_until_s: narrow(HOLD_UNTIL)?,
            closed_previous: NONE,
            closed_next: NONE,
            currency: short(CURRENCY)?,
            account: short(ACCOUNT)?,
            action: ActionCode::from_code(u8::try_from(outcome >> 21).ok()?)?,
            class: (outcome >> 5) as u8,
            state: AuthorizationState::from_code((outcome >> 1 & 15) as u8)?,
            legs: LegState((outcome >> 13) as u8),
        };
        let counted = counted_of(row, &authorization)?;
        Some(Self { card: CardRef(row[CARD]), version: Sequence(row[VERSION]), authorization, counted })
    }

    /// Zeros for nothing.
    fn counted_numbers(&self) -> [u64; 5] {
        let Some(of) = &self.counted else { return [0; 5] };
        let [card, wallet, product] = of.by.map(u64::from);
        [
            // One more, so that it is told from nothing.
            of.record.0.wrapping_sub(self.authorization.sequence.0).wrapping_add(1),
            of.at_s.into(),
            difference(self.authorization.taken, of.amount),
            card | wallet << 16 | product << 32,
            u64::from(of.currency.numeric())
                | u64::from(of.first) << 16
                | u64::from(of.product.map_or(0, ProductNumber::get)) << 17,
        ]
    }
}

/// What limits had counted, by the numbers of a row; the outer `None` for numbers that nothing is stored as.
fn counted_of(row: &Row, authorization: &Authorization) -> Option<Option<Counted>> {
    let Some(after) = row[COUNTED].checked_sub(1) else {
        return (row[COUNTED..] == [0; 5]).then_some(None);
    };
    let (by, kind) = (row[COUNTED_BY], row[COUNTED_AS]);
    let number = u8::try_from(kind >> 17).ok()?;
    Some(Some(Counted {
        record: Sequence(authorization.sequence.0.wrapping_add(after)),
        amount: authorization.taken.wrapping_sub(undo_zigzag(row[COUNTED_AMOUNT])),
        at_s: u32::try_from(row[COUNTED_AT]).ok()?,
        by: [by as u16, (by >> 16) as u16, u16::try_from(by >> 32).ok()?],
        currency: Currency::from_number(kind as u16)?,
        first: kind >> 16 & 1 != 0,
        product: if number == 0 { None } else { Some(ProductNumber::new(number)?) },
    }))
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.row(false) == other.row(false)
    }
}

impl Eq for Entry {}

/// How many numbers an entry is.
pub(super) const COLUMNS: usize = 28;
/// An entry as numbers, each of which a block stores in as few bytes as the rows of the block need.
pub(super) type Row = [u64; COLUMNS];

// The first two are the key, in the order of the runs: by card, newest first. The third tells which of two rows with
// one key counts.
pub(super) const CARD: usize = 0;
/// All bits of the sequence inverted, so that the newest comes first.
pub(super) const MADE: usize = 1;
pub(super) const VERSION: usize = 2;
pub(super) const NETWORK_REFERENCE: usize = 3;
const ACQUIRER: usize = 4;
pub(super) const RRN_HIGH: usize = 5;
pub(super) const RRN_LOW: usize = 6;
pub(super) const STAN: usize = 7;
const TRANSMISSION: usize = 8;
pub(super) const TERMINAL: usize = 9;
pub(super) const MERCHANT: usize = 10;
pub(super) const APPROVAL_CODE: usize = 11;
pub(super) const NETWORK: usize = 12;
/// DE 3, and what is charged.
const CODED: usize = 13;
/// In the order of the amounts, negative ones first.
pub(super) const AMOUNT: usize = 14;
/// As its difference to the amount, which is mostly zero or the amount itself; the next one too.
const TAKEN: usize = 15;
const ANSWERED: usize = 16;
/// As how far it is before the version.
const CLOSED_BY: usize = 17;
pub(super) const CHANGED: usize = 18;
const HOLD_UNTIL: usize = 19;
pub(super) const CURRENCY: usize = 20;
const ACCOUNT: usize = 21;
/// Bits: again, state 4, class 8, legs 8, action 8.
pub(super) const OUTCOME: usize = 22;
pub(super) const AGAIN_BIT: u64 = 1;
/// What limits had counted; zeros for nothing: the record, as one more than how far it is after the first; when; how
/// much, as the difference to what was taken; by which limits; and currency, whether as one more use, and product.
const COUNTED: usize = 23;
const COUNTED_AT: usize = 24;
const COUNTED_AMOUNT: usize = 25;
const COUNTED_BY: usize = 26;
const COUNTED_AS: usize = 27;

const SIGN: u64 = 1 << 63;

/// A row's key: by it runs are sorted.
pub(super) const fn key(row: &Row) -> u128 {
    key_of(row[CARD], row[MADE])
}

/// The key of a row with these numbers.
pub(super) const fn key_of(card: u64, made: u64) -> u128 {
    (card as u128) << 64 | made as u128
}

/// The key of a card's authorization that was made by this record.
pub(super) const fn entry_key(card: CardRef, made: Sequence) -> u128 {
    key_of(card.0, !made.0)
}

/// A signed number as an unsigned one, in the same order.
pub(super) const fn ordered(value: i64) -> u64 {
    value as u64 ^ SIGN
}

const fn difference(from: i64, value: i64) -> u64 {
    let difference = from.wrapping_sub(value);
    (difference << 1 ^ difference >> 63) as u64
}

const fn undo_zigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// A reference number of twelve digits, which it mostly is, as that number; anything else byte by byte, marked.
pub(super) fn numbers_of_text(text: &[u8; 12]) -> (u64, u64) {
    if text.iter().all(u8::is_ascii_digit) {
        return (0, text.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')));
    }
    let bytes = text.iter().fold(0_u128, |bytes, byte| bytes << 8 | u128::from(*byte));
    (1 << 32 | (bytes >> 64) as u64, bytes as u64)
}

fn text_of_numbers(high: u64, low: u64) -> Option<[u8; 12]> {
    let mut text = [b'0'; 12];
    if high == 0 {
        let mut number = low;
        for digit in text.iter_mut().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
        }
        return (number == 0).then_some(text);
    }
    text[..4].copy_from_slice(&(high as u32).to_be_bytes());
    text[4..].copy_from_slice(&low.to_be_bytes());
    (high >> 32 == 1).then_some(text)
}

/// Bytes that are none of 0-9 and A-Z are kept as they are behind this bit.
const CODE_BYTES: u64 = 1 << 48;
/// Six characters of 36.
const CODES: u64 = 36_u64.pow(6);

/// Zero for none; one more than the value of its characters for an approval code (R8).
pub(super) fn number_of_code(code: [u8; 6]) -> u64 {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(u64::from(byte - b'0')),
        b'A'..=b'Z' => Some(u64::from(byte - b'A') + 10),
        _ => None,
    };
    let value = code.iter().try_fold(0, |value, byte| Some(value * 36 + digit(*byte)?));
    match value {
        Some(value) => value + 1,
        None if code == [0; 6] => 0,
        None => code.iter().fold(1, |bytes, byte| bytes << 8 | u64::from(*byte)),
    }
}

fn code_of_number(number: u64) -> Option<[u8; 6]> {
    let mut code = [0; 6];
    if number >= CODE_BYTES {
        code.copy_from_slice(&number.to_be_bytes()[2..]);
        return (number >> 48 == 1).then_some(code);
    }
    let Some(mut value) = number.checked_sub(1) else { return Some(code) };
    for byte in code.iter_mut().rev() {
        let digit = (value % 36) as u8;
        *byte = if digit < 10 { b'0' + digit } else { b'A' + digit - 10 };
        value /= 36;
    }
    (number <= CODES).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_codes_come_back() {
        let texts = [b"000000000000", b"999999999999", b"632710123456", b"            ", b"AB3271\xff23456"];
        for text in texts {
            let (high, low) = numbers_of_text(text);
            assert_eq!(text_of_numbers(high, low), Some(*text));
        }
        assert_eq!(numbers_of_text(b"632710123456"), (0, 632_710_123_456));
        assert_eq!(text_of_numbers(0, 1_000_000_000_000), None);
        assert_eq!(text_of_numbers(2 << 32, 0), None);
        for code in [*b"000000", *b"ZZZZZZ", *b"0A1B2C", [0; 6], *b"      ", [255; 6]] {
            assert_eq!(code_of_number(number_of_code(code)), Some(code));
        }
        assert!(number_of_code(*b"ZZZZZZ") < 1 << 32);
        assert_eq!(code_of_number(CODES + 1), None);
    }

    #[test]
    fn every_outcome_comes_back() {
        for state in (0..=u8::MAX).filter_map(AuthorizationState::from_code) {
            for class in [0, 1, 2, 4, 2 | Authorization::INCREMENT, 1 | Authorization::RECALLED] {
                for (action, _) in ActionCode::ALL {
                    let legs = LegState(0xA5);
                    let of = Authorization { state, class, legs, action: *action, ..blank() };
                    let entry = Entry::new(CardRef(7), Sequence(9), &of, None);
                    for again in [false, true] {
                        let back = Entry::from_row(&entry.row(again)).expect("an entry").authorization;
                        let class = class & !Authorization::RECALLED;
                        let expected = (state, class, legs, *action);
                        assert_eq!((back.state, back.class, back.legs, back.action), expected, "{again}");
                    }
                }
            }
        }
    }

    #[test]
    fn r18_what_was_counted_comes_back() {
        let whole = Counted {
            record: Sequence(u64::MAX),
            amount: i64::MIN,
            at_s: u32::MAX,
            by: [u16::MAX; 3],
            currency: Currency::new(999).expect("a currency"),
            first: true,
            product: ProductNumber::new(127),
        };
        let least = Counted {
            record: Sequence(5),
            amount: 0,
            at_s: 0,
            by: [0; 3],
            currency: Currency::new(0).expect("a currency"),
            first: false,
            product: None,
        };
        for counted in [None, Some(whole), Some(least), Some(Counted { by: [0, 1, 0], ..least })] {
            let of = Authorization { sequence: Sequence(5), taken: 1_250, ..blank() };
            let entry = Entry::new(CardRef(7), Sequence(9), &of, counted);
            assert_eq!(Entry::from_row(&entry.row(false)).map(|back| back.counted), Some(counted));
        }
        for (column, number) in [(COUNTED_AT, 1), (COUNTED_BY, 1), (COUNTED_AS, 840)] {
            let mut row = Entry::new(CardRef(7), Sequence(9), &blank(), None).row(false);
            row[column] = number;
            assert_eq!(Entry::from_row(&row).map(|_| ()), None, "nothing was counted {column}");
        }
    }

    fn blank() -> Authorization {
        let row = Entry::from_row(&[0; COLUMNS]).expect("zeros are an entry");
        row.authorization
    }

    #[test]
    fn amounts_keep_their_order_and_differences_come_back() {
        let amounts = [i64::MIN, -5, -1, 0, 1, 1250, i64::MAX];
        for (one, other) in amounts.iter().zip(&amounts[1..]) {
            assert!(ordered(*one) < ordered(*other));
        }
        for from in amounts {
            for value in amounts {
                assert_eq!(from.wrapping_sub(undo_zigzag(difference(from, value))), value);
            }
        }
        assert_eq!(difference(1250, 1250), 0);
    }
}
