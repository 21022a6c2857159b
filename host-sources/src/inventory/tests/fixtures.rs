//! Folders as machines of many kinds show them: what is told, and what is told when they change.

use std::collections::BTreeMap;

use weir_bus::Timestamp;

use super::super::facts::Change;
use super::super::linux::Look;
use super::super::*;
use crate::kernel_files::testing::FakeRoots;

pub(super) const ORDINARY: &[(&str, &str)] = &[
    (
        "proc/self/mountinfo",
        "22 27 0:21 / /proc rw,relatime - proc proc rw\n27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard\n",
    ),
    (
        "proc/cpuinfo",
        "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Xeon\nmicrocode\t: 0x1\nflags\t\t: fpu hypervisor\n\nprocessor\t: 1\n",
    ),
    (
        "proc/meminfo",
        "MemTotal:       1000 kB\nSwapTotal:      0 kB\n",
    ),
    ("proc/stat", "cpu  1 2 3 4\nbtime 1700000000\n"),
    ("proc/sys/kernel/hostname", "host-1\n"),
    ("proc/sys/kernel/ostype", "Linux\n"),
    ("proc/sys/kernel/osrelease", "6.18.44\n"),
    ("proc/sys/kernel/version", "#1 SMP\n"),
    ("proc/sys/kernel/random/boot_id", "b-1\n"),
    ("proc/cmdline", "root=/dev/vda password=hunter2\n"),
    ("sys/devices/system/cpu/present", "0-3\n"),
    ("sys/devices/system/cpu/online", "0-2\n"),
    ("sys/devices/system/cpu/offline", "3\n"),
    (
        "sys/devices/system/cpu/cpu0/topology/physical_package_id",
        "0\n",
    ),
    ("sys/devices/system/cpu/cpu0/topology/core_id", "0\n"),
    (
        "sys/devices/system/cpu/cpu1/topology/physical_package_id",
        "0\n",
    ),
    ("sys/devices/system/cpu/cpu1/topology/core_id", "0\n"),
    (
        "sys/devices/system/cpu/cpu2/topology/physical_package_id",
        "1\n",
    ),
    ("sys/devices/system/cpu/cpu2/topology/core_id", "0\n"),
    ("sys/devices/system/cpu/cpu0/cache/index0/level", "1\n"),
    ("sys/devices/system/cpu/cpu0/cache/index0/type", "Data\n"),
    ("sys/devices/system/cpu/cpu0/cache/index0/size", "32K\n"),
    ("sys/block/vda/size", "2048\n"),
    ("sys/block/vda/queue/rotational", "0\n"),
    ("sys/block/cciss!c0d0/size", "8\n"),
    ("sys/block/cciss!c0d0/device/model", "LOGICAL VOLUME  \n"),
    ("sys/block/loop0/size", "0\n"),
    ("sys/class/net/eth0/address", "02:00:00:00:00:01\n"),
    ("sys/class/net/eth0/mtu", "1500\n"),
    ("sys/class/net/eth0/speed", "-1\n"),
    ("sys/class/net/eth0/operstate", "up\n"),
    ("sys/class/net/eth0/device/vendor", "0x1\n"),
    ("sys/class/net/bonding_masters", "bond0\n"),
    ("sys/class/dmi/id/sys_vendor", "QEMU\n"),
    ("sys/class/dmi/id/product_serial", "S3CRET\n"),
    ("sys/fs/cgroup/cgroup.controllers", "cpu memory\n"),
    ("etc/os-release", "ID=debian\nPRETTY_NAME=\"Debian 12\"\n"),
];

/// A machine, and what was told of it.
pub(super) struct Machine {
    pub(super) fake: FakeRoots,
    pub(super) look: Look,
}

impl Machine {
    pub(super) fn new() -> Self {
        let fake = FakeRoots::new();
        for (path, text) in ORDINARY {
            fake.write(path, text);
        }
        let driver = fake.path().join("sys/class/net/eth0/device/driver");
        std::os::unix::fs::symlink("../../../bus/virtio/drivers/virtio_net", driver).unwrap();
        let look = Look::new(&fake.roots());
        Self { fake, look }
    }

    /// Looks at everything, and gives what changed.
    pub(super) fn changes(&mut self) -> Vec<Change> {
        self.look.take(|_| true);
        self.look.table().take_changes()
    }

