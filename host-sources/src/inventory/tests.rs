//! Promises of the inventory source, over folders of tests, over anything, and over this machine.

#[cfg(target_os = "linux")]
mod fixtures;
#[cfg(target_os = "linux")]
mod hostile;
#[cfg(target_os = "linux")]
mod machine;
