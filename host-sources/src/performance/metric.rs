//! The metrics: what each is called, its unit, what its component says, and where it is read.
//!
//! Names are those of OpenTelemetry's semantic conventions for systems and processes where these have one, and units
//! UCUM's. What is a counter there is sent as its rate, and its unit says so: `By` becomes `By/s`; a counter of
//! seconds becomes a share of the time, `1`. The invariant: `docs/metrics.md` has a line for each.

/// A metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Its unit, as UCUM writes it.
    pub unit: &'static str,
    /// What rows have as their component; empty: none.
    pub component: &'static str,
    /// The file that it is read from on Linux.
    pub read_from: &'static str,
    /// What it is.
    pub about: &'static str,
}

macro_rules! metrics {
    ($( $constant:ident = $name:literal, $unit:literal, $component:literal, $read_from:literal, $about:literal; )*) => {
        $( pub(super) const $constant: Metric = Metric {
            name: $name,
            unit: $unit,
            component: $component,
            read_from: $read_from,
            about: $about,
        }; )*

        /// All metrics.
        pub const METRICS: &[Metric] = &[ $( $constant ),* ];
    };
}

metrics! {
    CPU_UTILIZATION = "system.cpu.utilization", "1",
        "`cpu:MODE` of all, `cpuN:MODE` of each; modes `user`, `nice`, `system`, `idle`, `iowait`, `interrupt`, `steal`; elsewhere than on Linux only `busy`",
        "`/proc/stat`", "The share of the time that was spent in a mode; the modes of a cpu sum up to 1. `user` has what guests of a hypervisor took, too.";
    CPU_COUNT = "system.cpu.logical.count", "{cpu}", "", "`/proc/stat`", "Cpus that are online.";
    LOAD_1M = "system.cpu.load_average.1m", "{thread}", "", "`/proc/loadavg`", "Threads that run or wait, or wait for a disk, on average over a minute.";
    LOAD_5M = "system.cpu.load_average.5m", "{thread}", "", "`/proc/loadavg`", "The same over 5 minutes.";
    LOAD_15M = "system.cpu.load_average.15m", "{thread}", "", "`/proc/loadavg`", "The same over 15 minutes.";
    UPTIME = "system.uptime", "s", "", "`/proc/uptime`", "Since the boot, sleep included.";
    PROCESS_COUNT = "system.process.count", "{process}", "`running`, `blocked`", "`/proc/stat`", "Threads that run or could, and that wait for a disk, at this moment.";
    PROCESS_CREATED = "system.process.created", "{process}/s", "", "`/proc/stat`", "Processes and threads that were made.";
    MEMORY_USAGE = "system.memory.usage", "By", "`used`, `free`, `buffers`, `cached`", "`/proc/meminfo`", "Memory by what it is for; the four sum up to the limit. `cached` has what the kernel could give back of its own (`SReclaimable`).";
    MEMORY_UTILIZATION = "system.memory.utilization", "1", "`used`", "`/proc/meminfo`", "The share of the limit that is used.";
    MEMORY_LIMIT = "system.memory.limit", "By", "", "`/proc/meminfo`", "All memory.";
    MEMORY_AVAILABLE = "system.memory.linux.available", "By", "", "`/proc/meminfo`", "What programs could still get without swapping, as the kernel estimates it.";
    MEMORY_SHARED = "system.memory.linux.shared", "By", "", "`/proc/meminfo`", "Shared memory, files in tmpfs among it.";
    MEMORY_SLAB = "system.memory.linux.slab.usage", "By", "`reclaimable`, `unreclaimable`", "`/proc/meminfo`", "The kernel's own objects.";
    PAGING_USAGE = "system.paging.usage", "By", "`used`, `free`", "`/proc/meminfo`", "Swap; none where there is no swap.";
    PAGING_UTILIZATION = "system.paging.utilization", "1", "`used`", "`/proc/meminfo`", "The share of the swap that is used.";
    PAGING_FAULTS = "system.paging.faults", "{fault}/s", "`minor`, `major`", "`/proc/vmstat`", "Page faults; major ones had to read from a disk.";
    PAGING_OPERATIONS = "system.paging.operations", "{operation}/s", "`in`, `out`", "`/proc/vmstat`", "Pages from and to the swap.";
    DISK_IO = "system.disk.io", "By/s", "`DISK:read`, `DISK:write`", "`/proc/diskstats`", "Bytes read and written.";
    DISK_OPERATIONS = "system.disk.operations", "{operation}/s", "`DISK:read`, `DISK:write`", "`/proc/diskstats`", "Reads and writes that were completed.";
    DISK_IO_TIME = "system.disk.io_time", "1", "`DISK`", "`/proc/diskstats`", "The share of the time in which the disk was busy. A disk that works on many things at once isn't used up at 1.";
    DISK_OPERATION_TIME = "system.disk.operation_time", "1", "`DISK:read`, `DISK:write`", "`/proc/diskstats`", "The time that operations took, as a share of the time: how many were under way on average.";
    NETWORK_IO = "system.network.io", "By/s", "`INTERFACE:receive`, `INTERFACE:transmit`", "`/proc/net/dev`", "Bytes received and sent.";
    NETWORK_PACKETS = "system.network.packet.count", "{packet}/s", "`INTERFACE:receive`, `INTERFACE:transmit`", "`/proc/net/dev`", "Packets received and sent.";
    NETWORK_ERRORS = "system.network.errors", "{error}/s", "`INTERFACE:receive`, `INTERFACE:transmit`", "`/proc/net/dev`", "Errors.";
    NETWORK_DROPPED = "system.network.packet.dropped", "{packet}/s", "`INTERFACE:receive`, `INTERFACE:transmit`", "`/proc/net/dev`", "Packets that were dropped without an error.";
    CPU_PRESSURE_10S = "system.cpu.linux.pressure.10s", "1", "`some`, `full`", "`/proc/pressure/cpu`", "The share of the last 10 s in which some task, or all that weren't idle, waited for a cpu.";
    CPU_PRESSURE_1M = "system.cpu.linux.pressure.1m", "1", "`some`, `full`", "`/proc/pressure/cpu`", "The same of the last minute.";
    CPU_PRESSURE_5M = "system.cpu.linux.pressure.5m", "1", "`some`, `full`", "`/proc/pressure/cpu`", "The same of the last 5 minutes.";
    CPU_PRESSURE_TOTAL = "system.cpu.linux.pressure.total", "1", "`some`, `full`", "`/proc/pressure/cpu`", "The same since the look before.";
    MEMORY_PRESSURE_10S = "system.memory.linux.pressure.10s", "1", "`some`, `full`", "`/proc/pressure/memory`", "The same for memory: reclaim, swap and what is read back.";
    MEMORY_PRESSURE_1M = "system.memory.linux.pressure.1m", "1", "`some`, `full`", "`/proc/pressure/memory`", "Of the last minute.";
    MEMORY_PRESSURE_5M = "system.memory.linux.pressure.5m", "1", "`some`, `full`", "`/proc/pressure/memory`", "Of the last 5 minutes.";
    MEMORY_PRESSURE_TOTAL = "system.memory.linux.pressure.total", "1", "`some`, `full`", "`/proc/pressure/memory`", "Since the look before.";
    IO_PRESSURE_10S = "system.io.linux.pressure.10s", "1", "`some`, `full`", "`/proc/pressure/io`", "The same for disks.";
    IO_PRESSURE_1M = "system.io.linux.pressure.1m", "1", "`some`, `full`", "`/proc/pressure/io`", "Of the last minute.";
    IO_PRESSURE_5M = "system.io.linux.pressure.5m", "1", "`some`, `full`", "`/proc/pressure/io`", "Of the last 5 minutes.";
    IO_PRESSURE_TOTAL = "system.io.linux.pressure.total", "1", "`some`, `full`", "`/proc/pressure/io`", "Since the look before.";
    IRQ_PRESSURE_10S = "system.irq.linux.pressure.10s", "1", "`full`", "`/proc/pressure/irq`", "The same for interrupts, where the kernel tells it.";
    IRQ_PRESSURE_1M = "system.irq.linux.pressure.1m", "1", "`full`", "`/proc/pressure/irq`", "Of the last minute.";
    IRQ_PRESSURE_5M = "system.irq.linux.pressure.5m", "1", "`full`", "`/proc/pressure/irq`", "Of the last 5 minutes.";
    IRQ_PRESSURE_TOTAL = "system.irq.linux.pressure.total", "1", "`full`", "`/proc/pressure/irq`", "Since the look before.";
    CGROUP_CPU = "cgroup.cpu.utilization", "1", "`PATH:user`, `PATH:system`", "`cpu.stat`", "CPU time of a control group (version 2) and all below it, as cores: 2 is two of them.";
    CGROUP_CPU_THROTTLED = "cgroup.cpu.throttled", "1", "`PATH`", "`cpu.stat`", "The share of the time in which it was held back by its limit; with several cpus it may be above 1.";
    CGROUP_MEMORY = "cgroup.memory.usage", "By", "`PATH`", "`memory.current`", "Its memory.";
    CGROUP_IO = "cgroup.io", "By/s", "`PATH:read`, `PATH:write`", "`io.stat`", "Bytes that it read and wrote, over all disks.";
    CGROUP_OPERATIONS = "cgroup.io.operations", "{operation}/s", "`PATH:read`, `PATH:write`", "`io.stat`", "Its reads and writes, over all disks.";
    CGROUP_TASKS = "cgroup.task.count", "{task}", "`PATH`", "`pids.current`", "Its processes and threads.";
    OWN_CPU = "process.cpu.utilization", "1", "", "`/proc/self/stat`", "The daemon's own CPU time, as cores. These rows have its pid and start time.";
    OWN_MEMORY = "process.memory.usage", "By", "", "`/proc/self/stat`", "Its resident memory.";
    OWN_THREADS = "process.thread.count", "{thread}", "", "`/proc/self/stat`", "Its threads.";
    OWN_DESCRIPTORS = "process.unix.file_descriptor.count", "{file_descriptor}", "", "`/proc/self/fd`", "Its open descriptors.";
    WITHHELD = "weir.performance.withheld", "{rate}", "`too-short`, `too-long`, `time-backwards`, `reset`", "", "Looks at a counter, since the source was started, of which no rate was made, by the reason; only those that there were.";
}

