//! The network: purchases go out at their time, answers come in, and at the end everything is settled.

use std::cell::RefCell;
use std::fmt::Write;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
use std::time::Instant;

use tokio::task::LocalSet;

use crate::dialect::inbound::Inbound;
use crate::dialect::inbound::Received;
use crate::domain::action::ActionCode;
use crate::edge::clock;
use crate::edge::exit;
use crate::edge::simulate::Called;
use crate::edge::simulate::Signals;
use crate::edge::simulate::line::Line;
use crate::edge::simulate::line::Party;
use crate::edge::simulate::line::Voice;
use crate::edge::simulate::place::Place;
use crate::edge::simulate::write_book;
use crate::workload::network::Leaving;
use crate::workload::network::Network;
use crate::workload::party::Fate;

/// How often it looks what is due, at least.
const LOOK_MS: u64 = 5;

/// How long it lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Span {
    /// Purchases are made, counted from when the peer is there.
    pub(super) length: Duration,
    /// What is open after that is settled within this.
    pub(super) settle: Duration,
}

/// How it ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    /// All that it has sent is answered.
    Settled,
    /// Something is not.
    Open,
    /// There never was a peer.
    Alone,
    /// Somebody ended it.
    Interrupted,
}

impl End {
    pub(super) const fn exit_code(self) -> u8 {
        match self {
            Self::Settled => exit::OK,
            Self::Open => exit::THRESHOLD,
            Self::Alone => exit::UNAVAILABLE,
            Self::Interrupted => exit::INTERRUPTED,
        }
    }
}

#[derive(Clone, Copy)]
enum Phase {
    Waiting,
    Buying { until: Instant },
    Settling { until: Instant },
}

/// What its sockets share.
struct Web {
    voice: Voice,
    network: RefCell<Network>,
    lines: RefCell<Vec<Rc<Line>>>,
    began: Instant,
}

impl Party for Web {
    fn voice(&self) -> &Voice {
        &self.voice
    }

    fn is_deaf_while_silent(&self) -> bool {
        true
    }

    fn hears(&self, message: &Received<'_>, _body: &[u8], line: &Line) {
        match &message.inbound {
            Inbound::Response(response) => self.network.borrow_mut().hears(response, self.now_ms()),
            // An issuer tells it of a card that may not be used any more: it takes that into its file.
            Inbound::Unsupported { mti: 302 | 303 } if self.voice.silent_until().is_none() => {
                let mut frame = Vec::new();
                if self.voice.dialect.write_refusal(message, ActionCode::Approved, &mut frame).is_ok() {
                    self.network.borrow_mut().is_told_of_card();
                    line.put(frame, Fate::Sent, 0);
                }
            }
            _ => {}
        }
    }

    fn opened(&self, line: &Rc<Line>) {
        self.lines.borrow_mut().push(Rc::clone(line));
    }

    fn closed(&self, line: &Rc<Line>) {
        self.lines.borrow_mut().retain(|other| !Rc::ptr_eq(other, line));
    }
}

/// Lives until all is settled, or it is ended, and writes its book. Returns how it ended.
pub(super) async fn live(
    place: &Place,
    voice: Voice,
    network: Network,
    span: Span,
    file: Option<&Path>,
) -> io::Result<End> {
    let name = voice.dialect.name().to_owned();
    let (network, lines) = (RefCell::new(network), RefCell::default());
    let web = Rc::new(Web { voice, network, lines, began: Instant::now() });
    let mut signals = Signals::listen()?;
    let end = LocalSet::new()
        .run_until(async {
            let place = place.open(&web).await?;
            eprintln!("simulate: a network that speaks {name} {place}");
            web.run(span, &mut signals, file).await
        })
        .await?;
    web.write_book(file)?;
    print!("{}", web.summary(&name, end));
    Ok(end)
}

impl Web {
    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn write_book(&self, file: Option<&Path>) -> io::Result<()> {
        let network = self.network.borrow();
        write_book(file, &network.counts(), &network.taken())
    }

    async fn run(&self, span: Span, signals: &mut Signals, file: Option<&Path>) -> io::Result<End> {
        let mut phase = Phase::Waiting;
        let mut leaving = Vec::new();
        loop {
            let now = Instant::now();
            let reached = self.lines.borrow().iter().any(|line| line.serves());
            let open = self.network.borrow().open();
            match phase {
                Phase::Waiting if reached => {
                    self.network.borrow_mut().begin(self.now_ms());
                    phase = Phase::Buying { until: now + span.length };
                }
                Phase::Waiting if self.began.elapsed() >= span.length => return Ok(End::Alone),
                Phase::Buying { until } if now >= until => {
                    self.network.borrow_mut().end();
                    phase = Phase::Settling { until: now + span.settle };
                }
                Phase::Settling { .. } if open == 0 => return Ok(End::Settled),
                Phase::Settling { until } if now >= until => return Ok(End::Open),
                _ => {}
            }
            if self.voice.silent_until().is_none() {
                let now_ms = self.now_ms();
                self.network.borrow_mut().tick(now_ms, clock::wall(), reached, &mut leaving);
                self.send(&mut leaving);
            }
            tokio::select! {
                () = tokio::time::sleep(self.pause()) => {}
                called = signals.next() => match called {
                    Called::Show => self.write_book(file)?,
                    Called::End => return Ok(End::Interrupted),
                },
            }
        }
    }

    /// Until something is due.
    fn pause(&self) -> Duration {
        let due = self.network.borrow().due_ms().unwrap_or(u64::MAX);
        Duration::from_millis(due.saturating_sub(self.now_ms()).clamp(1, LOOK_MS))
    }

    fn send(&self, leaving: &mut Vec<Leaving>) {
        let lines = self.lines.borrow();
        let serving: Vec<&Rc<Line>> = lines.iter().filter(|line| line.serves()).collect();
        for Leaving { frame, fate, delay_ms, pick } in leaving.drain(..) {
            // Nobody is there any more: it is as lost as on the way.
            let Some(line) = serving.get(pick as usize % serving.len().max(1)) else { continue };
            line.put(frame, fate, delay_ms);
        }
    }

    /// What it has to say at the end.
    fn summary(&self, name: &str, end: End) -> String {
        let network = self.network.borrow();
        let mut text = format!("a network that speaks {name}: {} purchases\n", network.purchases());
        for (what, count) in network.counts().iter().filter(|(_, count)| **count > 0) {
            let _infallible = writeln!(text, "  {count:>9}  {what}");
        }
        let mut sums = std::collections::BTreeMap::<u16, (i64, i64)>::new();
        for ((_, currency), taken) in network.taken() {
            let sum = sums.entry(currency).or_default();
            *sum = (sum.0 + taken.held, sum.1 + taken.posted);
        }
        for (currency, (held, posted)) in sums {
            let _infallible = writeln!(text, "  currency {currency:03}: {held} held, {posted} posted");
        }
        text += match end {
            End::Settled => "all is settled\n",
            End::Open => "not all is settled: some messages have no answer, and the books may differ\n",
            End::Alone => "nobody was there\n",
            End::Interrupted => "interrupted: what is open was not settled\n",
        };
        text
    }
}
