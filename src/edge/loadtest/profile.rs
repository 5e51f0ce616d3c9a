//! Rates and how they change over a run: `5k`, `10k..200k`, `50k,100k,150k`.

use std::time::Duration;

/// More is no rate that one core could offer.
const RATE_MAX: u64 = 100_000_000;
/// Most steps of one run.
const STEPS_MAX: u64 = 1_000;
/// A ramp climbs in pieces of a constant rate, one a second: at least and at most so many.
const RAMP_PIECES: (u64, u64) = (20, 600);

/// Messages a second from words such as `5000`, `50k` or `1.5M`.
///
/// # Errors
/// What is wrong, in words.
pub fn rate(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no rate; write messages a second as 5000, 50k or 1.5M");
    let (number, unit) = match text.strip_suffix(['k', 'K']) {
        Some(number) => (number, 1_000),
        None => text.strip_suffix('M').map_or((text, 1), |number| (number, 1_000_000)),
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| (1..=9).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) {
        return Err(wrong());
    }
    let whole: u64 = whole.parse().map_err(|_| wrong())?;
    let places = 10_u64.pow(part.len() as u32);
    let part: u64 = part.parse().map_err(|_| wrong())?;
    if !(part * unit).is_multiple_of(places) {
        return Err(wrong());
    }
    match whole * unit + part * unit / places {
        0 => Err(format!("`{text}` sends nothing: a rate is at least 1 a second")),
        rate if rate > RATE_MAX => Err(format!("`{text}` is more than {RATE_MAX} a second")),
        rate => Ok(rate),
    }
}

/// A rate that changes evenly.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ramp {
    /// Messages a second at the beginning.
    pub from: u64,
    /// Messages a second at the end.
    pub to: u64,
}

impl Ramp {
    /// A ramp from words such as `10k..200k`.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (from, to) = text
            .split_once("..")
            .ok_or_else(|| format!("`{text}` is no ramp; write it as 10k..200k, messages a second"))?;
        Ok(Self { from: rate(from)?, to: rate(to)? })
    }

    /// The ramp as pieces of a constant rate: how long each is, and its rate.
    #[must_use]
    pub fn pieces(self, length: Duration) -> Vec<(Duration, u64)> {
        let (least, most) = RAMP_PIECES;
        let count = length.as_secs().clamp(least, most);
        let ns = u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
        let edge = |n: u64| u64::try_from(u128::from(ns) * u128::from(n) / u128::from(count)).unwrap_or(ns);
        let rate = |n: u64| {
            // The rate at the middle of the piece.
            let (from, to) = (i128::from(self.from), i128::from(self.to));
            let at = from + (to - from) * i128::from(2 * n + 1) / i128::from(2 * count);
            u64::try_from(at).unwrap_or(1).max(1)
        };
        (0..count).map(|n| (Duration::from_nanos(edge(n + 1) - edge(n)), rate(n))).collect()
    }
}

/// Rates that are held one after the other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Steps(pub Vec<u64>);

impl Steps {
    /// Steps from words such as `50k,100k,150k` or, the same, `50k..150k/50k`.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` are no steps; write 50k,100k,150k or 50k..150k/50k, messages a second");
        let Some((from, rest)) = text.split_once("..") else {
            let rates: Result<Vec<u64>, String> = text.split(',').map(|word| rate(word.trim())).collect();
            return rates.map(Self);
        };
        let (to, by) = rest.split_once('/').ok_or_else(wrong)?;
        let (from, to, by) = (rate(from)?, rate(to)?, rate(by)?);
        if to < from {
            return Err(wrong());
        }
        if (to - from) / by >= STEPS_MAX {
            return Err(format!("`{text}` has more than {STEPS_MAX} steps"));
        }
        Ok(Self((0..=(to - from) / by).map(|n| from + n * by).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_ramps_and_steps_are_read_or_refused_in_words() {
        for (text, value) in [("1", 1), ("5000", 5_000), ("50k", 50_000), ("1.5M", 1_500_000), ("0.5k", 500)]
        {
            assert_eq!(rate(text), Ok(value), "{text}");
        }
        for (text, words) in [
            ("0", "sends nothing"),
            ("0k", "sends nothing"),
            ("", "is no rate"),
            ("-1", "is no rate"),
            ("fast", "is no rate"),
            ("1.0005k", "is no rate"),
            ("1e6", "is no rate"),
            ("999M", "is more than"),
        ] {
            assert!(rate(text).is_err_and(|error| error.contains(words)), "{text}");
        }
        assert_eq!(Ramp::parse("10k..200k"), Ok(Ramp { from: 10_000, to: 200_000 }));
        let three = Ok(Steps(vec![50_000, 100_000, 150_000]));
        assert_eq!(Steps::parse("50k,100k, 150k"), three);
        assert_eq!(Steps::parse("50k..150k/50k"), three);
        assert_eq!(Steps::parse("50k..199k/50k"), three);
        for (text, words) in [("10k", "is no ramp"), ("10k..", "is no rate"), ("0..10", "sends nothing")] {
            assert!(Ramp::parse(text).is_err_and(|error| error.contains(words)), "{text}");
        }
        for (text, words) in [
            ("", "is no rate"),
            ("10k,0", "sends nothing"),
            ("10k..20k", "are no steps"),
            ("20k..10k/1k", "are no steps"),
            ("10k..20k/0", "sends nothing"),
            ("1..2000/1", "more than 1000 steps"),
        ] {
            assert!(Steps::parse(text).is_err_and(|error| error.contains(words)), "{text}");
        }
    }

    #[test]
    fn a_ramp_is_as_long_and_as_high_as_it_says() {
        for (from, to, seconds) in
            [(1_000, 3_000, 10), (3_000, 1_000, 30), (1, 1, 1), (10_000, 200_000, 2_000)]
        {
            let pieces = Ramp { from, to }.pieces(Duration::from_secs(seconds));
            let length: Duration = pieces.iter().map(|(length, _)| *length).sum();
            assert_eq!(length, Duration::from_secs(seconds));
            let messages: u128 = pieces
                .iter()
                .map(|(length, rate)| length.as_nanos() * u128::from(*rate) / 1_000_000_000)
                .sum();
            let even = u128::from((from + to) / 2 * seconds);
            assert!(messages.abs_diff(even) <= even / 50 + 1_000, "{messages} of {even}");
            assert!(pieces.iter().all(|(_, rate)| (from.min(to)..=from.max(to)).contains(rate)));
        }
    }
}
