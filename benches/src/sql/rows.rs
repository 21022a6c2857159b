//! Process rows as a busy server has them: a hundred programs whose names, paths and groups repeat, arguments that
//! hardly do, threads of the kernel that have neither path nor memory.
//!
//! The invariant: row `number` is the same in every run.

use weir_bus::Timestamp;
use weir_bus::event::ProcessEvent;

use crate::rows::{blank, mixed};

/// Most rows are of the first twenty, which are what servers run many of.
const PROGRAMS: [&str; 100] = [
    "/usr/sbin/nginx",
    "/usr/lib/postgresql/15/bin/postgres",
    "/usr/bin/containerd-shim-runc-v2",
    "/usr/bin/python3.11",
    "/usr/lib/jvm/java-17-openjdk-amd64/bin/java",
    "/usr/local/bin/node",
    "/usr/bin/bash",
    "/usr/sbin/sshd",
    "/usr/sbin/php-fpm8.2",
    "/usr/sbin/mariadbd",
    "/usr/bin/redis-server",
    "/usr/sbin/apache2",
    "/opt/vendor/agent/bin/agentd",
    "/usr/sbin/cron",
    "/usr/local/bin/gunicorn",
    "/usr/bin/kubelet",
    "/usr/local/bin/envoy",
    "/usr/bin/perl",
    "/usr/bin/dash",
    "/usr/lib/systemd/systemd",
    "/tmp/go-build2718281/main",
    "/tmp/.font-unix/kdevtmpfsi",
    "/tmp/pip-build-48151/conftest",
    "/var/tmp/pip-9127/setup",
    "/var/tmp/.sys/upd",
    "/var/tmp/portage-1618/work",
    "/dev/shm/.cache/x86",
    "/dev/shm/kinsing",
    "/dev/shm/ray-4471/raylet",
    "/home/deploy/.local/bin/celery",
    "/home/deploy/.cargo/bin/cargo",
    "/home/deploy/app/current/bin/web",
    "/home/anna/.rbenv/bin/ruby3.2",
    "/snap/core22/1122/bin/sh",
    "/snap/lxd/27037/bin/lxcfs",
    "/snap/ssm-agent/7628/ssm-agent-worker",
    "/opt/vendor/backup/bin/backup-client",
    "/opt/vendor/scanner/scand",
    "/usr/libexec/packagekitd",
    "/usr/libexec/udisks2/udisksd",
    "/usr/libexec/fwupd/fwupd",
    "/usr/local/sbin/haproxy",
    "/usr/local/sbin/unbound",
    "/usr/local/sbin/chronyd",
    "/srv/app/releases/41/bin/api",
    "/srv/app/releases/41/bin/jobs",
    "/srv/git/gitea",
    "/root/go/bin/dlv",
    "/root/.acme.sh/acme.sh",
    "/root/bin/rotate",
    "/usr/bin/nc",
    "/bin/nc.openbsd",
    "/usr/bin/socat",
    "/usr/bin/nmap",
    "/usr/bin/curl",
    "/usr/bin/wget",
    "/usr/bin/gcc",
    "/usr/lib/gcc/x86_64-linux-gnu/12/cc1",
    "/usr/bin/ld",
    "/usr/bin/vim",
    "/usr/bin/nano",
    "/usr/bin/less",
    "/usr/sbin/useradd",
    "/usr/sbin/usermod",
    "/usr/bin/passwd",
    "/usr/bin/tar",
    "/usr/bin/gzip",
    "/usr/bin/zstd",
    "/usr/bin/docker",
    "/usr/bin/podman",
    "/usr/sbin/runc",
    "/usr/bin/mount",
    "/usr/bin/umount",
    "/usr/sbin/dmsetup",
    "/usr/bin/tcpdump",
    "/usr/bin/strace",
    "/usr/bin/perf",
    "/usr/bin/rsync",
    "/usr/bin/rclone",
    "/usr/bin/lftp",
    "/usr/bin/lua5.4",
    "/usr/bin/tclsh8.6",
    "/usr/lib/systemd/systemd-journald",
    "/usr/lib/systemd/systemd-udevd",
    "/usr/lib/systemd/systemd-logind",
    "/usr/lib/systemd/systemd-resolved",
    "/usr/lib/systemd/systemd-timesyncd",
    "/usr/lib/openssh/sftp-server",
    "/usr/bin/ssh-agent",
    "/usr/bin/scp",
    "/usr/bin/dbus-daemon",
    "/usr/sbin/rsyslogd",
    "/usr/bin/dockerd",
    "/usr/bin/containerd",
    "/usr/sbin/agetty",
    "/usr/bin/tmux",
    "/usr/bin/sudo",
    "/usr/bin/make",
    "/usr/bin/git",
    "/usr/bin/sleep",
];
const FREQUENT: u64 = 20;

/// Half of the rows have the first one.
const PARENTS: [&str; 16] = [
    "/usr/lib/systemd/systemd",
    "/usr/bin/containerd-shim-runc-v2",
    "/usr/sbin/sshd",
    "/usr/sbin/cron",
    "/usr/bin/bash",
    "/usr/sbin/nginx",
    "/usr/lib/postgresql/15/bin/postgres",
    "/usr/bin/tmux",
    "/usr/bin/sudo",
    "/usr/bin/make",
    "/usr/sbin/php-fpm8.2",
    "/usr/bin/supervisord",
    "/usr/local/bin/gunicorn",
    "/usr/sbin/apache2",
    "/usr/bin/dockerd",
    "/usr/bin/python3.11",
];

