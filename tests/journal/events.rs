//! Events and journals that the tests share.

use proptest::prelude::*;

use crate::journal::clearing::any_clearing;
use crate::journal::forward::any_forward;
use crate::journal::memory::Memory;
use crate::journal::moved::any_mandate;
use crate::journal::moved::any_moved;
use crate::journal::moved::caller_key;
use crate::journal::settings::any_setting;
use turnpike::crypto::vault::Vault;
use turnpike::domain::action::ActionCode;
use turnpike::domain::asset::AssetSet;
use turnpike::domain::asset::Price;
use turnpike::domain::asset::Quote;
use turnpike::domain::asset::RateSet;
use turnpike::domain::card::CardIdentity;
use turnpike::domain::card::CardRef;
use turnpike::domain::card::CardStatus;
use turnpike::domain::card::MaskedPan;
use turnpike::domain::card::Pan;
use turnpike::domain::card::ServiceCode;
use turnpike::domain::card::Verification;
use turnpike::domain::closed::Closed;
use turnpike::domain::closed::Counted;
use turnpike::domain::event::AccountFunded;
use turnpike::domain::event::Advised;
use turnpike::domain::event::Bounds;
use turnpike::domain::event::CardOpened;
use turnpike::domain::event::Configured;
use turnpike::domain::event::Decided;
use turnpike::domain::event::Effect;
use turnpike::domain::event::Event;
use turnpike::domain::event::Expired;
use turnpike::domain::event::Facts;
use turnpike::domain::event::Noted;
use turnpike::domain::event::Recalled;
use turnpike::domain::event::Reversed;
use turnpike::domain::event::Seeded;
use turnpike::domain::event::Sequence;
use turnpike::domain::event::Unanswered;
use turnpike::domain::event::WalletStatusSet;
use turnpike::domain::fee::Charge;
use turnpike::domain::fee::CodeAndCharge;
use turnpike::domain::interest;
use turnpike::domain::interest::DayCount;
use turnpike::domain::interest::DayNumber;
use turnpike::domain::interest::InterestPaid;
use turnpike::domain::interest::InterestSet;
use turnpike::domain::interest::PaidOut;
use turnpike::domain::interest::Payout;
use turnpike::domain::money::Currency;
use turnpike::domain::money::Money;
use turnpike::domain::moved::KeysKept;
use turnpike::domain::party::InstitutionId;
use turnpike::domain::party::NameId;
use turnpike::domain::party::Slot;
use turnpike::domain::party::Text;
use turnpike::domain::party::WalletId;
use turnpike::domain::party::WalletStatus;
use turnpike::domain::product::ProductNumber;
use turnpike::domain::request::ApprovalCode;
use turnpike::domain::request::Legs;
use turnpike::domain::request::MessageClass;
use turnpike::domain::request::MessageKey;
use turnpike::domain::request::OriginalData;
use turnpike::domain::request::Presented;
use turnpike::domain::request::ProcessingCode;
use turnpike::domain::request::Stan;
use turnpike::domain::share::Share;
use turnpike::domain::share::Shares;
use turnpike::domain::share::Spending;
use turnpike::domain::share::SpendingSet;
use turnpike::domain::time::Expiry;
use turnpike::domain::time::Timestamp;
use turnpike::domain::time::TransmissionTime;
use turnpike::domain::usage::Channel;
use turnpike::journal::buffer::Buffer;
use turnpike::journal::chunk::Chunk;
use turnpike::journal::chunk::Chunks;
use turnpike::journal::chunk::Route;
use turnpike::journal::recover::Opener;
use turnpike::journal::recover::RecoverError;
use turnpike::journal::recover::Recovered;
use turnpike::journal::recover::recover;
use turnpike::journal::storage::Storage;
use turnpike::journal::writer::Settings;
use turnpike::journal::writer::Writer;

/// Some wall clock.
pub(crate) const NOW: Timestamp = Timestamp(1_795_000_000_000_000_000);

pub(crate) fn vault() -> Vault {
    Vault::new([7; 32].into())
}

/// How many cases a property test tries.
pub(crate) fn cases(default: u32) -> ProptestConfig {
    let cases = std::env::var("TURNPIKE_CASES").ok().and_then(|text| text.parse().ok());
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases.unwrap_or(default)) }
}

