//! Requests of a capture and their answers: who answers whom, and which keys tell that apart.
//!
//! An answer is first given to the request that it is most like of those with its DE 11 and its type. Against that
//! every key is held: the one that is asked about, and every other that could be configured. So what a party changes is
//! found out whatever key it is tried with.
//!
//! What is kept is bounded, however long the capture is: the newest [`KEPT_MAX`] requests, of them at most
//! [`ONE_NAME_MAX`] with one DE 11 and type, each as a fingerprint of each of its elements; and the first
//! [`FINDINGS_MAX`] findings.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::collections::VecDeque;

use xxhash_rust::xxh3::xxh3_64;

use crate::dialect::Dialect;
use crate::dialect::answer::response_mti;
use crate::dialect::inbound::Response;
use crate::domain::party::Rrn;
use crate::iso8583::spec::HIGHEST_FIELD;
use crate::iso8583::view::View;
use crate::pipeline::switching::answer::answering;
use crate::switch::matching::ACQUIRER;
use crate::switch::matching::Answering;
use crate::switch::matching::MatchKey;
use crate::switch::matching::NAMING;
use crate::switch::matching::RRN;
use crate::switch::matching::STAN;
use crate::switch::matching::Sent;
use crate::switch::matching::TERMINAL;
use crate::switch::matching::TRANSMISSION;
use crate::switch::matching::difference;

/// Requests that are kept, answered ones among them.
const KEPT_MAX: usize = 65_536;
/// Requests with one DE 11 and one type that are kept.
const ONE_NAME_MAX: usize = 256;
/// Findings that are kept; the others are counted.
const FINDINGS_MAX: usize = 100;

/// Where something stands: which input, and which byte of its messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    pub(super) input: usize,
    pub(super) offset: u64,
}

/// What was found to be wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum What {
    /// Two requests with one key are open at once.
    Collision,
    /// An answer is one to either of two open requests.
    Ambiguous,
    /// An answer has the DE 11 of one open request and the DE 37 of another.
    Crossed,
    /// An answer differs from its request in an element of the key or in an amount.
    Differs(u8),
    /// Nothing that is open has its DE 11 and type.
    Orphan,
    /// What it answers was answered before.
    Again,
    /// It is no message.
    Broken(String),
}

impl What {
    /// Its name in JSON.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Collision => "collision",
            Self::Ambiguous => "ambiguous",
            Self::Crossed => "crossed",
            Self::Differs(_) => "differs",
            Self::Orphan => "orphan",
            Self::Again => "answered-before",
            Self::Broken(_) => "malformed",
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Finding {
    pub(super) what: What,
    pub(super) at: Place,
    /// MTI and DE 11 of what stands there, when it is a message.
    pub(super) named: Option<(u16, u32)>,
    /// The request that it is about, and another one.
    pub(super) requests: [Option<Place>; 2],
}

/// What answers did with an element of their requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Echoes {
    pub(super) same: u64,
    pub(super) changed: u64,
    pub(super) absent: u64,
}

impl Echoes {
    /// Every answer has it as its request had it.
    const fn is_kept(self) -> bool {
        self.same > 0 && self.changed == 0 && self.absent == 0
    }
}

/// What was counted of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Tally {
    /// Pairs of requests with one key that were open at once.
    pub(super) collisions: u64,
    /// Answers that are one to another open request too, or would be given to one that they are not of.
    pub(super) mistaken: u64,
    /// Answers that differ from their request in an element of the key.
    pub(super) refused: u64,
}

impl Tally {
    /// It told every answer's request, and from all others.
    pub(super) const fn is_right(self) -> bool {
        self.collisions == 0 && self.mistaken == 0 && self.refused == 0
    }

    /// No answer could have been given to a request that it is not of.
    pub(super) const fn is_unique(self) -> bool {
        self.collisions == 0 && self.mistaken == 0
    }
}

/// How many there were of what.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Counts {
    pub(super) requests: u64,
    /// Requests that came again while they were kept.
    pub(super) repeats: u64,
    pub(super) answers: u64,
    /// Answers whose request was found, whatever else they differ in.
    pub(super) paired: u64,
    /// Of them, those that the key which is asked about gives to their request and to no other.
    pub(super) matched: u64,
    /// Network management, and what else is not forwarded.
    pub(super) others: u64,
    pub(super) unanswered: u64,
    pub(super) findings: u64,
}

/// A request. Its elements are kept as fingerprints: nothing of a card is.
struct Request {
    at: Place,
    stan: u32,
    sent: Sent,
    prints: Box<[(u8, u64)]>,
    answered: bool,
}

