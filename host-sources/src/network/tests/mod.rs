//! Promises of the network source.

mod bytes;
mod holders;
mod owners;
mod sockets;
mod table;

use super::*;
