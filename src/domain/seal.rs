//! Sealing of what leaves memory in bulk. Card numbers in records are sealed one by one ([`super::card::PanSeal`]).

/// Bytes that tell one snapshot's key from any other's.
pub const SALT_BYTES: usize = 32;
/// How much longer a sealed block is.
pub const SEAL_BYTES: usize = 16;

/// Makes the key of one snapshot from the daemon's key.
pub trait SnapshotKeys {
    /// The seal of the snapshot with this salt, which was drawn for it alone.
    fn of_snapshot(&self, salt: &[u8; SALT_BYTES]) -> Box<dyn BlockSeal>;

    /// Tells the daemon's key from another and says nothing about it.
    fn fingerprint(&self) -> [u8; 8];
}

/// Seals the blocks of one snapshot. No block number is used twice.
pub trait BlockSeal {
    /// Seals in place; the block grows by [`SEAL_BYTES`].
    fn seal(&self, block: u32, bytes: &mut Vec<u8>);

    /// Opens in place and takes the seal off. `None` when the block was changed, moved, or sealed with another key.
    fn open(&self, block: u32, bytes: &mut Vec<u8>) -> Option<()>;
}
