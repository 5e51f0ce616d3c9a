//! Records: there and back, and nothing a disk holds makes decoding panic.

use proptest::prelude::*;

use turnpike::domain::card::SealNonce;
use turnpike::domain::event::Bounds;
use turnpike::domain::event::Configured;
use turnpike::domain::event::Event;
use turnpike::domain::event::Sequence;
use turnpike::domain::moved::KeysKept;
use turnpike::domain::time::Timestamp;
use turnpike::journal::kind::Kind;
use turnpike::journal::record::RECORD_BYTES_MAX;
use turnpike::journal::record::RecordError;
use turnpike::journal::record::decode;
use turnpike::journal::record::encode;

use crate::journal::events::NOW;
use crate::journal::events::any_event;
use crate::journal::events::card_opened;
use crate::journal::events::cases;
use crate::journal::events::largest;
use crate::journal::events::purchase;
use crate::journal::events::reversal;
use crate::journal::events::vault;
use crate::journal::forward::any_forward;
use crate::journal::forward::largest_stored;

pub(crate) const PLACE: SealNonce = SealNonce { epoch: 2, sequence: 99 };

pub(crate) fn bytes_of(event: &Event, time: Timestamp) -> Vec<u8> {
    // Whatever was in the buffer before must not shine through.
    let mut out = [0xEE; RECORD_BYTES_MAX];
    let length = encode(event, time, Sequence(PLACE.sequence), PLACE.epoch, &vault(), &mut out);
    out[..length].to_vec()
}

proptest! {
    #![proptest_config(cases(512))]

    #[test]
    fn every_event_is_read_as_it_was_written(event in any_event(), time in any::<u64>(), more in any::<[u8; 4]>()) {
        let mut bytes = bytes_of(&event, Timestamp(time));
        prop_assert!(bytes.len() <= RECORD_BYTES_MAX);
        let length = bytes.len();
        bytes.extend(more);
        let (frame, read) = decode(&bytes, PLACE, &vault()).expect("a record");
        prop_assert_eq!((frame.length, frame.time, frame.slot, read), (length, Timestamp(time), event.slot(), event));
        for cut in 0..length {
            prop_assert!(decode(&bytes[..cut], PLACE, &vault()).is_err());
        }
    }

    #[test]
    fn changed_bytes_never_panic(event in any_event(), at in any::<proptest::sample::Index>(), to in any::<[u8; 3]>()) {
        let mut bytes = bytes_of(&event, NOW);
        for (step, byte) in to.into_iter().enumerate() {
            let length = bytes.len();
            bytes[(at.index(length) + step * 7) % length] = byte;
            let _ = decode(&bytes, PLACE, &vault());
        }
    }

    /// One record has one writing, so that none of its bits is read and forgotten.
    #[test]
    fn what_is_read_of_changed_bytes_is_written_the_same_again(
        event in any_forward(),
        at in any::<proptest::sample::Index>(),
        bit in 0..8_u32,
    ) {
        let mut bytes = bytes_of(&event, NOW);
        let length = bytes.len();
        bytes[at.index(length)] ^= 1 << bit;
        if let Ok((frame, read)) = decode(&bytes, PLACE, &vault()) {
            prop_assert_eq!(bytes_of(&read, frame.time), bytes);
        }
    }

    #[test]
    fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..RECORD_BYTES_MAX)) {
        let _ = decode(&bytes, PLACE, &vault());
        let kind = 1 + bytes.first().map_or(0, |byte| usize::from(*byte) % Kind::ALL.len());
        let mut framed = vec![bytes.len() as u8, 0, kind as u8, 1];
        framed.extend(bytes.iter().skip(4));
        let _ = decode(&framed, PLACE, &vault());
    }
}

#[test]
fn an_approved_purchase_takes_157_bytes_and_no_decision_more_than_183() {
    assert_eq!(bytes_of(&purchase(1), NOW).len(), 157);
    assert_eq!(bytes_of(&largest(), NOW).len(), 183);
}

#[test]
fn a_stored_message_takes_no_more_than_222_bytes() {
    assert_eq!(bytes_of(&largest_stored(), NOW).len(), 222);
}

#[test]
fn a_card_number_is_nowhere_in_the_clear() {
    let bytes = bytes_of(&card_opened(1), NOW);
    let value = 4_111_111_111_111_111_u64.to_le_bytes();
    assert!(!bytes.windows(6).any(|window| window == &value[..6]));
}

