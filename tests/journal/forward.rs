//! Events of the switch.

use proptest::prelude::*;

use crate::journal::events::approval_code;
use crate::journal::events::class;
use crate::journal::events::institution;
use crate::journal::events::key;
use crate::journal::events::largest;
use crate::journal::events::money;
use crate::journal::events::slot;
use crate::journal::events::transmission;
use turnpike::domain::action::ActionCode;
use turnpike::domain::card::CardStatus;
use turnpike::domain::card::Pan;
use turnpike::domain::event::Event;
use turnpike::domain::event::Sequence;
use turnpike::domain::forward::Carried;
use turnpike::domain::forward::Concluded;
use turnpike::domain::forward::Ended;
use turnpike::domain::forward::Forwarded;
use turnpike::domain::forward::Message;
use turnpike::domain::forward::Original;
use turnpike::domain::forward::OwnKey;
use turnpike::domain::forward::Settled;
use turnpike::domain::forward::Settlement;
use turnpike::domain::forward::Stored;
use turnpike::domain::forward::Tells;
use turnpike::domain::party::InstitutionId;
use turnpike::domain::party::NameId;
use turnpike::domain::request::ApprovalCode;
use turnpike::domain::request::Legs;
use turnpike::domain::request::MessageClass;
use turnpike::domain::request::OriginalData;
use turnpike::domain::request::ProcessingCode;
use turnpike::domain::request::Replacement;
use turnpike::domain::request::Stan;
use turnpike::domain::time::Expiry;
use turnpike::domain::time::TransmissionTime;

/// A record of the switch, with everything that each can hold.
pub(crate) fn any_forward() -> impl Strategy<Value = Event> {
    prop_oneof![2 => forwarded(), 2 => concluded(), 4 => stored(), 1 => settled()]
}

fn name() -> impl Strategy<Value = NameId> {
    any::<u32>().prop_map(NameId)
}

fn own() -> impl Strategy<Value = OwnKey> {
    (0..1_000_000_u32, transmission())
        .prop_map(|(stan, transmission)| OwnKey { stan: Stan(stan), transmission })
}

fn pan() -> impl Strategy<Value = Pan> {
    (8..20_u8, any::<u64>()).prop_map(|(digits, value)| {
        Pan::from_value(value % 10_u64.pow(digits.into()), digits).expect("a card number")
    })
}

fn expiry() -> impl Strategy<Value = Expiry> {
    (0..100_u16, 1..13_u16).prop_map(|(year, month)| Expiry::new(year * 100 + month).expect("a month"))
}

fn carried() -> impl Strategy<Value = Carried> {
    let who = (key(), class(), pan(), proptest::option::of(expiry()));
    let what = (0..1_000_000_u32, money(), proptest::option::of(money()), any::<[u16; 3]>(), institution());
    (who, what).prop_map(|((key, class, pan, expiry), (code, amount, billing, place, forwarder))| {
        let (processing_code, [mcc, country, entry_mode]) = (ProcessingCode(code), place);
        Carried {
            key,
            class,
            pan,
            expiry,
            processing_code,
            amount,
            billing,
            mcc,
            country,
            entry_mode,
            forwarder,
        }
    })
}

fn forwarded() -> impl Strategy<Value = Event> {
    (slot(), name(), own(), carried())
        .prop_map(|(slot, to, own, carried)| Event::Forwarded(Forwarded { slot, to, own, carried }))
}

fn concluded() -> impl Strategy<Value = Event> {
    let names = [proptest::option::of(own()), proptest::option::of(own())];
    let stood_in =
        (names, 0..ActionCode::ALL.len(), approval_code()).prop_map(|(names, at, approval_code)| {
            let ([reversal, advice], action) = (names, ActionCode::ALL[at].0);
            Ended::StoodIn { reversal, advice, action, approval_code }
        });
    let ended = prop_oneof![
        1 => any::<[u8; 2]>().prop_map(Ended::Answered),
        1 => own().prop_map(|reversal| Ended::TimedOut { reversal }),
        1 => Just(Ended::Unsent),
        3 => stood_in,
    ];
    (slot(), name(), any::<u64>(), ended).prop_map(|(slot, to, exchange, ended)| {
        Event::Concluded(Concluded { slot, to, exchange: Sequence(exchange), ended })
    })
}

