//! How messages of unknown make are written: every framing, header, encoding and dialect is tried on the whole input,
//! and what fits to its end is judged by how much sense it makes.
//!
//! A candidate has to read every byte: the framing ends with the input, and every message with its frame. What is left
//! of ambiguity is decided by evidence (check digits, dates, currencies, printable texts, tags that end where their
//! field does) and, at equal evidence, by what is customary.

mod evidence;
mod framings;
mod headers;

use serde_json::Value as Json;
use serde_json::json;

use crate::dialect::Dialect;
use crate::dialect::Mapping;
use crate::dialect::MessageHeader;
use crate::dialect::edit;
use crate::dialect::framing;
use crate::dialect::guess::evidence::Evidence;
use crate::dialect::guess::framings::Division;
use crate::dialect::guess::headers::Front;
use crate::dialect::meaning;
use crate::iso8583::digits;
use crate::iso8583::frame::Framing;
use crate::iso8583::spec::Encoding;
use crate::iso8583::spec::FieldSet;
use crate::iso8583::spec::Length;
use crate::iso8583::view::Spans;
use crate::iso8583::view::View;

/// Dialect files that come with the program and that no link speaks, so that they are not compiled in by name: clearing
/// records, whose MTI begins with 1.
const RECORDS: [(&str, &str); 2] = [
    (
        "config/dialects/mastercard-ipm-ascii.toml",
        include_str!("../../../config/dialects/mastercard-ipm-ascii.toml"),
    ),
    (
        "config/dialects/mastercard-ipm-ebcdic.toml",
        include_str!("../../../config/dialects/mastercard-ipm-ebcdic.toml"),
    ),
];

/// Most guesses that are given back.
const GUESSES_MAX: usize = 12;
/// A dialect as it stands is more likely than one with other encodings, or with another header.
const OTHER_ENCODINGS: i32 = -8;
const OTHER_HEADER: i32 = -4;
/// A dialect file that was named was named for a reason.
const NAMED_FILE: i32 = 1;
/// The framing of a dialect's own table.
const OWN_FRAMING: i32 = 3;

/// One way of reading the input that fits to its end.
#[derive(Clone, Debug)]
pub struct Guess {
    dialect: Dialect,
    /// The table that it began with.
    base: String,
    /// The base is a file, and not compiled in.
    base_is_file: bool,
    /// The base with what is different about this input.
    table: String,
    /// Messages were told apart by framing; without, each input was one message.
    framed: bool,
    /// The framing is not the table's.
    own_framing: bool,
    /// Header or encodings are not the table's.
    own_table: bool,
    messages: usize,
    score: i32,
    reasons: Vec<String>,
}

/// Where a table comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    BuiltIn,
    /// Of clearing records.
    Records,
    /// Named by whoever asks.
    Named,
}

/// A table that is tried.
struct Base {
    name: String,
    source: Source,
    text: String,
    dialect: Dialect,
}

/// How MTI, bitmap, digits, characters and lengths are written.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Encodings {
    mti: &'static str,
    bitmap: &'static str,
    numeric: &'static str,
    text: &'static str,
    length: &'static str,
}

impl Encodings {
    /// All, with those of MTI and bitmap given.
    fn all(mti: &'static str, bitmap: &'static str) -> Vec<Self> {
        let mut all = Vec::new();
        for numeric in ["ascii", "bcd", "ebcdic"] {
            for text in ["ascii", "ebcdic"] {
                for length in ["ascii", "bcd", "binary", "ebcdic"] {
                    all.push(Self { mti, bitmap, numeric, text, length });
                }
            }
        }
        all
    }

    fn table(self, base: &str) -> Option<String> {
        let keys = [
            ("mti", self.mti),
            ("bitmap", self.bitmap),
            ("numeric", self.numeric),
            ("text", self.text),
            ("length", self.length),
        ];
        keys.iter().try_fold(base.to_owned(), |table, (key, value)| {
            edit::set(&table, "encoding", key, Some(&format!("\"{value}\"")))
        })
    }
}

