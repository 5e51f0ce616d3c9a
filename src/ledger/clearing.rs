//! Applying a clearing record (R14, R15, R20): it posts what was authorized, or what nothing is known of; it gives a
//! posting back; or it finds that a message had posted it before.
//!
//! Whatever becomes of it, a record about a card of ours leaves an entry among the card's closed ones, so that the same
//! record in another file is known again, and its reversal finds it. The entry's DE 32 and DE 11 with DE 7 hold the
//! prints of the record and of its acquirer reference ([`RecordKey::print`], [`ArnPrint`]), which no message has.

use crate::domain::cleared::ArnPrint;
use crate::domain::cleared::Clearance;
use crate::domain::cleared::Cleared;
use crate::domain::cleared::RecordKey;
use crate::domain::clearing::Presentment;
use crate::domain::event::Sequence;
use crate::domain::fee::Charge;
use crate::domain::fee::CodeAndCharge;
use crate::domain::money::Money;
use crate::domain::time::Timestamp;

use super::apply::ApplyError;
use super::apply::moved;
use super::authorization::Authorization;
use super::authorization::AuthorizationState;
use super::authorization::LegState;
use super::limited::Counts;
use super::shard::Card;
use super::shard::Shard;

/// The class digit of what a clearing record left.
pub const CLEARING_CLASS: u8 = 3;

/// What a clearing record about a card is found again by, in the fields of an authorization.
#[derive(Clone, Copy)]
struct Kept {
    acquirer: u64,
    stan: u32,
    transmission: u32,
}

impl Kept {
    fn of(key: &RecordKey) -> Self {
        let (record, arn) = (key.print(), key.arn_print());
        Self { acquirer: record.0 as u64, stan: arn.0 as u32, transmission: (arn.0 >> 32) as u32 }
    }
}

impl Authorization {
    /// Whether it is what a clearing record left.
    #[must_use]
    pub const fn is_clearing(&self) -> bool {
        self.digit() == CLEARING_CLASS
    }

    /// Whether it is a presentment that had found a part of a posting, which was given back.
    pub(super) const fn is_returned(&self) -> bool {
        self.is_clearing() && self.settles().is_some() && self.legs.has(LegState::BOTH_UNDONE)
    }

    /// Whether a clearing record with this acquirer reference left it.
    pub(super) const fn is_of_arn(&self, arn: ArnPrint) -> bool {
        self.is_clearing() && self.stan == arn.0 as u32 && self.transmission == (arn.0 >> 32) as u32
    }

    /// Of a clearing record that moved nothing itself, and of a message that found itself cleared: the record whose
    /// posting it found or gave back.
    #[must_use]
    pub const fn settles(&self) -> Option<Sequence> {
        match self.state {
            AuthorizationState::Settled => Some(Sequence(self.answered as u64)),
            _ => None,
        }
    }
}

impl Shard {
    /// A message's authorization as it stands: of one that found itself cleared, state and amount are those
    /// of the clearing record's posting, which it stands for.
    #[must_use]
    pub fn as_it_stands(&self, entry: &Authorization) -> Authorization {
        let posting = entry.settles().and_then(|posting| self.position_on(entry.card, posting));
        posting.map_or(*entry, |position| {
            let Authorization { state, taken, account, .. } = *self.authorizations.at(position);
            Authorization { state, taken, account, ..*entry }
        })
    }

    /// The record by which this one was posted before, as long as that is in memory.
    #[must_use]
    pub fn cleared_before(&self, card: &Card, presentment: &Presentment) -> Option<Sequence> {
        let kept = Kept::of(&presentment.key());
        let sought = Authorization {
            acquirer: kept.acquirer,
            stan: kept.stan,
            network: presentment.network.0 as u16,
            class: CLEARING_CLASS,
            ..Authorization::VACANT
        };
        let fingerprint = self.fingerprint_on(card, &sought);
        let found = self.messages.find(fingerprint, |position| {
            let Some(entry) = self.authorizations.get(position) else { return false };
            entry.is_clearing()
                && entry.acquirer == kept.acquirer
                && entry.stan == kept.stan
                && entry.transmission == kept.transmission
                && self.cards.at(entry.card).reference == card.reference
        });
        found.map(|position| self.authorizations.at(position).sequence)
    }

