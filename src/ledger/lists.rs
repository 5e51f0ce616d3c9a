//! The lists that an authorization is on: its card's open ones, newest first; its card's and its slot's closed ones, in
//! the order in which they were closed. What is closed leaves from the front, by time and by count.

use crate::domain::event::Bounds;
use crate::domain::event::Sequence;
use crate::domain::party::Slot;
use crate::domain::time::Timestamp;

use super::authorization::Authorization;
use super::authorization::AuthorizationState;
use super::shard::Shard;
use super::slab::NONE;

impl Shard {
    /// Puts a new authorization or tombstone into the table, and makes room on the card if it must by letting go of
    /// its oldest closed one. It is on no list yet. `None` when there is no room.
    pub(super) fn place(&mut self, slot: Slot, card: u32, entry: Authorization) -> Option<u32> {
        let owner = self.cards.at(card);
        if u32::from(owner.authorizations) >= self.bounds.authorizations_per_card {
            if owner.closed_oldest == NONE {
                return None;
            }
            let oldest = owner.closed_oldest;
            self.shortened.closed += 1;
            self.drop_closed(slot, oldest);
        }
        let position = self.authorizations.insert(Authorization { card, ..entry }).ok()?;
        self.cards.at_mut(card).authorizations += 1;
        Some(position)
    }

    /// Puts a new open authorization into the table, at the head of its card's list and into the index.
    pub(super) fn link_open(&mut self, slot: Slot, card: u32, entry: Authorization) -> Option<u32> {
        let position = self.place(slot, card, entry)?;
        let owner = self.cards.at_mut(card);
        self.authorizations.at_mut(position).chain_next = owner.open;
        owner.open = position;
        self.open_authorizations += 1;
        let fingerprint = self.fingerprint_of(self.authorizations.at(position));
        self.messages.insert(fingerprint, position);
        Some(position)
    }

    /// Puts what is closed from the beginning into the table, on the lists of closed ones and into the index.
    pub(super) fn link_closed(
        &mut self,
        slot: Slot,
        card: u32,
        entry: Authorization,
        time: Timestamp,
    ) -> Option<u32> {
        let position = self.place(slot, card, entry)?;
        let fingerprint = self.fingerprint_of(self.authorizations.at(position));
        self.messages.insert(fingerprint, position);
        self.close(slot, position, entry.sequence, time);
        Some(position)
    }

    /// Takes an authorization out of its card's list of open ones.
    pub(super) fn unlink_open(&mut self, position: u32) {
        self.open_authorizations -= 1;
        let Authorization { card, chain_next, .. } = *self.authorizations.at(position);
        let newer = self.open_of(self.cards.at(card)).find(|(_, newer)| newer.chain_next == position);
        match newer.map(|(newer, _)| newer) {
            Some(newer) => self.authorizations.at_mut(newer).chain_next = chain_next,
            None => self.cards.at_mut(card).open = chain_next,
        }
    }

    /// Appends an authorization that is on no list to its slot's and its card's lists of closed ones, and lets go of
    /// the slot's oldest beyond the bounds.
    pub(super) fn close(&mut self, slot: Slot, position: u32, by: Sequence, time: Timestamp) {
        let at = self.slot_of(slot);
        let entry = self.authorizations.at_mut(position);
        entry.closed_by = by;
        entry.changed_s = time.seconds() as u32;
        entry.chain_next = NONE;
        let (card, declines) = (entry.card, entry.declines_late_request());
        self.append_closed(at, position);

        let card = self.cards.at_mut(card);
        card.tombstones += u16::from(declines);
        let before = std::mem::replace(&mut card.closed_newest, position);
        match before {
            NONE => card.closed_oldest = position,
            before => self.authorizations.at_mut(before).chain_next = position,
        }
        if self.slots[at].closed_len > self.bounds.closed_per_slot {
            self.shortened.closed += 1;
            self.drop_closed(slot, self.slots[at].closed_oldest);
        }
    }

    /// Puts an authorization behind all others that were closed in its slot.
    pub(super) fn append_closed(&mut self, at: usize, position: u32) {
        let newest = std::mem::replace(&mut self.slots[at].closed_newest, position);
        let entry = self.authorizations.at_mut(position);
        entry.closed_previous = newest;
        entry.closed_next = NONE;
        match newest {
            NONE => self.slots[at].closed_oldest = position,
            newest => self.authorizations.at_mut(newest).closed_next = position,
        }
        self.slots[at].closed_len += 1;
    }

    /// Lets go of up to two authorizations whose time in memory is over. Two for each event that adds at most one, so
    /// the list never falls behind; and by the record's time, so that replay does the same.
    pub(super) fn drop_overdue(&mut self, slot: Slot, time: Timestamp) {
        let Bounds { closed_window_s, .. } = self.bounds;
        for _ in 0..2 {
            let oldest = self.slots[self.slot_of(slot)].closed_oldest;
            if oldest == NONE {
                return;
            }
            let closed_s = u64::from(self.authorizations.at(oldest).changed_s);
            if closed_s + u64::from(closed_window_s) >= time.seconds() {
                return;
            }
            self.drop_closed(slot, oldest);
        }
    }

    /// Takes a card's oldest closed authorization out of all lists, the index and the table. What leaves first is
    /// always the oldest of its card: a slot's list is in the same order as each of its cards' lists.
    fn drop_closed(&mut self, slot: Slot, position: u32) {
        let entry = *self.authorizations.at(position);
        if self.copying.is_some() {
            self.preserve(self.cards.at(entry.card).wallet);
        }
        let (reference, limited) = (self.cards.at(entry.card).reference, self.cards.at(entry.card).limited());
        let counted = if limited { self.limits.kept_of(entry.sequence) } else { None };
        self.departures.leaves(reference, self.applying, &entry, counted);
        let at = self.slot_of(slot);
        match entry.closed_previous {
            NONE => self.slots[at].closed_oldest = entry.closed_next,
            previous => self.authorizations.at_mut(previous).closed_next = entry.closed_next,
        }
        match entry.closed_next {
            NONE => self.slots[at].closed_newest = entry.closed_previous,
            next => self.authorizations.at_mut(next).closed_previous = entry.closed_previous,
        }
        self.slots[at].closed_len -= 1;

        let tombstone = entry.state == AuthorizationState::Tombstone;
        if !tombstone {
            self.messages.remove(self.fingerprint_of(&entry), position);
        }
        if limited {
            self.limits.forget(entry.sequence);
        }
        self.forget_shares(&entry);
        let card = self.cards.at_mut(entry.card);
        debug_assert_eq!(card.closed_oldest, position, "the oldest leaves first");
        card.closed_oldest = entry.chain_next;
        if entry.chain_next == NONE {
            card.closed_newest = NONE;
        }
        card.authorizations -= 1;
        card.tombstones -= u16::from(entry.declines_late_request());
        self.authorizations.at_mut(position).state = AuthorizationState::Vacant;
        self.authorizations.remove(position);
    }
}
