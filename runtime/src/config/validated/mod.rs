//! The config as the rest of the daemon sees it: typed, complete, within all ranges.
//!
//! Field names are the keys' names; a test holds the two together. Invariant: only [`load`](super::load) makes
//! a [`Config`] from outside data, so nobody holds an invalid one. What is switched off isn't in it.

mod chains;
mod slots;
mod triggers;

use super::units::duration_as_text;
use crate::trust::PublicKey;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use weir_bus::TopicPattern;
use weir_bus::pubsub::BusKind;

pub use chains::{ChainSettings, ChainStageSettings, ChainsSettings};
pub use slots::{Grant, OnFault, OnState, SlotQueuePolicy, SlotSettings};
pub use triggers::{
    AdmissionSettings, ExceptionSettings, RulesSettings, ThresholdSettings, TriggerSettings,
};

/// All of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `[collector]`
    pub collector: CollectorSettings,
    /// `[bus]`
    pub bus: BusSettings,
    /// `[sandbox]`
    pub sandbox: SandboxSettings,
    /// `[supervision]`
    pub supervision: SupervisionSettings,
    /// `[swap]`
    pub swap: SwapSettings,
    /// `[dead_letters]`
    pub dead_letters: DeadLetterSettings,
    /// `[trust]`
    pub trust: TrustSettings,
    /// `[metrics]`
    pub metrics: MetricsSettings,
    /// `[log]`
    pub log: LogSettings,
    /// The enabled `[sources.<name>]`, by name.
    #[serde(default)]
    pub sources: BTreeMap<String, SourceSettings>,
    /// `[redact]`
    pub redact: RedactSettings,
    /// The enabled `[slots.<name>]`, by name.
    #[serde(default)]
    pub slots: BTreeMap<String, SlotSettings>,
    /// `[rules]`
    pub rules: RulesSettings,
    /// `[admission]`
    pub admission: AdmissionSettings,
    /// The enabled `[[trigger]]` entries, by name.
    #[serde(default)]
    pub trigger: BTreeMap<String, TriggerSettings>,
    /// The enabled `[[exception]]` entries, by name.
    #[serde(default)]
    pub exception: BTreeMap<String, ExceptionSettings>,
    /// `[chains]`
    pub chains: ChainsSettings,
    /// The enabled `[chain.<name>]`, by name.
    #[serde(default)]
    pub chain: BTreeMap<String, ChainSettings>,
    /// The enabled `[sinks.<name>]`, by name.
    #[serde(default)]
    pub sinks: BTreeMap<String, SinkSettings>,
}

/// `[collector]`: how events are collected.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CollectorSettings {
    /// What this daemon is called.
    pub component_name: String,
    /// Rows that may wait between a source and its batcher.
    pub event_buffer_size: usize,
    /// A batch is closed when it has so many rows.
    pub batch_rows_max: usize,
    /// A batch is closed when it has so many bytes.
    pub batch_bytes_max: usize,
    /// A batch is closed when its first row has waited so long.
    #[serde(with = "duration_as_text")]
    pub batch_timeout: Duration,
    /// The same for realtime sources.
    #[serde(with = "duration_as_text")]
    pub realtime_batch_timeout: Duration,
    /// The share of the event buffer, in 0.1..=1, above which sources are slowed.
    pub backpressure_threshold: f64,
    /// A periodic source waits at most so long for room.
    #[serde(with = "duration_as_text")]
    pub backpressure_wait_max: Duration,
    /// A source that hasn't started after this time has failed.
    #[serde(with = "duration_as_text")]
    pub startup_timeout: Duration,
    /// Draining takes at most so long.
    #[serde(with = "duration_as_text")]
    pub shutdown_timeout: Duration,
    /// How often health is asked for.
    #[serde(with = "duration_as_text")]
    pub health_interval: Duration,
    /// At most so many sources.
    pub sources_max: usize,
    /// Whether the daemon's health and statistics go on the bus.
    pub telemetry: bool,
}

/// `[bus]`: what carries the batches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BusSettings {
    /// Which make of bus.
    pub kind: BusKind,
    /// Where a broker listens, and a client connects to; at most 107 bytes.
    pub socket: PathBuf,
    /// The group that may connect besides the daemon's user, by name or number.
    #[serde(with = "text_or_none")]
    pub group: Option<String>,
    /// Connections at a time.
    pub connections_max: usize,
    /// How often a quiet connection is asked whether it is alive.
    #[serde(with = "duration_as_text")]
    pub heartbeat: Duration,
    /// Batches that may wait for a subscriber.
    pub queue_batches_max: usize,
    /// Bytes that these may keep alive.
    pub queue_bytes_max: usize,
    /// Bytes that those of all queues together may keep alive, each batch counted once.
    pub bytes_max: usize,
    /// What the last batches may keep alive, for clients that lose their connection; 0: none are kept.
    pub ring_bytes_max: usize,
    /// For how long they are kept.
    #[serde(with = "duration_as_text")]
    pub ring_age_max: Duration,
    /// `[bus.access.<name>]`, by name: who may do what over the socket. Empty: the rules that are built in.
    #[serde(default)]
    pub access: BTreeMap<String, AccessSettings>,
}

