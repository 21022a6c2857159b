//! A pipeline of real parts that a test feeds: a source → filters → bus → triggers → stages → a sink
//! that keeps everything.
//!
//! Not a daemon: no signals, no reloading, no console. Invariant: whatever a test does, both laws of
//! counting hold when it ends; [`Rig::finish`] looks.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use weir::collector::CollectorReport;
use weir::config::{self, LoadRequest, SlotSettings, TrustSettings};
use weir::guests::Guests;
use weir::pipeline::{Pipeline, PipelineStatus, StartError};
use weir::sandbox::{
    CompileLimits, Compiler, CompilerProgram, Limit, Prepared, Sandbox, SandboxError,
    SandboxOptions,
};
use weir::sink::{Console, Output};
use weir::slot::SlotStatistics;
use weir::testing::CapturingSink;
use weir::trigger::TriggerStatus;
use weir_bus::event::{FindingEvent, ProcessEvent, TriggerEvent};
use weir_bus::pubsub::{QueueLimits, SubscriptionOptions};
use weir_bus::{CollectionEvent, Pace, TopicPattern};
use weir_sources::EventSource;

use crate::feed::{Feed, fed_source};
use crate::{PATIENCE, build, hostile_guests, logs, rows, weir_binary};

/// The name of the source that a rig feeds.
pub const SOURCE: &str = "feed";
/// What the capturing sink's queue holds: more than any test sends.
const CAPTURED_BATCHES_MAX: usize = 65_536;
/// The same in bytes.
const CAPTURED_BYTES_MAX: u64 = 1 << 30;
/// Admission as if there were none, where a rig's config doesn't speak of it.
const ADMITS_ALL: [(&str, &str); 5] = [
    ("admission.rate_max", "1000000"),
    ("admission.dedup_window", "0s"),
    ("admission.queue_requests_max", "100000"),
    ("chains.runs_max", "1000"),
    ("chains.request_timeout", "10m"),
];
/// How long a look at the captured events waits for more of them.
const LOOK: Duration = Duration::from_millis(1);

/// A rig before it runs.
pub struct Setup {
    config: String,
    off: Vec<(String, Vec<Limit>)>,
    sources: Vec<Arc<dyn EventSource>>,
    folder: TempDir,
    state_folder: Option<PathBuf>,
    pace: Pace,
}

/// A rig at work.
pub struct Rig {
    runtime: tokio::runtime::Runtime,
    pipeline: Pipeline,
    feed: Feed,
    capture: CapturingSink,
    guests: Guests,
    folder: TempDir,
}

/// What a rig came to.
pub struct Finished {
    /// The sources' counts.
    pub sources: CollectorReport,
    /// The slots' and the bus's counts.
    pub status: PipelineStatus,
    /// Every event that was published.
    pub events: Vec<CollectionEvent>,
    /// What its guests have kept.
    pub guests: Guests,
    folder: TempDir,
}

/// Where compiled guests are kept from run to run, so that a test doesn't wait for the compiler.
#[must_use]
pub fn cache_folders() -> (PathBuf, PathBuf) {
    let folder = build::target_folder().join("tests-cache");
    (folder.join("code"), folder.join("state"))
}

impl Setup {
    /// A rig of that config: the text of a config file without `[sandbox]`. Modules are named by
    /// their file names, `weir_hostile_filter.wasm`.
    ///
    /// # Panics
    /// If there is no room for a temporary folder.
    #[must_use]
    pub fn new(config: impl Into<String>) -> Self {
        Self {
            config: config.into(),
            off: Vec::new(),
            sources: Vec::new(),
            folder: tempfile::tempdir().expect("a temporary folder"),
            state_folder: None,
            pace: Pace::Periodic,
        }
    }

    /// Without those checks for that slot's guests.
    #[must_use]
    pub fn without(mut self, slot: &str, limits: &[Limit]) -> Self {
        self.off.push((slot.to_owned(), limits.to_vec()));
        self
    }

    /// With a component of a test's own, by the file name that the config says.
    ///
    /// # Panics
    /// If it can't be written.
    #[must_use]
    pub fn with_component(self, name: &str, bytes: &[u8]) -> Self {
        let path = self.folder.path().join(name);
        std::fs::write(path, bytes).expect("a component can be written");
        self
    }

    /// With what is to survive a restart in that folder, instead of one that goes with the rig.
    #[must_use]
    pub fn with_state_folder(mut self, folder: &Path) -> Self {
        self.state_folder = Some(folder.to_owned());
        self
    }

    /// With the fed source being of that pace.
    #[must_use]
    pub const fn with_pace(mut self, pace: Pace) -> Self {
        self.pace = pace;
        self
    }

    /// With another source besides the fed one.
    #[must_use]
    pub fn with_source(mut self, source: impl EventSource) -> Self {
        self.sources.push(Arc::new(source));
        self
    }

