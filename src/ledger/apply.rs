//! [`Shard::apply`]: the only way a shard changes, live and in recovery.
//!
//! An event says what has happened; nothing is decided here. What can't be applied (an unknown card, a full table,
//! an amount that overflows) is an error, which live decisions have ruled out before they made the event; in recovery
//! it means that the journal and this configuration do not fit together.

use crate::domain::action::ActionCode;
use crate::domain::card::CardIdentity;
use crate::domain::event::AccountFunded;
use crate::domain::event::CardOpened;
use crate::domain::event::Decided;
use crate::domain::event::Effect;
use crate::domain::event::Event;
use crate::domain::event::Sequence;
use crate::domain::fee::CodeAndCharge;
use crate::domain::party::Slot;
use crate::domain::request::MessageKey;
use crate::domain::time::Timestamp;

use super::answers::Remembered;
use super::authorization::Authorization;
use super::authorization::AuthorizationState;
use super::authorization::LegState;
use super::chain::ANSWER_BIT;
use super::chain::fingerprint;
use super::chain::network_bits;
use super::directory::Location;
use super::limited::Counts;
use super::shard::Account;
use super::shard::Card;
use super::shard::Shard;
use super::shard::Wallet;
use super::shard::hash_u64;
use super::slab::NONE;

/// Why an event does not fit the state.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ApplyError {
    /// The event names a card that was never opened.
    #[error("it names a card that was never opened")]
    NoSuchCard,
    /// The event names a wallet or an account that was never opened.
    #[error("it names a wallet or an account that was never opened")]
    NoSuchAccount,
    /// The reversal names an authorization that is not there or not open.
    #[error("it reverses an authorization that is not open")]
    NoSuchAuthorization,
    /// The event gives back a payment that is not kept.
    #[error("it gives back a payment that is not kept")]
    NoSuchPayment,
    /// The event is about a mandate that is not there.
    #[error("it is about a mandate that is not there")]
    NoSuchMandate,
    /// The event names a time zone that was not told, or tells one under another's number.
    #[error("it names a time zone that is not the one of its number")]
    NoSuchZone,
    /// Something is opened a second time.
    #[error("it opens what is open already")]
    AlreadyOpen,
    /// An asset is told a second time as another one.
    #[error("it tells an asset as another one than it is")]
    OtherAsset,
    /// The rate is none.
    #[error("it sets a rate that is none")]
    NoRate,
    /// The interest is another one than the account has earned.
    #[error("it pays another interest than the account has earned")]
    OtherInterest,
    /// A table is full.
    #[error("the table of {0} is full; raise `ledger.{0}_max`")]
    Full(&'static str),
    /// A balance would leave the range of 64 bits.
    #[error("a balance would leave the range of 64 bits")]
    Overflow,
}

/// What came of an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Applied {
    /// Where the card that it opened is, for the directory.
    pub opened: Option<Location>,
}

