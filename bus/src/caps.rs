//! What a source can do, as flags.
//!
//! Only names: which topics follow from them is `topic::families`'s business, and whether a host
//! offers them is the source's. The invariant: the names are stable, configs and other processes use them.

use std::fmt;

bitflags::bitflags! {
    /// What a source observes, and how.
    ///
    /// The first four say *what* it observes and give a subscriber its default patterns, the others say *how*.
    /// Serialized by flag name, as in `"PROCESS | REALTIME"`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
    pub struct SourceCaps: u32 {
        /// Processes: what runs, what starts, what ends.
        const PROCESS = 1;
        /// Connections and sockets.
        const NETWORK = 1 << 1;
        /// Operations on files.
        const FILESYSTEM = 1 << 2;
        /// Measurements: cpu, memory, pressure.
        const PERFORMANCE = 1 << 3;
        /// Events arrive as they happen, not at an interval.
        const REALTIME = 1 << 4;
        /// Events come from the kernel, not from polling what it shows.
        const KERNEL_LEVEL = 1 << 5;
        /// The whole machine is seen, not only what the daemon's user may see.
        const SYSTEM_WIDE = 1 << 6;
    }
}

impl SourceCaps {
    /// The name of each flag that is set, in the order of declaration: `process`, `kernel-level`.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        const NAMES: [(SourceCaps, &str); 7] = [
            (SourceCaps::PROCESS, "process"),
            (SourceCaps::NETWORK, "network"),
            (SourceCaps::FILESYSTEM, "filesystem"),
            (SourceCaps::PERFORMANCE, "performance"),
            (SourceCaps::REALTIME, "realtime"),
            (SourceCaps::KERNEL_LEVEL, "kernel-level"),
            (SourceCaps::SYSTEM_WIDE, "system-wide"),
        ];
        NAMES
            .into_iter()
            .filter(move |(flag, _)| self.contains(*flag))
            .map(|(_, name)| name)
    }
}

/// The names, separated by commas; `none` where nothing is set.
impl fmt::Display for SourceCaps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("none");
        }
        for (index, name) in self.names().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            f.write_str(name)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(caps: SourceCaps, shown: &str) {
        assert_eq!(caps.to_string(), shown);
        let text = serde_json::to_string(&caps).unwrap();
        assert_eq!(serde_json::from_str::<SourceCaps>(&text).unwrap(), caps);
    }

    #[test]
    fn flags_show_as_names_and_survive_serde() {
        check(SourceCaps::empty(), "none");
        check(SourceCaps::PROCESS, "process");
        check(
            SourceCaps::PROCESS | SourceCaps::SYSTEM_WIDE,
            "process, system-wide",
        );
        check(
            SourceCaps::all(),
            "process, network, filesystem, performance, realtime, kernel-level, system-wide",
        );
    }

    #[test]
    fn every_flag_has_a_name() {
        assert_eq!(
            SourceCaps::all().names().count(),
            SourceCaps::all().iter().count()
        );
    }
}
