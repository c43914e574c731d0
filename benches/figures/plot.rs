//! Plots as SVG, with a background of their own, so that they can be read on a light and on a dark
//! page.

use std::fmt::Write;

use crate::row::thousands;

/// A plot of some series over one axis each.
pub struct Plot {
    /// Its name in `docs/performance`, without `.svg`.
    pub file: &'static str,
    pub title: String,
    /// How its points were measured, as a sentence.
    pub how: String,
    pub x: Axis,
    pub y: Axis,
    pub series: Vec<Series>,
}

pub struct Axis {
    pub label: String,
    /// Logarithmic; otherwise linear from 0 on.
    pub log: bool,
}

pub struct Series {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

/// Of the whole picture and of the field of the plot in it, in pixels.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 88.0;
const RIGHT: f64 = 44.0;
const TOP: f64 = 76.0;
const BOTTOM: f64 = 56.0;
/// Most ticks that are the values of the points themselves.
const TICKS_AT_POINTS_MAX: usize = 8;
const COLOURS: [&str; 3] = ["#1f6fb2", "#c2571a", "#2f7d3b"];
const INK: &str = "#24292f";
const GREY: &str = "#57606a";
const GRID: &str = "#d8dee4";

impl Plot {
    pub fn svg(&self) -> String {
        let xs: Vec<f64> = self.points().map(|(x, _)| x).collect();
        let ys: Vec<f64> = self.points().map(|(_, y)| y).collect();
        let (x, y) = (Scale::new(&xs, &self.x, true), Scale::new(&ys, &self.y, false));
        let across = |value| LEFT + x.share(value) * (WIDTH - LEFT - RIGHT);
        let up = |value| HEIGHT - BOTTOM - y.share(value) * (HEIGHT - TOP - BOTTOM);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             font-family=\"system-ui, Helvetica, Arial, sans-serif\" font-size=\"13\" fill=\"{INK}\">\n\
             <title>{0}</title>\n\
             <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"8\" fill=\"#ffffff\" stroke=\"{GRID}\"/>\n\
             <text x=\"{LEFT}\" y=\"28\" font-size=\"15\" font-weight=\"600\">{0}</text>\n",
            escaped(&self.title)
        );
        for tick in &y.ticks {
            let at = up(*tick);
            line(&mut svg, (LEFT, at), (WIDTH - RIGHT, at), GRID);
            text(&mut svg, (LEFT - 8.0, at + 4.5), "end", GREY, &number(*tick));
        }
        for tick in &x.ticks {
            let at = across(*tick);
            line(&mut svg, (at, HEIGHT - BOTTOM), (at, HEIGHT - BOTTOM + 5.0), INK);
            text(&mut svg, (at, HEIGHT - BOTTOM + 20.0), "middle", GREY, &number(*tick));
        }
        line(&mut svg, (LEFT, HEIGHT - BOTTOM), (WIDTH - RIGHT, HEIGHT - BOTTOM), INK);
        text(&mut svg, (f64::midpoint(LEFT, WIDTH - RIGHT), HEIGHT - 14.0), "middle", INK, &self.x.label);
        let middle = f64::midpoint(TOP, HEIGHT - BOTTOM);
        let _ = writeln!(
            svg,
            "<text transform=\"translate(20 {middle}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            escaped(&self.y.label)
        );
        let mut at = LEFT;
        for (series, colour) in self.series.iter().zip(COLOURS.iter().cycle()) {
            let points: Vec<String> = series.points.iter().map(|(x, y)| format!("{:.1},{:.1}", across(*x), up(*y))).collect();
            let points_text = points.join(" ");
            let _ = writeln!(svg, "<polyline points=\"{points_text}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>");
            for point in &points {
                let (x, y) = point.split_once(',').expect("two numbers");
                let _ = writeln!(svg, "<circle cx=\"{x}\" cy=\"{y}\" r=\"3.5\" fill=\"{colour}\"/>");
            }
            // The legend, from left to right below the title.
            let _ = writeln!(svg, "<rect x=\"{at}\" y=\"45\" width=\"16\" height=\"4\" rx=\"2\" fill=\"{colour}\"/>");
            text(&mut svg, (at + 22.0, 51.5), "start", INK, &series.name);
            at += 22.0 + 7.2 * series.name.chars().count() as f64 + 24.0;
        }
        svg + "</svg>\n"
    }

    fn points(&self) -> impl Iterator<Item = (f64, f64)> {
        self.series.iter().flat_map(|series| series.points.iter().copied())
    }
}

/// From values to shares of the length of an axis.
struct Scale {
    log: bool,
    from: f64,
    to: f64,
    ticks: Vec<f64>,
}

impl Scale {
    fn new(values: &[f64], axis: &Axis, at_points: bool) -> Self {
        let fold = |f: fn(f64, f64) -> f64| values.iter().copied().reduce(f).unwrap_or(1.0);
        let (least, most) = (fold(f64::min), fold(f64::max));
        if !axis.log {
            let step = step(most.max(f64::MIN_POSITIVE));
            let to = if at_points { most } else { (most * 1.05 / step).ceil() * step };
            let count = (to / step).floor() as usize;
            return Self { log: false, from: 0.0, to, ticks: (0..=count).map(|n| n as f64 * step).collect() };
        }
        let mut own = values.to_vec();
        own.sort_by(f64::total_cmp);
        own.dedup();
        if at_points && own.len() <= TICKS_AT_POINTS_MAX {
            return Self { log: true, from: least, to: most, ticks: own };
        }
        // The 1, 2 and 5 of each power of 10 around the values.
        let all: Vec<f64> = (-3..=12).flat_map(|power| [1.0, 2.0, 5.0].map(|n| n * 10_f64.powi(power))).collect();
        let from = all.iter().copied().filter(|tick| *tick <= least).fold(all[0], f64::max);
        let to = all.iter().copied().filter(|tick| *tick >= most).fold(all[all.len() - 1], f64::min);
        Self { log: true, from, to, ticks: all.into_iter().filter(|tick| (from..=to).contains(tick)).collect() }
    }

    fn share(&self, value: f64) -> f64 {
        match self.log {
            true if self.to > self.from => (value / self.from).ln() / (self.to / self.from).ln(),
            true => 0.5,
            false => (value - self.from) / (self.to - self.from),
        }
    }
}

/// A step of 1, 2 or 5 by a power of 10, of which some five make the whole.
fn step(whole: f64) -> f64 {
    let rough = whole / 5.0;
    let power = 10_f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|n| n * power).find(|step| *step >= rough * 0.999).unwrap_or(10.0 * power)
}

fn number(value: f64) -> String {
    if value >= 10.0 || value.fract() == 0.0 { thousands(value.round() as i64) } else { value.to_string() }
}

fn line(svg: &mut String, from: (f64, f64), to: (f64, f64), colour: &str) {
    let _ = writeln!(
        svg,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{colour}\"/>",
        from.0, from.1, to.0, to.1
    );
}

fn text(svg: &mut String, at: (f64, f64), anchor: &str, colour: &str, text: &str) {
    let text = escaped(text);
    let _ = writeln!(svg, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\" fill=\"{colour}\">{text}</text>", at.0, at.1);
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
