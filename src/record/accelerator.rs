//! What runs a guest's CPUs: hardware, or emulation.

use serde::{Deserialize, Serialize};

/// How the guest's CPUs are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accelerator {
    /// Hardware virtualisation.
    Kvm,
    /// Emulation.
    #[default]
    Tcg,
}
