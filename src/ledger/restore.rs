//! From images back to shards ([`super::image`] has the layout). The shards may be others than those that were copied:
//! every wallet and slot goes where its number belongs.

use crate::domain::action::ActionCode;
use crate::domain::card::CardRef;
use crate::domain::card::CardStatus;
use crate::domain::card::Pan;
use crate::domain::card::ServiceCode;
use crate::domain::card::Verification;
use crate::domain::event::CardOpened;
use crate::domain::event::Sequence;
use crate::domain::fee::CodeAndCharge;
use crate::domain::money::Currency;
use crate::domain::moved::Side;
use crate::domain::party::Slot;
use crate::domain::party::WalletId;
use crate::domain::party::WalletStatus;
use crate::domain::product::ProductNumber;
use crate::domain::time::Expiry;

use super::answers::Remembered;
use super::authorization::Authorization;
use super::authorization::AuthorizationState;
use super::authorization::LegState;
use super::books::Books;
use super::books::sum_totals;
use super::chain::ANSWER_BIT;
use super::directory::Location;
use super::directory::PanHash;
use super::image::CHARGED;
use super::image::EARNS;
use super::image::EXCHANGED;
use super::image::FILED;
use super::image::LIMITED;
use super::image::MOVED;
use super::image::RULED;
use super::image::SPENDS;
use super::image::ZONED;
use super::interest::skip_earning;
use super::limits_image::count_limits;
use super::quotes::Quotes;
use super::room::Needs;
use super::shard::Account;
use super::shard::Card;
use super::shard::Shard;
use super::shard::Wallet;
use super::shard::hash_u64;
use super::share::take_borne_of;
use super::share::take_order;
use super::slab::NONE;
use super::totals::Totals;

