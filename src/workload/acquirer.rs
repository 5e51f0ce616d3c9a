//! The acquiring side as a whole: draws what is sent, writes it, and judges what is answered.

use crate::dialect::Dialect;
use crate::domain::action::ActionCode;
use crate::domain::time::Timestamp;
use crate::workload::exchange::AHEAD;
use crate::workload::exchange::DONE;
use crate::workload::exchange::Exchange;
use crate::workload::exchange::Exchanges;
use crate::workload::exchange::GIVEN_UP;
use crate::workload::exchange::Kind;
use crate::workload::exchange::NONE;
use crate::workload::exchange::RELEASED;
use crate::workload::exchange::REVERSAL_SENT;
use crate::workload::exchange::SENT;
use crate::workload::exchange::TOOK;
use crate::workload::form::Form;
use crate::workload::identity;
use crate::workload::identity::Run;
use crate::workload::living::Lives;
use crate::workload::model::Model;
use crate::workload::population::Card;
use crate::workload::population::Population;
use crate::workload::population::unknown_pan;
use crate::workload::presenting::Quiet;
use crate::workload::reading::Reader;
use crate::workload::template::Fill;
use crate::workload::template::TemplateError;
use crate::workload::template::Templates;
use crate::workload::template::processing_code;
use crate::workload::traffic::Next;
use crate::workload::traffic::Stream;
use crate::workload::traffic::Traffic;

/// Amounts over the limit end here: twelve digits would be allowed, ten are enough.
const OVER_LIMIT: u32 = 4_000_000_000;

/// DE 39 values that judgement needs, of one dialect.
#[derive(Clone, Copy, Debug)]
pub(super) struct Codes {
    pub(super) approved: [u8; 2],
    pub(super) partially: [u8; 2],
    pub(super) verified: [u8; 2],
    pub(super) insufficient: [u8; 2],
    pub(super) unknown: [u8; 2],
    pub(super) late: [u8; 2],
    /// Cannot take requests now, or out of order: always possible, and never right.
    pub(super) refusals: [[u8; 2]; 2],
}

/// One network: a dialect with its templates.
#[derive(Clone, Debug)]
pub(super) struct Network {
    pub(super) templates: Templates,
    pub(super) reader: Reader,
    pub(super) codes: Codes,
}

impl Network {
    fn new(dialect: &Dialect, run: Run) -> Result<Self, TemplateError> {
        let code = |action| dialect.response_code(action);
        let codes = Codes {
            approved: code(ActionCode::Approved),
            partially: code(ActionCode::ApprovedPartially),
            verified: code(ActionCode::NoReasonToDecline),
            insufficient: code(ActionCode::InsufficientFunds),
            unknown: code(ActionCode::UnknownCard),
            late: code(ActionCode::ReversedBeforeArrival),
            refusals: [code(ActionCode::Unavailable), code(ActionCode::SystemMalfunction)],
        };
        let templates = Templates::compose(dialect, run)?;
        Ok(Self { templates, reader: Reader::new(dialect.clone(), run), codes })
    }
}

/// The acquiring side of a run.
#[derive(Clone, Debug)]
pub struct Acquirer {
    pub(super) population: Population,
    pub(super) networks: Vec<Network>,
    pub(super) streams: Vec<Stream>,
    pub(super) exchanges: Exchanges,
    pub(super) model: Model,
    pub(super) codes_seen: Vec<u64>,
    pub(super) late_answers: u64,
    pub(super) echo: bool,
    pub(super) lives: Lives,
    pub(super) quiet: Quiet,
    sent_by_kind: [u64; Kind::COUNT],
    amounts: (u32, u32),
    transmission: u32,
}