impl Shard {
    /// Changes the shard by one event of one of its slots (or by one that touches every slot).
    ///
    /// # Errors
    /// The event does not fit the state; then nothing was changed.
    pub fn apply(
        &mut self,
        sequence: Sequence,
        time: Timestamp,
        event: &Event,
    ) -> Result<Applied, ApplyError> {
        if self.copying.is_some() {
            self.preserve_for(event);
        }
        let mut applied = Applied::default();
        self.applying = (sequence, time);
        match event {
            Event::Configured(configured) => self.configure(configured.bounds),
            Event::Seeded(_) => {}
            Event::CardOpened(opened) => applied.opened = Some(self.open_card(opened)?),
            Event::AccountFunded(funded) => self.fund(funded)?,
            Event::Decided(decided) => self.decided(sequence, time, decided)?,
            Event::Reversed(reversed) => self.reversed(sequence, time, reversed)?,
            Event::Advised(advised) => self.advised(sequence, time, advised)?,
            Event::Unanswered(event) => {
                let card = self.position_of(CardIdentity::Known(event.card))?;
                let position = self.position_on(card, event.authorization);
                let place = self.authorizations.at_mut(position.ok_or(ApplyError::NoSuchAuthorization)?);
                place.legs = place.legs.with(LegState::UNANSWERED);
            }
            Event::Expired(expired) => self.expired(sequence, time, expired)?,
            // It is kept in the journal; no balance knows of it.
            Event::Noted(_) => {}
            Event::WalletStatusSet(set) => {
                let wallet = self.wallet_position(set.wallet).ok_or(ApplyError::NoSuchAccount)?;
                self.wallets.at_mut(wallet).status = set.status;
            }
            Event::CardStatusSet(set) => {
                let card = self.position_of(CardIdentity::Known(set.card))?;
                self.cards.at_mut(card).status = set.status;
            }
            Event::LimitSet(set) => self.set_limit(sequence, time, set)?,
            Event::ControlSet(set) => self.set_control(set)?,
            Event::Cleared(cleared) => self.cleared(sequence, time, cleared)?,
            Event::FilePosted(posted) => self.file_posted(time, posted),
            Event::Recalled(recalled) => self.recall(sequence, time, recalled)?,
            Event::ZoneSet(set) => self.limits.zones.set(set)?,
            Event::CardProductSet(set) => self.set_card_product(set)?,
            Event::FeeSet(set) => self.fees.set(set)?,
            Event::Moved(event) => self.moved(sequence, time, event)?,
            Event::MandateGiven(event) => self.give_mandate(sequence, time, event)?,
            Event::MandateCancelled(event) => self.cancel_mandate(time, event)?,
            Event::AssetSet(set) => self.quotes.set_asset(set)?,
            Event::RateSet(set) => self.quotes.set_rate(sequence, set)?,
            Event::SpendingSet(set) => self.set_spending(set)?,
            Event::InterestSet(set) => self.set_interest(time, set)?,
            Event::InterestPaid(event) => self.pay_interest(event)?,
            // The switch's.
            Event::Forwarded(_) | Event::Concluded(_) | Event::Stored(_) | Event::Settled(_) => {
                return Ok(applied);
            }
        }
        // What verbs do has nothing to do with authorizations, and leaves their memory alone.
        if let Some(slot) = event.slot().filter(|_| !matches!(event, Event::Moved(_))) {
            self.drop_overdue(slot, time);
        }
        self.applied = sequence;
        Ok(applied)
    }

    fn configure(&mut self, bounds: crate::domain::event::Bounds) {
        if bounds.answers_per_slot != self.bounds.answers_per_slot {
            self.resize_answers(bounds.answers_per_slot);
        }
        self.bounds = bounds;
    }

    /// Makes the rings of answers anew with another size. The newest answers stay, oldest first.
    fn resize_answers(&mut self, per_slot: u32) {
        let slots = self.slots.len();
        let old = std::mem::replace(&mut self.answers, super::answers::Answers::new(slots, per_slot));
        let room = self.authorizations.capacity() + self.answers.capacity();
        self.messages = super::index::Index::half_full(room);
        for slot in 0..slots {
            for entry in old.of_slot(slot) {
                let (_, overwritten) = self.answers.push(slot, entry);
                self.shortened.answers += u64::from(overwritten.is_some());
            }
        }
        for (position, entry) in self.answers.positions() {
            self.messages.insert(entry.fingerprint, position | ANSWER_BIT);
        }
        for (position, entry) in self.authorizations.iter() {
            if !matches!(entry.state, AuthorizationState::Vacant | AuthorizationState::Tombstone) {
                self.messages.insert(self.fingerprint_of(entry), position);
            }
        }
    }

    fn open_card(&mut self, event: &CardOpened) -> Result<Location, ApplyError> {
        let wallet = self.wallet_position(event.wallet).ok_or(ApplyError::NoSuchAccount)?;
        if self.card_position(event.card).is_some() {
            return Err(ApplyError::AlreadyOpen);
        }
        let Wallet { newest_card, limited, .. } = *self.wallets.at(wallet);
        let mut card = Card::new(event, wallet, newest_card);
        if limited {
            card.set_limited();
        }
        let position = self.cards.insert(card).map_err(|_| ApplyError::Full("cards"))?;
        self.wallets.at_mut(wallet).newest_card = position;
        self.card_index.insert(hash_u64(event.card.0, self.seed), position);
        let at = self.slot_of(event.slot);
        self.slots[at].cards += 1;
        if let Some(key) = &event.key {
            let (sequence, time) = self.applying;
            self.remember_key(event.slot, key, sequence);
            self.drop_kept(event.slot, time.seconds() as u32);
        }
        Ok(Location { slot: event.slot, card: position })
    }