const ARGUMENTS: [&str; 20] = [
    "--config=/etc/app/config.yaml",
    "-c",
    "worker process",
    "--listen=0.0.0.0:8080",
    "-Xmx2g",
    "-Dfile.encoding=UTF-8",
    "--log-level=info",
    "-m",
    "/srv/app/current/main.py",
    "--workers=4",
    "--pid-file=/run/app.pid",
    "-D",
    "daemon off;",
    "--namespace",
    "production",
    "--metrics-addr=127.0.0.1:9100",
    "-jar",
    "/opt/app/lib/service-1.14.2.jar",
    "--foreground",
    "--user=www-data",
];

/// Users of people; services have lower numbers.
pub(super) const USERS_FROM: u32 = 1_001;
const USERS: u64 = 12;
/// How the groups of containers begin.
pub(super) const CONTAINERS: &str = "/system.slice/docker-";
const CONTAINERS_MAX: u64 = 16;
/// What is compared of a container's group: six digits of its id, and what stands behind it.
const ENDING_BYTES: usize = "012345.scope".len();
/// The kernel's limit of a short name.
const NAME_BYTES_MAX: usize = 15;
const PID_MAX: u64 = 32_768;

/// What is drawn for a row, each apart from the others.
#[derive(Clone, Copy)]
enum Draw {
    Sort,
    Program,
    Parent,
    Pid,
    Memory,
    Cpu,
    User,
    Group,
    Arguments,
}
/// More than there are draws.
const DRAWS: u64 = 16;

fn draw(number: u64, what: Draw, below: u64) -> u64 {
    mixed(mixed(number * DRAWS + what as u64)) % below
}

fn pick<const N: usize>(from: &[&'static str; N], at: u64) -> &'static str {
    let place = usize::try_from(at).unwrap_or(0) % N;
    from.get(place).copied().unwrap_or_default()
}

fn base_name(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.get(..NAME_BYTES_MAX).unwrap_or(name)
}

fn container(number: u64) -> String {
    let word = |word| mixed(number * 4 + word) << 17 ^ mixed(number * 4 + word + 64);
    let words = (0..4).map(|place| format!("{:016x}", word(place)));
    format!("{CONTAINERS}{}.scope", words.collect::<String>())
}

/// How the group of one of the containers ends; no other one's does.
pub(super) fn container_ending(number: usize) -> String {
    let group = container(number as u64);
    group
        .get(group.len() - ENDING_BYTES..)
        .unwrap_or_default()
        .to_owned()
}

/// Some rows in order.
pub(super) fn rows(from: u64, count: u64) -> Vec<ProcessEvent> {
    (from..from + count)
        .map(|number| match draw(number, Draw::Sort, 12) {
            0 => kernel_thread(number),
            _ => program(number),
        })
        .collect()
}

fn kernel_thread(number: u64) -> ProcessEvent {
    ProcessEvent {
        pid: pid(number),
        ppid: Some(2),
        parent_name: Some("kthreadd".to_owned()),
        parent_executable: None,
        name: format!("kworker/{}:1H", draw(number, Draw::Program, 64)),
        executable: None,
        executable_deleted: None,
        cpu_usage: Some(0.0),
        user_id: Some(0),
        cgroup: Some("/".to_owned()),
        file_exists: None,
        ..blank()
    }
}

fn program(number: u64) -> ProcessEvent {
    let of = |what, below| draw(number, what, below);
    let place = match of(Draw::Program, 1_000) {
        frequent @ 0..600 => frequent % FREQUENT,
        any => any % PROGRAMS.len() as u64,
    };
    let executable = pick(&PROGRAMS, place);
    let parent = match of(Draw::Parent, 32) {
        0..16 => 0,
        any => any - 16,
    };
    let parent = pick(&PARENTS, parent);
    let user = match of(Draw::User, 100) {
        0..40 => 0,
        40..76 => 33,
        any => USERS_FROM + u32::try_from(any % USERS).unwrap_or(0),
    };
    let cgroup = match of(Draw::Group, 64) {
        inside @ 0..CONTAINERS_MAX => container(inside),
        16..24 => format!("/user.slice/user-{user}.slice/session-{}.scope", place % 7),
        _ => format!("/system.slice/{}.service", base_name(executable)),
    };
    let memory = of(Draw::Memory, 1 << 20);
    ProcessEvent {
        pid: pid(number),
        start_time: Timestamp(1_700_000_000_000_000_000 + i64::try_from(number).unwrap_or(0)),
        ppid: Some(1),
        parent_name: Some(base_name(parent).to_owned()),
        parent_executable: Some(parent.to_owned()),
        name: base_name(executable).to_owned(),
        executable: Some(executable.to_owned()),
        command_line: arguments(number, executable),
        cpu_usage: cpu_usage(number),
        // Few have much: up to 4 GiB.
        memory_bytes: Some((memory * memory) >> 8),
        user_id: Some(user),
        cgroup: Some(cgroup),
        ..blank()
    }
}

fn pid(number: u64) -> u32 {
    u32::try_from(draw(number, Draw::Pid, PID_MAX)).unwrap_or(0) + 1
}

/// Two in three idle, one in twenty is seen for the first time; tenths of a percent.
fn cpu_usage(number: u64) -> Option<f64> {
    let tenths = match draw(number, Draw::Cpu, 60_000) {
        0..3_000 => return None,
        3_000..40_000 => 0,
        busy => u32::try_from(busy % 1_000).unwrap_or(0),
    };
    Some(f64::from(tenths) / 10.0)
}

fn arguments(number: u64, executable: &str) -> Vec<String> {
    let mut arguments = vec![executable.to_owned()];
    let drawn = draw(number, Draw::Arguments, 1 << 40);
    for place in 0..2 + drawn % 4 {
        arguments.push(pick(&ARGUMENTS, drawn >> (8 + 5 * place)).to_owned());
    }
    arguments.push(format!("--id={number}"));
    arguments
}
