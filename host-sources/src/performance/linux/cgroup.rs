//! Control groups, version 2: what each group and all below it use.
//!
//! Groups near the root come first, so that where there are more than are followed the deep ones go without. On a host
//! that still has version 1 only what the hierarchy of version 2 counts is told. The invariant: a group that goes
//! while it is looked at has the rows that were had of it, and costs no other.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::super::counters::{Tracks, as_f64};
use super::super::metric::{
    CGROUP_CPU, CGROUP_CPU_THROTTLED, CGROUP_IO, CGROUP_MEMORY, CGROUP_OPERATIONS, CGROUP_TASKS,
};
use super::{First, Hand, Part, Trouble};
use crate::kernel_files::text::{lines, lossy, number, number_of, trimmed, value_of};
use crate::kernel_files::{Cgroups, FileError, Roots, read_once};
use crate::schedule::Tier;

/// Groups that are followed: four files each, every 10 s.
const GROUPS_MAX: usize = 512;
/// How far below the root: slice, unit, pod, container, and what is in it.
const DEPTH_MAX: usize = 5;
/// Entries of a folder that are looked at, files among them.
const ENTRIES_MAX: usize = 4_096;
/// Bytes of a group's file: `io.stat` has a line for each disk.
const FILE_BYTES_MAX: usize = 256 * 1024;
/// Microseconds of a second: the unit of `cpu.stat`.
const SECOND_US: f64 = 1e6;

/// User, system and throttled time, in microseconds; the last none without a limit. None if there are no times.
pub(in crate::performance) fn cpu_stat(bytes: &[u8]) -> Option<([u64; 2], Option<u64>)> {
    let user = number_of(bytes, b"user_usec")?;
    let system = number_of(bytes, b"system_usec")?;
    Some(([user, system], number_of(bytes, b"throttled_usec")))
}

/// Bytes read, bytes written, reads and writes, over all disks; a disk of which a number is missing adds nothing.
pub(in crate::performance) fn io_stat(bytes: &[u8]) -> [u64; 4] {
    let mut sums = [0_u64; 4];
    for line in lines(bytes) {
        let of = |name: &[u8]| value_of(line, name).and_then(number);
        let Some(all) = (|| Some([of(b"rbytes")?, of(b"wbytes")?, of(b"rios")?, of(b"wios")?]))()
        else {
            continue;
        };
        for (sum, of_disk) in sums.iter_mut().zip(all) {
            *sum = sum.saturating_add(of_disk);
        }
    }
    sums
}

pub(super) struct Groups {
    roots: Roots,
    buffer: Vec<u8>,
    times: Tracks<2>,
    throttled: Tracks<1>,
    io: Tracks<4>,
}

impl Groups {
    pub(super) fn new(roots: &Roots) -> Self {
        Self {
            roots: roots.clone(),
            buffer: Vec::new(),
            times: Tracks::new(0),
            throttled: Tracks::new(0),
            io: Tracks::new(0),
        }
    }

    /// What a file of a group says; none if the group has no such file, or has gone.
    fn file<R>(
        &mut self,
        group: &Path,
        name: &str,
        trouble: &mut First,
        parse: impl FnOnce(&[u8]) -> Option<R>,
    ) -> Option<R> {
        match read_once(&group.join(name), FILE_BYTES_MAX, &mut self.buffer) {
            Ok(contents) => {
                trouble.note_if(contents.cut);
                parse(contents.bytes)
            }
            Err(error) => {
                // The root has no limits, and a group without a controller none of its files.
                if !error.is_missing() && error.errno() != Some(rustix::io::Errno::OPNOTSUPP) {
                    trouble.note(error);
                }
                None
            }
        }
    }

    fn look_at(&mut self, group: &Path, path: &[u8], hand: &mut Hand<'_>, trouble: &mut First) {
        let component = lossy(path).into_owned();
        if let Some((times, throttled)) = self.file(group, "cpu.stat", trouble, cpu_stat) {
            let deltas = self.times.advance(path, 0, hand.moment, times, hand.ledger);
            for (index, mode) in ["user", "system"].into_iter().enumerate() {
                if let Some(deltas) = &deltas {
                    let cores = deltas.rate(index) / SECOND_US;
                    hand.rows
                        .push_of(&CGROUP_CPU, format_args!("{component}:{mode}"), cores);
                }
            }
            let held_back = throttled.and_then(|us| {
                self.throttled
                    .advance(path, 0, hand.moment, [us], hand.ledger)
            });
            if let Some(deltas) = held_back {
                let share = deltas.rate(0) / SECOND_US;
                hand.rows
                    .push_of(&CGROUP_CPU_THROTTLED, format_args!("{component}"), share);
            }
        }
        let one = |bytes: &[u8]| number(trimmed(bytes));
        for (name, metric) in [
            ("memory.current", &CGROUP_MEMORY),
            ("pids.current", &CGROUP_TASKS),
        ] {
            if let Some(value) = self.file(group, name, trouble, one) {
                hand.rows
                    .push_of(metric, format_args!("{component}"), as_f64(value));
            }
        }
        let io = self.file(group, "io.stat", trouble, |bytes| Some(io_stat(bytes)));
        let deltas = io.and_then(|io| self.io.advance(path, 0, hand.moment, io, hand.ledger));
        if let Some(deltas) = deltas {
            for (direction, index) in [("read", 0), ("write", 1)] {
                for (metric, index) in [(&CGROUP_IO, index), (&CGROUP_OPERATIONS, index + 2)] {
                    let component = format_args!("{component}:{direction}");
                    hand.rows.push_of(metric, component, deltas.rate(index));
                }
            }
        }
    }
}

