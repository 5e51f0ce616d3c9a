//! What records say of assets and rates, and of several accounts that are spent together.

use crate::domain::asset::AssetSet;
use crate::domain::asset::RateSet;
use crate::domain::day::Day;
use crate::domain::interest::InterestPaid;
use crate::domain::interest::InterestSet;
use crate::domain::interest::Terms;
use crate::domain::money::Money;
use crate::domain::moved::Converted;
use crate::domain::share::Shares;
use crate::domain::share::SpendingSet;
use crate::edge::export::column::Column;
use crate::edge::export::row::Row;

impl Row {
    pub(super) fn asset_set(&mut self, event: &AssetSet) {
        self.text(Column::Currency, event.asset.to_string());
        self.text(Column::AssetCode, event.code.to_string());
        self.text(Column::AssetName, event.name.to_string());
    }

    pub(super) fn rate_set(&mut self, event: &RateSet) {
        self.text(Column::Currency, event.from.to_string());
        self.text(Column::ToCurrency, event.to.to_string());
        if let Some(quote) = event.quote {
            self.text(Column::Price, quote.price.to_string());
            self.number(Column::SpreadPpm, quote.spread_ppm);
        }
    }

    pub(super) fn spending_set(&mut self, event: &SpendingSet) {
        self.number(Column::Wallet, event.wallet.0);
        let order: Vec<String> = event.order.as_slice().iter().map(u16::to_string).collect();
        self.text(Column::Spending, order.join(" "));
    }

    pub(super) fn interest_set(&mut self, event: &InterestSet) {
        self.number(Column::Wallet, event.wallet.0);
        self.number(Column::Account, event.account);
        if let Some(Terms { rate_ppm, day_count, paid_out }) = event.terms {
            self.number(Column::InterestPpm, rate_ppm);
            self.text(Column::DayCount, day_count.name());
            self.text(Column::PaidOut, paid_out.name());
        }
    }

    pub(super) fn interest_paid(&mut self, event: &InterestPaid) {
        self.number(Column::Wallet, event.wallet.0);
        self.number(Column::Account, event.account);
        self.number(Column::Amount, event.payout.units);
        self.text(Column::Through, Day::at(event.payout.through.begins()).to_string());
        self.text(Column::PartsLeft, event.payout.rest.to_string());
    }

    pub(super) fn converted(&mut self, converted: &Converted) {
        let received = Money::new(converted.amount, converted.currency);
        self.money([Column::ToAmount, Column::ToCurrency], received);
        self.number(Column::Rate, converted.rate.0);
    }

    /// In order: which account bears how much of its asset for how much, at which rate; and where the authorization's
    /// own account stands among them.
    pub(super) fn shares(&mut self, shares: &Shares) {
        if shares.is_empty() {
            return;
        }
        let mut parts: Vec<String> = Vec::new();
        for (at, share) in (0..).zip(shares.as_slice()) {
            if at == shares.ahead() {
                parts.push("own".to_owned());
            }
            let rate = if share.rate.0 == 0 { String::new() } else { format!(" at {}", share.rate.0) };
            parts.push(format!("{}: {} for {}{rate}", share.account, share.amount, share.covers));
        }
        if usize::from(shares.ahead()) == shares.as_slice().len() {
            parts.push("own".to_owned());
        }
        self.text(Column::Shares, parts.join("; "));
        if let Some(currency) = shares.opens() {
            self.text(Column::Opens, currency.to_string());
        }
    }
}