fn currency(numeric: u16) -> Currency {
    Currency::new(numeric).expect("a currency")
}

/// An approved purchase on a card of ours, told apart by its number.
pub(crate) fn purchase(number: u64) -> Event {
    Event::Decided(Decided {
        slot: Slot::of_wallet(WalletId(number)),
        card: CardIdentity::Known(CardRef(number)),
        wallet: WalletId(number),
        account: 0,
        key: MessageKey {
            network: NameId::of("visa"),
            link: NameId::of("visa-1"),
            stan: Stan((number % 1_000_000) as u32),
            transmission: TransmissionTime::new(1_123_101_500).expect("a date"),
            acquirer: InstitutionId(412_345),
            rrn: Text::from_ascii(b"632710123456"),
            terminal: Text::from_ascii(b"TERM0001"),
            merchant: Text::from_ascii(b"MERCHANT0000001"),
            network_reference: 386_327_000_000_000 + number,
        },
        class: MessageClass::Authorization,
        repeat: false,
        processing_code: ProcessingCode(0),
        mcc: 5411,
        country: 840,
        entry_mode: 51,
        channel: Channel::Other,
        amount: Money::new(1250, currency(840)),
        billing: None,
        presented: Presented::TRACK,
        facts: Facts(0),
        action: ActionCode::Approved,
        approval_code: Some(ApprovalCode(*b"0A1B2C")),
        effect: Effect::Hold(1250),
        charge: None,
        shares: Shares::NONE,
        increment: false,
        posted_before: 100_000,
        held_before: 1250,
        overdraft: 0,
        configuration: 0xC0FF_EE00,
        hold_until_s: 1_795_604_800,
        decided_after_us: 12,
    })
}

/// A decision with every optional part, so that its record is as long as one can be.
pub(crate) fn largest() -> Event {
    let Event::Decided(decided) = purchase(1) else { return purchase(1) };
    Event::Decided(Decided {
        billing: Some(Money::new(1300, currency(978))),
        effect: Effect::Hold(1000),
        charge: Charge::new(Charge::TARIFFS_MAX).map(Charge::rest),
        overdraft: 50_000,
        ..decided
    })
}

/// A card opened on a wallet.
pub(crate) fn card_opened(number: u64) -> Event {
    Event::CardOpened(CardOpened {
        slot: Slot::of_wallet(WalletId(number)),
        wallet: WalletId(number),
        card: CardRef(number),
        pan: Pan::from_value(4_111_111_111_111_111, 16).expect("a card number"),
        expiry: Expiry::new(2912).expect("a month"),
        service_code: ServiceCode(201),
        status: CardStatus::Active,
        verification: Verification::None,
        key: None,
    })
}

fn text<const N: usize>() -> impl Strategy<Value = Text<N>> {
    proptest::collection::vec(any::<u8>(), N).prop_map(|bytes| Text(bytes.try_into().expect("N bytes")))
}

pub(crate) fn slot() -> impl Strategy<Value = Slot> {
    (0..1024_u16).prop_map(|number| Slot::new(number).expect("a slot"))
}

pub(crate) fn money() -> impl Strategy<Value = Money> {
    (any::<i64>(), 0..1000_u16).prop_map(|(minor, numeric)| Money::new(minor, currency(numeric)))
}

pub(crate) fn card() -> impl Strategy<Value = CardIdentity> {
    prop_oneof![
        any::<u64>().prop_map(|card| CardIdentity::Known(CardRef(card))),
        (0..1_000_000_u32, 0..10_000_u16, 8..20_u8).prop_map(|(first6, last4, digits)| {
            CardIdentity::Unknown(MaskedPan::new(first6, last4, digits))
        }),
    ]
}

pub(crate) fn transmission() -> impl Strategy<Value = TransmissionTime> {
    prop_oneof![
        Just(TransmissionTime::default()),
        (0..400_000_000_u64).prop_map(|seconds| TransmissionTime::at(Timestamp::from_seconds(seconds))),
    ]
}

pub(crate) fn institution() -> impl Strategy<Value = InstitutionId> {
    (0..100_000_000_000_u64).prop_map(InstitutionId)
}