impl Acquirer {
    /// Makes everything that the run needs. `streams` names the dialect (a place in `dialects`) of each connection.
    ///
    /// # Errors
    /// A dialect cannot carry this traffic.
    pub fn new(
        population: Population,
        dialects: &[Dialect],
        streams: &[usize],
        traffic: &Traffic,
        run: Run,
    ) -> Result<Self, TemplateError> {
        let networks: Result<Vec<Network>, TemplateError> =
            dialects.iter().map(|dialect| Network::new(dialect, run)).collect();
        let mut networks = networks?;
        if traffic.echo {
            networks.iter_mut().for_each(|network| network.reader.take_any());
        }
        let count = streams.len();
        let lives = Lives::new(networks.len(), streams);
        let streams =
            streams.iter().enumerate().map(|(n, network)| Stream::new(*network, n, count, traffic)).collect();
        let remembered = traffic.remembered.max(traffic.level_remembers());
        let model = Model::new(population.accounts.len());
        Ok(Self {
            networks,
            streams,
            exchanges: Exchanges::with_room(remembered),
            model,
            codes_seen: vec![0; 36 * 36 + 1],
            late_answers: 0,
            echo: traffic.echo,
            lives,
            quiet: Quiet::new(traffic.clears, traffic.expires_after),
            sent_by_kind: [0; Kind::COUNT],
            amounts: (traffic.amounts.0.max(1), traffic.amounts.1.max(traffic.amounts.0).max(1)),
            transmission: 0,
            population,
        })
    }

    /// Sets DE 7, DE 12 and DE 13 of what is composed from here on.
    pub fn set_time(&mut self, now: Timestamp) {
        for network in &mut self.networks {
            self.transmission = network.templates.set_time(now);
        }
    }

    /// Draws the next message of a connection and appends its frame. Returns its exchange's number.
    #[inline]
    pub fn compose(&mut self, stream: usize, out: &mut Vec<u8>) -> u32 {
        loop {
            match self.streams[stream].next() {
                Next::New(kind) => return self.new_exchange(stream, kind, out),
                Next::Late(number) => {
                    self.write_first(number, Form::Purchase, out);
                    return number;
                }
                Next::Repeat(kind, original) => {
                    // One repeat of a message is in flight at most, so that its answers can be told apart.
                    // What was reversed and not approved may have been refused: its repeat would be decided anew.
                    let reversed = |first: &Exchange| first.has(REVERSAL_SENT) && !first.has(TOOK);
                    let first = self.exchanges.get(original).filter(|first| first.again == NONE);
                    let fit = first.is_some_and(|first| !reversed(first));
                    if fit {
                        return self.repeat(stream, kind, original, out);
                    }
                    return self.new_exchange(stream, Kind::Purchase, out);
                }
                Next::Reversal(kind, original) => {
                    if let Some(number) = self.reversal(stream, kind, original, out) {
                        return number;
                    }
                    // It was declined: there is nothing to undo.
                }
                Next::Life(script) => {
                    if let Some(number) = self.begin_life(stream, script, out) {
                        return number;
                    }
                }
                Next::GoOn(life) => {
                    if let Some(number) = self.next_of_life(stream, life, out) {
                        return number;
                    }
                }
            }
        }
    }

    /// Appends a network management request. Returns its exchange's number.
    pub fn compose_management(&mut self, stream: usize, kind: Kind, out: &mut Vec<u8>) -> u32 {
        self.new_exchange(stream, kind, out)
    }

    pub(super) fn new_exchange(&mut self, stream: usize, drawn: Kind, out: &mut Vec<u8>) -> u32 {
        let number = self.exchanges.next_number();
        let kind = self.possible(stream, drawn);
        let form = match kind {
            Kind::Cash => Form::Cash,
            Kind::Sale => Form::Sale,
            Kind::Partial => Form::Partial,
            Kind::Inquiry => Form::Inquiry,
            Kind::Verification => Form::Verification,
            Kind::EarlyReversal => Form::Advice,
            Kind::Echo => Form::Echo,
            Kind::SignOn => Form::SignOn,
            Kind::SignOff => Form::SignOff,
            _ => Form::Purchase,
        };
        let mut exchange = Exchange::new(number, kind, stream as u16);
        exchange.transmission = self.transmission;
        if !matches!(form, Form::Echo | Form::SignOn | Form::SignOff) {
            self.draw(stream, &mut exchange);
        }
        if kind == Kind::EarlyReversal {
            // The original gets its number now, so that its reversal can name it.
            exchange.other = number + 1;
            let late = Exchange { number: number + 1, kind: Kind::Late, other: number, ..exchange };
            self.exchanges.push(exchange);
            self.exchanges.push(late);
        } else {
            self.exchanges.push(exchange);
        }
        self.streams[stream].remember(kind, number);
        self.write_first(number, form, out);
        number
    }