    fn fund(&mut self, event: &AccountFunded) -> Result<(), ApplyError> {
        let account = Account {
            posted: event.amount,
            held: 0,
            overdraft: event.overdraft,
            next: NONE,
            currency: event.currency,
            number: event.account,
        };
        event.amount.checked_add(event.overdraft).ok_or(ApplyError::Overflow)?;
        match self.wallet_position(event.wallet) {
            None => {
                let wallet = Wallet::new(event.wallet, account);
                let position = self.wallets.insert(wallet).map_err(|_| ApplyError::Full("wallets"))?;
                self.wallet_index.insert(hash_u64(event.wallet.0, self.seed), position);
            }
            Some(wallet) => self.add_account(wallet, account)?,
        }
        let totals = self.totals_mut(event.currency);
        totals.wallets += i128::from(event.amount);
        totals.funding -= i128::from(event.amount);
        Ok(())
    }

    pub(super) fn add_account(&mut self, wallet: u32, account: Account) -> Result<(), ApplyError> {
        if self.accounts_of(wallet).any(|known| known.number == account.number) {
            return Err(ApplyError::AlreadyOpen);
        }
        let last = self.accounts_of(wallet).last().map_or(0, |last| last.number);
        let position = self.accounts.insert(account).map_err(|_| ApplyError::Full("wallets"))?;
        let last = self.account_mut(wallet, last).ok_or(ApplyError::NoSuchAccount)?;
        last.next = position;
        Ok(())
    }

    fn decided(&mut self, sequence: Sequence, time: Timestamp, event: &Decided) -> Result<(), ApplyError> {
        match event.effect {
            Effect::None => self.remember_outcome(sequence, time, event),
            effect => self.take(sequence, time, event, effect)?,
        }
        if event.approval_code.is_some() {
            let at = self.slot_of(event.slot);
            self.slots[at].approvals += 1;
        }
        Ok(())
    }

    /// Holds, posts or pends an amount and opens the authorization that owns it.
    fn take(
        &mut self,
        sequence: Sequence,
        time: Timestamp,
        event: &Decided,
        effect: Effect,
    ) -> Result<(), ApplyError> {
        let card = self.position_of(event.card)?;
        let (state, amount) = (state_after(effect), effect.amount());
        let entry = Authorization {
            action: event.action,
            hold_until_s: event.hold_until_s,
            account: event.account,
            approval_code: event.approval_code.map_or([0; 6], |code| code.0),
            taken: amount,
            answered: amount,
            ..self.entry(
                sequence,
                time,
                &event.key,
                event.amount,
                CodeAndCharge::new(event.processing_code, event.charge),
                event.class as u8 | if event.increment { Authorization::INCREMENT } else { 0 },
                state,
            )
        };
        // One that adds to nothing that is open is a use of its own.
        let more = event.increment && self.has_open(self.cards.at(card), &event.key);
        let counts = if more { Counts::More } else { Counts::One };
        self.open_for_shares(card, event.account, &event.shares)?;
        self.expect_shares(&event.shares);
        self.open(event.slot, card, entry, || counts(event.usage()), time)?;
        if event.increment && state.is_open() {
            self.extend(self.cards.at(card).open);
        }
        Ok(())
    }

    /// Takes an authorization's amount from its account and puts it into the table; both, or neither. How it is counted
    /// is asked of a card with limits only.
    pub(super) fn open(
        &mut self,
        slot: Slot,
        card: u32,
        entry: Authorization,
        counts: impl FnOnce() -> Counts,
        time: Timestamp,
    ) -> Result<(), ApplyError> {
        let wallet = self.cards.at(card).wallet;
        let account = *self.account_mut(wallet, entry.account).ok_or(ApplyError::NoSuchAccount)?;
        let fee = self.fee_on(card, &entry, entry.taken);
        let after = moved(account, entry.state, entry.taken, fee)?;
        let watched = self.watches(self.cards.at(card));
        if watched && !self.makes_room_to_count(card) {
            return Err(ApplyError::Full("counted"));
        }
        let linked = if entry.state.is_open() {
            self.link_open(slot, card, entry)
        } else {
            self.link_closed(slot, card, entry, time)
        };
        let position = linked.ok_or(ApplyError::Full("authorizations"))?;
        self.settle(wallet, after, entry.state, entry.taken, fee);
        self.bear_shares(position)?;
        if watched {
            self.count(&Authorization { card, ..entry }, account.currency, &counts(), time)?;
        }
        Ok(())
    }