/// Why an image cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ImageError {
    /// It ends in the middle of something.
    #[error("it ends in the middle of a {0}")]
    Short(&'static str),
    /// A value that is none.
    #[error("its {0} holds no possible value")]
    Value(&'static str),
    /// A table is smaller than it was.
    #[error("the table of {0} is full; raise `ledger.{0}_max` to what it was")]
    Full(&'static str),
    /// The parts do not add up to what was noted for the whole.
    #[error("currency {0} does not add up: the accounts differ from the totals")]
    Totals(Currency),
}

/// Books that are being put together from images.
#[derive(Debug)]
pub struct Restoring {
    books: Books,
    /// The totals of all shard parts, by currency.
    noted: Vec<Totals>,
    /// By shard: closed authorizations with their slots and the records that closed them.
    closed: Vec<Vec<(u16, Sequence, u32)>>,
    /// Cards on their way into the directory: where each goes lies anywhere in it, and is asked for some cards before.
    entering: Vec<(PanHash, Location)>,
}

/// So many cards wait for their places in the directory.
const ENTERING: usize = 32;

impl Restoring {
    /// Begins with empty books under the bounds and the seed that the images were made under.
    #[must_use]
    pub fn new(books: Books) -> Self {
        let closed = books.shards.iter().map(|_| Vec::new()).collect();
        Self { books, noted: Vec::new(), closed, entering: Vec::with_capacity(ENTERING) }
    }

    /// Takes the shard part of an image, which is of everything up to `cut`. Returns its slots.
    ///
    /// # Errors
    /// It cannot be read; the books are of no use then.
    pub fn shard_part(&mut self, image: &[u8], cut: Sequence) -> Result<Vec<Slot>, ImageError> {
        let mut take = Take { rest: image, of: "shard" };
        let (slots, currencies) = (take.u16()?, take.u16()?);
        let (filed, zoned) = (currencies & FILED != 0, currencies & ZONED != 0);
        let ruled = currencies & RULED != 0;
        let charged = currencies & CHARGED != 0;
        let moved = currencies & MOVED != 0;
        let exchanged = currencies & EXCHANGED != 0;
        let currencies = match exchanged {
            true => take.u16()?,
            false => currencies & !(FILED | ZONED | RULED | CHARGED | MOVED),
        };
        if ruled {
            let _most = take.u16()?;
        }
        let all = (0..currencies).map(|_| take_totals(&mut take, charged, moved, exchanged));
        let noted = all.collect::<Result<Vec<_>, _>>()?;
        let mut found = Vec::new();
        for _ in 0..slots {
            let slot = Slot::new(take.u16()?).ok_or(ImageError::Value("slot"))?;
            let shard = &mut self.books.shards[self.books.layout.shard_of(slot)];
            if found.is_empty() {
                // These belong to no slot. They stand where the first of them does.
                for totals in &noted {
                    let of_shard = shard.totals_mut(totals.currency);
                    of_shard.funding += totals.funding;
                    of_shard.fees += totals.fees;
                    of_shard.transit += totals.transit;
                    of_shard.adjustments += totals.adjustments;
                    of_shard.exchange += totals.exchange;
                    of_shard.interest += totals.interest;
                }
            }
            shard.applied = shard.applied.max(cut);
            take_slot(&mut take, shard, slot)?;
            if filed {
                shard.take_filed(&mut take, slot)?;
            }
            if zoned {
                shard.limits.zones.take(&mut take, slot)?;
            }
            if ruled {
                shard.limits.rules.take(&mut take, slot)?;
            }
            if charged {
                shard.fees.take(&mut take, slot)?;
            }
            if moved {
                shard.take_kept(&mut take, slot)?;
            }
            found.push(slot);
        }
        if exchanged && take.u8()? != 0 {
            let home = self.books.layout.shard_of(Quotes::HOME);
            self.books.shards[home].quotes = Quotes::take(&mut take)?;
        }
        self.noted = sum_totals([self.noted.as_slice(), &noted].into_iter());
        take.finish().map(|()| found)
    }

    /// Takes images of wallets, one after the other. Returns how many there were.
    ///
    /// # Errors
    /// They cannot be read, or do not fit; the books are of no use then.
    pub fn wallets(&mut self, images: &[u8]) -> Result<u64, ImageError> {
        let mut take = Take { rest: images, of: "wallet" };
        let mut count = 0;
        while !take.rest.is_empty() {
            self.wallet(&mut take)?;
            count += 1;
        }
        self.enter()?;
        Ok(count)
    }

    /// Puts the cards that wait into the directory.
    fn enter(&mut self) -> Result<(), ImageError> {
        for (hash, location) in self.entering.drain(..) {
            self.books.directory.insert(hash, location).map_err(|_| ImageError::Full("cards"))?;
        }
        Ok(())
    }

    fn wallet(&mut self, take: &mut Take<'_>) -> Result<(), ImageError> {
        let id = WalletId(take.u64()?);
        let status = take.u8()?;
        let limited = status & LIMITED != 0;
        let (spends, earns) = (status & SPENDS != 0, status & EARNS != 0);
        let status = WalletStatus::from_code(status & !(LIMITED | SPENDS | EARNS));
        let status = status.ok_or(ImageError::Value("wallet status"))?;
        let (accounts, cards) = (take.u16()?, take.u16()?);
        let slot = Slot::of_wallet(id);
        let at = self.books.layout.shard_of(slot);
        let shard = &mut self.books.shards[at];
        let account = take_account(take)?;
        let wallet = Wallet { status, limited, ..Wallet::new(id, account) };
        let position = shard.wallets.insert(wallet).map_err(|_| ImageError::Full("wallets"))?;
        shard.wallet_index.insert(hash_u64(id.0, shard.seed), position);
        shard.count_in(&account);
        for _ in 1..accounts {
            let account = take_account(take)?;
            shard.add_account(position, account).map_err(|_| ImageError::Full("wallets"))?;
            shard.count_in(&account);
        }
        if spends {
            shard.take_spending(take, position)?;
        }
        if earns {
            shard.take_earning(take, position)?;
        }
        let mut newer = NONE;
        for _ in 0..cards {
            let (card, pan) = take_card(take, slot, position)?;
            let place = shard.cards.insert(card).map_err(|_| ImageError::Full("cards"))?;
            shard.card_index.insert(hash_u64(card.reference.0, shard.seed), place);
            match newer {
                NONE => shard.wallets.at_mut(position).newest_card = place,
                newer => shard.cards.at_mut(newer).older_card = place,
            }
            newer = place;
            take_authorizations(take, shard, place, slot, &mut self.closed[at])?;
            let hash = PanHash::of(pan, self.books.seed);
            self.books.directory.prefetch(hash);
            self.entering.push((hash, Location { slot, card: place }));
        }
        if self.entering.len() >= ENTERING {
            self.enter()?;
        }
        if limited {
            self.books.shards[at].take_limits(take, position)?;
        }
        Ok(())
    }

    /// The books, once all images are taken.
    ///
    /// # Errors
    /// The accounts do not add up to the totals.
    pub fn finish(mut self) -> Result<Books, ImageError> {
        for (shard, closed) in self.books.shards.iter_mut().zip(&mut self.closed) {
            closed.sort_unstable();
            for (slot, _, position) in closed.iter() {
                shard.append_closed(usize::from(slot - shard.first_slot), *position);
            }
            for totals in &mut shard.totals {
                totals.settlement = 0;
                totals.settlement = -totals.sum();
            }
        }
        let found = self.books.totals();
        for noted in &self.noted {
            if !found.contains(noted) {
                return Err(ImageError::Totals(noted.currency));
            }
        }
        match found.iter().find(|totals| !self.noted.contains(totals)) {
            Some(totals) => Err(ImageError::Totals(totals.currency)),
            None => Ok(self.books),
        }
    }
}

impl Needs {
    /// Counts how many limits a product has at most by the shard part of an image.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn count_rules(&mut self, image: &[u8]) -> Result<(), ImageError> {
        let mut take = Take { rest: image, of: "shard" };
        let (_, currencies) = (take.u16()?, take.u16()?);
        if currencies & EXCHANGED != 0 {
            let _currencies = take.u16()?;
        }
        if currencies & RULED != 0 {
            self.expect_rules(take.u16()?.into());
        }
        Ok(())
    }

    /// Counts what images of wallets hold.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn count_wallets(&mut self, images: &[u8]) -> Result<(), ImageError> {
        let mut take = Take { rest: images, of: "wallet" };
        while !take.rest.is_empty() {
            let slot = Slot::of_wallet(WalletId(take.u64()?));
            let status = take.u8()?;
            let has = |mark| status & mark != 0;
            let (accounts, cards) = (take.u16()?, take.u16()?);
            for _ in 0..accounts {
                take_account(&mut take)?;
            }
            if has(SPENDS) {
                take_order(&mut take)?;
            }
            if has(EARNS) {
                skip_earning(&mut take)?;
            }
            let needs = self.of_mut(slot);
            needs.wallets += 1;
            needs.further_accounts += usize::from(accounts).saturating_sub(1);
            needs.cards += usize::from(cards);
            for _ in 0..cards {
                take_card(&mut take, Slot::default(), NONE)?;
                let (open, closed) = (take.u16()?, take.u16()?);
                for _ in 0..u32::from(open) + u32::from(closed) {
                    let entry = take_authorization(&mut take)?;
                    take_borne_of(&mut take, &entry)?;
                    needs.authorizations += 1;
                }
            }
            if has(LIMITED) {
                count_limits(&mut take, needs)?;
            }
        }
        Ok(())
    }
}

