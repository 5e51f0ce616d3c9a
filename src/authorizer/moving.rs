//! The decision about what a verb is to move: the checks in order of precedence, each with one refusal.

use crate::domain::event::Sequence;
use crate::domain::money::Currency;
use crate::domain::moved::CallerKey;
use crate::domain::moved::Converted;
use crate::domain::moved::Moved;
use crate::domain::moved::Reason;
use crate::domain::moved::Side;
use crate::domain::moved::Sides;
use crate::domain::moved::Verb;
use crate::domain::party::Slot;
use crate::domain::party::WalletId;
use crate::domain::party::WalletStatus;
use crate::domain::time::Timestamp;
use crate::ledger::kept::Done;
use crate::ledger::kept::Payment;
use crate::ledger::mandates::Exceeds;
use crate::ledger::shard::Account;
use crate::ledger::shard::Shard;

use super::Authorizer;
use super::takes;

/// What verbs are bounded by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// How long a caller's key is remembered, and how old one may be, seconds.
    pub key_window_s: u32,
    /// How many callers' keys are remembered at most.
    pub keys_max: u64,
    /// How long a payment can be refunded, seconds.
    pub refund_window_s: u32,
    /// How many payments that can be refunded are remembered at most.
    pub payments_max: u64,
    /// How many mandates there are at most, those that have ended lately among them.
    pub mandates_max: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            key_window_s: 86_400,
            keys_max: 1_000_000,
            refund_window_s: 30 * 86_400,
            payments_max: 1_000_000,
            mandates_max: 1_000_000,
        }
    }
}

/// A wallet that a verb names, and its account, if it names one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Party {
    /// The wallet.
    pub wallet: WalletId,
    /// The account's number; else it is the first one in the currency.
    pub account: Option<u16>,
}

/// What a conversion asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Turned {
    /// Which asset.
    pub currency: Currency,
    /// Not less of it than this, minor units: the caller has seen a rate, and it may have changed.
    pub at_least: i64,
}

/// What a verb asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Order {
    /// Which verb.
    pub verb: Verb,
    /// The caller's name for it.
    pub key: CallerKey,
    /// Who gives; `None` for the funding or the adjustment account.
    pub from: Option<Party>,
    /// Who gets. Of a refund it is the payer, whom the payment names; of a charge the payee, whom the mandate names.
    pub to: Option<Party>,
    /// In which currency.
    pub currency: Currency,
    /// What is given, minor units. Of a refund what the payer gets.
    pub amount: i64,
    /// What of it the fee account gets.
    pub fee: i64,
    /// Of a conversion what it is turned into.
    pub into: Option<Turned>,
    /// Of a refund its payment, of a charge its mandate.
    pub about: Sequence,
    /// A refund gives the same part of the fee back to the merchant.
    pub returns_fee: bool,
    /// Of a payment how long it can be refunded, seconds since 1970.
    pub refundable_until_s: u32,
    /// In the caller's words.
    pub reason: Reason,
}

impl Order {
    /// The slots that it is about: those of who gives, of who gets, and of the caller's key.
    #[must_use]
    pub fn slots(&self) -> [Option<Slot>; 3] {
        let slot_of = |party: Option<Party>| party.map(|party| Slot::of_wallet(party.wallet));
        [slot_of(self.from), slot_of(self.to), Some(self.key.slot())]
    }
}

/// Why a verb was refused. Nothing has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// The key stands for something else (R10).
    #[error("this key was used for something else, by record {}", .0.0)]
    KeyReused(Sequence),
    /// The amount is zero or negative, or the fee more than the amount.
    #[error("an amount is above zero, and a fee is not negative and less than it")]
    InvalidAmount,
    /// There is no such wallet.
    // What was asked for may be a card number, and is not repeated.
    #[error("there is no such wallet")]
    NoSuchWallet(WalletId),
    /// The wallet has no such account in that currency.
    #[error("wallet {wallet} has no such account in currency {currency}", wallet = .0.0, currency = .1)]
    NoSuchAccount(WalletId, Currency),
    /// Both sides are the same account.
    #[error("it would go from an account to itself")]
    ToItself,
    /// The wallet may not be used, or takes nothing any more.
    #[error("wallet {wallet} is {status}", wallet = .0.0, status = .1.name())]
    WalletStatus(WalletId, WalletStatus),
    /// There is no such payment, or it can be refunded no more.
    #[error("there is no such payment of this merchant that can be refunded")]
    NoSuchPayment(Sequence),
    /// The payer has given no such mandate.
    #[error("this wallet has given no such mandate")]
    NoSuchMandate(WalletId, Sequence),
    /// The mandate was cancelled, or its time is over.
    #[error("the mandate has ended")]
    MandateEnded,
    /// The mandate lets less be charged in this period.
    #[error("the mandate has {0} left in this period")]
    MandateExhausted(i64),
    /// The mandate lets no more charges come in this period.
    #[error("the mandate lets no more charges come in this period")]
    MandateUsed,
    /// More would be given back than was paid.
    #[error("of this payment {0} is left to be refunded")]
    RefundTooLarge(i64),
    /// The account has less available.
    #[error("wallet {wallet} has {available} available", wallet = .0.0, available = .1)]
    InsufficientFunds(WalletId, i64),
    /// The house does not turn the one asset into the other.
    #[error("there is no rate from {from} to {to}", from = .0, to = .1)]
    NoRate(Currency, Currency),
    /// Less would come than was asked for at least, or nothing.
    #[error("at the rate of record {rate} it comes to {amount}", rate = .0.0, amount = .1)]
    ComesToLess(Sequence, i64),
    /// A balance would be further from zero than balances may be.
    #[error("the balance of wallet {} would leave its range", .0.0)]
    OutOfRange(WalletId),
}

