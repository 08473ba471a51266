//! The CPU's cycle counter, unfenced: for the host's clock arithmetic, not for timing single stores.
#![cfg_attr(
    any(target_arch = "x86_64", target_arch = "aarch64"),
    expect(unsafe_code, reason = "the counter is read by one instruction that Rust offers only as unsafe")
)]
// Laws: 1. each block is one reading instruction without memory operands;
//       2. the instruction is in the base instruction set of its architecture.

/// The cycle counter (TSC, CNTVCT), where the architecture has one that programs may read.
#[cfg(target_arch = "x86_64")]
#[inline]
pub fn cycles() -> Option<u64> {
    // SAFETY: RDTSC is in every x86-64; it reads a register and touches no memory.
    Some(unsafe { core::arch::x86_64::_rdtsc() })
}

/// The cycle counter (TSC, CNTVCT), where the architecture has one that programs may read.
#[cfg(target_arch = "aarch64")]
#[inline]
pub fn cycles() -> Option<u64> {
    let count: u64;
    // SAFETY: Linux lets programs read CNTVCT_EL0; reading it touches neither memory, stack nor flags.
    unsafe {
        core::arch::asm!("mrs {}, cntvct_el0", out(reg) count, options(nomem, nostack, preserves_flags))
    };
    Some(count)
}

/// The cycle counter (TSC, CNTVCT), where the architecture has one that programs may read.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub fn cycles() -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_counts_where_there_is_one() {
        let counts: Vec<_> = (0..1000).filter_map(|_| cycles()).collect();
        assert!(counts.is_empty() || counts.first() != counts.last());
    }
}
