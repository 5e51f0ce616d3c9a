//! A party's [`Trunk`] as bytes, for snapshots. They hold card numbers: whoever writes them to a disk seals them.
//!
//! Little-endian, in the order of the fields; optional parts follow a byte that says whether they are there.

use crate::domain::action::ActionCode;
use crate::domain::card::CardStatus;
use crate::domain::card::Pan;
use crate::domain::event::Sequence;
use crate::domain::forward::Carried;
use crate::domain::forward::Forwarded;
use crate::domain::forward::Message;
use crate::domain::forward::Original;
use crate::domain::forward::OwnKey;
use crate::domain::forward::Tells;
use crate::domain::money::Currency;
use crate::domain::money::Money;
use crate::domain::party::InstitutionId;
use crate::domain::party::NameId;
use crate::domain::party::Slot;
use crate::domain::party::Text;
use crate::domain::request::ApprovalCode;
use crate::domain::request::Legs;
use crate::domain::request::MessageClass;
use crate::domain::request::MessageKey;
use crate::domain::request::OriginalData;
use crate::domain::request::ProcessingCode;
use crate::domain::request::Replacement;
use crate::domain::request::Stan;
use crate::domain::time::Expiry;
use crate::domain::time::Timestamp;
use crate::domain::time::TransmissionTime;

use super::originals::Known;
use super::originals::Memo;
use super::originals::Recent;
use super::originals::Standing;
use super::queue::Item;
use super::queue::ItemId;
use super::queue::Place;
use super::trunk::Trunk;

/// What stands in a later part, as a byte before each says.
const ITEM: u8 = 0;
const KNOWN: u8 = 1;
/// The first [`Memo`].
const MEMO: u8 = 2;

/// What a stored message tells, as its byte says.
const REVERSAL: u8 = 0;
const DECLINE: u8 = 1;
const APPROVAL: u8 = 2;
const REVERSAL_OF_OURS: u8 = 3;
/// And from here on a card that has ended: its status.
const CARD_ENDED: u8 = 16;

/// Beside how a request ended.
const ADVISED: u8 = 1 << 7;
const REVERSED: u8 = 1 << 6;
const PURGED: u8 = 1 << 5;

