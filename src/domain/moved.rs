//! Money that a verb of the HTTP face moves: into and out of wallets, and from wallet to wallet.
//!
//! A movement has up to three sides, each in one slot: what leaves a wallet, what comes into one, and the caller's
//! key, which is kept where its own hash says, so that it is found whatever it is asked for with. All are one record:
//! whoever reads the journal has all of them or none. Between wallets the amount is in transit, an account whose sum
//! over all slots is zero, so that each side by itself sums to zero too.

use super::event::Sequence;
use super::money::Currency;
use super::party::Slot;
use super::party::Text;
use super::party::WalletId;

/// Which verb moves money.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Verb {
    /// From the funding account into a wallet.
    Fund = 1,
    /// From a wallet to the funding account.
    Withdraw = 2,
    /// From wallet to wallet.
    Transfer = 3,
    /// From a wallet to a merchant's, perhaps with a fee of it to the fee account.
    Payment = 4,
    /// Back from the merchant to the payer, in whole or in part.
    Refund = 5,
    /// Into or out of a wallet by somebody's word, with a reason; the adjustment account has the other leg.
    Adjustment = 6,
    /// From a payer to a payee who has the payer's mandate.
    Charge = 7,
    /// From one account of a wallet to another one of it in another asset, at the house's rate.
    Conversion = 8,
}

impl Verb {
    /// Every verb with its name.
    pub const ALL: [(Self, &'static str); 8] = [
        (Self::Fund, "fund"),
        (Self::Withdraw, "withdraw"),
        (Self::Transfer, "transfer"),
        (Self::Payment, "payment"),
        (Self::Refund, "refund"),
        (Self::Adjustment, "adjustment"),
        (Self::Charge, "charge"),
        (Self::Conversion, "conversion"),
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        // They count from one.
        Self::ALL[self as usize - 1].1
    }

    /// The verb of this code.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code).checked_sub(1)?).map(|(verb, _)| *verb)
    }
}

/// The caller's name for what is asked for (R10): asked again, it is not done again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CallerKey {
    /// Stands for the caller's text.
    pub print: u128,
    /// Stands for everything else that was asked for under it.
    pub body: u64,
    /// How long it is remembered, seconds since 1970.
    pub until_s: u32,
}

/// For how long callers' keys are remembered (R10), and which may have been forgotten before.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct KeysKept {
    /// The window, seconds; zero in records of before it was told.
    pub window_s: u32,
    /// Keys that were made before this may have been forgotten under a shorter window, seconds since 1970.
    pub since_s: u32,
}

impl KeysKept {
    /// With another window from now on. Of one that is longer, what the shorter one may have forgotten stays unknown.
    #[must_use]
    pub const fn next(self, window_s: u32, now_s: u32) -> Self {
        let longer = self.window_s != 0 && window_s > self.window_s;
        let forgotten_s = if longer { now_s.saturating_sub(self.window_s) } else { 0 };
        Self { window_s, since_s: if forgotten_s > self.since_s { forgotten_s } else { self.since_s } }
    }
}

/// An account of a wallet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Side {
    /// The wallet.
    pub wallet: WalletId,
    /// The account's number in it.
    pub account: u16,
}

impl Side {
    /// The slot that it is in.
    #[must_use]
    pub fn slot(&self) -> Slot {
        Slot::of_wallet(self.wallet)
    }
}

/// Sides of a movement, as bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sides(u8);

impl Sides {
    /// None.
    pub const NONE: Self = Self(0);
    /// What leaves a wallet.
    pub const OUT: Self = Self(1);
    /// What comes into a wallet.
    pub const IN: Self = Self(2);
    /// The caller's key.
    pub const KEY: Self = Self(4);
    /// All of them.
    pub const ALL: Self = Self(7);

    /// Both together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` is in here.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// What comes for an amount in another asset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Converted {
    /// Of which asset it is.
    pub currency: Currency,
    /// How much of it, minor units.
    pub amount: i64,
    /// The record that set the rate.
    pub rate: Sequence,
}

/// Why somebody moved money, in a few words.
pub type Reason = Text<32>;

/// Money was moved by a verb.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moved {
    /// Which one.
    pub verb: Verb,
    /// The caller's name for it.
    pub key: CallerKey,
    /// The account that the amount leaves; `None` where it comes from the funding or the adjustment account.
    pub from: Option<Side>,
    /// The account that gets it; `None` where it goes to one of those. Never neither, and never the same one twice.
    pub to: Option<Side>,
    /// In which currency.
    pub currency: Currency,
    /// What leaves `from`, minor units; zero only where a refund is no more than the part of the fee that goes back.
    pub amount: i64,
    /// What of it goes to the fee account instead of `to`; negative where the fee account gives, as with a refund that
    /// gives a fee back.
    pub fee: i64,
    /// What `to` gets of another asset; the exchange account has a leg in each. Then there is no fee.
    pub converted: Option<Converted>,
    /// Of a refund the record of its payment, of a charge that of its mandate; zero for none.
    pub about: Sequence,
    /// Of a payment how long it can be refunded, seconds since 1970; zero for never.
    pub refundable_until_s: u32,
    /// In the caller's words; blank for none.
    pub reason: Reason,
    /// The configuration it was handled under.
    pub configuration: u32,
    /// Which sides are to be applied. It is no part of the record: a replay leaves out what a snapshot has.
    pub sides: Sides,
}

