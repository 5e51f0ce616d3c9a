//! The acquirer against a small issuer: everything adds up, and each planted mistake is found.

use std::time::Duration;

use proptest::prelude::*;

use crate::dialect::Dialect;
use crate::domain::time::Timestamp;
use crate::workload::acquirer::Acquirer;
use crate::workload::exchange::Kind;
use crate::workload::identity::Run;
use crate::workload::issuer::Issuer;
use crate::workload::issuer::Planted;
use crate::workload::model::Mistake;
use crate::workload::population::Composition;
use crate::workload::population::Population;
use crate::workload::script::SCRIPTS;
use crate::workload::traffic::Mix;
use crate::workload::traffic::Traffic;

const NOW: Timestamp = Timestamp::from_seconds(1_795_000_000);

const EVERYTHING: &str = "purchase=20,cash=5,sale=10,partial=5,over-limit=5,unknown-card=5,blocked-card=5,inquiry=5,\
     verification=5,repeat=10,reversal=8,reversal-advice=8,reversal-repeat=5,early-reversal=4,echo=1";

fn everything() -> Mix {
    Mix::parse(EVERYTHING).expect("a mix")
}

/// What is sent one by one, and whole life cycles among it.
fn mixes() -> [Mix; 2] {
    let lives: String = SCRIPTS.iter().map(|script| format!(",{}=1", script.name)).collect();
    [everything(), Mix::parse(&format!("{EVERYTHING}{lives}")).expect("a mix")]
}

fn population() -> Population {
    let of = Composition { balance: 60_000, blocked_every: 7, ..Composition::of(80, 3) };
    Population::generate(of)
}

/// Every dialect that is compiled in.
fn dialects() -> Vec<Dialect> {
    let named = |name| Dialect::built_in(name).expect("a dialect that is compiled in");
    Dialect::built_in_names().into_iter().map(named).collect()
}

/// All dialects, a connection each; batches of messages, each answered in order.
fn run(traffic: &Traffic, planted: Planted, batches: &[u8]) -> (Acquirer, Issuer) {
    let dialects = dialects();
    let streams: Vec<usize> = (0..dialects.len()).collect();
    let mut issuer = Issuer::new(&population(), planted);
    let mut acquirer =
        Acquirer::new(population(), &dialects, &streams, traffic, Run::new(77)).expect("templates");
    acquirer.set_time(NOW);
    let mut clock = 0;
    for (turn, batch) in batches.iter().enumerate() {
        let stream = turn % dialects.len();
        let (mut frames, mut answers) = (Vec::new(), Vec::new());
        for _ in 0..*batch {
            clock += 1;
            // The second changes between any two messages.
            acquirer.set_time(NOW.plus_ms(clock * 300));
            let number = acquirer.compose(stream, &mut frames);
            acquirer.sent(number, clock, clock);
        }
        let whole = issuer.answer(&dialects[stream], &frames, &mut answers);
        assert_eq!(whole, frames.len());
        take(&mut acquirer, &dialects[stream], stream, &answers, clock);
        clear(&mut acquirer, &mut issuer, clock);
    }
    while acquirer.waits_quietly() {
        clock += 1;
        clear(&mut acquirer, &mut issuer, clock);
    }
    (acquirer, issuer)
}

/// Holds run out, and what there is of clearing files is posted.
fn clear(acquirer: &mut Acquirer, issuer: &mut Issuer, clock: u64) {
    issuer.expire();
    acquirer.wake(clock);
    if let Some(file) = acquirer.take_clearing_file() {
        let records = file.records().to_vec();
        let outcomes = issuer.clear(&file.into_bytes());
        acquirer.cleared(&records, &outcomes, false);
    }
}

fn take(acquirer: &mut Acquirer, dialect: &Dialect, stream: usize, answers: &[u8], clock: u64) {
    let mut at = 0;
    while let Some(frame) = dialect.frame(&answers[at..]).expect("frames") {
        let _what = acquirer.receive(stream, &answers[at + frame.body.start..at + frame.body.end], clock);
        at += frame.total;
    }
}

