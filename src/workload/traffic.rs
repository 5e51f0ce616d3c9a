//! What is sent: kinds by weight, and per connection what can be repeated and reversed.

use std::collections::VecDeque;
use std::time::Duration;

use crate::workload::chance::Chance;
use crate::workload::exchange::Kind;
use crate::workload::exchange::NONE;
use crate::workload::life::script_named;
use crate::workload::script::SCRIPTS;

/// Places of the table that kinds are drawn from.
const DRAWS: u32 = 1024;
/// Exchanges of a connection that a repeat may repeat.
const RECENT: usize = 64;
/// Approvals of a connection that wait for their reversal when their number is not kept level.
const HOLDS_MAX: usize = 4096;

/// Why a mix cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MixError {
    /// Not `name=weight`.
    #[error("`{0}` is not of the form kind=weight")]
    Form(String),
    /// No such kind.
    #[error("`{0}` is no kind of traffic; the kinds are {names}", names = names())]
    Kind(String),
    /// No weight at all.
    #[error("all weights are zero")]
    Empty,
    /// Too large a weight.
    #[error("the weights add up to more than 1,000,000")]
    TooLarge,
}

fn names() -> String {
    let mut names: Vec<&str> = Kind::DRAWN.iter().map(|(_, name)| *name).collect();
    names.push(Kind::Echo.name());
    names.extend(SCRIPTS.iter().map(|script| script.name));
    names.join(", ")
}

/// What a mix names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Drawn {
    /// A message.
    One(Kind),
    /// A life cycle, by the place of its script.
    Life(u8),
}

impl Drawn {
    fn named(name: &str) -> Option<Self> {
        let kinds = Kind::DRAWN.iter().copied().chain([(Kind::Echo, Kind::Echo.name())]);
        let kind = kinds.into_iter().find(|(_, known)| *known == name).map(|(kind, _)| Self::One(kind));
        kind.or_else(|| script_named(name).map(Self::Life))
    }
}

/// How often each kind of message is sent, and each life cycle begins, by weight.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mix(Vec<(Drawn, u32)>);

/// The name of the mix of everything.
const LIFE: &str = "life";

impl Default for Mix {
    /// Mostly purchases, with every kind of message in it, and no life cycles.
    fn default() -> Self {
        Self::of(&[
            (Kind::Purchase, 640),
            (Kind::Cash, 60),
            (Kind::Sale, 60),
            (Kind::Partial, 10),
            (Kind::OverLimit, 20),
            (Kind::UnknownCard, 10),
            (Kind::BlockedCard, 10),
            (Kind::Inquiry, 20),
            (Kind::Verification, 10),
            (Kind::Repeat, 20),
            (Kind::Reversal, 60),
            (Kind::ReversalAdvice, 50),
            (Kind::ReversalRepeat, 10),
            (Kind::EarlyReversal, 10),
            (Kind::Echo, 10),
        ])
    }
}

impl Mix {
    /// Purchases only.
    #[must_use]
    pub fn purchases() -> Self {
        Self::of(&[(Kind::Purchase, 1)])
    }

    /// Everything: half are the messages of the default mix, and half begin a life cycle of those that there are.
    #[must_use]
    pub fn life() -> Self {
        let Self(mut weights) = Self::default();
        let all: u32 = SCRIPTS.iter().map(|script| script.weight).sum();
        for (_, weight) in &mut weights {
            *weight = (*weight * all).div_ceil(1_000);
        }
        let lives = SCRIPTS.iter().zip(0..).map(|(script, place)| (Drawn::Life(place), script.weight));
        weights.extend(lives);
        Self(weights)
    }

    fn of(kinds: &[(Kind, u32)]) -> Self {
        Self(kinds.iter().map(|(kind, weight)| (Drawn::One(*kind), *weight)).collect())
    }

    /// Whether it has life cycles, whose messages follow answers, so that they cannot be made before the run.
    #[must_use]
    pub fn has_lives(&self) -> bool {
        self.0.iter().any(|(drawn, weight)| matches!(drawn, Drawn::Life(_)) && *weight > 0)
    }

    /// A mix from words such as `purchase=90,repeat=10`; `life` alone is the mix of everything.
    ///
    /// # Errors
    /// The first word that is wrong.
    pub fn parse(text: &str) -> Result<Self, MixError> {
        if text == LIFE {
            return Ok(Self::life());
        }
        let mut weights = Vec::new();
        for word in text.split(',').map(str::trim) {
            let (name, weight) = word.split_once('=').ok_or_else(|| MixError::Form(word.to_owned()))?;
            let weight: u32 = weight.trim().parse().map_err(|_| MixError::Form(word.to_owned()))?;
            let drawn = Drawn::named(name.trim());
            weights.push((drawn.ok_or_else(|| MixError::Kind(name.to_owned()))?, weight));
        }
        match weights.iter().map(|(_, weight)| u64::from(*weight)).sum::<u64>() {
            0 => Err(MixError::Empty),
            1..=1_000_000 => Ok(Self(weights)),
            _ => Err(MixError::TooLarge),
        }
    }

