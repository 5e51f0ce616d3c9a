//! The one room that knows both bytes and the domain: what a network writes into which field, and what it means.
//!
//! A [`Dialect`] is a TOML table (in `tables/`) and one of three mappings. [`Dialect::decode`] turns a message into an
//! [`inbound::Inbound`]; [`Dialect::write_answer`] and its siblings write whole frames; [`describe`] shows a message
//! to a person, with every card number masked.

use crate::dialect::header::Heading;
use crate::dialect::header::Literal;
use crate::dialect::network::NetworkCodes;
use crate::dialect::network::Sender;
use crate::dialect::numbers::Usual;
use crate::domain::action::ActionCode;
use crate::iso8583::frame::Frame;
use crate::iso8583::frame::FrameError;
use crate::iso8583::frame::Framing;
use crate::iso8583::spec::FieldSet;
use crate::iso8583::spec::Layout;
use crate::iso8583::subfields::Subfields;
use crate::settings::Finding;

mod advice;
pub mod answer;
pub mod carry;
mod channel;
mod chip;
mod codes;
pub mod compare;
pub mod compose;
mod decode;
pub mod describe;
mod division;
mod edit;
mod elements;
pub mod framing;
pub mod guess;
pub mod header;
pub mod inbound;
mod lifecycle;
pub mod mask;
mod mastercard;
pub mod meaning;
mod needed;
pub mod network;
mod numbers;
mod parts;
mod table;
pub mod tree;
pub mod unknown;

/// Names of the dialects that are compiled in, with their tables.
const BUILT_IN: &[(&str, &str)] = &[
    ("visa", include_str!("tables/visa.toml")),
    ("mastercard", include_str!("tables/mastercard.toml")),
    ("iso87-ascii", include_str!("tables/iso87-ascii.toml")),
    ("iso87-binary", include_str!("tables/iso87-binary.toml")),
];

/// Which mapping between fields and the domain a dialect uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mapping {
    /// Visa BASE I: private subfields in DE 60, 62, 63 and 126.
    Visa,
    /// Mastercard CIS: private subfields in DE 48, 61 and 63.
    Mastercard,
    /// ISO 8583:1987 without private subfields.
    Iso87,
}

/// What stands in front of the MTI.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MessageHeader {
    /// Nothing.
    None,
    /// Visa's 22 bytes with station ids.
    Visa,
    /// A text of constant length, such as BASE24's `ISO015000077`.
    Literal,
}

/// What becomes of a frame without a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Courtesy {
    /// It is sent back as it came.
    Echo,
    /// It is passed over.
    Ignore,
}

/// How one network or processor writes its messages.
#[derive(Clone, Debug)]
pub struct Dialect {
    name: Box<str>,
    mapping: Mapping,
    header: MessageHeader,
    literal: Literal,
    layout: Layout,
    usual: Usual,
    framing: Framing,
    keep_alive: Courtesy,
    session_control: Courtesy,
    name_malformed_field: bool,
    response_codes: Vec<(ActionCode, [u8; 2])>,
    /// What differs in answers to refunds.
    refund_codes: Vec<(ActionCode, [u8; 2])>,
    /// DE 39 of an advice that tells of an approval.
    approved_codes: Vec<[u8; 2]>,
    network_codes: NetworkCodes,
    sender: Sender,
    responses: Vec<(u16, FieldSet)>,
    names: Vec<Box<str>>,
    /// Fields that the table calls secret: they are never shown.
    secret: FieldSet,
    subfields: Vec<Option<Subfields>>,
    /// Fields with parts that are never echoed.
    guarded: FieldSet,
    known: unknown::Known,
    station: Option<u32>,
    /// Stands for how fields are written and what DE 39 means: dialects that have the same write a message alike.
    writing: u64,
}

impl Dialect {
    /// A dialect that is compiled in; `None` when there is none of this name.
    #[must_use]
    pub fn built_in(name: &str) -> Option<Self> {
        let (name, text) = BUILT_IN.iter().find(|(known, _)| *known == name)?;
        Self::from_toml(name, text).ok()
    }