/// Every way of reading the inputs, the best first; empty when none fits. Each stream is a sequence of frames of one
/// link, or one message without framing. `files` are dialect files besides those that are compiled in: name and text.
#[must_use]
pub fn guess(streams: &[&[u8]], files: &[(&str, &str)]) -> Vec<Guess> {
    let bases = bases(files);
    let mut found: Vec<Guess> = Vec::new();
    let own: Vec<Framing> = bases.iter().map(|base| base.dialect.framing().clone()).collect();
    for division in framings::divisions(streams, &own) {
        try_division(&bases, &division, &mut found);
    }
    if let ([stream], true) = (streams, found.is_empty()) {
        // A capture may begin or end inside a frame. There are many places where it could, so that tables are tried as
        // they stand.
        for division in framings::cut_divisions(stream, &own) {
            for front in headers::fronts(&division.bodies) {
                found.extend(bases.iter().filter_map(|base| try_as_it_stands(base, &division, &front)));
            }
        }
    }
    found.sort_by_key(|guess| std::cmp::Reverse(guess.score));
    found.truncate(GUESSES_MAX);
    found
}

fn try_division(bases: &[Base], division: &Division<'_>, found: &mut Vec<Guess>) {
    for front in headers::fronts(&division.bodies) {
        let mut variants = Variants::default();
        for base in bases.iter().filter(|base| base.may_fit(&division.bodies, &front)) {
            found.extend(try_as_it_stands(base, division, &front));
            found.extend(variants.try_other_encodings(base, division, &front));
        }
    }
}

fn bases(files: &[(&str, &str)]) -> Vec<Base> {
    let all = super::BUILT_IN.iter().map(|table| (*table, Source::BuiltIn));
    let all = all.chain(RECORDS.map(|table| (table, Source::Records)));
    let all = all.chain(files.iter().map(|table| (*table, Source::Named)));
    let read = |((name, text), source): ((&str, &str), Source)| {
        let dialect = Dialect::from_toml(name, text).ok()?;
        Some(Base { name: name.to_owned(), source, text: text.to_owned(), dialect })
    };
    all.filter_map(read).collect()
}

impl Base {
    /// Whether it is worth a try: clearing records begin with a digit 1.
    fn may_fit(&self, bodies: &[&[u8]], front: &Front) -> bool {
        let begins = |body: &&[u8]| matches!(body.get(front.bytes()), Some(b'1' | 0xf1));
        self.source != Source::Records || front.bytes() == 0 && bodies.iter().all(begins)
    }
}

/// The base with the division's framing and the header that was found; `None` when they exclude each other.
fn configured(base: &Dialect, division: &Division<'_>, front: &Front) -> Option<Dialect> {
    if front.tpdu.is_some() && front.header == MessageHeader::Visa {
        return None;
    }
    let mut dialect = base.clone();
    dialect.header = front.header;
    if front.header == MessageHeader::Literal && base.header != MessageHeader::Literal {
        dialect.literal.own = front.literal.as_slice().into();
    }
    let framing = division.framing.clone().unwrap_or_else(|| base.framing().clone());
    Some(dialect.with_framing(Framing { tpdu: front.tpdu, max: base.framing().max, ..framing }))
}

fn try_as_it_stands(base: &Base, division: &Division<'_>, front: &Front) -> Option<Guess> {
    let dialect = configured(&base.dialect, division, front)?;
    judge(base, dialect, &base.text, division, front, 0)
}

/// Tables with other encodings, each made once for a division and header.
#[derive(Default)]
struct Variants {
    peeked: Option<Option<(&'static str, &'static str)>>,
}

