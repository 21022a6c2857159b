//! Answers what is asked over the socket, where everything is at hand.

use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use weir_bus::SourceCounts;
use weir_bus::pubsub::BusStatistics;
use weir_bus::socket::{BrokerStatus, Responder as _};
use weir_sources::{
    ScheduleStatus, SourceHealth, SourceState, SourceStatus, TableStatus, TierReport, Unavailable,
};

use super::health::HealthWatch;
use super::reload::{Reloader, no_slot};
use crate::broker::{Asked, Capabilities, Control, ControlDesk, SOCKET_SOURCE};
use crate::config::Config;
use crate::pipeline::Pipeline;
use crate::sink::Console;
use crate::slot::{Back, SlotHandle, SlotStatistics};
use crate::trigger::Decision;

/// What the daemon does after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// It goes on.
    GoOn,
    /// It drains and ends.
    End,
}

/// What the answers are made from.
pub(super) struct Desk<'a> {
    pub(super) pipeline: &'a Pipeline,
    pub(super) console: &'a Console,
    pub(super) started: Instant,
}

#[derive(Serialize)]
struct Status<'a> {
    component: &'a str,
    version: &'static str,
    pid: u32,
    seconds: f64,
    /// Why the config as it is now was not taken.
    config_refused: Option<String>,
    sources: Vec<SourceLine>,
    /// Sources that this host can't offer.
    unavailable: &'a [Unavailable],
    slots: Vec<SlotLine>,
    bus: BusStatistics,
    broker: Option<BrokerStatus>,
}

/// What a request about a slot says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfSlot {
    slot: String,
}

/// What a request for another guest says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Swap {
    slot: String,
    module: String,
}

#[derive(Serialize)]
struct Swapped {
    message: String,
}

/// What a request's body says; `form` is how it should look.
fn parsed<'a, T: Deserialize<'a>>(body: &'a [u8], form: &str) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| format!("{error}; write {form}"))
}

/// Which event is asked about.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfEvent {
    source: String,
    sequence: u64,
}

/// Which request is meant.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfRequest {
    request: String,
}

#[derive(Serialize)]
struct Decided {
    decisions: Vec<Decision>,
}

#[derive(Serialize)]
struct Cancelled {
    cancelled: String,
}

#[derive(Serialize)]
struct Released {
    released: String,
}

#[derive(Serialize)]
struct SourceLine {
    name: String,
    health: String,
    in_flight: u64,
    #[serde(flatten)]
    counts: SourceCounts,
    /// Command lines in which it has replaced secrets; none of what comes over the socket.
    redacted: Option<u64>,
    /// What the supervisor knows of it; none of what comes over the socket.
    state: Option<SourceState>,
    /// When it looks; none of a source that doesn't look at intervals.
    schedule: Option<ScheduleStatus>,
    /// What is kept of its last look; the same.
    table: Option<TableStatus>,
    /// How it reaches into the host, and why not otherwise.
    tiers: Vec<TierReport>,
}

/// A slot with what its thread doesn't know of its guest.
#[derive(Serialize)]
struct SlotLine {
    #[serde(flatten)]
    statistics: SlotStatistics,
    signed_by: Option<String>,
}

fn slot_lines(slots: Vec<SlotStatistics>, reloader: &Reloader) -> Vec<SlotLine> {
    let line = |statistics: SlotStatistics| SlotLine {
        signed_by: reloader.signer(&statistics.slot),
        statistics,
    };
    slots.into_iter().map(line).collect()
}

impl SourceLine {
    fn new(name: String, health: &SourceHealth, counts: SourceCounts) -> Self {
        Self {
            name,
            health: health.to_string(),
            in_flight: counts.in_flight(),
            counts,
            redacted: None,
            state: None,
            schedule: None,
            table: None,
            tiers: Vec::new(),
        }
    }

    fn of(status: SourceStatus, tables: &[TableStatus]) -> Self {
        let table = tables.iter().find(|table| table.source == status.name);
        Self {
            redacted: Some(status.redacted),
            state: Some(status.state),
            schedule: status.schedule,
            table: table.cloned(),
            tiers: status.tiers,
            ..Self::new(status.name, &status.health, status.counts)
        }
    }
}

