//! Programs, from their names to something that can be read: assembled, loaded, attached.
//!
//! What is loaded lives as long as its owner here; the kernel takes it away with the last descriptor.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;

use super::EbpfError;
use super::btf::Btf;
use super::kernel::{self, Attach, Map};
use super::programs::event::{LOSSES_BYTES, Maps, WHATS};
use super::programs::{exec, exit, fork, tasks};
use super::ring::Ring;

/// Where the kernel tells its types.
const BTF_PATH: &str = "/sys/kernel/btf/vmlinux";
/// Bytes of types that are read: large kernels have 10 MiB.
const BTF_BYTES_MAX: u64 = 128 << 20;
/// Bytes of the ring: 8,000 processes that begin while its reader can't run; at 20 ms between two looks
/// it would take 400,000 a second.
pub(crate) const RING_BYTES: u32 = 2 << 20;
/// Bytes that are read of an iterator at once; the kernel gives at most 32 KiB.
const ITERATOR_READ_BYTES: usize = 64 * 1024;
/// Bytes of a whole look: a million processes and threads, of which no host has so many.
const ITERATOR_BYTES_MAX: usize = 128 << 20;
/// The first pid namespace: `PROC_PID_INIT_INO`. Programs see pids as it has them.
const FIRST_PID_NAMESPACE: u64 = 0xEFFF_FFFC;

/// The kernel's types, as bytes.
fn types() -> Result<Vec<u8>, EbpfError> {
    let no_btf = |errno| EbpfError::NoBtf {
        path: BTF_PATH,
        errno,
    };
    let mut bytes = Vec::new();
    let file = File::open(BTF_PATH).map_err(no_btf)?;
    file.take(BTF_BYTES_MAX)
        .read_to_end(&mut bytes)
        .map_err(no_btf)?;
    Ok(bytes)
}

/// Programs tell pids of the first namespace: who is in another can't tell what they mean.
fn check_namespace() -> Result<(), EbpfError> {
    use std::os::unix::fs::MetadataExt as _;
    match std::fs::metadata("/proc/self/ns/pid") {
        Ok(namespace) if namespace.ino() == FIRST_PID_NAMESPACE => Ok(()),
        _ => Err(EbpfError::Namespace),
    }
}

/// The iterator over all tasks.
#[derive(Debug)]
pub(crate) struct TaskIterator {
    link: OwnedFd,
}

impl TaskIterator {
    /// Loads the program. It is gone when the answer is dropped.
    pub(crate) fn open() -> Result<Self, EbpfError> {
        check_namespace()?;
        let bytes = types()?;
        let btf = Btf::parse(&bytes)?;
        let program = tasks::assemble(&btf)?;
        let target = btf.function(tasks::TARGET)?;
        let program = kernel::load_program("weir_tasks", &program, Attach::Iterator, target.0)?;
        let link = kernel::attach_iterator(program.as_fd())?;
        Ok(Self { link })
    }

    /// One look: replaces what is in `records` by those of all tasks, which [`tasks::read`] reads.
    pub(crate) fn read(&self, records: &mut Vec<u8>) -> Result<(), EbpfError> {
        let failed = |errno| EbpfError::of_call("reading an iterator", errno);
        let file = kernel::open_iterator(self.link.as_fd())?;
        let mut filled = 0;
        loop {
            if filled >= ITERATOR_BYTES_MAX {
                return Err(failed(Errno::TOOBIG));
            }
            if records.len() < filled + ITERATOR_READ_BYTES {
                records.resize(filled + ITERATOR_READ_BYTES, 0);
            }
            let room = records.get_mut(filled..).unwrap_or_default();
            match rustix::io::read(&file, room) {
                Ok(0) => break,
                Ok(bytes) => filled += bytes,
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(errno) => return Err(failed(errno)),
            }
        }
        // The room stays for the next look.
        records.truncate(filled);
        Ok(())
    }
}

/// The programs that tell of forks, execs and exits, and their ring.
#[derive(Debug)]
pub(crate) struct EventRing {
    map: Map,
    losses: Map,
    ring: Ring,
    /// Lets go of the tracepoints when it is dropped.
    _links: [OwnedFd; WHATS],
    /// Programs keep it by themselves; here it only has its owner.
    _scratch: Map,
    numbers: Vec<u64>,
}

impl EventRing {
    /// Loads and attaches the programs, all or none: forks without exits would be worse than neither.
    pub(crate) fn open() -> Result<Self, EbpfError> {
        check_namespace()?;
        let bytes = types()?;
        let btf = Btf::parse(&bytes)?;
        let map = Map::ring("weir_events", RING_BYTES)?;
        let losses = Map::cpu_value("weir_losses", LOSSES_BYTES)?;
        let scratch = Map::cpu_value("weir_scratch", exec::RECORD_BYTES_MAX)?;
        let maps = Maps {
            ring: map.descriptor(),
            losses: losses.descriptor(),
            scratch: scratch.descriptor(),
        };
        let attach = |name, tracepoint, instructions: Vec<u64>| {
            let (target, _) = btf.tracepoint(tracepoint)?;
            let program = kernel::load_program(name, &instructions, Attach::Tracepoint, target.0)?;
            kernel::attach_tracepoint(program.as_fd())
        };
        // In this order, so that what has begun is known when it execs or ends.
        let links = [
            attach("weir_exit", exit::TRACEPOINT, exit::assemble(&btf, maps)?)?,
            attach("weir_exec", exec::TRACEPOINT, exec::assemble(&btf, maps)?)?,
            attach("weir_fork", fork::TRACEPOINT, fork::assemble(&btf, maps)?)?,
        ];
        let ring_bytes = usize::try_from(RING_BYTES).unwrap_or_default();
        Ok(Self {
            ring: Ring::map(map.as_fd(), ring_bytes)?,
            map,
            losses,
            _links: links,
            _scratch: scratch,
            numbers: Vec::new(),
        })
    }

    /// Hands each record that waits to `each`; [`super::programs::event::read`] reads it.
    pub(crate) fn read(&mut self, each: impl FnMut(&[u8])) -> Result<(), EbpfError> {
        self.ring.read(each)
    }

    /// How many records of each kind have found no room since the programs began.
    pub(crate) fn losses(&mut self) -> Result<[u64; WHATS], EbpfError> {
        self.losses.read(&mut self.numbers)?;
        let mut sums = [0_u64; WHATS];
        for cpu in self.numbers.chunks_exact(WHATS) {
            for (sum, number) in sums.iter_mut().zip(cpu) {
                *sum = sum.saturating_add(*number);
            }
        }
        Ok(sums)
    }
}

/// Becomes readable when much waits.
impl AsFd for EventRing {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.map.as_fd()
    }
}
