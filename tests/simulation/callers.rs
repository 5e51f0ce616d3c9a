//! Callers of the HTTP face (R10), from its rules on: they move money into and out of wallets, between two of them, and
//! between the accounts of one at the house's rate. Each errand has a key of its caller's, and is asked for again until
//! its answer says what became of it: done and on disk, or refused. Sometimes it is asked for once more after that.
//!
//! The model knows answers only. What was answered as done has moved its amount once, and was there; what was refused
//! has moved nothing, and may be so only as long as nobody was told otherwise.

use turnpike::authorizer::moving::Order;
use turnpike::authorizer::moving::Party;
use turnpike::authorizer::moving::Refusal;
use turnpike::authorizer::moving::Turned;
use turnpike::domain::asset::Quote;
use turnpike::domain::asset::RateSet;
use turnpike::domain::event::Sequence;
use turnpike::domain::money::Currency;
use turnpike::domain::moved::CallerKey;
use turnpike::domain::moved::Reason;
use turnpike::domain::moved::Verb;
use turnpike::domain::party::WalletId;
use turnpike::domain::time::Now;
use turnpike::pipeline::core::Pipeline;
use turnpike::pipeline::moving::Carried;
use turnpike::pipeline::moving::NotMoved;

use super::population::BALANCE;
use super::population::CURRENCIES;
use super::population::WALLETS;
use super::world::Event;
use super::world::MS;
use super::world::S;
use super::world::World;

/// An account: the wallet, and the place of its currency in [`CURRENCIES`].
type Place = (u64, usize);

/// So many of the second currency come for ten of the first.
const NINE: i64 = 9;
/// Callers' clocks are behind by more than the daemon's ever is: to it, their keys are of no time to come.
const BEHIND_S: u64 = 2_000;

/// What a caller wants, and what is known of it.
#[derive(Clone, Debug)]
pub(crate) struct Errand {
    from: Option<Place>,
    to: Option<Place>,
    amount: i64,
    created_s: u64,
    /// How often it was asked for.
    asked: u32,
    /// The record that did it; zero for none.
    record: u64,
    /// Its caller was told so, with that record on disk.
    firm: bool,
    /// Its answer is known.
    over: bool,
}

impl Errand {
    const fn verb(&self) -> Verb {
        match (self.from, self.to) {
            (None, _) => Verb::Fund,
            (_, None) => Verb::Withdraw,
            (Some((giver, _)), Some((taker, _))) if giver == taker => Verb::Conversion,
            _ => Verb::Transfer,
        }
    }

    /// What arrives: rounded down, for the house.
    const fn received(&self) -> i64 {
        if matches!(self.verb(), Verb::Conversion) { self.amount * NINE / 10 } else { self.amount }
    }

    fn order(&self, number: u32) -> Order {
        let party = |(wallet, place): Place| Party { wallet: WalletId(wallet), account: Some(place as u16) };
        let place = self.from.or(self.to).map_or(0, |(_, place)| place);
        let into = || Turned { currency: currency(1), at_least: self.received() };
        Order {
            verb: self.verb(),
            key: CallerKey { print: u128::from(number) << 64 | 7, body: self.amount as u64, until_s: 0 },
            from: self.from.map(party),
            to: self.to.map(party),
            currency: currency(place),
            amount: self.amount,
            fee: 0,
            into: (self.verb() == Verb::Conversion).then(into),
            about: Sequence(0),
            returns_fee: false,
            refundable_until_s: 0,
            reason: Reason::BLANK,
        }
    }

    /// What it has changed of an account in the end.
    pub(crate) fn changed(&self, account: Place) -> i64 {
        let given = if self.firm && self.from == Some(account) { self.amount } else { 0 };
        let got = if self.firm && self.to == Some(account) { self.received() } else { 0 };
        got - given
    }

    pub(crate) const fn is_over(&self) -> bool {
        self.over
    }
}

fn currency(place: usize) -> Currency {
    Currency::new(CURRENCIES[place]).expect("a currency")
}

/// What the first currency is worth in the second, from the beginning on.
pub(crate) fn set_rate(pipeline: &Pipeline, now: Now) {
    let quote = Quote { price: "0.9".parse().expect("a price"), spread_ppm: 0 };
    let set = RateSet { from: currency(0), to: currency(1), quote: Some(quote) };
    assert_eq!(pipeline.set_rates(&[set], now).0, 1, "room");
}

