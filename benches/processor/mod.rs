//! How much of the processor a bench has used.

use std::time::Duration;

use rustix::time::ClockId;
use rustix::time::clock_gettime;

/// Of all threads of this process since it began.
pub(crate) fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}
