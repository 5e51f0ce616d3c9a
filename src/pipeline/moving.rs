//! Verbs that move money, under the locks of the shards that they change (R10).

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use parking_lot::MutexGuard;
use xxhash_rust::xxh3::xxh3_128_with_seed;

use crate::authorizer::moving::Bounds;
use crate::authorizer::moving::Moving;
use crate::authorizer::moving::Order;
use crate::authorizer::moving::Party;
use crate::authorizer::moving::Refusal;
use crate::domain::event::Event;
use crate::domain::event::Sequence;
use crate::domain::moved::CallerKey;
use crate::domain::moved::KeysKept;
use crate::domain::moved::Verb;
use crate::domain::party::Slot;
use crate::domain::party::WalletId;
use crate::domain::time::Now;
use crate::domain::time::Timestamp;
use crate::ledger::kept::Payment;
use crate::ledger::shard::Shard;

use super::core::Pipeline;

/// How far a caller's clock may be ahead of ours, seconds.
pub const AHEAD_MAX_S: u64 = 300;

/// The bounds, and how much of them is used.
#[derive(Debug)]
pub struct Verbs {
    bounds: Bounds,
    /// For how long callers' keys are remembered, and which may have been forgotten before.
    keys_kept: KeysKept,
    /// Callers' keys, payments and mandates that the shards keep.
    kept: [AtomicU64; 3],
    /// By verb: done, done before, refused.
    outcomes: [[AtomicU64; Outcome::ALL.len()]; Verb::ALL.len()],
}

/// What came of asking for a verb.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Outcome {
    /// It was done.
    Done,
    /// It had been done before.
    Again,
    /// It was not done.
    Refused,
}

impl Outcome {
    /// Every outcome with its name in metrics.
    pub const ALL: [(Self, &'static str); 3] =
        [(Self::Done, "done"), (Self::Again, "again"), (Self::Refused, "refused")];
}

impl Verbs {
    /// With what the shards keep already.
    pub(super) fn new<'s>(bounds: Bounds, shards: impl Iterator<Item = &'s Shard>) -> Self {
        let verbs = Self {
            bounds,
            keys_kept: KeysKept::default(),
            kept: Default::default(),
            outcomes: Default::default(),
        };
        shards.for_each(|shard| verbs.count([0; 3], shard.kept_counts()));
        verbs
    }

    pub(super) const fn rebound(&mut self, bounds: Bounds, keys_kept: KeysKept) {
        self.bounds = bounds;
        self.keys_kept = keys_kept;
    }

    /// For how long callers' keys are remembered, and which may have been forgotten before.
    #[must_use]
    pub const fn keys_kept(&self) -> KeysKept {
        self.keys_kept
    }

    /// What a shard keeps has changed.
    pub(super) fn count(&self, before: [u64; 3], after: [u64; 3]) {
        for ((before, after), count) in before.into_iter().zip(after).zip(&self.kept) {
            count.fetch_add(after.wrapping_sub(before), Ordering::Relaxed);
        }
    }

    /// How often each verb has had each outcome, since the start.
    pub fn outcomes(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        Verb::ALL.iter().zip(&self.outcomes).flat_map(|((_, verb), counts)| {
            let outcomes = Outcome::ALL.iter().zip(counts);
            outcomes.map(|((_, outcome), count)| (*verb, *outcome, count.load(Ordering::Relaxed)))
        })
    }

    /// The bounds.
    #[must_use]
    pub const fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// How many callers' keys, payments that can be refunded and mandates are remembered.
    #[must_use]
    pub fn kept(&self) -> [u64; 3] {
        self.kept.each_ref().map(|count| count.load(Ordering::Relaxed))
    }
}

/// What came of a verb.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Carried {
    /// Its record, on which the answer waits (R1).
    pub sequence: Sequence,
    /// It was done before: nothing has changed now.
    pub again: bool,
}