    fn told(&mut self) -> BTreeMap<(String, String, String), String> {
        let rows = self.look.table().rows(Timestamp(1));
        rows.map(|row| ((row.class, row.item, row.attribute), row.value))
            .collect()
    }

    #[track_caller]
    fn check(&mut self, class: &str, item: &str, attribute: &str, expected: Option<&str>) {
        let key = (class.to_owned(), item.to_owned(), attribute.to_owned());
        let told = self.told();
        assert_eq!(told.get(&key).map(String::as_str), expected, "{key:?}");
    }
}

#[test]
fn an_ordinary_host_is_told_and_its_secrets_are_not() {
    let mut machine = Machine::new();
    machine.changes();
    assert_eq!(machine.look.failed(), []);
    for (class, item, attribute, value) in [
        ("mount", "/", "device", "/dev/vda"),
        ("mount", "/", "type", "ext4"),
        ("mount", "/", "options", "rw,relatime"),
        ("mount", "/", "super_options", "rw,discard"),
        ("cpu", "cpu", "model", "Xeon"),
        ("cpu", "cpu", "threads", "3"),
        ("cpu", "cpu", "cores", "2"),
        ("cpu", "cpu", "sockets", "2"),
        ("cpu", "cpu", "offline", "3"),
        ("cpu", "cache L1 data", "size", "32K"),
        ("memory", "memory", "total_bytes", "1024000"),
        ("disk", "vda", "size_bytes", "1048576"),
        ("disk", "vda", "rotational", "no"),
        ("disk", "cciss/c0d0", "model", "LOGICAL VOLUME"),
        ("interface", "eth0", "mac", "02:00:00:00:00:01"),
        ("interface", "eth0", "driver", "virtio_net"),
        ("interface", "eth0", "virtual", "no"),
        ("host", "host", "name", "host-1"),
        ("host", "host", "boot_id", "b-1"),
        ("host", "host", "boot_time_unix_s", "1700000000"),
        ("kernel", "kernel", "release", "6.18.44"),
        ("kernel", "pressure", "available", "no"),
        ("hardware", "system", "vendor", "QEMU"),
        ("virtualization", "host", "hypervisor", "yes"),
        ("cgroup", "hierarchy", "mode", "unified"),
        ("cgroup", "hierarchy", "controllers", "cpu memory"),
        ("os", "os", "pretty_name", "Debian 12"),
    ] {
        machine.check(class, item, attribute, Some(value));
    }
    machine.check("memory", "swap", "total_bytes", None);
    machine.check("interface", "eth0", "speed_mbit", None);
    let told = machine.told();
    let has = |text: &str| {
        told.iter()
            .any(|(key, value)| key.1 == text || value.contains(text))
    };
    for left_out in ["loop0", "bonding_masters", "hunter2", "S3CRET"] {
        assert!(!has(left_out), "{left_out}");
    }
    assert_eq!(machine.changes(), []);
}

#[test]
fn only_what_changed_is_told_again_and_what_is_gone_by_its_key() {
    let mut machine = Machine::new();
    machine.changes();
    machine.fake.write("sys/class/net/eth0/mtu", "9000\n");
    machine.fake.remove("sys/block/cciss!c0d0");
    machine.fake.write("sys/class/net/veth1/mtu", "1500\n");
    let changes = machine.changes();
    let told: Vec<String> = changes
        .iter()
        .map(|change| {
            let (class, item, attribute) = &change.key;
            let value = change.value.as_deref().unwrap_or("gone");
            format!("{class} {item} {attribute} {value}")
        })
        .collect();
    assert_eq!(
        told,
        [
            "disk cciss/c0d0 model gone",
            "disk cciss/c0d0 size_bytes gone",
            "interface eth0 mtu 9000",
            "interface veth1 mtu 1500",
            "interface veth1 virtual yes",
        ]
    );
    let row = changes[0].clone().row(Timestamp(5));
    assert_eq!((row.value.as_str(), row.timestamp), ("", Timestamp(5)));
    assert_eq!(machine.changes(), []);
}

