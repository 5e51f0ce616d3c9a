//! The pipeline: one request from look-up to record.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use crossbeam_utils::CachePadded;
use parking_lot::Condvar;
use parking_lot::Mutex;
use parking_lot::MutexGuard;

use crate::authorizer::Authorizer;
use crate::authorizer::Decision;
use crate::authorizer::advise::slot_of_note;
use crate::authorizer::moving::Bounds;
use crate::crypto::keys::Keys;
use crate::domain::action::ActionCode;
use crate::domain::answer::Answer;
use crate::domain::card::CardIdentity;
use crate::domain::card::CardRef;
use crate::domain::card::Pan;
use crate::domain::event::Decided;
use crate::domain::event::Effect;
use crate::domain::event::Event;
use crate::domain::event::Facts;
use crate::domain::event::Sequence;
use crate::domain::event::Unanswered;
use crate::domain::moved::KeysKept;
use crate::domain::party::Slot;
use crate::domain::request::AdministrativeAdvice;
use crate::domain::request::Advice;
use crate::domain::request::AuthorizationRequest;
use crate::domain::request::ReversalRequest;
use crate::domain::time::Now;
use crate::domain::time::Timestamp;
use crate::journal::buffer::Buffer;
use crate::journal::buffer::Start;
use crate::ledger::apply::Applied;
use crate::ledger::books::Books;
use crate::ledger::books::Layout;
use crate::ledger::directory::Directory;
use crate::ledger::directory::Location;
use crate::ledger::directory::PanHash;
use crate::ledger::shard::Card;
use crate::ledger::shard::Shard;

use super::asking::Desk;
use super::expiry::Expiring;
use super::gate::Policy;
use super::gate::Reply;
use super::gate::Wait;
use super::moving::Verbs;
use super::past::Memory;
use super::recall::Told;
use super::recall::is_about_nothing;
use super::switching::Switchboard;
use super::writer::WriterState;

/// The rooms, joined.
pub struct Pipeline {
    pub(super) layout: Layout,
    pub(super) shards: Box<[CachePadded<Mutex<Shard>>]>,
    pub(super) directory: Directory,
    /// Held while a card is opened, so that no number is given twice.
    pub(super) opening: Mutex<()>,
    pub(super) seed: u64,
    keys: Arc<Keys>,
    pub(super) authorizer: Authorizer,
    pub(super) policy: Policy,
    pub(super) journal: CachePadded<Mutex<Buffer>>,
    pub(super) wake: Condvar,
    pub(super) window: Window,
    parked: AtomicUsize,
    parked_approvals: AtomicUsize,
    pub(super) expiring: Expiring,
    /// What has left memory, once there is a history.
    pub(super) past: OnceLock<Arc<dyn Memory>>,
    /// Messages for which the history is looked at.
    pub(super) desk: Desk,
    /// What verbs are bounded by.
    pub(super) verbs: Verbs,
    /// Where what is not ours goes, once there are routes.
    pub(super) switchboard: OnceLock<Arc<Switchboard>>,
}

/// What is between the buffer and the disk.
pub(super) struct Window {
    /// The last record that was appended.
    appended: CachePadded<AtomicU64>,
    /// When the last record was appended, as it says itself.
    appended_at: AtomicU64,
    /// The last record that is durable.
    pub(super) durable: CachePadded<AtomicU64>,
    /// When the oldest record in the buffer was appended, and the oldest one with the writer, by [`Now::elapsed_ns`];
    /// zero for none.
    pub(super) filling_since: AtomicU64,
    pub(super) writing_since: AtomicU64,
    /// What the writer does, as [`WriterState`].
    pub(super) writer: AtomicU8,
    /// A write or a sync failed: nothing is durable from here on.
    failed: AtomicBool,
    /// The disk is nearly full: the room that is left is for what must be taken.
    short_of_room: AtomicBool,
    /// No more records will come.
    pub(super) closing: AtomicBool,
    /// Nor are they taken.
    pub(super) over: AtomicBool,
}

/// What is done about a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It is answered, once what it waits for is durable.
    Answer(Answer, Wait),
    /// It is not answered: the peer will send it again, or settle it by its time-out (R2).
    Silence,
    /// Nothing that is in memory is what it is about: the history is to be looked at, off this thread (R9).
    Look,
}

