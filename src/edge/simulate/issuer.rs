//! The issuer's sockets: frames in, answers out, each with its fate.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
use std::time::Instant;

use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::task::LocalSet;

use crate::dialect::Dialect;
use crate::dialect::inbound::Context;
use crate::dialect::inbound::Inbound;
use crate::dialect::inbound::Received;
use crate::domain::request::ApprovalCode;
use crate::domain::request::Stan;
use crate::iso8583::frame::Kind;
use crate::iso8583::value::Value;
use crate::iso8583::view::Spans;
use crate::pipeline::channel::ChannelSettings;
use crate::workload::party::Book;
use crate::workload::party::Fate;
use crate::workload::party::Faults;
use crate::workload::party::Rules;

/// What the sockets share.
struct Issuer {
    dialect: Dialect,
    context: Context,
    book: RefCell<Book>,
    faults: Faults,
    /// How often messages with the same bytes came, by their fingerprints.
    came: RefCell<HashMap<u64, u32>>,
    began: Instant,
    /// From and to.
    silent: Option<(Duration, Duration)>,
}

/// Serves until SIGTERM or SIGINT, and writes its book then.
pub(super) async fn serve(
    address: SocketAddr,
    dialect: Dialect,
    rules: Rules,
    faults: Faults,
    silent: Option<(u64, u64)>,
    file: Option<&Path>,
) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    eprintln!(
        "simulate: an issuer that speaks {} on {}, seed {}",
        dialect.name(),
        listener.local_addr()?,
        faults.seed
    );
    let silent =
        silent.map(|(after, lasts)| (Duration::from_secs(after), Duration::from_secs(after + lasts)));
    let issuer = Rc::new(Issuer {
        dialect,
        context: ChannelSettings::context_of("issuer", "issuer"),
        book: RefCell::new(Book::new(rules)),
        faults,
        came: RefCell::default(),
        began: Instant::now(),
        silent,
    });
    let (mut terminate, mut interrupt, mut show) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
        signal(SignalKind::user_defined1())?,
    );
    let sockets = LocalSet::new();
    let shared = Rc::clone(&issuer);
    sockets
        .run_until(async move {
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        // Out of file descriptors, most likely: this will pass.
                        let Ok((socket, _)) = accepted else {
                            tokio::time::sleep(Duration::from_millis(100)).await;
                            continue;
                        };
                        let issuer = Rc::clone(&shared);
                        tokio::task::spawn_local(async move {
                            // A peer that goes away is not this side's fault.
                            let _gone = issuer.socket(socket).await;
                        });
                    }
                    _ = show.recv() => shared.write_book(file)?,
                    _ = terminate.recv() => break,
                    _ = interrupt.recv() => break,
                }
            }
            Ok::<(), io::Error>(())
        })
        .await?;
    issuer.write_book(file)
}

impl Issuer {
    fn write_book(&self, file: Option<&Path>) -> io::Result<()> {
        let book = self.book.borrow();
        let taken = book.taken();
        let cards: Vec<_> = taken
            .iter()
            .map(|((card, currency), taken)| {
                let (currency, held) = (format!("{currency:03}"), taken.held);
                json!({ "card": card, "currency": currency, "held": held, "posted": taken.posted })
            })
            .collect();
        let text = json!({ "counts": book.counts(), "cards": cards }).to_string();
        match file {
            None => Ok(()),
            Some(file) => {
                // Whoever waits for it never sees a part.
                let whole = file.with_extension("part");
                std::fs::write(&whole, text)?;
                std::fs::rename(whole, file)
            }
        }
    }

    /// How often a message has come before with these bytes.
    fn came(&self, body: &[u8]) -> u32 {
        let mut came = self.came.borrow_mut();
        let times = came.entry(xxhash_rust::xxh3::xxh3_64(body)).or_default();
        *times += 1;
        *times - 1
    }

    fn is_silent(&self) -> bool {
        let now = self.began.elapsed();
        self.silent.is_some_and(|(from, to)| (from..to).contains(&now))
    }