#[test]
fn a_card_number_opens_only_where_it_was_written() {
    let bytes = bytes_of(&card_opened(1), NOW);
    assert!(decode(&bytes, PLACE, &vault()).is_ok());
    for place in [SealNonce { sequence: 98, ..PLACE }, SealNonce { epoch: 3, ..PLACE }] {
        assert_eq!(decode(&bytes, place, &vault()).map(|_| ()), Err(RecordError::Seal));
    }
}

#[test]
fn kinds_and_layouts_of_newer_versions_are_refused() {
    let bytes = bytes_of(&purchase(1), NOW);
    let table = [
        (2, 200, RecordError::Kind(200)),
        (2, 0, RecordError::Kind(0)),
        (3, 6, RecordError::Version { kind: 5, version: 6 }),
        (0, 13, RecordError::Length),
        (1, 1, RecordError::Length),
        (5, 4, RecordError::Field("slot")),
        (15, 0x80, RecordError::Field("flags")),
    ];
    for (at, byte, error) in table {
        let mut changed = bytes.clone();
        changed[at] = byte;
        assert_eq!(decode(&changed, PLACE, &vault()).map(|_| ()), Err(error), "byte {at} = {byte}");
    }
}

#[test]
fn bounds_that_no_memory_has_are_refused() {
    let event = |answers_per_slot| {
        let bounds = Bounds { answers_per_slot, ..Bounds::default() };
        Event::Configured(Configured { version: 1, bounds, keys: KeysKept::default() })
    };
    let most = Bounds::ANSWERS_PER_SLOT_MAX;
    let table = [(1, Ok(())), (most, Ok(())), (most + 1, Err(())), (u32::MAX, Err(()))];
    for (answers_per_slot, expected) in table {
        let read = decode(&bytes_of(&event(answers_per_slot), NOW), PLACE, &vault());
        let refused = read.map(|_| ()).map_err(|error| {
            assert_eq!(error, RecordError::Field("answers per slot"));
        });
        assert_eq!(refused, expected, "{answers_per_slot}");
    }
}

/// What version 1 wrote stays readable: these bytes were written by the first release and never change.
#[test]
fn layout_1_is_as_it_was() {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    // The second layout of a card has a byte more, that says whether a verb opened it.
    let mut bytes = bytes_of(&card_opened(7), NOW);
    assert_eq!(bytes.pop(), Some(0));
    (bytes[0], bytes[3]) = (bytes[0] - 1, 1);
    assert_eq!(hex(&bytes), CARD_OPENED);
    assert_eq!(decode(&bytes, PLACE, &vault()).map(|(_, event)| event), Ok(card_opened(7)));
    // The second layout of a purchase has one more flag.
    let mut bytes = bytes_of(&purchase(7), NOW);
    bytes[3] = 1;
    assert_eq!(hex(&bytes), PURCHASE);
    assert_eq!(decode(&bytes, PLACE, &vault()).map(|(_, event)| event), Ok(purchase(7)));
    bytes[15] |= 4;
    assert_eq!(decode(&bytes, PLACE, &vault()).map(|_| ()), Err(RecordError::Field("flags")));
}

/// The first layout of a reversal had no reason after the decision's time, and its flags no leg.
#[test]
fn the_first_layout_of_a_reversal_is_read_as_one_of_both_legs() {
    let event = reversal(7);
    let mut bytes = bytes_of(&event, NOW);
    assert_eq!(bytes.drain(119..121).collect::<Vec<_>>(), [0, 0], "the reason");
    (bytes[0], bytes[3]) = (bytes[0] - 2, 1);
    assert_eq!(decode(&bytes, PLACE, &vault()).map(|(_, event)| event), Ok(event));
    // The leg's flag belongs to the second, those of parts and groups to the third.
    bytes[15] |= 1;
    assert_eq!(decode(&bytes, PLACE, &vault()).map(|_| ()), Err(RecordError::Field("flags")));
}

const PURCHASE: &str = "\
    9d000501af020080d35bfd1ee9183000070000000000000007000000000000000000aee181159076\
    757d070000003c2bf142b94a060000003633323731303132333435365445524d303030314d455243\
    48414e543030303030303107269ac35c5f010000000000231548033300e204000000000000480302\
    000000a086010000000000e20400000000000000eeffc040c1066b0c000000304131423243";
const CARD_OPENED: &str = "\
    3e000301af020080d35bfd1ee918070000000000000007000000000000008f7e60b33406e3fa8ee4\
    65038b743295a1b8b8ca26b0763ec086600bc9000000";
