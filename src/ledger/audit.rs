//! Checks of a shard against itself: what is held, what the totals say, and what limits have counted.

use std::collections::BTreeMap;

use crate::domain::limit::Measure;
use crate::domain::limit::Window;
use crate::domain::money::Currency;
use crate::domain::party::WalletId;

use super::authorization::AuthorizationState;
use super::limits::Counted;
use super::limits::Counter;
use super::limits::Limits;
use super::limits::Owners;
use super::shard::Shard;
use super::sliding::PARTS;

/// An account of which more or less is held than its open authorizations hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Orphan {
    /// Whose account.
    pub wallet: WalletId,
    /// Its number.
    pub account: u16,
    /// What the account says, minor units.
    pub held: i64,
    /// What its open authorizations hold together, minor units.
    pub open: i64,
}

/// What was looked at for holds that nobody has, and what was found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Holds {
    /// Accounts that were added up.
    pub accounts: u64,
    /// Open authorizations that hold something.
    pub open: u64,
    /// Accounts that differ.
    pub orphans: Vec<Orphan>,
}

impl Shard {
    /// Checks the shard against itself: held is the sum of open holds, each currency sums to zero, every chain and
    /// list is whole, and counts are right, those of limits too. For tests and `journal verify`.
    ///
    /// # Errors
    /// What does not hold, in words.
    pub fn audit(&self) -> Result<(), String> {
        let mut chained = 0;
        for (_, card) in self.cards.iter() {
            let len = self.open_of(card).chain(self.closed_of(card)).count();
            let counted = usize::from(card.authorizations);
            if len != counted {
                return Err(format!("card {:?} counts {counted} authorizations, has {len}", card.reference));
            }
            chained += len;
        }
        if chained != self.authorizations.len() {
            return Err(format!(
                "{chained} authorizations are on cards, {} in the table",
                self.authorizations.len()
            ));
        }
        self.audit_lists()?;
        self.audit_counted()?;
        self.audit_suspense()?;
        self.audit_shares()?;
        if self.count_kept() != self.kept_counts() {
            let (counted, kept) = (self.kept_counts(), self.count_kept());
            return Err(format!("{counted:?} keys, payments and mandates are counted, {kept:?} kept"));
        }
        let mut holds = Holds::default();
        self.audit_holds(&mut holds);
        if let Some(Orphan { wallet, held, open, .. }) = holds.orphans.first() {
            return Err(format!("wallet {} has {held} held, its holds {open}", wallet.0));
        }
        self.audit_totals()
    }

    /// Adds up what the open authorizations of each account hold, beside what the account says.
    pub fn audit_holds(&self, holds: &mut Holds) {
        for (position, wallet) in self.wallets.iter() {
            for account in self.accounts_of(position) {
                holds.accounts += 1;
                let cards = self.cards_of(position);
                let open = cards.flat_map(|card| self.open_of(card)).map(|(_, entry)| entry);
                let of_account = open
                    .filter(|e| e.state == AuthorizationState::Held && e.account == account.number)
                    .map(|entry| entry.taken.saturating_add(self.fee_of(entry)));
                let (mut count, mut sum) = (0, 0_i64);
                of_account.for_each(|taken| (count, sum) = (count + 1, sum.saturating_add(taken)));
                sum = sum.saturating_add(self.shared_on(position, account.number));
                holds.open += count;
                if sum != account.held {
                    let (wallet, account, held) = (wallet.id, account.number, account.held);
                    holds.orphans.push(Orphan { wallet, account, held, open: sum });
                }
            }
        }
    }

    /// Checks that each currency sums to zero, and that the totals are the sums of the accounts.
    fn audit_totals(&self) -> Result<(), String> {
        let mut wallets = BTreeMap::<Currency, (i128, i128)>::new();
        for account in self.wallets.iter().flat_map(|(position, _)| self.accounts_of(position)) {
            let sum = wallets.entry(account.currency).or_default();
            *sum = (sum.0 + i128::from(account.posted), sum.1 + i128::from(account.held));
        }
        for totals in &self.totals {
            let (posted, held) = wallets.get(&totals.currency).copied().unwrap_or_default();
            if totals.sum() != 0 || totals.wallets != posted || totals.held != held {
                return Err(format!(
                    "currency {}: {totals:?}, accounts {posted} posted, {held} held",
                    totals.currency
                ));
            }
        }
        Ok(())
    }

