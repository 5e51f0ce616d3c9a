//! A socket's messages that are not ours: which they are, and what its channel does about them.

use std::sync::Arc;

use crate::dialect::inbound::Inbound;
use crate::dialect::inbound::Received;
use crate::dialect::inbound::Reject;
use crate::dialect::inbound::Response;
use crate::domain::request::AuthorizationRequest;
use crate::domain::request::ReversalRequest;
use crate::pipeline::channel::Batch;
use crate::pipeline::channel::Channel;
use crate::pipeline::core::Outcome;
use crate::pipeline::notice::Reason;
use crate::pipeline::recall::Told;
use crate::switch::route::Asked;
use crate::switch::route::Group;
use crate::switch::route::LinkIndex;
use crate::switch::route::Table;
use crate::switch::route::Target;

use super::Switchboard;
use super::forward::Asking;
use super::forward::Forwarding;
use super::outbox::Outbox;

/// Where a socket stands in the switch.
#[derive(Debug)]
pub struct Home {
    board: Arc<Switchboard>,
    index: LinkIndex,
    outbox: Arc<Outbox>,
    /// The table that was in force when it was last looked at.
    table: Arc<Table>,
    version: u64,
}

impl Home {
    /// A socket of this link.
    #[must_use]
    pub fn new(board: Arc<Switchboard>, index: LinkIndex, outbox: Arc<Outbox>) -> Self {
        let (version, table) = (board.version(), board.table());
        Self { board, index, outbox, table, version }
    }

    /// Takes over the table in force.
    pub(in crate::pipeline) fn look(&mut self) {
        let version = self.board.version();
        if version != self.version {
            (self.version, self.table) = (version, self.board.table());
        }
    }

    /// The peer has answered network management on this socket.
    pub(in crate::pipeline) fn is_proven(&self) {
        self.outbox.is_proven();
    }

    fn group(&self, asked: &Asked) -> Option<&Group> {
        match &self.table.find(asked)?.target {
            Target::Ledger => None,
            Target::Group(group) => Some(group),
        }
    }
}

impl Channel {
    /// Does what is to be done about a message that is not ours. False when it is.
    pub(in crate::pipeline) fn elsewhere(
        &mut self,
        batch: &Batch<'_>,
        message: &Received<'_>,
        out: &mut Vec<u8>,
    ) -> bool {
        match &message.inbound {
            Inbound::Authorization(request) => self.goes_on(batch, message, request, out),
            Inbound::Reversal(reversal) => self.is_stored(batch, message, &Told::Reversal(*reversal), out),
            Inbound::Advice(advice) => self.is_stored(batch, message, &Told::Advice(*advice), out),
            Inbound::Response(response) if response.mti != 810 => self.comes_back(batch, message, response),
            Inbound::Undelivered(Some(what)) if self.is_undone(batch, what) => {
                self.note(Reason::Undelivered, None, Some(message.view.mti()));
                true
            }
            Inbound::Reject(Reject { answer: Some(what), .. }) => {
                // The answer that did not arrive was somebody else's; the reject itself is told of in any case.
                let _ours = self.is_undone(batch, what);
                false
            }
            _ => false,
        }
    }

    /// Forwards a request that is not ours. False when it is.
    fn goes_on(
        &mut self,
        batch: &Batch<'_>,
        message: &Received<'_>,
        request: &AuthorizationRequest,
        out: &mut Vec<u8>,
    ) -> bool {
        let Some(home) = &self.home else { return false };
        let group = home.group(&Asked::of_request(request));
        // What is for the ledger now may have been for somebody else when it came first.
        let elsewhere = || home.board.has_changed() || home.table.leads_elsewhere(request.pan);
        if group.is_none() && !elsewhere() {
            return false;
        }
        let from = (home.index, &home.outbox);
        let (settings, received, now) = (batch.settings, batch.received, batch.now);
        let new = !batch.seat.station.refuses_requests();
        let asking = Asking { message, request, from, settings, received, now, new };
        let forwarding = batch.pipeline.forward(&home.board, &home.table, group, &asking);
        let Some(forwarding) = forwarding else { return false };
        if !new {
            self.tally.drop_for(Reason::NotSignedOn);
        }
        if let Forwarding::Here(outcome) = forwarding {
            self.acknowledge(batch, message, outcome, out);
        }
        true
    }

    /// Stores a reversal or an advice about what is not ours. False when it is about what is.
    fn is_stored(
        &mut self,
        batch: &Batch<'_>,
        message: &Received<'_>,
        told: &Told,
        out: &mut Vec<u8>,
    ) -> bool {
        let Some(home) = &self.home else { return false };
        let asked = match told {
            Told::Reversal(reversal) => Asked::of_reversal(reversal),
            Told::Advice(advice) => Asked::of_advice(advice),
        };
        // Whatever the table says of it now: what it is about may have gone elsewhere.
        let group = home.group(&asked);
        let mut outcome = Outcome::Silence;
        if self.has_room(batch) {
            let stored = batch.pipeline.store(&home.board, group, home.index, told, Some(message), batch.now);
            let Some(stored) = stored else { return false };
            outcome = stored;
        }
        self.acknowledge(batch, message, outcome, out);
        true
    }

    /// An answer of ours did not arrive: what somebody else has approved is reversed there (R4). False when it was
    /// ours.
    fn is_undone(&self, batch: &Batch<'_>, what: &ReversalRequest) -> bool {
        let Some(home) = &self.home else { return false };
        let group = home.group(&Asked::of_reversal(what));
        let told = Told::Reversal(*what);
        batch.pipeline.store(&home.board, group, home.index, &told, None, batch.now).is_some()
    }

    /// Takes an answer to something that was forwarded or stored.
    fn comes_back(&mut self, batch: &Batch<'_>, message: &Received<'_>, response: &Response) -> bool {
        let Some(home) = &self.home else { return false };
        let from = (home.index, &*home.outbox);
        if !batch.pipeline.answered(&home.board, from, message, response, batch.now) {
            self.note(Reason::UnmatchedResponse, None, Some(response.mti));
        }
        true
    }
}
