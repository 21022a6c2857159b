//! A look on Linux: its parts, each with its own files, rows and troubles.
//!
//! It sends nothing. The invariant: a part that can't be read costs its own rows, and no other's.

mod cgroup;
mod cpu;
mod disks;
mod load;
mod memory;
mod network;
mod own;
mod paging;
mod pressure;

use weir_bus::Timestamp;
use weir_bus::event::PerformanceEvent;

use super::counters::{Ledger, Moment};
use super::rows::Rows;
use crate::kernel_files::{FileError, KeptFile, Roots};
use crate::schedule::Tier;

/// The parsers, for whoever shows them any bytes.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) mod parsers {
    pub(in crate::performance) use super::cgroup::{cpu_stat, io_stat};
    pub(in crate::performance) use super::cpu::cpu_lines;
    pub(in crate::performance) use super::disks::disk_lines;
    pub(in crate::performance) use super::load::load;
    pub(in crate::performance) use super::memory::MemoryInfo;
    pub(in crate::performance) use super::network::interface_lines;
    pub(in crate::performance) use super::own::OwnStat;
    pub(in crate::performance) use super::paging::counters as paging_counters;
    pub(in crate::performance) use super::pressure::pressure_lines;
}

/// Bytes that are read of a file: several times what a machine with thousands of cpus and disks has in one.
const FILE_BYTES_MAX: usize = 4 << 20;

/// What a part of a look couldn't do.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Trouble {
    /// This host doesn't offer it, for this reason: nothing is wrong.
    LeftOut(String),
    /// It should be there, and can't be read, for this reason.
    Failed(String),
}

/// What a part has in hand while it looks.
struct Hand<'a> {
    moment: &'a Moment,
    rows: &'a mut Rows,
    ledger: &'a mut Ledger,
}

/// One sort of measurement.
trait Part: Send + Sync {
    /// Its name in reasons.
    fn name(&self) -> &'static str;

    /// How fast it changes.
    fn tier(&self) -> Tier {
        Tier::Fast
    }

    /// Looks, and says what couldn't be read; what could is in the rows.
    fn look(&mut self, hand: &mut Hand<'_>) -> Result<(), Trouble>;
}

struct Looked {
    part: Box<dyn Part>,
    rows: Rows,
    trouble: Option<Trouble>,
}

/// The looks of one run of the source.
pub(super) struct Look {
    parts: Vec<Looked>,
    ledger: Ledger,
    /// What wasn't made of counters, and why.
    withheld: Rows,
}

impl Look {
    pub(super) fn new(roots: &Roots) -> Self {
        let parts: [Box<dyn Part>; 9] = [
            Box::new(cpu::Cpu::new(roots)),
            Box::new(load::Load::new(roots)),
            Box::new(memory::Memory::new(roots)),
            Box::new(paging::Paging::new(roots)),
            Box::new(disks::Disks::new(roots)),
            Box::new(network::Network::new(roots)),
            Box::new(pressure::Pressure::new(roots)),
            Box::new(cgroup::Groups::new(roots)),
            Box::new(own::Own::new(roots)),
        ];
        let looked = |part| Looked {
            part,
            rows: Rows::default(),
            trouble: None,
        };
        Self {
            parts: parts.into_iter().map(looked).collect(),
            ledger: Ledger::default(),
            withheld: Rows::default(),
        }
    }

    /// Looks at what is due; the rest stays as it was.
    pub(super) fn take(
        &mut self,
        moment: &Moment,
        timestamp: Timestamp,
        due: impl Fn(Tier) -> bool,
    ) {
        for looked in &mut self.parts {
            if !due(looked.part.tier()) {
                continue;
            }
            looked.rows.begin(timestamp);
            let mut hand = Hand {
                moment,
                rows: &mut looked.rows,
                ledger: &mut self.ledger,
            };
            looked.trouble = looked.part.look(&mut hand).err();
        }
        self.withheld.begin(timestamp);
        self.ledger.tell(&mut self.withheld);
    }

    /// The rows of all parts.
    pub(super) fn rows(&self) -> impl Iterator<Item = &[PerformanceEvent]> {
        let parts = self.parts.iter().map(|looked| looked.rows.as_slice());
        parts.chain([self.withheld.as_slice()])
    }

    /// What can't be read, by part.
    pub(super) fn failed(&self) -> Vec<(&'static str, String)> {
        self.troubles(|trouble| match trouble {
            Trouble::Failed(reason) => Some(reason),
            Trouble::LeftOut(_) => None,
        })
    }

    /// What this host doesn't offer, by part.
    pub(super) fn left_out(&self) -> Vec<(&'static str, String)> {
        self.troubles(|trouble| match trouble {
            Trouble::LeftOut(reason) => Some(reason),
            Trouble::Failed(_) => None,
        })
    }

    fn troubles(&self, of: impl Fn(&Trouble) -> Option<&String>) -> Vec<(&'static str, String)> {
        let parts = self.parts.iter();
        parts
            .filter_map(|looked| {
                let reason = of(looked.trouble.as_ref()?)?;
                Some((looked.part.name(), reason.clone()))
            })
            .collect()
    }
}

/// Why nothing at all can be measured here; none if something can.
pub(super) fn unavailable(roots: &Roots) -> Option<String> {
    let mut stat = KeptFile::new(roots.proc.join("stat"), FILE_BYTES_MAX);
    let error = stat.read().err()?;
    Some(format!(
        "{error}: performance needs procfs, all of it; mount it, or give the unit `ProcSubset=all`"
    ))
}

impl From<FileError> for Trouble {
    fn from(error: FileError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// The first of several troubles, where one file is read in spite of the others'.
#[derive(Default)]
struct First(Option<Trouble>);

impl First {
    fn note(&mut self, trouble: impl Into<Trouble>) {
        if self.0.is_none() {
            self.0 = Some(trouble.into());
        }
    }

    fn note_if(&mut self, trouble: Option<impl Into<Trouble>>) {
        if let Some(trouble) = trouble {
            self.note(trouble);
        }
    }

    fn result(self) -> Result<(), Trouble> {
        self.0.map_or(Ok(()), Err)
    }
}
