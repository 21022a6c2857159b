//! The host itself: name, boot, kernel, firmware, what it runs on, control groups.
//!
//! Left out on purpose: the kernel's command line, which may hold secrets, and serial numbers and machine ids, which
//! are to be kept.

use super::{FILE_BYTES_MAX, Hand, Part};
use crate::kernel_files::text::number_of;
use crate::kernel_files::{Cgroups, Roots, read_once};

/// Attribute and file, under `/proc/sys/kernel`.
const KERNEL_FILES: [(&str, &str); 5] = [
    ("name", "ostype"),
    ("release", "osrelease"),
    ("version", "version"),
    ("architecture", "arch"),
    ("tainted", "tainted"),
];
/// Attribute and file, under `/sys/class/dmi/id`; serial numbers are none of them.
const FIRMWARE_FILES: [(&str, &str); 8] = [
    ("vendor", "sys_vendor"),
    ("product", "product_name"),
    ("product_version", "product_version"),
    ("board_vendor", "board_vendor"),
    ("board", "board_name"),
    ("firmware_vendor", "bios_vendor"),
    ("firmware_version", "bios_version"),
    ("firmware_date", "bios_date"),
];
/// The number that the kernel gives to the first namespace of processes.
const FIRST_PID_NAMESPACE: &str = "pid:[4026531836]";

pub(super) struct Host {
    roots: Roots,
    /// The boot's id, and its time as it was first read: the kernel works it out anew from the wall's clock, and a step
    /// of that is no other boot.
    boot: Option<(String, String)>,
}

impl Host {
    pub(super) fn new(roots: &Roots) -> Self {
        Self {
            roots: roots.clone(),
            boot: None,
        }
    }

    fn boot(&mut self, hand: &mut Hand<'_>) {
        let id = hand.text(&self.roots.proc.join("sys/kernel/random/boot_id"));
        let Some(id) = id else {
            return;
        };
        if self.boot.as_ref().is_none_or(|(known, _)| *known != id) {
            let path = self.roots.proc.join("stat");
            // It stands behind the cpus and their interrupts, which are many on large machines.
            let bytes_max = FILE_BYTES_MAX * 64;
            match read_once(&path, bytes_max, hand.buffer) {
                Ok(contents) => {
                    let seconds = number_of(contents.bytes, b"btime").unwrap_or_default();
                    self.boot = Some((id, seconds.to_string()));
                }
                Err(error) => hand.note(error),
            }
        }
        if let Some((id, seconds)) = &self.boot {
            hand.facts.say("host", "host", "boot_id", id);
            if seconds != "0" {
                hand.facts.say("host", "host", "boot_time_unix_s", seconds);
            }
        }
    }

    fn kernel(&self, hand: &mut Hand<'_>) {
        let folder = self.roots.proc.join("sys/kernel");
        hand.say_files("kernel", "kernel", &folder, &KERNEL_FILES);
        if !folder.join("arch").exists() {
            // Only newer kernels say it.
            let built_for = std::env::consts::ARCH;
            hand.facts
                .say("kernel", "kernel", "architecture", built_for);
        }
        let pressure = self.roots.proc.join("pressure/cpu");
        let has_pressure = read_once(&pressure, FILE_BYTES_MAX, hand.buffer).is_ok();
        let has_pressure = if has_pressure { "yes" } else { "no" };
        hand.facts
            .say("kernel", "pressure", "available", has_pressure);
    }

    fn virtualization(&self, hand: &mut Hand<'_>) {
        const CLASS: &str = "virtualization";
        if let Some(kind) = hand.text(&self.roots.sys.join("hypervisor/type")) {
            hand.facts.say(CLASS, "host", "hypervisor_type", &kind);
        }
        let namespace = std::fs::read_link(self.roots.proc.join("self/ns/pid"));
        if let Ok(namespace) = namespace {
            let is_first = namespace.as_os_str() == FIRST_PID_NAMESPACE;
            let told = if is_first { "initial" } else { "own" };
            hand.facts.say(CLASS, "daemon", "pid_namespace", told);
        }
    }

    fn cgroups(&self, hand: &mut Hand<'_>) {
        let cgroups = Cgroups::find(&self.roots);
        hand.facts
            .say("cgroup", "hierarchy", "mode", cgroups.name());
        if let Some(folder) = cgroups.version_2() {
            let files = [("controllers", "cgroup.controllers")];
            hand.say_files("cgroup", "hierarchy", folder, &files);
        }
    }
}

impl Part for Host {
    fn name(&self) -> &'static str {
        "host"
    }

    fn look(&mut self, hand: &mut Hand<'_>) {
        let name = hand.text(&self.roots.proc.join("sys/kernel/hostname"));
        hand.facts
            .say("host", "host", "name", &name.unwrap_or_default());
        self.boot(hand);
        self.kernel(hand);
        let firmware = self.roots.sys.join("class/dmi/id");
        hand.say_files("hardware", "system", &firmware, &FIRMWARE_FILES);
        let tree = self.roots.sys.join("firmware/devicetree/base");
        hand.say_files("hardware", "system", &tree, &[("model", "model")]);
        self.virtualization(hand);
        self.cgroups(hand);
    }
}
