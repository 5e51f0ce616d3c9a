//! The clocks. Everything below this room gets the time as an argument.

use std::sync::OnceLock;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use crate::domain::time::Now;
use crate::domain::time::Timestamp;
use crate::link::state::Moment;

/// What both clocks show.
#[must_use]
pub fn now() -> Now {
    let elapsed_ns = u64::try_from(elapsed(Instant::now()).as_nanos()).unwrap_or(u64::MAX).saturating_add(1);
    Now { wall: wall(), elapsed_ns }
}

/// The wall clock. One before 1970 reads as 1970; the journal's record time never goes back in any case.
#[must_use]
pub fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// An instant of the clock that never goes back, counted from a point that is fixed for the process.
#[must_use]
pub fn moment(instant: Instant) -> Moment {
    // A beginning that is not zero: what was never is before everything.
    Moment(u64::try_from(elapsed(instant).as_micros()).unwrap_or(u64::MAX).saturating_add(1))
}

fn elapsed(instant: Instant) -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    instant.saturating_duration_since(*START.get_or_init(Instant::now))
}
