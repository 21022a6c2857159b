//! Cpus: `/proc/cpuinfo` for what they are, `/sys/devices/system/cpu` for how many and their caches.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{FILE_BYTES_MAX, Hand, ITEMS_MAX, Part};
use crate::kernel_files::text::{lines, lossy, number, trimmed};
use crate::kernel_files::{FileError, Roots, read_once};

const CLASS: &str = "cpu";
/// All cpus are one item: machines have them of one make.
const ITEM: &str = "cpu";
/// Cpus whose place is looked at.
pub(in crate::inventory) const CPUS_MAX: u64 = 8_192;
/// Caches of a cpu.
const CACHES_MAX: usize = 16;

/// Attribute, and what kernels for different machines call it.
const NAMES: [(&str, &[u8]); 9] = [
    ("model", b"model name"),
    ("model", b"cpu model"),
    ("model", b"cpu"),
    ("model", b"uarch"),
    ("vendor", b"vendor_id"),
    ("implementer", b"CPU implementer"),
    ("part", b"CPU part"),
    ("microcode", b"microcode"),
    ("isa", b"isa"),
];
/// Files of a cache, and what they say.
const CACHE_FILES: [(&str, &str); 4] = [
    ("size", "size"),
    ("line_bytes", "coherency_line_size"),
    ("ways", "ways_of_associativity"),
    ("shared_by", "shared_cpu_list"),
];

