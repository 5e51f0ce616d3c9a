//! What the daemon says and keeps, held against what the networks know.

use std::collections::BTreeMap;

use turnpike::domain::event::Sequence;
use turnpike::domain::party::Slot;
use turnpike::domain::party::WalletId;
use turnpike::journal::recover::recover;
use turnpike::journal::segment;
use turnpike::ledger::authorization::Authorization;
use turnpike::ledger::authorization::AuthorizationState;
use turnpike::ledger::books::Books;
use turnpike::pipeline::gate::Reply;
use turnpike::recovery::crew::Alone;
use turnpike::recovery::rebuild;
use turnpike::recovery::verify::verify;

use super::exchange::APPROVED;
use super::exchange::Kind;
use super::exchange::Left;
use super::exchange::Told;
use super::exchange::Which;
use super::messages;
use super::messages::Read;
use super::messages::Seen;
use super::population::BALANCE;
use super::population::CURRENCIES;
use super::population::LARGE;
use super::population::WALLETS;
use super::world::MS;
use super::world::World;

/// Authorizations by the number of their purchase.
type Entries = BTreeMap<u32, Vec<Authorization>>;

fn by_number(views: impl Iterator<Item = Authorization>) -> Entries {
    let mut entries = Entries::new();
    for entry in views {
        if let Some(number) = messages::number_of(&entry.rrn) {
            entries.entry(number).or_default().push(entry);
        }
    }
    entries
}

/// Those that hold, pend, or have posted and not given back.
fn open(entries: &[Authorization]) -> impl Iterator<Item = &Authorization> {
    entries.iter().filter(|entry| is_standing(entry))
}

fn is_standing(entry: &Authorization) -> bool {
    entry.state.is_open() || entry.state == AuthorizationState::Posted
}

fn made(entries: &[Authorization]) -> impl Iterator<Item = &Authorization> {
    let kept = [AuthorizationState::Tombstone, AuthorizationState::Cut];
    entries.iter().filter(move |entry| !kept.contains(&entry.state))
}

impl World {
    // ---- what leaves

    /// Everything that the daemon sends is looked at as it leaves.
    pub(crate) fn leaves(&mut self, connection: u64, bytes: &[u8]) {
        let Some(link) = self.wire.get(&connection).map(|wire| wire.link) else { return };
        let settings = self.links[link].settings.clone();
        let mut at = 0;
        while let Some(frame) = settings.dialect.frame(&bytes[at..]).expect("right framing") {
            let body = &bytes[at + frame.body.start..at + frame.body.end];
            at += frame.total;
            let Read::Answer(seen) = messages::read(&settings.dialect, settings.context, body) else {
                continue;
            };
            if seen.mti == 810 {
                continue;
            }
            self.trace(|| {
                let Seen { mti, stan, code, amount, .. } = &seen;
                format!("{}: {mti:04} {stan:06} \"{code}\" {amount} leaves", self.links[link].name)
            });
            let awaited = self.awaited.get(&(link, seen.mti, seen.stan)).copied();
            let (number, which) = awaited.unwrap_or_else(|| panic!("{seen:?} answers nothing"));
            if self.traced {
                for entry in self.entries(number) {
                    let Authorization { sequence, state, legs, taken, .. } = entry;
                    self.trace(|| {
                        format!("  purchase {number}: {taken} {state:?} since {}, {legs:?}", sequence.0)
                    });
                }
            }
            match which {
                Which::Request => self.answered(number, &seen),
                _ => self.acknowledged(number, which, &seen),
            }
        }
        assert_eq!(at, bytes.len(), "whole frames only");
    }

    fn entries(&mut self, number: u32) -> Vec<Authorization> {
        let wallet = WalletId(self.exchange(number).wallet);
        let Some(daemon) = &self.daemon else { return Vec::new() };
        let views = daemon.pipeline.wallet_authorizations(wallet).expect("the wallet");
        by_number(views.into_iter().map(|view| view.authorization)).remove(&number).unwrap_or_default()
    }

