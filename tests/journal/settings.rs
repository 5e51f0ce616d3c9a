//! Events that set something on a card or a wallet.

use proptest::prelude::*;

use crate::journal::events::NOW;
use crate::journal::events::purchase;
use crate::journal::events::slot;
use crate::journal::events::vault;
use crate::journal::records::PLACE;
use crate::journal::records::bytes_of;
use turnpike::domain::action::ActionCode;
use turnpike::domain::card::CardRef;
use turnpike::domain::card::CardStatus;
use turnpike::domain::control::Control;
use turnpike::domain::control::ControlSet;
use turnpike::domain::control::Rule;
use turnpike::domain::event::Advised;
use turnpike::domain::event::CardStatusSet;
use turnpike::domain::event::Decided;
use turnpike::domain::event::Effect;
use turnpike::domain::event::Event;
use turnpike::domain::event::LimitSet;
use turnpike::domain::event::Sequence;
use turnpike::domain::fee::Charge;
use turnpike::domain::fee::Fee;
use turnpike::domain::fee::FeeSet;
use turnpike::domain::fee::Tariff;
use turnpike::domain::limit::Filter;
use turnpike::domain::limit::LIMIT_MCC_MAX;
use turnpike::domain::limit::Limit;
use turnpike::domain::limit::Measure;
use turnpike::domain::limit::Number;
use turnpike::domain::limit::Subject;
use turnpike::domain::limit::Window;
use turnpike::domain::money::Currency;
use turnpike::domain::party::Text;
use turnpike::domain::party::WalletId;
use turnpike::domain::product::CardProductSet;
use turnpike::domain::product::ProductNumber;
use turnpike::domain::share::Shares;
use turnpike::domain::usage::Channel;
use turnpike::domain::usage::Channels;
use turnpike::domain::usage::Kinds;
use turnpike::domain::usage::MccRange;
use turnpike::domain::usage::MerchantPrint;
use turnpike::domain::zone::UtcOffset;
use turnpike::domain::zone::Zone;
use turnpike::domain::zone::ZoneChange;
use turnpike::domain::zone::ZoneChanges;
use turnpike::domain::zone::ZoneNumber;
use turnpike::domain::zone::ZoneSet;
use turnpike::journal::record::RecordError;
use turnpike::journal::record::decode;

/// A status of a card, a limit or a control, with everything that they can hold.
pub(crate) fn any_setting() -> impl Strategy<Value = Event> {
    prop_oneof![card_status_set(), limit_set(), control_set(), zone_set(), card_product_set(), fee_set()]
}

fn any_currency() -> impl Strategy<Value = Currency> {
    (0..1000_u16).prop_map(|numeric| Currency::new(numeric).expect("a currency"))
}

fn subject() -> impl Strategy<Value = Subject> {
    prop_oneof![
        any::<u64>().prop_map(|card| Subject::Card(CardRef(card))),
        any::<u64>().prop_map(|wallet| Subject::Wallet(WalletId(wallet))),
        product().prop_map(Subject::EachCard),
        product().prop_map(Subject::EachWallet),
    ]
}

fn product() -> impl Strategy<Value = ProductNumber> {
    (1..=ProductNumber::MAX).prop_map(|number| ProductNumber::new(number).expect("a number"))
}

