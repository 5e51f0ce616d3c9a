//! Memory that a message will need, asked for before its turn.
//!
//! A message reads a directory entry, a card, a wallet and an index line, each found through the one before it. Done
//! for several messages at a time, stage by stage, the waits for memory overlap. Nothing is decided here and nothing
//! is kept: the decision looks everything up again, under its lock.

use crate::dialect::inbound::Inbound;
use crate::domain::card::CardIdentity;
use crate::domain::card::Pan;
use crate::domain::request::MessageKey;
use crate::ledger::chain::REVERSAL_CLASS;
use crate::ledger::chain::advice_class;
use crate::ledger::chain::fingerprint;
use crate::ledger::directory::Location;
use crate::ledger::directory::PanHash;

use super::core::Pipeline;

/// How many messages are looked up together: a core has about so many loads under way at a time.
pub(super) const AHEAD: usize = 8;

/// What one message will need.
#[derive(Clone, Copy)]
pub(super) struct Need<'m> {
    pan: Pan,
    key: &'m MessageKey,
    class: u8,
    hash: PanHash,
    location: Option<Location>,
}

impl<'m> Need<'m> {
    /// What a message will need, and the first of it asked for; `None` for one that is about no card.
    pub(super) fn of(inbound: &'m Inbound, pipeline: &Pipeline) -> Option<Self> {
        let (pan, key, class) = match inbound {
            Inbound::Authorization(request) => (request.pan, &request.key, request.class as u8),
            Inbound::Reversal(reversal) => (reversal.pan, &reversal.key, REVERSAL_CLASS),
            Inbound::Advice(advice) => (advice.pan, &advice.key, advice_class(advice.class)),
            _ => return None,
        };
        let hash = PanHash::of(pan, pipeline.seed);
        pipeline.directory.prefetch(hash);
        Some(Self { pan, key, class, hash, location: None })
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
            }
        }
        for need in needs.iter().flatten() {
            if let Some(Location { slot, card }) = need.location
                && let Some(shard) = self.shards[self.layout.shard_of(slot)].try_lock()
                && let Some(card) = shard.card_at(card, need.pan)
            {
                shard.prefetch_wallet(card);
                let identity = CardIdentity::Known(card.reference);
                shard.prefetch_message(fingerprint(need.key, need.class, identity, shard.seed()));
            }
        }
    }
}