    /// The names of the dialects that are compiled in.
    #[must_use]
    pub fn built_in_names() -> Vec<&'static str> {
        BUILT_IN.iter().map(|(name, _)| *name).collect()
    }

    /// A dialect from the text of a file. `file` is named in findings and becomes the dialect's name.
    ///
    /// # Errors
    /// Every mistake in the file, each with its line and column.
    pub fn from_toml(file: &str, text: &str) -> Result<Self, Vec<Finding>> {
        table::read(file, text)
    }

    /// The same dialect with our own station id (Visa H6, six digits): answers carry it instead of the one that the
    /// request was addressed to.
    #[must_use]
    pub fn with_station(mut self, station: u32) -> Self {
        self.station = Some(station);
        self
    }

    /// The same dialect with what names us in network management of ours.
    #[must_use]
    pub fn with_sender(mut self, sender: Sender) -> Self {
        self.sender = sender;
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its field table.
    #[must_use]
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Its framing.
    #[must_use]
    pub const fn framing(&self) -> &Framing {
        &self.framing
    }

    /// The same dialect with another framing, as a link may set it.
    #[must_use]
    pub fn with_framing(mut self, framing: Framing) -> Self {
        self.framing = framing;
        self
    }

    /// What stands in front of the MTI.
    #[must_use]
    pub const fn header(&self) -> MessageHeader {
        self.header
    }

    const fn heading(&self) -> Heading<'_> {
        Heading { tpdu: self.framing.tpdu, kind: self.header, literal: &self.literal }
    }

    /// Bytes between the framing and the MTI in a message of ours: TPDU and header.
    #[must_use]
    pub const fn header_bytes(&self) -> usize {
        self.heading().bytes()
    }

    /// The mapping that it uses.
    #[must_use]
    pub const fn mapping(&self) -> Mapping {
        self.mapping
    }

    /// What becomes of a frame without a message.
    #[must_use]
    pub const fn keep_alive(&self) -> Courtesy {
        self.keep_alive
    }

    /// What becomes of session control.
    #[must_use]
    pub const fn session_control(&self) -> Courtesy {
        self.session_control
    }

    /// How a field is divided, when the table says so.
    #[must_use]
    pub fn subfields(&self, field: u8) -> Option<&Subfields> {
        self.subfields.get(usize::from(field))?.as_ref()
    }

    /// A field's name; empty when the dialect has no such field.
    #[must_use]
    pub fn field_name(&self, field: u8) -> &str {
        self.names.get(usize::from(field)).map_or("", |name| name)
    }

    /// DE 39 of the outcome of a refund: some networks take only certain codes for one.
    #[must_use]
    pub fn refund_code(&self, action: ActionCode) -> [u8; 2] {
        let found = self.refund_codes.iter().find(|(known, _)| *known == action);
        found.map_or_else(|| self.response_code(action), |(_, code)| *code)
    }

    /// DE 39 of an outcome.
    #[must_use]
    pub fn response_code(&self, action: ActionCode) -> [u8; 2] {
        let found = self.response_codes.iter().find(|(known, _)| *known == action);
        // The loader refuses a table with a gap; 96 stands for "system malfunction" in every dialect.
        found.map_or(*b"96", |(_, code)| *code)
    }

    /// The outcome that DE 39 stands for, the first one of the table; `None` for a code that it does not have.
    #[must_use]
    pub fn action_of(&self, code: [u8; 2]) -> Option<ActionCode> {
        self.actions_of(code).next()
    }

    /// All outcomes that DE 39 stands for.
    fn actions_of(&self, code: [u8; 2]) -> impl Iterator<Item = ActionCode> {
        let known = self.response_codes.iter().chain(&self.refund_codes);
        known.filter(move |(_, known)| *known == code).map(|(action, _)| *action)
    }

    /// The first frame of a buffer; `None` while it is not whole.
    ///
    /// # Errors
    /// The stream cannot be read on.
    #[inline]
    pub fn frame(&self, buffer: &[u8]) -> Result<Option<Frame>, FrameError> {
        self.framing.next(buffer)
    }

    /// What an answer takes over. A refusal of what is not served has no row of its own: it takes over what the nearest
    /// answer of its class does, or that to an authorization, so that the peer can match it.
    fn response_fields(&self, mti: u16) -> FieldSet {
        let row = |mti| self.responses.iter().find(|(known, _)| *known == mti);
        let of_class = || row(if mti / 100 == 3 { 312 } else { 630 }).filter(|_| matches!(mti / 100, 3 | 6));
        row(mti).or_else(of_class).or_else(|| row(110)).map_or(FieldSet::EMPTY, |(_, fields)| *fields)
    }
}
