//! Where something listens on a network: `tcp:ADDRESS:PORT` in digits, or `vsock:CID:PORT`.

use nix::sys::socket::{AddressFamily, SockaddrLike, SockaddrStorage, VsockAddr};
use std::{fmt, net::SocketAddr};

/// A place on a network. A name is no address: to look one up takes a resolver, which a static program has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address {
    /// By TCP.
    Tcp(SocketAddr),
    /// By vsock: context and port.
    Vsock(u32, u32),
}

impl Address {
    /// `tcp:ADDRESS:PORT`, or `vsock:[CID:]PORT`, where the host is meant without a CID.
    pub fn to_dial(text: &str) -> Option<Self> {
        match text.split_once(':')? {
            ("tcp", rest) => {
                rest.parse().ok().filter(|address: &SocketAddr| address.port() > 0).map(Self::Tcp)
            }
            ("vsock", rest) => {
                let (cid, port) = rest.split_once(':').map_or((None, rest), |(cid, port)| (Some(cid), port));
                let cid = cid.map_or(Some(libc::VMADDR_CID_HOST), |cid| cid.parse().ok())?;
                Some(Self::Vsock(cid, port.parse().ok()?))
            }
            _ => None,
        }
    }

    /// `tcp:ADDRESS:PORT`, or `vsock:PORT`.
    pub fn to_listen(text: &str) -> Option<Self> {
        match text.strip_prefix("vsock:") {
            Some(port) => Some(Self::Vsock(libc::VMADDR_CID_ANY, port.parse().ok()?)),
            None => Self::to_dial(text),
        }
    }

    /// Whether only this machine's own programs can come to it.
    pub const fn is_loopback(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().is_loopback(),
            Self::Vsock(..) => false,
        }
    }

    /// That strangers could come to it, where `flag` says to listen there; a sentence.
    pub fn is_open(&self, flag: &str) -> String {
        format!(
            "{flag}{self}: others than this machine can reach that, and whoever does is served: give a token (--token-file \
             FILE), or an address of this machine alone such as tcp:127.0.0.1:7007, or say --open-to-anyone"
        )
    }

    pub(super) const fn family(&self) -> AddressFamily {
        match self {
            Self::Tcp(SocketAddr::V4(_)) => AddressFamily::Inet,
            Self::Tcp(SocketAddr::V6(_)) => AddressFamily::Inet6,
            Self::Vsock(..) => AddressFamily::Vsock,
        }
    }

    pub(super) fn for_kernel(&self) -> Box<dyn SockaddrLike> {
        match self {
            Self::Tcp(address) => Box::new(SockaddrStorage::from(*address)),
            Self::Vsock(cid, port) => Box::new(VsockAddr::new(*cid, *port)),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(out, "tcp:{address}"),
            Self::Vsock(libc::VMADDR_CID_ANY, port) => write!(out, "vsock:{port}"),
            Self::Vsock(cid, port) => write!(out, "vsock:{cid}:{port}"),
        }
    }
}
