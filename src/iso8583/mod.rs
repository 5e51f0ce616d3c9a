//! Bytes to message and back, without a business word: MTI, bitmaps, field tables, framing.
//!
//! [`spec::Layout`] says how a dialect writes each data element; [`view::View`] reads a message in place;
//! [`build::Builder`] writes one, copying fields of another as they are; [`value`] turns single fields into text and
//! back; [`frame::Framing`] finds messages in a stream.

pub mod build;
mod check;
pub mod content;
pub mod digits;
pub mod frame;
mod read;
mod runs;
mod shapes;
pub mod spec;
pub mod subfields;
pub mod tlv;
pub mod value;
pub mod view;
