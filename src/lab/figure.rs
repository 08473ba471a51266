//! Figures for people: as many digits as say something, and never a 0 for what is none.

/// Smaller figures are written with a power of ten.
const MOST_PLACES: i32 = 9;

/// How many values beyond a quantile make it worth a word.
const BEYOND: f64 = 10.0;

/// What `count` values lack for their quantile `quantile` (0 to 1) to say something; none where nothing.
pub fn lacking(count: u64, quantile: f64) -> Option<String> {
    let needed = (BEYOND / (1.0 - quantile)).round();
    ((count as f64) < needed).then(|| format!("{count} visits, {needed:.0} are needed"))
}

/// `value` with so many decimal places; with more where fewer than two digits of it would be left.
pub fn figure(value: f64, places: usize) -> String {
    if value == 0.0 || !value.is_finite() {
        return format!("{:.places$}", value.abs());
    }
    #[expect(clippy::cast_possible_truncation, reason = "a logarithm is at most a few hundred")]
    let needed = 1 - value.abs().log10().floor() as i32;
    if needed > MOST_PLACES {
        return format!("{value:.1e}");
    }
    let places = places.max(usize::try_from(needed).unwrap_or(0));
    format!("{value:.places$}")
}

/// Three digits from 1 on, two below: `0.0039`, `0.50`, `7.25`, `31.4`, `1250`.
pub fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        size if size < 9.995 => figure(value, 2),
        size if size < 99.95 => figure(value, 1),
        _ => format!("{value:.0}"),
    }
}

/// As [`figure`], with its sign whichever it is.
pub fn signed(value: f64, places: usize) -> String {
    let sign = if value < 0.0 { '-' } else { '+' };
    format!("{sign}{}", figure(value.abs(), places))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn figures_have_the_digits_that_say_something() {
        for (value, said) in [
            (0.0, "0"),
            (1.0 / 256.0, "0.0039"),
            (0.5, "0.50"),
            (0.9999, "1.00"),
            (-7.25, "-7.25"),
            (31.44, "31.4"),
            (1250.4, "1250"),
            (3.2e-12, "3.2e-12"),
        ] {
            assert_eq!(short(value), said);
        }
        assert_eq!([figure(-0.0, 1), figure(0.0, 0), figure(f64::NAN, 1)], ["0.0", "0", "NaN"]);
        assert_eq!([signed(-0.004, 1), signed(0.0, 1), signed(12.34, 1)], ["-0.0040", "+0.0", "+12.3"]);
    }

    proptest! {
        #[test]
        fn what_is_not_none_is_never_written_as_none(value in -1e9..1e9_f64, exponent in -30..1, places in 0..4_usize) {
            let value = value * 10f64.powi(exponent);
            prop_assume!(value != 0.0);
            for text in [figure(value, places), short(value), signed(value, places)] {
                let read: f64 = text.parse().unwrap();
                prop_assert!((read - value).abs() <= value.abs() * 0.051, "{} is written {}", value, text);
            }
        }
    }
}