/// Windows and total of one resource's pressure, in the order of its file.
pub(super) type PressureMetrics = [Metric; 4];

pub(super) const CPU_PRESSURE: PressureMetrics = [
    CPU_PRESSURE_10S,
    CPU_PRESSURE_1M,
    CPU_PRESSURE_5M,
    CPU_PRESSURE_TOTAL,
];
pub(super) const MEMORY_PRESSURE: PressureMetrics = [
    MEMORY_PRESSURE_10S,
    MEMORY_PRESSURE_1M,
    MEMORY_PRESSURE_5M,
    MEMORY_PRESSURE_TOTAL,
];
pub(super) const IO_PRESSURE: PressureMetrics = [
    IO_PRESSURE_10S,
    IO_PRESSURE_1M,
    IO_PRESSURE_5M,
    IO_PRESSURE_TOTAL,
];
pub(super) const IRQ_PRESSURE: PressureMetrics = [
    IRQ_PRESSURE_10S,
    IRQ_PRESSURE_1M,
    IRQ_PRESSURE_5M,
    IRQ_PRESSURE_TOTAL,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_a_line_for_each_metric() {
        let page = include_str!("../../../docs/metrics.md");
        let (page, _) = page.split_once("## Inventory").expect("two parts");
        let lines: Vec<String> = METRICS
            .iter()
            .map(|metric| {
                format!(
                    "| `{}` | `{}` | {} | {} | {} |",
                    metric.name, metric.unit, metric.component, metric.read_from, metric.about
                )
            })
            .collect();
        let missing: Vec<&String> = lines
            .iter()
            .filter(|line| !page.lines().any(|of_page| of_page == line.as_str()))
            .collect();
        assert!(
            missing.is_empty(),
            "docs/metrics.md lacks:\n{}",
            missing
                .iter()
                .map(|line| line.as_str())
                .collect::<Vec<_>>()
                .join("\n")
        );
        let rows = page.lines().filter(|line| line.starts_with("| `"));
        assert_eq!(
            rows.filter(|row| !lines.iter().any(|line| line == row))
                .count(),
            0
        );
    }

    #[test]
    fn no_two_metrics_share_a_name() {
        let mut names: Vec<&str> = METRICS.iter().map(|metric| metric.name).collect();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
