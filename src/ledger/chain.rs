//! Finding what a message is about: its first (R5), its original (R7), or the tombstone that waits for it (R4).

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::domain::card::CardIdentity;
use crate::domain::event::Sequence;
use crate::domain::money::Money;
use crate::domain::party::MerchantId;
use crate::domain::party::TerminalId;
use crate::domain::request::Advice;
use crate::domain::request::ApprovalCode;
use crate::domain::request::Legs;
use crate::domain::request::MessageClass;
use crate::domain::request::MessageKey;
use crate::domain::request::OriginalData;
use crate::domain::request::ReversalRequest;
use crate::domain::time::Timestamp;
use crate::domain::time::TransmissionTime;

use super::answers::Remembered;
use super::authorization::Authorization;
use super::authorization::AuthorizationState;
use super::authorization::LegState;
use super::authorization::undone_by;
use super::shard::Card;
use super::shard::Shard;
use super::slab::NONE;

/// Marks a position in the index of messages as one of an answer, not of an authorization.
pub(super) const ANSWER_BIT: u32 = 1 << 31;

/// The class digit under which reversals are kept apart from requests.
pub const REVERSAL_CLASS: u8 = 4;

/// The class digit under which advices are kept apart from the requests of their class.
#[must_use]
pub const fn advice_class(class: MessageClass) -> u8 {
    REVERSAL_CLASS + class as u8
}

/// What a message's first left behind.
#[derive(Clone, Copy, Debug)]
pub enum First<'s> {
    /// An authorization, open or closed.
    Authorization(&'s Authorization),
    /// An outcome that touched no account.
    Answer(&'s Remembered),
}

/// What the index of messages is searched by: a message's key (R5) and its card, as far as an authorization keeps
/// them. DE 7 is compared apart, since a repeat may carry another.
#[must_use]
pub fn fingerprint(key: &MessageKey, class: u8, card: CardIdentity, seed: u64) -> u64 {
    let terminal = terminal_bits(&key.terminal, seed);
    fingerprint_of(
        card_bits(card),
        key.acquirer.0,
        network_bits(key),
        key.stan.0,
        &key.rrn.0,
        terminal,
        class,
        seed,
    )
}

fn fingerprint_of(
    card: u64,
    acquirer: u64,
    network: u16,
    stan: u32,
    rrn: &[u8; 12],
    terminal: u32,
    class: u8,
    seed: u64,
) -> u64 {
    let mut bytes = [0; 39];
    bytes[..8].copy_from_slice(&card.to_le_bytes());
    bytes[8..16].copy_from_slice(&acquirer.to_le_bytes());
    bytes[16..18].copy_from_slice(&network.to_le_bytes());
    bytes[18..22].copy_from_slice(&stan.to_le_bytes());
    bytes[22..34].copy_from_slice(rrn);
    bytes[34..38].copy_from_slice(&terminal.to_le_bytes());
    bytes[38] = class;
    xxh3_64_with_seed(&bytes, seed)
}

/// A card as 64 bits; card references leave the highest bit clear.
const fn card_bits(card: CardIdentity) -> u64 {
    match card {
        CardIdentity::Known(reference) => reference.0,
        CardIdentity::Unknown(masked) => {
            let (first6, last4, digits) = masked.parts();
            1 << 63 | (first6 as u64) << 24 | (last4 as u64) << 8 | digits as u64
        }
    }
}

fn terminal_bits(terminal: &TerminalId, seed: u64) -> u32 {
    xxh3_64_with_seed(&terminal.0, seed) as u32
}

/// The low half of a network's number, as an authorization keeps it.
pub(super) const fn network_bits(key: &MessageKey) -> u16 {
    key.network.0 as u16
}

/// The original that a reversal names: DE 90, or without it the key that both share.
pub(super) struct Named {
    pub(super) stan: u32,
    pub(super) transmission: u32,
    pub(super) acquirer: u64,
    pub(super) class: u8,
}

impl Named {
    pub(super) fn by(key: &MessageKey, original: Option<&OriginalData>) -> Self {
        original.map_or(
            Self { stan: key.stan.0, transmission: 0, acquirer: key.acquirer.0, class: 0 },
            |original| Self {
                stan: original.stan.0,
                transmission: original.transmission.map_or(0, TransmissionTime::digits),
                acquirer: original.acquirer.0,
                class: original.class.map_or(0, |class| class as u8),
            },
        )
    }
}

/// What a message says of the authorization that it is about.
#[derive(Clone, Copy)]
pub(super) struct Search<'m> {
    key: &'m MessageKey,
    original: Option<OriginalData>,
    approval_code: Option<ApprovalCode>,
    amount: Money,
    /// A completion names another amount than what it completes, and a trace number of its own.
    completes: bool,
    /// DE 11 with DE 37 name it too, for messages that carry those of the request itself.
    by_trace: bool,
    /// The network's id alone does not name it: what adds to a purchase is another message of it.
    adds: bool,
    /// What it is about can only be of this class.
    class: Option<MessageClass>,
}

