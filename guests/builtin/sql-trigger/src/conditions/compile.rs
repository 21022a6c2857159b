//! One condition of the settings, checked key by key.

use weir_guest::Priority;

use super::{Condition, OfKind, Threshold};
use crate::check::{self, Shared};
use crate::errors::{Checked, Problem, quoted, suggestion};
use crate::kinds::{Column, Kind};
use crate::message::Message;
use crate::parse;
use crate::settings::{RawCondition, RawThreshold};
use crate::threshold::{Limit, print_of};

/// Bytes of a name, and of a target: what the host takes.
const NAME_BYTES_MAX: usize = 200;
/// Rows that a threshold may count.
const COUNT_MAX: u64 = 10_000;
/// The longest window: a week.
const WINDOW_MS_MAX: u64 = 7 * 86_400_000;
/// Columns that a threshold may group by.
const BY_MAX: usize = 16;

const PRIORITIES: [Priority; 4] = [
    Priority::Critical,
    Priority::High,
    Priority::Normal,
    Priority::Low,
];

/// The key that doesn't do, and why.
pub(super) type Refused = (&'static str, String);

/// Compiles a condition into the plan of its kind.
pub(super) fn compile(
    raw: &RawCondition,
    is_again: bool,
    kinds: &mut [OfKind],
    shared: &mut Shared,
) -> Result<Condition, Refused> {
    let named = |key, source: &str| {
        let source = source.to_owned();
        move |problem: Problem| (key, problem.render(&source))
    };
    name_fits(&raw.name, is_again).map_err(named("name", ""))?;
    let kind = Kind::named(&raw.kind).map_err(named("kind", ""))?;
    let priority = priority(raw.priority.as_deref()).map_err(named("priority", ""))?;
    if raw.target.len() > NAME_BYTES_MAX {
        return Err((
            "target",
            format!(
                "it has {} bytes, and a target may have {NAME_BYTES_MAX}",
                raw.target.len()
            ),
        ));
    }
    let message = raw
        .message
        .as_deref()
        .map(|message| Message::parse(message, kind).map_err(named("message", message)));
    let message = message.transpose()?;
    let threshold = raw
        .threshold
        .as_ref()
        .map(|raw_threshold| threshold(raw, raw_threshold, kind));
    let threshold = threshold.transpose()?;
    let (rule, of_kind) = {
        let rule = kinds.iter().map(|of_kind| of_kind.rules.len()).sum();
        let of_kind = kinds
            .iter_mut()
            .find(|of_kind| of_kind.kind.name == kind.name);
        (rule, of_kind.ok_or(("kind", "no such kind".to_owned()))?)
    };
    let checked = parse::parse(&raw.condition)
        .and_then(|expr| check::check(&expr, kind, &mut of_kind.plan, shared))
        .map_err(named("condition", &raw.condition))?;
    of_kind.rules.push(rule);
    Ok(Condition {
        name: raw.name.clone(),
        priority,
        target: raw.target.clone(),
        checked,
        threshold,
        message,
    })
}

fn name_fits(name: &str, is_again: bool) -> Checked<()> {
    if name.trim().is_empty() {
        return Err(Problem::whole("it is empty; a trigger has a name"));
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(Problem::whole(format!(
            "it has {} bytes, and a name may have {NAME_BYTES_MAX}",
            name.len()
        )));
    }
    if is_again {
        return Err(Problem::whole(
            "another trigger is called that already; each has a name of its own",
        ));
    }
    Ok(())
}

fn priority(name: Option<&str>) -> Checked<Priority> {
    let Some(name) = name else {
        return Ok(Priority::Normal);
    };
    PRIORITIES
        .into_iter()
        .find(|priority| priority.as_str() == name)
        .ok_or_else(|| {
            let meant = suggestion(name, PRIORITIES.iter().map(|priority| priority.as_str()));
            Problem::whole(format!("no priority `{}`{meant}", quoted(name)))
        })
}

fn threshold(
    raw: &RawCondition,
    threshold: &RawThreshold,
    kind: &Kind,
) -> Result<Threshold, Refused> {
    if !(1..=COUNT_MAX).contains(&threshold.count) {
        return Err((
            "threshold.count",
            format!("{} is not within 1 to {COUNT_MAX}", threshold.count),
        ));
    }
    if !(1..=WINDOW_MS_MAX).contains(&threshold.window_ms) {
        return Err((
            "threshold.window_ms",
            format!("{} is not within 1 to {WINDOW_MS_MAX}", threshold.window_ms),
        ));
    }
    if threshold.by.len() > BY_MAX {
        return Err((
            "threshold.by",
            format!("{} columns, and there may be {BY_MAX}", threshold.by.len()),
        ));
    }
    let by = threshold.by.iter().map(|name| {
        kind.column(name).ok_or_else(|| {
            let problem = Problem::whole(kind.no_column(&quoted(name)));
            ("threshold.by", problem.render(""))
        })
    });
    let by: Vec<Column> = by.collect::<Result<_, _>>()?;
    let numbers = format!("{} {} {by:?}", threshold.count, threshold.window_ms);
    let parts = [&raw.name, &raw.kind, &raw.condition, &numbers].map(|part| part.as_bytes());
    Ok(Threshold {
        limit: Limit {
            print: print_of(&parts),
            count: usize::try_from(threshold.count).unwrap_or(usize::MAX),
            window_ns: i64::try_from(threshold.window_ms.saturating_mul(1_000_000))
                .unwrap_or(i64::MAX),
        },
        by,
    })
}
