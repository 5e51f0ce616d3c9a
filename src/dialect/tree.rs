//! A message as a tree: what stands where, how long it is, what it is called, its value and its meaning. Values are
//! masked here, before anybody can print them.

mod chip;
mod headings;

use std::borrow::Cow;

use crate::dialect::Dialect;
use crate::dialect::Mapping;
use crate::dialect::header;
use crate::dialect::mask;
use crate::dialect::mask::Secrecy;
use crate::dialect::mastercard;
use crate::dialect::meaning;
use crate::dialect::tree::chip::Chip;
use crate::iso8583::digits;
use crate::iso8583::frame::Kind;
use crate::iso8583::spec::Content;
use crate::iso8583::spec::Encoding;
use crate::iso8583::spec::Length;
use crate::iso8583::subfields::Form;
use crate::iso8583::subfields::SubfieldError;
use crate::iso8583::subfields::Subfields;
use crate::iso8583::subfields::Tagging;
use crate::iso8583::value;
use crate::iso8583::view::Spans;
use crate::iso8583::view::View;

/// What a node of the tree is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// The TPDU in front of a message.
    Tpdu,
    /// The network's header.
    Header,
    /// A part of Visa's header, by its number.
    HeaderPart,
    /// The message type.
    Mti,
    /// The bitmaps.
    Bitmap,
    /// A data element.
    Field,
    /// A part of a data element.
    Subfield,
    /// A dataset of tags.
    Dataset,
    /// A BER-TLV tag.
    Tag,
    /// What is left of a field after its last part, or cannot be read.
    Rest,
}

impl What {
    /// Its name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tpdu => "tpdu",
            Self::Header => "header",
            Self::HeaderPart => "header-part",
            Self::Mti => "mti",
            Self::Bitmap => "bitmap",
            Self::Field => "field",
            Self::Subfield => "subfield",
            Self::Dataset => "dataset",
            Self::Tag => "tag",
            Self::Rest => "rest",
        }
    }
}

/// One thing in a message. It is not `Debug`: what it compares with is in the clear.
#[derive(Clone)]
pub struct Node {
    /// What it is.
    pub what: What,
    /// `2`, `62.2`, `55.9F26`, `H4`; empty when it has no number.
    pub id: String,
    /// Its name; empty when nobody has given it one.
    pub name: String,
    /// Where it starts in the input, with its length; `None` when it could not be read.
    pub offset: Option<usize>,
    /// Bytes on the wire, with its length.
    pub length: usize,
    /// Its value, masked; `None` when its parts say it.
    pub value: Option<String>,
    /// Its value is not shown at all.
    pub hidden: bool,
    /// What the value means.
    pub meaning: Option<String>,
    /// Its parts.
    pub parts: Vec<Node>,
    /// What it compares with another by.
    clear: String,
}

impl Node {
    fn new(what: What, id: impl Into<String>, name: impl Into<String>, offset: usize, length: usize) -> Self {
        Self {
            what,
            id: id.into(),
            name: name.into(),
            offset: Some(offset),
            length,
            value: None,
            hidden: false,
            meaning: None,
            parts: Vec::new(),
            clear: String::new(),
        }
    }

    fn with(mut self, secrecy: Secrecy, clear: &str, bytes: usize) -> Self {
        self.value = Some(mask::masked(secrecy, clear, bytes));
        self.hidden = secrecy == Secrecy::Hidden;
        clear.clone_into(&mut self.clear);
        self
    }

    fn meaning(mut self, meaning: Option<String>) -> Self {
        // What is masked must not come out as its meaning.
        self.meaning = meaning.filter(|_| !self.hidden).map(|meaning| mask::shown(&meaning));
        self
    }

    /// Whether a part of it could not be read.
    pub(super) fn is_unreadable(&self) -> bool {
        self.what == What::Rest && self.hidden || self.parts.iter().any(Self::is_unreadable)
    }

    /// Adds to every offset.
    fn move_by(&mut self, bytes: usize) {
        self.offset = self.offset.map(|offset| offset + bytes);
        self.parts.iter_mut().for_each(|part| part.move_by(bytes));
    }

    /// Whether two nodes have one value, whatever is shown of it.
    pub(super) fn equals(&self, other: &Self) -> bool {
        self.clear == other.clear
    }
}

