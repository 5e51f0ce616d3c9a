//! Closed authorizations that left memory, on disk for as long as they can be matched (R9, R20). Nothing here decides,
//! and the hot path never comes here.
//!
//! ```text
//! insert -> memory, bounded -- flush --> runs of a day, each written once -- merge_step --> one run a day
//!                                            |                                                |
//!                                            +---------------- drop_older_than <--------------+
//! ```
//! A run is immutable: rows in the order of their keys, in blocks of 16 KiB that each have a checksum, then a footer
//! that is kept in memory (the first key of each block, a filter by card). A run belongs to the day on which its rows
//! left memory, so that what is too old is let go of by removing whole files, and a day that is over is merged once and
//! never written again. The manifest says which runs count and up to which record of the journal everything is in
//! them; what it does not name does not exist.
//!
//! ```text
//! history/00000012.run        a run
//! history/00000007.manifest   what counts; the last two are kept
//! history/next.tmp            a manifest that is being made; left over only by a crash
//! ```
//! No card number is in here, only card references (R34). All integers on disk are little-endian.

pub mod entry;
pub mod error;
pub mod index;
pub mod search;

mod block;
mod buffer;
mod filter;
mod look;
mod manifest;
mod merge;
mod merging;
mod run;
mod run_writer;
