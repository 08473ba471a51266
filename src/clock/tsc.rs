//! The CPU's cycle counter, unfenced: for the host's clock arithmetic, not for timing single stores.
#![expect(unsafe_code, reason = "the counter is read by one instruction that Rust offers only as unsafe")]
// Laws: 1. each block is one reading instruction without memory operands;
//       2. the instruction is in the base instruction set of its architecture.

/// The cycle counter: TSC.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) fn read() -> u64 {
    // SAFETY: RDTSC is in every x86-64; it reads a register and touches no memory.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Whether the CPU says that the TSC never stops and never changes its pace.
#[cfg(target_arch = "x86_64")]
pub(super) fn is_invariant() -> bool {
    use core::arch::x86_64::__cpuid;
    const POWER: u32 = 0x8000_0007;
    const INVARIANT_TSC: u32 = 1 << 8;
    __cpuid(0x8000_0000).eax >= POWER && __cpuid(POWER).edx & INVARIANT_TSC != 0
}

/// The cycle counter: CNTVCT.
#[cfg(target_arch = "aarch64")]
#[inline]
pub(super) fn read() -> u64 {
    let count: u64;
    // SAFETY: Linux lets programs read CNTVCT_EL0; reading it touches neither memory, stack nor flags.
    unsafe {
        core::arch::asm!("mrs {}, cntvct_el0", out(reg) count, options(nomem, nostack, preserves_flags))
    };
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_counts() {
        let first = read();
        assert!((0..1_000_000).any(|_| read() != first));
    }
}
