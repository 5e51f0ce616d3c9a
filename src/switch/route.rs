//! Stub.
use crate::domain::forward::Carried;
use crate::domain::request::*;
use super::stand_in::Rules;
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LinkIndex(pub u16);
#[derive(Debug, Clone)]
pub struct Asked;
impl Asked { pub fn of_request(_: &AuthorizationRequest) -> Self {Self} pub fn of_reversal(_: &ReversalRequest)->Self{Self} pub fn of_advice(_: &Advice)->Self{Self} pub fn of_carried(_: &Carried)->Self{Self} }
#[derive(Debug, Clone)]
pub struct Member { pub link: LinkIndex, pub weight: u32 }
#[derive(Debug, Clone)]
pub struct Group { pub members: Vec<Member>, pub stand_in: Option<u16> }
impl Group { pub fn choose(&self, _t: u64, usable: impl Fn(LinkIndex)->bool) -> Option<LinkIndex> { self.members.iter().map(|m| m.link).find(|l| usable(*l)) } }
#[derive(Debug, Clone)]
pub enum Target { Ledger, Group(Group) }
#[derive(Debug, Clone)]
pub struct Row { pub name: Box<str>, pub target: Target }
#[derive(Debug, Clone, Default)]
pub struct Table { rows: Vec<Row>, rules: Vec<Rules> }
impl Table { pub fn find(&self, _a: &Asked) -> Option<&Row> { self.rows.first() } pub fn stand_in(&self, n: u16) -> &Rules { &self.rules[usize::from(n)] } }