impl Variants {
    /// Tries the base with every other set of encodings, when it has no private fields that would not follow.
    fn try_other_encodings(&mut self, base: &Base, division: &Division<'_>, front: &Front) -> Vec<Guess> {
        if base.dialect.mapping() != Mapping::Iso87 || front.header == MessageHeader::Visa {
            return Vec::new();
        }
        let peeked = *self.peeked.get_or_insert_with(|| peek(&division.bodies, front));
        let Some((mti, bitmap)) = peeked else { return Vec::new() };
        let try_one = |encodings: Encodings| {
            let table = encodings.table(&base.text)?;
            let read = Dialect::from_toml(&base.name, &table).ok()?;
            if same_encodings(&read, &base.dialect, &table, &base.text) {
                return None;
            }
            judge(base, configured(&read, division, front)?, &table, division, front, OTHER_ENCODINGS)
        };
        let in_hex = hex_rows(&base.dialect, &base.text).and_then(|table| {
            let read = Dialect::from_toml(&base.name, &table).ok()?;
            judge(base, configured(&read, division, front)?, &table, division, front, OTHER_ENCODINGS)
        });
        Encodings::all(mti, bitmap).into_iter().filter_map(try_one).chain(in_hex).collect()
    }
}

/// The table with every field of bytes in hex, as hosts write it that send characters only; `None` when it has none.
fn hex_rows(dialect: &Dialect, table: &str) -> Option<String> {
    let binary = dialect.layout().fields().filter(|(_, spec)| spec.encoding == Encoding::Binary);
    let fields: Vec<u8> = binary.map(|(field, _)| field).collect();
    let change = |table: String, field: &u8| {
        let start = format!("{field} = {{ format = \"b");
        let line = table.lines().find(|line| line.starts_with(&start))?;
        let row = line.split_once(" = ")?.1.replacen("\",", "\", encoding = \"hex\",", 1);
        edit::set(&table, "fields", &field.to_string(), Some(&row))
    };
    if fields.is_empty() { None } else { fields.iter().try_fold(table.to_owned(), change) }
}

fn same_encodings(one: &Dialect, other: &Dialect, text: &str, other_text: &str) -> bool {
    let mut fields = one.layout().fields().zip(other.layout().fields());
    let alike =
        one.layout().mti() == other.layout().mti() && one.layout().bitmap() == other.layout().bitmap();
    text == other_text || alike && fields.all(|(one, other)| one == other)
}

/// How MTI and bitmap are written, from the first bytes of the messages alone.
fn peek(bodies: &[&[u8]], front: &Front) -> Option<(&'static str, &'static str)> {
    let first: Vec<&[u8]> = bodies.iter().map(|body| body.get(front.bytes()..).unwrap_or_default()).collect();
    let all = |holds: &dyn Fn(&[u8]) -> bool| first.iter().all(|message| holds(message));
    let type_at = |message: &[u8], decode: &dyn Fn(&[u8]) -> Option<u64>, width: usize| {
        message.get(..width).and_then(decode).is_some_and(|mti| meaning::is_message_type(mti as u16))
    };
    let zoned = |zero: u8| {
        move |bytes: &[u8]| digits::is_zoned(bytes, zero).then(|| digits::zoned_value(bytes)).flatten()
    };
    let bcd = |bytes: &[u8]| digits::is_bcd(bytes).then(|| digits::bcd_value(bytes)).flatten();
    let (mti, width) = if all(&|m| type_at(m, &zoned(digits::ASCII_ZERO), 4)) {
        ("ascii", 4)
    } else if all(&|m| type_at(m, &zoned(digits::EBCDIC_ZERO), 4)) {
        ("ebcdic", 4)
    } else if all(&|m| type_at(m, &bcd, 2)) {
        ("bcd", 2)
    } else {
        return None;
    };
    let hex = |message: &[u8], convert: &dyn Fn(u8) -> u8| {
        let characters = message.get(width..width + 16);
        characters.is_some_and(|bytes| bytes.iter().all(|byte| convert(*byte).is_ascii_hexdigit()))
    };
    let bitmap = if all(&|m| hex(m, &|byte| byte)) {
        "hex"
    } else if all(&|m| hex(m, &digits::from_ebcdic)) {
        "ebcdic-hex"
    } else {
        "binary"
    };
    Some((mti, bitmap))
}