pub(crate) fn class() -> impl Strategy<Value = MessageClass> {
    prop_oneof![Just(MessageClass::Authorization), Just(MessageClass::Financial)]
}

pub(crate) fn approval_code() -> impl Strategy<Value = Option<ApprovalCode>> {
    proptest::option::of(any::<[u8; 6]>().prop_map(ApprovalCode))
}

pub(crate) fn key() -> impl Strategy<Value = MessageKey> {
    let numbers = (any::<u32>(), any::<u32>(), 0..1_000_000_u32, transmission(), institution());
    (numbers, text(), text(), text(), any::<u64>()).prop_map(
        |((network, link, stan, transmission, acquirer), rrn, terminal, merchant, network_reference)| {
            MessageKey {
                network: NameId(network),
                link: NameId(link),
                stan: Stan(stan),
                transmission,
                acquirer,
                rrn,
                terminal,
                merchant,
                network_reference,
            }
        },
    )
}

fn decided() -> impl Strategy<Value = Event> {
    let who = (slot(), card(), any::<u64>(), any::<u16>(), key(), class(), any::<bool>());
    let what =
        (0..1_000_000_u32, any::<[u16; 3]>(), money(), proptest::option::of(money()), any::<(u8, u16)>());
    let effect = prop_oneof![
        Just(Effect::None),
        any::<i64>().prop_map(Effect::Hold),
        Just(Effect::Hold(i64::MIN)),
        any::<i64>().prop_map(Effect::Post),
        Just(Effect::Post(i64::MAX)),
        any::<i64>().prop_map(Effect::Pend),
    ];
    let outcome = (0..ActionCode::ALL.len(), approval_code(), effect, any::<bool>());
    let overdraft = prop_oneof![Just(0), any::<i64>()];
    let state = (any::<[i64; 2]>(), overdraft, any::<[u32; 3]>(), any::<bool>(), channel(), charge());
    (who, what, outcome, state, shares()).prop_map(|(who, what, outcome, state, shares)| {
        let (slot, card, wallet, account, key, class, repeat) = who;
        let (processing_code, [mcc, country, entry_mode], amount, billing, (presented, facts)) = what;
        let (action, approval_code, effect, billed) = outcome;
        let ([posted_before, held_before], overdraft, numbers, increment, channel, charge) = state;
        let [configuration, hold_until_s, decided_after_us] = numbers;
        // Often the effect is what was billed, as it is in life.
        let minor = billing.unwrap_or(amount).minor;
        let effect = match effect {
            Effect::Hold(_) if billed => Effect::Hold(minor),
            Effect::Post(_) if billed => Effect::Post(minor),
            other => other,
        };
        Event::Decided(Decided {
            slot,
            card,
            wallet: WalletId(wallet),
            account,
            key,
            class,
            repeat,
            processing_code: ProcessingCode(processing_code),
            mcc,
            country,
            entry_mode,
            channel,
            amount,
            billing,
            presented: Presented(presented),
            facts: Facts(facts),
            action: ActionCode::ALL[action].0,
            approval_code,
            effect,
            charge,
            shares,
            increment,
            posted_before,
            held_before,
            overdraft,
            configuration,
            hold_until_s,
            decided_after_us,
        })
    })
}

fn reversed() -> impl Strategy<Value = Event> {
    let original = (
        proptest::option::of(class()),
        0..1_000_000_u32,
        proptest::option::of(transmission()),
        institution(),
    )
        .prop_map(|(class, stan, transmission, acquirer)| OriginalData {
            class,
            stan: Stan(stan),
            transmission,
            acquirer,
        });
    let who = (slot(), card(), key(), any::<[bool; 2]>());
    let what = (0..1_000_000_u32, money(), proptest::option::of(original), approval_code());
    let how = (any::<bool>(), proptest::option::of(any::<i64>()));
    let why = (any::<u64>(), 0..2_u8, any::<u16>(), how);
    (who, what, why, any::<[u32; 2]>()).prop_map(|(who, what, why, [configuration, after])| {
        let (undoes, legs, reason, (whole, keeps)) = why;
        let (slot, card, key, [advice, repeat]) = who;
        let (processing_code, amount, original, approval_code) = what;
        Event::Reversed(Reversed {
            slot,
            card,
            key,
            advice,
            repeat,
            processing_code: ProcessingCode(processing_code),
            amount,
            original,
            approval_code,
            undoes: Sequence(undoes),
            whole,
            keeps,
            legs: Legs::from_code(legs).expect("legs"),
            reason,
            configuration,
            decided_after_us: after,
        })
    })
}

