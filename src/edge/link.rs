//! One link as the daemon runs it: its session, its sockets, their limits, and who may connect.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Weak;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::sync::watch;

use crate::config::link::LinkSettings;
use crate::config::peers::Network;
use crate::config::tcp::TcpSettings;
use crate::dialect::Dialect;
use crate::domain::request::NetworkManagement;
use crate::domain::request::Scope;
use crate::domain::time::Timestamp;
use crate::edge::clock;
use crate::edge::tcp;
use crate::edge::telemetry::LineBudget;
use crate::edge::telemetry::LinkMetrics;
use crate::link::state::Happening;
use crate::link::state::Settings;
use crate::link::state::SocketId;
use crate::pipeline::channel::ChannelSettings;
use crate::pipeline::notice::Reason;
use crate::pipeline::notice::Rejection;
use crate::pipeline::station::Station;

/// How often timers are looked at, unless a shorter one asks for more.
const TICK: Duration = Duration::from_millis(250);
/// And never more often than this.
const TICK_MIN: Duration = Duration::from_millis(10);

/// Where the daemon is in its life, for every socket to see.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Requests are served.
    Serving,
    /// We sign off, and go on answering until it is quiet (R26).
    Draining,
    /// Sockets are closed.
    Closing,
}

/// What wakes the sockets of a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Call {
    /// The daemon's phase.
    pub phase: Phase,
    /// Rises when the session may have something to ask on any socket.
    rings: u64,
}

/// Limits of one link's sockets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SocketLimits {
    /// Who may connect; `None` is anybody.
    pub allow: Option<Vec<Network>>,
    /// Sockets at once.
    pub connections_max: usize,
    /// Sockets of one address at once.
    pub connections_per_peer_max: usize,
    /// A peer that we have connected must say something within this time; `None` for never.
    pub first_byte: Option<Duration>,
    /// A peer may be silent for this long; `None` for ever.
    pub idle: Option<Duration>,
    /// A frame must be complete this long after its first byte.
    pub partial_frame: Duration,
    /// A peer must take an answer within this time.
    pub write: Duration,
    /// While draining: how long it must be quiet after the sign-off was acknowledged.
    pub drain_quiet: Duration,
    /// What the system does by itself.
    pub tcp: TcpSettings,
    /// How often timers are looked at.
    pub tick: Duration,
}

impl SocketLimits {
    /// A link's limits.
    #[must_use]
    pub fn of(link: &LinkSettings, drain_quiet_ms: u64) -> Self {
        let session = &link.session;
        let timers = [
            Some(link.partial_frame_ms),
            Some(session.network_timeout_ms),
            Some(session.sign_on_pause_ms),
            session.echo_ms,
        ];
        let shortest = Duration::from_millis(timers.into_iter().flatten().min().unwrap_or(u64::MAX));
        Self {
            allow: link.allow.clone(),
            connections_max: link.connections_max as usize,
            connections_per_peer_max: link.connections_per_peer_max as usize,
            first_byte: link.dial.as_ref().and_then(|dial| dial.first_byte),
            idle: link.idle_s.map(Duration::from_secs),
            partial_frame: Duration::from_millis(link.partial_frame_ms),
            write: Duration::from_millis(link.write_timeout_ms),
            drain_quiet: Duration::from_millis(drain_quiet_ms),
            tcp: link.tcp,
            tick: (shortest / 4).clamp(TICK_MIN, TICK),
        }
    }
}

/// What a link's session goes by.
#[must_use]
pub fn session_settings(link: &LinkSettings, dialect: &Dialect) -> Settings {
    let session = &link.session;
    let can_ask = |what| dialect.can_ask(what, Scope::Link);
    Settings {
        sign_on: session.sign_on,
        scopes: session.scopes.clone(),
        stored_advices: session.stored_advices && can_ask(NetworkManagement::StoredAdvices),
        stop_stored_advices: can_ask(NetworkManagement::StoredAdvicesStop),
        decline_before_sign_on: session.decline_before_sign_on,
        answer_us: session.network_timeout_ms * 1_000,
        pause_us: session.sign_on_pause_ms * 1_000,
        echo_us: session.echo_ms.map(|ms| ms * 1_000),
        echo_misses: session.echo_misses,
        sign_off_on_drain: link.sign_off_on_drain,
    }
}

