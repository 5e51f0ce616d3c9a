//! Which elements of messages a party was not told, since its dialect has no place for them: counted without a lock,
//! since an answer is carried back under the lock of the line that it came from.

use core::fmt;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering;

use crate::iso8583::spec::FieldSet;
use crate::iso8583::spec::HIGHEST_FIELD;

/// A count for each data element.
pub struct LeftOut(Box<[AtomicU64]>);

impl Default for LeftOut {
    fn default() -> Self {
        Self((0..=HIGHEST_FIELD).map(|_| AtomicU64::new(0)).collect())
    }
}

/// Those that were.
impl fmt::Debug for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.by_element()).finish()
    }
}

impl LeftOut {
    /// These elements of one message were left out.
    pub fn add(&self, elements: FieldSet) {
        for element in elements.iter() {
            if let Some(count) = self.0.get(usize::from(element)) {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// How many were in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// How often each was that ever was, in order.
    pub fn by_element(&self) -> impl Iterator<Item = (u8, u64)> {
        let counts = (0..).zip(&self.0).map(|(element, count)| (element, count.load(Ordering::Relaxed)));
        counts.filter(|(_, count)| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_element_is_counted_by_itself() {
        let left_out = LeftOut::default();
        assert_eq!((left_out.total(), left_out.by_element().count()), (0, 0));
        for elements in [&[48, 63][..], &[], &[1, HIGHEST_FIELD, 48]] {
            left_out.add(FieldSet::of(elements));
        }
        let counts: Vec<(u8, u64)> = left_out.by_element().collect();
        assert_eq!(counts, [(1, 1), (48, 2), (63, 1), (HIGHEST_FIELD, 1)]);
        assert_eq!(
            (left_out.total(), format!("{left_out:?}")),
            (5, "{1: 1, 48: 2, 63: 1, 192: 1}".to_owned())
        );
    }
}
