//! When each message is due, and on which connection: pieces of a constant rate, dealt to targets by weight.

use std::time::Duration;

const SECOND_NS: u64 = 1_000_000_000;
/// Where messages of a connection are due so often that several fall into this time, they leave together at its end: a
/// write of its own for each would cost more than the messages.
const GROUP_NS: u64 = 25_000;
/// So many at least.
const GROUP_MIN: u128 = 4;

/// A time in which the rate is constant. Times are nanoseconds since sending began.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Piece {
    pub(super) start: u64,
    pub(super) end: u64,
    /// Messages a second.
    pub(super) rate: u64,
    /// The first message of the piece among all.
    first: u64,
    /// The first message after it.
    until: u64,
}

/// Pieces one after the other.
pub(super) fn pieces(parts: &[(Duration, u64)]) -> Vec<Piece> {
    let (mut start, mut first) = (0_u64, 0);
    let mut pieces = Vec::with_capacity(parts.len());
    for (length, rate) in parts {
        let end = start.saturating_add(u64::try_from(length.as_nanos()).unwrap_or(u64::MAX));
        // Whoever is due within the piece: the first at once, the last before its end.
        let count = (u128::from(end - start) * u128::from(*rate)).div_ceil(u128::from(SECOND_NS));
        let until = first + u64::try_from(count).unwrap_or(u64::MAX / 2);
        pieces.push(Piece { start, end, rate: *rate, first, until });
        (start, first) = (end, until);
    }
    pieces
}

impl Piece {
    /// When a message of this piece is due.
    #[inline]
    const fn due(&self, turn: u64) -> u64 {
        let within = turn - self.first;
        self.start + within / self.rate * SECOND_NS + within % self.rate * SECOND_NS / self.rate
    }

    /// Messages that are due before `at`.
    fn due_before(&self, at: u64) -> u64 {
        let time = at.clamp(self.start, self.end) - self.start;
        let count = (u128::from(time) * u128::from(self.rate)).div_ceil(u128::from(SECOND_NS));
        u64::try_from(count).unwrap_or(u64::MAX)
    }
}

/// Messages that are due from `from` until before `to`.
pub(super) fn planned(pieces: &[Piece], from: u64, to: u64) -> u64 {
    pieces.iter().map(|piece| piece.due_before(to) - piece.due_before(from)).sum()
}

/// How often a target has its turn, and how many connections share it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Share {
    pub(super) weight: u32,
    pub(super) connections: usize,
}

/// One connection's part of the schedule.
#[derive(Clone, Debug)]
struct Lane {
    /// Turns of its target in a cycle.
    slots: Vec<u32>,
    /// Messages of its target that come between two of its own, counted in its target's turns.
    stride: u64,
    /// The target's turn of its next message.
    turn: u64,
    piece: usize,
    /// When its next message is due; never is the largest number.
    next: u64,
    /// How long after that it may wait for others; nanoseconds.
    hold: u64,
}

/// The schedule of an open loop.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    pieces: Vec<Piece>,
    cycle: u64,
    lanes: Vec<Lane>,
}

/// Never.
const NEVER: u64 = u64::MAX;

impl Schedule {
    /// `places` names the target of each connection.
    pub(super) fn new(pieces: Vec<Piece>, shares: &[Share], places: &[usize]) -> Self {
        let slots = deal(shares);
        let mut taken = vec![0; shares.len()];
        let mut lanes = Vec::with_capacity(places.len());
        for target in places {
            let stride = shares[*target].connections as u64;
            lanes.push(Lane {
                slots: slots[*target].clone(),
                stride,
                turn: taken[*target],
                piece: 0,
                next: 0,
                hold: 0,
            });
            taken[*target] += 1;
        }
        let cycle = shares.iter().map(|share| u64::from(share.weight)).sum();
        let mut schedule = Self { pieces, cycle, lanes };
        for place in 0..places.len() {
            schedule.settle(place);
            schedule.regroup(place);
        }
        schedule
    }

    /// When the next message of a connection is due, nanoseconds since sending began.
    #[inline]
    pub(super) fn next(&self, place: usize) -> u64 {
        self.lanes[place].next
    }

    /// How long after it is due a message may wait, so that it leaves together with others; nanoseconds.
    #[inline]
    pub(super) fn hold(&self, place: usize) -> u64 {
        self.lanes[place].hold
    }

    /// The connection whose message is due first, and when; `None` when all are sent.
    pub(super) fn first(&self) -> Option<(usize, u64)> {
        let next = self.lanes.iter().enumerate().map(|(place, lane)| (place, lane.next));
        next.min_by_key(|(_, due)| *due).filter(|(_, due)| *due != NEVER)
    }

    /// The next message of a connection was sent.
    #[inline]
    pub(super) fn advance(&mut self, place: usize) {
        let lane = &mut self.lanes[place];
        lane.turn += lane.stride;
        self.settle(place);
    }

    #[inline]
    fn settle(&mut self, place: usize) {
        let lane = &mut self.lanes[place];
        let weight = lane.slots.len() as u64;
        let slot = u64::from(lane.slots[(lane.turn % weight) as usize]);
        let turn = lane.turn / weight * self.cycle + slot;
        let before = lane.piece;
        while self.pieces.get(lane.piece).is_some_and(|piece| turn >= piece.until) {
            lane.piece += 1;
        }
        lane.next = self.pieces.get(lane.piece).map_or(NEVER, |piece| piece.due(turn));
        if lane.piece != before {
            self.regroup(place);
        }
    }