    fn answered(&mut self, number: u32, seen: &Seen) {
        let entries = self.entries(number);
        let (durable, appended) =
            self.daemon.as_ref().map_or((0, 0), |d| (d.pipeline.durable().0, d.pipeline.appended().0));
        let (reply, now) = (self.policy.reply, self.now);
        let told = Told { code: seen.code.clone(), approval: seen.approval.clone(), amount: seen.amount };
        let exchange = self.exchange(number);
        assert!(told.is_possible(), "{told:?} to {exchange:?}");
        if told.is_refusal() {
            assert_eq!(
                made(&entries).count(),
                0,
                "91 changes nothing, and what is known gets its first answer"
            );
            assert!(exchange.told.is_none(), "a repeat gets its first answer: {exchange:?}");
            exchange.refused = true;
            return;
        }
        let approval = told.approves();
        // An inquiry and a decline leave nothing that shows their record: it is the last one at most.
        let shows = approval && exchange.kind != Kind::Inquiry;
        let mut record = appended;
        if shows {
            let first = made(&entries).map(|entry| entry.sequence.0).min();
            record = first.unwrap_or_else(|| panic!("approved without a record: {told:?} to {exchange:?}"));
        }
        if exchange.reversal.as_ref().is_some_and(|reversal| reversal.told) {
            assert_eq!(open(&entries).count(), 0, "it was reversed: {exchange:?}");
        }
        let again = exchange.told.is_some();
        let waits = reply == Reply::Fsync || again || approval && exchange.request.amount > LARGE;
        if let Some(first) = &exchange.told {
            assert_eq!(*first, told, "a repeat gets the first answer: {exchange:?}");
        } else {
            (exchange.told, exchange.told_at, exchange.record) = (Some(told), now, record);
        }
        if waits {
            assert!(!shows || record <= durable, "record {record} is not durable: {exchange:?}");
            exchange.firm = true;
        }
        if again {
            self.tale("repeats that were answered");
        }
    }

    fn acknowledged(&mut self, number: u32, which: Which, seen: &Seen) {
        let entries = self.entries(number);
        let durable = self.daemon.as_ref().map_or(0, |daemon| daemon.pipeline.durable().0);
        assert_eq!(seen.code, APPROVED, "neither a reversal nor an advice is declined");
        if which == Which::Reversal {
            assert!(!entries.is_empty(), "something is kept of a reversal");
            for entry in entries.iter().filter(|entry| entry.state != AuthorizationState::Cut) {
                let record = entry.closed_by.max(entry.sequence).0;
                assert!(!is_standing(entry), "it is reversed: {:?}", self.exchange(number));
                assert!(record <= durable, "record {record} is not durable: {:?}", self.exchange(number));
            }
        }
        if let Some(follow) = self.exchange(number).follow_mut(which) {
            follow.told = true;
        }
    }

    // ---- what a start finds

    /// Recovers twice, and holds what comes of it against what was promised.
    pub(crate) fn inspect(&mut self) {
        let (one, other) = (self.layout(), self.layout());
        let first = self.restored(one).unwrap_or_else(|error| panic!("the disk is not damaged: {error}"));
        let again = self.restored(other).unwrap_or_else(|error| panic!("the disk is not damaged: {error}"));
        let hash = first.books.state_hash();
        assert_eq!(
            hash,
            again.books.state_hash(),
            "recovering twice is as once, with {one} and {other} shards"
        );
        assert_eq!(first.recovered, again.recovered);
        assert_eq!(first.books.audit(), Ok(()));
        for totals in first.books.totals() {
            assert_eq!(totals.sum(), 0, "the books sum to zero");
        }
        let last = first.recovered.last.0;
        assert!(last >= self.floor, "records up to {} were durable, {last} are left", self.floor);
        if let Some(known) = self.hashes.get(&last) {
            assert_eq!(hash, *known, "the books are as they were live at record {last}");
        }
        self.hashes.split_off(&(last + 1));
        let segments = segment::survey(&self.disk).expect("a good disk");
        let whole = segments.first().is_none_or(|first| first.header.first == Sequence(1));
        if whole {
            let rebuilt =
                rebuild(&self.disk, self.opener(), self.settings(1), &Alone).expect("a whole journal");
            assert_eq!(
                rebuilt.books.state_hash(),
                hash,
                "a snapshot and the rest tell what the whole journal tells"
            );
            let mut before = turnpike::domain::time::Timestamp(0);
            recover(&self.disk, self.opener(), Sequence(0), |sequence, time, _| {
                assert!(time >= before, "the time of record {} goes back", sequence.0);
                before = time;
            })
            .expect("a whole journal");
        }
        self.reconcile(&first.books, last);
    }

