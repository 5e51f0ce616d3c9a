//! Where a simulated party is: it listens, or it connects, and connects again.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::task::spawn_local;

use crate::edge::dial::jittered;
use crate::edge::simulate::line::Party;
use crate::edge::simulate::line::converse;

/// Between two attempts: at first, and at most.
const AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));
/// A connection is made within this, or not at all.
const CONNECT: Duration = Duration::from_secs(5);
/// Out of file descriptors, most likely: this will pass.
const NO_ROOM: Duration = Duration::from_millis(100);

/// Where its sockets are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// It listens here.
    Listens(SocketAddr),
    /// It connects to these, each with so many sockets.
    Connects(Vec<SocketAddr>, u16),
}

impl Place {
    /// Opens it: sockets are served by tasks of their own from here on. Returns where it is, in words.
    ///
    /// # Errors
    /// It cannot listen there.
    pub(super) async fn open<P: Party + 'static>(&self, party: &Rc<P>) -> io::Result<String> {
        match self {
            Self::Listens(address) => {
                let listener = TcpListener::bind(address).await?;
                let here = format!("on {}", listener.local_addr()?);
                spawn_local(accept(Rc::clone(party), listener));
                Ok(here)
            }
            Self::Connects(addresses, sockets) => {
                for address in addresses {
                    for _ in 0..*sockets {
                        spawn_local(keep_connected(Rc::clone(party), *address));
                    }
                }
                let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
                Ok(format!("to {}", addresses.join(", ")))
            }
        }
    }
}

async fn accept<P: Party + 'static>(party: Rc<P>, listener: TcpListener) {
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            tokio::time::sleep(NO_ROOM).await;
            continue;
        };
        let party = Rc::clone(&party);
        spawn_local(async move { converse(&*party, socket).await });
    }
}

/// Keeps one socket to an address for as long as the party is there. Says so once when nobody listens.
async fn keep_connected<P: Party>(party: Rc<P>, address: SocketAddr) {
    let (mut pause, mut complained) = (AGAIN.0, false);
    loop {
        let connected = tokio::time::timeout(CONNECT, TcpStream::connect(address)).await;
        match connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            // It was good, and so the next may be.
            Ok(socket) => {
                if converse(&*party, socket).await {
                    (pause, complained) = (AGAIN.0, false);
                }
            }
            Err(error) => {
                if !complained {
                    eprintln!("simulate: {address}: {error}; trying again");
                }
                complained = true;
            }
        }
        tokio::time::sleep(jittered(pause)).await;
        pause = (pause * 2).min(AGAIN.1);
    }
}