/// Reads every message to its end and counts what speaks for it; `None` when one cannot be read.
fn judge(
    base: &Base,
    dialect: Dialect,
    table: &str,
    division: &Division<'_>,
    front: &Front,
    malus: i32,
) -> Option<Guess> {
    let mut evidence = Evidence::default();
    let mut spans = Spans::default();
    for body in &division.bodies {
        let split = super::header::split(dialect.heading(), body).ok()?;
        let view = View::parse(dialect.layout(), split.message, &mut spans).ok()?;
        if !meaning::is_message_type(view.mti()) || view.fields() == FieldSet::EMPTY {
            return None;
        }
        let whole = split.header.len() + split.message.len();
        evidence.weigh(&dialect, &view, body, (split.header, whole));
    }
    let own_framing = division.framing.as_ref().is_some_and(|found| {
        let base = base.dialect.framing();
        *base != Framing { tpdu: front.tpdu, max: base.max, ..found.clone() }
    });
    let other_header = dialect.header != base.dialect.header;
    let mut score = evidence.score + division.score + front.score + malus;
    score += if other_header { OTHER_HEADER } else { 0 };
    score += if base.source == Source::Named { NAMED_FILE } else { 0 };
    score += if own_framing || division.framing.is_none() { 0 } else { OWN_FRAMING };
    let mut reasons = vec![division.reason(), front.reason()];
    reasons.retain(|reason| !reason.is_empty());
    reasons.extend(evidence.reasons(division.bodies.len()));
    Some(Guess {
        base: base.name.clone(),
        base_is_file: base.source != Source::BuiltIn,
        table: table.to_owned(),
        framed: division.framing.is_some(),
        own_framing,
        own_table: other_header || malus != 0,
        messages: division.bodies.len(),
        score,
        reasons,
        dialect,
    })
}

const fn encoding_name(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Ascii => "ASCII",
        Encoding::Ebcdic => "EBCDIC",
        Encoding::Bcd => "BCD",
        Encoding::Binary => "binary",
        Encoding::Hex => "hex",
    }
}

/// How the parts of a message are written; digits, text and lengths as in DE 4, DE 37 and DE 2.
fn written(dialect: &Dialect) -> String {
    let layout = dialect.layout();
    let bitmap =
        if layout.bitmap() == Encoding::Ebcdic { "EBCDIC hex" } else { encoding_name(layout.bitmap()) };
    let mut words = format!("MTI in {}, bitmap in {bitmap}", encoding_name(layout.mti()));
    for (what, field) in [("digits", 4), ("text", 37)] {
        if let Some(spec) = layout.field(field) {
            words += &format!(", {what} in {}", encoding_name(spec.encoding));
        }
    }
    if let Some(Length::Variable { prefix, .. }) = layout.field(2).map(|spec| spec.length) {
        words += &format!(", lengths in {}", encoding_name(prefix.encoding));
    }
    words
}

impl Guess {
    /// The dialect as it was found, framing and header included.
    #[must_use]
    pub const fn dialect(&self) -> &Dialect {
        &self.dialect
    }

    /// The table that fits, or that it began with when encodings or header are different.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Whether the table fits as it stands, its framing aside.
    #[must_use]
    pub const fn is_base_as_it_stands(&self) -> bool {
        !self.own_table
    }

    /// The framing that was found; `None` when the input has none.
    #[must_use]
    pub fn framing(&self) -> Option<&Framing> {
        Some(self.dialect.framing()).filter(|_| self.framed)
    }

    /// How much speaks for it. Only comparison means something.
    #[must_use]
    pub const fn score(&self) -> i32 {
        self.score
    }

