//! The socket, and the way in from there: closed until everything behind it is at work.

use std::sync::Arc;
use std::time::{Duration, Instant};

use weir_bus::OpenError;
use weir_bus::SourceCounts;
use weir_bus::batch::BatcherLimits;
use weir_bus::pubsub::LocalBus;
use weir_bus::socket::{BoundBroker, Broker, BrokerStatus, BrokerView, Ingress, Responder};

use crate::broker::{LaneIngress, SOCKET_SOURCE};
use crate::collector::CollectorReport;
use crate::slot::Slot;
use crate::slot::filter::FilterDuty;

/// How long clients may take to read what is queued for them when the daemon ends: one that doesn't
/// read must not hold up the end of the others.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);

/// The socket, and what comes in there.
pub(super) struct Door {
    ingress: Arc<LaneIngress>,
    view: BrokerView,
    bound: Option<(BoundBroker, Arc<LocalBus>)>,
    broker: Option<Broker>,
}

impl Door {
    /// A door that is closed: those that connect wait.
    pub(super) fn new(
        (bound, local): (BoundBroker, Arc<LocalBus>),
        filters: Vec<Slot<FilterDuty>>,
        limits: BatcherLimits,
    ) -> Self {
        Self {
            ingress: Arc::new(LaneIngress::new(Arc::clone(&local), filters, limits)),
            view: bound.view(),
            bound: Some((bound, local)),
            broker: None,
        }
    }

    /// Lets clients in.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub(super) fn open(&mut self, responder: Arc<dyn Responder>) -> Result<(), OpenError> {
        if let Some((bound, bus)) = self.bound.take() {
            let ingress = Arc::clone(&self.ingress) as Arc<dyn Ingress>;
            self.broker = Some(bound.serve(bus, ingress, responder)?);
        }
        Ok(())
    }

    /// The connections.
    pub(super) fn status(&self) -> BrokerStatus {
        self.view.status()
    }

    /// What became of all that clients published.
    pub(super) fn counts(&self) -> SourceCounts {
        self.ingress.counts()
    }

    /// Takes nothing more, and waits until what came is through the filters.
    pub(super) async fn drain(&self, deadline: Instant) {
        self.ingress.drain(deadline).await;
    }

    /// Hands out to clients what is queued for them, and adds what they published to the report.
    pub(super) async fn close(self, deadline: Instant, report: &mut CollectorReport) {
        if let Some(broker) = self.broker {
            let deadline = deadline.min(Instant::now() + GOODBYE_TIMEOUT);
            drop(tokio::task::spawn_blocking(move || broker.close(deadline)).await);
        }
        let counts = self.ingress.counts();
        if counts.produced > 0 {
            report.sources.push((SOCKET_SOURCE.to_owned(), counts));
        }
    }
}
