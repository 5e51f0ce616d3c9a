//! The history as a list of everything that it was given, and what feeds both.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use turnpike::domain::action::ActionCode;
use turnpike::domain::card::CardRef;
use turnpike::domain::closed::Counted;
use turnpike::domain::event::Sequence;
use turnpike::domain::fee::Charge;
use turnpike::domain::fee::CodeAndCharge;
use turnpike::domain::money::Currency;
use turnpike::domain::party::Slot;
use turnpike::domain::product::ProductNumber;
use turnpike::domain::request::ApprovalCode;
use turnpike::domain::request::ProcessingCode;
use turnpike::domain::request::Stan;
use turnpike::history::entry::Day;
use turnpike::history::entry::Entry;
use turnpike::history::error::Full;
use turnpike::history::error::HistoryError;
use turnpike::history::index::History;
use turnpike::history::index::Settings;
use turnpike::history::search::Limit;
use turnpike::history::search::Search;
use turnpike::ledger::authorization::Authorization;
use turnpike::ledger::authorization::AuthorizationState;
use turnpike::ledger::authorization::LegState;
use turnpike::ledger::slab::NONE;

use crate::history::memory::Memory;
use crate::history::memory::next;

pub(crate) const FIRST_DAY: u32 = 20_780;
pub(crate) const ALL: Limit = Limit { entries: usize::MAX, blocks: u64::MAX };
pub(crate) const EVER: RangeInclusive<Day> = Day(0)..=Day(u32::MAX);
const RRNS: [&[u8; 12]; 5] =
    [b"632710123456", b"632710123457", b"            ", b"AB3271012345", b"000000000000"];
const CODES: [[u8; 6]; 4] = [*b"0A1B2C", *b"ZZZZZZ", [0; 6], *b"12 45 "];

/// Numbers from a seed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        next(&mut self.0) % bound
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len() as u64) as usize]
    }
}

/// Something that the history is given, at one record of a journal.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Given {
    New(Entry),
    Again(Entry),
}

/// A journal, so to speak: what each of its records gives to the history.
pub(crate) struct Journal {
    pub(crate) random: Random,
    pub(crate) cards: u64,
    /// Records of one day.
    pub(crate) day_records: u64,
    pub(crate) given: Vec<Given>,
    made: u64,
}

