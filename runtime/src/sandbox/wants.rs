//! What a guest wants, as its `init` tells it, checked against what there is.

use weir_bus::{Kind, TopicPattern};

use super::bindings::lifecycle;
use super::host::Asked;

/// Counters of a guest. Named attack: a guest that tells a million.
const COUNTERS_MAX: usize = 64;
/// Rules of a trigger.
const RULES_MAX: usize = 4_096;
/// Patterns of a guest; as many as a subscription may have.
const PATTERNS_MAX: usize = 256;
/// Bytes of a name: of a rule, a counter, a target.
const NAME_BYTES_MAX: usize = 255;
/// Priorities of rules, most urgent first.
const PRIORITIES: [&str; 4] = ["critical", "high", "normal", "low"];

/// A trigger's rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The rule's name.
    pub name: String,
    /// `critical`, `high`, `normal` or `low`.
    pub priority: String,
    /// The source that shall answer; empty: the stages.
    pub target: String,
}

/// What a guest wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// Kinds of events.
    pub kinds: Vec<Kind>,
    /// Topics; empty: all topics of its kinds.
    pub patterns: Vec<TopicPattern>,
    /// Counters, by place.
    pub counters: Vec<String>,
    /// A trigger's rules, by place.
    pub rules: Vec<Rule>,
    pub(super) asked: Asked,
}

impl Wants {
    /// Whether it wants events of that kind.
    #[must_use]
    pub fn wants(&self, kind: Kind) -> bool {
        self.kinds.contains(&kind)
    }

    /// The names of the columns that it reads of a kind.
    #[must_use]
    pub fn columns(&self, kind: Kind) -> Vec<&'static str> {
        let fields = kind.fields().iter().enumerate();
        fields
            .filter(|(index, _)| self.asked.has(kind, *index))
            .map(|(_, field)| field.name)
            .collect()
    }
}

fn name(what: &str, text: String) -> Result<String, String> {
    if text.len() > NAME_BYTES_MAX {
        return Err(format!(
            "a {what} of {} bytes, and a name may have {NAME_BYTES_MAX}",
            text.len()
        ));
    }
    Ok(text)
}

fn count(what: &str, number: usize, most: usize) -> Result<(), String> {
    if number > most {
        return Err(format!("{number} {what}, and there may be {most}"));
    }
    Ok(())
}

/// Checks what `init` answered; the error says what is wrong and what would be right.
pub(super) fn check(wants: lifecycle::Wants) -> Result<Wants, String> {
    let mut checked = Wants::default();
    count("interests", wants.interests.len(), Kind::ALL.len())?;
    for interest in wants.interests {
        let kind: Kind = interest.kind.parse().map_err(|error| format!("{error}"))?;
        checked.kinds.push(kind);
        for column in interest.columns {
            let place = kind.field_index(&column).ok_or_else(|| {
                let names: Vec<&str> = kind.fields().iter().map(|field| field.name).collect();
                format!(
                    "no column `{column}` in {kind} events; there are {}",
                    names.join(", ")
                )
            })?;
            checked.asked.ask(kind, place);
        }
    }
    if checked.kinds.is_empty() {
        return Err("wants no kind of events; `init` must name at least one".to_owned());
    }
    count("patterns", wants.patterns.len(), PATTERNS_MAX)?;
    for pattern in wants.patterns {
        let pattern = TopicPattern::parse(&pattern).map_err(|error| error.to_string())?;
        checked.patterns.push(pattern);
    }
    count("counters", wants.counters.len(), COUNTERS_MAX)?;
    for counter in wants.counters {
        checked.counters.push(name("counter's name", counter)?);
    }
    count("rules", wants.rules.len(), RULES_MAX)?;
    for rule in wants.rules {
        if !PRIORITIES.contains(&rule.priority.as_str()) {
            return Err(format!(
                "rule `{}` has the priority `{}`; priorities are {}",
                rule.name,
                rule.priority,
                PRIORITIES.join(", ")
            ));
        }
        if checked.rules.iter().any(|known| known.name == rule.name) {
            return Err(format!(
                "two rules are called `{}`; each has a name of its own",
                rule.name
            ));
        }
        checked.rules.push(Rule {
            name: name("rule's name", rule.name)?,
            priority: rule.priority,
            target: name("target", rule.target)?,
        });
    }
    Ok(checked)
}
