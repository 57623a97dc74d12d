//! Plots of a record as SVG, for [`super::html`]: what plotters draws, in
//! colours that stand for names. The page's style sheet gives each its real
//! colour, light or dark; the list is in `vmm/templates/bench.html`.

use super::record::{Step, Timed};
use super::units;
use plotters::coord::combinators::IntoLogRange;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Axes and words: `--ink`.
const INK: RGBColor = RGBColor(0, 0, 1);
/// Lines behind everything: `--line`.
const LINE: RGBColor = RGBColor(0, 0, 2);
/// The first of the colours of series and pieces: `--c0`, `--c1`, …
const FIRST: u8 = 16;
/// How many of them there are.
pub(super) const COLOURS: usize = 8;

/// The colour of a series or a piece.
fn colour(index: usize) -> RGBColor {
    RGBColor(0, 0, FIRST + (index % COLOURS) as u8)
}

/// Bins of a decade.
const BINS: f64 = 40.0;
const WIDTH: u32 = 640;

/// An error of plotters' as text. It draws into memory, so none is expected.
type Drawn = Result<String, String>;

/// Where the samples of each series lie: times on a logarithmic scale, and on
/// another one the share of samples in each bin, so that a few outliers show
/// too. Times are raw: bracket included.
pub(super) fn distribution(series: &[(usize, &Timed)]) -> Drawn {
    let binned: Vec<_> = series.iter().map(|(index, timed)| (*index, bins(timed))).collect();
    let all = || binned.iter().flat_map(|(_, bins)| bins);
    let low = all().map(|bin| bin.0).fold(f64::INFINITY, f64::min) / 1.1;
    let high = all().map(|bin| bin.1).fold(0.0, f64::max) * 1.1;
    let least = all().map(|bin| bin.2).fold(1.0, f64::min);
    if !(low > 0.0 && high > low) {
        return Ok(String::new());
    }
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (WIDTH, 220)).into_drawing_area();
        let failed = |error: DrawingAreaErrorKind<_>| error.to_string();
        let mut chart = ChartBuilder::on(&root)
            .margin(8)
            .margin_right(36)
            .x_label_area_size(30)
            .y_label_area_size(66)
            .build_cartesian_2d(
                (low..high).log_scale().with_key_points(labels(low, high)),
                (least / 2.0..1.0f64).log_scale(),
            )
            .map_err(failed)?;
        let words = ("sans-serif", 15).into_font().color(&INK);
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(LINE)
            .axis_style(LINE)
            .label_style(words)
            .x_labels(6)
            .y_labels(5)
            .x_label_formatter(&|ns| units::time(*ns))
            .y_label_formatter(&|share| percent(*share))
            .draw()
            .map_err(failed)?;
        for (index, bins) in &binned {
            let bars = bins.iter().map(|&(from, to, share)| {
                Rectangle::new([(from, least / 2.0), (to, share)], colour(*index).filled())
            });
            chart.draw_series(bars).map_err(failed)?;
        }
        root.present().map_err(failed)?;
    }
    Ok(svg)
}

/// Where the axis of times has its labels: at each 1, 2 and 5, or where that
/// would be too many, at each power of ten.
fn labels(low: f64, high: f64) -> Vec<f64> {
    let steps: &[f64] = if high / low < 300.0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
    let decades = low.log10().floor() as i32..=high.log10().ceil() as i32;
    let all = decades.flat_map(|decade| steps.iter().map(move |step| step * 10f64.powi(decade)));
    all.filter(|label| (low..=high).contains(label)).collect()
}

/// A share: `0.01 %`.
fn percent(share: f64) -> String {
    format!("{} %", share * 100.0)
}

/// Bins of equal width on a logarithmic scale: from, to, and the share of
/// samples. In nanoseconds.
fn bins(timed: &Timed) -> Vec<(f64, f64, f64)> {
    let ns_of_tick = timed.ns.raw.max / timed.ticks.raw.max;
    let mut bins: Vec<(i64, u64)> = Vec::new();
    for &(ticks, count) in &timed.histogram {
        let ns = ticks.max(1) as f64 * ns_of_tick;
        let bin = (ns.log10() * BINS).floor() as i64;
        match bins.last_mut() {
            Some((last, sum)) if *last == bin => *sum += count,
            _ => bins.push((bin, count)),
        }
    }
    let edge = |bin: i64| 10f64.powf(bin as f64 / BINS);
    let share = |count: u64| count as f64 / timed.samples.max(1) as f64;
    bins.into_iter().map(|(bin, count)| (edge(bin), edge(bin + 1), share(count))).collect()
}

/// Pieces of a time as one bar; `longest` is what the whole width stands for,
/// in nanoseconds.
pub(super) fn steps(steps: &[Step], longest: f64) -> Drawn {
    /// Below this share of the width a piece has no room for its time.
    const ROOM: f64 = 0.1;
    if longest.is_nan() || longest <= 0.0 {
        return Ok(String::new());
    }
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (WIDTH, 34)).into_drawing_area();
        let failed = |error: DrawingAreaErrorKind<_>| error.to_string();
        let x = |ns: f64| (ns / longest * f64::from(WIDTH)) as i32;
        let mut from = 0.0;
        for (index, step) in steps.iter().enumerate() {
            let to = from + step.ns.max(0.0);
            let (left, right) = (x(from), x(to));
            let bar = Rectangle::new([(left, 3), (right, 31)], colour(index).filled());
            root.draw(&bar).map_err(failed)?;
            if (to - from) / longest >= ROOM {
                let middle = ("sans-serif", 13)
                    .into_font()
                    .color(&WHITE)
                    .pos(Pos::new(HPos::Center, VPos::Center));
                let text = Text::new(units::time(step.ns), ((left + right) / 2, 17), middle);
                root.draw(&text).map_err(failed)?;
            }
            from = to;
        }
        root.present().map_err(failed)?;
    }
    Ok(svg)
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn bins_hold_every_sample_once_and_do_not_overlap() {
        let timed = sample::times(150);
        let bins = bins(&timed);
        let sum: f64 = bins.iter().map(|bin| bin.2).sum();
        assert!((sum - 1.0).abs() < 1e-9, "{sum}");
        assert!(bins.windows(2).all(|pair| pair[0].1 <= pair[1].0 * 1.000_001));
        let median = timed.ns.raw.median;
        let largest = bins.iter().max_by(|a, b| a.2.total_cmp(&b.2)).expect("bins");
        assert!(largest.0 < median && median < largest.1 * 1.1, "{largest:?}, {median}");
    }

    #[test]
    fn a_plot_has_a_bar_for_each_bin_in_the_series_colour() {
        let timed = sample::times(150);
        let svg = distribution(&[(1, &timed)]).expect("drawn");
        assert_eq!(svg.matches("fill=\"#000011\"").count(), bins(&timed).len());
    }

    #[test]
    fn labels_are_round_and_neither_too_many_nor_none() {
        assert_eq!(labels(45.0, 1100.0), [50.0, 100.0, 200.0, 500.0, 1000.0]);
        assert_eq!(labels(9.0, 2e4), [10.0, 100.0, 1000.0, 10_000.0]);
    }

    #[test]
    fn what_has_no_extent_is_no_plot() {
        assert_eq!(distribution(&[]), Ok(String::new()));
        assert_eq!(steps(&[], 0.0), Ok(String::new()));
    }
}
