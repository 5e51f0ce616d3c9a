//! What answers are known by: keys, what they leave to chance and what no key does, by tables and by chance.

use proptest::prelude::*;

use crate::domain::event::Sequence;
use crate::domain::forward::Carried;
use crate::domain::money::Money;
use crate::domain::money::Stated;
use crate::domain::party::InstitutionId;
use crate::domain::party::Text;
use crate::domain::request::Stan;
use crate::switch::exchange::Exchanges;
use crate::switch::exchange::Found;
use crate::switch::exchange::Handle;
use crate::switch::exchange::Open;
use crate::switch::exchange::Purpose;
use crate::switch::matching::Answering;
use crate::switch::matching::KeyError;
use crate::switch::matching::MatchKey;
use crate::switch::matching::NAMING;
use crate::switch::matching::Sent;
use crate::switch::matching::difference;
use crate::switch::matching::fits_but_for_name;

use super::carried;
use super::cases;
use super::dollars;
use super::euros;
use super::moment;
use super::own;

/// An answer as it should be, in all elements.
fn echo(sent: &Sent, stan: u32) -> Answering {
    Answering {
        mti: sent.answer_mti,
        stan: Stan(stan),
        transmission: sent.transmission,
        acquirer: sent.acquirer,
        rrn: sent.rrn,
        terminal: sent.terminal,
        amount: sent.amount,
        billing: sent.billing,
        whole: true,
    }
}

fn sent(carried: &Carried) -> Sent {
    Sent::of(own(17, 1), 110, carried)
}

fn billed(carried: Carried, billing: Money) -> Carried {
    Carried { billing: Some(billing), ..carried }
}

/// Every key that can be named, and the one that nobody has.
fn keys() -> Vec<MatchKey> {
    let others = [7, 32, 37, 41];
    let named = (0..16_u8).map(|bits| {
        let chosen = (0..4).filter(|bit| bits >> bit & 1 == 1).map(|bit| others[bit]);
        let elements: Vec<u8> = std::iter::once(11).chain(chosen).collect();
        MatchKey::of(&elements).expect("a key")
    });
    named.chain([MatchKey::STRONG]).collect()
}

#[test]
fn a_key_has_what_was_named_and_its_mistakes_have_words() {
    type Row<'r> = (&'r [u8], Result<&'r [u8], KeyError>);
    let table: [Row<'_>; 9] = [
        (&[11], Ok(&[11])),
        (&[41, 37, 32, 11, 7], Ok(&NAMING)),
        (&[11, 37], Ok(&[11, 37])),
        (&[], Err(KeyError::WithoutStan)),
        (&[7, 37], Err(KeyError::WithoutStan)),
        (&[11, 37, 37], Err(KeyError::Twice(37))),
        (&[11, 6], Err(KeyError::Decision(6))),
        (&[11, 49], Err(KeyError::Decision(49))),
        (&[11, 139], Err(KeyError::NotComparable(139))),
    ];
    for (elements, expected) in table {
        let key = MatchKey::of(elements);
        let found = key.map(|key| key.elements().collect::<Vec<u8>>());
        assert_eq!(found.as_deref().map_err(|error| *error), expected, "{elements:?}");
        assert!(key.is_ok_and(MatchKey::is_named) == expected.is_ok());
    }
    assert_eq!(MatchKey::default().elements().collect::<Vec<u8>>(), NAMING);
    let weak = |elements: &[u8]| MatchKey::of(elements).expect("a key").is_weak();
    assert!(weak(&[11]) && weak(&[11, 32, 41]) && !weak(&[7, 11]) && !weak(&[11, 37]));
    assert!((0..=255).all(|element| MatchKey::STRONG.has(element) == NAMING.contains(&element)));
}

#[test]
fn an_answer_must_have_what_was_named_and_else_only_agree_where_it_does() {
    let carried = carried(1, 7, 3);
    let sent = sent(&carried);
    let whole = echo(&sent, 17);
    // What the answer changes, and the element in which the strong key differs; then what it leaves out.
    let other = |change: fn(&mut Answering)| {
        let mut answer = whole;
        change(&mut answer);
        answer
    };
    let changed: [(u8, Answering); 4] = [
        (7, other(|answer| answer.transmission = Some(moment(2)))),
        (32, other(|answer| answer.acquirer = Some(InstitutionId(1)))),
        (37, other(|answer| answer.rrn = Some(Text::from_ascii(b"REF999999999")))),
        (41, other(|answer| answer.terminal = Some(Text::from_ascii(b"TERMID99")))),
    ];
    let absent: [(u8, Answering); 4] = [
        (7, other(|answer| answer.transmission = None)),
        (32, other(|answer| answer.acquirer = None)),
        (37, other(|answer| answer.rrn = None)),
        (41, other(|answer| answer.terminal = None)),
    ];
    for key in keys() {
        assert_eq!(difference(key, &sent, &whole), None);
        for (element, answer) in &changed {
            let expected = key.has(*element).then_some(*element);
            assert_eq!(difference(key, &sent, answer), expected, "{key:?}");
        }
        for (element, answer) in &absent {
            let expected = (key.has(*element) && key.is_named()).then_some(*element);
            assert_eq!(difference(key, &sent, answer), expected, "{key:?}");
        }
        let nothing = Sent { transmission: None, acquirer: None, rrn: None, terminal: None, ..sent };
        assert_eq!(difference(key, &nothing, &whole), None, "what was not sent is not compared");
    }
}

