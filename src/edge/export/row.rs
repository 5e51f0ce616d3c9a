//! A record of the journal as a row: every field under a name of its own, in one order for all kinds.

use std::fmt;

use crate::dialect::describe::shown;
use crate::domain::card::CardIdentity;
use crate::domain::card::CardRef;
use crate::domain::card::Verification;
use crate::domain::cleared::Cleared;
use crate::domain::cleared::FilePosted;
use crate::domain::clearing::Part;
use crate::domain::control::ControlSet;
use crate::domain::event::AccountFunded;
use crate::domain::event::Advised;
use crate::domain::event::CardOpened;
use crate::domain::event::CardStatusSet;
use crate::domain::event::Configured;
use crate::domain::event::Decided;
use crate::domain::event::Effect;
use crate::domain::event::Event;
use crate::domain::event::LimitSet;
use crate::domain::event::Noted;
use crate::domain::event::Reversed;
use crate::domain::event::Seeded;
use crate::domain::event::Sequence;
use crate::domain::event::WalletStatusSet;
use crate::domain::fee::Charge;
use crate::domain::fee::FeeSet;
use crate::domain::limit::Number;
use crate::domain::limit::Subject;
use crate::domain::mandate::MandateGiven;
use crate::domain::mandate::Terms;
use crate::domain::money::Money;
use crate::domain::moved::CallerKey;
use crate::domain::moved::Moved;
use crate::domain::moved::Verb;
use crate::domain::request::ApprovalCode;
use crate::domain::request::Legs;
use crate::domain::request::MessageClass;
use crate::domain::request::MessageKey;
use crate::domain::request::OriginalData;
use crate::domain::request::Presented;
use crate::domain::request::ProcessingCode;
use crate::domain::time::Timestamp;
use crate::domain::time::TransmissionTime;
use crate::domain::usage::Channel;
use crate::domain::zone::ZoneChange;
use crate::domain::zone::ZoneSet;
use crate::edge::export::column::Cell;
use crate::edge::export::column::Column;

/// One record.
pub(super) struct Row {
    cells: [Option<Cell>; Column::NAMES.len()],
}

impl Row {
    /// The row of a record. `kind` is the name of its event.
    #[must_use]
    pub(super) fn of(sequence: Sequence, time: Timestamp, kind: &str, event: &Event) -> Self {
        let mut row = Self { cells: [const { None }; Column::NAMES.len()] };
        row.number(Column::Sequence, sequence.0);
        row.text(Column::Time, rfc_3339(time));
        row.text(Column::Kind, kind);
        if let Some(slot) = event.slot() {
            row.number(Column::Slot, slot.number());
        }
        match event {
            Event::Configured(event) => row.configured(event),
            Event::Seeded(event) => row.seeded(event),
            Event::CardOpened(event) => row.card_opened(event),
            Event::AccountFunded(event) => row.account_funded(event),
            Event::Decided(event) => row.decided(event),
            Event::Reversed(event) => row.reversed(event),
            Event::WalletStatusSet(event) => row.wallet_status(event),
            Event::Advised(event) => row.advised(event),
            Event::Noted(event) => row.noted(event),
            Event::Unanswered(event) => {
                row.authorization(Column::Unanswered, event.card, event.authorization)
            }
            Event::CardStatusSet(event) => row.card_status(event),
            Event::LimitSet(event) => row.limit_set(event),
            Event::ControlSet(event) => row.control_set(event),
            Event::Cleared(event) => row.cleared(event),
            Event::FilePosted(event) => row.file_posted(event),
            Event::Expired(event) => row.authorization(Column::Expired, event.card, event.authorization),
            Event::ZoneSet(event) => row.zone_set(event),
            Event::CardProductSet(event) => {
                row.number(Column::Card, event.card.0);
                row.unless_zero(Column::Product, event.product.map_or(0, |product| product.get().into()));
            }
            Event::FeeSet(event) => row.fee_set(event),
            Event::Moved(event) => row.moved(event),
            Event::MandateGiven(event) => row.mandate_given(event),
            Event::MandateCancelled(event) => row.number(Column::Mandate, event.mandate.0),
            Event::AssetSet(event) => row.asset_set(event),
            Event::RateSet(event) => row.rate_set(event),
            Event::SpendingSet(event) => row.spending_set(event),
            Event::InterestSet(event) => row.interest_set(event),
            Event::InterestPaid(event) => row.interest_paid(event),
            Event::Recalled(event) => row.authorization(Column::Recalled, event.card, event.closed.sequence),
            Event::Forwarded(event) => row.forwarded(event),
            Event::Concluded(event) => row.concluded(event),
            Event::Stored(event) => row.stored(event),
            Event::Settled(event) => row.settled(event),
        }
        row
    }

