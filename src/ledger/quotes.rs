//! The assets of the house and its rates. One slot keeps them; the other shards have a copy, so that a decision stays
//! in its shard. What is decided has the rate's record in its own, so that a replay asks for none.

use std::collections::BTreeMap;

use crate::domain::asset::AssetCode;
use crate::domain::asset::AssetName;
use crate::domain::asset::AssetSet;
use crate::domain::asset::Price;
use crate::domain::asset::Quote;
use crate::domain::asset::Rate;
use crate::domain::asset::RateSet;
use crate::domain::event::Sequence;
use crate::domain::money::Currency;
use crate::domain::party::Slot;
use crate::domain::party::Text;

use super::apply::ApplyError;
use super::image::put;
use super::restore::ImageError;
use super::restore::Take;
use super::shard::Shard;
use super::state_hash::StateHash;

/// How assets and rates are told apart in the state hash from what else is in it.
const ASSET_KIND: u8 = 43;
const RATE_KIND: u8 = 44;

/// Most assets, and most rates: each shard has all of them.
pub const QUOTES_MAX: usize = 10_000;

/// All assets and rates.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Quotes {
    assets: BTreeMap<Currency, (AssetCode, AssetName)>,
    rates: BTreeMap<(Currency, Currency), Rate>,
}

impl Quotes {
    /// The slot that keeps them.
    pub const HOME: Slot = Slot::wrapping(0);

    /// Every asset, by its number.
    pub fn assets(&self) -> impl Iterator<Item = AssetSet> {
        self.assets.iter().map(|(asset, (code, name))| AssetSet { asset: *asset, code: *code, name: *name })
    }

    /// An asset by its number.
    #[must_use]
    pub fn asset(&self, asset: Currency) -> Option<AssetSet> {
        self.assets.get(&asset).map(|(code, name)| AssetSet { asset, code: *code, name: *name })
    }

    /// An asset by its code.
    #[must_use]
    pub fn asset_of_code(&self, code: AssetCode) -> Option<AssetSet> {
        self.assets().find(|known| known.code == code)
    }

    /// The number that the next asset of so many decimals gets; `None` when there is none left.
    #[must_use]
    pub fn next_asset(&self, decimals: u16) -> Option<Currency> {
        let mut all = (0..Currency::ASSET_SERIALS).map_while(|serial| Currency::asset(decimals, serial));
        all.find(|asset| !self.assets.contains_key(asset))
    }

    /// Every rate, by what is given and what comes.
    pub fn rates(&self) -> impl Iterator<Item = &Rate> {
        self.rates.values()
    }

    /// The rate from one asset to another.
    #[must_use]
    pub fn rate(&self, from: Currency, to: Currency) -> Option<&Rate> {
        self.rates.get(&(from, to))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.assets.is_empty() && self.rates.is_empty()
    }

    pub(super) fn set_asset(&mut self, set: &AssetSet) -> Result<(), ApplyError> {
        if self.asset(set.asset).is_some_and(|known| known.code != set.code) {
            return Err(ApplyError::OtherAsset);
        }
        self.assets.insert(set.asset, (set.code, set.name));
        Ok(())
    }

    pub(super) fn set_rate(&mut self, version: Sequence, set: &RateSet) -> Result<(), ApplyError> {
        let place = (set.from, set.to);
        match set.quote {
            Some(quote) => {
                let rate = Rate::new(set.from, set.to, quote, version).ok_or(ApplyError::NoRate)?;
                self.rates.insert(place, rate);
            }
            None => {
                self.rates.remove(&place);
            }
        }
        Ok(())
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        put(out, (self.assets.len() as u32).to_le_bytes());
        for asset in self.assets() {
            put_asset(&asset, out);
        }
        put(out, (self.rates.len() as u32).to_le_bytes());
        for rate in self.rates() {
            put_rate(rate, out);
        }
    }

    pub(super) fn take(take: &mut Take<'_>) -> Result<Self, ImageError> {
        let mut quotes = Self::default();
        for _ in 0..take.u32()? {
            let asset = take.currency()?;
            let code = AssetCode::from_bytes(take.bytes()?).ok_or(ImageError::Value("asset"))?;
            quotes.assets.insert(asset, (code, Text(take.bytes()?)));
        }
        for _ in 0..take.u32()? {
            let (from, to, version) = (take.currency()?, take.currency()?, take.sequence()?);
            let price = Price { digits: take.u64()?, decimals: take.u8()? };
            let quote = Some(Quote { price, spread_ppm: take.u32()? });
            quotes.set_rate(version, &RateSet { from, to, quote }).map_err(|_| ImageError::Value("rate"))?;
        }
        Ok(quotes)
    }

    fn hash_into(&self, hash: &mut StateHash) {
        let mut bytes = Vec::new();
        for asset in self.assets() {
            bytes.clear();
            put_asset(&asset, &mut bytes);
            hash.add_bytes(ASSET_KIND, &bytes);
        }
        for rate in self.rates() {
            bytes.clear();
            put_rate(rate, &mut bytes);
            hash.add_bytes(RATE_KIND, &bytes);
        }
    }
}

impl Shard {
    /// The assets and rates that are known here.
    #[must_use]
    pub const fn quotes(&self) -> &Quotes {
        &self.quotes
    }

    /// Takes over what the slot that keeps them has.
    pub fn copy_quotes(&mut self, quotes: &Quotes) {
        self.quotes.clone_from(quotes);
    }

    /// What this shard is to say of them: nothing where it only has a copy.
    pub(super) fn own_quotes(&self) -> Option<&Quotes> {
        let own = self.holds(Quotes::HOME) && !self.quotes.is_empty();
        own.then_some(&self.quotes)
    }

    pub(super) fn hash_quotes(&self, hash: &mut StateHash) {
        if let Some(quotes) = self.own_quotes() {
            quotes.hash_into(hash);
        }
    }
}

fn put_asset(set: &AssetSet, out: &mut Vec<u8>) {
    put(out, set.asset.numeric().to_le_bytes());
    put(out, set.code.bytes());
    put(out, set.name.0);
}

fn put_rate(rate: &Rate, out: &mut Vec<u8>) {
    put(out, rate.from.numeric().to_le_bytes());
    put(out, rate.to.numeric().to_le_bytes());
    put(out, rate.version.0.to_le_bytes());
    put(out, rate.quote.price.digits.to_le_bytes());
    put(out, [rate.quote.price.decimals]);
    put(out, rate.quote.spread_ppm.to_le_bytes());
}
