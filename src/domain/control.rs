//! Controls: where, how and for what a card may be used at all.

use std::fmt;

use super::action::ActionCode;
use super::limit::Number;
use super::limit::Subject;
use super::money::Currency;
use super::money::Money;
use super::party::Slot;
use super::usage::Channels;
use super::usage::MccRange;
use super::usage::MerchantPrint;
use super::usage::Usage;

/// What a control looks at.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Aspect {
    /// The merchant's category (DE 18).
    Mcc = 1,
    /// The acquiring country (DE 19).
    Country = 2,
    /// The currency that is asked for (DE 49).
    Currency = 3,
    /// How the card is used.
    Channel = 4,
    /// The merchant (DE 42).
    Merchant = 5,
    /// The merchant again, and only the first at which something was approved.
    FirstMerchant = 6,
    /// That the merchant asks by itself, with what it keeps on file of the card.
    Recurring = 7,
    /// That it does so for one amount.
    Payment = 8,
}

impl Aspect {
    /// Every aspect with its name on the HTTP face.
    pub const ALL: [(Self, &'static str); 8] = [
        (Self::Mcc, "mcc"),
        (Self::Country, "country"),
        (Self::Currency, "currency"),
        (Self::Channel, "channel"),
        (Self::Merchant, "merchant"),
        (Self::FirstMerchant, "first-merchant"),
        (Self::Recurring, "recurring"),
        (Self::Payment, "payment"),
    ];

    /// The aspect of this code (its discriminant).
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.iter().find(|(aspect, _)| *aspect as u8 == code).map(|(aspect, _)| *aspect)
    }

    /// Its name on the HTTP face.
    #[must_use]
    pub const fn name(self) -> &'static str {
        Self::ALL[self as usize - 1].1
    }

    const fn refusal(self) -> ActionCode {
        match self {
            Self::Mcc => ActionCode::MccNotAllowed,
            Self::Country => ActionCode::CountryNotAllowed,
            Self::Currency => ActionCode::CurrencyNotAllowed,
            Self::Channel => ActionCode::ChannelNotAllowed,
            Self::Merchant | Self::FirstMerchant => ActionCode::MerchantNotAllowed,
            Self::Recurring => ActionCode::AllRecurringStopped,
            Self::Payment => ActionCode::PaymentStopped,
        }
    }

    /// How many values of 16 bits one entry of its list takes.
    const fn width(self) -> usize {
        match self {
            Self::Mcc => 2,
            Self::Country | Self::Currency | Self::Channel => 1,
            Self::Merchant => 4,
            Self::Payment => 9,
            Self::FirstMerchant | Self::Recurring => 0,
        }
    }
}

/// What becomes of a use that is in a control's list.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Rule {
    /// It passes, and what is not in the list does not.
    Allow = 0,
    /// It does not pass.
    Deny = 1,
    /// It does not pass where the merchant asks by itself, with what it keeps on file of the card. The cardholder may.
    Stop = 2,
}

impl Rule {
    /// Its name on the HTTP face.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Stop => "stop",
        }
    }
}

/// Values of 16 bits that a control has room for.
pub const CONTROL_VALUES: usize = 32;

/// A control: an aspect with a list of up to 32 countries or currencies, 16 ranges of categories, 8 merchants, or 3
/// payments.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Control {
    rule: Rule,
    aspect: Aspect,
    used: u8,
    values: [u16; CONTROL_VALUES],
}

impl Control {
    /// A lock to the first merchant.
    pub const FIRST_MERCHANT: Self =
        Self { rule: Rule::Allow, aspect: Aspect::FirstMerchant, used: 0, values: [0; CONTROL_VALUES] };

    /// A stop of everything that merchants ask for by themselves.
    pub const STOP_RECURRING: Self =
        Self { rule: Rule::Stop, aspect: Aspect::Recurring, used: 0, values: [0; CONTROL_VALUES] };

    /// A list of categories; `None` when it is empty or too long, as below.
    #[must_use]
    pub fn mcc(rule: Rule, ranges: &[MccRange]) -> Option<Self> {
        Self::list(rule, Aspect::Mcc, ranges.iter().flat_map(|range| [range.first, range.last]))
    }

    /// A list of countries by ISO 3166 numeric code.
    #[must_use]
    pub fn countries(rule: Rule, countries: &[u16]) -> Option<Self> {
        Self::list(rule, Aspect::Country, countries.iter().copied())
    }