    /// The kind itself, or what stands for it where dialect or population have no such thing.
    fn possible(&self, stream: usize, drawn: Kind) -> Kind {
        let private = self.networks[self.streams[stream].network].templates.has_private_fields();
        match drawn {
            Kind::Partial if !private => Kind::OverLimit,
            Kind::Verification if !private => Kind::Inquiry,
            Kind::BlockedCard if self.population.blocked.is_empty() => Kind::UnknownCard,
            kind if (kind.asks() || kind.undoes())
                && kind != Kind::BlockedCard
                && self.population.good.is_empty() =>
            {
                Kind::UnknownCard
            }
            kind => kind,
        }
    }

    /// Draws card, account and amount.
    #[inline]
    pub(super) fn draw(&mut self, stream: usize, exchange: &mut Exchange) {
        let chance = &mut self.streams[stream].chance;
        let kind = exchange.kind;
        let cards = if kind == Kind::BlockedCard { &self.population.blocked } else { &self.population.good };
        if kind == Kind::UnknownCard {
            exchange.card = chance.next() as u32;
        } else {
            exchange.card = chance.below(cards.len() as u32);
            if let Some(card) = cards.get(exchange.card as usize) {
                exchange.account = card.account + chance.below(u32::from(card.accounts));
            }
        }
        let (least, most) = self.amounts;
        exchange.amount = match kind {
            Kind::OverLimit | Kind::Partial => over_limit(&self.population, exchange.account),
            Kind::Inquiry | Kind::Verification => 0,
            _ => least + chance.below((most - least).saturating_add(1)),
        };
    }

    pub(super) fn card(&self, exchange: &Exchange) -> (u64, u16) {
        let of = |card: Option<&Card>| card.map_or((unknown_pan(0), 2912), |card| (card.pan, card.expiry));
        let place = exchange.card as usize;
        match exchange.kind {
            Kind::UnknownCard => (unknown_pan(exchange.card), 2912),
            Kind::BlockedCard => of(self.population.blocked.get(place)),
            _ => of(self.population.good.get(place)),
        }
    }

    /// Writes the frame of an exchange that was just made.
    #[inline]
    fn write_first(&self, number: u32, form: Form, out: &mut Vec<u8>) {
        let Some(exchange) = self.exchanges.get(number) else { return };
        let fill = self.fill_of(exchange, exchange, false);
        let network = self.streams[usize::from(exchange.stream)].network;
        self.networks[network].templates.write(form, &fill, out);
    }

    pub(super) fn repeat(&mut self, stream: usize, kind: Kind, original: u32, out: &mut Vec<u8>) -> u32 {
        let number = self.exchanges.next_number();
        let mut exchange = Exchange::new(number, kind, stream as u16);
        exchange.other = original;
        exchange.transmission = self.transmission;
        let Some(first) = self.exchanges.get_mut(original) else { return number };
        first.again = number;
        let first = *first;
        if first.kind.is_of_life() {
            // What names it in DE 90 may be on its way.
            exchange.transmission = first.transmission;
        }
        self.write_again(&first, out);
        self.exchanges.push(exchange);
        number
    }

    /// Appends the repeat (0101, 0201, 0401, 0421) of an exchange that was sent. Returns its connection and the
    /// repeat's own number; `None` when it is forgotten, was repeated already, or is network management.
    pub fn compose_repeat(&mut self, number: u32, out: &mut Vec<u8>) -> Option<(usize, u32)> {
        let first = self.exchanges.get(number)?;
        let stream = usize::from(first.stream);
        let kind = if first.kind.undoes() { Kind::ReversalRepeat } else { Kind::Repeat };
        let repeatable = first.kind.asks() || first.kind.undoes() || first.kind.is_of_life();
        let fit = repeatable && first.has(SENT) && first.again == NONE;
        fit.then(|| (stream, self.repeat(stream, kind, number, out)))
    }

