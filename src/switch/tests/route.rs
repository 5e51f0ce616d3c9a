//! The routing table against a walk over its rows.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::domain::card::Pan;
use crate::domain::forward::Carried;
use crate::domain::money::Currency;
use crate::domain::money::Money;
use crate::domain::party::NameId;
use crate::domain::request::Legs;
use crate::domain::request::ProcessingCode;
use crate::domain::request::ReversalRequest;
use crate::switch::route::Ambiguous;
use crate::switch::route::Asked;
use crate::switch::route::Conditions;
use crate::switch::route::Group;
use crate::switch::route::IinRange;
use crate::switch::route::LinkIndex;
use crate::switch::route::Member;
use crate::switch::route::Row;
use crate::switch::route::Strategy as Choice;
use crate::switch::route::Table;
use crate::switch::route::Target;

use super::carried;
use super::cases;

/// Beginnings of card numbers of up to three digits, each a 4 or a 5.
fn iin() -> impl Strategy<Value = String> {
    let digits = || proptest::collection::vec(prop_oneof![Just('4'), Just('5')], 1..4);
    prop_oneof![
        3 => digits().prop_map(String::from_iter),
        1 => (digits(), 0_usize..8).prop_map(|(low, more)| {
            let low = String::from_iter(low);
            let high: u32 = low.parse::<u32>().expect("digits") + more as u32;
            let width = low.len();
            match high.to_string() {
                high if high.len() == width => format!("{low}-{high}"),
                _ => low,
            }
        }),
    ]
}

fn some<T: Clone + core::fmt::Debug + 'static>(of: &[T]) -> impl Strategy<Value = Vec<T>> + use<T> {
    let of = of.to_vec();
    prop_oneof![
        3 => Just(Vec::new()),
        2 => proptest::sample::subsequence(of.clone(), 1..=of.len()),
    ]
}

fn currency(numeric: u16) -> Currency {
    Currency::new(numeric).expect("a currency")
}

const SOURCES: [&str; 2] = ["visa", "till"];

/// A row's conditions, and its ranges of card numbers as they are written.
#[derive(Clone, Debug)]
struct Written {
    iins: Vec<String>,
    conditions: Conditions,
}

fn written() -> impl Strategy<Value = Written> {
    let amounts = proptest::option::weighted(0.3, (0..4_i64, 0..4_i64));
    let lists = (some(&[0_u8, 1]), some(&[(1_u16, 1_u16), (1, 2), (3, 3)]), some(&[840_u16, 978]));
    (proptest::collection::vec(iin(), 0..3), lists, amounts, some(&[250_u16, 840]), some(&SOURCES)).prop_map(
        |(iins, (transactions, mccs, currencies), amounts, countries, sources)| {
            let conditions = Conditions {
                iins: iins.iter().map(|text| IinRange::from_text(text).expect("a range")).collect(),
                transactions,
                mccs,
                amounts: amounts.map(|(from, more)| (from, from + more)),
                currencies: currencies.into_iter().map(currency).collect(),
                countries,
                sources: sources.into_iter().map(NameId::of).collect(),
            };
            Written { iins, conditions }
        },
    )
}

fn row(number: usize, conditions: Conditions) -> Row {
    Row { name: format!("row-{number}").into(), conditions, target: Target::Ledger }
}

/// A message of the small world.
fn message(pan: &str, kind: u32, mcc: u16, minor: i64, place: (u16, u16), source: &str) -> Carried {
    let mut carried = carried(1, 1, 1);
    carried.pan = Pan::from_ascii(pan.as_bytes()).expect("a card number");
    carried.processing_code = ProcessingCode(kind * 10_000);
    carried.mcc = mcc;
    carried.amount = Money::new(minor, currency(place.0));
    carried.country = place.1;
    carried.key.link = NameId::of(source);
    carried
}

/// Where ranges begin and end, and where what comes after them begins, as card numbers.
fn pans(rows: &[Written]) -> BTreeSet<String> {
    let mut pans = BTreeSet::from(["6000000000000000".to_owned()]);
    for text in rows.iter().flat_map(|row| &row.iins) {
        let (low, high) = text.split_once('-').unwrap_or((text, text));
        let after = (high.parse::<u32>().expect("digits") + 1).to_string();
        pans.extend([low, &after].map(|beginning| format!("{beginning:0<16}")));
        pans.insert(format!("{high:9<16}"));
    }
    pans
}

