//! The timer behind [`Pipeline::pay_interest`]: a pass over all accounts that earn once a day is over, as long as the
//! wall clock can be trusted.

use std::sync::Weak;
use std::time::Duration;

use crate::domain::interest::DayNumber;
use crate::domain::time::Now;
use crate::edge::clock;
use crate::edge::expiry;
use crate::pipeline::core::Pipeline;
use crate::pipeline::interest::Pass;
use crate::pipeline::interest::Step;

/// How often the day is looked at.
const TICK: Duration = Duration::from_secs(1);
/// How long a step waits that the journal had no room for, and how often in a row.
const LATER: Duration = Duration::from_millis(5);
const PATIENCE: u32 = 400;
/// Steps in a row before other work has its turn.
const STEPS_AT_ONCE: usize = 16;

/// Makes a whole pass; `false` when the journal takes nothing now, so that some of it is still to be done.
pub async fn pay(pipeline: &Pipeline, now: impl Fn() -> Now) -> bool {
    let (mut pass, mut steps, mut waited) = (Pass::default(), 0, 0);
    loop {
        match pipeline.pay_interest(&mut pass, now()) {
            Step::End => return true,
            Step::Later if waited == PATIENCE || !pipeline.has_room() => return false,
            Step::Later => {
                waited += 1;
                tokio::time::sleep(LATER).await;
            }
            Step::More => waited = 0,
        }
        steps += 1;
        if steps % STEPS_AT_ONCE == 0 {
            tokio::task::yield_now().await;
        }
    }
}

/// Makes a pass after each day, until the pipeline is gone. `paid` is the day on which the last pass was made.
pub async fn run(pipeline: Weak<Pipeline>, mut paid: DayNumber) {
    let begun = clock::now();
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(pipeline) = pipeline.upgrade() else { return };
        let now = clock::now();
        let today = DayNumber::of(now.wall);
        // By a clock that has stepped nothing is paid; what is due is when it is right again.
        if today > paid && !expiry::has_stepped(begun, now) && pay(&pipeline, clock::now).await {
            paid = today;
        }
    }
}
