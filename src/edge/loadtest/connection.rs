//! One connection: what waits to be written, what was read, and what is in flight.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;

use tokio::io::AsyncRead;
use tokio::io::ReadBuf;
use tokio::net::TcpStream;

use crate::edge::loadtest::plan::Target;
use crate::iso8583::frame::Framing;
use crate::iso8583::frame::Kind;

/// Room for what is read at once.
const INPUT_BYTES: usize = 256 * 1024;
/// While so much waits to be written, nothing more is composed: the peer does not read.
const OUTPUT_MAX: usize = 1 << 20;

/// A connection to a target.
pub(super) struct Connection {
    pub(super) address: SocketAddr,
    /// The place of its target in the plan.
    pub(super) target: usize,
    stream: TcpStream,
    framing: Framing,
    input: Vec<u8>,
    filled: usize,
    pub(super) output: Vec<u8>,
    written: usize,
    /// Exchanges in the order in which they were sent, until their answer comes or is given up.
    pub(super) waiting: VecDeque<u32>,
    pub(super) in_flight: usize,
    /// When the peer was last seen not to take what was there to be written; nanoseconds of the run.
    pub(super) blocked: u64,
    /// It was closed, by either side.
    pub(super) closed: bool,
}

impl Connection {
    pub(super) async fn open(target: usize, of: &Target, room: usize) -> io::Result<Self> {
        let (address, framing) = (of.address, of.dialect.framing().clone());
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            address,
            target,
            stream,
            framing,
            input: vec![0; INPUT_BYTES],
            filled: 0,
            output: Vec::with_capacity(INPUT_BYTES),
            written: 0,
            waiting: VecDeque::with_capacity(room),
            in_flight: 0,
            blocked: 0,
            closed: false,
        })
    }

    /// Takes up service again on a new socket; what was half read or written is gone.
    pub(super) async fn reopen(&mut self) -> io::Result<()> {
        self.stream = TcpStream::connect(self.address).await?;
        self.stream.set_nodelay(true)?;
        (self.filled, self.written, self.closed) = (0, 0, false);
        self.output.clear();
        Ok(())
    }

    pub(super) fn has_room(&self) -> bool {
        !self.closed && self.output.len() - self.written < OUTPUT_MAX
    }

    pub(super) fn has_output(&self) -> bool {
        self.written < self.output.len()
    }

    /// Writes what can be written now. True when something was.
    pub(super) fn flush(&mut self) -> bool {
        if self.closed || !self.has_output() {
            return false;
        }
        match self.stream.try_write(&self.output[self.written..]) {
            Ok(count) => {
                self.written += count;
                if self.written == self.output.len() {
                    self.output.clear();
                    self.written = 0;
                } else if self.written > OUTPUT_MAX {
                    self.output.drain(..self.written);
                    self.written = 0;
                }
                true
            }
            Err(error) => {
                self.closed |= error.kind() != io::ErrorKind::WouldBlock;
                false
            }
        }
    }

    /// Reads what is there. True when something was.
    pub(super) fn fill(&mut self) -> bool {
        if self.closed {
            return false;
        }
        // Unlike `try_read`, this takes a read that leaves room for the sign that nothing more is there, and saves the
        // call that would only say so. Whoever idles registers to be woken.
        let mut context = Context::from_waker(Waker::noop());
        let mut room = ReadBuf::new(&mut self.input[self.filled..]);
        match Pin::new(&mut self.stream).poll_read(&mut context, &mut room) {
            Poll::Ready(Ok(())) => {
                let count = room.filled().len();
                self.filled += count;
                self.closed |= count == 0;
                count > 0
            }
            Poll::Ready(Err(_)) => {
                self.closed = true;
                false
            }
            Poll::Pending => false,
        }
    }

    /// Calls `each` with the body of every whole message that was read. Frames without a message are passed over.
    pub(super) fn take_messages(&mut self, mut each: impl FnMut(&[u8], &mut Vec<u8>)) {
        let mut at = 0;
        loop {
            match self.framing.next(&self.input[at..self.filled]) {
                Ok(Some(frame)) => {
                    if frame.kind == Kind::Message {
                        let body = &self.input[at + frame.body.start..at + frame.body.end];
                        each(body, &mut self.output);
                    }
                    at += frame.total;
                }
                Ok(None) => break,
                Err(_) => {
                    self.closed = true;
                    break;
                }
            }
        }
        self.input.copy_within(at..self.filled, 0);
        self.filled -= at;
    }

    /// Ready to be read, or written while something waits.
    pub(super) fn poll_ready(&self, context: &mut Context<'_>) -> bool {
        if self.closed {
            return false;
        }
        let readable = self.stream.poll_read_ready(context).is_ready();
        readable || self.has_output() && self.stream.poll_write_ready(context).is_ready()
    }
}