/// Every message that can make a difference: each value that some condition names, and one that none does.
fn world(rows: &[Written]) -> Vec<Carried> {
    let mut world = Vec::new();
    for pan in pans(rows) {
        for (kind, mcc) in (0..2).flat_map(|kind| (1..4).map(move |mcc| (kind, mcc))) {
            for (minor, source) in (0..5).flat_map(|minor| SOURCES.map(|source| (minor, source))) {
                for place in [(840, 250), (840, 840), (978, 250), (978, 840)] {
                    world.push(message(&pan, kind, mcc, minor, place, source));
                }
            }
        }
    }
    world
}

/// The digits of the longest range that a card number begins as, by its text.
fn digits(iins: &[String], pan: Pan) -> Option<usize> {
    let number = pan.value().to_string();
    let begins = |text: &String| {
        let (low, high) = text.split_once('-').unwrap_or((text, text));
        let own = &number[..low.len()];
        (low <= own && own <= high).then_some(low.len())
    };
    if iins.is_empty() { Some(0) } else { iins.iter().filter_map(begins).max() }
}

/// How strong a row is for a message that it fits.
fn strength(of: &Written, message: &Carried) -> Option<(usize, usize)> {
    fn among<T: PartialEq>(list: &[T], value: &T) -> bool {
        list.is_empty() || list.contains(value)
    }
    let Conditions { transactions, mccs, amounts, currencies, countries, sources, .. } = &of.conditions;
    let digits = digits(&of.iins, message.pan)?;
    let fits = among(transactions, &message.processing_code.transaction_type())
        && (mccs.is_empty() || mccs.iter().any(|(from, to)| *from <= message.mcc && message.mcc <= *to))
        && amounts.is_none_or(|(from, to)| from <= message.amount.minor && message.amount.minor <= to)
        && among(currencies, &message.amount.currency)
        && among(countries, &message.country)
        && among(sources, &message.key.link);
    let lists = [transactions.len(), mccs.len(), currencies.len(), countries.len(), sources.len()];
    let others = lists.iter().filter(|length| **length > 0).count() + usize::from(amounts.is_some());
    fits.then_some((digits, others))
}

/// Rows that fit a message, the strongest first.
fn fitting(rows: &[Written], message: &Carried) -> Vec<((usize, usize), usize)> {
    let strengths = rows.iter().enumerate().filter_map(|(n, row)| Some((strength(row, message)?, n)));
    let mut fitting: Vec<_> = strengths.collect();
    fitting.sort_by_key(|(strength, _)| core::cmp::Reverse(*strength));
    fitting
}

/// What is asked of a reversal of this request.
fn reversal_of(message: &Carried) -> Asked {
    Asked::of_reversal(&ReversalRequest {
        key: message.key,
        advice: true,
        repeat: false,
        pan: message.pan,
        processing_code: message.processing_code,
        amount: message.amount,
        billing: None,
        replacement: None,
        approval_code: None,
        original: None,
        legs: Legs::Both,
        reason: 0,
    })
}