impl Outcome {
    /// Nothing new is taken now: 91, and nothing has changed (R2).
    pub const UNAVAILABLE: Self =
        Self::Answer(Answer::decline(ActionCode::Unavailable, Sequence(0)), Wait::NONE);
}

/// What may be done about a request, as its socket and its link stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Admission {
    /// New requests are decided. If not, they are answered 91; repeats get their first answer all the same (R6).
    pub new: bool,
    /// One more answer may wait for the disk.
    pub wait: bool,
}

/// What is in memory and not yet on disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unsynced {
    /// Records.
    pub records: u64,
    /// The age of the oldest, nanoseconds.
    pub age_ns: u64,
}

impl Pipeline {
    /// Joins recovered books with the journal that continues after them.
    #[must_use]
    pub fn new(books: Books, start: Start, authorizer: Authorizer, keys: Arc<Keys>, policy: Policy) -> Self {
        let records_max = usize::try_from(policy.max_unsynced_records).unwrap_or(usize::MAX);
        let Books { layout, shards, directory, seed } = books;
        let (last, none) = (start.last.0, || AtomicU64::new(0));
        let pipeline = Self {
            layout,
            verbs: Verbs::new(Bounds::default(), shards.iter()),
            shards: shards.into_iter().map(|shard| CachePadded::new(Mutex::new(shard))).collect(),
            directory,
            opening: Mutex::new(()),
            seed,
            keys,
            authorizer,
            policy,
            journal: CachePadded::new(Mutex::new(Buffer::new(start, records_max))),
            wake: Condvar::new(),
            window: Window {
                appended: CachePadded::new(AtomicU64::new(last)),
                appended_at: AtomicU64::new(start.time.0),
                durable: CachePadded::new(AtomicU64::new(last)),
                filling_since: none(),
                writing_since: none(),
                writer: AtomicU8::new(WriterState::Busy as u8),
                failed: AtomicBool::new(false),
                short_of_room: AtomicBool::new(false),
                closing: AtomicBool::new(false),
                over: AtomicBool::new(false),
            },
            parked: AtomicUsize::new(0),
            parked_approvals: AtomicUsize::new(0),
            expiring: Expiring::default(),
            past: OnceLock::new(),
            desk: Desk::default(),
            switchboard: OnceLock::new(),
        };
        pipeline.copy_quotes();
        pipeline
    }

    /// The same with other bounds of verbs, and what they say of callers' keys that may have been forgotten.
    #[must_use]
    pub fn with_verbs(mut self, bounds: Bounds, keys_kept: KeysKept) -> Self {
        self.verbs.rebound(bounds, keys_kept);
        self
    }

    /// What verbs are bounded by, and how much of it is used.
    #[must_use]
    pub const fn verbs(&self) -> &Verbs {
        &self.verbs
    }

    /// The policy in force.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The last durable record.
    #[must_use]
    pub fn durable(&self) -> Sequence {
        Sequence(self.window.durable.load(Ordering::Acquire))
    }

    /// The time in seconds since 1970, as records have it: a clock that went back stays where the last record was, so
    /// that what was forgotten by then is not taken for new.
    #[must_use]
    pub fn seconds(&self, now: Now) -> u64 {
        now.wall.max(Timestamp(self.window.appended_at.load(Ordering::Relaxed))).seconds()
    }

    /// The last record that was appended.
    #[must_use]
    pub fn appended(&self) -> Sequence {
        Sequence(self.window.appended.load(Ordering::Acquire))
    }

