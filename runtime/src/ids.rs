//! Names for requests and findings: unlike any other of any run on this machine.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use weir_bus::Timestamp;

/// A new id: when this process began, which process it is, and a number.
pub(crate) fn new_id() -> String {
    static INCARNATION: OnceLock<String> = OnceLock::new();
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let incarnation =
        INCARNATION.get_or_init(|| format!("{:x}-{:x}", Timestamp::now().0, std::process::id()));
    format!("{incarnation}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}
