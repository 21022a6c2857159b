//! Slots: named places for guests. A slot has a thread of its own, which takes batches in order,
//! asks its guest, and settles every batch: with the guest's answer, or without one by `on_fault`.
//!
//! What the three worlds do with an answer is their duty ([`filter`], [`trigger`], [`stage`]); how a
//! guest is called, thrown away and replaced is here, once for all. A guest is switched between
//! two batches, never within one.

mod aftermath;
mod comparison;
mod control;
mod costs;
pub mod filter;
mod generation;
mod job;
mod probation;
mod recent;
mod rehearsal;
mod settled;
mod shadow;
pub mod stage;
mod statistics;
mod supervision;
mod swap;
mod takeover;
pub mod trigger;
mod worker;

use std::sync::Arc;
use std::time::{Duration, Instant};

use weir_bus::batch::Batch;
use weir_bus::pubsub::{Delivery, QueueCounts, Recv};

pub use comparison::Comparison;
pub use costs::Quantiles;
pub use probation::Tally;
pub use settled::{Part, Settled, Without};
pub use shadow::ShadowStatus;
pub use statistics::SlotStatistics;
pub use supervision::QuarantineStatus;
pub use supervision::ledger::{FileLedger, QuarantineLedger, Quarantined};
pub use takeover::{Back, Candidate, Kept, SwapEvent, SwapNotice, Switched};

use crate::config::{OnFault, SupervisionSettings, SwapSettings};
use crate::dead_letters::DeadLetters;
use crate::digest::Digest;
use crate::sandbox::{Instance, Outcome, Prepared, Unsaved, Wants, World};
use control::Control;
pub(crate) use job::{ABANDON_GRACE, chance};
pub(crate) use supervision::search::RUNS_PER_ROW_MAX;
use takeover::Proposed;

/// What all slots have, whatever their world.
#[derive(Clone, Debug)]
pub struct SlotOptions {
    /// The slot's name.
    pub name: String,
    /// What becomes of rows without a verdict.
    pub on_fault: OnFault,
    /// The wall clock of a call, after which its thread is given up and replaced.
    pub call_wall_max: Duration,
    /// CPU time that may be spent, after the first fault of a batch, on finding the rows that do it.
    pub search_cpu_max: Duration,
    /// Where rows that break the guest are kept.
    pub dead_letters: Arc<DeadLetters>,
    /// When a guest that breaks is paused and quarantined.
    pub supervision: SupervisionSettings,
    /// Where quarantines outlive the process.
    pub ledger: Arc<dyn QuarantineLedger>,
    /// How a guest that takes over proves itself.
    pub swap: SwapSettings,
}

/// What a slot begins with.
pub struct Beginning {
    /// Its first guest.
    pub first: Candidate,
    /// The one that takes over from it before the first batch.
    pub then: Option<Candidate>,
    /// How many generations it had in earlier runs.
    pub generations: u64,
}

/// What a slot does for the world that its guest is of.
pub trait Duty: Send + Sync + 'static {
    /// What is handed to the guest.
    type Job: Send + Sync + 'static;
    /// What the guest answers.
    type Answer: Send;

    /// The world that guests of this slot must be of.
    const WORLD: World;
    /// Whether jobs may wait while the guest is paused after a fault. Where somebody waits for the
    /// verdict, they are settled without one instead.
    const MAY_WAIT: bool;

    /// A guest that wants this answers from the next job on.
    fn in_force(&self, _wants: &Wants) {}
    /// Waits for the next job.
    fn next(&self) -> Recv<Self::Job>;
    /// Wakes who waits for the next job.
    fn interrupt(&self);
    /// No more jobs: what is queued is still worked on.
    fn finish(&self);
    /// The rows of a job.
    fn batch(job: &Self::Job) -> &Batch;
    /// Asks the guest about some rows of a job, which are those of `batch`; the first of them is the
    /// job's `first`.
    fn ask(
        &self,
        instance: &mut Instance,
        job: &Self::Job,
        batch: &Batch,
        first: usize,
    ) -> Outcome<Self::Answer>;
    /// Rows that the guest itself could not decide.
    fn undecided(_answer: &Self::Answer) -> u64 {
        0
    }
    /// Rows that an answer about so many selects, or fires on.
    fn selected(_answer: &Self::Answer, _rows: usize) -> u64 {
        0
    }
    /// What an answer says of each of so many rows: rows about which two answers say the same have the same
    /// number, also where those are two guests' that want different things.
    fn fingerprints(wants: &Wants, answer: &Self::Answer, rows: usize) -> Vec<u64>;
    /// Makes the effects of the answers happen: once for each job, whatever became of it.
    fn settle(&self, job: &Self::Job, settled: Settled<Self::Answer>, generation: u64);
    /// The counts of the queue that jobs come from.
    fn counts(&self) -> QueueCounts;
}

/// What a queue delivered, for those whom a gap tells nothing.
fn without_gaps<T>(received: Recv<Delivery<T>>) -> Recv<T> {
    match received {
        Recv::Got(Delivery::Batch { item, .. }) => Recv::Got(item),
        Recv::Got(Delivery::Gap(_)) | Recv::Empty => Recv::Empty,
        Recv::Interrupted => Recv::Interrupted,
        Recv::Closed => Recv::Closed,
    }
}

/// Threads of a slot that were given up and still live. One more stops the slot.
const ABANDONED_THREADS_MAX: usize = 4;