/// A socket that is open.
pub struct OpenSocket {
    /// The other end.
    pub peer: SocketAddr,
    /// Since when.
    pub since: Timestamp,
    /// Messages read.
    pub frames: AtomicU64,
}

/// A link with all that its sockets share.
pub struct LinkRuntime {
    /// Its name.
    pub name: String,
    /// Its dialect's name.
    pub dialect: String,
    /// We connect it.
    pub dialled: bool,
    /// How its messages are served.
    pub channel: Arc<ChannelSettings>,
    /// Limits.
    pub limits: SocketLimits,
    /// Who is signed on, and what we have asked.
    pub station: Arc<Station>,
    /// Metrics.
    pub metrics: Arc<LinkMetrics>,
    /// Sockets open now.
    open: Mutex<BTreeMap<SocketId, Arc<OpenSocket>>>,
    sockets: AtomicU64,
    /// Gone when the daemon is; its sockets then close.
    calls: Weak<watch::Sender<Call>>,
    /// What may be logged about the session, apart from what peers do otherwise.
    happenings: LineBudget,
    /// What may be logged about rejects: alarms that nothing else may crowd out.
    rejections: LineBudget,
}

/// What calls the sockets of a link, for whoever runs the daemon to hold.
pub struct Caller(Arc<watch::Sender<Call>>);

impl Caller {
    /// Tells every socket the daemon's phase.
    pub fn enter(&self, phase: Phase) {
        self.0.send_modify(|call| call.phase = phase);
    }
}

impl LinkRuntime {
    /// A link without a socket, and what calls its sockets.
    #[must_use]
    pub fn new(
        name: &str,
        dialect: &str,
        dialled: bool,
        channel: ChannelSettings,
        limits: SocketLimits,
        session: Settings,
        metrics: Arc<LinkMetrics>,
    ) -> (Arc<Self>, Caller) {
        let calls = Arc::new(watch::channel(Call { phase: Phase::Serving, rings: 0 }).0);
        let runtime = Self {
            name: name.to_owned(),
            dialect: dialect.to_owned(),
            dialled,
            channel: Arc::new(channel),
            limits,
            station: Arc::new(Station::new(session)),
            metrics,
            open: Mutex::default(),
            sockets: AtomicU64::new(0),
            calls: Arc::downgrade(&calls),
            happenings: LineBudget::default(),
            rejections: LineBudget::default(),
        };
        runtime.report();
        (Arc::new(runtime), Caller(calls))
    }

    /// What wakes a socket; `None` once the daemon is gone.
    #[must_use]
    pub fn calls(&self) -> Option<watch::Receiver<Call>> {
        self.calls.upgrade().map(|calls| calls.subscribe())
    }

    /// Lets every socket ask the session whether it has something to send.
    pub fn ring(&self) {
        if let Some(calls) = self.calls.upgrade() {
            calls.send_modify(|call| call.rings = call.rings.wrapping_add(1));
        }
    }

    /// The sockets that are open.
    #[must_use]
    pub fn open(&self) -> Vec<(SocketId, Arc<OpenSocket>)> {
        self.open.lock().iter().map(|(id, socket)| (*id, Arc::clone(socket))).collect()
    }

