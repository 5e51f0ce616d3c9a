//! What is known of time zones: the IANA database that is built in. It is asked when a limit names a zone, and at a
//! start; what it says is journaled, and counted by from then on ([`crate::domain::zone`]).

use std::time::Duration;

use jiff::tz::TimeZoneDatabase;

use crate::domain::time::Timestamp;
use crate::domain::zone::UtcOffset;
use crate::domain::zone::ZoneChange;
use crate::domain::zone::ZoneName;
use crate::domain::zone::ZoneTable;
use crate::edge::clock;
use crate::pipeline::core::Pipeline;

/// For so many seconds ahead changes are told: twenty years.
const AHEAD_S: i64 = 20 * 365 * 86_400;
/// So far back the first change lies, seconds: clocks that were set back a moment ago do not begin a day anew.
const BACK_S: i64 = 2 * 86_400;

/// A zone by its name, in any case, as it is from now on; `None` when it is not known.
#[must_use]
pub fn look_up(name: &str, now: Timestamp) -> Option<ZoneTable> {
    let zone = TimeZoneDatabase::bundled().get(name).ok()?;
    let name = zone.iana_name().filter(|name| name.len() <= ZoneName::BLANK.0.len())?;
    let first_s = i64::try_from(now.seconds()).ok()? - BACK_S;
    let first = jiff::Timestamp::from_second(first_s).ok()?;
    let mut changes = vec![change(first_s, zone.to_offset(first))?];
    for next in zone.following(first) {
        let from_s = next.timestamp().as_second();
        if from_s > first_s + AHEAD_S {
            break;
        }
        let next = change(from_s, next.offset())?;
        if changes.last().is_none_or(|last| last.offset != next.offset) {
            changes.push(next);
        }
    }
    ZoneTable::new(ZoneName::from_ascii(name.as_bytes()), changes)
}

/// Tells the slots what is known now of the zones that their limits name, where that is other than what they were told.
/// A journal that fails ends it: the next start goes on.
pub(super) async fn renew(pipeline: &Pipeline) {
    let now = clock::now();
    let known = |name: ZoneName| look_up(&name.to_string(), now.wall);
    loop {
        match pipeline.renew_zones(&known, now) {
            Some(0) => return,
            Some(zones) => {
                tracing::info!(zones, "time zones of limits were renewed");
                return;
            }
            None if pipeline.has_failed() => return,
            None => {
                pipeline.wake_writer();
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }
}

fn change(from_s: i64, offset: jiff::tz::Offset) -> Option<ZoneChange> {
    let minutes = i16::try_from(offset.seconds().div_euclid(60)).ok()?;
    Some(ZoneChange { from_s: u32::try_from(from_s).ok()?, offset: UtcOffset::new(minutes)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::days_from_civil;

    #[test]
    fn zones_are_known_by_name_with_their_changes() {
        const fn at(year: i32, month: u32, day: u32, hour: i64) -> i64 {
            days_from_civil(year, month, day) * 86_400 + hour * 3_600
        }
        let now = Timestamp::from_seconds(at(2026, 11, 29, 0) as u64);
        // The zone, and its first changes from now on: when, and the minutes east of UTC.
        type Row = (&'static str, i16, &'static [(i64, i16)]);
        const TABLE: &[Row] = &[
            ("America/New_York", -300, &[(at(2027, 3, 14, 7), -240), (at(2027, 11, 7, 6), -300)]),
            ("europe/berlin", 60, &[(at(2027, 3, 28, 1), 120), (at(2027, 10, 31, 1), 60)]),
            ("Australia/Lord_Howe", 660, &[(at(2027, 4, 3, 15), 630)]),
            ("Asia/Kathmandu", 345, &[]),
            ("UTC", 0, &[]),
        ];
        for (name, offset, changes) in TABLE {
            let zone = look_up(name, now).expect("a zone");
            assert!(zone.name().to_string().eq_ignore_ascii_case(name));
            assert_eq!(zone.offset(now.seconds()).minutes(), *offset, "{name}");
            let known: Vec<(i64, i16)> =
                zone.changes()[1..].iter().map(|c| (c.from_s.into(), c.offset.minutes())).collect();
            assert_eq!(&known[..changes.len()], *changes, "{name}");
            assert_eq!(known.is_empty(), changes.is_empty(), "{name}");
        }
        for none in ["", "America/Nowhere", "../zone", "EST5EDT,M3.2.0,M11.1.0"] {
            assert_eq!(look_up(none, now), None, "{none}");
        }
    }
}
