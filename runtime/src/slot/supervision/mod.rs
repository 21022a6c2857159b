//! What becomes of a slot whose guest breaks.
//!
//! Decides, and does nothing: time and numbers come in, decisions go out.

pub(super) mod search;