    /// A table in which each kind stands as often as its weight says, to be drawn from with one index.
    fn table(&self) -> Vec<Drawn> {
        let all: u64 = self.0.iter().map(|(_, weight)| u64::from(*weight)).sum();
        let mut table = Vec::with_capacity(DRAWS as usize);
        let mut until = 0;
        for (drawn, weight) in self.0.iter().filter(|(_, weight)| *weight > 0) {
            until += u64::from(*weight);
            let end = (until * u64::from(DRAWS)).div_ceil(all.max(1)) as usize;
            // Even the smallest weight is drawn now and then.
            table.resize(end.max(table.len() + 1), *drawn);
        }
        table
    }
}

/// What a run sends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Traffic {
    /// Kinds by weight.
    pub mix: Mix,
    /// Draws cards, kinds and amounts.
    pub seed: u64,
    /// Purchases are for this much to that much, minor units.
    pub amounts: (u32, u32),
    /// Keeps about this many holds alive, over all connections: once there are as many, every approval is followed by
    /// the reversal of the oldest. `None` leaves reversals to the mix.
    pub level: Option<u32>,
    /// Messages for which exchanges must be remembered, at least; prepared runs remember all.
    pub remembered: usize,
    /// The peer sends frames back as they came: nothing is judged.
    pub echo: bool,
    /// Somebody brings clearing files to the daemon. Without, a completion stands for life cycles that need them.
    pub clears: bool,
    /// How long after its answer a hold at a merchant of MCC 4784 is surely gone. Without, a completion stands for life
    /// cycles that need it.
    pub expires_after: Option<Duration>,
}

impl Default for Traffic {
    fn default() -> Self {
        Self {
            mix: Mix::default(),
            seed: 1,
            amounts: (100, 5_000),
            level: None,
            remembered: 1 << 20,
            echo: false,
            clears: false,
            expires_after: None,
        }
    }
}

impl Traffic {
    /// Messages back to the original of a reversal that keeps the level: as many again lie between them, and some more.
    #[must_use]
    pub fn level_remembers(&self) -> usize {
        self.level.unwrap_or(0) as usize * 3
    }
}

/// What one connection sends next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Next {
    /// A new exchange.
    New(Kind),
    /// The request of this number, whose reversal went before it.
    Late(u32),
    /// Another exchange again.
    Repeat(Kind, u32),
    /// The reversal of this exchange.
    Reversal(Kind, u32),
    /// A new life cycle, by the place of its script.
    Life(u8),
    /// The next message of a life cycle, by the number of its first exchange.
    GoOn(u32),
}

/// The stream of one connection. Repeats and reversals stay on the connection of their original, so that they come
/// after it.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    pub(super) network: usize,
    pub(super) chance: Chance,
    table: Vec<Drawn>,
    level: Option<usize>,
    recent: [u32; RECENT],
    recent_at: usize,
    last_reversal: u32,
    early: u32,
    holds: VecDeque<u32>,
    /// Life cycles whose next message can be sent.
    ready: VecDeque<u32>,
}

impl Stream {
    pub(super) fn new(network: usize, number: usize, streams: usize, traffic: &Traffic) -> Self {
        let level = traffic.level.map(|level| (level as usize).div_ceil(streams.max(1)));
        let seed = traffic.seed.wrapping_mul(0x2545_f491_4f6c_dd1d).wrapping_add(number as u64);
        Self {
            network,
            chance: Chance::new(seed),
            table: traffic.mix.table(),
            level,
            recent: [NONE; RECENT],
            recent_at: 0,
            last_reversal: NONE,
            early: NONE,
            holds: VecDeque::with_capacity(level.unwrap_or(HOLDS_MAX) + 2),
            ready: VecDeque::new(),
        }
    }

    /// A life cycle's next message can be sent.
    pub(super) fn go_on(&mut self, life: u32) {
        self.ready.push_back(life);
    }

    /// A life cycle's next message is to be the next one of the connection.
    pub(super) fn hurry(&mut self, life: u32) {
        self.ready.push_front(life);
    }

    /// Whether as many holds are alive as are to be kept; always when that is left to the mix.
    pub(super) fn is_level(&self) -> bool {
        self.level.is_none_or(|level| self.holds.len() >= level)
    }

