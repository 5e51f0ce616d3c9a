//! What came in, as the domain sees it, and what was wrong with it.

use crate::dialect::header::HeaderError;
use crate::domain::money::Stated;
use crate::domain::party::InstitutionId;
use crate::domain::party::NameId;
use crate::domain::party::Rrn;
use crate::domain::party::TerminalId;
use crate::domain::request::AdministrativeAdvice;
use crate::domain::request::Advice;
use crate::domain::request::ApprovalCode;
use crate::domain::request::AuthorizationRequest;
use crate::domain::request::NetworkManagement;
use crate::domain::request::ReversalRequest;
use crate::domain::request::Scope;
use crate::domain::request::Stan;
use crate::domain::time::TransmissionTime;
use crate::iso8583::view::ParseError;
use crate::iso8583::view::View;

/// Where a message came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Context {
    /// The network; two links of one network share it.
    pub network: NameId,
    /// The link.
    pub link: NameId,
}

/// A network management request (0800, 0801) or advice (0820, 0821).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NetworkRequest {
    /// What it asks for, or says.
    pub what: NetworkManagement,
    /// For whom it speaks: DE 2, when its code has a list of groups or prefixes.
    pub scope: Scope,
    /// DE 70.
    pub code: u16,
    /// DE 11.
    pub stan: Stan,
    /// DE 7.
    pub transmission: TransmissionTime,
}

/// An answer to a message of ours, with what tells to which.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Response {
    /// The MTI as a number.
    pub mti: u16,
    /// DE 11.
    pub stan: Stan,
    /// DE 7.
    pub transmission: Option<TransmissionTime>,
    /// DE 32; zero when absent.
    pub acquirer: InstitutionId,
    /// DE 37; blank when absent.
    pub rrn: Rrn,
    /// DE 41; blank when absent.
    pub terminal: TerminalId,
    /// DE 4 and DE 49.
    pub amount: Stated,
    /// DE 6 and DE 51.
    pub billing: Stated,
    /// DE 38.
    pub approval_code: Option<ApprovalCode>,
    /// DE 39; spaces when absent.
    pub response_code: [u8; 2],
    /// DE 70.
    pub network_code: Option<u16>,
}

/// A message of ours that the network did not take (Visa H13 and H14). It is never an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reject {
    /// H14, four digits.
    pub code: Option<u16>,
    /// The MTI of our message; zero when it cannot be read.
    pub mti: u16,
    /// DE 11 of our message.
    pub stan: Option<Stan>,
    /// What the answer was about, when our message was an answer to a request: it did not arrive (R4).
    pub answer: Option<ReversalRequest>,
}

/// What a message asks for or says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Inbound {
    /// 0100, 0101, 0200, 0201.
    Authorization(AuthorizationRequest),
    /// 0400, 0401, 0420, 0421.
    Reversal(ReversalRequest),
    /// 0120, 0121, 0220, 0221.
    Advice(Advice),
    /// 0190, 0191: an answer of ours did not arrive. `None` when it does not say which.
    Undelivered(Option<ReversalRequest>),
    /// 0620, 0621.
    Administrative(AdministrativeAdvice),
    /// 0800, 0801.
    NetworkManagement(NetworkRequest),
    /// 0820, 0821. It is not answered (R23).
    NetworkAdvice(NetworkRequest),
    /// 0110, 0810 and their like.
    Response(Response),
    /// A reject header in front of a message of ours.
    Reject(Reject),
    /// A message that is right but not served.
    Unsupported {
        /// The MTI as a number.
        mti: u16,
    },
}

/// A message that was read.
#[derive(Clone, Copy)]
pub struct Received<'a> {
    /// The network's header; empty when the dialect has none.
    pub header: &'a [u8],
    /// The message's fields.
    pub view: View<'a>,
    /// It has elements that the dialect's table lacks; [`crate::dialect::Dialect::unknown_elements`] names them.
    pub strange: bool,
    /// None of its elements is withheld from answers, and all can be read.
    pub(super) open: bool,
    /// What it asks for.
    pub inbound: Inbound,
}

impl Received<'_> {
    /// Its bytes, to be read again later.
    #[must_use]
    pub fn kept(&self) -> Kept {
        Kept([self.header, self.view.body()].concat().into_boxed_slice())
    }
}

/// A message as it came, without its frame. It has a card's data in clear, and so it cannot print.
pub struct Kept(Box<[u8]>);

impl std::ops::Deref for Kept {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// A message that cannot be served, with what could be read of it.
#[derive(Clone, Copy)]
pub struct Malformed<'a> {
    /// The network's header; empty when the dialect has none or it cannot be read.
    pub header: &'a [u8],
    /// The fields that could be read; `None` when the header is already wrong.
    pub view: Option<View<'a>>,
    /// What is wrong.
    pub fault: Fault,
}

impl std::fmt::Debug for Malformed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(&self.fault, f)
    }
}

/// What makes a message malformed. It never holds the bytes of a field.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Fault {
    /// The network's header.
    #[error("{0}")]
    Header(#[from] HeaderError),
    /// The bytes of the message.
    #[error("{0}")]
    Wire(#[from] ParseError),
    /// A field's meaning.
    #[error("field {field}: {problem}")]
    Field {
        /// The data element.
        field: u8,
        /// What is wrong with it.
        problem: Problem,
    },
}

impl Fault {
    /// The data element at fault, when it is one.
    #[must_use]
    pub const fn field(&self) -> Option<u8> {
        match self {
            Self::Header(_) => None,
            Self::Wire(error) => error.field,
            Self::Field { field, .. } => Some(*field),
        }
    }
}

/// What is wrong with a field whose bytes are right.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Problem {
    /// A message of this type must have it.
    #[error("it is missing")]
    Missing,
    /// It is no date, or no time of day.
    #[error("it is no date")]
    NotADate,
    /// It is no card number.
    #[error("it is no card number")]
    NotACardNumber,
    /// It is not a number in the range that it must have.
    #[error("it is not a number in range")]
    NotANumber,
}