/// `[bus.access.<name>]`: what a user or a group may do over the socket. Exactly one of the two is there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessSettings {
    /// The user, by name or number.
    #[serde(default)]
    pub user: Option<String>,
    /// The group, by name or number.
    #[serde(default)]
    pub group: Option<String>,
    /// The topics that they may publish to.
    pub publish: Vec<TopicPattern>,
    /// The topics that they may subscribe to.
    pub subscribe: Vec<TopicPattern>,
}

/// `[sandbox]`: what all guests share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SandboxSettings {
    /// The folders that modules are opened in.
    pub guest_folders: Vec<PathBuf>,
    /// Where compiled guests are kept.
    pub cache_folder: PathBuf,
    /// Where what must survive a restart is kept.
    pub state_folder: PathBuf,
    /// Memory of all guests together, in bytes.
    pub guests_memory_bytes_max: u64,
    /// Compiling a module may take so long.
    #[serde(with = "duration_as_text")]
    pub compile_timeout: Duration,
    /// Compiling a module may take so many bytes of memory.
    pub compile_memory_bytes_max: u64,
    /// At most so many slots.
    pub slots_max: usize,
}

/// `[supervision]`: what becomes of guests that break.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SupervisionSettings {
    /// The first pause before a guest is called again that broke twice in a row.
    #[serde(with = "duration_as_text")]
    pub restart_pause_min: Duration,
    /// The longest.
    #[serde(with = "duration_as_text")]
    pub restart_pause_max: Duration,
    /// A guest that has not broken for so long is healthy again.
    #[serde(with = "duration_as_text")]
    pub healthy_after: Duration,
    /// So many faulted batches within the window lead to quarantine.
    pub quarantine_faults: usize,
    /// The window.
    #[serde(with = "duration_as_text")]
    pub quarantine_window: Duration,
    /// The first pause before a module in quarantine is tried.
    #[serde(with = "duration_as_text")]
    pub quarantine_pause_min: Duration,
    /// The longest.
    #[serde(with = "duration_as_text")]
    pub quarantine_pause_max: Duration,
    /// So many answers in a row end a quarantine.
    pub quarantine_answers: u32,
    /// The share of its memory, in 0.1..=1, past which an instance is made anew.
    pub memory_share_max: f64,
}

/// `[swap]`: how a guest takes over from another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwapSettings {
    /// It is confirmed after so many batches.
    pub probation_batches: u64,
    /// Or after so long.
    #[serde(with = "duration_as_text")]
    pub probation_time: Duration,
    /// It goes back if a row costs it more than so many times the fuel that it cost its predecessor.
    pub fuel_factor_max: f64,
    /// It goes back if the share of rows that it selects, in 0..=1, is further than this from its predecessor's.
    pub share_difference_max: f64,
    /// So many of the last batches are shown to both before.
    pub replay_batches: usize,
    /// It is refused if their verdicts differ on a larger share of the rows, in 0..=1.
    pub max_difference: f64,
}

/// `[dead_letters]`: the rows that break a guest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeadLetterSettings {
    /// Their file; without one it lies in the state folder.
    #[serde(default)]
    pub path: Option<PathBuf>,
    /// A new file is begun at so many bytes.
    pub rotate_bytes_max: u64,
    /// So many files are kept.
    pub rotate_files_max: usize,
}

/// `[trust]`: who must have signed modules.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustSettings {
    /// Whether every module that isn't built in must be signed by one of the keys.
    pub required: bool,
    /// `[trust.keys.<name>]`, by name.
    #[serde(default)]
    pub keys: BTreeMap<String, TrustedKey>,
}

/// `[trust.keys.<name>]`: a key that modules may be signed with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustedKey {
    /// The public key.
    pub ed25519: PublicKey,
}

/// `[metrics]`: the daemon's counts as a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricsSettings {
    /// The file; without one nothing is written.
    #[serde(default)]
    pub textfile: Option<PathBuf>,
    /// How often it is written.
    #[serde(with = "duration_as_text")]
    pub interval: Duration,
}