impl<'m> Search<'m> {
    pub(super) const fn of_reversal(reversal: &'m ReversalRequest) -> Self {
        Self {
            key: &reversal.key,
            original: reversal.original,
            approval_code: reversal.approval_code,
            amount: reversal.amount,
            completes: false,
            by_trace: false,
            adds: false,
            class: match reversal.original {
                Some(original) => original.class,
                None => None,
            },
        }
    }

    pub(super) fn of_advice(advice: &'m Advice) -> Self {
        // Without DE 90 it carries the request's own DE 11, DE 7 and DE 32.
        let completes = advice.completes;
        let own = OriginalData {
            class: (advice.class == MessageClass::Authorization).then_some(advice.class),
            stan: advice.key.stan,
            transmission: Some(advice.key.transmission),
            acquirer: advice.key.acquirer,
        };
        Self {
            key: &advice.key,
            original: advice.original.or(Some(own)),
            approval_code: advice.approval_code,
            amount: advice.amount,
            completes,
            by_trace: true,
            adds: advice.increment,
            class: None,
        }
    }
}

/// How strongly a message names an authorization (R7); greater is stronger.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Match {
    /// DE 37, DE 41 and DE 42.
    Reference,
    /// DE 38 and the currency, with the amount.
    ApprovalCode,
    /// DE 11 and DE 37.
    Trace,
    /// DE 90.
    OriginalData,
    /// The network's id of the transaction.
    NetworkReference,
    /// The network's id, and DE 90 or DE 11 with DE 37 name this leg.
    NetworkReferenceAndLeg,
}

impl Match {
    /// Whether it names one message, and not only its purchase.
    const fn names_leg(self) -> bool {
        !matches!(self, Self::NetworkReference)
    }

    /// The strongest that any authorization could be for the keys that a message has.
    const fn best_of(search: &Search<'_>) -> Self {
        if search.key.network_reference != 0 {
            Self::NetworkReferenceAndLeg
        } else if search.original.is_some() {
            Self::OriginalData
        } else if search.approval_code.is_some() {
            Self::ApprovalCode
        } else {
            Self::Reference
        }
    }
}

/// What a reversal undoes.
#[derive(Clone, Copy, Debug)]
pub struct Original<'s> {
    /// The authorization.
    pub authorization: &'s Authorization,
    /// The reversal names it, and not only the purchase that it is a part of.
    pub named: bool,
}

/// Which of equal matches a reversal is about; greater comes first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Claim {
    /// It has ended otherwise.
    Closed,
    /// It still holds, has posted, or pends.
    Open,
    /// The reversal is a repeat, and this one is undone as it says.
    Again,
}

impl Shard {
    /// The seed of the shard's hashes.
    #[must_use]
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    pub(super) fn terminal_bits(&self, key: &MessageKey) -> u32 {
        terminal_bits(&key.terminal, self.seed)
    }

    pub(super) fn fingerprint_of(&self, entry: &Authorization) -> u64 {
        self.fingerprint_on(self.cards.at(entry.card), entry)
    }

    /// What the index would find it by on this card.
    pub(super) fn fingerprint_on(&self, card: &Card, entry: &Authorization) -> u64 {
        let Authorization { acquirer, network, stan, rrn, terminal, .. } = entry;
        // A clearing record is known by others of its fields (R20); two formats need not agree in these.
        let (rrn, terminal) = if entry.is_clearing() { (&[b' '; 12], 0) } else { (rrn, *terminal) };
        fingerprint_of(card.reference.0, *acquirer, *network, *stan, rrn, terminal, entry.digit(), self.seed)
    }

    pub(super) fn terminal_print(&self, terminal: &TerminalId) -> u32 {
        terminal_bits(terminal, self.seed)
    }

    pub(super) fn merchant_print(&self, merchant: &MerchantId) -> u32 {
        xxh3_64_with_seed(&merchant.0, self.seed) as u32
    }

