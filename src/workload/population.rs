//! The wallets, accounts and cards that traffic is drawn for.

use std::fmt;
use std::fmt::Write;

use crate::domain::action::ActionCode;
use crate::domain::card::CardStatus;
use crate::domain::card::Pan;
use crate::domain::card::PanError;
use crate::domain::money::Currency;
use crate::domain::party::WalletId;
use crate::domain::time::Expiry;
use crate::domain::time::Timestamp;

/// The digits of every card number here: frames have their number at a fixed place.
pub const PAN_DIGITS: u8 = 16;

/// First six digits of cards that nobody has.
const UNKNOWN_CARDS: u64 = 411_111;
/// Serial numbers behind the first six digits.
const SERIALS: u64 = 1_000_000_000;
/// Spreads serial numbers; coprime with any power of ten, so that no two are equal.
const SERIAL_STEP: u64 = 618_033_989;
/// The month of generated cards, and the month of those that are expired.
pub(super) const GOOD_UNTIL: u16 = 2912;
const EXPIRED_SINCE: u16 = 2001;
/// Generated cards are good or expired as of the beginning of 2026.
const GENERATED_AT: Timestamp = Timestamp::from_seconds(1_767_225_600);

/// The first digits of card numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Iin {
    value: u64,
    digits: u32,
}

impl Iin {
    /// Most digits of one: behind them are a serial number and the check digit.
    pub const DIGITS_MAX: usize = 12;
    /// Those of generated cards: a range that networks give to tests.
    pub const GENERATED: Self = Self { value: 400_000, digits: 6 };

    /// The first digits that a text has.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let right = (1..=Self::DIGITS_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        let value = text.parse().ok().filter(|_| right);
        value.map(|value| Self { value, digits: text.len() as u32 }).ok_or_else(|| {
            format!(
                "`{text}` does not begin card numbers: write 1 to {} digits of a test range",
                Self::DIGITS_MAX
            )
        })
    }

    /// How many cards begin so.
    #[must_use]
    pub const fn cards(self) -> u64 {
        10_u64.pow(PAN_DIGITS as u32 - 1 - self.digits)
    }

    /// The number of one of them. Equal arguments give equal numbers; those of one seed are all different up to
    /// [`Self::cards`].
    pub(super) fn card(self, n: u32, seed: u64) -> Result<Pan, PanError> {
        let serials = self.cards();
        let serial = (u64::from(n) * SERIAL_STEP).wrapping_add(seed % serials) % serials;
        Pan::from_value(with_check_digit(self.value * serials + serial), PAN_DIGITS)
    }
}

/// What a generated population looks like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Composition {
    /// Wallets, numbered from 1, with one card and one account each.
    pub wallets: u32,
    /// Makes other card numbers.
    pub seed: u64,
    /// What each account begins with, minor units.
    pub balance: i64,
    /// Every so many wallets there is one with a second account, in 978. Zero is none.
    pub second_currency_every: u32,
    /// Every so many wallets there is one whose card is frozen, lost or expired, by turns. Zero is none.
    pub blocked_every: u32,
}

impl Composition {
    /// Wallets with 1,000,000.00 each and good cards only.
    #[must_use]
    pub const fn of(wallets: u32, seed: u64) -> Self {
        Self { wallets, seed, balance: 100_000_000, second_currency_every: 16, blocked_every: 0 }
    }
}

/// One account of a wallet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Account {
    /// Whose it is.
    pub wallet: WalletId,
    /// Posted before the run, minor units.
    pub balance: i64,
    /// How far below zero it may go, minor units.
    pub overdraft: i64,
    /// Its currency.
    pub currency: Currency,
    /// Its number in the wallet, from 0.
    pub number: u8,
}

/// One card. Its number does not print.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Card {
    /// The sixteen digits of its number.
    pub(super) pan: u64,
    /// The first account of its wallet.
    pub(super) account: u32,
    /// Its month (DE 14).
    pub(super) expiry: u16,
    /// How many accounts its wallet has.
    pub(super) accounts: u8,
    /// Its status.
    pub(super) status: CardStatus,
    /// What a purchase for a small amount must be answered.
    pub(super) expected: ActionCode,
}

