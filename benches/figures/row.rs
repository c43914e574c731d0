//! What a figure comes to.

use crate::numbers::median;
use crate::plot::Plot;
use crate::timeline::Timeline;

/// Everything that some figures have found.
#[derive(Default)]
pub struct Found {
    pub rows: Vec<Row>,
    pub plots: Vec<Plot>,
    /// Sentences that go below the table.
    pub notes: Vec<String>,
    pub timeline: Option<Timeline>,
}

impl Found {
    pub fn rows(rows: Vec<Row>) -> Self {
        Self { rows, ..Self::default() }
    }

    pub fn note(text: impl Into<String>) -> Self {
        Self { notes: vec![text.into()], ..Self::default() }
    }

    pub fn add(&mut self, other: Self) {
        self.rows.extend(other.rows);
        self.plots.extend(other.plots);
        self.notes.extend(other.notes);
        self.timeline = other.timeline.or(self.timeline.take());
    }
}

/// One line of the table.
#[derive(Debug, Clone)]
pub struct Row {
    /// A few words: a column of the table.
    pub what: String,
    pub figure: Quantity,
    pub reference: Option<(String, Quantity)>,
    /// Figure by reference.
    pub ratio: Option<Spread>,
    pub bar: Option<Bar>,
    pub rounds: usize,
    /// The name of its figure, by which it is measured alone.
    pub name: &'static str,
    /// How exactly it was measured, for the page.
    pub how: String,
    /// Whether the README has it too.
    pub is_headline: bool,
}

impl Row {
    /// A figure that is judged by its ratio to a reference, each pair measured in one round.
    pub fn against(what: &str, unit: Unit, reference: &str, pairs: &[(f64, f64)]) -> Self {
        let ratios: Vec<f64> = pairs.iter().map(|(figure, reference)| figure / reference).collect();
        let middle = |of: fn(&(f64, f64)) -> f64| Quantity { value: median(pairs.iter().map(of).collect()), unit };
        Self {
            what: what.into(),
            figure: middle(|pair| pair.0),
            reference: Some((reference.into(), middle(|pair| pair.1))),
            ratio: Some(Spread::of(&ratios)),
            bar: None,
            rounds: pairs.len(),
            name: "",
            how: String::new(),
            is_headline: false,
        }
    }

    /// A figure that has no reference.
    pub fn alone(what: &str, value: f64, unit: Unit) -> Self {
        let figure = Quantity { value, unit };
        let what = what.into();
        Self {
            what,
            figure,
            reference: None,
            ratio: None,
            bar: None,
            rounds: 1,
            name: "",
            how: String::new(),
            is_headline: false,
        }
    }

    pub fn bar(self, bar: Bar) -> Self {
        Self { bar: Some(bar), ..self }
    }

    pub fn headline(self) -> Self {
        Self { is_headline: true, ..self }
    }

    pub fn rounds(self, rounds: usize) -> Self {
        Self { rounds, ..self }
    }

    pub fn how(self, how: impl Into<String>) -> Self {
        Self { how: how.into(), ..self }
    }

    /// Whether the bar is reached; `None`: there is none.
    pub fn is_reached(&self) -> Option<bool> {
        let value = self.ratio.map_or(self.figure.value, |ratio| ratio.median);
        Some(match self.bar? {
            Bar::AtLeast(bar) => value >= bar,
            Bar::AtMost(bar) => value <= bar,
        })
    }
}

/// What is asked of the ratio, or of the figure where there is no ratio.
#[derive(Debug, Clone, Copy)]
pub enum Bar {
    AtLeast(f64),
    AtMost(f64),
}

/// The median of several rounds, the least and the greatest.
#[derive(Debug, Clone, Copy)]
pub struct Spread {
    pub median: f64,
    pub least: f64,
    pub greatest: f64,
}

impl Spread {
    pub fn of(values: &[f64]) -> Self {
        let fold = |f: fn(f64, f64) -> f64| values.iter().copied().reduce(f).expect("a value");
        Self { median: median(values.to_vec()), least: fold(f64::min), greatest: fold(f64::max) }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    PerSecond,
    Milliseconds,
    Microseconds,
    Megabytes,
    Mebibytes,
    Kilobytes,
    PerMinute,
}

impl Unit {
    fn text(self) -> &'static str {
        match self {
            Self::PerSecond => "/s",
            Self::Milliseconds => "ms",
            Self::Microseconds => "µs",
            Self::Megabytes => "MB",
            Self::Mebibytes => "MiB",
            Self::Kilobytes => "kB",
            Self::PerMinute => "/min",
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Quantity {
    pub value: f64,
    pub unit: Unit,
}

impl std::fmt::Display for Quantity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&format!("{} {}", digits(self.value), self.unit.text()))
    }
}

/// Three digits, or all of a whole number: `0.0712`, `3.14`, `41.2`, `1,402`.
pub fn digits(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        v if v < 0.1 => format!("{value:.3}"),
        v if v < 10.0 => format!("{value:.2}"),
        v if v < 100.0 => format!("{value:.1}"),
        _ => thousands(value.round() as i64),
    }
}

/// The same for a ratio, with two digits after the point where it is small.
pub fn ratio(value: f64) -> String {
    if value < 0.1 { format!("{value:.2}") } else { digits(value) }
}

/// A whole number with commas.
pub fn thousands(n: i64) -> String {
    let plain = n.unsigned_abs().to_string();
    let mut text = if n < 0 { "-".to_owned() } else { String::new() };
    for (at, digit) in plain.chars().enumerate() {
        if at > 0 && (plain.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
