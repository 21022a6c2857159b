//! The files of an ordinary host, and what a look at them tells.

use std::time::Duration;

use weir_bus::Timestamp;

use super::super::counters::Moment;
use super::super::linux::Look;
use super::super::*;
use crate::kernel_files::testing::FakeRoots;

/// A machine of two looks a second apart, of which the tests change files in between.
pub(super) struct Machine {
    pub(super) fake: FakeRoots,
    pub(super) look: Look,
    looks: u64,
}

impl Machine {
    /// With the files of an ordinary host.
    pub(super) fn new() -> Self {
        let fake = FakeRoots::new();
        for (path, text) in ORDINARY {
            fake.write(path, text);
        }
        let look = Look::new(&fake.roots());
        Self {
            fake,
            look,
            looks: 0,
        }
    }

    pub(super) fn look(&mut self) {
        let moment = Moment::new(Duration::from_secs(self.looks), None);
        self.looks += 1;
        self.look.take(&moment, Timestamp(1), |_| true);
    }

    pub(super) fn rows(&self) -> Vec<PerformanceEvent> {
        self.look.rows().flatten().cloned().collect()
    }

    pub(super) fn failed(&self) -> Vec<(&'static str, String)> {
        self.look.failed()
    }

    pub(super) fn left_out(&self) -> Vec<(&'static str, String)> {
        self.look.left_out()
    }

    /// A row's value; none if there is no such row.
    pub(super) fn value(&self, metric: &str, component: &str) -> Option<f64> {
        let rows = self.rows();
        let row = rows.iter().find(|row| {
            row.metric == metric && row.component.as_deref().unwrap_or_default() == component
        });
        row.map(|row| row.value)
    }

    pub(super) fn components(&self, metric: &str) -> Vec<String> {
        let rows = self.rows().into_iter().filter(|row| row.metric == metric);
        rows.filter_map(|row| row.component).collect()
    }

    #[track_caller]
    pub(super) fn check(&self, metric: &str, component: &str, expected: Option<f64>) {
        let value = self.value(metric, component);
        let is_near = match (value, expected) {
            (Some(value), Some(expected)) => (value - expected).abs() < 1e-9 * expected.max(1.0),
            (None, None) => true,
            _ => false,
        };
        assert!(is_near, "{metric} {component}: {value:?}, not {expected:?}");
    }
}

pub(super) const STAT: &str = "cpu  100 0 50 850 0 0 0 0 0 0\ncpu0 100 0 50 850 0 0 0 0 0 0\nintr 5 0 0\nctxt 7\nbtime 1700000000\nprocesses 1000\nprocs_running 2\nprocs_blocked 1\nsoftirq 1 2\n";
pub(super) const DISKS: &str = "   8       0 sda 100 1 2000 300 200 2 4000 600 0 700 900 0 0 0 0 0 0\n   8       1 sda1 90 1 1900 290 190 2 3900 590 0 690 880 0 0 0 0 0 0\n   7       0 loop0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n";
pub(super) const NETWORK: &str = "Inter-|   Receive                                                |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    lo: 1000 10 0 0 0 0 0 0 1000 10 0 0 0 0 0 0\n  eth0: 5000 50 1 2 0 0 0 0 6000 60 3 4 0 0 0 0\n dummy0: 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n";
pub(super) const PRESSURE: &str = "some avg10=12.50 avg60=1.00 avg300=0.10 total=1000000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n";
pub(super) const OWN: &str = "4711 (we) ird) S 1 7 7 0 -1 4194560 1 2 3 4 250 50 7 8 20 0 12 0 4711 66000 77 18446744073709551615 1\n";

pub(super) const ORDINARY: &[(&str, &str)] = &[
    ("proc/stat", STAT),
    ("proc/loadavg", "5.76 3.72 2.57 8/157 31032\n"),
    ("proc/uptime", "1234.56 789.01\n"),
    (
        "proc/meminfo",
        "MemTotal:       1000 kB\nMemFree:         400 kB\nMemAvailable:    700 kB\nBuffers:          50 kB\nCached:          200 kB\nSwapCached:        0 kB\nShmem:            20 kB\nSReclaimable:     50 kB\nSUnreclaim:       30 kB\nSwapTotal:       100 kB\nSwapFree:         75 kB\nHugePages_Total:       0\n",
    ),
    (
        "proc/vmstat",
        "nr_free_pages 5\npswpin 1\npswpout 2\npgfault 100\npgmajfault 10\n",
    ),
    ("proc/diskstats", DISKS),
    ("proc/net/dev", NETWORK),
    ("proc/pressure/cpu", PRESSURE),
    ("proc/pressure/memory", PRESSURE),
    ("proc/pressure/io", PRESSURE),
    ("proc/self/stat", OWN),
    ("proc/self/fd/0", ""),
    ("sys/block/sda/size", "100\n"),
    ("sys/block/loop0/size", "0\n"),
    ("sys/fs/cgroup/cgroup.controllers", "cpu io memory pids\n"),
    (
        "sys/fs/cgroup/cpu.stat",
        "usage_usec 9\nuser_usec 1000\nsystem_usec 500\n",
    ),
    (
        "sys/fs/cgroup/a.slice/cpu.stat",
        "user_usec 0\nsystem_usec 0\nnr_periods 1\nthrottled_usec 10\n",
    ),
    ("sys/fs/cgroup/a.slice/memory.current", "4096\n"),
    ("sys/fs/cgroup/a.slice/pids.current", "3\n"),
    (
        "sys/fs/cgroup/a.slice/io.stat",
        "8:0 rbytes=0 wbytes=0 rios=0 wios=0\n",
    ),
];

