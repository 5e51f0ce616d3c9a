//! Who has money and cards.

use turnpike::domain::card::CardStatus;
use turnpike::domain::card::Pan;
use turnpike::domain::card::ServiceCode;
use turnpike::domain::card::Verification;
use turnpike::domain::event::Bounds;
use turnpike::domain::money::Currency;
use turnpike::domain::money::Money;
use turnpike::domain::party::WalletId;
use turnpike::domain::time::Expiry;
use turnpike::domain::time::Now;
use turnpike::ledger::shard::Capacity;
use turnpike::pipeline::core::Pipeline;
use turnpike::pipeline::seeding::NewAccount;
use turnpike::pipeline::seeding::NewCard;
use turnpike::pipeline::seeding::Opened;

pub(crate) const WALLETS: u64 = 24;
pub(crate) const CURRENCIES: [u16; 2] = [840, 978];
/// What each account begins with, minor units: some decline, and some are declined.
pub(crate) const BALANCE: i64 = 60_000;
/// Approvals above this wait for the disk in every mode, minor units.
pub(crate) const LARGE: i64 = 15_000;
/// This wallet's card is frozen.
const FROZEN: u64 = WALLETS;

pub(crate) const CAPACITY: Capacity = Capacity {
    wallets: 64,
    further_accounts: 64,
    cards: 64,
    authorizations: 12_000,
    limits: 64,
    counted: 4_000,
};

/// Wide enough that nothing is forgotten that may be asked for again: the clock may jump, and repeats come late.
pub(crate) const BOUNDS: Bounds = Bounds {
    repeat_window_s: 4 * 3_600,
    answers_per_slot: 128,
    closed_per_slot: 512,
    closed_window_s: 2 * 86_400,
    authorizations_per_card: 512,
};

pub(crate) fn pan(wallet: u64) -> u64 {
    4_000_000_000_000_000 + wallet
}

fn currency(numeric: u16) -> Currency {
    Currency::new(numeric).expect("a currency")
}

pub(crate) fn fsync_above() -> Vec<Money> {
    CURRENCIES.iter().map(|numeric| Money::new(LARGE, currency(*numeric))).collect()
}

/// Opens everybody; `sync` makes durable what there is.
pub(crate) fn open(pipeline: &Pipeline, now: Now, mut sync: impl FnMut()) {
    for number in 1..=WALLETS {
        let wallet = WalletId(number);
        for numeric in CURRENCIES {
            let account = NewAccount { wallet, currency: currency(numeric), balance: BALANCE, overdraft: 0 };
            assert_eq!(pipeline.open_account(&account, now), Opened::New);
        }
        let card = NewCard {
            wallet,
            pan: Pan::from_value(pan(number), 16).expect("a card number"),
            expiry: Expiry::new(3012).expect("a month"),
            service_code: ServiceCode(201),
            status: if number == FROZEN { CardStatus::Frozen } else { CardStatus::Active },
            verification: Verification::None,
            key: None,
        };
        assert_eq!(pipeline.open_card(&card, now), Opened::New);
        sync();
    }
}
