//! Entries at stable positions, with a fixed capacity reserved when it is made.

use super::prefetch::prefetch_all;
use super::prefetch::prefetch_end;

/// No position: the end of a list.
pub const NONE: u32 = u32::MAX;

/// A table of `T` whose memory is reserved once. Places that were given back are used again, last one first.
#[derive(Debug)]
pub struct Slab<T> {
    entries: Vec<T>,
    free: Vec<u32>,
    capacity: usize,
}

impl<T> Slab<T> {
    /// Room for `capacity` entries. The memory is reserved now and touched as it is used.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self { entries: Vec::with_capacity(capacity), free: Vec::with_capacity(capacity), capacity }
    }

    /// The same, with every page touched now: for a table that fills under load, where the first touch of a page
    /// would be a wait for the system. `filler` must not be all zeros, which some systems keep as one shared page.
    #[must_use]
    pub fn touched(capacity: usize, filler: T) -> Self
    where
        T: Copy,
    {
        let mut slab = Self::with_capacity(capacity);
        for place in slab.entries.spare_capacity_mut() {
            place.write(filler);
        }
        slab
    }

    /// How many entries are in use.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// One more than the highest position that was ever in use.
    #[must_use]
    pub fn used(&self) -> u32 {
        self.entries.len() as u32
    }

    /// Whether none is in use.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many entries fit.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// Whether nothing more fits.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.len() >= self.capacity
    }

    /// Puts an entry in and tells its position; gives it back when the table is full.
    ///
    /// # Errors
    /// The table is full.
    pub fn insert(&mut self, entry: T) -> Result<u32, T> {
        if let Some(position) = self.free.pop() {
            self.entries[position as usize] = entry;
            return Ok(position);
        }
        if self.entries.len() >= self.capacity {
            return Err(entry);
        }
        self.entries.push(entry);
        Ok((self.entries.len() - 1) as u32)
    }

    /// Gives a place back. The caller has unlinked it everywhere.
    pub fn remove(&mut self, position: u32) {
        self.free.push(position);
    }

    /// The entry at a position that is in use.
    #[must_use]
    pub fn at(&self, position: u32) -> &T {
        &self.entries[position as usize]
    }

    /// The entry at a position that is in use, to be changed.
    #[must_use]
    pub fn at_mut(&mut self, position: u32) -> &mut T {
        &mut self.entries[position as usize]
    }

    /// The entry at a position that may be out of range.
    #[must_use]
    pub fn get(&self, position: u32) -> Option<&T> {
        self.entries.get(position as usize)
    }

    /// Asks for the cache lines of an entry.
    pub fn prefetch(&self, position: u32) {
        if let Some(entry) = self.entries.get(position as usize) {
            prefetch_all(entry);
        }
    }

    /// Asks for the cache line that an entry ends in.
    pub fn prefetch_end(&self, position: u32) {
        if let Some(entry) = self.entries.get(position as usize) {
            prefetch_end(entry);
        }
    }

    /// Asks for the cache lines of the place that the next entry will be put in.
    pub fn prefetch_next(&self) {
        let next = self.free.last().map_or(self.entries.len(), |position| *position as usize);
        prefetch_all(self.entries.as_ptr().wrapping_add(next));
    }

    /// Every entry that was ever put in and its position, those given back included; for tables that never give
    /// back, and for entries that tell themselves whether they are in use.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.entries.iter().enumerate().map(|(position, entry)| (position as u32, entry))
    }
}
