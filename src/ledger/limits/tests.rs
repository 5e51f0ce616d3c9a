//! Limits against a model that keeps every use and adds up anew.

use super::*;
use crate::domain::control::Aspect;
use crate::domain::control::Rule;
use crate::domain::limit::Filter;
use crate::domain::limit::Measure;
use crate::domain::party::Slot;
use crate::domain::request::TransactionKind;
use crate::domain::usage::Channel;
use crate::domain::usage::Channels;
use crate::domain::usage::Kinds;
use crate::domain::usage::MccRange;
use crate::domain::zone::UtcOffset;
use crate::domain::zone::Zone;
use crate::domain::zone::ZoneChange;
use crate::domain::zone::ZoneChanges;
use crate::domain::zone::ZoneNumber;
use crate::domain::zone::ZoneSet;
use crate::domain::zone::ZoneTable;

/// Numbers that look random and are the same every time (SplitMix64).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len() as u64) as usize]
    }
}

/// What was counted at one record.
struct Piece {
    record: u64,
    /// The authorization that can give it back; zero for none any more.
    owner: u64,
    owners: Owners,
    usage: Usage,
    at: u64,
    amount: Money,
    one_more: bool,
}

/// Whose, which, since which record, and what.
type Set = (Subject, u8, u64, Limit);

/// Limits as a list of everything that was set, and a list of everything that was approved.
#[derive(Default)]
struct Model {
    limits: Vec<Set>,
    controls: Vec<(Subject, u8, Control, u64)>,
    pieces: Vec<Piece>,
    /// The zones of every slot.
    zones: Vec<ZoneTable>,
}

impl Model {
    fn set_limit(&mut self, record: u64, subject: Subject, number: u8, limit: Option<Limit>) {
        // A number of a product is of each card or of each wallet.
        let product = |subject: Subject| subject.product().map(|(product, _)| product);
        let is_it = |of: Subject| of == subject || product(of).is_some() && product(of) == product(subject);
        let known = self.limits.iter().position(|(of, n, ..)| *n == number && is_it(*of));
        let before = known.map(|at| self.limits.remove(at)).filter(|(of, ..)| *of == subject);
        let Some(limit) = limit else { return };
        let same = before.filter(|(.., old)| Limit { max: limit.max, ..*old } == limit);
        self.limits.push((subject, number, same.map_or(record, |(_, _, since, _)| since), limit));
        self.limits.sort_by_key(|(of, n, ..)| (*of, *n));
    }

    /// What counts now, by walking everything.
    fn used(&self, (subject, _, since, limit): &Set, owners: Owners, now: u64) -> i64 {
        let index = limit.window.index(now, &self.zones);
        let mut used = 0;
        for piece in self.pieces.iter().filter(|piece| piece.record > *since) {
            let of_product = |product| piece.owners.product == Some(product);
            let owned = match *subject {
                Subject::Card(_) | Subject::Wallet(_) => piece.owners.subjects().contains(subject),
                Subject::EachCard(product) => of_product(product) && piece.owners.card == owners.card,
                Subject::EachWallet(product) => of_product(product) && piece.owners.wallet == owners.wallet,
            };
            let of = limit.window.index(piece.at, &self.zones);
            let counts = match limit.window {
                Window::Transaction => false,
                Window::Sliding(_) => index - of <= 60,
                _ => of == index,
            };
            let more = match limit.measure {
                Measure::Count => i64::from(piece.one_more),
                Measure::Amount(currency) if currency == piece.amount.currency => piece.amount.minor,
                Measure::Amount(_) => 0,
            };
            used += if owned && counts && limit.filter.fits(&piece.usage) { more } else { 0 };
        }
        used
    }

    fn refuses(
        &self,
        owners: Owners,
        usage: &Usage,
        amount: Money,
        one_more: bool,
        now: u64,
    ) -> Option<ActionCode> {
        let of_product =
            |set: &&Set| set.0.product().is_some_and(|(product, _)| owners.product == Some(product));
        let mut rules: Vec<&Set> = self.limits.iter().filter(of_product).collect();
        rules.sort_by_key(|(_, number, ..)| *number);
        let own = owners
            .subjects()
            .into_iter()
            .map(|subject| self.limits.iter().filter(|(of, ..)| *of == subject).collect::<Vec<&Set>>());
        own.chain([rules]).find_map(|sets| {
            sets.into_iter().find_map(|set| {
                let limit = &set.3;
                let (takes, code) = match limit.measure {
                    Measure::Count if one_more => (1, ActionCode::CountLimitExceeded),
                    Measure::Amount(currency) if currency == amount.currency => {
                        (amount.minor, ActionCode::AmountLimitExceeded)
                    }
                    Measure::Count | Measure::Amount(_) => return None,
                };
                let passed = limit.filter.fits(usage) && self.used(set, owners, now) + takes > limit.max;
                passed.then_some(code)
            })
        })
    }

