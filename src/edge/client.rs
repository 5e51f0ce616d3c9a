//! The HTTP face of a running daemon, as the verbs of the command line ask it: one request on a connection of its own.

use std::io;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::time::Duration;

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
