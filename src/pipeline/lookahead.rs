//! Memory that a message will need, asked for before its turn.
//!
//! A message reads a directory entry, a card, a wallet, an index line and what stands on its lists, each found through
//! the one before it; and what it closes has the oldest of its slot leave, with lines of its own. Done for several
//! messages at a time, stage by stage, the waits for memory overlap. Nothing is decided here and nothing is kept: the
//! decision looks everything up again, under its lock.

use crate::dialect::inbound::Inbound;
use crate::domain::card::CardIdentity;
use crate::domain::card::Pan;
use crate::domain::request::MessageKey;
use crate::ledger::chain::advice_class;
use crate::ledger::chain::fingerprint;
use crate::ledger::directory::Location;
use crate::ledger::directory::PanHash;
use crate::ledger::lookahead::Ahead;

use super::core::Pipeline;

/// How many messages are looked up together: a core has about so many loads under way at a time.
pub(super) const AHEAD: usize = 16;

/// What one message will need.
#[derive(Clone, Copy)]
pub(super) struct Need<'m> {
    pan: Pan,
    key: &'m MessageKey,
    kind: Kind,
    hash: PanHash,
    location: Option<Location>,
    ahead: Ahead,
}

/// What a message looks for.
#[derive(Clone, Copy)]
enum Kind {
    /// Its first, by the class that it has in the index; nothing of its card's but that.
    Request(u8),
    /// Its original, on its card.
    Reversal,
    /// Both.
    Advice(u8),
}

impl<'m> Need<'m> {
    /// What a message will need, and the first of it asked for; `None` for one that is about no card.
    pub(super) fn of(inbound: &'m Inbound, pipeline: &Pipeline) -> Option<Self> {
        let (pan, key, kind) = match inbound {
            Inbound::Authorization(request) => {
                (request.pan, &request.key, Kind::Request(request.class as u8))
            }
            Inbound::Reversal(reversal) => (reversal.pan, &reversal.key, Kind::Reversal),
            Inbound::Advice(advice) => (advice.pan, &advice.key, Kind::Advice(advice_class(advice.class))),
            _ => return None,
        };
        let hash = PanHash::of(pan, pipeline.seed);
        pipeline.directory.prefetch(hash);
        Some(Self { pan, key, kind, hash, location: None, ahead: Ahead::default() })
    }

    /// Its class in the index, if that is what it is looked for by.
    const fn class(&self) -> Option<u8> {
        match self.kind {
            Kind::Request(class) | Kind::Advice(class) => Some(class),
            Kind::Reversal => None,
        }
    }

    /// Whether it is about something that is open, and closes it.
    const fn closes(&self) -> bool {
        !matches!(self.kind, Kind::Request(_))
    }
}

impl Pipeline {
    /// Asks for what the messages will need, stage by stage. A shard that is busy is passed by.
    pub(super) fn look_ahead(&self, needs: &mut [Option<Need<'_>>]) {
        for need in needs.iter_mut().flatten() {
            // A chance match of the hash asks for a line in vain; the decision itself compares the whole number.
            need.location = self.directory.candidate(need.hash, 0).map(|(location, _)| location);
            if let Some(Location { slot, card }) = need.location
                && let Some(shard) = self.shards[self.layout.shard_of(slot)].try_lock()
            {
                shard.prefetch_card(card);
                need.ahead.leaves = shard.ask_for_oldest(slot, need.closes());
            }
        }
        for need in needs.iter_mut().flatten() {
            if let Some(Location { slot, card }) = need.location
                && let Some(shard) = self.shards[self.layout.shard_of(slot)].try_lock()
                && let Some(card) = shard.card_at(card, need.pan)
            {
                if let Some(class) = need.class() {
                    let identity = CardIdentity::Known(card.reference);
                    shard.prefetch_message(fingerprint(need.key, class, identity, shard.seed()));
                }
                shard.ask_for_owned(card, need.closes(), &mut need.ahead);
            }
        }
        for need in needs.iter().flatten().filter(|need| need.closes()) {
            if let Some(Location { slot, .. }) = need.location
                && let Some(shard) = self.shards[self.layout.shard_of(slot)].try_lock()
            {
                shard.ask_for_lists(&need.ahead);
            }
        }
    }
}
