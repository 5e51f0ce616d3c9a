//! Before and after the run: sign-on and sign-off, and what has no answer is settled (R33).

use std::time::Duration;

use crate::edge::loadtest::drive::LoadError;
use crate::edge::loadtest::pump::Driver;
use crate::edge::loadtest::pump::Stop;
use crate::workload::exchange::Kind;

/// How often something open is settled again.
const SETTLE_TRIES: u32 = 5;

impl Driver<'_> {
    /// Sends a network management request on every open connection and waits for the answers. Returns the connection
    /// and the exchange of each.
    async fn manage(&mut self, kind: Kind) -> Vec<(usize, u32)> {
        let now = self.now();
        let mut asked = Vec::with_capacity(self.connections.len());
        for place in 0..self.connections.len() {
            let connection = &mut self.connections[place];
            if connection.closed {
                continue;
            }
            let number = self.acquirer.compose_management(place, kind, &mut connection.output);
            self.acquirer.sent(number, now, now);
            connection.waiting.push_back(number);
            connection.in_flight += 1;
            asked.push((place, number));
        }
        let timeout = self.plan.timeout.as_nanos() as u64;
        self.pump(false, self.now().saturating_add(timeout)).await;
        asked
    }

    /// Takes up service on every connection.
    pub(super) async fn sign_on(&mut self) -> Result<(), LoadError> {
        let asked = self.manage(Kind::SignOn).await;
        let unanswered =
            |number| self.acquirer.exchanges().get(number).is_none_or(|exchange| exchange.answer().is_none());
        match asked.into_iter().find(|(_, number)| unanswered(*number)) {
            Some((place, _)) => Err(LoadError::SignOn { address: self.connections[place].address }),
            None => Ok(()),
        }
    }

    /// Leaves service on every connection.
    pub(super) async fn sign_off(&mut self) {
        self.manage(Kind::SignOff).await;
    }

    /// Settles what has no answer (R33). Returns how many exchanges were.
    pub(super) async fn settle(&mut self) -> u64 {
        let mut open = Vec::new();
        self.acquirer.unsettled(&mut open);
        let first = open.len();
        // Whoever fell silent is asked once.
        let tries = if matches!(self.stop, Some(Stop::Silent(_))) { 1 } else { SETTLE_TRIES };
        for _ in 0..tries {
            if open.is_empty() {
                break;
            }
            for connection in &mut self.connections {
                if connection.closed && connection.reopen().await.is_err() {
                    // Nobody there; the exchange stays open and is reported.
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
            let now = self.now();
            let mut awaited = Vec::with_capacity(open.len());
            for number in open.drain(..) {
                let mut frame = Vec::new();
                let Some((stream, answer)) = self.acquirer.compose_settlement(number, &mut frame) else {
                    continue;
                };
                self.connections[stream].output.extend_from_slice(&frame);
                if answer != number {
                    self.acquirer.sent(answer, now, now);
                }
                awaited.push(answer);
            }
            let wait = self.plan.timeout.min(Duration::from_secs(2)).as_nanos() as u64;
            let until = self.now().saturating_add(wait);
            while let Some(number) = awaited.pop() {
                self.pump_until_answered(until, number).await;
            }
            self.acquirer.unsettled(&mut open);
        }
        (first - open.len().min(first)) as u64
    }

    async fn pump_until_answered(&mut self, deadline: u64, number: u32) {
        let answered = |driver: &Self| {
            driver.acquirer.exchanges().get(number).is_none_or(|exchange| exchange.answer().is_some())
        };
        while !answered(self) && self.now() < deadline && self.connections.iter().any(|c| !c.closed) {
            let mut progress = false;
            for place in 0..self.connections.len() {
                progress |= self.connections[place].flush();
                progress |= self.absorb(place);
            }
            if !progress {
                let now = self.now();
                self.idle(false, now).await;
            }
        }
    }
}
