//! Events of clearing.

use proptest::prelude::*;

use crate::journal::events::approval_code;
use crate::journal::events::card;
use crate::journal::events::charge;
use crate::journal::events::key;
use crate::journal::events::money;
use crate::journal::events::shares;
use crate::journal::events::slot;
use turnpike::domain::cleared::Clearance;
use turnpike::domain::cleared::Cleared;
use turnpike::domain::cleared::FilePosted;
use turnpike::domain::cleared::MatchedBy;
use turnpike::domain::clearing::ARN_DIGITS;
use turnpike::domain::clearing::Arn;
use turnpike::domain::clearing::Function;
use turnpike::domain::clearing::Part;
use turnpike::domain::clearing::Purpose;
use turnpike::domain::clearing::Usage;
use turnpike::domain::event::Event;
use turnpike::domain::event::Sequence;

/// A posted clearing record or the progress of a file, with everything that they can hold.
pub(crate) fn any_clearing() -> impl Strategy<Value = Event> {
    let file = any::<(u128, u64, u64)>()
        .prop_map(|(checksum, records, of)| Event::FilePosted(FilePosted::new(checksum, records, of)));
    prop_oneof![3 => cleared(), 1 => file]
}

fn part() -> impl Strategy<Value = Part> {
    prop_oneof![
        Just(Part::Whole),
        Just(Part::Partial),
        Just(Part::Final),
        any::<[u8; 2]>().prop_map(|[sequence, count]| Part::Numbered { sequence, count }),
    ]
}

fn function() -> impl Strategy<Value = Function> {
    (0..Purpose::ALL.len(), any::<[bool; 2]>(), any::<u32>()).prop_map(|(at, [reversal, second], code)| {
        let usage = if second { Usage::Second } else { Usage::First };
        Function { purpose: Purpose::ALL[at].0, reversal, usage, code }
    })
}

fn cleared() -> impl Strategy<Value = Event> {
    let arn = proptest::array::uniform32(b'0'..=b'9').prop_map(|digits| {
        let (first, _) = digits.split_first_chunk::<ARN_DIGITS>().expect("enough digits");
        Arn::new(*first).expect("digits")
    });
    let who = (slot(), card(), any::<u16>(), key(), function(), part(), arn);
    let amounts =
        (money(), proptest::option::of(money()), approval_code(), any::<u16>(), (charge(), shares()));
    let outcome = (0..Clearance::ALL.len(), 0..MatchedBy::ALL.len(), any::<u64>(), money(), any::<u32>());
    (who, amounts, outcome).prop_map(|(who, amounts, outcome)| {
        let (slot, card, account, key, function, part, arn) = who;
        let (amount, billing, approval_code, mcc, (charge, shares)) = amounts;
        let (outcome, by, matches, posted, configuration) = outcome;
        Event::Cleared(Cleared {
            slot,
            card,
            account,
            network: key.network,
            function,
            part,
            arn,
            amount,
            billing,
            approval_code,
            network_reference: key.network_reference,
            rrn: key.rrn,
            terminal: key.terminal,
            merchant: key.merchant,
            acquirer: key.acquirer,
            mcc,
            outcome: Clearance::ALL[outcome].0,
            by: MatchedBy::ALL[by].0,
            matches: Sequence(matches),
            posted: posted.minor,
            posted_in: posted.currency,
            charge,
            shares,
            configuration,
        })
    })
}
