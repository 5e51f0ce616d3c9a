//! The only room that touches the world: files, sockets, the clock, threads.

pub mod api;
pub mod clock;
pub mod commands;
mod counters;
pub mod daemon;
pub mod decode;
pub mod demo;
pub mod dialects;
pub mod disk;
pub mod exit;
pub mod expiry;
pub mod export;
mod histogram;
pub mod journal_commands;
pub mod keys;
pub mod link;
pub mod link_api;
pub mod listen;
pub mod loadtest;
mod metered;
pub mod page;
pub mod reserve;
pub mod seeding;
pub mod snapshots;
pub mod tcp;
pub mod telemetry;
pub mod text;
