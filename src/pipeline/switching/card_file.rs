//! A card of ours is lost, stolen or closed, and its network is told: until it knows, it may approve with it in our
//! place (R32).
//!
//! The message is stored like any other and told for as long as it takes. It is stored after the card's status is on
//! record, by whoever set that: whoever was not answered sets the status again, and then it is stored if it was not.

use std::collections::VecDeque;

use crate::domain::card::CardRef;
use crate::domain::card::CardStatus;
use crate::domain::card::Pan;
use crate::domain::event::Event;
use crate::domain::event::Sequence;
use crate::domain::forward::Carried;
use crate::domain::forward::Message;
use crate::domain::forward::OwnKey;
use crate::domain::forward::Stored;
use crate::domain::forward::Tells;
use crate::domain::money::Money;
use crate::domain::party::InstitutionId;
use crate::domain::party::MerchantId;
use crate::domain::party::NameId;
use crate::domain::party::Rrn;
use crate::domain::party::Slot;
use crate::domain::party::TerminalId;
use crate::domain::request::MessageClass;
use crate::domain::request::MessageKey;
use crate::domain::request::ProcessingCode;
use crate::domain::time::Expiry;
use crate::domain::time::Now;
use crate::domain::time::Timestamp;
use crate::domain::time::TransmissionTime;
use crate::pipeline::core::Pipeline;
use crate::pipeline::seeding::NotSet;
use crate::switch::queue::Item;

use super::Line;

/// Answers of a network that are kept for those who look.
const KEPT: usize = 1_024;

/// What a network has said about one card.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Said {
    pan: Pan,
    status: CardStatus,
    code: [u8; 2],
    taken: bool,
    at: Timestamp,
}

/// The newest answers of a network about cards, newest last.
#[derive(Clone, Default, Debug)]
pub struct AllSaid(VecDeque<Said>);

impl AllSaid {
    /// The network has answered, if it was about a card.
    pub(super) fn note(&mut self, item: &Item, code: [u8; 2], taken: bool, now: Now) {
        let Tells::CardEnded { status } = item.message.tells else { return };
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(Said { pan: item.message.carried.pan, status, code, taken, at: now.wall });
    }

    fn newest(&self, pan: Pan) -> Option<Said> {
        self.0.iter().rev().find(|said| said.pan == pan).copied()
    }
}

/// What a network was told of a card, and what it says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Told {
    /// The link.
    pub link: Box<str>,
    /// What the card is.
    pub status: CardStatus,
    /// Where the message stands: stored, or taken or refused by the network.
    pub state: &'static str,
    /// DE 39 of its newest answer since the start, and when that came.
    pub said: Option<([u8; 2], Timestamp)>,
}

impl Line {
    /// Writes what its network is told of a card. False when it is not told that any more, or its dialect cannot say
    /// it.
    pub(super) fn write_card_ended(
        &self,
        status: CardStatus,
        item: &Item,
        repeat: bool,
        frame: &mut Vec<u8>,
    ) -> bool {
        let Message { own, carried, .. } = item.message;
        let (rrn, expiry) = (carried.key.rrn, carried.expiry);
        let file = self.card_file.as_ref();
        let elements = file.and_then(|file| file.elements(status, own, rrn, expiry, item.since));
        elements.is_some_and(|elements| {
            self.channel.dialect.write_card_file(carried.pan, &elements, repeat, frame).is_ok()
        })
    }
}

impl Pipeline {
    /// Stores for the card's network that the card has this status. Gives back the record and the link; `None` when no
    /// network wants to know.
    ///
    /// # Errors
    /// There is no such card, or the journal takes nothing now.
    pub fn tell_card_ended(
        &self,
        card: CardRef,
        status: CardStatus,
        now: Now,
    ) -> Result<Option<(Sequence, Box<str>)>, NotSet> {
        let (pan, expiry) = self.number_of(card)?;
        let Some(line) = self.network_of(pan, status) else { return Ok(None) };
        let mut state = line.lock();
        let tells = Tells::CardEnded { status };
        let waiting = state.trunk.queue().about(pan).find(|(_, item)| item.message.tells == tells);
        if let Some((id, _)) = waiting {
            return Ok(Some((id.stored, line.name.clone())));
        }
        if state.said.newest(pan).is_some_and(|said| said.taken && said.status == status) {
            return Ok(Some((state.trunk.applied(), line.name.clone())));
        }
        let named = state.exchanges.name(TransmissionTime::at(now.wall));
        let own = named.map_err(|_| NotSet::Unavailable)?;
        let message = Message { own, carried: carried(line.id, own, pan, expiry), tells };
        let event = Event::Stored(Stored { slot: Slot::of_card(card), to: line.id, exchange: None, message });
        line.is_used();
        let stored = self.commit_on(&mut state, &event, now).ok_or(NotSet::Unavailable)?;
        drop(state);
        self.wake_writer();
        Ok(Some((stored, line.name.clone())))
    }

    /// What networks were told of a card.
    ///
    /// # Errors
    /// There is no such card.
    pub fn told_of_card(&self, card: CardRef) -> Result<Vec<Told>, NotSet> {
        let (pan, _) = self.number_of(card)?;
        let lines = self.switchboard().map(|board| board.lines()).unwrap_or_default();
        let told = lines.iter().filter(|line| line.card_file.is_some()).filter_map(|line| {
            let state = line.lock();
            let said = state.said.newest(pan);
            let waiting = state.trunk.queue().about(pan).find_map(|(_, item)| match item.message.tells {
                Tells::CardEnded { status } => Some((status, item.place.name())),
                _ => None,
            });
            let status = waiting.map(|(status, _)| status).or(said.map(|said| said.status))?;
            let ended = said.map_or("refused", |said| if said.taken { "taken" } else { "refused" });
            Some(Told {
                link: line.name.clone(),
                status,
                state: waiting.map_or(ended, |(_, place)| place),
                said: said.map(|said| (said.code, said.at)),
            })
        });
        Ok(told.collect())
    }

    fn number_of(&self, card: CardRef) -> Result<(Pan, Expiry), NotSet> {
        let shard = self.lock(Slot::of_card(card));
        let card = shard.card_by_reference(card).ok_or(NotSet::NotThere("card"))?;
        Ok((card.pan().ok_or(NotSet::NotThere("card"))?, card.expiry))
    }

    /// The link of the card's network that wants to know of this status.
    fn network_of(&self, pan: Pan, status: CardStatus) -> Option<&Line> {
        let wants = |line: &&Line| line.card_file.as_ref().is_some_and(|file| file.wants(pan, status));
        self.switchboard()?.lines().iter().find(wants)
    }
}

/// A message about a card is about no message: it has our own names, and a DE 37 made of them.
fn carried(link: NameId, own: OwnKey, pan: Pan, expiry: Expiry) -> Carried {
    let hour = own.transmission.digits() / 10_000;
    let rrn = format!("{hour:06}{:06}", own.stan.0);
    let key = MessageKey {
        network: link,
        link,
        stan: own.stan,
        transmission: own.transmission,
        acquirer: InstitutionId(0),
        rrn: Rrn::from_ascii(rrn.as_bytes()),
        terminal: TerminalId::BLANK,
        merchant: MerchantId::BLANK,
        network_reference: 0,
    };
    Carried {
        key,
        class: MessageClass::Authorization,
        pan,
        expiry: Some(expiry),
        processing_code: ProcessingCode(0),
        amount: Money::default(),
        billing: None,
        mcc: 0,
        country: 0,
        entry_mode: 0,
        forwarder: InstitutionId(0),
    }
}
