//! Bringing back what has left memory, for the messages that may be about it (R9): off the threads that serve sockets.
//!
//! A look-up holds the history's lock until what it has found is journaled, applied and used, all under one lock of the
//! shard: nothing can be brought back twice, or leave again in between.

use crate::domain::card::CardIdentity;
use crate::domain::card::CardRef;
use crate::domain::card::Pan;
use crate::domain::clearing::Presentment;
use crate::domain::event::Effect;
use crate::domain::event::Event;
use crate::domain::event::Recalled;
use crate::domain::event::Sequence;
use crate::domain::party::Slot;
use crate::domain::request::Advice;
use crate::domain::request::ApprovalCode;
use crate::domain::request::MessageKey;
use crate::domain::request::OriginalData;
use crate::domain::request::ReversalRequest;
use crate::domain::request::Stan;
use crate::domain::time::Now;
use crate::history::entry::Entry;
use crate::history::search::Search;
use crate::ledger::authorization::Authorization;
use crate::ledger::departed::Departed;
use crate::ledger::shard::Shard;

use super::core::Outcome;
use super::core::Pipeline;
use super::core::micros;
use super::past::Memory;
use super::past::Unknown;

/// What a peer tells and is not declined.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Told {
    /// 0400, 0420 and their repeats.
    Reversal(ReversalRequest),
    /// 0120, 0220 and their repeats.
    Advice(Advice),
}

impl Told {
    /// DE 2.
    #[must_use]
    pub const fn pan(&self) -> Pan {
        match self {
            Self::Reversal(of) => of.pan,
            Self::Advice(of) => of.pan,
        }
    }

    /// Whether its MTI says that it is a repeat.
    #[must_use]
    pub const fn is_repeat(&self) -> bool {
        match self {
            Self::Reversal(of) => of.repeat,
            Self::Advice(of) => of.repeat,
        }
    }

    fn keys(&self) -> Keys {
        match self {
            Self::Reversal(of) => Keys::of(&of.key, of.original, of.approval_code),
            Self::Advice(of) => Keys::of(&of.key, of.original, of.approval_code),
        }
    }

    fn may_be_about(&self, shard: &Shard, older: &Authorization) -> bool {
        match self {
            Self::Reversal(of) => shard.may_be_reversed_by(older, of),
            Self::Advice(of) => shard.may_be_advised_by(older, of),
        }
    }
}

/// What an older authorization is looked for by, any of it: a card's, of one network.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Keys {
    /// The source network, as an authorization keeps it.
    pub network: u16,
    /// The network's id of the transaction; zero for none.
    pub network_reference: u64,
    /// DE 11, of the message itself or of the one that it names.
    pub stans: [Option<Stan>; 2],
    /// DE 37; blank for none.
    pub rrn: [u8; 12],
    /// DE 38.
    pub approval_code: Option<ApprovalCode>,
}

impl Keys {
    /// What a message has of them.
    #[must_use]
    pub fn of(key: &MessageKey, original: Option<OriginalData>, approval_code: Option<ApprovalCode>) -> Self {
        let named = original.map(|original| original.stan).filter(|stan| *stan != key.stan);
        Self {
            network: key.network.0 as u16,
            network_reference: key.network_reference,
            stans: [Some(key.stan), named],
            rrn: key.rrn.0,
            approval_code,
        }
    }

    /// What a clearing record has of them. Its own entry, and that of its presentment, are found by the acquirer
    /// reference ([`ledger::clearing`](crate::ledger::clearing)).
    #[must_use]
    pub fn of_presentment(presentment: &Presentment) -> Self {
        Self {
            network: presentment.network.0 as u16,
            network_reference: presentment.network_reference,
            stans: [Some(Stan(presentment.key().arn_print().0 as u32)), None],
            rrn: presentment.rrn.0,
            approval_code: presentment.approval_code,
        }
    }

    /// One search for each of them.
    pub(super) fn searches(&self) -> Vec<Search> {
        let of_network = || Search { network: Some(self.network), ..Search::default() };
        let reference = (self.network_reference != 0).then_some(self.network_reference);
        let rrn = (self.rrn != [b' '; 12]).then_some(self.rrn);
        let by_reference =
            reference.map(|reference| Search { network_reference: Some(reference), ..of_network() });
        let by_stan =
            self.stans.into_iter().flatten().map(|stan| Search { stan: Some(stan), ..of_network() });
        let by_rrn = rrn.map(|rrn| Search { rrn: Some(rrn), ..of_network() });
        let by_code = self.approval_code.map(|code| Search { approval_code: Some(code), ..of_network() });
        by_reference.into_iter().chain(by_stan).chain(by_rrn).chain(by_code).collect()
    }
}

/// What came of a look-up that brings back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Brought {
    /// How many are back in memory.
    pub back: usize,
    /// The record of the last one; zero when none is.
    pub last: Sequence,
    /// There was no room, in memory or in the journal, for all of them.
    pub short: bool,
}

