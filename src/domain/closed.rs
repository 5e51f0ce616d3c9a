//! A closed authorization in full, as it leaves memory and comes back (R9).

use super::action::ActionCode;
use super::event::Sequence;
use super::fee::CodeAndCharge;
use super::money::Currency;
use super::product::ProductNumber;

/// Everything that is kept of a closed authorization or a tombstone but where it stood. What each field means is said
/// where the ledger has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Closed {
    /// The record that made it.
    pub sequence: Sequence,
    /// The record that closed it, or that brought it back last.
    pub closed_by: Sequence,
    /// The network's id of the transaction; zero for none.
    pub network_reference: u64,
    /// DE 32; zero for none.
    pub acquirer: u64,
    /// DE 4, minor units.
    pub amount: i64,
    /// What it took, minor units of the account's currency.
    pub taken: i64,
    /// What its first answer approved, in the same units.
    pub answered: i64,
    /// DE 11.
    pub stan: u32,
    /// DE 7, ten digits; zero when not known.
    pub transmission: u32,
    /// The ledger's fingerprint of DE 41.
    pub terminal: u32,
    /// The ledger's fingerprint of DE 42.
    pub merchant: u32,
    /// DE 3, and what is charged.
    pub coded: CodeAndCharge,
    /// When it was closed, or brought back last; seconds since 1970.
    pub changed_s: u32,
    /// When its hold would have ended, seconds since 1970; zero for none.
    pub hold_until_s: u32,
    /// The low half of its source network's number.
    pub network: u16,
    /// DE 49.
    pub currency: u16,
    /// The account's number in its wallet.
    pub account: u16,
    /// The outcome of the request.
    pub action: ActionCode,
    /// The class of its message with the ledger's marks.
    pub class: u8,
    /// The number of the state that it is in.
    pub state: u8,
    /// What is known of its two legs, as bits (R4).
    pub legs: u8,
    /// DE 37.
    pub rrn: [u8; 12],
    /// DE 38; zeros for none.
    pub approval_code: [u8; 6],
}

/// What limits had counted of an authorization when it left memory, so that a reversal gives it back (R18). Of what was
/// counted at several records it is the latest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counted {
    /// The record at which it was counted.
    pub record: Sequence,
    /// Minor units of the account's currency.
    pub amount: i64,
    /// When, seconds since 1970.
    pub at_s: u32,
    /// The limits that counted it: bits by number, of the card, of the wallet and of the product.
    pub by: [u16; 3],
    /// The account's currency.
    pub currency: Currency,
    /// It was counted as one more use.
    pub first: bool,
    /// The product whose limits counted it.
    pub product: Option<ProductNumber>,
}
