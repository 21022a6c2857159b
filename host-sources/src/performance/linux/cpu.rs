//! Cpus: `/proc/stat`, in ticks by mode.
//!
//! The invariant: the modes of a cpu sum up to 1, for they are shares of what all of them counted, not of a clock's
//! time. A cpu that is offline has no line and no rows; one that comes back may count anew.

use super::super::counters::{OBJECTS_MAX, Tracks, as_f64};
use super::super::metric::{CPU_COUNT, CPU_UTILIZATION, PROCESS_COUNT, PROCESS_CREATED};
use super::{FILE_BYTES_MAX, First, Hand, Part, Trouble};
use crate::kernel_files::text::{fields, lines, lossy, number, number_of};
use crate::kernel_files::{FileError, KeptFile, Roots};

/// Ticks in the order of the file: user, nice, system, idle, iowait, irq, softirq, steal. What follows, guests' time,
/// is counted in user and nice already.
const COUNTERS: usize = 8;
/// Those that every kernel has.
const COUNTERS_MIN: usize = 4;
/// idle and iowait: the kernel documents that they may go back a little.
const INEXACT: u32 = 0b0001_1000;

/// The modes that are told, and the counters that make each.
const MODES: [(&str, &[usize]); 7] = [
    ("user", &[0]),
    ("nice", &[1]),
    ("system", &[2]),
    ("idle", &[3]),
    ("iowait", &[4]),
    ("interrupt", &[5, 6]),
    ("steal", &[7]),
];

/// One line of a cpu, or of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::performance) struct CpuLine<'a> {
    /// `cpu` for all, `cpu0` for the first.
    pub(in crate::performance) name: &'a [u8],
    /// Ticks in each mode.
    pub(in crate::performance) ticks: [u64; COUNTERS],
}

impl CpuLine<'_> {
    /// Whether it is that of all cpus.
    pub(in crate::performance) fn is_sum(&self) -> bool {
        self.name == b"cpu"
    }
}

/// The lines of cpus; none for one that doesn't read as it should.
pub(in crate::performance) fn cpu_lines(stat: &[u8]) -> impl Iterator<Item = Option<CpuLine<'_>>> {
    lines(stat)
        .filter(|line| line.starts_with(b"cpu"))
        .map(cpu_line)
}

fn cpu_line(line: &[u8]) -> Option<CpuLine<'_>> {
    let mut fields = fields(line);
    let name = fields.next()?;
    let digits = name.strip_prefix(b"cpu")?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let mut ticks = [0; COUNTERS];
    let mut found = 0;
    for (place, field) in ticks.iter_mut().zip(fields) {
        *place = number(field)?;
        found += 1;
    }
    (found >= COUNTERS_MIN).then_some(CpuLine { name, ticks })
}

/// The cpus, and the processes that the same file counts.
pub(super) struct Cpu {
    file: KeptFile,
    cpus: Tracks<COUNTERS>,
    processes: Tracks<1>,
}

impl Cpu {
    pub(super) fn new(roots: &Roots) -> Self {
        Self {
            file: KeptFile::new(roots.proc.join("stat"), FILE_BYTES_MAX),
            cpus: Tracks::new(INEXACT),
            processes: Tracks::new(0),
        }
    }
}

impl Part for Cpu {
    fn name(&self) -> &'static str {
        "cpu"
    }

    fn look(&mut self, hand: &mut Hand<'_>) -> Result<(), Trouble> {
        let path = self.file.path().to_owned();
        let contents = self.file.read()?;
        let mut trouble = First::default();
        trouble.note_if(contents.cut);
        let mut online = 0_u64;
        self.cpus.begin();
        for line in cpu_lines(contents.bytes) {
            let Some(line) = line else {
                trouble.note(FileError::malformed(&path, "a line of a cpu"));
                continue;
            };
            online = online.saturating_add(u64::from(!line.is_sum()));
            shares(&mut self.cpus, &line, hand);
        }
        if self.cpus.end() {
            trouble.note(FileError::too_many(&path, "cpus", OBJECTS_MAX));
        }
        if online == 0 {
            trouble.note(FileError::malformed(&path, "the lines of cpus"));
        } else {
            hand.rows.push(&CPU_COUNT, as_f64(online));
        }
        processes(&mut self.processes, contents.bytes, hand);
        trouble.result()
    }
}

fn shares(cpus: &mut Tracks<COUNTERS>, line: &CpuLine<'_>, hand: &mut Hand<'_>) {
    let Some(deltas) = cpus.advance(line.name, 0, hand.moment, line.ticks, hand.ledger) else {
        return;
    };
    let of = |index: &usize| as_f64(deltas.values.get(*index).copied().unwrap_or_default());
    let all: f64 = (0..COUNTERS).map(|index| of(&index)).sum();
    // No tick at all: a machine that stood still.
    if all <= 0.0 {
        return;
    }
    let name = lossy(line.name);
    for (mode, counters) in MODES {
        let ticks: f64 = counters.iter().map(of).sum();
        hand.rows
            .push_of(&CPU_UTILIZATION, format_args!("{name}:{mode}"), ticks / all);
    }
}

fn processes(tracks: &mut Tracks<1>, stat: &[u8], hand: &mut Hand<'_>) {
    for (word, state) in [
        (b"procs_running".as_slice(), "running"),
        (b"procs_blocked", "blocked"),
    ] {
        if let Some(count) = number_of(stat, word) {
            hand.rows
                .push_of(&PROCESS_COUNT, format_args!("{state}"), as_f64(count));
        }
    }
    let Some(created) = number_of(stat, b"processes") else {
        return;
    };
    if let Some(deltas) = tracks.advance(b"", 0, hand.moment, [created], hand.ledger) {
        hand.rows.push(&PROCESS_CREATED, deltas.rate(0));
    }
}
