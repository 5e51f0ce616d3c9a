//! Fees of products, and what they come to for an authorization.
//!
//! Every slot has the fees of all products, so that a decision stays in its shard. An authorization names the tariff
//! that it is charged by, which a slot never forgets: a fee that is changed is another tariff for what comes later, and
//! what is open keeps what its cardholder was told.

use std::collections::BTreeMap;

use crate::domain::fee::Charge;
use crate::domain::fee::Fee;
use crate::domain::fee::FeeSet;
use crate::domain::fee::Tariff;
use crate::domain::limit::Number;
use crate::domain::money::Currency;
use crate::domain::party::Slot;
use crate::domain::product::ProductNumber;
use crate::domain::usage::Usage;

use super::apply::ApplyError;
use super::authorization::Authorization;
use super::authorization::AuthorizationState;
use super::image::put;
use super::limits_image::put_filter;
use super::limits_image::take_filter;
use super::restore::ImageError;
use super::restore::Take;
use super::shard::Account;
use super::shard::Card;
use super::shard::Shard;
use super::state_hash::StateHash;

/// How fees and tariffs are told apart in the state hash from what else is in it.
const FEE_KIND: u8 = 37;
const TARIFF_KIND: u8 = 38;

/// A fee of a product with the number of its tariff.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Charging {
    number: Number,
    fee: Fee,
    charge: Charge,
}

/// The fees of all products, by slot, and every tariff that a slot has ever had.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Fees {
    rules: BTreeMap<(Slot, ProductNumber), Vec<Charging>>,
    tariffs: BTreeMap<Slot, Vec<Tariff>>,
    /// The products that have fees in any slot, a bit each.
    charging: u128,
}

impl Fees {
    pub(super) fn is_empty(&self) -> bool {
        self.tariffs.is_empty()
    }

    fn of(&self, slot: Slot, product: ProductNumber) -> &[Charging] {
        self.rules.get(&(slot, product)).map_or(&[], Vec::as_slice)
    }

    fn tariff(&self, slot: Slot, charge: Charge) -> Option<&Tariff> {
        self.tariffs.get(&slot)?.get(usize::from(charge.tariff()) - 1)
    }

    /// The number of a tariff in a slot, which has it from now on.
    fn charge_of(&mut self, slot: Slot, tariff: Tariff) -> Result<Charge, ApplyError> {
        let tariffs = self.tariffs.entry(slot).or_default();
        let at = tariffs.iter().position(|known| *known == tariff).unwrap_or_else(|| {
            tariffs.push(tariff);
            tariffs.len() - 1
        });
        let charge = u16::try_from(at + 1).ok().and_then(Charge::new);
        charge.ok_or_else(|| {
            tariffs.truncate(at);
            ApplyError::Full("tariffs")
        })
    }

    /// Takes over what a record says of a fee.
    ///
    /// # Errors
    /// The slot has had as many tariffs as it can name.
    pub(super) fn set(&mut self, event: &FeeSet) -> Result<(), ApplyError> {
        let charge = event.fee.map(|fee| self.charge_of(event.slot, fee.tariff)).transpose()?;
        let place = (event.slot, event.product);
        let list = self.rules.entry(place).or_default();
        list.retain(|known| known.number != event.number);
        list.extend(event.fee.zip(charge).map(|(fee, charge)| Charging {
            number: event.number,
            fee,
            charge,
        }));
        list.sort_by_key(|known| known.number);
        if list.is_empty() {
            self.rules.remove(&place);
        }
        let has = self.rules.keys().any(|(_, product)| *product == event.product);
        self.charging = self.charging & !event.product.bit() | if has { event.product.bit() } else { 0 };
        Ok(())
    }

    /// Adds a slot's fees to the image of a shard.
    pub(super) fn put(&self, slot: Slot, out: &mut Vec<u8>) {
        let tariffs = self.tariffs.get(&slot).map_or(&[][..], Vec::as_slice);
        put(out, (tariffs.len() as u16).to_le_bytes());
        tariffs.iter().for_each(|tariff| put_tariff(tariff, out));
        let rules = || self.rules.iter().filter(|((of, _), _)| *of == slot);
        put(out, (rules().map(|(_, list)| list.len()).sum::<usize>() as u16).to_le_bytes());
        for ((_, product), list) in rules() {
            for rule in list {
                put(out, [product.get(), rule.number.get()]);
                put_fee(&rule.fee, out);
            }
        }
    }

    /// Reads them back.
    pub(super) fn take(&mut self, take: &mut Take<'_>, slot: Slot) -> Result<(), ImageError> {
        for _ in 0..take.u16()? {
            let tariff = take_tariff(take)?;
            self.charge_of(slot, tariff).map_err(|_| ImageError::Full("tariffs"))?;
        }
        for _ in 0..take.u16()? {
            let product = ProductNumber::new(take.u8()?).ok_or(ImageError::Value("product"))?;
            let number = Number::new(take.u8()?).ok_or(ImageError::Value("number"))?;
            let set = FeeSet { slot, product, number, fee: Some(take_fee(take)?) };
            self.set(&set).map_err(|_| ImageError::Full("tariffs"))?;
        }
        Ok(())
    }