    /// What was promised is there; what was lost within the window that `async` allows is settled by its network.
    fn reconcile(&mut self, books: &Books, last: u64) {
        let shard = |wallet| &books.shards[books.layout.shard_of(Slot::of_wallet(wallet))];
        let views = (1..=WALLETS)
            .filter_map(|wallet| shard(WalletId(wallet)).wallet_authorizations(WalletId(wallet)))
            .flatten();
        let all: Vec<Authorization> = views.map(|view| view.authorization).collect();
        for entry in all.iter().filter(|entry| entry.state == AuthorizationState::Expired) {
            let until = u64::from(entry.hold_until_s);
            assert!(until <= self.latest.seconds(), "nothing expires before its time: {entry:?}");
        }
        let entries = by_number(all.into_iter());
        let (mut lost, mut settle) = (Vec::new(), Vec::new());
        for (number, exchange) in (1..).zip(&mut self.exchanges) {
            let entries = entries.get(&number).map_or(&[][..], Vec::as_slice);
            let told = exchange.told.as_ref();
            let left_record = told.is_some_and(Told::approves) && exchange.kind != Kind::Inquiry;
            if left_record {
                let kept = made(entries).next().is_some();
                assert_eq!(kept, exchange.record <= last, "a record is there or not: {exchange:?}");
            }
            if told.is_some() && exchange.record > last {
                assert!(!exchange.firm || !left_record, "its record was promised: {exchange:?}");
                if left_record {
                    lost.push(exchange.told_at);
                }
                (exchange.told, exchange.record) = (None, 0);
                settle.push(number);
            }
            expect_promises(exchange, entries);
        }
        self.expect_window(&lost);
        self.lose_errands(last);
        for number in settle {
            if !self.exchange(number).is_settled_by_network() {
                self.exchange(number).over = true;
                self.settle_by_reversal(number);
            }
        }
    }

    /// No more than the bounds allow was told and is lost.
    fn expect_window(&mut self, lost: &[u64]) {
        let (Some(first), Some(last)) = (lost.iter().min(), lost.iter().max()) else { return };
        let count = lost.len() as u64;
        assert!(count <= self.policy.max_unsynced_records, "{count} answers are lost");
        let span = last - first;
        let most = self.policy.max_unsynced_ns / 1_000 + MS;
        assert!(span <= most, "answers of {span} us are lost");
        *self.tales.entry("answers lost in async").or_default() += count;
    }

    pub(crate) fn verify_snapshots(&mut self) {
        let verified = verify(&self.disk, self.opener(), &self.keys.vault, self.keys.table_seed(), None);
        let verified = verified.unwrap_or_else(|error| panic!("the disk is not damaged: {error}"));
        assert_eq!(verified.damaged, Vec::new());
        for (number, _, differs) in verified.compared {
            assert_eq!(differs, None, "snapshot {number} and the journal tell the same story");
            self.tale("snapshots that were verified");
        }
    }

    // ---- what is true in the end

