//! What Weir promises, held against the real thing: real components in the real sandbox, and the
//! real daemon as a process. One binary, one module a promise.

mod authoring;
mod daemon;
mod guests_doc;
mod host;
mod hostile;
mod house;
mod memory;
mod metrics;
mod operating_doc;
mod pipeline;
mod socket;
mod sources;
mod supervision;
mod swap;
mod tables;
mod triggers;
mod trust;