type Name = (u16, u32);

/// Everything that is known of a capture so far.
pub(super) struct Pairs<'d> {
    dialect: &'d Dialect,
    /// The one that is asked about, then every one that can be named.
    keys: Vec<(MatchKey, Tally)>,
    kept: VecDeque<Request>,
    /// The number of the first that is kept.
    first: u64,
    by_name: HashMap<Name, VecDeque<u64>>,
    /// Open requests by the type of their answers and their DE 37, the newest of each: a reversal has the reference of
    /// its request.
    by_rrn: HashMap<(u16, Rrn), u64>,
    echoes: Vec<Echoes>,
    pub(super) counts: Counts,
    pub(super) findings: Vec<Finding>,
}

impl<'d> Pairs<'d> {
    pub(super) fn new(dialect: &'d Dialect, key: MatchKey) -> Self {
        let keys = core::iter::once(key).chain(every_key());
        Self {
            dialect,
            keys: keys.map(|key| (key, Tally::default())).collect(),
            kept: VecDeque::new(),
            first: 0,
            by_name: HashMap::new(),
            by_rrn: HashMap::new(),
            echoes: vec![Echoes::default(); usize::from(HIGHEST_FIELD) + 1],
            counts: Counts::default(),
            findings: Vec::new(),
        }
    }

    /// What was counted of the key that is asked about.
    pub(super) fn asked(&self) -> (MatchKey, Tally) {
        self.keys.first().copied().unwrap_or_default()
    }

    /// What answers did with each element that any of their requests had.
    pub(super) fn echoes(&self) -> impl Iterator<Item = (u8, Echoes)> {
        let echoes = (0..).zip(self.echoes.iter().copied());
        echoes.filter(|(_, echoes)| *echoes != Echoes::default())
    }

    /// The key of every element in which all answers agree, with what was counted of it.
    pub(super) fn strongest(&self) -> (MatchKey, Tally) {
        let kept =
            |element: &u8| self.echoes.get(usize::from(*element)).is_some_and(|echoes| echoes.is_kept());
        let elements: Vec<u8> =
            NAMING.into_iter().filter(|element| *element == STAN || kept(element)).collect();
        let key = MatchKey::of(&elements).unwrap_or_default();
        let named = self.keys.iter().skip(1).find(|(known, _)| *known == key);
        named.copied().unwrap_or((key, Tally::default()))
    }

    /// Everything was read: what is open has no answer.
    pub(super) fn end(&mut self) {
        self.counts.unanswered += self.kept.iter().filter(|request| !request.answered).count() as u64;
    }

    /// Takes what is no message.
    pub(super) fn broken(&mut self, at: Place, why: String) {
        self.find(Finding { what: What::Broken(why), at, named: None, requests: [None; 2] });
    }

    /// Takes a message.
    pub(super) fn message(&mut self, at: Place, view: &View<'_>) {
        let mti = view.mti();
        let forwarded = matches!(mti / 100, 1 | 2 | 4);
        match (mti / 10 % 10, Response::read(view)) {
            (0 | 2, Ok(named)) if forwarded => self.request(at, view, &named),
            (1 | 3, Ok(named)) if forwarded => self.answer(at, view, &named),
            (0..=3, Err(fault)) if forwarded => self.broken(at, fault.to_string()),
            _ => self.counts.others += 1,
        }
    }

