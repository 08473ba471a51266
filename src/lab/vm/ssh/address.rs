//! Where the other machine is: `ssh://[USER@]HOST[:PORT]`, as the user gives it.

use crate::units::shown;
use std::{fmt, str::FromStr};

/// What every such address begins with.
const SCHEME: &str = "ssh://";

/// A machine that `ssh` reaches. Whatever it was made from, no part of it is an option or means anything to a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshAddress {
    user: Option<String>,
    host: String,
    port: Option<u16>,
}

/// A text that is no such address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' names no machine: {why}; expected ssh://[USER@]HOST[:PORT], for example ssh://root@node2")]
pub struct UnknownSshAddress {
    text: String,
    why: &'static str,
}

impl SshAddress {
    /// The host, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// What `ssh` is told of it, the host last.
    pub fn words(&self) -> Vec<String> {
        let user = self.user.iter().flat_map(|user| ["-l".to_owned(), user.clone()]);
        let port = self.port.iter().flat_map(|port| ["-p".to_owned(), port.to_string()]);
        user.chain(port).chain(["--".to_owned(), self.host.clone()]).collect()
    }
}

impl fmt::Display for SshAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(SCHEME)?;
        if let Some(user) = &self.user {
            write!(out, "{user}@")?;
        }
        out.write_str(&bracketed(&self.host))?;
        self.port.map_or(Ok(()), |port| write!(out, ":{port}"))
    }
}

/// A host as it stands before a colon and a port.
pub(super) fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

/// Whether it can stand for a host or a user: nothing in it that a shell, or a list of options, reads in another way.
pub(super) fn is_plain(name: &str, further: &str) -> bool {
    let good = |character: char| character.is_ascii_alphanumeric() || further.contains(character);
    !name.is_empty() && !name.starts_with('-') && name.chars().all(good)
}

impl FromStr for SshAddress {
    type Err = UnknownSshAddress;

    fn from_str(text: &str) -> Result<Self, UnknownSshAddress> {
        let wrong = |why| UnknownSshAddress { text: shown(text, 80), why };
        let rest = text.strip_prefix(SCHEME).ok_or_else(|| wrong("it does not begin with ssh://"))?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (user, place) = rest.rsplit_once('@').map_or((None, rest), |(user, place)| (Some(user), place));
        let (host, port) =
            host_and_port(place).ok_or_else(|| wrong("its port is no number from 1 to 65535"))?;
        if !is_plain(host, ".-_:%") {
            return Err(wrong("its host is empty, begins with '-', or has a character that no host has"));
        }
        if user.is_some_and(|user| !is_plain(user, ".-_+")) {
            return Err(wrong("its user is empty, begins with '-', or has a character that no user has"));
        }
        Ok(Self { user: user.map(str::to_owned), host: host.to_owned(), port })
    }
}

/// A host, in brackets where it has colons, and the port that may follow it; none where what follows is no port.
pub(super) fn host_and_port(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, port)) => (host, Some(port.strip_prefix(':')?)),
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let Some(port) = port else { return Some((host, None)) };
    let number = port.parse().ok().filter(|number| *number > 0 && !port.starts_with('+'))?;
    Some((host, Some(number)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_are_taken_apart_and_print_as_they_were() {
        for (text, words) in [
            ("ssh://node2", "-- node2"),
            ("ssh://root@10.0.0.2:2222", "-l root -p 2222 -- 10.0.0.2"),
            ("ssh://root@[fe80::1%eth0]:22", "-l root -p 22 -- fe80::1%eth0"),
            ("ssh://[::1]", "-- ::1"),
        ] {
            let address: SshAddress = text.parse().unwrap();
            assert_eq!(address.words().join(" "), words);
            assert_eq!(address.to_string(), text);
        }
        assert_eq!("ssh://node2/".parse::<SshAddress>().unwrap().host(), "node2");
    }

    #[test]
    fn what_is_no_address_is_repeated_with_the_reason_and_an_example() {
        for (text, why) in [
            ("node2", "does not begin with ssh://"),
            ("ssh://", "host is empty"),
            ("ssh://-oProxyCommand=touch", "begins with '-'"),
            ("ssh://node2;reboot", "no host has"),
            ("ssh://$(reboot)", "no host has"),
            ("ssh://-lroot@node2", "user is empty, begins with '-'"),
            ("ssh://@node2", "user is empty"),
            ("ssh://node2:0", "port"),
            ("ssh://node2:ssh", "port"),
            ("ssh://[::1]22", "port"),
            ("ssh://node2/path", "no host has"),
        ] {
            let said = text.parse::<SshAddress>().unwrap_err().to_string();
            assert!(said.contains(text) && said.contains(why) && said.contains("ssh://root@node2"), "{said}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_is_taken_means_anything_to_a_shell(text in "ssh://[ -~]{0,20}") {
            if let Ok(address) = text.parse::<SshAddress>() {
                let words = address.words();
                prop_assert!(!words.last().unwrap().starts_with('-'));
                prop_assert!(!words.iter().any(|word| word.contains([' ', '\'', '"', '$', '`', ';', '&', '|', '<', '\n'])));
            }
        }
    }
}