/// What is wrong with a message, and where. It never holds a value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mistake {
    /// The data element, when one is at fault.
    pub field: Option<u8>,
    /// Where in the input.
    pub offset: usize,
    /// Which rule is broken.
    pub rule: String,
}

impl std::fmt::Display for Mistake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.field {
            Some(field) => write!(f, "field {field} at offset {}: {}", self.offset, self.rule),
            None => write!(f, "at offset {}: {}", self.offset, self.rule),
        }
    }
}

/// One frame of an input, or a message without one.
#[derive(Clone)]
pub struct Message {
    /// Where it starts in the input.
    pub offset: usize,
    /// Its bytes, framing included.
    pub length: usize,
    /// Bytes of framing in front of the message; `None` when the message came without framing.
    pub prefix: Option<usize>,
    /// What it holds.
    pub kind: Kind,
    /// The message type, when it could be read.
    pub mti: Option<u16>,
    /// What stands in it, in order.
    pub nodes: Vec<Node>,
    /// What is wrong with it; empty when it is right.
    pub mistakes: Vec<Mistake>,
}

impl Message {
    /// Places it so many bytes further on in its input.
    pub fn move_by(&mut self, bytes: usize) {
        self.offset += bytes;
        self.nodes.iter_mut().for_each(|node| node.move_by(bytes));
        self.mistakes.iter_mut().for_each(|mistake| mistake.offset += bytes);
    }
}

/// What stands in a message without framing.
pub(super) fn nodes(dialect: &Dialect, body: &[u8]) -> Vec<Node> {
    message(dialect, body, 0).nodes
}

/// Every frame of an input. An input that is no sequence of frames is read as one message without framing; of one that
/// is cut off, what could be read is there too.
#[must_use]
pub fn messages(dialect: &Dialect, bytes: &[u8]) -> Vec<Message> {
    let mut found = Vec::new();
    let mut at = 0;
    let stopped = loop {
        match dialect.frame(bytes.get(at..).unwrap_or_default()) {
            Ok(Some(frame)) => {
                let body = bytes.get(at + frame.body.start..at + frame.body.end).unwrap_or_default();
                let mut message = match frame.kind {
                    Kind::Message => message(dialect, body, at + frame.body.start),
                    kind => Message { kind, ..empty(at) },
                };
                (message.offset, message.length) = (at, frame.total);
                message.prefix = Some(frame.body.start);
                found.push(message);
                at += frame.total;
            }
            Ok(None) if at == bytes.len() && at > 0 => return found,
            Ok(None) => break "the input ends inside the frame".to_owned(),
            Err(error) => break error.to_string(),
        }
    };
    let plain = message(dialect, bytes, 0);
    if plain.mistakes.is_empty() {
        return vec![plain];
    }
    let prefix = dialect.framing().prefix_bytes();
    let rest = bytes.get(at + prefix..).unwrap_or_default();
    let mut cut = message(dialect, rest, at + prefix);
    (cut.offset, cut.length, cut.prefix) = (at, bytes.len() - at, Some(prefix));
    cut.mistakes.insert(0, Mistake { field: None, offset: at, rule: stopped });
    if found.is_empty() && cut.nodes.len() <= plain.nodes.len() {
        return vec![plain];
    }
    found.push(cut);
    found
}

const fn empty(offset: usize) -> Message {
    Message {
        offset,
        length: 0,
        prefix: None,
        kind: Kind::Message,
        mti: None,
        nodes: Vec::new(),
        mistakes: Vec::new(),
    }
}

/// A message without framing that starts at `at` in its input.
fn message(dialect: &Dialect, body: &[u8], at: usize) -> Message {
    let mut message = Message { length: body.len(), ..empty(at) };
    let split = match header::split(dialect.heading(), body) {
        Ok(split) => split,
        Err(error) => {
            message.mistakes.push(Mistake { field: None, offset: at, rule: error.to_string() });
            return message;
        }
    };
    let start = body.len() - split.message.len();
    headings::read(dialect, body.get(..start).unwrap_or_default(), at, &mut message.nodes);
    let start = at + start;
    let mut spans = Spans::default();
    let (view, error) = match View::parse(dialect.layout(), split.message, &mut spans) {
        Ok(view) => (view, None),
        Err(broken) => (broken.view, Some(broken.error)),
    };
    if view.mti() > 0 {
        message.mti = Some(view.mti());
        let node = Node::new(What::Mti, "", "MTI", start, mti_bytes(dialect));
        let mti = format!("{:04}", view.mti());
        message
            .nodes
            .push(node.with(Secrecy::Open, &mti, 0).meaning(Some(meaning::message_type(view.mti()))));
        message.nodes.extend(bitmap(dialect, &view, split.message, start, error.is_none()));
        let mistake = error.map(|error| usize::from(error.offset));
        let reader = Reader { dialect, view: &view, base: start, mistake };
        message.nodes.extend(view.named().iter().map(|field| reader.field(field)));
    }
    if let Some(error) = error {
        let offset = start + usize::from(error.offset);
        message.mistakes.push(Mistake { field: error.field, offset, rule: error.rule.to_string() });
    }
    message
}

