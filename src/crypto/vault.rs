//! Sealing of card numbers with AES-256-GCM.

use std::fmt;

use aws_lc_rs::aead::AES_256_GCM;
use aws_lc_rs::aead::Aad;
use aws_lc_rs::aead::LessSafeKey;
use aws_lc_rs::aead::NONCE_LEN;
use aws_lc_rs::aead::Nonce;
use aws_lc_rs::aead::UnboundKey;
use aws_lc_rs::hkdf::HKDF_SHA256;
use aws_lc_rs::hkdf::Prk;
use aws_lc_rs::hkdf::Salt;
use zeroize::Zeroize;
use zeroize::Zeroizing;

use crate::crypto::keys::derive;
use crate::domain::card::CardRef;
use crate::domain::card::Pan;
use crate::domain::card::PanSeal;
use crate::domain::card::SEALED_PAN_BYTES;
use crate::domain::card::SealNonce;
use crate::domain::card::SealedPan;
use crate::domain::seal::BlockSeal;
use crate::domain::seal::SALT_BYTES;
use crate::domain::seal::SnapshotKeys;

/// The value as u64, the number of digits, and the version of this layout.
const CLEAR_BYTES: usize = 10;
const LAYOUT_VERSION: u8 = 1;

/// Seals and opens card numbers. The nonce is the epoch and the sequence of the record that holds the number, so
/// that no nonce comes twice; the card reference is authenticated with it, so that numbers cannot change places.
pub struct Vault {
    key: LessSafeKey,
    fingerprint: [u8; 8],
    /// What the keys of snapshots are derived from.
    snapshots: Prk,
}

impl Vault {
    /// A vault with this key, which is wiped.
    #[must_use]
    #[expect(clippy::expect_used, reason = "AES-256 takes any 32 bytes as its key")]
    pub fn new(key: Zeroizing<[u8; 32]>) -> Self {
        let mut fingerprint = [0; 8];
        let secret = Salt::new(HKDF_SHA256, b"turnpike/vault/1").extract(key.as_slice());
        derive(&secret, b"fingerprint", &mut fingerprint);
        let snapshots = Salt::new(HKDF_SHA256, b"turnpike/snapshots/1").extract(key.as_slice());
        let key = UnboundKey::new(&AES_256_GCM, key.as_slice()).expect("a key of 32 bytes");
        Self { key: LessSafeKey::new(key), fingerprint, snapshots }
    }

    /// Eight bytes that tell this key from another and say nothing about it. They stand in every segment, so that
    /// a wrong key file is found before anything is read with it.
    #[must_use]
    pub const fn fingerprint(&self) -> [u8; 8] {
        self.fingerprint
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").finish_non_exhaustive()
    }
}

impl PanSeal for Vault {
    #[expect(clippy::expect_used, reason = "AES-GCM refuses nothing below 64 GiB, and these are ten bytes")]
    fn seal(&self, pan: Pan, nonce: SealNonce, card: CardRef) -> SealedPan {
        let mut sealed = [0; SEALED_PAN_BYTES];
        let (text, tag_at) = sealed.split_at_mut(CLEAR_BYTES);
        text[..8].copy_from_slice(&pan.value().to_le_bytes());
        text[8] = pan.digits();
        text[9] = LAYOUT_VERSION;
        let tag = self
            .key
            .seal_in_place_separate_tag(nonce_of(nonce), bound_to(card), text)
            .expect("ten bytes are sealed");
        tag_at.copy_from_slice(tag.as_ref());
        SealedPan(sealed)
    }

    fn open(&self, sealed: &SealedPan, nonce: SealNonce, card: CardRef) -> Option<Pan> {
        let mut bytes = sealed.0;
        let pan = self.key.open_in_place(nonce_of(nonce), bound_to(card), &mut bytes).ok().and_then(|text| {
            let (value, rest) = text.split_first_chunk::<8>()?;
            let [digits, LAYOUT_VERSION] = rest else { return None };
            Pan::from_value(u64::from_le_bytes(*value), *digits).ok()
        });
        bytes.zeroize();
        pan
    }
}

impl SnapshotKeys for Vault {
    #[expect(clippy::expect_used, reason = "AES-256 takes any 32 bytes as its key")]
    fn of_snapshot(&self, salt: &[u8; SALT_BYTES]) -> Box<dyn BlockSeal> {
        let mut key = Zeroizing::new([0; 32]);
        derive(&self.snapshots, salt, key.as_mut_slice());
        let key = UnboundKey::new(&AES_256_GCM, key.as_slice()).expect("a key of 32 bytes");
        Box::new(Blocks { key: LessSafeKey::new(key) })
    }

