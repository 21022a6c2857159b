//! Promises of the filesystem source.

mod bytes;
mod choice;
mod files;
mod merging;

use super::*;
