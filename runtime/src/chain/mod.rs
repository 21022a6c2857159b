//! Chains: directed acyclic graphs of stages that run for a trigger request.

pub mod plan;
pub mod run;
