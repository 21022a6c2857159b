//! Which privileges this thread has: to tell what an operator can change from what nobody can.

use rustix::thread::{CapabilitySet, capabilities};

/// Whether the calling thread has all of these.
pub(crate) fn has(wanted: CapabilitySet) -> bool {
    capabilities(None).is_ok_and(|sets| sets.effective.contains(wanted))
}
