//! Interest over years: what the books pay out is what another calculation comes to, to the last unit, whenever the
//! pass after a day is made, through starts from records and from snapshots.

#![expect(clippy::expect_used, reason = "what fails here fails the test")]

#[expect(dead_code, reason = "each test over sockets uses a part of what they share")]
mod harness;

use std::collections::BTreeMap;

use harness::House;
use harness::as_if_killed_with;
use serde_json::json;
use turnpike::authorizer::moving::Order;
use turnpike::authorizer::moving::Party;
use turnpike::domain::event::Sequence;
use turnpike::domain::interest::DayCount;
use turnpike::domain::interest::PaidOut;
use turnpike::domain::interest::Terms;
use turnpike::domain::money::Currency;
use turnpike::domain::moved::CallerKey;
use turnpike::domain::moved::Reason;
use turnpike::domain::moved::Verb;
use turnpike::domain::party::WalletId;
use turnpike::domain::time::Now;
use turnpike::domain::time::Timestamp;
use turnpike::edge::clock;
use turnpike::edge::interest;
use turnpike::ledger::shard::BALANCE_MAX;
use turnpike::pipeline::assets::NotKept;
use turnpike::pipeline::core::Pipeline;
use turnpike::pipeline::interest::Pass;
use turnpike::pipeline::interest::Step;

const DAY_S: u64 = 86_400;
/// A numerator of interest counts over a million years of so many days each.
const YEARS: i128 = 360 * 365 * 366;

/// What one account earns, by fractions of one denominator.
#[derive(Clone, Copy, Debug, Default)]
struct Earns {
    posted: i128,
    terms: Option<(u32, DayCount, PaidOut)>,
    rest: i128,
    paid: i128,
}

impl Earns {
    /// The end of a day.
    fn end_of(&mut self, day: u64) {
        let Some((rate_ppm, rule, paid_out)) = self.terms else { return };
        let civil = |day: u64| Timestamp::from_seconds(day * DAY_S).civil();
        let leap = civil(day).year % 4 == 0;
        let days = match rule {
            DayCount::Fixed360 => YEARS / 360,
            DayCount::Actual if leap => YEARS / 366,
            DayCount::Fixed365 | DayCount::Actual => YEARS / 365,
        };
        self.rest += self.posted.max(0) * i128::from(rate_ppm) * days;
        if paid_out == PaidOut::Daily || civil(day + 1).day == 1 {
            let units = self.rest / (YEARS * 1_000_000);
            self.rest %= YEARS * 1_000_000;
            self.posted += units;
            self.paid += units;
        }
    }
}

/// Numbers without a pattern.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

