//! What a guest may answer.

#[path = "../../../src/sandbox/answer/fits.rs"]
mod fits;

pub(super) use fits::*;
