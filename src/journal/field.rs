//! Writing and reading the fields of records: fixed widths, little-endian, one after the other.

use crate::domain::card::CardIdentity;
use crate::domain::card::CardRef;
use crate::domain::card::MaskedPan;
use crate::domain::event::Sequence;
use crate::domain::fee::CodeAndCharge;
use crate::domain::money::Currency;
use crate::domain::money::Money;
use crate::domain::party::InstitutionId;
use crate::domain::party::NameId;
use crate::domain::party::Text;
use crate::domain::request::ApprovalCode;
use crate::domain::request::MessageKey;
use crate::domain::request::Stan;
use crate::domain::share::Share;
use crate::domain::share::Shares;
use crate::domain::time::TransmissionTime;
use crate::journal::record::RECORD_BYTES_MAX;
use crate::journal::record::RecordError;

/// Stands for no currency.
const NO_CURRENCY: u16 = 0xFFFF;

/// An institution has eleven digits at most, which 37 bits hold.
const INSTITUTION_MAX: u64 = (1 << 48) - 1;

/// The bit of something in a record's flags, where it holds.
#[inline(always)]
pub(crate) fn flag<Bits: Default>(condition: bool, bit: Bits) -> Bits {
    if condition { bit } else { Bits::default() }
}

/// Writes fields into one record. Everything is inlined, so that the offsets are constants.
pub(crate) struct Put<'a> {
    bytes: &'a mut [u8; RECORD_BYTES_MAX],
    at: usize,
}

impl<'a> Put<'a> {
    pub(crate) const fn new(bytes: &'a mut [u8; RECORD_BYTES_MAX]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many bytes were written; also sets the length that stands first.
    #[inline]
    pub(crate) fn finish(self) -> usize {
        self.bytes[..2].copy_from_slice(&(self.at as u16).to_le_bytes());
        self.at
    }

    #[inline(always)]
    pub(crate) fn bytes<const N: usize>(&mut self, value: [u8; N]) {
        self.bytes[self.at..self.at + N].copy_from_slice(&value);
        self.at += N;
    }

    #[inline(always)]
    pub(crate) fn u8(&mut self, value: u8) {
        self.bytes([value]);
    }

    #[inline(always)]
    pub(crate) fn u16(&mut self, value: u16) {
        self.bytes(value.to_le_bytes());
    }

    #[inline(always)]
    pub(crate) fn u32(&mut self, value: u32) {
        self.bytes(value.to_le_bytes());
    }

    #[inline(always)]
    pub(crate) fn u64(&mut self, value: u64) {
        self.bytes(value.to_le_bytes());
    }

    #[inline(always)]
    pub(crate) fn i64(&mut self, value: i64) {
        self.bytes(value.to_le_bytes());
    }

    #[inline(always)]
    pub(crate) fn money(&mut self, money: Money) {
        self.i64(money.minor);
        self.u16(money.currency.numeric());
    }

    /// What further accounts bear, of which there is some.
    pub(crate) fn shares(&mut self, shares: &Shares) {
        self.u8(shares.as_slice().len() as u8);
        self.u8(shares.ahead());
        self.u16(shares.opens().map_or(NO_CURRENCY, Currency::numeric));
        for share in shares.as_slice() {
            self.u16(share.account);
            self.i64(share.amount);
            self.i64(share.covers);
            self.u64(share.rate.0);
        }
    }

    #[inline(always)]
    pub(crate) fn institution(&mut self, institution: InstitutionId) {
        let [a, b, c, d, e, f, ..] = institution.0.min(INSTITUTION_MAX).to_le_bytes();
        self.bytes([a, b, c, d, e, f]);
    }

    /// Whether the card is known is told by a flag of the record.
    #[inline(always)]
    pub(crate) fn card(&mut self, card: CardIdentity) {
        self.u64(match card {
            CardIdentity::Known(card) => card.0,
            CardIdentity::Unknown(masked) => {
                let (first6, last4, digits) = masked.parts();
                u64::from(first6) | u64::from(last4) << 32 | u64::from(digits) << 48
            }
        });
    }

    #[inline(always)]
    pub(crate) fn key(&mut self, key: &MessageKey) {
        self.u32(key.network.0);
        self.u32(key.link.0);
        self.u32(key.stan.0);
        self.u32(key.transmission.digits());
        self.institution(key.acquirer);
        self.bytes(key.rrn.0);
        self.bytes(key.terminal.0);
        self.bytes(key.merchant.0);
        self.u64(key.network_reference);
    }
}

/// Reads fields from one record.
pub(crate) struct Take<'a> {
    rest: &'a [u8],
}