#[test]
fn what_can_no_longer_be_read_stays_and_is_named() {
    for (path, part) in [
        ("proc/self/mountinfo", "mounts"),
        ("proc/cpuinfo", "cpu"),
        ("proc/meminfo", "memory"),
        ("proc/sys/kernel/hostname", "host"),
        ("etc/os-release", "os-release"),
        ("sys/class/net/eth0/mtu", "interfaces"),
        ("sys/block/vda/size", "disks"),
    ] {
        let mut machine = Machine::new();
        machine.changes();
        let before = machine.told();
        machine.fake.remove(path);
        // A loop of links, which root can't read either.
        let link = machine.fake.path().join(path);
        std::os::unix::fs::symlink(&link, &link).unwrap();
        assert_eq!(machine.changes(), [], "{path}");
        assert_eq!(machine.told(), before, "{path}");
        let failed = machine.look.failed();
        let [(named, reason)] = failed.as_slice() else {
            panic!("{path}: {failed:?}");
        };
        assert_eq!(*named, part);
        assert!(reason.contains(path), "{reason}");
        std::fs::remove_file(&link).unwrap();
        let (_, text) = ORDINARY.iter().find(|(of, _)| *of == path).unwrap();
        machine.fake.write(path, text);
        assert_eq!(machine.changes(), [], "{path}");
        assert_eq!(machine.look.failed(), [], "{path}");
    }
}

#[test]
fn a_step_of_the_clock_is_no_other_boot() {
    let mut machine = Machine::new();
    machine.changes();
    machine.fake.write("proc/stat", "btime 1700000009\n");
    assert_eq!(machine.changes(), []);
    machine
        .fake
        .write("proc/sys/kernel/random/boot_id", "b-2\n");
    assert_eq!(machine.changes().len(), 2);
    machine.check("host", "host", "boot_time_unix_s", Some("1700000009"));
}

#[test]
fn a_mount_over_another_hides_it_and_odd_points_are_kept() {
    let mut machine = Machine::new();
    let lines = "1 0 0:1 / /a rw - tmpfs one rw\n2 0 0:2 /sub /a ro - tmpfs two rw,password=x\n3 0 0:3 / /b\\040c\\012d rw - proc proc rw\n4 0 0:4 / /e rw - ext4 x\n";
    machine.fake.write("proc/self/mountinfo", lines);
    machine.changes();
    machine.check("mount", "/a", "device", Some("two"));
    machine.check("mount", "/a", "root", Some("/sub"));
    machine.check("mount", "/a", "super_options", Some("rw,password=…"));
    machine.check("mount", "/b c\nd", "type", Some("proc"));
    // Without options of the file system it is a mount still.
    machine.check("mount", "/e", "device", Some("x"));
    assert_eq!(machine.look.failed(), []);
}

#[test]
fn every_mode_of_control_groups_has_its_name() {
    let mut machine = Machine::new();
    let mut check = |change: &dyn Fn(&FakeRoots), mode: &str| {
        machine.fake.remove("sys/fs/cgroup");
        change(&machine.fake);
        machine.changes();
        machine.check("cgroup", "hierarchy", "mode", Some(mode));
    };
    check(
        &|fake| fake.write("sys/fs/cgroup/unified/cgroup.controllers", ""),
        "hybrid",
    );
    check(
        &|fake| fake.write("sys/fs/cgroup/memory/cgroup.procs", ""),
        "legacy",
    );
    check(
        &|fake| fake.write("sys/fs/cgroup/cgroup.controllers", "cpu"),
        "unified",
    );
    check(&|fake| fake.write("sys/fs/cgroup/x", ""), "none");
}

#[test]
fn a_file_without_an_end_is_read_up_to_its_bound_and_that_is_said() {
    let mut machine = Machine::new();
    let path = machine.fake.path().join("proc/sys/kernel/version");
    let file = std::fs::File::options().append(true).open(path).unwrap();
    file.set_len(1 << 40).unwrap();
    machine.changes();
    let failed = machine.look.failed();
    assert!(
        failed[0].1.contains("is longer than 65536 bytes"),
        "{failed:?}"
    );
    machine.check("kernel", "kernel", "release", Some("6.18.44"));
}

#[test]
fn a_host_without_procfs_is_told_what_to_do() {
    let fake = FakeRoots::new();
    let source = InventorySource::default().reading(fake.roots());
    let reason = source.unavailable().unwrap();
    assert!(
        reason.contains("the inventory needs procfs; mount it at"),
        "{reason}"
    );
    assert_eq!(InventorySource::default().unavailable(), None);
}
