//! `weir bus`: the broker alone, without sources, guests or sinks.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use async_trait::async_trait;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use weir_bus::Topic;
use weir_bus::pubsub::{EventBus as _, LocalBus};
use weir_bus::socket::{BoundBroker, BrokerView, Direct, Peer, Refusal, Responder};

use super::{Failure, Global, logs};
use crate::broker::{Capabilities, bounds, broker_options};

#[derive(Args)]
pub(super) struct BusArguments {
    /// The socket to serve, in place of `bus.socket`.
    #[arg(long, value_name = "PATH")]
    socket: Option<std::path::PathBuf>,
    /// The group that may connect, in place of `bus.group`.
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// How often it asks quiet connections whether they are alive, in place of `bus.heartbeat`.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    heartbeat: Option<Duration>,
    /// Runs for so long, then ends: `10s`, `5m`.
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
    run_for: Option<Duration>,
}

impl BusArguments {
    /// The flags, as keys of the config: they are checked as those are.
    fn flags(&self) -> Vec<(String, String)> {
        let socket = self
            .socket
            .iter()
            .map(|path| ("bus.socket", path.display().to_string()));
        let group = self.group.iter().map(|group| ("bus.group", group.clone()));
        let heartbeat = self.heartbeat.iter();
        let heartbeat = heartbeat.map(|heartbeat| {
            (
                "bus.heartbeat",
                humantime::format_duration(*heartbeat).to_string(),
            )
        });
        socket
            .chain(group)
            .chain(heartbeat)
            .map(|(key, value)| (key.to_owned(), value))
            .collect()
    }
}

pub(super) fn bus(global: &Global, arguments: &BusArguments) -> Result<ExitCode, Failure> {
    let loaded = global.load_with(arguments.flags())?;
    logs::start(&loaded.config.log)?;
    let settings = &loaded.config;
    let options = broker_options(&settings.bus, &settings.collector.component_name)
        .map_err(|error| Failure::Usage(error.to_string()))?;
    let bound = BoundBroker::bind(options).map_err(anyhow::Error::from)?;
    let bus = Arc::new(LocalBus::with_options(bounds(&settings.bus)));
    let responder = Arc::new(Desk {
        view: bound.view(),
        bus: Arc::clone(&bus),
        component: settings.collector.component_name.clone(),
        started: Instant::now(),
    });
    let ingress = Arc::new(Direct::new(Arc::clone(&bus)));
    let socket = bound.view().status().socket;
    let broker = bound
        .serve(Arc::clone(&bus), ingress, responder)
        .map_err(anyhow::Error::from)?;
    eprintln!("weir bus serves {}", socket.display());
    wait(arguments.run_for)?;
    bus.close();
    let deadline = Instant::now() + settings.collector.shutdown_timeout.min(GOODBYE_TIMEOUT);
    broker.close(deadline);
    let statistics = bus.statistics();
    eprintln!(
        "{} published, {} delivered, {} dropped",
        statistics.published,
        statistics.total.delivered,
        statistics.total.dropped.total()
    );
    Ok(ExitCode::SUCCESS)
}

/// How long clients may take to read what is queued for them at the end.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);

/// Waits for a signal, or the end of the time.
fn wait(run_for: Option<Duration>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the async runtime")?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt()).context("signals")?;
        let mut terminate = signal(SignalKind::terminate()).context("signals")?;
        let end = async {
            match run_for {
                Some(run_for) => tokio::time::sleep(run_for).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            () = end => {}
        }
        Ok(())
    })
}

/// Answers what a broker alone can answer.
struct Desk {
    view: BrokerView,
    bus: Arc<LocalBus>,
    component: String,
    started: Instant,
}

const CAPABILITIES: &str = "control.capabilities";
const STATUS: &str = "control.status";

#[async_trait]
impl Responder for Desk {
    fn capabilities(&self) -> Vec<String> {
        vec![CAPABILITIES.to_owned(), STATUS.to_owned()]
    }

    async fn respond(&self, topic: &Topic, _body: &[u8], _peer: &Peer) -> Result<Vec<u8>, Refusal> {
        let body = match topic.as_str() {
            CAPABILITIES => serde_json::to_vec(&Capabilities::of(self.capabilities())),
            STATUS => serde_json::to_vec(&serde_json::json!({
                "component": self.component,
                "version": env!("CARGO_PKG_VERSION"),
                "pid": std::process::id(),
                "seconds": self.started.elapsed().as_secs_f64(),
                "sources": [],
                "slots": [],
                "bus": self.bus.statistics(),
                "broker": self.view.status(),
            })),
            other => return Err(Refusal::unknown(other, &self.capabilities())),
        };
        body.map_err(|error| Refusal::failed(error.to_string()))
    }
}
