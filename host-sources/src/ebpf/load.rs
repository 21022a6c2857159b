//! Programs, from their names to something that can be read: assembled, loaded, attached.
//!
//! What is loaded lives as long as its owner here; the kernel takes it away with the last descriptor.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;

use super::EbpfError;
use super::assembler::AssembleError;
use super::btf::Btf;
use super::kernel::{self, Attach, Map};
use super::programs::event::{LOSSES_BYTES, Maps, Outlet, WHATS, Wake};
use super::programs::tasks::Resting;
use super::programs::{exec, exit, files, fork, sockets, tasks};
use super::ring::Ring;

/// Where the kernel tells its types.
const BTF_PATH: &str = "/sys/kernel/btf/vmlinux";
/// Bytes of types that are read: large kernels have 10 MiB.
const BTF_BYTES_MAX: u64 = 128 << 20;
/// Bytes of the ring: 8,000 processes that begin while its reader can't run; at 20 ms between two looks
/// it would take 400,000 a second.
pub(crate) const RING_BYTES: u32 = 2 << 20;
/// Bytes of the ring of sockets: 26,000 records, which 8,000 connections write at once that begin and end here, each
/// at both of its sides, before the reader has its turn.
pub(crate) const SOCKET_RING_BYTES: u32 = 1 << 20;
const _: () = assert!(SOCKET_RING_BYTES / (sockets::RECORD_BYTES + 8) >= 26_000);
/// Bytes that are read of an iterator at once; the kernel gives at most 32 KiB.
const ITERATOR_READ_BYTES: usize = 64 * 1024;
/// Bytes of a whole look: a million processes and threads, or five million sockets, of which no host has so many.
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

/// A program that writes a record for each of the kernel's objects of a kind, when it is read.
#[derive(Debug)]
struct RecordIterator {
    link: OwnedFd,
}

