//! The timer behind [`Pipeline::pay_interest`]: a pass over all accounts that earn once a day is over, as long as the
//! wall clock can be trusted.

use std::sync::Weak;
use std::time::Duration;

use crate::domain::interest::DayNumber;
use crate::edge::clock;
use crate::pipeline::core::Pipeline;
use crate::pipeline::interest::Pass;
use crate::pipeline::interest::Step;

/// How often the day is looked at.
const TICK: Duration = Duration::from_secs(1);
/// How long a step waits that the journal had no room for.
const LATER: Duration = Duration::from_millis(5);
/// Steps in a row before other work has its turn.
const STEPS_AT_ONCE: usize = 16;

/// Makes a whole pass. `false` when the journal has failed.
pub async fn pay(pipeline: &Pipeline) -> bool {
    let (mut pass, mut steps) = (Pass::default(), 0);
    loop {
        match pipeline.pay_interest(&mut pass, clock::now()) {
            Step::End => return true,
            Step::Later if pipeline.has_failed() => return false,
            Step::Later => tokio::time::sleep(LATER).await,
            Step::More => {}
        }
        steps += 1;
        if steps % STEPS_AT_ONCE == 0 {
            tokio::task::yield_now().await;
        }
    }
}

/// Makes a pass after each day, until the pipeline is gone. `paid` is the day on which the last pass was made.
pub async fn run(pipeline: Weak<Pipeline>, mut paid: DayNumber) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(pipeline) = pipeline.upgrade() else { return };
        let today = pipeline.today(clock::now());
        // A clock that has stepped pays nothing; what is due is paid when it is right again.
        let due = today > paid && !pipeline.expiring().is_halted() && !pipeline.has_failed();
        if due && pay(&pipeline).await {
            paid = today;
        }
    }
}
