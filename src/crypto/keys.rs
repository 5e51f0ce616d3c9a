//! The master key as its file holds it, and the keys that are derived from it by name.

use std::fmt;

use aws_lc_rs::hkdf::HKDF_SHA256;
use aws_lc_rs::hkdf::KeyType;
use aws_lc_rs::hkdf::Prk;
use aws_lc_rs::hkdf::Salt;
use zeroize::Zeroize;
use zeroize::Zeroizing;

use crate::crypto::vault::Vault;

/// Bytes of the master key.
pub const MASTER_KEY_BYTES: usize = 32;

/// Parts the keys of this daemon from those that anything else derives from the same secret.
const SALT: &[u8] = b"turnpike/keys/1";

/// Every key that the daemon uses, derived from the one master key (HKDF-SHA-256, RFC 5869).
pub struct Keys {
    /// Seals card numbers on disk.
    pub vault: Vault,
    approval_code: [u8; 16],
    page_tokens: [u8; 16],
    table_seed: u64,
}

impl Keys {
    /// Derives the named keys and wipes the master key.
    #[must_use]
    pub fn from_master(master: Zeroizing<[u8; MASTER_KEY_BYTES]>) -> Self {
        let secret = Salt::new(HKDF_SHA256, SALT).extract(master.as_slice());
        let mut seal = [0; 32];
        let mut approval_code = [0; 16];
        derive(&secret, b"seal card numbers", &mut seal);
        derive(&secret, b"permute approval codes", &mut approval_code);
        let mut page_tokens = [0; 16];
        derive(&secret, b"page tokens", &mut page_tokens);
        let mut table_seed = [0; 8];
        derive(&secret, b"hash tables", &mut table_seed);
        let table_seed = u64::from_le_bytes(table_seed);
        Self { vault: Vault::new(Zeroizing::new(seal)), approval_code, page_tokens, table_seed }
    }

    /// The key of the permutation that makes approval codes hard to guess (DE 38, R8).
    #[must_use]
    pub const fn approval_code_key(&self) -> &[u8; 16] {
        &self.approval_code
    }

    /// The key under which tokens of pages are told from made-up ones.
    #[must_use]
    pub const fn page_token_key(&self) -> &[u8; 16] {
        &self.page_tokens
    }
}

impl Keys {
    /// Seeds the hash tables in memory (R34): peers cannot know it, and it is the same at every start, since snapshots
    /// hold fingerprints that were made under it.
    #[must_use]
    pub const fn table_seed(&self) -> u64 {
        self.table_seed
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.approval_code.zeroize();
        self.page_tokens.zeroize();
        self.table_seed.zeroize();
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("vault", &self.vault).finish_non_exhaustive()
    }
}

struct Bytes(usize);

impl KeyType for Bytes {
    fn len(&self) -> usize {
        self.0
    }
}

/// Fills `out` with the key of this name.
#[expect(
    clippy::expect_used,
    reason = "HKDF-SHA-256 fails above 8,160 bytes only; no name asks for more than 32"
)]
pub(crate) fn derive(secret: &Prk, name: &[u8], out: &mut [u8]) {
    secret.expand(&[name], Bytes(out.len())).and_then(|key| key.fill(out)).expect("a short key");
}

/// Why a key file is not usable. What it holds is never shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyFileError {
    /// Not 64 characters.
    #[error(
        "a key file holds 64 hexadecimal digits on one line, this one holds {found} characters; \
         make one with: openssl rand -hex 32"
    )]
    Length {
        /// How many characters there are, white space at both ends not counted.
        found: usize,
    },
    /// Something that is not a hexadecimal digit.
    #[error("a key file holds hexadecimal digits only; character {position} is none")]
    NotHexadecimal {
        /// Its place on the line, from 1.
        position: usize,
    },
}

/// Reads the text of a key file: 64 hexadecimal digits, white space at both ends allowed.
///
/// # Errors
/// The text has another length or holds something else.
pub fn parse_key_file(text: &[u8]) -> Result<Zeroizing<[u8; MASTER_KEY_BYTES]>, KeyFileError> {
    let digits = text.trim_ascii();
    if digits.len() != 2 * MASTER_KEY_BYTES {
        return Err(KeyFileError::Length { found: digits.len() });
    }
    let mut key = Zeroizing::new([0; MASTER_KEY_BYTES]);
    for (index, &digit) in digits.iter().enumerate() {
        let Some(value) = char::from(digit).to_digit(16) else {
            return Err(KeyFileError::NotHexadecimal { position: index + 1 });
        };
        key[index / 2] = key[index / 2] << 4 | value as u8;
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_is_64_hexadecimal_digits() {
        let digits = "00112233445566778899aAbBcCdDeEfF".repeat(2);
        let key = parse_key_file(format!("  {digits}\n").as_bytes()).expect("a key");
        assert_eq!(key[..4], [0, 0x11, 0x22, 0x33]);
        assert_eq!(key[31], 0xff);
        let table = [
            (String::new(), KeyFileError::Length { found: 0 }),
            (digits[1..].to_owned(), KeyFileError::Length { found: 63 }),
            (format!("{digits}0"), KeyFileError::Length { found: 65 }),
            (format!("{}g", &digits[1..]), KeyFileError::NotHexadecimal { position: 64 }),
        ];
        for (text, error) in table {
            assert_eq!(parse_key_file(text.as_bytes()).map(|_| ()), Err(error), "{text}");
        }
    }

    #[test]
    fn keys_depend_on_the_master_key_and_on_their_names_only() {
        let one = Keys::from_master(Zeroizing::new([1; 32]));
        let again = Keys::from_master(Zeroizing::new([1; 32]));
        let two = Keys::from_master(Zeroizing::new([2; 32]));
        assert_eq!(one.approval_code_key(), again.approval_code_key());
        assert_eq!(one.vault.fingerprint(), again.vault.fingerprint());
        assert_ne!(one.approval_code_key(), two.approval_code_key());
        assert_ne!(one.vault.fingerprint(), two.vault.fingerprint());
        assert_ne!(one.approval_code_key(), &[1; 16]);
        assert_eq!(one.page_token_key(), again.page_token_key());
        assert_ne!(one.page_token_key(), two.page_token_key());
        assert_ne!(one.page_token_key(), one.approval_code_key());
    }

    #[test]
    fn debug_shows_no_key_byte() {
        let keys = Keys::from_master(Zeroizing::new([0xAB; 32]));
        let shown = format!("{keys:?}");
        let bytes = format!("{:?}", keys.approval_code_key());
        assert!(!shown.contains(&bytes[1..bytes.len() - 1]) && !shown.contains("171"), "{shown}");
    }
}
