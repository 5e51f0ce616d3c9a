//! The timer behind [`Pipeline::expire`]: passes over all authorizations, spread evenly over time, as long as the wall
//! clock can be trusted.

use std::sync::Weak;
use std::time::Duration;

use crate::domain::time::Now;
use crate::edge::clock;
use crate::pipeline::core::Pipeline;
use crate::pipeline::expiry::Pass;

/// How often a part of a pass is done.
const TICK_MS: u64 = 50;
/// A wall clock that steps further than this against the clock that never goes back frees no holds (R19).
const STEP_MAX: Duration = Duration::from_mins(5);

/// How far the wall clock has stepped against the other one between two times, forward or back.
fn step(begun: Now, now: Now) -> Duration {
    let passed = now.elapsed_ns.saturating_sub(begun.elapsed_ns);
    Duration::from_nanos(now.wall.0.abs_diff(begun.wall.0.saturating_add(passed)))
}

/// Whether the wall clock has stepped too far between two times for what is done by it.
pub(super) fn has_stepped(begun: Now, now: Now) -> bool {
    step(begun, now) > STEP_MAX
}

/// Makes a pass in every `every`, until the pipeline is gone.
pub async fn run(pipeline: Weak<Pipeline>, every: Duration) {
    let begun = clock::now();
    let mut ticks = tokio::time::interval(Duration::from_millis(TICK_MS));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut pass = Pass::default();
    // What each tick adds to what is owed, and what a step costs of it: both in ticks' milliseconds.
    let (mut owed, mut of_tick) = (0, 0);
    let of_step = u64::try_from(every.as_millis()).unwrap_or(u64::MAX).max(1);
    loop {
        ticks.tick().await;
        let Some(pipeline) = pipeline.upgrade() else { return };
        let now = clock::now();
        let step = step(begun, now);
        let halted = step > STEP_MAX;
        if halted != pipeline.expiring().is_halted() {
            pipeline.expiring().set_halted(halted);
            if halted {
                let seconds = step.as_secs();
                tracing::error!(
                    seconds,
                    "the clock has stepped: no hold expires until it is set right or the daemon starts anew"
                );
            } else {
                tracing::info!("the clock is right again: holds expire");
            }
        }
        if halted || pipeline.has_failed() {
            continue;
        }
        if pass.is_at_start() {
            of_tick = pipeline.steps_of_pass() * TICK_MS;
        }
        owed += of_tick;
        while owed >= of_step && pipeline.expire(&mut pass, now) {
            owed -= of_step;
            if pass.is_at_start() {
                break;
            }
        }
        // What could not be done is not made up for all at once.
        owed = owed.min(of_tick.max(of_step));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;

    #[test]
    fn r19_a_clock_that_steps_is_seen() {
        let at = |wall_s: u64, elapsed_s: u64| Now {
            wall: Timestamp::from_seconds(1_000_000 + wall_s),
            elapsed_ns: (50 + elapsed_s) * 1_000_000_000,
        };
        // Seconds that the wall clock and the other one show, and the step between them.
        let table = [(60, 60, 0), (360, 60, 300), (60, 360, 300), (0, 7_200, 7_200), (86_400, 0, 86_400)];
        for (wall, elapsed, expected) in table {
            let found = step(at(0, 0), at(wall, elapsed));
            assert_eq!(found, Duration::from_secs(expected), "{wall} {elapsed}");
        }
    }
}
