//! The bytes of a file as they come: records are cut out of it, and blocks are taken apart.

use crate::clearing::error::ClearingError;
use crate::clearing::error::Fault;
use crate::clearing::error::Position;

/// Bytes of a block with its fill.
pub(super) const BLOCK: usize = 1014;
/// Bytes of a block without it.
pub(super) const BLOCK_DATA: usize = 1012;
/// What fills a block, and what stands behind it twice.
pub(super) const FILL: u8 = 0x40;

/// Bytes that were not read yet, and where they stand in the file.
pub(super) struct Input {
    bytes: Vec<u8>,
    at: usize,
    /// Where `at` is, in bytes of data from the start of the file.
    data: u64,
    blocked: bool,
    /// How many bytes of the file have come.
    received: u64,
    ended: bool,
    /// The file's bytes cannot be taken from this one on.
    bad_fill: bool,
    /// The number of the record that comes next, from 1.
    record: u64,
}

impl Input {
    /// A file that is read from `from` on, which is a record's position or the start.
    pub(super) fn new(blocked: bool, from: Position) -> Self {
        let data = if blocked { from.offset - 2 * (from.offset / BLOCK as u64) } else { from.offset };
        Self {
            bytes: Vec::new(),
            at: 0,
            data,
            blocked,
            received: from.offset,
            ended: false,
            bad_fill: false,
            record: from.record.max(1),
        }
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        // What was read makes room.
        if self.at > 0 {
            self.bytes.drain(..self.at);
            self.at = 0;
        }
        if self.blocked {
            self.feed_blocks(bytes);
        } else {
            self.bytes.extend_from_slice(bytes);
            self.received += bytes.len() as u64;
        }
    }

    fn feed_blocks(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.bad_fill {
            let place = (self.received % BLOCK as u64) as usize;
            let length = if place < BLOCK_DATA { BLOCK_DATA - place } else { BLOCK - place };
            let (now, later) = bytes.split_at(length.min(bytes.len()));
            if place < BLOCK_DATA {
                self.bytes.extend_from_slice(now);
            } else {
                self.bad_fill = now.iter().any(|byte| *byte != FILL);
            }
            self.received += now.len() as u64;
            bytes = later;
        }
    }

    pub(super) const fn end(&mut self) {
        self.ended = true;
    }

    /// Whether no more bytes will come.
    pub(super) const fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether the file ends with a whole block, where it has blocks.
    pub(super) const fn ends_with_a_block(&self) -> bool {
        !self.blocked || self.received.is_multiple_of(BLOCK as u64)
    }

    /// What is there and was not read.
    #[inline]
    pub(super) fn rest(&self) -> &[u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// The first `length` bytes of what is there. [`Input::rest`] has so many.
    #[inline]
    pub(super) fn first(&self, length: usize) -> &[u8] {
        self.bytes.get(self.at..self.at + length).unwrap_or_default()
    }

    /// Where the next record begins.
    #[inline]
    pub(super) const fn position(&self) -> Position {
        let fill = if self.blocked { 2 * (self.data / BLOCK_DATA as u64) } else { 0 };
        // A file that was cut behind a block's data has no fill there.
        let offset = if self.data + fill < self.received { self.data + fill } else { self.received };
        Position { record: self.record, offset }
    }

    /// Takes bytes that are no record.
    #[inline]
    pub(super) fn skip(&mut self, length: usize) {
        self.at += length;
        self.data += length as u64;
    }

    /// Takes a record of so many bytes.
    #[inline]
    pub(super) fn take(&mut self, length: usize) {
        self.skip(length);
        self.record += 1;
    }

    /// What to say when there are too few bytes for what comes next: nothing, as long as more may come.
    pub(super) const fn starved(&self) -> Option<ClearingError> {
        let fault = if self.bad_fill {
            Fault::BlockFill
        } else if self.ended {
            Fault::Cut
        } else {
            return None;
        };
        Some(ClearingError { position: self.position(), fault })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_of_the_file_and_blocks_are_taken_apart_in_any_portions() {
        let data: Vec<u8> = (0..3 * BLOCK_DATA).map(|at| (at % 251) as u8).collect();
        let file: Vec<u8> = data.chunks(BLOCK_DATA).flat_map(|block| [block, &[FILL; 2]].concat()).collect();
        for portion in [1, 7, 1011, 1012, 1013, 1014, 5000] {
            let mut input = Input::new(true, Position::default());
            let mut read = Vec::new();
            for bytes in file.chunks(portion) {
                input.feed(bytes);
                while input.rest().len() >= 4 {
                    let Position { record, offset } = input.position();
                    assert_eq!(record, read.len() as u64 / 4 + 1);
                    assert_eq!(file[offset as usize], input.rest()[0]);
                    read.extend_from_slice(input.first(4));
                    input.take(4);
                }
            }
            assert_eq!(read, data, "{portion}");
            assert!(input.ends_with_a_block());
        }
        // From a record on.
        let mut from = Input::new(true, Position { record: 254, offset: 1014 });
        from.feed(&file[1014..]);
        assert_eq!((from.rest(), from.position().offset), (&data[1012..], 1014));
    }

    #[test]
    fn a_wrong_fill_stops_behind_what_is_right() {
        let mut file = vec![7; BLOCK];
        file[1013] = FILL;
        let mut input = Input::new(true, Position::default());
        input.feed(&file);
        input.feed(&[1; 50]);
        assert_eq!(input.rest().len(), BLOCK_DATA);
        assert_eq!(input.starved().map(|error| error.fault), Some(Fault::BlockFill));
    }
}