proptest! {
    #![proptest_config(cases(200))]

    /// The strongest row wins, and a table is refused when two rows are as strong for one message, and only then.
    #[test]
    fn the_table_does_what_a_walk_over_its_rows_does(rows in proptest::collection::vec(written(), 0..6)) {
        let (mut ambiguous, world) = (Vec::new(), world(&rows));
        for message in &world {
            for pair in fitting(&rows, message).windows(2) {
                if let [(one, a), (other, b)] = pair && one == other {
                    ambiguous.push((*a.min(b), *a.max(b)));
                }
            }
        }
        let made = rows.iter().enumerate().map(|(n, row)| self::row(n, row.conditions.clone())).collect();
        match Table::new(made, Vec::new()) {
            Err(found) => {
                for pair in &found {
                    let number = |name: &str| name.trim_start_matches("row-").parse::<usize>().expect("a number");
                    let (a, b) = (number(&pair.first), number(&pair.second));
                    let equally = |message: &Carried| {
                        let strengths = [a, b].map(|row| strength(&rows[row], message));
                        strengths[0].is_some() && strengths[0] == strengths[1]
                    };
                    prop_assert!(a < b && world.iter().any(equally), "{pair}");
                }
                prop_assert!(!ambiguous.is_empty(), "no message shows it");
                for (a, b) in ambiguous {
                    let known = |pair: &Ambiguous| {
                        *pair.first == *format!("row-{a}") && *pair.second == *format!("row-{b}")
                    };
                    prop_assert!(found.iter().any(known), "{a} and {b} are not named");
                }
            }
            Ok(table) => {
                prop_assert!(ambiguous.is_empty(), "{ambiguous:?}");
                for message in &world {
                    let expected = fitting(&rows, message);
                    let asked = Asked::of_carried(message);
                    let won = table.find(&asked).map(|row| row.name.to_string());
                    prop_assert_eq!(&won, &expected.first().map(|(_, n)| format!("row-{n}")));
                    let explained = table.explain(&asked);
                    prop_assert_eq!(explained.won.map(String::from), won);
                    prop_assert_eq!(explained.rows.len(), rows.len());
                    let fit = explained.rows.iter().take_while(|judged| judged.fails.is_none());
                    let fit: Vec<String> = fit.map(|judged| judged.row.to_string()).collect();
                    let strengths: Vec<String> = expected.iter().map(|(_, n)| format!("row-{n}")).collect();
                    prop_assert_eq!(fit, strengths);
                }
            }
        }
    }

    /// What a message does not say fits any condition about it.
    #[test]
    fn a_reversal_goes_where_some_request_of_its_card_goes(rows in proptest::collection::vec(written(), 0..6)) {
        let made = rows.iter().enumerate().map(|(n, row)| self::row(n, row.conditions.clone())).collect();
        let Ok(table) = Table::new(made, Vec::new()) else { return Ok(()) };
        let looks = rows.iter().any(|row| !row.conditions.mccs.is_empty() || !row.conditions.countries.is_empty());
        for message in world(&rows).iter().step_by(7) {
            let asked = Asked::of_carried(message);
            let reversal = table.find(&reversal_of(message)).map(|row| row.name.clone());
            if !looks {
                prop_assert_eq!(reversal, table.find(&asked).map(|row| row.name.clone()));
            } else if table.find(&asked).is_some() {
                prop_assert!(reversal.is_some(), "what a request fits its reversal fits too");
            }
        }
    }

    /// Of any number of turns each link has its part, and one that cannot be asked gives its turns to the next.
    #[test]
    fn links_take_turns_by_their_weights(weights in proptest::collection::vec(1_u32..9, 1..6), down in any::<u8>()) {
        let members: Vec<Member> = (0..)
            .zip(&weights)
            .map(|(n, weight)| Member { link: LinkIndex(n), weight: *weight })
            .collect();
        let turns: u32 = weights.iter().sum::<u32>() * 3;
        let is_up = |link: LinkIndex| down >> link.0 & 1 == 0;
        for strategy in [Choice::Failover, Choice::RoundRobin, Choice::Weighted] {
            let group = Group { members: members.clone(), strategy, stand_in: None };
            let mut asked = vec![0; members.len()];
            for turn in 0..turns {
                let all = group.choose(turn.into(), |_| true).expect("all can be asked");
                asked[usize::from(all.0)] += 1;
                let chosen = group.choose(turn.into(), is_up);
                // The first from whose turn it is on, around.
                let around = (all.0..all.0 + members.len() as u16).map(|n| LinkIndex(n % members.len() as u16));
                prop_assert_eq!(chosen, around.into_iter().find(|link| is_up(*link)));
            }
            match strategy {
                Choice::Failover => prop_assert_eq!(asked[0], turns),
                Choice::RoundRobin => {
                    let even = turns / members.len() as u32;
                    prop_assert!(asked.iter().all(|count| (even..=even + 1).contains(count)), "{asked:?}");
                }
                Choice::Weighted => {
                    let parts: Vec<u32> = weights.iter().map(|weight| weight * 3).collect();
                    prop_assert_eq!(asked, parts);
                }
            }
        }
    }
}

