//! Transfers in bulk: a line each in, a line each out, in their order. Nothing is kept of the whole: lines are done as
//! they come, some hundred at a time, and their results leave when their records are on disk. Whoever was cut off sends
//! all lines again, and what was done is not done again, since each has its key (R10).

use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;

use axum::body::Body;
use axum::body::Bytes;
use axum::body::HttpBody;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::response::Response;
use http_body_util::BodyExt;
use serde_json::json;
use tokio::sync::mpsc;

use crate::domain::event::Sequence;
use crate::edge::api::Face;
use crate::edge::verbs::BATCH_MAX;
use crate::edge::verbs::body;
use crate::edge::verbs::carry;
use crate::edge::verbs::problem::Problem;
use crate::edge::verbs::result;
use crate::edge::verbs::transferred;
use crate::edge::verbs::until_durable;
use crate::pipeline::moving::Carried;

/// Most bytes of a line.
const LINE_BYTES_MAX: usize = 4_096;
/// Portions of results that wait for a reader before no more lines are taken.
const PORTIONS_AHEAD: usize = 4;

/// Results on their way out.
pub(in crate::edge) struct Results(pub(in crate::edge) mpsc::Receiver<Bytes>);

impl HttpBody for Results {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(context).map(|portion| portion.map(|bytes| Ok(http_body::Frame::data(bytes))))
    }
}

/// Takes transfers line by line and answers line by line.
pub(super) async fn bulk(State(face): State<Arc<Face>>, lines: Body) -> Response {
    let (sender, receiver) = mpsc::channel(PORTIONS_AHEAD);
    tokio::spawn(async move {
        let mut counter = Counter { face, sender, line: 0, waiting: Vec::new(), last: Sequence(0) };
        // Whoever does not read any more is told nothing; what was done stays done.
        let _ended = counter.serve(lines).await;
    });
    ([(CONTENT_TYPE, "application/x-ndjson")], Body::new(Results(receiver))).into_response()
}

/// Serves one bulk.
struct Counter {
    face: Arc<Face>,
    sender: mpsc::Sender<Bytes>,
    /// Lines that have come.
    line: u64,
    /// Results that wait for the disk, each with its line's number.
    waiting: Vec<(u64, Result<Carried, Problem>)>,
    last: Sequence,
}

/// The reader of the results is gone, or the journal is.
struct Gone;

impl Counter {
    async fn serve(&mut self, mut lines: Body) -> Result<(), Gone> {
        let mut rest: Vec<u8> = Vec::new();
        loop {
            match lines.frame().await {
                Some(Ok(frame)) => {
                    let Ok(portion) = frame.into_data() else { continue };
                    rest.extend_from_slice(&portion);
                    let mut from = 0;
                    while let Some(length) = rest[from..].iter().position(|byte| *byte == b'\n') {
                        self.take(&rest[from..from + length]);
                        from += length + 1;
                        if self.waiting.len() >= BATCH_MAX {
                            self.tell().await?;
                        }
                    }
                    rest.drain(..from);
                    self.tell().await?;
                    if rest.len() > LINE_BYTES_MAX {
                        self.line += 1;
                        return self.end(&format!("a line has at most {LINE_BYTES_MAX} bytes")).await;
                    }
                }
                Some(Err(_)) => return self.end("the body ended before its length").await,
                None => {
                    self.take(&rest);
                    return self.tell().await;
                }
            }
        }
    }

    /// Does what a line asks for. Blank ones are passed over.
    fn take(&mut self, line: &[u8]) {
        self.line += 1;
        let line = line.trim_ascii();
        if !line.is_empty() {
            let order = body::read_text(line).and_then(|asked| transferred(&self.face, &asked));
            let carried = carry(&self.face, order, &mut self.last);
            self.waiting.push((self.line, carried));
        }
    }

    /// Sends what has become of the lines so far, once it is on disk.
    async fn tell(&mut self) -> Result<(), Gone> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let durable = until_durable(&self.face, self.last).await;
        let mut text = Vec::with_capacity(self.waiting.len() * 80);
        for (line, carried) in self.waiting.drain(..) {
            // Of what never reached the disk nobody says that it was done.
            let carried = durable.clone().and(carried);
            let mut told = result(carried);
            told["line"] = json!(line);
            text.extend_from_slice(told.to_string().as_bytes());
            text.push(b'\n');
        }
        self.sender.send(text.into()).await.map_err(|_| Gone)?;
        durable.map_err(|_| Gone)
    }

    /// Ends with what is wrong.
    async fn end(&mut self, words: &str) -> Result<(), Gone> {
        self.waiting.push((self.line, Err(Problem::malformed(words))));
        self.tell().await
    }
}
