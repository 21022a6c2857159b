//! Contents of `/proc` and `/sys` as machines of many kinds show them.

use std::time::Duration;

use weir_bus::Timestamp;

use super::super::counters::Moment;
use super::super::*;
use super::ordinary::*;
use crate::kernel_files::testing::FakeRoots;

#[test]
fn an_ordinary_host_tells_all_of_itself_at_the_second_look() {
    let mut machine = Machine::new();
    machine.look();
    assert_eq!(machine.failed(), []);
    assert_eq!(machine.left_out(), []);
    // What is the difference of two looks isn't there yet.
    machine.check("system.cpu.utilization", "cpu:user", None);
    machine.check("system.cpu.logical.count", "", Some(1.0));
    a_second_passes(&machine.fake);
    machine.look();
    assert_eq!(machine.failed(), []);
    // 100 ticks in all.
    for (mode, share) in [
        ("user", 0.25),
        ("nice", 0.05),
        ("system", 0.1),
        ("idle", 0.5),
        ("iowait", 0.04),
        ("interrupt", 0.05),
        ("steal", 0.01),
    ] {
        machine.check(
            "system.cpu.utilization",
            &format!("cpu:{mode}"),
            Some(share),
        );
        machine.check(
            "system.cpu.utilization",
            &format!("cpu0:{mode}"),
            Some(share),
        );
    }
    for (metric, component, expected) in OF_AN_ORDINARY_SECOND {
        machine.check(metric, component, Some(*expected));
    }
    let ticks_s = counters::as_f64(rustix::param::clock_ticks_per_second());
    machine.check("process.cpu.utilization", "", Some(70.0 / ticks_s));
    // Partitions, unused disks and unused interfaces are left out.
    assert_eq!(machine.components("system.disk.io_time"), ["sda"]);
    assert!(
        machine
            .components("system.network.io")
            .iter()
            .all(|one| !one.starts_with("dummy0"))
    );
    machine.check("system.irq.linux.pressure.10s", "full", None);
}

#[test]
fn every_row_is_of_a_metric_that_the_page_has_and_of_its_unit() {
    let mut machine = Machine::new();
    machine.look();
    machine.look();
    for row in machine.rows() {
        let metric = metric::METRICS
            .iter()
            .find(|metric| metric.name == row.metric);
        assert_eq!(metric.unwrap().unit, row.unit);
        let is_own = row.metric.starts_with("process.");
        assert_eq!(row.pid, is_own.then_some(4711), "{}", row.metric);
        assert_eq!(row.process_start_time.is_some(), is_own);
    }
}

#[test]
fn one_broken_file_harms_only_its_own_metrics_and_is_named() {
    let whole = {
        let mut machine = Machine::new();
        machine.look();
        machine.look();
        machine.rows().len()
    };
    for (path, part) in [
        ("proc/stat", "cpu"),
        ("proc/loadavg", "load"),
        ("proc/uptime", "load"),
        ("proc/meminfo", "memory"),
        ("proc/vmstat", "paging"),
        ("proc/diskstats", "disks"),
        ("proc/net/dev", "network"),
        ("proc/pressure/memory", "pressure"),
        ("proc/self/stat", "own cost"),
    ] {
        for contents in [
            None,
            Some("cpu0 -1\nsome avg10=x\neth0: 1\n 8 0\nMemTotal: much\n"),
        ] {
            let mut machine = Machine::new();
            machine.look();
            match contents {
                Some(text) => machine.fake.write(path, text),
                None => machine.fake.remove(path),
            }
            machine.look();
            let told = [machine.failed(), machine.left_out()].concat();
            let [(named, reason)] = told.as_slice() else {
                panic!("{path}: {told:?}");
            };
            assert_eq!(*named, part);
            assert!(reason.contains(path), "{path}: {reason}");
            let rows = machine.rows();
            assert!(!rows.is_empty() && rows.len() < whole, "{path}");
            // It comes back with its file.
            let (_, text) = ORDINARY.iter().find(|(of, _)| *of == path).unwrap();
            machine.fake.write(path, text);
            machine.look();
            machine.look();
            assert_eq!(machine.failed(), [], "{path}");
            assert_eq!(machine.rows().len(), whole, "{path}");
        }
    }
}

