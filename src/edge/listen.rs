//! Listening sockets, and the threads that serve what they accept.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::sync::watch;

use crate::edge::busy_poll;
use crate::edge::link::Call;
use crate::edge::link::LinkRuntime;
use crate::edge::link::Phase;
use crate::edge::link::Place;
use crate::edge::tcp;
use crate::edge::tcp::Surroundings;

/// A socket on its way to its worker.
pub struct Accepted {
    socket: std::net::TcpStream,
    place: Place,
    surroundings: Surroundings,
}

impl Accepted {
    /// A socket that has its place.
    #[must_use]
    pub const fn new(socket: std::net::TcpStream, place: Place, surroundings: Surroundings) -> Self {
        Self { socket, place, surroundings }
    }
}

/// Accepts connections of a link until the daemon drains, and hands each that may stay to the next worker.
pub async fn accept(
    listener: TcpListener,
    link: Arc<LinkRuntime>,
    mut calls: watch::Receiver<Call>,
    surroundings: Surroundings,
    workers: Vec<mpsc::Sender<Accepted>>,
) {
    let mut next = 0;
    loop {
        let accepted = tokio::select! {
            changed = calls.changed() => {
                if changed.is_err() || calls.borrow().phase != Phase::Serving {
                    return;
                }
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        let (socket, peer) = match accepted.and_then(|(socket, peer)| Ok((socket.into_std()?, peer))) {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely: others keep being served, and this will pass.
                if tcp::may_log(&link) {
                    tracing::warn!(link = link.name, %error, "a connection cannot be accepted");
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // Who is refused is closed here, before a byte of it is read.
        let Ok(place) = link.admit(peer) else { continue };
        let handed = Accepted::new(socket, place, surroundings.clone());
        let worker = &workers[next % workers.len()];
        next += 1;
        if worker.send(handed).await.is_err() {
            return;
        }
    }
}

/// Sockets that may wait for a worker that is busy.
const ACCEPTED_WAITING: usize = 1024;

/// Workers, and what hands them sockets.
pub type Workers = (Vec<mpsc::Sender<Accepted>>, Vec<JoinHandle<()>>);

/// Starts threads that each run one event loop, and serve the sockets that they are given from then on. Each goes on
/// looking at them for `busy` after something came before it sleeps.
///
/// # Errors
/// A thread cannot be started.
pub fn spawn_workers(count: usize, busy: Duration) -> io::Result<Workers> {
    let (mut senders, mut workers) = (Vec::new(), Vec::new());
    for n in 0..count.max(1) {
        let (sender, mut accepted) = mpsc::channel::<Accepted>(ACCEPTED_WAITING);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let work = move || {
            runtime.block_on(async move {
                if !busy.is_zero() {
                    tokio::spawn(busy_poll::run(busy));
                }
                while let Some(Accepted { socket, place, surroundings }) = accepted.recv().await {
                    match tokio::net::TcpStream::from_std(socket) {
                        Ok(socket) => drop(tokio::spawn(tcp::serve(socket, place, surroundings))),
                        Err(error) => {
                            tracing::warn!(link = place.link.name, %error, "a socket cannot be served");
                        }
                    }
                }
            });
        };
        workers.push(std::thread::Builder::new().name(format!("worker-{n}")).spawn(work)?);
        senders.push(sender);
    }
    Ok((senders, workers))
}
