//! `GET /v1/events`: every durable record from one on, once and in order, as lines of JSON or as server-sent events.
//!
//! A stream reads segments, never the books: first what is there, then what becomes durable, when it does. What is read
//! waits in a short channel for the socket, so that a slow reader costs bounded memory and holds up nobody. One that is
//! so slow that the journal was recycled before it gets a last line that says so.

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use axum::body::Body;
use axum::body::Bytes;
use axum::body::HttpBody;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::Uri;
use axum::http::header::ACCEPT;
use axum::http::header::CACHE_CONTROL;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::response::Response;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::crypto::keys::Keys;
use crate::domain::event::Sequence;
use crate::domain::party::SLOTS;
use crate::domain::party::Slot;
use crate::edge::api::Face;
use crate::edge::disk::Disk;
use crate::edge::export::Shown;
use crate::edge::verbs::bulk::Results;
use crate::edge::verbs::problem::Problem;
use crate::edge::views;
use crate::edge::views::query::Asked;
use crate::journal::follow::Follower;
use crate::journal::follow::Record;
use crate::pipeline::moving::NotMoved;

/// So much text is gathered before it is sent.
const PORTION_BYTES: usize = 64 << 10;
/// Portions that wait for a reader before no more is read.
const PORTIONS_AHEAD: usize = 2;
/// Batches that are read for one portion at most, where few of their records are wanted.
const BATCHES_MAX: usize = 64;
/// After something became durable, more is let gather for so long: a reading costs the same for one record as for many.
const GATHER: Duration = Duration::from_millis(5);
/// What is asked for.
struct Question {
    from: Sequence,
    to: Sequence,
    limit: u64,
    /// By slot, when not all are wanted.
    slots: Option<Box<[bool]>>,
    form: Form,
}

/// How records are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    /// A line each.
    Lines,
    /// Server-sent events, by the sequence as their id.
    Events,
}

