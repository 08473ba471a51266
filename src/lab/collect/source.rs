//! What a collector connects to: a socket of a VM, a guest that listens on TCP, or one behind the vsock of Cloud Hypervisor
//! or Firecracker, which is a Unix socket on the host.

use crate::port::{Token, watch_over};
use std::{
    io::{self, ErrorKind},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    time,
};

/// How long a connection may take to be made.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// The longest answer to `CONNECT`: `OK` and a port's number.
const ANSWER_LIMIT_BYTES: usize = 64;
const TCP: &str = "tcp:";
const HYBRID: &str = "vsock-unix:";

/// What a collector connects to, as its name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A socket's path.
    Unix(PathBuf),
    /// `tcp:HOST:PORT`.
    Tcp(String),
    /// `vsock-unix:PATH:PORT`: the VMM's socket, and the guest's vsock port.
    Hybrid(PathBuf, u32),
}

impl Source {
    /// What `path` names.
    pub fn of(path: &Path) -> Self {
        let network = path.to_str().and_then(|text| Self::network(text)?.ok());
        network.unwrap_or_else(|| Self::Unix(path.to_owned()))
    }

    /// What `text` names on a network; none where it begins like nothing there.
    pub fn network(text: &str) -> Option<Result<Self, String>> {
        let (source, rest) = if let Some(rest) = text.strip_prefix(TCP) {
            let has_both = rest
                .rsplit_once(':')
                .filter(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0));
            (has_both.map(|_| Self::Tcp(rest.to_owned())), "tcp:192.0.2.7:7007 or tcp:[2001:db8::7]:7007")
        } else {
            let rest = text.strip_prefix(HYBRID)?.rsplit_once(':');
            let both = rest.and_then(|(path, port)| Some((path, port.parse().ok()?)));
            let both = both.filter(|(path, _)| !path.is_empty());
            (both.map(|(path, port)| Self::Hybrid(path.into(), port)), "vsock-unix:/run/vm1/vsock.sock:7007")
        };
        Some(source.ok_or_else(|| format!("'{text}' is no source: expected for example {rest}")))
    }

    /// Whether the token is said on it.
    pub const fn is_network(&self) -> bool {
        !matches!(self, Self::Unix(_))
    }

    /// Connects.
    ///
    /// # Errors
    /// Why there is no connection.
    pub async fn connect(&self) -> io::Result<UnixStream> {
        let connecting = async {
            match self {
                Self::Unix(path) => UnixStream::connect(path).await,
                Self::Tcp(address) => as_stream(TcpStream::connect(address).await?),
                Self::Hybrid(path, port) => through(UnixStream::connect(path).await?, *port).await,
            }
        };
        time::timeout(CONNECT_LIMIT, connecting).await?
    }
}

/// Says the token first.
pub fn present(token: &Token, out: &mut Vec<u8>) {
    out.splice(0..0, token.line().iter().copied());
}

/// A TCP connection, read and written as a socket of any family is.
fn as_stream(stream: TcpStream) -> io::Result<UnixStream> {
    let stream = std::os::unix::net::UnixStream::from(OwnedFd::from(stream.into_std()?));
    watch_over(&stream);
    UnixStream::from_std(stream)
}

/// Asks the VMM for the guest's port. What comes behind its answer is the guest's own.
async fn through(mut stream: UnixStream, port: u32) -> io::Result<UnixStream> {
    stream.write_all(format!("CONNECT {port}\n").as_bytes()).await?;
    let mut answer = Vec::new();
    while answer.last() != Some(&b'\n') {
        let mut byte = [0];
        if answer.len() >= ANSWER_LIMIT_BYTES || stream.read(&mut byte).await? == 0 {
            break;
        }
        answer.push(byte[0]);
    }
    if answer.starts_with(b"OK ") && answer.ends_with(b"\n") {
        return Ok(stream);
    }
    let refused =
        format!("the VMM gives no connection to the guest's vsock port {port}: does the guest listen there?");
    Err(io::Error::new(ErrorKind::ConnectionAborted, refused))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{net::UnixListener, runtime};

    #[test]
    fn a_name_says_what_is_connected_to() {
        let of = |text: &str| Source::of(Path::new(text));
        assert_eq!(of("/run/a.sock"), Source::Unix("/run/a.sock".into()));
        assert_eq!(of("tcp:[::1]:7"), Source::Tcp("[::1]:7".into()));
        assert_eq!(of("vsock-unix:/run/v:1.sock:52"), Source::Hybrid("/run/v:1.sock".into(), 52));
        for wrong in
            ["tcp:", "tcp:host", "tcp::7", "tcp:host:0", "tcp:host:x", "vsock-unix:/run/v", "vsock-unix::7"]
        {
            let said = Source::network(wrong).unwrap().unwrap_err();
            assert!(said.contains(&format!("'{wrong}' is no source: expected for example")), "{said}");
        }
        assert_eq!(Source::network("/run/a.sock"), None);
    }

    /// What a VMM that answers so gives, and what it was asked.
    fn asked(answer: &'static [u8]) -> (String, Result<Vec<u8>, String>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("v.sock");
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = UnixListener::bind(&path).unwrap();
            let vmm = tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut said = [0; 13];
                stream.read_exact(&mut said).await.unwrap();
                stream.write_all(answer).await.unwrap();
                String::from_utf8(said.to_vec()).unwrap()
            });
            let result = match Source::Hybrid(path, 7007).connect().await {
                Ok(mut stream) => {
                    let mut rest = Vec::new();
                    stream.read_to_end(&mut rest).await.unwrap();
                    Ok(rest)
                }
                Err(error) => Err(error.to_string()),
            };
            (vmm.await.unwrap(), result)
        })
    }

    #[test]
    fn the_vmm_is_asked_for_the_port_and_what_follows_its_answer_is_the_guests() {
        assert_eq!(asked(b"OK 1073741824\n{\"a\"}\n"), ("CONNECT 7007\n".into(), Ok(b"{\"a\"}\n".to_vec())));
        for refusal in [b"".as_slice(), b"NO\n", b"OK", &[b'x'; 200]] {
            let (_, result) = asked(refusal);
            assert!(result.unwrap_err().contains("vsock port 7007"), "{refusal:?}");
        }
    }
}
