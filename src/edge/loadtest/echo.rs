//! An echo server of frames, to measure the floor of sockets and framing in the same run.

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;

use bytes::Buf;
use bytes::BytesMut;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;

use crate::dialect::Dialect;
use crate::iso8583::frame::Framing;

/// Bytes that are read at once.
const READ_BYTES: usize = 256 * 1024;

/// Sends every frame back as it came.
#[derive(clap::Args, Clone, Debug)]
pub struct EchoArgs {
    /// Where to listen.
    #[arg(long, value_name = "ADDR")]
    pub listen: SocketAddr,
    /// Whose framing to read.
    #[arg(long, value_name = "DIALECT", default_value = "visa")]
    pub dialect: String,
}

/// Serves until it is ended from outside.
#[must_use]
pub fn run(args: &EchoArgs) -> ExitCode {
    let Some(dialect) = Dialect::built_in(&args.dialect) else {
        eprintln!("no dialect `{}`; there are {}", args.dialect, Dialect::built_in_names().join(", "));
        return ExitCode::from(2);
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = runtime.and_then(|runtime| {
        runtime.block_on(async {
            let listener = TcpListener::bind(args.listen).await?;
            serve(listener, dialect.framing()).await
        })
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("echo on {}: {error}", args.listen);
            ExitCode::from(74)
        }
    }
}

/// Accepts connections and echoes on each.
///
/// # Errors
/// The listener fails.
pub async fn serve(listener: TcpListener, framing: &Framing) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let framing = framing.clone();
        // A peer that goes away ends its own echo only.
        tokio::spawn(async move { echo(stream, framing).await.unwrap_or(()) });
    }
}

/// Every whole frame of a read goes back in one write.
async fn echo(mut stream: TcpStream, framing: Framing) -> io::Result<()> {
    let mut input = BytesMut::with_capacity(READ_BYTES);
    let mut output = Vec::with_capacity(READ_BYTES);
    loop {
        if input.capacity() - input.len() < READ_BYTES / 2 {
            input.reserve(READ_BYTES);
        }
        if stream.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
        while let Some(frame) = framing.next(&input).map_err(io::Error::other)? {
            output.extend_from_slice(&input[..frame.total]);
            input.advance(frame.total);
        }
        stream.write_all(&output).await?;
        output.clear();
    }
}
