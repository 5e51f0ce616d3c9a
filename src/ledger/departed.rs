//! What leaves memory: closed authorizations, for whoever keeps them on disk (R9).
//!
//! Which authorizations leave, and at which record, is a part of the state: replay lets go of the same ones. A shard
//! only notes them, in memory that was set aside, and whoever wants them fetches them in time. What comes while that is
//! full is not noted; from which record on something is missing is.

use crate::domain::card::CardRef;
use crate::domain::closed::Counted;
use crate::domain::event::Sequence;
use crate::domain::time::Timestamp;

use super::authorization::Authorization;
use super::books::Books;
use super::shard::Shard;

/// A closed authorization or a tombstone that has left memory.
#[derive(Clone, Copy, Debug)]
pub struct Departed {
    /// Its card.
    pub card: CardRef,
    /// The record at which it left.
    pub by: Sequence,
    /// That record's time.
    pub time: Timestamp,
    /// As it was when it left. Its positions mean nothing any more.
    pub authorization: Authorization,
    /// What limits have counted of it.
    pub counted: Option<Counted>,
}

/// What has left a shard and was not fetched yet.
#[derive(Debug, Default)]
pub(super) struct Departures {
    list: Vec<Departed>,
    /// Most that are noted.
    room: usize,
    /// The first record at which something left that is not noted.
    missing_from: Option<Sequence>,
}

impl Departures {
    pub(super) fn leaves(
        &mut self,
        card: CardRef,
        (by, time): (Sequence, Timestamp),
        authorization: &Authorization,
        counted: Option<Counted>,
    ) {
        if self.list.len() < self.room {
            self.list.push(Departed { card, by, time, authorization: *authorization, counted });
        } else if self.room > 0 && self.missing_from.is_none() {
            self.missing_from = Some(by);
        }
    }
}

impl Shard {
    /// Notes what leaves from now on, up to `room` between two times that it is fetched. Memory for `reserved` of them
    /// is set aside now.
    pub fn note_departures(&mut self, room: usize, reserved: usize) {
        let mut list = Vec::new();
        list.reserve_exact(reserved);
        self.departures = Departures { list, room, missing_from: None };
    }

    /// What has left and was not fetched yet.
    #[must_use]
    pub fn departed(&self) -> &[Departed] {
        &self.departures.list
    }

    /// Lets go of what has left and was not fetched yet.
    pub fn forget_departed(&mut self) {
        self.departures.list.clear();
    }

    /// Moves what has left to `into`. Returns the first record of which something is missing, if there was no room for
    /// all since the last time.
    pub fn fetch_departed(&mut self, into: &mut Vec<Departed>) -> Option<Sequence> {
        into.append(&mut self.departures.list);
        self.departures.missing_from.take()
    }
}

impl Books {
    /// Notes what leaves each shard from now on: [`Shard::note_departures`].
    pub fn note_departures(&mut self, room: usize, reserved: usize) {
        self.shards.iter_mut().for_each(|shard| shard.note_departures(room, reserved));
    }
}
