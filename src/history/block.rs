//! Blocks of rows: what is read and checked at once.
//!
//! ```text
//! 0   checksum  u128  xxh3 seeded with the run's number, over the rest of the block
//! 16  magic     "TPKR"
//! 20  columns   u16
//! 22  rows      u16
//! 24  index     u32   0, 1, 2 and so on
//! 28  nothing   u32   zero
//! 32  columns         for each the least number in it, u64, then for each how many bytes hold what is above that, u8
//!     values          column by column, row by row
//!     filling         zeros, eight bytes at least
//! ```
//! Any number of a row is at a place that its column and its row tell, so a row is found by halving and a search looks
//! only at the columns that it asks about.

use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::entry;
use super::entry::COLUMNS;
use super::entry::Row;

/// Bytes of a block.
pub(super) const BLOCK_BYTES: usize = 16 * 1024;
const MAGIC: [u8; 4] = *b"TPKR";
const CHECKSUM_BYTES: usize = 16;
const HEADER_BYTES: usize = 32;
/// Of each column, before the values.
const COLUMN_BYTES: usize = 9;
const VALUES_AT: usize = HEADER_BYTES + COLUMNS * COLUMN_BYTES;
/// A number is read as eight bytes, whatever its width, so as many must follow the last one.
const FILLING_BYTES: usize = 8;

/// Gathers rows until a block is full.
#[derive(Debug, Default)]
pub(super) struct Builder {
    rows: Vec<Row>,
    /// For each column the least and the greatest number.
    ranges: [(u64, u64); COLUMNS],
}

impl Builder {
    pub(super) const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Takes a row; `false` when there is no room for it, and nothing is changed.
    pub(super) fn push(&mut self, row: &Row) -> bool {
        if self.is_empty() {
            self.ranges = row.map(|number| (number, number));
        }
        let widths = self.ranges.iter().zip(row);
        let bytes: usize =
            widths.map(|((low, high), number)| width((*high).max(*number) - (*low).min(*number))).sum();
        let rows = self.rows.len() + 1;
        if VALUES_AT + bytes * rows + FILLING_BYTES > BLOCK_BYTES || rows > usize::from(u16::MAX) {
            return false;
        }
        for ((low, high), number) in self.ranges.iter_mut().zip(row) {
            *low = (*low).min(*number);
            *high = (*high).max(*number);
        }
        self.rows.push(*row);
        true
    }

    /// Appends the block to `out` and is empty again.
    pub(super) fn write(&mut self, run: u64, index: u32, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; CHECKSUM_BYTES]);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&(COLUMNS as u16).to_le_bytes());
        out.extend_from_slice(&(self.rows.len() as u16).to_le_bytes());
        out.extend_from_slice(&index.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        for (low, _) in &self.ranges {
            out.extend_from_slice(&low.to_le_bytes());
        }
        out.extend(self.ranges.iter().map(|(low, high)| width(high - low) as u8));
        for (column, (low, high)) in self.ranges.iter().enumerate() {
            let width = width(high - low);
            for row in &self.rows {
                out.extend_from_slice(&(row[column] - low).to_le_bytes()[..width]);
            }
        }
        out.resize(start + BLOCK_BYTES, 0);
        let checksum = checksum(&out[start..], run);
        out[start..start + CHECKSUM_BYTES].copy_from_slice(&checksum.to_le_bytes());
        self.rows.clear();
    }
}

/// How many bytes hold numbers up to this one.
const fn width(number: u64) -> usize {
    (u64::BITS - number.leading_zeros()).div_ceil(8) as usize
}

fn checksum(block: &[u8], run: u64) -> u128 {
    xxh3_128_with_seed(&block[CHECKSUM_BYTES..], run)
}

/// One column of a block.
#[derive(Clone, Copy, Debug, Default)]
struct Column {
    least: u64,
    at: usize,
    width: usize,
    mask: u64,
}

/// A block that was read and checked.
#[derive(Debug)]
pub(super) struct Block {
    bytes: Vec<u8>,
    columns: Box<[Column; COLUMNS]>,
    rows: usize,
}

