//! What holds for any bytes that are taken for the kernel's: the bodies of fuzz targets, and of the property
//! tests.

use super::btf::Btf;
use super::programs::event::{self, Event};
use super::programs::tasks::{self, Task};
use super::programs::{files, sockets};

/// Any bytes as types: fields lie where they are said to, or there are none.
pub(crate) fn btf(data: &[u8]) {
    let Ok(btf) = Btf::parse(data) else {
        return;
    };
    for (structure, path) in [
        ("task_struct", "se.sum_exec_runtime"),
        ("mm_struct", "rss_stat[1].count"),
        ("dentry", "d_name.hash"),
        ("cred", "euid.val"),
    ] {
        let _ = btf.field(structure, path);
    }
    let _ = btf.tracepoint("sched_process_exit");
    let _ = tasks::assemble(&btf, 0);
}

/// Any bytes as records: what they name lies within them.
pub(crate) fn records(data: &[u8]) {
    if let Some(Event::Exec(_, exec)) = event::read(data) {
        assert!(exec.path.len() + exec.arguments.len() <= data.len());
    }
    if sockets::read(data).is_some() {
        assert!(u32::try_from(data.len()).is_ok_and(|bytes| bytes >= sockets::RECORD_BYTES));
    }
    let (mut rest, mut records) = (data, 0);
    while let Some((task, next)) = tasks::read(rest) {
        assert!(next.len() < rest.len());
        if let Task::Process(process) = task {
            assert!(process.name.len() <= super::programs::NAME_BYTES);
        }
        rest = next;
        records += 1;
    }
    assert!(records <= data.len());
    let mut rest = data;
    while let Some((_, next)) = files::read(rest) {
        assert!(next.len() < rest.len());
        rest = next;
    }
    if let Some(header) = data.first_chunk() {
        let _ = super::ring::step(u32::from_ne_bytes(*header), 1 << 16);
    }
}
