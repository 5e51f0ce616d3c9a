//! Looking for entries.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::domain::card::CardRef;
use crate::domain::event::Sequence;
use crate::journal::storage::Storage;

use super::entry::Day;
use super::entry::VERSION;
use super::entry::entry_key;
use super::error::HistoryError;
use super::index::History;
use super::merge::Buffers;
use super::merge::Merge;
use super::merge::Next;
use super::merge::Rows;
use super::merge::Source;
use super::run::Run;
use super::search::Cursor;
use super::search::Found;
use super::search::Limit;
use super::search::Page;
use super::search::Search;
use super::search::Test;

impl<S: Storage> History<S> {
    /// The entries of a card that are like this, newest first. Each run whose filter knows the card costs a block, or
    /// more if the card has more entries than a block holds; runs that can only have older entries than what is found
    /// by then cost nothing.
    ///
    /// # Errors
    /// The disk failed, or a block is damaged.
    pub fn find(&self, card: CardRef, search: &Search, limit: Limit) -> Result<Found, HistoryError> {
        let made = search.made.clone().unwrap_or(Sequence(0)..=Sequence(u64::MAX));
        let (from, to) = (entry_key(card, *made.end()), entry_key(card, *made.start()));
        let mut found = Found::default();
        if from > to {
            return Ok(found);
        }
        let in_memory = Buffers::new(self.authorizations.range(from, to), None);
        let mut sources = vec![Source::Buffer(in_memory)];
        for run in &self.runs {
            if run.reaches(from, to) && run.footer.filter.may_hold(card.0) {
                let bound = entry_key(card, Sequence(run.footer.newest_made));
                sources.push(Source::Run(Rows::new(run, from, bound)));
            }
        }
        let (mut merge, tests) = (Merge::new(sources), search.tests());
        let mut last = None;
        loop {
            let blocks_max = if last.is_some() { limit.blocks } else { u64::MAX };
            match merge.next(to, blocks_max)? {
                Next::End => break,
                Next::Row(key) if found.entries.len() < limit.entries.max(1) => {
                    if passes(&merge, &tests) {
                        found.entries.push(merge.entry()?);
                    }
                    last = Some(Sequence(!(key as u64)));
                    merge.skip(key);
                }
                Next::Row(_) | Next::Unread => {
                    found.more_before = last;
                    break;
                }
            }
        }
        found.blocks = merge.blocks;
        Ok(found)
    }

    /// The entries of all cards that are like this, of the days on which they left memory or were changed since. No
    /// index helps here: each page goes on through the rows of the days, and reads every block of them; `limit` bounds
    /// how many for one page. A day is passed over when nothing of it was closed in the time that is asked for.
    ///
    /// # Errors
    /// The disk failed, or a block is damaged.
    pub fn search(
        &self,
        days: &RangeInclusive<Day>,
        search: &Search,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page, HistoryError> {
        let (mut page, tests) = (Page::default(), search.tests());
        let mut moved = false;
        for day in self.days_with_entries().into_iter().rev() {
            let at = cursor.filter(|cursor| cursor.day == day).and_then(|cursor| cursor.after);
            let is_behind = cursor.is_some_and(|cursor| cursor.day < day);
            let from = at.map_or(Some(0), |after| after.checked_add(1));
            let Some(from) = from.filter(|_| days.contains(&day) && !is_behind) else { continue };
            if !self.may_have_closed(day, search) {
                continue;
            }
            let (mut merge, mut last) = (Merge::new(self.sources_of(day, from)), at);
            loop {
                let blocks_max = if moved { limit.blocks.saturating_sub(page.blocks) } else { u64::MAX };
                match merge.next(u128::MAX, blocks_max)? {
                    Next::End => break,
                    Next::Row(key) if page.entries.len() < limit.entries.max(1) => {
                        if passes(&merge, &tests) && !self.is_superseded(day, key, merge.value(VERSION)) {
                            page.entries.push(merge.entry()?);
                        }
                        (last, moved) = (Some(key), true);
                        merge.skip(key);
                    }
                    Next::Row(_) | Next::Unread => {
                        page.next = Some(Cursor { day, after: last });
                        page.blocks += merge.blocks;
                        return Ok(page);
                    }
                }
            }
            page.blocks += merge.blocks;
        }
        Ok(page)
    }

    fn days_with_entries(&self) -> BTreeSet<Day> {
        let on_disk = self.runs.iter().map(|run| run.described.day);
        on_disk.chain(self.authorizations.days()).collect()
    }

    fn runs_of_day(&self, day: Day) -> impl Iterator<Item = &Arc<Run<S::File>>> {
        self.runs.iter().filter(move |run| run.described.day == day)
    }

    /// Whether something of a day was closed when the search asks for. All runs of a day are looked at or none: one may
    /// have what hides a row of another.
    fn may_have_closed(&self, day: Day, search: &Search) -> bool {
        let Some(asked) = &search.closed_s else { return true };
        self.authorizations.has_day(day)
            || self.runs_of_day(day).any(|run| {
                let (first, last) = run.footer.closed_s;
                first <= *asked.end() && *asked.start() <= last
            })
    }

    fn sources_of(&self, day: Day, from: u128) -> Vec<Source<'_, S::File>> {
        let runs = self.runs_of_day(day).filter(|run| run.reaches(from, u128::MAX));
        let mut sources: Vec<_> = runs.map(|run| Source::Run(Rows::new(run, from, from))).collect();
        if self.authorizations.has_day(day) {
            let range = self.authorizations.range(from, u128::MAX);
            sources.push(Source::Buffer(Buffers::new(range, Some(day))));
        }
        sources
    }

    /// Whether another day has a later version.
    fn is_superseded(&self, day: Day, key: u128, version: u64) -> bool {
        let sequence = !(key as u64);
        let others = self.runs.iter().filter(|run| run.described.day != day);
        self.authorizations.get(key).is_some_and(|buffered| buffered.row[VERSION] > version)
            || others.map(|run| &run.footer.again).any(|again| {
                let found = again.binary_search_by_key(&sequence, |(sequence, _)| *sequence);
                found.is_ok_and(|at| again[at].1 > version)
            })
    }
}

fn passes<F: crate::journal::storage::StorageFile>(merge: &Merge<'_, F>, tests: &[Test]) -> bool {
    tests.iter().all(|(column, low, high)| (*low..=*high).contains(&merge.value(*column)))
}
