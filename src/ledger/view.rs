//! What may be seen of a shard from outside, as plain values made under its lock.

use crate::domain::card::CardRef;
use crate::domain::card::CardStatus;
use crate::domain::card::MaskedPan;
use crate::domain::event::Sequence;
use crate::domain::money::Currency;
use crate::domain::party::WalletId;
use crate::domain::party::WalletStatus;
use crate::domain::product::ProductNumber;
use crate::domain::time::Expiry;

use super::authorization::Authorization;
use super::authorization::AuthorizationState;
use super::authorization::LegState;
use super::shard::Account;
use super::shard::Card;
use super::shard::Shard;
use super::shard::Shortened;
use super::share::ShareView;
use super::totals::Totals;

/// One authorization of a wallet.
#[derive(Clone, Debug)]
pub struct AuthorizationView {
    /// Everything the ledger keeps of it.
    pub authorization: Authorization,
    /// The card it was made with.
    pub card: CardRef,
    /// The currency of the account that it holds or posted from.
    pub account_currency: Currency,
    /// What is charged for it now, in the same currency.
    pub fee: i64,
    /// What further accounts bear of it (R13).
    pub shares: Vec<ShareView>,
}

/// A card as it is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CardView {
    /// Its reference.
    pub card: CardRef,
    /// Whose it is.
    pub wallet: WalletId,
    /// First six and last four digits.
    pub pan: MaskedPan,
    /// Its month.
    pub expiry: Expiry,
    /// Whether it may be used.
    pub status: CardStatus,
    /// Its product.
    pub product: Option<ProductNumber>,
}

/// How full the tables are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Fill {
    /// Wallets open.
    pub wallets: u64,
    /// Cards open.
    pub cards: u64,
    /// Authorizations and tombstones in memory.
    pub authorizations: u64,
    /// How many of them hold an amount or have posted one.
    pub open_authorizations: u64,
    /// How many authorizations fit.
    pub authorizations_max: u64,
    /// Limits that are set.
    pub limits: u64,
    /// Controls that are set.
    pub controls: u64,
    /// How many of each fit.
    pub limits_max: u64,
    /// Authorizations that limits have counted and that may still be given back.
    pub counted: u64,
    /// How many of those fit.
    pub counted_max: u64,
}

impl Fill {
    /// Adds another shard's.
    pub const fn add(&mut self, other: &Self) {
        self.wallets += other.wallets;
        self.cards += other.cards;
        self.authorizations += other.authorizations;
        self.open_authorizations += other.open_authorizations;
        self.authorizations_max += other.authorizations_max;
        self.limits += other.limits;
        self.controls += other.controls;
        self.limits_max += other.limits_max;
        self.counted += other.counted;
        self.counted_max += other.counted_max;
    }
}

impl Shard {
    /// Whether a card's authorization of this record stands and is not yet marked as unanswered.
    #[must_use]
    pub fn answered_open(&self, card: CardRef, authorization: Sequence) -> bool {
        let card = self.card_position(card);
        let position = card.and_then(|card| self.position_on(card, authorization));
        let authorization = position.map(|at| self.authorizations.at(at));
        authorization.is_some_and(|entry| {
            let stands = entry.state.is_open() || entry.state == AuthorizationState::Posted;
            stands && !entry.legs.has(LegState::UNANSWERED)
        })
    }

    /// Whether a wallet may be used; `None` when there is no such wallet here.
    #[must_use]
    pub fn wallet_status(&self, wallet: WalletId) -> Option<WalletStatus> {
        Some(self.wallets.at(self.wallet_position(wallet)?).status)
    }

    /// The accounts of a wallet; `None` when there is no such wallet here.
    #[must_use]
    pub fn wallet_accounts(&self, wallet: WalletId) -> Option<Vec<Account>> {
        let position = self.wallet_position(wallet)?;
        Some(self.accounts_of(position).copied().collect())
    }

