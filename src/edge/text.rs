//! Files that a person writes: settings and dialects, as text or with what is wrong in them.

use std::path::Path;

use crate::settings;
use crate::settings::Finding;

/// Why a file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("{0}")]
    Unreadable(#[from] std::io::Error),
    /// It has mistakes.
    #[error("{}", told(.0))]
    Wrong(Vec<Finding>),
}

/// Findings, a line each.
pub(super) fn told(findings: &[Finding]) -> String {
    findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// The text of a file.
///
/// # Errors
/// It cannot be read, or is no text.
pub fn read(file: &Path) -> Result<String, FileError> {
    let bytes = std::fs::read(file)?;
    let text = settings::text_of(&file.display().to_string(), &bytes);
    text.map(str::to_owned).map_err(|finding| FileError::Wrong(vec![finding]))
}
