//! The only room that touches the world: files, sockets, the clock.

pub mod disk;
