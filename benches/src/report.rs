//! How a case is told: a line of JSON, or a row of a table.

use std::io::Write as _;

use serde::{Serialize, Serializer};

use crate::measure::median;

/// Which way is good.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Better {
    /// The more the better.
    Higher,
    /// The less the better.
    Lower,
}

/// A case's figures; without a peer its name, value and ratio are null.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Case {
    case: String,
    #[serde(serialize_with = "short")]
    ours: f64,
    unit: &'static str,
    peer: Option<&'static str>,
    #[serde(serialize_with = "short_or_null")]
    peer_value: Option<f64>,
    #[serde(serialize_with = "short_or_null")]
    ratio: Option<f64>,
    better: Better,
    /// What it is to reach, for the table.
    #[serde(skip)]
    target: Option<&'static str>,
}

impl Case {
    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.case
    }

    /// The median of what was measured, beside nothing.
    pub(crate) fn alone(
        case: impl Into<String>,
        unit: &'static str,
        better: Better,
        ours: &[f64],
    ) -> Self {
        Self {
            case: case.into(),
            ours: median(ours),
            unit,
            peer: None,
            peer_value: None,
            ratio: None,
            better,
            target: None,
        }
    }

    /// The same, with a target that stands beside it.
    pub(crate) const fn aimed(mut self, target: &'static str) -> Self {
        self.target = Some(target);
        self
    }

    /// The medians of what was measured in turns; the ratio is that of the medians.
    pub(crate) fn beside(
        case: impl Into<String>,
        unit: &'static str,
        better: Better,
        ours: &[f64],
        peer: (&'static str, &[f64]),
    ) -> Self {
        let mut case = Self::alone(case, unit, better, ours);
        let (name, values) = peer;
        let value = median(values);
        case.peer = Some(name);
        case.peer_value = Some(value);
        case.ratio = Some(case.ours / value);
        case
    }
}

/// How cases are shown.
#[derive(Clone, Copy)]
pub(crate) enum Layout {
    Json,
    Table,
}

#[derive(Serialize)]
struct Line<'a> {
    suite: &'a str,
    #[serde(flatten)]
    case: &'a Case,
}

/// Prints a suite's cases to stdout.
pub(crate) fn print(layout: Layout, suite: &str, cases: &[Case]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match layout {
        Layout::Json => {
            for case in cases {
                writeln!(out, "{}", serde_json::to_string(&Line { suite, case })?)?;
            }
        }
        Layout::Table => {
            writeln!(
                out,
                "{suite:<33} {:>14} {:<9}  {:<16} {:>14} {:>8}  better",
                "ours", "unit", "peer", "peer's", "ratio"
            )?;
            for case in cases {
                let or_dash = |value: Option<f64>| value.map_or("-".to_owned(), number);
                writeln!(
                    out,
                    "  {:<31} {:>14} {:<9}  {:<16} {:>14} {:>8}  {}{}",
                    case.case,
                    number(case.ours),
                    case.unit,
                    case.peer.unwrap_or("-"),
                    or_dash(case.peer_value),
                    or_dash(case.ratio),
                    match case.better {
                        Better::Higher => "higher",
                        Better::Lower => "lower",
                    },
                    case.target
                        .map_or(String::new(), |target| format!("; target {target}"))
                )?;
            }
        }
    }
    out.flush()?;
    Ok(())
}

/// Below this a figure is shown with decimals.
const WHOLE_FROM: f64 = 1_000.0;

fn number(value: f64) -> String {
    if value.abs() >= WHOLE_FROM {
        format!("{value:.0}")
    } else {
        format!("{value:.3}")
    }
}

/// No more digits than the measurement has.
fn rounded(value: f64) -> f64 {
    number(value).parse().unwrap_or(value)
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature is serde's"
)]
fn short<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(rounded(*value))
}

fn short_or_null<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    value.map(rounded).serialize(serializer)
}