    /// Adds everything to the state hash.
    pub(super) fn hash_into(&self, hash: &mut StateHash) {
        let mut bytes = Vec::new();
        for (slot, tariffs) in &self.tariffs {
            for (number, tariff) in (1_u16..).zip(tariffs) {
                bytes.clear();
                put(&mut bytes, slot.number().to_le_bytes());
                put(&mut bytes, number.to_le_bytes());
                put_tariff(tariff, &mut bytes);
                hash.add_bytes(TARIFF_KIND, &bytes);
            }
        }
        for ((slot, product), list) in &self.rules {
            for rule in list {
                bytes.clear();
                put(&mut bytes, slot.number().to_le_bytes());
                put(&mut bytes, [product.get(), rule.number.get()]);
                put_fee(&rule.fee, &mut bytes);
                hash.add_bytes(FEE_KIND, &bytes);
            }
        }
    }
}

impl Shard {
    /// The fees of a product in a slot, in the order of their numbers.
    pub fn product_fees_of(&self, slot: Slot, product: ProductNumber) -> impl Iterator<Item = (Number, Fee)> {
        self.fees.of(slot, product).iter().map(|rule| (rule.number, rule.fee))
    }

    /// The products that have fees in a slot.
    pub fn charging_products(&self, slot: Slot) -> impl Iterator<Item = ProductNumber> {
        self.fees.rules.keys().filter(move |(of, _)| *of == slot).map(|(_, product)| *product)
    }

    /// Whether one more tariff can be told in a slot, or it has this one already.
    #[must_use]
    pub fn has_room_for_tariff(&self, slot: Slot, tariff: &Tariff) -> bool {
        let known = self.fees.tariffs.get(&slot).map_or(&[][..], Vec::as_slice);
        known.len() < usize::from(Charge::TARIFFS_MAX) || known.contains(tariff)
    }

    /// What a use of a card that takes from an account is charged by: the first fee of its product that fits.
    #[must_use]
    pub fn charge_for(&self, card: &Card, usage: &Usage, account: Currency) -> Option<Charge> {
        let product = card.product().filter(|product| self.fees.charging & product.bit() != 0)?;
        let fees = self.fees.of(Slot::of_wallet(self.wallet_of(card)), product);
        fees.iter().find(|rule| rule.fee.fits(usage, account)).map(|rule| rule.charge)
    }

    /// The most of what an account has available that leaves room for what is charged for it.
    #[must_use]
    pub fn affordable(&self, card: &Card, charge: Option<Charge>, account: &Account) -> i64 {
        let slot = || Slot::of_wallet(self.wallet_of(card));
        let tariff = charge.and_then(|charge| Some((self.fees.tariff(slot(), charge)?, charge)));
        let available = account.available();
        tariff.map_or(available, |(tariff, charge)| tariff.affordable(available, charge.is_rest()))
    }

    /// What an amount is charged for a card of this wallet, in the currency of the account that it is taken from.
    #[must_use]
    pub fn charged_for(&self, card: &Card, charge: Option<Charge>, amount: i64) -> i64 {
        let Some(charge) = charge else { return 0 };
        let slot = Slot::of_wallet(self.wallet_of(card));
        self.fees.tariff(slot, charge).map_or(0, |tariff| tariff.of(amount, charge.is_rest()))
    }

    /// What an authorization is charged now, minor units of its account's currency.
    #[must_use]
    pub fn fee_of(&self, entry: &Authorization) -> i64 {
        self.fee_on(entry.card, entry, entry.taken)
    }

    /// What it would be charged if it took another amount. What holds nothing and has posted nothing is not charged.
    pub(super) fn fee_on(&self, card: u32, entry: &Authorization, taken: i64) -> i64 {
        let Some(charge) = entry.coded.charge() else { return 0 };
        if !matches!(entry.state, AuthorizationState::Held | AuthorizationState::Posted) {
            return 0;
        }
        let slot = Slot::of_wallet(self.wallet_of(self.cards.at(card)));
        self.fees.tariff(slot, charge).map_or(0, |tariff| tariff.of(taken, charge.is_rest()))
    }
}

fn put_tariff(tariff: &Tariff, out: &mut Vec<u8>) {
    for amount in [tariff.flat, tariff.least, tariff.most] {
        put(out, amount.to_le_bytes());
    }
    put(out, tariff.basis_points.to_le_bytes());
}

fn take_tariff(take: &mut Take<'_>) -> Result<Tariff, ImageError> {
    let (flat, least, most) = (take.i64()?, take.i64()?, take.i64()?);
    Tariff::new(flat, take.u16()?, least, most).ok_or(ImageError::Value("tariff"))
}

fn put_fee(fee: &Fee, out: &mut Vec<u8>) {
    put(out, fee.currency.numeric().to_le_bytes());
    put(out, fee.outside.to_le_bytes());
    put(out, [u8::from(fee.converted)]);
    put_filter(&fee.filter, out);
    put_tariff(&fee.tariff, out);
}

fn take_fee(take: &mut Take<'_>) -> Result<Fee, ImageError> {
    Ok(Fee {
        currency: take.currency()?,
        outside: take.u16()?,
        converted: match take.u8()? {
            0 => false,
            1 => true,
            _ => return Err(ImageError::Value("fee")),
        },
        filter: take_filter(take)?,
        tariff: take_tariff(take)?,
    })
}
