//! A look where there is no native reader: what sysinfo tells of the system, its cpus and memory.

use sysinfo::System;

use super::facts::{Facts, Table};
use crate::schedule::Tier;

/// The looks of one run of the source.
pub(super) struct Look {
    table: Table,
    failed: Option<String>,
}

impl Look {
    pub(super) fn new() -> Self {
        Self {
            table: Table::default(),
            failed: None,
        }
    }

    /// Looks at everything: none of it is expensive.
    pub(super) fn take(&mut self, _due: impl Fn(Tier) -> bool) {
        let mut facts = Facts::default();
        let mut say = |class, item, attribute, value: Option<String>| {
            facts.say(class, item, attribute, &value.unwrap_or_default());
        };
        say("host", "host", "name", System::host_name().ok());
        let boot = System::boot_time().ok();
        let boot = boot.map(|seconds| seconds.to_string());
        say("host", "host", "boot_time_unix_s", boot);
        say("kernel", "kernel", "release", System::kernel_version().ok());
        say("kernel", "kernel", "architecture", Some(System::cpu_arch()));
        say("os", "os", "name", System::name().ok());
        say("os", "os", "version", System::os_version().ok());
        say("os", "os", "pretty_name", System::long_os_version().ok());
        let cores = System::physical_core_count().ok();
        say("cpu", "cpu", "cores", cores.map(|cores| cores.to_string()));
        match System::new() {
            Ok(mut system) => {
                system.refresh_memory();
                system.refresh_cpu_usage();
                let threads = system.cpus().len().to_string();
                say("cpu", "cpu", "threads", Some(threads));
                let model = system.cpus().first().map(|cpu| cpu.brand().to_owned());
                say("cpu", "cpu", "model", model);
                let bytes = system.total_memory().to_string();
                say("memory", "memory", "total_bytes", Some(bytes));
                self.failed = None;
            }
            Err(error) => self.failed = Some(error.to_string()),
        }
        self.table.update(0, facts, self.failed.is_none());
    }

    #[expect(
        clippy::unused_self,
        reason = "it has the same functions as the look on Linux"
    )]
    pub(super) const fn take_mounts(&mut self) {}

    pub(super) const fn table(&mut self) -> &mut Table {
        &mut self.table
    }

    pub(super) fn failed(&self) -> Vec<(&'static str, String)> {
        let failed = self.failed.iter();
        failed
            .map(|error| ("cpu and memory", error.clone()))
            .collect()
    }
}

/// Nothing is watched.
pub(super) struct Watch;

impl Watch {
    pub(super) async fn changed(&mut self) {
        std::future::pending::<()>().await;
    }
}

/// Why there is nothing to tell here; none if there is.
#[cfg(not(target_os = "linux"))]
pub(super) fn unavailable() -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use weir_bus::Timestamp;

    use super::*;

    #[test]
    fn what_sysinfo_tells_is_told_by_the_same_names() {
        let mut look = Look::new();
        look.take(|_| true);
        look.take_mounts();
        assert_eq!(look.failed(), []);
        let rows: Vec<_> = look.table().rows(Timestamp(1)).collect();
        for (class, attribute) in [
            ("kernel", "release"),
            ("cpu", "threads"),
            ("memory", "total_bytes"),
            ("host", "boot_time_unix_s"),
        ] {
            let mut found = rows.iter();
            assert!(
                found.any(|row| row.class == class && row.attribute == attribute),
                "{class} {attribute}"
            );
        }
        look.take(|_| true);
        look.table().take_changes();
        look.take(|_| true);
        assert_eq!(look.table().take_changes(), []);
        drop(Watch.changed());
    }
}
