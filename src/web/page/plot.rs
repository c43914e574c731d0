//! Small plots as SVG, without a style of their own: what is drawn has a class. Pure.

use std::fmt::Write;

use maud::{Markup, PreEscaped, html};

/// Size of a plot, in its own units.
const WIDTH: usize = 600;
const HEIGHT: f64 = 80.0;

/// A bar: its height, the part of it that is bad, and its words.
pub struct Bar {
    pub value: i64,
    pub bad: i64,
    pub words: String,
}

/// Draws bars, the latest at the right. `label` says what is seen, for those who do not see it.
pub fn bars(label: &str, bars: &[Bar], most_text: &str) -> Markup {
    let most = bars.iter().map(|bar| bar.value.max(bar.bad)).max().unwrap_or(0).max(1);
    let step = WIDTH as f64 / bars.len().max(1) as f64;
    let mut shapes = String::new();
    for (at, bar) in bars.iter().enumerate() {
        let x = at as f64 * step;
        let height = |value: i64| if value <= 0 { 0.0 } else { (value as f64 / most as f64 * HEIGHT).max(1.0) };
        let mut rect = |value: i64, class: &str| {
            let h = height(value);
            if h > 0.0 {
                _ = write!(
                    shapes,
                    "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{h:.1}\"/>",
                    HEIGHT - h,
                    step - 1.0
                );
            }
        };
        rect(bar.value, "bar");
        rect(bar.bad, "bar bad");
        let words = html! { (bar.words) }.into_string();
        _ = write!(
            shapes,
            "<rect class=\"hit\" x=\"{x:.1}\" y=\"0\" width=\"{step:.1}\" height=\"{HEIGHT}\"><title>{words}</title></rect>"
        );
    }
    html! {
        figure.plot {
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) preserveAspectRatio="none" role="img" aria-label=(label) { (PreEscaped(shapes)) }
            figcaption { span { "60 min ago" } span.most { "most: " (most_text) } span { "now" } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_has_its_bars_within_it() {
        let of = |value: i64, bad: i64| Bar { value, bad, words: "<3".into() };
        let svg = bars("jobs", &[of(0, 0), of(10, 5), of(i64::MAX, 0)], "9").into_string();
        assert!(svg.contains("&lt;3") && !svg.contains("<3"));
        assert_eq!(svg.matches("class=\"bar\"").count(), 2);
        assert!(svg.contains("height=\"80.0\"") && !svg.contains("NaN") && !svg.contains("inf"));
        assert!(bars("none", &[], "0").into_string().contains("<svg"));
    }
}
