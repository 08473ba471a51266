//! Where a migration stream goes, as each QEMU names it.

/// The two names of a migration's channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uris {
    /// Where the destination listens.
    pub incoming: String,
    /// Where the source connects to.
    pub outgoing: String,
}

impl Uris {
    /// Of a channel that both sides call the same, for example `unix:/run/x/migration`.
    pub fn same(uri: &str) -> Self {
        Self { incoming: uri.to_owned(), outgoing: uri.to_owned() }
    }
}