/// The bytes are no image of a party.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the image of a link's stored messages and open requests cannot be read: {0}")]
pub struct ImageError(&'static str);

type Taken<T> = Result<T, ImageError>;

/// How far the copy of a party has come. It is made in steps, with records applied between them: what is put after the
/// cut says what it says by then, and those records say it again.
#[derive(Clone, Copy, Debug)]
pub struct Copying {
    name: NameId,
    cut: Sequence,
    /// The last stored message that was put.
    item: ItemId,
    /// The number of the last original that was put, and of each kind of memo: from the newest to the oldest, since the
    /// oldest leave.
    known: u64,
    memos: [u64; 3],
}

/// Appends the first part of the image of a party that has this number in records, as of this record, the last that
/// was applied: its open requests, and what waits for them. These change by being ended, so they are put at once.
pub fn begin(name: NameId, trunk: &Trunk, cut: Sequence, out: &mut Vec<u8>) -> Copying {
    let mut put = Put(out);
    put.u32(name.0);
    put.option(trunk.last_stan(), |put, stan| put.u32(stan.0));
    let open = trunk.open();
    let waiting = open.iter();
    let waiting = waiting.flat_map(|(exchange, _)| trunk.queue().waiting_for(*exchange));
    let mut waiting: Vec<_> = waiting.collect();
    waiting.sort_unstable_by_key(|(id, _)| *id);
    put.list(open.into_iter(), |put, (sequence, forwarded)| {
        put.u64(sequence.0);
        put.u16(forwarded.slot.number());
        put.own(forwarded.own);
        put.carried(&forwarded.carried);
    });
    put.list(waiting.into_iter(), |put, (id, item)| put.item(id, item));
    let memos = trunk.originals().recent().each_ref().map(Recent::end);
    let item = ItemId { stored: Sequence(0), advice: false };
    Copying { name, cut, item, known: trunk.originals().end(), memos }
}

/// Appends the number of the party, as each later part begins.
pub fn begin_more(copying: &Copying, out: &mut Vec<u8>) {
    Put(out).u32(copying.name.0);
}

/// Appends more to such a part, up to about so many bytes. False when that was all.
pub fn more(copying: &mut Copying, trunk: &Trunk, most_bytes: usize, out: &mut Vec<u8>) -> bool {
    let end = out.len() + most_bytes;
    let mut put = Put(out);
    for (id, item) in trunk.queue().after(copying.item).take_while(|(id, _)| id.stored <= copying.cut) {
        put.u8(ITEM);
        put.item(*id, item);
        copying.item = *id;
        if put.0.len() >= end {
            return true;
        }
    }
    while let Some(one) = trunk.originals().before(copying.known) {
        put.u8(KNOWN);
        put.known(one);
        copying.known -= 1;
        if put.0.len() >= end {
            return true;
        }
    }
    let recent = copying.memos.iter_mut().zip(trunk.originals().recent());
    for ((number, of), memo) in recent.zip(Memo::ALL) {
        while let Some((at_s, print, stored)) = of.before(*number) {
            put.u8(MEMO + memo as u8);
            put.u32(at_s);
            put.u64(print);
            put.u64(stored.0);
            *number -= 1;
            if put.0.len() >= end {
                return true;
            }
        }
    }
    false
}

/// Reads the first part of an image into an empty party, and says whose it is.
///
/// # Errors
/// What cannot be read.
pub fn take(bytes: &[u8], trunk: &mut Trunk) -> Result<NameId, ImageError> {
    let mut take = Take(bytes);
    let name = NameId(take.u32()?);
    let last_stan = take.option(|take| Ok(Stan(take.u32()?)))?;
    let mut last = None;
    take.list(|take| {
        let sequence = Sequence(take.u64()?);
        rises(&mut last, sequence)?;
        let slot = take.slot()?;
        let (own, carried) = (take.own()?, take.carried()?);
        trunk.restore_open(sequence, Forwarded { slot, to: name, own, carried });
        Ok(())
    })?;
    let mut last = None;
    take.list(|take| {
        let (id, item) = take.item()?;
        rises(&mut last, id)?;
        trunk.restore_item(id, item);
        Ok(())
    })?;
    trunk.restore_stan(last_stan);
    if take.0.is_empty() { Ok(name) } else { Err(ImageError("it is longer than it says")) }
}

/// Reads a later part into the party whose it is. [`Trunk::restored`] ends it.
///
/// # Errors
/// What cannot be read, and a part of a party that did not begin.
pub fn take_more<'t>(
    bytes: &[u8],
    of: impl FnOnce(NameId) -> Option<&'t mut Trunk>,
) -> Result<(), ImageError> {
    let mut take = Take(bytes);
    let trunk = of(NameId(take.u32()?)).ok_or(ImageError("it does not begin"))?;
    while !take.0.is_empty() {
        match take.u8()? {
            ITEM => {
                let (id, item) = take.item()?;
                trunk.restore_item(id, item);
            }
            KNOWN => trunk.restore_originals().restore(take.known()?),
            tag => {
                let memo = Memo::ALL.get(usize::from(tag - MEMO));
                let memo = *memo.ok_or(ImageError("what it has of a link"))?;
                let (at_s, print, stored) = (take.u32()?, take.u64()?, Sequence(take.u64()?));
                trunk.restore_originals().restore_memo(memo, at_s, print, stored);
            }
        }
    }
    Ok(())
}

/// Two of one name would be counted twice.
fn rises<T: Copy + PartialOrd>(last: &mut Option<T>, next: T) -> Taken<()> {
    let rises = last.is_none_or(|last| last < next);
    *last = Some(next);
    if rises { Ok(()) } else { Err(ImageError("its parts are not in order")) }
}

struct Put<'o>(&'o mut Vec<u8>);

