//! Several sources of rows as one, in the order of keys; of rows with one key the one that counts.
//!
//! A source is read only when its turn has come: the least key that it could have next is known from the first keys of
//! its blocks, and while another source has a lesser one, nothing of it is read.

use std::sync::Arc;

use crate::journal::storage::StorageFile;

use super::block::BLOCK_BYTES;
use super::block::Block;
use super::buffer::InOrder;
use super::entry::Day;
use super::entry::Entry;
use super::entry::Row;
use super::entry::VERSION;
use super::error::HistoryError;
use super::run::Run;

const NO_ENTRY: &str = "a row is none that an authorization is stored as";

/// What a source has next. Of equal keys one that is still to be read comes first: it may have the version that counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Head {
    /// The least key that it can have.
    key: u128,
    /// Whether that is a row's that can be looked at.
    is_read: bool,
}

impl Head {
    /// Behind all rows: no card's reference has the highest bit.
    const END: Self = Self { key: u128::MAX, is_read: true };
}

/// Rows of one source.
#[derive(Debug)]
pub(super) enum Source<'a, F> {
    Run(Rows<F>),
    Buffer(Buffers<'a>),
}

/// The rows of a run from a key on.
#[derive(Debug)]
pub(super) struct Rows<F> {
    run: Arc<Run<F>>,
    /// Where to begin.
    from: u128,
    /// The block that is read or comes next.
    index: u32,
    block: Option<Block>,
    row: usize,
    /// Memory for the next block.
    spare: Vec<u8>,
    /// No row that is still to come has a lesser key; the key itself, once the block is read.
    bound: u128,
}

/// Rows of memory, of one day or all.
#[derive(Debug)]
pub(super) struct Buffers<'a> {
    range: InOrder<'a>,
    day: Option<Day>,
    head: Option<(u128, &'a Row)>,
}

impl<F: StorageFile> Rows<F> {
    /// From this key on. `bound` is a key that no row from there on is below.
    pub(super) fn new(run: &Arc<Run<F>>, from: u128, bound: u128) -> Self {
        let index = run.block_of(from);
        let first = run.footer.index.get(index as usize).copied().unwrap_or(u128::MAX);
        let bound = bound.max(from).max(first);
        Self { run: Arc::clone(run), from, index, block: None, row: 0, spare: Vec::new(), bound }
    }

    /// Whether no row is left.
    fn ended(&self) -> bool {
        self.index >= self.run.blocks()
    }

    /// Reads the block that comes next and goes to its first row.
    fn load(&mut self) -> Result<(), HistoryError> {
        let block = self.run.read_block(self.index, std::mem::take(&mut self.spare))?;
        self.row = block.seek(self.from);
        self.block = Some(block);
        self.settle();
        Ok(())
    }

    fn advance(&mut self) {
        self.row += 1;
        self.settle();
    }

    /// Sets the bound; behind a block's last row, the next block is to come.
    fn settle(&mut self) {
        let Some(block) = self.block.take_if(|block| self.row >= block.rows()) else {
            self.bound = self.block.as_ref().map_or(self.bound, |block| block.key(self.row));
            return;
        };
        self.spare = block.into_bytes();
        self.index += 1;
        let next = self.run.footer.index.get(self.index as usize);
        self.bound = next.map_or(u128::MAX, |first| (*first).max(self.from));
    }

    fn damaged(&self) -> HistoryError {
        self.run.damaged(u64::from(self.index) * BLOCK_BYTES as u64, NO_ENTRY)
    }

    /// `None` before the block is read.
    fn numbers(&self) -> Option<Row> {
        self.block.as_ref().map(|block| block.numbers(self.row))
    }

    fn value(&self, column: usize) -> u64 {
        self.block.as_ref().map_or(0, |block| block.value(column, self.row))
    }
}

impl<'a> Buffers<'a> {
    /// The rows of a range that belong to this day, or all.
    pub(super) fn new(range: InOrder<'a>, day: Option<Day>) -> Self {
        let mut buffers = Self { range, day, head: None };
        buffers.advance();
        buffers
    }