impl Journal {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let cards = random.of(&[1, 7, 60, 5_000]);
        let day_records = random.of(&[40, 300, 1_500]);
        Self { random, cards, day_records, given: Vec::new(), made: 0 }
    }

    /// The last record.
    pub(crate) fn last(&self) -> Sequence {
        Sequence(self.given.len() as u64)
    }

    /// The day of a record: always the same one.
    pub(crate) fn day(&self, record: Sequence) -> Day {
        Day(FIRST_DAY + (record.0 / self.day_records) as u32)
    }

    pub(crate) fn card(&mut self) -> CardRef {
        let card = self.random.below(self.cards);
        CardRef::new(Slot::new((card % 5) as u16).expect("a slot"), card as u32)
    }

    /// The journal goes on by one record.
    pub(crate) fn grow(&mut self) {
        let version = self.last().next();
        let given = match self.random.below(8) {
            0 if !self.given.is_empty() => {
                let before = self.random.below(self.given.len() as u64) as usize;
                let (Given::New(entry) | Given::Again(entry)) = self.given[before];
                let state = AuthorizationState::Reversed;
                let legs = LegState::UNDONE_LATER;
                let authorization = Authorization { state, legs, taken: 0, ..entry.authorization };
                Given::Again(Entry { version, authorization, ..entry })
            }
            _ => Given::New(self.entry(version)),
        };
        self.given.push(given);
    }

    fn entry(&mut self, version: Sequence) -> Entry {
        self.made += 1;
        let card = self.card();
        let random = &mut self.random;
        let amount = random.of(&[0, 1, 1250, 99_999_999, -5]);
        let closed_by = version.0.saturating_sub(random.below(100));
        let seconds = u64::from(FIRST_DAY) * 86_400 + version.0 * 86_400 / self.day_records;
        let authorization = Authorization {
            // Made in about the order in which they are closed.
            sequence: Sequence((self.made ^ 5) * 16 + random.below(16)),
            network_reference: random.of(&[0, 386_327_000_000_001, 386_327_000_000_002, u64::MAX]),
            acquirer: random.of(&[0, 412_345, 12_345_678_901]),
            rrn: *random.of(&RRNS),
            stan: random.below(4) as u32 * 333_333,
            transmission: random.of(&[0, 1_124_123_456, 1_231_235_959]),
            terminal: random.of(&[1, u32::MAX]),
            merchant: random.of(&[0, 77, u32::MAX]),
            chain_next: NONE,
            card: NONE,
            approval_code: random.of(&CODES),
            network: random.of(&[1, 7, u16::MAX]),
            coded: CodeAndCharge::new(
                ProcessingCode(random.of(&[0, 200_000, 999_999])),
                Charge::from_code(random.of(&[0, 1, 4_095])),
            ),
            amount,
            taken: random.of(&[0, amount, i64::MIN]),
            answered: random.of(&[0, amount, i64::MAX]),
            closed_by: Sequence(closed_by),
            changed_s: seconds as u32 - random.below(3 * 86_400) as u32,
            hold_until_s: random.of(&[0, u32::MAX]),
            closed_previous: NONE,
            closed_next: NONE,
            currency: random.of(&[840, 978, 392]),
            account: random.of(&[0, 1]),
            action: random.of(&[ActionCode::Approved, ActionCode::ApprovedPartially]),
            class: random.below(3) as u8,
            state: random.of(&[AuthorizationState::Reversed, AuthorizationState::Tombstone]),
            legs: LegState(random.below(64) as u8),
        };
        let counted = (random.below(3) == 0).then(|| Counted {
            record: Sequence(authorization.sequence.0 + random.below(3)),
            amount: random.of(&[0, amount, 77]),
            at_s: seconds as u32,
            by: [random.below(1 << 16) as u16, 1, 0],
            currency: Currency::new(random.of(&[840, 978])).expect("a currency"),
            first: random.below(2) == 0,
            product: ProductNumber::new(random.below(3) as u8),
        });
        Entry { card, version, authorization, counted }
    }

    /// Gives these records to a history, which is flushed whenever it is full, up to the record before.
    pub(crate) fn feed(
        &self,
        records: std::ops::Range<usize>,
        history: &mut History<Memory>,
    ) -> Result<(), HistoryError> {
        for at in records {
            if self.give(at, history).is_err() {
                history.flush(Sequence(at as u64))?;
                self.give(at, history).expect("room after a flush");
            }
        }
        Ok(())
    }

    fn give(&self, at: usize, history: &mut History<Memory>) -> Result<(), Full> {
        let day = self.day(Sequence(at as u64 + 1));
        match &self.given[at] {
            Given::New(entry) => history.insert(day, entry),
            Given::Again(entry) => history.replace(day, entry),
        }
    }

    pub(crate) fn search(&mut self) -> Search {
        let mut search = Search::default();
        let random = &mut self.random;
        for _ in 0..random.below(3) {
            match random.below(11) {
                0 => search.network = Some(random.of(&[1, 7, 9])),
                1 => search.network_reference = Some(random.of(&[0, 386_327_000_000_001])),
                2 => search.rrn = Some(*random.of(&RRNS)),
                3 => search.stan = Some(Stan(random.of(&[0, 333_333]))),
                4 => search.approval_code = Some(ApprovalCode(random.of(&CODES))),
                5 => search.terminal = Some(1),
                6 => search.merchant = Some(77),
                7 => search.amount = Some(random.of(&[-5, 0, 2])..=random.of(&[-5, 2, 2_000])),
                8 => search.currency = Currency::new(978),
                9 => {
                    let from = FIRST_DAY * 86_400 + random.below(9 * 86_400) as u32;
                    search.closed_s = Some(from..=from + random.below(4 * 86_400) as u32);
                }
                _ => {
                    let from = random.below(self.made * 16 + 1);
                    search.made = Some(Sequence(from)..=Sequence(from + random.below(self.made * 16 + 1)));
                }
            }
        }
        search
    }
}