/// A slot, and the way to its thread.
pub struct Slot<D: Duty> {
    control: Arc<Control<D>>,
}

impl<D: Duty> Clone for Slot<D> {
    fn clone(&self) -> Self {
        Self {
            control: Arc::clone(&self.control),
        }
    }
}

impl<D: Duty> Slot<D> {
    /// Starts the slot's thread with its first guest.
    ///
    /// # Errors
    /// If the system refuses the thread.
    pub fn start(options: SlotOptions, duty: D, beginning: Beginning) -> std::io::Result<Self> {
        let Beginning {
            first,
            then,
            generations,
        } = beginning;
        let control = Arc::new(Control::new(options, duty, generations));
        control.state().follows = then;
        control.propose(Proposed {
            candidate: first,
            told: None,
        });
        control.spawn()?;
        Ok(Self { control })
    }

    /// The slot's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.control.options.name
    }

    /// The slot's duty.
    #[must_use]
    pub fn duty(&self) -> &D {
        &self.control.duty
    }
}

/// What the daemon does with slots of any world.
pub trait SlotHandle: Send + Sync {
    /// The slot's name.
    fn name(&self) -> &str;
    /// The world of its guests.
    fn world(&self) -> World;
    /// What was asked for last: that of the guest in force or on its way there, or of one that went back.
    fn asked(&self) -> Option<Digest>;
    /// What is to outlive the process; none before the first guest is in force.
    fn kept(&self) -> Option<Kept>;
    /// That could not be saved: the next time has it too.
    fn not_kept(&self, unsaved: Unsaved);
    /// Whether a guest fits the slot: of its world, and wanting the same events.
    ///
    /// # Errors
    /// What doesn't fit, and what to do.
    fn fits(&self, guest: &Prepared) -> Result<(), String>;
    /// Shows the slot's last batches to the guest in force and to another, each in an instance of its own, and
    /// compares what they say; none where there is nothing to show. Takes as long as the guests do.
    ///
    /// # Errors
    /// The other guest breaks, or says something else more often than `swap.max_difference` allows.
    fn rehearse(&self, guest: &Prepared) -> Result<Option<Comparison>, String>;
    /// Switches to another guest between two batches.
    fn switch(&self, candidate: Candidate) -> Switched;
    /// What was asked for with the guest that watches.
    fn shadow(&self) -> Option<Digest>;
    /// Lets a guest watch, in the place of the one that does; none: nobody watches from now on.
    ///
    /// # Errors
    /// If the system refuses the thread.
    fn set_shadow(&self, guest: Option<Prepared>) -> std::io::Result<()>;
    /// Goes back to the generation before, between two batches: at once from one on probation, else to the
    /// one before the last that was confirmed.
    fn roll_back(&self, back: Back) -> Switched<()>;
    /// What happened to the slot's guest since the last time.
    fn take_notices(&self) -> Vec<SwapNotice>;
    /// The end has begun: what is queued, or still comes, waits for no pause any more.
    fn hurry(&self);
    /// No more jobs; what is queued is still worked on.
    fn finish(&self);
    /// Waits until the thread has ended; false if the deadline came first.
    fn wait(&self, deadline: Instant) -> bool;
    /// Gives up a call that has run past its wall clock.
    fn watch(&self, now: Instant);
    /// Ends the quarantine of the slot's module; false if it is in none.
    fn release(&self) -> bool;
    /// The slot's counts.
    fn statistics(&self) -> SlotStatistics;
}

impl<D: Duty> SlotHandle for Slot<D> {
    fn name(&self) -> &str {
        self.name()
    }

    fn world(&self) -> World {
        D::WORLD
    }

    fn asked(&self) -> Option<Digest> {
        self.control.asked()
    }

    fn kept(&self) -> Option<Kept> {
        self.control.kept()
    }

    fn not_kept(&self, unsaved: Unsaved) {
        self.control.not_kept(unsaved);
    }

    fn fits(&self, guest: &Prepared) -> Result<(), String> {
        self.control.fits(guest)
    }

    fn rehearse(&self, guest: &Prepared) -> Result<Option<Comparison>, String> {
        self.control.rehearse(guest)
    }

    fn switch(&self, candidate: Candidate) -> Switched {
        let (switched, told) = Switched::pair();
        self.control.propose(Proposed {
            candidate,
            told: Some(told),
        });
        switched
    }

    fn shadow(&self) -> Option<Digest> {
        self.control
            .state()
            .shadow
            .as_ref()
            .map(|shadow| shadow.asked)
    }

    fn set_shadow(&self, guest: Option<Prepared>) -> std::io::Result<()> {
        self.control.set_shadow(guest)
    }

    fn roll_back(&self, back: Back) -> Switched<()> {
        let (switched, told) = Switched::pair();
        self.control.ask_back(back, told);
        switched
    }

    fn take_notices(&self) -> Vec<SwapNotice> {
        self.control.take_notices().into()
    }

    fn hurry(&self) {
        self.control.hurry();
    }

    fn finish(&self) {
        self.control.hurry();
        self.control.duty.finish();
    }

    fn wait(&self, deadline: Instant) -> bool {
        self.control.wait_ended(deadline)
    }

    fn watch(&self, now: Instant) {
        self.control.watch(now);
    }

    fn release(&self) -> bool {
        self.control.release()
    }

    fn statistics(&self) -> SlotStatistics {
        self.control.statistics()
    }
}
