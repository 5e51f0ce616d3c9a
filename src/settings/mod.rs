//! TOML read with positions: every mistake in a file is reported at once, each with file, line and column.
//!
//! [`Document`] owns the parsed text; [`Section`] walks one table. Reading a key takes it; what is left when
//! [`Section::finish`] runs is an unknown key and a finding. A key that is wrong is reported and its default used, so
//! that reading goes on to the next mistake.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::ops::RangeInclusive;

use toml::Spanned;
use toml::de::DeString;
use toml::de::DeTable;
use toml::de::DeValue;

/// One mistake in a file, and where it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// The file's name as the user gave it.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)
    }
}

/// The text of a file.
///
/// # Errors
/// Where the first byte stands that is not of a text in UTF-8.
pub fn text_of<'b>(file: &str, bytes: &'b [u8]) -> Result<&'b str, Finding> {
    core::str::from_utf8(bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).and_then(|right| core::str::from_utf8(right).ok());
        let (line, column) = place_after(before.unwrap_or_default());
        let message = "this byte is not UTF-8; save the file in that encoding".to_owned();
        Finding { file: file.to_owned(), line, column, message }
    })
}

/// Line and column, from 1, of what comes after a text.
fn place_after(before: &str) -> (usize, usize) {
    let line = before.matches('\n').count() + 1;
    (line, before.rsplit('\n').next().unwrap_or_default().chars().count() + 1)
}

/// Where a table and its keys stand, for mistakes that show only when the file has long been read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Places {
    file: String,
    heading: (usize, usize),
    keys: Vec<(String, (usize, usize))>,
}

impl Places {
    /// A mistake at a key's value, or at the heading when the key is absent.
    #[must_use]
    pub fn finding(&self, key: &str, message: impl Into<String>) -> Finding {
        let found = self.keys.iter().find(|(known, _)| known == key);
        let (line, column) = found.map_or(self.heading, |(_, place)| *place);
        Finding { file: self.file.clone(), line, column, message: message.into() }
    }
}

/// A parsed file and the findings made in it so far.
pub struct Document<'t> {
    file: &'t str,
    text: &'t str,
    root: Spanned<DeTable<'t>>,
    findings: RefCell<Vec<Finding>>,
}

impl<'t> Document<'t> {
    /// Parses a text. Mistakes of syntax become findings, and what could be read is kept.
    #[must_use]
    pub fn parse(file: &'t str, text: &'t str) -> Self {
        let (root, errors) = DeTable::parse_recoverable(text);
        let document = Self { file, text, root, findings: RefCell::default() };
        for error in errors {
            document.report(error.span().unwrap_or(0..0), error.message().to_owned());
        }
        document
    }

    /// The top table.
    #[must_use]
    pub fn root(&self) -> Section<'_> {
        Section::new(self, self.root.get_ref(), 0..0, String::new())
    }

    /// The findings in the order of their places; empty when the file is right.
    #[must_use]
    pub fn into_findings(self) -> Vec<Finding> {
        let mut findings = self.findings.into_inner();
        findings.sort_by_key(|finding| (finding.line, finding.column));
        findings.dedup();
        findings
    }

    fn place(&self, span: Range<usize>) -> (usize, usize) {
        place_after(self.text.get(..span.start).unwrap_or(self.text))
    }

    fn report(&self, span: Range<usize>, message: String) {
        let (line, column) = self.place(span);
        self.findings.borrow_mut().push(Finding { file: self.file.to_owned(), line, column, message });
    }
}

/// One table of a document. Keys are taken as they are read.
pub struct Section<'d> {
    document: &'d Document<'d>,
    table: &'d DeTable<'d>,
    span: Range<usize>,
    path: String,
    taken: RefCell<BTreeSet<String>>,
}

impl<'d> Section<'d> {
    fn new(document: &'d Document<'_>, table: &'d DeTable<'_>, span: Range<usize>, path: String) -> Self {
        Self { document, table, span, path, taken: RefCell::default() }
    }

    /// Where it stands in the file: `links.visa`; empty for the top table.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Reports a mistake at the section's own heading.
    pub fn report(&self, message: impl Into<String>) {
        self.document.report(self.span.clone(), message.into());
    }

    /// Reports a mistake at a key's value, or at the heading when the key is absent.
    pub fn report_at(&self, key: &str, message: impl Into<String>) {
        let span = self.table.get(key).map_or_else(|| self.span.clone(), Spanned::span);
        self.document.report(span, message.into());
    }