fn pass(pipeline: &Pipeline, now: Now) {
    let mut pass = Pass::default();
    loop {
        match pipeline.pay_interest(&mut pass, now) {
            Step::End => return,
            Step::More => {}
            Step::Later => {
                pipeline.wake_writer();
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        }
    }
}

fn fund(pipeline: &Pipeline, key: u128, wallet: u64, amount: i64, now: Now) {
    let party = Some(Party { wallet: WalletId(wallet), account: Some(0) });
    let verb = if amount < 0 { Verb::Withdraw } else { Verb::Fund };
    let (from, to) = if amount < 0 { (party, None) } else { (None, party) };
    let order = Order {
        verb,
        key: CallerKey { print: key, body: 1, until_s: 0 },
        from,
        to,
        currency: Currency::new(840).expect("a currency"),
        amount: amount.abs(),
        fee: 0,
        into: None,
        about: Sequence(0),
        returns_fee: false,
        refundable_until_s: 0,
        reason: Reason::BLANK,
    };
    pipeline.move_money(&order, now.wall.seconds(), now).expect("it is done");
}

fn posted(house: &House, wallet: u64) -> i128 {
    house.balance(wallet).0.into()
}

/// What the house has paid in dollars.
fn paid_by_house(house: &House) -> i128 {
    let shown = house.json("/v1/audit/balance");
    let dollars = shown["currencies"].as_array().expect("a list").iter().find(|of| of["currency"] == "840");
    let dollars = dollars.expect("dollars");
    assert_eq!(dollars["sum"], "0");
    dollars["interest"].as_str().and_then(|sum| sum.parse().ok()).expect("a sum")
}

#[test]
fn six_years_of_interest_are_right_to_the_last_unit_and_the_same_again() {
    for days_later in 0..8 {
        six_years(days_later);
    }
}

/// Six years that begin so many days after today.
fn six_years(days_later: u64) {
    let (house, directory) = House::fresh(|_| {});
    let pipeline = &house.daemon().face.pipeline;
    let begun = clock::now();
    let first = begun.wall.seconds() / DAY_S + 1 + days_later;
    let mut chance = Chance(7);
    let wallets = [1_u64, 2, 3, 5, 6];
    let mut model: BTreeMap<u64, Earns> = BTreeMap::new();
    for wallet in wallets {
        model.insert(wallet, Earns { posted: posted(&house, wallet), ..Earns::default() });
    }
    let mut key = 0;
    for day in first..first + 6 * 366 {
        let now = Now { wall: Timestamp::from_seconds(day * DAY_S + chance.below(DAY_S / 2)), ..begun };
        // On some days the pass comes late, after the first movement; on some it has several days to pay.
        let late = chance.below(5) == 0;
        if day % 100 < 96 && !late {
            pass(pipeline, now);
        }
        for wallet in wallets {
            let known = model.get_mut(&wallet).expect("it is there");
            if chance.below(40) == 0 && day % 100 < 96 {
                let rate_ppm = [0, 1, 36_500, 42_123, 999_999][chance.below(5) as usize];
                let day_count = DayCount::ALL[chance.below(3) as usize].0;
                let paid_out = PaidOut::ALL[chance.below(2) as usize].0;
                // Interest that is to be paid by terms that end is paid by a pass before they do.
                pass(pipeline, now);
                let terms = Terms { rate_ppm, day_count, paid_out };
                pipeline.set_interest(WalletId(wallet), 0, Some(terms), now).expect("it is set");
                known.terms = Some((rate_ppm, day_count, paid_out));
            }
            if chance.below(9) == 0 && day % 100 < 95 {
                let most = known.posted.min(50_000) as u64;
                let amount = if chance.below(2) == 0 && most > 1 {
                    -(1 + chance.below(most / 2) as i64)
                } else {
                    1 + chance.below(90_000) as i64
                };
                key += 1;
                fund(pipeline, key, wallet, amount, now);
                known.posted += i128::from(amount);
            }
        }
        if day % 100 < 96 && late {
            pass(pipeline, now);
        }
        model.values_mut().for_each(|known| known.end_of(day));
    }
    let now = Now { wall: Timestamp::from_seconds((first + 6 * 366) * DAY_S), ..begun };
    pass(pipeline, now);
    let found: Vec<i128> = wallets.iter().map(|wallet| posted(&house, *wallet)).collect();
    let expected: Vec<i128> = model.values().map(|known| known.posted).collect();
    assert_eq!(found, expected, "{model:?}");
    let paid: i128 = model.values().map(|known| known.paid).sum();
    assert_eq!(paid_by_house(&house), -paid);
    assert!(paid > 100_000, "{paid}");
    let shown = house.json("/v1/wallets/1")["accounts"][0]["interest"].clone();
    assert!(shown["day_count"].is_string(), "{shown}");
    for snapshot in [false, true] {
        if snapshot {
            assert_eq!(house.verb("POST", "/v1/snapshots", "").0, 200);
        }
        // Acknowledged, so what came before it is on disk.
        let status = if snapshot { "active" } else { "frozen" };
        house.set_status(7, status);
        let (then, _copy) = as_if_killed_with(directory.path(), |config| config.daemon.shards = 4);
        let after: Vec<i128> = wallets.iter().map(|wallet| posted(&then, *wallet)).collect();
        assert_eq!((after, paid_by_house(&then)), (found.clone(), -paid), "snapshot: {snapshot}");
        assert_eq!(then.json("/v1/wallets/1")["accounts"][0]["interest"], shown);
    }
}

/// Makes a whole pass as the daemon does.
fn pay(house: &House, now: Now) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("an event loop");
    runtime.block_on(interest::pay(&house.daemon().face.pipeline, || now))
}

#[test]
fn days_that_were_missed_are_paid_as_if_they_had_not_been_and_what_ends_is_paid_out() {
    let (house, directory) = House::fresh(|_| {});
    // 1,000.00 at 36.5 % are 1.00 a day, which earns too.
    let terms = json!({"rate_ppm": 365_000, "day_count": "actual/365", "paid_out": "daily"});
    let path = "/v1/wallets/1/accounts/0/interest";
    let (status, answer) = house.verb("PUT", path, &terms.to_string());
    assert_eq!((status, &answer["interest"]), (200, &terms), "{answer}");
    house.set_status(7, "frozen");
    let (then, copy) = as_if_killed_with(directory.path(), |_| {});
    assert_eq!(paid_by_house(&then), 0, "no day is over");
    let begun = clock::now();
    let later = Now { wall: Timestamp::from_seconds(begun.wall.seconds() + 10 * DAY_S), ..begun };
    assert!(pay(&then, later));
    // Ten times 0.1 % of a growing balance, and the parts that are left of a unit earn nothing.
    let mut expected = 100_000_i128;
    let mut rest = 0;
    for _ in 0..10 {
        rest += expected;
        (expected, rest) = (expected + rest / 1_000, rest % 1_000);
    }
    assert_eq!((posted(&then, 1), paid_by_house(&then)), (expected, 100_000 - expected));
    let (status, answer) = then.verb("DELETE", path, "");
    assert_eq!((status, &answer["interest"]), (200, &serde_json::Value::Null));
    assert_eq!(then.json("/v1/wallets/1")["accounts"][0]["interest"], serde_json::Value::Null);
    let hash = then.drain().hash;
    let (again, _copy) = as_if_killed_with(&copy.path().join("data"), |config| config.daemon.shards = 1);
    assert_eq!(again.daemon().face.last_hash.lock().0, hash);
}