    /// A list of currencies.
    #[must_use]
    pub fn currencies(rule: Rule, currencies: &[Currency]) -> Option<Self> {
        Self::list(rule, Aspect::Currency, currencies.iter().map(|currency| currency.numeric()))
    }

    /// A set of channels.
    #[must_use]
    pub fn channels(rule: Rule, channels: Channels) -> Option<Self> {
        Self::list(rule, Aspect::Channel, (channels.0 != 0).then_some(channels.0.into()).into_iter())
    }

    /// A list of merchants.
    #[must_use]
    pub fn merchants(rule: Rule, merchants: &[MerchantPrint]) -> Option<Self> {
        let parts = |print: &MerchantPrint| [48, 32, 16, 0].map(|shift| (print.0 >> shift) as u16);
        Self::list(rule, Aspect::Merchant, merchants.iter().flat_map(parts))
    }

    /// A stop of payments: what a merchant asks for by itself, where it is this amount (DE 4 in DE 49).
    #[must_use]
    pub fn payments(payments: &[(MerchantPrint, Money)]) -> Option<Self> {
        let quarters = |number: u64| [48, 32, 16, 0].map(|shift| (number >> shift) as u16);
        let parts = |(merchant, amount): &(MerchantPrint, Money)| {
            let (merchant, minor) = (quarters(merchant.0), quarters(amount.minor as u64));
            merchant.into_iter().chain(minor).chain([amount.currency.numeric()])
        };
        Self::list(Rule::Stop, Aspect::Payment, payments.iter().flat_map(parts))
    }

    fn list(rule: Rule, aspect: Aspect, list: impl Iterator<Item = u16>) -> Option<Self> {
        let (mut values, mut used) = ([0; CONTROL_VALUES], 0);
        for value in list {
            *values.get_mut(used)? = value;
            used += 1;
        }
        (used > 0).then_some(Self { rule, aspect, used: used as u8, values })
    }

    /// From the parts that a record keeps; `None` when they cannot be a control.
    #[must_use]
    pub fn from_parts(rule: u8, aspect: u8, list: &[u16]) -> Option<Self> {
        let aspect = Aspect::from_code(aspect)?;
        let rule = match rule {
            0 => Rule::Allow,
            1 => Rule::Deny,
            2 => Rule::Stop,
            _ => return None,
        };
        if aspect == Aspect::Recurring {
            return (list.is_empty() && rule == Rule::Stop).then_some(Self::STOP_RECURRING);
        }
        let stops = matches!(aspect, Aspect::Merchant | Aspect::Payment);
        if rule == Rule::Stop && !stops || rule != Rule::Stop && aspect == Aspect::Payment {
            return None;
        }
        if aspect == Aspect::FirstMerchant {
            return (list.is_empty() && rule == Rule::Allow).then_some(Self::FIRST_MERCHANT);
        }
        let whole =
            list.len().is_multiple_of(aspect.width()) && (aspect != Aspect::Channel || list.len() == 1);
        Self::list(rule, aspect, list.iter().copied()).filter(|_| whole)
    }

    /// Whether its list is of what may be, or of what may not.
    #[must_use]
    pub const fn rule(&self) -> Rule {
        self.rule
    }

    /// What it looks at.
    #[must_use]
    pub const fn aspect(&self) -> Aspect {
        self.aspect
    }

    /// Its list as records keep it.
    #[must_use]
    pub fn values(&self) -> &[u16] {
        &self.values[..usize::from(self.used)]
    }

    /// Whether a use passes. `locked` is the merchant at which something was approved first, or none yet. What a
    /// message does not say is in no list.
    #[must_use]
    pub fn passes(&self, usage: &Usage, locked: MerchantPrint) -> bool {
        let listed = match self.aspect {
            Aspect::Mcc => self.ranges().any(|range| range.has(usage.mcc)),
            Aspect::Country => usage.country != 0 && self.values().contains(&usage.country),
            Aspect::Currency => self.values().contains(&usage.currency.numeric()),
            Aspect::Channel => Channels(self.values[0] as u8).has(usage.channel),
            Aspect::Merchant => {
                usage.merchant.0 != 0 && self.merchant_prints().any(|print| print == usage.merchant)
            }
            Aspect::FirstMerchant => locked.0 == 0 || locked == usage.merchant,
            Aspect::Recurring => true,
            Aspect::Payment => self.payments_listed().any(|(merchant, amount)| {
                merchant == usage.merchant && amount == Money::new(usage.amount, usage.currency)
            }),
        };
        match self.rule {
            Rule::Allow => listed,
            Rule::Deny => !listed,
            Rule::Stop => !listed || !usage.merchant_initiated,
        }
    }