    /// Appends the frame of an exchange once more, with the MTI of a repeat.
    pub(super) fn write_again(&self, first: &Exchange, out: &mut Vec<u8>) {
        let network = &self.networks[self.streams[usize::from(first.stream)].network];
        if first.kind.is_of_life() {
            if let Some(fill) = self.fill_of_life(first, true) {
                network.templates.write(self.form_of_life(first), &fill, out);
            }
            return;
        }
        let (card_of, form) = match first.kind {
            Kind::Reversal => (first.other, Form::Reversal),
            Kind::ReversalAdvice => (first.other, Form::Advice),
            Kind::EarlyReversal => (first.number, Form::Advice),
            Kind::Cash => (first.number, Form::Cash),
            Kind::Sale => (first.number, Form::Sale),
            Kind::Partial => (first.number, Form::Partial),
            Kind::Inquiry => (first.number, Form::Inquiry),
            Kind::Verification => (first.number, Form::Verification),
            _ => (first.number, Form::Purchase),
        };
        let of = self.exchanges.get(card_of).unwrap_or(first);
        let fill = self.fill_of(first, of, true);
        network.templates.write(form, &fill, out);
    }

    fn fill_of(&self, exchange: &Exchange, original: &Exchange, repeat: bool) -> Fill {
        let (pan, expiry) = self.card(if exchange.kind.undoes() { original } else { exchange });
        let account = self.population.accounts.get(exchange.account as usize);
        let mti = if original.posts() { 200 } else { 100 };
        let named = if exchange.kind.undoes() { exchange.other } else { exchange.number };
        // What settles a message of a life cycle goes by its purchase.
        let root = if original.kind.is_of_life() { self.exchanges.get(original.root()) } else { None };
        let network = &self.networks[self.network_of(usize::from(exchange.stream))];
        let of_life = original.processing_of_life(network.templates.has_payments());
        Fill {
            number: exchange.number,
            reference: exchange.number,
            original: root.map_or(named, |root| root.number),
            named,
            pan,
            expiry,
            amount: exchange.amount,
            other_amount: 0,
            currency: account.map_or(840, |account| account.currency.numeric()),
            processing_code: of_life.unwrap_or(processing_code(original.kind)),
            category: identity::category(root.map_or(named, |root| root.number)),
            original_data: (mti, original.transmission),
            root_transmission: root.unwrap_or(original).transmission,
            approval: original.approval,
            transmission: if exchange.kind == Kind::Late { exchange.transmission } else { 0 },
            repeat,
        }
    }

    /// Appends the reversal of an exchange; `None` when that was declined, or is forgotten.
    pub(super) fn reversal(
        &mut self,
        stream: usize,
        kind: Kind,
        original: u32,
        out: &mut Vec<u8>,
    ) -> Option<u32> {
        let original = *self.exchanges.get(original)?;
        let declined = original.answers > 0 && !original.has(TOOK);
        if declined || original.has(REVERSAL_SENT) {
            return None;
        }
        let number = self.exchanges.next_number();
        let mut exchange = Exchange::new(number, kind, stream as u16);
        exchange.other = original.number;
        (exchange.card, exchange.account) = (original.card, original.account);
        exchange.amount = original.amount;
        exchange.transmission = self.transmission;
        let form = match (kind, original.approval != [0; 6]) {
            (Kind::Reversal, false) => Form::Reversal,
            (Kind::Reversal, true) => Form::ReversalWithCode,
            (_, false) => Form::Advice,
            (_, true) => Form::AdviceWithCode,
        };
        let fill = self.fill_of(&exchange, &original, false);
        let place = &mut self.streams[stream];
        place.remember(kind, number);
        self.networks[place.network].templates.write(form, &fill, out);
        self.exchanges.push(exchange);
        Some(number)
    }

    /// What was composed is sent now, nanoseconds of the run; it was due at `due`.
    #[inline]
    pub fn sent(&mut self, number: u32, due: u64, now: u64) {
        let Some(exchange) = self.exchanges.get_mut(number) else { return };
        (exchange.due, exchange.sent) = (due, now);
        exchange.flags = exchange.flags & !AHEAD | SENT;
        let (kind, other) = (exchange.kind, exchange.other);
        self.sent_by_kind[kind as usize] += 1;
        if kind.repeats() {
            if let Some(first) = self.exchanges.get_mut(other) {
                first.expected += 1;
                if !first.has(SENT) {
                    first.flags |= AHEAD;
                }
            }
        } else if kind.undoes() {
            self.loosen(other);
        }
    }

    /// Something went out that no connection carries.
    pub(super) const fn count(&mut self, kind: Kind) {
        self.sent_by_kind[kind as usize] += 1;
    }

    fn loosen(&mut self, original: u32) {
        if let Some(original) = self.exchanges.get_mut(original) {
            original.flags |= REVERSAL_SENT;
            if original.has(TOOK) {
                let Exchange { account, kind, taken, .. } = *original;
                self.model.loosen(account, kind, taken);
            }
        }
    }

