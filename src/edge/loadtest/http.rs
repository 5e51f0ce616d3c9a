//! A small HTTP/1.1 client: one request after the other on a connection that stays open.

use std::io;
use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// Longest answer that is read.
const ANSWER_MAX: usize = 16 << 20;

/// Why a page could not be read.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The connection.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Not HTTP, or in a form that this client does not read.
    #[error("the answer to {0} is not HTTP/1.1 with a length")]
    Form(String),
    /// Another status than 200.
    #[error("{path} was answered with status {status}")]
    Status {
        /// What was asked for.
        path: String,
        /// The status.
        status: u16,
    },
    /// Not JSON.
    #[error("the answer to {0} is no JSON")]
    Json(String),
}

/// A connection to the daemon's HTTP face.
#[derive(Debug)]
pub struct Http {
    stream: TcpStream,
    address: SocketAddr,
    buffer: Vec<u8>,
}

impl Http {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens there.
    pub async fn connect(address: SocketAddr) -> Result<Self, HttpError> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, address, buffer: Vec::with_capacity(4096) })
    }

    /// Where it is connected to.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Gets a page of JSON.
    ///
    /// # Errors
    /// The connection, the status or the form of the answer.
    pub async fn get(&mut self, path: &str) -> Result<Value, HttpError> {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: {}\r\nAccept: application/json\r\n\r\n", self.address);
        match self.send(path, &request).await? {
            (200, page) => Ok(page),
            (status, _) => Err(HttpError::Status { path: path.to_owned(), status }),
        }
    }

    /// Asks for something with a body. Returns the status and the answer.
    ///
    /// # Errors
    /// The connection, or the form of the answer.
    pub async fn ask(&mut self, method: &str, path: &str, body: &Value) -> Result<(u16, Value), HttpError> {
        let body = body.to_string();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n\
             {body}",
            self.address,
            body.len()
        );
        self.send(path, &request).await
    }

    /// As [`Http::ask`], for what must be done.
    ///
    /// # Errors
    /// Those of [`Http::ask`], or another status than 200.
    pub async fn must(&mut self, method: &str, path: &str, body: &Value) -> Result<Value, HttpError> {
        match self.ask(method, path, body).await? {
            (200, answer) => Ok(answer),
            (status, _) => Err(HttpError::Status { path: path.to_owned(), status }),
        }
    }

    async fn send(&mut self, path: &str, request: &str) -> Result<(u16, Value), HttpError> {
        self.stream.write_all(request.as_bytes()).await?;
        self.buffer.clear();
        loop {
            if let Some((status, body)) = complete(&self.buffer, path)? {
                let page = self.buffer.get(body).unwrap_or(&[]);
                // What was not found may be answered in words.
                return match serde_json::from_slice(page) {
                    Ok(answer) => Ok((status, answer)),
                    Err(_) if status != 200 => Ok((status, Value::Null)),
                    Err(_) => Err(HttpError::Json(path.to_owned())),
                };
            }
            if self.buffer.len() > ANSWER_MAX || self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(HttpError::Form(path.to_owned()));
            }
        }
    }
}

/// Status and body of an answer that is whole; `None` while it is not.
fn complete(buffer: &[u8], path: &str) -> Result<Option<(u16, std::ops::Range<usize>)>, HttpError> {
    let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let wrong = || HttpError::Form(path.to_owned());
    let head = str::from_utf8(&buffer[..end]).map_err(|_| wrong())?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok());
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        if name.eq_ignore_ascii_case("content-length") { value.trim().parse::<usize>().ok() } else { None }
    });
    let (Some(status), Some(length)) = (status, length) else { return Err(wrong()) };
    if length > ANSWER_MAX {
        return Err(wrong());
    }
    let body = end + 4..end + 4 + length;
    Ok((buffer.len() >= body.end).then_some((status, body)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_once_its_length_is_there() {
        let whole = b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}";
        for end in 0..whole.len() {
            assert!(matches!(complete(&whole[..end], "/"), Ok(None)), "{end}");
        }
        assert!(matches!(complete(whole, "/"), Ok(Some((404, body))) if &whole[body.clone()] == b"{}"));
        for text in
            ["HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n", "junk\r\n\r\n"]
        {
            assert!(matches!(complete(text.as_bytes(), "/"), Err(HttpError::Form(_))), "{text}");
        }
    }
}
