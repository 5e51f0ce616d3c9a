//! Small changes of bytes, as a line or a disk makes them: set, flip, cut, insert.

use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prelude::prop;

/// Where, with which byte, and how.
pub(crate) type Edit = (prop::sample::Index, u8, u8);

/// One to three changes.
pub(crate) fn edits() -> impl Strategy<Value = Vec<Edit>> {
    prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..4)
}

/// The same bytes, changed.
pub(crate) fn edited(bytes: &[u8], edits: Vec<Edit>) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (at, byte, how) in edits {
        let at = at.index(bytes.len().max(1)).min(bytes.len().saturating_sub(1));
        match how {
            0 if !bytes.is_empty() => bytes[at] = byte,
            1 if !bytes.is_empty() => bytes[at] ^= 1 << (byte % 8),
            2 => bytes.truncate(at),
            _ => bytes.insert(at, byte),
        }
    }
    bytes
}