fn assert_same_money(acquirer: &Acquirer, issuer: &Issuer) {
    for (account, (posted, held)) in acquirer.population().accounts().iter().zip(acquirer.model().money()) {
        let is = issuer.accounts[&(account.wallet.0, account.currency)];
        assert_eq!(is, (account.balance + posted, held), "wallet {}", account.wallet.0);
    }
}

fn traffic(mix: Mix, seed: u64) -> Traffic {
    let expires_after = Some(Duration::from_nanos(100));
    Traffic { mix, seed, clears: true, expires_after, ..Traffic::default() }
}

fn cases() -> u32 {
    std::env::var("TURNPIKE_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(16)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn r33_the_model_and_a_right_issuer_agree(
        seed in any::<u64>(),
        batches in proptest::collection::vec(1_u8..60, 1..80),
        level in proptest::option::of(1_u32..200),
        lives in any::<bool>(),
    ) {
        let [plain, life] = mixes();
        let traffic = Traffic { level, ..traffic(if lives { life } else { plain }, seed) };
        let (acquirer, issuer) = run(&traffic, Planted::Nothing, &batches);
        prop_assert_eq!(acquirer.model().examples(), &[]);
        prop_assert_eq!(acquirer.exchanges().unanswered().count(), 0);
        assert_same_money(&acquirer, &issuer);
    }
}

#[test]
fn every_kind_is_sent_in_every_dialect() {
    let (acquirer, _) = run(&traffic(everything(), 5), Planted::Nothing, &[40; 200]);
    for (kind, name) in Kind::DRAWN {
        assert!(acquirer.sent_by(kind) > 20, "{name}: {}", acquirer.sent_by(kind));
    }
    assert!(acquirer.sent_by(Kind::Late) > 20 && acquirer.sent_by(Kind::Echo) > 20);
}

#[test]
fn every_life_cycle_is_lived_in_every_dialect() {
    let (acquirer, issuer) = run(&traffic(Mix::life(), 5), Planted::Nothing, &[40; 1_000]);
    for (name, begun) in acquirer.lives_begun() {
        assert!(begun > 10, "{name}: {begun}");
    }
    for kind in Kind::OF_LIVES {
        assert!(acquirer.sent_by(kind) > 100, "{}: {}", kind.name(), acquirer.sent_by(kind));
    }
    assert_eq!(acquirer.model().examples(), &[]);
    assert_same_money(&acquirer, &issuer);
}

#[test]
fn each_planted_mistake_is_found() {
    let table = [
        (Planted::AnswersTwice, Some(Mistake::Second)),
        (Planted::AnswersToNothing, Some(Mistake::ToNothing)),
        (Planted::ApprovesOverLimit, Some(Mistake::AboveAvailable)),
        (Planted::PartAboveWhole, Some(Mistake::PartAboveWhole)),
        (Planted::OtherCodeToRepeat, Some(Mistake::RepeatDiffers)),
        (Planted::OtherAmountToRepeat, Some(Mistake::RepeatDiffers)),
        (Planted::OtherBalanceToRepeat, Some(Mistake::RepeatDiffers)),
        (Planted::DeclinesReversal, Some(Mistake::NotAcknowledged)),
        (Planted::ApprovesAfterReversal, Some(Mistake::ApprovedAfterReversal)),
        (Planted::ApprovesUnknownCards, Some(Mistake::UnexpectedCode)),
        (Planted::SaysNothing, None),
        (Planted::ForgetsHold, None),
        (Planted::Refuses, None),
        (Planted::PostsAgain, Some(Mistake::ClearedOtherwise)),
    ];
    for ((planted, mistake), mix) in table.into_iter().flat_map(|row| mixes().map(|mix| (row, mix))) {
        if planted == Planted::PostsAgain && !mix.has_lives() {
            continue;
        }
        let (acquirer, issuer) = run(&traffic(mix, 11), planted, &[40; 100]);
        let count = |mistake: Mistake| acquirer.model().mistakes()[mistake as usize];
        if let Some(mistake) = mistake {
            assert!(count(mistake) > 0, "{planted:?}: {:?}", acquirer.model().examples());
        }
        match planted {
            Planted::SaysNothing => assert!(acquirer.exchanges().unanswered().count() > 20),
            Planted::Refuses => {
                assert!(acquirer.refusals_seen() > 20);
                assert_eq!(
                    acquirer.model().examples(),
                    &[],
                    "a refusal is no mistake, whatever comes after it"
                );
                assert_same_money(&acquirer, &issuer);
            }
            Planted::ForgetsHold => {
                let held: i64 = acquirer.model().money().map(|(_, held)| held).sum();
                assert!(held > issuer.accounts.values().map(|(_, held)| held).sum::<i64>());
            }
            _ => {}
        }
    }
}

