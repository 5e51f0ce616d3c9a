//! Life cycles on the wire: they begin as the mix draws them, each message follows the answers to those before it on
//! any connection of its network, and what they did is entered in the model's books.

use std::collections::HashMap;

use crate::workload::acquirer::Acquirer;
use crate::workload::acquirer::Codes;
use crate::workload::acquirer::over_limit;
use crate::workload::answers::Between;
use crate::workload::exchange::Exchange;
use crate::workload::exchange::Kind;
use crate::workload::exchange::RELEASED;
use crate::workload::exchange::REVERSAL_SENT;
use crate::workload::exchange::TOOK;
use crate::workload::form::Form;
use crate::workload::identity::BRIEF_CATEGORY;
use crate::workload::identity::category;
use crate::workload::life::Life;
use crate::workload::model::Mistake;
use crate::workload::reading::Reading;
use crate::workload::script::Act;
use crate::workload::script::Manner;
use crate::workload::script::SCRIPTS;
use crate::workload::script::Script;
use crate::workload::script::Step;
use crate::workload::template::Fill;

/// Life cycles under way at once; while there are as many, a purchase stands for a new one.
const LIVES_MAX: usize = 1 << 16;
/// What stands for a life cycle that needs what is not there: a network's id, somebody to bring clearing files, a time
/// after which holds run out.
const OTHERWISE: &str = "completion";

/// All life cycles under way, by the number of their first exchange.
#[derive(Clone, Debug)]
pub(super) struct Lives {
    running: HashMap<u32, Life>,
    /// How often each script has begun.
    begun: Vec<u64>,
    /// The streams of each network.
    streams: Vec<Vec<u16>>,
}

impl Lives {
    /// None yet. `streams` names the network of each stream.
    pub(super) fn new(networks: usize, streams: &[usize]) -> Self {
        let mut of_network = vec![Vec::new(); networks];
        for (network, stream) in streams.iter().zip(0..) {
            if let Some(streams) = of_network.get_mut(*network) {
                streams.push(stream);
            }
        }
        Self { running: HashMap::new(), begun: vec![0; SCRIPTS.len()], streams: of_network }
    }

    /// One that is under way, by its first exchange's number.
    pub(super) fn life(&mut self, first: u32) -> Option<&mut Life> {
        self.running.get_mut(&first)
    }

    pub(super) fn end(&mut self, first: u32) {
        self.running.remove(&first);
    }
}

impl Exchange {
    const fn script(&self) -> &'static Script {
        &SCRIPTS[self.script as usize]
    }

    fn step_of_life(&self) -> &'static Step {
        &self.script().steps[usize::from(self.step)]
    }

    /// The number of its life cycle's first exchange.
    fn life(&self) -> u32 {
        self.number.wrapping_sub(self.script().rank(usize::from(self.step)))
    }

    /// The number of another step of the same life cycle.
    fn number_of(&self, step: usize) -> u32 {
        self.life().wrapping_add(self.script().rank(step))
    }

    /// The exchange whose message gives the purchase its network's id.
    pub(super) fn root(&self) -> u32 {
        if self.kind.is_of_life() { self.number_of(self.script().root()) } else { self.number }
    }

    /// Whether a message of a life cycle asks for a decision.
    pub(super) fn asks_in_life(&self) -> bool {
        asks(self.step_of_life().act)
    }

    /// DE 3 of a message of a life cycle.
    pub(super) fn processing_of_life(&self, payments: bool) -> Option<u32> {
        self.kind.is_of_life().then(|| self.script().processing(payments))
    }

    /// An approval of it gives money to the cardholder.
    #[must_use]
    pub fn is_credit(&self) -> bool {
        self.kind.is_of_life() && self.script().credit
    }
}

impl Acquirer {
    /// Whether a life cycle can be lived on this network, with what this run has.
    fn can_live(&self, script: &Script, network: usize) -> bool {
        let has_id = self.networks[network].templates.has_private_fields();
        (has_id || !script.by_id)
            && (self.quiet.clears || !script.clears())
            && (self.quiet.expires_after.is_some() || !script.expires())
    }