/// What the first cpu of the file says of itself: attribute and value; the first of each attribute.
pub(in crate::inventory) fn cpu_info(bytes: &[u8]) -> Vec<(&'static str, &[u8])> {
    let mut found: Vec<(&'static str, &[u8])> = Vec::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        // An empty line ends a cpu; some machines have a head before the first.
        if line.is_empty() && !found.is_empty() {
            break;
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let (name, value) = line.split_at_checked(colon).unwrap_or_default();
        let value = trimmed(value.strip_prefix(b":").unwrap_or_default());
        let attribute = NAMES.iter().find(|(_, of)| *of == trimmed(name));
        if let Some((attribute, _)) = attribute
            && !value.is_empty()
            && !found.iter().any(|(before, _)| before == attribute)
        {
            found.push((attribute, value));
        }
    }
    found
}

/// Whether the first cpu says that it is a hypervisor's; none where it has no such flags.
fn is_virtual(bytes: &[u8]) -> Option<bool> {
    let flags =
        lines(bytes).find_map(|line| line.strip_prefix(b"flags")?.strip_prefix(b"\t\t:"))?;
    let mut flags = crate::kernel_files::text::fields(flags);
    Some(flags.any(|flag| flag == b"hypervisor"))
}

/// The cpus of a list as `0-3,8`: how many, and the first ones; none if it isn't one.
pub(in crate::inventory) fn cpu_list(bytes: &[u8]) -> Option<(u64, Vec<u64>)> {
    let (mut count, mut first) = (0_u64, Vec::new());
    let bytes = trimmed(bytes);
    if bytes.is_empty() {
        return Some((0, first));
    }
    for range in bytes.split(|byte| *byte == b',') {
        let mut ends = range.splitn(2, |byte| *byte == b'-');
        let from = number(ends.next()?)?;
        let to = ends.next().map_or(Some(from), number)?;
        let more = to.checked_sub(from)?.checked_add(1)?;
        count = count.checked_add(more)?;
        let room = CPUS_MAX.saturating_sub(u64::try_from(first.len()).ok()?);
        first.extend((from..=to).take(usize::try_from(room).ok()?));
    }
    Some((count, first))
}

pub(super) struct Cpu {
    info: PathBuf,
    folder: PathBuf,
}

impl Cpu {
    pub(super) fn new(roots: &Roots) -> Self {
        Self {
            info: roots.proc.join("cpuinfo"),
            folder: roots.sys.join("devices/system/cpu"),
        }
    }

    fn counts(&self, hand: &mut Hand<'_>) -> Vec<u64> {
        let mut online = Vec::new();
        for (attribute, file) in [
            ("present", "present"),
            ("offline", "offline"),
            ("online", "online"),
        ] {
            let path = self.folder.join(file);
            let Some(text) = hand.text(&path) else {
                continue;
            };
            let Some((count, cpus)) = cpu_list(text.as_bytes()) else {
                hand.note(FileError::malformed(&path, "a list of cpus"));
                continue;
            };
            hand.facts.say(CLASS, ITEM, attribute, &text);
            if attribute == "online" {
                hand.facts.say(CLASS, ITEM, "threads", &count.to_string());
                online = cpus;
            }
        }
        online
    }

    /// Cores and sockets, by where each cpu says that it is.
    fn places(&self, online: &[u64], hand: &mut Hand<'_>) {
        let (mut cores, mut sockets) = (BTreeSet::new(), BTreeSet::new());
        for cpu in online {
            let folder = self.folder.join(format!("cpu{cpu}/topology"));
            let socket = hand.text(&folder.join("physical_package_id"));
            let core = hand.text(&folder.join("core_id"));
            if let (Some(socket), Some(core)) = (socket, core) {
                sockets.insert(socket.clone());
                cores.insert((socket, core));
            }
        }
        for (attribute, count) in [("cores", cores.len()), ("sockets", sockets.len())] {
            if count > 0 {
                hand.facts.say(CLASS, ITEM, attribute, &count.to_string());
            }
        }
    }

    fn caches(cpu: &Path, hand: &mut Hand<'_>) {
        for index in 0..CACHES_MAX {
            let folder = cpu.join(format!("cache/index{index}"));
            let (level, kind) = (
                hand.text(&folder.join("level")),
                hand.text(&folder.join("type")),
            );
            let (Some(level), Some(kind)) = (level, kind) else {
                return;
            };
            let item = format!("cache L{level} {}", kind.to_lowercase());
            hand.say_files(CLASS, &item, &folder, &CACHE_FILES);
        }
    }
}

impl Part for Cpu {
    fn name(&self) -> &'static str {
        "cpu"
    }

    fn look(&mut self, hand: &mut Hand<'_>) {
        match read_once(&self.info, FILE_BYTES_MAX, hand.buffer) {
            // That there are more cpus than fit is no trouble: one speaks for all.
            Ok(contents) => {
                for (attribute, value) in cpu_info(contents.bytes) {
                    hand.facts.say(CLASS, ITEM, attribute, &lossy(value));
                }
                if let Some(is_virtual) = is_virtual(contents.bytes) {
                    let told = if is_virtual { "yes" } else { "no" };
                    hand.facts.say("virtualization", "host", "hypervisor", told);
                }
            }
            Err(error) => hand.note(error),
        }
        let online = self.counts(hand);
        self.places(online.get(..ITEMS_MAX).unwrap_or(&online), hand);
        if let Some(first) = online.first() {
            Self::caches(&self.folder.join(format!("cpu{first}")), hand);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_cpus_is_counted_and_never_runs_away() {
        let check = |text: &str, expected: Option<(u64, usize)>| {
            let found = cpu_list(text.as_bytes()).map(|(count, first)| (count, first.len()));
            assert_eq!(found, expected, "{text}");
        };
        check("0-3,8\n", Some((5, 5)));
        check("0", Some((1, 1)));
        check("\n", Some((0, 0)));
        check("0-4294967295", Some((1 << 32, 8_192)));
        check(
            "0-99999999999,0-99999999999",
            Some((200_000_000_000, 8_192)),
        );
        for none in [
            "3-0",
            "a",
            "0-",
            "-1",
            "0,,1",
            "0-18446744073709551615",
            "1-2-3",
        ] {
            check(none, None);
        }
    }

    #[test]
    fn a_cpu_is_told_whatever_the_machine_calls_it() {
        let check = |text: &str, expected: &[(&str, &str)]| {
            let found: Vec<(&str, String)> = cpu_info(text.as_bytes())
                .into_iter()
                .map(|(attribute, value)| (attribute, lossy(value).into_owned()))
                .collect();
            let expected: Vec<(&str, String)> = expected
                .iter()
                .map(|(attribute, value)| (*attribute, (*value).to_owned()))
                .collect();
            assert_eq!(found, expected);
        };
        check(
            "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Xeon: one\nmicrocode\t: 0x1\n\nprocessor\t: 1\nmodel name\t: Other\n",
            &[
                ("vendor", "GenuineIntel"),
                ("model", "Xeon: one"),
                ("microcode", "0x1"),
            ],
        );
        check(
            "processor\t: 0\nBogoMIPS\t: 50.00\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n",
            &[("implementer", "0x41"), ("part", "0xd0c")],
        );
        check(
            "processor\t: 0\ncpu\t\t: POWER9, altivec\n",
            &[("model", "POWER9, altivec")],
        );
        check("", &[]);
        assert_eq!(is_virtual(b"flags\t\t: fpu hypervisor lm\n"), Some(true));
        assert_eq!(is_virtual(b"flags\t\t: fpu lm\n"), Some(false));
        assert_eq!(is_virtual(b"Features\t: fp asimd\n"), None);
    }
}
