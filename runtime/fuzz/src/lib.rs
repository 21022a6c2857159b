//! The files of the runtime that the fuzz targets look at. What must hold is in `fuzzing`.
#![allow(dead_code, reason = "the runtime uses what isn't looked at here")]

mod answer;
#[path = "../../src/sandbox/fuzzing.rs"]
mod fuzzing;
#[path = "../../src/sandbox/inspect_component/mod.rs"]
mod inspect_component;

/// Any bytes as an answer.
pub fn answer(data: &[u8]) {
    fuzzing::answer(data);
}

/// Any bytes as a component.
pub fn component(data: &[u8]) {
    fuzzing::component(data);
}
