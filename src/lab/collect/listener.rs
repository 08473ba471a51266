//! Where guests come to a collector: `tcp:ADDRESS:PORT`, `vsock:PORT`, or `unix:PATH`, which is how guests of Cloud Hypervisor
//! and Firecracker come to their host.

use super::finder::is_socket;
use crate::port::{Address, accept, open_listener};
use anyhow::{Context, bail};
use nix::sys::socket::{SockaddrStorage, getpeername};
use std::{
    fs, io,
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
};
use tokio::{
    io::Interest,
    net::{UnixListener, UnixStream},
};

/// Where guests come to.
#[derive(Debug)]
pub enum Listener {
    /// A network's address. Of a socket that listens, no more is asked than when it is ready.
    Network(UnixStream, Address),
    /// A socket's path.
    Unix(UnixListener, PathBuf),
}

impl Listener {
    /// Listens. A socket that nobody listens on any more is replaced.
    ///
    /// # Errors
    /// When `text` is no such place, strangers could come to it and there is no token, or it cannot be had.
    pub fn open(text: &str, is_guarded: bool) -> anyhow::Result<Self> {
        if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            let path = PathBuf::from(path);
            if is_left_behind(&path) {
                fs::remove_file(&path).with_context(|| format!("{} is in the way", path.display()))?;
            }
            let listener =
                UnixListener::bind(&path).with_context(|| format!("--listen {text} cannot be used"))?;
            return Ok(Self::Unix(listener, path));
        }
        let Some(address) = Address::to_listen(text) else {
            bail!(
                "--listen '{text}' is no place to listen at: expected tcp:ADDRESS:PORT (in digits), vsock:PORT or unix:PATH, \
                 for example tcp:127.0.0.1:7007"
            );
        };
        // Only this host's own VMs come by vsock.
        if !is_guarded && matches!(address, Address::Tcp(_)) && !address.is_loopback() {
            bail!(address.is_open("--listen "));
        }
        let ready = |socket: OwnedFd| UnixStream::from_std(socket.into());
        let listener = open_listener(&address).and_then(ready);
        let listener = listener.with_context(|| format!("--listen {text} cannot be used"))?;
        Ok(Self::Network(listener, address))
    }

    /// The next guest, and what its end is called.
    ///
    /// # Errors
    /// When there is none to take at present, for want of descriptors for example.
    pub async fn accept(&self) -> io::Result<(UnixStream, String)> {
        match self {
            Self::Unix(listener, path) => {
                let (stream, _) = listener.accept().await?;
                Ok((stream, format!("unix:{}", path.display())))
            }
            Self::Network(listener, address) => loop {
                listener.readable().await?;
                match listener.try_io(Interest::READABLE, || accept(listener, address)) {
                    Ok(stream) => {
                        let peer = peer(&stream);
                        return Ok((UnixStream::from_std(stream)?, peer));
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            },
        }
    }

    /// Removes what is left of it.
    pub fn remove(&self) {
        if let Self::Unix(_, path) = self {
            // Gone is gone.
            let _ = fs::remove_file(path);
        }
    }
}

/// Whether nobody listens on a socket any more. A connection to what is no socket is refused as well.
fn is_left_behind(path: &Path) -> bool {
    let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    is_socket(path) && std::os::unix::net::UnixStream::connect(path).is_err_and(refused)
}

/// Whose end it is: the machine, not the port, which is another for each connection.
fn peer(stream: &std::os::unix::net::UnixStream) -> String {
    let Ok(address) = getpeername::<SockaddrStorage>(stream.as_raw_fd()) else { return "unknown".into() };
    if let Some(address) = address.as_vsock_addr() {
        return format!("vsock:{}", address.cid());
    }
    let v4 = address.as_sockaddr_in().map(|address| address.ip().to_string());
    let v6 = address.as_sockaddr_in6().map(|address| address.ip().to_string());
    format!("tcp:{}", v4.or(v6).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::runtime;

    fn open(text: &str, is_guarded: bool) -> Result<Listener, String> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { Listener::open(text, is_guarded).map_err(|error| format!("{error:#}")) })
    }

    #[test]
    fn what_strangers_can_reach_wants_a_token() {
        assert!(open("tcp:127.0.0.1:0", false).unwrap_err().contains("is no place to listen at"), "port 0");
        let said = open("tcp:0.0.0.0:47007", false).unwrap_err();
        assert!(said.contains("--token-file") && said.contains("--open-to-anyone"), "{said}");
        for wrong in ["", "tcp:host:7", "7007", "unix:", "udp:127.0.0.1:7"] {
            assert!(open(wrong, true).unwrap_err().contains("tcp:127.0.0.1:7007"), "{wrong}");
        }
    }

    #[test]
    fn a_socket_that_a_dead_collector_left_is_replaced_and_a_living_ones_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let text = format!("unix:{}", dir.path().join("v.sock_7007").display());
        drop(open(&text, false).unwrap());
        let second = open(&text, false).unwrap();
        assert!(open(&text, false).unwrap_err().contains("cannot be used"));
        second.remove();
        let file = dir.path().join("notes");
        fs::write(&file, "of somebody").unwrap();
        assert!(open(&format!("unix:{}", file.display()), false).unwrap_err().contains("cannot be used"));
        assert_eq!(fs::read_to_string(&file).unwrap(), "of somebody", "a file is nobody's dead socket");
        assert!(!dir.path().join("v.sock_7007").exists());
    }
}