    /// Every column in order; `None` where the record has no such field.
    pub(super) fn cells(&self) -> impl Iterator<Item = (&'static str, Option<&Cell>)> {
        Column::NAMES.iter().copied().zip(self.cells.iter().map(Option::as_ref))
    }

    fn set(&mut self, column: Column, cell: Cell) {
        self.cells[column as usize] = Some(cell);
    }

    pub(super) fn number(&mut self, column: Column, number: impl Into<i128>) {
        self.set(column, Cell::Number(number.into()));
    }

    pub(super) fn text(&mut self, column: Column, text: impl Into<String>) {
        self.set(column, Cell::Text(text.into()));
    }

    pub(super) fn flag(&mut self, column: Column, flag: bool) {
        self.set(column, Cell::Flag(flag));
    }

    /// Digits of a fixed width.
    pub(super) fn digits(&mut self, column: Column, number: impl fmt::Display, width: usize) {
        self.text(column, format!("{number:0>width$}"));
    }

    /// What a message gave as free text; nothing when it gave none. Peers put card numbers into such fields.
    fn given(&mut self, column: Column, text: &str) {
        if !text.is_empty() {
            self.text(column, shown(text));
        }
    }

    /// A number in which zero stands for nothing.
    fn unless_zero(&mut self, column: Column, number: u64) {
        if number != 0 {
            self.number(column, number);
        }
    }

    fn configured(&mut self, event: &Configured) {
        let Configured { version, bounds, keys } = event;
        self.text(Column::Configuration, format!("{version:016x}"));
        self.number(Column::RepeatWindowS, bounds.repeat_window_s);
        self.number(Column::AnswersPerSlot, bounds.answers_per_slot);
        self.number(Column::ClosedPerSlot, bounds.closed_per_slot);
        self.number(Column::ClosedWindowS, bounds.closed_window_s);
        self.number(Column::AuthorizationsPerCard, bounds.authorizations_per_card);
        self.unless_zero(Column::KeyWindowS, keys.window_s.into());
        if keys.since_s != 0 {
            self.text(Column::KeysSince, rfc_3339(Timestamp::from_seconds(keys.since_s.into())));
        }
    }

    fn seeded(&mut self, event: &Seeded) {
        let Seeded { checksum, lines, complete } = event;
        self.text(Column::Checksum, format!("{checksum:032x}"));
        self.number(Column::Lines, *lines);
        self.flag(Column::Complete, *complete);
    }

    fn file_posted(&mut self, event: &FilePosted) {
        let FilePosted { slot: _, checksum, records, of } = event;
        self.text(Column::Checksum, format!("{checksum:032x}"));
        self.number(Column::Records, *records);
        self.number(Column::Lines, *of);
        self.flag(Column::Complete, event.is_complete());
    }

    fn cleared(&mut self, event: &Cleared) {
        self.card(event.card);
        self.number(Column::Account, event.account);
        self.text(Column::Network, format!("{:08x}", event.network.0));
        self.text(Column::Purpose, event.function.purpose.name());
        self.flag(Column::Reversal, event.function.reversal);
        if let Some(part) = match event.part {
            Part::Whole => None,
            Part::Numbered { sequence, count } => Some(format!("{sequence} of {count}")),
            Part::Partial => Some("partial".to_owned()),
            Part::Final => Some("final".to_owned()),
        } {
            self.text(Column::Part, part);
        }
        self.text(Column::Arn, event.arn.to_string());
        self.amounts(event.amount, event.billing);
        self.approval_code(event.approval_code);
        if event.network_reference != 0 {
            self.text(Column::NetworkReference, event.network_reference.to_string());
        }
        self.given(Column::Rrn, &event.rrn.to_string());
        self.given(Column::Terminal, &event.terminal.to_string());
        self.given(Column::Merchant, &event.merchant.to_string());
        if event.acquirer.0 != 0 {
            self.text(Column::Acquirer, event.acquirer.0.to_string());
        }
        self.digits(Column::Mcc, event.mcc, 4);
        self.text(Column::Outcome, event.outcome.name());
        self.text(Column::MatchedBy, event.by.name());
        self.unless_zero(Column::Matches, event.matches.0);
        self.number(Column::EffectAmount, event.posted);
        self.charge(event.charge);
        self.shares(&event.shares);
        self.text(Column::Configuration, format!("{:08x}", event.configuration));
    }

