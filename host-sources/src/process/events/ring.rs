//! Events by eBPF: records of the ring, as what happened.

use std::os::fd::{AsFd, BorrowedFd};

use weir_bus::event::ProcessEvent;

use super::super::details::stat;
use super::super::table::{Binary, Happened, Happening, Who};
use super::{Clock, Lost};
use crate::ebpf::EventRing;
use crate::ebpf::programs::event::{self, Event, Head, What};
use crate::source::SourceError;

/// Bits of the minor number in a device's number, as the kernel has it.
const MINOR_BITS: u32 = 20;

/// The ring, and what it had lost when it was read last.
pub(in crate::process) struct Ringed {
    ring: EventRing,
    lost_rows: u64,
    lost_anything: u64,
}

impl Ringed {
    pub(super) fn open() -> Result<Self, String> {
        Ok(Self {
            ring: EventRing::open().map_err(|error| error.to_string())?,
            lost_rows: 0,
            lost_anything: 0,
        })
    }

    pub(super) fn read(
        &mut self,
        clock: &Clock,
        happening: &mut Happening,
        rows: &mut Vec<ProcessEvent>,
    ) -> Result<Lost, SourceError> {
        let failed =
            |error| SourceError::Failed(format!("the ring of events can't be read: {error}"));
        let mut records = 0_u64;
        self.ring
            .read(|record| {
                records += 1;
                if let Some(event) = event::read(record) {
                    take(&event, clock, happening, rows);
                }
            })
            .map_err(failed)?;
        // A ring that was empty has lost nothing.
        if records == 0 {
            return Ok(Lost::default());
        }
        let losses = self.ring.losses().map_err(failed)?;
        let of = |what: What| losses.get(what.index()).copied().unwrap_or_default();
        // A fork by itself is no row if an exec follows; a look finds those that don't.
        let lost_rows = of(What::Exec).saturating_add(of(What::Exit));
        let lost_anything = lost_rows.saturating_add(of(What::Fork));
        let lost = Lost {
            anything: lost_anything > self.lost_anything,
            rows: lost_rows.saturating_sub(self.lost_rows),
        };
        self.lost_rows = lost_rows;
        self.lost_anything = lost_anything;
        Ok(lost)
    }
}

impl AsFd for Ringed {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }
}

fn take(event: &Event<'_>, clock: &Clock, happening: &mut Happening, rows: &mut Vec<ProcessEvent>) {
    match event {
        Event::Fork(head) => happening.take(&who(head, clock), Happened::Fork, rows),
        Event::Exec(head, exec) => {
            let binary = Binary {
                path: exec.path,
                file_number: exec.file_number,
                file_device: (
                    exec.file_device >> MINOR_BITS,
                    exec.file_device & ((1 << MINOR_BITS) - 1),
                ),
                arguments: exec.arguments,
                has_all_arguments: exec.has_all_arguments,
            };
            happening.take(&who(head, clock), Happened::Exec(Some(binary)), rows);
        }
        Event::Exit(head, exit) => {
            happening.take(&who(head, clock), Happened::Exit(exit.wait_status), rows);
        }
    }
}

fn who<'a>(head: &Head<'a>, clock: &Clock) -> Who<'a> {
    Who {
        pid: head.pid,
        parent: Some(head.parent).filter(|parent| *parent != 0),
        start_ticks: head.start_ns / stat::tick_ns().max(1),
        start_ns: Some(head.start_ns),
        now_ns: head.now_ns,
        timestamp: clock.timestamp(head.now_ns),
        user_id: Some(head.user_id),
        group_mark: Some(head.groups),
        name: head.name,
    }
}
