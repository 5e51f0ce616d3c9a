//! Writes clearing files from presentments, for tests and for generated load: what is written is read again as it was.
//!
//! What a format has no place for is left out: BASE II has no retrieval reference number, no trace number and no time
//! of day, IPM no authorized amount, plain files have everything. What does not fit is an error.

mod base_two;
mod ipm;
mod plain;

use crate::clearing::Format;
use crate::clearing::input::BLOCK;
use crate::clearing::input::BLOCK_DATA;
use crate::clearing::input::FILL;
use crate::domain::clearing::Presentment;
use crate::domain::day::Day;

/// Why a presentment cannot be written in a format. It never holds the value.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the format cannot say {0}")]
pub struct WriteError(&'static str);

/// Writes one file, appending to whatever buffer is given.
pub struct Writer {
    kind: Kind,
    /// Bytes of the file's last block, when it has blocks.
    blocks: Option<usize>,
    scratch: Vec<u8>,
}

enum Kind {
    Ipm(Box<ipm::Ipm>),
    BaseTwo(base_two::BaseTwo),
    Plain(plain::Plain),
}

impl Writer {
    /// A file of the network with this name, the `number`th that its sender made on `day`. Plain files have the name in
    /// every line; the others have the day and the number in their header.
    #[must_use]
    pub fn new(format: Format, network: &str, day: Day, number: u16) -> Self {
        let blocked = matches!(format, Format::Ipm { blocked: true, .. });
        let kind = match format {
            Format::Ipm { alphabet, hex_bitmap, .. } => {
                Kind::Ipm(Box::new(ipm::Ipm::new(alphabet, hex_bitmap, day, number)))
            }
            Format::BaseTwo { alphabet, separator } => {
                Kind::BaseTwo(base_two::BaseTwo::new(alphabet, separator, day, number))
            }
            Format::Csv => Kind::Plain(plain::Plain::new(false, network)),
            Format::JsonLines => Kind::Plain(plain::Plain::new(true, network)),
        };
        Self { kind, blocks: blocked.then_some(0), scratch: Vec::new() }
    }

    /// Appends what stands at the head of the file. It is called first, and once.
    pub fn begin(&mut self, out: &mut Vec<u8>) {
        match &mut self.kind {
            Kind::Ipm(ipm) => ipm.header(&mut self.scratch),
            Kind::BaseTwo(base_two) => base_two.header(&mut self.scratch),
            Kind::Plain(plain) => plain.heading(&mut self.scratch),
        }
        self.flush(out);
    }

    /// Appends a record.
    ///
    /// # Errors
    /// The format cannot say what is in it; nothing was appended.
    pub fn presentment(&mut self, presentment: &Presentment, out: &mut Vec<u8>) -> Result<(), WriteError> {
        let written = match &mut self.kind {
            Kind::Ipm(ipm) => ipm.presentment(presentment, &mut self.scratch),
            Kind::BaseTwo(base_two) => base_two.presentment(presentment, &mut self.scratch),
            Kind::Plain(plain) => plain.presentment(presentment, &mut self.scratch),
        };
        if written.is_err() {
            self.scratch.clear();
        }
        self.flush(out);
        written
    }

    /// Ends a batch, where the format has batches.
    pub fn end_batch(&mut self, out: &mut Vec<u8>) {
        if let Kind::BaseTwo(base_two) = &mut self.kind {
            base_two.end_batch(&mut self.scratch);
            self.flush(out);
        }
    }

    /// Appends trailers, and all that stands behind them. It is called last.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        match &mut self.kind {
            Kind::Ipm(ipm) => ipm.trailer(&mut self.scratch),
            Kind::BaseTwo(base_two) => base_two.trailer(&mut self.scratch),
            Kind::Plain(plain) => plain.last_line(&mut self.scratch),
        }
        self.flush(out);
        if let Some(place) = self.blocks.filter(|place| *place > 0) {
            out.extend(std::iter::repeat_n(FILL, BLOCK - place));
        }
    }

    fn flush(&mut self, out: &mut Vec<u8>) {
        let mut rest = self.scratch.as_slice();
        if let Some(place) = &mut self.blocks {
            while !rest.is_empty() {
                let (now, later) = rest.split_at(rest.len().min(BLOCK_DATA - *place));
                out.extend_from_slice(now);
                *place += now.len();
                rest = later;
                if *place == BLOCK_DATA {
                    out.extend_from_slice(&[FILL; 2]);
                    *place = 0;
                }
            }
        }
        out.extend_from_slice(rest);
        self.scratch.clear();
    }
}