impl Put<'_> {
    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    fn u16(&mut self, value: u16) {
        self.bytes(&value.to_le_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.bytes(&value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.bytes(&value.to_le_bytes());
    }

    fn option<T>(&mut self, value: Option<T>, put: impl FnOnce(&mut Self, T)) {
        self.u8(u8::from(value.is_some()));
        if let Some(value) = value {
            put(self, value);
        }
    }

    /// How many come is known at the end only.
    fn list<T>(&mut self, values: impl Iterator<Item = T>, mut each: impl FnMut(&mut Self, T)) {
        let at = self.0.len();
        self.u64(0);
        let mut count = 0_u64;
        for value in values {
            each(self, value);
            count += 1;
        }
        self.0[at..at + 8].copy_from_slice(&count.to_le_bytes());
    }

    fn own(&mut self, own: OwnKey) {
        self.u32(own.stan.0);
        self.u32(own.transmission.digits());
    }

    fn money(&mut self, money: Money) {
        self.u64(money.minor as u64);
        self.u16(money.currency.numeric());
    }

    fn carried(&mut self, of: &Carried) {
        let key = &of.key;
        self.u32(key.network.0);
        self.u32(key.link.0);
        self.u32(key.stan.0);
        self.u32(key.transmission.digits());
        self.u64(key.acquirer.0);
        self.bytes(&key.rrn.0);
        self.bytes(&key.terminal.0);
        self.bytes(&key.merchant.0);
        self.u64(key.network_reference);
        self.u8(of.class as u8);
        self.u64(of.pan.value());
        self.u8(of.pan.digits());
        self.option(of.expiry, |put, expiry| put.u16(expiry.digits()));
        self.u32(of.processing_code.0);
        self.money(of.amount);
        self.option(of.billing, Self::money);
        self.u16(of.mcc);
        self.u16(of.country);
        self.u16(of.entry_mode);
        self.u64(of.forwarder.0);
    }

    fn original(&mut self, of: Original) {
        self.u8(of.class as u8);
        self.own(of.key);
        self.u64(of.acquirer.0);
        self.u64(of.forwarder.0);
    }

    fn tells(&mut self, tells: &Tells) {
        let code = |put: &mut Self, code: ApprovalCode| put.bytes(&code.0);
        match *tells {
            Tells::Reversal { replacement, legs, approval_code, original, as_received } => {
                self.u8(if legs == Legs::Ours { REVERSAL_OF_OURS } else { REVERSAL });
                self.option(approval_code, code);
                self.option(original, Self::original);
                self.option(replacement, |put, of| {
                    put.u64(of.amount as u64);
                    put.option(of.billing, |put, billing| put.u64(billing as u64));
                });
                self.option(as_received, |put, of| {
                    put.u8(of.class.map_or(0, |class| class as u8));
                    put.u32(of.stan.0);
                    put.option(of.transmission, |put, time| put.u32(time.digits()));
                    put.u64(of.acquirer.0);
                });
            }
            Tells::Advice { approved, approval_code, original } => {
                self.u8(if approved { APPROVAL } else { DECLINE });
                self.option(approval_code, code);
                self.option(original, Self::original);
            }
            Tells::CardEnded { status } => {
                self.u8(CARD_ENDED + status as u8);
                self.option(None, code);
                self.option(None, Self::original);
            }
        }
    }

    fn item(&mut self, id: ItemId, item: &Item) {
        self.u64(id.stored.0);
        self.u8(u8::from(id.advice));
        self.u16(item.slot.number());
        self.u64(item.since.0);
        self.u8(match item.place {
            Place::Waiting | Place::InFlight => 0,
            Place::Held => 1,
            Place::Dead => 2,
        });
        self.option(item.about, |put, about| put.u64(about.0));
        self.option(item.after, |put, after| put.u64(after.0));
        self.u8(u8::from(item.unanswered));
        self.own(item.message.own);
        self.carried(&item.message.carried);
        self.tells(&item.message.tells);
    }

    fn known(&mut self, known: &Known) {
        self.u64(known.exchange.0);
        self.u32(known.at_s);
        self.own(known.own);
        self.u8(known.class as u8);
        self.u32(known.transmission.digits());
        self.u64(known.acquirer.0);
        self.u64(known.forwarder.0);
        self.bytes(&known.rrn.0);
        self.bytes(&known.terminal.0);
        self.u32(known.processing_code.0);
        self.money(known.amount);
        let flag = |is: bool, flag| if is { flag } else { 0 };
        let flags =
            flag(known.advised, ADVISED) | flag(known.reversed, REVERSED) | flag(known.purged, PURGED);
        match known.standing {
            Standing::Open => self.u8(flags),
            Standing::Answered(code) => {
                self.u8(flags | 1);
                self.bytes(&code);
            }
            Standing::GivenUp => self.u8(flags | 2),
            Standing::Unsent => self.u8(flags | 4),
            Standing::StoodIn(action, code) => {
                self.u8(flags | 3);
                self.u8(action as u8);
                self.option(code, |put, code| put.bytes(&code.0));
            }
        }
        known.prints.iter().for_each(|print| self.u64(*print));
    }
}

struct Take<'a>(&'a [u8]);