    /// Begins a life cycle and appends its first frame. Returns its exchange's number; `None` when it begins with no
    /// message.
    #[cold]
    pub(super) fn begin_life(&mut self, stream: usize, drawn: u8, out: &mut Vec<u8>) -> Option<u32> {
        let network = self.network_of(stream);
        let place = match SCRIPTS.get(usize::from(drawn)) {
            Some(script) if self.can_live(script, network) => drawn,
            _ => super::life::script_named(OTHERWISE).unwrap_or(0),
        };
        let script = SCRIPTS.get(usize::from(place))?;
        if self.lives.running.len() >= LIVES_MAX || self.population.good.is_empty() {
            return Some(self.new_exchange(stream, Kind::Purchase, out));
        }
        let first = self.exchanges.next_number();
        let mut whole = Exchange::new(first, Kind::LifeAuthorization, stream as u16);
        self.draw(stream, &mut whole);
        let is_over = script.steps.iter().any(|step| step.act == Act::Authorize(Manner::OverLimit));
        if is_over {
            whole.amount = over_limit(&self.population, whole.account);
        }
        for (step, at) in script.steps.iter().zip(0..).filter(|(step, _)| step.act != Act::Repeat) {
            let amount = match step.act {
                // DE 4 is what it is about; what is to stay stands in DE 95.
                Act::Cut => whole.amount,
                _ => step.amount(whole.amount),
            };
            let number = first + script.rank(at);
            let of_step =
                Exchange { number, kind: kind_of(step.act), amount, script: place, step: at as u8, ..whole };
            self.exchanges.push(Exchange { transmission: self.transmission(), ..of_step });
        }
        let mut life = Life::new(script, whole.account, whole.amount, &mut self.streams[stream].chance);
        life.stream = stream as u16;
        self.lives.running.insert(first, life);
        self.lives.begun[usize::from(place)] += 1;
        if self.begin_quietly(first) { None } else { self.next_of_life(stream, first, out) }
    }

    /// Appends the next frame of a life cycle. `None` when it has ended, or its exchanges are forgotten.
    #[cold]
    pub(super) fn next_of_life(&mut self, stream: usize, first: u32, out: &mut Vec<u8>) -> Option<u32> {
        let life = self.lives.running.get_mut(&first)?;
        let step = life.next()?;
        let act = life.step(step).act;
        let named = life.step(step).named();
        let number = first + life.script.rank(if act == Act::Repeat { named? } else { step });
        if self.exchanges.get(number).is_none() {
            self.lives.running.remove(&first);
            return None;
        }
        life.write(step);
        let script = life.script;
        if life.goes_on_at_once() {
            self.streams[stream].hurry(first);
        }
        if act == Act::Repeat {
            let of = kind_of(script.steps[named?].act);
            let kind = if of_reversal(of) { Kind::ReversalRepeat } else { Kind::Repeat };
            if of_reversal(of) {
                // It may go before its first, and does all that this one does.
                self.may_undo(first, named?);
            }
            return Some(self.repeat(stream, kind, number, out));
        }
        self.may_undo(first, step);
        let now = self.transmission();
        let exchange = self.exchanges.get_mut(number)?;
        exchange.stream = stream as u16;
        if script.shuffled_from > 0 {
            exchange.transmission = now;
        }
        let exchange = *exchange;
        let fill = self.fill_of_life(&exchange, false)?;
        let form = self.form_of_life(&exchange);
        let network = self.network_of(stream);
        self.networks[network].templates.write(form, &fill, out);
        Some(number)
    }

    /// A message goes out that may undo what was approved, or may give money.
    pub(super) fn may_undo(&mut self, first: u32, step: usize) {
        let Some(life) = self.lives.running.get_mut(&first) else { return };
        let Step { act, .. } = *life.step(step);
        if life.script.credit && act != Act::Repeat {
            self.model.expect_credit(life.account, life.step(step).amount(life.whole));
        }
        // What runs out may be gone at any time.
        if !asks(act) || life.script.expires() {
            self.model.loosen_life(life.account, std::mem::take(&mut life.firm));
            life.loose = true;
        }
        if matches!(act, Act::Reverse | Act::ReverseByAdvice) {
            let undone = first + life.script.rank(life.undone_by(step));
            if let Some(undone) = self.exchanges.get_mut(undone) {
                undone.flags |= REVERSAL_SENT;
            }
        }
    }

    /// The frame that a message of a life cycle is made from.
    pub(super) fn form_of_life(&self, exchange: &Exchange) -> Form {
        let step = exchange.step_of_life();
        let code = self.named_by(exchange).is_some_and(|named| named.approval != [0; 6]);
        match step.act {
            Act::Authorize(Manner::Estimated) => Form::Estimated,
            Act::Authorize(Manner::Final) => Form::Final,
            Act::Authorize(Manner::CashBack) => Form::CashBack,
            Act::Authorize(_) => Form::AnyPurchase,
            Act::Increment | Act::LateIncrement => Form::Increment,
            Act::Sell => Form::AnySale,
            Act::StandIn if step.named().is_some() => Form::StandIn,
            Act::StandIn => Form::StandInAlone,
            Act::StandInDecline => Form::StandInDecline,
            Act::PumpEnd => Form::PumpEnd,
            Act::Complete if code => Form::Completion,
            Act::Complete => Form::CompletionAlone,
            Act::Reverse if code => Form::ReversalWithCode,
            Act::Reverse => Form::Reversal,
            Act::ReverseByAdvice if code => Form::AdviceWithCode,
            Act::ReverseByAdvice => Form::Advice,
            Act::Cut | Act::Repeat | Act::Present(_) | Act::TakeBack | Act::Expire => Form::Cut,
        }
    }

