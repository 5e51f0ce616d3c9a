//! Line charts as SVG text, drawn with integers: no script, colours from the page's style.

use std::fmt::Write;

const WIDTH: u64 = 720;
const HEIGHT: u64 = 250;
const LEFT: u64 = 76;
const RIGHT: u64 = 30;
const TOP: u64 = 12;
const BOTTOM: u64 = 30;
/// Lines of the grid at most, beside zero.
const TICKS_MAX: u64 = 5;
/// Logarithms of 1 to 10, thousandths.
const LOGARITHMS: [u64; 10] = [0, 301, 477, 602, 699, 778, 845, 903, 954, 1_000];

/// One line.
#[derive(Clone, Debug)]
pub(super) struct Series {
    /// What the legend says.
    pub(super) name: String,
    /// Its colour, by number.
    pub(super) colour: usize,
    /// Drawn with gaps.
    pub(super) dashed: bool,
    /// Places on both axes, in their units.
    pub(super) points: Vec<(u64, u64)>,
}

/// How values stand on the vertical axis.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Scale {
    /// From zero, evenly.
    Even,
    /// Each power of ten is as high as the other.
    Logarithmic,
}

/// A chart.
#[derive(Clone, Debug)]
pub(super) struct Chart<'c> {
    /// What it shows, for whoever cannot see it.
    pub(super) title: &'c str,
    /// The lines.
    pub(super) series: Vec<Series>,
    /// Places of the horizontal axis with their labels.
    pub(super) marks: Vec<(u64, String)>,
    /// Where the horizontal axis ends.
    pub(super) x_max: u64,
    /// The vertical axis.
    pub(super) scale: Scale,
    /// How a value of the vertical axis is written.
    pub(super) label: fn(u64) -> String,
    /// Areas that stand on each other, instead of lines.
    pub(super) stacked: bool,
}

/// The vertical axis: its ends, in the scale's own measure.
#[derive(Clone, Copy, Debug)]
struct Axis {
    scale: Scale,
    low: u64,
    high: u64,
}

impl Axis {
    fn of(scale: Scale, values: impl Iterator<Item = u64> + Clone) -> Self {
        let high = values.clone().max().unwrap_or(1).max(1);
        match scale {
            Scale::Even => Self { scale, low: 0, high: high + high / 20 + 1 },
            Scale::Logarithmic => {
                let low = values.filter(|value| *value > 0).min().unwrap_or(1);
                let (low, high) = (log10(low) / 1_000 * 1_000, log10(high).div_ceil(1_000) * 1_000);
                Self { scale, low, high: high.max(low + 1_000) }
            }
        }
    }

    /// Where a value stands, tenths of a unit from the top.
    fn place(self, value: u64) -> u64 {
        let measure = match self.scale {
            Scale::Even => value,
            Scale::Logarithmic => log10(value.max(1)),
        };
        let measure = measure.clamp(self.low, self.high);
        let height = (HEIGHT - TOP - BOTTOM) * 10;
        let from_low = u128::from(measure - self.low) * u128::from(height) / u128::from(self.high - self.low);
        (HEIGHT - BOTTOM) * 10 - u64::try_from(from_low).unwrap_or(height)
    }

    /// Values that get a line of the grid.
    fn ticks(self) -> Vec<u64> {
        match self.scale {
            Scale::Logarithmic => {
                (self.low / 1_000..=self.high / 1_000).filter_map(|n| 10_u64.checked_pow(n as u32)).collect()
            }
            Scale::Even => {
                let step = nice(self.high / TICKS_MAX);
                (0..=self.high / step).map(|n| n * step).collect()
            }
        }
    }
}

/// The next of 1, 2, 5, 10, 20, 50 and so on that is not smaller.
pub(super) fn nice(value: u64) -> u64 {
    let power = 10_u64.pow(value.max(1).ilog10());
    let fit = [1, 2, 5].into_iter().map(|factor| factor * power).find(|step| *step >= value);
    fit.unwrap_or(power.saturating_mul(10)).max(1)
}

/// The common logarithm, thousandths.
fn log10(value: u64) -> u64 {
    let value = value.max(1);
    let whole = u64::from(value.ilog10());
    let mantissa = u64::try_from(u128::from(value) * 1_000 / 10_u128.pow(whole as u32)).unwrap_or(1_000);
    let place = (mantissa / 1_000).clamp(1, 9) as usize;
    let (below, above) = (LOGARITHMS[place - 1], LOGARITHMS[place]);
    whole * 1_000 + below + (above - below) * (mantissa % 1_000) / 1_000
}

/// Where the part `digit` / 10^`power` above a percentile stands on an axis of nines, thousandths: 90 % at 1,000,
/// 99 % at 2,000.
pub(super) const fn nines(digit: u64, power: u64) -> u64 {
    power * 1_000 - LOGARITHMS[digit as usize - 1]
}

fn tenths(value: u64) -> String {
    format!("{}.{}", value / 10, value % 10)
}