#[test]
fn no_key_lets_an_answer_approve_what_was_not_asked_for() {
    let sent = sent(&billed(carried(1, 7, 3), euros(4_000)));
    let (all, none) = (Stated::of, Stated::NOTHING);
    let minor = |minor| Stated { minor: Some(minor), currency: None };
    let currency = |money: Money| Stated { minor: None, currency: Some(money.currency) };
    // DE 4 and DE 6, whether all is approved, and what is wrong.
    let table = [
        (all(dollars(5_000)), all(euros(4_000)), true, None),
        (none, none, true, None),
        (minor(5_000), none, true, None),
        (all(dollars(4_999)), none, true, Some(4)),
        (all(dollars(4_999)), all(euros(3_999)), false, None),
        (all(dollars(0)), all(euros(0)), false, None),
        (all(dollars(5_001)), none, false, Some(4)),
        (minor(5_001), none, false, Some(4)),
        (minor(4_999), none, true, Some(4)),
        (all(dollars(-1)), none, false, Some(4)),
        (all(euros(5_000)), none, true, Some(4)),
        (currency(euros(0)), none, false, Some(4)),
        (all(dollars(5_000)), all(euros(4_001)), false, Some(6)),
        (all(dollars(5_000)), all(euros(3_999)), true, Some(6)),
        (none, all(dollars(4_000)), true, Some(6)),
    ];
    for (amount, billing, whole, expected) in table {
        for key in keys() {
            let answer = Answering { amount, billing, whole, ..echo(&sent, 17) };
            assert_eq!(difference(key, &sent, &answer), expected, "{amount:?} {billing:?} {whole}");
        }
    }
    // What was not asked for in the cardholder's currency may be told in it.
    let without = Sent { billing: none, ..sent };
    let answer = Answering { billing: all(euros(1)), ..echo(&without, 17) };
    assert_eq!(difference(MatchKey::STRONG, &without, &answer), None);
}

#[test]
fn an_answer_fits_another_message_by_its_reference_and_nothing_that_speaks_against_it() {
    let sent = sent(&carried(1, 7, 3));
    let answer = Answering { transmission: Some(moment(9)), ..echo(&sent, 99) };
    let without = |rrn| Sent { rrn, ..sent };
    let other = Text::from_ascii(b"REF000000004");
    let table = [
        (sent, answer, true),
        (without(None), Answering { rrn: None, ..answer }, false),
        (without(Some(other)), answer, false),
        (sent, Answering { terminal: None, acquirer: None, ..answer }, true),
        (sent, Answering { terminal: Some(Text::from_ascii(b"TERMID99")), ..answer }, false),
        (sent, Answering { mti: 210, ..answer }, false),
        (sent, Answering { amount: Stated::of(dollars(5_001)), ..answer }, false),
    ];
    for (sent, answer, fits) in table {
        assert_eq!(fits_but_for_name(&sent, &answer), fits, "{answer:?}");
    }
}

/// One thing that an answer has changed.
#[derive(Clone, Copy, Debug)]
enum Change {
    Nothing,
    Mti,
    Stan(u32),
    Transmission(u8),
    Acquirer(u8),
    Reference(u8),
    Terminal(u8),
    Amount(i64),
    Currency,
    LeftOut(usize),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        Just(Change::Nothing),
        Just(Change::Mti),
        (1..40_u32).prop_map(Change::Stan),
        (0..4_u8).prop_map(Change::Transmission),
        (0..3_u8).prop_map(Change::Acquirer),
        (0..5_u8).prop_map(Change::Reference),
        (0..3_u8).prop_map(Change::Terminal),
        (4_990..5_010_i64).prop_map(Change::Amount),
        Just(Change::Currency),
        (0..4_usize).prop_map(Change::LeftOut),
    ]
}

fn terminal(number: u8) -> Text<8> {
    Text::from_ascii(format!("TERMID{number:02}").as_bytes())
}

