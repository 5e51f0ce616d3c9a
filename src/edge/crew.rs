//! Threads that work side by side while the books are rebuilt.

use std::num::NonZero;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread;

use crate::recovery::crew::Crew;
use crate::recovery::crew::Work;

/// As many threads as there are processors, the caller's included. They live as long as the work that they share:
/// some milliseconds at least, beside which starting them is nothing.
#[derive(Clone, Copy, Debug)]
pub struct Threads {
    more: usize,
}

impl Threads {
    /// One for each processor that this process may use.
    #[must_use]
    pub fn for_each_processor() -> Self {
        Self::new(thread::available_parallelism().map_or(1, NonZero::get))
    }

    /// So many, the caller's included.
    #[must_use]
    pub const fn new(threads: usize) -> Self {
        Self { more: threads.saturating_sub(1) }
    }
}

impl Crew for Threads {
    fn share<'w>(&self, own: &mut dyn FnMut(), work: Vec<Work<'w>>) {
        let more = self.more.min(work.len());
        let left = Mutex::new(work.into_iter());
        let next = || left.lock().unwrap_or_else(PoisonError::into_inner).next();
        let help = || {
            while let Some(piece) = next() {
                piece();
            }
        };
        thread::scope(|scope| {
            for _ in 0..more {
                // Without it the others have more to do.
                let _started = thread::Builder::new().name("recovery".to_owned()).spawn_scoped(scope, help);
            }
            own();
            help();
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;
    use std::sync::atomic::Ordering;

    #[test]
    fn every_piece_is_done_once_whoever_does_it() {
        for threads in [0, 1, 2, 7] {
            let done: Vec<AtomicU64> = (0..100).map(|_| AtomicU64::new(0)).collect();
            let (caller, mut own) = (thread::current().id(), Vec::new());
            let work = done.iter().map(|place| {
                let piece = move || {
                    place.fetch_add(1, Ordering::Relaxed);
                };
                Box::new(piece) as Work<'_>
            });
            Threads::new(threads).share(&mut || own.push(thread::current().id()), work.collect());
            assert_eq!(own, [caller], "{threads} threads");
            assert!(done.iter().all(|place| place.load(Ordering::Relaxed) == 1), "{threads} threads");
        }
    }
}