    /// Posts a clearing record, or keeps it.
    pub(super) fn cleared(
        &mut self,
        sequence: Sequence,
        time: Timestamp,
        event: &Cleared,
    ) -> Result<(), ApplyError> {
        if event.outcome.is_suspended() {
            return self.suspend(sequence, time, event);
        }
        let card = self.position_of(event.card)?;
        let entry = self.cleared_entry(sequence, time, card, event);
        if event.matches == Sequence(0) {
            let answered = if event.function.reversal { 0 } else { entry.taken };
            let entry = Authorization { answered, ..entry };
            self.expect_shares(&event.shares);
            return self.open(event.slot, card, entry, || Counts::One(event.usage()), time);
        }
        let position = self.position_on(card, event.matches).ok_or(ApplyError::NoSuchAuthorization)?;
        // A request that comes after the posting of it is late (R4).
        let orphan = event.outcome.posts() && !self.knows_beginning(card, self.authorizations.at(position));
        let entry = Authorization { answered: if orphan { entry.taken } else { 0 }, ..entry };
        match event.outcome {
            Clearance::Returned if event.posted != 0 => {
                self.take_more(position, event.posted)?;
                self.mark_returned(card, event);
            }
            Clearance::Returned => self.give_back_posting(position)?,
            Clearance::AlreadyPosted if event.posted != 0 => {
                self.take_more(position, event.posted)?;
            }
            Clearance::AlreadyPosted => {}
            _ => return self.post_what_was_held(sequence, time, position, event, entry),
        }
        let returns_part = event.outcome == Clearance::Returned && event.posted != 0;
        let kept = Authorization {
            state: AuthorizationState::Settled,
            taken: 0,
            // What gave back a part finds nothing: the part that it gave back has found the posting.
            answered: if returns_part { 0 } else { event.matches.0 as i64 },
            legs: LegState(0),
            ..entry
        };
        self.link_closed(event.slot, card, kept, time).ok_or(ApplyError::Full("authorizations")).map(|_| ())
    }

    /// Posts what an authorization held, or what is left of one, in whole or in part. Shares go over to the posting.
    fn post_what_was_held(
        &mut self,
        sequence: Sequence,
        time: Timestamp,
        position: u32,
        event: &Cleared,
        entry: Authorization,
    ) -> Result<(), ApplyError> {
        let named = *self.authorizations.at(position);
        let total = entry.taken.saturating_add(self.fee_on(named.card, &entry, entry.taken));
        self.was_charged(position, event.charge);
        if event.part.is_final() {
            self.hand_over_all_shares(position, event.account, total)?;
            self.expect_shares(&event.shares);
            // What was held goes first, so that a balance near its limit can take what is posted.
            let captured = self.capture(sequence, time, event.slot, position)?;
            let counts = || match captured {
                Some(captured) => Counts::Before(captured, event.usage()),
                None if named.state == AuthorizationState::Captured => Counts::More(event.usage()),
                None => Counts::One(event.usage()),
            };
            return self.open(event.slot, named.card, entry, counts, time);
        }
        let beyond = self.take_part(position, event, total)?;
        self.expect_shares(&event.shares);
        let counts = || {
            if named.state.is_open() {
                Counts::Part { held: named.sequence, beyond, usage: event.usage() }
            } else {
                Counts::One(event.usage())
            }
        };
        self.open(event.slot, named.card, entry, counts, time)
    }

    /// Marks the presentment of a part that is given back: that happens once.
    fn mark_returned(&mut self, card: u32, event: &Cleared) {
        let arn = event.key(self.cards.at(card).masked()).arn_print();
        let of = self.closed_of(self.cards.at(card)).filter(|(_, entry)| {
            entry.is_of_arn(arn)
                && entry.settles() == Some(event.matches)
                && (entry.amount, entry.currency) == (event.amount.minor, event.amount.currency.numeric())
                && !entry.is_returned()
        });
        if let Some(position) = of.map(|(position, _)| position).last() {
            let place = self.authorizations.at_mut(position);
            place.legs = place.legs.with(LegState::BOTH_UNDONE);
        }
    }

    /// Posts what a credit that was given when it was authorized got too little or too much, or gives back a
    /// part of a posting.
    fn take_more(&mut self, position: u32, more: i64) -> Result<(), ApplyError> {
        let entry = *self.authorizations.at(position);
        let wallet = self.cards.at(entry.card).wallet;
        let account = *self.account_mut(wallet, entry.account).ok_or(ApplyError::NoSuchAccount)?;
        let taken = entry.taken.checked_add(more).ok_or(ApplyError::Overflow)?;
        let fee = self.fee_on(entry.card, &entry, taken) - self.fee_of(&entry);
        let after = moved(account, entry.state, more, fee)?;
        self.settle(wallet, after, entry.state, more, fee);
        let total = entry.taken.saturating_add(self.fee_of(&entry));
        self.give_back_shares(position, total, (more + fee).saturating_neg())?;
        self.recount(position, Money::new(taken, account.currency));
        self.authorizations.at_mut(position).taken = taken;
        Ok(())
    }

