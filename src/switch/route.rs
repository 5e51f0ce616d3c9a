//! The routing table: whose a message is.
//!
//! A row has conditions and a target. Of the rows that fit a message the one with the longest card-number range wins,
//! then the one with the most other conditions; two that are as strong and can both fit one message are refused when
//! the table is made, so that the order of the rows never decides. A message that no row fits is for the ledger.
//!
//! The table is cut into intervals of card numbers, each with the rows that may fit in it, the strongest first: a
//! message costs a binary search and a look at a few rows.

use core::fmt;

use crate::domain::card::Pan;
use crate::domain::forward::Carried;
use crate::domain::money::Currency;
use crate::domain::money::Money;
use crate::domain::party::NameId;
use crate::domain::request::Advice;
use crate::domain::request::AuthorizationRequest;
use crate::domain::request::ProcessingCode;
use crate::domain::request::ReversalRequest;

use super::stand_in::Rules;

/// Card numbers are compared as numbers of so many digits.
const DIGITS: u32 = 19;

/// The place of a link among those of the configuration.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LinkIndex(pub u16);

/// What a message says of itself beside its card number. What it does not say is `None`, and fits any condition about
/// it: a reversal has no merchant category, and has to go where its request went.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Said {
    /// The first two digits of DE 3.
    pub transaction: Option<u8>,
    /// DE 4, minor units.
    pub amount: Option<i64>,
    /// DE 49.
    pub currency: Option<Currency>,
    /// DE 18.
    pub mcc: Option<u16>,
    /// DE 19.
    pub country: Option<u16>,
    /// The link that it came on.
    pub source: Option<NameId>,
}

impl Said {
    fn new(code: ProcessingCode, amount: Money, source: NameId) -> Self {
        Self {
            transaction: Some(code.transaction_type()),
            amount: Some(amount.minor),
            currency: Some(amount.currency),
            mcc: None,
            country: None,
            source: Some(source),
        }
    }

    fn at(self, mcc: u16, country: u16) -> Self {
        Self { mcc: Some(mcc), country: Some(country), ..self }
    }
}

/// What a row looks at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Asked {
    pan: u64,
    said: Said,
}

impl Asked {
    fn new(pan: Pan, said: Said) -> Self {
        Self { pan: leading(pan.value(), pan.digits()), said }
    }

    /// Of a request.
    #[must_use]
    pub fn of_request(request: &AuthorizationRequest) -> Self {
        let AuthorizationRequest { pan, processing_code, amount, mcc, country, ref key, .. } = *request;
        Self::new(pan, Said::new(processing_code, amount, key.link).at(mcc, country))
    }

    /// Of a reversal: it says neither merchant category nor country.
    #[must_use]
    pub fn of_reversal(reversal: &ReversalRequest) -> Self {
        let ReversalRequest { pan, processing_code, amount, ref key, .. } = *reversal;
        Self::new(pan, Said::new(processing_code, amount, key.link))
    }

    /// Of an advice.
    #[must_use]
    pub fn of_advice(advice: &Advice) -> Self {
        let Advice { pan, processing_code, amount, mcc, country, ref key, .. } = *advice;
        Self::new(pan, Said::new(processing_code, amount, key.link).at(mcc, country))
    }

    /// Of a request that was forwarded.
    #[must_use]
    pub fn of_carried(carried: &Carried) -> Self {
        let Carried { pan, processing_code, amount, mcc, country, ref key, .. } = *carried;
        Self::new(pan, Said::new(processing_code, amount, key.link).at(mcc, country))
    }

    /// Of cards that begin so, for a person who asks what would become of them: as their first number is.
    #[must_use]
    pub const fn of_prefix(prefix: IinRange, said: Said) -> Self {
        Self { pan: prefix.low, said }
    }

    /// What the message says beside its card number.
    #[must_use]
    pub const fn said(&self) -> &Said {
        &self.said
    }
}

/// A number of so many digits with zeros behind it, up to [`DIGITS`].
const fn leading(value: u64, digits: u8) -> u64 {
    value.saturating_mul(10_u64.pow(DIGITS.saturating_sub(digits as u32)))
}

/// Card numbers that begin in the same way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IinRange {
    low: u64,
    high: u64,
    digits: u8,
}