/// Sends one more batch, whose answers are lost.
fn lose_answers(acquirer: &mut Acquirer, issuer: &mut Issuer) {
    let (mut frames, mut answers) = (Vec::new(), Vec::new());
    for n in 0..60 {
        acquirer.set_time(NOW.plus_ms(10_000_000 + n * 300));
        let number = acquirer.compose(0, &mut frames);
        acquirer.sent(number, n, n);
    }
    assert_eq!(issuer.answer(&dialects()[0], &frames, &mut answers), frames.len());
}

fn assert_between(acquirer: &Acquirer, issuer: &Issuer) {
    let accounts = acquirer.population().accounts();
    for (account, between) in accounts.iter().zip(acquirer.taken_between()) {
        let (balance, held) = issuer.accounts[&(account.wallet.0, account.currency)];
        for (taken, (least, most)) in [(held, between.held), (account.balance - balance, between.posted)] {
            assert!(least <= taken && taken <= most, "wallet {}: {taken} {between:?}", account.wallet.0);
        }
    }
}

#[test]
fn r33_a_repeat_without_an_answer_of_what_was_refused_may_have_taken_money() {
    let mix = Mix::parse("purchase=30,sale=30,repeat=40").expect("a mix");
    let mut refused = 0;
    for seed in 0..20 {
        let (mut acquirer, mut issuer) = run(&traffic(mix.clone(), seed), Planted::Refuses, &[40; 20]);
        lose_answers(&mut acquirer, &mut issuer);
        refused += acquirer.undecided().filter(|exchange| exchange.answers() > 0).count();
        assert_between(&acquirer, &issuer);
    }
    assert!(refused > 5, "{refused}");
}

#[test]
fn r33_what_has_no_answer_is_settled_by_its_reversal() {
    for (mix, seed) in mixes().into_iter().flat_map(|mix| (23..30).map(move |seed| (mix.clone(), seed))) {
        settle(&traffic(mix, seed));
    }
}

fn settle(traffic: &Traffic) {
    let (mut acquirer, mut issuer) = run(traffic, Planted::SaysNothing, &[40; 100]);
    assert_between(&acquirer, &issuer);
    let dialects = dialects();
    issuer.planted = Planted::Nothing;
    let mut open = Vec::new();
    acquirer.unsettled(&mut open);
    assert!(open.len() > 10);
    for number in open.drain(..) {
        let (mut frame, mut answer) = (Vec::new(), Vec::new());
        let Some((stream, reversal)) = acquirer.compose_settlement(number, &mut frame) else { continue };
        acquirer.sent(reversal, 1, 1);
        issuer.answer(&dialects[stream], &frame, &mut answer);
        take(&mut acquirer, &dialects[stream], stream, &answer, 2);
    }
    acquirer.unsettled(&mut open);
    assert!(open.is_empty(), "{open:?}");
    assert_same_money(&acquirer, &issuer);
}

#[test]
fn equal_seeds_give_equal_frames_and_no_two_frames_are_alike() {
    let dialect = Dialect::built_in("visa").expect("visa");
    let frames = |seed| {
        let dialects = [dialect.clone()];
        let traffic = traffic(Mix::default(), seed);
        let mut acquirer =
            Acquirer::new(population(), &dialects, &[0], &traffic, Run::new(1)).expect("templates");
        acquirer.set_time(NOW);
        let mut frames = Vec::new();
        for number in 0..5_000 {
            let mut frame = Vec::new();
            let composed = acquirer.compose(0, &mut frame);
            acquirer.sent(composed, number, number);
            frames.push(frame);
        }
        frames
    };
    let mut one = frames(3);
    assert_eq!(one, frames(3));
    assert_ne!(one, frames(4));
    one.sort_unstable();
    one.dedup();
    assert_eq!(one.len(), 5_000);
}