impl CallerKey {
    /// The slot that keeps it.
    #[must_use]
    pub const fn slot(&self) -> Slot {
        Slot::wrapping(self.print as u64)
    }
}

impl Moved {
    /// Each side with its slot: what leaves a wallet, what comes into one, the caller's key.
    #[must_use]
    pub fn slots(&self) -> [(Sides, Option<Slot>); 3] {
        let [from, to] = [self.from, self.to].map(|side| side.as_ref().map(Side::slot));
        [(Sides::OUT, from), (Sides::IN, to), (Sides::KEY, Some(self.key.slot()))]
    }

    /// The slots besides that of the key.
    #[must_use]
    pub fn others(&self) -> [Option<Slot>; 2] {
        [self.from, self.to].map(|side| side.as_ref().map(Side::slot))
    }

    /// What the account that it goes to gets, in its own currency.
    #[must_use]
    pub const fn received(&self) -> i64 {
        match self.converted {
            Some(converted) => converted.amount,
            None => self.amount - self.fee,
        }
    }

    /// The currency of the account that it goes to.
    #[must_use]
    pub const fn received_in(&self) -> Currency {
        match self.converted {
            Some(converted) => converted.currency,
            None => self.currency,
        }
    }

    /// The same with those of its sides alone whose slots a test lets pass.
    #[must_use]
    pub fn within(&self, is_due: impl Fn(Slot) -> bool) -> Self {
        let due = self
            .slots()
            .into_iter()
            .filter(|(side, slot)| self.sides.has(*side) && slot.is_some_and(&is_due));
        let sides = due.fold(Sides::NONE, |all, (side, _)| all.with(side));
        Self { sides, ..*self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_have_codes_and_names() {
        for (verb, name) in Verb::ALL {
            assert_eq!((Verb::from_code(verb as u8), verb.name()), (Some(verb), name));
        }
        assert_eq!([0, 9, 255].map(Verb::from_code), [None; 3]);
    }

    #[test]
    fn a_longer_window_does_not_know_what_a_shorter_one_forgot() {
        // The windows one after the other with the time of each, and before when keys may have been forgotten.
        let table: [(&[(u32, u32)], u32); 5] = [
            (&[(3_600, 10_000)], 0),
            (&[(3_600, 10_000), (3_600, 20_000)], 0),
            (&[(3_600, 10_000), (600, 20_000)], 0),
            (&[(3_600, 10_000), (600, 20_000), (3_600, 30_000)], 29_400),
            (&[(600, 10_000), (3_600, 30_000), (600, 31_000), (900, 31_100), (900, 40_000)], 30_500),
        ];
        for (windows, since_s) in table {
            let kept =
                windows.iter().fold(KeysKept::default(), |kept, (window, now)| kept.next(*window, *now));
            assert_eq!(kept.since_s, since_s, "{windows:?}");
        }
    }

    #[test]
    fn a_movement_has_the_sides_that_are_due() {
        let side = |wallet| Some(Side { wallet: WalletId(wallet), account: 0 });
        let slot = |wallet| Slot::of_wallet(WalletId(wallet));
        let key = CallerKey { print: 1 << 64 | 7, body: 2, until_s: 3 };
        for (from, to) in [(side(1), side(2)), (side(1), None), (None, side(2)), (side(1), side(1))] {
            let moved = Moved {
                verb: Verb::Transfer,
                key,
                from,
                to,
                currency: Currency::default(),
                amount: 100,
                fee: 3,
                converted: None,
                about: Sequence(0),
                refundable_until_s: 0,
                reason: Reason::BLANK,
                configuration: 0,
                sides: Sides::ALL,
            };
            assert_eq!((moved.received(), moved.others()), (97, [from, to].map(|of| of.map(|of| of.slot()))));
            let parts = |due: &[Slot]| moved.within(|slot| due.contains(&slot)).sides;
            let expected = [(from, Sides::OUT), (to, Sides::IN)]
                .into_iter()
                .filter(|(of, _)| *of == side(1))
                .fold(Sides::NONE, |all, (_, one)| all.with(one));
            assert_eq!(parts(&[slot(1)]), expected);
            assert_eq!(parts(&[key.slot()]), Sides::KEY);
            assert_eq!(parts(&[slot(1), key.slot()]), expected.with(Sides::KEY));
            assert_eq!(parts(&[]), Sides::NONE);
        }
    }
}
