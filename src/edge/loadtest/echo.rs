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
use tokio::task::JoinSet;

use crate::dialect::Dialect;
use crate::edge::exit;
use crate::iso8583::frame::Framing;

/// Bytes that are read at once.
const READ_BYTES: usize = 256 * 1024;

/// Sends every frame back as it came.
#[derive(clap::Args, Clone, Debug)]
pub struct EchoArgs {
    /// Where to listen. Repeatable.
    #[arg(long, value_name = "ADDR", required = true)]
    pub listen: Vec<SocketAddr>,
    /// Whose framing to read; repeated, there is one for each --listen, in their order.
    #[arg(long, value_name = "DIALECT", default_value = "visa")]
    pub dialect: Vec<String>,
}

/// Serves until it is ended from outside.
#[must_use]
pub fn run(args: &EchoArgs) -> ExitCode {
    let mut framings = Vec::with_capacity(args.listen.len());
    for place in 0..args.listen.len() {
        let only = args.dialect.first().filter(|_| args.dialect.len() == 1);
        let Some(name) = args.dialect.get(place).or(only) else {
            eprintln!("there are {} --listen and {} --dialect", args.listen.len(), args.dialect.len());
            return ExitCode::from(exit::USAGE);
        };
        let Some(dialect) = Dialect::built_in(name) else {
            eprintln!("no dialect `{name}`; there are {}", Dialect::built_in_names().join(", "));
            return ExitCode::from(exit::USAGE);
        };
        framings.push(dialect.framing().clone());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(serve_all(&args.listen, &framings))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("echo: {error}");
            ExitCode::from(exit::IO)
        }
    }
}

/// Echoes on all addresses until one of them fails.
async fn serve_all(addresses: &[SocketAddr], framings: &[Framing]) -> io::Result<()> {
    let mut served = JoinSet::new();
    for (address, framing) in addresses.iter().zip(framings) {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{address}: {error}"));
        let listener = TcpListener::bind(address).await.map_err(named)?;
        let framing = framing.clone();
        served.spawn(async move { serve(listener, &framing).await });
    }
    while let Some(ended) = served.join_next().await {
        ended.map_err(io::Error::other)??;
    }
    Ok(())
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
