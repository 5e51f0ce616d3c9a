//! Limits: how much, or how often, in which stretch of time, of which kind of use.

use std::fmt;
use std::num::NonZeroU8;

use super::action::ActionCode;
use super::card::CardRef;
use super::money::Currency;
use super::money::Money;
use super::party::Slot;
use super::party::WalletId;
use super::product::ProductNumber;
use super::time::SECONDS_PER_DAY;
use super::time::Timestamp;
use super::time::days_from_civil;
use super::usage::Channels;
use super::usage::Kinds;
use super::usage::MccRange;
use super::usage::MerchantPrint;
use super::usage::Usage;
use super::zone::UtcOffset;
use super::zone::Zone;
use super::zone::ZoneNumber;
use super::zone::ZoneTable;

/// Whose limit or control it is. One of a wallet is for all its cards together.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Subject {
    /// One card.
    Card(CardRef),
    /// One wallet with all its cards.
    Wallet(WalletId),
    /// Each card of a product by itself.
    EachCard(ProductNumber),
    /// Each wallet by itself, with all its cards of a product.
    EachWallet(ProductNumber),
}

impl Subject {
    /// Its kind as a number, and its own number.
    #[must_use]
    pub const fn parts(self) -> (u8, u64) {
        match self {
            Self::Card(card) => (1, card.0),
            Self::Wallet(wallet) => (2, wallet.0),
            Self::EachCard(product) => (3, product.get() as u64),
            Self::EachWallet(product) => (4, product.get() as u64),
        }
    }

    /// The slot that it belongs to; `None` for a product, which every slot knows.
    #[must_use]
    pub fn slot(self) -> Option<Slot> {
        match self {
            Self::Card(card) => Some(Slot::of_card(card)),
            Self::Wallet(wallet) => Some(Slot::of_wallet(wallet)),
            Self::EachCard(_) | Self::EachWallet(_) => None,
        }
    }

    /// The product, and whether each of its wallets is meant and not each of its cards.
    #[must_use]
    pub const fn product(self) -> Option<(ProductNumber, bool)> {
        match self {
            Self::EachCard(product) => Some((product, false)),
            Self::EachWallet(product) => Some((product, true)),
            Self::Card(_) | Self::Wallet(_) => None,
        }
    }

    /// The inverse of [`Subject::parts`].
    #[must_use]
    pub const fn from_parts(kind: u8, number: u64) -> Option<Self> {
        match kind {
            1 => Some(Self::Card(CardRef(number))),
            2 => Some(Self::Wallet(WalletId(number))),
            3 | 4 => {
                if number > ProductNumber::MAX as u64 {
                    return None;
                }
                match ProductNumber::new(number as u8) {
                    Some(product) if kind == 3 => Some(Self::EachCard(product)),
                    Some(product) => Some(Self::EachWallet(product)),
                    None => None,
                }
            }
            _ => None,
        }
    }
}

/// The number of a limit or of a control of one subject: 1 to 16, chosen by whoever sets it. They are looked at in the
/// order of their numbers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Number(NonZeroU8);

impl Number {
    /// The highest.
    pub const MAX: u8 = 16;

    /// A number; `None` when it is 0 or above [`Number::MAX`].
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        match NonZeroU8::new(number) {
            Some(value) if number <= Self::MAX => Some(Self(value)),
            _ => None,
        }
    }

    /// 1 to 16.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0.get()
    }

    /// Its place in a list of 16.
    #[must_use]
    pub const fn at(self) -> usize {
        self.0.get() as usize - 1
    }

    /// Its bit in a set of 16.
    #[must_use]
    pub const fn bit(self) -> u16 {
        1 << self.at()
    }
}

/// What is added up.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Measure {
    /// How many authorizations were approved.
    Count,
    /// What they took from accounts in this currency, minor units. What is taken in another is not counted.
    Amount(Currency),
}

/// For how long a limit adds up.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Window {
    /// Each transaction for itself.
    Transaction,
    /// From midnight to midnight.
    Day(Zone),
    /// From Monday to Monday.
    Week(Zone),
    /// From the first of a month to the first of the next.
    Month(Zone),
    /// From the first of January to the next.
    Year(Zone),
    /// For ever.
    Lifetime,
    /// The time before now, in seconds: whole minutes, so that a sixtieth is whole seconds.
    Sliding(u32),
}