fn changed(mut answer: Answering, change: Change) -> Answering {
    match change {
        Change::Nothing => {}
        Change::Mti => answer.mti = 210,
        Change::Stan(stan) => answer.stan = Stan(stan),
        Change::Transmission(second) => answer.transmission = Some(moment(second)),
        Change::Acquirer(number) => answer.acquirer = Some(InstitutionId(412_345 + u64::from(number))),
        Change::Reference(number) => answer.rrn = Some(carried(1, 1, number).key.rrn),
        Change::Terminal(number) => answer.terminal = Some(terminal(number)),
        Change::Amount(minor) => answer.amount = Stated::of(dollars(minor)),
        Change::Currency => answer.amount = Stated::of(euros(5_000)),
        Change::LeftOut(0) => answer.transmission = None,
        Change::LeftOut(1) => answer.acquirer = None,
        Change::LeftOut(2) => answer.rrn = None,
        Change::LeftOut(_) => answer.terminal = None,
    }
    answer
}

/// What waits, each named, and opened in its second.
fn waiting(of: &[(u8, u8, u8, u8)]) -> (Exchanges<()>, Vec<(Handle, Open<()>)>) {
    let mut exchanges = Exchanges::new(64, None);
    let mut opened = Vec::new();
    for &(second, acquirer, reference, number) in of {
        let mut carried = carried(reference, 7, reference);
        carried.key.acquirer = InstitutionId(412_345 + u64::from(acquirer));
        carried.key.terminal = terminal(number);
        let own = exchanges.name(moment(second)).expect("a name");
        let (purpose, source) = (Purpose::Request(Sequence(1)), None);
        let (sent_ns, deadline_ns, way) = (0, 1, ());
        let open = Open { purpose, own, answer_mti: 110, carried, source, sent_ns, deadline_ns, way };
        opened.push((exchanges.open(open, 1).expect("room"), open));
    }
    (exchanges, opened)
}

fn sent_of(open: &Open<()>) -> Sent {
    Sent::of(open.own, open.answer_mti, &open.carried)
}

proptest! {
    #![proptest_config(cases(500))]

    /// However few elements a key has: an answer is given to the exchange whose DE 11 it has or to none, and one with
    /// the DE 11 of another only where the key tells the two of them apart in nothing.
    #[test]
    fn r30_no_key_gives_an_answer_to_another_exchange(
        of in proptest::collection::vec((0..4_u8, 0..3_u8, 0..5_u8, 0..3_u8), 1..40),
        at in any::<usize>(),
        change in change(),
        whole in any::<bool>(),
    ) {
        let (exchanges, opened) = waiting(&of);
        let (right, open) = &opened[at % opened.len()];
        let sent = sent_of(open);
        let answer = Answering { whole, ..changed(echo(&sent, open.own.stan.0), change) };
        for key in keys() {
            let named = opened.iter().find(|(_, other)| other.own.stan == answer.stan);
            match (exchanges.find(&answer, key), named) {
                (Found::Answer(found), Some((handle, other))) => {
                    prop_assert_eq!(found, *handle);
                    let confused = key.confuses(&sent, &sent_of(other));
                    prop_assert!(found == *right || confused, "{:?} {:?}", key, change);
                    prop_assert_eq!(difference(key, &sent_of(other), &answer), None);
                }
                (Found::Differs { nearest, field }, Some((handle, other))) => {
                    prop_assert_eq!(nearest, *handle);
                    prop_assert_eq!(difference(key, &sent_of(other), &answer), Some(field));
                }
                (Found::Nothing, None) => {}
                (found, named) => prop_assert!(false, "{:?} of {:?}", found, named.map(|(_, open)| open.own)),
            }
        }
        // What the answer fits under another name is another one, and has its reference.
        if let Some(fits) = exchanges.fits_but_for_name(&answer) {
            prop_assert_ne!(fits.own.stan, answer.stan);
            prop_assert_eq!(Some(fits.carried.key.rrn), answer.rrn);
        }
    }

    /// An answer that echoes all and has another's DE 11 is found to fit the one that it echoes.
    #[test]
    fn r30_an_answer_under_another_name_is_found_to_fit_its_own(
        count in 2..40_u8,
        at in any::<usize>(),
        other in any::<usize>(),
    ) {
        let of: Vec<(u8, u8, u8, u8)> = (0..count).map(|n| (n / 8, 0, n, 0)).collect();
        let (exchanges, opened) = waiting(&of);
        let ((_, open), (handle, other)) = (opened[at % opened.len()], opened[other % opened.len()]);
        let answer = echo(&sent_of(&open), other.own.stan.0);
        let fits = exchanges.fits_but_for_name(&answer).map(|fits| fits.own);
        if open.own == other.own {
            prop_assert_eq!((exchanges.find(&answer, MatchKey::STRONG), fits), (Found::Answer(handle), None));
        } else {
            let found = exchanges.find(&answer, MatchKey::STRONG);
            let is_of_its_name = matches!(found, Found::Differs { nearest, .. } if nearest == handle);
            prop_assert!(is_of_its_name);
            prop_assert_eq!(fits, Some(open.own));
        }
    }
}
