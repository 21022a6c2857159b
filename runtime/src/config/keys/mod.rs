//! The one table of all config keys: what each is called, what it takes, what it is without a word, what it does.
//!
//! Everything else follows from it: the check of every layer, the layer of built-in defaults,
//! `weir config --init` and the documentation. Invariant: a key that isn't here can't be set, and each
//! key here has its field in [`Config`](super::Config) (a test walks both).

mod bus;
mod chains;
mod daemon;
mod ends;
mod find;
mod limits;
mod redact;
mod slots;
mod supervision;
mod takes;
mod triggers;
mod trust;

pub(crate) use ends::TRIGGERABLE;
pub(crate) use find::{
    Found, NAME_BYTES_MAX, children, find, name_is_good, nearest_key, nearest_of, places_of_names,
};
pub(crate) use takes::TEXT_BYTES_MAX;
pub use takes::{Item, Takes, TextRule};

/// Names of users and groups have at most so many bytes: Linux's `LOGIN_NAME_MAX`.
pub(crate) const ACCOUNT_BYTES_MAX: usize = 256;

/// One kibibyte, in bytes.
pub(crate) const KIB: u64 = 1 << 10;
/// One mebibyte, in bytes.
pub(crate) const MIB: u64 = 1 << 20;
/// One gibibyte, in bytes.
pub(crate) const GIB: u64 = 1 << 30;

/// The segment of a key's path that stands for a name that the operator chose: of a source, slot, sink, access rule,
/// key of trust, chain, or stage of one.
pub const NAME_SEGMENT: &str = "<name>";

/// One key of the config.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its dotted path; [`NAME_SEGMENT`] stands for the name of a source, slot, sink or access rule.
    pub path: &'static str,
    /// What it takes.
    pub takes: Takes,
    /// What holds where no layer says anything.
    pub fallback: Fallback,
    /// It means something only where the entry's `kind` is one of these; empty: always.
    pub kinds: &'static [&'static str],
    /// What it does, in one sentence.
    pub doc: &'static str,
}

/// What holds for a key that no layer sets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fallback {
    /// This value, written in TOML.
    Value(&'static str),
    /// This value, written in TOML, by the entry's `kind`; as many as the key has kinds.
    OfKind(&'static [(&'static str, &'static str)]),
    /// The value of another key.
    SameAs(&'static str),
    /// Found out when the config is loaded.
    Computed {
        /// Which way.
        from: Computed,
        /// A value that one could write, in TOML.
        example: &'static str,
    },
    /// It stays unset.
    Unset {
        /// What that means, to be read after "unset: ".
        meaning: &'static str,
        /// A value that one could write, in TOML.
        example: &'static str,
    },
    /// It must be set wherever its table stands.
    Required {
        /// A value that one could write, in TOML.
        example: &'static str,
    },
}

/// The defaults that depend on who runs the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Computed {
    /// Where guests are looked for.
    GuestFolders,
    /// Where compiled code is kept.
    CacheFolder,
    /// Where what must survive a restart is kept.
    StateFolder,
    /// Where the bus's socket is.
    Socket,
}

impl Computed {
    /// What it comes out as, in words.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::GuestFolders => {
                "/etc/weir/guests, and for all but root $XDG_CONFIG_HOME/weir/guests or ~/.config/weir/guests"
            }
            Self::CacheFolder => "$XDG_CACHE_HOME/weir or ~/.cache/weir; /var/cache/weir for root",
            Self::StateFolder => {
                "$XDG_STATE_HOME/weir or ~/.local/state/weir; /var/lib/weir for root"
            }
            Self::Socket => {
                "/run/weir/weir.sock for root, else $XDG_RUNTIME_DIR/weir/weir.sock, else /tmp/weir-UID/weir.sock"
            }
        }
    }
}

