//! How long a session was not heard of when its connection broke: from the last record on the one before to the first on the
//! next, by the host's clock.

use serde_json::{Map, Value};

/// The connections of one life, as far as one collector saw them.
#[derive(Debug, Default)]
pub struct Reconnects {
    /// The connection that spoke last.
    connection: Option<u64>,
    count: u64,
    longest_ns: Option<u64>,
}

impl Reconnects {
    /// A record came on `connection`, `since_ns` after the one before it. How long it was away, where it came back with it.
    pub fn on(&mut self, connection: u64, since_ns: Option<u64>) -> Option<u64> {
        let before = self.connection.replace(connection);
        let away_ns = since_ns.filter(|_| before.is_some_and(|before| before != connection))?;
        self.count += 1;
        self.longest_ns = self.longest_ns.max(Some(away_ns));
        Some(away_ns)
    }

    /// Another socket of the VM's speaks: it moved, and its connection did not break.
    pub const fn moved(&mut self, connection: u64) {
        self.connection = Some(connection);
    }

    /// Writes it down.
    pub fn conclude(&self, about: &mut Map<String, Value>) {
        about.insert("reconnects".into(), self.count.into());
        let longest = self.longest_ns.map(|away_ns| away_ns / 1_000_000);
        about.insert("reconnect_ms".into(), longest.into());
        if longest.is_none() {
            let reason = "no connection of it came back to this collector: none broke, or nothing came since";
            about.insert("reconnect_reason".into(), reason.into());
        } else {
            about.remove("reconnect_reason");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_time_away_is_told_and_without_one_why_there_is_none() {
        let (mut reconnects, mut about) = (Reconnects::default(), Map::new());
        assert_eq!([reconnects.on(1, None), reconnects.on(1, Some(100))], [None, None]);
        reconnects.conclude(&mut about);
        assert!(
            about["reconnect_ms"].is_null()
                && about["reconnects"] == 0
                && about.contains_key("reconnect_reason")
        );
        assert_eq!(reconnects.on(2, Some(7_000_000)), Some(7_000_000));
        assert_eq!(
            [reconnects.on(2, Some(9_000_000)), reconnects.on(3, Some(2_000_000))],
            [None, Some(2_000_000)]
        );
        reconnects.moved(4);
        assert_eq!(reconnects.on(4, Some(80_000_000)), None);
        reconnects.conclude(&mut about);
        assert_eq!((&about["reconnect_ms"], &about["reconnects"]), (&7.into(), &2.into()));
        assert!(!about.contains_key("reconnect_reason"));
    }
}
