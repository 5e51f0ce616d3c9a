//! The entries of a statement: what each record has changed of a wallet's accounts, found by comparing them before and
//! after it was applied, so that a statement cannot disagree with the ledger.

use std::ops::ControlFlow;

use crate::domain::card::CardRef;
use crate::domain::event::Event;
use crate::domain::event::Sequence;
use crate::domain::party::WalletId;
use crate::domain::time::Timestamp;
use crate::edge::export::Shown;
use crate::edge::views::Reader;
use crate::ledger::shard::Account;
use crate::ledger::shard::Shard;
use crate::recovery::one_slot::Witness;

/// One record's change of one account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    pub(super) sequence: Sequence,
    /// RFC 3339 with nanoseconds.
    pub(super) time: String,
    /// What it was.
    pub(super) kind: String,
    /// Posted to the account, minor units; negative for what left it.
    pub(super) amount: i128,
    /// Held more, or negative, less.
    pub(super) held_change: i128,
    /// The account after it.
    pub(super) account: Account,
    /// What else the record tells: names with their values, in the order of [`DETAILS`].
    pub(super) details: [Option<Detail>; DETAILS.len()],
}

/// What else a record may tell.
pub(super) const DETAILS: [&str; 11] = [
    "counterparty",
    "counterparty_account",
    "reason",
    "card",
    "pan",
    "merchant",
    "terminal",
    "mcc",
    "rrn",
    "arn",
    "about",
];

/// One detail.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Detail {
    /// A number of ours.
    Number(u64),
    /// What somebody else wrote.
    Text(String),
}

/// Gathers entries until there are enough, or the span is over.
pub(super) struct Entries<'r> {
    reader: &'r Reader,
    wallet: WalletId,
    limit: usize,
    /// The accounts as they were before the first entry.
    pub(super) opening: Vec<Account>,
    /// The accounts as they are now.
    pub(super) closing: Vec<Account>,
    pub(super) entries: Vec<Entry>,
}

impl<'r> Entries<'r> {
    pub(super) fn new(reader: &'r Reader, wallet: WalletId, limit: usize) -> Self {
        Self { reader, wallet, limit, opening: Vec::new(), closing: Vec::new(), entries: Vec::new() }
    }
}

impl Witness for Entries<'_> {
    fn begins(&mut self, shard: &Shard) {
        self.entries.clear();
        self.opening = shard.wallet_accounts(self.wallet).unwrap_or_default();
        self.closing.clone_from(&self.opening);
    }

    fn applied(
        &mut self,
        shard: &Shard,
        sequence: Sequence,
        time: Timestamp,
        event: &Event,
    ) -> ControlFlow<()> {
        let now = shard.wallet_accounts(self.wallet).unwrap_or_default();
        if now == self.closing {
            return ControlFlow::Continue(());
        }
        let before = std::mem::replace(&mut self.closing, now);
        let shown = Shown::of(sequence, time, event);
        for account in &self.closing {
            let known = before.iter().find(|known| known.number == account.number);
            let (posted, held) = known.map_or((0, 0), |known| (known.posted, known.held));
            let amount = i128::from(account.posted) - i128::from(posted);
            let held_change = i128::from(account.held) - i128::from(held);
            if amount != 0 || held_change != 0 {
                self.entries.push(Entry {
                    sequence,
                    time: shown.text("time").unwrap_or_default(),
                    kind: kind_of(&shown),
                    amount,
                    held_change,
                    account: *account,
                    details: details(&shown, shard, self.wallet, account.number),
                });
            }
        }
        // A record's changes stand on one page.
        if self.entries.len() >= self.limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn goes_on(&self) -> bool {
        self.reader.goes_on()
    }
}

/// What an owner would call it.
fn kind_of(shown: &Shown) -> String {
    let kind = shown.text("kind").unwrap_or_default();
    let text = |name: &str| shown.text(name).unwrap_or_default();
    match kind.as_str() {
        "moved" => text("verb"),
        "decided" => match text("effect").as_str() {
            "post" if text("effect_amount").starts_with('-') => "credit".to_owned(),
            "post" => "purchase".to_owned(),
            other => other.to_owned(),
        },
        "reversed" => "reversal".to_owned(),
        "advised" => "advice".to_owned(),
        "expired" => "expiry".to_owned(),
        "interest-paid" => "interest".to_owned(),
        "cleared" if text("reversal") == "true" => "clearing-reversal".to_owned(),
        "cleared" => "clearing".to_owned(),
        _ => kind,
    }
}

fn details(shown: &Shown, shard: &Shard, wallet: WalletId, account: u16) -> [Option<Detail>; DETAILS.len()] {
    let number = |name: &str| shown.number(name).map(Detail::Number);
    let text = |name: &str| shown.text(name).map(Detail::Text);
    let is_moved = shown.text("kind").as_deref() == Some("moved");
    let gave = shown.number("wallet") == Some(wallet.0) && shown.number("account") == Some(account.into());
    let [other, other_account] =
        if gave { ["to_wallet", "to_account"] } else { ["wallet", "account"] }.map(number);
    let pan = shown.number("card").and_then(|card| shard.card_view(CardRef(card)));
    let about = ["undoes", "sets", "expired", "matches", "refunds", "mandate"].into_iter().find_map(number);
    [
        other.filter(|_| is_moved),
        other_account.filter(|_| is_moved),
        text("words"),
        number("card"),
        pan.map(|card| Detail::Text(card.pan.to_string())),
        text("merchant"),
        text("terminal"),
        text("mcc"),
        text("rrn"),
        text("arn"),
        about,
    ]
}