    fn bars(&self, owners: Owners, usage: &Usage) -> Option<ActionCode> {
        owners.subjects().into_iter().find_map(|subject| {
            let own = self.controls.iter().filter(|(of, ..)| *of == subject);
            own.filter(|(_, _, control, locked)| !control.passes(usage, MerchantPrint(*locked)))
                .map(|(_, _, control, _)| control.refusal())
                .next()
        })
    }
}

fn currency(chance: &mut Chance) -> Currency {
    Currency::new(chance.one_of(&[840, 978])).expect("a currency")
}

fn usage(chance: &mut Chance) -> Usage {
    Usage {
        amount: 0,
        channel: chance.one_of(&[Channel::Chip, Channel::Ecommerce, Channel::Atm]),
        kind: Kinds::of(chance.one_of(&[TransactionKind::Purchase, TransactionKind::Cash])),
        mcc: chance.one_of(&[0, 5411, 7995]),
        country: chance.one_of(&[0, 276, 840]),
        currency: currency(chance),
        merchant: MerchantPrint(chance.below(3)),
        merchant_initiated: false,
    }
}

fn filter(chance: &mut Chance) -> Filter {
    let mut filter = Filter::ALL;
    match chance.below(9) {
        0 => filter.channels = Channels(0).with(Channel::Ecommerce).with(Channel::Atm),
        1 => filter.kinds = Kinds::of(TransactionKind::Cash),
        2 => filter.mcc[0] = MccRange { first: 5000, last: 5999 },
        3 => filter.country = 276,
        4 => filter.currency = Some(currency(chance)),
        5 => filter.merchant = MerchantPrint(1),
        _ => {}
    }
    filter
}

fn limit(chance: &mut Chance) -> Limit {
    let fixed = |minutes| Zone::Fixed(UtcOffset::new(minutes).expect("an offset"));
    let named = |number| Zone::Named(ZoneNumber::new(number).expect("a number"));
    let offset = chance.one_of(&[fixed(0), fixed(-300), fixed(345), named(1), named(2), named(2)]);
    let sliding = |seconds| Window::sliding(seconds).expect("a window");
    let window = chance.one_of(&[
        Window::Transaction,
        Window::Day(offset),
        Window::Week(offset),
        Window::Month(offset),
        Window::Year(offset),
        Window::Lifetime,
        sliding(3_600),
        sliding(86_400),
        sliding(30 * 86_400),
    ]);
    let counts = chance.below(3) == 0 && window != Window::Transaction;
    Limit {
        measure: if counts { Measure::Count } else { Measure::Amount(currency(chance)) },
        max: if counts { chance.below(6) as i64 } else { chance.below(900) as i64 },
        window,
        filter: filter(chance),
    }
}

fn control(chance: &mut Chance) -> Control {
    let rule = chance.one_of(&[Rule::Allow, Rule::Deny, Rule::Deny]);
    let made = match chance.below(5) {
        0 => Control::mcc(rule, &[MccRange { first: 7995, last: 7995 }]),
        1 => Control::countries(rule, &[276]),
        2 => Control::channels(rule, Channels(0).with(Channel::Atm)),
        3 => Control::merchants(rule, &[MerchantPrint(2)]),
        _ => Some(Control::FIRST_MERCHANT),
    };
    made.expect("a control")
}

const CARDS: u64 = 3;

/// Cards 1 and 2 are of wallet 1, card 3 of wallet 2.
/// Whose card it is; card 1 and 2 are of product 1, and card 3 of product 2.
fn of_card(card: u64) -> Owners {
    let product = ProductNumber::new((card / 3 + 1) as u8);
    Owners { card: CardRef(card), wallet: WalletId(card / 3 + 1), product }
}

fn owners(chance: &mut Chance) -> Owners {
    let card = chance.below(CARDS) + 1;
    of_card(card)
}

