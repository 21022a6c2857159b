//! A collector's config, said key by key, and validated by the one validator that config files have.

use std::time::Duration;

use super::CollectorConfig;
use crate::config::{self, ConfigErrors, LoadRequest};

/// Collects settings; [`CollectorConfigBuilder::build`] checks them all.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct CollectorConfigBuilder {
    keys: Vec<(String, String)>,
}

impl CollectorConfigBuilder {
    fn set(mut self, key: &str, value: String) -> Self {
        self.keys.push((format!("collector.{key}"), value));
        self
    }

    fn set_duration(self, key: &str, value: Duration) -> Self {
        self.set(key, humantime::format_duration(value).to_string())
    }

    /// What this daemon is called.
    pub fn component_name(self, name: &str) -> Self {
        self.set("component_name", name.to_owned())
    }

    /// Sources that there may be.
    pub fn sources_max(self, sources: usize) -> Self {
        self.set("sources_max", sources.to_string())
    }

    /// Rows that may wait between a source and the filters.
    pub fn event_buffer_size(self, rows: usize) -> Self {
        self.set("event_buffer_size", rows.to_string())
    }

    /// Rows at which a batch closes.
    pub fn batch_rows_max(self, rows: usize) -> Self {
        self.set("batch_rows_max", rows.to_string())
    }

    /// Age at which a batch closes.
    pub fn batch_timeout(self, age: Duration) -> Self {
        self.set_duration("batch_timeout", age)
    }

    /// The share of the buffer above which sources are slowed.
    pub fn backpressure_threshold(self, share: f64) -> Self {
        self.set("backpressure_threshold", share.to_string())
    }

    /// How long a periodic source waits for room.
    pub fn backpressure_wait_max(self, wait: Duration) -> Self {
        self.set_duration("backpressure_wait_max", wait)
    }

    /// After this time a source that hasn't started has failed.
    pub fn startup_timeout(self, timeout: Duration) -> Self {
        self.set_duration("startup_timeout", timeout)
    }

    /// How long draining may take.
    pub fn shutdown_timeout(self, timeout: Duration) -> Self {
        self.set_duration("shutdown_timeout", timeout)
    }

    /// How often health is asked for.
    pub fn health_interval(self, interval: Duration) -> Self {
        self.set_duration("health_interval", interval)
    }

    /// Whether health and statistics go on the bus.
    pub fn telemetry(self, on: bool) -> Self {
        self.set("telemetry", on.to_string())
    }

    /// Checks everything.
    ///
    /// # Errors
    /// All values that are out of their range, each with the range.
    pub fn build(self) -> Result<CollectorConfig, ConfigErrors> {
        let request = LoadRequest {
            flags: self.keys,
            ..LoadRequest::default()
        };
        Ok(config::load(&request)?.config.collector.into())
    }
}
