//! A unit of work that touches no memory: what writers of a region that computes do instead of visiting a page.

use std::hint::black_box;

/// Steps of a unit.
const STEPS: u32 = 4096;

/// Does one unit: always as many steps of Marsaglia's xorshift, each of which needs the one before it. So a CPU that runs
/// undisturbed takes the same time for each, whatever memory and caches do.
#[inline(never)]
pub(super) fn compute(seed: u64) {
    let mut state = black_box(seed | 1);
    for _ in 0..STEPS {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
    }
    black_box(state);
}
