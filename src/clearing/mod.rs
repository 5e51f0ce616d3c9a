//! Clearing files, read as a stream: bytes go in, presentments come out (R20).
//!
//! Three kinds of files are read: Mastercard's IPM ([`Format::Ipm`]), Visa's BASE II ([`Format::BaseTwo`]), and plain
//! files of our own ([`Format::Csv`], [`Format::JsonLines`]). A [`Reader`] is fed portions of a file and gives one
//! [`Item`] after the other, each with the position of its record; it holds no more than a portion and a record.
//! [`check::Check`] goes over the items before the first of them is posted: every format ends with counts and sums, and
//! a file that was cut is told from a shorter one. [`write::Writer`] makes such files.
//!
//! Nothing here knows a balance or a hold. `docs/clearing.md` has the columns, and says what is sure and what is not.

mod base_two;
pub mod check;
pub mod detect;
pub mod error;
mod input;
mod ipm;
mod ipm_fields;
mod json;
mod plain;
mod row;
mod tcr;
pub mod write;

use crate::clearing::base_two::BaseTwo;
use crate::clearing::error::ClearingError;
use crate::clearing::error::Position;
use crate::clearing::input::Input;
use crate::clearing::ipm::Ipm;
use crate::clearing::plain::Plain;
use crate::domain::clearing::Presentment;
use crate::domain::day::Day;
use crate::domain::party::NameId;
use crate::domain::party::Text;

pub use crate::clearing::row::COLUMNS;

/// How characters are written.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Alphabet {
    /// ASCII.
    Ascii,
    /// EBCDIC, code page 500.
    Ebcdic,
}

/// What stands behind each record of 168 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Separator {
    /// The next record.
    None,
    /// A line feed.
    LineFeed,
    /// A carriage return and a line feed.
    CarriageReturn,
    /// The new line of EBCDIC, 0x15.
    NewLine,
}

impl Separator {
    const ALL: [Self; 4] = [Self::None, Self::LineFeed, Self::CarriageReturn, Self::NewLine];

    const fn bytes(self) -> &'static [u8] {
        match self {
            Self::None => b"",
            Self::LineFeed => b"\n",
            Self::CarriageReturn => b"\r\n",
            Self::NewLine => &[0x15],
        }
    }
}

/// How a file is written. [`Format::detect`] finds it out.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Format {
    /// Mastercard's Integrated Product Messages: records with a length of four bytes in front.
    Ipm {
        /// Of everything but bitmaps and chip data.
        alphabet: Alphabet,
        /// Behind every 1012 bytes stand two of fill.
        blocked: bool,
        /// The bitmap is in hex, as some tools write it.
        hex_bitmap: bool,
    },
    /// Visa's BASE II: component records of 168 characters.
    BaseTwo {
        /// Of everything.
        alphabet: Alphabet,
        /// What stands behind a record.
        separator: Separator,
    },
    /// Lines of values, with [`COLUMNS`] in the first line.
    Csv,
    /// A JSON object a line, with [`COLUMNS`] as keys.
    JsonLines,
}

/// What a file does not say and its reader must know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Context {
    /// The network that the file is from. Plain files name it in every line.
    pub network: NameId,
    /// The day to which dates without a year are nearest (R27): that of the file, or today.
    pub day: Day,
}

/// What stands at the head of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileHeader {
    /// What the sender calls the file (IPM PDS 0105; of BASE II the processor, the day and the file's number). Blank
    /// when there is none.
    pub id: Text<25>,
    /// The sender says that it is a test (IPM PDS 0122 = T; BASE II test option TEST).
    pub test: bool,
}

/// Why a record is no presentment.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Reason {
    /// A chargeback or the reversal of one (TC 15 to 17, 35 to 37; MTI 1442).
    Chargeback = 0,
    /// Fees between members (TC 10, 20; MTI 1740).
    Fee = 1,
    /// Text, reports, settlement and rejects: no money of a cardholder (other TCs; other MTI 1644).
    Administrative = 2,
    /// A record of a kind that is not known here.
    Unknown = 3,
}

impl Reason {
    /// Every reason with its name in reports, in the order of their codes.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::Chargeback, "chargeback"),
        (Self::Fee, "fee"),
        (Self::Administrative, "administrative"),
        (Self::Unknown, "unknown"),
    ];
}

