//! Events that set something on a card or a wallet.

use proptest::prelude::*;

use crate::journal::events::slot;
use turnpike::domain::card::CardRef;
use turnpike::domain::card::CardStatus;
use turnpike::domain::control::Control;
use turnpike::domain::control::Rule;
use turnpike::domain::event::CardStatusSet;
use turnpike::domain::event::ControlSet;
use turnpike::domain::event::Event;
use turnpike::domain::event::LimitSet;
use turnpike::domain::limit::Filter;
use turnpike::domain::limit::LIMIT_MCC_MAX;
use turnpike::domain::limit::Limit;
use turnpike::domain::limit::Measure;
use turnpike::domain::limit::Number;
use turnpike::domain::limit::Subject;
use turnpike::domain::limit::UtcOffset;
use turnpike::domain::limit::Window;
use turnpike::domain::money::Currency;
use turnpike::domain::party::WalletId;
use turnpike::domain::usage::Channels;
use turnpike::domain::usage::Kinds;
use turnpike::domain::usage::MccRange;
use turnpike::domain::usage::MerchantPrint;

/// A status of a card, a limit or a control, with everything that they can hold.
pub(crate) fn any_setting() -> impl Strategy<Value = Event> {
    prop_oneof![card_status_set(), limit_set(), control_set()]
}

fn any_currency() -> impl Strategy<Value = Currency> {
    (0..1000_u16).prop_map(|numeric| Currency::new(numeric).expect("a currency"))
}

fn subject() -> impl Strategy<Value = Subject> {
    prop_oneof![
        any::<u64>().prop_map(|card| Subject::Card(CardRef(card))),
        any::<u64>().prop_map(|wallet| Subject::Wallet(WalletId(wallet))),
    ]
}

fn number() -> impl Strategy<Value = Number> {
    (1..=Number::MAX).prop_map(|number| Number::new(number).expect("a number"))
}

fn range() -> impl Strategy<Value = MccRange> {
    (0..=9_999_u16, 0..=9_999_u16)
        .prop_map(|(one, other)| MccRange { first: one.min(other), last: one.max(other) })
}

fn card_status_set() -> impl Strategy<Value = Event> {
    (slot(), any::<u64>(), 0..CardStatus::ALL.len()).prop_map(|(slot, card, status)| {
        let status = CardStatus::ALL[status].0;
        Event::CardStatusSet(CardStatusSet { slot, card: CardRef(card), status })
    })
}

fn limit_set() -> impl Strategy<Value = Event> {
    let minutes = *UtcOffset::RANGE.start()..=*UtcOffset::RANGE.end();
    let offset = minutes.prop_map(|minutes| UtcOffset::new(minutes).expect("an offset"));
    let window = prop_oneof![
        Just(Window::Transaction),
        offset.clone().prop_map(Window::Day),
        offset.clone().prop_map(Window::Week),
        offset.clone().prop_map(Window::Month),
        offset.prop_map(Window::Year),
        Just(Window::Lifetime),
        (1..=Window::SLIDING_MAX_S / 60).prop_map(|minutes| Window::Sliding(minutes * 60)),
    ];
    let measure = prop_oneof![Just(Measure::Count), any_currency().prop_map(Measure::Amount)];
    let sets = (0..=Channels::MASK, 0..=Kinds::MASK);
    let mcc = proptest::collection::vec(range(), 0..=LIMIT_MCC_MAX);
    let place = (any::<u16>(), proptest::option::of(any_currency()), any::<u64>());
    let limit = (measure, 0..=i64::MAX, window, sets, mcc, place).prop_map(|parts| {
        let (measure, max, window, (channels, kinds), ranges, (country, currency, merchant)) = parts;
        let mut filter = Filter {
            channels: Channels(channels),
            kinds: Kinds(kinds),
            country,
            currency,
            merchant: MerchantPrint(merchant),
            ..Filter::ALL
        };
        filter.mcc[..ranges.len()].copy_from_slice(&ranges);
        Limit { measure, max, window, filter }
    });
    (slot(), subject(), number(), proptest::option::of(limit))
        .prop_map(|(slot, subject, number, limit)| Event::LimitSet(LimitSet { slot, subject, number, limit }))
}

fn control_set() -> impl Strategy<Value = Event> {
    let rule = || prop_oneof![Just(Rule::Allow), Just(Rule::Deny)];
    let merchants = proptest::collection::vec(any::<u64>().prop_map(MerchantPrint), 1..=8);
    let made = |control: Option<Control>| control.expect("a control");
    let control = prop_oneof![
        Just(Control::FIRST_MERCHANT),
        (rule(), proptest::collection::vec(range(), 1..=16))
            .prop_map(move |(rule, list)| made(Control::mcc(rule, &list))),
        (rule(), proptest::collection::vec(any::<u16>(), 1..=32))
            .prop_map(move |(rule, list)| made(Control::countries(rule, &list))),
        (rule(), proptest::collection::vec(any_currency(), 1..=32))
            .prop_map(move |(rule, list)| made(Control::currencies(rule, &list))),
        (rule(), 1..=Channels::MASK)
            .prop_map(move |(rule, bits)| made(Control::channels(rule, Channels(bits)))),
        (rule(), merchants).prop_map(move |(rule, list)| made(Control::merchants(rule, &list))),
    ];
    (slot(), subject(), number(), proptest::option::of(control)).prop_map(
        |(slot, subject, number, control)| Event::ControlSet(ControlSet { slot, subject, number, control }),
    )
}