/// The reversal of a purchase, with every optional part.
pub(crate) fn reversal(number: u64) -> Event {
    let Event::Decided(decided) = purchase(number) else { return purchase(number) };
    Event::Reversed(Reversed {
        slot: decided.slot,
        card: decided.card,
        key: decided.key,
        advice: true,
        repeat: false,
        processing_code: decided.processing_code,
        amount: decided.amount,
        original: Some(OriginalData {
            class: Some(MessageClass::Authorization),
            stan: decided.key.stan,
            transmission: Some(decided.key.transmission),
            acquirer: decided.key.acquirer,
        }),
        approval_code: decided.approval_code,
        undoes: Sequence(number),
        whole: false,
        keeps: None,
        legs: Legs::Both,
        reason: 0,
        configuration: decided.configuration,
        decided_after_us: decided.decided_after_us,
    })
}

fn advised() -> impl Strategy<Value = Event> {
    let who = (slot(), card(), any::<u16>(), key(), class(), any::<[bool; 3]>());
    let what = (0..1_000_000_u32, money(), proptest::option::of(money()), approval_code(), any::<u16>());
    let effect = prop_oneof![
        Just(Effect::None),
        any::<i64>().prop_map(Effect::Hold),
        any::<i64>().prop_map(Effect::Post),
        any::<i64>().prop_map(Effect::Pend),
    ];
    let outcome = (any::<u64>(), 0..ActionCode::ALL.len(), effect, any::<[u32; 3]>());
    let place = (any::<u16>(), any::<u16>(), channel(), charge());
    (who, what, outcome, place, shares()).prop_map(|(who, what, outcome, place, shares)| {
        let (mcc, country, channel, charge) = place;
        let (slot, card, account, key, class, [repeat, approved, increment]) = who;
        let (processing_code, amount, billing, approval_code, reason) = what;
        let (sets, action, effect, [configuration, hold_until_s, decided_after_us]) = outcome;
        Event::Advised(Advised {
            slot,
            card,
            account,
            key,
            class,
            repeat,
            processing_code: ProcessingCode(processing_code),
            mcc,
            country,
            channel,
            amount,
            billing,
            approved,
            reason,
            approval_code,
            sets: Sequence(sets),
            action: ActionCode::ALL[action].0,
            effect,
            charge,
            shares,
            increment,
            configuration,
            hold_until_s,
            decided_after_us,
        })
    })
}

/// What further accounts bear: mostly nothing.
pub(crate) fn shares() -> impl Strategy<Value = Shares> {
    let share = (any::<u16>(), 1..i64::MAX, 1..i64::MAX, any::<u64>());
    let all = proptest::collection::vec(share, 1..=Shares::MAX);
    let some = (all, 0..=Shares::MAX, proptest::option::of(0..14_000_u16));
    let some = some.prop_map(|(all, ahead, opens)| {
        let mut shares = Shares::NONE;
        for (at, (account, amount, covers, rate)) in all.into_iter().enumerate() {
            let share = Share { account, amount, covers, rate: Sequence(rate) };
            assert!(shares.push(share, at < ahead), "there is room");
        }
        opens.and_then(Currency::from_number).map_or(shares, |currency| shares.opening(currency))
    });
    prop_oneof![2 => Just(Shares::NONE), 1 => some]
}