impl fmt::Debug for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { account, status, expected, .. } = self;
        write!(f, "a card of account {account}, {status:?}, {expected:?}")
    }
}

/// What is known of a card when it is added.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NewCard {
    /// Its number.
    pub pan: Pan,
    /// Its month.
    pub expiry: Expiry,
    /// Its status.
    pub status: CardStatus,
}

/// Everybody that traffic is drawn for.
#[derive(Clone, Debug, Default)]
pub struct Population {
    pub(super) accounts: Vec<Account>,
    /// Cards that are good, and behind them in another table those that are not.
    pub(super) good: Vec<Card>,
    pub(super) blocked: Vec<Card>,
    left_out: u64,
}

impl Population {
    /// A population of test cards. Equal arguments give equal populations.
    #[must_use]
    pub fn generate(of: Composition) -> Self {
        let mut population = Self::default();
        population.accounts.reserve_exact(of.wallets as usize);
        population.good.reserve_exact(of.wallets as usize);
        let every = |n: u32, count: u32| count != 0 && n.is_multiple_of(count);
        let dollars = Currency::new(840).unwrap_or_default();
        let euros = Currency::new(978).unwrap_or_default();
        for n in 1..=of.wallets {
            let both = [(dollars, of.balance, 0), (euros, of.balance, 0)];
            let accounts = if every(n, of.second_currency_every) { &both[..] } else { &both[..1] };
            let blocked = every(n, of.blocked_every).then(|| n / of.blocked_every % 3);
            let (status, expiry) = match blocked {
                Some(0) => (CardStatus::Frozen, GOOD_UNTIL),
                Some(1) => (CardStatus::Lost, GOOD_UNTIL),
                Some(_) => (CardStatus::Active, EXPIRED_SINCE),
                None => (CardStatus::Active, GOOD_UNTIL),
            };
            let pan = Iin::GENERATED.card(n, of.seed);
            if let (Ok(pan), Some(expiry)) = (pan, Expiry::new(expiry)) {
                let card = NewCard { pan, expiry, status };
                population.add(WalletId(u64::from(n)), accounts, &[card], GENERATED_AT);
            }
        }
        population
    }

    /// Adds a wallet: its accounts (currency, balance, overdraft) in the order of their numbers, and its cards. `now`
    /// tells which cards are expired. Cards whose number has not sixteen digits are left out and counted.
    pub fn add(
        &mut self,
        wallet: WalletId,
        accounts: &[(Currency, i64, i64)],
        cards: &[NewCard],
        now: Timestamp,
    ) {
        // Sixteen accounts of one wallet are more than traffic needs.
        let first = self.accounts.len() as u32;
        for (number, (currency, balance, overdraft)) in (0_u8..16).zip(accounts) {
            let (balance, overdraft, currency) = (*balance, *overdraft, *currency);
            self.accounts.push(Account { wallet, balance, overdraft, currency, number });
        }
        let count = (self.accounts.len() as u32 - first) as u8;
        for card in cards {
            if card.pan.digits() != PAN_DIGITS || count == 0 {
                self.left_out += 1;
                continue;
            }
            let expired = card.expiry.is_past(now, 0);
            let expected = match card.status {
                CardStatus::Frozen => ActionCode::CardFrozen,
                CardStatus::Lost => ActionCode::CardLost,
                CardStatus::Stolen => ActionCode::CardStolen,
                CardStatus::Closed => ActionCode::CardClosed,
                CardStatus::Active if expired => ActionCode::CardExpired,
                CardStatus::Active => ActionCode::Approved,
            };
            let (pan, expiry, status) = (card.pan.value(), card.expiry.digits(), card.status);
            let card = Card { pan, account: first, expiry, accounts: count, status, expected };
            let table = if expected == ActionCode::Approved { &mut self.good } else { &mut self.blocked };
            table.push(card);
        }
    }

    /// Every account.
    #[must_use]
    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// Cards that can pay.
    #[must_use]
    pub const fn good_cards(&self) -> usize {
        self.good.len()
    }

    /// Cards that were left out, since their number has not sixteen digits.
    #[must_use]
    pub const fn left_out(&self) -> u64 {
        self.left_out
    }