    /// The authorizations of a wallet's cards that are in memory, newest first; `None` without such a wallet.
    #[must_use]
    pub fn wallet_authorizations(&self, wallet: WalletId) -> Option<Vec<AuthorizationView>> {
        self.views_of(wallet, true)
    }

    /// Those of them that hold or pend.
    #[must_use]
    pub fn wallet_open(&self, wallet: WalletId) -> Option<Vec<AuthorizationView>> {
        self.views_of(wallet, false)
    }

    fn views_of(&self, wallet: WalletId, closed: bool) -> Option<Vec<AuthorizationView>> {
        let position = self.wallet_position(wallet)?;
        let mut views = Vec::new();
        for card in self.cards_of(position) {
            let closed = closed.then(|| self.closed_of(card)).into_iter().flatten();
            for (_, authorization) in self.open_of(card).chain(closed) {
                let account =
                    self.accounts_of(position).find(|account| account.number == authorization.account);
                let account_currency = account.map_or(Currency::default(), |account| account.currency);
                views.push(AuthorizationView {
                    authorization: *authorization,
                    card: card.reference,
                    account_currency,
                    fee: self.fee_of(authorization),
                    shares: self.shares_of(authorization).collect(),
                });
            }
        }
        views.sort_by_key(|view| std::cmp::Reverse(view.authorization.sequence));
        Some(views)
    }

    /// Whether a card, at its position, has the authorization of this record in memory.
    #[must_use]
    pub fn has_authorization(&self, card: u32, authorization: Sequence) -> bool {
        self.position_on(card, authorization).is_some()
    }

    /// An authorization of a card that has left memory, as it is shown.
    #[must_use]
    pub fn older_view(&self, card: CardRef, authorization: &Authorization) -> AuthorizationView {
        let known = self.card_position(card);
        let account = known.and_then(|known| {
            let wallet = self.cards.at(known).wallet;
            self.accounts_of(wallet).find(|account| account.number == authorization.account)
        });
        let account_currency = account.map_or(Currency::default(), |account| account.currency);
        let fee = known.map_or(0, |known| self.fee_on(known, authorization, authorization.taken));
        // What has left memory has left its shares behind.
        AuthorizationView { authorization: *authorization, card, account_currency, fee, shares: Vec::new() }
    }

    /// A card; `None` when it is not here.
    #[must_use]
    pub fn card_view(&self, card: CardRef) -> Option<CardView> {
        self.card_by_reference(card).map(|card| self.view_of(card))
    }

    /// The cards of a wallet, newest first; `None` without such a wallet.
    #[must_use]
    pub fn wallet_cards(&self, wallet: WalletId) -> Option<Vec<CardView>> {
        let position = self.wallet_position(wallet)?;
        Some(self.cards_of(position).map(|card| self.view_of(card)).collect())
    }

    fn view_of(&self, card: &Card) -> CardView {
        CardView {
            card: card.reference,
            wallet: self.wallet_of(card),
            pan: card.masked(),
            expiry: card.expiry,
            status: card.status,
            product: card.product(),
        }
    }

    /// The sums of each currency.
    #[must_use]
    pub fn totals(&self) -> &[Totals] {
        &self.totals
    }

    /// What was given up early.
    #[must_use]
    pub const fn shortened(&self) -> Shortened {
        self.shortened
    }

    /// How many places of the table of authorizations have ever been used.
    #[must_use]
    pub fn places_used(&self) -> u64 {
        self.authorizations.used().into()
    }

    /// How full the tables are.
    #[must_use]
    pub fn fill(&self) -> Fill {
        Fill {
            wallets: self.wallets.len() as u64,
            cards: self.cards.len() as u64,
            authorizations: self.authorizations.len() as u64,
            open_authorizations: self.open_authorizations,
            authorizations_max: self.authorizations.capacity() as u64,
            limits: self.limits.counters.len() as u64,
            controls: self.limits.gates.len() as u64,
            limits_max: self.limits.counters.capacity() as u64,
            counted: self.limits.counted.len() as u64,
            counted_max: self.limits.counted.capacity() as u64,
        }
    }
}
