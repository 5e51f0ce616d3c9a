//! What a socket has seen of elements that its dialect does not have, until somebody asks.

use crate::dialect::unknown::Path;

/// The first messages of a socket that are all looked at for unknown elements: what is new shows at once.
const LOOKED_AT_FIRST: u32 = 256;
/// After them, one message of so many is looked at: walking every tag of every message is a twentieth of the daemon's
/// time.
const SAMPLE: u32 = 16;

/// Which messages of a socket are looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sampling {
    messages: u32,
}

impl Sampling {
    /// For how many messages the next one stands; `None` when it is passed by.
    #[inline(always)]
    pub fn next_weight(&mut self) -> Option<u32> {
        self.messages = self.messages.wrapping_add(1).max(1);
        if self.messages <= LOOKED_AT_FIRST {
            Some(1)
        } else if self.messages.is_multiple_of(SAMPLE) {
            Some(SAMPLE)
        } else {
            None
        }
    }
}

/// Paths that are told apart between two looks.
const PATHS_MAX: usize = 8;

/// Counts by path. Paths beyond the first few are counted together.
#[derive(Clone, Copy, Debug, Default)]
pub struct UnknownElements {
    paths: [Option<(Path, u32)>; PATHS_MAX],
    others: u32,
}

impl UnknownElements {
    /// Counts an element, as so many: one that is found in a sample stands for those that were not looked for.
    #[cold]
    pub fn count(&mut self, path: Path, weight: u32) {
        for place in &mut self.paths {
            match place {
                Some((known, count)) if *known == path => {
                    *count += weight;
                    return;
                }
                None => {
                    *place = Some((path, weight));
                    return;
                }
                Some(_) => {}
            }
        }
        self.others += weight;
    }

    /// Each path with its count.
    pub fn paths(&self) -> impl Iterator<Item = (Path, u64)> + '_ {
        self.paths.iter().flatten().map(|(path, count)| (*path, u64::from(*count)))
    }

    /// Elements of further paths.
    #[must_use]
    pub const fn others(&self) -> u64 {
        self.others as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_stands_for_all_messages() {
        let mut sampling = Sampling::default();
        let weights: Vec<Option<u32>> = (0..10_000).map(|_| sampling.next_weight()).collect();
        assert!(weights[..256].iter().all(|weight| *weight == Some(1)));
        let all: u32 = weights.iter().flatten().sum();
        assert!((10_000 - SAMPLE..=10_000).contains(&all), "{all}");
        assert!(weights[256..].iter().flatten().count() < 10_000 / 15);
    }
}