/// What is to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Moving {
    /// Journal and apply the event.
    New(Moved),
    /// It was done before, by this record.
    Again(Sequence),
}

impl Authorizer {
    /// Decides what a verb asks for. `shard_of` has the shards of [`Order::slots`].
    ///
    /// # Errors
    /// Why it is refused.
    pub fn move_money<'s>(
        &self,
        order: &Order,
        now: Timestamp,
        shard_of: &dyn Fn(Slot) -> Option<&'s Shard>,
    ) -> Result<Moving, Refusal> {
        let kept = shard_of(order.key.slot());
        if let Some(done) = kept.and_then(|shard| shard.done_under(order.key.slot(), order.key.print)) {
            return asked_again(&done, &order.key).map(Moving::Again);
        }
        if order.amount <= 0 || order.fee < 0 || order.fee >= order.amount {
            return Err(Refusal::InvalidAmount);
        }
        let (amount, fee, to) = match order.verb {
            Verb::Refund => refunded(order, now, shard_of)?,
            Verb::Charge => charged(order, now, shard_of)?,
            _ => (order.amount, order.fee, order.to),
        };
        let converted = order.into.map(|into| converted(order, &into, shard_of)).transpose()?;
        let arrives = converted.map_or(amount - fee, |of| of.amount);
        let account_of = |party: Party, currency: Currency| {
            let nobody = Refusal::NoSuchWallet(party.wallet);
            let shard = shard_of(Slot::of_wallet(party.wallet)).ok_or(nobody)?;
            let status = shard.wallet_status(party.wallet).ok_or(nobody)?;
            let found = shard.account_for_verb(party.wallet, party.account, currency);
            let account = found.ok_or(Refusal::NoSuchAccount(party.wallet, currency))?;
            Ok((party.wallet, status, *account))
        };
        let from = order.from.map(|party| account_of(party, order.currency)).transpose()?;
        let comes_in = converted.map_or(order.currency, |of| of.currency);
        let to = to.map(|party| account_of(party, comes_in)).transpose()?;
        let side = |(wallet, _, account): Owned| Side { wallet, account: account.number };
        let sides = (from.map(side), to.map(side));
        if sides.0 == sides.1 {
            return Err(Refusal::ToItself);
        }
        if let Some(from) = &from {
            may_leave(order.verb, from, amount)?;
        }
        if let Some(to) = &to {
            may_arrive(to, arrives)?;
        }
        Ok(Moving::New(Moved {
            verb: order.verb,
            key: order.key,
            from: sides.0,
            to: sides.1,
            currency: order.currency,
            amount,
            fee,
            converted,
            about: order.about,
            refundable_until_s: order.refundable_until_s,
            reason: order.reason,
            configuration: self.configuration,
            sides: Sides::ALL,
        }))
    }
}

/// What comes for an amount in another asset.
fn converted<'s>(
    order: &Order,
    into: &Turned,
    shard_of: &dyn Fn(Slot) -> Option<&'s Shard>,
) -> Result<Converted, Refusal> {
    let shard = order.from.and_then(|party| shard_of(Slot::of_wallet(party.wallet)));
    let rate = shard.and_then(|shard| shard.quotes().rate(order.currency, into.currency));
    let rate = rate.ok_or(Refusal::NoRate(order.currency, into.currency))?;
    let amount = rate.bought_with(order.amount).ok_or(Refusal::InvalidAmount)?;
    if amount == 0 || amount < into.at_least {
        return Err(Refusal::ComesToLess(rate.version, amount));
    }
    Ok(Converted { currency: into.currency, amount, rate: rate.version })
}