    /// What is posted of an authorization that holds nothing any more has its flat part with it: what comes after it is
    /// a further part.
    pub(super) fn was_charged(&mut self, position: u32, charge: Option<Charge>) {
        let entry = self.authorizations.at_mut(position);
        let posted = entry.state == AuthorizationState::Posted;
        if charge.is_some() && !entry.state.is_open() && !posted {
            let code = entry.coded.processing_code();
            entry.coded = CodeAndCharge::new(code, entry.coded.charge().map(Charge::rest));
        }
    }

    /// What a clearing record leaves on its card.
    fn cleared_entry(
        &self,
        sequence: Sequence,
        time: Timestamp,
        card: u32,
        event: &Cleared,
    ) -> Authorization {
        let kept = Kept::of(&event.key(self.cards.at(card).masked()));
        Authorization {
            sequence,
            network_reference: event.network_reference,
            acquirer: kept.acquirer,
            stan: kept.stan,
            transmission: kept.transmission,
            rrn: event.rrn.0,
            terminal: self.terminal_print(&event.terminal),
            merchant: self.merchant_print(&event.merchant),
            approval_code: event.approval_code.map_or([0; 6], |code| code.0),
            network: event.network.0 as u16,
            coded: CodeAndCharge::new(event.processing_code(), event.charge),
            amount: event.amount.minor,
            currency: event.amount.currency.numeric(),
            account: event.account,
            taken: event.posted,
            changed_s: time.seconds() as u32,
            class: CLEARING_CLASS,
            state: AuthorizationState::Posted,
            legs: LegState::CAPTURE,
            ..Authorization::VACANT
        }
    }

    /// Gives back as much of what an authorization and its increments hold as a part of it posts; more parts
    /// will come. What limits have counted of it goes over to the part: of the increments by giving it back
    /// there. `total` is what it posts with what is charged for it. Returns how much the part posts beyond what the
    /// authorization itself held.
    fn take_part(&mut self, position: u32, event: &Cleared, total: i64) -> Result<i64, ApplyError> {
        let named = *self.authorizations.at(position);
        let increments = self
            .open_of(self.cards.at(named.card))
            .filter(|(at, entry)| *at != position && entry.is_increment() && entry.is_of_group(&named));
        let first = Some(position).filter(|_| named.state.is_open());
        let members: Vec<u32> = first.into_iter().chain(increments.map(|(at, _)| at)).collect();
        let mut left = event.posted.saturating_abs();
        let (mut beyond, mut charged) = (left, total);
        for at in members {
            let entry = *self.authorizations.at(at);
            // Amounts of two currencies can't be set off; the hold then stays until the last part or its time ends it.
            let part =
                if entry.account == event.account { left.min(entry.taken.saturating_abs()) } else { 0 };
            if part == 0 {
                continue;
            }
            // What gives money is not counted, and takes nothing over.
            if at == position && event.posted > 0 {
                beyond -= part;
            } else {
                let left_of_it = entry.taken - part * entry.taken.signum();
                self.recount(at, Money::new(left_of_it, event.posted_in));
            }
            charged -= self.give_back_part(at, part * entry.taken.signum(), charged)?;
            left -= part;
        }
        Ok(beyond)
    }

    /// Leaves less of what an open authorization takes. What a purchase is charged once goes with its first part. Its
    /// shares go over to what is posted, up to `total`. Returns how much was given back with what was charged for it.
    fn give_back_part(&mut self, position: u32, part: i64, total: i64) -> Result<i64, ApplyError> {
        let entry = *self.authorizations.at(position);
        let charge = entry.coded.charge().map(Charge::rest);
        let left = Authorization {
            taken: entry.taken - part,
            coded: CodeAndCharge::new(entry.coded.processing_code(), charge),
            ..entry
        };
        let wallet = self.cards.at(entry.card).wallet;
        let account = *self.account_mut(wallet, entry.account).ok_or(ApplyError::NoSuchAccount)?;
        let fee = self.fee_of(&left) - self.fee_of(&entry);
        let after = moved(account, entry.state, -part, fee)?;
        self.settle(wallet, after, entry.state, -part, fee);
        let held = entry.taken.saturating_add(self.fee_of(&entry));
        let (less, posted) = (part - fee, total.min(part - fee).max(0));
        self.hand_over_shares(position, held, posted)?;
        self.give_back_shares(position, held - posted, less - posted)?;
        let shared = self.authorizations.at(position).is_shared();
        let place = self.authorizations.at_mut(position);
        *place = left;
        place.set_shared(shared);
        Ok(less)
    }
}
