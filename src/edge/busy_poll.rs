//! A worker that goes on looking at its sockets for a while after something came, instead of sleeping: on a core of its
//! own it answers sooner by what it takes the system to wake a thread, and uses up that core while it looks.

use std::cell::Cell;
use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use tokio::sync::Notify;

thread_local! {
    /// When something came last, on a worker that looks by itself.
    static LAST: Cell<Option<Instant>> = const { Cell::new(None) };
    /// Wakes such a worker's looking while it rests.
    static RESTS: RefCell<Option<Arc<Notify>>> = const { RefCell::new(None) };
}

/// Something came on a socket of this thread.
#[inline]
pub(super) fn beat() {
    if LAST.get().is_none() {
        return;
    }
    LAST.set(Some(Instant::now()));
    if let Some(wake) = RESTS.take() {
        wake.notify_one();
    }
}

/// Keeps this thread's event loop from sleeping until nothing has come for `limit`, each time that something comes.
pub(super) async fn run(limit: Duration) {
    let wake = Arc::new(Notify::new());
    LAST.set(Some(Instant::now()));
    loop {
        if LAST.get().is_some_and(|last| last.elapsed() < limit) {
            // Whoever is ready has their turn, and all sockets are looked at without waiting, before it comes back.
            tokio::task::yield_now().await;
        } else {
            RESTS.set(Some(Arc::clone(&wake)));
            wake.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rests() -> bool {
        RESTS.with_borrow(Option::is_some)
    }

    async fn yield_often() {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn it_looks_until_its_time_is_over_and_again_when_something_comes() {
        // A thread that never looks has nothing to wake.
        beat();
        assert!(LAST.get().is_none());
        let brief = tokio::spawn(run(Duration::ZERO));
        for round in 0..3 {
            yield_often().await;
            assert!(rests(), "{round}");
            beat();
            assert!(!rests(), "{round}");
        }
        brief.abort();
        yield_often().await;
        RESTS.set(None);
        let long = tokio::spawn(run(Duration::from_secs(3_600)));
        for round in 0..3 {
            yield_often().await;
            assert!(!rests() && LAST.get().is_some(), "{round}");
            beat();
        }
        long.abort();
    }
}
