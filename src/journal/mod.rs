//! What was decided, kept: records in batches, batches in segments, one sync for many.
//!
//! ```text
//! Event -> record -> Buffer (memory) -> Pending -> Writer -> segment file -> one sync -> durable
//!                                                  segment files -> recover -> Event
//! ```
//!
//! Each batch carries its number, the checksum of the batch before it, what was durable when it was written, and
//! its own checksum, which is seeded with its segment's number. So recovery can tell a tail that a crash tore
//! (cut, and reported) from damage to what had been durable (refused). The room does no input or output itself: it
//! is generic over [`storage::Storage`]. All integers on disk are little-endian.

pub mod batch;
pub mod buffer;
pub mod chunk;
pub mod follow;
pub mod inspect;
pub mod kind;
pub mod record;
pub mod recover;
pub mod segment;
pub mod snapshot;
pub mod snapshot_writer;
pub mod storage;
pub mod writer;

mod assets;
mod cleared;
mod exchange;
mod fees;
mod field;
mod forward;
mod interest;
mod limits;
mod mandates;
mod moved;
mod recalled;
mod walk;