impl Shard {
    /// Counts an account's balances into the totals.
    fn count_in(&mut self, account: &Account) {
        let totals = self.totals_mut(account.currency);
        totals.wallets += i128::from(account.posted);
        totals.held += i128::from(account.held);
    }
}

/// What the accounts of a currency add up to; what is suspended is the rest.
fn take_totals(
    take: &mut Take<'_>,
    charged: bool,
    moved: bool,
    exchanged: bool,
) -> Result<Totals, ImageError> {
    let currency = take.currency()?;
    let [wallets, funding, settlement, held] = [take.i128()?, take.i128()?, take.i128()?, take.i128()?];
    let fees = if charged { take.i128()? } else { 0 };
    let [transit, adjustments] = if moved { [take.i128()?, take.i128()?] } else { [0, 0] };
    let [exchange, interest] = if exchanged { [take.i128()?, take.i128()?] } else { [0, 0] };
    let suspense = 0;
    let of_image = Totals {
        currency,
        wallets,
        funding,
        settlement,
        suspense,
        fees,
        transit,
        adjustments,
        exchange,
        interest,
        held,
    };
    Ok(Totals { suspense: -of_image.sum(), ..of_image })
}

fn take_slot(take: &mut Take<'_>, shard: &mut Shard, slot: Slot) -> Result<(), ImageError> {
    let at = shard.slot_of(slot);
    shard.slots[at].approvals = take.u64()?;
    shard.slots[at].cards = take.u32()?;
    for _ in 0..take.u32()? {
        let answer = take_answer(take)?;
        let (place, overwritten) = shard.answers.push(at, answer);
        if let Some(old) = overwritten {
            shard.messages.remove(old.fingerprint, place | ANSWER_BIT);
        }
        shard.messages.insert(answer.fingerprint, place | ANSWER_BIT);
    }
    Ok(())
}