    /// How many sockets are open.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.open.lock().len()
    }

    /// Gives a new socket its place, or says why it gets none. Nothing of it was read yet.
    ///
    /// # Errors
    /// The limit that it is beyond.
    pub fn admit(self: &Arc<Self>, peer: SocketAddr) -> Result<Place, Reason> {
        let refusal = |reason| {
            self.metrics.count(reason);
            self.log_refusal(peer.ip(), reason);
            reason
        };
        let limits = &self.limits;
        let among = |networks: &Vec<Network>| networks.iter().any(|network| network.contains(peer.ip()));
        let allowed = limits.allow.as_ref().is_none_or(among);
        if !allowed {
            return Err(refusal(Reason::PeerNotAllowed));
        }
        let mut open = self.open.lock();
        if open.len() >= limits.connections_max {
            return Err(refusal(Reason::TooManyConnections));
        }
        let of_peer = open.values().filter(|other| other.peer.ip() == peer.ip()).count();
        if of_peer >= limits.connections_per_peer_max {
            return Err(refusal(Reason::TooManyFromPeer));
        }
        let id = SocketId(self.sockets.fetch_add(1, Ordering::Relaxed) + 1);
        let socket = Arc::new(OpenSocket { peer, since: clock::wall(), frames: AtomicU64::new(0) });
        open.insert(id, Arc::clone(&socket));
        self.metrics.connections.set(open.len() as f64);
        drop(open);
        Ok(Place { link: Arc::clone(self), id, socket, gone: None })
    }

    fn log_refusal(&self, peer: IpAddr, reason: Reason) {
        if tcp::may_log(self) {
            tracing::warn!(link = self.name, %peer, reason = reason.name(), "a connection is refused");
        }
    }

    /// Counts a message of ours that the network did not take, by its code, and raises the alarm (R24).
    pub fn rejected(&self, peer: SocketAddr, rejection: &Rejection) {
        let Rejection { code, mti, stan, answer } = *rejection;
        self.metrics.add_reject(code);
        let Some(left_out) = self.rejections.take(clock::wall()) else { return };
        let link = self.name.as_str();
        if left_out > 0 {
            tracing::error!(link, left_out, "lines about rejects were left out; the counters have all");
        }
        let mti = format!("{mti:04}");
        let stan = stan.map(|stan| format!("{:06}", stan.0)).unwrap_or_default();
        tracing::error!(
            link, %peer, %code, mti, stan, answer, "the network has rejected a message of ours"
        );
    }

    /// Brings log and metrics up to the session's state. Under its lock, so that the later one has the last word.
    pub fn report(&self) {
        self.station.with(|session| {
            self.metrics.show(session);
            for happening in session.take_happenings() {
                if let Some(left_out) = self.happenings.take(clock::wall()) {
                    if left_out > 0 {
                        tracing::warn!(link = self.name, left_out, "lines about the link were left out");
                    }
                    self.log(happening);
                }
            }
        });
    }

    fn log(&self, happening: Happening) {
        let link = self.name.as_str();
        let text = |code: [u8; 2]| code.escape_ascii().to_string();
        match happening {
            Happening::PeerSignedOn(scope) => tracing::info!(link, ?scope, "the peer has signed on"),
            Happening::PeerSignedOff(scope) => tracing::info!(link, ?scope, "the peer has signed off"),
            Happening::SignedOn => tracing::info!(link, "signed on"),
            Happening::SignedOff => tracing::info!(link, "signed off"),
            Happening::Refused(what, code) => {
                tracing::warn!(link, ?what, response_code = text(code), "refused by the peer");
            }
            Happening::NotAnswered(what) => tracing::warn!(link, ?what, "not answered in time"),
            Happening::AdvicesEnded => tracing::info!(link, "the peer has no more stored advices"),
            Happening::Lost => tracing::warn!(link, "lost: no socket is left"),
            Happening::Returned => tracing::info!(link, "returned: there is a socket again"),
        }
    }
}

/// The place of one socket among those of its link. It is free again when this is dropped.
pub struct Place {
    /// The link.
    pub link: Arc<LinkRuntime>,
    /// The socket's name in the session.
    pub id: SocketId,
    /// What is shown of it.
    pub socket: Arc<OpenSocket>,
    /// Whoever has connected it learns by this that it is gone.
    pub gone: Option<oneshot::Sender<()>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.link.open.lock();
        open.remove(&self.id);
        self.link.metrics.connections.set(open.len() as f64);
        drop(open);
        let again = self.link.station.with(|session| session.down(self.id));
        self.link.report();
        if again {
            self.link.ring();
        }
    }
}
