//! Approval codes (DE 38): six characters 0-9 A-Z that nobody can guess and that come once per slot (R8).
//!
//! A code is a keyed permutation of a slot's count of approvals. The permutation is a Feistel network over pairs of
//! numbers below 36^3, so it covers the 36^6 codes exactly: no two counts give the same code until all are used up.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use crate::domain::party::Slot;
use crate::domain::request::ApprovalCode;

const HALF: u32 = 36 * 36 * 36;
const CODES: u64 = HALF as u64 * HALF as u64;
/// Four rounds make a strong pseudorandom permutation out of a pseudorandom function (Luby and Rackoff, 1988).
const ROUNDS: u8 = 4;
const ALPHABET: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// Makes approval codes under one secret key.
pub struct ApprovalCodes {
    key: [u8; 16],
}

impl std::fmt::Debug for ApprovalCodes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ApprovalCodes(secret)")
    }
}

impl ApprovalCodes {
    /// Codes under a key.
    #[must_use]
    pub const fn new(key: [u8; 16]) -> Self {
        Self { key }
    }

    /// The code of a slot's approval number `count`. Never all zeros.
    #[must_use]
    pub fn code(&self, slot: Slot, count: u64) -> ApprovalCode {
        // Zero is no count: if some count's code is all zeros, it takes the code of zero, which no other count has.
        let code = self.permute(slot, count % (CODES - 1) + 1);
        Self::letters(if code == 0 { self.permute(slot, 0) } else { code })
    }

    fn permute(&self, slot: Slot, value: u64) -> u64 {
        let (mut left, mut right) = ((value / u64::from(HALF)) as u32, (value % u64::from(HALF)) as u32);
        for round in 0..ROUNDS {
            let mut hasher = SipHasher13::new_with_key(&self.key);
            hasher.write_u64(u64::from(slot.number()) << 40 | u64::from(round) << 32 | u64::from(right));
            let mixed = (u64::from(left) + hasher.finish() % u64::from(HALF)) % u64::from(HALF);
            (left, right) = (right, mixed as u32);
        }
        u64::from(left) * u64::from(HALF) + u64::from(right)
    }

    fn letters(mut code: u64) -> ApprovalCode {
        let mut letters = [0; 6];
        for letter in letters.iter_mut().rev() {
            *letter = ALPHABET[(code % 36) as usize];
            code /= 36;
        }
        ApprovalCode(letters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn r8_codes_do_not_repeat_and_do_not_follow_each_other() {
        let codes = ApprovalCodes::new([7; 16]);
        let slot = Slot::default();
        let made: Vec<ApprovalCode> = (0..50_000).map(|count| codes.code(slot, count)).collect();
        let distinct: BTreeSet<[u8; 6]> = made.iter().map(|code| code.0).collect();
        assert_eq!(distinct.len(), made.len());
        assert!(made.iter().all(|code| code.0.iter().all(|c| ALPHABET.contains(c)) && code.0 != *b"000000"));
        let near = made.windows(2).filter(|pair| pair[0].0[..3] == pair[1].0[..3]).count();
        assert!(near < 20, "{near} neighbours share their first three characters");
        let other = Slot::new(1).expect("a slot");
        assert_ne!(codes.code(slot, 1), codes.code(other, 1));
        assert_ne!(codes.code(slot, 1), ApprovalCodes::new([8; 16]).code(slot, 1));
    }
}
