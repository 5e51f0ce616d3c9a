//! A session without a socket: who is signed on, and what we have asked the peer ourselves (R23).
//!
//! A [`session::Session`] belongs to a link and is shared by its sockets. Time comes as an argument, and what is to be
//! done comes out: each socket asks [`session::Session::next`] what it has to send. Who connected makes no difference.

pub mod members;
pub mod orders;
pub mod session;
pub mod state;
#[cfg(test)]
mod tests;
