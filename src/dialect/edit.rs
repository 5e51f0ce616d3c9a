//! Changes of single keys in the text of a dialect table: comments and order stay as their writer left them.

/// The text with `key` of `[section]` set, or taken out; `None` when the section does not stand in a heading of its
/// own.
pub(super) fn set(text: &str, section: &str, key: &str, value: Option<&str>) -> Option<String> {
    let heading = format!("[{section}]");
    let lines: Vec<&str> = text.lines().collect();
    let start = lines.iter().position(|line| line.trim() == heading)? + 1;
    let is_heading = |line: &&str| line.trim_start().starts_with('[');
    let end = lines.get(start..)?.iter().position(is_heading).map_or(lines.len(), |at| start + at);
    let names_key = |line: &&str| line.split('=').next().is_some_and(|name| name.trim() == key);
    let found = lines.get(start..end)?.iter().position(names_key).map(|at| start + at);
    let line = value.map(|value| format!("{key} = {value}"));
    let mut edited: Vec<&str> = lines.clone();
    match (&line, found) {
        (Some(line), Some(at)) => edited[at] = line,
        (Some(line), None) => edited.insert(start, line),
        (None, Some(at)) => drop(edited.remove(at)),
        (None, None) => {}
    }
    Some(edited.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_set_added_and_taken_out() {
        let text = "# a\n[one]\nx = 1\n# kept\n[two]\nx = 2\n";
        for (section, key, value, expected) in [
            ("two", "x", Some("3"), Some("# a\n[one]\nx = 1\n# kept\n[two]\nx = 3\n")),
            ("one", "y", Some("4"), Some("# a\n[one]\ny = 4\nx = 1\n# kept\n[two]\nx = 2\n")),
            ("one", "x", None, Some("# a\n[one]\n# kept\n[two]\nx = 2\n")),
            ("one", "y", None, Some(text)),
            ("three", "x", None, None),
        ] {
            assert_eq!(set(text, section, key, value).as_deref(), expected, "{section}.{key}");
        }
    }
}