impl IinRange {
    /// From one beginning to another of as many digits, or one beginning, such as `400000-499999` or `52`. `None` when
    /// it is neither, or ends before it begins.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let (low, high) = text.split_once('-').unwrap_or((text, text));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if low.len() != high.len() || low.len() > DIGITS as usize || !is_number(low) || !is_number(high) {
            return None;
        }
        let digits = low.len() as u8;
        let (low, high) = (low.parse::<u64>().ok()?, high.parse::<u64>().ok()?);
        let rest = 10_u64.pow(DIGITS - u32::from(digits)) - 1;
        (low <= high).then(|| Self {
            low: leading(low, digits),
            high: leading(high, digits).saturating_add(rest),
            digits,
        })
    }

    /// Whether a card's number begins so.
    #[must_use]
    pub const fn holds(&self, pan: Pan) -> bool {
        let number = leading(pan.value(), pan.digits());
        self.low <= number && number <= self.high
    }
}

impl fmt::Display for IinRange {
    /// As it is written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rest = 10_u64.pow(DIGITS.saturating_sub(u32::from(self.digits)));
        let (low, high, width) = (self.low / rest, self.high / rest, usize::from(self.digits));
        write!(f, "{low:0width$}")?;
        if high == low { Ok(()) } else { write!(f, "-{high:0width$}") }
    }
}

/// What a message must be for its row. An empty list is no condition.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Conditions {
    /// How its card number begins.
    pub iins: Vec<IinRange>,
    /// The first two digits of DE 3.
    pub transactions: Vec<u8>,
    /// DE 18, from and to.
    pub mccs: Vec<(u16, u16)>,
    /// DE 4 in minor units of a currency, from and to.
    pub amounts: Option<(i64, i64)>,
    /// DE 49.
    pub currencies: Vec<Currency>,
    /// DE 19.
    pub countries: Vec<u16>,
    /// The links that it came on.
    pub sources: Vec<NameId>,
}

/// A condition by its name in the configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Condition {
    /// `iin`.
    Iin,
    /// `transaction`.
    Transaction,
    /// `mcc`.
    Mcc,
    /// `amount_min`, `amount_max`.
    Amount,
    /// `currency`.
    Currency,
    /// `country`.
    Country,
    /// `from`.
    Source,
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Iin => "iin",
            Self::Transaction => "transaction",
            Self::Mcc => "mcc",
            Self::Amount => "amount",
            Self::Currency => "currency",
            Self::Country => "country",
            Self::Source => "from",
        })
    }
}

impl Conditions {
    /// How many there are beside the card number's.
    fn others(&self) -> usize {
        [
            !self.transactions.is_empty(),
            !self.mccs.is_empty(),
            self.amounts.is_some(),
            !self.currencies.is_empty(),
            !self.countries.is_empty(),
            !self.sources.is_empty(),
        ]
        .into_iter()
        .filter(|there| *there)
        .count()
    }

    /// The longest range that a card number is in; zero where there is no such condition, `None` where none fits.
    fn digits(&self, pan: u64) -> Option<u8> {
        if self.iins.is_empty() {
            return Some(0);
        }
        let fitting = self.iins.iter().filter(|range| (range.low..=range.high).contains(&pan));
        fitting.map(|range| range.digits).max()
    }

    /// The first condition that a message does not fulfil, the card number's left out.
    fn fails(&self, asked: &Asked) -> Option<Condition> {
        fn any<T: PartialEq>(list: &[T], value: Option<T>) -> bool {
            list.is_empty() || value.is_none_or(|value| list.contains(&value))
        }
        let Said { transaction, amount, currency, mcc, country, source } = asked.said;
        let among = |value: u16| self.mccs.iter().any(|(from, to)| (*from..=*to).contains(&value));
        let within = |(from, to): (i64, i64)| amount.is_none_or(|amount| (from..=to).contains(&amount));
        let table = [
            (Condition::Source, any(&self.sources, source)),
            (Condition::Transaction, any(&self.transactions, transaction)),
            (Condition::Mcc, self.mccs.is_empty() || mcc.is_none_or(among)),
            (Condition::Currency, any(&self.currencies, currency)),
            (Condition::Amount, self.amounts.is_none_or(within)),
            (Condition::Country, any(&self.countries, country)),
        ];
        table.into_iter().find(|(_, fits)| !fits).map(|(condition, _)| condition)
    }