/// What stands at the head of each table of the config, in the order in which people read them.
pub(crate) const SECTIONS: [(&str, &str); 24] = [
    (
        "collector",
        "How events are collected: buffers, batches and timeouts.",
    ),
    (
        "bus",
        "The bus between sources, guests and sinks, and its socket.",
    ),
    (
        "bus.access.<name>",
        "A rule of who may do what over the socket. Where there is none, the daemon's user may do everything, and the members of bus.group may subscribe to events.>, findings.> and system.>, and publish nothing.",
    ),
    ("sandbox", "What all guests share."),
    ("trust", "Who must have signed the modules of guests."),
    (
        "trust.keys.<name>",
        "A key that modules may be signed with. A signature that says it is by this name is checked wherever there is one, and a wrong one is refused.",
    ),
    (
        "supervision",
        "What becomes of guests that break: pauses, quarantine, fresh instances.",
    ),
    (
        "swap",
        "How a guest takes over from another: what is compared before, and how it proves itself after.",
    ),
    (
        "dead_letters",
        "The rows that break a guest, kept for a person to look at.",
    ),
    (
        "metrics",
        "The daemon's counts as a file, for node_exporter's textfile collector and its like.",
    ),
    ("log", "What the daemon says about itself, on stderr."),
    (
        "sources.<name>",
        "A source of events: what reads the host, or plays a recording.",
    ),
    (
        "redact",
        "Secrets in the command lines of processes: each source replaces them by `***` before anybody else sees the line.",
    ),
    ("slots.<name>", "A slot: a named place for a guest."),
    (
        "slots.<name>.limits",
        "What a guest may use; breaking a limit is a fault that names it.",
    ),
    ("rules", "The conditions that come with the daemon."),
    (
        "admission",
        "Which firings become requests: how often, about what, how many may wait.",
    ),
    (
        "trigger.<name>",
        "A condition in SQL, and what happens where it holds. [[trigger]] with name = \"NAME\" is the same.",
    ),
    (
        "trigger.<name>.threshold",
        "It fires only where so many rows come together.",
    ),
    (
        "exception.<name>",
        "A known good one that a trigger is silent about. [[exception]] is the same, and needs no name.",
    ),
    (
        "chains",
        "What works on requests: chains, and slots and sources by themselves.",
    ),
    (
        "chain.<name>",
        "A chain: stages that work on a request whose target it is, each after those that it waits for.",
    ),
    ("chain.<name>.stages.<name>", "A stage of a chain."),
    ("sinks.<name>", "A sink: where findings and events leave."),
];

/// Every key, table by table, in the order in which people read them.
pub fn all() -> impl Iterator<Item = &'static Key> {
    [
        daemon::COLLECTOR,
        bus::BUS,
        bus::ACCESS,
        daemon::SANDBOX,
        trust::TRUST,
        trust::KEYS,
        supervision::SUPERVISION,
        supervision::SWAP,
        supervision::DEAD_LETTERS,
        daemon::METRICS,
        daemon::LOG,
        ends::SOURCES,
        redact::REDACT,
        slots::SLOTS,
        limits::LIMITS,
        triggers::RULES,
        triggers::ADMISSION,
        triggers::TRIGGER,
        triggers::EXCEPTION,
        chains::CHAINS,
        chains::CHAIN,
        chains::STAGES,
        ends::SINKS,
    ]
    .into_iter()
    .flatten()
}

impl Key {
    /// A key that always has a meaning.
    const fn new(path: &'static str, takes: Takes, fallback: Fallback, doc: &'static str) -> Self {
        Self {
            path,
            takes,
            fallback,
            kinds: &[],
            doc,
        }
    }

    /// The same key, but only for entries of these kinds.
    const fn only_for(mut self, kinds: &'static [&'static str]) -> Self {
        self.kinds = kinds;
        self
    }

    /// The innermost table of names that it stands in, and the rest of its path after the name; nothing for a
    /// key of a plain table.
    pub(crate) fn split_at_name(&self) -> Option<(&'static str, &'static str)> {
        let (table, rest) = self.path.rsplit_once(NAME_SEGMENT)?;
        Some((table.strip_suffix('.')?, rest.strip_prefix('.')?))
    }

    /// The segments of its path.
    pub(crate) fn segments(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('.')
    }

    /// The table that it stands in, and its own last segment.
    pub(crate) fn split(&self) -> (&'static str, &'static str) {
        self.path.rsplit_once('.').unwrap_or(("", self.path))
    }
}