    /// Decides by the rate of its piece whether a connection's messages leave in groups.
    fn regroup(&mut self, place: usize) {
        let lane = &mut self.lanes[place];
        let Some(piece) = self.pieces.get(lane.piece) else { return };
        let share = u128::from(piece.rate) * lane.slots.len() as u128;
        let every = u128::from(self.cycle) * u128::from(lane.stride) * u128::from(SECOND_NS) / share.max(1);
        lane.hold = if every * GROUP_MIN <= u128::from(GROUP_NS) { GROUP_NS } else { 0 };
    }
}

/// The turns of each target in a cycle as long as all weights together, spread evenly.
fn deal(shares: &[Share]) -> Vec<Vec<u32>> {
    let cycle: i64 = shares.iter().map(|share| i64::from(share.weight)).sum();
    let mut credit = vec![0_i64; shares.len()];
    let mut slots = vec![Vec::new(); shares.len()];
    for turn in 0..cycle {
        for (credit, share) in credit.iter_mut().zip(shares) {
            *credit += i64::from(share.weight);
        }
        // The first of those with the most credit.
        let chosen = (0..credit.len()).rev().max_by_key(|target| credit[*target]).unwrap_or(0);
        credit[chosen] -= cycle;
        slots[chosen].push(turn as u32);
    }
    slots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_due_by_rate_and_dealt_by_weight() {
        let second = Duration::from_secs(1);
        let table = [
            (vec![(second, 1_000)], vec![(1, 1)]),
            (vec![(second, 999), (second, 3_001), (second / 3, 7)], vec![(3, 2), (1, 1)]),
            (vec![(second * 2, 500)], vec![(1, 4), (5, 3), (2, 1)]),
        ];
        for (parts, shares) in table {
            let shares: Vec<Share> =
                shares.into_iter().map(|(weight, connections)| Share { weight, connections }).collect();
            let places: Vec<usize> = shares
                .iter()
                .enumerate()
                .flat_map(|(target, share)| vec![target; share.connections])
                .collect();
            let pieces = pieces(&parts);
            let all: u64 = pieces.iter().map(|piece| planned(&pieces, piece.start, piece.end)).sum();
            let mut schedule = Schedule::new(pieces.clone(), &shares, &places);
            let mut by_target = vec![0_u64; shares.len()];
            let mut by_place = vec![0_u64; places.len()];
            let (mut before, mut count) = (0, 0_u64);
            while let Some((place, due)) = schedule.first() {
                assert!(due >= before, "{due} after {before}");
                before = due;
                count += 1;
                by_target[places[place]] += 1;
                by_place[place] += 1;
                schedule.advance(place);
            }
            let parts_sum: u128 = parts
                .iter()
                .map(|(length, rate)| (length.as_nanos() * u128::from(*rate)).div_ceil(1_000_000_000))
                .sum();
            assert_eq!((u128::from(count), all), (parts_sum, count));
            let weights: u64 = shares.iter().map(|share| u64::from(share.weight)).sum();
            for (target, share) in shares.iter().enumerate() {
                let due = count * u64::from(share.weight) / weights;
                assert!(by_target[target].abs_diff(due) <= weights, "{by_target:?} of {count}");
                let own: Vec<u64> =
                    by_place.iter().zip(&places).filter(|(_, of)| **of == target).map(|(n, _)| *n).collect();
                let (least, most) = (own.iter().min(), own.iter().max());
                assert!(most.zip(least).is_some_and(|(most, least)| most - least <= 1), "{own:?}");
            }
        }
    }

    #[test]
    fn messages_leave_in_groups_where_a_connection_has_many() {
        let second = Duration::from_secs(1);
        for (rate, connections, hold) in [
            (1_000, 1, 0),
            (159_000, 1, 0),
            (160_000, 1, GROUP_NS),
            (160_000, 4, 0),
            (2_000_000, 4, GROUP_NS),
        ] {
            let shares = [Share { weight: 2, connections }];
            let schedule = Schedule::new(pieces(&[(second, rate)]), &shares, &vec![0; connections]);
            assert!((0..connections).all(|place| schedule.hold(place) == hold), "{rate} {connections}");
        }
        let parts = [(second, 1_000), (second, 1_000_000)];
        let mut schedule = Schedule::new(pieces(&parts), &[Share { weight: 1, connections: 1 }], &[0]);
        (0..1_000).for_each(|_| schedule.advance(0));
        assert_eq!((schedule.next(0), schedule.hold(0)), (SECOND_NS, GROUP_NS));
    }

    #[test]
    fn what_is_planned_adds_up() {
        let pieces = pieces(&[(Duration::from_millis(700), 333), (Duration::from_millis(900), 1_001)]);
        let end = 1_600_000_000;
        let cuts = [0, 1, 250_000_000, 700_000_000, 700_000_001, 1_599_999_999, end];
        let parts: u64 = cuts.windows(2).map(|cut| planned(&pieces, cut[0], cut[1])).sum();
        assert_eq!(parts, planned(&pieces, 0, end));
        assert_eq!(parts, 234 + 901);
    }
}
