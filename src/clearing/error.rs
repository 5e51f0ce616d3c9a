//! What can be wrong with a clearing file, where, and what to do about it.

use std::fmt;

use crate::iso8583::view::ParseError;

/// Where a record of a file begins. A file that was read up to it can be read on from there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Position {
    /// The record's number, from 1: of a file of text, of the line.
    pub record: u64,
    /// The byte of the file, from 0.
    pub offset: u64,
}

/// What is wrong with a file or a record. It never holds what stands in a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The first bytes are of no format that is known here.
    UnknownFormat,
    /// The file ends inside a record, or before the end that its format has.
    Cut,
    /// The file ends, or another begins, and no trailer has confirmed the records before.
    NoTrailer,
    /// A trailer that has neither a count nor a sum.
    EmptyTrailer,
    /// A record that moves money stands where none may: before a file's header, or behind its trailer.
    OutsideFile,
    /// A second header before the trailer of the first.
    HeaderAgain,
    /// Bytes that are no padding stand behind the end.
    AfterEnd,
    /// A record has a length that none has.
    Length {
        /// The length that it says, or has.
        found: u64,
    },
    /// The two bytes between blocks are not 0x40.
    BlockFill,
    /// The trailer counts other than we did.
    Count {
        /// What is counted.
        what: &'static str,
        /// The trailer's number.
        said: u64,
        /// Ours.
        found: u64,
    },
    /// The trailer's sum is another than that of the records.
    Sum {
        /// What is added up.
        what: &'static str,
        /// The trailer's sum.
        said: u64,
        /// Ours.
        found: u64,
    },
    /// An IPM record is no message.
    Message(ParseError),
    /// A field has a content that it cannot have.
    Field {
        /// The field, in the words of its format.
        name: &'static str,
        /// What it should have.
        expected: &'static str,
    },
    /// A component record (TCR) does not belong to the transaction before it, or comes twice.
    Component {
        /// Its number.
        number: u8,
    },
    /// The first line of a file of text is not its heading.
    Heading {
        /// The first character that is another, from 1.
        column: usize,
    },
    /// A line of text cannot be read.
    Line {
        /// The column of the file, by its name; empty when it is none in particular.
        name: &'static str,
        /// Where in the line, in characters from 1.
        column: usize,
        /// What should stand there.
        expected: &'static str,
    },
}

impl Fault {
    /// Whether the records behind it can still be found, so that reading goes on.
    #[must_use]
    pub const fn leaves_records(&self) -> bool {
        !matches!(
            self,
            Self::UnknownFormat
                | Self::Cut
                | Self::Length { .. }
                | Self::BlockFill
                | Self::AfterEnd
                | Self::Heading { .. }
        )
    }

    /// What to do.
    const fn advice(&self) -> &'static str {
        match self {
            Self::UnknownFormat => {
                "name the format, or convert the file to CSV as docs/clearing.md describes it"
            }
            Self::Cut | Self::NoTrailer => "it was cut: fetch the file again",
            Self::EmptyTrailer => "ask the sender for a file with a count or a sum in its trailer",
            Self::Count { .. } | Self::Sum { .. } | Self::OutsideFile | Self::HeaderAgain => {
                "records are missing, doubled or changed: fetch the file again, or ask the sender"
            }
            Self::AfterEnd => "two files were joined, or the transfer added bytes: fetch the file again",
            Self::Length { .. } | Self::BlockFill => {
                "the transfer changed bytes, or the file is written in another way: fetch it again in binary mode"
            }
            Self::Message(_) | Self::Field { .. } | Self::Component { .. } => {
                "ask the sender to correct the record"
            }
            Self::Heading { .. } => {
                "write the columns of docs/clearing.md in their order into the first line"
            }
            Self::Line { .. } => "correct the line",
        }
    }
}

/// A number of a trailer. A long one is not repeated: in a record that is out of step it may be a card number.
struct Said(u64);

/// A card number has more digits.
const SAID_MAX: u64 = 999_999_999;

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 <= SAID_MAX { write!(f, "{}", self.0) } else { f.write_str("another number") }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownFormat => f.write_str("no known format begins like this"),
            Self::Cut => f.write_str("the file ends inside a record or before its end"),
            Self::NoTrailer => f.write_str("no trailer confirms the records before"),
            Self::EmptyTrailer => f.write_str("the trailer has neither a count nor a sum"),
            Self::OutsideFile => f.write_str("a presentment outside header and trailer"),
            Self::HeaderAgain => f.write_str("a second header before the first one's trailer"),
            Self::AfterEnd => f.write_str("bytes behind the end of the file"),
            Self::Length { found } => write!(f, "no record is {found} bytes long"),
            Self::BlockFill => f.write_str("the two bytes behind a block are not 0x40"),
            Self::Count { what, said, found } => {
                write!(f, "the trailer counts {} {what}, and there are {found}", Said(*said))
            }
            Self::Sum { what, said, found } => {
                write!(
                    f,
                    "the trailer's sum of {what} is {}, and that of the records is {found}",
                    Said(*said)
                )
            }
            Self::Message(error) => fmt::Display::fmt(error, f),
            Self::Field { name, expected } => write!(f, "{name} should be {expected}"),
            Self::Component { number } => {
                write!(f, "component record {number} does not belong to the transaction before it")
            }
            Self::Heading { column } => write!(f, "column {column}: the first line is not the heading"),
            Self::Line { name: "", column, expected } => write!(f, "column {column}: expected {expected}"),
            Self::Line { name, column, expected } => {
                write!(f, "column {column}: {name} should be {expected}")
            }
        }
    }
}

/// What is wrong, with the record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClearingError {
    /// Which record.
    pub position: Position,
    /// What is wrong with it.
    pub fault: Fault,
}

impl fmt::Display for ClearingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Position { record, offset }, fault) = (self.position, &self.fault);
        let word =
            if matches!(fault, Fault::Line { .. } | Fault::Heading { .. }) { "line" } else { "record" };
        write!(f, "{word} {record} at byte {offset}: {fault}; {}", fault.advice())
    }
}

impl std::error::Error for ClearingError {}
