//! Events that benches apply or journal: wallets with a card each, holds on them, and their reversals.

use turnpike::domain::action::ActionCode;
use turnpike::domain::card::CardIdentity;
use turnpike::domain::card::CardRef;
use turnpike::domain::card::CardStatus;
use turnpike::domain::card::Pan;
use turnpike::domain::card::ServiceCode;
use turnpike::domain::card::Verification;
use turnpike::domain::event::AccountFunded;
use turnpike::domain::event::CardOpened;
use turnpike::domain::event::Decided;
use turnpike::domain::event::Effect;
use turnpike::domain::event::Event;
use turnpike::domain::event::Facts;
use turnpike::domain::event::Reversed;
use turnpike::domain::event::Sequence;
use turnpike::domain::money::Currency;
use turnpike::domain::money::Money;
use turnpike::domain::party::InstitutionId;
use turnpike::domain::party::NameId;
use turnpike::domain::party::Slot;
use turnpike::domain::party::Text;
use turnpike::domain::party::WalletId;
use turnpike::domain::request::ApprovalCode;
use turnpike::domain::request::Legs;
use turnpike::domain::request::MessageClass;
use turnpike::domain::request::MessageKey;
use turnpike::domain::request::Presented;
use turnpike::domain::request::ProcessingCode;
use turnpike::domain::request::Stan;
use turnpike::domain::share::Shares;
use turnpike::domain::time::Expiry;
use turnpike::domain::time::TransmissionTime;
use turnpike::domain::usage::Channel;

fn dollars() -> Currency {
    Currency::new(840).unwrap_or_default()
}

/// The wallet of a number from zero is funded.
pub(crate) fn funded(n: u64) -> Event {
    let wallet = WalletId(n + 1);
    let (slot, currency, amount) = (Slot::of_wallet(wallet), dollars(), 1 << 40);
    Event::AccountFunded(AccountFunded { slot, wallet, account: 0, currency, amount, overdraft: 0 })
}

/// It has a card.
pub(crate) fn opened(n: u64, card: CardRef) -> Event {
    let wallet = WalletId(n + 1);
    Event::CardOpened(CardOpened {
        slot: Slot::of_wallet(wallet),
        wallet,
        card,
        pan: Pan::from_value(4_000_000_000_000_000 + n, 16).expect("a card number"),
        expiry: Expiry::new(2812).expect("a month"),
        service_code: ServiceCode(201),
        status: CardStatus::Active,
        verification: Verification::None,
        key: None,
    })
}

/// The key of a message, by number.
pub(crate) fn key(n: u64) -> MessageKey {
    let mut rrn = *b"000000000000";
    let mut rest = n;
    for digit in rrn.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    MessageKey {
        network: NameId(1),
        link: NameId(1),
        stan: Stan((n % 1_000_000) as u32),
        transmission: TransmissionTime::new(1_123_101_500).unwrap_or_default(),
        acquirer: InstitutionId(12_345_678_901),
        rrn: Text(rrn),
        terminal: Text::from_ascii(b"TERMID01"),
        merchant: Text::from_ascii(b"CARD ACCEPTOR"),
        network_reference: n,
    }
}

/// A purchase is held on the card of a wallet.
pub(crate) fn hold(wallet: WalletId, card: CardRef, key: MessageKey) -> Event {
    Event::Decided(Decided {
        slot: Slot::of_wallet(wallet),
        card: CardIdentity::Known(card),
        wallet,
        account: 0,
        key,
        class: MessageClass::Authorization,
        repeat: false,
        processing_code: ProcessingCode(0),
        mcc: 5999,
        country: 840,
        entry_mode: 51,
        channel: Channel::Chip,
        amount: Money::new(1500, dollars()),
        billing: None,
        presented: Presented::default(),
        facts: Facts::default(),
        action: ActionCode::Approved,
        approval_code: Some(ApprovalCode(*b"ABC123")),
        effect: Effect::Hold(1500),
        charge: None,
        shares: Shares::NONE,
        increment: false,
        posted_before: 0,
        held_before: 0,
        overdraft: 0,
        configuration: 1,
        hold_until_s: 1_795_996_800,
        decided_after_us: 1,
    })
}

/// It is reversed.
pub(crate) fn reversal(wallet: WalletId, card: CardRef, key: MessageKey, undoes: Sequence) -> Event {
    Event::Reversed(Reversed {
        slot: Slot::of_wallet(wallet),
        card: CardIdentity::Known(card),
        key,
        advice: true,
        repeat: false,
        processing_code: ProcessingCode(0),
        amount: Money::new(1500, dollars()),
        original: None,
        approval_code: None,
        undoes,
        whole: false,
        keeps: None,
        legs: Legs::Both,
        reason: 0,
        configuration: 1,
        decided_after_us: 1,
    })
}