/// Assets, rates and orders of accounts, with everything that they can hold.
fn any_asset() -> impl Strategy<Value = Event> {
    let number = || (0..14_000_u16).prop_map(|number| Currency::from_number(number).expect("a number"));
    let asset = (number(), "[A-Z][A-Z0-9]{3,11}", any::<[u8; 32]>()).prop_map(|(asset, code, name)| {
        let code = code.parse().expect("a code");
        Event::AssetSet(AssetSet { asset, code, name: Text(name) })
    });
    let quote = (1..1_000_000_u64, 0..4_u8, 0..1_000_000_u32)
        .prop_map(|(digits, decimals, spread_ppm)| Quote { price: Price { digits, decimals }, spread_ppm });
    let two = (0..500_u16, 500..1_000_u16, proptest::option::of(quote));
    let rate = two.prop_map(|(from, to, quote)| {
        let [from, to] = [from, to].map(|number| Currency::new(number).expect("a currency"));
        Event::RateSet(RateSet { from, to, quote })
    });
    let accounts = proptest::collection::hash_set(any::<u16>(), 0..=Spending::MAX);
    let order = (slot(), any::<u64>(), accounts).prop_map(|(slot, wallet, accounts)| {
        let accounts: Vec<u16> = accounts.into_iter().collect();
        let order = Spending::new(&accounts).expect("an order");
        Event::SpendingSet(SpendingSet { slot, wallet: WalletId(wallet), order })
    });
    let terms = (any::<u32>(), 0..DayCount::ALL.len(), 0..PaidOut::ALL.len());
    let terms = terms.prop_map(|(rate_ppm, day_count, paid_out)| interest::Terms {
        rate_ppm,
        day_count: DayCount::ALL[day_count].0,
        paid_out: PaidOut::ALL[paid_out].0,
    });
    let place = || (slot(), any::<u64>(), any::<u16>());
    let set = (place(), proptest::option::of(terms)).prop_map(|((slot, wallet, account), terms)| {
        Event::InterestSet(InterestSet { slot, wallet: WalletId(wallet), account, terms })
    });
    let payout = any::<(u32, i64, u128)>();
    let paid = (place(), payout).prop_map(|((slot, wallet, account), (through, units, rest))| {
        let payout = Payout { through: DayNumber(through), units, rest };
        Event::InterestPaid(InterestPaid { slot, wallet: WalletId(wallet), account, payout })
    });
    prop_oneof![asset, rate, order, set, paid]
}

pub(crate) fn charge() -> impl Strategy<Value = Option<Charge>> {
    let codes = prop_oneof![Just(0), 0..4_096_u16];
    codes.prop_map(Charge::from_code)
}

pub(crate) fn channel() -> impl Strategy<Value = Channel> {
    (0..Channel::ALL.len()).prop_map(|at| Channel::ALL[at].0)
}

fn expired() -> impl Strategy<Value = Event> {
    (slot(), any::<u64>(), any::<u64>()).prop_map(|(slot, card, sequence)| {
        Event::Expired(Expired { slot, card: CardRef(card), authorization: Sequence(sequence) })
    })
}

fn counted() -> impl Strategy<Value = Counted> {
    let numbers = (any::<u64>(), any::<i64>(), any::<u32>(), any::<[u16; 3]>());
    (numbers, 0..1000_u16, any::<bool>(), 0..=ProductNumber::MAX).prop_map(
        |((record, amount, at_s, by), currency, first, product)| Counted {
            record: Sequence(record),
            amount,
            at_s,
            by,
            currency: Currency::new(currency).expect("a currency"),
            first,
            product: ProductNumber::new(product),
        },
    )
}

fn recalled() -> impl Strategy<Value = Event> {
    let amounts = (any::<[i64; 3]>(), any::<[u16; 3]>(), 0..ActionCode::ALL.len());
    let coded = (0..1_000_000_u32, charge())
        .prop_map(|(code, charge)| CodeAndCharge::new(ProcessingCode(code), charge));
    (
        slot(),
        any::<[u64; 5]>(),
        (any::<[u32; 6]>(), coded),
        amounts,
        any::<[u8; 3]>(),
        any::<([u8; 12], [u8; 6])>(),
    )
        .prop_map(|(slot, wide, (narrow, coded), (amounts, short, action), [class, state, legs], texts)| {
            let [card, sequence, closed_by, network_reference, acquirer] = wide;
            let [stan, transmission, terminal, merchant, changed_s, hold_until_s] = narrow;
            let ([amount, taken, answered], [network, currency, account]) = (amounts, short);
            let (rrn, approval_code) = texts;
            let closed = Closed {
                sequence: Sequence(sequence),
                closed_by: Sequence(closed_by),
                network_reference,
                acquirer,
                amount,
                taken,
                answered,
                stan,
                transmission,
                terminal,
                merchant,
                coded,
                changed_s,
                hold_until_s,
                network,
                currency,
                account,
                action: ActionCode::ALL[action].0,
                class,
                state,
                legs,
                rrn,
                approval_code,
            };
            (slot, CardRef(card), closed)
        })
        .prop_flat_map(|(slot, card, closed)| {
            proptest::option::of(counted())
                .prop_map(move |counted| Event::Recalled(Recalled { slot, card, closed, counted }))
        })
}