    /// Why.
    #[must_use]
    pub fn reasons(&self) -> &[String] {
        &self.reasons
    }

    /// A whole dialect file that reads the input: the base with encodings, header and framing of the input.
    #[must_use]
    pub fn table(&self) -> String {
        let mut table = self.table.clone();
        let mut set = |section: &str, key: &str, value: Option<&str>| {
            if let Some(edited) = edit::set(&table, section, key, value) {
                table = edited;
            }
        };
        if self.framed && self.own_framing {
            for key in framing::KEYS {
                set("framing", key, None);
            }
            for (key, value) in framing::keys(self.dialect.framing()).iter().rev() {
                set("framing", key, Some(value));
            }
        }
        if self.own_table {
            let keys = headers::keys(&self.dialect);
            for (key, _) in &keys {
                set("message", key, None);
            }
            for (key, value) in keys.iter().rev() {
                if let Some(value) = value {
                    set("message", key, Some(value));
                }
            }
        }
        table
    }

    /// `[links.NAME]` of a configuration, ready to paste.
    #[must_use]
    pub fn link(&self) -> String {
        let mut link = String::from("[links.guessed]\n");
        if self.own_table {
            link += "dialect = \"guessed\"\ndialect_file = \"guessed.toml\"\n";
        } else if self.base_is_file {
            link += &format!("dialect = \"guessed\"\ndialect_file = {}\n", Json::from(self.base.as_str()));
        } else {
            link += &format!("dialect = \"{}\"\n", self.base);
        }
        link += "listen = \"127.0.0.1:9000\"\n";
        if !self.framed {
            link +=
                "# The input has no framing. That of the dialect is used unless you give `framing` here.\n";
        } else if self.own_framing && !self.own_table {
            let keys = framing::keys(self.dialect.framing());
            let keys: Vec<String> = keys.iter().map(|(key, value)| format!("{key} = {value}")).collect();
            link += &format!("framing = {{ {} }}\n", keys.join(", "));
        }
        link
    }

    /// One line: what it is.
    #[must_use]
    pub fn summary(&self) -> String {
        let framing = match self.framing() {
            Some(framing) => framings::words(framing),
            None => "no framing".to_owned(),
        };
        let table =
            if self.own_table { format!("a dialect made from {}", self.base) } else { self.base.clone() };
        let header = headers::words(&self.dialect);
        format!("{table}: {framing}{header}; {}; score {}", written(&self.dialect), self.score)
    }

    /// What a person reads: the guess, its reasons, and the configuration.
    #[must_use]
    pub fn text(&self) -> String {
        let messages =
            if self.messages == 1 { "one message".to_owned() } else { format!("{} messages", self.messages) };
        let mut text = format!("{}, {messages}\n", self.summary());
        for reason in &self.reasons {
            text += &format!("  - {reason}\n");
        }
        if self.own_table {
            text += "\nNo dialect fits as it is: `--dialect-out guessed.toml` writes one that does. The link:\n\n";
        } else {
            text += "\nThe link:\n\n";
        }
        text + &self.link()
    }

    /// `{dialect, as_it_stands, messages, score, framing, header, mti, bitmap, reasons, link}`; `framing` is null, or
    /// its keys with their values as TOML.
    #[must_use]
    pub fn json(&self) -> Json {
        let framing = self.framing().map(|framing| {
            let keys = framing::keys(framing).into_iter();
            Json::Object(keys.map(|(key, value)| (key.to_owned(), Json::from(value))).collect())
        });
        json!({
            "dialect": self.base,
            "as_it_stands": !self.own_table,
            "messages": self.messages,
            "score": self.score,
            "framing": framing,
            "header": headers::name(&self.dialect),
            "mti": encoding_name(self.dialect.layout().mti()),
            "bitmap": encoding_name(self.dialect.layout().bitmap()),
            "reasons": self.reasons,
            "link": self.link(),
        })
    }
}
