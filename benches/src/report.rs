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
    /// Why it has no figure: this host doesn't allow what would be measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
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
            refused: None,
            target: None,
        }
    }

    /// A case that this host doesn't allow, and why: a line without a figure.
    pub(crate) fn refused(
        case: impl Into<String>,
        unit: &'static str,
        better: Better,
        why: String,
    ) -> Self {
        let mut case = Self::alone(case, unit, better, &[]);
        case.refused = Some(why);
        case
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
        // Nothing beside nothing has none.
        case.ratio = Some(case.ours / value).filter(|ratio| ratio.is_finite());
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
                let ours = Some(case.ours).filter(|_| case.refused.is_none());
                let refused = case.refused.as_ref();
                writeln!(
                    out,
                    "  {:<31} {:>14} {:<9}  {:<16} {:>14} {:>8}  {}{}{}",
                    case.case,
                    or_dash(ours),
                    case.unit,
                    case.peer.unwrap_or("-"),
                    or_dash(case.peer_value),
                    or_dash(case.ratio),
                    match case.better {
                        Better::Higher => "higher",
                        Better::Lower => "lower",
                    },
                    case.target
                        .map_or(String::new(), |target| format!("; target {target}")),
                    refused.map_or(String::new(), |why| format!("; not measured: {why}"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_a_figure_or_says_why_it_has_none() {
        let check = |case: &Case, expected: &str| {
            assert_eq!(serde_json::to_string(case).expect("a line"), expected);
        };
        check(
            &Case::beside("a/b", "ns", Better::Lower, &[2.0], ("other", &[8.0])),
            r#"{"case":"a/b","ours":2.0,"unit":"ns","peer":"other","peer_value":8.0,"ratio":0.25,"better":"lower"}"#,
        );
        check(
            &Case::refused("a/c", "ns", Better::Lower, "needs more".to_owned()),
            r#"{"case":"a/c","ours":null,"unit":"ns","peer":null,"peer_value":null,"ratio":null,"better":"lower","refused":"needs more"}"#,
        );
    }
}