fn mti_bytes(dialect: &Dialect) -> usize {
    if dialect.layout().mti() == Encoding::Bcd { 2 } else { 4 }
}

fn bitmap(dialect: &Dialect, view: &View<'_>, message: &[u8], start: usize, is_right: bool) -> Option<Node> {
    let width = if dialect.layout().bitmap() == Encoding::Binary { 8 } else { 16 };
    let length = width * usize::from(view.bitmaps().count);
    let at = mti_bytes(dialect);
    let bytes = message.get(at..at + length).filter(|bytes| !bytes.is_empty())?;
    let hex: String = match dialect.layout().bitmap() {
        Encoding::Binary => digits::hex_text(bytes),
        Encoding::Ebcdic => bytes.iter().map(|byte| char::from(digits::from_ebcdic(*byte))).collect(),
        _ => bytes.iter().map(|byte| char::from(*byte)).collect(),
    };
    let fields: Vec<String> = view.named().iter().map(|field| field.to_string()).collect();
    let mut node = Node::new(What::Bitmap, "1", "Bitmap", start + at, length);
    // Of a message that cannot be read the bitmap may be anything, a card number too.
    let shown = if is_right { hex.clone() } else { mask::shown(&hex) };
    node.meaning = (shown == hex).then(|| format!("fields {}", fields.join(" ")));
    node.value = Some(shown);
    node.clear = hex;
    Some(node)
}

/// Makes the nodes of a message's fields.
struct Reader<'r> {
    dialect: &'r Dialect,
    view: &'r View<'r>,
    /// Where the message starts in its input.
    base: usize,
    /// Where in the message its mistake is.
    mistake: Option<usize>,
}

/// A field, or a part of one, that is divided.
struct Divided<'d> {
    /// The field's number, then those of parts.
    path: Vec<u16>,
    table: &'d Subfields,
    content: &'d [u8],
    clear: &'d str,
    /// Where the content starts in the input.
    at: usize,
}

impl Divided<'_> {
    fn numbers(&self) -> String {
        self.path.iter().map(u16::to_string).collect::<Vec<String>>().join(".")
    }

    fn id(&self, part: impl std::fmt::Display) -> String {
        format!("{}.{part}", self.numbers())
    }
}