    /// Checks that what limits have counted is of authorizations that are here, on cards that have the flag; and that
    /// no limit has counted less than these in its window. It may have more: what it counted of an authorization that
    /// has left stays.
    fn audit_counted(&self) -> Result<(), String> {
        let (mut counted, mut implied) = (0, Implied::default());
        for (_, card) in self.cards.iter().filter(|(_, card)| card.limited()) {
            let owners = self.owners(card);
            for (_, entry) in self.open_of(card).chain(self.closed_of(card)) {
                for entry in self.limits.counted_of(entry.sequence) {
                    counted += 1;
                    self.limits.imply(owners, entry, &mut implied);
                }
            }
        }
        if counted != self.limits.counted.len() {
            return Err(format!(
                "{counted} counted entries are of authorizations, {} in the table",
                self.limits.counted.len()
            ));
        }
        self.limits.audit(&implied)
    }

    /// Checks the lists of wallets' cards, and the count of open authorizations.
    fn audit_lists(&self) -> Result<(), String> {
        let mut listed = 0;
        for (position, wallet) in self.wallets.iter() {
            for card in self.cards_of(position) {
                listed += 1;
                if card.wallet != position || listed > self.cards.len() {
                    return Err(format!("wallet {} lists a card of another", wallet.id.0));
                }
            }
        }
        if listed != self.cards.len() {
            return Err(format!("{listed} cards are on wallets, {} in the table", self.cards.len()));
        }
        let open = self.authorizations.iter().filter(|(_, entry)| entry.state.is_open()).count() as u64;
        if open != self.open_authorizations {
            return Err(format!("{open} authorizations are open, {} counted", self.open_authorizations));
        }
        Ok(())
    }
}

/// By where a counter is and the number of a window: what the authorizations that it has counted there amount to.
type Implied = BTreeMap<(u32, u32), i64>;

impl Limits {
    /// Adds what an entry amounts to in each counter that has counted it.
    fn imply(&self, owners: Owners, entry: &Counted, implied: &mut Implied) {
        let [card, wallet] = owners.subjects();
        let places =
            [(card, 0, None), (wallet, 1, None), (card, 2, entry.product), (wallet, 2, entry.product)];
        for (subject, n, product) in places.into_iter().filter(|(_, n, product)| *n < 2 || product.is_some())
        {
            for (at, counter) in self.counters_at(subject, product) {
                let counted = counter.number.is_some_and(|number| entry.by[n] & number.bit() != 0);
                if counted && counter.since <= entry.record {
                    let index = self.zones.index(subject, counter.limit.window, entry.at_s.into());
                    *implied.entry((at, index)).or_default() += amounts_to(counter, entry);
                }
            }
        }
    }

    /// Checks every counter against what is implied.
    fn audit(&self, implied: &Implied) -> Result<(), String> {
        for (at, counter) in self.counters.iter() {
            let Some(number) = counter.number.filter(|_| self.is_live(counter)) else { continue };
            let wrong = |what: &str, used: i64, least: i64| {
                let (subject, number) = (counter.subject, number.at() + 1);
                Err(format!("limit {number} of {subject:?} {what} {used}, its authorizations {least}"))
            };
            if !counter.subject.slot().is_some_and(|slot| self.zones.has(slot, counter.limit.window)) {
                return Err(format!(
                    "limit {} of {:?} goes by a zone that is not known",
                    number.get(),
                    counter.subject
                ));
            }
            let of = |index: u32| implied.get(&(at, index)).copied().unwrap_or(0);
            let Window::Sliding(_) = counter.limit.window else {
                let least = of(counter.window);
                if counter.limit.window != Window::Transaction && counter.used < least {
                    return wrong("has counted", counter.used, least);
                }
                continue;
            };
            let sliding = self.sliding.at(counter.window);
            let sum = sliding.parts.iter().fold(0_i64, |sum, part| sum.saturating_add(*part));
            if sum != sliding.total {
                return wrong("adds up to", sliding.total, sum);
            }
            let parts = (sliding.newest.saturating_sub(PARTS as u32 - 1)..=sliding.newest).map(of);
            let least = parts.fold(0_i64, i64::saturating_add);
            if sum < least {
                return wrong("has counted", sum, least);
            }
        }
        Ok(())
    }
}