    /// Waits no longer for an answer. False when it has come.
    pub fn give_up(&mut self, number: u32) -> bool {
        let Some(exchange) = self.exchanges.get_mut(number) else { return false };
        if exchange.flags & (DONE | GIVEN_UP) != 0 {
            return false;
        }
        exchange.flags |= GIVEN_UP;
        true
    }

    /// Whether its answer came, or is not waited for.
    #[inline]
    #[must_use]
    pub fn is_over(&self, number: u32) -> bool {
        let over = DONE | GIVEN_UP;
        self.exchanges.get(number).is_none_or(|exchange| exchange.flags & over != 0)
    }

    /// When it was sent, nanoseconds of the run.
    #[must_use]
    pub fn sent_at(&self, number: u32) -> u64 {
        self.exchanges.get(number).map_or(0, |exchange| exchange.sent)
    }

    /// Appends to `open` what has to be settled before money can be compared (R33): requests that may have taken
    /// money and have no answer, and reversals that were not acknowledged.
    pub fn unsettled(&self, open: &mut Vec<u32>) {
        let wanted = |exchange: &&Exchange| {
            let money = exchange.kind.takes() && !exchange.has(RELEASED | REVERSAL_SENT);
            let of_life = exchange.kind.is_of_life()
                && !(exchange.asks_in_life() && exchange.has(RELEASED | REVERSAL_SENT));
            money || exchange.kind.undoes() || of_life
        };
        open.extend(self.exchanges.unanswered().filter(wanted).map(Exchange::number));
    }

    /// Appends what settles an open exchange: the advice of its reversal (0420), or an open reversal again (0421,
    /// 0401). Returns the stream and the number of the exchange that is answered then; `None` when there is nothing
    /// left to settle.
    pub fn compose_settlement(&mut self, number: u32, out: &mut Vec<u8>) -> Option<(usize, u32)> {
        let open = *self.exchanges.get(number)?;
        let stream = usize::from(open.stream);
        if open.kind.undoes() || open.kind.is_of_life() && !open.asks_in_life() {
            if open.answers > 0 {
                return None;
            }
            self.write_again(&open, out);
            let again = self.exchanges.get_mut(number)?;
            again.expected = again.expected.saturating_add(1);
            return Some((stream, number));
        }
        self.reversal(stream, Kind::ReversalAdvice, number, out).map(|reversal| (stream, reversal))
    }

    /// Whether as many holds of a connection are alive as are to be kept.
    #[must_use]
    pub fn is_level(&self, stream: usize) -> bool {
        self.streams.get(stream).is_none_or(Stream::is_level)
    }

    /// DE 7 of what is composed now.
    pub(super) const fn transmission(&self) -> u32 {
        self.transmission
    }

    /// Which connections there are: the dialect's place of each.
    #[must_use]
    pub fn network_of(&self, stream: usize) -> usize {
        self.streams.get(stream).map_or(0, |stream| stream.network)
    }

    /// The reader of a dialect.
    pub fn reader(&mut self, network: usize) -> Option<&mut Reader> {
        self.networks.get_mut(network).map(|network| &mut network.reader)
    }

    /// Everybody.
    #[must_use]
    pub const fn population(&self) -> &Population {
        &self.population
    }

    /// The books.
    #[must_use]
    pub const fn model(&self) -> &Model {
        &self.model
    }

    /// The exchanges that are remembered.
    #[must_use]
    pub const fn exchanges(&self) -> &Exchanges {
        &self.exchanges
    }

    /// Messages that were sent, by kind.
    #[must_use]
    pub fn sent_by(&self, kind: Kind) -> u64 {
        self.sent_by_kind[kind as usize]
    }

    /// Answers that came after they were given up.
    #[must_use]
    pub const fn late_answers(&self) -> u64 {
        self.late_answers
    }
}

/// One minor unit more than the account could ever have.
pub(super) fn over_limit(population: &Population, account: u32) -> u32 {
    let limit = population.accounts.get(account as usize).map_or(0, |account| {
        account.balance.saturating_add(account.overdraft).clamp(0, i64::from(OVER_LIMIT) - 1)
    });
    u32::try_from(limit).unwrap_or(0) + 1
}