impl Window {
    /// The longest sliding window, in seconds: 366 days.
    pub const SLIDING_MAX_S: u32 = 366 * 86_400;
    /// A sliding window is kept in this many parts, and the one that is being filled.
    pub const PARTS: u32 = 60;

    /// A sliding window; `None` when it is not whole minutes, or longer than [`Window::SLIDING_MAX_S`].
    #[must_use]
    pub const fn sliding(seconds: u32) -> Option<Self> {
        let fits =
            seconds >= Self::PARTS && seconds <= Self::SLIDING_MAX_S && seconds.is_multiple_of(Self::PARTS);
        if fits { Some(Self::Sliding(seconds)) } else { None }
    }

    /// Its kind as a number, and what it has: minutes east of UTC, above zero by [`Window::OFFSET_BIAS`], a zone's
    /// number with [`Window::NAMED_BIT`], or seconds.
    #[must_use]
    pub const fn parts(self) -> (u8, u32) {
        const fn biased(zone: Zone) -> u32 {
            match zone {
                Zone::Fixed(offset) => (offset.minutes() as i32 + Window::OFFSET_BIAS) as u32,
                Zone::Named(number) => Window::NAMED_BIT | number.get() as u32,
            }
        }
        match self {
            Self::Transaction => (0, 0),
            Self::Day(zone) => (1, biased(zone)),
            Self::Week(zone) => (2, biased(zone)),
            Self::Month(zone) => (3, biased(zone)),
            Self::Year(zone) => (4, biased(zone)),
            Self::Lifetime => (5, 0),
            Self::Sliding(seconds) => (6, seconds),
        }
    }

    /// Its name on the HTTP face.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Transaction => "transaction",
            Self::Day(_) => "day",
            Self::Week(_) => "week",
            Self::Month(_) => "month",
            Self::Year(_) => "year",
            Self::Lifetime => "lifetime",
            Self::Sliding(_) => "sliding",
        }
    }

    /// What is added to the minutes east of UTC in [`Window::parts`].
    pub const OFFSET_BIAS: i32 = 720;
    /// Marks the number of a zone in [`Window::parts`].
    pub const NAMED_BIT: u32 = 1 << 16;

    /// Where its days begin; `None` for what is no calendar window.
    #[must_use]
    pub const fn zone(self) -> Option<Zone> {
        match self {
            Self::Day(zone) | Self::Week(zone) | Self::Month(zone) | Self::Year(zone) => Some(zone),
            Self::Transaction | Self::Lifetime | Self::Sliding(_) => None,
        }
    }

    /// The same calendar window in another zone.
    #[must_use]
    pub const fn in_zone(self, zone: Zone) -> Self {
        match self {
            Self::Day(_) => Self::Day(zone),
            Self::Week(_) => Self::Week(zone),
            Self::Month(_) => Self::Month(zone),
            Self::Year(_) => Self::Year(zone),
            Self::Transaction | Self::Lifetime | Self::Sliding(_) => self,
        }
    }

    /// The inverse of [`Window::parts`].
    #[must_use]
    pub fn from_parts(kind: u8, number: u32) -> Option<Self> {
        let zone = || {
            if number & Self::NAMED_BIT != 0 {
                let number = u16::try_from(number & !Self::NAMED_BIT).ok()?;
                return ZoneNumber::new(number).map(Zone::Named);
            }
            let minutes = i32::try_from(number).ok()? - Self::OFFSET_BIAS;
            UtcOffset::new(i16::try_from(minutes).ok()?).map(Zone::Fixed)
        };
        match (kind, number) {
            (0, 0) => Some(Self::Transaction),
            (1, _) => Some(Self::Day(zone()?)),
            (2, _) => Some(Self::Week(zone()?)),
            (3, _) => Some(Self::Month(zone()?)),
            (4, _) => Some(Self::Year(zone()?)),
            (5, 0) => Some(Self::Lifetime),
            (6, seconds) => Self::sliding(seconds),
            _ => None,
        }
    }

    /// The number of the calendar window that a time is in, or of the part of a sliding one. It only grows with time.
    /// `zones` are those of the slot.
    #[must_use]
    pub fn index(self, seconds: u64, zones: &[ZoneTable]) -> u32 {
        let civil = |zone: Zone| {
            let midnight = zone.day(seconds, zones) * SECONDS_PER_DAY;
            Timestamp::from_seconds(midnight as u64).civil()
        };
        match self {
            Self::Transaction | Self::Lifetime => 0,
            Self::Day(zone) => zone.day(seconds, zones) as u32,
            // 1970 began on a Thursday, three days after a Monday.
            Self::Week(zone) => ((zone.day(seconds, zones) + 3) / 7) as u32,
            Self::Month(zone) => {
                let date = civil(zone);
                date.year as u32 * 12 + date.month - 1
            }
            Self::Year(zone) => civil(zone).year as u32,
            Self::Sliding(length) => (seconds / u64::from(length / Self::PARTS)) as u32,
        }
    }

    /// When the calendar window with this number begins, seconds since 1970; `None` for what is no calendar window.
    #[must_use]
    pub fn begins(self, index: u32, zones: &[ZoneTable]) -> Option<u64> {
        let number = i64::from(index);
        let (day, zone) = match self {
            Self::Day(zone) => (number, zone),
            Self::Week(zone) => (number * 7 - 3, zone),
            Self::Month(zone) => (days_from_civil((index / 12) as i32, index % 12 + 1, 1), zone),
            Self::Year(zone) => (days_from_civil(index as i32, 1, 1), zone),
            Self::Transaction | Self::Lifetime | Self::Sliding(_) => return None,
        };
        Some(zone.midnight(day, zones))
    }
}