/// A clock that ran ahead has others' records, and pays nobody before the day has come.
#[test]
fn a_clock_that_ran_ahead_pays_nothing_early() {
    let (house, _directory) = House::fresh(|_| {});
    let pipeline = &house.daemon().face.pipeline;
    let begun = clock::now();
    let at = |days: u64| Now { wall: Timestamp::from_seconds(begun.wall.seconds() + days * DAY_S), ..begun };
    let terms = Terms { rate_ppm: 365_000, day_count: DayCount::Fixed365, paid_out: PaidOut::Daily };
    for wallet in [1, 5] {
        pipeline.set_interest(WalletId(wallet), 0, Some(terms), begun).expect("it is set");
    }
    // Both records are of a time to come: one of another wallet, and one of an account that earns.
    fund(pipeline, 1, 2, 1, at(400));
    fund(pipeline, 2, 5, 1, at(400));
    assert!(pay(&house, at(0)));
    assert_eq!(paid_by_house(&house), 0);
    assert!(pay(&house, at(1)));
    assert_eq!(posted(&house, 1), 100_100);
    // What was counted ahead is paid when its last day is over, and not again.
    assert!(pay(&house, at(399)));
    assert_eq!(posted(&house, 5), 100_001);
    assert!(pay(&house, at(400)));
    // 0.1 % of a growing balance for each of them, and the one that came in on the last.
    let (mut expected, mut rest) = (100_000, 0);
    for _ in 0..400 {
        rest += expected;
        (expected, rest) = (expected + rest / 1_000, rest % 1_000);
    }
    assert_eq!(posted(&house, 5), expected + 1);
}

#[test]
fn a_wallet_is_not_closed_over_what_it_has_earned() {
    let (house, _directory) = House::fresh(|_| {});
    let pipeline = &house.daemon().face.pipeline;
    let begun = clock::now();
    let terms = Terms { rate_ppm: 365_000, day_count: DayCount::Fixed365, paid_out: PaidOut::Monthly };
    pipeline.set_interest(WalletId(2), 0, Some(terms), begun).expect("it is set");
    let later = Now { wall: Timestamp::from_seconds(begun.wall.seconds() + 25 * DAY_S), ..begun };
    fund(pipeline, 1, 2, -5_000, later);
    assert_eq!(pipeline.close_wallet(WalletId(2), later), Ok(None), "what it has earned is paid out first");
    assert_eq!(posted(&house, 2), 125);
    fund(pipeline, 2, 2, -125, later);
    assert!(matches!(pipeline.close_wallet(WalletId(2), later), Ok(Some(_))));
    assert_eq!(pipeline.interest_of(WalletId(2), 0), None);
}

/// What no balance has room for can neither be paid out nor be dropped.
#[test]
fn a_wallet_that_earned_more_than_it_has_room_for_stays_open() {
    let (house, _directory) = House::fresh(|_| {});
    let pipeline = &house.daemon().face.pipeline;
    let begun = clock::now();
    let day = |days: u64| Now { wall: Timestamp::from_seconds(begun.wall.seconds() + days * DAY_S), ..begun };
    let rate_ppm = Terms::RATE_MAX_PPM;
    let terms = Terms { rate_ppm, day_count: DayCount::Fixed365, paid_out: PaidOut::Monthly };
    let much = BALANCE_MAX / 3;
    pipeline.set_interest(WalletId(2), 0, Some(terms), begun).expect("it is set");
    fund(pipeline, 1, 2, much, begun);
    fund(pipeline, 2, 2, -much, day(400));
    fund(pipeline, 3, 2, -5_000, day(400));
    let hash = pipeline.state_hash();
    assert_eq!(pipeline.close_wallet(WalletId(2), day(400)), Ok(None));
    assert_eq!(pipeline.state_hash(), hash);
    let ended = pipeline.set_interest(WalletId(2), 0, None, day(400));
    assert_eq!(ended, Err(NotKept::OutOfRange));
}

#[test]
fn interest_waits_for_a_disk_with_room_and_nothing_waits_for_interest() {
    let (house, _directory) = House::fresh(|_| {});
    let terms = Terms { rate_ppm: 365_000, day_count: DayCount::Fixed365, paid_out: PaidOut::Daily };
    let (pipeline, begun) = (&house.daemon().face.pipeline, clock::now());
    pipeline.set_interest(WalletId(1), 0, Some(terms), begun).expect("it is set");
    pipeline.set_short_of_room(true);
    let later = Now { wall: Timestamp::from_seconds(begun.wall.seconds() + 2 * DAY_S), ..begun };
    assert!(!pay(&house, later), "it is still to be done");
    pipeline.set_short_of_room(false);
    assert!(pay(&house, later));
    assert_eq!(posted(&house, 1), 100_200);
}
