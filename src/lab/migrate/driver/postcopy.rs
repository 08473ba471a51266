//! How far the switch to post-copy has come.

/// QEMU's command for the switch.
pub(super) const START_POSTCOPY: &str = "migrate-start-postcopy";

/// How far the switch to post-copy has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Postcopy {
    Not,
    /// The order waits for the guest's mark: from the mark on the guest keeps the history of its pages, and a mark that came
    /// after the switch would make it fetch pages for that.
    Held {
        since_ns: u64,
        marked_ns: Option<u64>,
    },
    /// QEMU was told to. It also accepts an order that comes after the last page was sent, and then does nothing.
    Ordered {
        at_ns: u64,
    },
    /// The guest runs, or may run, at the destination.
    Active,
}

impl Postcopy {
    /// Whether the destination may have something to say.
    pub(super) const fn is_ordered(self) -> bool {
        matches!(self, Self::Ordered { .. } | Self::Active)
    }
}
