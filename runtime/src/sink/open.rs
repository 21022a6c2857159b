//! From the config's sinks to sinks at work.

use std::path::Path;
use std::sync::Arc;

use weir_bus::pubsub::{EventBus, QueueLimits, SubscribeError, Subscriber, SubscriptionOptions};

use super::{
    Console, JsonSink, Output, RecordingSink, Rotation, RunningSink, SinkError, TerminalSink,
};
use crate::config::{BusSettings, Config, SinkSettings};

/// Why a sink can't be opened.
#[derive(Debug, thiserror::Error)]
#[error("sinks.{sink}: {reason}")]
pub struct OpenError {
    /// The sink's name.
    pub sink: String,
    /// Why.
    pub reason: OpenReason,
}

/// What keeps a sink from opening.
#[derive(Debug, thiserror::Error)]
pub enum OpenReason {
    /// Its file.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// Its subscription.
    #[error(transparent)]
    Subscribe(Box<SubscribeError>),
    /// Its thread.
    #[error("no thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// Opens every sink of the config, each with a subscription of its own.
pub(crate) fn open_all(
    config: &Config,
    bus: &Arc<dyn EventBus>,
    console: &Arc<Console>,
) -> Result<Vec<RunningSink>, OpenError> {
    let open = |(name, settings): (&String, &SinkSettings)| {
        subscribe(name, settings, &config.bus, bus)
            .and_then(|subscriber| start(name, settings, subscriber, Arc::clone(console)))
            .map_err(|reason| OpenError {
                sink: name.clone(),
                reason,
            })
    };
    config.sinks.iter().map(open).collect()
}

fn subscribe(
    name: &str,
    settings: &SinkSettings,
    limits: &BusSettings,
    bus: &Arc<dyn EventBus>,
) -> Result<Subscriber, OpenReason> {
    let options = SubscriptionOptions::new(format!("sink:{name}"))
        .patterns(settings.patterns().to_vec())
        .limits(QueueLimits {
            items_max: limits.queue_batches_max,
            bytes_max: limits.queue_bytes_max as u64,
        });
    bus.subscribe(options)
        .map_err(|error| OpenReason::Subscribe(Box::new(error)))
}

fn rotation(path: &Path, bytes_max: u64, files_max: usize) -> Rotation {
    Rotation {
        path: path.to_owned(),
        bytes_max,
        files_max,
    }
}

fn start(
    name: &str,
    settings: &SinkSettings,
    subscriber: Subscriber,
    console: Arc<Console>,
) -> Result<RunningSink, OpenReason> {
    let running = match settings {
        SinkSettings::Terminal { .. } if console.output() == Output::Pretty => {
            RunningSink::start(name, subscriber, TerminalSink::new(console))
        }
        SinkSettings::Terminal { .. } | SinkSettings::Json { path: None, .. } => {
            RunningSink::start(name, subscriber, JsonSink::stdout(console))
        }
        SinkSettings::Json {
            path: Some(path),
            rotate_bytes_max,
            rotate_files_max,
            ..
        } => {
            let rotation = rotation(path, *rotate_bytes_max, *rotate_files_max);
            RunningSink::start(name, subscriber, JsonSink::file(rotation)?)
        }
        SinkSettings::Recording {
            path,
            rotate_bytes_max,
            rotate_files_max,
            ..
        } => {
            let rotation = rotation(path, *rotate_bytes_max, *rotate_files_max);
            RunningSink::start(name, subscriber, RecordingSink::new(rotation))
        }
    };
    Ok(running?)
}