    /// Starts everything; nothing flows before the first [`Rig::send`].
    ///
    /// # Errors
    /// If a guest is refused.
    ///
    /// # Panics
    /// If the config isn't valid, or the machine refuses a thread.
    pub fn start(self) -> Result<Rig, StartError> {
        /// One rig prepares its guests at a time, so that what one compiles the next one finds.
        static TURN: Mutex<()> = Mutex::new(());
        logs::capture();
        let socket = self.folder.path().join("weir.sock");
        let own_state = || self.folder.path().join("state");
        let state = self.state_folder.clone().unwrap_or_else(own_state);
        let mut flags = vec![
            ("bus.socket".to_owned(), socket.display().to_string()),
            (
                "sandbox.state_folder".to_owned(),
                state.display().to_string(),
            ),
        ];
        // All that happens is kept until the test looks at it.
        flags.push(("bus.bytes_max".to_owned(), CAPTURED_BYTES_MAX.to_string()));
        // What a rig tests happens in one process, unless its config says otherwise.
        if !self.config.contains("bus.kind") {
            flags.push(("bus.kind".to_owned(), "local".to_owned()));
        }
        // What a rig sends is often the same, and much of it: what admission refuses has tests of its own.
        if !self.config.contains("admission") {
            for (key, value) in ADMITS_ALL {
                flags.push((key.to_owned(), value.to_owned()));
            }
        }
        let request = LoadRequest {
            embedded_default: &self.config,
            flags,
            ..LoadRequest::default()
        };
        let config = config::load(&request)
            .unwrap_or_else(|errors| panic!("{errors}\nin:\n{}", self.config))
            .config;
        let memory = usize::try_from(config.sandbox.guests_memory_bytes_max).unwrap_or(usize::MAX);
        let sandbox = sandbox(vec![self.folder.path().to_owned()], memory);
        let guests = Guests::new(sandbox.expect("a sandbox"));
        for (slot, limits) in &self.off {
            guests.switch_off(slot, limits);
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let (feed, source) = fed_source(SOURCE, self.pace);
        let mut sources: Vec<Arc<dyn EventSource>> = vec![Arc::new(source)];
        sources.extend(self.sources);
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let console = Arc::new(Console::new(Output::Json));
        let entered = runtime.enter();
        let pipeline = Pipeline::start(&config, &guests, &console, sources)?;
        drop(entered);
        drop(turn);
        let options = SubscriptionOptions::new("capture")
            .pattern(TopicPattern::parse(">").expect("everything"))
            .limits(QueueLimits {
                items_max: CAPTURED_BATCHES_MAX,
                bytes_max: CAPTURED_BYTES_MAX,
            });
        let subscriber = pipeline.bus().subscribe(options);
        Ok(Rig {
            capture: CapturingSink::of(subscriber.expect("a subscription")),
            runtime,
            pipeline,
            feed,
            guests,
            folder: self.folder,
        })
    }

    /// Why it doesn't start.
    ///
    /// # Panics
    /// If it does.
    #[must_use]
    pub fn refusal(self) -> String {
        match self.start() {
            Ok(_) => panic!("it was not refused"),
            Err(error) => error.to_string(),
        }
    }
}

/// A sandbox that opens modules in those folders and among the hostile guests.
///
/// # Errors
/// If a folder can't be trusted.
pub fn sandbox(
    mut guest_folders: Vec<PathBuf>,
    guests_memory_bytes_max: usize,
) -> Result<Sandbox, SandboxError> {
    guest_folders.push(hostile_guests().to_owned());
    let (cache_folder, state_folder) = cache_folders();
    Sandbox::new(SandboxOptions {
        guest_folders,
        cache_folder,
        state_folder,
        guests_memory_bytes_max,
        compiler: Compiler::new(
            CompilerProgram::Path(weir_binary().to_owned()),
            CompileLimits::default(),
        ),
    })
}

impl Rig {
    /// Where its own components lie.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Feeds one batch.
    pub fn send(&self, rows: Vec<ProcessEvent>) {
        self.feed.send(rows);
    }

    /// What everything counts by now.
    #[must_use]
    pub fn status(&self) -> PipelineStatus {
        self.pipeline.status()
    }

    /// The pipeline itself.
    #[must_use]
    pub const fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// Its guests.
    #[must_use]
    pub const fn guests(&self) -> &Guests {
        &self.guests
    }

