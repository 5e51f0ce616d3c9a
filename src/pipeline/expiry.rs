//! Ending authorizations whose time is over (R19), a few places of one shard at a time.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use crate::domain::event::Event;
use crate::domain::time::Now;

use super::core::Pipeline;

/// Places of a table that are looked at under one lock: some tens of microseconds.
pub const PLACES: u32 = 512;

/// What is known of expiry from outside.
#[derive(Debug, Default)]
pub struct Expiring {
    expired: AtomicU64,
    halted: AtomicBool,
}

impl Expiring {
    /// Authorizations that expired since the start.
    #[must_use]
    pub fn expired(&self) -> u64 {
        self.expired.load(Ordering::Relaxed)
    }

    /// Whether none expires, because the clock cannot be trusted.
    #[must_use]
    pub fn is_halted(&self) -> bool {
        self.halted.load(Ordering::Relaxed)
    }

    /// Says so.
    pub fn set_halted(&self, halted: bool) {
        self.halted.store(halted, Ordering::Relaxed);
    }
}

/// Where a pass over all authorizations stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Pass {
    shard: usize,
    place: u32,
}

impl Pass {
    /// Whether it is at its beginning, or has come to its end.
    #[must_use]
    pub fn is_at_start(&self) -> bool {
        *self == Self::default()
    }
}

impl Pipeline {
    /// What is known of expiry.
    #[must_use]
    pub const fn expiring(&self) -> &Expiring {
        &self.expiring
    }

    /// How many steps a pass takes now.
    #[must_use]
    pub fn steps_of_pass(&self) -> u64 {
        let of_shard = |places: u64| places.div_ceil(u64::from(PLACES)).max(1);
        self.shards.iter().map(|shard| of_shard(shard.lock().places_used())).sum()
    }

    /// Goes on with a pass by one step: ends what is over in the next [`PLACES`] places. Where the journal takes
    /// nothing the step is done again later. Returns whether it was done.
    pub fn expire(&self, pass: &mut Pass, now: Now) -> bool {
        let Some(shard) = self.shards.get(pass.shard) else {
            *pass = Pass::default();
            return true;
        };
        let mut shard = shard.lock();
        let end = pass.place.saturating_add(PLACES);
        let now_s = u32::try_from(now.wall.seconds()).unwrap_or(u32::MAX);
        let (mut done, mut ended) = (true, 0);
        while done && pass.place < end {
            let (found, next) = shard.overdue(pass.place, end - pass.place, now_s);
            if let Some(expired) = found {
                done = self.admits(now) && self.commit(&mut shard, &Event::Expired(expired), now).is_some();
                if !done {
                    break;
                }
                ended += 1;
            }
            if next == 0 {
                // The shard's end.
                let last = pass.shard + 1 >= self.shards.len();
                *pass = if last { Pass::default() } else { Pass { shard: pass.shard + 1, place: 0 } };
                break;
            }
            pass.place = next;
        }
        drop(shard);
        if ended > 0 {
            self.expiring.expired.fetch_add(ended, Ordering::Relaxed);
            self.wake_writer();
        }
        done
    }
}
