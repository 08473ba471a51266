//! Powers that are the same on every machine for ever, which those of the system's mathematics library are not: they
//! differ in the last bit from version to version. Only the four basic operations are used, which IEEE 754 fixes.

/// `base` to the power of `exponent`, for a base from 1 to 2^64 and an exponent from -10 to 0; right to twelve digits.
pub(super) fn power(base: f64, exponent: f64) -> f64 {
    exponential(exponent * logarithm(base))
}

/// The natural logarithm of a number from 1 on.
fn logarithm(number: f64) -> f64 {
    let (mut rest, mut halvings) = (number, 0.0);
    while rest >= 2.0 {
        rest /= 2.0;
        halvings += 1.0;
    }
    // ln x = 2 (s + s^3 / 3 + s^5 / 5 + ...) with s = (x - 1) / (x + 1), here at most a third.
    let s = (rest - 1.0) / (rest + 1.0);
    let (mut sum, mut odd, mut factor) = (0.0, 1.0, s);
    while factor > f64::EPSILON / 16.0 {
        sum += factor / odd;
        odd += 2.0;
        factor *= s * s;
    }
    halvings * std::f64::consts::LN_2 + 2.0 * sum
}

/// e to the power of a number from -450 to 0.
fn exponential(number: f64) -> f64 {
    let halvings = (-number / std::f64::consts::LN_2).floor();
    let rest = number + halvings * std::f64::consts::LN_2;
    let (mut scale, mut halved) = (1.0, 0.0);
    while halved < halvings {
        scale /= 2.0;
        halved += 1.0;
    }
    let (mut sum, mut term, mut count) = (1.0, 1.0, 1.0);
    while count < 20.0 {
        term *= rest / count;
        sum += term;
        count += 1.0;
    }
    scale * sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_agrees_with_the_systems_own_to_twelve_digits(base in 0.0f64..64.0, exponent in -10.0f64..0.0) {
            let base = base.exp2();
            let ratio = power(base, exponent) / base.powf(exponent);
            prop_assert!((ratio - 1.0).abs() < 1e-12, "{ratio}");
        }
    }

    #[test]
    fn the_corners_are_exact() {
        assert_eq!(
            (power(1.0, -10.0).to_bits(), power(7.0, 0.0).to_bits()),
            (1f64.to_bits(), 1f64.to_bits())
        );
        assert!((power(2.0, -1.0) - 0.5).abs() < 1e-15);
    }
}
