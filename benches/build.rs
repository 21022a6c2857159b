//! Builds the guests that the benches run, from source, into this crate's `OUT_DIR`.
//!
//! It runs again only when these guests, the SDK or the contract change.

use std::process::ExitCode;

#[path = "../guests/building.rs"]
mod building;

use building::Place;

/// The guests of the benches; the package is `weir-bench-NAME`.
const GUESTS: [&str; 7] = [
    "text", "numeric", "empty", "rules", "counter", "spin", "records",
];
/// Under the repository: what they are made of.
const INPUTS: [&str; 7] = [
    "guests/building.rs",
    "guests/Cargo.toml",
    "guests/Cargo.lock",
    "guests/.cargo",
    "guests/sdk",
    "guests/bench",
    "wit",
];

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            println!("cargo::error={text}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), String> {
    let place = Place::of_build_script()?;
    place.depends_on(&INPUTS);
    place.build_guests("weir-bench", &GUESTS)
}
