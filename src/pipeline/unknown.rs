//! What a socket has seen of elements that its dialect does not have, until somebody asks.

use crate::dialect::unknown::Path;

/// Paths that are told apart between two looks.
const PATHS_MAX: usize = 8;

/// Counts by path. Paths beyond the first few are counted together.
#[derive(Clone, Copy, Debug, Default)]
pub struct UnknownElements {
    paths: [Option<(Path, u32)>; PATHS_MAX],
    others: u32,
}

impl UnknownElements {
    /// Counts one element.
    #[cold]
    pub fn count(&mut self, path: Path) {
        for place in &mut self.paths {
            match place {
                Some((known, count)) if *known == path => {
                    *count += 1;
                    return;
                }
                None => {
                    *place = Some((path, 1));
                    return;
                }
                Some(_) => {}
            }
        }
        self.others += 1;
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
