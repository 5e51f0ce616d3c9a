//! Issuing cards by a verb: a number that is given, or one that is drawn from a range (R10).

use xxhash_rust::xxh3::xxh3_128_with_seed;

use crate::authorizer::moving::Refusal;
use crate::authorizer::moving::asked_again;
use crate::domain::card::CardRef;
use crate::domain::card::CardStatus;
use crate::domain::card::MaskedPan;
use crate::domain::card::Pan;
use crate::domain::card::ServiceCode;
use crate::domain::card::Verification;
use crate::domain::event::Event;
use crate::domain::event::Sequence;
use crate::domain::moved::CallerKey;
use crate::domain::party::Slot;
use crate::domain::party::WalletId;
use crate::domain::party::WalletStatus;
use crate::domain::product::CardProductSet;
use crate::domain::product::PanRange;
use crate::domain::product::ProductNumber;
use crate::domain::time::Expiry;
use crate::domain::time::Now;
use crate::ledger::kept::Done;

use super::core::Pipeline;
use super::moving::NotMoved;
use super::seeding::NewCard;
use super::seeding::Opened;

/// How many numbers are drawn before a range is taken for full.
const DRAWS: u32 = 64;

/// A card that is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'r> {
    /// On which wallet.
    pub wallet: WalletId,
    /// Where its number comes from.
    pub numbering: Numbering<'r>,
    /// Its month.
    pub expiry: Expiry,
    /// For its track.
    pub service_code: ServiceCode,
    /// What its product asks for (R28).
    pub verification: Verification,
    /// The caller's name for it.
    pub key: CallerKey,
    /// When the caller made that name, seconds since 1970.
    pub created_s: u64,
}

/// Where a card's number comes from.
#[derive(Clone, Copy, Debug)]
pub enum Numbering<'r> {
    /// It is given.
    Given(Pan),
    /// It is drawn, of so many digits.
    Drawn(&'r [PanRange], u8),
}

/// A card that was issued.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Issued {
    /// Its reference.
    pub card: CardRef,
    /// Its number, masked.
    pub pan: MaskedPan,
    /// The record that the answer waits for (R1).
    pub sequence: Sequence,
    /// It was issued before, under the same key.
    pub again: bool,
}

/// Why no card was issued.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotIssued {
    /// As with any verb.
    #[error(transparent)]
    Verb(#[from] NotMoved),
    /// The number is one of a card that there is.
    #[error("there is a card with this number")]
    Taken,
    /// No number that was drawn was free.
    #[error("no free number was found in the ranges of `wallets.card_ranges`")]
    RangeFull,
    /// It was issued under this key by this record, and its number is none of those that are drawn now.
    #[error(
        "a card was issued under this key, by record {}, before `wallets.card_ranges` was changed; it is among the \
         cards of the wallet", .0.0
    )]
    Elsewhere(Sequence),
    /// A table is full: raise the setting of this name.
    #[error("the table is full; raise `ledger.{0}`")]
    Full(&'static str),
}

impl Pipeline {
    /// Opens a card on a wallet. `product_of` says which product a number is of.
    ///
    /// # Errors
    /// Why none was issued. Nothing has changed.
    pub fn issue_card(
        &self,
        wanted: &Wanted<'_>,
        product_of: &dyn Fn(Pan) -> Option<ProductNumber>,
        now: Now,
    ) -> Result<Issued, NotIssued> {
        let Wanted { wallet, numbering, created_s, .. } = *wanted;
        let slot = Slot::of_wallet(wallet);
        let key = self.kept_key(&wanted.key, created_s);
        let done = self.lock(slot).done_under(slot, key.print);
        if let Some(done) = done {
            return self.issued_before(wanted, done);
        }
        let now_s = self.seconds(now) as u32;
        self.admit_key(created_s, || self.lock(slot).forgets_next(slot, now_s)[0], now)?;
        self.takes_cards(wallet)?;
        for pan in self.numbers(wanted) {
            let card = NewCard {
                wallet,
                pan,
                expiry: wanted.expiry,
                service_code: wanted.service_code,
                status: CardStatus::Active,
                verification: wanted.verification,
                key: Some(key),
            };
            match self.open_card(&card, now) {
                Opened::New => return self.opened_now(pan, product_of, now),
                Opened::Under(done) => return self.issued_before(wanted, done),
                Opened::Later => return Err(NotMoved::Unavailable.into()),
                Opened::Full(setting) => return Err(NotIssued::Full(setting)),
                Opened::Already | Opened::Refused if matches!(numbering, Numbering::Given(_)) => {
                    self.takes_cards(wallet)?;
                    return Err(NotIssued::Taken);
                }
                // The number is another card's, or the wallet was closed meanwhile.
                Opened::Already | Opened::Refused => self.takes_cards(wallet)?,
            }
        }
        Err(NotIssued::RangeFull)
    }

