//! A message as a person reads it, and as a program does: the same tree as lines of text and as JSON.

use std::fmt::Write;

use serde_json::Value as Json;
use serde_json::json;

use crate::dialect::Dialect;
pub use crate::dialect::mask::shown;
use crate::dialect::tree;
use crate::dialect::tree::Message;
use crate::dialect::tree::Mistake;
use crate::dialect::tree::Node;
use crate::dialect::tree::What;
use crate::iso8583::frame::Kind;

/// Every frame of an input as text: for each field and part a line with offset, length, number, name, value and
/// meaning. What cannot be read is said at the end.
#[must_use]
pub fn describe(dialect: &Dialect, bytes: &[u8]) -> String {
    tree::messages(dialect, bytes).iter().map(text).collect()
}

/// One message as lines of text.
#[must_use]
pub fn text(message: &Message) -> String {
    let mut text = String::new();
    match (message.kind, message.prefix) {
        (Kind::KeepAlive, _) => {
            line(&mut text, message.offset, message.length, "frame: keep-alive, without a message")
        }
        (Kind::SessionControl, _) => {
            line(&mut text, message.offset, message.length, "frame: session control")
        }
        (Kind::Message, Some(prefix)) => {
            let what = format!("frame: {prefix} bytes in front of the message");
            line(&mut text, message.offset, message.length, &what);
        }
        (Kind::Message, None) => line(&mut text, message.offset, message.length, "message without framing"),
    }
    message.nodes.iter().for_each(|node| node_lines(&mut text, node, 0));
    for mistake in &message.mistakes {
        let _ = writeln!(text, "malformed: {mistake}");
    }
    text
}

fn line(text: &mut String, offset: usize, length: usize, what: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "{offset:>5} {length:>4}  {what}");
}

fn node_lines(text: &mut String, node: &Node, depth: usize) {
    let mut what = "  ".repeat(depth);
    match node.what {
        What::Field => what += &format!("DE {} {}", node.id, node.name),
        What::Bitmap | What::Mti | What::Header | What::Tpdu => what += &node.name,
        What::Tag => {
            let tag = node.id.rsplit('.').next().unwrap_or_default();
            what += &format!("tag {tag} {}", node.name);
        }
        _ => what += &format!("{} {}", node.id, node.name),
    }
    what.truncate(what.trim_end().len());
    if let Some(value) = &node.value {
        what += &format!(": {value}");
    }
    if let Some(meaning) = &node.meaning {
        what += &format!("  ({meaning})");
    }
    match node.offset {
        Some(offset) => line(text, offset, node.length, &what),
        None => {
            let _ = writeln!(text, "    -    -  {what}");
        }
    }
    node.parts.iter().for_each(|part| node_lines(text, part, depth + 1));
}

/// One message as a JSON document. Every key is always there; what does not apply is null or empty.
///
/// `{offset, length, framing, kind, dialect, mti, parts, errors}`: offsets and lengths in bytes of the input, `framing`
/// the bytes in front of the message or null, `kind` one of message, keep-alive and session-control, `parts` a list of
/// `{what, id, name, offset, length, value, hidden, meaning, parts}` and `errors` one of `{field, offset, rule}`.
#[must_use]
pub fn json(dialect: &Dialect, message: &Message) -> Json {
    let kind = match message.kind {
        Kind::Message => "message",
        Kind::KeepAlive => "keep-alive",
        Kind::SessionControl => "session-control",
    };
    json!({
        "offset": message.offset,
        "length": message.length,
        "framing": message.prefix,
        "kind": kind,
        "dialect": dialect.name(),
        "mti": message.mti.map(|mti| format!("{mti:04}")),
        "parts": message.nodes.iter().map(node_json).collect::<Vec<Json>>(),
        "errors": message.mistakes.iter().map(mistake_json).collect::<Vec<Json>>(),
    })
}

fn node_json(node: &Node) -> Json {
    json!({
        "what": node.what.name(),
        "id": node.id,
        "name": node.name,
        "offset": node.offset,
        "length": node.length,
        "value": node.value,
        "hidden": node.hidden,
        "meaning": node.meaning,
        "parts": node.parts.iter().map(node_json).collect::<Vec<Json>>(),
    })
}

fn mistake_json(mistake: &Mistake) -> Json {
    json!({ "field": mistake.field, "offset": mistake.offset, "rule": mistake.rule })
}
