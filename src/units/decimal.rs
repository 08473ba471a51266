//! Decimals for people, in integers: the guest program carries no code that prints floating-point numbers.

/// `value` in `unit`s, rounded to `decimals` places (at most 9): 1536 in 1024 with one place is `1.5`.
///
/// # Panics
/// When `unit` is 0.
pub fn decimal(value: u64, unit: u64, decimals: u32) -> String {
    let scale = 10u64.pow(decimals.min(9));
    let (whole, rest) = (value / unit, value % unit);
    let part = (u128::from(rest) * u128::from(scale) + u128::from(unit / 2)) / u128::from(unit);
    let part = u64::try_from(part).unwrap_or(scale);
    let (whole, part) = if part >= scale { (whole.saturating_add(1), 0) } else { (whole, part) };
    if decimals == 0 {
        return whole.to_string();
    }
    let width = decimals as usize;
    format!("{whole}.{part:0width$}")
}

/// As [`decimal`], with more places (9 at most) where fewer than two digits of what is not 0 would be left.
///
/// # Panics
/// When `unit` is 0.
pub fn figure(value: u64, unit: u64, decimals: u32) -> String {
    let tells = |places: &u32| u128::from(value) * 10u128.pow(*places) >= u128::from(unit) * 10;
    let places = (decimals..9).find(|places| value == 0 || tells(places));
    decimal(value, unit, places.unwrap_or(9))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_part_that_rounds_up_to_a_whole_is_carried() {
        assert_eq!(decimal(1999, 1000, 1), "2.0");
        assert_eq!(decimal(1999, 1000, 0), "2");
        assert_eq!(decimal(1049, 1000, 2), "1.05");
        assert_eq!(decimal(u64::MAX, 1, 1), "18446744073709551615.0");
    }

    #[test]
    fn a_small_figure_keeps_two_digits() {
        let said = [(0, 256), (1, 256), (26, 256), (300, 256), (256_000, 256), (1, 1_000_000_000)];
        assert_eq!(
            said.map(|(value, unit)| figure(value, unit, 1)),
            ["0.0", "0.0039", "0.10", "1.2", "1000.0", "0.000000001"]
        );
    }

    proptest! {
        #[test]
        fn the_text_is_the_value_within_half_of_its_last_place(
            value in 0u64..1 << 50, unit in 1u64..1 << 40, decimals in 0u32..4,
        ) {
            let text: f64 = decimal(value, unit, decimals).parse().unwrap();
            let exact = value as f64 / unit as f64;
            let half = 0.5 / f64::from(10u32.pow(decimals));
            prop_assert!((text - exact).abs() <= half + exact * 1e-12);
        }
    }
}