fn take_answer(take: &mut Take<'_>) -> Result<Remembered, ImageError> {
    Ok(Remembered {
        fingerprint: take.u64()?,
        sequence: take.sequence()?,
        amount: take.i64()?,
        posted: take.i64()?,
        available: take.i64()?,
        transmission: take.u32()?,
        answered_s: take.u32()?,
        processing_code: take.u32()?,
        currency: take.u16()?,
        account_currency: take.u16()?,
        approval_code: take.bytes()?,
        action: ActionCode::from_code(take.u8()?).ok_or(ImageError::Value("action code"))?,
    })
}

fn take_account(take: &mut Take<'_>) -> Result<Account, ImageError> {
    let (number, currency) = (take.u16()?, take.currency()?);
    let (posted, held, overdraft) = (take.i64()?, take.i64()?, take.i64()?);
    Ok(Account { posted, held, overdraft, next: NONE, currency, number })
}

fn take_card(take: &mut Take<'_>, slot: Slot, wallet: u32) -> Result<(Card, Pan), ImageError> {
    let reference = CardRef(take.u64()?);
    let (number, digits) = (take.u64()?, take.u8()?);
    let pan = Pan::from_value(number, digits).map_err(|_| ImageError::Value("card number"))?;
    let event = CardOpened {
        slot,
        wallet: WalletId(0),
        card: reference,
        pan,
        expiry: Expiry::new(take.u16()?).ok_or(ImageError::Value("month"))?,
        service_code: ServiceCode(take.u16()?),
        status: CardStatus::from_code(take.u8()?).ok_or(ImageError::Value("card status"))?,
        verification: Verification::from_code(take.u8()?).ok_or(ImageError::Value("verification"))?,
        key: None,
    };
    let product = match take.u8()? {
        0 => None,
        number => Some(ProductNumber::new(number).ok_or(ImageError::Value("product"))?),
    };
    let mut card = Card::new(&event, wallet, NONE);
    card.set_product(product);
    Ok((card, pan))
}