    /// Whether a wallet is there and not closed.
    fn takes_cards(&self, wallet: WalletId) -> Result<(), NotMoved> {
        match self.lock(Slot::of_wallet(wallet)).wallet_status(wallet) {
            None => Err(Refusal::NoSuchWallet(wallet).into()),
            Some(status @ WalletStatus::Closed) => Err(Refusal::WalletStatus(wallet, status).into()),
            Some(_) => Ok(()),
        }
    }

    /// The numbers to be tried, one after the other: the same ones for the same key.
    fn numbers<'c>(&self, wanted: &Wanted<'c>) -> impl Iterator<Item = Pan> + use<'c> {
        let (given, ranges, digits) = match wanted.numbering {
            Numbering::Given(pan) => (Some(pan), &[][..], 0),
            Numbering::Drawn(ranges, digits) => (None, ranges, digits),
        };
        let (print, seed) = (wanted.key.print, self.seed);
        let drawn = (0..if ranges.is_empty() { 0 } else { DRAWS }).filter_map(move |draw| {
            let mut name = [0; 20];
            name[..16].copy_from_slice(&print.to_le_bytes());
            name[16..].copy_from_slice(&draw.to_le_bytes());
            let draw = xxh3_128_with_seed(&name, seed);
            let range = ranges.get((draw >> 96) as usize % ranges.len())?;
            range.number(draw & ((1 << 96) - 1), digits)
        });
        given.into_iter().chain(drawn)
    }

    /// What stands for a card number where the number itself must not: the same at every start.
    #[must_use]
    pub fn print_of(&self, pan: Pan) -> u128 {
        let mut name = [0; 9];
        name[..8].copy_from_slice(&pan.value().to_le_bytes());
        name[8] = pan.digits();
        xxh3_128_with_seed(&name, self.seed)
    }

    /// Puts a new card into its product, and tells what was issued.
    fn opened_now(
        &self,
        pan: Pan,
        product_of: &dyn Fn(Pan) -> Option<ProductNumber>,
        now: Now,
    ) -> Result<Issued, NotIssued> {
        let (mut shard, position) = self.locate(pan);
        let Some(position) = position else { return Err(NotMoved::Unavailable.into()) };
        let (card, masked) = {
            let card = shard.card(position);
            (card.reference, card.masked())
        };
        let mut sequence = shard.applied();
        if let Some(product) = product_of(pan) {
            // If the journal takes it no more, the next start does it.
            let set = CardProductSet { slot: Slot::of_card(card), card, product: Some(product) };
            let committed = self.commit(&mut shard, &Event::CardProductSet(set), now);
            sequence = committed.map_or(sequence, |(sequence, _)| sequence);
        }
        drop(shard);
        self.wake_writer();
        Ok(Issued { card, pan: masked, sequence, again: false })
    }

    /// The card that was issued under a key before.
    fn issued_before(&self, wanted: &Wanted<'_>, done: Done) -> Result<Issued, NotIssued> {
        let sequence = asked_again(&done, &wanted.key).map_err(NotMoved::from)?;
        for pan in self.numbers(wanted) {
            let (shard, position) = self.locate(pan);
            let found = position.map(|position| shard.card(position));
            if let Some(found) = found.filter(|found| shard.wallet_of(found) == wanted.wallet) {
                return Ok(Issued { card: found.reference, pan: found.masked(), sequence, again: true });
            }
        }
        Err(NotIssued::Elsewhere(sequence))
    }
}