    /// The exchange that a message of a life cycle is about, while it is remembered.
    fn named_by(&self, exchange: &Exchange) -> Option<&Exchange> {
        let of = exchange.step_of_life().named()?;
        let undoes = matches!(exchange.step_of_life().act, Act::Reverse | Act::ReverseByAdvice);
        let running = self.lives.running.get(&exchange.life()).filter(|_| undoes);
        let of = running.map_or(of, |life| life.undone_by(usize::from(exchange.step)));
        self.exchanges.get(exchange.number_of(of))
    }

    /// What differs in a message of a life cycle; `None` when what it is about is forgotten.
    pub(super) fn fill_of_life(&self, exchange: &Exchange, repeat: bool) -> Option<Fill> {
        let script = exchange.script();
        let step = exchange.step_of_life();
        let root = self.exchanges.get(exchange.root())?;
        let named = if step.named().is_some() { self.named_by(exchange)? } else { exchange };
        let whole = exchange.number_of(0);
        let whole = self.exchanges.get(whole).map_or(exchange.amount, |first| first.amount);
        let keeps = match step.act {
            Act::Cut => step.amount(exchange.amount),
            Act::Authorize(Manner::CashBack) => exchange.amount / 4,
            _ => whole,
        };
        let (pan, expiry) = self.card(exchange);
        let account = self.population.accounts.get(exchange.account as usize);
        let network = &self.networks[self.network_of(usize::from(exchange.stream))];
        Some(Fill {
            number: exchange.number,
            reference: exchange.number,
            original: root.number,
            named: named.number,
            pan,
            expiry,
            amount: exchange.amount,
            other_amount: keeps,
            currency: account.map_or(840, |account| account.currency.numeric()),
            processing_code: script.processing(network.templates.has_payments()),
            category: if script.expires() { BRIEF_CATEGORY } else { category(root.number) },
            original_data: (mti_of(named.kind), named.transmission),
            root_transmission: root.transmission,
            approval: named.approval,
            transmission: exchange.transmission,
            repeat,
        })
    }

    /// Judges an answer to a message of a life cycle and enters what it did.
    #[cold]
    pub(super) fn judge_life(&mut self, exchange: &Exchange, reading: &Reading, codes: &Codes) {
        let step = exchange.step_of_life();
        let code = reading.code;
        let asks = asks(step.act);
        let approved = code == codes.approved;
        if !asks {
            if !approved {
                self.wrong(Mistake::NotAcknowledged, Some(exchange), code);
            }
        } else if approved {
            if step.act == Act::LateIncrement {
                self.wrong(Mistake::ApprovedAfterReversal, Some(exchange), code);
            }
            if let Some(exchange) = self.exchanges.get_mut(exchange.number) {
                exchange.flags |= TOOK;
                exchange.taken = exchange.amount;
            }
        } else if !Self::may_be_declined(exchange, code, codes) {
            self.wrong(Mistake::UnexpectedCode, Some(exchange), code);
        }
        self.enter(exchange, asks, approved);
    }

    /// Whether a request of a life cycle can get this answer.
    fn may_be_declined(exchange: &Exchange, code: [u8; 2], codes: &Codes) -> bool {
        let act = exchange.step_of_life().act;
        let overtaken = exchange.script().shuffled_from == 0 || exchange.has(REVERSAL_SENT);
        let late = act == Act::LateIncrement || overtaken;
        let poor = !exchange.is_credit() && act != Act::LateIncrement && code == codes.insufficient;
        // Visa has a code of its own for credits that come late.
        codes.refusals.contains(&code) || poor || late && (code == codes.late || exchange.is_credit())
    }

    /// Enters in the books what an answered step did.
    fn enter(&mut self, exchange: &Exchange, asks: bool, took_place: bool) {
        let Some(life) = self.lives.running.get_mut(&exchange.life()) else { return };
        let before = life.totals();
        life.answer(usize::from(exchange.step), took_place);
        self.model.move_life(life.account, before, life.totals());
        if !asks || !took_place || exchange.is_credit() || life.loose {
            return;
        }
        let (place, amount) = (life.account, i64::from(exchange.amount));
        life.firm += amount;
        let Some(account) = self.population.accounts.get(place as usize) else { return };
        if !self.model.take_life(place, account, amount) {
            self.wrong(Mistake::AboveAvailable, Some(exchange), *b"00");
        }
    }