impl Chart<'_> {
    fn x(&self, value: u64) -> u64 {
        let width = u128::from((WIDTH - LEFT - RIGHT) * 10);
        let from_left = u128::from(value.min(self.x_max)) * width / u128::from(self.x_max.max(1));
        LEFT * 10 + u64::try_from(from_left).unwrap_or(0)
    }

    /// The chart with its legend.
    pub(super) fn draw(&self) -> String {
        let stacks = if self.stacked { stack(&self.series) } else { Vec::new() };
        let values = self.series.iter().flat_map(|series| series.points.iter().map(|(_, value)| *value));
        let highest = stacks.iter().flat_map(|stack| stack.iter().map(|(_, _, high)| *high));
        let values: Vec<u64> = values.chain(highest).collect();
        let axis = Axis::of(self.scale, values.iter().copied());
        let mut svg = format!(
            "<figure><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
            escape(self.title)
        );
        self.draw_grid(axis, &mut svg);
        if self.stacked {
            for (series, stack) in self.series.iter().zip(&stacks) {
                let up = stack.iter().map(|(x, _, high)| (*x, *high));
                let down = stack.iter().rev().map(|(x, low, _)| (*x, *low));
                let points = self.path(axis, up.chain(down));
                let _infallible = write!(svg, "<polygon class=\"f{}\" points=\"{points}\"/>", series.colour);
            }
        } else {
            for series in self.series.iter().filter(|series| !series.points.is_empty()) {
                let points = self.path(axis, series.points.iter().copied());
                let dashed = if series.dashed { " dashed" } else { "" };
                let _infallible =
                    write!(svg, "<polyline class=\"s{}{dashed}\" points=\"{points}\"/>", series.colour);
            }
        }
        svg += "</svg><figcaption>";
        for series in &self.series {
            let dashed = if series.dashed { " dashed" } else { "" };
            let _infallible = write!(
                svg,
                "<span><svg viewBox=\"0 0 22 10\" class=\"key\"><polyline class=\"s{}{dashed}\" \
                 points=\"0,5 22,5\"/></svg>{}</span>",
                series.colour,
                escape(&series.name)
            );
        }
        svg + "</figcaption></figure>"
    }

    fn path(&self, axis: Axis, points: impl Iterator<Item = (u64, u64)>) -> String {
        let place = |(x, y)| format!("{},{}", tenths(self.x(x)), tenths(axis.place(y)));
        points.map(place).collect::<Vec<String>>().join(" ")
    }

    fn draw_grid(&self, axis: Axis, svg: &mut String) {
        let (left, right, bottom) = (LEFT, WIDTH - RIGHT, HEIGHT - BOTTOM);
        for tick in axis.ticks() {
            let y = axis.place(tick);
            let _infallible = write!(
                svg,
                "<line class=\"grid\" x1=\"{left}\" x2=\"{right}\" y1=\"{0}\" y2=\"{0}\"/>\
                 <text x=\"{1}\" y=\"{2}\" text-anchor=\"end\">{3}</text>",
                tenths(y),
                left - 8,
                tenths(y + 40),
                escape(&(self.label)(tick))
            );
        }
        for (place, label) in &self.marks {
            let x = tenths(self.x(*place));
            let _infallible = write!(
                svg,
                "<line class=\"grid\" x1=\"{x}\" x2=\"{x}\" y1=\"{TOP}\" y2=\"{bottom}\"/>\
                 <text x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                bottom + 18,
                escape(label)
            );
        }
    }
}

/// Each series on top of those before it: place, lower and upper value. All have the same places.
fn stack(series: &[Series]) -> Vec<Vec<(u64, u64, u64)>> {
    let mut floor: Vec<u64> = vec![0; series.first().map_or(0, |first| first.points.len())];
    let mut stacks = Vec::with_capacity(series.len());
    for one in series {
        let mut stack = Vec::with_capacity(floor.len());
        for (low, (x, value)) in floor.iter_mut().zip(&one.points) {
            stack.push((*x, *low, *low + value));
            *low += value;
        }
        stacks.push(stack);
    }
    stacks
}

/// Text that may stand in HTML.
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe += "&amp;",
            '<' => safe += "&lt;",
            '>' => safe += "&gt;",
            '"' => safe += "&quot;",
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_are_right_to_a_pixel() {
        for (value, logarithm) in [(0, 0), (1, 0), (2, 301), (10, 1_000), (550, 2_738), (1_000_000, 6_000)] {
            assert!(log10(value).abs_diff(logarithm) <= 5, "{value}: {}", log10(value));
        }
        for (value, next) in [(0, 1), (1, 1), (3, 5), (5, 5), (6, 10), (101, 200), (999, 1_000)] {
            assert_eq!(nice(value), next);
        }
        assert_eq!((nines(1, 1), nines(1, 3), nines(5, 1)), (1_000, 3_000, 301));
        let even = Axis::of(Scale::Even, [0, 90].into_iter());
        assert_eq!((even.place(0), even.ticks()), ((HEIGHT - BOTTOM) * 10, vec![0, 20, 40, 60, 80]));
        let log = Axis::of(Scale::Logarithmic, [20, 4_000].into_iter());
        assert_eq!(log.ticks(), [10, 100, 1_000, 10_000]);
        assert_eq!(log.place(10_000), TOP * 10);
    }

    #[test]
    fn a_chart_holds_its_lines_and_nothing_from_outside() {
        let series = |name: &str, points: &[(u64, u64)]| Series {
            name: name.to_owned(),
            colour: 1,
            dashed: true,
            points: points.to_vec(),
        };
        for (stacked, shape) in [(false, "<polyline"), (true, "<polygon")] {
            let chart = Chart {
                title: "a < b",
                series: vec![series("one & two", &[(0, 1), (5, 9)]), series("three", &[(0, 4), (5, 2)])],
                marks: vec![(5, "5 s".to_owned())],
                x_max: 5,
                scale: Scale::Even,
                label: |value| value.to_string(),
                stacked,
            };
            let text = chart.draw();
            assert_eq!(text.matches(shape).count(), 2 + if stacked { 0 } else { 2 }, "{text}");
            assert!(text.contains("one &amp; two") && text.contains("a &lt; b") && !text.contains("http"));
        }
        let stacks = stack(&[series("a", &[(0, 1), (1, 2)]), series("b", &[(0, 3), (1, 4)])]);
        assert_eq!(stacks, [vec![(0, 0, 1), (1, 0, 2)], vec![(0, 1, 4), (1, 2, 6)]]);
    }
}
