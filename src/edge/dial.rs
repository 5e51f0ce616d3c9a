//! Links that connect: sockets that are made, and made again for as long as the daemon serves.
//!
//! Each place for a socket has a task that never gives up: no error ends it, attempts come slower and slower up to a
//! bound, and by chance a little earlier or later, so that after a party has been away not everybody is back at once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use tokio::net::TcpSocket;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::sync::watch;

use crate::config::dial::DialSettings;
use crate::edge::clock;
use crate::edge::link::Call;
use crate::edge::link::LinkRuntime;
use crate::edge::link::Phase;
use crate::edge::listen::Accepted;
use crate::edge::tcp;
use crate::edge::tcp::Surroundings;

/// A socket that has lasted so long was good: the next attempt after it comes soon.
const LASTED: Duration = Duration::from_secs(10);

/// Keeps one socket to an address until the daemon drains.
pub async fn keep_connected(
    link: Arc<LinkRuntime>,
    address: SocketAddr,
    settings: DialSettings,
    mut calls: watch::Receiver<Call>,
    surroundings: Surroundings,
    worker: mpsc::Sender<Accepted>,
) {
    let mut pause = settings.again.0;
    loop {
        if calls.borrow_and_update().phase != Phase::Serving {
            return;
        }
        let began = Instant::now();
        let connected = tokio::select! {
            connected = connect(&link, address, settings.timeout) => connected,
            () = not_serving(&mut calls) => return,
        };
        match connected.and_then(TcpStream::into_std) {
            Ok(socket) => {
                let Ok(mut place) = link.admit(address) else {
                    wait(&mut calls, pause).await;
                    continue;
                };
                let (gone, was_lost) = oneshot::channel();
                place.gone = Some(gone);
                tracing::info!(link = link.name, %address, "connected");
                let handed = Accepted::new(socket, place, surroundings.clone());
                if worker.send(handed).await.is_err() {
                    return;
                }
                let _dropped = was_lost.await;
                if began.elapsed() >= LASTED {
                    pause = settings.again.0;
                }
            }
            Err(error) if tcp::may_log(&link) => {
                tracing::warn!(link = link.name, %address, %error, "cannot connect");
            }
            Err(_) => {}
        }
        wait(&mut calls, jittered(pause)).await;
        pause = (pause * 2).min(settings.again.1);
    }
}

async fn connect(link: &LinkRuntime, address: SocketAddr, limit: Duration) -> std::io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    tcp::bound_unread(&socket, &link.limits.tcp)?;
    match tokio::time::timeout(limit, socket.connect(address)).await {
        Ok(connected) => connected,
        Err(_) => Err(std::io::ErrorKind::TimedOut.into()),
    }
}

/// Ends once the daemon no longer serves.
async fn not_serving(calls: &mut watch::Receiver<Call>) {
    let _gone = calls.wait_for(|call| call.phase != Phase::Serving).await;
}

async fn wait(calls: &mut watch::Receiver<Call>, pause: Duration) {
    tokio::select! {
        () = tokio::time::sleep(pause) => {}
        () = not_serving(calls) => {}
    }
}

/// Between three and five quarters of a time. The low bits of a clock of nanoseconds are chance enough for that.
pub(super) fn jittered(pause: Duration) -> Duration {
    let chance = (clock::wall().0.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 57) as u32;
    pause * (192 + chance) / 256
}
