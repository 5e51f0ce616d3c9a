//! The messages of one purchase, and a wallet with a card that takes them: the authorizer over the ledger, without
//! sockets and disk.

use turnpike::authorizer::Authorizer;
use turnpike::authorizer::CreditsAt;
use turnpike::authorizer::Decision;
use turnpike::authorizer::approval_code::ApprovalCodes;
use turnpike::authorizer::clear::Clearing;
use turnpike::authorizer::expiry::ExpiryTable;
use turnpike::authorizer::increase::Increases;
use turnpike::domain::action::ActionCode;
use turnpike::domain::card::CardRef;
use turnpike::domain::card::CardStatus;
use turnpike::domain::card::Pan;
use turnpike::domain::card::ServiceCode;
use turnpike::domain::card::Verification;
use turnpike::domain::clearing::Arn;
use turnpike::domain::clearing::Function;
use turnpike::domain::clearing::Part;
use turnpike::domain::clearing::Presentment;
use turnpike::domain::clearing::Purpose;
use turnpike::domain::clearing::Usage;
use turnpike::domain::event::AccountFunded;
use turnpike::domain::event::Bounds;
use turnpike::domain::event::CardOpened;
use turnpike::domain::event::Configured;
use turnpike::domain::event::Event;
use turnpike::domain::event::Facts;
use turnpike::domain::event::Sequence;
use turnpike::domain::money::Currency;
use turnpike::domain::money::Money;
use turnpike::domain::moved::KeysKept;
use turnpike::domain::party::InstitutionId;
use turnpike::domain::party::NameId;
use turnpike::domain::party::Slot;
use turnpike::domain::party::Text;
use turnpike::domain::party::WalletId;
use turnpike::domain::request::Advice;
use turnpike::domain::request::AuthorizationRequest;
use turnpike::domain::request::Finality;
use turnpike::domain::request::Legs;
use turnpike::domain::request::MessageClass;
use turnpike::domain::request::MessageKey;
use turnpike::domain::request::OriginalData;
use turnpike::domain::request::Presented;
use turnpike::domain::request::ProcessingCode;
use turnpike::domain::request::Replacement;
use turnpike::domain::request::ReversalRequest;
use turnpike::domain::request::Stan;
use turnpike::domain::request::TransactionKind;
use turnpike::domain::time::Expiry;
use turnpike::domain::time::Timestamp;
use turnpike::domain::time::TransmissionTime;
use turnpike::domain::usage::Channel;
use turnpike::ledger::presented::Tolerance;
use turnpike::ledger::shard::Capacity;
use turnpike::ledger::shard::Shard;

/// What the wallet has posted and held.
pub(crate) type Books = (i64, i64);

pub(crate) const WALLET: WalletId = WalletId(7);
pub(crate) const HOLD_S: u32 = 3_600;

pub(crate) struct House {
    pub(crate) shard: Shard,
    pub(crate) card: u32,
    pub(crate) authorizer: Authorizer,
    pub(crate) now: Timestamp,
    records: u64,
    funded: Vec<i64>,
}

pub(crate) fn money(minor: i64, numeric: u16) -> Money {
    Money::new(minor, Currency::new(numeric).expect("a currency"))
}

pub(crate) fn usd(minor: i64) -> Money {
    money(minor, 840)
}

pub(crate) fn pan() -> Pan {
    Pan::from_value(4_111_111_111_111_111, 16).expect("a card number")
}

/// The key of a message of the purchase.
pub(crate) fn key(stan: u32) -> MessageKey {
    MessageKey {
        network: NameId::of("visa"),
        link: NameId::of("visa"),
        stan: Stan(stan),
        transmission: TransmissionTime::new(1_123_000_000 + stan).expect("a time"),
        acquirer: InstitutionId(12_345),
        rrn: Text::from_ascii(format!("{stan:012}").as_bytes()),
        terminal: Text::from_ascii(b"TERM0001"),
        merchant: Text::from_ascii(b"SHOP"),
        network_reference: 99,
    }
}

pub(crate) fn request(stan: u32, amount: i64) -> AuthorizationRequest {
    AuthorizationRequest {
        key: key(stan),
        class: MessageClass::Authorization,
        repeat: false,
        pan: pan(),
        expiry: None,
        processing_code: ProcessingCode(0),
        kind: TransactionKind::Purchase,
        amount: usd(amount),
        billing: None,
        mcc: 5999,
        country: 840,
        entry_mode: 51,
        channel: Channel::Chip,
        partial_supported: false,
        merchant_initiated: false,
        increment: false,
        finality: Finality::Estimated,
        card_present: true,
        presented: Presented::default(),
    }
}

pub(crate) fn advice(stan: u32, class: MessageClass, amount: i64) -> Advice {
    Advice {
        key: key(stan),
        class,
        repeat: false,
        pan: pan(),
        processing_code: ProcessingCode(0),
        mcc: 5999,
        country: 840,
        channel: Channel::Chip,
        finality: Finality::Estimated,
        card_present: true,
        amount: usd(amount),
        billing: None,
        approved: true,
        reason: 0,
        approval_code: None,
        original: None,
        increment: false,
        completes: class == MessageClass::Financial,
    }
}

/// A reversal of the first request, or of a part of it.
pub(crate) fn reversal(stan: u32, replacement: Option<i64>) -> ReversalRequest {
    let first = key(1);
    ReversalRequest {
        key: key(stan),
        advice: true,
        repeat: false,
        pan: pan(),
        processing_code: ProcessingCode(0),
        amount: usd(10_000),
        billing: None,
        replacement: replacement.map(|amount| Replacement { amount, billing: None }),
        approval_code: None,
        original: Some(OriginalData {
            class: Some(MessageClass::Authorization),
            stan: first.stan,
            transmission: Some(first.transmission),
            acquirer: first.acquirer,
        }),
        legs: Legs::Both,
        reason: 0,
    }
}