    /// All is acknowledged: balances, holds and open authorizations are what the networks say.
    pub(crate) fn expect_books(&mut self) {
        let Some(daemon) = &self.daemon else { return };
        for totals in daemon.pipeline.audit().totals {
            assert_eq!(totals.sum(), 0, "the books sum to zero");
        }
        for wallet in 1..=WALLETS {
            let id = WalletId(wallet);
            let views = daemon.pipeline.wallet_authorizations(id).expect("the wallet");
            let (_, accounts) = daemon.pipeline.wallet(id).expect("the wallet");
            let mut found: Vec<(u32, Left)> = views
                .iter()
                .map(|view| view.authorization)
                .filter(is_standing)
                .map(|entry| (messages::number_of(&entry.rrn).unwrap_or(0), stands(&entry)))
                .collect();
            found.sort_unstable();
            let mine = || (1..).zip(&self.exchanges).filter(move |(_, exchange)| exchange.wallet == wallet);
            let expected: Vec<(u32, Left)> = mine()
                .map(|(number, exchange)| (number, left_in_the_end(exchange)))
                .filter(|(_, left)| *left != Left::Nothing)
                .collect();
            let differ = |both: &(&(u32, Left), &(u32, Left))| both.0 != both.1;
            let number =
                found.iter().zip(&expected).find(differ).map(|((one, _), (other, _))| one.min(other));
            let about = number.and_then(|n| self.exchanges.get(*n as usize - 1));
            assert_eq!(found, expected, "what is open of wallet {wallet}: {about:?}");
            for (place, (account, currency)) in accounts.iter().zip(CURRENCIES).enumerate() {
                let of = || mine().filter(move |(_, exchange)| exchange.request.currency == currency);
                // A refund may have been spent before it was taken back.
                let moved = self.errands.iter().map(|errand| errand.changed((wallet, place)));
                let (came, went): (i64, i64) =
                    moved.fold((0, 0), |(came, went), change| (came + change.max(0), went + change.min(0)));
                let (mut held, mut posted, mut ours, mut most) =
                    (0, BALANCE + came + went, 0, BALANCE + came + went);
                for (_, exchange) in of() {
                    ours += exchange.ours().max(0);
                    let credit = matches!(exchange.kind, Kind::Refund | Kind::Credit);
                    most += if credit { exchange.request.amount * 2 } else { 0 };
                    match left_in_the_end(exchange) {
                        Left::Held(amount) => held += amount,
                        Left::Posted(amount) => posted -= amount,
                        Left::Nothing | Left::Pending(_) => {}
                    }
                }
                assert_eq!((account.held, account.posted), (held, posted), "wallet {wallet}, {currency}");
                assert!(ours <= most, "we approved {ours} of {most} for wallet {wallet}, {currency}");
            }
        }
        self.trace(|| format!("all {} purchases are as they should be", self.exchanges.len()));
        *self.tales.entry("purchases").or_default() += self.exchanges.len() as u64;
    }
}

/// What was acknowledged is in the books that a start finds.
fn expect_promises(exchange: &super::exchange::Exchange, entries: &[Authorization]) {
    let told = |which| exchange.follow(which).filter(|follow| follow.told);
    if told(Which::Reversal).is_some() {
        assert_eq!(open(entries).count(), 0, "its reversal was acknowledged: {exchange:?}");
        return;
    }
    if exchange.reversal.is_some() {
        return;
    }
    if let Some(completion) = told(Which::Completion).or(told(Which::Clearing)) {
        let posted = open(entries).map(stands).collect::<Vec<_>>();
        let amount = completion.message.amount.abs();
        assert_eq!(posted, [exchange.left()], "its completion over {amount} was acknowledged");
        return;
    }
    if exchange.is_presented() {
        return;
    }
    if let Some(end) = told(Which::PumpEnd) {
        let held = open(entries).map(stands).collect::<Vec<_>>();
        assert_eq!(held, [Left::Held(end.message.amount)], "its end was acknowledged: {exchange:?}");
    }
    if let Some(keeps) = told(Which::Cut).and_then(|cut| cut.message.keeps) {
        let most = open(entries).map(|entry| entry.taken.abs()).max();
        assert!(most.is_none_or(|most| most <= keeps), "its partial reversal was acknowledged: {exchange:?}");
    }
    if let Some(advice) = told(Which::Advice) {
        let open = open(entries).map(stands).collect::<Vec<_>>();
        if advice.message.decided == Some(APPROVED) {
            assert_eq!(open, [exchange.left()], "its advice was acknowledged: {exchange:?}");
        } else if told(Which::Timeout).is_some() {
            assert_eq!(open, [], "its advice and its time-out were acknowledged: {exchange:?}");
        }
    }
}

/// What is left once the time of all short holds is over.
fn left_in_the_end(exchange: &super::exchange::Exchange) -> Left {
    match exchange.left() {
        Left::Held(_) if exchange.kind == Kind::Short => Left::Nothing,
        left => left,
    }
}

fn stands(entry: &Authorization) -> Left {
    match entry.state {
        AuthorizationState::Held => Left::Held(entry.taken),
        AuthorizationState::Pending => Left::Pending(entry.taken),
        AuthorizationState::Posted => Left::Posted(entry.taken),
        _ => Left::Nothing,
    }
}