/// Why nothing was done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotMoved {
    /// The books say no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The caller's key is older than keys are remembered, so that nobody knows whether it was used (R10).
    #[error(
        "the key is older than {0} s, or than a shorter window before, so that nobody knows whether it was used"
    )]
    KeyExpired(u32),
    /// The caller's key is of a time to come.
    #[error("the key is of a time to come")]
    KeyOfTheFuture,
    /// As many of these are remembered as may be.
    #[error("as many {0} are remembered as may be")]
    Full(&'static str),
    /// The journal fails, is past its bounds, or has no room.
    #[error("the journal takes nothing now; try again, and look at /readyz")]
    Unavailable,
}

/// The shards of some slots, locked, the lower first.
struct Locked<'p> {
    pipeline: &'p Pipeline,
    guards: [Option<(usize, MutexGuard<'p, Shard>)>; 3],
}

impl<'p> Locked<'p> {
    fn new(pipeline: &'p Pipeline, slots: [Option<Slot>; 3]) -> Self {
        let mut shards = slots.map(|slot| slot.map(|slot| pipeline.layout.shard_of(slot)));
        shards.sort_unstable();
        let mut last = None;
        let guards = shards.map(|shard| {
            let shard = shard.filter(|shard| last != Some(*shard))?;
            last = Some(shard);
            Some((shard, pipeline.shards[shard].lock()))
        });
        Self { pipeline, guards }
    }

    /// Asks for the memory that the order will need, side by side.
    fn ask_for(&self, order: &Order) {
        let wallets = [order.from, order.to].map(|party| party.map(|party| party.wallet));
        let each = |ask: &dyn Fn(&Shard, WalletId)| {
            for wallet in wallets.into_iter().flatten() {
                self.of(Slot::of_wallet(wallet)).into_iter().for_each(|shard| ask(shard, wallet));
            }
        };
        each(&|shard, wallet| shard.ask_for_index_of(wallet));
        each(&|shard, wallet| shard.ask_for_wallet_of(wallet));
    }

    fn of(&self, slot: Slot) -> Option<&Shard> {
        let shard = self.pipeline.layout.shard_of(slot);
        self.guards.iter().flatten().find(|(number, _)| *number == shard).map(|(_, guard)| &**guard)
    }
}

impl Pipeline {
    /// Does what a verb asks for, and counts it. `created_s` is when the caller made its key, seconds since 1970.
    ///
    /// # Errors
    /// Why nothing was done; the answer to that waits for nothing.
    pub fn move_money(&self, order: &Order, created_s: u64, now: Now) -> Result<Carried, NotMoved> {
        let carried = self.carry(order, created_s, now);
        let outcome = match &carried {
            Ok(Carried { again: false, .. }) => Outcome::Done,
            Ok(Carried { again: true, .. }) => Outcome::Again,
            Err(_) => Outcome::Refused,
        };
        // Verbs count from one.
        self.verbs.outcomes[order.verb as usize - 1][outcome as usize].fetch_add(1, Ordering::Relaxed);
        carried
    }

    fn carry(&self, order: &Order, created_s: u64, now: Now) -> Result<Carried, NotMoved> {
        let mut order = *order;
        order.key = self.kept_key(&order.key, created_s);
        if order.verb == Verb::Payment {
            let until = self.seconds(now) + u64::from(self.verbs.bounds.refund_window_s);
            order.refundable_until_s = u32::try_from(until).unwrap_or(u32::MAX);
        }
        if order.verb == Verb::Charge {
            let payee = order.from.and_then(|payer| self.mandate(payer.wallet, order.about));
            order.to = payee
                .map(|of| of.terms.payee)
                .map(|side| Party { wallet: side.wallet, account: Some(side.account) });
        }
        if order.verb == Verb::Refund {
            // Who gets it, the payment says; it is looked at again once both are locked.
            let merchant = order.from.map(|merchant| Slot::of_wallet(merchant.wallet));
            let payer =
                merchant.and_then(|slot| self.payment(slot, order.about)).map(|payment| payment.payer);
            order.to = payer.map(|side| Party { wallet: side.wallet, account: Some(side.account) });
        }
        let mut locked = Locked::new(self, order.slots());
        locked.ask_for(&order);
        let at = Timestamp::from_seconds(self.seconds(now));
        let event = match self.authorizer.move_money(&order, at, &|slot| locked.of(slot))? {
            Moving::Again(sequence) => return Ok(Carried { sequence, again: true }),
            Moving::New(event) => event,
        };
        self.admit_verb(&order, created_s, &locked, now)?;
        let event = Event::Moved(event);
        let (sequence, time) = self.append(&event, now).ok_or(NotMoved::Unavailable)?;
        for (_, shard) in locked.guards.iter_mut().flatten() {
            // As with any record: what was decided has been checked against this very state under these locks.
            let before = shard.kept_counts();
            if let Err(error) = shard.apply(sequence, time, &event) {
                debug_assert!(false, "record {} was decided but does not apply: {error}", sequence.0);
                self.fail();
                return Err(NotMoved::Unavailable);
            }
            self.verbs.count(before, shard.kept_counts());
        }
        drop(locked);
        self.wake_writer();
        Ok(Carried { sequence, again: false })
    }

    /// A merchant's payment that may be given back.
    #[must_use]
    pub fn payment(&self, slot: Slot, payment: Sequence) -> Option<Payment> {
        self.lock(slot).payment(slot, payment).copied()
    }

    fn admit_verb(
        &self,
        order: &Order,
        created_s: u64,
        locked: &Locked<'_>,
        now: Now,
    ) -> Result<(), NotMoved> {
        let forgets = |slot: Option<Slot>, which: usize| {
            let shard = slot.and_then(|slot| Some((slot, locked.of(slot)?)));
            shard.is_some_and(|(slot, shard)| shard.forgets_next(slot, self.seconds(now) as u32)[which])
        };
        let [_, merchant, key] = order.slots();
        let [_, payments, _] = self.verbs.kept();
        if order.verb == Verb::Payment && payments >= self.verbs.bounds.payments_max && !forgets(merchant, 1)
        {
            return Err(NotMoved::Full("payments"));
        }
        self.admit_key(created_s, || forgets(key, 0), now)
    }

    /// A caller's key as it is kept: under a secret, since whoever has a journal might find a short one by trying, and
    /// it may be a card number; and until its window is over, which began when it was made.
    pub(super) fn kept_key(&self, key: &CallerKey, created_s: u64) -> CallerKey {
        let until = created_s.saturating_add(self.verbs.bounds.key_window_s.into());
        CallerKey {
            print: xxh3_128_with_seed(&key.print.to_le_bytes(), self.seed),
            until_s: u32::try_from(until).unwrap_or(u32::MAX),
            ..*key
        }
    }

    /// Whether a key that is not known may be used (R10), and the journal takes something. Where as many are kept as
    /// may be, it may if its slot lets go of another one for it.
    pub(super) fn admit_key(
        &self,
        created_s: u64,
        forgets: impl FnOnce() -> bool,
        now: Now,
    ) -> Result<(), NotMoved> {
        let bounds = &self.verbs.bounds;
        let forgotten = created_s < self.verbs.keys_kept.since_s.into();
        if forgotten || created_s.saturating_add(bounds.key_window_s.into()) < self.seconds(now) {
            return Err(NotMoved::KeyExpired(bounds.key_window_s));
        }
        if created_s > self.seconds(now) + AHEAD_MAX_S {
            return Err(NotMoved::KeyOfTheFuture);
        }
        if self.verbs.kept()[0] >= bounds.keys_max && !forgets() {
            return Err(NotMoved::Full("keys"));
        }
        if self.admits(now) { Ok(()) } else { Err(NotMoved::Unavailable) }
    }
}
