//! A session without a socket: who is signed on, and what we have asked the peer ourselves (R23).

pub mod session;