    /// Why a use is declined that it does not let pass.
    #[must_use]
    pub const fn refusal(&self) -> ActionCode {
        match (self.rule, self.aspect) {
            (Rule::Stop, Aspect::Merchant) => ActionCode::RecurringStopped,
            _ => self.aspect.refusal(),
        }
    }

    /// Its list as texts: ranges and codes as they are given, merchants as fingerprints.
    #[must_use]
    pub fn listed(&self) -> Vec<String> {
        let codes = || self.values().iter().map(|code| format!("{code:03}")).collect();
        match self.aspect {
            Aspect::Mcc => self.ranges().map(|range| range.to_string()).collect(),
            Aspect::Country | Aspect::Currency => codes(),
            Aspect::Channel => Channels(self.values[0] as u8).names().map(str::to_owned).collect(),
            Aspect::Merchant => self.merchant_prints().map(|print| print.to_string()).collect(),
            Aspect::Payment => {
                let texts = self.payments_listed();
                texts.map(|(merchant, of)| format!("{merchant} {} {}", of.minor, of.currency)).collect()
            }
            Aspect::FirstMerchant | Aspect::Recurring => Vec::new(),
        }
    }

    fn ranges(&self) -> impl Iterator<Item = MccRange> {
        self.values().chunks_exact(2).map(|pair| MccRange { first: pair[0], last: pair[1] })
    }

    /// The payments in its list.
    fn payments_listed(&self) -> impl Iterator<Item = (MerchantPrint, Money)> {
        let join = |parts: &[u16]| parts.iter().fold(0, |number, part| number << 16 | u64::from(*part));
        self.values().chunks_exact(Aspect::Payment.width()).map(move |parts| {
            let currency = Currency::from_number(parts[8]).unwrap_or_default();
            (MerchantPrint(join(&parts[..4])), Money::new(join(&parts[4..8]) as i64, currency))
        })
    }

    /// The merchants in its list.
    fn merchant_prints(&self) -> impl Iterator<Item = MerchantPrint> {
        let join = |parts: &[u16]| parts.iter().fold(0, |print, part| print << 16 | u64::from(*part));
        self.values().chunks_exact(4).map(move |parts| MerchantPrint(join(parts)))
    }
}

impl fmt::Display for Control {
    /// On one line: `deny mcc 7800-7802,7995`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.rule.name(), self.aspect.name())?;
        let list = self.listed();
        if list.is_empty() { Ok(()) } else { write!(f, " {}", list.join(",")) }
    }
}

