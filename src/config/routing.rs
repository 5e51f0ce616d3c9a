//! Stub.
use crate::switch::route::Table;
#[derive(Clone, Debug, Default)]
pub struct RoutingSettings { table: Table }
impl PartialEq for RoutingSettings { fn eq(&self, _o: &Self) -> bool { true } }
impl Eq for RoutingSettings {}
impl RoutingSettings { pub fn is_empty(&self) -> bool { true } pub fn table(&self) -> &Table { &self.table } }
