//! A card of ours is lost, stolen or closed, and its network is told: until it knows, it may approve with it in our
//! place (R32).
//!
//! The message is stored like any other and told for as long as it takes. It is stored right after the card's status is
//! on record: whoever was not answered sets the status again, and then it is stored if it was not.

use std::collections::VecDeque;

use crate::domain::card::CardRef;
use crate::domain::card::CardStatus;
use crate::domain::card::Pan;
use crate::domain::event::Event;
use crate::domain::event::Sequence;
use crate::domain::forward::Carried;
use crate::domain::forward::Message;
use crate::domain::forward::OwnKey;
use crate::domain::forward::Settlement;
use crate::domain::forward::Stored;
use crate::domain::forward::Tells;
use crate::domain::money::Money;
use crate::domain::party::InstitutionId;
use crate::domain::party::MerchantId;
use crate::domain::party::NameId;
use crate::domain::party::Rrn;
use crate::domain::party::Slot;
use crate::domain::party::TerminalId;
use crate::domain::party::WalletId;
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
use crate::switch::queue::ItemId;
use crate::switch::queue::Place;

use super::Line;
use super::State;

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
    /// Where the message stands, or that the network has taken it, or a person has taken it out.
    pub state: &'static str,
    /// DE 39 of its newest answer since the start, and when that came.
    pub said: Option<([u8; 2], Timestamp)>,
}

/// A record that must be durable before a verb is answered, and the link that is told.
pub type Telling = (Sequence, Box<str>);

impl Line {
    /// What its network is told of a card, element by element; `None` when the configuration does not say that any
    /// more.
    pub(super) fn card_elements(&self, status: CardStatus, item: &Item) -> Option<Vec<(u8, String)>> {
        let Message { own, carried, .. } = item.message;
        let (rrn, expiry) = (carried.key.rrn, carried.expiry);
        self.card_file.as_ref()?.elements(status, own, rrn, expiry, item.since)
    }

    /// The newest message about a card that its network has not taken, dead ones among them.
    fn newest_about(state: &State, pan: Pan) -> Option<(ItemId, CardStatus, Place)> {
        let queue = state.trunk.queue();
        // Few are dead at most times, and then none has to be looked for.
        let dead = (queue.dead() > 0).then(|| queue.iter().filter(|(_, item)| item.place == Place::Dead));
        let dead = dead.into_iter().flatten().filter(|(_, item)| item.message.carried.pan == pan);
        let all = queue.about(pan).chain(dead.map(|(id, item)| (*id, item)));
        let ended = all.filter_map(|(id, item)| match item.message.tells {
            Tells::CardEnded { status } => Some((id, status, item.place)),
            _ => None,
        });
        ended.max_by_key(|(id, ..)| *id)
    }
}

impl Pipeline {
    /// Gives a card a status, and stores for every network that wants to know of it that it has that. Gives back the
    /// record of the status, and what is told.
    ///
    /// # Errors
    /// Why nothing was done; or the journal takes nothing now, and whoever asked has to ask again.
    pub fn set_card_status_and_tell(
        &self,
        card: CardRef,
        status: CardStatus,
        now: Now,
    ) -> Result<(Sequence, Vec<Telling>), NotSet> {
        let pan = self.number_of(card)?.0;
        // What is told last is what was set last.
        let _one_at_a_time = self.switchboard().map(|board| board.guard(pan));
        let sequence = self.set_card_status(card, status, now)?;
        Ok((sequence, self.tell_card_ended(card, status, now)?))
    }

    /// Stores for the networks of a closed wallet's cards that those are closed, but for those that ended before.
    ///
    /// # Errors
    /// There is no such wallet, or the journal takes nothing now.
    pub fn tell_wallet_closed(&self, wallet: WalletId, now: Now) -> Result<Vec<Telling>, NotSet> {
        let cards = self.wallet_cards(wallet).ok_or(NotSet::NotThere("wallet"))?;
        let mut told = Vec::new();
        for view in cards.iter().filter(|view| !CardStatus::ENDED.contains(&view.status)) {
            let pan = self.number_of(view.card)?.0;
            let _one_at_a_time = self.switchboard().map(|board| board.guard(pan));
            told.extend(self.tell_card_ended(view.card, CardStatus::Closed, now)?);
        }
        Ok(told)
    }

    fn tell_card_ended(&self, card: CardRef, status: CardStatus, now: Now) -> Result<Vec<Telling>, NotSet> {
        let (pan, expiry) = self.number_of(card)?;
        let lines = self.switchboard().map(|board| board.lines()).unwrap_or_default();
        let wants = |line: &&Line| line.card_file.as_ref().is_some_and(|file| file.wants(pan, status));
        let told = lines.iter().filter(wants).map(|line| {
            let stored = self.tell_on(line, card, (pan, expiry), status, now)?;
            Ok((stored, line.name.clone()))
        });
        let told = told.collect();
        self.wake_writer();
        told
    }

    /// What is stored and says the same is enough, and so is what the network has taken. What it has refused goes
    /// again.
    fn tell_on(
        &self,
        line: &Line,
        card: CardRef,
        (pan, expiry): (Pan, Expiry),
        status: CardStatus,
        now: Now,
    ) -> Result<Sequence, NotSet> {
        let mut state = line.lock();
        let state = &mut *state;
        match Line::newest_about(state, pan) {
            Some((id, known, place)) if known == status => {
                let item = state.trunk.queue().get(id).copied();
                let Some(item) = item.filter(|_| place == Place::Dead) else { return Ok(id.stored) };
                let released = self.settle(line, state, id, &item, Settlement::Released, now);
                return if released { Ok(state.trunk.applied()) } else { Err(NotSet::Unavailable) };
            }
            Some(_) => {}
            None if state.said.newest(pan).is_some_and(|said| said.taken && said.status == status) => {
                return Ok(state.trunk.applied());
            }
            None => {}
        }
        let named = state.exchanges.name(TransmissionTime::at(now.wall));
        let own = named.map_err(|_| NotSet::Unavailable)?;
        let tells = Tells::CardEnded { status };
        let message = Message { own, carried: carried(line.id, own, pan, expiry), tells };
        let event = Event::Stored(Stored { slot: Slot::of_card(card), to: line.id, exchange: None, message });
        line.is_used();
        self.commit_on(state, &event, now).ok_or(NotSet::Unavailable)
    }

    /// What networks were told of a card.
    ///
    /// # Errors
    /// There is no such card.
    pub fn told_of_card(&self, card: CardRef) -> Result<Vec<Told>, NotSet> {
        let (pan, _) = self.number_of(card)?;
        let lines = self.switchboard().map(|board| board.lines()).unwrap_or_default();
        let told = lines.iter().filter_map(|line| {
            let state = line.lock();
            let said = state.said.newest(pan);
            let Some((_, status, place)) = Line::newest_about(&state, pan) else {
                let said = said?;
                let state = if said.taken { "taken" } else { "taken out" };
                let (link, status) = (line.name.clone(), said.status);
                return Some(Told { link, status, state, said: Some((said.code, said.at)) });
            };
            let said = said.filter(|said| said.status == status).map(|said| (said.code, said.at));
            Some(Told { link: line.name.clone(), status, state: place.name(), said })
        });
        Ok(told.collect())
    }

    fn number_of(&self, card: CardRef) -> Result<(Pan, Expiry), NotSet> {
        let shard = self.lock(Slot::of_card(card));
        let card = shard.card_by_reference(card).ok_or(NotSet::NotThere("card"))?;
        Ok((card.pan().ok_or(NotSet::NotThere("card"))?, card.expiry))
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
