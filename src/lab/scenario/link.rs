//! The link between both sides: `[link]`.

use super::bandwidth::Bandwidth;
use crate::units::Nanos;
use serde::{Deserialize, Serialize};

/// The longest delay of a link.
const LONGEST_DELAY: Nanos = Nanos::from_secs(10);

/// The link that the migration goes over.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LinkSpec {
    /// What it is made of.
    pub kind: LinkKind,
    /// The most that goes over it; another name for `migration.bandwidth`, which it always equals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<Bandwidth>,
    /// How long it takes to the other side, each way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay: Option<Nanos>,
}

/// What a link is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkKind {
    /// A Unix socket.
    #[default]
    Unix,
    /// TCP: over loopback, or between two network namespaces where there is a delay.
    Tcp,
}

impl LinkSpec {
    /// What is wrong with it, each fault as a sentence with the way out.
    pub(super) fn faults(&self) -> Vec<String> {
        let Some(delay) = self.delay else { return Vec::new() };
        let mut faults = Vec::new();
        if self.kind != LinkKind::Tcp {
            faults.push(format!(
                "link.delay = {delay} needs link.kind = \"tcp\": nothing delays a Unix socket"
            ));
        }
        if delay == Nanos(0) || delay > LONGEST_DELAY {
            faults.push(format!(
                "link.delay = {delay} cannot be: it is more than 0s and at most {LONGEST_DELAY}, for example 20ms"
            ));
        }
        faults
    }

    /// Gives the migration's `bandwidth` the value that is said here. `said` is the one that the same text says there.
    ///
    /// # Errors
    /// The two differ.
    pub(super) fn unite(&self, bandwidth: &mut Bandwidth, said: Option<Bandwidth>) -> Result<(), String> {
        let Some(own) = self.bandwidth else { return Ok(()) };
        match said.filter(|said| *said != own) {
            None => *bandwidth = own,
            Some(said) => {
                return Err(format!(
                    "link.bandwidth = {own} and migration.bandwidth = {said} are two names of one thing: leave one out"
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::lab::scenario::{Bandwidth, LinkKind, find_scaled, parse};

    #[test]
    fn the_links_bandwidth_is_the_migrations_whichever_way_it_is_said() {
        let said = parse("[link]\nkind = \"tcp\"\nbandwidth = \"12M/s\"\n", "x").unwrap();
        assert_eq!((said.link.kind, said.migration.bandwidth), (LinkKind::Tcp, Bandwidth(12 << 20)));
        assert_eq!(parse(&said.to_toml(), "again").unwrap(), said);
        let both = "[link]\nbandwidth = \"12M/s\"\n[migration]\nbandwidth = \"13M/s\"\n";
        let refused = parse(both, "x").unwrap_err().to_string();
        assert!(refused.contains("link.bandwidth = 12M/s and migration.bandwidth = 13M/s"), "{refused}");
    }

    #[test]
    fn a_bandwidth_that_is_set_goes_before_that_of_the_file_by_either_name_and_both_are_scaled() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "name = \"x\"\n[link]\nbandwidth = \"16M/s\"\n").unwrap();
        let name = file.path().display().to_string();
        for (set, bytes_per_s) in [
            (vec![], 2 << 20),
            (vec!["migration.bandwidth=5M/s"], 5 << 20),
            (vec!["migration.bandwidth=5M/s", "link.bandwidth=6M/s"], 6 << 20),
        ] {
            let set: Vec<String> = set.into_iter().map(String::from).collect();
            let found = find_scaled(&name, "1/8".parse().ok(), &set).unwrap().scenario;
            assert_eq!(
                (found.link.bandwidth, found.migration.bandwidth),
                (Some(Bandwidth(bytes_per_s)), Bandwidth(bytes_per_s)),
                "{set:?}"
            );
        }
    }

    #[test]
    fn a_delay_that_cannot_be_is_refused_with_the_way_out() {
        let said = |text: &str| parse(text, "x").map_or_else(|error| error.to_string(), |_| String::new());
        assert_eq!(said("[link]\nkind = \"tcp\"\ndelay = \"20ms\"\n"), "");
        assert!(said("[link]\ndelay = \"20ms\"\n").contains("link.delay = 20ms needs link.kind = \"tcp\""));
        assert!(said("[link]\nkind = \"tcp\"\ndelay = \"0s\"\n").contains("more than 0s and at most 10s"));
        assert!(said("[link]\nkind = \"rdma\"\n").contains("link.kind takes a text: unix or tcp"));
    }
}
