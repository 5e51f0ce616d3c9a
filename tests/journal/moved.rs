//! Events of verbs that move money.

use proptest::prelude::*;

use crate::journal::events::NOW;
use crate::journal::events::slot;
use crate::journal::events::vault;
use crate::journal::records::PLACE;
use crate::journal::records::bytes_of;
use turnpike::domain::event::Event;
use turnpike::domain::event::Sequence;
use turnpike::domain::mandate::MandateCancelled;
use turnpike::domain::mandate::MandateGiven;
use turnpike::domain::mandate::Period;
use turnpike::domain::mandate::Terms;
use turnpike::domain::money::Currency;
use turnpike::domain::moved::CallerKey;
use turnpike::domain::moved::Converted;
use turnpike::domain::moved::Moved;
use turnpike::domain::moved::Side;
use turnpike::domain::moved::Sides;
use turnpike::domain::moved::Verb;
use turnpike::domain::party::Text;
use turnpike::domain::party::WalletId;
use turnpike::journal::record::RecordError;
use turnpike::journal::record::decode;

/// A caller's key.
pub(crate) fn caller_key() -> impl Strategy<Value = CallerKey> {
    any::<(u128, u64, u32)>().prop_map(|(print, body, until_s)| CallerKey { print, body, until_s })
}

fn side() -> impl Strategy<Value = Side> {
    any::<(u64, u16)>().prop_map(|(wallet, account)| Side { wallet: WalletId(wallet), account })
}

/// Money that was moved, with everything that it can hold.
pub(crate) fn any_moved() -> impl Strategy<Value = Event> {
    let sides = prop_oneof![
        (side(), side()).prop_map(|(from, to)| (Some(from), Some(to))),
        side().prop_map(|from| (Some(from), None)),
        side().prop_map(|to| (None, Some(to))),
    ];
    let what = (0..Verb::ALL.len(), caller_key(), sides, 0..1000_u16);
    let numbers = (any::<[i64; 2]>(), any::<u64>(), any::<[u32; 2]>(), any::<bool>());
    let reason = prop_oneof![Just(Text::BLANK), any::<[u8; 32]>().prop_map(Text)];
    let converted = (0..14_000_u16, any::<i64>(), any::<u64>()).prop_map(|(number, amount, rate)| {
        let currency = Currency::from_number(number).expect("a number");
        Converted { currency, amount, rate: Sequence(rate) }
    });
    let converted = proptest::option::of(converted);
    (what, numbers, reason, converted).prop_map(
        |((verb, key, (from, to), currency), numbers, reason, converted)| {
            let ([amount, fee], about, [refundable_until_s, configuration], plain) = numbers;
            Event::Moved(Moved {
                verb: Verb::ALL[verb].0,
                key,
                from,
                to,
                currency: Currency::new(currency).expect("a currency"),
                amount,
                fee: if plain { 0 } else { fee },
                converted,
                about: Sequence(if plain { 0 } else { about }),
                refundable_until_s: if plain { 0 } else { refundable_until_s },
                reason,
                configuration,
                sides: Sides::ALL,
            })
        },
    )
}

/// A mandate that was given or cancelled, with everything that they can hold.
pub(crate) fn any_mandate() -> impl Strategy<Value = Event> {
    let amounts = (0..1000_u16, any::<i64>(), any::<u16>(), 0..Period::ALL.len(), any::<u32>());
    let given =
        (slot(), side(), side(), amounts, caller_key()).prop_map(|(slot, payer, payee, amounts, key)| {
            let (currency, max, charges_max, period, until_s) = amounts;
            let (currency, period) = (Currency::new(currency).expect("a currency"), Period::ALL[period].0);
            let terms = Terms { payer, payee, currency, max, charges_max, period, until_s };
            Event::MandateGiven(MandateGiven { slot, terms, key })
        });
    let cancelled = (slot(), any::<u64>()).prop_map(|(slot, mandate)| {
        Event::MandateCancelled(MandateCancelled { slot, mandate: Sequence(mandate) })
    });
    prop_oneof![given, cancelled]
}

#[test]
fn a_movement_whose_slots_are_not_its_wallets_is_refused() {
    let side = |wallet| Some(Side { wallet: WalletId(wallet), account: 0 });
    let event = Event::Moved(Moved {
        verb: Verb::Transfer,
        key: CallerKey { print: 1, body: 2, until_s: 3 },
        from: side(1),
        to: side(2),
        currency: Currency::new(840).expect("a currency"),
        amount: 5,
        fee: 0,
        converted: None,
        about: Sequence(0),
        refundable_until_s: 0,
        reason: Text::BLANK,
        configuration: 0,
        sides: Sides::ALL,
    });
    let bytes = bytes_of(&event, NOW);
    let read = |bytes: &[u8]| decode(bytes, PLACE, &vault()).map(|(frame, event)| (frame.others, event));
    assert_eq!(read(&bytes), Ok((event.other_slots(), event)));
    // Its own slot, its other slots, the verb, and the flags.
    let table = [(4, "slot"), (14, "slot"), (16, "slot"), (18, "verb"), (19, "flags")];
    for (at, field) in table {
        let mut changed = bytes.clone();
        changed[at] = if at > 17 { 0xFF } else { changed[at] ^ 1 };
        assert_eq!(read(&changed).map(|_| ()), Err(RecordError::Field(field)), "byte {at}");
    }
    let mut nobody = bytes;
    nobody[19] = 0;
    assert_eq!(read(&nobody).map(|_| ()), Err(RecordError::Field("flags")));
}
