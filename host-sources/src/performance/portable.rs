//! A look where there is no native reader: what sysinfo tells of cpus, memory, swap, load and this process.
//!
//! Disks, interfaces, pressure and control groups are left out, with that word. The invariant: as on Linux, a part
//! that isn't told costs its own rows only.

use std::time::Duration;

use sysinfo::System;
use weir_bus::Timestamp;
use weir_bus::event::PerformanceEvent;

use super::counters::{Ledger, Moment, Tracks, as_f64};
use super::metric::{
    CPU_COUNT, CPU_UTILIZATION, LOAD_1M, LOAD_5M, LOAD_15M, MEMORY_AVAILABLE, MEMORY_LIMIT,
    MEMORY_USAGE, MEMORY_UTILIZATION, OWN_CPU, OWN_MEMORY, PAGING_USAGE, UPTIME,
};
use super::rows::Rows;
use crate::own_cost::OwnCost;
use crate::schedule::Tier;

/// sysinfo tells shares in %.
const PERCENT: f64 = 100.0;

/// The looks of one run of the source.
pub(super) struct Look {
    system: Result<System, String>,
    rows: Rows,
    withheld: Rows,
    own: Tracks<1>,
    ledger: Ledger,
    looks: u64,
}

impl Look {
    pub(super) fn new() -> Self {
        Self {
            system: System::new().map_err(|error| error.to_string()),
            rows: Rows::default(),
            withheld: Rows::default(),
            own: Tracks::new(0),
            ledger: Ledger::default(),
            looks: 0,
        }
    }

    /// Looks at everything: none of it is expensive.
    pub(super) fn take(
        &mut self,
        moment: &Moment,
        timestamp: Timestamp,
        _due: impl Fn(Tier) -> bool,
    ) {
        self.rows.begin(timestamp);
        self.looks += 1;
        if let Ok(system) = &mut self.system {
            cpus(system, self.looks > 1, &mut self.rows);
            memory(system, &mut self.rows);
        }
        if let Ok(load) = System::load_average() {
            for (metric, value) in [
                (LOAD_1M, load.one),
                (LOAD_5M, load.five),
                (LOAD_15M, load.fifteen),
            ] {
                self.rows.push(&metric, value);
            }
        }
        if let Ok(seconds) = System::uptime() {
            self.rows.push(&UPTIME, as_f64(seconds));
        }
        self.own_cost(moment);
        self.withheld.begin(timestamp);
        self.ledger.tell(&mut self.withheld);
    }

    fn own_cost(&mut self, moment: &Moment) {
        let Some(cost) = OwnCost::read() else {
            return;
        };
        self.rows.push(&OWN_MEMORY, as_f64(cost.resident_bytes));
        let cpu_ns = u64::try_from(cost.cpu.as_nanos()).unwrap_or(u64::MAX);
        self.own.begin();
        let deltas = self.own.advance(b"", 0, moment, [cpu_ns], &mut self.ledger);
        if let Some(deltas) = deltas {
            let second_ns = Duration::from_secs(1).as_nanos();
            let cores = deltas.rate(0) / as_f64(u64::try_from(second_ns).unwrap_or(u64::MAX));
            self.rows.push(&OWN_CPU, cores);
        }
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = &[PerformanceEvent]> {
        [self.rows.as_slice(), self.withheld.as_slice()].into_iter()
    }

    pub(super) fn failed(&self) -> Vec<(&'static str, String)> {
        let error = self.system.as_ref().err();
        error
            .map(|error| ("cpu and memory", error.clone()))
            .into_iter()
            .collect()
    }

    #[expect(
        clippy::unused_self,
        reason = "it has the same functions as the look on Linux"
    )]
    pub(super) fn left_out(&self) -> Vec<(&'static str, String)> {
        let reason = "only read on Linux".to_owned();
        vec![("disks, network, pressure and control groups", reason)]
    }
}

fn cpus(system: &mut System, has_before: bool, rows: &mut Rows) {
    system.refresh_cpu_usage();
    let count = u64::try_from(system.cpus().len()).unwrap_or(u64::MAX);
    rows.push(&CPU_COUNT, as_f64(count));
    // A usage is a difference: the first look has none.
    if !has_before {
        return;
    }
    let all = f64::from(system.global_cpu_usage()) / PERCENT;
    rows.push_of(&CPU_UTILIZATION, format_args!("cpu:busy"), all);
    for (index, cpu) in system.cpus().iter().enumerate() {
        let busy = f64::from(cpu.usage()) / PERCENT;
        rows.push_of(&CPU_UTILIZATION, format_args!("cpu{index}:busy"), busy);
    }
}

fn memory(system: &mut System, rows: &mut Rows) {
    system.refresh_memory();
    let (total, used) = (system.total_memory(), system.used_memory());
    rows.push(&MEMORY_LIMIT, as_f64(total));
    rows.push(&MEMORY_AVAILABLE, as_f64(system.available_memory()));
    rows.push_of(&MEMORY_USAGE, format_args!("used"), as_f64(used));
    rows.push_of(
        &MEMORY_USAGE,
        format_args!("free"),
        as_f64(system.free_memory()),
    );
    if total > 0 {
        let share = as_f64(used) / as_f64(total);
        rows.push_of(&MEMORY_UTILIZATION, format_args!("used"), share);
    }
    if system.total_swap() > 0 {
        for (state, bytes) in [("used", system.used_swap()), ("free", system.free_swap())] {
            rows.push_of(&PAGING_USAGE, format_args!("{state}"), as_f64(bytes));
        }
    }
}

/// Why nothing at all can be measured here; none if something can.
#[cfg(not(target_os = "linux"))]
pub(super) fn unavailable() -> Option<String> {
    let error = System::new().err()?;
    Some(format!("this platform doesn't show its load: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sysinfo_tells_is_told_by_the_same_names() {
        let mut look = Look::new();
        let at = |seconds| Moment::new(Duration::from_secs(seconds), None);
        look.take(&at(0), Timestamp(1), |_| true);
        look.take(&at(1), Timestamp(2), |_| true);
        assert_eq!(look.failed(), []);
        assert_eq!(look.left_out().len(), 1);
        let rows: Vec<&PerformanceEvent> = look.rows().flatten().collect();
        let has = |metric: &str, component: Option<&str>| {
            let found = rows
                .iter()
                .any(|row| row.metric == metric && row.component.as_deref() == component);
            assert!(found, "{metric} {component:?}");
        };
        has("system.cpu.utilization", Some("cpu:busy"));
        has("system.cpu.utilization", Some("cpu0:busy"));
        has("system.memory.usage", Some("used"));
        has("system.cpu.load_average.1m", None);
        has("process.cpu.utilization", None);
        assert!(rows.iter().all(|row| row.value >= 0.0));
    }
}
