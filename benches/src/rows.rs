//! The rows that are measured with: processes whose texts differ from row to row.
//!
//! The invariant: row `number` is the same in every run and for every peer, and no two rows have
//! the same name, path or arguments.

use weir_bus::Timestamp;
use weir_bus::event::{ProcessColumns, ProcessEvent};

/// What one row in [`MARKED_EVERY`] has in its name; nothing else has.
pub(crate) const MARK: &str = "canary";
/// What one row in [`ODD_EVERY`] has at the front of its path; nothing else has.
pub(crate) const ODD_FOLDER: &str = "/tmp/";

/// What processes do, where rows of several topics are mixed: the last token of each topic.
pub(crate) const LEAVES: [&str; 2] = ["observed", "started"];

const MARKED_EVERY: u64 = 100;
const ODD_EVERY: u64 = 25;

const FOLDERS: [&str; 8] = [
    "/usr/bin/",
    "/usr/sbin/",
    "/usr/lib/systemd/",
    "/opt/vendor/agent/bin/",
    "/usr/libexec/",
    "/usr/local/bin/",
    "/snap/core/current/usr/bin/",
    "/bin/",
];
const PROGRAMS: [&str; 8] = [
    "worker", "java", "nginx", "postgres", "python3", "node", "sshd", "kubelet",
];

/// A cheap mix, so that what differs does so without a period that a branch predictor learns.
pub(crate) const fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 31)).wrapping_mul(0x7fb5_d329_728e_a185);
    (number ^ (number >> 27)).wrapping_mul(0x81da_def4_bc2d_d44d) >> 17
}

fn pick<'a>(from: &[&'a str; 8], by: u64) -> &'a str {
    // The mask keeps it within the eight.
    usize::try_from(by & 7)
        .ok()
        .and_then(|place| from.get(place))
        .copied()
        .unwrap_or_default()
}

/// Appends the number's decimal digits: rows are made at millions a second, and `write!` alone
/// would take as long as the rest of a row.
fn push_number(text: &mut String, mut number: u64) {
    let mut digits = ['0'; 20];
    let mut used = 0;
    for digit in digits.iter_mut().rev() {
        *digit = char::from(b'0' + u8::try_from(number % 10).unwrap_or(0));
        number /= 10;
        used += 1;
        if number == 0 {
            break;
        }
    }
    text.extend(digits.iter().skip(digits.len() - used));
}

/// Makes `row` the row of that number, in the memory that it has: its texts, numbers and time.
pub(crate) fn fill(row: &mut ProcessEvent, number: u64, is_marked: bool, is_odd: bool) {
    let mix = mixed(number);
    let program = pick(&PROGRAMS, mix);
    let folder = if is_odd {
        ODD_FOLDER
    } else {
        pick(&FOLDERS, mix >> 3)
    };
    row.pid = u32::try_from(number % 4_000_000).unwrap_or(0) + 1;
    row.start_time = Timestamp(1_700_000_000_000_000_000 + i64::try_from(number).unwrap_or(0));
    row.memory_bytes = Some(mix & 0x3fff_ffff);
    row.name.clear();
    row.name.push_str(if is_marked { MARK } else { program });
    row.name.push('-');
    push_number(&mut row.name, number);
    let path = row.executable.get_or_insert_default();
    path.clear();
    path.push_str(folder);
    path.push_str(program);
    path.push('-');
    push_number(path, number);
    if row.command_line.len() != 3 {
        row.command_line = vec![String::new(), "--config".to_owned(), String::new()];
    }
    if let [first, _, last] = row.command_line.as_mut_slice() {
        first.clone_from(path);
        last.clear();
        last.push_str("/etc/");
        last.push_str(program);
        last.push('/');
        push_number(last, number);
    }
}

/// A row whose fields are all filled in; [`fill`] makes it another one.
pub(crate) fn blank() -> ProcessEvent {
    ProcessEvent {
        timestamp: Timestamp::now(),
        ppid: Some(1),
        parent_start_time: Some(Timestamp(1_700_000_000_000_000_000)),
        parent_name: Some("systemd".to_owned()),
        parent_executable: Some("/usr/lib/systemd/systemd".to_owned()),
        executable_deleted: Some(false),
        cpu_usage: Some(0.5),
        user_id: Some(1_000),
        cgroup: Some("/system.slice/bench.service".to_owned()),
        accessible: true,
        file_exists: Some(true),
        lifecycle: "observed".to_owned(),
        ..ProcessEvent::default()
    }
}

/// Some rows in order. A few have no path, as kernel threads have none.
pub(crate) fn rows(from: u64, count: u64) -> Vec<ProcessEvent> {
    (from..from + count)
        .map(|number| {
            let mut row = blank();
            let mix = mixed(number);
            let is_marked = mix.is_multiple_of(MARKED_EVERY);
            let is_odd = (mix / MARKED_EVERY).is_multiple_of(ODD_EVERY);
            fill(&mut row, number, is_marked, is_odd);
            if mix % 31 == 7 {
                row.executable = None;
                row.memory_bytes = None;
            }
            row
        })
        .collect()
}

/// What a subscriber reads of a row: numbers as they are, texts by their bytes.
pub(crate) fn digest(row: &ProcessEvent) -> u64 {
    let texts = row.name.len() + row.executable.as_ref().map_or(0, String::len);
    let list: usize = row.command_line.iter().map(String::len).sum();
    u64::from(row.pid) + row.memory_bytes.unwrap_or(0) + (texts + list) as u64
}

/// The same of all rows of a batch, read from its columns.
pub(crate) fn digest_of(columns: &ProcessColumns<'_>) -> u64 {
    let mut digest = 0_u64;
    for row in (0..columns.sequence.len()).filter_map(|row| columns.row(row)) {
        let texts = row.name().len() + row.executable().map_or(0, str::len);
        let list: usize = row.command_line().iter().map(str::len).sum();
        let numbers = u64::from(row.pid()) + row.memory_bytes().unwrap_or(0);
        digest = digest.wrapping_add(numbers + (texts + list) as u64);
    }
    digest
}
