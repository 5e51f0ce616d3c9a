//! Messages and records that other projects published: fixtures beside the project, or in `TURNPIKE_FOREIGN_FIXTURES`.
//! In CI they must be there.

use std::path::PathBuf;

use serde_json::Value as Json;

/// The cases of a foreign fixture; `None` when it is not there and not demanded.
pub(crate) fn cases(file: &str) -> Option<Vec<Json>> {
    let folder = std::env::var_os("TURNPIKE_FOREIGN_FIXTURES")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures"), PathBuf::from);
    let path = folder.join(file);
    let Ok(text) = std::fs::read_to_string(&path) else {
        assert!(std::env::var("CI").is_err(), "{} is not there; in CI it must be", path.display());
        println!("skipped: {} is not there; TURNPIKE_FOREIGN_FIXTURES names its folder", path.display());
        return None;
    };
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let cases = lines.map(|line| serde_json::from_str::<Json>(line).expect("a line of JSON"));
    Some(cases.filter(|case| case.get("_header").is_none()).collect())
}