fn card_product_set() -> impl Strategy<Value = Event> {
    (slot(), any::<u64>(), proptest::option::of(product())).prop_map(|(slot, card, product)| {
        Event::CardProductSet(CardProductSet { slot, card: CardRef(card), product })
    })
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

fn offset() -> impl Strategy<Value = UtcOffset> + Clone {
    let minutes = *UtcOffset::RANGE.start()..=*UtcOffset::RANGE.end();
    minutes.prop_map(|minutes| UtcOffset::new(minutes).expect("an offset"))
}

fn zone_number() -> impl Strategy<Value = ZoneNumber> + Clone {
    (1..=u16::MAX).prop_map(|number| ZoneNumber::new(number).expect("a number"))
}

fn zone_set() -> impl Strategy<Value = Event> {
    let times = proptest::collection::btree_set(any::<u32>(), 1..=ZoneChanges::MAX);
    let changes = times.prop_flat_map(|times| {
        let offsets = proptest::collection::vec(offset(), times.len());
        offsets.prop_map(move |offsets| {
            let change = |(from_s, offset): (&u32, UtcOffset)| ZoneChange { from_s: *from_s, offset };
            let list: Vec<ZoneChange> = times.iter().zip(offsets).map(change).collect();
            ZoneChanges::new(&list).expect("changes")
        })
    });
    (slot(), zone_number(), any::<[u8; 32]>(), changes).prop_map(|(slot, zone, name, changes)| {
        Event::ZoneSet(ZoneSet { slot, zone, name: Text(name), changes })
    })
}

fn limit_set() -> impl Strategy<Value = Event> {
    let zone = prop_oneof![offset().prop_map(Zone::Fixed), zone_number().prop_map(Zone::Named)];
    let window = prop_oneof![
        Just(Window::Transaction),
        zone.clone().prop_map(Window::Day),
        zone.clone().prop_map(Window::Week),
        zone.clone().prop_map(Window::Month),
        zone.prop_map(Window::Year),
        Just(Window::Lifetime),
        (1..=Window::SLIDING_MAX_S / 60).prop_map(|minutes| Window::Sliding(minutes * 60)),
    ];
    let measure = prop_oneof![Just(Measure::Count), any_currency().prop_map(Measure::Amount)];
    let limit = (measure, 0..=i64::MAX, window, filter()).prop_map(|(measure, max, window, filter)| Limit {
        measure,
        max,
        window,
        filter,
    });
    (slot(), subject(), number(), proptest::option::of(limit))
        .prop_map(|(slot, subject, number, limit)| Event::LimitSet(LimitSet { slot, subject, number, limit }))
}

fn filter() -> impl Strategy<Value = Filter> {
    let sets = (0..=Channels::MASK, 0..=Kinds::MASK);
    let mcc = proptest::collection::vec(range(), 0..=LIMIT_MCC_MAX);
    let place = (any::<u16>(), proptest::option::of(any_currency()), any::<u64>());
    (sets, mcc, place).prop_map(|((channels, kinds), ranges, (country, currency, merchant))| {
        let mut filter = Filter {
            channels: Channels(channels),
            kinds: Kinds(kinds),
            country,
            currency,
            merchant: MerchantPrint(merchant),
            ..Filter::ALL
        };
        filter.mcc[..ranges.len()].copy_from_slice(&ranges);
        filter
    })
}

fn fee_set() -> impl Strategy<Value = Event> {
    let amounts = proptest::array::uniform3(0..=Tariff::MOST_MAX);
    let tariff = (amounts, 0..=Tariff::BASIS_POINTS_MAX).prop_map(|([flat, one, other], share)| {
        Tariff::new(flat, share, one.min(other), one.max(other)).expect("a tariff")
    });
    let fee = (any_currency(), any::<u16>(), any::<bool>(), filter(), tariff).prop_map(
        |(currency, outside, converted, filter, tariff)| Fee { currency, outside, converted, filter, tariff },
    );
    let product = (1..=ProductNumber::MAX).prop_map(|number| ProductNumber::new(number).expect("a number"));
    (slot(), product, number(), proptest::option::of(fee))
        .prop_map(|(slot, product, number, fee)| Event::FeeSet(FeeSet { slot, product, number, fee }))
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

#[test]
fn older_layouts_do_not_know_how_a_card_was_used() {
    let read = |bytes: &[u8]| decode(bytes, PLACE, &vault()).map(|(_, event)| event);
    // The channel is in the flags of a purchase, from the third layout on.
    let mut bytes = bytes_of(&purchase(7), NOW);
    bytes[15] |= 1 << 3;
    let Ok(Event::Decided(chip)) = read(&bytes) else { return assert_eq!(read(&bytes), Ok(purchase(7))) };
    assert_eq!(chip.channel, Channel::Chip);
    bytes[3] = 2;
    assert_eq!(read(&bytes), Err(RecordError::Field("flags")));
    // An advice has category and country too, from the second on; without optional parts they stand last.
    let told = Advised {
        slot: chip.slot,
        card: chip.card,
        account: 1,
        key: chip.key,
        class: chip.class,
        repeat: false,
        processing_code: chip.processing_code,
        mcc: 0,
        country: 0,
        channel: Channel::Other,
        amount: chip.amount,
        billing: None,
        approved: true,
        reason: 3,
        approval_code: None,
        sets: Sequence(5),
        action: ActionCode::Approved,
        effect: Effect::Hold(7),
        charge: None,
        shares: Shares::NONE,
        increment: false,
        configuration: 9,
        hold_until_s: 10,
        decided_after_us: 11,
    };
    let placed = Advised { mcc: 5411, country: 276, channel: Channel::Atm, ..told };
    assert_eq!(read(&bytes_of(&Event::Advised(placed), NOW)), Ok(Event::Advised(placed)));
    // What is charged is said from the fourth layout on, beside DE 3.
    let charge = Charge::new(3).map(Charge::rest);
    for event in [Event::Decided(Decided { charge, ..chip }), Event::Advised(Advised { charge, ..placed })] {
        let mut bytes = bytes_of(&event, NOW);
        assert_eq!(read(&bytes), Ok(event));
        bytes[3] = 3;
        assert_eq!(read(&bytes), Err(RecordError::Field("charge")));
    }
    // It says whether it is of an increment from the third on.
    let added = Advised { increment: true, ..placed };
    let mut bytes = bytes_of(&Event::Advised(added), NOW);
    assert_eq!(read(&bytes), Ok(Event::Advised(added)));
    bytes[3] = 2;
    assert_eq!(read(&bytes), Err(RecordError::Field("flags")));
    bytes[15] &= !(1 << 4);
    assert_eq!(read(&bytes), Ok(Event::Advised(placed)));
    let mut bytes = bytes_of(&Event::Advised(told), NOW);
    bytes.truncate(bytes.len() - 4);
    (bytes[0], bytes[3]) = (bytes[0] - 4, 1);
    assert_eq!(read(&bytes), Ok(Event::Advised(told)));
    bytes[15] |= 1 << 1;
    assert_eq!(read(&bytes), Err(RecordError::Field("flags")));
}
