//! Flags of the verbs that subscribe: which rows, and how their queue behaves.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, ValueEnum};
use weir_bus::event::FieldType;
use weir_bus::pubsub::{
    Comparison, CorrelationFilter, EventFilter, Literal, Operator, QueueLimits, QueuePolicy,
    SubscriptionOptions,
};
use weir_bus::{Kind, TopicPattern};

use super::Failure;
use super::client;

/// How long a publisher waits for room in this queue with `--policy block`.
const BLOCK_DEADLINE: Duration = Duration::from_secs(1);

/// How often the queue may be full, in a row, with `--policy disconnect`: a hiccup of some batches is none.
const FULL_TIMES: u32 = 16;

/// How long it is cut off then, at first.
const CUT_OFF_PAUSE: Duration = Duration::from_secs(1);

#[derive(Args)]
pub(super) struct SelectionArguments {
    /// Topics: `events.process.>`; `*` is one token, `>` at the end all that follow.
    #[arg(required = true, value_name = "PATTERN", value_parser = client::pattern)]
    patterns: Vec<TopicPattern>,
    /// Only events of this kind; several times for several.
    #[arg(long, value_name = "KIND")]
    kind: Vec<Kind>,
    /// Only what this source published.
    #[arg(long, value_name = "SOURCE")]
    source: Option<String>,
    /// Only events about this process; several times for several.
    #[arg(long, value_name = "PID")]
    pid: Vec<u32>,
    /// Only rows for which this holds: `name=sh`, `memory_bytes>1000000`; with =, !=, <, <=, >, >=.
    #[arg(long = "where", value_name = "COMPARISON")]
    comparison: Option<String>,
    /// Only rows with this correlation id.
    #[arg(long, value_name = "ID")]
    correlation: Option<String>,
    /// Batches that may wait before the policy decides.
    #[arg(long, value_name = "BATCHES", value_parser = clap::value_parser!(u32).range(1..))]
    queue: Option<u32>,
    /// What happens when so many wait.
    #[arg(long, value_enum, default_value_t)]
    policy: PolicyArgument,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum PolicyArgument {
    /// The oldest make room.
    #[default]
    DropOldest,
    /// The newest are dropped.
    DropNewest,
    /// Publishers wait, at most a second.
    Block,
    /// The newest are dropped; after 16 times in a row nothing comes for a second, then for two, and so on.
    Disconnect,
    /// Full or not: only the newest batch of each topic and publisher, and the newest snapshot.
    Latest,
}

impl SelectionArguments {
    /// The kinds that are asked for; empty: all.
    pub(super) fn kinds(&self) -> &[Kind] {
        &self.kind
    }