impl World {
    /// Somebody has an errand.
    pub(crate) fn errand(&mut self) {
        if self.calm {
            return;
        }
        let place = self.random.below(2) as usize;
        let (giver, taker) = (1 + self.random.below(WALLETS), 1 + self.random.below(WALLETS));
        let (from, to) = match self.random.below(8) {
            0 => (None, Some((taker, place))),
            1 => (Some((giver, place)), None),
            2 | 3 => (Some((giver, 0)), Some((giver, 1))),
            _ if giver == taker => (Some((giver, 0)), Some((giver, 1))),
            _ => (Some((giver, place)), Some((taker, place))),
        };
        let most = if self.random.one_in(8) { 2 * BALANCE } else { BALANCE / 8 };
        let errand = Errand {
            from,
            to,
            amount: self.random.between(2, most as u64) as i64,
            created_s: self.peers_time().seconds() - BEHIND_S,
            asked: 0,
            record: 0,
            firm: false,
            over: false,
        };
        self.errands.push(errand);
        let number = self.errands.len() as u32 - 1;
        self.at(self.now, Event::Ask { number });
        self.after(50 * MS, S, Event::Errand);
    }

    /// It is asked for, perhaps once more.
    pub(crate) fn ask_for(&mut self, number: u32) {
        let now = self.clock().both();
        let errand = self.errands[number as usize].clone();
        let Some(daemon) = &self.daemon else {
            self.after(100 * MS, 3 * S, Event::Ask { number });
            return;
        };
        let before = daemon.pipeline.appended().0;
        let carried = daemon.pipeline.move_money(&errand.order(number), errand.created_s, now);
        let durable = daemon.pipeline.durable().0;
        self.latest = self.latest.max(now.wall);
        self.trace(|| format!("errand {number}: {carried:?} to {errand:?}"));
        // An answer may be lost on its way; its caller knows nothing then.
        let heard = self.calm || !self.random.one_in(4);
        let mut after = Errand { asked: errand.asked + 1, ..errand.clone() };
        match carried {
            Ok(Carried { sequence: Sequence(record), again }) => {
                if again {
                    assert!(errand.asked > 0, "nobody has asked for it before: {errand:?}");
                    assert!(errand.record == 0 || errand.record == record, "{record} did it: {errand:?}");
                    self.tale("errands that had been done");
                } else {
                    assert_eq!(errand.record, 0, "it is done once: {errand:?}");
                    assert_eq!(record, before + 1, "it is one record");
                    self.tale(errand.verb().name());
                    let left = errand.from.map_or(0, |giver| self.available(giver));
                    assert!(left >= 0, "{left} is left: it was not there: {errand:?}");
                }
                after.record = record;
                after.firm |= heard && record <= durable;
                after.over = after.firm;
                self.wake_writer();
            }
            Err(refused) => {
                assert_eq!(errand.record, 0, "what was done is answered so: {refused} to {errand:?}");
                match refused {
                    NotMoved::Refused(Refusal::InsufficientFunds(_, available)) => {
                        assert!(available < errand.amount, "there is {available}: {errand:?}");
                        assert_eq!(errand.from.map(|giver| self.available(giver)), Some(available));
                        after.over = heard;
                        self.tale("errands without the money");
                    }
                    NotMoved::Unavailable => self.tale("errands that were put off"),
                    other => panic!("{other} to {errand:?}"),
                }
            }
        }
        // Who knows may ask once more, and gets the same answer; a refusal is no promise, and is left at that.
        let asks_again = !after.over || after.firm && !errand.over && !self.calm && self.random.one_in(3);
        if asks_again {
            self.after(MS, 3 * S, Event::Ask { number });
        }
        self.errands[number as usize] = after;
    }

    /// What is on an account and not held.
    fn available(&self, (wallet, place): Place) -> i64 {
        let daemon = self.daemon.as_ref().expect("it has answered");
        let (_, accounts) = daemon.pipeline.wallet(WalletId(wallet)).expect("the wallet");
        accounts[place].posted - accounts[place].held
    }

    /// Records after this one are gone.
    pub(crate) fn lose_errands(&mut self, last: u64) {
        for errand in self.errands.iter_mut().filter(|errand| errand.record > last) {
            assert!(!errand.firm, "its record was promised: {errand:?}");
            errand.record = 0;
            *self.tales.entry("errands that were lost").or_default() += 1;
        }
    }
}