fn original() -> impl Strategy<Value = Original> {
    (class(), own(), institution(), institution()).prop_map(|(class, key, acquirer, forwarder)| Original {
        class,
        key,
        acquirer,
        forwarder,
    })
}

fn as_received() -> impl Strategy<Value = OriginalData> {
    let parts = (proptest::option::of(class()), 0..1_000_000_u32, proptest::option::of(transmission()));
    (parts, institution()).prop_map(|((class, stan, transmission), acquirer)| OriginalData {
        class,
        stan: Stan(stan),
        transmission,
        acquirer,
    })
}

fn tells() -> impl Strategy<Value = Tells> {
    let replacement = (any::<i64>(), proptest::option::of(any::<i64>()))
        .prop_map(|(amount, billing)| Replacement { amount, billing });
    let names = (approval_code(), proptest::option::of(original()), proptest::option::of(as_received()));
    let legs = prop_oneof![Just(Legs::Both), Just(Legs::Ours)];
    let reversal = (proptest::option::of(replacement), legs, names).prop_map(
        |(replacement, legs, (approval_code, original, as_received))| Tells::Reversal {
            replacement,
            legs,
            approval_code,
            original,
            as_received,
        },
    );
    let advice = (any::<bool>(), approval_code(), proptest::option::of(original()))
        .prop_map(|(approved, approval_code, original)| Tells::Advice { approved, approval_code, original });
    let ended = prop_oneof![Just(CardStatus::Lost), Just(CardStatus::Stolen), Just(CardStatus::Closed)];
    prop_oneof![4 => reversal, 4 => advice, 1 => ended.prop_map(|status| Tells::CardEnded { status })]
}

fn stored() -> impl Strategy<Value = Event> {
    let message =
        (own(), carried(), tells()).prop_map(|(own, carried, tells)| Message { own, carried, tells });
    (slot(), name(), proptest::option::of(any::<u64>()), message).prop_map(|(slot, to, exchange, message)| {
        Event::Stored(Stored { slot, to, exchange: exchange.map(Sequence), message })
    })
}

fn settled() -> impl Strategy<Value = Event> {
    (slot(), name(), any::<u64>(), any::<bool>(), 0..Settlement::ALL.len()).prop_map(
        |(slot, to, stored, advice, at)| {
            let (stored, settlement) = (Sequence(stored), Settlement::ALL[at].0);
            Event::Settled(Settled { slot, to, stored, advice, settlement })
        },
    )
}

/// A reversal with every optional part, so that its record is as long as one of the switch can be.
pub(crate) fn largest_stored() -> Event {
    let (acquirer, forwarder) = (InstitutionId(99_999_999_999), InstitutionId(99_999_999_999));
    let transmission = TransmissionTime::new(1_231_235_959).expect("a date");
    let own = OwnKey { stan: Stan(999_999), transmission };
    let (amount, billing) = (i64::MAX, Some(i64::MIN));
    let class = MessageClass::Financial;
    let tells = Tells::Reversal {
        replacement: Some(Replacement { amount, billing }),
        legs: Legs::Ours,
        approval_code: Some(ApprovalCode(*b"0A1B2C")),
        original: Some(Original { class, key: own, acquirer, forwarder }),
        as_received: Some(OriginalData {
            class: Some(class),
            stan: Stan(999_999),
            transmission: Some(transmission),
            acquirer,
        }),
    };
    let Event::Decided(decided) = largest() else { return largest() };
    let carried = Carried {
        key: decided.key,
        class,
        pan: Pan::from_value(9_999_999_999_999_999_999, 19).expect("a card number"),
        expiry: Expiry::new(9912),
        processing_code: decided.processing_code,
        amount: decided.amount,
        billing: decided.billing,
        mcc: decided.mcc,
        country: decided.country,
        entry_mode: decided.entry_mode,
        forwarder,
    };
    let message = Message { own, carried, tells };
    let (to, exchange) = (NameId::of("processor"), Some(Sequence(u64::MAX)));
    Event::Stored(Stored { slot: decided.slot, to, exchange, message })
}