    /// The lines of a seed file, without line ends, the heading first (R22). Card numbers are whole: they are of test
    /// ranges.
    pub fn seed_lines(&self) -> impl Iterator<Item = String> {
        let heading = "wallet,currency,balance,overdraft,pan,expiry,service_code,status".to_owned();
        let cards = self.good.iter().chain(&self.blocked);
        let lines = cards.flat_map(|card| {
            let first = card.account as usize;
            self.accounts[first..first + usize::from(card.accounts)].iter().map(|account| {
                let mut line = String::with_capacity(64);
                let _infallible = write!(
                    line,
                    "{},{},{},{},{:016},{:04},201,{}",
                    account.wallet.0,
                    account.currency,
                    account.balance,
                    account.overdraft,
                    card.pan,
                    card.expiry,
                    card.status.name()
                );
                line
            })
        });
        std::iter::once(heading).chain(lines)
    }

    /// The whole seed file.
    #[must_use]
    pub fn to_seed_csv(&self) -> String {
        let mut text = String::new();
        for line in self.seed_lines() {
            text.push_str(&line);
            text.push('\n');
        }
        text
    }
}

/// The number of a card that nobody has.
pub(super) const fn unknown_pan(serial: u32) -> u64 {
    with_check_digit(UNKNOWN_CARDS * SERIALS + serial as u64 % SERIALS)
}

/// Appends the check digit (ISO/IEC 7812-1, annex B).
const fn with_check_digit(head: u64) -> u64 {
    let (mut rest, mut sum, mut double) = (head, 0, true);
    while rest > 0 {
        let digit = rest % 10;
        sum += if !double {
            digit
        } else if digit > 4 {
            digit * 2 - 9
        } else {
            digit * 2
        };
        double = !double;
        rest /= 10;
    }
    head * 10 + (10 - sum % 10) % 10
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn generated_cards_are_of_test_ranges_and_all_different() {
        let of = Composition { blocked_every: 10, ..Composition::of(3_000, 9) };
        let population = Population::generate(of);
        assert_eq!(population.accounts.len(), 3_000 + 3_000 / 16);
        assert_eq!((population.good.len(), population.blocked.len()), (2_700, 300));
        let pans: HashSet<u64> =
            population.good.iter().chain(&population.blocked).map(|card| card.pan).collect();
        assert_eq!(pans.len(), 3_000);
        for value in pans.into_iter().chain((0..100).map(|n| unknown_pan(n * 10_000_019))) {
            let pan = Pan::from_value(value, PAN_DIGITS).expect("sixteen digits");
            assert!(pan.check_digit_is_right(), "{value}");
            assert!(value / 10_000_000_000 == 400_000 || value / 10_000_000_000 == 411_111);
        }
        for expected in [ActionCode::CardFrozen, ActionCode::CardLost, ActionCode::CardExpired] {
            assert_eq!(population.blocked.iter().filter(|card| card.expected == expected).count(), 100);
        }
        assert_eq!(population.to_seed_csv(), Population::generate(of).to_seed_csv());
    }

    #[test]
    fn cards_begin_with_what_they_are_told_to_and_are_all_different() {
        for text in ["5", "520474", "520474123456"] {
            let iin = Iin::parse(text).expect("digits");
            let count = iin.cards().min(1_000) as u32;
            let pans: HashSet<u64> = (0..count).map(|n| iin.card(n, 99).expect("a card").value()).collect();
            assert_eq!(pans.len(), count as usize);
            assert!(pans.iter().all(|pan| pan.to_string().starts_with(text)));
        }
        for text in ["", "52x4", "5204741234567", "+52"] {
            assert!(Iin::parse(text).is_err_and(|words| words.contains("1 to 12 digits")), "{text}");
        }
    }

    #[test]
    fn a_seed_file_has_a_line_for_every_account_of_every_card() {
        let population = Population::generate(Composition::of(16, 0));
        let text = population.to_seed_csv();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 1 + 17);
        assert_eq!(lines[1], "1,840,100000000,0,4000006180339896,2912,201,active");
        assert!(lines[17].starts_with("16,978,100000000,0,400000"));
    }
}
