//! The master key's file: read with care, made on the first start.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;

use zeroize::Zeroize;
use zeroize::Zeroizing;

use crate::crypto::keys::KeyFileError;
use crate::crypto::keys::Keys;
use crate::crypto::keys::MASTER_KEY_BYTES;
use crate::crypto::keys::parse_key_file;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or made.
    #[error("{file}: {cause}", file = .file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// Others may read it.
    #[error("{file} may be read by others (mode {mode:04o}); run `chmod 600` on it", file = .file.display())]
    Open {
        /// Which.
        file: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It does not hold a key.
    #[error("{file}: {cause}", file = .file.display())]
    Content {
        /// Which.
        file: PathBuf,
        /// What is wrong with it.
        cause: KeyFileError,
    },
    /// The system gave no random bytes.
    #[error("the system's random source failed")]
    Random,
    /// There is a journal, and the key that it was written under is gone.
    #[error("{file} is missing, and a journal was written under it; put it back", file = .file.display())]
    Missing {
        /// Which.
        file: PathBuf,
    },
}

/// The daemon's keys from their file. A new data directory gets a new key; a journal without its key is refused.
///
/// # Errors
/// The file is missing although there is a journal, may be read by others, or holds no key.
pub fn load(file: &Path, journal_exists: bool) -> Result<Keys, KeyError> {
    if !file.exists() {
        if journal_exists {
            return Err(KeyError::Missing { file: file.to_owned() });
        }
        make(file)?;
    }
    let failed = |cause| KeyError::File { file: file.to_owned(), cause };
    let mode = std::fs::metadata(file).map_err(failed)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyError::Open { file: file.to_owned(), mode });
    }
    let text = Zeroizing::new(std::fs::read(file).map_err(failed)?);
    let master = parse_key_file(&text).map_err(|cause| KeyError::Content { file: file.to_owned(), cause })?;
    Ok(Keys::from_master(master))
}

fn make(file: &Path) -> Result<(), KeyError> {
    let failed = |cause| KeyError::File { file: file.to_owned(), cause };
    let mut key = [0; MASTER_KEY_BYTES];
    aws_lc_rs::rand::fill(&mut key).map_err(|_| KeyError::Random)?;
    let mut text = Zeroizing::new(String::with_capacity(MASTER_KEY_BYTES * 2 + 1));
    for byte in key {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
        }
    }
    text.push('\n');
    key.zeroize();
    if let Some(directory) = file.parent() {
        std::fs::create_dir_all(directory).map_err(failed)?;
    }
    let mut created =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).map_err(failed)?;
    created.write_all(text.as_bytes()).and_then(|()| created.sync_all()).map_err(failed)?;
    // The key must not be lost while the journal it seals is kept.
    let directory = file.parent().unwrap_or_else(|| Path::new("."));
    std::fs::File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)
}

/// Fills `bytes` with random ones.
///
/// # Errors
/// The system gave none.
pub fn fill_random(bytes: &mut [u8]) -> Result<(), KeyError> {
    aws_lc_rs::rand::fill(bytes).map_err(|_| KeyError::Random)
}
