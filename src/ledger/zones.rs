//! The time zones that the limits of each slot name, as the journal has told them.

use std::collections::BTreeMap;

use crate::domain::limit::Subject;
use crate::domain::limit::Window;
use crate::domain::party::Slot;
use crate::domain::party::Text;
use crate::domain::zone::UtcOffset;
use crate::domain::zone::Zone;
use crate::domain::zone::ZoneChange;
use crate::domain::zone::ZoneName;
use crate::domain::zone::ZoneNumber;
use crate::domain::zone::ZoneSet;
use crate::domain::zone::ZoneTable;

use super::apply::ApplyError;
use super::image::put;
use super::limits::Limits;
use super::restore::ImageError;
use super::restore::Take;
use super::state_hash::StateHash;

/// How a zone is told apart in the state hash from what else is in it.
const ZONE_KIND: u8 = 34;

/// Zones by slot, each at the place of its number. Few slots have any, and each of them few.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Zones(BTreeMap<Slot, Vec<ZoneTable>>);

impl Zones {
    /// Those of a slot.
    pub(super) fn of(&self, slot: Slot) -> &[ZoneTable] {
        self.0.get(&slot).map_or(&[], Vec::as_slice)
    }

    /// Those that a window of this subject's limits looks at.
    fn of_window(&self, subject: Subject, window: Window) -> &[ZoneTable] {
        match window.zone() {
            Some(Zone::Named(_)) => subject.slot().map_or(&[], |slot| self.of(slot)),
            _ => &[],
        }
    }

    /// [`Window::index`] for a limit of this subject.
    pub(super) fn index(&self, subject: Subject, window: Window, seconds: u64) -> u32 {
        window.index(seconds, self.of_window(subject, window))
    }

    /// [`Window::begins`] for a limit of this subject.
    pub(super) fn begins(&self, subject: Subject, window: Window, index: u32) -> Option<u64> {
        window.begins(index, self.of_window(subject, window))
    }

    /// Whether a slot knows everything that a window asks for.
    pub(super) fn has(&self, slot: Slot, window: Window) -> bool {
        match window.zone() {
            Some(Zone::Named(number)) => number.at() < self.of(slot).len(),
            _ => true,
        }
    }

    /// The name of the zone that a window goes by.
    pub(super) fn name(&self, slot: Slot, window: Window) -> Option<ZoneName> {
        match window.zone()? {
            Zone::Named(number) => self.of(slot).get(number.at()).map(ZoneTable::name),
            Zone::Fixed(_) => None,
        }
    }

    /// Takes over what a record tells of a zone.
    ///
    /// # Errors
    /// Its number is another zone's, or leaves numbers out.
    pub(super) fn set(&mut self, event: &ZoneSet) -> Result<(), ApplyError> {
        let zones = self.0.entry(event.slot).or_default();
        let next = zones.len();
        match zones.get_mut(event.zone.at()) {
            Some(zone) if zone.name() == event.name => zone.change(&event.changes),
            None if event.zone.at() == next => {
                let zone = ZoneTable::new(event.name, event.changes.as_slice().to_vec());
                zones.push(zone.ok_or(ApplyError::NoSuchZone)?);
            }
            _ => return Err(ApplyError::NoSuchZone),
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a slot's zones to the image of a shard.
    pub(super) fn put(&self, slot: Slot, out: &mut Vec<u8>) {
        let zones = self.of(slot);
        put(out, (zones.len() as u16).to_le_bytes());
        zones.iter().for_each(|zone| put_zone(zone, out));
    }

    /// Reads them back.
    pub(super) fn take(&mut self, take: &mut Take<'_>, slot: Slot) -> Result<(), ImageError> {
        let count = take.u16()?;
        for _ in 0..count {
            let zone = take_zone(take)?;
            self.0.entry(slot).or_default().push(zone);
        }
        Ok(())
    }

    /// Adds everything to the state hash.
    pub(super) fn hash_into(&self, hash: &mut StateHash) {
        let mut bytes = Vec::new();
        for (slot, zones) in &self.0 {
            for (number, zone) in (1_u16..).zip(zones) {
                bytes.clear();
                put(&mut bytes, slot.number().to_le_bytes());
                put(&mut bytes, number.to_le_bytes());
                put_zone(zone, &mut bytes);
                hash.add_bytes(ZONE_KIND, &bytes);
            }
        }
    }
}

impl Limits {
    /// The time zones of a slot, each at the place of its number.
    #[must_use]
    pub fn zones_of(&self, slot: Slot) -> &[ZoneTable] {
        self.zones.of(slot)
    }

    /// The time zones of all slots, with their numbers.
    pub fn all_zones(&self) -> impl Iterator<Item = (Slot, ZoneNumber, &ZoneTable)> {
        self.zones.0.iter().flat_map(|(slot, zones)| {
            let numbers = (1..).filter_map(ZoneNumber::new);
            numbers.zip(zones).map(|(number, zone)| (*slot, number, zone))
        })
    }

    /// The number of a zone in a slot, if it has been told.
    #[must_use]
    pub fn zone_named(&self, slot: Slot, name: ZoneName) -> Option<ZoneNumber> {
        let at = self.zones_of(slot).iter().position(|zone| zone.name() == name)?;
        ZoneNumber::new(u16::try_from(at + 1).ok()?)
    }

    /// The number that the next zone of a slot gets; `None` when there are no more.
    #[must_use]
    pub fn next_zone(&self, slot: Slot) -> Option<ZoneNumber> {
        ZoneNumber::new(u16::try_from(self.zones_of(slot).len() + 1).ok()?)
    }

    /// The name of the zone that a window of this subject's limits goes by.
    pub(super) fn zone_name(&self, subject: Subject, window: Window) -> Option<ZoneName> {
        self.zones.name(subject.slot()?, window)
    }
}

fn put_zone(zone: &ZoneTable, out: &mut Vec<u8>) {
    put(out, zone.name().0);
    put(out, (zone.changes().len() as u32).to_le_bytes());
    for change in zone.changes() {
        put(out, change.from_s.to_le_bytes());
        put(out, change.offset.minutes().to_le_bytes());
    }
}

fn take_zone(take: &mut Take<'_>) -> Result<ZoneTable, ImageError> {
    let name = Text(take.bytes()?);
    let count = take.u32()?;
    let mut changes = Vec::new();
    for _ in 0..count {
        let (from_s, minutes) = (take.u32()?, i16::from_le_bytes(take.bytes()?));
        let offset = UtcOffset::new(minutes).ok_or(ImageError::Value("offset"))?;
        changes.push(ZoneChange { from_s, offset });
    }
    ZoneTable::new(name, changes).ok_or(ImageError::Value("time zone"))
}
