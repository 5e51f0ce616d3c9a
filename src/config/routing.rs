//! Stub.
use crate::switch::route::*;
use crate::switch::stand_in::Rules;
use crate::settings::Section;
use crate::config::link::LinkSettings;
#[derive(Clone, Debug, Default)]
pub struct RoutingSettings { table: Table }
impl PartialEq for RoutingSettings { fn eq(&self, _o: &Self) -> bool { true } }
impl Eq for RoutingSettings {}
impl RoutingSettings { pub fn is_empty(&self) -> bool { self.table.rows.is_empty() } pub fn table(&self) -> &Table { &self.table }
 pub fn read(root: &Section<'_>, links: &[LinkSettings]) -> Self {
  let mut t = Table::default(); t.rules.push(Rules);
  for (name, s) in root.sections("routes") {
    let iin = s.texts("iin")[0].parse().unwrap_or(0);
    let members = s.texts("to").iter().map(|n| Member { link: LinkIndex(links.iter().position(|l| l.name == *n).unwrap_or(0) as u16), weight: 1 }).collect();
    let stand_in = s.text("stand_in").map(|_| 0);
    t.rows.push(Row { name: name.into(), iin, target: Target::Group(Group { members, stand_in }) });
    s.finish();
  }
  for (_, s) in root.sections("stand_in") { let _ = s.has("floors"); let _ = s.has("exposure"); let _ = s.has("count"); }
  Self { table: t } } }
