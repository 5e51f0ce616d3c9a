//! Copies the books into a snapshot while they are used: one shard after the other, some wallets at a time, with the
//! shard's lock let go in between.

use crate::domain::event::Sequence;
use crate::journal::snapshot::Part;
use crate::journal::snapshot_writer::SnapshotWriter;
use crate::journal::storage::Storage;
use crate::journal::storage::StorageError;
use crate::switch::image;

use super::core::Pipeline;

/// How finely a copy is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Steps {
    /// So many bytes of images are made under one hold of a lock.
    pub hold_bytes: usize,
    /// A block is written once so many bytes of images have gathered.
    pub block_bytes: usize,
}

impl Default for Steps {
    /// About a hundred wallets, some tens of microseconds, under one hold.
    fn default() -> Self {
        Self { hold_bytes: 16 * 1024, block_bytes: 256 * 1024 }
    }
}

impl Pipeline {
    /// Copies every shard as of its own cut and writes the images. `pace` is told of the bytes of each block, outside
    /// of any lock, and may wait.
    ///
    /// # Errors
    /// The disk failed or is full. No copy goes on then.
    pub fn copy_into<S: Storage + Clone>(
        &self,
        writer: &mut SnapshotWriter<S>,
        steps: Steps,
        pace: &mut dyn FnMut(usize),
    ) -> Result<(), StorageError> {
        let mut images = Vec::with_capacity(steps.block_bytes + steps.hold_bytes);
        let copied = (0..self.shards.len()).try_for_each(|shard| {
            let copied = self.copy_shard(shard, writer, steps, &mut images, pace);
            if copied.is_err() {
                drop(self.shards[shard].lock().end_copy());
            }
            copied
        });
        let copied = copied.and_then(|()| self.copy_trunks(writer, steps, &mut images, pace));
        // Images hold card numbers.
        images.fill(0);
        copied
    }

    /// Copies what the switch keeps of each link, each as of its own cut, and of links that are no longer there.
    fn copy_trunks<S: Storage + Clone>(
        &self,
        writer: &mut SnapshotWriter<S>,
        steps: Steps,
        images: &mut Vec<u8>,
        pace: &mut dyn FnMut(usize),
    ) -> Result<(), StorageError> {
        let Some(board) = self.switchboard() else { return Ok(()) };
        board.trunks().try_for_each(|kept| {
            images.clear();
            // Whatever is about a line and was appended is applied: both happen under its lock.
            let (cut, mut copying) = kept.look(&mut |name, trunk| {
                let cut = self.appended();
                (cut, image::begin(name, trunk, cut, images))
            });
            writer.part(Part::Trunk, cut, 0, images)?;
            pace(images.len());
            let mut goes_on = true;
            while goes_on {
                images.clear();
                image::begin_more(&copying, images);
                loop {
                    goes_on =
                        kept.look(&mut |_, trunk| image::more(&mut copying, trunk, steps.hold_bytes, images));
                    if !goes_on || images.len() >= steps.block_bytes {
                        break;
                    }
                }
                writer.part(Part::TrunkMore, cut, 0, images)?;
                pace(images.len());
            }
            Ok(())
        })
    }

    fn copy_shard<S: Storage + Clone>(
        &self,
        shard: usize,
        writer: &mut SnapshotWriter<S>,
        steps: Steps,
        images: &mut Vec<u8>,
        pace: &mut dyn FnMut(usize),
    ) -> Result<(), StorageError> {
        let cut = self.begin_copy(shard, images);
        writer.part(Part::Shard, cut, 0, images)?;
        let mut more = true;
        while more {
            images.clear();
            let mut wallets = 0;
            while more && images.len() < steps.block_bytes {
                let step = self.shards[shard].lock().copy_on(steps.hold_bytes, images);
                wallets += step.wallets;
                more = step.more;
            }
            writer.part(Part::Wallets, cut, wallets, images)?;
            pace(images.len());
        }
        let (early, wallets) = self.shards[shard].lock().end_copy();
        writer.part(Part::Wallets, cut, wallets, &early)?;
        pace(early.len());
        Ok(())
    }

    /// The cut: whatever was appended up to here for this shard has been applied to it, since both happen under its
    /// lock.
    fn begin_copy(&self, shard: usize, images: &mut Vec<u8>) -> Sequence {
        images.clear();
        let mut shard = self.shards[shard].lock();
        shard.begin_copy(images);
        self.appended()
    }
}