#[test]
fn beginnings_of_card_numbers_by_their_texts() {
    let nineteen = "9".repeat(19);
    let right: [(&str, &[&str], &[&str]); 7] = [
        (
            "4",
            &["4111111111111111", "49999999", "4000000000000000000"],
            &["5000000000000000", "3999999999999999"],
        ),
        ("52", &["5200000000000000", "5299999999999999"], &["5199999999999999", "5300000000000000"]),
        (
            "400000-499999",
            &["4000000000000000", "4999999999999999"],
            &["3999999999999999", "5000000000000000"],
        ),
        ("0", &["0111111111111111"], &["1011111111111111"]),
        ("00-09", &["0999999999999999"], &["1000000000000000"]),
        (&nineteen, &["9999999999999999999"], &["9999999999999999998", "999999999999999999"]),
        ("41111111-41111112", &["41111111", "41111112", "4111111299"], &["41111110", "41111113"]),
    ];
    for (text, inside, outside) in right {
        let iins = vec![IinRange::from_text(text).expect(text)];
        let row = row(0, Conditions { iins, ..Conditions::default() });
        let table = Table::new(vec![row], Vec::new()).expect("one row");
        for (numbers, is_in) in [(inside, true), (outside, false)] {
            for number in numbers {
                let pan = Pan::from_ascii(number.as_bytes()).expect("a card number");
                let asked = Asked::of_carried(&Carried { pan, ..carried(1, 1, 1) });
                assert_eq!(table.find(&asked).is_some(), is_in, "{number} in {text}");
            }
        }
    }
    for (text, shown) in [("4", "4"), ("00-09", "00-09"), ("52-52", "52"), (&nineteen, &*nineteen)] {
        assert_eq!(IinRange::from_text(text).expect(text).to_string(), shown);
    }
    let wrong =
        ["", "-", "4-", "-4", "4-55", "55-4", "5-4", "4x", "x", " 4", "4 ", "+4", "4-5-6", "4--5", "\u{664}"];
    for text in wrong {
        assert_eq!(IinRange::from_text(text), None, "{text:?}");
    }
    assert_eq!(IinRange::from_text(&"1".repeat(20)), None, "more digits than a card number has");
}

/// Whoever asks about a beginning is told when more digits would matter.
#[test]
fn a_beginning_is_divided_where_a_row_names_more_digits() {
    let iins = ["4111", "42-43"].into_iter().filter_map(IinRange::from_text).collect();
    let row = row(0, Conditions { iins, ..Conditions::default() });
    let table = Table::new(vec![row], Vec::new()).expect("one row");
    let divided = ["4", "41", "411", "3-5"];
    let whole = ["4111", "41115", "42", "43", "42-43", "44", "40", "3", "5", "9999999999999999999"];
    for (texts, expected) in [(&divided[..], true), (&whole[..], false)] {
        for text in texts {
            assert_eq!(table.divides(IinRange::from_text(text).expect(text)), expected, "{text}");
        }
    }
}

#[test]
fn an_ambiguous_pair_is_named_with_a_message_that_both_fit() {
    let named = |iin: &str| Conditions {
        iins: IinRange::from_text(iin).into_iter().collect(),
        ..Conditions::default()
    };
    let rows =
        vec![row(0, named("41-42")), row(1, named("42-43")), row(2, named("4")), row(3, named("0042"))];
    let found = Table::new(rows.clone(), Vec::new()).expect_err("two rows are as strong");
    let told: Vec<String> = found.iter().map(ToString::to_string).collect();
    let expected =
        "the rows `row-0` and `row-1` are as strong as each other, and both fit cards that begin with 42";
    assert_eq!(told, [expected]);
    let rows = vec![rows[3].clone(), row(4, named("0042-0043"))];
    let found = Table::new(rows, Vec::new()).expect_err("two rows are as strong");
    assert!(found[0].example.ends_with("begin with 0042"), "{}", found[0].example);
}