    /// Writes an account back after [`moved`], and the shard's totals with it.
    pub(super) fn settle(
        &mut self,
        wallet: u32,
        account: Account,
        state: AuthorizationState,
        amount: i64,
        fee: i64,
    ) {
        if state == AuthorizationState::Posted {
            self.count_days(wallet, account.number);
        }
        if let Some(place) = self.account_mut(wallet, account.number) {
            *place = account;
        }
        let (amount, fee) = (i128::from(amount), i128::from(fee));
        let totals = self.totals_mut(account.currency);
        match state {
            AuthorizationState::Held => totals.held += amount + fee,
            AuthorizationState::Posted => {
                totals.wallets -= amount + fee;
                totals.settlement += amount;
                totals.fees += fee;
            }
            _ => {}
        }
    }

    /// An authorization with what every message tells; outcome and amounts taken are the caller's.
    pub(super) fn entry(
        &self,
        sequence: Sequence,
        time: Timestamp,
        key: &MessageKey,
        amount: crate::domain::money::Money,
        coded: CodeAndCharge,
        class: u8,
        state: AuthorizationState,
    ) -> Authorization {
        Authorization {
            sequence,
            network_reference: key.network_reference,
            acquirer: key.acquirer.0,
            rrn: key.rrn.0,
            stan: key.stan.0,
            transmission: key.transmission.digits(),
            terminal: self.terminal_bits(key),
            merchant: self.merchant_bits(key),
            network: network_bits(key),
            amount: amount.minor,
            coded,
            changed_s: time.seconds() as u32,
            currency: amount.currency.numeric(),
            class,
            state,
            ..Authorization::VACANT
        }
    }

    fn remember_outcome(&mut self, sequence: Sequence, time: Timestamp, event: &Decided) {
        // A duplicate with other contents has its first's key: remembering it would hide the first.
        if event.action == ActionCode::DuplicateTransmission {
            return;
        }
        let looked_at = self.position_of(event.card).ok().and_then(|card| {
            let wallet = self.cards.at(card).wallet;
            self.accounts_of(wallet).find(|account| account.number == event.account)
        });
        let account_currency = looked_at.map_or(event.amount.currency, |account| account.currency);
        self.remember(
            event.slot,
            time,
            Remembered {
                fingerprint: fingerprint(&event.key, event.class as u8, event.card, self.seed),
                sequence,
                amount: event.amount.minor,
                posted: event.posted_before,
                available: event
                    .posted_before
                    .saturating_add(event.overdraft)
                    .saturating_sub(event.held_before),
                transmission: event.key.transmission.digits(),
                answered_s: time.seconds() as u32,
                processing_code: event.processing_code.0,
                currency: event.amount.currency.numeric(),
                account_currency: account_currency.numeric(),
                approval_code: event.approval_code.map_or([0; 6], |code| code.0),
                action: event.action,
            },
        );
    }

    pub(super) fn remember(&mut self, slot: Slot, time: Timestamp, entry: Remembered) {
        let (position, overwritten) = self.answers.push(self.slot_of(slot), entry);
        if let Some(old) = overwritten {
            self.messages.remove(old.fingerprint, position | ANSWER_BIT);
            let due = u64::from(old.answered_s) + u64::from(self.bounds.repeat_window_s);
            self.shortened.answers += u64::from(due >= time.seconds());
        }
        self.messages.insert(entry.fingerprint, position | ANSWER_BIT);
    }

    pub(super) fn position_of(&self, card: CardIdentity) -> Result<u32, ApplyError> {
        let CardIdentity::Known(reference) = card else { return Err(ApplyError::NoSuchCard) };
        self.card_position(reference).ok_or(ApplyError::NoSuchCard)
    }
}

/// Where an authorization stands after this effect.
pub(super) const fn state_after(effect: Effect) -> AuthorizationState {
    match effect {
        Effect::None => AuthorizationState::Reversed,
        Effect::Hold(_) => AuthorizationState::Held,
        Effect::Post(_) => AuthorizationState::Posted,
        Effect::Pend(_) => AuthorizationState::Pending,
    }
}

/// An account after an authorization in this state took an amount from it and what is charged for it; negative amounts
/// give back.
pub(super) fn moved(
    mut account: Account,
    state: AuthorizationState,
    amount: i64,
    fee: i64,
) -> Result<Account, ApplyError> {
    let amount = amount.checked_add(fee).ok_or(ApplyError::Overflow)?;
    match state {
        AuthorizationState::Held => {
            account.held = account.held.checked_add(amount).ok_or(ApplyError::Overflow)?;
        }
        AuthorizationState::Posted => {
            account.posted = account.posted.checked_sub(amount).ok_or(ApplyError::Overflow)?;
        }
        _ => {}
    }
    Ok(account)
}
