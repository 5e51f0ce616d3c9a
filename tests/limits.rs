//! Limits, controls and statuses over real sockets: what is set over HTTP is effective for the next message, what is
//! reversed gives back to its counters, and a start from disk counts on (R18).

#![expect(clippy::expect_used, reason = "what fails here fails the test")]

#[expect(dead_code, reason = "each test over sockets uses a part of what they share")]
mod harness;

use std::collections::BTreeMap;
use std::path::Path;

use harness::House;
use harness::LINKS;
use harness::PAN;
use harness::PURCHASE;
use harness::Peer;
use harness::SEED;
use harness::Values;
use harness::as_if_killed;
use harness::as_if_killed_with;
use harness::config;
use harness::seed;
use harness::with;
use serde_json::Value as Json;
use turnpike::config::Config;
use turnpike::config::products::ProductSettings;
use turnpike::dialect::Dialect;
use turnpike::domain::action::ActionCode;
use turnpike::domain::card::CardIdentity;
use turnpike::domain::card::CardRef;
use turnpike::domain::card::CardStatus;
use turnpike::domain::card::Pan;
use turnpike::domain::card::ServiceCode;
use turnpike::domain::card::Verification;
use turnpike::domain::event::AccountFunded;
use turnpike::domain::event::Advised;
use turnpike::domain::event::Bounds;
use turnpike::domain::event::CardOpened;
use turnpike::domain::event::Configured;
use turnpike::domain::event::Effect;
use turnpike::domain::event::Event;
use turnpike::domain::event::LimitSet;
use turnpike::domain::event::Recalled;
use turnpike::domain::event::Reversed;
use turnpike::domain::event::Sequence;
use turnpike::domain::limit::Filter;
use turnpike::domain::limit::Limit;
use turnpike::domain::limit::Measure;
use turnpike::domain::limit::Number;
use turnpike::domain::limit::Subject;
use turnpike::domain::limit::Window;
use turnpike::domain::money::Currency;
use turnpike::domain::money::Money;
use turnpike::domain::moved::KeysKept;
use turnpike::domain::party::InstitutionId;
use turnpike::domain::party::MerchantId;
use turnpike::domain::party::NameId;
use turnpike::domain::party::Rrn;
use turnpike::domain::party::SLOTS;
use turnpike::domain::party::Slot;
use turnpike::domain::party::TerminalId;
use turnpike::domain::party::Text;
use turnpike::domain::party::WalletId;
use turnpike::domain::product::PanRange;
use turnpike::domain::product::ProductNumber;
use turnpike::domain::request::Legs;
use turnpike::domain::request::MessageClass;
use turnpike::domain::request::MessageKey;
use turnpike::domain::request::ProcessingCode;
use turnpike::domain::request::Stan;
use turnpike::domain::share::Shares;
use turnpike::domain::time::Expiry;
use turnpike::domain::time::Timestamp;
use turnpike::domain::time::TransmissionTime;
use turnpike::domain::time::days_from_civil;
use turnpike::domain::usage::Channel;
use turnpike::domain::usage::MCC_GROUPS;
use turnpike::domain::zone::UtcOffset;
use turnpike::domain::zone::Zone;
use turnpike::domain::zone::ZoneChange;
use turnpike::domain::zone::ZoneChanges;
use turnpike::domain::zone::ZoneNumber;
use turnpike::domain::zone::ZoneSet;
use turnpike::edge::zones;
use turnpike::ledger::apply::ApplyError;
use turnpike::ledger::shard::Capacity;
use turnpike::ledger::shard::Shard;

/// A second card of wallet 1.
const SECOND: &str = "4111111111111129";

/// A daemon with the usual wallets, and a second card on the first.
fn house() -> (House, tempfile::TempDir) {
    let directory = tempfile::tempdir().expect("a directory");
    let lines = format!("{SEED}1,840,100000,0,{SECOND},3012,201,active\n");
    let house = House::start(&config(directory.path(), |_| {}), Some(&seed(&lines))).expect("a start");
    (house, directory)
}

fn for_each_link(test: impl Fn(&House, &str, &mut Peer)) {
    for (link, _) in LINKS {
        let (house, _directory) = house();
        let mut peer = house.connect(link);
        test(&house, link, &mut peer);
        assert_eq!(house.dropped_in_all(link), 0);
    }
}

/// The reference of a wallet's card by the last four digits of its number.
fn card_of(house: &House, wallet: u64, last_four: &str) -> u64 {
    let list = house.json(&format!("/v1/wallets/{wallet}/cards"));
    let cards = list["cards"].as_array().expect("a list");
    let is_it = |card: &&Json| card["pan"].as_str().is_some_and(|pan| pan.ends_with(last_four));
    cards.iter().find(is_it).expect("a card")["card"].as_u64().expect("a number")
}

/// Sets something, which must be acknowledged.
fn set(house: &House, path: &str, body: &str) {
    let (status, answer) = house.verb("PUT", path, body);
    assert_eq!((status, answer["set"].as_bool()), (200, Some(true)), "{path} {body}: {answer}");
}

/// What counts against the limits of a card or a wallet, by number.
fn used(house: &House, path: &str) -> BTreeMap<u64, i64> {
    let list = house.json(path);
    let limits = list["limits"].as_array().expect("a list").iter();
    let of = |limit: &Json| Some((limit["number"].as_u64()?, limit["used"].as_i64()?));
    limits.map(|limit| of(limit).expect("numbers")).collect()
}

/// What becomes of the usual purchase with these changes.
fn outcome(peer: &mut Peer, changes: &Values<'_>) -> String {
    peer.ask(100, &with(PURCHASE, changes)).value(39).to_owned()
}

/// The reversal of the usual purchase that had this trace number, with other values.
fn reverse(peer: &mut Peer, stan: &str, changes: &Values<'_>) {
    let original = format!("0100{stan}06041234561234567890100000000000");
    let own = format!("9{}", &stan[1..]);
    let reversal = with(PURCHASE, &[(11, &own), (14, ""), (90, &original)]);
    assert_eq!(peer.ask(420, &with(&reversal, changes)).outcome(), (430, "00"));
}

#[test]
fn r18_an_amount_limit_declines_and_a_reversal_gives_back() {
    for_each_link(|house, _, peer| {
        let limits = format!("/v1/cards/{}/limits", card_of(house, 1, "1111"));
        set(
            house,
            &format!("{limits}/1"),
            r#"{"measure":"amount","currency":"840","max":10000,"window":"lifetime"}"#,
        );
        let hour = r#"{"measure":"amount","currency":"840","max":90000,"window":"sliding","seconds":3600}"#;
        set(house, &format!("{limits}/2"), hour);
        assert_eq!(outcome(peer, &[(11, "000001"), (4, "000000006000")]), "00");
        assert_eq!(outcome(peer, &[(11, "000002"), (4, "000000004001")]), "61");
        assert_eq!(outcome(peer, &[(11, "000003"), (4, "000000004000")]), "00");
        assert_eq!(used(house, &limits), BTreeMap::from([(1, 10_000), (2, 10_000)]));
        // A decline moved nothing, and a repeat of what was approved counts nothing.
        assert_eq!(house.balance(1), (100_000, 10_000));
        let repeat = with(PURCHASE, &[(11, "000003"), (4, "000000004000")]);
        assert_eq!(peer.ask(101, &repeat).outcome(), (110, "00"));
        assert_eq!(used(house, &limits)[&1], 10_000);
        for _ in 0..2 {
            reverse(peer, "000001", &[(4, "000000006000")]);
            assert_eq!(used(house, &limits), BTreeMap::from([(1, 4_000), (2, 4_000)]));
        }
        assert_eq!(outcome(peer, &[(11, "000004"), (4, "000000006001")]), "61");
        assert_eq!(outcome(peer, &[(11, "000005"), (4, "000000006000")]), "00");
        // The other card of the wallet is not limited, and other wallets are not.
        assert_eq!(outcome(peer, &[(11, "000006"), (2, SECOND), (4, "000000020000")]), "00");
        assert_eq!(outcome(peer, &[(11, "000007"), (2, "4222222222222220"), (4, "000000005000")]), "00");
        // More may be spent: what was counted stays. Without the limit nothing is in the way.
        let more = r#"{"measure":"amount","currency":"840","max":10001,"window":"lifetime"}"#;
        set(house, &format!("{limits}/1"), more);
        assert_eq!(outcome(peer, &[(11, "000008"), (4, "000000000002")]), "61");
        assert_eq!(outcome(peer, &[(11, "000009"), (4, "000000000001")]), "00");
        let (status, _) = house.verb("DELETE", &format!("{limits}/1"), "");
        assert_eq!(status, 200);
        assert_eq!(outcome(peer, &[(11, "000010"), (4, "000000000002")]), "00");
    });
}