    /// Where this table and its keys stand.
    #[must_use]
    pub fn places(&self) -> Places {
        let place = |span| self.document.place(span);
        let key = |(key, value): (&Spanned<DeString<'_>>, &Spanned<DeValue<'_>>)| {
            (key.get_ref().to_string(), place(value.span()))
        };
        Places {
            file: self.document.file.to_owned(),
            heading: place(self.span.clone()),
            keys: self.table.iter().map(key).collect(),
        }
    }

    /// Whether the key is there.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.table.get(key).is_some()
    }

    /// Whether the key is a list with nothing in it.
    #[must_use]
    pub fn has_nothing(&self, key: &str) -> bool {
        let list = self.table.get(key).and_then(|value| value.get_ref().as_array());
        list.is_some_and(|list| list.is_empty())
    }

    /// How many mistakes were reported so far, in the whole document.
    #[must_use]
    pub fn mistakes(&self) -> usize {
        self.document.findings.borrow().len()
    }

    /// Every key of this table in the file's order of names.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.table.keys().map(|key| key.get_ref().to_string()).collect()
    }

    fn value(&self, key: &str) -> Option<&'d Spanned<DeValue<'d>>> {
        self.taken.borrow_mut().insert(key.to_owned());
        self.table.get(key)
    }

    fn wrong_type(&self, key: &str, wanted: &str, found: &Spanned<DeValue<'_>>) {
        let found = found.get_ref().type_str();
        self.report_at(key, format!("`{}` must be {wanted}, not a {found}", self.full(key)));
    }

    fn full(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// A text; `None` when absent.
    pub fn text(&self, key: &str) -> Option<&'d str> {
        let value = self.value(key)?;
        let text = value.get_ref().as_str();
        if text.is_none() {
            self.wrong_type(key, "a string", value);
        }
        text
    }

    /// A text that must be there.
    pub fn required_text(&self, key: &str) -> Option<&'d str> {
        if !self.has(key) {
            self.report(format!("`{}` is missing", self.full(key)));
        }
        self.text(key)
    }

    /// One of several names, each with its value.
    pub fn choice<T: Clone>(&self, key: &str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text(key)?;
        let found = choices.iter().find(|(name, _)| *name == text).map(|(_, value)| value.clone());
        if found.is_none() {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            self.report_at(
                key,
                format!("`{}` is \"{text}\"; it must be one of {}", self.full(key), names.join(", ")),
            );
        }
        found
    }

    /// An integer within a range; `None` when absent or wrong.
    pub fn integer(&self, key: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let value = self.value(key)?;
        let Some(integer) = value.get_ref().as_integer() else {
            self.wrong_type(key, "an integer", value);
            return None;
        };
        let number =
            u64::from_str_radix(integer.as_str(), integer.radix()).ok().filter(|n| range.contains(n));
        if number.is_none() {
            let (low, high) = (range.start(), range.end());
            self.report_at(key, format!("`{}` must be between {low} and {high}", self.full(key)));
        }
        number
    }

    /// An integer within a range, or a default when absent or wrong.
    pub fn integer_or(&self, key: &str, range: RangeInclusive<u64>, default: u64) -> u64 {
        self.integer(key, range).unwrap_or(default)
    }

    /// An integer that may be negative, within a range, or a default when absent or wrong.
    pub fn signed_or(&self, key: &str, range: RangeInclusive<i64>, default: i64) -> i64 {
        let Some(value) = self.value(key) else { return default };
        let Some(integer) = value.get_ref().as_integer() else {
            self.wrong_type(key, "an integer", value);
            return default;
        };
        let number =
            i64::from_str_radix(integer.as_str(), integer.radix()).ok().filter(|n| range.contains(n));
        if number.is_none() {
            let (low, high) = (range.start(), range.end());
            self.report_at(key, format!("`{}` must be between {low} and {high}", self.full(key)));
        }
        number.unwrap_or(default)
    }

    /// True or false, or a default when absent or wrong.
    pub fn flag_or(&self, key: &str, default: bool) -> bool {
        let Some(value) = self.value(key) else { return default };
        let flag = value.get_ref().as_bool();
        if flag.is_none() {
            self.wrong_type(key, "true or false", value);
        }
        flag.unwrap_or(default)
    }

    /// A list of integers within a range; empty when absent. Wrong entries are reported and left out.
    pub fn integers(&self, key: &str, range: RangeInclusive<u64>) -> Vec<u64> {
        self.list(key, "integers", |value| {
            let integer = value.as_integer()?;
            u64::from_str_radix(integer.as_str(), integer.radix()).ok().filter(|n| range.contains(n))
        })
    }

    /// A list of texts; empty when absent. Wrong entries are reported and left out.
    pub fn texts(&self, key: &str) -> Vec<&'d str> {
        self.list(key, "strings", |value| value.as_str())
    }

    fn list<T>(&self, key: &str, of: &str, read: impl Fn(&'d DeValue<'d>) -> Option<T>) -> Vec<T> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let Some(array) = value.get_ref().as_array() else {
            self.wrong_type(key, &format!("a list of {of}"), value);
            return Vec::new();
        };
        let mut list = Vec::with_capacity(array.len());
        for entry in array {
            match read(entry.get_ref()) {
                Some(item) => list.push(item),
                None => {
                    let message =
                        format!("an entry of `{}` is not one of the {of} allowed here", self.full(key));
                    self.document.report(entry.span(), message);
                }
            }
        }
        list
    }

    /// A table below this one; `None` when absent.
    pub fn section(&self, key: &str) -> Option<Section<'d>> {
        let value = self.value(key)?;
        let Some(table) = value.get_ref().as_table() else {
            self.wrong_type(key, "a table", value);
            return None;
        };
        Some(Section::new(self.document, table, value.span(), self.full(key)))
    }

    /// Every table below this one under `key`, by name, in the order of the file.
    pub fn sections(&self, key: &str) -> Vec<(&'d str, Section<'d>)> {
        let Some(parent) = self.section(key) else { return Vec::new() };
        let mut named: Vec<_> = parent
            .table
            .iter()
            .filter_map(|(name, value)| {
                let name: &'d str = name.get_ref();
                let section = parent.section(name)?;
                Some((value.span().start, name, section))
            })
            .collect();
        named.sort_by_key(|(start, _, _)| *start);
        named.into_iter().map(|(_, name, section)| (name, section)).collect()
    }

    /// Reports every key that nothing read.
    pub fn finish(self) {
        let taken = self.taken.borrow();
        for (key, _) in self.table {
            if !taken.contains(key.get_ref().as_ref()) {
                let message = format!("unknown key `{}`", self.full(key.get_ref()));
                self.document.report(key.span(), message);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_named_with_its_place() {
        let text = "a = 5\nb = \"x\"\n[t]\nc = 70000\nd = [1, \"two\"]\nz = 1\n[t.u]\nmode = \"odd\"\n";
        let document = Document::parse("f.toml", text);
        let root = document.root();
        assert_eq!(root.integer_or("a", 1..=9, 1), 5);
        assert_eq!(root.integer_or("b", 1..=9, 7), 7);
        let section = root.section("t").expect("a table");
        assert_eq!(section.integer("c", 0..=65_535), None);
        assert_eq!(section.integers("d", 0..=9), [1]);
        let under = section.section("u").expect("a table");
        assert_eq!(under.choice("mode", &[("binary", 1), ("bcd", 2)]), None);
        assert_eq!(under.required_text("name"), None);
        for section in [under, section, root] {
            section.finish();
        }
        let findings: Vec<String> = document.into_findings().iter().map(ToString::to_string).collect();
        assert_eq!(
            findings,
            [
                "f.toml:2:5: `b` must be an integer, not a string",
                "f.toml:4:5: `t.c` must be between 0 and 65535",
                "f.toml:5:9: an entry of `t.d` is not one of the integers allowed here",
                "f.toml:6:1: unknown key `t.z`",
                "f.toml:7:1: `t.u.name` is missing",
                "f.toml:8:8: `t.u.mode` is \"odd\"; it must be one of binary, bcd",
            ]
        );
    }

    #[test]
    fn a_place_outlives_its_document() {
        let document = Document::parse("f.toml", "[t]\n  c = 1\n");
        let places = document.root().section("t").expect("a table").places();
        drop(document);
        let told = ["c", "d"].map(|key| places.finding(key, "wrong").to_string());
        assert_eq!(told, ["f.toml:2:7: wrong", "f.toml:1:1: wrong"]);
    }

    #[test]
    fn the_first_byte_that_is_not_utf_8_has_a_place() {
        for (bytes, place) in [
            (&b"\xff"[..], Some((1, 1))),
            (b"a = 1\n# K\xc3\xb6ln \xe4 \xff\n", Some((2, 8))),
            (b"a = \"\xe2\x82", Some((1, 6))),
            (b"a = 1\n", None),
        ] {
            let found = text_of("f.toml", bytes).err().map(|finding| (finding.line, finding.column));
            assert_eq!(found, place, "{bytes:?}");
        }
    }

    #[test]
    fn mistakes_of_syntax_have_a_place_too() {
        let document = Document::parse("f.toml", "a = \nb = 1\nb = 2\n");
        assert_eq!(document.root().integer("b", 0..=9), Some(1));
        let findings = document.into_findings();
        assert_eq!(findings.iter().map(|f| f.line).collect::<Vec<_>>(), [1, 3]);
    }
}