    fn find(&mut self, finding: Finding) {
        self.counts.findings += 1;
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        }
    }

    fn get(&self, number: u64) -> Option<&Request> {
        self.kept.get(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    fn get_mut(&mut self, number: u64) -> Option<&mut Request> {
        self.kept.get_mut(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    fn of_name(&self, name: Name) -> impl Iterator<Item = (u64, &Request)> {
        let numbers = self.by_name.get(&name).into_iter().flatten();
        numbers.filter_map(|number| Some((*number, self.get(*number)?)))
    }

    fn request(&mut self, at: Place, view: &View<'_>, named: &Response) {
        let answers = answering(self.dialect, named);
        let sent = Sent {
            answer_mti: response_mti(named.mti),
            transmission: answers.transmission,
            acquirer: answers.acquirer,
            rrn: answers.rrn,
            terminal: answers.terminal,
            amount: named.amount,
            billing: named.billing,
        };
        let name = (sent.answer_mti, named.stan.0);
        let prints = prints(view);
        // A repeat may have another DE 7 (R5).
        let may_differ = |element: u8| named.mti % 2 == 1 && element == TRANSMISSION;
        let same = |request: &Request| {
            let others = |prints: &[(u8, u64)]| -> Vec<(u8, u64)> {
                prints.iter().copied().filter(|(element, _)| !may_differ(*element)).collect()
            };
            others(&request.prints) == others(&prints)
        };
        let before = self.of_name(name).find(|(_, request)| same(request)).map(|(number, _)| number);
        if let Some(number) = before {
            // The same message again: an answer to either is one to both.
            self.counts.repeats += 1;
            if let Some(request) = self.get_mut(number) {
                (request.sent, request.prints) = (sent, prints);
            }
            self.is_open(number, true);
            return;
        }
        self.counts.requests += 1;
        let open: Vec<(Place, Sent)> = self
            .of_name(name)
            .filter(|(_, request)| !request.answered)
            .map(|(_, request)| (request.at, request.sent))
            .collect();
        for (first, other) in open {
            for (_, tally) in self.keys.iter_mut().filter(|(key, _)| key.confuses(&other, &sent)) {
                tally.collisions += 1;
            }
            if self.asked().0.confuses(&other, &sent) {
                let named = Some((named.mti, named.stan.0));
                self.find(Finding { what: What::Collision, at, named, requests: [Some(first), None] });
            }
        }
        let number = self.first + self.kept.len() as u64;
        self.kept.push_back(Request { at, stan: named.stan.0, sent, prints, answered: false });
        let of_name = self.by_name.entry(name).or_default();
        of_name.push_back(number);
        if of_name.len() > ONE_NAME_MAX {
            of_name.pop_front();
        }
        self.is_open(number, true);
        if self.kept.len() > KEPT_MAX {
            self.forget();
        }
    }

    /// Lets go of the oldest.
    fn forget(&mut self) {
        let number = self.first;
        let Some(request) = self.kept.pop_front() else { return };
        self.first += 1;
        self.counts.unanswered += u64::from(!request.answered);
        let name = (request.sent.answer_mti, request.stan);
        if let Some(numbers) = self.by_name.get_mut(&name) {
            numbers.retain(|other| *other != number);
            if numbers.is_empty() {
                self.by_name.remove(&name);
            }
        }
        let of_rrn = request.sent.rrn.map(|rrn| (request.sent.answer_mti, rrn));
        if let Some(of_rrn) = of_rrn.filter(|of_rrn| self.by_rrn.get(of_rrn) == Some(&number)) {
            self.by_rrn.remove(&of_rrn);
        }
    }

    /// A request waits for its answer, or does so no longer.
    fn is_open(&mut self, number: u64, open: bool) {
        let Some(request) = self.get_mut(number) else { return };
        request.answered = !open;
        let Some(of_rrn) = request.sent.rrn.map(|rrn| (request.sent.answer_mti, rrn)) else { return };
        if open {
            self.by_rrn.insert(of_rrn, number);
        } else if self.by_rrn.get(&of_rrn) == Some(&number) {
            self.by_rrn.remove(&of_rrn);
        }
    }

    fn answer(&mut self, at: Place, view: &View<'_>, response: &Response) {
        self.counts.answers += 1;
        let said = answering(self.dialect, response);
        let name = (said.mti, said.stan.0);
        // Of two that it is as like the older one.
        let best = self.of_name(name).min_by_key(|(_, request)| Reverse(likeness(request, &said)));
        let (place, sent) = best.map(|(_, request)| (request.at, request.sent)).unzip();
        let own = best.filter(|(_, request)| !request.answered);
        let own = own.map(|(number, request)| (number, request.sent, request.prints.clone()));
        let crossed = self.crossed(&said, sent.as_ref());
        let own_sent = own.as_ref().map(|(number, sent, _)| (*number, sent));
        let either = self.judge(name, own_sent, &said, crossed.is_some());
        let named = Some((response.mti, response.stan.0));
        let key = self.asked().0;
        let mut find = |what, other| self.find(Finding { what, at, named, requests: [place, other] });
        match (&own, crossed) {
            (_, Some(other)) => find(What::Crossed, Some(other)),
            (Some((_, sent, _)), None) => {
                if let Some(element) = difference(key, sent, &said) {
                    find(What::Differs(element), None);
                }
            }
            (None, None) if place.is_some() => find(What::Again, None),
            (None, None) => find(What::Orphan, None),
        }
        if either.is_some() {
            find(What::Ambiguous, either);
        }
        // What is mixed up answers neither of the two.
        if let Some((number, sent, prints)) = own.filter(|_| crossed.is_none()) {
            self.counts.paired += 1;
            let right = either.is_none() && difference(key, &sent, &said).is_none();
            self.counts.matched += u64::from(right);
            self.count_echoes(view, &sent, &said, &prints);
            self.is_open(number, false);
        }
    }

    /// Holds an answer against every key. Comes back with another open request that the key which is asked about would
    /// take it for an answer to.
    fn judge(
        &mut self,
        name: Name,
        own: Option<(u64, &Sent)>,
        said: &Answering,
        crossed: bool,
    ) -> Option<Place> {
        let (number, own) = own.unzip();
        let others = self.of_name(name).filter(|(other, _)| Some(*other) != number);
        let others = others.filter(|(_, request)| !request.answered);
        let others: Vec<(Place, Sent)> = others.map(|(_, request)| (request.at, request.sent)).collect();
        for (key, tally) in &mut self.keys {
            let is_of = |sent: &Sent| difference(*key, sent, said).is_none();
            let mixed = crossed && own.is_some_and(is_of);
            tally.mistaken += u64::from(mixed || others.iter().any(|(_, other)| is_of(other)));
            // What was decided speaks against no key, nor does an answer that the party has mixed up.
            let refused = own.and_then(|own| difference(*key, own, said));
            tally.refused += u64::from(!crossed && refused.is_some_and(|element| NAMING.contains(&element)));
        }
        let key = self.asked().0;
        others.iter().find(|(_, other)| difference(key, other, said).is_none()).map(|(place, _)| *place)
    }

    /// The open request whose DE 37 an answer has that is not that of its own.
    fn crossed(&self, said: &Answering, own: Option<&Sent>) -> Option<Place> {
        let rrn = said.rrn.filter(|rrn| own.is_none_or(|own| own.rrn.is_some_and(|own| own != *rrn)))?;
        self.get(*self.by_rrn.get(&(said.mti, rrn))?).map(|request| request.at)
    }

    fn count_echoes(&mut self, view: &View<'_>, sent: &Sent, said: &Answering, prints: &[(u8, u64)]) {
        for (element, print) in prints {
            let by_value = match *element {
                TRANSMISSION => Some(Echo::of(sent.transmission, said.transmission)),
                ACQUIRER => Some(Echo::of(sent.acquirer, said.acquirer)),
                RRN => Some(Echo::of(sent.rrn, said.rrn)),
                TERMINAL => Some(Echo::of(sent.terminal, said.terminal)),
                _ => None,
            };
            let by_bytes = || Echo::of(Some(*print), view.content(*element).map(xxh3_64));
            let Some(echoes) = self.echoes.get_mut(usize::from(*element)) else { continue };
            match by_value.unwrap_or_else(by_bytes) {
                None => {}
                Some(Echo::Same) => echoes.same += 1,
                Some(Echo::Changed) => echoes.changed += 1,
                Some(Echo::Absent) => echoes.absent += 1,
            }
        }
    }
}

/// What an answer did with one element.
enum Echo {
    Same,
    Changed,
    Absent,
}

impl Echo {
    /// `None` when the request had nothing there.
    fn of<T: PartialEq>(sent: Option<T>, said: Option<T>) -> Option<Self> {
        let sent = sent?;
        Some(said.map_or(Self::Absent, |said| if said == sent { Self::Same } else { Self::Changed }))
    }
}

/// How like an answer is to one to this request: it agrees in all that it has, the request is open, and in how much.
fn likeness(request: &Request, said: &Answering) -> (bool, bool, usize) {
    let sent = &request.sent;
    let refused = difference(MatchKey::STRONG, sent, said).filter(|element| NAMING.contains(element));
    let echoes = [
        Echo::of(sent.transmission, said.transmission),
        Echo::of(sent.acquirer, said.acquirer),
        Echo::of(sent.rrn, said.rrn),
        Echo::of(sent.terminal, said.terminal),
    ];
    let same = echoes.iter().filter(|echo| matches!(echo, Some(Echo::Same))).count();
    (refused.is_none(), !request.answered, same)
}

fn prints(view: &View<'_>) -> Box<[(u8, u64)]> {
    let elements = view.fields();
    elements.iter().filter_map(|element| Some((element, xxh3_64(view.content(element)?)))).collect()
}

/// Every key that can be named.
fn every_key() -> impl Iterator<Item = MatchKey> {
    let others: Vec<u8> = NAMING.into_iter().filter(|element| *element != STAN).collect();
    (0..1_u32 << others.len()).filter_map(move |bits| {
        let chosen = (0..).zip(&others).filter(|(bit, _)| bits >> bit & 1 == 1).map(|(_, element)| *element);
        let elements: Vec<u8> = core::iter::once(STAN).chain(chosen).collect();
        MatchKey::of(&elements).ok()
    })
}
