//! Pressure: `/proc/pressure/*`, the share of the time in which tasks waited for something.

use rustix::io::Errno;

use super::super::counters::Tracks;
use super::super::metric::{
    CPU_PRESSURE, IO_PRESSURE, IRQ_PRESSURE, MEMORY_PRESSURE, PressureMetrics,
};
use super::{FILE_BYTES_MAX, First, Hand, Part, Trouble};
use crate::kernel_files::text::{decimal, fields, lines, lossy, number, value_of};
use crate::kernel_files::{FileError, KeptFile, Roots};

/// Microseconds of a second: the unit of totals.
const SECOND_US: f64 = 1e6;
/// The averages are in %.
const PERCENT: f64 = 100.0;

/// One line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::performance) struct PressureLine<'a> {
    /// `some` or `full`.
    pub(in crate::performance) kind: &'a [u8],
    /// The shares of the last 10, 60 and 300 s, between 0 and 1.
    pub(in crate::performance) averages: [f64; 3],
    /// In all, in microseconds.
    pub(in crate::performance) total_us: u64,
}

/// The lines; none for one that doesn't read as it should.
pub(in crate::performance) fn pressure_lines(
    bytes: &[u8],
) -> impl Iterator<Item = Option<PressureLine<'_>>> {
    lines(bytes).map(|line| {
        let kind = fields(line).next()?;
        if kind != b"some" && kind != b"full" {
            return None;
        }
        let average = |name: &[u8]| {
            let percent = decimal(value_of(line, name)?)?;
            (percent <= PERCENT).then_some(percent / PERCENT)
        };
        Some(PressureLine {
            kind,
            averages: [average(b"avg10")?, average(b"avg60")?, average(b"avg300")?],
            total_us: number(value_of(line, b"total")?)?,
        })
    })
}

struct Resource {
    file: KeptFile,
    metrics: PressureMetrics,
    totals: Tracks<1>,
    /// Whether kernels that have pressure have this.
    is_everywhere: bool,
}

pub(super) struct Pressure {
    resources: [Resource; 4],
}

impl Pressure {
    pub(super) fn new(roots: &Roots) -> Self {
        let resource = |name, metrics, is_everywhere| Resource {
            file: KeptFile::new(roots.proc.join("pressure").join(name), FILE_BYTES_MAX),
            metrics,
            totals: Tracks::new(0),
            is_everywhere,
        };
        Self {
            resources: [
                resource("cpu", CPU_PRESSURE, true),
                resource("memory", MEMORY_PRESSURE, true),
                resource("io", IO_PRESSURE, true),
                resource("irq", IRQ_PRESSURE, false),
            ],
        }
    }
}

impl Part for Pressure {
    fn name(&self) -> &'static str {
        "pressure"
    }

    fn look(&mut self, hand: &mut Hand<'_>) -> Result<(), Trouble> {
        let mut trouble = First::default();
        for resource in &mut self.resources {
            if let Err(found) = look_at(resource, hand) {
                trouble.note(found);
            }
        }
        trouble.result()
    }
}

fn look_at(resource: &mut Resource, hand: &mut Hand<'_>) -> Result<(), Trouble> {
    let path = resource.file.path().to_owned();
    let contents = match resource.file.read() {
        Ok(contents) => contents,
        Err(error) if error.is_missing() && !resource.is_everywhere => return Ok(()),
        Err(error) => return Err(why_not(&error)),
    };
    let mut trouble = First::default();
    trouble.note_if(contents.cut);
    resource.totals.begin();
    for line in pressure_lines(contents.bytes) {
        let Some(line) = line else {
            trouble.note(FileError::malformed(&path, "a line of pressure"));
            continue;
        };
        let kind = lossy(line.kind);
        for (metric, share) in resource.metrics.iter().zip(line.averages) {
            hand.rows.push_of(metric, format_args!("{kind}"), share);
        }
        let total = [line.total_us];
        let deltas = resource
            .totals
            .advance(line.kind, 0, hand.moment, total, hand.ledger);
        if let (Some(deltas), Some(metric)) = (deltas, resource.metrics.last()) {
            let share = (deltas.rate(0) / SECOND_US).min(1.0);
            hand.rows.push_of(metric, format_args!("{kind}"), share);
        }
    }
    resource.totals.end();
    trouble.result()
}

fn why_not(error: &FileError) -> Trouble {
    if error.is_missing() {
        return Trouble::LeftOut(format!(
            "{error}: the kernel has no pressure; it takes 4.20 with CONFIG_PSI"
        ));
    }
    if error.errno() == Some(Errno::OPNOTSUPP) {
        return Trouble::LeftOut(format!(
            "{error}: pressure is switched off; boot with `psi=1`"
        ));
    }
    Trouble::Failed(error.to_string())
}
