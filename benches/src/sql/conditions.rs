//! The conditions: ten of a kind that people write, and ten variations of each, no two of which share a test.
//!
//! Of ten, four are about numbers, four are LIKE or `contains`, one is a regular expression and one an IN. It knows
//! how each is written, for us and for SQLite; what it means natively is said in `native`.

use super::rows;

/// Conditions of the mix.
pub(super) const MIX: usize = 10;

/// A test of one row.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    MemoryAbove(u64),
    ExecutableStarts(&'static str),
    CpuFrom(f64),
    GroupContains(&'static str),
    PidWithin(u32, u32),
    ExecutableMatches(&'static str),
    UserIs(u32),
    ParentEnds(&'static str),
    NameAmong([&'static str; 5]),
    /// Its beginning and its end, with anything between them.
    CgroupLike(&'static str, String),
}

/// In whose words.
#[derive(Clone, Copy)]
pub(super) enum Dialect {
    Ours,
    Sqlite,
}

const FOLDERS: [&str; MIX] = [
    "/tmp/",
    "/var/tmp/",
    "/dev/shm/",
    "/home/deploy/",
    "/snap/",
    "/opt/vendor/",
    "/usr/libexec/",
    "/usr/local/sbin/",
    "/srv/",
    "/root/",
];
const GROUPS: [&str; MIX] = [
    "session-0",
    "redis-server",
    "session-1",
    "kubelet",
    "session-2",
    "gunicorn",
    "session-3",
    "envoy",
    "session-4",
    "session-5",
];
const PARENTS: [&str; MIX] = [
    "/sshd",
    "/cron",
    "/bash",
    "/nginx",
    "/postgres",
    "/tmux",
    "/sudo",
    "/make",
    "/php-fpm8.2",
    "/supervisord",
];
const NAMES: [[&str; 5]; MIX] = [
    ["nc", "ncat", "socat", "nmap", "masscan"],
    ["curl", "wget", "fetch", "aria2c", "lynx"],
    ["gcc", "cc1", "as", "ld", "rustc"],
    ["vim", "nano", "emacs", "less", "more"],
    ["useradd", "usermod", "passwd", "chpasswd", "visudo"],
    ["tar", "gzip", "xz", "zstd", "bzip2"],
    ["docker", "podman", "buildah", "runc", "crun"],
    ["mount", "umount", "losetup", "dmsetup", "cryptsetup"],
    ["tcpdump", "strace", "gdb", "perf", "bpftrace"],
    ["rsync", "rclone", "ftp", "lftp", "tftp"],
];
const EXPRESSIONS: [&str; MIX] = [
    "^/(usr/)?s?bin/(nc|ncat|socat)([.][a-z]+)?$",
    "/python3[.][0-9]+$",
    "^/opt/[^/]+/([^/]+/)*[a-z]+d$",
    "/(ruby|lua|tclsh)[0-9.]*$",
    "^/home/[a-z]+/[.][a-z]+/",
    "^/(tmp|var/tmp|dev/shm)/[^/]*[0-9]{3,}/",
    "/php(-fpm)?[78][.][0-9]$",
    "^/usr/lib/systemd/systemd-(journal|udev|login|resolve)d$",
    "/(ssh|sftp|scp)(d|-agent|-server)?$",
    "^/snap/[a-z0-9-]+/[0-9]+/",
];

/// So many conditions, a multiple of the mix: one variation of all ten after the other.
pub(super) fn conditions(count: usize) -> Vec<Condition> {
    (0..count / MIX).flat_map(variation).collect()
}

/// One of the ten variations of the mix.
fn variation(number: usize) -> [Condition; MIX] {
    let by = u32::try_from(number).unwrap_or(0);
    let pid = 1_000 + 3_000 * by;
    [
        Condition::MemoryAbove(3_950_000_000 + 25_000_000 * u64::from(by)),
        Condition::ExecutableStarts(FOLDERS[number]),
        Condition::CpuFrom(90.0 + 0.5 * f64::from(by)),
        Condition::GroupContains(GROUPS[number]),
        Condition::PidWithin(pid, pid + 599),
        Condition::ExecutableMatches(EXPRESSIONS[number]),
        Condition::UserIs(rows::USERS_FROM + by),
        Condition::ParentEnds(PARENTS[number]),
        Condition::NameAmong(NAMES[number]),
        Condition::CgroupLike(rows::CONTAINERS, rows::container_ending(number)),
    ]
}

impl Condition {
    /// As it is written. No text here has a quote, or a wildcard of LIKE.
    pub(super) fn sql(&self, dialect: Dialect) -> String {
        match self {
            Self::MemoryAbove(bytes) => format!("memory_bytes > {bytes}"),
            Self::ExecutableStarts(folder) => format!("executable LIKE '{folder}%'"),
            Self::CpuFrom(percent) => format!("cpu_usage >= {percent:.1}"),
            Self::GroupContains(part) => match dialect {
                Dialect::Ours => format!("contains(cgroup, '{part}')"),
                Dialect::Sqlite => format!("instr(cgroup, '{part}') > 0"),
            },
            Self::PidWithin(low, high) => format!("pid BETWEEN {low} AND {high}"),
            Self::ExecutableMatches(expression) => match dialect {
                Dialect::Ours => format!("regexp_like(executable, '{expression}')"),
                Dialect::Sqlite => format!("executable REGEXP '{expression}'"),
            },
            Self::UserIs(user) => format!("user_id = {user}"),
            Self::ParentEnds(end) => format!("parent_executable LIKE '%{end}'"),
            Self::NameAmong(names) => format!("name IN ('{}')", names.join("', '")),
            Self::CgroupLike(start, end) => format!("cgroup LIKE '{start}%{end}'"),
        }
    }
}
