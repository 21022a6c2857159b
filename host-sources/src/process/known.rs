//! What is known of a process, on every platform: what a row is made of.
//!
//! It reads nothing. Who found it out, and what else it takes to find it out again, is the looks' own.

use std::sync::atomic::{AtomicU64, Ordering};

use super::details::Details;

/// The last edition that was given out.
static EDITIONS: AtomicU64 = AtomicU64::new(0);

/// What is another at each look: the fields of its row that are measured.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Measured {
    /// None: it hasn't been looked at, or the platform doesn't tell.
    pub(super) memory_bytes: Option<u64>,
    /// In % of one core since the look before; none at the first.
    pub(super) cpu_usage: Option<f64>,
    /// What it does, in a word; none where the platform doesn't tell.
    pub(super) state: Option<&'static str>,
}

/// A process as it was when it was seen last.
///
/// The invariant: of the same edition are the same details.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) pid: u32,
    pub(super) ppid: Option<u32>,
    pub(super) user_id: Option<u32>,
    pub(super) measured: Measured,
    /// Apart, so that what changes at each look lies close together.
    details: Box<Details>,
    edition: u64,
    /// Whether something of the details may come without the process doing anything.
    #[cfg(target_os = "linux")]
    may_be_awaited: bool,
}

impl Known {
    /// A process of which nothing is known but its details.
    pub(super) fn new(pid: u32, details: Details) -> Self {
        Self {
            pid,
            ppid: None,
            user_id: None,
            measured: Measured::default(),
            details: Box::new(details),
            edition: next_edition(),
            #[cfg(target_os = "linux")]
            may_be_awaited: true,
        }
    }

    /// What it has for long.
    pub(super) const fn details(&self) -> &Details {
        &self.details
    }

    /// The same, to be changed: another edition.
    pub(super) fn details_mut(&mut self) -> &mut Details {
        self.edition = next_edition();
        #[cfg(target_os = "linux")]
        {
            self.may_be_awaited = true;
        }
        &mut self.details
    }

    /// Reads the details again: another edition only if they are others then.
    #[cfg(target_os = "linux")]
    pub(super) fn read_again(&mut self, read: impl FnOnce(&mut Details)) {
        let before = self.details.clone();
        read(&mut self.details);
        self.may_be_awaited = true;
        if before != self.details {
            self.edition = next_edition();
        }
    }

    /// Whether something of the details comes without the process doing anything: see [`Details::is_awaited`]. They
    /// are looked at for that only once after each change.
    #[cfg(target_os = "linux")]
    pub(super) fn is_awaited(&mut self) -> bool {
        self.may_be_awaited = self.may_be_awaited && self.details.is_awaited();
        self.may_be_awaited
    }

    /// Stands for the details as they are: no others in this process have the same number.
    #[cfg(target_os = "linux")]
    pub(super) const fn edition(&self) -> u64 {
        self.edition
    }
}

fn next_edition() -> u64 {
    EDITIONS.fetch_add(1, Ordering::Relaxed) + 1
}

#[expect(
    clippy::cast_precision_loss,
    reason = "nanoseconds between two looks are far below 2^52"
)]
pub(super) fn percent_of_core(cpu_ns: u64, elapsed_ns: f64) -> f64 {
    cpu_ns as f64 / elapsed_ns * 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_use_is_in_percent_of_one_core() {
        let check = |cpu_ns, elapsed_ns, percent: f64| {
            assert!((percent_of_core(cpu_ns, elapsed_ns) - percent).abs() < 1e-9);
        };
        check(0, 1e9, 0.0);
        check(10_000_000, 1e9, 1.0);
        check(2_000_000_000, 1e9, 200.0);
        check(5, 20.0, 25.0);
    }
}