/// The slots of all of them.
fn slots() -> std::collections::BTreeSet<Slot> {
    let cards = (1..=CARDS).map(|card| Subject::Card(CardRef(card)));
    let all = cards.chain([1, 2].map(|wallet| Subject::Wallet(WalletId(wallet))));
    all.filter_map(Subject::slot).collect()
}

fn subject(chance: &mut Chance) -> Subject {
    let owners = owners(chance);
    chance.one_of(&owners.subjects())
}

fn number(chance: &mut Chance) -> u8 {
    chance.one_of(&[1, 2, 3, 16])
}

/// How far time goes on from one event to the next, seconds.
fn pause(chance: &mut Chance) -> u64 {
    let longest = chance.one_of(&[1, 60, 1_500, 40_000, 700_000, 12_000_000]);
    chance.below(longest + 1)
}

struct History {
    chance: Chance,
    limits: Limits,
    model: Model,
    record: u64,
    now: u64,
}

/// Changes of a zone from a time on, some months apart, at any minute of the day.
fn changes(chance: &mut Chance, from_s: u64) -> Vec<ZoneChange> {
    let mut at = from_s;
    let list = (0..1 + chance.below(40)).map(|_| {
        let offset = UtcOffset::new(chance.one_of(&[-300, -240, 345, 60, 120, -150])).expect("an offset");
        let change = ZoneChange { from_s: at as u32, offset };
        at += 60 * (1 + chance.below(300_000));
        change
    });
    list.collect()
}

impl History {
    fn new(seed: u64) -> Self {
        let mut history = Self {
            chance: Chance(seed),
            limits: Limits::with_capacity(200, 400, seed),
            model: Model::default(),
            record: 1,
            now: 1_790_000_000 + seed % 10_000_000,
        };
        history.tell(1, 0);
        history.tell(2, 1_700_000_000);
        history
    }

    /// Tells every slot of a zone, from a time on.
    fn tell(&mut self, number: u16, from_s: u64) {
        let list = changes(&mut self.chance, from_s);
        let at = usize::from(number) - 1;
        let name = ZoneName::from_ascii(format!("Zone/{number}").as_bytes());
        match self.model.zones.get(at) {
            None => self.model.zones.push(ZoneTable::new(name, list.clone()).expect("a zone")),
            Some(known) => {
                let before = known.changes().iter().filter(|change| change.from_s < list[0].from_s);
                let all = before.chain(&list).copied().collect();
                self.model.zones[at] = ZoneTable::new(name, all).expect("a zone");
            }
        }
        let zone = ZoneNumber::new(number).expect("a number");
        for slot in slots() {
            for part in list.chunks(ZoneChanges::MAX) {
                let changes = ZoneChanges::new(part).expect("changes");
                self.limits.zones.set(&ZoneSet { slot, zone, name, changes }).expect("a zone");
            }
            assert_eq!(self.limits.zones_of(slot), self.model.zones);
        }
    }

    fn time(&self) -> Timestamp {
        Timestamp::from_seconds(self.now)
    }

    fn step(&mut self) {
        self.record += 1;
        self.now += pause(&mut self.chance);
        if self.chance.below(60) == 0 {
            // What a government has changed counts from now on.
            let number = 1 + self.chance.below(2) as u16;
            return self.tell(number, self.now);
        }
        match self.chance.below(12) {
            0 | 1 => self.set_limit(),
            2 => self.set_control(),
            3..=7 => self.authorize(),
            8 => self.change(),
            9 => self.capture(),
            _ => self.end(),
        }
    }

    fn set_limit(&mut self) {
        let (mut subject, number) = (subject(&mut self.chance), number(&mut self.chance));
        if let (0, Some(product)) = (self.chance.below(3), owners(&mut self.chance).product) {
            subject = self.chance.one_of(&[Subject::EachCard(product), Subject::EachWallet(product)]);
        }
        let known = self.model.limits.iter().find(|(of, n, ..)| (*of, *n) == (subject, number));
        let limit = match (self.chance.below(4), known) {
            (0, _) => None,
            // Only how much.
            (1, Some((.., limit))) => Some(Limit { max: limit.max + 100, ..*limit }),
            _ => Some(limit(&mut self.chance)),
        };
        let at = Number::new(number).expect("a number");
        if let Some((product, per_wallet)) = subject.product() {
            for slot in slots() {
                self.limits.set_rule((Sequence(self.record), slot), (product, per_wallet), at, limit);
            }
        } else {
            let set = self.limits.set_limit(Sequence(self.record), self.time(), subject, at, limit);
            set.expect("room");
        }
        self.model.set_limit(self.record, subject, number, limit);
    }