    /// Whether the journal has failed. It stays so until the daemon starts again from disk.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.window.failed.load(Ordering::Acquire)
    }

    /// What is in memory and not yet on disk.
    #[must_use]
    pub fn unsynced(&self, now: Now) -> Unsynced {
        let records = self.appended().0.saturating_sub(self.durable().0);
        let writing = self.window.writing_since.load(Ordering::Relaxed);
        let filling = self.window.filling_since.load(Ordering::Relaxed);
        let since = if writing != 0 { writing } else { filling };
        let age_ns = if since == 0 || records == 0 { 0 } else { now.elapsed_ns.saturating_sub(since) };
        Unsynced { records, age_ns }
    }

    /// Whether the journal goes on, and its disk is not nearly full.
    #[must_use]
    pub fn has_room(&self) -> bool {
        !self.has_failed() && !self.is_short_of_room() && !self.is_closed()
    }

    /// Whether the disk is nearly full, so that no new requests are taken.
    #[must_use]
    pub fn is_short_of_room(&self) -> bool {
        self.window.short_of_room.load(Ordering::Relaxed)
    }

    /// Says whether the disk is nearly full.
    pub fn set_short_of_room(&self, short: bool) {
        self.window.short_of_room.store(short, Ordering::Relaxed);
    }

    /// Whether no more is in memory, and for no longer, than may be.
    #[must_use]
    pub fn within_bounds(&self, now: Now) -> bool {
        let unsynced = self.unsynced(now);
        unsynced.records < self.policy.max_unsynced_records && unsynced.age_ns <= self.policy.max_unsynced_ns
    }

    /// Whether new requests may touch the ledger (R2): the journal works, is within its bounds, and has room.
    #[must_use]
    pub fn admits(&self, now: Now) -> bool {
        !self.has_failed() && !self.is_short_of_room() && self.within_bounds(now)
    }

    /// How many answers wait in all.
    #[must_use]
    pub fn parked(&self) -> usize {
        self.parked.load(Ordering::Relaxed)
    }

    /// Whether as many requests have been decided ahead of the disk as may be. With [`Reply::Async`] never: approvals
    /// do not wait for a disk that stalls, even while answers to reversals do.
    #[must_use]
    pub fn is_ahead(&self) -> bool {
        self.policy.reply == Reply::Fsync && self.parked() >= self.policy.ahead_max
    }

    /// How many of them tell that something is approved.
    pub(super) fn parked_approvals(&self) -> usize {
        self.parked_approvals.load(Ordering::Relaxed)
    }

    /// Counts an answer that begins to wait.
    pub fn count_parked(&self, wait: &Wait) {
        if wait.authorizes.is_some() {
            self.parked_approvals.fetch_add(1, Ordering::Relaxed);
        }
        self.parked.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts answers that wait no longer, and how many of them tell that something is approved.
    pub fn count_released(&self, answers: usize, approvals: usize) {
        self.parked_approvals.fetch_sub(approvals, Ordering::Relaxed);
        self.parked.fetch_sub(answers, Ordering::Relaxed);
    }

    pub(super) fn lock(&self, slot: Slot) -> MutexGuard<'_, Shard> {
        self.shards[self.layout.shard_of(slot)].lock()
    }

    /// The shard of a card, locked, and the card's position in it. For a card that is not ours, the shard that keeps
    /// what is known of it.
    pub(super) fn locate(&self, pan: Pan) -> (MutexGuard<'_, Shard>, Option<u32>) {
        let hash = PanHash::of(pan, self.seed);
        let mut cursor = 0;
        loop {
            let candidate = self.directory.candidate(hash, cursor);
            let Some((Location { slot, card }, next)) = candidate else {
                return (self.lock(Slot::of_unknown_card(pan.masked())), None);
            };
            let shard = self.lock(slot);
            if shard.card_at(card, pan).is_some() {
                return (shard, Some(card));
            }
            cursor = next;
        }
    }

    /// Appends an event to the journal and applies it, under the lock of its shard, so that journal order is apply
    /// order. `None` when the journal has no room; then nothing has changed.
    pub(super) fn commit(&self, shard: &mut Shard, event: &Event, now: Now) -> Option<(Sequence, Applied)> {
        let (sequence, time) = self.append(event, now)?;
        // The record is written: if it can't be applied, memory and journal have parted, and going on would answer
        // from wrong books. Whatever was decided has been checked against this very state under this lock.
        match shard.apply(sequence, time, event) {
            Ok(applied) => Some((sequence, applied)),
            Err(error) => {
                debug_assert!(false, "record {} was decided but does not apply: {error}", sequence.0);
                self.fail();
                None
            }
        }
    }

    /// Appends an event to the journal's buffer. `None` when there is no room, or the journal has failed or takes no
    /// more; then nothing has changed.
    pub(super) fn append(&self, event: &Event, now: Now) -> Option<(Sequence, Timestamp)> {
        if self.has_failed() {
            return None;
        }
        let mut journal = self.journal.lock();
        if self.window.over.load(Ordering::Acquire) {
            return None;
        }
        if journal.is_empty() {
            self.window.filling_since.store(now.elapsed_ns, Ordering::Relaxed);
        }
        let appended = journal.append(event, now.wall, &self.keys.vault).ok()?;
        self.window.appended_at.store(appended.1.0, Ordering::Relaxed);
        self.window.appended.store(appended.0.0, Ordering::Release);
        Some(appended)
    }

    pub(super) fn fail(&self) {
        self.window.failed.store(true, Ordering::Release);
    }

    /// Decides a request. `received` is when its last byte was read. With the journal failing or past its bounds, a new
    /// one is answered 91 and changes nothing (R2); so is one whose answer would have to wait where none may.
    #[must_use]
    pub fn authorize(
        &self,
        request: &AuthorizationRequest,
        admission: Admission,
        received: Now,
        now: Now,
    ) -> Outcome {
        let after_us = micros(now.since(received));
        let (mut shard, position) = self.locate(request.pan);
        if let Some(position) = position {
            shard.expect_card(position);
        }
        let card = position.map(|position| shard.card(position));
        match self.authorizer.decide(request, Facts::default(), now.wall, after_us, &shard, card) {
            // What was answered before can be said again, whatever the journal does; it waits for its record.
            Decision::Repeat(answer) => {
                let record = answer.depends_on;
                let said = admission.wait || record <= self.durable();
                if said { Outcome::Answer(answer, Wait::until(record)) } else { Outcome::Silence }
            }
            Decision::New(event, answer) => {
                let waits = self.policy.request_waits(request, &answer);
                let admitted = admission.new && (admission.wait || !waits) && self.admits(now);
                let committed = if admitted { self.commit(&mut shard, &event, now) } else { None };
                let Some((sequence, _)) = committed else { return Outcome::UNAVAILABLE };
                let answer = Answer { depends_on: sequence, ..answer };
                if !waits {
                    return Outcome::Answer(answer, Wait::NONE);
                }
                Outcome::Answer(answer, Wait { record: sequence, authorizes: authorized_card(&event) })
            }
        }
    }

    /// Marks the authorization whose answer was too late to be sent: its hold stays until the network settles it, and
    /// it is shown (R3). Nothing is done when it is gone, or when the journal takes nothing.
    pub fn mark_unanswered(&self, card: CardRef, authorization: Sequence, now: Now) {
        let slot = Slot::of_card(card);
        let mut shard = self.lock(slot);
        if shard.answered_open(card, authorization) {
            let event = Event::Unanswered(Unanswered { slot, card, authorization });
            let _marked = self.commit(&mut shard, &event, now);
        }
    }

    /// Carries out a reversal or takes over what an advice tells. Neither is ever declined; what can't be kept is not
    /// answered (R2). `looks`: where nothing in memory is what it is about, the history is to be looked at, if there is
    /// one. Of an advice nothing is done before that. A reversal leaves its tombstone at once, since the request that
    /// it is about may be the next message.
    #[must_use]
    pub fn told(&self, told: &Told, looks: bool, received: Now, now: Now) -> Outcome {
        let after_us = micros(now.since(received));
        let (mut shard, position) = self.locate(told.pan());
        self.told_on(&mut shard, position, told, looks, after_us, now)
    }

    /// The same with the shard locked and the card found.
    pub(super) fn told_on(
        &self,
        shard: &mut Shard,
        position: Option<u32>,
        told: &Told,
        looks: bool,
        after_us: u32,
        now: Now,
    ) -> Outcome {
        if let Some(position) = position {
            shard.expect_card(position);
        }
        let card = position.map(|position| shard.card(position));
        match told {
            Told::Reversal(of) => {
                let decided = self.authorizer.reverse_or_miss(of, now.wall, after_us, shard, card);
                let Some((decision, misses)) = decided else { return Outcome::Silence };
                let kept = self.kept(shard, decision, now);
                let looks = looks && misses && kept != Outcome::Silence && self.may_look();
                if looks { Outcome::Look } else { kept }
            }
            Told::Advice(of) => match self.authorizer.advise(of, now.wall, after_us, shard, card) {
                None => Outcome::Silence,
                Some(Decision::New(event, _)) if looks && is_about_nothing(&event) && self.may_look() => {
                    Outcome::Look
                }
                Some(decision) => self.kept(shard, decision, now),
            },
        }
    }

    /// [`Self::told`] of a reversal, by what is in memory.
    #[must_use]
    pub fn reverse(&self, reversal: &ReversalRequest, received: Now, now: Now) -> Outcome {
        self.told(&Told::Reversal(*reversal), false, received, now)
    }

    /// Undoes our leg of what an answer that did not arrive was about (R4). Nothing is answered.
    pub fn undelivered(&self, reversal: &ReversalRequest, received: Now, now: Now) {
        let after_us = micros(now.since(received));
        let _silent = self.keep(reversal.pan, now, |shard, card| {
            self.authorizer.undelivered(reversal, now.wall, after_us, shard, card)
        });
    }

    /// [`Self::told`] of an advice, by what is in memory.
    #[must_use]
    pub fn advise(&self, advice: &Advice, received: Now, now: Now) -> Outcome {
        self.told(&Told::Advice(*advice), false, received, now)
    }

    /// Keeps an administrative advice. When it can't be kept it is not answered (R2).
    #[must_use]
    pub fn note(&self, advice: &AdministrativeAdvice, now: Now) -> Outcome {
        let new = |event| Decision::New(event, Answer::decline(ActionCode::Approved, Sequence(0)));
        match advice.pan {
            Some(pan) => {
                self.keep(pan, now, |shard, card| Some(new(self.authorizer.note(advice, shard, card))))
            }
            None => {
                let mut shard = self.lock(slot_of_note(advice));
                let event = self.authorizer.note(advice, &shard, None);
                self.kept(&mut shard, new(event), now)
            }
        }
    }

    /// Finds the card, decides under its shard's lock, and keeps what was decided.
    fn keep(
        &self,
        pan: Pan,
        now: Now,
        decide: impl FnOnce(&Shard, Option<&Card>) -> Option<Decision>,
    ) -> Outcome {
        let (mut shard, position) = self.locate(pan);
        if let Some(position) = position {
            shard.expect_card(position);
        }
        let card = position.map(|position| shard.card(position));
        match decide(&shard, card) {
            None => Outcome::Silence,
            Some(decision) => self.kept(&mut shard, decision, now),
        }
    }

    /// Keeps what an advice or a reversal has led to; its answer waits for the record (R1).
    fn kept(&self, shard: &mut Shard, decision: Decision, now: Now) -> Outcome {
        let answer = match decision {
            Decision::Repeat(answer) => answer,
            Decision::New(event, answer) => {
                let Some((sequence, _)) = self.commit(shard, &event, now) else {
                    return Outcome::Silence;
                };
                Answer { depends_on: sequence, ..answer }
            }
        };
        Outcome::Answer(answer, Wait::until(answer.depends_on))
    }

    /// Journals and applies an event that touches every slot or none. `None` when the journal has no room.
    pub fn commit_to_all(&self, event: &Event, now: Now) -> Option<Sequence> {
        let mut shards: Vec<_> = self.shards.iter().map(|shard| shard.lock()).collect();
        let (sequence, time) = self.append(event, now)?;
        for shard in &mut shards {
            if shard.apply(sequence, time, event).is_err() {
                self.fail();
                return None;
            }
        }
        drop(shards);
        self.wake_writer();
        Some(sequence)
    }
}

/// The card of an authorization that this event opens.
const fn authorized_card(event: &Event) -> Option<CardRef> {
    match event {
        Event::Decided(Decided { card: CardIdentity::Known(card), effect, .. })
            if !matches!(effect, Effect::None) =>
        {
            Some(*card)
        }
        _ => None,
    }
}

pub(super) fn micros(ns: u64) -> u32 {
    u32::try_from(ns / 1000).unwrap_or(u32::MAX)
}