    fn card_opened(&mut self, event: &CardOpened) {
        let CardOpened { slot: _, wallet, card, pan, expiry, service_code, status, verification, key } =
            event;
        self.number(Column::Wallet, wallet.0);
        self.number(Column::Card, card.0);
        self.text(Column::Pan, pan.masked().to_string());
        self.digits(Column::Expiry, expiry.digits(), 4);
        self.digits(Column::ServiceCode, service_code.0, 3);
        self.text(Column::Status, status.name());
        let verification = match verification {
            Verification::None => "none",
            Verification::Required => "required",
        };
        self.text(Column::Verification, verification);
        if let Some(key) = key {
            self.caller_key(key);
        }
    }

    fn card_status(&mut self, event: &CardStatusSet) {
        self.number(Column::Card, event.card.0);
        self.text(Column::Status, event.status.name());
    }

    fn subject(&mut self, subject: Subject, number: Number) {
        match subject {
            Subject::Card(card) => self.number(Column::Card, card.0),
            Subject::Wallet(wallet) => self.number(Column::Wallet, wallet.0),
            Subject::EachCard(product) | Subject::EachWallet(product) => {
                self.number(Column::Product, product.get());
                let each = if matches!(subject, Subject::EachWallet(_)) { "wallet" } else { "card" };
                self.text(Column::Per, each);
            }
        }
        self.number(Column::Number, number.get());
    }

    fn limit_set(&mut self, event: &LimitSet) {
        self.subject(event.subject, event.number);
        if let Some(limit) = event.limit {
            self.text(Column::Limit, limit.to_string());
        }
    }

    fn zone_set(&mut self, event: &ZoneSet) {
        self.number(Column::Zone, event.zone.get());
        self.text(Column::ZoneName, event.name.to_string());
        let from = |change: &ZoneChange| {
            let time = rfc_3339(Timestamp::from_seconds(change.from_s.into()));
            format!("{time} utc{:+}", change.offset.minutes())
        };
        let changes: Vec<String> = event.changes.as_slice().iter().map(from).collect();
        self.text(Column::ZoneChanges, changes.join(", "));
    }

    fn control_set(&mut self, event: &ControlSet) {
        self.subject(event.subject, event.number);
        if let Some(control) = event.control {
            self.text(Column::Control, control.to_string());
        }
    }

    fn fee_set(&mut self, event: &FeeSet) {
        self.subject(Subject::EachCard(event.product), event.number);
        if let Some(fee) = event.fee {
            self.text(Column::Fee, fee.to_string());
        }
    }

    fn moved(&mut self, event: &Moved) {
        self.text(Column::Verb, event.verb.name());
        for (side, [wallet, account]) in [
            (event.from, [Column::Wallet, Column::Account]),
            (event.to, [Column::ToWallet, Column::ToAccount]),
        ] {
            if let Some(side) = side {
                self.number(wallet, side.wallet.0);
                self.number(account, side.account);
            }
        }
        self.money([Column::Amount, Column::Currency], Money::new(event.amount, event.currency));
        if event.fee != 0 {
            self.number(Column::FeeAmount, event.fee);
        }
        if let Some(converted) = event.converted {
            self.converted(&converted);
        }
        let about = if event.verb == Verb::Charge { Column::Mandate } else { Column::Refunds };
        self.unless_zero(about, event.about.0);
        self.given(Column::Words, &event.reason.to_string());
        self.caller_key(&event.key);
        self.text(Column::Configuration, format!("{:08x}", event.configuration));
    }

    fn mandate_given(&mut self, event: &MandateGiven) {
        let Terms { payer, payee, currency, max, charges_max, period, until_s } = event.terms;
        self.number(Column::Wallet, payer.wallet.0);
        self.number(Column::Account, payer.account);
        self.number(Column::ToWallet, payee.wallet.0);
        self.number(Column::ToAccount, payee.account);
        self.money([Column::Amount, Column::Currency], Money::new(max, currency));
        let mut terms = format!("each {}", period.name());
        if charges_max != 0 {
            terms.push_str(&format!(" at most {charges_max} charges"));
        }
        if until_s != 0 {
            terms.push_str(&format!(" until {}", rfc_3339(Timestamp::from_seconds(until_s.into()))));
        }
        self.text(Column::Terms, terms);
        self.caller_key(&event.key);
    }

    fn caller_key(&mut self, key: &CallerKey) {
        self.text(Column::CallerKey, format!("{:032x}", key.print));
    }