    fn set_control(&mut self) {
        let (subject, number) = (subject(&mut self.chance), number(&mut self.chance));
        let control = (self.chance.below(3) > 0).then(|| control(&mut self.chance));
        let at = Number::new(number).expect("a number");
        self.limits.set_control(subject, at, control).expect("room");
        let known = self.model.controls.iter().position(|(of, n, ..)| (*of, *n) == (subject, number));
        let before = known.map(|at| self.model.controls.remove(at));
        let kept = before.filter(|before| Some(before.2) == control).map_or(0, |before| before.3);
        self.model.controls.extend(control.map(|control| (subject, number, control, kept)));
        self.model.controls.sort_by_key(|(of, n, ..)| (*of, *n));
    }

    /// Decides as the authorizer does; some uses are forced, as an advice does.
    fn authorize(&mut self) {
        let (owners, usage) = (owners(&mut self.chance), usage(&mut self.chance));
        let amount = Money::new(self.chance.below(300) as i64 + 1, currency(&mut self.chance));
        let barred = self.limits.refused_by_control(owners, &usage);
        assert_eq!(barred, self.model.bars(owners, &usage), "controls of {owners:?} and {usage:?}");
        let one_more = self.chance.below(5) > 0;
        let refused = self.limits.refused_by_limit(owners, &usage, amount, one_more, self.time());
        let expected = self.model.refuses(owners, &usage, amount, one_more, self.now);
        assert_eq!(refused, expected, "limits of {owners:?} and {usage:?}");
        let forced = self.chance.below(5) == 0;
        if !forced && barred.or(refused).is_some() {
            return;
        }
        let part = if forced { amount } else { Money::new((amount.minor + 1) / 2, amount.currency) };
        let counted =
            self.limits.count(owners, [Sequence(self.record); 2], &usage, part, one_more, self.time());
        counted.expect("room");
        for (of, _, control, locked) in &mut self.model.controls {
            let owned = owners.subjects().contains(of) && control.aspect() == Aspect::FirstMerchant;
            *locked = if owned && *locked == 0 { usage.merchant.0 } else { *locked };
        }
        let (record, at) = (self.record, self.now);
        let piece = Piece { record, owner: record, owners, usage, at, amount: part, one_more };
        self.model.pieces.push(piece);
    }

    /// An authorization that can still be changed, with the pieces that the limits keep, the latest first.
    fn known(&mut self) -> Option<(Owners, Sequence, Vec<usize>)> {
        let open: Vec<u64> =
            self.model.pieces.iter().map(|piece| piece.owner).filter(|owner| *owner != 0).collect();
        let owner = (!open.is_empty()).then(|| self.chance.one_of(&open))?;
        let kept: Vec<u64> =
            self.limits.counted_of(Sequence(owner)).map(|counted| counted.record.0).collect();
        let at = |record: &u64| self.model.pieces.iter().position(|piece| piece.record == *record);
        let pieces: Vec<usize> = kept.iter().filter_map(at).collect();
        assert!(pieces.iter().all(|at| self.model.pieces[*at].owner == owner));
        assert!(kept.is_sorted_by(|later, earlier| later > earlier));
        let owners = self.model.pieces.iter().find(|piece| piece.owner == owner)?.owners;
        Some((owners, Sequence(owner), pieces))
    }

    /// A reversal of a part, or an advice with another amount, and sometimes of another account.
    fn change(&mut self) {
        let Some((owners, owner, kept)) = self.known() else { return };
        let mut more = self.chance.below(400) as i64 - 200;
        if self.chance.below(6) == 0 {
            let currency = currency(&mut self.chance);
            more = more.abs() + 1;
            self.limits.replace(owners, owner, Money::new(more, currency));
            kept.iter().for_each(|at| self.model.pieces[*at].amount = Money::new(0, currency));
        } else {
            self.limits.change(owners, owner, more);
        }
        for (n, at) in kept.into_iter().enumerate() {
            let amount = &mut self.model.pieces[at].amount.minor;
            let step = if more > 0 { if n == 0 { more } else { 0 } } else { more.max(-*amount) };
            *amount += step;
            more -= step;
        }
    }