    fn advance(&mut self) {
        let day = self.day;
        let mut of_day = self.range.by_ref().filter(|(_, of)| day.is_none_or(|day| of.day == day));
        self.head = of_day.next().map(|(key, buffered)| (key, &buffered.row));
    }
}

impl<F: StorageFile> Source<'_, F> {
    fn head(&self) -> Head {
        match self {
            Self::Run(rows) if rows.ended() => Head::END,
            Self::Run(rows) => Head { key: rows.bound, is_read: rows.block.is_some() },
            Self::Buffer(buffers) => buffers.head.map_or(Head::END, |(key, _)| Head { key, is_read: true }),
        }
    }

    fn value(&self, column: usize) -> u64 {
        match self {
            Self::Run(rows) => rows.value(column),
            Self::Buffer(buffers) => buffers.head.map_or(0, |(_, row)| row[column]),
        }
    }

    fn advance(&mut self) {
        match self {
            Self::Run(rows) => rows.advance(),
            Self::Buffer(buffers) => buffers.advance(),
        }
    }
}

/// What comes next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Next {
    /// The row with this key; its numbers can be asked for.
    Row(u128),
    /// A block would have to be read for it, and no more may be.
    Unread,
    End,
}

/// The rows of all sources.
#[derive(Debug)]
pub(super) struct Merge<'a, F> {
    sources: Vec<Source<'a, F>>,
    /// Of each source, what it can have next.
    heads: Vec<Head>,
    /// The source of the row that counts.
    winner: usize,
    /// Blocks that were read.
    pub(super) blocks: u64,
}

impl<'a, F: StorageFile> Merge<'a, F> {
    pub(super) fn new(sources: Vec<Source<'a, F>>) -> Self {
        let heads = sources.iter().map(Source::head).collect();
        Self { sources, heads, winner: 0, blocks: 0 }
    }

    /// Goes to the row with the least key, unless `to` is below it. Reads no block once `blocks_max` were read.
    pub(super) fn next(&mut self, to: u128, blocks_max: u64) -> Result<Next, HistoryError> {
        loop {
            let (mut at, mut least) = (0, Head::END);
            for (n, head) in self.heads.iter().enumerate() {
                if *head < least {
                    (at, least) = (n, *head);
                }
            }
            let Head { key, is_read } = least;
            if least == Head::END || key > to {
                return Ok(Next::End);
            }
            if is_read {
                self.winner = self.of_key(key).max_by_key(|n| self.sources[*n].value(VERSION)).unwrap_or(at);
                return Ok(Next::Row(key));
            }
            if self.blocks >= blocks_max {
                return Ok(Next::Unread);
            }
            if let Source::Run(rows) = &mut self.sources[at] {
                rows.load()?;
                self.blocks += 1;
            }
            self.heads[at] = self.sources[at].head();
        }
    }

    fn of_key(&self, key: u128) -> impl Iterator<Item = usize> {
        let head = Head { key, is_read: true };
        self.heads.iter().enumerate().filter(move |(_, of)| **of == head).map(|(n, _)| n)
    }

    /// A number of the row that counts.
    pub(super) fn value(&self, column: usize) -> u64 {
        self.sources.get(self.winner).map_or(0, |source| source.value(column))
    }

    /// All numbers of the row that counts; zeros where there is none.
    pub(super) fn row(&self) -> Row {
        let row = match self.sources.get(self.winner) {
            Some(Source::Run(rows)) => rows.numbers(),
            Some(Source::Buffer(buffers)) => buffers.head.map(|(_, row)| *row),
            None => None,
        };
        row.unwrap_or_default()
    }

    /// The entry that the row that counts is.
    pub(super) fn entry(&self) -> Result<Entry, HistoryError> {
        Entry::from_row(&self.row()).ok_or_else(|| match self.sources.get(self.winner) {
            Some(Source::Run(rows)) => rows.damaged(),
            _ => HistoryError::Damaged { file: String::new(), offset: 0, what: NO_ENTRY },
        })
    }

    /// Leaves the rows with this key behind.
    pub(super) fn skip(&mut self, key: u128) {
        for (source, head) in self.sources.iter_mut().zip(&mut self.heads) {
            if *head == (Head { key, is_read: true }) {
                source.advance();
                *head = source.head();
            }
        }
    }
}
