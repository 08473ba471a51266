//! After a switch to post-copy: the guest's waits beside QEMU's count of them.

use crate::lab::timeline::{Postcopy, Span};
use serde::Serialize;

/// Figures of guest and QEMU that differ by more than this share of QEMU's disagree.
const APART: f64 = 0.1;

/// The guest's gaps in the post-copy stage beside what QEMU counted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Waits {
    /// Gaps in the stage, all vCPUs.
    pub guest_count: u64,
    /// The median of their lengths.
    pub guest_p50_ns: Option<u64>,
    /// Their sum.
    pub guest_stall_ns: Option<u64>,
    /// QEMU's vCPU blocktime, sum over vCPUs.
    pub qemu_vcpu_blocktime_ns: Option<u64>,
    /// Pages the destination asked for.
    pub qemu_requests: Option<u64>,
    /// Which of them differ by more than 10 %, in sentences.
    pub disagreements: Vec<String>,
}

/// The waits in `stage`. `gaps` are lengths in ns.
pub fn waits(postcopy: &Postcopy, stage: Option<Span>, mut gaps: Vec<u64>) -> Waits {
    gaps.sort_unstable();
    let vcpus = postcopy.qemu_vcpu_blocktime_ns.as_ref();
    let mut waits = Waits {
        guest_count: gaps.len() as u64,
        guest_p50_ns: gaps.len().checked_sub(1).and_then(|last| gaps.get(last / 2).copied()),
        guest_stall_ns: postcopy.guest_stall_ns.filter(|_| stage.is_some()),
        qemu_vcpu_blocktime_ns: vcpus
            .map(|vcpus| vcpus.iter().fold(0u64, |sum, one| sum.saturating_add(*one))),
        qemu_requests: postcopy.requests,
        disagreements: Vec::new(),
    };
    let apart = |guest: u64, qemu: u64| (guest as f64 - qemu as f64).abs() > APART * qemu as f64;
    if let (Some(guest), Some(qemu)) = (waits.guest_stall_ns, waits.qemu_vcpu_blocktime_ns)
        && apart(guest, qemu)
    {
        waits
            .disagreements
            .push("the guest's stalls and QEMU's vCPU blocktime differ by more than 10 %".into());
    }
    if waits.qemu_requests.is_some_and(|requests| apart(waits.guest_count, requests)) {
        waits
            .disagreements
            .push("the guest's gaps and the pages QEMU asked for differ by more than 10 %".into());
    }
    waits
}