impl Reader<'_> {
    fn secrecy(&self, path: &[u16]) -> Secrecy {
        let of_table = path
            .first()
            .is_some_and(|field| u8::try_from(*field).is_ok_and(|field| self.dialect.secret.has(field)));
        // Nobody knows where the CVC 2 and the keys are when the table does not find elements by their two digits.
        let undivided = self.dialect.mapping() == Mapping::Mastercard
            && *path == [u16::from(mastercard::PRIVATE_DATA)]
            && self
                .dialect
                .subfields(mastercard::PRIVATE_DATA)
                .and_then(Subfields::tagging)
                .is_none_or(|tagging| tagging.id_digits != 2);
        if of_table || undivided {
            return Secrecy::Hidden;
        }
        let visa = self.dialect.mapping() == Mapping::Visa;
        // Visa's DE 34 is no extended card number, but datasets, whose tags are masked one by one.
        let datasets =
            |field| self.dialect.subfields(field).is_some_and(|table| table.form == Form::Datasets);
        if visa && *path == [34] && datasets(34) {
            return Secrecy::Open;
        }
        mask::secrecy(visa, self.view.mti(), path)
    }

    /// Whether a field may be something else than its number says: a bitmap or a length that is wrong puts card data
    /// where the table has something else. In a malformed message only numbers in front of the mistake are trusted.
    fn is_doubtful(&self, field: u8, start: usize) -> bool {
        let spec = self.dialect.layout().field(field);
        let number = spec.is_some_and(|spec| spec.content == Content::Numeric);
        self.mistake.is_some_and(|mistake| !number || start >= mistake)
    }

    fn field(&self, field: u8) -> Node {
        let name = self.dialect.field_name(field);
        let (Some(raw), Some(content)) = (self.view.raw(field), self.view.content(field)) else {
            let node = Node { offset: None, ..Node::new(What::Field, field.to_string(), name, 0, 0) };
            return Node { value: Some("(not read)".to_owned()), ..node };
        };
        let (start, content_at) = self.view.offsets(field).unwrap_or_default();
        if self.is_doubtful(field, start) {
            let node = Node::new(What::Field, field.to_string(), name, self.base + start, raw.len());
            let value = format!("({} bytes, not shown in a malformed message)", content.len());
            return Node { value: Some(value), hidden: true, ..node };
        }
        let clear = self.dialect.value(self.view, field).unwrap_or_default();
        let path = vec![u16::from(field)];
        let secrecy = self.secrecy(&path);
        let node = Node::new(What::Field, field.to_string(), name, self.base + start, raw.len());
        let node = node.with(secrecy, &clear, content.len());
        match self.dialect.subfields(field).filter(|_| secrecy == Secrecy::Open) {
            Some(table) => {
                let at = self.base + content_at;
                let parts = self.parts(&Divided { path, table, content, clear: &clear, at });
                Node { value: None, parts, ..node }
            }
            None => node.meaning(meaning::field(self.dialect, self.view, field, &clear)),
        }
    }

    /// The parts of a content. What cannot be read is one node at the end, and is not shown: it may hide what the table
    /// would have masked.
    fn parts(&self, of: &Divided<'_>) -> Vec<Node> {
        let mut nodes = Vec::new();
        let broken = match of.table.form {
            Form::Bitmap(_) => self.mapped_parts(of, &mut nodes),
            Form::Positional | Form::Repeated => self.positions(of, &mut nodes),
            Form::Tagged(tagging) => self.elements(of, tagging, &mut nodes),
            Form::Tags | Form::Datasets => chip_data(of, &mut nodes),
        };
        if let Some(offset) = broken {
            let left = of.content.get(offset..).unwrap_or_default();
            let node = Node::new(What::Rest, of.id("rest"), "Unreadable", of.at + offset, left.len());
            nodes.push(node.with(Secrecy::Hidden, &digits::hex_text(left), left.len()));
        }
        nodes
    }

    fn mapped_parts(&self, of: &Divided<'_>, nodes: &mut Vec<Node>) -> Option<usize> {
        for part in of.table.parts(of.content) {
            let part = match part {
                Ok(part) => part,
                Err(SubfieldError { number, offset, length: Some(length) }) => {
                    let at = of.at + offset;
                    let content = of.content.get(offset..offset + length).unwrap_or_default();
                    let node = Node::new(What::Subfield, of.id(number), "", at, length);
                    // Nobody knows what it is.
                    nodes.push(node.with(Secrecy::Hidden, &digits::hex_text(content), length));
                    continue;
                }
                Err(error) => return Some(error.offset),
            };
            let prefix = match part.subfield.spec.length {
                Length::Variable { prefix, .. } => usize::from(prefix.width),
                Length::Fixed(_) => 0,
            };
            let clear = value::decode(&part.subfield.spec, part.content, part.units);
            let place = Place { at: of.at + part.offset, head: prefix, content: part.content };
            nodes.push(self.part(of, part.subfield.number, &place, &clear));
        }
        None
    }

    fn elements(&self, of: &Divided<'_>, tagging: Tagging, nodes: &mut Vec<Node>) -> Option<usize> {
        let lead = tagging.lead(of.content);
        if !lead.is_empty() {
            let node = Node::new(What::Subfield, of.id("lead"), "Lead", of.at, lead.len());
            let clear = tagging.characters(lead);
            let meaning = meaning::lead(self.dialect, &of.path, &clear);
            nodes.push(node.with(Secrecy::Open, &clear, lead.len()).meaning(meaning));
        }
        for element in tagging.elements(of.content) {
            let element = match element {
                Ok(element) => element,
                Err(error) => return Some(error.offset),
            };
            let head = element.raw.len() - element.content.len();
            let place = Place { at: of.at + element.offset, head, content: element.content };
            nodes.push(self.part(of, element.id, &place, &of.table.value(&element)));
        }
        None
    }

    /// One part, and its parts when it is divided itself.
    fn part(&self, of: &Divided<'_>, number: u16, place: &Place<'_>, clear: &str) -> Node {
        let row = of.table.row(number);
        let path = [of.path.as_slice(), &[number]].concat();
        let secret = row.is_some_and(|row| row.secret);
        let secrecy = if secret { Secrecy::Hidden } else { self.secrecy(&path) };
        let name = row.map_or("", |row| &row.name);
        let length = place.head + place.content.len();
        let node = Node::new(What::Subfield, of.id(number), name, place.at, length);
        let node = node.with(secrecy, clear, place.content.len());
        match row.and_then(|row| row.parts.as_ref()).filter(|_| secrecy == Secrecy::Open) {
            Some(table) => {
                let at = place.at + place.head;
                let parts = self.parts(&Divided { path, table, content: place.content, clear, at });
                Node { value: None, parts, ..node }
            }
            None => node.meaning(meaning::part(self.dialect, self.view, &path, clear)),
        }
    }

    /// Parts of fixed width; the end may be missing, and repeated ones begin again after it. Nothing can be unreadable.
    fn positions(&self, of: &Divided<'_>, nodes: &mut Vec<Node>) -> Option<usize> {
        // A card number may lie across two parts: look at the whole first.
        let masked: Vec<char> = mask::shown(of.clear).chars().collect();
        let clear: Vec<char> = of.clear.chars().collect();
        let per_byte = if clear.len() > of.content.len() { 2 } else { 1 };
        let place = |at: usize, width: usize| (of.at + at / per_byte, width.div_ceil(per_byte));
        let mut at = 0;
        let mut push = |mut node: Node, at: usize, width: usize| {
            let value = |of: &[char]| of.get(at..at + width).unwrap_or_default().iter().collect::<String>();
            if node.hidden {
                let length = node.length;
                node = node.with(Secrecy::Hidden, &value(&clear), length);
            } else {
                node.value = Some(value(&masked));
                node.clear = value(&clear);
                // What is masked must not come out as its meaning.
                node.meaning = node.meaning.filter(|_| node.value.as_ref() == Some(&node.clear));
            }
            nodes.push(node);
        };
        loop {
            let start = at;
            for part in &of.table.parts {
                let width = usize::from(part.spec.max());
                if at + width > masked.len() {
                    break;
                }
                let (offset, length) = place(at, width);
                let hidden = part.secret;
                let node = Node::new(What::Subfield, of.id(part.number), &*part.name, offset, length);
                let value = clear.get(at..at + width).unwrap_or_default().iter().collect::<String>();
                let path = [of.path.as_slice(), &[part.number]].concat();
                let meaning = meaning::part(self.dialect, self.view, &path, &value);
                push(Node { hidden, ..node }.meaning(meaning), at, width);
                at += width;
            }
            if at == start || of.table.form != Form::Repeated {
                break;
            }
        }
        if at < masked.len() {
            let width = masked.len() - at;
            let (offset, length) = place(at, width);
            push(Node::new(What::Rest, of.id("rest"), "", offset, length), at, width);
        }
        None
    }
}

/// Where a part stands.
struct Place<'a> {
    /// In the input, its head included.
    at: usize,
    /// Bytes of its length, or of its id and length.
    head: usize,
    content: &'a [u8],
}

/// Tags or datasets, written as bytes or in hex.
fn chip_data(of: &Divided<'_>, nodes: &mut Vec<Node>) -> Option<usize> {
    let in_hex = of.clear.len() == of.content.len();
    let (content, width) = if in_hex {
        let Some(bytes) = digits::hex_bytes(of.clear.as_bytes()) else { return Some(0) };
        (Cow::Owned(bytes), 2)
    } else {
        (Cow::Borrowed(of.content), 1)
    };
    let chip = Chip { id: &of.numbers(), content: &content, at: of.at, width, depth: 0 };
    let broken = if of.table.form == Form::Tags { chip.tags(nodes) } else { chip.datasets(nodes) };
    broken.map(|offset| offset * width)
}
