//! Network management on one socket, and the state of the link that all its sockets share.

use crate::domain::action::ActionCode;
use crate::domain::request::NetworkManagement;
use crate::domain::request::Stan;
use crate::domain::request::network_management_outcome;

/// What is known of a link, whichever of its sockets said it (R23).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LinkState {
    /// The peer has signed on and not signed off since.
    pub signed_on: bool,
    /// How often the peer has signed on.
    pub sign_ons: u64,
    /// How often the peer has signed off.
    pub sign_offs: u64,
}

impl LinkState {
    /// Carries out what the peer asks of the link, and says how it is answered.
    pub const fn carry_out(&mut self, what: NetworkManagement) -> ActionCode {
        match what {
            NetworkManagement::SignOn => {
                self.signed_on = true;
                self.sign_ons += 1;
            }
            NetworkManagement::SignOff => {
                self.signed_on = false;
                self.sign_offs += 1;
            }
            NetworkManagement::Echo | NetworkManagement::Unsupported(_) => {}
        }
        network_management_outcome(what)
    }
}

/// One request of ours that the peer has not answered yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Outstanding {
    stan: Stan,
    what: NetworkManagement,
}

/// What one socket has going.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    /// Our own requests on this socket, oldest first. At most one of each kind is outstanding.
    outstanding: Vec<Outstanding>,
    next_stan: u32,
    sign_off_answered: bool,
}

impl Default for Session {
    fn default() -> Self {
        Self { outstanding: Vec::with_capacity(4), next_stan: 1, sign_off_answered: false }
    }
}

impl Session {
    /// The trace number of a request of ours, which is outstanding from now on; `None` when one like it is already.
    pub fn ask(&mut self, what: NetworkManagement) -> Option<Stan> {
        if self.outstanding.iter().any(|asked| asked.what == what) {
            return None;
        }
        let stan = Stan(self.next_stan);
        self.next_stan = self.next_stan % 999_999 + 1;
        self.outstanding.push(Outstanding { stan, what });
        Some(stan)
    }

    /// Takes a response of the peer. Returns what it answers; `None` when nothing was asked under that number.
    pub fn answered(&mut self, stan: Stan) -> Option<NetworkManagement> {
        let at = self.outstanding.iter().position(|asked| asked.stan == stan)?;
        let what = self.outstanding.remove(at).what;
        self.sign_off_answered |= what == NetworkManagement::SignOff;
        Some(what)
    }

    /// Whether the peer has acknowledged that we sign off (R26).
    #[must_use]
    pub const fn sign_off_is_answered(&self) -> bool {
        self.sign_off_answered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r23_sign_on_belongs_to_the_link() {
        let mut link = LinkState::default();
        let table = [
            (NetworkManagement::Echo, ActionCode::Approved, false),
            (NetworkManagement::SignOn, ActionCode::Approved, true),
            (NetworkManagement::Unsupported(161), ActionCode::InvalidTransaction, true),
            (NetworkManagement::SignOff, ActionCode::Approved, false),
        ];
        for (what, outcome, signed_on) in table {
            assert_eq!(link.carry_out(what), outcome);
            assert_eq!(link.signed_on, signed_on);
        }
    }

    #[test]
    fn r26_our_sign_off_is_matched_with_its_answer() {
        let mut session = Session::default();
        let stan = session.ask(NetworkManagement::SignOff).expect("nothing is outstanding");
        assert_eq!(session.ask(NetworkManagement::SignOff), None);
        assert_eq!(session.answered(Stan(stan.0 + 1)), None);
        assert!(!session.sign_off_is_answered());
        assert_eq!(session.answered(stan), Some(NetworkManagement::SignOff));
        assert!(session.sign_off_is_answered());
        assert_eq!(session.answered(stan), None);
    }
}