    fn fingerprint(&self) -> [u8; 8] {
        self.fingerprint
    }
}

/// The seal of one snapshot: a key of its own, and the block's number as nonce.
struct Blocks {
    key: LessSafeKey,
}

impl Blocks {
    fn nonce(block: u32) -> Nonce {
        let mut bytes = [0; NONCE_LEN];
        bytes[..4].copy_from_slice(&block.to_le_bytes());
        Nonce::assume_unique_for_key(bytes)
    }
}

impl BlockSeal for Blocks {
    #[expect(clippy::expect_used, reason = "AES-GCM refuses nothing below 64 GiB, and a block is much less")]
    fn seal(&self, block: u32, bytes: &mut Vec<u8>) {
        self.key
            .seal_in_place_append_tag(Self::nonce(block), Aad::empty(), bytes)
            .expect("a block is sealed");
    }

    fn open(&self, block: u32, bytes: &mut Vec<u8>) -> Option<()> {
        let length = self.key.open_in_place(Self::nonce(block), Aad::empty(), bytes).ok()?.len();
        bytes.truncate(length);
        Some(())
    }
}

fn nonce_of(nonce: SealNonce) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    bytes[..4].copy_from_slice(&nonce.epoch.to_le_bytes());
    bytes[4..].copy_from_slice(&nonce.sequence.to_le_bytes());
    Nonce::assume_unique_for_key(bytes)
}

fn bound_to(card: CardRef) -> Aad<[u8; 8]> {
    Aad::from(card.0.to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::seal::SEAL_BYTES;

    #[test]
    fn a_block_opens_with_its_own_key_and_number_only() {
        let text = b"4111111111111111".to_vec();
        let mut sealed = text.clone();
        vault(1).of_snapshot(&[7; SALT_BYTES]).seal(3, &mut sealed);
        assert_eq!(sealed.len(), text.len() + SEAL_BYTES);
        assert!(!sealed.windows(6).any(|part| text.windows(6).any(|of| of == part)));
        let table = [
            ("as it is", 1, 7, 3, None, true),
            ("another key", 2, 7, 3, None, false),
            ("another snapshot", 1, 8, 3, None, false),
            ("another place", 1, 7, 4, None, false),
            ("changed", 1, 7, 3, Some(0), false),
            ("the seal changed", 1, 7, 3, Some(text.len()), false),
        ];
        for (name, key, salt, block, changed, opens) in table {
            let mut bytes = sealed.clone();
            if let Some(at) = changed {
                bytes[at] ^= 1;
            }
            let opened = vault(key).of_snapshot(&[salt; SALT_BYTES]).open(block, &mut bytes);
            assert_eq!(opened.is_some(), opens, "{name}");
            assert_eq!(bytes == text, opens, "{name}");
        }
    }

    const AT: SealNonce = SealNonce { epoch: 3, sequence: 77 };
    const CARD: CardRef = CardRef(9);

    fn vault(byte: u8) -> Vault {
        Vault::new(Zeroizing::new([byte; 32]))
    }

    fn pan(digits: &str) -> Pan {
        Pan::from_ascii(digits.as_bytes()).expect("a card number")
    }

    #[test]
    fn what_was_sealed_opens_again() {
        for digits in ["41111111", "4111111111111111", "0000000000000000", "9999999999999999999"] {
            let sealed = vault(1).seal(pan(digits), AT, CARD);
            assert_eq!(vault(1).open(&sealed, AT, CARD), Some(pan(digits)));
            assert!(!format!("{sealed:?}").contains(digits));
        }
    }

    #[test]
    fn nothing_opens_with_another_key_place_card_or_byte() {
        let sealed = vault(1).seal(pan("4111111111111111"), AT, CARD);
        assert_eq!(vault(2).open(&sealed, AT, CARD), None);
        assert_eq!(vault(1).open(&sealed, SealNonce { epoch: 4, ..AT }, CARD), None);
        assert_eq!(vault(1).open(&sealed, SealNonce { sequence: 78, ..AT }, CARD), None);
        assert_eq!(vault(1).open(&sealed, AT, CardRef(8)), None);
        for bit in 0..SEALED_PAN_BYTES * 8 {
            let mut flipped = sealed;
            flipped.0[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(vault(1).open(&flipped, AT, CARD), None, "bit {bit}");
        }
    }

    #[test]
    fn fingerprints_tell_keys_apart_and_debug_shows_neither() {
        assert_eq!(vault(1).fingerprint(), vault(1).fingerprint());
        assert_ne!(vault(1).fingerprint(), vault(2).fingerprint());
        assert_eq!(format!("{:?}", vault(1)), "Vault { .. }");
    }
}