/// Most ranges of category codes that a limit names.
pub const LIMIT_MCC_MAX: usize = 8;

/// Which uses a limit is about. What is left open fits everything; a message that does not say what is asked for fits
/// nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Filter {
    /// Only these channels; none for all.
    pub channels: Channels,
    /// Only these kinds; none for all.
    pub kinds: Kinds,
    /// Only merchants of these categories, padded with [`MccRange::NONE`]; none for all.
    pub mcc: [MccRange; LIMIT_MCC_MAX],
    /// Only this acquiring country (DE 19, ISO 3166 numeric); zero for all.
    pub country: u16,
    /// Only what is asked for in this currency (DE 49).
    pub currency: Option<Currency>,
    /// Only this merchant; zero for all.
    pub merchant: MerchantPrint,
}

impl Filter {
    /// Everything.
    pub const ALL: Self = Self {
        channels: Channels(0),
        kinds: Kinds(0),
        mcc: [MccRange::NONE; LIMIT_MCC_MAX],
        country: 0,
        currency: None,
        merchant: MerchantPrint(0),
    };

    /// Whether it is about this use.
    #[must_use]
    pub fn fits(&self, usage: &Usage) -> bool {
        let of_category = self.mcc[0] == MccRange::NONE || self.mcc.iter().any(|range| range.has(usage.mcc));
        (self.channels.0 == 0 || self.channels.has(usage.channel))
            && (self.kinds.0 == 0 || self.kinds.0 & usage.kind.0 != 0)
            && of_category
            && (self.country == 0 || self.country == usage.country)
            && self.currency.is_none_or(|currency| currency == usage.currency)
            && (self.merchant.0 == 0 || self.merchant == usage.merchant)
    }
}

/// A limit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Limit {
    /// What is added up.
    pub measure: Measure,
    /// The most that may come together: minor units, or authorizations. Zero permits none.
    pub max: i64,
    /// In which time.
    pub window: Window,
    /// Of which uses.
    pub filter: Filter,
}

impl Limit {
    /// What an authorization of this amount, in the currency of the account that it takes from, adds to it, as one more
    /// use or as more of one.
    #[must_use]
    pub fn takes(&self, amount: Money, one_more: bool) -> i64 {
        match self.measure {
            Measure::Count => i64::from(one_more),
            Measure::Amount(currency) if currency == amount.currency => amount.minor,
            Measure::Amount(_) => 0,
        }
    }

