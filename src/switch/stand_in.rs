//! Stub.
use crate::domain::action::ActionCode;
use crate::domain::forward::Carried;
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Exposure { pub minor: i64, pub count: u32 }
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict { Approve, Decline(ActionCode) }
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules;
impl Rules { pub fn decide(&self, c: &Carried, e: Exposure) -> Verdict { if c.amount.minor <= 6000 && e.minor + c.amount.minor <= 9000 { Verdict::Approve } else { Verdict::Decline(ActionCode::Unavailable) } } }
