//! Stub.
use crate::domain::forward::Carried;
use crate::domain::card::Pan;
use crate::domain::request::*;
use super::stand_in::Rules;
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LinkIndex(pub u16);
#[derive(Debug, Clone)]
pub struct Asked(Pan);
impl Asked { pub fn of_request(r: &AuthorizationRequest) -> Self {Self(r.pan)} pub fn of_reversal(r: &ReversalRequest)->Self{Self(r.pan)} pub fn of_advice(r: &Advice)->Self{Self(r.pan)} pub fn of_carried(r: &Carried)->Self{Self(r.pan)} }
#[derive(Debug, Clone)]
pub struct Member { pub link: LinkIndex, pub weight: u32 }
#[derive(Debug, Clone)]
pub struct Group { pub members: Vec<Member>, pub stand_in: Option<u16> }
impl Group { pub fn choose(&self, _t: u64, usable: impl Fn(LinkIndex)->bool) -> Option<LinkIndex> { self.members.iter().map(|m| m.link).find(|l| usable(*l)) } }
#[derive(Debug, Clone)]
pub enum Target { Ledger, Group(Group) }
#[derive(Debug, Clone)]
pub struct Row { pub name: Box<str>, pub target: Target, pub iin: u32 }
#[derive(Debug, Clone, Default)]
pub struct Table { pub rows: Vec<Row>, pub rules: Vec<Rules> }
impl Table { pub fn find(&self, a: &Asked) -> Option<&Row> { self.rows.iter().find(|r| r.iin == a.0.masked().parts().0) } pub fn stand_in(&self, n: u16) -> &Rules { &self.rules[usize::from(n)] } }