#[test]
fn what_a_host_does_not_offer_is_left_out_with_a_remedy_and_is_no_failure() {
    let mut machine = Machine::new();
    machine.fake.remove("proc/pressure");
    machine.fake.remove("sys/fs/cgroup");
    machine.look();
    assert_eq!(machine.failed(), []);
    let reasons: Vec<String> = machine
        .left_out()
        .into_iter()
        .map(|(_, reason)| reason)
        .collect();
    assert!(reasons[0].contains("CONFIG_PSI"), "{reasons:?}");
    assert!(reasons[1].contains("mount cgroup2"), "{reasons:?}");
    // Beside version 1, what version 2 counts is told.
    machine
        .fake
        .write("sys/fs/cgroup/unified/cgroup.controllers", "");
    machine.fake.write(
        "sys/fs/cgroup/unified/cpu.stat",
        "user_usec 5\nsystem_usec 5\n",
    );
    machine.look();
    machine.look();
    assert!(
        machine.left_out()[1]
            .1
            .contains("systemd.unified_cgroup_hierarchy=1")
    );
    machine.check("cgroup.cpu.utilization", "/:user", Some(0.0));
}

#[test]
fn a_cpu_that_goes_offline_has_no_rows_and_one_that_counts_anew_no_rate() {
    let mut machine = Machine::new();
    let line =
        |cpu: usize, user: u64, idle: u64| format!("cpu{cpu} {user} 0 0 {idle} 0 0 0 0 0 0\n");
    let stat = |lines: &[String]| format!("cpu  1 0 0 1 0 0 0 0 0 0\n{}", lines.concat());
    machine.fake.write(
        "proc/stat",
        stat(&[line(0, 10, 10), line(1, 10, 10), line(3, 10, 10)]),
    );
    machine.look();
    machine.check("system.cpu.logical.count", "", Some(3.0));
    machine
        .fake
        .write("proc/stat", stat(&[line(0, 20, 10), line(3, 5, 5)]));
    machine.look();
    machine.check("system.cpu.logical.count", "", Some(2.0));
    machine.check("system.cpu.utilization", "cpu0:user", Some(1.0));
    machine.check("system.cpu.utilization", "cpu1:user", None);
    machine.check("system.cpu.utilization", "cpu3:user", None);
    machine.check("weir.performance.withheld", "reset", Some(1.0));
    // idle may go back a little, as it does on tickless kernels.
    machine
        .fake
        .write("proc/stat", stat(&[line(0, 30, 9), line(3, 15, 15)]));
    machine.look();
    machine.check("system.cpu.utilization", "cpu0:user", Some(1.0));
    machine.check("system.cpu.utilization", "cpu3:user", Some(0.5));
}

#[test]
fn a_thousand_cpus_are_each_told() {
    let mut machine = Machine::new();
    let stat = |user: u64| -> String {
        let cpus = (0..1_024).map(|cpu| format!("cpu{cpu} {user} 0 0 10 0 0 0 0 0 0\n"));
        cpus.chain([format!("intr {}\n", "0 ".repeat(100_000))])
            .collect()
    };
    machine.fake.write("proc/stat", stat(0));
    machine.look();
    machine.fake.write("proc/stat", stat(10));
    machine.look();
    assert_eq!(machine.failed(), []);
    machine.check("system.cpu.utilization", "cpu1023:user", Some(1.0));
    assert_eq!(
        machine.components("system.cpu.utilization").len(),
        7 * 1_024
    );
}

