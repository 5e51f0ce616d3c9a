//! The sockets of the HTTP face: no more than so many at once, and none for ever. Whoever sends half a body, reads no
//! answer or says nothing keeps a place for a bounded time, and with it the memory of one request.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio::time::Sleep;

/// A listener with a bounded number of places. Who finds none waits in the kernel's queue.
pub(super) struct Visitors {
    listener: TcpListener,
    places: Arc<Semaphore>,
    idle: Duration,
}

impl Visitors {
    /// `places` sockets at once, each closed after `idle` without a byte either way.
    pub(super) fn new(listener: TcpListener, places: usize, idle: Duration) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(places)), idle }
    }
}

impl Listener for Visitors {
    type Io = Visitor;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Visitor, SocketAddr) {
        loop {
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else {
                // Nobody closes it.
                return std::future::pending().await;
            };
            let (socket, address) = Listener::accept(&mut self.listener).await;
            // Answers are small, and whoever asks waits for each.
            if socket.set_nodelay(true).is_ok() {
                return (Visitor::new(socket, place, self.idle), address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A socket with its place.
pub(super) struct Visitor {
    socket: TcpStream,
    _place: OwnedSemaphorePermit,
    idle: Duration,
    /// When the last byte went either way.
    last: Instant,
    alarm: Pin<Box<Sleep>>,
}

impl Visitor {
    fn new(socket: TcpStream, place: OwnedSemaphorePermit, idle: Duration) -> Self {
        let alarm = Box::pin(tokio::time::sleep(idle));
        Self { socket, _place: place, idle, last: Instant::now(), alarm }
    }

    /// Passes on what the socket says, and ends a wait that has lasted too long.
    fn bounded<T>(&mut self, context: &mut Context<'_>, said: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if said.is_ready() {
            self.last = Instant::now();
            return said;
        }
        // The alarm is set anew only when it rings: most of the time that is once in a long while.
        while self.alarm.as_mut().poll(context).is_ready() {
            let until = self.last + self.idle;
            if until <= Instant::now() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.alarm.as_mut().reset(until);
        }
        Poll::Pending
    }
}

impl AsyncRead for Visitor {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let said = Pin::new(&mut self.socket).poll_read(context, buffer);
        self.bounded(context, said)
    }
}

impl AsyncWrite for Visitor {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let said = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.bounded(context, said)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let said = Pin::new(&mut self.socket).poll_write_vectored(context, bytes);
        self.bounded(context, said)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