/// A record that was passed over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Skipped {
    /// Why.
    pub reason: Reason,
    /// What the file says that it is: the transaction code, or MTI and DE 24 as one number.
    pub code: u32,
}

/// What a trailer is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Scope {
    /// A batch of records; others may follow.
    Batch,
    /// The whole file.
    File,
}

/// How a count or a sum of a trailer stands to the records. One that differs is an error.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Agreement {
    /// It is that of the records.
    Agreed,
    /// The trailer has none.
    NotGiven,
    /// Reading began behind the header, or a record was passed over whose amount is not known here.
    NotChecked,
}

/// A trailer whose counts and sums are right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trailer {
    /// What it is for.
    pub scope: Scope,
    /// Its counts.
    pub counts: Agreement,
    /// Its sums.
    pub sums: Agreement,
}

/// One thing that a file says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all items are the large one, and a box would be an allocation"
)]
pub enum Item {
    /// The head of the file.
    Header(FileHeader),
    /// A record that moves money.
    Presentment(Presentment),
    /// A record that was passed over.
    Skipped(Skipped),
    /// A trailer that agrees.
    Trailer(Trailer),
    /// The end of the file. Nothing comes behind it.
    End,
}

/// An item, and where its record begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Located {
    /// Where its first record begins.
    pub position: Position,
    /// What it says.
    pub item: Item,
}

/// Reads one file as its bytes come.
///
/// [`Reader::feed`] takes a portion; then [`Reader::next_item`] is called until it has none; [`Reader::end`] says that
/// no more will come. A record that cannot be read is an error, and the next one comes behind it; an error behind which
/// no record can be found is the last thing that comes.
///
/// It has no `Debug`: bytes of the file are in it.
pub struct Reader {
    input: Input,
    kind: Kind,
    finished: bool,
}

#[expect(clippy::large_enum_variant, reason = "there is one of them for a file")]
enum Kind {
    Ipm(Ipm),
    BaseTwo(BaseTwo),
    Plain(Plain),
}

impl Reader {
    /// Reads a file from its start.
    #[must_use]
    pub fn new(format: Format, context: Context) -> Self {
        Self::begin(format, context, None)
    }

    /// Reads a file on from the position of an item that is not its end: the first byte that is fed is the one at its
    /// offset. Trailers whose records began before it are not compared ([`Agreement::NotChecked`]).
    #[must_use]
    pub fn resume(format: Format, context: Context, from: Position) -> Self {
        Self::begin(format, context, Some(from).filter(|from| from.offset > 0))
    }

    fn begin(format: Format, context: Context, from: Option<Position>) -> Self {
        let resumed = from.is_some();
        let (kind, blocked) = match format {
            Format::Ipm { alphabet, blocked, hex_bitmap } => {
                (Kind::Ipm(Ipm::new(alphabet, hex_bitmap, context, resumed)), blocked)
            }
            Format::BaseTwo { alphabet, separator } => {
                (Kind::BaseTwo(BaseTwo::new(alphabet, separator, context, resumed)), false)
            }
            Format::Csv => (Kind::Plain(Plain::csv(resumed)), false),
            Format::JsonLines => (Kind::Plain(Plain::json(resumed)), false),
        };
        Self { input: Input::new(blocked, from.unwrap_or_default()), kind, finished: false }
    }

    /// Takes the next bytes of the file. Behind the last item they are let go.
    pub fn feed(&mut self, bytes: &[u8]) {
        if !self.finished {
            self.input.feed(bytes);
        }
    }

    /// Says that the file has no more bytes.
    pub const fn end(&mut self) {
        self.input.end();
    }

    /// The next item; `None` when more bytes are needed, and behind the last one.
    ///
    /// # Errors
    /// What is wrong with the next record, or with the file.
    pub fn next_item(&mut self) -> Option<Result<Located, ClearingError>> {
        if self.finished {
            return None;
        }
        let next = match &mut self.kind {
            Kind::Ipm(ipm) => ipm.next_item(&mut self.input),
            Kind::BaseTwo(base_two) => base_two.next_item(&mut self.input),
            Kind::Plain(plain) => plain.next_item(&mut self.input),
        };
        self.finished = match &next {
            Some(Ok(located)) => matches!(located.item, Item::End),
            Some(Err(error)) => !error.fault.leaves_records(),
            None => false,
        };
        next
    }
}