    /// An authorization is posted by a message of its own, alone or with another one of the same card.
    fn capture(&mut self) {
        let Some((owners, owner, _)) = self.known() else { return };
        let (other_owners, other, _) = self.known().unwrap_or((owners, owner, Vec::new()));
        let both = if other_owners == owners { vec![owner, other] } else { vec![owner] };
        for from in both {
            self.limits.hand_over(from, Sequence(self.record));
            let pieces = self.model.pieces.iter_mut().filter(|piece| piece.owner == from.0);
            pieces.for_each(|piece| piece.owner = self.record);
        }
    }

    /// It is reversed, or leaves memory as it is.
    fn end(&mut self) {
        let Some((owners, owner, kept)) = self.known() else { return };
        if self.chance.below(3) == 0 {
            self.limits.forget(owner);
        } else {
            self.limits.undo(owners, owner);
            kept.iter().for_each(|at| {
                let piece = &mut self.model.pieces[*at];
                (piece.amount.minor, piece.one_more) = (0, false);
            });
        }
        self.model.pieces.iter_mut().filter(|piece| piece.owner == owner.0).for_each(|p| p.owner = 0);
        assert_eq!(self.limits.counted_of(owner).next(), None);
    }

    /// Every limit shows what the model adds up.
    fn compare(&self) {
        let mut shown = 0;
        let subjects = (1..=CARDS).map(|card| Subject::Card(CardRef(card)));
        for subject in subjects.chain([1, 2].map(|wallet| Subject::Wallet(WalletId(wallet)))) {
            let views = self.limits.limits_of(subject, self.time());
            assert!(views.is_sorted_by_key(|view| view.number));
            for view in views {
                let set = self.model.limits.iter();
                let known = set.clone().find(|(of, n, ..)| (*of, *n) == (subject, view.number.get()));
                let known = known.expect("a limit that was set");
                let used = self.model.used(known, of_card(1), self.now);
                assert_eq!((view.limit, view.used), (known.3, used));
                shown += 1;
            }
        }
        for owners in (1..=CARDS).map(of_card) {
            for view in self.limits.product_limits_of(owners, self.time()) {
                let product = |of: Subject| of.product().map(|(product, _)| product);
                let is_it = |(of, n, ..): &&Set| *n == view.number.get() && product(*of) == owners.product;
                let known = self.model.limits.iter().find(is_it).expect("a limit that was set");
                assert_eq!((view.limit, view.used), (known.3, self.model.used(known, owners, self.now)));
                // Those of product 1 are shown for two cards.
                shown += usize::from(owners.card != CardRef(2));
            }
        }
        assert_eq!(shown, self.model.limits.len());
    }
}

#[test]
fn r18_counters_agree_with_a_model_that_adds_everything_up_again() {
    for seed in 0..3_000 {
        let mut history = History::new(seed);
        for _ in 0..80 {
            history.step();
            history.compare();
        }
    }
}

#[test]
fn r18_a_sliding_window_is_exact_to_a_sixtieth_of_its_length() {
    let mut chance = Chance(18);
    for length in [60, 3_600, 86_400] {
        let window = Window::sliding(length).expect("a window");
        let (length, part) = (u64::from(length), u64::from(length) / 60);
        let mut now = 1_790_000_000;
        let mut sliding = Sliding::new(window.index(now, &[]));
        let mut added: Vec<(u64, i64)> = Vec::new();
        for _ in 0..3_000 {
            now += chance.below(length / 20 + 2);
            let amount = chance.below(1_000) as i64;
            sliding.add(window.index(now, &[]), amount);
            added.push((now, amount));
            let later = now + chance.below(length + part * 3);
            let within = |longest: u64| {
                let recent = added.iter().filter(|(at, _)| later - at < longest);
                recent.map(|(_, amount)| amount).sum::<i64>()
            };
            let used = sliding.used(window.index(later, &[]));
            assert!(within(length) <= used, "no window of this length holds more than is counted");
            assert!(used <= within(length + part), "what is counted is let go of a sixtieth late at most");
        }
    }
}

const DOLLARS: u16 = 840;
const OWNERS: Owners = Owners { card: CardRef(7), wallet: WalletId(9), product: None };

fn dollars(minor: i64) -> Money {
    Money::new(minor, Currency::new(DOLLARS).expect("dollars"))
}

fn of_day(max: i64, window: Window) -> Limit {
    let measure = Measure::Amount(Currency::new(DOLLARS).expect("dollars"));
    Limit { measure, max, window, filter: Filter::ALL }
}