    /// Whether one message can fulfil both, the card numbers left out.
    fn meets(&self, other: &Self) -> bool {
        fn lists<T: PartialEq>(one: &[T], other: &[T]) -> bool {
            one.is_empty() || other.is_empty() || one.iter().any(|item| other.contains(item))
        }
        let mccs = self.mccs.is_empty()
            || other.mccs.is_empty()
            || self.mccs.iter().any(|(from, to)| other.mccs.iter().any(|(a, b)| from <= b && a <= to));
        let amounts = match (self.amounts, other.amounts) {
            (Some((from, to)), Some((a, b))) => from <= b && a <= to,
            _ => true,
        };
        mccs && amounts
            && lists(&self.transactions, &other.transactions)
            && lists(&self.currencies, &other.currencies)
            && lists(&self.countries, &other.countries)
            && lists(&self.sources, &other.sources)
    }
}

/// How one of several links is chosen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Strategy {
    /// The first that can be asked.
    #[default]
    Failover,
    /// One after the other.
    RoundRobin,
    /// By their weights.
    Weighted,
}

/// One of several links.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Member {
    /// The link.
    pub link: LinkIndex,
    /// Its part of the sum of all weights; at least one.
    pub weight: u32,
}

/// Links to one party.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Group {
    /// The links.
    pub members: Vec<Member>,
    /// How one is chosen.
    pub strategy: Strategy,
    /// The rules by which we stand in, as [`Table::stand_in`] has them.
    pub stand_in: Option<u16>,
}

impl Group {
    /// A link that can be asked. `turn` counts up from message to message.
    pub fn choose(&self, turn: u64, mut usable: impl FnMut(LinkIndex) -> bool) -> Option<LinkIndex> {
        let count = self.members.len();
        let from = match self.strategy {
            Strategy::Failover => 0,
            Strategy::RoundRobin => usize::try_from(turn % count.max(1) as u64).unwrap_or(0),
            Strategy::Weighted => self.by_weight(turn),
        };
        let (before, after) = self.members.split_at(from.min(count));
        after.iter().chain(before).map(|member| member.link).find(|link| usable(*link))
    }

    /// Whose turn it is: of as many turns as all weights together each has as many as its own.
    fn by_weight(&self, turn: u64) -> usize {
        let sum: u64 = self.members.iter().map(|member| u64::from(member.weight)).sum();
        let mut at = turn % sum.max(1);
        for (n, member) in self.members.iter().enumerate() {
            match at.checked_sub(member.weight.into()) {
                Some(rest) => at = rest,
                None => return n,
            }
        }
        0
    }
}

/// Whose a message is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// Ours.
    Ledger,
    /// A party's behind one of these links.
    Group(Group),
}

/// One row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// Its name in the configuration.
    pub name: Box<str>,
    /// What a message must be.
    pub conditions: Conditions,
    /// Whose it is then.
    pub target: Target,
}

/// Two rows that are as strong, and can both fit one message.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the rows `{first}` and `{second}` are as strong as each other, and both fit {example}")]
pub struct Ambiguous {
    /// One of them.
    pub first: Box<str>,
    /// The other, which comes later.
    pub second: Box<str>,
    /// A message that both fit.
    pub example: String,
}

/// A row that may fit card numbers of an interval, and how long its range there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Candidate {
    row: u16,
    digits: u8,
}

/// The table.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Table {
    rows: Vec<Row>,
    stand_ins: Vec<Rules>,
    /// Where intervals of card numbers begin, in order; the first is zero.
    begins: Vec<u64>,
    candidates: Vec<Vec<Candidate>>,
}

/// What became of one row for one message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Judged {
    /// The row.
    pub row: Box<str>,
    /// How long its card-number range is that fits, and how many other conditions it has.
    pub strength: (u8, usize),
    /// The condition that does not fit; `None` for a row that fits.
    pub fails: Option<Condition>,
}

/// Why a message goes where it goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Explanation {
    /// The row that won; `None` when none fits, so that the message is for the ledger.
    pub won: Option<Box<str>>,
    /// Every row, those that fit first, the strongest first.
    pub rows: Vec<Judged>,
}

impl Table {
    /// A table of these rows. `stand_ins` is what [`Group::stand_in`] counts.
    ///
    /// # Errors
    /// Every pair of rows between which only their order could decide.
    pub fn new(rows: Vec<Row>, stand_ins: Vec<Rules>) -> Result<Self, Vec<Ambiguous>> {
        let ranges = rows.iter().flat_map(|row| &row.conditions.iins);
        let mut begins: Vec<u64> =
            ranges.flat_map(|range| [range.low, range.high.saturating_add(1)]).chain([0]).collect();
        begins.sort_unstable();
        begins.dedup();
        let candidates: Vec<Vec<Candidate>> =
            begins.iter().map(|begin| Self::fitting(&rows, *begin)).collect();
        let mut ambiguous: Vec<Ambiguous> = Vec::new();
        for (begin, candidates) in begins.iter().zip(&candidates) {
            for found in Self::ambiguous(&rows, *begin, candidates) {
                let known = |other: &Ambiguous| other.first == found.first && other.second == found.second;
                if !ambiguous.iter().any(known) {
                    ambiguous.push(found);
                }
            }
        }
        if ambiguous.is_empty() { Ok(Self { rows, stand_ins, begins, candidates }) } else { Err(ambiguous) }
    }

