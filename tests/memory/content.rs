//! One file's bytes: as they are read, as they are on disk, and every change in between.

use super::next;

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

#[derive(Clone, Default, Debug)]
pub(super) struct Content {
    /// As it is read while the kernel lives.
    pub(super) written: Vec<u8>,
    /// What a power failure leaves at least.
    durable: Vec<u8>,
    /// What leads from one to the other, oldest first.
    unsynced: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate(usize),
}

impl Content {
    pub(super) fn durable(bytes: &[u8]) -> Self {
        Self { written: bytes.to_vec(), durable: bytes.to_vec(), unsynced: Vec::new() }
    }

    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.change(Change::Write { offset, bytes: bytes.to_vec() });
        }
    }

    pub(super) fn truncate(&mut self, length: usize) {
        self.change(Change::Truncate(length));
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.written);
        self.unsynced.push(change);
    }

    pub(super) fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            change.apply(&mut self.durable);
        }
    }

    /// A sync that fails. Any part of the work has reached the disk. The rest is done by a later sync, unless it is
    /// dropped: then it is only read as if it had been, and a power failure takes it.
    pub(super) fn sync_in_part(&mut self, random: &mut u64, drops: bool) {
        self.durable = self.torn(random);
        if drops {
            self.unsynced.clear();
        }
    }

    /// The power fails: what was synced is left.
    pub(super) fn forget(&mut self) {
        self.written.clone_from(&self.durable);
        self.unsynced.clear();
    }

    /// The power fails: what was synced is left, and any part of the rest.
    pub(super) fn tear(&mut self, random: &mut u64) {
        self.durable = self.torn(random);
        self.forget();
    }

    /// The length is as after any first part of the changes. Each sector is, on its own, as after any first part of
    /// the changes that touch it: the kernel writes them in any order and at any time.
    fn torn(&self, random: &mut u64) -> Vec<u8> {
        let kept = next(random) as usize % (self.unsynced.len() + 1);
        let mut bytes = self.durable.clone();
        let mut length = bytes.len();
        let mut settled = Vec::new();
        for (index, change) in self.unsynced.iter().enumerate() {
            if index < kept {
                length = change.length(length);
            }
            let (from, to) = change.touches(bytes.len());
            if bytes.len() < to {
                bytes.resize(to, 0);
            }
            settled.resize(settled.len().max(to.div_ceil(SECTOR)), false);
            let mut at = from;
            while at < to {
                let sector = at / SECTOR;
                let end = to.min((sector + 1) * SECTOR);
                settled[sector] |= next(random).is_multiple_of(2);
                if !settled[sector] {
                    change.apply_between(&mut bytes, at, end);
                }
                at = end;
            }
        }
        bytes.resize(length, 0);
        bytes
    }
}

impl Change {
    /// The file's length after it.
    fn length(&self, before: usize) -> usize {
        match self {
            Self::Write { offset, bytes } => before.max(offset + bytes.len()),
            Self::Truncate(length) => *length,
        }
    }

    /// From where to where it changes bytes of a file of this length.
    fn touches(&self, length: usize) -> (usize, usize) {
        match self {
            Self::Write { offset, bytes } => (*offset, offset + bytes.len()),
            Self::Truncate(cut) => (*cut.min(&length), length),
        }
    }

    fn apply_between(&self, content: &mut [u8], from: usize, to: usize) {
        match self {
            Self::Write { offset, bytes } => {
                content[from..to].copy_from_slice(&bytes[from - offset..to - offset]);
            }
            Self::Truncate(_) => content[from..to].fill(0),
        }
    }

    fn apply(&self, content: &mut Vec<u8>) {
        content.resize(self.length(content.len()), 0);
        if let Self::Write { offset, bytes } = self {
            self.apply_between(content, *offset, offset + bytes.len());
        }
    }
}