    fn charge(&mut self, charge: Option<Charge>) {
        if let Some(charge) = charge {
            self.number(Column::Tariff, charge.tariff());
            self.flag(Column::TariffRest, charge.is_rest());
        }
    }

    fn account_funded(&mut self, event: &AccountFunded) {
        let AccountFunded { slot: _, wallet, account, currency, amount, overdraft } = event;
        self.number(Column::Wallet, wallet.0);
        self.number(Column::Account, *account);
        self.money([Column::Amount, Column::Currency], Money::new(*amount, *currency));
        self.number(Column::Overdraft, *overdraft);
    }

    fn wallet_status(&mut self, event: &WalletStatusSet) {
        self.number(Column::Wallet, event.wallet.0);
        self.text(Column::Status, event.status.name());
    }

    fn authorization(&mut self, column: Column, card: CardRef, authorization: Sequence) {
        self.number(Column::Card, card.0);
        self.number(column, authorization.0);
    }

    fn decided(&mut self, event: &Decided) {
        if event.wallet.0 != 0 {
            self.number(Column::Wallet, event.wallet.0);
            self.number(Column::Account, event.account);
        }
        self.card(event.card);
        self.key(&event.key);
        self.class(Column::Class, event.class);
        self.flag(Column::Repeat, event.repeat);
        self.processing_code(event.processing_code);
        self.place(event.mcc, event.country, event.channel);
        if event.entry_mode != 0 {
            self.digits(Column::EntryMode, event.entry_mode, 3);
        }
        self.amounts(event.amount, event.billing);
        self.presented(event.presented);
        self.flag(Column::Increment, event.increment);
        if event.facts.0 != 0 {
            self.number(Column::Facts, event.facts.0);
        }
        self.text(Column::Action, event.action.name());
        self.approval_code(event.approval_code);
        self.effect(event.effect, event.hold_until_s);
        self.charge(event.charge);
        self.shares(&event.shares);
        self.number(Column::PostedBefore, event.posted_before);
        self.number(Column::HeldBefore, event.held_before);
        self.number(Column::Overdraft, event.overdraft);
        self.handled(event.configuration, event.decided_after_us);
    }

    fn reversed(&mut self, event: &Reversed) {
        self.card(event.card);
        self.key(&event.key);
        self.flag(Column::Advice, event.advice);
        self.flag(Column::Repeat, event.repeat);
        self.processing_code(event.processing_code);
        self.amounts(event.amount, None);
        if let Some(original) = &event.original {
            self.original(original);
        }
        self.approval_code(event.approval_code);
        self.unless_zero(Column::Undoes, event.undoes.0);
        self.flag(Column::Whole, event.whole);
        if let Some(keeps) = event.keeps {
            self.number(Column::Keeps, keeps);
        }
        self.legs(event.legs);
        self.unless_zero(Column::Reason, event.reason.into());
        self.handled(event.configuration, event.decided_after_us);
    }

    pub(super) fn legs(&mut self, legs: Legs) {
        let legs = match legs {
            Legs::Both => "both",
            Legs::Ours => "ours",
        };
        self.text(Column::Legs, legs);
    }

    fn advised(&mut self, event: &Advised) {
        if let CardIdentity::Known(_) = event.card {
            self.number(Column::Account, event.account);
        }
        self.card(event.card);
        self.key(&event.key);
        self.class(Column::Class, event.class);
        self.flag(Column::Repeat, event.repeat);
        self.processing_code(event.processing_code);
        self.place(event.mcc, event.country, event.channel);
        self.amounts(event.amount, event.billing);
        self.flag(Column::Approved, event.approved);
        self.unless_zero(Column::Reason, event.reason.into());
        self.approval_code(event.approval_code);
        self.unless_zero(Column::Sets, event.sets.0);
        self.text(Column::Action, event.action.name());
        self.effect(event.effect, event.hold_until_s);
        self.charge(event.charge);
        self.shares(&event.shares);
        self.handled(event.configuration, event.decided_after_us);
    }

    fn noted(&mut self, event: &Noted) {
        if let Some(card) = event.card {
            self.card(card);
        }
        self.key(&event.key);
        self.digits(Column::Mti, event.mti, 4);
        self.unless_zero(Column::Reason, event.reason.into());
    }

    /// Where and how a card was used.
    fn place(&mut self, mcc: u16, country: u16, channel: Channel) {
        for (column, number, width) in [(Column::Mcc, mcc, 4), (Column::Country, country, 3)] {
            if number != 0 {
                self.digits(column, number, width);
            }
        }
        self.text(Column::Channel, channel.name());
    }

