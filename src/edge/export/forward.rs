//! The rows of the switch's records.

use crate::domain::card::CardIdentity;
use crate::domain::forward::Carried;
use crate::domain::forward::Concluded;
use crate::domain::forward::Ended;
use crate::domain::forward::Forwarded;
use crate::domain::forward::OwnKey;
use crate::domain::forward::Settled;
use crate::domain::forward::Stored;
use crate::domain::forward::Tells;
use crate::domain::party::NameId;
use crate::edge::export::column::Column;
use crate::edge::export::row::Row;

impl Row {
    pub(super) fn forwarded(&mut self, event: &Forwarded) {
        self.to(event.to);
        self.own(event.own);
        self.carried(&event.carried);
    }

    pub(super) fn concluded(&mut self, event: &Concluded) {
        self.to(event.to);
        self.number(Column::Exchange, event.exchange.0);
        match event.ended {
            Ended::Answered(code) => {
                self.text(Column::Ended, "answered");
                self.text(Column::ResponseCode, code.escape_ascii().to_string());
            }
            Ended::TimedOut { reversal } => {
                self.text(Column::Ended, "timed-out");
                self.own(reversal);
            }
            Ended::Unsent => self.text(Column::Ended, "unsent"),
            Ended::StoodIn { reversal, advice, action, approval_code } => {
                self.text(Column::Ended, "stood-in");
                self.text(Column::Action, action.name());
                self.approval_code(approval_code);
                if let Some(own) = advice.or(reversal) {
                    self.own(own);
                }
            }
        }
    }

    pub(super) fn stored(&mut self, event: &Stored) {
        self.to(event.to);
        self.own(event.message.own);
        self.carried(&event.message.carried);
        if let Some(exchange) = event.exchange {
            self.number(Column::Exchange, exchange.0);
        }
        match event.message.tells {
            Tells::Reversal { replacement, legs, approval_code, original, as_received } => {
                self.flag(Column::Advice, false);
                self.legs(legs);
                self.approval_code(approval_code);
                if let Some(replacement) = replacement {
                    self.number(Column::Keeps, replacement.amount);
                }
                if let Some(original) = original {
                    self.class(Column::OriginalClass, original.class);
                    self.digits(Column::OriginalStan, original.key.stan.0, 6);
                    self.digits(Column::OriginalTransmission, original.key.transmission.digits(), 10);
                } else if let Some(original) = &as_received {
                    self.original(original);
                }
            }
            Tells::Advice { approved, approval_code, .. } => {
                self.flag(Column::Advice, true);
                self.flag(Column::Approved, approved);
                self.approval_code(approval_code);
            }
            Tells::CardEnded { status } => self.text(Column::Status, status.name()),
        }
    }

    pub(super) fn settled(&mut self, event: &Settled) {
        self.to(event.to);
        self.number(Column::Stored, event.stored.0);
        self.flag(Column::Advice, event.advice);
        self.text(Column::Settlement, event.settlement.name());
    }

    fn to(&mut self, link: NameId) {
        self.text(Column::To, format!("{:08x}", link.0));
    }

    fn own(&mut self, own: OwnKey) {
        self.digits(Column::OwnStan, own.stan.0, 6);
        self.digits(Column::OwnTransmission, own.transmission.digits(), 10);
    }

    fn carried(&mut self, of: &Carried) {
        self.card(CardIdentity::Unknown(of.pan.masked()));
        self.key(&of.key);
        self.class(Column::Class, of.class);
        self.processing_code(of.processing_code);
        self.amounts(of.amount, of.billing);
        for (column, number, width) in [
            (Column::Mcc, of.mcc, 4),
            (Column::Country, of.country, 3),
            (Column::EntryMode, of.entry_mode, 3),
        ] {
            if number != 0 {
                self.digits(column, number, width);
            }
        }
    }
}