/// A limit of 100.00 a day on the card, and what is left of it after some events.
#[test]
fn r18_what_is_given_back_goes_to_where_it_was_counted() {
    let day = Window::Day(Zone::default());
    let (first, number) = (1_790_000_000 - 1_790_000_000 % 86_400, Number::new(1).expect("a number"));
    let at = |day: u64, second: u64| Timestamp::from_seconds(first + day * 86_400 + second);
    let subject = Subject::Card(OWNERS.card);
    let mut limits = Limits::with_capacity(4, 8, 1);
    let set =
        |limits: &mut Limits, by, limit| limits.set_limit(Sequence(by), at(0, 0), subject, number, limit);
    set(&mut limits, 1, Some(of_day(10_000, day))).expect("room");
    let used = |limits: &Limits, now| limits.limits_of(subject, now)[0].used;
    let usage = Usage::default();
    let count = |limits: &mut Limits, record, amount, time| {
        limits.count(OWNERS, [Sequence(record); 2], &usage, dollars(amount), true, time).expect("room");
    };
    count(&mut limits, 2, 6_000, at(0, 86_399));
    count(&mut limits, 3, 3_000, at(1, 0));
    assert_eq!((used(&limits, at(0, 86_399)), used(&limits, at(1, 0))), (3_000, 3_000));
    // The day of the first is over: it gives nothing back to the next.
    limits.undo(OWNERS, Sequence(2));
    assert_eq!(used(&limits, at(1, 1)), 3_000);
    // A part of the second, then the whole, and the whole again.
    limits.change(OWNERS, Sequence(3), -2_000);
    assert_eq!(used(&limits, at(1, 2)), 1_000);
    for _ in 0..2 {
        limits.undo(OWNERS, Sequence(3));
        assert_eq!(used(&limits, at(1, 3)), 0);
    }
    // A limit of this number that was set later has not counted it.
    count(&mut limits, 4, 5_000, at(1, 4));
    set(&mut limits, 5, Some(of_day(10_000, Window::Lifetime))).expect("room");
    count(&mut limits, 6, 700, at(1, 5));
    limits.undo(OWNERS, Sequence(4));
    assert_eq!(used(&limits, at(1, 6)), 700);
    // More may be spent, and what was counted stays.
    set(&mut limits, 7, Some(of_day(99_999, Window::Lifetime))).expect("room");
    assert_eq!(used(&limits, at(9, 0)), 700);
    set(&mut limits, 8, None).expect("room");
    assert!(limits.limits_of(subject, at(9, 0)).is_empty());
    limits.undo(OWNERS, Sequence(6));
    assert!(limits.counted.is_empty() && limits.counters.is_empty());
}

#[test]
fn r18_full_tables_are_told_and_change_nothing() {
    let mut limits = Limits::with_capacity(1, 1, 1);
    let (one, two) = (Number::new(1).expect("a number"), Number::new(2).expect("a number"));
    let subject = Subject::Wallet(OWNERS.wallet);
    let limit = Some(of_day(100, Window::sliding(3_600).expect("a window")));
    let now = Timestamp::from_seconds(1_790_000_000);
    assert!(limits.has_room_for_limit(subject, two) && limits.has_room_for_control(subject, two));
    limits.set_limit(Sequence(1), now, subject, one, limit).expect("room");
    assert!(limits.has_room_for_limit(subject, one) && !limits.has_room_for_limit(subject, two));
    let full = limits.set_limit(Sequence(2), now, subject, two, limit);
    assert_eq!(full, Err(Full("limits")));
    // The same number again needs no room, and neither does another after it was removed.
    for n in 3..9 {
        limits.set_limit(Sequence(n), now, subject, one, Some(of_day(1, Window::Lifetime))).expect("room");
        limits.set_limit(Sequence(n), now, subject, one, None).expect("room");
        limits.set_limit(Sequence(n), now, subject, one, limit).expect("room");
    }
    let usage = Usage::default();
    assert!(limits.has_room_to_count(OWNERS));
    limits.count(OWNERS, [Sequence(10); 2], &usage, dollars(5), true, now).expect("room");
    assert!(!limits.has_room_to_count(OWNERS));
    let full = limits.count(OWNERS, [Sequence(11); 2], &usage, dollars(5), true, now);
    assert_eq!(full, Err(Full("counted")));
    assert_eq!(limits.limits_of(subject, now)[0].used, 5);
    limits.forget(Sequence(10));
    limits.count(OWNERS, [Sequence(12); 2], &usage, dollars(5), true, now).expect("room");
    assert_eq!(limits.limits_of(subject, now)[0].used, 10);
}
