//! A record as the HTTP face shows it: the same fields under the same names as in an export, masked alike.

use std::io;
use std::io::Write;

use crate::domain::event::Event;
use crate::domain::event::Sequence;
use crate::domain::time::Timestamp;
use crate::edge::export::Kind;
use crate::edge::export::column::Cell;
use crate::edge::export::row::Row;

/// A record with its fields by name.
pub(in crate::edge) struct Shown(Row);

impl Shown {
    pub(in crate::edge) fn of(sequence: Sequence, time: Timestamp, event: &Event) -> Self {
        Self(Row::of(sequence, time, Kind::of(event).name(), event))
    }

    /// A field as text; `None` where the record has no such field.
    pub(in crate::edge) fn text(&self, name: &str) -> Option<String> {
        let found = self.0.cells().find(|(of, _)| *of == name)?.1;
        found.map(ToString::to_string)
    }

    /// A field as a whole number.
    pub(in crate::edge) fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }

    /// Appends the object, without an end of the line.
    pub(in crate::edge) fn put_json(&self, out: &mut Vec<u8>) {
        // Memory takes all that is written to it.
        let _ = put_json(&self.0, out);
    }
}

/// Writes a row as an object on one line.
pub(super) fn put_json(row: &Row, out: &mut impl Write) -> io::Result<()> {
    let mut separator = '{';
    for (name, cell) in row.cells() {
        let Some(cell) = cell else { continue };
        write!(out, "{separator}\"{name}\":")?;
        match cell {
            Cell::Text(text) => serde_json::to_writer(&mut *out, text)?,
            Cell::Number(_) | Cell::Flag(_) => write!(out, "{cell}")?,
        }
        separator = ',';
    }
    out.write_all(b"}")
}
