//! A random number below a bound: by our own rule, since what a seed visits is to stay the same for ever.

/// A uniform 64-bit number as a uniform one below `bound`: none is likelier than another by more than `bound` / 2^64.
#[inline(always)]
pub fn below(number: u64, bound: u64) -> u64 {
    below_and_rest(number, bound).0
}

/// The same, and what is left of the number: uniform again, in steps of `bound`.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the upper and the lower half of a wide product")]
pub fn below_and_rest(number: u64, bound: u64) -> (u64, u64) {
    let product = u128::from(number) * u128::from(bound);
    ((product >> 64) as u64, product as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn equal_parts_of_all_numbers_become_each_number() {
        assert_eq!(
            [0, u64::MAX / 3, u64::MAX / 3 + 1, u64::MAX].map(|number| below(number, 3)),
            [0, 0, 1, 2]
        );
    }

    proptest! {
        #[test]
        fn a_number_stays_below_its_bound_and_comes_back_from_its_parts(number: u64, bound in 1u64..) {
            let (part, rest) = below_and_rest(number, bound);
            prop_assert!(part < bound);
            prop_assert_eq!((u128::from(part) << 64) + u128::from(rest), u128::from(number) * u128::from(bound));
        }
    }
}
