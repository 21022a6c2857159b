//! What runs in the kernel: small programs, and the records that they write.
//!
//! A program and the parser of its records stand in one file, and share the record's layout. Programs
//! only copy: nothing is judged in the kernel. The invariant: a record is read from bytes that were
//! checked, and names no place in memory that anyone follows.

pub(crate) mod event;
pub(crate) mod exec;
pub(crate) mod exit;
pub(crate) mod files;
pub(crate) mod fork;
pub(crate) mod sockets;
pub(crate) mod tasks;

/// Bytes of a task's name, its last a zero: `TASK_COMM_LEN`.
pub(crate) const NAME_BYTES: usize = 16;

/// A name without what follows its end.
pub(crate) fn name_of(bytes: &[u8; NAME_BYTES]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}
