//! Promises of the network source.

mod bytes;
mod owners;
mod sockets;
mod table;

use super::*;