fn unanswered() -> impl Strategy<Value = Event> {
    (slot(), any::<u64>(), any::<u64>()).prop_map(|(slot, card, sequence)| {
        Event::Unanswered(Unanswered { slot, card: CardRef(card), authorization: Sequence(sequence) })
    })
}

fn noted() -> impl Strategy<Value = Event> {
    (slot(), proptest::option::of(card()), key(), any::<[u16; 2]>())
        .prop_map(|(slot, card, key, [mti, reason])| Event::Noted(Noted { slot, card, key, mti, reason }))
}

/// Any event of any kind.
pub(crate) fn any_event() -> impl Strategy<Value = Event> {
    let opened =
        (slot(), any::<[u64; 2]>(), 8..20_u8, any::<u64>(), (0..100_u16, 1..13_u16), 0..1000_u16, 0..5_u8)
            .prop_flat_map(|fields| (Just(fields), any::<bool>(), proptest::option::of(caller_key())))
            .prop_map(
                |(
                    (slot, [wallet, card], digits, value, (year, month), service_code, status),
                    required,
                    key,
                )| {
                    Event::CardOpened(CardOpened {
                        slot,
                        wallet: WalletId(wallet),
                        card: CardRef(card),
                        pan: Pan::from_value(value % 10_u64.pow(digits.into()), digits)
                            .expect("a card number"),
                        expiry: Expiry::new(year * 100 + month).expect("a month"),
                        service_code: ServiceCode(service_code),
                        status: CardStatus::from_code(status).expect("a status"),
                        verification: if required { Verification::Required } else { Verification::None },
                        key,
                    })
                },
            );
    let funded = (slot(), any::<u64>(), any::<u16>(), 0..1000_u16, any::<[i64; 2]>()).prop_map(
        |(slot, wallet, account, numeric, [amount, overdraft])| {
            let (wallet, currency) = (WalletId(wallet), currency(numeric));
            Event::AccountFunded(AccountFunded { slot, wallet, account, currency, amount, overdraft })
        },
    );
    let configured = any::<(u64, [u32; 7])>().prop_map(|(version, [a, b, c, d, e, window_s, since_s])| {
        let bounds = Bounds {
            repeat_window_s: a,
            answers_per_slot: b % (Bounds::ANSWERS_PER_SLOT_MAX + 1),
            closed_per_slot: c,
            closed_window_s: d,
            authorizations_per_card: e,
        };
        Event::Configured(Configured { version, bounds, keys: KeysKept { window_s, since_s } })
    });
    let seeded = any::<(u128, u64, bool)>()
        .prop_map(|(checksum, lines, complete)| Event::Seeded(Seeded { checksum, lines, complete }));
    let status = (slot(), any::<u64>(), 0..3_u8).prop_map(|(slot, wallet, status)| {
        let status = WalletStatus::from_code(status).expect("a status");
        Event::WalletStatusSet(WalletStatusSet { slot, wallet: WalletId(wallet), status })
    });
    prop_oneof![
        4 => decided(), 2 => reversed(), 2 => advised(), 1 => noted(), 1 => unanswered(), 1 => expired(),
        1 => recalled(),
        1 => opened, 1 => funded, 1 => configured, 1 => seeded, 1 => status,
        2 => any_setting(), 2 => any_clearing(), 4 => any_forward(), 2 => any_moved(), 1 => any_mandate(),
        2 => any_asset()
    ]
}

/// A journal that is open for writing.
pub(crate) struct Journal<S: Storage> {
    pub(crate) writer: Writer<S>,
    pub(crate) buffer: Buffer,
    pub(crate) pending: turnpike::journal::buffer::Pending,
}

impl<S: Storage + Clone> Journal<S> {
    /// Recovers and begins an epoch with segments of the smallest size.
    pub(crate) fn open(storage: &S) -> Self {
        Self::open_beyond(storage, Sequence(0))
    }