    pub(super) fn card(&mut self, card: CardIdentity) {
        match card {
            CardIdentity::Known(card) => self.number(Column::Card, card.0),
            CardIdentity::Unknown(masked) => self.text(Column::Pan, masked.to_string()),
        }
    }

    pub(super) fn key(&mut self, key: &MessageKey) {
        self.text(Column::Network, format!("{:08x}", key.network.0));
        self.text(Column::Link, format!("{:08x}", key.link.0));
        self.digits(Column::Stan, key.stan.0, 6);
        self.transmission(Column::Transmission, key.transmission);
        if key.acquirer.0 != 0 {
            self.text(Column::Acquirer, key.acquirer.0.to_string());
        }
        self.given(Column::Rrn, &key.rrn.to_string());
        self.given(Column::Terminal, &key.terminal.to_string());
        self.given(Column::Merchant, &key.merchant.to_string());
        if key.network_reference != 0 {
            self.text(Column::NetworkReference, key.network_reference.to_string());
        }
    }

    fn transmission(&mut self, column: Column, time: TransmissionTime) {
        if time != TransmissionTime::default() {
            self.digits(column, time.digits(), 10);
        }
    }

    pub(super) fn class(&mut self, column: Column, class: MessageClass) {
        let name = match class {
            MessageClass::Authorization => "authorization",
            MessageClass::Financial => "financial",
        };
        self.text(column, name);
    }

    pub(super) fn processing_code(&mut self, code: ProcessingCode) {
        self.digits(Column::ProcessingCode, code.0, 6);
    }

    pub(super) fn money(&mut self, [amount, currency]: [Column; 2], money: Money) {
        self.number(amount, money.minor);
        self.text(currency, money.currency.to_string());
    }

    pub(super) fn amounts(&mut self, amount: Money, billing: Option<Money>) {
        self.money([Column::Amount, Column::Currency], amount);
        if let Some(billing) = billing {
            self.money([Column::BillingAmount, Column::BillingCurrency], billing);
        }
    }

    fn presented(&mut self, presented: Presented) {
        let names = [
            (Presented::PIN, "pin"),
            (Presented::TRACK, "track"),
            (Presented::CRYPTOGRAM, "cryptogram"),
            (Presented::CVV2, "cvv2"),
            (Presented::ADDRESS, "address"),
            (Presented::AUTHENTICATION, "authentication"),
        ];
        let came: Vec<&str> =
            names.iter().filter(|(what, _)| presented.has(*what)).map(|(_, name)| *name).collect();
        if !came.is_empty() {
            self.text(Column::Presented, came.join(" "));
        }
    }

    pub(super) fn approval_code(&mut self, code: Option<ApprovalCode>) {
        if let Some(code) = code {
            self.given(Column::ApprovalCode, &code.to_string());
        }
    }

    fn effect(&mut self, effect: Effect, hold_until_s: u32) {
        let name = match effect {
            Effect::None => "none",
            Effect::Hold(_) => "hold",
            Effect::Post(_) => "post",
            Effect::Pend(_) => "pend",
        };
        self.text(Column::Effect, name);
        if effect != Effect::None {
            self.number(Column::EffectAmount, effect.amount());
        }
        if hold_until_s != 0 {
            self.text(Column::HoldUntil, rfc_3339(Timestamp::from_seconds(hold_until_s.into())));
        }
    }

    pub(super) fn original(&mut self, original: &OriginalData) {
        let OriginalData { class, stan, transmission, acquirer } = original;
        if let Some(class) = class {
            self.class(Column::OriginalClass, *class);
        }
        self.digits(Column::OriginalStan, stan.0, 6);
        if let Some(transmission) = transmission {
            self.transmission(Column::OriginalTransmission, *transmission);
        }
        if acquirer.0 != 0 {
            self.text(Column::OriginalAcquirer, acquirer.0.to_string());
        }
    }

    fn handled(&mut self, configuration: u32, decided_after_us: u32) {
        self.text(Column::Configuration, format!("{configuration:08x}"));
        self.number(Column::DecidedAfterUs, decided_after_us);
    }
}

/// With all nine decimals: records a microsecond apart are told apart.
fn rfc_3339(time: Timestamp) -> String {
    let milliseconds = time.to_string();
    let (date, nanoseconds) = (milliseconds.trim_end_matches('Z'), time.0 % 1_000_000);
    format!("{date}{nanoseconds:06}Z")
}
