//! Telling slots what is known of the time zones that their limits name.

use crate::domain::event::Event;
use crate::domain::party::Slot;
use crate::domain::time::Now;
use crate::domain::zone::ZoneChanges;
use crate::domain::zone::ZoneName;
use crate::domain::zone::ZoneNumber;
use crate::domain::zone::ZoneSet;
use crate::domain::zone::ZoneTable;

use super::core::Pipeline;

/// A zone is told again once it is not known for so many seconds ahead, fifteen years: five years after it was told.
const KNOWN_S: u32 = 15 * 365 * 86_400;

/// The records that tell a slot of a zone from a time on.
pub(super) fn told(slot: Slot, zone: ZoneNumber, table: &ZoneTable, from_s: u32) -> Vec<Event> {
    let changes = table.from(from_s, u32::MAX);
    let parts = changes.chunks(ZoneChanges::MAX).filter_map(ZoneChanges::new);
    let name = table.name();
    parts.map(|changes| Event::ZoneSet(ZoneSet { slot, zone, name, changes })).collect()
}

impl Pipeline {
    /// Tells every slot what is known now of the zones that it has been told of: by another version of the daemon, or
    /// years ago. What was counted stays where it was counted. Returns how many were told; `None` when the journal has
    /// no room now: then the rest is still to be told.
    pub fn renew_zones(&self, look_up: &dyn Fn(ZoneName) -> Option<ZoneTable>, now: Now) -> Option<usize> {
        let mut renewed = 0;
        let now_s = u32::try_from(now.wall.seconds()).unwrap_or(u32::MAX);
        let until_s = now_s.saturating_add(KNOWN_S);
        for shard in &self.shards {
            let mut shard = shard.lock();
            let mut events = Vec::new();
            for (slot, number, known) in shard.limits().all_zones() {
                let Some(table) = look_up(known.name()) else { continue };
                if known.from(now_s, until_s) != table.from(now_s, until_s) {
                    events.extend(told(slot, number, &table, now_s));
                    renewed += 1;
                }
            }
            for event in &events {
                self.commit(&mut shard, event, now)?;
            }
        }
        self.wake_writer();
        Some(renewed)
    }
}