    /// The same where snapshots cover a part.
    pub(crate) fn open_beyond(storage: &S, covered: Sequence) -> Self {
        let (recovered, _) = records_beyond(storage, covered).expect("a whole journal");
        let settings = Settings { segment_bytes: 0, epoch_min: 1 };
        let writer = Writer::begin(storage.clone(), &recovered, vault().fingerprint(), settings);
        let writer = writer.expect("a new segment");
        let buffer = Buffer::new(writer.start(), 8192);
        let pending = buffer.spare();
        Self { writer, buffer, pending }
    }

    /// Appends so many purchases, numbered by their sequence.
    pub(crate) fn append(&mut self, count: u64) {
        let vault = vault();
        for _ in 0..count {
            let next = self.buffer.last().0 + 1;
            self.buffer.append(&purchase(next), NOW, &vault).expect("room");
        }
    }

    /// Makes durable what was appended.
    pub(crate) fn write(&mut self) {
        self.buffer.take(&mut self.pending);
        self.writer.write(&mut self.pending).expect("a good disk");
    }
}

/// Everything that is in a journal.
pub(crate) type Records = Vec<(Sequence, Timestamp, Event)>;

/// Recovers a journal.
pub(crate) fn records<S: Storage>(storage: &S) -> Result<(Recovered, Records), RecoverError> {
    records_beyond(storage, Sequence(0))
}

/// Recovers a journal of which snapshots cover a part.
pub(crate) fn records_beyond<S: Storage>(
    storage: &S,
    covered: Sequence,
) -> Result<(Recovered, Records), RecoverError> {
    let vault = vault();
    let opener = Opener { seal: &vault, fingerprint: vault.fingerprint() };
    let mut records = Vec::new();
    let recovered =
        recover(storage, opener, covered, |sequence, time, event| records.push((sequence, time, event)));
    let all = recovered.map(|recovered| (recovered, records));
    assert_eq!(in_chunks(storage, opener, covered), all, "chunk by chunk as record by record");
    all
}

/// The same chunk by chunk, with records in parts, of which the last is read first.
fn in_chunks<S: Storage>(
    storage: &S,
    opener: Opener<'_>,
    covered: Sequence,
) -> Result<(Recovered, Records), RecoverError> {
    const PARTS: u64 = 3;
    let mut chunks = Chunks::begin(storage, opener, covered, 0)?;
    let mut chunk = Chunk::new(PARTS as usize);
    let mut records = Records::new();
    while !chunk.is_last() {
        chunks.next(&mut chunk, &mut |_, sequence| Route::To((sequence.0 % PARTS) as usize));
        let mut unreadable = Vec::new();
        for part in (0..PARTS as usize).rev() {
            for entry in chunk.part(part) {
                match chunk.decode(*entry, opener.seal) {
                    Ok(record) => records.push(record),
                    Err(error) => unreadable.push((chunk.sequence(*entry), chunk.unreadable(*entry, error))),
                }
            }
        }
        if let Some((_, error)) = unreadable.into_iter().min_by_key(|(sequence, _)| *sequence) {
            return Err(error);
        }
        if let Some(failure) = chunk.take_failure() {
            return Err(failure);
        }
    }
    records.sort_by_key(|(sequence, ..)| *sequence);
    Ok((chunks.end(), records))
}

/// A journal of one segment whose batches hold so many purchases each.
pub(crate) fn journal_of(batches: &[u64]) -> Memory {
    let memory = Memory::new();
    let mut journal = Journal::open(&memory);
    for count in batches {
        journal.append(*count);
        journal.write();
    }
    memory
}

/// Whether records are the purchases 1, 2, 3 and so on.
pub(crate) fn are_the_first(records: &Records) -> bool {
    follow_each_other(records) && records.first().is_none_or(|(first, ..)| *first == Sequence(1))
}

/// Whether records are the purchases of their sequences, without a gap.
pub(crate) fn follow_each_other(records: &Records) -> bool {
    let first = records.first().map_or(1, |(first, ..)| first.0);
    (first..).zip(records).all(|(number, record)| *record == (Sequence(number), NOW, purchase(number)))
}