impl Block {
    /// Takes the bytes of a block; says what is wrong with them.
    pub(super) fn read(bytes: Vec<u8>, run: u64, index: u32) -> Result<Self, &'static str> {
        let number = |at: usize, length: usize| {
            bytes[at..at + length].iter().rev().fold(0, |number, byte| number << 8 | u128::from(*byte))
        };
        if bytes.len() != BLOCK_BYTES {
            return Err("it ends in the middle of a block");
        }
        if number(0, CHECKSUM_BYTES) != checksum(&bytes, run) {
            return Err("a block does not fit its checksum");
        }
        let foreign = bytes[16..20] != MAGIC || number(20, 2) as usize != COLUMNS;
        if foreign || number(24, 4) as u32 != index {
            return Err("a block is not the one that belongs here");
        }
        let rows = number(22, 2) as usize;
        let mut at = VALUES_AT;
        let mut columns = Box::new([Column::default(); COLUMNS]);
        for (column, read) in columns.iter_mut().enumerate() {
            let least = number(HEADER_BYTES + column * 8, 8) as u64;
            let width = usize::from(bytes[HEADER_BYTES + COLUMNS * 8 + column]);
            let mask = match width {
                0 => 0,
                1..=8 => u64::MAX >> (64 - 8 * width),
                _ => return Err("a block has a column that none has"),
            };
            *read = Column { least, at, width, mask };
            at += width * rows;
        }
        if rows == 0 || at + FILLING_BYTES > BLOCK_BYTES {
            return Err("a block has more rows than fit in it, or none");
        }
        Ok(Self { bytes, columns, rows })
    }

    pub(super) const fn rows(&self) -> usize {
        self.rows
    }

    /// One number of a row of this block.
    pub(super) fn value(&self, column: usize, row: usize) -> u64 {
        self.number(self.columns[column], row)
    }

    /// All of them.
    pub(super) fn numbers(&self, row: usize) -> Row {
        std::array::from_fn(|column| self.value(column, row))
    }

    fn number(&self, column: Column, row: usize) -> u64 {
        let Column { least, at, width, mask } = column;
        let at = at + row * width;
        let stored = self.bytes.get(at..).and_then(|rest| rest.first_chunk::<8>());
        least.wrapping_add(stored.map_or(0, |stored| u64::from_le_bytes(*stored)) & mask)
    }

    pub(super) fn key(&self, row: usize) -> u128 {
        entry::key_of(self.value(entry::CARD, row), self.value(entry::MADE, row))
    }

    /// The first row whose key is not below this one; how many rows there are when there is none.
    pub(super) fn seek(&self, key: u128) -> usize {
        let (mut low, mut high) = (0, self.rows);
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.key(middle) < key {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Its memory, for another block.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key, and a number in the last column; the others are as the key tells.
    fn row(card: u64, made: u64, last: u64) -> Row {
        let mut row = [card; COLUMNS];
        (row[entry::MADE], row[COLUMNS - 1]) = (made, last);
        row
    }

    fn block(rows: &[Row]) -> (Block, Vec<u8>, usize) {
        let mut builder = Builder::default();
        let taken = rows.iter().take_while(|row| builder.push(row)).count();
        let mut bytes = Vec::new();
        builder.write(9, 4, &mut bytes);
        assert!(builder.is_empty());
        (Block::read(bytes.clone(), 9, 4).expect("a whole block"), bytes, taken)
    }

    #[test]
    fn rows_come_back_whatever_their_width() {
        let steps = [0, 1, 250, 70_000, 1 << 40, u64::MAX / 20_000];
        for step in steps {
            let rows: Vec<Row> = (0..20_000).map(|n| row(5, n, u64::MAX - n * step)).collect();
            let (block, _, taken) = block(&rows);
            assert_eq!(block.rows(), taken);
            for (n, row) in rows[..taken].iter().enumerate() {
                assert_eq!(block.numbers(n), *row);
                assert!((0..COLUMNS).all(|column| block.value(column, n) == row[column]));
                assert_eq!(block.seek(block.key(n)), n);
            }
            assert_eq!((block.seek(0), block.seek(u128::MAX)), (0, taken));
            let widest = width(taken as u64 * step);
            assert!(taken >= 20_000 || (taken + 1) * (2 + widest) > BLOCK_BYTES - 300, "{step}: {taken}");
        }
    }

    #[test]
    fn no_bit_may_change() {
        let (_, bytes, _) = block(&[row(1, 2, 3), row(1, 3, 300), row(7, 0, 0)]);
        for bit in (0..300 * 8).chain((300..BLOCK_BYTES).step_by(97).map(|byte| byte * 8)) {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(Block::read(changed, 9, 4).is_err(), "bit {bit}");
        }
        for (run, index) in [(8, 4), (9, 5)] {
            assert!(Block::read(bytes.clone(), run, index).is_err());
        }
        assert!(Block::read(bytes[1..].to_vec(), 9, 4).is_err());
    }

    #[test]
    fn whole_blocks_that_are_no_such_rows_are_refused() {
        let (_, bytes, _) = block(&[row(1, 2, 3), row(1, 3, 300)]);
        let table = [
            (20, COLUMNS as u8 - 1, "belongs here"),
            (22, 0, "or none"),
            (23, 255, "more rows than fit"),
            (HEADER_BYTES + COLUMNS * 8, 9, "a column that none has"),
        ];
        for (at, byte, why) in table {
            let mut changed = bytes.clone();
            changed[at] = byte;
            let checksum = checksum(&changed, 9);
            changed[..CHECKSUM_BYTES].copy_from_slice(&checksum.to_le_bytes());
            let refused = Block::read(changed, 9, 4).err();
            assert!(refused.is_some_and(|refused| refused.contains(why)), "{at}: {refused:?}");
        }
    }
}