/// What the files count in a second of ordinary work.
pub(super) fn a_second_passes(fake: &FakeRoots) {
    fake.write(
        "proc/stat",
        STAT.replace("100 0 50 850 0 0 0 0", "125 5 60 900 4 2 3 1")
            .replace("processes 1000", "processes 1040"),
    );
    fake.write(
        "proc/vmstat",
        "pswpin 4\npswpout 2\npgfault 150\npgmajfault 20\n",
    );
    fake.write(
        "proc/diskstats",
        DISKS.replace(
            "100 1 2000 300 200 2 4000 600 0 700",
            "110 1 2008 400 220 2 4016 800 0 950",
        ),
    );
    fake.write(
        "proc/net/dev",
        NETWORK.replace(
            "eth0: 5000 50 1 2 0 0 0 0 6000 60 3 4",
            "eth0: 5500 55 2 4 0 0 0 0 6600 66 6 8",
        ),
    );
    fake.write(
        "proc/pressure/io",
        PRESSURE.replace("total=1000000", "total=1250000"),
    );
    fake.write("proc/self/stat", OWN.replace("250 50", "300 70"));
    fake.write(
        "sys/fs/cgroup/a.slice/cpu.stat",
        "user_usec 1500000\nsystem_usec 250000\nthrottled_usec 500010\n",
    );
    fake.write(
        "sys/fs/cgroup/a.slice/io.stat",
        "8:0 rbytes=512 wbytes=1024 rios=1 wios=2\n8:16 rbytes=8 wbytes=0 rios=1 wios=0\n",
    );
}

pub(super) const OF_AN_ORDINARY_SECOND: &[(&str, &str, f64)] = &[
    ("system.process.count", "running", 2.0),
    ("system.process.count", "blocked", 1.0),
    ("system.process.created", "", 40.0),
    ("system.cpu.load_average.1m", "", 5.76),
    ("system.cpu.load_average.15m", "", 2.57),
    ("system.uptime", "", 1234.56),
    ("system.memory.limit", "", 1_024_000.0),
    ("system.memory.usage", "used", 307_200.0),
    ("system.memory.usage", "free", 409_600.0),
    ("system.memory.usage", "buffers", 51_200.0),
    ("system.memory.usage", "cached", 256_000.0),
    ("system.memory.utilization", "used", 0.3),
    ("system.memory.linux.available", "", 716_800.0),
    ("system.paging.usage", "used", 25_600.0),
    ("system.paging.utilization", "used", 0.25),
    ("system.paging.faults", "minor", 40.0),
    ("system.paging.faults", "major", 10.0),
    ("system.paging.operations", "in", 3.0),
    ("system.disk.io", "sda:read", 4_096.0),
    ("system.disk.io", "sda:write", 8_192.0),
    ("system.disk.operations", "sda:read", 10.0),
    ("system.disk.operation_time", "sda:write", 0.2),
    ("system.disk.io_time", "sda", 0.25),
    ("system.network.io", "eth0:receive", 500.0),
    ("system.network.io", "eth0:transmit", 600.0),
    ("system.network.packet.count", "eth0:receive", 5.0),
    ("system.network.errors", "eth0:transmit", 3.0),
    ("system.network.packet.dropped", "eth0:receive", 2.0),
    ("system.network.io", "lo:receive", 0.0),
    ("system.cpu.linux.pressure.10s", "some", 0.125),
    ("system.io.linux.pressure.total", "some", 0.25),
    ("system.memory.linux.pressure.5m", "full", 0.0),
    ("cgroup.cpu.utilization", "/a.slice:user", 1.5),
    ("cgroup.cpu.utilization", "/a.slice:system", 0.25),
    ("cgroup.cpu.utilization", "/:user", 0.0),
    ("cgroup.cpu.throttled", "/a.slice", 0.5),
    ("cgroup.memory.usage", "/a.slice", 4_096.0),
    ("cgroup.task.count", "/a.slice", 3.0),
    ("cgroup.io", "/a.slice:read", 520.0),
    ("cgroup.io.operations", "/a.slice:write", 2.0),
    ("process.thread.count", "", 12.0),
];