fn amounts_to(counter: &Counter, entry: &Counted) -> i64 {
    match counter.limit.measure {
        Measure::Count => i64::from(entry.first),
        Measure::Amount(currency) if currency == entry.currency => entry.amount,
        Measure::Amount(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::action::ActionCode;
    use crate::domain::card::CardIdentity;
    use crate::domain::card::CardStatus;
    use crate::domain::card::Pan;
    use crate::domain::card::ServiceCode;
    use crate::domain::card::Verification;
    use crate::domain::event::AccountFunded;
    use crate::domain::event::Advised;
    use crate::domain::event::Bounds;
    use crate::domain::event::CardOpened;
    use crate::domain::event::Effect;
    use crate::domain::event::Event;
    use crate::domain::event::LimitSet;
    use crate::domain::event::Sequence;
    use crate::domain::limit::Filter;
    use crate::domain::limit::Limit;
    use crate::domain::limit::Number;
    use crate::domain::limit::Subject;
    use crate::domain::money::Money;
    use crate::domain::party::InstitutionId;
    use crate::domain::party::MerchantId;
    use crate::domain::party::NameId;
    use crate::domain::party::Rrn;
    use crate::domain::party::SLOTS;
    use crate::domain::party::Slot;
    use crate::domain::party::TerminalId;
    use crate::domain::request::MessageClass;
    use crate::domain::request::MessageKey;
    use crate::domain::request::ProcessingCode;
    use crate::domain::request::Stan;
    use crate::domain::share::Shares;
    use crate::domain::time::Expiry;
    use crate::domain::time::Timestamp;
    use crate::domain::time::TransmissionTime;
    use crate::domain::usage::Channel;
    use crate::ledger::shard::Capacity;

    const WALLET: WalletId = WalletId(1);
    const NOW: Timestamp = Timestamp::from_seconds(1_795_392_000);

    fn dollars() -> Currency {
        Currency::new(840).expect("a currency")
    }

    fn key(stan: u32) -> MessageKey {
        MessageKey {
            network: NameId(1),
            link: NameId(1),
            stan: Stan(stan),
            transmission: TransmissionTime::at(NOW),
            acquirer: InstitutionId(1),
            rrn: Rrn::BLANK,
            terminal: TerminalId::BLANK,
            merchant: MerchantId::BLANK,
            network_reference: 0,
        }
    }

    /// One wallet with a card, a limit of each kind of window, and two holds of 50.00 each.
    fn shard() -> Shard {
        let capacity = Capacity {
            wallets: 4,
            further_accounts: 4,
            cards: 4,
            authorizations: 64,
            limits: 8,
            counted: 64,
        };
        let first = Slot::new(0).expect("a slot");
        let mut shard = Shard::new(first, SLOTS, capacity, Bounds::default(), 7);
        let slot = Slot::of_wallet(WALLET);
        let reference = shard.next_card_ref(slot);
        let mut events = vec![
            Event::AccountFunded(AccountFunded {
                slot,
                wallet: WALLET,
                account: 0,
                currency: dollars(),
                amount: 100_000,
                overdraft: 0,
            }),
            Event::CardOpened(CardOpened {
                slot,
                wallet: WALLET,
                card: reference,
                pan: Pan::from_value(4_000_000_000_000_002, 16).expect("a card number"),
                expiry: Expiry::new(3012).expect("a month"),
                service_code: ServiceCode(201),
                status: CardStatus::Active,
                verification: Verification::None,
                key: None,
            }),
        ];
        for (number, window) in [(1, Window::Lifetime), (2, Window::Sliding(3_600))] {
            let limit =
                Limit { measure: Measure::Amount(dollars()), max: i64::MAX, window, filter: Filter::ALL };
            let number = Number::new(number).expect("a number");
            let subject = Subject::Wallet(WALLET);
            events.push(Event::LimitSet(LimitSet { slot, subject, number, limit: Some(limit) }));
        }
        for stan in [1, 2] {
            events.push(Event::Advised(Advised {
                slot,
                card: CardIdentity::Known(reference),
                account: 0,
                key: key(stan),
                class: MessageClass::Authorization,
                increment: false,
                repeat: false,
                processing_code: ProcessingCode(0),
                mcc: 5_411,
                country: 840,
                channel: Channel::Other,
                amount: Money::new(5_000, dollars()),
                billing: None,
                approved: true,
                reason: 0,
                approval_code: None,
                sets: Sequence(0),
                action: ActionCode::Approved,
                effect: Effect::Hold(5_000),
                charge: None,
                shares: Shares::NONE,
                configuration: 1,
                hold_until_s: u32::MAX,
                decided_after_us: 0,
            }));
        }
        for (event, sequence) in events.iter().zip(1..) {
            shard.apply(Sequence(sequence), NOW, event).expect("it applies");
        }
        shard
    }

    fn places<T>(all: impl Iterator<Item = (u32, T)>) -> Vec<u32> {
        all.map(|(at, _)| at).collect()
    }

    #[test]
    fn holds_that_nobody_has_and_counters_that_are_off_are_found() {
        let shard_of = |harm: fn(&mut Shard)| {
            let mut shard = shard();
            harm(&mut shard);
            shard.audit()
        };
        assert_eq!(shard_of(|_| {}), Ok(()));
        type Harm = fn(&mut Shard);
        let table: [(&str, Harm, &str); 5] = [
            (
                "less is open than is held",
                |shard| {
                    let first = places(shard.authorizations.iter())[0];
                    shard.authorizations.at_mut(first).taken -= 1;
                },
                "wallet 1 has 10000 held, its holds 9999",
            ),
            (
                "an authorization ends and its hold stays",
                |shard| {
                    let first = places(shard.authorizations.iter())[0];
                    shard.authorizations.at_mut(first).state = AuthorizationState::Reversed;
                },
                "1 authorizations are open, 2 counted",
            ),
            (
                "a window counts less than was authorized in it",
                |shard| {
                    let counter = places(shard.limits.counters.iter())[0];
                    shard.limits.counters.at_mut(counter).used -= 1;
                },
                "limit 1 of Wallet(WalletId(1)) has counted 9999, its authorizations 10000",
            ),
            (
                "parts of a window do not add up",
                |shard| {
                    let parts = places(shard.limits.sliding.iter())[0];
                    shard.limits.sliding.at_mut(parts).total += 1;
                },
                "limit 2 of Wallet(WalletId(1)) adds up to 10001, its authorizations 10000",
            ),
            (
                "a counted entry of nothing",
                |shard| {
                    let entry = places(shard.limits.counted.iter())[0];
                    shard.limits.counted.at_mut(entry).authorization = Sequence(99);
                },
                "counted entries are of authorizations, 2 in the table",
            ),
        ];
        for (what, harm, words) in table {
            let found = shard_of(harm).err().unwrap_or_default();
            assert!(found.contains(words), "{what}: {found}");
        }
        let mut orphaned = shard();
        let first = places(orphaned.authorizations.iter())[0];
        orphaned.authorizations.at_mut(first).taken = 4_000;
        let mut holds = Holds::default();
        orphaned.audit_holds(&mut holds);
        let orphan = Orphan { wallet: WALLET, account: 0, held: 10_000, open: 9_000 };
        assert_eq!(holds, Holds { accounts: 1, open: 2, orphans: vec![orphan] });
    }
}
