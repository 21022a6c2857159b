//! Flags of the verbs that subscribe: which rows, and how their queue behaves.

use std::time::Duration;

use clap::{Args, ValueEnum};
use weir_bus::pubsub::{
    CorrelationFilter, EventFilter, Priority, QueueLimits, QueuePolicy, SubscriptionOptions,
};
use weir_bus::{Kind, TopicPattern};

use super::Failure;
use super::client;
use super::comparison::comparison;

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
    /// Only rows for which this holds: `cpu_usage > 50`, `name = 'sh'`; with =, !=, <, <=, >, >=. One comparison.
    #[arg(long = "where", value_name = "COMPARISON")]
    comparison: Option<String>,
    /// Only trigger requests at least so urgent: low, normal, high, critical.
    #[arg(long, value_name = "PRIORITY")]
    priority: Option<Priority>,
    /// Only rows with this correlation id.
    #[arg(long, value_name = "ID")]
    correlation: Option<String>,
    /// Only rows whose correlation id is like this: `*` is any text, `?` any one character.
    #[arg(long, value_name = "GLOB")]
    correlation_glob: Option<String>,
    /// Only rows of the cascade that began with this request.
    #[arg(long, value_name = "ID")]
    root: Option<String>,
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
        if let Some(priority) = self.priority {
            filter = filter.priority_min(priority);
        }
        if let Some(text) = &self.comparison {
            filter = filter.compare(comparison(text, &self.kind).map_err(Failure::Usage)?);
        }
        let mut correlation = CorrelationFilter::new();
        if let Some(id) = &self.correlation {
            correlation = correlation.id(id);
        }
        if let Some(glob) = &self.correlation_glob {
            correlation = correlation.glob(glob);
        }
        if let Some(root) = &self.root {
            correlation = correlation.root(root);
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