/// A control was set or removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ControlSet {
    /// The wallet's slot.
    pub slot: Slot,
    /// Whose control.
    pub subject: Subject,
    /// Which one.
    pub number: Number,
    /// What it is from now on; `None` when it was removed.
    pub control: Option<Control>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::usage::Channel;

    fn usage() -> Usage {
        Usage {
            channel: Channel::Chip,
            mcc: 7995,
            country: 276,
            currency: Currency::new(978).expect("a currency"),
            merchant: MerchantPrint(0xfeed_0000_0000_beef),
            ..Usage::default()
        }
    }

    #[test]
    fn a_control_lets_pass_what_its_list_says() {
        let gambling = MccRange::of_text("gambling").expect("a group");
        let (euros, yen) = (Currency::new(978).expect("euros"), Currency::new(392).expect("yen"));
        let (here, elsewhere) = (MerchantPrint(0xfeed_0000_0000_beef), MerchantPrint(0xfeed_0000_0000_beee));
        let channels = |channel| Channels(0).with(channel);
        // Each control as a list of what may be, and whether the use passes; denied, it is the other way round.
        let table: [&dyn Fn(Rule) -> (Option<Control>, bool); 10] = [
            &|rule| (Control::mcc(rule, &gambling), true),
            &|rule| (Control::mcc(rule, &[MccRange { first: 7996, last: 9999 }]), false),
            &|rule| (Control::countries(rule, &[840, 276]), true),
            &|rule| (Control::countries(rule, &[840]), false),
            &|rule| (Control::currencies(rule, &[yen, euros]), true),
            &|rule| (Control::currencies(rule, &[yen]), false),
            &|rule| (Control::channels(rule, channels(Channel::Chip)), true),
            &|rule| (Control::channels(rule, channels(Channel::Ecommerce)), false),
            &|rule| (Control::merchants(rule, &[elsewhere, here]), true),
            &|rule| (Control::merchants(rule, &[elsewhere]), false),
        ];
        for (n, make) in table.iter().enumerate() {
            for rule in [Rule::Allow, Rule::Deny] {
                let (control, listed) = make(rule);
                let control = control.expect("a control");
                assert_eq!(
                    control.passes(&usage(), MerchantPrint(0)),
                    listed == (rule == Rule::Allow),
                    "{n}"
                );
                let parts = Control::from_parts(rule as u8, control.aspect() as u8, control.values());
                assert_eq!(parts, Some(control));
            }
        }
    }

    #[test]
    fn a_message_that_does_not_say_is_in_no_list() {
        let silent = Usage::default();
        let any = MccRange { first: 0, last: 9999 };
        let controls = |rule| {
            [
                Control::mcc(rule, &[any]),
                Control::countries(rule, &[0, 840]),
                Control::merchants(rule, &[MerchantPrint(0)]),
            ]
        };
        for rule in [Rule::Allow, Rule::Deny] {
            for control in controls(rule) {
                let control = control.expect("a control");
                assert_eq!(control.passes(&silent, MerchantPrint(0)), rule == Rule::Deny, "{control:?}");
            }
        }
    }

    #[test]
    fn a_lock_lets_pass_the_first_merchant() {
        let lock = Control::FIRST_MERCHANT;
        let here = usage().merchant;
        for (locked, passes) in [(MerchantPrint(0), true), (here, true), (MerchantPrint(1), false)] {
            assert_eq!(lock.passes(&usage(), locked), passes);
        }
        assert!(!lock.passes(&Usage::default(), here), "a message without a merchant is not from the first");
        assert_eq!(Control::from_parts(0, lock.aspect() as u8, lock.values()), Some(lock));
    }

    #[test]
    fn a_stop_is_for_what_a_merchant_asks_for_by_itself() {
        let (here, elsewhere) = (usage().merchant, MerchantPrint(1));
        let stop = |merchant| Control::merchants(Rule::Stop, &[merchant]).expect("a control");
        let recurring = Usage { merchant_initiated: true, ..usage() };
        let table = [
            (stop(here), usage(), true),
            (stop(here), recurring, false),
            (stop(elsewhere), recurring, true),
            (Control::STOP_RECURRING, usage(), true),
            (Control::STOP_RECURRING, recurring, false),
        ];
        for (control, usage, passes) in table {
            assert_eq!(control.passes(&usage, MerchantPrint(0)), passes, "{control} {usage:?}");
            let parts = Control::from_parts(control.rule() as u8, control.aspect() as u8, control.values());
            assert_eq!(parts, Some(control));
        }
        assert_eq!(stop(here).refusal(), ActionCode::RecurringStopped);
        assert_eq!(Control::STOP_RECURRING.refusal(), ActionCode::AllRecurringStopped);
    }

    #[test]
    fn what_is_no_control_is_not_made() {
        assert_eq!(Control::countries(Rule::Allow, &[]), None);
        assert_eq!(Control::channels(Rule::Allow, Channels(0)), None);
        assert!(Control::countries(Rule::Allow, &[1; 32]).is_some());
        assert_eq!(Control::countries(Rule::Allow, &[1; 33]), None);
        for (rule, aspect, list) in [
            (2, 1, &[1, 2][..]),
            (3, 1, &[1, 2]),
            (0, 0, &[1]),
            (0, 7, &[]),
            (2, 7, &[1]),
            (0, 8, &[1]),
            (0, 1, &[1, 2, 3]),
            (0, 4, &[1, 2]),
            (0, 5, &[1, 2, 3]),
            (0, 6, &[1]),
            (1, 6, &[]),
        ] {
            assert_eq!(Control::from_parts(rule, aspect, list), None, "{rule} {aspect} {list:?}");
        }
    }
}
