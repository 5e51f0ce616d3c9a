//! The HTTP face of a running daemon, as the verbs of the command line ask it: one request on a connection of its own.

use std::io;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// The longest that a daemon may say nothing. A clearing file of gigabytes is looked through while it is sent.
const SILENCE_MAX: Duration = Duration::from_secs(60);

pub(super) fn connect(daemon: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpStream::connect(daemon)?;
    socket.set_read_timeout(Some(SILENCE_MAX))?;
    socket.set_write_timeout(Some(SILENCE_MAX))?;
    Ok(socket)
}

pub(super) fn get(daemon: SocketAddr, path: &str) -> io::Result<(u16, Vec<u8>)> {
    ask(daemon, "GET", path)
}

/// Asks without a body. Returns status and body of the answer.
pub(super) fn ask(daemon: SocketAddr, method: &str, path: &str) -> io::Result<(u16, Vec<u8>)> {
    let mut socket = connect(daemon)?;
    let length = if method == "GET" { "" } else { "Content-Length: 0\r\n" };
    let request = format!("{method} {path} HTTP/1.1\r\nHost: {daemon}\r\n{length}Connection: close\r\n\r\n");
    socket.write_all(request.as_bytes())?;
    answer(&mut socket)
}

/// Begins to send a body of so many bytes. Whoever writes it reads the [`answer`] then.
pub(super) fn begin_post(daemon: SocketAddr, path: &str, length: u64) -> io::Result<TcpStream> {
    let mut socket = connect(daemon)?;
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {daemon}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    socket.write_all(head.as_bytes())?;
    Ok(socket)
}

/// A status of the daemon that is no success, and what it says of it.
#[derive(Debug, thiserror::Error)]
#[error("{1} ({0})")]
pub(super) struct Refused(pub(super) u16, pub(super) String);

/// The JSON of an answer.
pub(super) fn json_of((status, body): (u16, Vec<u8>)) -> Result<Value, Refused> {
    let value: Value = serde_json::from_slice(&body).unwrap_or_default();
    if matches!(status, 200 | 202) {
        return Ok(value);
    }
    Err(Refused(status, value["error"].as_str().unwrap_or_default().to_owned()))
}

/// Takes what there is of a page of lines that is read in parts, behind its first `from` bytes. Returns how many bytes
/// that was.
pub(super) fn lines_from(
    daemon: SocketAddr,
    path: &str,
    from: u64,
    mut take: impl FnMut(&[u8]),
) -> io::Result<u64> {
    let mut length = 0;
    loop {
        let (status, body) = get(daemon, &format!("{path}?from={}", from + length))?;
        if status != 200 || body.is_empty() {
            return Ok(length);
        }
        length += body.len() as u64;
        body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).for_each(&mut take);
    }
}

/// Reads an answer to the end of its connection.
pub(super) fn answer(socket: &mut TcpStream) -> io::Result<(u16, Vec<u8>)> {
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes)?;
    let wrong = || io::Error::new(io::ErrorKind::InvalidData, "it does not answer as a daemon does");
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").ok_or_else(wrong)?;
    let head = str::from_utf8(&bytes[..end]).map_err(|_| wrong())?;
    let status =
        head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok()).ok_or_else(wrong)?;
    Ok((status, bytes.split_off(end + 4)))
}
