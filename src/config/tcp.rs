//! The keys of `[links.NAME]` for what the system itself does on a socket: it finds out that a peer is gone, and keeps
//! what was not read yet.

use core::time::Duration;

use crate::config;
use crate::settings::Section;

/// What the system does on its own on a link's sockets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TcpSettings {
    /// When the peer is asked whether it is still there; `None` for never.
    pub keep_alive: Option<KeepAlive>,
    /// How long bytes of ours may stay unacknowledged; `None` for as long as the system thinks right. Where keep-alive
    /// is on it is no shorter than [`KeepAlive::whole`]: Linux ends its probes by this time too.
    pub user_timeout: Option<Duration>,
    /// Bytes that the system keeps of what a socket has not read yet (SO_RCVBUF); `None` for as many as it thinks
    /// right. It no longer grows with the round trip then, so that a far peer's rate is bounded by it.
    pub receive_buffer: Option<usize>,
}

/// Probes of a peer that says nothing (SO_KEEPALIVE).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeepAlive {
    /// Silence before the first probe (TCP_KEEPIDLE).
    pub after: Duration,
    /// Time between probes (TCP_KEEPINTVL).
    pub interval: Duration,
    /// Probes without an answer that end the connection (TCP_KEEPCNT).
    pub probes: u32,
}

impl KeepAlive {
    /// How long a peer that is gone goes unnoticed while nothing is sent to it.
    #[must_use]
    pub const fn whole(&self) -> Duration {
        self.after.saturating_add(self.interval.saturating_mul(self.probes))
    }
}

impl TcpSettings {
    pub(super) fn read(section: &Section<'_>) -> Self {
        // The most that Linux takes, where it says so.
        let seconds = |key, range, default| Duration::from_secs(section.integer_or(key, range, default));
        let keep_alive = KeepAlive {
            after: seconds("tcp_keep_alive_s", 0..=32_767, 30),
            interval: seconds("tcp_keep_alive_interval_s", 1..=32_767, 10),
            probes: config::integer_or(section, "tcp_keep_alive_probes", 1..=127, 3),
        };
        let keep_alive = Some(keep_alive).filter(|keep_alive| !keep_alive.after.is_zero());
        let whole = keep_alive.as_ref().map_or(Duration::ZERO, KeepAlive::whole);
        let user_timeout = seconds("tcp_user_timeout_s", 0..=86_400, whole.as_secs());
        if !user_timeout.is_zero() && user_timeout < whole {
            let message = format!("shorter than the keep-alive, which gives up after {} s", whole.as_secs());
            section.report_at("tcp_user_timeout_s", message);
        }
        let receive_buffer_kib = section.integer_or("receive_buffer_kib", 0..=65_536, 128) as usize;
        Self {
            keep_alive,
            user_timeout: Some(user_timeout).filter(|timeout| !timeout.is_zero()),
            receive_buffer: Some(receive_buffer_kib << 10).filter(|bytes| *bytes > 0),
        }
    }
}