    /// An answer to a message of a life cycle, or to a repeat of one, is in: once all are, it goes on.
    #[cold]
    pub(super) fn go_on(&mut self, exchange: &Exchange) {
        self.go_on_from(exchange.life(), exchange.stream);
    }

    /// Something that a life cycle waited for on this connection is over.
    pub(super) fn go_on_from(&mut self, first: u32, stream: u16) {
        let network = self.network_of(usize::from(stream));
        let Some(life) = self.lives.running.get_mut(&first) else { return };
        life.waiting = life.waiting.saturating_sub(1);
        if life.waiting > 0 || life.goes_on_at_once() {
            return;
        }
        if life.over || life.next().is_none() {
            self.expect_late(first);
            self.lives.running.remove(&first);
            return;
        }
        if self.begin_quietly(first) {
            return;
        }
        // What was answered was done: the next message may go another way.
        let ways = &self.lives.streams[network];
        let own = &mut self.streams[usize::from(stream)];
        let way = ways.get(own.chance.below(ways.len() as u32) as usize).copied().unwrap_or(stream);
        self.streams[usize::from(way)].go_on(first);
    }

    /// A request whose reversal went before it and was taken, and not passed over, is never approved (R4).
    fn expect_late(&mut self, first: u32) {
        let Some(life) = self.lives.running.get(&first).filter(|life| life.script.shuffled_from == 0) else {
            return;
        };
        let (reversal, request) = (0, life.script.root());
        let position = |of: usize| {
            let again =
                life.script.steps.iter().position(|step| step.act == Act::Repeat && step.named() == Some(of));
            again.filter(|again| life.is_before(*again, of)).unwrap_or(of)
        };
        if !life.is_before(position(reversal), position(request)) {
            return;
        }
        let number = |step| first + life.script.rank(step);
        let (Some(reversal), Some(request)) =
            (self.exchanges.get(number(reversal)), self.exchanges.get(number(request)))
        else {
            return;
        };
        // Both answers came, so that also the first of the two messages was taken.
        if reversal.answers == 2 && reversal.expected == 2 && request.has(TOOK) {
            let copy = *request;
            self.wrong(Mistake::ApprovedAfterReversal, Some(&copy), copy.code);
        }
    }

    /// The reversal that settles a request of a life cycle was acknowledged.
    pub(super) fn release_of_life(&mut self, exchange: &Exchange) {
        if let Some(exchange) = self.exchanges.get_mut(exchange.number) {
            exchange.flags |= RELEASED;
        }
        let Some(life) = self.lives.running.get_mut(&exchange.life()) else { return };
        let before = life.totals();
        life.undo(usize::from(exchange.step));
        life.over = true;
        self.model.move_life(life.account, before, life.totals());
    }

    /// Adds to each account what messages of life cycles without an answer may have done.
    pub(super) fn widen_by_lives(&self, between: &mut [Between]) {
        for life in self.lives.running.values() {
            let (known, (least, most)) = (life.totals(), life.between());
            if let Some(account) = between.get_mut(life.account as usize) {
                account.held.0 += least.held - known.held;
                account.held.1 += most.held - known.held;
                // Taken, and not posted with its sign.
                account.posted.0 += known.posted - most.posted;
                account.posted.1 += known.posted - least.posted;
            }
        }
    }

    /// How often each life cycle has begun, by its name in a mix.
    pub fn lives_begun(&self) -> impl Iterator<Item = (&'static str, u64)> {
        SCRIPTS.iter().map(|script| script.name).zip(self.lives.begun.iter().copied())
    }
}

/// Whether a message asks for a decision.
const fn asks(act: Act) -> bool {
    matches!(act, Act::Authorize(_) | Act::Increment | Act::LateIncrement | Act::Sell)
}

/// What a message is counted as.
const fn kind_of(act: Act) -> Kind {
    match act {
        Act::Authorize(_) | Act::Increment | Act::LateIncrement => Kind::LifeAuthorization,
        Act::Sell => Kind::LifeSale,
        Act::StandIn | Act::StandInDecline | Act::PumpEnd => Kind::LifeAdvice,
        Act::Complete => Kind::LifeCompletion,
        Act::Reverse => Kind::LifeReversal,
        Act::ReverseByAdvice | Act::Cut | Act::Repeat => Kind::LifeReversalAdvice,
        Act::Present(_) | Act::TakeBack | Act::Expire => Kind::LifePresentment,
    }
}

const fn of_reversal(kind: Kind) -> bool {
    matches!(kind, Kind::LifeReversal | Kind::LifeReversalAdvice)
}

/// The MTI of a first message, for DE 90.
const fn mti_of(kind: Kind) -> u16 {
    match kind {
        Kind::Sale | Kind::LifeSale => 200,
        Kind::LifeAdvice => 120,
        Kind::LifeCompletion => 220,
        _ => 100,
    }
}