/// Whether an advice was decided as being about nothing that is in memory, on a card of ours. One that changes nothing
/// was settled before, or says that nothing was approved: then there may be something to give back.
pub(super) fn is_about_nothing(event: &Event) -> bool {
    let Event::Advised(event) = event else { return false };
    let changes = event.effect != Effect::None || !event.approved;
    event.sets == Sequence(0) && changes && matches!(event.card, CardIdentity::Known(_))
}

impl Pipeline {
    /// Keeps what has left memory in this history. The first one stays.
    pub(super) fn remember(&self, past: std::sync::Arc<dyn Memory>) {
        let _first = self.past.set(past);
    }

    /// Whether there is a history that can be asked.
    #[must_use]
    pub fn remembers(&self) -> bool {
        self.past.get().is_some_and(|past| past.works())
    }

    /// The same; that it cannot be asked is counted, if there is one.
    pub(super) fn may_look(&self) -> bool {
        let Some(past) = self.past.get() else {
            self.desk.count_if_lacking();
            return false;
        };
        let works = past.works();
        if !works {
            self.desk.count_without();
        }
        works
    }

    pub(super) fn fetch_departed(&self, into: &mut Vec<Departed>) -> Option<Sequence> {
        let missing = self.shards.iter().map(|shard| shard.lock().fetch_departed(into));
        missing.fold(None, |first, missing| first.or(missing))
    }

    pub(super) fn fetch_departed_of(&self, card: CardRef, into: &mut Vec<Departed>) -> Option<Sequence> {
        self.lock(Slot::of_card(card)).fetch_departed(into)
    }

    /// Decides about a message as [`Self::told`] does, after bringing back what it may be about. It may take as long as
    /// the disk does. A look-up that fails leaves the message unanswered (R2); without a history that works it is
    /// decided by what is in memory.
    #[must_use]
    pub fn told_after_recall(&self, told: &Told, received: Now, now: &dyn Fn() -> Now) -> Outcome {
        // The original, or another repeat of the same message, may have come meanwhile.
        if let Told::Advice(_) = told {
            let decided = self.told(told, true, received, now());
            if decided != Outcome::Look {
                return decided;
            }
        }
        let (Some(past), Some(card)) = (self.past.get(), self.card_of(told.pan())) else {
            return self.told(told, false, received, now());
        };
        let mut outcome = Outcome::Silence;
        let looked = past.look(self, card, &told.keys().searches(), &mut |entries| {
            outcome = self.told_with(told, card, &entries, received, now());
        });
        match looked {
            Ok(()) => {
                self.desk.count_look_up();
                outcome
            }
            Err(Unknown::NotWorking) => {
                self.desk.count_without();
                self.told(told, false, received, now())
            }
            Err(Unknown::Failed(_) | Unknown::Full(_)) => {
                self.desk.count_failure();
                Outcome::Silence
            }
        }
    }

    fn card_of(&self, pan: Pan) -> Option<CardRef> {
        let (shard, position) = self.locate(pan);
        position.map(|position| shard.card(position).reference)
    }

    fn told_with(&self, told: &Told, card: CardRef, entries: &[Entry], received: Now, now: Now) -> Outcome {
        let (mut shard, position) = self.locate(told.pan());
        let may_be_about = |shard: &Shard, older: &Authorization| told.may_be_about(shard, older);
        if self.bring_back(&mut shard, card, entries, &may_be_about, now).short {
            return Outcome::Silence;
        }
        self.told_on(&mut shard, position, told, false, micros(now.since(received)), now)
    }

    /// Journals and applies what of these entries is not in memory, oldest first, so that the newest stays longest.
    pub(super) fn bring_back(
        &self,
        shard: &mut Shard,
        card: CardRef,
        entries: &[Entry],
        wanted: &dyn Fn(&Shard, &Authorization) -> bool,
        now: Now,
    ) -> Brought {
        let mut brought = Brought::default();
        for entry in entries {
            let Some(position) = shard.card_position(card) else { continue };
            // What has left since the look-up is newer than what was found.
            let left = shard.departed().iter().rev();
            let mut left = left.filter(|left| left.card == card);
            let newest = left.find(|left| left.authorization.sequence == entry.authorization.sequence);
            let (older, counted) = newest
                .map_or((entry.authorization, entry.counted), |left| (left.authorization, left.counted));
            if shard.has_authorization(position, older.sequence) || !wanted(shard, &older) {
                continue;
            }
            let slot = Slot::of_wallet(shard.wallet_of(shard.card(position)));
            // Without room to take it back it stays counted; the money comes first.
            let counted = counted.filter(|_| shard.limits().has_room_to_take_back());
            let event = Event::Recalled(Recalled { slot, card, closed: older.closed(), counted });
            let has_room = shard.has_room_for_authorization(shard.card(position));
            let committed = if has_room { self.commit(shard, &event, now) } else { None };
            let Some((sequence, _)) = committed else {
                brought.short = true;
                return brought;
            };
            brought.back += 1;
            brought.last = sequence;
        }
        self.desk.count_recalled(brought.back);
        brought
    }
}
