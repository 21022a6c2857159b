//! The locks and atomics of what is checked by loom: the standard library's, but for loom's in the tests of
//! the feature `loom`, which run under every order of steps that the memory model allows.
//!
//! Only the queue and its budget come here for them. Invariant: nothing that others build is ever built
//! with loom's.

#[cfg(not(all(test, feature = "loom")))]
pub(crate) use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};

#[cfg(not(all(test, feature = "loom")))]
pub(crate) mod atomic {
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
}

#[cfg(not(all(test, feature = "loom")))]
pub(crate) use std::thread::yield_now;

// Reference counts stay the standard library's: they are no part of what is checked, and loom's can't hold
// trait objects.
#[cfg(all(test, feature = "loom"))]
pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};
#[cfg(all(test, feature = "loom"))]
pub(crate) use std::sync::{Arc, Weak};

#[cfg(all(test, feature = "loom"))]
pub(crate) mod atomic {
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
}

/// None: loom's hands the turn to everybody else first, so that whoever looks before parking would never park.
#[cfg(all(test, feature = "loom"))]
pub(crate) fn yield_now() {}
