//! Figures for people: a number with few digits and the unit that suits it.
//! Called by everything in `bench` that shows something. What programs read
//! (JSON, CSV) has plain numbers and names in ASCII instead.

/// Three digits, or all of them before the point.
fn digits(value: f64) -> String {
    match value.abs() {
        ..9.995 => format!("{value:.2}"),
        ..99.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// The unit that suits a time in nanoseconds, and how many of those it has.
fn unit(ns: f64) -> (&'static str, f64) {
    match ns.abs() {
        ..999.5 => ("ns", 1.0),
        ..999.5e3 => ("µs", 1e3),
        ..999.5e6 => ("ms", 1e6),
        _ => ("s", 1e9),
    }
}

/// A time, given in nanoseconds: `62.1 ns`, `1.24 µs`.
pub fn time(ns: f64) -> String {
    let (name, size) = unit(ns);
    format!("{} {name}", digits(ns / size))
}

/// A round time: `50 ns`, `1 µs`.
pub(crate) fn round(ns: f64) -> String {
    let (name, size) = unit(ns);
    format!("{} {name}", ns / size)
}

/// The ends of a time's interval, in the unit that [`time`] gives the time
/// itself: `61.9–62.4`.
pub(crate) fn interval(ns: f64, low: f64, high: f64) -> String {
    let (_, size) = unit(ns);
    format!("{}–{}", digits(low / size), digits(high / size))
}

/// So many times another figure: `0.20`, `1045`.
pub(crate) fn times(ratio: f64) -> String {
    digits(ratio)
}

/// A count: whole if it is one.
pub fn count(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

/// A count or nothing.
pub(crate) fn optional_count(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), count)
}

/// A change in percent, with its sign.
pub(crate) fn change(before: f64, after: f64) -> String {
    match (before == after, before == 0.0) {
        (true, _) => "0 %".to_owned(),
        (_, true) => "from 0".to_owned(),
        _ => format!("{:+.1} %", (after / before - 1.0) * 100.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_three_digits_and_the_unit_that_suits_it() {
        for (ns, text) in [
            (0.0, "0.00 ns"),
            (-1.5, "-1.50 ns"),
            (9.999, "10.0 ns"),
            (62.14, "62.1 ns"),
            (999.4, "999 ns"),
            (999.6, "1.00 µs"),
            (26_340.0, "26.3 µs"),
            (1.5e6, "1.50 ms"),
            (12.5e9, "12.5 s"),
        ] {
            assert_eq!(time(ns), text);
        }
    }

    #[test]
    fn an_interval_is_in_the_unit_of_its_time() {
        assert_eq!(interval(62.1, 61.94, 62.4), "61.9–62.4");
        assert_eq!(interval(1_001.0, 990.0, 1_100.0), "0.99–1.10");
        assert_eq!(interval(0.0, -10.0, 0.0), "-10.0–0.00");
    }

    #[test]
    fn a_change_has_its_sign_and_no_division_by_zero() {
        assert_eq!(change(100.0, 105.0), "+5.0 %");
        assert_eq!(change(100.0, 50.0), "-50.0 %");
        assert_eq!(change(0.0, 0.0), "0 %");
        assert_eq!(change(0.0, 3.0), "from 0");
    }
}
