//! Two messages side by side, field by field and part by part.
//!
//! Values are compared as they are and shown masked: a secret that changed is said to have changed.

use std::fmt::Write;

use serde_json::Value as Json;
use serde_json::json;

use crate::dialect::tree::Message;
use crate::dialect::tree::Node;
use crate::dialect::tree::What;

/// How a field or a part of two messages compares.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// Both have it, with one value.
    Same,
    /// Both have it, with two values.
    Changed,
    /// The first has it alone.
    OnlyA,
    /// The second has it alone.
    OnlyB,
}

impl Status {
    /// Its name in text and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Changed => "changed",
            Self::OnlyA => "only-a",
            Self::OnlyB => "only-b",
        }
    }
}

/// One field or part of either message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// What it is.
    pub what: What,
    /// `2`, `62.2`, `55.9F26`; of something that comes again, `55.9F26#2`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// How it compares.
    pub status: Status,
    /// Its value in the first message, masked.
    pub a: Option<String>,
    /// Its value in the second message, masked.
    pub b: Option<String>,
}

/// Compares two messages. Framing and bitmaps are left out: they follow from what is compared.
#[must_use]
pub fn compare(a: &Message, b: &Message) -> Vec<Row> {
    let mut rows = Vec::new();
    rows_of(&a.nodes, &b.nodes, &mut rows);
    rows
}

/// Whether nothing differs.
#[must_use]
pub fn equal(rows: &[Row]) -> bool {
    rows.iter().all(|row| row.status == Status::Same)
}

/// Ids that tell every node of a list from the others: what comes again is numbered.
fn keyed(nodes: &[Node]) -> Vec<(String, &Node)> {
    let mut keys: Vec<(String, &Node)> = Vec::with_capacity(nodes.len());
    for node in nodes.iter().filter(|node| node.what != What::Bitmap) {
        let id = if node.id.is_empty() { node.name.clone() } else { node.id.clone() };
        let earlier = nodes.iter().take_while(|other| !std::ptr::eq(*other, node));
        let before = earlier.filter(|other| other.id == node.id && other.name == node.name).count();
        keys.push((if before == 0 { id } else { format!("{id}#{}", before + 1) }, node));
    }
    keys
}

fn rows_of(a: &[Node], b: &[Node], rows: &mut Vec<Row>) {
    let (a, b) = (keyed(a), keyed(b));
    let position = |list: &[(String, &Node)], key: &str| list.iter().position(|(known, _)| known == key);
    let mut next = 0;
    for (key, node) in &a {
        let Some(found) = position(&b, key) else {
            alone(node, key, Status::OnlyA, rows);
            continue;
        };
        // What only the second has comes where it stands there.
        for (key, node) in b.get(next..found).unwrap_or_default() {
            if position(&a, key).is_none() {
                alone(node, key, Status::OnlyB, rows);
            }
        }
        next = next.max(found + 1);
        both(node, b[found].1, key, rows);
    }
    for (key, node) in b.get(next..).unwrap_or_default() {
        if position(&a, key).is_none() {
            alone(node, key, Status::OnlyB, rows);
        }
    }
}

fn both(a: &Node, b: &Node, key: &str, rows: &mut Vec<Row>) {
    if !a.parts.is_empty() && !b.parts.is_empty() {
        return rows_of(&a.parts, &b.parts, rows);
    }
    let status = if a.equals(b) { Status::Same } else { Status::Changed };
    rows.push(Row {
        what: a.what,
        id: key.to_owned(),
        name: a.name.clone(),
        status,
        a: value(a),
        b: value(b),
    });
}

/// A node that the other message does not have, or its parts.
fn alone(node: &Node, key: &str, status: Status, rows: &mut Vec<Row>) {
    if !node.parts.is_empty() {
        for (key, part) in keyed(&node.parts) {
            alone(part, &key, status, rows);
        }
        return;
    }
    let (a, b) = if status == Status::OnlyA { (value(node), None) } else { (None, value(node)) };
    rows.push(Row { what: node.what, id: key.to_owned(), name: node.name.clone(), status, a, b });
}

fn value(node: &Node) -> Option<String> {
    node.value.clone().or_else(|| (!node.parts.is_empty()).then(|| format!("{} parts", node.parts.len())))
}

/// The rows as text. What is the same is left out unless it is asked for.
#[must_use]
pub fn text(rows: &[Row], with_same: bool) -> String {
    let mut text = String::new();
    for row in rows.iter().filter(|row| with_same || row.status != Status::Same) {
        let what = match row.what {
            What::Field => format!("DE {} {}", row.id, row.name),
            _ if row.id == row.name => row.name.clone(),
            _ => format!("{} {}", row.id, row.name),
        };
        let value = |value: &Option<String>| value.clone().unwrap_or_default();
        let values = match row.status {
            Status::Changed => format!("{} -> {}", value(&row.a), value(&row.b)),
            Status::OnlyB => value(&row.b),
            Status::Same | Status::OnlyA => value(&row.a),
        };
        let _ = writeln!(text, "{:<8} {}: {values}", row.status.name(), what.trim_end());
    }
    text
}

/// The rows as JSON: `{equal, rows: [{what, id, name, status, a, b}]}`. `a` and `b` are masked values or null.
#[must_use]
pub fn json(rows: &[Row]) -> Json {
    let row = |row: &Row| {
        json!({
            "what": row.what.name(),
            "id": row.id,
            "name": row.name,
            "status": row.status.name(),
            "a": row.a,
            "b": row.b,
        })
    };
    json!({ "equal": equal(rows), "rows": rows.iter().map(row).collect::<Vec<Json>>() })
}