/// The authorizations of a card, open ones and closed ones.
fn take_authorizations(
    take: &mut Take<'_>,
    shard: &mut Shard,
    card: u32,
    slot: Slot,
    all_closed: &mut Vec<(u16, Sequence, u32)>,
) -> Result<(), ImageError> {
    let (open, closed) = (take.u16()?, take.u16()?);
    let mut before = NONE;
    for n in 0..u32::from(open) + u32::from(closed) {
        let is_open = n < u32::from(open);
        let entry = Authorization { card, ..take_authorization(take)? };
        shard.take_shares(take, &entry)?;
        if entry.state.is_open() != is_open || entry.state == AuthorizationState::Vacant {
            return Err(ImageError::Value("authorization's state"));
        }
        let position = shard.authorizations.insert(entry).map_err(|_| ImageError::Full("authorizations"))?;
        let tombstone = entry.state == AuthorizationState::Tombstone;
        if !tombstone {
            shard.messages.insert(shard.fingerprint_of(&entry), position);
        }
        let owner = shard.cards.at_mut(card);
        owner.authorizations += 1;
        owner.tombstones += u16::from(entry.declines_late_request());
        shard.open_authorizations += u64::from(is_open);
        let first = n == 0 || n == u32::from(open);
        match (first, is_open) {
            (true, true) => owner.open = position,
            (true, false) => owner.closed_oldest = position,
            (false, _) => shard.authorizations.at_mut(before).chain_next = position,
        }
        if !is_open {
            shard.cards.at_mut(card).closed_newest = position;
            all_closed.push((slot.number(), entry.closed_by, position));
        }
        before = position;
    }
    Ok(())
}

fn take_authorization(take: &mut Take<'_>) -> Result<Authorization, ImageError> {
    let (sequence, network_reference, acquirer, closed_by) =
        (take.sequence()?, take.u64()?, take.u64()?, take.sequence()?);
    let (amount, taken, answered) = (take.i64()?, take.i64()?, take.i64()?);
    Ok(Authorization {
        sequence,
        network_reference,
        acquirer,
        closed_by,
        amount,
        taken,
        answered,
        stan: take.u32()?,
        transmission: take.u32()?,
        terminal: take.u32()?,
        merchant: take.u32()?,
        coded: CodeAndCharge::from_bits(take.u32()?).ok_or(ImageError::Value("charge"))?,
        changed_s: take.u32()?,
        hold_until_s: take.u32()?,
        network: take.u16()?,
        currency: take.u16()?,
        account: take.u16()?,
        action: ActionCode::from_code(take.u8()?).ok_or(ImageError::Value("action code"))?,
        class: take.u8()?,
        state: AuthorizationState::from_code(take.u8()?).ok_or(ImageError::Value("authorization's state"))?,
        legs: LegState(take.u8()?),
        rrn: take.bytes()?,
        approval_code: take.bytes()?,
        ..Authorization::VACANT
    })
}

/// Reads an image from its start on.
pub(super) struct Take<'a> {
    rest: &'a [u8],
    of: &'static str,
}

impl Take<'_> {
    pub(super) fn bytes<const N: usize>(&mut self) -> Result<[u8; N], ImageError> {
        let (value, rest) = self.rest.split_first_chunk::<N>().ok_or(ImageError::Short(self.of))?;
        self.rest = rest;
        Ok(*value)
    }

    pub(super) fn u8(&mut self) -> Result<u8, ImageError> {
        self.bytes::<1>().map(|[value]| value)
    }

    pub(super) fn u16(&mut self) -> Result<u16, ImageError> {
        self.bytes().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, ImageError> {
        self.bytes().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, ImageError> {
        self.bytes().map(u64::from_le_bytes)
    }

    pub(super) fn i64(&mut self) -> Result<i64, ImageError> {
        self.bytes().map(i64::from_le_bytes)
    }

    pub(super) fn u128(&mut self) -> Result<u128, ImageError> {
        self.bytes().map(u128::from_le_bytes)
    }

    fn i128(&mut self) -> Result<i128, ImageError> {
        self.bytes().map(i128::from_le_bytes)
    }

    pub(super) fn sequence(&mut self) -> Result<Sequence, ImageError> {
        self.u64().map(Sequence)
    }

    pub(super) fn side(&mut self) -> Result<Side, ImageError> {
        Ok(Side { wallet: WalletId(self.u64()?), account: self.u16()? })
    }

    pub(super) fn currency(&mut self) -> Result<Currency, ImageError> {
        Currency::from_number(self.u16()?).ok_or(ImageError::Value("currency"))
    }

    /// Nothing may be left.
    const fn finish(self) -> Result<(), ImageError> {
        if self.rest.is_empty() { Ok(()) } else { Err(ImageError::Value("length")) }
    }
}