pub(super) async fn events(State(face): State<Arc<Face>>, uri: Uri, headers: HeaderMap) -> Response {
    let answer = async {
        let question = question(&uri, &headers)?;
        if question.from > question.to {
            // Whoever reconnects has had all: browsers come back no more after this.
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
        let next = face.pipeline.durable().next();
        if question.from > next {
            return Err(views::of_the_future(format!("the next record is {}", next.0)));
        }
        let views = views::of(&face)?;
        let place = Arc::clone(&views.streams).try_acquire_owned();
        let place = place.map_err(|_| views::busy("streams", "streams_max"))?;
        let (disk, from, form) = (views.disk.clone(), question.from, question.form);
        // That it is there is known before anything is answered.
        let begun = tokio::task::spawn_blocking(move || Follower::begin(disk, from)).await;
        let follower = begun.map_err(views::unreadable)??;
        let (sender, receiver) = mpsc::channel(PORTIONS_AHEAD);
        let stream = Stream {
            face: Arc::clone(&face),
            sender,
            durable: views.durable.clone(),
            keep_alive: views.keep_alive,
            said: Instant::now(),
        };
        let reading = Reading { follower, keys: Arc::clone(&views.keys), left: question.limit, question };
        tokio::spawn(async move {
            // Whoever does not read any more is told nothing.
            let _gone = stream.serve(reading).await;
        });
        let kind = match form {
            Form::Lines => "application/x-ndjson",
            Form::Events => "text/event-stream",
        };
        let headers = [(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-store")];
        Ok((
            headers.map(|(name, value)| (name, HeaderValue::from_static(value))),
            Body::new(Streamed(Results(receiver), place)),
        )
            .into_response())
    };
    views::answered(answer.await)
}

fn question(uri: &Uri, headers: &HeaderMap) -> Result<Question, Problem> {
    let asked = Asked::of(uri, &["from", "to", "limit", "slots"])?;
    let header = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let is_events = header(ACCEPT.as_str()).is_some_and(|accept| accept.contains("text/event-stream"));
    // Whoever reconnects asks the same again, and says by the header how far it has come.
    if headers.get("last-event-id").is_some_and(|id| id.to_str().is_err()) {
        return Err(Problem::malformed("`Last-Event-ID` is a record's number"));
    }
    let seen = header("last-event-id").filter(|id| !id.is_empty());
    let seen =
        seen.map(|id| id.parse().map_err(|_| Problem::malformed("`Last-Event-ID` is a record's number")));
    let from = match seen.transpose()? {
        Some(u64::MAX) => return Err(Problem::malformed("`Last-Event-ID` is a record's number")),
        Some(seen) => seen + 1,
        None => asked.number("from")?.ok_or_else(|| {
            Problem::malformed("`from` is the first record that is wanted, 1 for all that there are")
        })?,
    };
    let to = asked.number("to")?.unwrap_or(u64::MAX);
    let reconnects = header("last-event-id").is_some();
    if from == 0 {
        return Err(Problem::malformed("records are numbered from 1"));
    }
    if to < from && !reconnects {
        return Err(Problem::malformed("`from` is not before `to`"));
    }
    let limit = match asked.number("limit")? {
        Some(0) => return Err(Problem::malformed("`limit` is at least 1")),
        limit => limit.unwrap_or(u64::MAX),
    };
    let slots = asked.text("slots").map(slots).transpose()?;
    let form = if is_events { Form::Events } else { Form::Lines };
    Ok(Question { from: Sequence(from), to: Sequence(to), limit, slots, form })
}

/// Slots by their numbers, or from one to another: `7,9,100-199`.
fn slots(text: &str) -> Result<Box<[bool]>, Problem> {
    let words = format!("`slots` is a list of numbers below {SLOTS}, as in 7,9,100-199");
    let wrong = || Problem::malformed(words.clone());
    let number = |text: &str| text.parse().ok().and_then(Slot::new).map(Slot::number);
    let range = |part: &str| -> Option<RangeInclusive<u16>> {
        match part.split_once('-') {
            Some((first, last)) => Some(number(first)?..=number(last)?),
            None => number(part).map(|number| number..=number),
        }
    };
    let mut wanted = vec![false; usize::from(SLOTS)].into_boxed_slice();
    for part in text.split(',') {
        let range = range(part).filter(|range| !range.is_empty()).ok_or_else(wrong)?;
        range.for_each(|slot| wanted[usize::from(slot)] = true);
    }
    Ok(wanted)
}

/// What a stream reads with. It is on a thread that may wait for the disk while it reads, and nowhere else.
struct Reading {
    follower: Follower<Disk>,
    keys: Arc<Keys>,
    question: Question,
    /// How many more are wanted.
    left: u64,
}

/// What has come of a reading.
enum Read {
    /// There is more.
    More,
    /// All that is durable was read.
    CaughtUp,
    /// All that was asked for was read.
    Over,
    /// It cannot go on.
    Failed(Problem),
}

impl Reading {
    /// Reads until a portion is full or nothing durable is left.
    fn portion(&mut self, durable: Sequence, out: &mut Vec<u8>) -> Read {
        for _ in 0..BATCHES_MAX {
            if self.left == 0 || self.follower.next() > self.question.to {
                return Read::Over;
            }
            let Self { follower, keys, question, left } = self;
            let mut failed = None;
            let advanced = follower.advance(durable, &mut |record| {
                if record.sequence > question.to {
                    return ControlFlow::Break(());
                }
                if question.wants(record) {
                    if let Err(error) = question.form.put(record, keys, out) {
                        failed = Some(views::unreadable(error));
                        return ControlFlow::Break(());
                    }
                    *left -= 1;
                }
                if *left == 0 || out.len() >= PORTION_BYTES {
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            });
            match advanced {
                _ if failed.is_some() => return failed.map_or(Read::More, Read::Failed),
                Ok(true) if out.len() >= PORTION_BYTES => return Read::More,
                Ok(true) => {}
                Ok(false) => return Read::CaughtUp,
                Err(error) => return Read::Failed(error.into()),
            }
        }
        Read::More
    }
}

impl Question {
    fn wants(&self, record: &Record<'_>) -> bool {
        let Some(slots) = &self.slots else { return true };
        let frame = &record.frame;
        let all = [frame.slot].into_iter().chain(frame.others).flatten();
        // What touches every slot is about each of them.
        frame.slot.is_none() || all.into_iter().any(|slot| slots[usize::from(slot.number())])
    }
}

impl Form {
    fn put(
        self,
        record: &Record<'_>,
        keys: &Keys,
        out: &mut Vec<u8>,
    ) -> Result<(), crate::journal::record::RecordError> {
        let event = record.decode(&keys.vault)?;
        let shown = Shown::of(record.sequence, record.frame.time, &event);
        match self {
            Self::Lines => shown.put_json(out),
            Self::Events => {
                out.extend_from_slice(format!("id: {}\ndata: ", record.sequence.0).as_bytes());
                shown.put_json(out);
                out.push(b'\n');
            }
        }
        out.push(b'\n');
        Ok(())
    }

    /// What is said before anything else: whoever is cut off may come back after a second.
    const fn begin(self) -> &'static str {
        match self {
            Self::Lines => "",
            Self::Events => "retry: 1000\n\n",
        }
    }

    /// What is said when there is nothing to say. Where not all is shown, it also says how far it has come.
    fn still_here(self, seen: Sequence, is_part: bool) -> String {
        match self {
            Self::Lines => "\n".to_owned(),
            Self::Events if is_part => format!("id: {}\n\n", seen.0),
            Self::Events => ": still here\n\n".to_owned(),
        }
    }

    /// Why nothing more comes.
    fn end(self, problem: &Problem) -> String {
        match self {
            Self::Lines => format!("{}\n", problem.json()),
            Self::Events => format!("event: problem\ndata: {}\n\n", problem.json()),
        }
    }
}

/// One stream on its way out.
struct Stream {
    face: Arc<Face>,
    sender: mpsc::Sender<Bytes>,
    durable: watch::Receiver<u64>,
    keep_alive: Duration,
    /// When something was sent last.
    said: Instant,
}

/// A stream's body. Its place is free when the socket has taken all of it, or is gone.
struct Streamed(Results, #[expect(dead_code, reason = "it is held, not looked at")] OwnedSemaphorePermit);

impl HttpBody for Streamed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.0).poll_frame(context)
    }
}

/// The reader is gone.
struct Gone;

impl Stream {
    async fn serve(mut self, mut reading: Reading) -> Result<(), Gone> {
        let form = reading.question.form;
        self.send(form.begin()).await?;
        let mut is_last = false;
        loop {
            let durable = Sequence(*self.durable.borrow_and_update());
            let read = loop {
                let read;
                let text;
                (reading, text, read) = read_on(reading, durable).await?;
                self.send(text).await?;
                // However much there is that nobody asked for.
                if self.said.elapsed() >= self.keep_alive {
                    self.say_so(&reading).await?;
                }
                if !matches!(read, Read::More) {
                    break read;
                }
            };
            match read {
                Read::Failed(problem) => return self.send(form.end(&problem)).await,
                Read::CaughtUp if self.face.pipeline.has_failed() => {
                    return self.send(form.end(&NotMoved::Unavailable.into())).await;
                }
                Read::CaughtUp if !is_last => {}
                Read::CaughtUp | Read::Over | Read::More => return Ok(()),
            }
            is_last = self.wait(&reading).await?;
        }
    }

    /// Waits until more is durable. True when nothing more will be: the daemon stops.
    async fn wait(&mut self, reading: &Reading) -> Result<bool, Gone> {
        loop {
            let silent_until = self.said + self.keep_alive;
            tokio::select! {
                changed = self.durable.changed() => {
                    if changed.is_err() {
                        return Ok(true);
                    }
                    tokio::time::sleep(GATHER).await;
                    return Ok(false);
                }
                () = self.sender.closed() => return Err(Gone),
                () = tokio::time::sleep_until(silent_until) => self.say_so(reading).await?,
            }
        }
    }

    /// Says that the stream is there, and how far it has come.
    async fn say_so(&mut self, reading: &Reading) -> Result<(), Gone> {
        let question = &reading.question;
        let seen = Sequence(reading.follower.next().0 - 1);
        self.send(question.form.still_here(seen, question.slots.is_some())).await
    }

    async fn send(&mut self, text: impl Into<Bytes>) -> Result<(), Gone> {
        let text = text.into();
        if text.is_empty() {
            return if self.sender.is_closed() { Err(Gone) } else { Ok(()) };
        }
        self.said = Instant::now();
        self.sender.send(text).await.map_err(|_| Gone)
    }
}

/// Reads a portion on a thread that may wait for the disk.
async fn read_on(mut reading: Reading, durable: Sequence) -> Result<(Reading, Vec<u8>, Read), Gone> {
    let read = tokio::task::spawn_blocking(move || {
        let mut text = Vec::with_capacity(PORTION_BYTES + PORTION_BYTES / 4);
        let read = reading.portion(durable, &mut text);
        (reading, text, read)
    });
    read.await.map_err(|_| Gone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_numbers_and_ranges_of_them() {
        let wanted = slots("7,9,100-102").expect("a right list");
        let set: Vec<usize> = (0..usize::from(SLOTS)).filter(|slot| wanted[*slot]).collect();
        assert_eq!(set, [7, 9, 100, 101, 102]);
        for text in ["", "x", "1024", "5-4", "5-", "-5", "1,,2", "1-2-3", "4111111111111111"] {
            let problem = slots(text).expect_err("a wrong list");
            assert!(problem.name == "malformed" && !problem.detail.contains("1111"), "{text}: {problem:?}");
        }
    }
}