/// The clearing record of the purchase.
pub(crate) fn presentment(amount: i64) -> Presentment {
    let key = key(1);
    Presentment {
        network: key.network,
        function: Function { purpose: Purpose::Purchase, reversal: false, usage: Usage::First, code: 501 },
        part: Part::Whole,
        pan: pan(),
        arn: Arn::new(*b"24445006331001234567890").expect("digits"),
        amount: usd(amount),
        billing: None,
        settlement: None,
        authorized: None,
        approval_code: None,
        network_reference: key.network_reference,
        rrn: Text::BLANK,
        stan: None,
        terminal: key.terminal,
        merchant: key.merchant,
        mcc: 5999,
        country: Text::from_ascii(b"US"),
        acquirer: key.acquirer,
        local_date: None,
        local_time: None,
    }
}

impl House {
    /// A wallet with these accounts, by currency, and what is on them.
    pub(crate) fn new(accounts: &[(u16, i64)]) -> Self {
        let slot = Slot::of_wallet(WALLET);
        let capacity = Capacity {
            wallets: 1,
            further_accounts: 4,
            cards: 1,
            authorizations: 32,
            limits: 8,
            counted: 32,
        };
        let bounds = Bounds { answers_per_slot: 32, closed_per_slot: 32, ..Bounds::default() };
        let mut house = Self {
            shard: Shard::new(slot, 1, capacity, bounds, 5),
            card: 0,
            authorizer: Authorizer {
                codes: ApprovalCodes::new([3; 16]),
                time_zone_offset_minutes: 0,
                expiry: ExpiryTable { rows: Vec::new(), otherwise_s: HOLD_S },
                increases: Increases::default(),
                credits: CreditsAt::Clearing,
                clearing_tolerance: Tolerance(20),
                configuration: 1,
            },
            now: Timestamp::from_seconds(1_795_000_000),
            records: 0,
            funded: accounts.iter().map(|(_, amount)| *amount).collect(),
        };
        for (number, &(numeric, amount)) in accounts.iter().enumerate() {
            house.record(&Event::AccountFunded(AccountFunded {
                slot,
                wallet: WALLET,
                account: number as u16,
                currency: money(0, numeric).currency,
                amount,
                overdraft: 0,
            }));
        }
        house.record(&Event::CardOpened(CardOpened {
            slot,
            wallet: WALLET,
            card: CardRef::new(slot, 1),
            pan: pan(),
            expiry: Expiry::new(4_912).expect("a month"),
            service_code: ServiceCode(201),
            status: CardStatus::Active,
            verification: Verification::None,
            key: None,
        }));
        house
    }

    /// Sets how many closed authorizations the wallet's slot keeps, and how many of all kinds the card.
    pub(crate) fn bound(&mut self, closed_per_slot: u32, authorizations_per_card: u32) {
        let bounds = Bounds { closed_per_slot, authorizations_per_card, ..*self.shard.bounds() };
        self.record(&Event::Configured(Configured { version: 1, bounds, keys: KeysKept::default() }));
    }

    /// Lets time pass.
    pub(crate) fn later(&mut self, seconds: u64) {
        self.now = self.now.plus_ms(seconds * 1_000);
    }

    pub(crate) fn record(&mut self, event: &Event) {
        self.records += 1;
        let applied = self.shard.apply(Sequence(self.records), self.now, event).expect("it fits");
        if let Some(location) = applied.opened {
            self.card = location.card;
        }
    }

    fn keep(&mut self, decision: Option<Decision>) -> ActionCode {
        match decision.expect("there is room") {
            Decision::New(event, answer) => {
                self.record(&event);
                answer.action
            }
            Decision::Repeat(answer) => answer.action,
        }
    }

    pub(crate) fn decide(&mut self, request: &AuthorizationRequest) -> ActionCode {
        let card = self.shard.card(self.card);
        let decision =
            self.authorizer.decide(request, Facts::default(), self.now, 0, &self.shard, Some(card));
        self.keep(Some(decision))
    }

    pub(crate) fn reverse(&mut self, reversal: &ReversalRequest) {
        let card = self.shard.card(self.card);
        let decision = self.authorizer.reverse(reversal, self.now, 0, &self.shard, Some(card));
        let _approved = self.keep(decision);
    }

    pub(crate) fn advise(&mut self, advice: &Advice) {
        let card = self.shard.card(self.card);
        let decision = self.authorizer.advise(advice, self.now, 0, &self.shard, Some(card));
        let _approved = self.keep(decision);
    }

    pub(crate) fn clear(&mut self, presentment: &Presentment) {
        let card = self.shard.card(self.card);
        match self.authorizer.clear(presentment, &self.shard, Some(card)) {
            Clearing::New(event, _) => self.record(&Event::Cleared(event)),
            Clearing::Again(_) => {}
            Clearing::Full(table) => panic!("{table} is full"),
        }
    }

    pub(crate) fn expire(&mut self) {
        self.now = self.now.plus_ms(u64::from(HOLD_S + 1) * 1_000);
        let now_s = self.now.seconds() as u32;
        while let (Some(expired), _) = self.shard.overdue(0, 32, now_s) {
            self.record(&Event::Expired(expired));
        }
    }

    /// What every account has posted since it was funded, and held.
    pub(crate) fn books(&self) -> Vec<Books> {
        self.shard.audit().expect("the books hold");
        let accounts = self.shard.wallet_accounts(WALLET).expect("the wallet");
        let with_funds = accounts.iter().zip(&self.funded);
        with_funds.map(|(account, funded)| (account.posted - funded, account.held)).collect()
    }
}