impl RecordIterator {
    /// Loads the program that `assemble` makes, for the kernel's function `target`.
    fn open(
        name: &'static str,
        target: &str,
        assemble: impl FnOnce(&Btf<'_>) -> Result<Vec<u64>, AssembleError>,
    ) -> Result<Self, EbpfError> {
        check_namespace()?;
        let bytes = types()?;
        let btf = Btf::parse(&bytes)?;
        let program = assemble(&btf)?;
        let target = btf.function(target)?;
        let program = kernel::load_program(name, &program, Attach::Iterator, target.0)?;
        let link = kernel::attach_iterator(program.as_fd())?;
        Ok(Self { link })
    }

    /// Replaces what is in `records` by those of all objects.
    fn read(&self, records: &mut Vec<u8>) -> Result<(), EbpfError> {
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

/// The iterator over all tasks.
#[derive(Debug)]
pub(crate) struct TaskIterator {
    iterator: RecordIterator,
    resting: Map,
}

impl TaskIterator {
    /// Loads the program. It is gone when the answer is dropped.
    pub(crate) fn open() -> Result<Self, EbpfError> {
        check_namespace()?;
        let resting = Map::value("weir_resting", Resting::BYTES)?;
        let iterator = RecordIterator::open("weir_tasks", tasks::TARGET, |btf| {
            tasks::assemble(btf, resting.descriptor())
        })?;
        Ok(Self { iterator, resting })
    }

    /// One look: replaces what is in `records` by those of all tasks, which [`tasks::read`] reads. Of a process that
    /// hasn't run since it had what `resting` says, that is all that is told.
    pub(crate) fn read(&self, resting: &Resting, records: &mut Vec<u8>) -> Result<(), EbpfError> {
        self.resting.write(resting.numbers())?;
        self.iterator.read(records)
    }
}

/// The iterator over all open files.
#[derive(Debug)]
pub(crate) struct FileIterator(RecordIterator);

impl FileIterator {
    /// Loads the program. It is gone when the answer is dropped.
    pub(crate) fn open() -> Result<Self, EbpfError> {
        RecordIterator::open("weir_files", files::TARGET, files::assemble).map(Self)
    }

    /// One look: replaces what is in `records` by those of all sockets, which [`files::read`] reads.
    pub(crate) fn read(&self, records: &mut Vec<u8>) -> Result<(), EbpfError> {
        self.0.read(records)
    }
}

/// A ring of records, and the count of those that found no room in it, by their kinds.
#[derive(Debug)]
struct Records {
    map: Map,
    losses: Map,
    ring: Ring,
    numbers: Vec<u64>,
}

impl Records {
    fn new(
        (ring_name, ring_bytes): (&'static str, u32),
        (losses_name, losses_bytes): (&'static str, u32),
    ) -> Result<Self, EbpfError> {
        let map = Map::ring(ring_name, ring_bytes)?;
        let ring_bytes = usize::try_from(ring_bytes).unwrap_or_default();
        Ok(Self {
            ring: Ring::map(map.as_fd(), ring_bytes)?,
            map,
            losses: Map::cpu_value(losses_name, losses_bytes)?,
            numbers: Vec::new(),
        })
    }

    fn outlet(&self, wake: Wake) -> Outlet {
        Outlet {
            wake,
            ring: self.map.descriptor(),
            losses: self.losses.descriptor(),
        }
    }

    fn losses<const KINDS: usize>(&mut self) -> Result<[u64; KINDS], EbpfError> {
        self.losses.read(&mut self.numbers)?;
        let mut sums = [0_u64; KINDS];
        for cpu in self.numbers.chunks_exact(KINDS) {
            for (sum, number) in sums.iter_mut().zip(cpu) {
                *sum = sum.saturating_add(*number);
            }
        }
        Ok(sums)
    }
}

/// Loads a program and attaches it to its tracepoint.
fn attach(
    btf: &Btf<'_>,
    name: &'static str,
    tracepoint: &str,
    instructions: &[u64],
) -> Result<OwnedFd, EbpfError> {
    let (target, _) = btf.tracepoint(tracepoint)?;
    let program = kernel::load_program(name, instructions, Attach::Tracepoint, target.0)?;
    kernel::attach_tracepoint(program.as_fd())
}

/// The programs that tell of forks, execs and exits, and their ring.
#[derive(Debug)]
pub(crate) struct EventRing {
    records: Records,
    /// Lets go of the tracepoints when it is dropped.
    _links: [OwnedFd; WHATS],
    /// Programs keep it by themselves; here it only has its owner.
    _scratch: Map,
}

impl EventRing {
    /// Loads and attaches the programs, all or none: forks without exits would be worse than neither.
    pub(crate) fn open() -> Result<Self, EbpfError> {
        check_namespace()?;
        let bytes = types()?;
        let btf = Btf::parse(&bytes)?;
        let records = Records::new(("weir_events", RING_BYTES), ("weir_losses", LOSSES_BYTES))?;
        let scratch = Map::cpu_value("weir_scratch", exec::RECORD_BYTES_MAX)?;
        let maps = Maps {
            outlet: records.outlet(Wake::First),
            scratch: scratch.descriptor(),
        };
        // In this order, so that what has begun is known when it execs or ends.
        let links = [
            attach(
                &btf,
                "weir_exit",
                exit::TRACEPOINT,
                &exit::assemble(&btf, maps)?,
            )?,
            attach(
                &btf,
                "weir_exec",
                exec::TRACEPOINT,
                &exec::assemble(&btf, maps)?,
            )?,
            attach(
                &btf,
                "weir_fork",
                fork::TRACEPOINT,
                &fork::assemble(&btf, maps)?,
            )?,
        ];
        Ok(Self {
            records,
            _links: links,
            _scratch: scratch,
        })
    }

    /// Hands each record that waits to `each`; [`super::programs::event::read`] reads it.
    pub(crate) fn read(&mut self, each: impl FnMut(&[u8])) -> Result<(), EbpfError> {
        self.records.ring.read(each).map(|_| ())
    }

    /// How many records of each kind have found no room since the programs began.
    pub(crate) fn losses(&mut self) -> Result<[u64; WHATS], EbpfError> {
        self.records.losses()
    }
}

/// Becomes readable when much waits.
impl AsFd for EventRing {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.records.map.as_fd()
    }
}

/// The programs that tell whose a TCP socket is, and their ring.
#[derive(Debug)]
pub(crate) struct SocketRing {
    records: Records,
    /// Lets go of the tracepoints when it is dropped.
    _links: [OwnedFd; 2],
}

impl AsFd for SocketRing {
    /// Can be read when much waits.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.records.map.as_fd()
    }
}

impl SocketRing {
    /// Loads and attaches the programs, both or none. The ring has `ring_bytes`: a power of two, and whole pages.
    pub(crate) fn open(ring_bytes: u32) -> Result<Self, EbpfError> {
        check_namespace()?;
        let bytes = types()?;
        let btf = Btf::parse(&bytes)?;
        let records = Records::new(
            ("weir_sockets", ring_bytes),
            ("weir_sock_loss", sockets::LOSSES_BYTES),
        )?;
        let changes = sockets::assemble(&btf, records.outlet(Wake::Much))?;
        let ends = sockets::assemble_destroy(&btf, records.outlet(Wake::Much))?;
        let links = [
            attach(&btf, "weir_sockets", sockets::TRACEPOINT, &changes)?,
            attach(&btf, "weir_sock_ends", sockets::DESTROY_TRACEPOINT, &ends)?,
        ];
        Ok(Self {
            records,
            _links: links,
        })
    }

    /// Hands each record that waits to `each`; [`sockets::read`] reads it. False if one was still being written,
    /// which keeps back those behind it: they can be read in a moment.
    pub(crate) fn read(&mut self, each: impl FnMut(&[u8])) -> Result<bool, EbpfError> {
        self.records.ring.read(each)
    }

    /// How many records have found no room since the programs began.
    pub(crate) fn losses(&mut self) -> Result<u64, EbpfError> {
        self.records.losses::<1>().map(|[losses]| losses)
    }
}