    /// Draws what is sent next.
    #[inline]
    pub(super) fn next(&mut self) -> Next {
        if self.early != NONE {
            return Next::Late(std::mem::replace(&mut self.early, NONE));
        }
        if let Some(life) = self.ready.pop_front() {
            return Next::GoOn(life);
        }
        if self.level.is_some_and(|level| self.holds.len() > level)
            && let Some(oldest) = self.holds.pop_front()
        {
            let advice = self.chance.next() & 1 == 0;
            return Next::Reversal(if advice { Kind::ReversalAdvice } else { Kind::Reversal }, oldest);
        }
        let drawn = self.chance.below(self.table.len() as u32) as usize;
        let kind = match self.table[drawn] {
            Drawn::One(kind) => kind,
            Drawn::Life(script) => return Next::Life(script),
        };
        match kind {
            Kind::Repeat => match self.recent[self.chance.below(RECENT as u32) as usize] {
                NONE => Next::New(Kind::Purchase),
                original => Next::Repeat(Kind::Repeat, original),
            },
            Kind::ReversalRepeat => match self.last_reversal {
                NONE => Next::New(Kind::Purchase),
                reversal => Next::Repeat(Kind::ReversalRepeat, reversal),
            },
            kind @ (Kind::Reversal | Kind::ReversalAdvice) => match self.holds.pop_front() {
                None => Next::New(Kind::Purchase),
                Some(original) => Next::Reversal(kind, original),
            },
            kind => Next::New(kind),
        }
    }

    /// Keeps a new exchange for the repeats and reversals to come.
    #[inline]
    pub(super) fn remember(&mut self, kind: Kind, number: u32) {
        if kind.asks() {
            self.recent[self.recent_at % RECENT] = number;
            self.recent_at = self.recent_at.wrapping_add(1);
        } else if kind.undoes() {
            self.last_reversal = number;
        }
        match kind {
            Kind::EarlyReversal => {
                // The number after it is its original's.
                self.early = number + 1;
            }
            Kind::Purchase | Kind::Cash | Kind::Sale => {
                if self.level.is_none() && self.holds.len() >= HOLDS_MAX {
                    self.holds.pop_front();
                }
                self.holds.push_back(number);
            }
            // It took all that the account had: without its reversal nothing more could be bought with it.
            Kind::Partial => self.holds.push_front(number),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_is_drawn_by_its_weights() {
        let mix = Mix::parse("purchase=900, cash = 99,echo=1").expect("a mix");
        let table = mix.table();
        let count = |kind| table.iter().filter(|drawn| **drawn == Drawn::One(kind)).count();
        assert_eq!(count(Kind::Purchase), 922);
        assert!((100..=103).contains(&count(Kind::Cash)));
        assert!(count(Kind::Echo) >= 1);
        for (text, error) in [
            ("purchase", "`purchase` is not of the form kind=weight"),
            ("purchase=x", "`purchase=x` is not of the form kind=weight"),
            ("purchase=0", "all weights are zero"),
            ("purchase=2000000", "the weights add up to more than 1,000,000"),
        ] {
            assert_eq!(Mix::parse(text).map_err(|error| error.to_string()), Err(error.to_owned()));
        }
        let unknown = Mix::parse("rebate=1").map_err(|error| error.to_string());
        assert!(unknown.is_err_and(|error| error.starts_with("`rebate` is no kind of traffic")));
    }

    #[test]
    fn the_default_mix_has_every_kind() {
        let table = Mix::default().table();
        for (kind, name) in Kind::DRAWN.into_iter().chain([(Kind::Echo, "echo")]) {
            assert!(table.contains(&Drawn::One(kind)), "{name}");
        }
        assert!(!Mix::default().has_lives());
    }

    #[test]
    fn the_mix_of_everything_has_every_kind_and_every_life_cycle() {
        let mix = Mix::parse("life").expect("a mix");
        let table = mix.table();
        assert!(table.len() <= DRAWS as usize + SCRIPTS.len());
        for (kind, name) in Kind::DRAWN.into_iter().chain([(Kind::Echo, "echo")]) {
            assert!(table.contains(&Drawn::One(kind)), "{name}");
        }
        for (script, place) in SCRIPTS.iter().zip(0..) {
            assert!(table.contains(&Drawn::Life(place)), "{}", script.name);
        }
        let lives = table.iter().filter(|drawn| matches!(drawn, Drawn::Life(_))).count();
        assert!((450..=574).contains(&lives), "{lives}");
        assert!(mix.has_lives() && Mix::parse("increment=1").is_ok_and(|mix| mix.has_lives()));
    }

    #[test]
    fn the_number_of_live_holds_is_kept_level() {
        let traffic = Traffic { mix: Mix::purchases(), level: Some(100), ..Traffic::default() };
        let mut stream = Stream::new(0, 0, 1, &traffic);
        let (mut live, mut reversals) = (0_i32, 0);
        for number in 0..10_000 {
            match stream.next() {
                Next::New(kind) => {
                    stream.remember(kind, number);
                    live += 1;
                }
                Next::Reversal(kind, original) => {
                    assert!(original < number);
                    stream.remember(kind, number);
                    live -= 1;
                    reversals += 1;
                }
                other => panic!("{other:?}"),
            }
            assert!(live <= 101);
        }
        assert!((100..=101).contains(&live) && reversals > 4_900);
    }
}