impl Desk<'_> {
    /// Answers a request.
    pub(super) async fn answer(
        &self,
        asked: Asked,
        config: &Config,
        health: &HealthWatch,
        reloader: &mut Reloader,
    ) -> Next {
        match asked.control {
            Control::Capabilities => {
                let topics = ControlDesk::new().0.capabilities();
                asked.answer(&Capabilities::of(topics));
            }
            Control::Status => asked.answer(&self.status(config, reloader)),
            Control::Health => asked.answer(&health.known()),
            Control::Guests => {
                let slots = slot_lines(self.pipeline.status().slots, reloader);
                asked.answer(&serde_json::json!({ "guests": slots }));
            }
            Control::Triggers => asked.answer(&self.pipeline.triggers().status()),
            Control::Chains => asked.answer(&self.pipeline.chains().status()),
            Control::Decisions => {
                let decisions = self.decisions(&asked.body);
                asked.answer_or_refuse(decisions.as_ref().map_err(Clone::clone));
            }
            Control::Cancel => {
                let cancelled = self.cancel(&asked.body);
                asked.answer_or_refuse(cancelled.as_ref().map_err(Clone::clone));
            }
            Control::Reload => {
                let (taken, message) = reloader.reload(self.pipeline, self.console).await;
                asked.answer(&serde_json::json!({ "taken": taken, "message": message }));
            }
            Control::Release => {
                let released = self.release(&asked.body);
                asked.answer_or_refuse(released.as_ref().map_err(Clone::clone));
            }
            Control::Swap => {
                let swapped = self.swap(&asked.body, reloader).await;
                asked.answer_or_refuse(swapped.as_ref().map_err(Clone::clone));
            }
            Control::Rollback => {
                let back = self.roll_back(&asked.body).await;
                asked.answer_or_refuse(back.as_ref().map_err(Clone::clone));
            }
            Control::Drain => {
                asked.answer(&serde_json::json!({ "draining": true }));
                return Next::End;
            }
        }
        Next::GoOn
    }

    /// Ends the quarantine of the slot that the request names.
    fn release(&self, body: &[u8]) -> Result<Released, String> {
        let asked: OfSlot = parsed(body, r#"{"slot":"NAME"}"#)?;
        let slot = self.slot(&asked.slot)?;
        if slot.release() {
            return Ok(Released {
                released: asked.slot,
            });
        }
        let state = slot.statistics().state;
        Err(format!(
            "slot `{}` is not in quarantine: it is {state}",
            asked.slot
        ))
    }

    /// What was decided lately about the event that the request names.
    fn decisions(&self, body: &[u8]) -> Result<Decided, String> {
        let asked: OfEvent = parsed(body, r#"{"source":"NAME","sequence":1}"#)?;
        let triggers = self.pipeline.triggers();
        Ok(Decided {
            decisions: triggers.decisions(&asked.source, asked.sequence),
        })
    }

    /// Cancels a request, whether it waits or is worked on.
    fn cancel(&self, body: &[u8]) -> Result<Cancelled, String> {
        let asked: OfRequest = parsed(body, r#"{"request":"ID"}"#)?;
        let waiting = self
            .pipeline
            .triggers()
            .cancel_waiting(Some(&asked.request));
        if waiting == 0 {
            let cancelled = self
                .pipeline
                .chains()
                .cancel(&asked.request, "an operator cancelled it");
            cancelled.map_err(|error| error.to_string())?;
        }
        Ok(Cancelled {
            cancelled: asked.request,
        })
    }

    fn slot(&self, name: &str) -> Result<&Arc<dyn SlotHandle>, String> {
        let slots = self.pipeline.slots();
        slots.get(name).ok_or_else(|| no_slot(slots, name))
    }

    /// Has the module that the request names take over in a slot.
    async fn swap(&self, body: &[u8], reloader: &Reloader) -> Result<Swapped, String> {
        let asked: Swap = parsed(body, r#"{"slot":"NAME","module":"PATH"}"#)?;
        let slots = self.pipeline.slots();
        let line = reloader.swap(slots, &asked.slot, &asked.module).await?;
        tracing::info!("{line}");
        Ok(Swapped { message: line })
    }

    /// Has the guest before come back in the slot that the request names.
    async fn roll_back(&self, body: &[u8]) -> Result<Swapped, String> {
        let asked: OfSlot = parsed(body, r#"{"slot":"NAME"}"#)?;
        let slot = self.slot(&asked.slot)?;
        slot.roll_back(Back::tried("the operator wants it"))
            .in_force()
            .await?;
        let now = slot.statistics();
        Ok(Swapped {
            message: format!(
                "slots.{} runs {} ({}), generation {}",
                asked.slot, now.module, now.digest, now.generation
            ),
        })
    }

    fn status<'a>(&'a self, config: &'a Config, reloader: &Reloader) -> Status<'a> {
        let status = self.pipeline.status();
        let tables = self.pipeline.tables();
        let mut sources: Vec<SourceLine> = status
            .sources
            .into_iter()
            .map(|source| SourceLine::of(source, &tables))
            .collect();
        if let Some(counts) = self.pipeline.socket_counts() {
            let name = SOCKET_SOURCE.to_owned();
            sources.push(SourceLine::new(name, &SourceHealth::Healthy, counts));
        }
        Status {
            component: &config.collector.component_name,
            version: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
            seconds: self.started.elapsed().as_secs_f64(),
            config_refused: reloader.refused().map(str::to_owned),
            sources,
            unavailable: self.pipeline.unavailable(),
            slots: slot_lines(status.slots, reloader),
            bus: status.bus,
            broker: self.pipeline.broker_status(),
        }
    }
}
