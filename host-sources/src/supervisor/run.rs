//! One run of a source, on a thread of its own.
//!
//! It knows nothing of restarts, deadlines or health as others see it. The invariant: nothing that
//! the source does in its own functions runs anywhere but on this thread, and a panic ends only it.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::emitter::Emitter;
use crate::schedule::Schedule;
use crate::source::{ContextHandle, EventSource, SourceContext, SourceError, SourceHealth};

/// Requests that may wait for a source's thread: one health check, and the stop.
const REQUESTS_MAX: usize = 2;

/// How a run ended.
#[derive(Debug)]
pub(super) enum Outcome {
    /// By itself, and nothing more is to come.
    Finished,
    /// With an error, for this reason.
    Failed(String),
    /// With an error, for this reason, which starting again wouldn't cure.
    FailedForGood(String),
    /// By a panic, with this message.
    Panicked(String),
}

enum Request {
    Health(oneshot::Sender<SourceHealth>),
    Stop,
}

/// A source that runs. Dropping it tells the source to stop, and doesn't wait.
pub(super) struct Run {
    context: ContextHandle,
    requests: mpsc::Sender<Request>,
    outcome: oneshot::Receiver<Outcome>,
}

impl Run {
    /// Starts a thread that runs the source.
    pub(super) fn start(
        source: Arc<dyn EventSource>,
        emitter: Emitter,
        schedule: Option<Schedule>,
    ) -> Result<Self, std::io::Error> {
        let (context, handle) = SourceContext::new(emitter, schedule);
        let (requests, received) = mpsc::channel(REQUESTS_MAX);
        let (done, outcome) = oneshot::channel();
        std::thread::Builder::new()
            .name(format!("source-{}", source.name()))
            .spawn(move || {
                // Nobody may be left to hear it.
                let _ = done.send(run_contained(source.as_ref(), context, received));
            })?;
        Ok(Self {
            context: handle,
            requests,
            outcome,
        })
    }

    /// Returns when the source has said that it is ready, or has ended before; then as
    /// [`Self::outcome`]. Cancel safe.
    pub(super) async fn ready(&mut self) -> Result<(), Outcome> {
        tokio::select! {
            biased;
            () = self.context.ready() => Ok(()),
            outcome = outcome_of(&mut self.outcome) => Err(outcome),
        }
    }

    /// How the run ended. Cancel safe; must not be asked again after it has answered.
    pub(super) async fn outcome(&mut self) -> Outcome {
        outcome_of(&mut self.outcome).await
    }

    /// Asks the source how it does. A thread that is blocked never answers; an error says that the
    /// question found no room, or the run has ended.
    pub(super) fn ask_health(&self) -> oneshot::Receiver<SourceHealth> {
        let (answer, receiver) = oneshot::channel();
        let _ = self.requests.try_send(Request::Health(answer));
        receiver
    }

    /// Tells the source to stop.
    pub(super) fn stop(&self) {
        self.context.stop();
        // Without room it is blocked; it will see the context's signal.
        let _ = self.requests.try_send(Request::Stop);
    }

    /// Leaves the thread behind: the source is told to stop, and its rows aren't taken any more.
    pub(super) fn abandon(&self) {
        self.stop();
        self.context.abandon();
    }
}

async fn outcome_of(receiver: &mut oneshot::Receiver<Outcome>) -> Outcome {
    let gone = |_| Outcome::Failed("its thread ended without a word".to_owned());
    receiver.await.unwrap_or_else(gone)
}

fn run_contained(
    source: &dyn EventSource,
    context: SourceContext,
    requests: mpsc::Receiver<Request>,
) -> Outcome {
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return Outcome::Failed(format!("its runtime can't be made: {error}")),
    };
    // The source is given up after a panic, with everything that it may have left half done.
    let ended = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(serve(source, context, requests))
    }));
    // What the source has left running doesn't keep its thread.
    runtime.shutdown_background();
    match ended {
        Ok(Ok(())) => Outcome::Finished,
        Ok(Err(error)) if error.is_final() => Outcome::FailedForGood(error.to_string()),
        Ok(Err(error)) => Outcome::Failed(error.to_string()),
        Err(payload) => Outcome::Panicked(message_of(payload.as_ref())),
    }
}

/// Runs the source, and answers in between.
async fn serve(
    source: &dyn EventSource,
    context: SourceContext,
    mut requests: mpsc::Receiver<Request>,
) -> Result<(), SourceError> {
    let mut start = source.start(context);
    let mut health: Option<Answering<'_>> = None;
    let mut stop: Option<Pin<Box<dyn Future<Output = ()> + Send + '_>>> = None;
    loop {
        tokio::select! {
            ended = &mut start => return ended,
            Some(request) = requests.recv() => match request {
                Request::Health(answer) => health = Some((source.health_check(), answer)),
                Request::Stop => stop = Some(source.stop()),
            },
            report = answered(health.as_mut()) => {
                if let Some((_, answer)) = health.take() {
                    let _ = answer.send(report);
                }
            }
            () = stopped(stop.as_mut()) => stop = None,
        }
    }
}

type Answering<'a> = (
    Pin<Box<dyn Future<Output = SourceHealth> + Send + 'a>>,
    oneshot::Sender<SourceHealth>,
);

async fn answered(health: Option<&mut Answering<'_>>) -> SourceHealth {
    match health {
        Some((check, _)) => check.await,
        None => std::future::pending().await,
    }
}

async fn stopped(stop: Option<&mut Pin<Box<dyn Future<Output = ()> + Send + '_>>>) {
    match stop {
        Some(stop) => stop.await,
        None => std::future::pending().await,
    }
}

fn message_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message")
        .to_owned()
}
