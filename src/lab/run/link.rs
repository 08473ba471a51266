//! The link of a run: what the scenario asks for, made, and what both QEMUs call it.

use crate::lab::migrate::Uris;
use crate::lab::scenario::{LinkKind, LinkSpec};
use crate::lab::vm::{NamespaceDoor, Namespaces, Sockets};
use crate::record::Side;
use anyhow::Context as _;
use std::net::TcpListener;

/// The port of a destination that has a network of its own.
const OWN_PORT: u16 = 4444;

/// A link between both sides. Dropping it removes what was made for it.
#[derive(Debug)]
pub enum Link {
    /// A Unix socket, by QEMU's name.
    Unix(String),
    /// A port of the loopback device, kept from others until both sides are told of it.
    Loopback {
        /// The port.
        port: u16,
        /// What keeps it.
        kept: Option<TcpListener>,
    },
    /// Two namespaces with a delay between them.
    Delayed(Namespaces),
}

impl Link {
    /// Makes what `spec` asks for.
    ///
    /// # Errors
    /// It cannot be had here: what is missing, and the way out.
    pub fn make(spec: &LinkSpec, sockets: &Sockets) -> anyhow::Result<Self> {
        match (spec.kind, spec.delay) {
            (LinkKind::Unix, _) => Ok(Self::Unix(format!("unix:{}", sockets.migration().display()))),
            (LinkKind::Tcp, None) => {
                let kept = TcpListener::bind(("127.0.0.1", 0)).context("no port of 127.0.0.1 is free")?;
                Ok(Self::Loopback { port: kept.local_addr()?.port(), kept: Some(kept) })
            }
            (LinkKind::Tcp, Some(delay)) => {
                Namespaces::make(delay).map(Self::Delayed).map_err(anyhow::Error::msg)
            }
        }
    }

    /// Where the destination listens and the source connects to, from now on.
    pub fn uris(&mut self) -> Uris {
        match self {
            Self::Unix(uri) => Uris::same(uri),
            Self::Loopback { port, kept } => {
                *kept = None;
                Uris::same(&format!("tcp:127.0.0.1:{port}"))
            }
            Self::Delayed(namespaces) => {
                Uris::same(&format!("tcp:{}:{OWN_PORT}", namespaces.destination_address()))
            }
        }
    }

    /// The way into the network namespace that a side's QEMU runs in, where it has one of its own.
    pub fn namespace(&self, side: Side) -> Option<NamespaceDoor> {
        match self {
            Self::Delayed(namespaces) => Some(namespaces.door(side)),
            Self::Unix(_) | Self::Loopback { .. } => None,
        }
    }

    /// What was made for it, in a sentence; none where nothing was.
    pub fn note(&self, spec: &LinkSpec) -> Option<String> {
        let delay = spec.delay.filter(|_| matches!(self, Self::Delayed(_)))?;
        Some(format!(
            "each QEMU ran in a network namespace of its own; between them a veth pair with netem, {delay} each way"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unix_link_lies_beside_the_other_sockets_and_a_tcp_one_on_a_port_that_is_free() {
        let sockets = Sockets::create().unwrap();
        let mut unix = Link::make(&LinkSpec::default(), &sockets).unwrap();
        assert_eq!(unix.uris().incoming, format!("unix:{}", sockets.migration().display()));
        let tcp = LinkSpec { kind: LinkKind::Tcp, ..LinkSpec::default() };
        let mut link = Link::make(&tcp, &sockets).unwrap();
        let Link::Loopback { port, .. } = link else { panic!("{link:?}") };
        assert!(TcpListener::bind(("127.0.0.1", port)).is_err(), "it is kept until it is needed");
        let uris = link.uris();
        assert_eq!(
            (uris.incoming.as_str(), &uris.outgoing),
            (&*format!("tcp:127.0.0.1:{port}"), &uris.incoming)
        );
        assert!(TcpListener::bind(("127.0.0.1", port)).is_ok(), "and free then");
        assert_eq!((link.namespace(Side::Source), link.note(&tcp)), (None, None));
    }
}
