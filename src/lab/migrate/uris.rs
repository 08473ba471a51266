//! Where the migration stream goes, as QEMU names it on either side.

/// The two names of one way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uris {
    /// Where the destination listens, for example `tcp:10.1.0.2:50000`.
    pub incoming: String,
    /// Where the source connects to.
    pub outgoing: String,
}

impl From<&str> for Uris {
    /// A way that has the same name on both sides, for example `unix:/run/x/migration`.
    fn from(uri: &str) -> Self {
        Self { incoming: uri.to_owned(), outgoing: uri.to_owned() }
    }
}