impl Part for Groups {
    fn name(&self) -> &'static str {
        "cgroup"
    }

    fn tier(&self) -> Tier {
        Tier::Slow
    }

    fn look(&mut self, hand: &mut Hand<'_>) -> Result<(), Trouble> {
        let mut trouble = First::default();
        let cgroups = Cgroups::find(&self.roots);
        let Some(root) = cgroups.version_2() else {
            return Err(Trouble::LeftOut(format!(
                "no control groups of version 2 at {0} or {0}/unified; mount cgroup2 there",
                self.roots.sys.join("fs/cgroup").display()
            )));
        };
        if matches!(cgroups, Cgroups::Hybrid(_)) {
            trouble.note(Trouble::LeftOut(format!(
                "memory, io and tasks of control groups are not read: version 1 has their controllers, and {} counts only \
                 CPU time; boot with `systemd.unified_cgroup_hierarchy=1`",
                root.display()
            )));
        }
        let mut found = First::default();
        let (groups, left_out) = groups(root);
        self.times.begin();
        self.throttled.begin();
        self.io.begin();
        for path in groups {
            let group = below(root, &path);
            self.look_at(&group, &path, hand, &mut found);
        }
        self.times.end();
        self.throttled.end();
        self.io.end();
        if left_out {
            found.note(FileError::too_many(root, "control groups", GROUPS_MAX));
        }
        // What fails goes before what there isn't.
        found.result().and_then(|()| trouble.result())
    }
}

fn below(root: &Path, path: &[u8]) -> PathBuf {
    let path = path.strip_prefix(b"/").unwrap_or(path);
    root.join(OsStr::from_bytes(path))
}

/// The paths of the groups, the nearest to the root first; true if there are more. Links are not followed.
fn groups(root: &Path) -> (Vec<Vec<u8>>, bool) {
    let mut found = Vec::new();
    let mut left_out = false;
    let mut waiting = VecDeque::from([(Vec::new(), 0_usize)]);
    while let Some((path, depth)) = waiting.pop_front() {
        if found.len() >= GROUPS_MAX {
            return (found, true);
        }
        // One that has gone meanwhile has no children.
        let entries = std::fs::read_dir(below(root, &path)).into_iter().flatten();
        for (index, entry) in entries.flatten().enumerate() {
            left_out |= index >= ENTRIES_MAX || waiting.len() >= GROUPS_MAX;
            if left_out {
                break;
            }
            if depth < DEPTH_MAX && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                let mut child = path.clone();
                child.push(b'/');
                child.extend_from_slice(entry.file_name().as_bytes());
                waiting.push_back((child, depth + 1));
            }
        }
        found.push(if path.is_empty() { b"/".to_vec() } else { path });
    }
    (found, left_out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_near_the_root_come_first_and_links_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for path in ["a/b/c/d/e/f", "z"] {
            std::fs::create_dir_all(root.join(path)).unwrap();
        }
        std::os::unix::fs::symlink(root, root.join("loop")).unwrap();
        let (found, left_out) = groups(root);
        let mut found: Vec<String> = found.iter().map(|path| lossy(path).into_owned()).collect();
        assert!(!left_out);
        assert_eq!(found.remove(0), "/");
        found.sort();
        assert_eq!(
            found,
            ["/a", "/a/b", "/a/b/c", "/a/b/c/d", "/a/b/c/d/e", "/z"]
        );
    }

    #[test]
    fn more_groups_than_are_followed_are_said_to_be() {
        let folder = tempfile::tempdir().unwrap();
        for index in 0..=GROUPS_MAX {
            std::fs::create_dir(folder.path().join(index.to_string())).unwrap();
        }
        let (found, left_out) = groups(folder.path());
        assert!(left_out && found.len() <= GROUPS_MAX);
    }

    #[test]
    fn the_files_of_a_group_read_as_they_are() {
        let stat = b"usage_usec 9\nuser_usec 5\nsystem_usec 4\nnr_periods 0\nthrottled_usec 2\n";
        assert_eq!(cpu_stat(stat), Some(([5, 4], Some(2))));
        assert_eq!(
            cpu_stat(b"user_usec 5\nsystem_usec 4\n"),
            Some(([5, 4], None))
        );
        assert_eq!(cpu_stat(b"usage_usec 9\n"), None);
        let io = b"8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n8:16 \n254:0 rbytes=1 wbytes=1 rios=1 wios=1\n";
        assert_eq!(io_stat(io), [11, 21, 2, 3]);
        assert_eq!(io_stat(b""), [0; 4]);
    }
}