    /// Prepares a guest for a slot.
    ///
    /// # Panics
    /// If it is refused.
    #[must_use]
    pub fn prepare(&self, slot: &str, settings: &SlotSettings) -> Prepared {
        let prepared = self
            .guests
            .prepare(slot, settings, &TrustSettings::default());
        prepared.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Switches a slot to another guest, and waits until that is in force.
    ///
    /// # Panics
    /// If the guest is refused, or the slot ends.
    pub fn switch(&self, slot: &str, settings: &SlotSettings) {
        let guest = self.prepare(slot, settings);
        let switched = self.pipeline.slots()[slot].switch(guest.into());
        let generation = self.wait(switched.in_force());
        generation.unwrap_or_else(|why| panic!("{slot}: {why}"));
    }

    /// Waits for what somebody asked for.
    pub fn wait<T>(&self, asked: impl Future<Output = T>) -> T {
        self.runtime.block_on(asked)
    }

    /// Feeds one batch, and waits until it is through the filters.
    ///
    /// # Panics
    /// If it never is.
    pub fn send_through(&self, rows: Vec<ProcessEvent>) {
        self.send(rows);
        self.wait_until("the batch is through", |rig, _| {
            let counts = &rig.status().sources[0].counts;
            // The source takes what it is sent when it comes to it.
            counts.produced >= rig.feed.rows() && counts.in_flight() == 0
        });
    }

    /// What became of the firings of a slot's guest, all its rules together.
    #[must_use]
    pub fn fired(&self, slot: &str) -> Vec<TriggerStatus> {
        let mut triggers = self.pipeline.triggers().status().triggers;
        triggers.retain(|trigger| trigger.slot == slot);
        triggers
    }

    /// The counts of a slot by now.
    ///
    /// # Panics
    /// If there is no such slot.
    #[must_use]
    pub fn slot(&self, name: &str) -> SlotStatistics {
        self.pipeline.slots()[name].statistics()
    }

    /// Waits until something is so; `look` is asked again and again with all events so far.
    ///
    /// # Panics
    /// If it doesn't come to be.
    pub fn wait_until(&self, what: &str, look: impl Fn(&Self, &[CollectionEvent]) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !look(self, &self.capture.events(LOOK)) {
            assert!(Instant::now() < until, "never came: {what}");
        }
    }

    /// Ends the source, drains everything, and looks whether the counts balance.
    ///
    /// # Panics
    /// If they don't.
    #[must_use]
    pub fn finish(self) -> Finished {
        drop(self.feed);
        let drained = self.pipeline.drain(Instant::now() + PATIENCE);
        let (sources, status) = self.runtime.block_on(drained);
        let events = self.capture.events(LOOK);
        self.runtime.shutdown_background();
        let finished = Finished {
            sources,
            status,
            events,
            guests: self.guests,
            folder: self.folder,
        };
        finished.assert_balanced();
        finished
    }
}

impl Finished {
    /// A slot's counts.
    ///
    /// # Panics
    /// If there is no such slot.
    #[must_use]
    pub fn slot(&self, name: &str) -> &SlotStatistics {
        let slot = self.status.slots.iter().find(|slot| slot.slot == name);
        slot.unwrap_or_else(|| panic!("no slot {name}"))
    }

    /// The pids of the process rows that came out, in their order.
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        rows::pids(&self.events)
    }

    /// The requests of a trigger.
    pub fn requests<'a>(&'a self, trigger: &'a str) -> impl Iterator<Item = &'a TriggerEvent> {
        self.events.iter().filter_map(move |event| match event {
            CollectionEvent::Trigger(request) if request.trigger == trigger => Some(request),
            _ => None,
        })
    }

    /// The findings of a stage.
    pub fn findings<'a>(&'a self, stage: &'a str) -> impl Iterator<Item = &'a FindingEvent> {
        self.events.iter().filter_map(move |event| match event {
            CollectionEvent::Finding(finding) if finding.guest == stage => Some(finding),
            _ => None,
        })
    }

    /// The dead letters, in their order.
    ///
    /// # Panics
    /// If a line is no JSON.
    #[must_use]
    pub fn dead_letters(&self) -> Vec<serde_json::Value> {
        let path = self.folder.path().join("state/dead-letters.jsonl");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let letter = |line| serde_json::from_str(line).expect("a line of JSON");
        text.lines().map(letter).collect()
    }

    /// Where its own components lay.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Both laws of counting, at the end: nothing is under way any more.
    fn assert_balanced(&self) {
        for (name, counts) in &self.sources.sources {
            assert!(counts.balances(), "source {name}: {counts:?}");
            assert_eq!(counts.in_flight(), 0, "source {name}: {counts:?}");
        }
        for slot in &self.status.slots {
            assert!(
                slot.queue.balances(),
                "slot {}: {:?}",
                slot.slot,
                slot.queue
            );
            assert_eq!(slot.queue.queued.rows, 0, "slot {}", slot.slot);
        }
        let triggers = &self.status.triggers;
        assert!(triggers.total.balance(), "triggers: {triggers:?}");
        assert!(self.status.bus.balances(), "bus: {:?}", self.status.bus);
    }
}
