//! Clearing records of purchases (R20): they come to the daemon beside all messages, one by one, and again until they
//! are on disk, sometimes once more after that.

use turnpike::domain::card::Pan;
use turnpike::domain::cleared::Clearance;
use turnpike::domain::clearing::Arn;
use turnpike::domain::clearing::Function;
use turnpike::domain::clearing::Part;
use turnpike::domain::clearing::Presentment;
use turnpike::domain::clearing::Purpose;
use turnpike::domain::clearing::Usage;
use turnpike::domain::money::Currency;
use turnpike::domain::money::Money;
use turnpike::domain::party::Text;
use turnpike::pipeline::clearing::Posting;

use super::exchange::Exchange;
use super::exchange::Kind;
use super::exchange::Which;
use super::messages;
use super::world::Event;
use super::world::MS;
use super::world::S;
use super::world::World;

impl World {
    /// A record of a clearing file goes to the daemon. It is done with once what handled it is on disk.
    pub(crate) fn present(&mut self, number: u32) {
        let link = self.exchange(number).link;
        let network = self.links[link].settings.context.network;
        let presentment = Presentment { network, ..presentment(number, self.exchange(number)) };
        let now = self.clock().both();
        let posting = self.daemon.as_ref().map(|daemon| daemon.pipeline.clear(&presentment, now));
        let durable = self.daemon.as_ref().map_or(0, |daemon| daemon.pipeline.durable().0);
        let record = match posting {
            None | Some(Posting::Later | Posting::Failed) => None,
            Some(Posting::Full(table)) => panic!("{table} is full"),
            Some(Posting::Again(first)) => Some(first.0),
            Some(Posting::Done(sequence, event, _)) => {
                self.tale(match event.outcome {
                    Clearance::Captured => "records that captured",
                    Clearance::Late => "records of what had ended",
                    Clearance::AlreadyPosted => "records of what a message had posted",
                    other => panic!("{other:?}: {:?}", self.exchange(number)),
                });
                self.trace(|| {
                    format!("purchase {number} is cleared: {:?} by record {}", event.outcome, sequence.0)
                });
                Some(sequence.0)
            }
        };
        self.wake_writer();
        let done = record.is_some_and(|record| record <= durable);
        if done && let Some(clearing) = &mut self.exchange(number).clearing {
            (clearing.told, clearing.heard) = (true, true);
        }
        // The same record stands in a second file.
        if !done || !self.calm && self.random.one_in(3) {
            self.after(100 * MS, 5 * S, Event::Follow { number, which: Which::Clearing });
        }
    }
}

/// The record of a purchase, by the keys of its request.
fn presentment(number: u32, exchange: &Exchange) -> Presentment {
    let request = &exchange.request;
    let rest = request.root % 5_000;
    let amount = exchange.clearing.as_ref().map_or(0, |clearing| clearing.message.amount);
    let currency = Currency::new(request.currency).expect("a currency");
    let purpose = if exchange.kind == Kind::Credit { Purpose::Refund } else { Purpose::Purchase };
    let ascii = |text: String| text.into_bytes();
    Presentment {
        network: turnpike::domain::party::NameId(0),
        function: Function { purpose, reversal: false, usage: Usage::First, code: 501 },
        part: Part::Whole,
        pan: Pan::from_ascii(request.pan.to_string().as_bytes()).expect("a card number"),
        arn: Arn::new(format!("74{number:021}").into_bytes().try_into().expect("23 digits")).expect("digits"),
        amount: Money::new(amount, currency),
        billing: None,
        settlement: None,
        authorized: None,
        approval_code: None,
        network_reference: 0,
        rrn: Text::from_ascii(&ascii(messages::rrn(number))),
        stan: None,
        terminal: Text::from_ascii(&ascii(format!("{:08}", 10_000_000 + rest))),
        merchant: Text::from_ascii(&ascii(format!("MERCHANT{rest:07}"))),
        mcc: request.mcc,
        country: Text::from_ascii(b"US"),
        acquirer: turnpike::domain::party::InstitutionId(u64::from(40_000_000 + request.root % 7)),
        local_date: None,
        local_time: None,
    }
}
