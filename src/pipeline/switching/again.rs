//! What was asked on a socket that is gone is asked again on another one, where both end at one host (R31).
//!
//! It goes as a repeat under the names that it had: whatever the host made of the first, it answers the same, and takes
//! the money once (R5). Its deadline stays, and so does the record of it. It is asked again once: whatever makes a host
//! close its socket must not close all of them.

use core::sync::atomic::Ordering;
use std::sync::Arc;

use crate::domain::event::Sequence;
use crate::domain::time::Now;
use crate::iso8583::view::Spans;
use crate::pipeline::core::Pipeline;
use crate::pipeline::gate::Reply;
use crate::switch::exchange::Handle;
use crate::switch::exchange::Open;
use crate::switch::exchange::Purpose;

use super::Line;
use super::State;
use super::Switchboard;
use super::Way;

/// Requests that are asked again under one hold of a line's lock.
const STEP: usize = 64;

impl Pipeline {
    /// Asks again what was asked on sockets of this line that are gone. Without a socket that takes it, it waits.
    pub(super) fn ask_again(&self, board: &Switchboard, line: &Line, now: Now) {
        if !line.has_lost.swap(false, Ordering::AcqRel) {
            return;
        }
        let lost =
            |open: &Open<Way>| open.way.there.is_closed() && !open.way.again && open.way.back.is_some();
        let orphans: Vec<Handle> = {
            let state = line.lock();
            let orphans = state.exchanges.iter().filter(|(_, open)| lost(open));
            orphans.map(|(handle, _)| handle).collect()
        };
        // Between two steps others have the line; a handle to what has ended since names nothing.
        for step in orphans.chunks(STEP) {
            let mut state = line.lock();
            for &handle in step {
                if !self.ask_again_on(board, line, &mut state, handle, now) {
                    line.has_lost.store(true, Ordering::Release);
                    return;
                }
            }
        }
    }

    /// False when no socket takes it now.
    fn ask_again_on(
        &self,
        board: &Switchboard,
        line: &Line,
        state: &mut State,
        handle: Handle,
        now: Now,
    ) -> bool {
        let Some(outbox) = line.pick(state).filter(|_| line.station.serves()) else { return false };
        let latency_ns = state.latency_ns;
        let mut frame = core::mem::take(&mut state.scratch);
        frame.clear();
        let mut goes = true;
        if let Some(open) = state.exchanges.get_mut(handle) {
            let in_time = open.deadline_ns.saturating_sub(now.elapsed_ns) > latency_ns;
            // With `fsync` the first may have waited for its record, and nothing leaves before that.
            let record = match (self.policy.reply, open.purpose) {
                (Reply::Fsync, Purpose::Request(record) | Purpose::Again { record, .. }) => record,
                _ => Sequence(0),
            };
            if in_time && write(board, line, open, &mut frame) {
                goes = outbox.put(&frame, record, open.deadline_ns, self.durable(), now);
                if goes {
                    open.way.there = Arc::clone(&outbox);
                    open.sent_ns = now.elapsed_ns;
                    outbox.asked.fetch_add(1, Ordering::Relaxed);
                    line.asked_again.fetch_add(1, Ordering::Relaxed);
                }
            }
            // What comes too late, or cannot be written, is not tried again either.
            open.way.again = goes;
        }
        state.scratch = frame;
        goes
    }
}

/// Writes the same request as a repeat. It could be carried before.
fn write(board: &Switchboard, line: &Line, open: &Open<Way>, frame: &mut Vec<u8>) -> bool {
    let Some(back) = &open.way.back else { return false };
    let Some(settings) = board.line(back.link).map(|source| &source.channel) else { return false };
    let (from, to) = (&settings.dialect, &line.channel.dialect);
    let mut spans = Spans::default();
    let Ok(asked) = from.decode(&back.request, settings.context, &mut spans) else { return false };
    from.carry_request(&asked, to, open.own, &line.carriage, true, frame).is_ok()
}