    pub(super) fn merchant_bits(&self, key: &MessageKey) -> u32 {
        self.merchant_print(&key.merchant)
    }

    /// The open authorizations of a card, newest first.
    pub(super) fn open_of(&self, card: &Card) -> impl Iterator<Item = (u32, &Authorization)> {
        self.list(card.open)
    }

    /// Where a card's authorization of this record is, open or closed.
    pub(super) fn position_on(&self, card: u32, authorization: Sequence) -> Option<u32> {
        let card = self.cards.at(card);
        let mut all = self.open_of(card).chain(self.closed_of(card));
        all.find(|(_, entry)| entry.sequence == authorization).map(|(position, _)| position)
    }

    /// The closed authorizations and the tombstones of a card, oldest first.
    pub(super) fn closed_of(&self, card: &Card) -> impl Iterator<Item = (u32, &Authorization)> {
        self.list(card.closed_oldest)
    }

    fn list(&self, first: u32) -> impl Iterator<Item = (u32, &Authorization)> {
        let mut position = first;
        std::iter::from_fn(move || {
            if position == NONE {
                return None;
            }
            let here = position;
            let authorization = self.authorizations.at(here);
            position = authorization.chain_next;
            Some((here, authorization))
        })
    }

    /// What the first of this message left behind: same key and same DE 7; if there is none and the MTI says repeat,
    /// the newest with the same key (R5). Answers older than the repeat window are not found (R6).
    #[must_use]
    pub fn first_of(
        &self,
        fingerprint: u64,
        key: &MessageKey,
        class: u8,
        repeat: bool,
        now: Timestamp,
    ) -> Option<First<'_>> {
        let (mut oldest, mut newest) = (None::<(Sequence, First<'_>)>, None::<(Sequence, First<'_>)>);
        // Several can have the same key: an advice may have opened an authorization for a request that we declined.
        let _none_is_it = self.messages.find(fingerprint, |position| {
            if let Some((sequence, transmission, first)) =
                self.is_first(position, fingerprint, key, class, now)
            {
                let same_time = transmission == key.transmission.digits();
                if same_time && oldest.is_none_or(|(known, _)| sequence < known) {
                    oldest = Some((sequence, first));
                } else if repeat && newest.is_none_or(|(known, _)| known < sequence) {
                    newest = Some((sequence, first));
                }
            }
            false
        });
        oldest.or(newest).map(|(_, first)| first)
    }

    /// What stands at a position of the index, if it is of a message with this key: its record, its DE 7, and itself.
    fn is_first(
        &self,
        position: u32,
        fingerprint: u64,
        key: &MessageKey,
        class: u8,
        now: Timestamp,
    ) -> Option<(Sequence, u32, First<'_>)> {
        if position & ANSWER_BIT != 0 {
            let answer = self.answers.at(position & !ANSWER_BIT);
            let due = u64::from(answer.answered_s) + u64::from(self.bounds.repeat_window_s);
            let same = answer.fingerprint == fingerprint && due >= now.seconds();
            return same.then_some((answer.sequence, answer.transmission, First::Answer(answer)));
        }
        let first = self.authorizations.at(position);
        let same = first.digit() == class
            && first.stan == key.stan.0
            && first.rrn == key.rrn.0
            && first.acquirer == key.acquirer.0
            && first.network == network_bits(key)
            && first.terminal == self.terminal_bits(key);
        same.then_some((first.sequence, first.transmission, First::Authorization(first)))
    }

    pub(super) fn tombstones<'s>(&'s self, card: &Card) -> impl Iterator<Item = &'s Authorization> {
        // Most cards have none, and then their chain is not walked at all.
        let chain = (card.tombstones > 0).then(|| self.closed_of(card));
        chain.into_iter().flatten().map(|(_, entry)| entry).filter(|entry| entry.declines_late_request())
    }

    /// What stands for this message before it came: tombstones that reversals left (R4), and postings that no hold was
    /// known for.
    pub fn tombstones_for<'s>(
        &'s self,
        card: &Card,
        key: &'s MessageKey,
        class: MessageClass,
    ) -> impl Iterator<Item = &'s Authorization> {
        self.tombstones(card).filter(move |entry| stands_for(entry, key, class))
    }

    /// The same for an advice. About an increment is only what names it (R17).
    pub fn tombstones_for_advice<'s>(
        &'s self,
        card: &Card,
        advice: &'s Advice,
    ) -> impl Iterator<Item = &'s Authorization> {
        let key = &advice.key;
        self.tombstones(card).filter(move |entry| match advice.increment {
            true => entry.network == network_bits(key) && names_message(entry, key),
            false => stands_for(entry, key, advice.class),
        })
    }

    /// The tombstone that this reversal, or another one of the same original, has left already.
    #[must_use]
    pub fn tombstone_of(&self, card: &Card, reversal: &ReversalRequest) -> Option<&Authorization> {
        let named = Named::by(&reversal.key, reversal.original.as_ref());
        self.tombstones(card).find(|entry| {
            entry.state == AuthorizationState::Tombstone
                && entry.network == network_bits(&reversal.key)
                && entry.network_reference == reversal.key.network_reference
                && entry.rrn == reversal.key.rrn.0
                && entry.stan == named.stan
                && entry.transmission == named.transmission
                && entry.acquirer == named.acquirer
                && entry.digit() == named.class
        })
    }

    /// The authorization that a reversal undoes (R7), and whether it names it and not only its purchase: the strongest
    /// match. Of equal ones a repeat takes the one that
    /// such a reversal has undone before, so that it never undoes a second; anything else an open one, since a closed
    /// one may be our answer, of which a time-out was told, and the open one what the network decided by itself; then
    /// the newest. An authorization whose network id differs from the reversal's never matches.
    #[must_use]
    pub fn original_of(&self, card: &Card, reversal: &ReversalRequest) -> Option<Original<'_>> {
        let search = Search::of_reversal(reversal);
        if !reversal.repeat {
            // Nothing can be a better match than the best that the reversal has keys for, and the newest comes first.
            let best = Match::best_of(&search);
            let found = self.open_of(card).find(|(_, entry)| self.strength(entry, &search) == Some(best));
            if let Some((_, authorization)) = found {
                return Some(Original { authorization, named: best.names_leg() });
            }
        }
        let again = |entry: &Authorization| reversal.repeat && entry.legs.has(undone_by(reversal.legs));
        let open = self.matches(self.open_of(card), &search);
        let closed = self.matches(self.closed_of(card), &search);
        let claim = |entry: &Authorization| match entry.state {
            AuthorizationState::Held | AuthorizationState::Pending | AuthorizationState::Posted => {
                Claim::Open
            }
            _ if again(entry) => Claim::Again,
            _ => Claim::Closed,
        };
        let rank = |strength: Match, entry: &Authorization| {
            // What posts comes after what it posted, where the reversal does not say which.
            (strength, strength.names_leg() || !entry.is_capture(), claim(entry), entry.sequence)
        };
        let ranked = open.chain(closed).map(|(strength, entry)| (rank(strength, entry), entry));
        let ((strength, ..), authorization) = ranked.max_by_key(|(rank, _)| *rank)?;
        let ours_alone = authorization.state == AuthorizationState::Reversed
            && authorization.legs.has(LegState::OURS_UNDONE)
            && !authorization.legs.has(LegState::BOTH_UNDONE);
        let advised = (ours_alone && reversal.legs == Legs::Both)
            .then(|| self.told_of_instead(card, &search, authorization))
            .flatten();
        Some(Original { authorization: advised.unwrap_or(authorization), named: strength.names_leg() })
    }

    /// What the network has approved by itself after our answer to this request was too late: its advice may have a
    /// name of its own, and what undoes both legs of the request is about that (R4).
    fn told_of_instead<'s>(
        &'s self,
        card: &Card,
        search: &Search<'_>,
        request: &Authorization,
    ) -> Option<&'s Authorization> {
        let all = self.matches(self.open_of(card), search).chain(self.matches(self.closed_of(card), search));
        let told = all.filter(|(_, entry)| {
            entry.legs.has(LegState::NETWORK_APPROVED)
                && !entry.is_capture()
                && entry.class() == request.class()
                && entry.sequence > request.sequence
                // The advice of another message of the purchase has another amount.
                && (entry.amount, entry.currency) == (request.amount, request.currency)
                && entry.rrn == request.rrn
        });
        told.map(|(_, entry)| entry).max_by_key(|entry| (entry.state.is_open(), entry.sequence))
    }

    /// The authorization whose outcome an advice sets: an open one before a closed one, then the strongest match. The
    /// network's id alone names the whole purchase: it is enough for a completion, never for an increment, and for
    /// anything else only with the same amount.
    #[must_use]
    pub fn advised_by(&self, card: &Card, advice: &Advice) -> Option<&Authorization> {
        let search = Search::of_advice(advice);
        let open = self.strongest(self.open_of(card), &search);
        let closed = || self.closed_of(card).filter(|(_, entry)| !entry.is_capture());
        open.or_else(|| self.strongest(closed(), &search)).map(|(_, entry)| entry)
    }

    /// The strongest match of a list; of equal ones the first request of a purchase before its increments, then the
    /// newest.
    fn strongest<'s>(
        &'s self,
        list: impl Iterator<Item = (u32, &'s Authorization)>,
        search: &Search<'_>,
    ) -> Option<(Match, &'s Authorization)> {
        let rank = |entry: &Authorization| (!entry.is_increment(), entry.sequence);
        self.matches(list, search).max_by_key(|(strength, entry)| (*strength, rank(entry)))
    }

    fn matches<'s>(
        &'s self,
        list: impl Iterator<Item = (u32, &'s Authorization)>,
        search: &Search<'_>,
    ) -> impl Iterator<Item = (Match, &'s Authorization)> {
        let authorizations = list.filter(|(_, entry)| entry.is_of_message());
        authorizations.filter_map(|(_, entry)| Some((self.strength(entry, search)?, entry)))
    }

    pub(super) fn strength(&self, authorization: &Authorization, search: &Search<'_>) -> Option<Match> {
        let key = search.key;
        if authorization.network != network_bits(key) {
            return None;
        }
        let by_original = search.original.is_some_and(|original| {
            original.stan.0 == authorization.stan
                && original.transmission.is_none_or(|time| time.digits() == authorization.transmission)
                && (original.acquirer.0 == 0 || original.acquirer.0 == authorization.acquirer)
                && original.class.is_none_or(|class| authorization.class() == Some(class))
        });
        let by_trace = authorization.stan == key.stan.0 && authorization.rrn == key.rrn.0;
        let same_amount = authorization.amount == search.amount.minor;
        if key.network_reference != 0 && authorization.network_reference != 0 {
            if key.network_reference != authorization.network_reference {
                return None;
            }
            if by_original || by_trace {
                return Some(Match::NetworkReferenceAndLeg);
            }
            // A reversal that names a message of another class is not about this one (R14).
            let other_class = search.class.is_some_and(|class| authorization.class() != Some(class));
            if other_class {
                return None;
            }
            // An advice about another leg of the same purchase must not overwrite this one.
            let whole = !search.by_trace || search.completes || same_amount && !search.adds;
            return whole.then_some(Match::NetworkReference);
        }
        if by_original {
            return Some(Match::OriginalData);
        }
        let same_acquirer = key.acquirer.0 == 0 || key.acquirer.0 == authorization.acquirer;
        if search.by_trace && by_trace && same_acquirer && !key.rrn.is_blank() {
            return Some(Match::Trace);
        }
        let same_currency = authorization.currency == search.amount.currency.numeric();
        let by_code = search.approval_code.is_some_and(|code| code.0 == authorization.approval_code);
        if by_code && same_currency && (same_amount || search.completes) {
            return Some(Match::ApprovalCode);
        }
        let by_reference = !key.rrn.is_blank()
            && authorization.rrn == key.rrn.0
            && authorization.terminal == self.terminal_bits(key)
            && authorization.merchant == self.merchant_bits(key);
        by_reference.then_some(Match::Reference)
    }
}

/// Whether a message names an authorization's purchase by the network's id.
pub(super) const fn is_named(entry: &Authorization, key: &MessageKey) -> bool {
    key.network_reference != 0
        && entry.network_reference == key.network_reference
        && entry.network == network_bits(key)
}

/// Whether a tombstone, or a posting that no hold was known for, is about a message with this key, or its purchase.
fn stands_for(entry: &Authorization, key: &MessageKey, class: MessageClass) -> bool {
    if entry.network != network_bits(key) {
        return false;
    }
    let of_class = entry.is_capture() || entry.class().is_none_or(|of| of == class);
    if entry.network_reference != 0 && key.network_reference != 0 {
        return of_class && entry.network_reference == key.network_reference;
    }
    of_class && names_message(entry, key)
}

/// Whether a tombstone is about the message with this key, and not only about its purchase.
pub(super) fn names_message(tombstone: &Authorization, key: &MessageKey) -> bool {
    tombstone.state == AuthorizationState::Tombstone
        && tombstone.stan == key.stan.0
        && (tombstone.transmission == 0 || tombstone.transmission == key.transmission.digits())
        && (tombstone.acquirer == 0 || tombstone.acquirer == key.acquirer.0)
}
