//! A clearing file on disk between its two readings, sealed in blocks under a key that is only in memory. The file has
//! no name: whatever ends the process, the system takes its room back.

use std::fs;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::domain::seal::BlockSeal;
use crate::domain::seal::SEAL_BYTES;

/// Bytes of a block before it is sealed.
const BLOCK: usize = 256 * 1024;

/// What was taken of a file.
pub(super) struct Spool {
    file: File,
    seal: Box<dyn BlockSeal>,
    block: Vec<u8>,
    blocks: u32,
    bytes: u64,
}

impl Spool {
    /// An empty one in a directory. `seal` is for it alone.
    pub(super) fn create(directory: &Path, seal: Box<dyn BlockSeal>) -> io::Result<Self> {
        let path = directory.join("incoming");
        let mut options = fs::OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        fs::remove_file(&path)?;
        Ok(Self { file, seal, block: Vec::with_capacity(BLOCK + SEAL_BYTES), blocks: 0, bytes: 0 })
    }

    /// Bytes that were taken.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes a portion.
    pub(super) fn write(&mut self, mut portion: &[u8]) -> io::Result<()> {
        while !portion.is_empty() {
            let (now, later) = portion.split_at(portion.len().min(BLOCK - self.block.len()));
            self.block.extend_from_slice(now);
            self.bytes += now.len() as u64;
            portion = later;
            if self.block.len() == BLOCK {
                self.write_block()?;
            }
        }
        Ok(())
    }

    /// Says that no more will come.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        if self.block.is_empty() { Ok(()) } else { self.write_block() }
    }

    fn write_block(&mut self) -> io::Result<()> {
        self.seal.seal(self.blocks, &mut self.block);
        self.file.write_all_at(&self.block, at(self.blocks))?;
        self.blocks += 1;
        self.block.clear();
        Ok(())
    }

    /// How many blocks there are.
    pub(super) const fn blocks(&self) -> u32 {
        self.blocks
    }

    /// Reads a block, in the place of what `out` holds.
    pub(super) fn read(&self, block: u32, out: &mut Vec<u8>) -> io::Result<()> {
        let rest = self.bytes - u64::from(block) * BLOCK as u64;
        let length = usize::try_from(rest).unwrap_or(BLOCK).min(BLOCK) + SEAL_BYTES;
        out.resize(length, 0);
        self.file.read_exact_at(out, at(block))?;
        let opened = self.seal.open(block, out);
        opened.ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "a block of the sealed file has changed")
        })
    }
}

fn at(block: u32) -> u64 {
    u64::from(block) * (BLOCK + SEAL_BYTES) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::vault::Vault;
    use crate::domain::seal::SALT_BYTES;
    use crate::domain::seal::SnapshotKeys;
    use zeroize::Zeroizing;

    #[test]
    fn what_was_written_is_read_and_lies_on_disk_sealed_and_without_a_name() {
        for length in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 17] {
            let directory = tempfile::tempdir().expect("a directory");
            let seal = Vault::new(Zeroizing::new([7; 32])).of_snapshot(&[1; SALT_BYTES]);
            let mut spool = Spool::create(directory.path(), seal).expect("a spool");
            let text: Vec<u8> = b"4111111111111111".iter().copied().cycle().take(length).collect();
            for portion in text.chunks(70_001) {
                spool.write(portion).expect("room");
            }
            spool.finish().expect("room");
            let (mut read, mut block) = (Vec::new(), Vec::new());
            for number in 0..spool.blocks() {
                spool.read(number, &mut block).expect("the block");
                read.extend_from_slice(&block);
            }
            assert!(read == text && spool.bytes() == length as u64, "{length}");
            let mut raw = vec![0; length.min(BLOCK)];
            if length > 0 {
                spool.file.read_exact_at(&mut raw, 0).expect("the file");
            }
            assert!(!raw.windows(16).any(|window| window == b"4111111111111111"), "{length}");
            assert_eq!(directory.path().read_dir().expect("a directory").count(), 0);
        }
    }
}
