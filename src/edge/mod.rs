//! The only room that touches the world: files, sockets, the clock, threads.

pub mod loadtest;