/// `[log]`: what the daemon says about itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogSettings {
    /// A level, or levels by target: `info,weir::sandbox=debug`.
    pub level: String,
    /// How a line looks.
    pub format: LogFormat,
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// `[sources.<name>]`: a source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum SourceSettings {
    /// The processes of this machine.
    Process {
        /// How often it looks; none: only while somebody asks.
        #[serde(with = "duration_as_text::or_off")]
        interval: Option<Duration>,
        /// The share of a core that it may cost.
        cost_share: f64,
        /// Whether what happens to processes is told as it happens, by a source beside it.
        events: bool,
        /// Whether rows have digests of executables.
        hashes: bool,
    },
    /// The sockets of this machine.
    Network {
        /// How often it looks; none: only while somebody asks.
        #[serde(with = "duration_as_text::or_off")]
        interval: Option<Duration>,
        /// The share of a core that it may cost.
        cost_share: f64,
    },
    /// What happens to files.
    Filesystem(FilesystemSettings),
    /// The load of this machine.
    Performance {
        /// How often it looks; none: only while somebody asks.
        #[serde(with = "duration_as_text::or_off")]
        interval: Option<Duration>,
        /// The share of a core that it may cost.
        cost_share: f64,
    },
    /// What this machine consists of.
    Inventory {
        /// How often it looks; none: only while somebody asks.
        #[serde(with = "duration_as_text::or_off")]
        interval: Option<Duration>,
        /// The share of a core that it may cost.
        cost_share: f64,
    },
    /// A recording.
    Replay {
        /// Its file.
        path: PathBuf,
        /// How fast it plays.
        pace: ReplayPace,
    },
    /// Digests of executables, when asked for.
    BinaryHash {
        /// The folders under which files may be read.
        roots: Vec<PathBuf>,
        /// A larger file has no digest.
        file_bytes_max: u64,
        /// An answer takes at most so long.
        #[serde(with = "duration_as_text")]
        timeout: Duration,
    },
    /// Details of processes, when asked for.
    ProcessDetails {
        /// An answer takes at most so long.
        #[serde(with = "duration_as_text")]
        timeout: Duration,
    },
}

/// `[redact]`: what is replaced in command lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedactSettings {
    /// Whether secrets of well-known forms are.
    pub builtin: bool,
    /// Regular expressions of what else is.
    pub patterns: Vec<String>,
}

/// `[sources.<name>]` of kind `filesystem`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilesystemSettings {
    /// The folders that are watched.
    pub folders: Vec<PathBuf>,
    /// Patterns of what is told; empty: everything.
    pub include: Vec<String>,
    /// Patterns of what isn't.
    pub exclude: Vec<String>,
    /// Within it the same is told once.
    #[serde(with = "duration_as_text")]
    pub merge_window: Duration,
    /// Whether reads are told, too.
    pub access: bool,
    /// How the kernel is asked.
    pub method: FilesystemMethod,
}

/// How the kernel is asked what happens to files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FilesystemMethod {
    /// By fanotify, and what it can't watch by inotify.
    Best,
    /// By inotify alone.
    Inotify,
}

/// How fast a recording plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReplayPace {
    /// As fast as it goes.
    Fast,
    /// With the pauses of the recording.
    Recorded,
}

/// `[sinks.<name>]`: where findings and events leave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum SinkSettings {
    /// For people.
    Terminal {
        /// The topics that go there.
        patterns: Vec<TopicPattern>,
    },
    /// A line of JSON an event.
    Json {
        /// The topics that go there.
        patterns: Vec<TopicPattern>,
        /// The file; stdout without one.
        #[serde(default)]
        path: Option<PathBuf>,
        /// A new file is begun at so many bytes.
        rotate_bytes_max: u64,
        /// So many files are kept.
        rotate_files_max: usize,
    },
    /// Arrow IPC files.
    Recording {
        /// The topics that go there.
        patterns: Vec<TopicPattern>,
        /// The file.
        path: PathBuf,
        /// A new file is begun at so many bytes.
        rotate_bytes_max: u64,
        /// So many files are kept.
        rotate_files_max: usize,
    },
}

impl SinkSettings {
    /// The topics that go there.
    #[must_use]
    pub fn patterns(&self) -> &[TopicPattern] {
        match self {
            Self::Terminal { patterns }
            | Self::Json { patterns, .. }
            | Self::Recording { patterns, .. } => patterns,
        }
    }
}

/// A text of which the empty one means nothing.
mod text_or_none {
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        text: &Option<String>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(text.as_deref().unwrap_or_default())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<String>, D::Error> {
        let text = String::deserialize(from)?;
        Ok((!text.is_empty()).then_some(text))
    }
}