/// What a payee charges by a mandate, and who gets it.
fn charged<'s>(
    order: &Order,
    now: Timestamp,
    shard_of: &dyn Fn(Slot) -> Option<&'s Shard>,
) -> Result<(i64, i64, Option<Party>), Refusal> {
    let payer = order.from.map_or(WalletId(0), |payer| payer.wallet);
    let slot = Slot::of_wallet(payer);
    let mandate = shard_of(slot).and_then(|shard| shard.mandate(slot, order.about));
    let mandate = mandate.filter(|mandate| mandate.terms.payer.wallet == payer);
    let mandate = mandate.ok_or(Refusal::NoSuchMandate(payer, order.about))?;
    match mandate.refuses(order.amount, now.seconds()) {
        Some(Exceeds::Ended) => return Err(Refusal::MandateEnded),
        Some(Exceeds::Charges) => return Err(Refusal::MandateUsed),
        Some(Exceeds::Amount(left)) => return Err(Refusal::MandateExhausted(left)),
        None => {}
    }
    let Side { wallet, account } = mandate.terms.payee;
    Ok((order.amount, 0, Some(Party { wallet, account: Some(account) })))
}

/// An account with its wallet and that one's status.
type Owned = (WalletId, WalletStatus, Account);

/// Whether an amount may leave an account. A word of the house moves what its owner may not, and below zero.
fn may_leave(verb: Verb, (wallet, status, account): &Owned, amount: i64) -> Result<(), Refusal> {
    let by_word = verb == Verb::Adjustment;
    if *status == WalletStatus::Closed || *status != WalletStatus::Active && !by_word {
        return Err(Refusal::WalletStatus(*wallet, *status));
    }
    if !by_word && account.available() < amount {
        return Err(Refusal::InsufficientFunds(*wallet, account.available()));
    }
    if takes(account, amount) { Ok(()) } else { Err(Refusal::OutOfRange(*wallet)) }
}

/// Whether an amount may come into an account: all but a closed wallet keep what comes.
fn may_arrive((wallet, status, account): &Owned, amount: i64) -> Result<(), Refusal> {
    if *status == WalletStatus::Closed {
        return Err(Refusal::WalletStatus(*wallet, *status));
    }
    if takes(account, amount) { Ok(()) } else { Err(Refusal::OutOfRange(*wallet)) }
}

/// The record of what was done under a key before, where the same is asked for now (R10).
///
/// # Errors
/// The key stands for something else.
pub fn asked_again(done: &Done, key: &CallerKey) -> Result<Sequence, Refusal> {
    if done.body == key.body { Ok(done.sequence) } else { Err(Refusal::KeyReused(done.sequence)) }
}

/// What leaves the merchant with a refund, what of it comes from the fee account (as a negative fee), and who gets it.
fn refunded<'s>(
    order: &Order,
    now: Timestamp,
    shard_of: &dyn Fn(Slot) -> Option<&'s Shard>,
) -> Result<(i64, i64, Option<Party>), Refusal> {
    let payment = order.from.and_then(|merchant| {
        let slot = Slot::of_wallet(merchant.wallet);
        let payment = shard_of(slot)?.payment(slot, order.about)?;
        let right = payment.payee.wallet == merchant.wallet
            && u64::from(payment.until_s) >= now.seconds()
            && payment.currency == order.currency;
        right.then_some(payment)
    });
    let Some(payment) = payment else { return Err(Refusal::NoSuchPayment(order.about)) };
    let left = payment.amount - payment.refunded;
    if order.amount > left {
        return Err(Refusal::RefundTooLarge(left));
    }
    let fee_back = if order.returns_fee { fee_back(payment, order.amount) } else { 0 };
    let Side { wallet, account } = payment.payer;
    Ok((order.amount - fee_back, -fee_back, Some(Party { wallet, account: Some(account) })))
}

/// The part of a payment's fee that goes back with a refund: the same part of the fee as it is of the payment, rounded
/// so that refunds which come to all of the payment, and all return it, give back the whole fee. It is never more than
/// the refund, and what was refunded without the fee stays without it.
fn fee_back(payment: &Payment, amount: i64) -> i64 {
    let part =
        |refunded: i64| i128::from(payment.fee) * i128::from(refunded) / i128::from(payment.amount.max(1));
    let back = part(payment.refunded.saturating_add(amount)) - part(payment.refunded);
    i64::try_from(back).unwrap_or(0).min(payment.fee - payment.fee_refunded)
}
