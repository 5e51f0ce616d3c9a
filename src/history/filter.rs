//! Which cards a run may hold: a Bloom filter whose bits for one card lie in one cache line.
//!
//! After Putze, Sanders and Singler, "Cache-, hash- and space-efficient Bloom filters" (2007), and the split blocks of
//! Parquet: a block is eight words, and each card sets one bit in each of them.

use xxhash_rust::xxh3::xxh3_64;

/// How many bits there are for each card; about 1.2 % of the cards that are not there seem to be.
pub(super) const BITS_PER_CARD: u64 = 10;
const WORDS: usize = 8;
/// Bytes of a filter's block.
pub(super) const BLOCK_BYTES: usize = WORDS * 8;

/// A set of cards that may name one too many, and never one too few.
#[derive(Debug)]
pub(super) struct Filter {
    blocks: Vec<[u64; WORDS]>,
}

impl Filter {
    /// An empty one with room for so many cards.
    pub(super) fn with_room_for(cards: u64) -> Self {
        let blocks = (cards * BITS_PER_CARD).div_ceil(BLOCK_BYTES as u64 * 8).max(1);
        Self { blocks: vec![[0; WORDS]; blocks as usize] }
    }

    pub(super) fn insert(&mut self, card: u64) {
        let (block, bits) = self.place(card);
        for (word, bit) in self.blocks[block].iter_mut().zip(bits) {
            *word |= bit;
        }
    }

    pub(super) fn may_hold(&self, card: u64) -> bool {
        let (block, bits) = self.place(card);
        self.blocks[block].iter().zip(bits).all(|(word, bit)| word & bit != 0)
    }

    /// The block of a card, and its bit in each word. The high half of the hash chooses the block, the low half the
    /// bits.
    fn place(&self, card: u64) -> (usize, [u64; WORDS]) {
        let hash = xxh3_64(&card.to_le_bytes());
        let block = ((hash >> 32) * self.blocks.len() as u64) >> 32;
        let mut choice = (hash & u64::from(u32::MAX)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let bits = std::array::from_fn(|_| {
            choice = choice.rotate_left(6);
            1 << (choice & 63)
        });
        (block as usize, bits)
    }

    /// How many blocks it has.
    pub(super) fn blocks(&self) -> u32 {
        self.blocks.len() as u32
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        for word in self.blocks.iter().flatten() {
            out.extend_from_slice(&word.to_le_bytes());
        }
    }

    /// What [`Filter::write`] wrote; a part of a block is left out.
    pub(super) fn read(bytes: &[u8]) -> Self {
        let (blocks, _) = bytes.as_chunks::<BLOCK_BYTES>();
        let words = |block: &[u8; BLOCK_BYTES]| {
            let (words, _) = block.as_chunks::<8>();
            std::array::from_fn(|n| u64::from_le_bytes(words[n]))
        };
        Self { blocks: blocks.iter().map(words).collect() }
    }

    pub(super) fn bytes(&self) -> u64 {
        (self.blocks.len() * BLOCK_BYTES) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_it_is_found_and_little_else() {
        for cards in [1, 7, 1000, 100_000_u64] {
            let mut filter = Filter::with_room_for(cards);
            // References of one slot follow each other, and differ in few bits.
            (0..cards).for_each(|card| filter.insert(card << 40 | card));
            let mut bytes = Vec::new();
            filter.write(&mut bytes);
            let read = Filter::read(&bytes);
            assert_eq!((read.blocks(), read.bytes()), (filter.blocks(), bytes.len() as u64));
            assert!(
                (0..cards).all(|card| filter.may_hold(card << 40 | card) && read.may_hold(card << 40 | card))
            );
            let absent = 100_000;
            let wrong = (0..absent).filter(|card| filter.may_hold((cards + card) << 40 | (7 + card))).count();
            assert!(wrong < absent as usize / 50, "{wrong} of {absent} beside {cards}");
        }
    }
}
