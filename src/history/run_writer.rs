//! Writes one run, row by row or some bytes at a time. It counts only once a manifest names it.

use crate::journal::storage::Storage;
use crate::journal::storage::StorageError;
use crate::journal::storage::StorageFile;

use super::block::Builder;
use super::entry;
use super::entry::Day;
use super::entry::Row;
use super::filter::Filter;
use super::run::Described;
use super::run::Footer;
use super::run::Run;
use super::run::name;

/// So much is gathered before it is written.
const WRITE_BYTES: usize = 256 * 1024;
/// So much is written between two syncs: the journal's own syncs do not wait long behind it.
const SYNC_BYTES: u64 = 4 << 20;

/// A run that is being written.
#[derive(Debug)]
pub(super) struct RunWriter<F> {
    file: F,
    number: u64,
    day: Day,
    builder: Builder,
    footer: Footer,
    rows: u64,
    card: Option<u64>,
    /// What is to be written at `at`, from `done` on.
    pending: Vec<u8>,
    done: usize,
    at: u64,
    synced: u64,
    /// Of the footer, once that is pending.
    checksum: Option<u128>,
}

impl<F: StorageFile> RunWriter<F> {
    /// Begins a file for so many different cards.
    pub(super) fn create<S: Storage<File = F>>(
        storage: &S,
        number: u64,
        day: Day,
        cards: u64,
    ) -> Result<Self, StorageError> {
        let file = storage.create(&name(number))?;
        let footer = Footer {
            index: Vec::new(),
            filter: Filter::with_room_for(cards),
            again: Vec::new(),
            cards: 0,
            newest_made: 0,
            closed_s: (u32::MAX, 0),
            last_key: 0,
        };
        Ok(Self {
            file,
            number,
            day,
            builder: Builder::default(),
            footer,
            rows: 0,
            card: None,
            pending: Vec::new(),
            done: 0,
            at: 0,
            synced: 0,
            checksum: None,
        })
    }

    /// Takes the next row; its key is greater than the one before.
    pub(super) fn push(&mut self, row: &Row) -> Result<(), StorageError> {
        if !self.builder.push(row) {
            self.end_block();
            if self.pending.len() >= WRITE_BYTES {
                self.write(u64::MAX)?;
            }
            self.builder.push(row);
        }
        let key = entry::key(row);
        if self.footer.index.len() == self.blocks_ended() {
            self.footer.index.push(key);
        }
        self.footer.last_key = key;
        self.rows += 1;
        let (card, made) = (row[entry::CARD], !row[entry::MADE]);
        if self.card != Some(card) {
            self.card = Some(card);
            self.footer.cards += 1;
            self.footer.filter.insert(card);
        }
        self.footer.newest_made = self.footer.newest_made.max(made);
        let (first, last) = self.footer.closed_s;
        let changed = row[entry::CHANGED] as u32;
        self.footer.closed_s = (first.min(changed), last.max(changed));
        if row[entry::OUTCOME] & entry::AGAIN_BIT != 0 {
            self.footer.again.push((made, row[entry::VERSION]));
        }
        Ok(())
    }

    /// Blocks that are written or pending; the one that is being filled is none of them.
    const fn blocks_ended(&self) -> usize {
        let pending = (self.pending.len() - self.done) as u64;
        ((self.at + pending) / super::block::BLOCK_BYTES as u64) as usize
    }

    fn end_block(&mut self) {
        let index = self.blocks_ended() as u32;
        self.builder.write(self.number, index, &mut self.pending);
    }

    /// How many bytes were made so far.
    pub(super) const fn bytes(&self) -> u64 {
        self.at + (self.pending.len() - self.done) as u64
    }

    /// How many of them were written.
    pub(super) const fn written(&self) -> u64 {
        self.at
    }

    /// Writes up to so many of the pending bytes.
    fn write(&mut self, budget: u64) -> Result<(), StorageError> {
        while self.done < self.pending.len() && budget > 0 {
            let rest = (self.pending.len() - self.done).min(WRITE_BYTES);
            let count = budget.min(rest as u64) as usize;
            self.file.write_at(self.at, &self.pending[self.done..self.done + count])?;
            self.done += count;
            self.at += count as u64;
            if self.at - self.synced >= SYNC_BYTES {
                self.file.sync()?;
                self.synced = self.at;
            }
            if budget < u64::MAX {
                break;
            }
        }
        if self.done == self.pending.len() {
            self.pending.clear();
            self.done = 0;
        }
        Ok(())
    }

    /// After the last row: writes up to so many bytes of what is left. `true` once the file is whole and durable, but
    /// for its name.
    pub(super) fn end(&mut self, budget: u64) -> Result<bool, StorageError> {
        if self.checksum.is_none() {
            if !self.builder.is_empty() {
                self.end_block();
            }
            self.footer.again.sort_unstable();
            let (bytes, checksum) = self.footer.write(self.number, self.day, self.rows);
            self.pending.extend_from_slice(&bytes);
            self.checksum = Some(checksum);
        }
        self.write(budget)?;
        if !self.pending.is_empty() {
            return Ok(false);
        }
        self.file.sync()?;
        Ok(true)
    }

    /// The run, once [`RunWriter::end`] is through.
    pub(super) fn into_run(self) -> Run<F> {
        let Self { number, day, rows, at: bytes, checksum, .. } = self;
        let checksum = checksum.unwrap_or_default();
        let described = Described { number, day, rows, bytes, checksum };
        Run { file: self.file, described, footer: self.footer }
    }
}