    /// The subscription.
    ///
    /// # Errors
    /// If `--where` is no comparison.
    pub(super) fn options(&self, name: &str) -> Result<SubscriptionOptions, Failure> {
        let mut filter = EventFilter::new()
            .kinds(self.kind.iter().copied())
            .pids(self.pid.iter().copied());
        if let Some(source) = &self.source {
            filter = filter.source(source);
        }
        if let Some(text) = &self.comparison {
            filter = filter.compare(comparison(text, &self.kind).map_err(Failure::Usage)?);
        }
        let mut correlation = CorrelationFilter::new();
        if let Some(id) = &self.correlation {
            correlation = correlation.id(id);
        }
        let mut limits = QueueLimits::default();
        if let Some(batches) = self.queue {
            limits.items_max = usize::try_from(batches).unwrap_or(usize::MAX);
        }
        Ok(SubscriptionOptions::new(name)
            .patterns(self.patterns.iter().cloned())
            .filter(filter)
            .correlation(correlation)
            .limits(limits)
            .policy(match self.policy {
                PolicyArgument::DropOldest => QueuePolicy::DropOldest,
                PolicyArgument::DropNewest => QueuePolicy::DropNewest,
                PolicyArgument::Block => QueuePolicy::Block {
                    deadline: BLOCK_DEADLINE,
                },
                PolicyArgument::Disconnect => QueuePolicy::Disconnect {
                    times: FULL_TIMES,
                    pause: CUT_OFF_PAUSE,
                },
                PolicyArgument::Latest => QueuePolicy::Latest,
            }))
    }
}

/// `column operator literal`. What is wrong with column and type, the bus says better: then the literal
/// stays a text.
pub(super) fn comparison(text: &str, kinds: &[Kind]) -> Result<Comparison, String> {
    let wrong =
        |what: &str| format!("--where {text}: {what}; write `name=sh`, `pid!=1`, `depth>=2`");
    let at = text
        .find(['=', '!', '<', '>'])
        .ok_or_else(|| wrong("there is no operator: =, !=, <, <=, >, >="))?;
    let (column, rest) = text.split_at(at);
    let column = column.trim();
    let long_first = [
        Operator::NotEqual,
        Operator::LessOrEqual,
        Operator::GreaterOrEqual,
        Operator::Equal,
        Operator::Less,
        Operator::Greater,
    ];
    let found = long_first
        .into_iter()
        .find_map(|operator| Some((operator, rest.strip_prefix(operator.as_str())?)));
    let (operator, literal) = found.ok_or_else(|| wrong("`!` alone is no operator"))?;
    let literal = literal.trim();
    if column.is_empty() {
        return Err(wrong("there is no column"));
    }
    if literal.starts_with(['=', '<', '>']) {
        return Err(wrong("that is no operator: =, !=, <, <=, >, >="));
    }
    Ok(Comparison::new(
        column,
        operator,
        literal_of(literal, &types_of(column, kinds)),
    ))
}

/// The types that a column has, in the kinds that are asked for.
fn types_of(column: &str, kinds: &[Kind]) -> Vec<FieldType> {
    let among = if kinds.is_empty() {
        &Kind::ALL[..]
    } else {
        kinds
    };
    let fields = among.iter().flat_map(|kind| kind.fields());
    let named = fields.filter(|field| field.name == column);
    named.map(|field| field.field_type).collect()
}

/// The literal, by the first type that it can be; in quotes it is a text.
fn literal_of(text: &str, types: &[FieldType]) -> Literal {
    for quote in ['\'', '"'] {
        let inner = text.strip_prefix(quote);
        if let Some(inner) = inner.and_then(|rest| rest.strip_suffix(quote)) {
            return inner.into();
        }
    }
    let typed = types.iter().find_map(|field_type| match field_type {
        FieldType::Bool => text.parse().map(Literal::Bool).ok(),
        FieldType::Utf8 => Some(text.into()),
        FieldType::F64 => integer(text).or_else(|| text.parse().map(Literal::Float).ok()),
        FieldType::TimestampNs => integer(text).or_else(|| moment(text)),
        FieldType::ListUtf8 => None,
        FieldType::U16 | FieldType::U32 | FieldType::U64 | FieldType::I32 => integer(text),
    });
    typed.unwrap_or_else(|| text.into())
}

fn integer(text: &str) -> Option<Literal> {
    text.parse().map(Literal::Integer).ok()
}

fn moment(text: &str) -> Option<Literal> {
    let at: SystemTime = humantime::parse_rfc3339_weak(text).ok()?;
    let ns = at.duration_since(UNIX_EPOCH).ok()?.as_nanos();
    i128::try_from(ns).map(Literal::Integer).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_is_of_its_column_s_type() {
        let check = |text: &str, kinds: &[Kind], operator: Operator, literal: Literal| {
            let found = comparison(text, kinds).expect(text);
            assert_eq!(
                (found.operator, found.literal),
                (operator, literal),
                "{text}"
            );
        };
        let text = |text: &str| Literal::Text(text.to_owned());
        check("pid=7", &[], Operator::Equal, Literal::Integer(7));
        check("pid != 7", &[], Operator::NotEqual, Literal::Integer(7));
        check("name=7", &[], Operator::Equal, text("7"));
        check("name='a b'", &[], Operator::Equal, text("a b"));
        check("name=a=b", &[], Operator::Equal, text("a=b"));
        check("accessible=true", &[], Operator::Equal, Literal::Bool(true));
        check(
            "cpu_usage>=1.5",
            &[],
            Operator::GreaterOrEqual,
            Literal::Float(1.5),
        );
        check(
            "timestamp<1970-01-01T00:00:01Z",
            &[],
            Operator::Less,
            Literal::Integer(1_000_000_000),
        );
        check(
            "value<=5",
            &[Kind::Performance],
            Operator::LessOrEqual,
            Literal::Integer(5),
        );
        check("value>5", &[Kind::Inventory], Operator::Greater, text("5"));
        // The bus names what would be right.
        check("pid=sh", &[], Operator::Equal, text("sh"));
        check("pidd=7", &[], Operator::Equal, text("7"));
    }

    #[test]
    fn what_is_no_comparison_is_told() {
        let check = |text: &str, part: &str| {
            let error = comparison(text, &[]).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        };
        check("pid", "there is no operator");
        check("=7", "there is no column");
        check("pid==7", "that is no operator");
        check("pid!7", "`!` alone");
    }
}
