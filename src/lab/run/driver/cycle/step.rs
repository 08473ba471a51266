//! The steps of a cycle.

/// Where a cycle stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CycleStep {
    /// Until QEMU has said what it can do.
    Asking,
    /// Until so many pages are dirtied.
    Dirtying,
    /// Until the guest stands still.
    Stopping,
    /// Until all is in the file.
    Saving,
    /// Until there is a new QEMU.
    Renewing,
    /// Until all is there.
    Restoring,
    /// Until the guest goes on.
    Resuming,
    /// Until its visits have told what they can.
    Watching,
    /// Until it has looked at every page.
    Sweeping,
}

impl CycleStep {
    /// In words.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Asking | Self::Stopping | Self::Saving => "saving",
            Self::Dirtying => "dirtying",
            Self::Renewing | Self::Restoring | Self::Resuming => "restoring",
            Self::Watching => "recovering",
            Self::Sweeping => "looking at every page",
        }
    }

    /// Whether the guest is still where it was saved.
    pub(super) const fn is_before_restore(self) -> bool {
        matches!(self, Self::Asking | Self::Dirtying | Self::Stopping | Self::Saving)
    }

    /// Whether the state goes into the file or out of it.
    pub(super) const fn is_transfer(self) -> bool {
        matches!(self, Self::Saving | Self::Restoring)
    }
}
