//! The issuer: it answers what comes, and keeps a book of it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::rc::Rc;

use tokio::task::LocalSet;

use crate::dialect::inbound::Inbound;
use crate::dialect::inbound::Received;
use crate::domain::request::ApprovalCode;
use crate::edge::simulate::Called;
use crate::edge::simulate::Signals;
use crate::edge::simulate::line::Line;
use crate::edge::simulate::line::Party;
use crate::edge::simulate::line::Voice;
use crate::edge::simulate::place::Place;
use crate::edge::simulate::write_book;
use crate::iso8583::value::Value;
use crate::workload::party::Book;
use crate::workload::party::Fate;
use crate::workload::party::Faults;
use crate::workload::party::Rules;
use crate::workload::party::noise;

/// What its sockets share.
struct Issuer {
    voice: Voice,
    book: RefCell<Book>,
    faults: Faults,
    /// How often messages with the same bytes came, by their fingerprints.
    came: RefCell<HashMap<u64, u32>>,
}

/// Serves until SIGTERM or SIGINT, and writes its book then.
pub(super) async fn serve(
    place: &Place,
    voice: Voice,
    rules: Rules,
    faults: Faults,
    file: Option<&Path>,
) -> io::Result<()> {
    let (name, seed) = (voice.dialect.name().to_owned(), faults.seed);
    let (book, came) = (RefCell::new(Book::new(rules)), RefCell::default());
    let issuer = Rc::new(Issuer { voice, book, faults, came });
    let mut signals = Signals::listen()?;
    let write = |issuer: &Issuer| {
        let book = issuer.book.borrow();
        let counts = book.counts().iter().map(|(what, count)| ((*what).to_owned(), *count)).collect();
        write_book(file, &counts, &book.taken())
    };
    LocalSet::new()
        .run_until(async {
            let place = place.open(&issuer).await?;
            eprintln!("simulate: an issuer that speaks {name} {place}, seed {seed}");
            while let Called::Show = signals.next().await {
                write(&issuer)?;
            }
            Ok::<(), io::Error>(())
        })
        .await?;
    write(&issuer)
}

impl Party for Issuer {
    fn voice(&self) -> &Voice {
        &self.voice
    }

    fn is_deaf_while_silent(&self) -> bool {
        false
    }

    fn hears(&self, message: &Received<'_>, body: &[u8], line: &Line) {
        let mut frame = Vec::new();
        if self.answer(message, &mut frame).is_none() || self.voice.silent_until().is_some() {
            return;
        }
        let (fate, delay_ms) = self.faults.of(body, self.came(body));
        if let Fate::Garbled(bits) = fate {
            frame = self.garbled(message, bits);
        }
        line.put(frame, fate, delay_ms);
    }
}

impl Issuer {
    /// How often a message has come before with these bytes.
    fn came(&self, body: &[u8]) -> u32 {
        let mut came = self.came.borrow_mut();
        let times = came.entry(xxhash_rust::xxh3::xxh3_64(body)).or_default();
        *times += 1;
        *times - 1
    }

    /// Writes the answer of a message; `None` when it gets none.
    fn answer(&self, message: &Received<'_>, frame: &mut Vec<u8>) -> Option<()> {
        let mut book = self.book.borrow_mut();
        let answer = match &message.inbound {
            Inbound::Authorization(request) => book.request(request),
            Inbound::Reversal(reversal) => book.reversal(reversal),
            Inbound::Advice(advice) => book.advice(advice),
            _ => return None,
        };
        self.voice.dialect.write_answer(message, &answer, frame).ok()
    }

    /// An answer that is wrong: of another message, or no message at all.
    fn garbled(&self, message: &Received<'_>, bits: u32) -> Vec<u8> {
        let (view, dialect) = (&message.view, &self.voice.dialect);
        let text = |field: u8| dialect.value(view, field).unwrap_or_default();
        let other =
            |text: String| text.chars().map(|one| if one == '7' { '3' } else { '7' }).collect::<String>();
        let mut values: Vec<(u8, String)> =
            [2, 3, 4, 7, 11, 32, 37, 41, 49].map(|field| (field, text(field))).into_iter().collect();
        values.retain(|(_, value)| !value.is_empty());
        let changed = [11, 37, 41, 4][(bits >> 8) as usize % 4];
        for (field, value) in &mut values {
            if *field == changed {
                *value = other(std::mem::take(value));
            }
        }
        let approval = ApprovalCode(*b"WRONG1");
        values.extend([(38, approval.to_string()), (39, "00".to_owned())]);
        values.sort_by_key(|(field, _)| *field);
        let values: Vec<(u8, Value<'_>)> =
            values.iter().map(|(field, value)| (*field, Value::Text(value))).collect();
        let mti = view.mti() - view.mti() % 2 + 10;
        let mut frame = Vec::new();
        if Fate::is_noise(bits) || dialect.compose(mti, &values, &mut frame).is_err() {
            return noise(bits);
        }
        frame
    }
}