impl Take<'_> {
    fn bytes<const N: usize>(&mut self) -> Taken<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(ImageError("it is cut short"))?;
        self.0 = rest;
        Ok(*bytes)
    }

    fn u8(&mut self) -> Taken<u8> {
        self.bytes().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Taken<u16> {
        self.bytes().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Taken<u32> {
        self.bytes().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Taken<u64> {
        self.bytes().map(u64::from_le_bytes)
    }

    fn i64(&mut self) -> Taken<i64> {
        self.bytes().map(i64::from_le_bytes)
    }

    fn option<T>(&mut self, take: impl FnOnce(&mut Self) -> Taken<T>) -> Taken<Option<T>> {
        match self.u8()? {
            0 => Ok(None),
            1 => take(self).map(Some),
            _ => Err(ImageError("a part is neither there nor not")),
        }
    }

    fn list(&mut self, mut each: impl FnMut(&mut Self) -> Taken<()>) -> Taken<()> {
        for _ in 0..self.u64()? {
            each(self)?;
        }
        Ok(())
    }

    fn slot(&mut self) -> Taken<Slot> {
        Slot::new(self.u16()?).ok_or(ImageError("a slot"))
    }

    fn transmission(&mut self) -> Taken<TransmissionTime> {
        match self.u32()? {
            0 => Ok(TransmissionTime::default()),
            digits => TransmissionTime::new(digits).ok_or(ImageError("a transmission time")),
        }
    }

    fn own(&mut self) -> Taken<OwnKey> {
        Ok(OwnKey { stan: Stan(self.u32()?), transmission: self.transmission()? })
    }

    fn money(&mut self) -> Taken<Money> {
        let minor = self.i64()?;
        let currency = Currency::from_number(self.u16()?).ok_or(ImageError("a currency"))?;
        Ok(Money::new(minor, currency))
    }

    fn class(&mut self) -> Taken<MessageClass> {
        MessageClass::from_digit(self.u8()?).ok_or(ImageError("a class"))
    }

    fn code(&mut self) -> Taken<Option<ApprovalCode>> {
        self.option(|take| take.bytes().map(ApprovalCode))
    }

    fn institution(&mut self) -> Taken<InstitutionId> {
        self.u64().map(InstitutionId)
    }

    fn carried(&mut self) -> Taken<Carried> {
        let key = MessageKey {
            network: NameId(self.u32()?),
            link: NameId(self.u32()?),
            stan: Stan(self.u32()?),
            transmission: self.transmission()?,
            acquirer: self.institution()?,
            rrn: Text(self.bytes()?),
            terminal: Text(self.bytes()?),
            merchant: Text(self.bytes()?),
            network_reference: self.u64()?,
        };
        let class = self.class()?;
        let (value, digits) = (self.u64()?, self.u8()?);
        Ok(Carried {
            key,
            class,
            pan: Pan::from_value(value, digits).map_err(|_| ImageError("a card number"))?,
            expiry: self.option(|take| Expiry::new(take.u16()?).ok_or(ImageError("a month")))?,
            processing_code: ProcessingCode(self.u32()?),
            amount: self.money()?,
            billing: self.option(Self::money)?,
            mcc: self.u16()?,
            country: self.u16()?,
            entry_mode: self.u16()?,
            forwarder: self.institution()?,
        })
    }

    fn original(&mut self) -> Taken<Original> {
        Ok(Original {
            class: self.class()?,
            key: self.own()?,
            acquirer: self.institution()?,
            forwarder: self.institution()?,
        })
    }

    fn tells(&mut self) -> Taken<Tells> {
        let kind = self.u8()?;
        let (approval_code, original) = (self.code()?, self.option(Self::original)?);
        match kind {
            REVERSAL | REVERSAL_OF_OURS => Ok(Tells::Reversal {
                legs: if kind == REVERSAL_OF_OURS { Legs::Ours } else { Legs::Both },
                approval_code,
                original,
                replacement: self.option(|take| {
                    Ok(Replacement { amount: take.i64()?, billing: take.option(Self::i64)? })
                })?,
                as_received: self.option(|take| {
                    Ok(OriginalData {
                        class: MessageClass::from_digit(take.u8()?),
                        stan: Stan(take.u32()?),
                        transmission: take.option(Self::transmission)?,
                        acquirer: take.institution()?,
                    })
                })?,
            }),
            DECLINE | APPROVAL => Ok(Tells::Advice { approved: kind == APPROVAL, approval_code, original }),
            _ => match kind.checked_sub(CARD_ENDED).and_then(CardStatus::from_code) {
                Some(status) => Ok(Tells::CardEnded { status }),
                None => Err(ImageError("what a stored message tells")),
            },
        }
    }

    fn item(&mut self) -> Taken<(ItemId, Item)> {
        let stored = Sequence(self.u64()?);
        let advice = self.u8()? != 0;
        let (slot, since) = (self.slot()?, Timestamp(self.u64()?));
        let place = match self.u8()? {
            0 => Place::Waiting,
            1 => Place::Held,
            2 => Place::Dead,
            _ => return Err(ImageError("where a stored message is")),
        };
        let about = self.option(|take| Ok(Sequence(take.u64()?)))?;
        let after = self.option(|take| Ok(Sequence(take.u64()?)))?;
        let unanswered = self.u8()? != 0;
        let (own, carried) = (self.own()?, self.carried()?);
        let message = Message { own, carried, tells: self.tells()? };
        let item = Item { about, after, unanswered, place, ..Item::new(slot, since, message) };
        Ok((ItemId { stored, advice }, item))
    }

    fn known(&mut self) -> Taken<Known> {
        let (exchange, at_s, own) = (Sequence(self.u64()?), self.u32()?, self.own()?);
        let (class, transmission) = (self.class()?, self.transmission()?);
        let (acquirer, forwarder) = (self.institution()?, self.institution()?);
        let (rrn, terminal) = (Text(self.bytes()?), Text(self.bytes()?));
        let (processing_code, amount) = (ProcessingCode(self.u32()?), self.money()?);
        let ended = self.u8()?;
        let standing = match ended & !(ADVISED | REVERSED | PURGED) {
            0 => Standing::Open,
            1 => Standing::Answered(self.bytes()?),
            2 => Standing::GivenUp,
            4 => Standing::Unsent,
            3 => {
                let action = ActionCode::from_code(self.u8()?).ok_or(ImageError("an action code"))?;
                Standing::StoodIn(action, self.code()?)
            }
            _ => return Err(ImageError("how a request ended")),
        };
        let prints = [self.u64()?, self.u64()?];
        Ok(Known {
            exchange,
            at_s,
            own,
            class,
            transmission,
            acquirer,
            forwarder,
            rrn,
            terminal,
            processing_code,
            amount,
            standing,
            advised: ended & ADVISED != 0,
            purged: ended & PURGED != 0,
            reversed: ended & REVERSED != 0,
            prints,
            older: Known::NO_OLDER,
        })
    }
}