    /// The rows that card numbers from here on may fit, the strongest first.
    fn fitting(rows: &[Row], pan: u64) -> Vec<Candidate> {
        let fits = |(row, of): (u16, &Row)| of.conditions.digits(pan).map(|digits| Candidate { row, digits });
        let mut found: Vec<Candidate> = (0..).zip(rows).filter_map(fits).collect();
        found.sort_by_key(|candidate| core::cmp::Reverse(Self::strength(rows, *candidate)));
        found
    }

    fn strength(rows: &[Row], candidate: Candidate) -> (u8, usize) {
        (candidate.digits, rows[usize::from(candidate.row)].conditions.others())
    }

    fn ambiguous(rows: &[Row], begin: u64, candidates: &[Candidate]) -> Vec<Ambiguous> {
        let mut found = Vec::new();
        for (n, one) in candidates.iter().enumerate() {
            for other in &candidates[n + 1..] {
                let [first, second] = [one, other].map(|candidate| &rows[usize::from(candidate.row)]);
                let as_strong = Self::strength(rows, *one) == Self::strength(rows, *other);
                if as_strong && first.conditions.meets(&second.conditions) {
                    let example = if one.digits == 0 {
                        "cards that no row names".to_owned()
                    } else {
                        let first_digits = begin / 10_u64.pow(DIGITS - u32::from(one.digits));
                        let width = usize::from(one.digits);
                        format!("cards that begin with {first_digits:0width$}")
                    };
                    found.push(Ambiguous { first: first.name.clone(), second: second.name.clone(), example });
                }
            }
        }
        found
    }

    /// The row of a message; `None` when it is for the ledger since no row fits.
    #[must_use]
    pub fn find(&self, asked: &Asked) -> Option<&Row> {
        let after = self.begins.partition_point(|begin| *begin <= asked.pan);
        let candidates = self.candidates.get(after.checked_sub(1)?)?;
        let rows = candidates.iter().map(|candidate| &self.rows[usize::from(candidate.row)]);
        rows.into_iter().find(|row| row.conditions.fails(asked).is_none())
    }

    /// Whether some message of a card may go to a link.
    #[must_use]
    pub fn leads_elsewhere(&self, pan: Pan) -> bool {
        let leading = leading(pan.value(), pan.digits());
        let after = self.begins.partition_point(|begin| *begin <= leading);
        let candidates = after.checked_sub(1).and_then(|at| self.candidates.get(at));
        let mut rows = candidates.into_iter().flatten();
        rows.any(|candidate| matches!(self.rows[usize::from(candidate.row)].target, Target::Group(_)))
    }

    /// Why a message goes where it goes.
    #[must_use]
    pub fn explain(&self, asked: &Asked) -> Explanation {
        let judge = |row: &Row| {
            let digits = row.conditions.digits(asked.pan);
            let fails = if digits.is_none() { Some(Condition::Iin) } else { row.conditions.fails(asked) };
            let strength = (digits.unwrap_or(0), row.conditions.others());
            Judged { row: row.name.clone(), strength, fails }
        };
        let mut rows: Vec<Judged> = self.rows.iter().map(judge).collect();
        rows.sort_by_key(|judged| (judged.fails.is_some(), core::cmp::Reverse(judged.strength)));
        Explanation { won: self.find(asked).map(|row| row.name.clone()), rows }
    }

    /// Whether cards that begin so may go to different rows, since a row names more of their digits.
    #[must_use]
    pub fn divides(&self, prefix: IinRange) -> bool {
        self.begins.iter().any(|begin| (prefix.low + 1..=prefix.high).contains(begin))
    }

    /// The rows in the order of the configuration.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Whether nothing is routed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Rules of stand-in.
    #[must_use]
    pub fn stand_in(&self, number: u16) -> Option<&Rules> {
        self.stand_ins.get(usize::from(number))
    }
}
