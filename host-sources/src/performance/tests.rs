//! Promises of the performance source, over what real machines showed, over anything else, and over this machine.

#[cfg(target_os = "linux")]
mod fixtures;
#[cfg(target_os = "linux")]
mod hostile;
#[cfg(target_os = "linux")]
mod machine;
#[cfg(target_os = "linux")]
mod ordinary;