/// What a history that was given the first records should have.
pub(crate) struct Model {
    /// By card and newest first: the state that counts, and its day.
    entries: BTreeMap<(CardRef, u64), (Day, Entry)>,
}

impl Model {
    pub(crate) fn of(journal: &Journal, contained: usize, first_day: Day) -> Self {
        let mut model = Self { entries: BTreeMap::new() };
        for (at, given) in journal.given[..contained].iter().enumerate() {
            let day = journal.day(Sequence(at as u64 + 1));
            if day < first_day {
                continue;
            }
            let (Given::New(entry) | Given::Again(entry)) = given;
            let key = (entry.card, !entry.authorization.sequence.0);
            model.entries.insert(key, (day, *entry));
        }
        model
    }

    pub(crate) fn find(&self, card: CardRef, search: &Search) -> Vec<Entry> {
        let of_card = self.entries.range((card, 0)..=(card, u64::MAX));
        of_card.map(|(_, (_, entry))| *entry).filter(|entry| fits(entry, search)).collect()
    }

    pub(crate) fn search(&self, days: &RangeInclusive<Day>, search: &Search) -> Vec<Entry> {
        let mut found: Vec<(Day, Entry)> = self.entries.values().copied().collect();
        found.retain(|(day, entry)| days.contains(day) && fits(entry, search));
        // The sort is stable, and the list is in the order of cards already.
        found.sort_by_key(|(day, _)| std::cmp::Reverse(*day));
        found.into_iter().map(|(_, entry)| entry).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Holds a history against this.
    pub(crate) fn check(&self, history: &History<Memory>, journal: &mut Journal, looks: usize) {
        let all = history.search(&EVER, &Search::default(), None, ALL).expect("whole runs");
        same(&all.entries, &self.search(&EVER, &Search::default()), &"everything");
        assert_eq!(all.next, None);
        for _ in 0..looks {
            let (card, search) = (journal.card(), journal.search());
            let found = history.find(card, &search, ALL).expect("whole runs");
            same(&found.entries, &self.find(card, &search), &(card, &search));
            assert_eq!(found.more_before, None);
            let first = journal.random.below(12) as u32;
            let days = Day(FIRST_DAY + first)..=Day(FIRST_DAY + first + journal.random.below(9) as u32);
            let page = history.search(&days, &search, None, ALL).expect("whole runs");
            same(&page.entries, &self.search(&days, &search), &(&days, &search));
        }
    }
}

/// Names the first place at which two lists differ.
pub(crate) fn same(found: &[Entry], expected: &[Entry], what: &dyn std::fmt::Debug) {
    let differs = found.iter().zip(expected).position(|(found, expected)| found != expected);
    let at = differs.unwrap_or_else(|| found.len().min(expected.len()));
    let lengths = (found.len(), expected.len());
    assert!(found == expected, "{what:?}: {lengths:?}, at {at} {:?} {:?}", found.get(at), expected.get(at));
}

fn fits(entry: &Entry, search: &Search) -> bool {
    let of = &entry.authorization;
    search.network.is_none_or(|network| network == of.network)
        && search.network_reference.is_none_or(|reference| reference == of.network_reference)
        && search.rrn.is_none_or(|rrn| rrn == of.rrn)
        && search.stan.is_none_or(|stan| stan.0 == of.stan)
        && search.approval_code.is_none_or(|code| code.0 == of.approval_code)
        && search.terminal.is_none_or(|terminal| terminal == of.terminal)
        && search.merchant.is_none_or(|merchant| merchant == of.merchant)
        && search.amount.as_ref().is_none_or(|range| range.contains(&of.amount))
        && search.currency.is_none_or(|currency| currency.numeric() == of.currency)
        && search.closed_s.as_ref().is_none_or(|range| range.contains(&of.changed_s))
        && search.made.as_ref().is_none_or(|range| range.contains(&of.sequence))
}

pub(crate) fn open(memory: &Memory, entries_max: usize) -> Result<History<Memory>, HistoryError> {
    History::open(memory.clone(), Settings { entries_max })
}

/// Merges until there is nothing to merge.
pub(crate) fn merge_all(history: &mut History<Memory>, budget: u64) -> Result<(), HistoryError> {
    while history.merge_step(budget)?.more {}
    Ok(())
}