    async fn socket(&self, mut socket: TcpStream) -> io::Result<()> {
        socket.set_nodelay(true)?;
        let (mut unread, mut bytes) = (Vec::new(), vec![0; 65_536]);
        // Answers with the time at which they leave; one that is to come after the next; and whether it ends.
        let mut due: Vec<(Instant, Vec<u8>, bool)> = Vec::new();
        let mut later: Option<Vec<u8>> = None;
        loop {
            let next = due.iter().map(|(at, _, _)| *at).min();
            tokio::select! {
                read = socket.read(&mut bytes) => match read? {
                    0 => return Ok(()),
                    read => unread.extend_from_slice(&bytes[..read]),
                },
                () = until(next), if next.is_some() => {}
            }
            loop {
                match self.dialect.frame(&unread) {
                    Ok(None) => break,
                    // Its place in the stream is lost.
                    Err(_) => return Ok(()),
                    Ok(Some(frame)) => {
                        if frame.kind == Kind::Message {
                            let body = unread[frame.body.clone()].to_vec();
                            self.message(&body, &mut due, &mut later);
                        }
                        unread.drain(..frame.total);
                    }
                }
            }
            let now = Instant::now();
            due.sort_by_key(|(at, _, _)| *at);
            let leaving = due.iter().take_while(|(at, _, _)| *at <= now).count();
            for (_, frame, ends) in due.drain(..leaving) {
                socket.write_all(&frame).await?;
                if ends {
                    return Ok(());
                }
            }
        }
    }

    fn message(&self, body: &[u8], due: &mut Vec<(Instant, Vec<u8>, bool)>, later: &mut Option<Vec<u8>>) {
        let mut spans = Spans::default();
        let Ok(message) = self.dialect.decode(body, self.context, &mut spans) else { return };
        let mut frame = Vec::new();
        let Some(by_chance) = self.answer(&message, &mut frame) else { return };
        if self.is_silent() {
            return;
        }
        let (fate, delay) = if by_chance { self.faults.of(body, self.came(body)) } else { (Fate::Sent, 0) };
        let at = Instant::now() + Duration::from_millis(delay.into());
        match fate {
            Fate::Sent => due.push((at, frame, false)),
            Fate::Dropped => {}
            Fate::Twice => due.extend([(at, frame.clone(), false), (at, frame, false)]),
            Fate::Later => {
                due.extend(later.replace(frame).map(|before| (at, before, false)));
                return;
            }
            Fate::Cut => {
                frame.truncate(frame.len() / 2);
                due.push((at, frame, true));
            }
            Fate::Garbled(bits) => due.push((at, self.garbled(&message, bits), bits.is_multiple_of(8))),
        }
        due.extend(later.take().map(|before| (at, before, false)));
    }

    /// Writes the answer of a message; `None` when it gets none. Says whether faults are about it.
    fn answer(&self, message: &Received<'_>, frame: &mut Vec<u8>) -> Option<bool> {
        let mut book = self.book.borrow_mut();
        let answer = match &message.inbound {
            Inbound::Authorization(request) => book.request(request),
            Inbound::Reversal(reversal) => book.reversal(reversal),
            Inbound::Advice(advice) => book.advice(advice),
            Inbound::NetworkManagement(request) => {
                self.dialect.write_network_answer(message, request, frame).ok()?;
                return Some(false);
            }
            _ => return None,
        };
        self.dialect.write_answer(message, &answer, frame).ok()?;
        Some(true)
    }

    /// An answer that is wrong: of another message, or no message at all.
    fn garbled(&self, message: &Received<'_>, bits: u32) -> Vec<u8> {
        let view = &message.view;
        let text = |field: u8| self.dialect.value(view, field).unwrap_or_default();
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
        if bits.is_multiple_of(8) || self.dialect.compose(mti, &values, &mut frame).is_err() {
            // No framing has such a length that a peer could wait for.
            let noise = Stan(bits).0.to_le_bytes();
            frame = noise.repeat(16);
        }
        frame
    }
}

async fn until(at: Option<Instant>) {
    if let Some(at) = at {
        tokio::time::sleep_until(at.into()).await;
    }
}