    /// Why a request is declined that it does not let pass.
    #[must_use]
    pub const fn refusal(&self) -> ActionCode {
        match self.measure {
            Measure::Count => ActionCode::CountLimitExceeded,
            Measure::Amount(_) => ActionCode::AmountLimitExceeded,
        }
    }

    /// Whether both count the same, so that one can take over what the other has counted.
    #[must_use]
    pub fn counts_like(&self, other: &Self) -> bool {
        Self { max: 0, ..*self } == Self { max: 0, ..*other }
    }
}

impl fmt::Display for Window {
    /// Its name, with minutes east of UTC, a zone's number, or seconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match (self, self.zone()) {
            (_, Some(Zone::Fixed(offset))) => write!(f, " utc{:+}", offset.minutes()),
            (_, Some(Zone::Named(number))) => write!(f, " zone {}", number.get()),
            (Self::Sliding(seconds), None) => write!(f, " {seconds} s"),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Limit {
    /// On one line: `amount 840 at most 50000 by day utc-300 channel=ecommerce,atm`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.measure {
            Measure::Count => f.write_str("count")?,
            Measure::Amount(currency) => write!(f, "amount {currency}")?,
        }
        write!(f, " at most {} by {}{}", self.max, self.window, self.filter)
    }
}

impl fmt::Display for Filter {
    /// A word with a space before it for each thing that is asked for.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { channels, kinds, mcc, country, currency, merchant } = self;
        if channels.0 != 0 {
            write!(f, " channel={}", channels.names().collect::<Vec<_>>().join(","))?;
        }
        if kinds.0 != 0 {
            write!(f, " kind={}", kinds.names().collect::<Vec<_>>().join(","))?;
        }
        let ranges: Vec<String> =
            mcc.iter().filter(|range| **range != MccRange::NONE).map(MccRange::to_string).collect();
        if !ranges.is_empty() {
            write!(f, " mcc={}", ranges.join(","))?;
        }
        if *country != 0 {
            write!(f, " country={country:03}")?;
        }
        if let Some(currency) = currency {
            write!(f, " currency={currency}")?;
        }
        if merchant.0 != 0 { write!(f, " merchant={merchant}") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::request::TransactionKind;
    use crate::domain::usage::Channel;

    fn at(year: i32, month: u32, day: u32, of_day: i64) -> u64 {
        (days_from_civil(year, month, day) * SECONDS_PER_DAY + of_day) as u64
    }

    fn offset(minutes: i16) -> Zone {
        Zone::Fixed(UtcOffset::new(minutes).expect("an offset"))
    }

    #[test]
    fn r18_calendar_windows_begin_at_the_customers_midnight() {
        // A window, when it begins, and when the next one does.
        let table = [
            (Window::Day(offset(0)), at(2026, 11, 28, 0), at(2026, 11, 29, 0)),
            (Window::Day(offset(-300)), at(2026, 11, 28, 5 * 3600), at(2026, 11, 29, 5 * 3600)),
            (Window::Day(offset(345)), at(2026, 11, 27, 18 * 3600 + 900), at(2026, 11, 28, 18 * 3600 + 900)),
            (Window::Week(offset(0)), at(2026, 11, 23, 0), at(2026, 11, 30, 0)),
            (Window::Week(offset(60)), at(2026, 11, 22, 23 * 3600), at(2026, 11, 29, 23 * 3600)),
            (Window::Month(offset(0)), at(2028, 2, 1, 0), at(2028, 3, 1, 0)),
            (Window::Month(offset(840)), at(2026, 12, 31, 10 * 3600), at(2027, 1, 31, 10 * 3600)),
            (Window::Year(offset(-720)), at(2027, 1, 1, 12 * 3600), at(2028, 1, 1, 12 * 3600)),
        ];
        for (window, begins, next) in table {
            let index = window.index(begins, &[]);
            assert_eq!(window.index(begins - 1, &[]), index - 1, "{window:?} begins");
            assert_eq!(window.index(next - 1, &[]), index, "{window:?} lasts");
            assert_eq!(window.index(next, &[]), index + 1, "{window:?} ends");
            assert_eq!(
                (window.begins(index, &[]), window.begins(index + 1, &[])),
                (Some(begins), Some(next))
            );
        }
        assert_eq!(UtcOffset::new(-721), None);
        assert_eq!(UtcOffset::new(841), None);
    }

    #[test]
    fn a_window_is_the_same_after_it_was_written_as_numbers() {
        let named = [1, u16::MAX].map(|number| Zone::Named(ZoneNumber::new(number).expect("a number")));
        let calendar = [-720, -1, 0, 840]
            .map(offset)
            .into_iter()
            .chain(named)
            .flat_map(|at| [Window::Day(at), Window::Week(at), Window::Month(at), Window::Year(at)]);
        for window in calendar.chain([Window::Transaction, Window::Lifetime, Window::Sliding(7_200)]) {
            let (kind, number) = window.parts();
            assert_eq!(Window::from_parts(kind, number), Some(window));
        }
        for none in
            [(0, 1), (1, 1_561), (2, u32::MAX), (1, Window::NAMED_BIT), (3, 1 << 17), (5, 1), (6, 61), (7, 0)]
        {
            assert_eq!(Window::from_parts(none.0, none.1), None, "{none:?}");
        }
    }

    #[test]
    fn r18_a_sliding_windows_part_is_a_sixtieth() {
        for (seconds, part) in [(60, 1), (3_600, 60), (86_400, 1_440)] {
            let window = Window::sliding(seconds).expect("a window");
            assert_eq!(window.index(part * 7 - 1, &[]), 6);
            assert_eq!(window.index(part * 7, &[]), 7);
        }
        for none in [0, 30, 61, 3_601, Window::SLIDING_MAX_S + 60] {
            assert_eq!(Window::sliding(none), None);
        }
    }

    #[test]
    fn a_filter_fits_what_it_names_and_only_that() {
        let dollars = Currency::new(840).expect("a currency");
        let shop = MerchantPrint::of_text("SHOP").expect("a merchant");
        let usage = Usage {
            amount: 0,
            channel: Channel::Ecommerce,
            kind: Kinds::of(TransactionKind::Purchase),
            mcc: 5411,
            country: 276,
            currency: dollars,
            merchant: shop,
            merchant_initiated: false,
        };
        let all = Filter::ALL;
        let mut mcc = [MccRange::NONE; LIMIT_MCC_MAX];
        (mcc[0], mcc[7]) = (MccRange { first: 0, last: 5410 }, MccRange { first: 5411, last: 5411 });
        let mut other_mcc = mcc;
        other_mcc[7] = MccRange { first: 5412, last: 9999 };
        let table = [
            (all, true),
            (Filter { channels: Channels(0).with(Channel::Ecommerce).with(Channel::Atm), ..all }, true),
            (Filter { channels: Channels(0).with(Channel::Chip), ..all }, false),
            (Filter { kinds: Kinds::of(TransactionKind::Purchase), ..all }, true),
            (Filter { kinds: Kinds::of(TransactionKind::Cash), ..all }, false),
            (Filter { mcc, ..all }, true),
            (Filter { mcc: other_mcc, ..all }, false),
            (Filter { country: 276, ..all }, true),
            (Filter { country: 840, ..all }, false),
            (Filter { currency: Some(dollars), ..all }, true),
            (Filter { currency: Currency::new(978), ..all }, false),
            (Filter { merchant: shop, ..all }, true),
            (Filter { merchant: MerchantPrint(1), ..all }, false),
            (Filter { merchant: shop, country: 840, ..all }, false),
        ];
        for (filter, fits) in table {
            assert_eq!(filter.fits(&usage), fits, "{filter:?}");
        }
        let silent = Usage::default();
        for filter in
            [Filter { mcc, ..all }, Filter { country: 276, ..all }, Filter { merchant: shop, ..all }]
        {
            assert!(!filter.fits(&silent), "a message that does not say fits nothing: {filter:?}");
        }
    }
}
