//! What the socket promises to whoever stands at a terminal or writes a script.

mod conformance;
mod differential;
mod python;
mod resume;
mod verbs;
