//! Where the migration stream goes: to QEMU's own port on the other machine, not through ssh, which would be what is measured.

use super::super::error::VmError;
use super::SshLink;
use super::address::{bracketed, host_and_port, is_plain};
use super::machine::{free_port, resolved_host};
use crate::units::shown;
use std::{fmt, str::FromStr};

/// The address of the other machine that the stream is to go to, as the user gives it: `ADDR` or `ADDR:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestAddress {
    host: String,
    port: Option<u16>,
}

/// A text that is no such address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is no address: expected ADDR or ADDR:PORT, an IPv6 address in brackets, for example 10.1.0.2 or [fd00::2]:50000"
)]
pub struct UnknownDestAddress(String);

impl fmt::Display for DestAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&bracketed(&self.host))?;
        self.port.map_or(Ok(()), |port| write!(out, ":{port}"))
    }
}

impl FromStr for DestAddress {
    type Err = UnknownDestAddress;

    fn from_str(text: &str) -> Result<Self, UnknownDestAddress> {
        let found = host_and_port(text).filter(|(host, _)| is_plain(host, ".-_:%"));
        let (host, port) = found.ok_or_else(|| UnknownDestAddress(shown(text, 80)))?;
        Ok(Self { host: host.to_owned(), port })
    }
}

/// Where the destination is to listen and where the source finds it, as QEMU names both.
///
/// By itself it listens at the address at which the machine took the connection of ssh, and the source goes to the host that ssh
/// goes to. An address that is named may be translated on its way: there it listens at all addresses.
///
/// # Errors
/// The connection is lost.
pub async fn listen_and_reach(link: &SshLink, wanted: Option<&DestAddress>) -> Result<[String; 2], VmError> {
    let port = match wanted.and_then(|wanted| wanted.port) {
        Some(port) => port,
        None => free_port(link, std::process::id()).await?,
    };
    let (there, host) = match wanted {
        Some(wanted) => {
            let any = if wanted.host.contains(':') { "::" } else { "0.0.0.0" };
            (any.to_owned(), bracketed(&wanted.host))
        }
        None => (link.server().unwrap_or("::").to_owned(), resolved_host(link).await),
    };
    Ok([format!("tcp:{}:{port}", bracketed(&there)), format!("tcp:{host}:{port}")])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_have_a_port_and_what_is_none_is_repeated() {
        let of = |text: &str| text.parse::<DestAddress>().map(|address| (address.host, address.port));
        assert_eq!(of("10.1.0.2"), Ok(("10.1.0.2".into(), None)));
        assert_eq!(of("[fd00::2]:50000"), Ok(("fd00::2".into(), Some(50_000))));
        for text in ["10.1.0.2", "10.1.0.2:4444", "[fd00::2]:50000", "[fd00::2]"] {
            assert_eq!(text.parse::<DestAddress>().map(|address| address.to_string()), Ok(text.to_owned()));
        }
        for wrong in ["", "-x", "a b", "10.1.0.2:0", "10.1.0.2:port", "a,b"] {
            let said = of(wrong).unwrap_err().to_string();
            assert!(said.contains(&format!("'{wrong}'")) && said.contains("10.1.0.2"), "{said}");
        }
    }
}
