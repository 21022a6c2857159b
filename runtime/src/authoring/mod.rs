//! What authors of guests need: a project to begin with, its build, and a trial in the real sandbox.
//!
//! It runs no daemon, and judges no event: what a new project says of events stands in
//! `guests/templates/`, embedded as text. Invariant: nothing is written but new projects, and
//! expected verdicts where the author asks for it.

mod build;
mod events;
mod expected;
mod files;
mod lock;
mod name;
mod order;
mod project;
mod report;
mod settings;
mod trial;
mod verdict;

pub use build::{BuildError, build};
pub use events::{Events, EventsError};
pub use expected::{Difference, ExpectedError, compare, read_expected, write_expected};
pub use name::{NameError, ProjectName};
pub use order::{TrialSlot, grants_of};
pub use project::{NewError, create};
pub use report::{CallCosts, FaultReport, Report};
pub use settings::{SettingsError, read_settings};
pub use trial::{TrialError, run};
pub use verdict::{
    EventVerdict, ExpectedVerdicts, FindingText, NamedFiring, NamedUndecided, Verdict,
};