impl<'a> Take<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Nothing may be left: each version of a kind has one layout.
    pub(crate) const fn finish(self) -> Result<(), RecordError> {
        if self.rest.is_empty() { Ok(()) } else { Err(RecordError::Length) }
    }

    #[inline(always)]
    pub(crate) fn bytes<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        let (value, rest) = self.rest.split_first_chunk::<N>().ok_or(RecordError::Length)?;
        self.rest = rest;
        Ok(*value)
    }

    #[inline(always)]
    pub(crate) fn u8(&mut self) -> Result<u8, RecordError> {
        self.bytes::<1>().map(|[value]| value)
    }

    #[inline(always)]
    pub(crate) fn u16(&mut self) -> Result<u16, RecordError> {
        self.bytes().map(u16::from_le_bytes)
    }

    #[inline(always)]
    pub(crate) fn u32(&mut self) -> Result<u32, RecordError> {
        self.bytes().map(u32::from_le_bytes)
    }

    #[inline(always)]
    pub(crate) fn u64(&mut self) -> Result<u64, RecordError> {
        self.bytes().map(u64::from_le_bytes)
    }

    #[inline(always)]
    pub(crate) fn i64(&mut self) -> Result<i64, RecordError> {
        self.bytes().map(i64::from_le_bytes)
    }

    #[inline(always)]
    pub(crate) fn currency(&mut self) -> Result<Currency, RecordError> {
        Currency::from_number(self.u16()?).ok_or(RecordError::Field("currency"))
    }

    #[inline(always)]
    pub(crate) fn money(&mut self) -> Result<Money, RecordError> {
        Ok(Money { minor: self.i64()?, currency: self.currency()? })
    }

    pub(crate) fn shares(&mut self) -> Result<Shares, RecordError> {
        let (len, ahead, opens) = (self.u8()?, self.u8()?, self.u16()?);
        let mut shares = Shares::NONE;
        for at in 0..len {
            let share = Share {
                account: self.u16()?,
                amount: self.i64()?,
                covers: self.i64()?,
                rate: Sequence(self.u64()?),
            };
            if share.amount <= 0 || share.covers <= 0 || !shares.push(share, at < ahead) {
                return Err(RecordError::Field("shares"));
            }
        }
        if shares.is_empty() || shares.ahead() != ahead {
            return Err(RecordError::Field("shares"));
        }
        match opens {
            NO_CURRENCY => Ok(shares),
            number => {
                let currency = Currency::from_number(number).ok_or(RecordError::Field("currency"))?;
                Ok(shares.opening(currency))
            }
        }
    }

    #[inline(always)]
    pub(crate) fn institution(&mut self) -> Result<InstitutionId, RecordError> {
        let [a, b, c, d, e, f] = self.bytes()?;
        Ok(InstitutionId(u64::from_le_bytes([a, b, c, d, e, f, 0, 0])))
    }

    #[inline(always)]
    pub(crate) fn card(&mut self, unknown: bool) -> Result<CardIdentity, RecordError> {
        let value = self.u64()?;
        if !unknown {
            return Ok(CardIdentity::Known(CardRef(value)));
        }
        let (first6, last4, digits) = (value as u32, (value >> 32) as u16, (value >> 48) as u8);
        if first6 > 999_999 || last4 > 9999 || value >> 56 != 0 {
            return Err(RecordError::Field("masked card number"));
        }
        Ok(CardIdentity::Unknown(MaskedPan::new(first6, last4, digits)))
    }

    /// All zeros stand for a message without DE 7.
    #[inline(always)]
    pub(crate) fn transmission(&mut self) -> Result<TransmissionTime, RecordError> {
        match self.u32()? {
            0 => Ok(TransmissionTime::default()),
            digits => TransmissionTime::new(digits).ok_or(RecordError::Field("transmission time")),
        }
    }

    /// DE 3, and from some layout on what is charged.
    #[inline(always)]
    pub(crate) fn coded(&mut self, charges: bool) -> Result<CodeAndCharge, RecordError> {
        let coded = CodeAndCharge::from_bits(self.u32()?).ok_or(RecordError::Field("charge"))?;
        if charges || coded.charge().is_none() { Ok(coded) } else { Err(RecordError::Field("charge")) }
    }

    #[inline(always)]
    pub(crate) fn approval_code(&mut self) -> Result<ApprovalCode, RecordError> {
        self.bytes().map(ApprovalCode)
    }

    #[inline(always)]
    pub(crate) fn key(&mut self) -> Result<MessageKey, RecordError> {
        Ok(MessageKey {
            network: NameId(self.u32()?),
            link: NameId(self.u32()?),
            stan: Stan(self.u32()?),
            transmission: self.transmission()?,
            acquirer: self.institution()?,
            rrn: Text(self.bytes()?),
            terminal: Text(self.bytes()?),
            merchant: Text(self.bytes()?),
            network_reference: self.u64()?,
        })
    }
}