#[test]
fn counters_of_32_bits_go_on_across_their_end() {
    let mut machine = Machine::new();
    let disk = |ms: u64, reads: u64| format!("8 0 sda {reads} 0 8 {ms} 0 0 0 0 0 {ms} 0\n");
    let end = u64::from(u32::MAX) + 1;
    machine.fake.write("proc/diskstats", disk(end - 200, 5));
    machine.look();
    machine.fake.write("proc/diskstats", disk(300, 6));
    machine.look();
    machine.check("system.disk.io_time", "sda", Some(0.5));
    machine.check("system.disk.operations", "sda:read", Some(1.0));
    // Another disk at the same name, of which nothing went on.
    machine.fake.write("proc/diskstats", disk(1, 1));
    machine.look();
    machine.check("system.disk.io_time", "sda", None);
    // The same numbers, and another device.
    machine
        .fake
        .write("proc/diskstats", disk(5, 2).replace("8 0 sda", "8 16 sda"));
    machine.look();
    machine.check("system.disk.io_time", "sda", None);
}

#[test]
fn odd_names_of_interfaces_and_disks_are_kept() {
    let mut machine = Machine::new();
    let mut lines = b"head | without numbers\n".to_vec();
    for name in [
        b"veth%d".as_slice(),
        b"br-0a1b:2",
        b"\xff\xfe\x01",
        b"it's\"q\"",
        "ünï".as_bytes(),
    ] {
        lines.extend_from_slice(name);
        // As old kernels write it, without a space.
        lines.extend_from_slice(b":7 1 0 0 0 0 0 0 7 1 0 0 0 0 0 0\n");
    }
    machine.fake.write("proc/net/dev", &lines);
    machine
        .fake
        .write("proc/diskstats", "104 0 cciss/c0d0 1 0 8 1 0 0 0 0 0 1 1\n");
    machine.fake.write("sys/block/cciss!c0d0/size", "1\n");
    machine.look();
    machine.look();
    assert_eq!(machine.failed(), []);
    let receive: Vec<String> = machine.components("system.network.packet.count");
    for name in [
        "veth%d",
        "br-0a1b:2",
        "\u{fffd}\u{fffd}\u{1}",
        "it's\"q\"",
        "ünï",
    ] {
        assert!(
            receive.contains(&format!("{name}:receive")),
            "{name}: {receive:?}"
        );
    }
    assert_eq!(machine.components("system.disk.io_time"), ["cciss/c0d0"]);
}

#[test]
fn a_file_without_an_end_is_read_up_to_its_bound_and_the_rest_goes_on() {
    let mut machine = Machine::new();
    let file = std::fs::File::options()
        .append(true)
        .open(machine.fake.path().join("proc/net/dev"))
        .unwrap();
    file.set_len(1 << 40).unwrap();
    machine.look();
    machine.look();
    let failed = machine.failed();
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert!(
        failed[0].1.contains("is longer than 4194304 bytes"),
        "{failed:?}"
    );
    machine.check("system.network.io", "lo:receive", Some(0.0));
    machine.check("system.cpu.logical.count", "", Some(1.0));
}

#[test]
fn what_is_not_due_stays_as_it_was() {
    let mut machine = Machine::new();
    machine.look();
    machine
        .fake
        .write("sys/fs/cgroup/a.slice/memory.current", "8192\n");
    machine.fake.write("proc/loadavg", "1.00 1.00 1.00 1/1 1\n");
    let moment = Moment::new(Duration::from_secs(1), None);
    machine
        .look
        .take(&moment, Timestamp(2), |tier| tier == Tier::Fast);
    machine.check("cgroup.memory.usage", "/a.slice", Some(4_096.0));
    machine.check("system.cpu.load_average.1m", "", Some(1.0));
    let rows = machine.rows();
    let at = |metric: &str| {
        rows.iter()
            .find(|row| row.metric == metric)
            .unwrap()
            .timestamp
    };
    assert_eq!(
        (at("cgroup.memory.usage"), at("system.memory.limit")),
        (Timestamp(1), Timestamp(2))
    );
}

#[test]
fn a_host_without_procfs_is_told_what_to_do() {
    let fake = FakeRoots::new();
    let source = PerformanceSource::default().reading(fake.roots());
    let reason = source.unavailable().unwrap();
    assert!(
        reason.contains("proc/stat can't be read: No such file"),
        "{reason}"
    );
    assert!(
        reason.contains("mount it, or give the unit `ProcSubset=all`"),
        "{reason}"
    );
    assert_eq!(PerformanceSource::default().unavailable(), None);
}
