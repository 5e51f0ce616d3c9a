//! Which closed authorizations that are no longer in memory a message may be about: the same keys as in
//! [`super::chain`], asked of one that is on no list.

use crate::domain::request::Advice;
use crate::domain::request::MessageKey;
use crate::domain::request::ReversalRequest;

use super::authorization::Authorization;
use super::authorization::AuthorizationState;
use super::chain::REVERSAL_CLASS;
use super::chain::Search;
use super::chain::is_named;
use super::chain::names_message;
use super::chain::network_bits;
use super::shard::Shard;

impl Shard {
    /// Whether a reversal on its card may undo it or another one of its purchase, or repeats what it is the trace of. A
    /// tombstone is of no use to it: it has left one by itself.
    #[must_use]
    pub fn may_be_reversed_by(&self, older: &Authorization, reversal: &ReversalRequest) -> bool {
        let key = &reversal.key;
        if older.network != network_bits(key) {
            return false;
        }
        match older.state {
            AuthorizationState::Tombstone => false,
            AuthorizationState::Cut => is_of_message(older, key) && older.digit() == REVERSAL_CLASS,
            _ => is_named(older, key) || self.strength(older, &Search::of_reversal(reversal)).is_some(),
        }
    }

    /// Whether an advice on its card may be about it or another one of its purchase, or comes after it in another way.
    #[must_use]
    pub fn may_be_advised_by(&self, older: &Authorization, advice: &Advice) -> bool {
        let key = &advice.key;
        if older.network != network_bits(key) {
            return false;
        }
        match older.state {
            AuthorizationState::Tombstone => is_named(older, key) || names_message(older, key),
            AuthorizationState::Cut => false,
            _ => {
                is_named(older, key)
                    || is_of_message(older, key)
                    || self.strength(older, &Search::of_advice(advice)).is_some()
            }
        }
    }
}

/// Whether it was made by the message with this key.
fn is_of_message(older: &Authorization, key: &MessageKey) -> bool {
    older.stan == key.stan.0 && older.rrn == key.rrn.0 && older.acquirer == key.acquirer.0
}
