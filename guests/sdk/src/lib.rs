//! The SDK for guests of Weir in Rust: implement a trait, or give a closure over a row.
//!
//! It is not the contract (that is `wit/`), and it holds no opinion on events. Columns come over the
//! border as bytes, each at most once a call; everything here is slices over them. Bad bytes are an
//! error, never a trap. All but the calls to the host works on any target, so that a guest's logic
//! is tested where it is written.
//!
//! ```
//! weir_guest::export! {
//!     filter over process { executable: text, memory_bytes: u64 }
//!     keep |row| {
//!         row.executable().is_some_and(|path| path.starts_with("/home/"))
//!             || row.memory_bytes() > Some(1 << 30)
//!     }
//! }
//! # fn main() {}
//! ```

#![warn(
    missing_docs,
    unreachable_pub,
    rust_2018_idioms,
    clippy::unwrap_used,
    clippy::too_many_lines,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::semicolon_if_nothing_returned
)]

mod batch;
#[doc(hidden)]
pub mod bindings;
mod bytes;
mod column;
mod columns;
mod export;
#[doc(hidden)]
pub mod glue;
mod guest;
pub mod host;
mod mask;
mod prefix;
mod recent;
mod search;
mod settings;
mod text;

pub use batch::Batch;
pub use bindings::explain::exports::weir::collector::explain::{Explanation, Step};
pub use bindings::filter::exports::weir::collector::filter::Selection;
pub use bindings::imports::weir::collector::batches::{EvalError, FieldError, Row, Value};
pub use bindings::imports::weir::collector::log::Level;
pub use bindings::stage::exports::weir::collector::stage::{Finding, Severity, TriggerRequest};
pub use bindings::trigger::exports::weir::collector::trigger::{Firing, Undecided, Verdicts};
pub use bytes::same_bytes;
pub use column::{BoolColumn, Column, ColumnError, FixedColumn, FixedWidth, RawColumn};
pub use guest::{Explain, Filter, Guest, Memory, Priority, Rule, Stage, Trigger, Upstream, Wants};
pub use mask::Mask;
pub use prefix::Prefix;
pub use recent::Recent;
pub use search::Needle;
pub use settings::{NoSettings, settings};
pub use text::{TextColumn, TextListColumn, Texts};

/// What guests need `serde` for is deriving `Deserialize` on their settings.
pub use serde;