#[test]
fn r18_a_count_limit_of_a_wallet_is_for_all_its_cards() {
    for_each_link(|house, _, peer| {
        let limits = "/v1/wallets/1/limits";
        set(
            house,
            &format!("{limits}/3"),
            r#"{"measure":"count","max":2,"window":"sliding","seconds":86400}"#,
        );
        assert_eq!(outcome(peer, &[(11, "000001")]), "00");
        assert_eq!(outcome(peer, &[(11, "000002"), (2, SECOND)]), "00");
        for (stan, pan) in [("000003", PAN), ("000004", SECOND)] {
            assert_eq!(outcome(peer, &[(11, stan), (2, pan)]), "65");
        }
        reverse(peer, "000002", &[(2, SECOND)]);
        assert_eq!(used(house, limits), BTreeMap::from([(3, 1)]));
        assert_eq!(outcome(peer, &[(11, "000005")]), "00");
        assert_eq!(outcome(peer, &[(11, "000006"), (2, SECOND)]), "65");
    });
}

#[test]
fn r18_a_limit_of_a_transaction_and_of_a_kind_of_use() {
    for_each_link(|house, link, peer| {
        let limits = "/v1/wallets/1/limits";
        let one =
            r#"{"measure":"amount","currency":"840","max":5000,"window":"transaction","mcc":["5900-5999"]}"#;
        set(house, &format!("{limits}/1"), one);
        let cash = r#"{"measure":"amount","currency":"840","max":7000,"window":"month","kinds":["cash"]}"#;
        set(house, &format!("{limits}/2"), cash);
        let table: &[(&Values<'_>, &str)] = &[
            (&[(4, "000000005001")], "61"),
            (&[(4, "000000005000")], "00"),
            (&[(4, "000000005001"), (18, "5812")], "00"),
            (&[(4, "000000005000")], "00"),
            (&[(4, "000000006000"), (3, "010000"), (18, "6011")], "00"),
            (&[(4, "000000001001"), (3, "010000"), (18, "6011")], "61"),
            (&[(4, "000000001001"), (18, "5812")], "00"),
        ];
        for (n, (changes, expected)) in table.iter().enumerate() {
            let stan = format!("{:06}", n + 1);
            let changes = with(changes, &[(11, &stan)]);
            assert_eq!(outcome(peer, &changes), *expected, "{link}: {changes:?}");
        }
        assert_eq!(used(house, limits), BTreeMap::from([(1, 0), (2, 6_000)]));
    });
}

#[test]
fn r18_controls_say_where_and_how_a_card_may_be_used() {
    // A control, a use that passes, one that does not, and DE 39 of it.
    let table: &[(&str, &Values<'_>, &Values<'_>, &str)] = &[
        (r#"{"rule":"deny","mcc":["gambling"]}"#, &[], &[(18, "7995")], "57"),
        (r#"{"rule":"allow","mcc":["5900-5999"]}"#, &[], &[(18, "5812")], "57"),
        (r#"{"rule":"deny","countries":["643"]}"#, &[(19, "840")], &[(19, "643")], "62"),
        (r#"{"rule":"allow","countries":["840","276"]}"#, &[(19, "276")], &[(19, "643")], "62"),
        (r#"{"rule":"allow","countries":["840"]}"#, &[(19, "840")], &[], "62"),
        (r#"{"rule":"deny","currencies":["392"]}"#, &[], &[(49, "392")], "57"),
        (r#"{"rule":"deny","channels":["atm"]}"#, &[], &[(18, "6011"), (3, "010000")], "57"),
        (r#"{"rule":"allow","channels":["chip"]}"#, &[(22, "051")], &[(22, "021")], "57"),
        (r#"{"rule":"deny","merchants":["BADSHOP"]}"#, &[], &[(42, "BADSHOP")], "57"),
        (r#"{"rule":"lock"}"#, &[], &[(42, "MERCHANT0000002")], "57"),
    ];
    for_each_link(|house, link, peer| {
        let controls = format!("/v1/cards/{}/controls", card_of(house, 1, "1111"));
        // Visa has a filler behind DE 22, and sends DE 19 in every request.
        let own = |values: &Values<'static>| -> Vec<(u8, String)> {
            let filled = |(field, value): &(u8, &str)| match (*field, link) {
                (22, "visa") => (22, format!("{value}0")),
                (field, _) => (field, (*value).to_owned()),
            };
            values.iter().map(filled).collect()
        };
        for (n, (control, passes, fails, code)) in table.iter().enumerate() {
            set(house, &format!("{controls}/1"), control);
            for (m, (values, expected)) in [(passes, "00"), (fails, *code), (passes, "00")].iter().enumerate()
            {
                let stan = format!("{:06}", n * 10 + m);
                let values = own(values);
                let mut changes: Vec<(u8, &str)> = values.iter().map(|(f, v)| (*f, v.as_str())).collect();
                changes.extend([(11, stan.as_str()), (4, "000000000100")]);
                assert_eq!(outcome(peer, &changes), *expected, "{link}: {control} {changes:?}");
            }
        }
        let shown = house.json(&controls);
        let locked = shown["controls"][0]["locked_to_fingerprint"].as_str().expect("a merchant");
        assert_eq!(locked.len(), 16);
        assert_eq!(house.verb("DELETE", &format!("{controls}/1"), "").0, 200);
        assert_eq!(outcome(peer, &[(11, "000999"), (42, "MERCHANT0000002")]), "00");
    });
}

#[test]
fn what_a_merchant_asks_for_by_itself_is_stopped_and_the_cardholder_can_still_buy() {
    let of_merchant: &Values<'_> = &[(60, "050000000001"), (126, "0008000000000000D9")];
    let private = "T61051000022080504M103";
    let of_merchant_there: &Values<'_> = &[(48, private)];
    let by_hand: &Values<'_> = &[(48, "T6105100002")];
    for (link, recurring, buys, codes) in [
        ("visa", of_merchant, &[][..], ["R1", "R3", "R0"]),
        ("mastercard", of_merchant_there, by_hand, ["57", "57", "57"]),
    ] {
        let (house, _directory) = house();
        let mut peer = house.connect(link);
        let card = card_of(&house, 1, "1111");
        let control = format!("/v1/cards/{card}/controls/1");
        let mut stan = 0;
        let mut ask = |changes: &Values<'_>, merchant: &str| {
            stan += 1;
            let number = format!("{stan:06}");
            let message = with(PURCHASE, &[(11, &number), (42, merchant)]);
            peer.ask(100, &with(&message, changes))
        };
        assert_eq!(ask(recurring, "CLUB").value(39), "00", "{link}");
        set(&house, &control, r#"{"rule":"stop","merchants":["CLUB"]}"#);
        let declined = ask(recurring, "CLUB");
        assert_eq!(declined.value(39), codes[0], "{link}");
        if link == "mastercard" {
            assert!(
                declined.value(48).contains("840221"),
                "the merchant is not to ask again: {}",
                declined.value(48)
            );
        }
        // The cardholder may, and so may another merchant.
        assert_eq!(ask(buys, "CLUB").value(39), "00", "{link}");
        assert_eq!(ask(recurring, "PAPER").value(39), "00", "{link}");
        set(&house, &control, r#"{"rule":"stop"}"#);
        assert_eq!(ask(recurring, "PAPER").value(39), codes[1], "{link}");
        assert_eq!(ask(buys, "PAPER").value(39), "00", "{link}");
        // One payment of 50.00; another amount is another payment, and what the cardholder buys is none.
        set(&house, &control, r#"{"rule":"stop","payments":["CLUB 5000 840","PAPER 1 840"]}"#);
        assert_eq!(ask(recurring, "CLUB").value(39), codes[2], "{link}");
        assert_eq!(ask(&with(recurring, &[(4, "000000000999")]), "CLUB").value(39), "00", "{link}");
        assert_eq!(ask(recurring, "PAPER").value(39), "00", "{link}");
        assert_eq!(ask(buys, "CLUB").value(39), "00", "{link}");
        assert_eq!(house.verb("DELETE", &control, "").0, 200);
        let approved = ask(recurring, "CLUB");
        assert_eq!(approved.value(39), "00", "{link}");
        assert!(link != "mastercard" || !approved.value(48).contains("840221"));
    }
}

#[test]
fn r18_a_partial_approval_counts_what_was_approved() {
    let (house, _directory) = house();
    let mut peer = house.connect("visa");
    let limits = format!("/v1/cards/{}/limits", card_of(&house, 2, "2220"));
    set(&house, &format!("{limits}/1"), r#"{"measure":"amount","currency":"840","max":9000,"window":"day"}"#);
    let asked = [(2, "4222222222222220"), (4, "000000008000"), (60, "050000000001")];
    let answer = peer.ask(100, &with(PURCHASE, &asked));
    assert_eq!((answer.value(39), answer.value(4)), ("10", "000000005500"));
    assert_eq!(used(&house, &limits), BTreeMap::from([(1, 5_500)]));
    reverse(&mut peer, "000001", &asked[..2]);
    assert_eq!(used(&house, &limits), BTreeMap::from([(1, 0)]));
}

#[test]
fn r18_what_the_network_decided_alone_counts() {
    for_each_link(|house, link, peer| {
        let limits = "/v1/wallets/1/limits";
        set(
            house,
            &format!("{limits}/1"),
            r#"{"measure":"amount","currency":"840","max":5000,"window":"day"}"#,
        );
        set(house, &format!("{limits}/2"), r#"{"measure":"count","max":9,"window":"day","mcc":["5999"]}"#);
        let advise = |peer: &mut Peer, mti: u16, values: &Values<'_>| {
            let advice = with(PURCHASE, &[(14, ""), (38, "ABC123")]);
            assert_eq!(peer.ask(mti, &with(&advice, values)).outcome(), (mti + 10, "00"), "{link}");
        };
        // A force post counts, and is above the limit.
        advise(peer, 220, &[(11, "000001"), (37, "REF000000011"), (4, "000000007000")]);
        assert_eq!(used(house, limits), BTreeMap::from([(1, 7_000), (2, 1)]), "{link}");
        assert_eq!(outcome(peer, &[(11, "000002"), (4, "000000000001")]), "61", "{link}");
        // We declined, and the network approved.
        advise(peer, 120, &[(11, "000002"), (4, "000000000001"), (39, "00")]);
        assert_eq!(used(house, limits), BTreeMap::from([(1, 7_001), (2, 2)]), "{link}");
    });
}

#[test]
fn r18_a_posting_takes_over_what_its_authorization_counted() {
    for_each_link(|house, link, peer| {
        let limits = "/v1/wallets/1/limits";
        set(
            house,
            &format!("{limits}/1"),
            r#"{"measure":"amount","currency":"840","max":50000,"window":"day"}"#,
        );
        set(house, &format!("{limits}/2"), r#"{"measure":"count","max":9,"window":"day"}"#);
        let answer = peer.ask(100, PURCHASE);
        assert_eq!(used(house, limits), BTreeMap::from([(1, 5_000), (2, 1)]), "{link}");
        let code = answer.value(38).to_owned();
        let posting = with(PURCHASE, &[(14, ""), (38, &code), (4, "000000004200")]);
        assert_eq!(peer.ask(220, &posting).outcome(), (230, "00"));
        assert_eq!(house.balance(1), (95_800, 0), "{link}");
        assert_eq!(used(house, limits), BTreeMap::from([(1, 4_200), (2, 1)]), "{link}");
    });
}

#[test]
fn r18_a_start_counts_on_whether_from_records_or_from_a_snapshot() {
    for snapshot in [false, true] {
        let (house, directory) = house();
        let card = card_of(&house, 1, "1111");
        let paths = [format!("/v1/cards/{card}/limits"), "/v1/wallets/1/limits".to_owned()];
        let sliding =
            r#"{"measure":"amount","currency":"840","max":20000,"window":"sliding","seconds":604800}"#;
        for path in &paths {
            set(&house, &format!("{path}/1"), sliding);
            set(&house, &format!("{path}/16"), r#"{"measure":"count","max":3,"window":"lifetime"}"#);
        }
        set(&house, &format!("/v1/cards/{card}/controls/2"), r#"{"rule":"lock"}"#);
        let mut peer = house.connect("iso87");
        for stan in ["000001", "000002"] {
            assert_eq!(outcome(&mut peer, &[(11, stan)]), "00");
        }
        if snapshot {
            assert_eq!(house.verb("POST", "/v1/snapshots", "").0, 200);
        }
        // Acknowledged, so it is on disk; what is asked for after it may not be.
        reverse(&mut peer, "000001", &[]);
        let shown = paths.each_ref().map(|path| used(&house, path));
        assert_eq!(shown[0], BTreeMap::from([(1, 5_000), (16, 1)]));
        let (then, _copy) = as_if_killed(directory.path());
        assert_eq!(paths.each_ref().map(|path| used(&then, path)), shown, "snapshot: {snapshot}");
        let mut peer = then.connect("iso87");
        assert_eq!(outcome(&mut peer, &[(11, "000003"), (42, "MERCHANT0000002")]), "57", "it stays locked");
        for (stan, expected) in [("000004", "00"), ("000005", "00"), ("000006", "65")] {
            assert_eq!(outcome(&mut peer, &[(11, stan)]), expected);
        }
        // What was counted before the start is given back after it.
        reverse(&mut peer, "000002", &[]);
        assert_eq!(used(&then, &paths[1]), BTreeMap::from([(1, 10_000), (16, 2)]));
        let drained = then.drain();
        let again = House::start(&config(&_copy.path().join("data"), |_| {}), None).expect("a start");
        assert_eq!(again.daemon().face.last_hash.lock().0, drained.hash, "snapshot: {snapshot}");
    }
}

/// One wallet with one card, and time as the test tells it.
struct Books {
    shard: Shard,
    card: CardRef,
    sequence: u64,
}

impl Books {
    const WALLET: WalletId = WalletId(1);

    fn new() -> Self {
        let capacity = Capacity {
            wallets: 4,
            further_accounts: 4,
            cards: 4,
            authorizations: 64,
            limits: 8,
            counted: 64,
        };
        let first = Slot::new(0).expect("a slot");
        let shard = Shard::new(first, SLOTS, capacity, Bounds::default(), 7);
        let (slot, wallet) = (Slot::of_wallet(Self::WALLET), Self::WALLET);
        let card = shard.next_card_ref(slot);
        let funded =
            AccountFunded { slot, wallet, account: 0, currency: dollars(), amount: 99_999, overdraft: 0 };
        let opened = CardOpened {
            slot,
            wallet,
            card,
            pan: Pan::from_value(4_000_000_000_000_002, 16).expect("a card number"),
            expiry: Expiry::new(3012).expect("a month"),
            service_code: ServiceCode(201),
            status: CardStatus::Active,
            verification: Verification::None,
            key: None,
        };
        let mut books = Self { shard, card, sequence: 0 };
        books.apply(0, &Event::AccountFunded(funded));
        books.apply(0, &Event::CardOpened(opened));
        books
    }

    fn apply(&mut self, seconds: u64, event: &Event) {
        self.sequence += 1;
        let time = Timestamp::from_seconds(seconds);
        self.shard.apply(Sequence(self.sequence), time, event).expect("it applies");
        assert_eq!(self.shard.audit(), Ok(()));
    }

    /// Tells what is known at a time of a zone, which becomes the first.
    fn tell(&mut self, name: &str, at: u64) -> Zone {
        let (slot, zone) = (Slot::of_wallet(Self::WALLET), ZoneNumber::new(1).expect("a number"));
        let table = zones::look_up(name, Timestamp::from_seconds(at)).expect("a zone");
        for part in table.changes().chunks(ZoneChanges::MAX) {
            let changes = ZoneChanges::new(part).expect("changes");
            self.apply(at, &Event::ZoneSet(ZoneSet { slot, zone, name: table.name(), changes }));
        }
        Zone::Named(zone)
    }

    fn limit(&mut self, window: Window, at: u64) {
        let limit = Limit { measure: Measure::Count, max: 9, window, filter: Filter::ALL };
        let (slot, subject) = (Slot::of_wallet(Self::WALLET), Subject::Wallet(Self::WALLET));
        let number = Number::new(1).expect("a number");
        self.apply(at, &Event::LimitSet(LimitSet { slot, subject, number, limit: Some(limit) }));
    }

    /// The network approves a purchase.
    fn uses(&mut self, at: u64) {
        self.takes(at, Effect::Hold(100));
    }

    /// A purchase is reversed.
    fn reverses(&mut self, at: u64, undoes: Sequence) {
        let reversed = Reversed {
            slot: Slot::of_wallet(Self::WALLET),
            card: CardIdentity::Known(self.card),
            key: self.key(at),
            advice: true,
            repeat: false,
            processing_code: ProcessingCode(0),
            amount: Money::new(100, dollars()),
            original: None,
            approval_code: None,
            undoes,
            whole: false,
            keeps: None,
            legs: Legs::Both,
            reason: 0,
            configuration: 1,
            decided_after_us: 0,
        };
        self.apply(at, &Event::Reversed(reversed));
    }

    fn key(&self, at: u64) -> MessageKey {
        MessageKey {
            network: NameId(1),
            link: NameId(1),
            stan: Stan(self.sequence as u32),
            transmission: TransmissionTime::at(Timestamp::from_seconds(at)),
            acquirer: InstitutionId(1),
            rrn: Rrn::BLANK,
            terminal: TerminalId::BLANK,
            merchant: MerchantId::BLANK,
            network_reference: 0,
        }
    }

    /// The network has a purchase approved, or posted.
    fn takes(&mut self, at: u64, effect: Effect) {
        let posts = matches!(effect, Effect::Post(_));
        let advised = Advised {
            slot: Slot::of_wallet(Self::WALLET),
            card: CardIdentity::Known(self.card),
            account: 0,
            key: self.key(at),
            class: if posts { MessageClass::Financial } else { MessageClass::Authorization },
            increment: false,
            repeat: false,
            processing_code: ProcessingCode(0),
            mcc: 5_411,
            country: 840,
            channel: Channel::Other,
            amount: Money::new(100, dollars()),
            billing: None,
            approved: true,
            reason: 0,
            approval_code: None,
            sets: Sequence(0),
            action: ActionCode::Approved,
            effect,
            charge: None,
            shares: Shares::NONE,
            configuration: 1,
            hold_until_s: u32::MAX,
            decided_after_us: 0,
        };
        self.apply(at, &Event::Advised(advised));
    }

    /// How many are counted at a time, and when the window ends.
    fn shown(&self, at: u64) -> (i64, u64) {
        let views = self.shard.limits_of(Subject::Wallet(Self::WALLET), Timestamp::from_seconds(at));
        let view = views.expect("the wallet")[0];
        (view.used, view.ends_s.expect("a calendar window"))
    }
}

fn dollars() -> Currency {
    Currency::new(840).expect("a currency")
}

/// A time of UTC: year, month, day, hour.
type Hour = (i32, u32, u32, u64);

fn at((year, month, day, hour): Hour) -> u64 {
    days_from_civil(year, month, day) as u64 * 86_400 + hour * 3_600
}

#[test]
fn r18_calendar_windows_follow_the_clocks_of_their_zone() {
    type Row = (&'static str, fn(Zone) -> Window, [Hour; 3]);
    // A zone, a window, and when one begins, the next, and the one after that: hours of UTC.
    let table: &[Row] = &[
        // Clocks go forward (23 hours) and back (25), at two or three in the morning.
        ("America/New_York", Window::Day, [(2027, 3, 13, 5), (2027, 3, 14, 5), (2027, 3, 15, 4)]),
        ("America/New_York", Window::Day, [(2027, 11, 7, 4), (2027, 11, 8, 5), (2027, 11, 9, 5)]),
        ("Europe/Berlin", Window::Day, [(2027, 3, 27, 23), (2027, 3, 28, 22), (2027, 3, 29, 22)]),
        ("Europe/Berlin", Window::Day, [(2027, 10, 30, 22), (2027, 10, 31, 23), (2027, 11, 1, 23)]),
        // At midnight itself: a day that begins at one, and one whose last hour comes twice.
        ("Africa/Cairo", Window::Day, [(2027, 4, 28, 22), (2027, 4, 29, 22), (2027, 4, 30, 21)]),
        ("Africa/Cairo", Window::Day, [(2027, 10, 27, 21), (2027, 10, 28, 22), (2027, 10, 29, 22)]),
        // Weeks from Monday, with a change in the first and in the second.
        ("Europe/Berlin", Window::Week, [(2027, 3, 21, 23), (2027, 3, 28, 22), (2027, 4, 4, 22)]),
        ("America/New_York", Window::Week, [(2027, 11, 1, 4), (2027, 11, 8, 5), (2027, 11, 15, 5)]),
        ("America/New_York", Window::Month, [(2027, 3, 1, 5), (2027, 4, 1, 4), (2027, 5, 1, 4)]),
        // The end of a year, of two that differ in length, and of a February with 29 days.
        ("Europe/Berlin", Window::Day, [(2027, 12, 30, 23), (2027, 12, 31, 23), (2028, 1, 1, 23)]),
        ("Europe/Berlin", Window::Week, [(2027, 12, 26, 23), (2028, 1, 2, 23), (2028, 1, 9, 23)]),
        ("Pacific/Auckland", Window::Year, [(2027, 12, 31, 11), (2028, 12, 31, 11), (2029, 12, 31, 11)]),
        ("Pacific/Auckland", Window::Month, [(2028, 1, 31, 11), (2028, 2, 29, 11), (2028, 3, 31, 11)]),
        ("America/New_York", Window::Day, [(2028, 2, 29, 5), (2028, 3, 1, 5), (2028, 3, 2, 5)]),
        ("UTC", Window::Day, [(2028, 2, 28, 0), (2028, 2, 29, 0), (2028, 3, 1, 0)]),
    ];
    for (zone, window, begins) in table {
        let [first, second, third] = begins.map(at);
        let mut books = Books::new();
        let told = at((2026, 11, 29, 0));
        let window = window(books.tell(zone, told));
        books.limit(window, told);
        let case = format!("{zone} {window} {begins:?}");
        // A use in the last second before, in the first and the last of each window: what is counted after each.
        let uses = [(first - 1, 1, first), (first, 1, second), (second - 1, 2, second), (second, 1, third)];
        for (time, used, ends) in uses.into_iter().chain([(third - 1, 2, third)]) {
            books.uses(time);
            assert_eq!(books.shown(time), (used, ends), "{case}: {time}");
        }
        assert_eq!(books.shown(third).0, 0, "{case}");
    }
}

#[test]
fn r18_a_zone_that_changes_its_rules_moves_no_count() {
    let mut books = Books::new();
    let told = at((2026, 11, 29, 0));
    let zone = books.tell("Europe/Berlin", told);
    books.limit(Window::Day(zone), told);
    let noon = at((2027, 3, 27, 12));
    books.uses(noon);
    // On the last day before, it becomes known that clocks stay as they are.
    let (slot, number) = (Slot::of_wallet(Books::WALLET), ZoneNumber::new(1).expect("a number"));
    let name = books.shard.limits().zones_of(slot)[0].name();
    let offset = UtcOffset::new(60).expect("an offset");
    let changes = ZoneChanges::new(&[ZoneChange { from_s: noon as u32, offset }]).expect("a change");
    books.apply(noon, &Event::ZoneSet(ZoneSet { slot, zone: number, name, changes }));
    assert_eq!(books.shown(noon), (1, at((2027, 3, 27, 23))));
    assert_eq!(books.shown(at((2027, 3, 27, 23))), (0, at((2027, 3, 28, 23))));
    // What is told under the number of another zone, and a limit by a zone that was not told, do not fit.
    let other = Event::ZoneSet(ZoneSet { slot, zone: number, name: Text::from_ascii(b"No/Where"), changes });
    let limit = Limit {
        measure: Measure::Count,
        max: 1,
        window: Window::Day(Zone::Named(ZoneNumber::new(2).expect("a number"))),
        filter: Filter::ALL,
    };
    let (subject, number) = (Subject::Wallet(Books::WALLET), Number::new(2).expect("a number"));
    let unknown = Event::LimitSet(LimitSet { slot, subject, number, limit: Some(limit) });
    for event in [other, unknown] {
        let applied = books.shard.apply(Sequence(99), Timestamp::from_seconds(noon), &event);
        assert_eq!(applied.err(), Some(ApplyError::NoSuchZone), "{event:?}");
    }
}

#[test]
fn r18_a_limit_goes_by_a_zone_after_a_start_from_records_and_from_a_snapshot() {
    for snapshot in [false, true] {
        let (house, directory) = house();
        let path = "/v1/wallets/1/limits";
        let body = |zone: &str| format!("{{\"measure\":\"count\",\"max\":3,\"window\":\"day\",{zone}}}");
        set(&house, &format!("{path}/1"), &body("\"time_zone\":\"pacific/auckland\""));
        set(&house, &format!("{path}/2"), &body("\"time_zone\":\"America/New_York\""));
        set(&house, &format!("{path}/3"), &body("\"utc_offset_minutes\":-300"));
        let (status, answer) = house.verb("PUT", &format!("{path}/4"), &body("\"time_zone\":\"Here\""));
        assert!(status == 400 && answer["error"].as_str().is_some_and(|words| words.contains("IANA")));
        let mut peer = house.connect("iso87");
        assert_eq!(outcome(&mut peer, &[(11, "000001")]), "00");
        if snapshot {
            assert_eq!(house.verb("POST", "/v1/snapshots", "").0, 200);
        }
        // Acknowledged, so everything before it is on disk.
        set(&house, &format!("{path}/5"), &body("\"time_zone\":\"America/New_York\""));
        let shown = house.json(path);
        let zone = |n: usize| shown["limits"][n]["limit"]["time_zone"].as_str();
        assert_eq!([zone(0), zone(1), zone(2)], [Some("Pacific/Auckland"), Some("America/New_York"), None]);
        let (then, copy) = as_if_killed(directory.path());
        assert_eq!(then.json(path), shown, "snapshot: {snapshot}");
        let mut peer = then.connect("iso87");
        for (stan, expected) in [("000002", "00"), ("000003", "00"), ("000004", "65")] {
            assert_eq!(outcome(&mut peer, &[(11, stan)]), expected);
        }
        let drained = then.drain();
        let again = House::start(&config(&copy.path().join("data"), |_| {}), None).expect("a start");
        assert_eq!(again.daemon().face.last_hash.lock().0, drained.hash, "snapshot: {snapshot}");
    }
}

/// The usual house with two products: the cards of wallet 1 are of gold.
fn with_products(shards: u16) -> (House, tempfile::TempDir) {
    let directory = tempfile::tempdir().expect("a directory");
    let lines = format!("{SEED}1,840,100000,0,{SECOND},3012,201,active\n");
    let house = House::start(&products(directory.path(), shards), Some(&seed(&lines))).expect("a start");
    (house, directory)
}

fn products(data: &Path, shards: u16) -> Config {
    config(data, |config| set_products(config, shards))
}

fn set_products(config: &mut Config, shards: u16) {
    config.daemon.shards = shards;
    let product = |name: &str, number, ranges: &[&str]| ProductSettings {
        name: name.to_owned(),
        number: ProductNumber::new(number).expect("a number"),
        ranges: ranges.iter().map(|text| PanRange::of_text(text).expect("a range")).collect(),
    };
    config.products = vec![product("gold", 1, &["4111"]), product("platinum", 2, &["422222"])];
}

/// What counts against the limits of a card's product, by number.
fn used_of_product(house: &House, card: u64) -> BTreeMap<u64, i64> {
    let list = house.json(&format!("/v1/cards/{card}/limits"));
    let limits = list["product_limits"].as_array().expect("a list").iter();
    let of = |limit: &Json| Some((limit["number"].as_u64()?, limit["used"].as_i64()?));
    limits.map(|limit| of(limit).expect("numbers")).collect()
}

#[test]
fn r18_each_card_or_each_wallet_of_a_product_is_held_to_its_limits() {
    for_each_link(|_, link, _| {
        let (house, _directory) = with_products(16);
        let peer = &mut house.connect(link);
        let (first, second) = (card_of(&house, 1, "1111"), card_of(&house, 1, "1129"));
        assert_eq!(house.json(&format!("/v1/cards/{first}"))["product"], "gold");
        assert_eq!(house.json("/v1/products")["products"][1]["ranges"][0], "422222");
        let gold = "/v1/products/gold/limits";
        set(&house, &format!("{gold}/1"), r#"{"measure":"count","max":2,"window":"day"}"#);
        let each = r#"{"measure":"amount","currency":"840","max":17000,"window":"month",
            "time_zone":"America/New_York","per":"wallet"}"#;
        set(&house, &format!("{gold}/2"), each);
        assert_eq!(house.json(gold)["limits"][1]["limit"]["per"], "wallet");
        assert_eq!(house.json(gold)["limits"][1]["limit"]["time_zone"], "America/New_York");
        // Each card by itself, and both together by their wallet.
        for (stan, pan, expected) in [
            ("000001", PAN, "00"),
            ("000002", PAN, "00"),
            ("000003", PAN, "65"),
            ("000004", SECOND, "00"),
            ("000005", SECOND, "61"),
            // Another product, and one without a product, do not notice.
            ("000006", "4222222222222220", "00"),
        ] {
            assert_eq!(outcome(peer, &[(11, stan), (2, pan)]), expected, "{link}: {stan}");
        }
        assert_eq!(used_of_product(&house, first), BTreeMap::from([(1, 2), (2, 15_000)]));
        assert_eq!(used_of_product(&house, second), BTreeMap::from([(1, 1), (2, 15_000)]));
        // What is reversed goes back to both.
        reverse(peer, "000001", &[]);
        assert_eq!(used_of_product(&house, first), BTreeMap::from([(1, 1), (2, 10_000)]));
        // A limit of the card's own is beside them: the strictest wins, whichever it is.
        let own = format!("/v1/cards/{second}/limits/1");
        set(&house, &own, r#"{"measure":"amount","currency":"840","max":1000,"window":"transaction"}"#);
        assert_eq!(outcome(peer, &[(11, "000007"), (2, SECOND), (4, "000000001001")]), "61");
        set(&house, &own, r#"{"measure":"amount","currency":"840","max":900000,"window":"transaction"}"#);
        assert_eq!(outcome(peer, &[(11, "000008"), (2, SECOND), (4, "000000007001")]), "61");
        // Another maximum goes on from what was counted; another window begins anew; without it all may pass.
        set(&house, &format!("{gold}/1"), r#"{"measure":"count","max":1,"window":"day"}"#);
        assert_eq!(outcome(peer, &[(11, "000009")]), "65");
        set(&house, &format!("{gold}/1"), r#"{"measure":"count","max":1,"window":"week"}"#);
        assert_eq!(outcome(peer, &[(11, "000010")]), "00");
        assert_eq!(used_of_product(&house, first), BTreeMap::from([(1, 1), (2, 15_000)]));
        // What was counted by the one before is not given back by the one that took its place.
        reverse(peer, "000002", &[]);
        assert_eq!(used_of_product(&house, first), BTreeMap::from([(1, 1), (2, 10_000)]));
        for number in [1, 2] {
            assert_eq!(house.verb("DELETE", &format!("{gold}/{number}"), "").0, 200);
            assert_eq!(house.verb("DELETE", &format!("{gold}/{number}"), "").0, 404);
        }
        for stan in ["000011", "000012", "000013"] {
            assert_eq!(outcome(peer, &[(11, stan)]), "00");
        }
        assert_eq!(house.metric("turnpike_ledger_limits"), 1, "what is removed takes no room");
    });
}

#[test]
fn a_control_of_a_product_is_for_all_its_cards() {
    let (house, _directory) = with_products(16);
    let mut peer = house.connect("visa");
    let control = "/v1/products/gold/controls/3";
    set(&house, control, r#"{"rule":"deny","mcc":["gambling"]}"#);
    for (stan, pan, expected) in
        [("000001", PAN, "57"), ("000002", SECOND, "57"), ("000003", "4222222222222220", "00")]
    {
        assert_eq!(outcome(&mut peer, &[(11, stan), (2, pan), (18, "7995")]), expected, "{stan}");
    }
    assert_eq!(outcome(&mut peer, &[(11, "000004")]), "00");
    assert_eq!(house.json("/v1/products/gold/controls")["controls"][0]["control"]["mcc"][0], "7800-7802");
    assert_eq!(house.verb("DELETE", control, "").0, 200);
    assert_eq!(outcome(&mut peer, &[(11, "000005"), (18, "7995")]), "00");
    let refused = [
        ("PUT", "/v1/products/gold/controls/1", r#"{"rule":"lock"}"#, 400, "a product has none"),
        (
            "PUT",
            "/v1/products/silver/controls/1",
            r#"{"rule":"deny","mcc":["cash"]}"#,
            404,
            "no such product",
        ),
        (
            "PUT",
            "/v1/products/gold/limits/17",
            r#"{"measure":"count","max":1,"window":"day"}"#,
            400,
            "1 to 16",
        ),
        (
            "PUT",
            "/v1/products/gold/limits/1",
            r#"{"measure":"count","max":1,"window":"day","per":"pan"}"#,
            400,
            "`per`",
        ),
        ("DELETE", "/v1/products/gold/limits/1", "", 404, "no such limit"),
        ("DELETE", "/v1/products/gold/controls/1", "", 404, "no such control"),
        ("GET", "/v1/products/silver/limits", "", 404, "no such product"),
    ];
    for (method, path, body, status, words) in refused {
        let (got, answer) = house.verb(method, path, body);
        let error = answer["error"].as_str().unwrap_or_default();
        assert!(got == status && error.contains(words), "{method} {path}: {got} {error}");
    }
}

#[test]
fn r18_limits_of_products_are_the_same_after_a_start_from_records_and_from_a_snapshot() {
    for snapshot in [false, true] {
        let (house, directory) = with_products(16);
        let (gold, first) = ("/v1/products/gold/limits", card_of(&house, 1, "1111"));
        set(
            &house,
            &format!("{gold}/1"),
            r#"{"measure":"count","max":3,"window":"sliding","seconds":604800}"#,
        );
        let each = r#"{"measure":"amount","currency":"840","max":20000,"window":"day",
            "time_zone":"Asia/Tokyo","per":"wallet"}"#;
        set(&house, &format!("{gold}/16"), each);
        let mut peer = house.connect("iso87");
        for (stan, pan) in [("000001", PAN), ("000002", SECOND)] {
            assert_eq!(outcome(&mut peer, &[(11, stan), (2, pan)]), "00");
        }
        if snapshot {
            assert_eq!(house.verb("POST", "/v1/snapshots", "").0, 200);
        }
        reverse(&mut peer, "000002", &[(2, SECOND)]);
        let shown = house.json(&format!("/v1/cards/{first}/limits"));
        assert_eq!(used_of_product(&house, first), BTreeMap::from([(1, 1), (16, 5_000)]));
        // Over another number of shards.
        let (then, copy) = as_if_killed_with(directory.path(), |config| set_products(config, 4));
        let data = copy.path().join("data");
        let mut other = products(&data, 4);
        other.products[1].ranges.push(PanRange::of_text("411111111111").expect("a range"));
        assert_eq!(then.json(&format!("/v1/cards/{first}/limits")), shown, "snapshot: {snapshot}");
        assert_eq!(then.json(gold), house.json(gold));
        let mut peer = then.connect("iso87");
        for (stan, expected) in [("000003", "00"), ("000004", "00"), ("000005", "65")] {
            assert_eq!(outcome(&mut peer, &[(11, stan)]), expected, "snapshot: {snapshot}");
        }
        reverse(&mut peer, "000001", &[]);
        assert_eq!(used_of_product(&then, first), BTreeMap::from([(1, 2), (16, 10_000)]));
        let drained = then.drain();
        let again = House::start(&other, None).expect("a start");
        assert_eq!(again.daemon().face.last_hash.lock().0, drained.hash, "snapshot: {snapshot}");
        // Both cards begin with that number: they left what was counted of them behind.
        assert_eq!(again.json(&format!("/v1/cards/{first}"))["product"], "platinum");
        assert_eq!(used_of_product(&again, first), BTreeMap::new());
        drop(again.drain());
        let back = House::start(&products(&data, 16), None).expect("a start");
        assert_eq!(used_of_product(&back, first), BTreeMap::from([(1, 0), (16, 10_000)]));
    }
}

#[test]
fn r18_what_a_crash_has_left_half_set_is_set_everywhere_by_the_next_start() {
    let (house, directory) = with_products(1);
    let limit = Limit { measure: Measure::Count, max: 1, window: Window::Lifetime, filter: Filter::ALL };
    let subject = Subject::EachCard(ProductNumber::new(1).expect("a number"));
    let (slot, number) = (Slot::new(0).expect("a slot"), Number::new(5).expect("a number"));
    let event = Event::LimitSet(LimitSet { slot, subject, number, limit: Some(limit) });
    let now = turnpike::edge::clock::now();
    house.daemon().face.pipeline.commit_to_all(&event, now).expect("room");
    let mut peer = house.connect("visa");
    for stan in ["000001", "000002"] {
        assert_eq!(outcome(&mut peer, &[(11, stan)]), "00", "its slot does not know of it");
    }
    // Acknowledged, so what came before it is on disk.
    set(&house, "/v1/wallets/2/limits/1", r#"{"measure":"count","max":9,"window":"day"}"#);
    let (then, _copy) = as_if_killed_with(directory.path(), |config| set_products(config, 1));
    let mut peer = then.connect("visa");
    for (stan, expected) in [("000003", "00"), ("000004", "65")] {
        assert_eq!(outcome(&mut peer, &[(11, stan)]), expected);
    }
}

#[test]
fn r18_counters_of_a_product_take_room_only_once_a_card_is_used() {
    let directory = tempfile::tempdir().expect("a directory");
    let small = {
        let mut small = products(directory.path(), 1);
        (small.ledger.limits_max, small.ledger.counted_max) = (1, 30);
        small
    };
    let lines = format!("{SEED}1,840,100000,0,{SECOND},3012,201,active\n");
    let house = House::start(&small, Some(&seed(&lines))).expect("a start");
    let gold = "/v1/products/gold/limits/1";
    set(&house, gold, r#"{"measure":"count","max":10,"window":"day"}"#);
    assert_eq!(house.metric("turnpike_ledger_limits"), 0);
    let mut peer = house.connect("visa");
    for (stan, pan, expected) in [("000001", PAN, "00"), ("000002", PAN, "00"), ("000003", SECOND, "96")] {
        assert_eq!(outcome(&mut peer, &[(11, stan), (2, pan), (4, "000000000100")]), expected);
    }
    assert_eq!(house.metric("turnpike_ledger_limits"), 1);
    // Another limit makes the counters of the one before stale, and their places are free.
    set(&house, gold, r#"{"measure":"count","max":10,"window":"week"}"#);
    for (stan, pan, expected) in [("000004", SECOND, "00"), ("000005", PAN, "96")] {
        assert_eq!(outcome(&mut peer, &[(11, stan), (2, pan), (4, "000000000100")]), expected);
    }
    // A reversal is taken, whoever has the place.
    reverse(&mut peer, "000001", &[(4, "000000000100")]);
    set(&house, "/v1/wallets/1/controls/1", r#"{"rule":"deny","mcc":["cash"]}"#);
    // In a replay too.
    let (then, _copy) = as_if_killed_with(directory.path(), |config| {
        set_products(config, 1);
        (config.ledger.limits_max, config.ledger.counted_max) = (1, 30);
    });
    assert_eq!(used_of_product(&then, card_of(&then, 1, "1129")), BTreeMap::from([(1, 1)]));
}

/// Closed authorizations that a slot keeps in memory.
const KEPT: u32 = 3;

#[test]
fn r18_what_has_left_memory_is_given_back_when_it_is_reversed() {
    for (link, restart) in LINKS.into_iter().flat_map(|(link, _)| [(link, false), (link, true)]) {
        let forgetful = |config: &mut Config| {
            set_products(config, 16);
            config.ledger.bounds.closed_per_slot = KEPT;
            config.journal.retained_segments = 1_000;
        };
        let directory = tempfile::tempdir().expect("a directory");
        let mut house =
            House::start(&config(directory.path(), forgetful), Some(&seed(SEED))).expect("a start");
        let (card, wallet) = (card_of(&house, 1, "1111"), "/v1/wallets/1/limits");
        let amount = r#"{"measure":"amount","currency":"840","max":90000,"window":"lifetime"}"#;
        set(&house, &format!("{wallet}/1"), amount);
        set(&house, &format!("{wallet}/2"), r#"{"measure":"count","max":99,"window":"year"}"#);
        let gold = "/v1/products/gold/limits/7";
        set(
            &house,
            gold,
            r#"{"measure":"amount","currency":"840","max":90000,"window":"sliding","seconds":604800}"#,
        );
        let mut peer = house.connect(link);
        let sale = |peer: &mut Peer, stan: &str| {
            let rrn = format!("SALE{stan}00");
            assert_eq!(
                peer.ask(200, &with(PURCHASE, &[(11, stan), (37, &rrn)])).outcome(),
                (210, "00"),
                "{link}"
            );
        };
        sale(&mut peer, "000001");
        // A limit that comes later has not counted it.
        set(&house, &format!("{wallet}/3"), amount);
        for n in 0..=KEPT {
            sale(&mut peer, &format!("00010{n}"));
        }
        let mut _copy = None;
        if restart {
            set(&house, &format!("{wallet}/9"), amount);
            let (then, copy) = as_if_killed_with(directory.path(), forgetful);
            (house, _copy) = (then, Some(copy));
            peer = house.connect(link);
        }
        let shown = |house: &House| {
            let own = used(house, wallet);
            (own[&1], own[&2], own[&3], used_of_product(house, card)[&7])
        };
        assert_eq!(shown(&house), (25_000, 5, 20_000, 25_000), "{link} {restart}");
        let original = format!("0200{}06041234561234567890100000000000", "000001");
        let undo = [(11, "900001"), (14, ""), (37, "SALE00000100"), (90, original.as_str())];
        for _ in 0..2 {
            assert_eq!(peer.ask(420, &with(PURCHASE, &undo)).outcome(), (430, "00"), "{link}");
            assert_eq!(house.balance(1), (80_000, 0), "{link} {restart}");
            assert_eq!(shown(&house), (20_000, 4, 20_000, 20_000), "{link} {restart}");
        }
    }
}

#[test]
fn r18_what_comes_back_is_given_back_to_a_window_that_is_open_and_no_other() {
    let (first, slot) = (at((2027, 3, 10, 12)), Slot::of_wallet(Books::WALLET));
    for (later, given_back) in [(600, true), (86_400, false)] {
        let mut books = Books::new();
        books.shard.note_departures(8, 8);
        let bounds = Bounds { closed_per_slot: 1, ..Bounds::default() };
        books.apply(first, &Event::Configured(Configured { version: 1, bounds, keys: KeysKept::default() }));
        books.limit(Window::Day(Zone::default()), first);
        let made = Sequence(books.sequence + 1);
        books.takes(first, Effect::Post(100));
        books.takes(first, Effect::Post(100));
        let left = books.shard.departed().to_vec();
        assert_eq!(left.iter().map(|left| left.authorization.sequence).collect::<Vec<_>>(), [made]);
        let time = first + later;
        books.takes(time, Effect::Hold(100));
        let before = books.shown(time).0;
        assert_eq!(before, if given_back { 3 } else { 1 });
        let (closed, counted) = (left[0].authorization.closed(), left[0].counted);
        books.apply(time, &Event::Recalled(Recalled { slot, card: books.card, closed, counted }));
        assert_eq!(books.shown(time).0, before, "what comes back was counted");
        books.reverses(time, made);
        assert_eq!(books.shown(time).0, before - i64::from(given_back), "{later}");
    }
}

#[test]
fn a_status_of_a_card_is_effective_for_the_next_message() {
    for_each_link(|house, link, peer| {
        let card = card_of(house, 1, "1111");
        let path = format!("/v1/cards/{card}/status");
        let give = |status: &str| house.verb("POST", &path, &format!("{{\"status\":\"{status}\"}}")).0;
        let closed = if link == "mastercard" { "14" } else { "46" };
        // What is asked for, whether it is done, and what becomes of the next purchase.
        let table = [
            ("frozen", 200, "62"),
            ("frozen", 200, "62"),
            ("active", 200, "00"),
            ("lost", 200, "41"),
            ("active", 409, "41"),
            ("frozen", 409, "41"),
            ("stolen", 200, "43"),
            ("closed", 200, closed),
            ("lost", 409, closed),
            ("sleeping", 400, closed),
        ];
        for (n, (status, done, expected)) in table.iter().enumerate() {
            assert_eq!(give(status), *done, "{link}: {status}");
            let stan = format!("{n:06}");
            assert_eq!(outcome(peer, &[(11, &stan), (4, "000000000100")]), *expected, "{link}: {status}");
        }
        assert_eq!(house.json(&format!("/v1/cards/{card}"))["status"], "closed");
        // The other card of the wallet can be used.
        assert_eq!(outcome(peer, &[(11, "000100"), (2, SECOND)]), "00");
    });
}

#[test]
fn a_verb_that_cannot_be_done_says_why() {
    let (house, _directory) = house();
    let limit = r#"{"measure":"count","max":1,"window":"day"}"#;
    let card = card_of(&house, 1, "1111");
    let table = [
        ("PUT", "/v1/cards/12345/limits/1".to_owned(), limit, 404, "no such card"),
        ("PUT", "/v1/wallets/999/limits/1".to_owned(), limit, 404, "no such wallet"),
        ("GET", "/v1/cards/12345/controls".to_owned(), "", 404, "no such card"),
        ("GET", "/v1/cards/12345".to_owned(), "", 404, "no such card"),
        ("PUT", format!("/v1/cards/{PAN}x/limits/1"), limit, 400, "by its reference"),
        ("PUT", format!("/v1/cards/{card}/limits/0"), limit, 400, "1 to 16"),
        ("PUT", format!("/v1/cards/{card}/limits/17"), limit, 400, "1 to 16"),
        ("PUT", format!("/v1/cards/{card}/limits/1"), r#"{"window":"day"}"#, 400, "`measure` is missing"),
        ("DELETE", format!("/v1/cards/{card}/limits/1"), "", 404, "no such limit"),
        ("DELETE", "/v1/wallets/1/controls/1".to_owned(), "", 404, "no such control"),
        ("PUT", "/v1/wallets/1/controls/1".to_owned(), r#"{"rule":"deny"}"#, 400, "a control has one of"),
    ];
    for (method, path, body, status, words) in table {
        let (got, answer) = house.verb(method, &path, body);
        let error = answer["error"].as_str().unwrap_or_default().to_owned();
        assert!(got == status && error.contains(words), "{method} {path}: {got} {error}");
    }
}

#[test]
fn r18_full_tables_refuse_and_never_wait() {
    let directory = tempfile::tempdir().expect("a directory");
    let small = config(directory.path(), |config| {
        config.daemon.shards = 1;
        (config.ledger.limits_max, config.ledger.counted_max) = (2, 3);
    });
    let house = House::start(&small, Some(&seed(SEED))).expect("a start");
    let limit = r#"{"measure":"count","max":100,"window":"day"}"#;
    let control = r#"{"rule":"deny","mcc":["cash"]}"#;
    for number in [1, 2] {
        set(&house, &format!("/v1/wallets/1/limits/{number}"), limit);
        set(&house, &format!("/v1/wallets/2/controls/{number}"), control);
    }
    for (path, body) in [("/v1/wallets/8/limits/1", limit), ("/v1/wallets/8/controls/1", control)] {
        let (status, answer) = house.verb("PUT", path, body);
        let words = answer["error"].as_str().unwrap_or_default();
        assert!(status == 503 && words.contains("ledger.limits_max"), "{path}: {status} {words}");
    }
    let mut peer = house.connect("visa");
    for (stan, expected) in [("000001", "00"), ("000002", "00"), ("000003", "00"), ("000004", "96")] {
        assert_eq!(outcome(&mut peer, &[(11, stan), (4, "000000000100")]), expected);
    }
    // Who has no limit does not notice, with controls or without; a reversal is taken and makes room.
    let unlimited = [(11, "000005"), (2, "4222222222222220"), (4, "000000000100")];
    assert_eq!(outcome(&mut peer, &unlimited), "00");
    reverse(&mut peer, "000001", &[(4, "000000000100")]);
    assert_eq!(outcome(&mut peer, &[(11, "000006"), (4, "000000000100")]), "00");
    for (metric, value) in [("limits", 2), ("controls", 2), ("counted", 3)] {
        assert_eq!(house.metric(&format!("turnpike_ledger_{metric}")), value, "{metric}");
    }
}

/// Ranges of categories as `5411, 5500-5599`.
fn written(ranges: &[(u16, u16)]) -> String {
    let one = |(first, last): &(u16, u16)| {
        if first == last { format!("{first:04}") } else { format!("{first:04}-{last:04}") }
    };
    ranges.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[test]
fn the_groups_of_categories_are_those_that_the_document_lists() {
    let document = include_str!("../docs/limits.md");
    let rows = MCC_GROUPS.iter().map(|(name, ranges)| format!("| `{name}` | {} |", written(ranges)));
    let listed = document.lines().skip_while(|line| !line.starts_with("| group |")).skip(2);
    let listed: Vec<&str> = listed.take_while(|line| line.starts_with('|')).collect();
    assert_eq!(listed, rows.collect::<Vec<_>>());
}

#[test]
fn a_table_of_response_codes_that_is_older_than_a_code_sends_what_it_sends_for_an_older_one() {
    let newer: Vec<ActionCode> =
        ActionCode::ALL.iter().map(|(code, _)| *code).filter(|code| code.falls_back_to().is_some()).collect();
    assert!(!newer.is_empty());
    let text = include_str!("../src/dialect/tables/visa.toml");
    let is_newer = |line: &str| newer.iter().any(|code| line.starts_with(&format!("{} =", code.name())));
    let older: Vec<&str> = text.lines().filter(|line| !is_newer(line)).collect();
    let dialect = Dialect::from_toml("older.toml", &older.join("\n")).expect("it loads");
    for code in newer {
        assert_eq!(dialect.response_code(code), *b"57", "{code:?}");
    }
    assert_eq!(dialect.response_code(ActionCode::InsufficientFunds), *b"51");
}
