//! bpf(2): maps, programs and what they are attached to. No safe wrapper of it exists.
//!
//! Each function here lends the kernel the memory that its command reads or writes, for the length of the
//! call, and nothing keeps an address. The invariant: a descriptor that the kernel gave has one owner.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::EbpfError;

/// Bytes of `union bpf_attr` that are handed over: more than any command here uses, and zeros count as
/// not being there.
const ATTRIBUTES_BYTES: usize = 128;
/// Bytes of what the verifier says, of which the end is kept.
const LOG_BYTES_MAX: usize = 256 * 1024;
/// Bytes of the verifier's words that stand in an error: the last lines say what is wrong.
const LOG_KEPT_BYTES_MAX: usize = 1_024;
/// Bytes of the name of a map or program, with a zero.
const NAME_BYTES: usize = 16;
/// CPUs that a kernel can be built for.
const CPUS_MAX: usize = 8_192;
/// What programs of ours are: they call functions that the kernel gives to such only.
const LICENCE: &CStr = c"Dual MIT/GPL";

const COMMAND_MAP_CREATE: i32 = 0;
const COMMAND_MAP_LOOKUP: i32 = 1;
const COMMAND_MAP_UPDATE: i32 = 2;
const COMMAND_PROGRAM_LOAD: i32 = 5;
const COMMAND_RAW_TRACEPOINT_OPEN: i32 = 17;
const COMMAND_LINK_CREATE: i32 = 28;
const COMMAND_ITERATOR_CREATE: i32 = 33;

/// `BPF_PROG_TYPE_TRACING`.
const PROGRAM_TYPE_TRACING: u32 = 26;

/// What a map is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MapType {
    /// Values.
    Array = 2,
    /// Values for each CPU.
    CpuArray = 6,
    /// A ring of records.
    Ring = 27,
}

/// What a program is attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attach {
    /// A tracepoint whose arguments have types: `BPF_TRACE_RAW_TP`.
    Tracepoint = 23,
    /// An iterator: `BPF_TRACE_ITER`.
    Iterator = 28,
}

/// A map of one entry, or a ring of so many bytes.
#[derive(Debug)]
pub(crate) struct Map {
    fd: OwnedFd,
    kind: MapType,
    value_bytes: u32,
}

impl Map {
    /// A map with one value of `value_bytes` for each CPU.
    pub(crate) fn cpu_value(name: &'static str, value_bytes: u32) -> Result<Self, EbpfError> {
        Self::create(MapType::CpuArray, name, 4, value_bytes, 1)
    }

    /// A map with one value of `value_bytes`.
    pub(crate) fn value(name: &'static str, value_bytes: u32) -> Result<Self, EbpfError> {
        Self::create(MapType::Array, name, 4, value_bytes, 1)
    }

    /// A ring of `bytes`: a power of two, and whole pages.
    pub(crate) fn ring(name: &'static str, bytes: u32) -> Result<Self, EbpfError> {
        Self::create(MapType::Ring, name, 0, 0, bytes)
    }

    fn create(
        kind: MapType,
        name: &'static str,
        key_bytes: u32,
        value_bytes: u32,
        entries: u32,
    ) -> Result<Self, EbpfError> {
        let mut attributes = Attributes::new();
        attributes.put(0, kind as u32);
        attributes.put(4, key_bytes);
        attributes.put(8, value_bytes);
        attributes.put(12, entries);
        attributes.put_name(28, name);
        // SAFETY: the command only reads the attributes, and none of them is an address.
        #[expect(unsafe_code, reason = "a system call that no safe wrapper offers")]
        let mut make = || unsafe { create(COMMAND_MAP_CREATE, &mut attributes) };
        // Before 5.11 maps count as locked memory, of which a process may have little.
        let made = make().or_else(|errno| match (errno, lift_memory_limit()) {
            (Errno::PERM, Ok(())) => make(),
            _ => Err(errno),
        });
        Ok(Self {
            fd: made.map_err(|errno| EbpfError::of_call("creating a map", errno))?,
            kind,
            value_bytes,
        })
    }

    /// The numbers of the one value, for one CPU after another.
    pub(crate) fn read(&self, numbers: &mut Vec<u64>) -> Result<(), EbpfError> {
        let failed = |errno| EbpfError::of_call("reading a map", errno);
        let value_numbers = usize::try_from(self.value_bytes).unwrap_or(0).div_ceil(8);
        if self.kind != MapType::CpuArray {
            return Err(failed(Errno::INVAL));
        }
        // As many as any kernel writes: how many CPUs this one has isn't taken on trust.
        numbers.resize(value_numbers * CPUS_MAX, 0);
        let key = 0_u32;
        let mut attributes = Attributes::new();
        attributes.put(0, self.number());
        attributes.put_address(8, std::ptr::from_ref(&key).addr());
        attributes.put_address(16, numbers.as_mut_ptr().expose_provenance());
        // SAFETY: the kernel reads a key of four bytes, which `key` has, and writes a value of
        // `value_bytes`, rounded up to eight, for each CPU that it was built for at most; `numbers` has
        // room for that, and both live until after the call.
        #[expect(unsafe_code, reason = "a system call that no safe wrapper offers")]
        unsafe { call(COMMAND_MAP_LOOKUP, &mut attributes) }.map_err(failed)?;
        Ok(())
    }

    /// Replaces the one value by these numbers, of which there must be as many as it has room for.
    pub(crate) fn write(&self, numbers: &[u64]) -> Result<(), EbpfError> {
        let failed = |errno| EbpfError::of_call("writing a map", errno);
        let bytes = u32::try_from(size_of_val(numbers));
        if self.kind != MapType::Array || bytes != Ok(self.value_bytes) {
            return Err(failed(Errno::INVAL));
        }
        let key = 0_u32;
        let mut attributes = Attributes::new();
        attributes.put(0, self.number());
        attributes.put_address(8, std::ptr::from_ref(&key).addr());
        attributes.put_address(16, numbers.as_ptr().expose_provenance());
        // SAFETY: the kernel reads a key of four bytes, which `key` has, and a value of `value_bytes`, which
        // `numbers` was just seen to have; both live until after the call.
        #[expect(unsafe_code, reason = "a system call that no safe wrapper offers")]
        unsafe { call(COMMAND_MAP_UPDATE, &mut attributes) }.map_err(failed)?;
        Ok(())
    }

    /// The descriptor, as programs name the map.
    pub(crate) fn descriptor(&self) -> i32 {
        self.fd.as_raw_fd()
    }

    fn number(&self) -> u32 {
        number_of(&self.fd)
    }
}

impl AsFd for Map {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Lets the process lock as much memory as it may at most.
fn lift_memory_limit() -> Result<(), Errno> {
    let limit = getrlimit(Resource::Memlock);
    let lifted = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Memlock, lifted)
}

/// Loads a program, which is verified, that is attached to the type `target` of the kernel.
pub(crate) fn load_program(
    name: &'static str,
    instructions: &[u64],
    attach: Attach,
    target: u32,
) -> Result<OwnedFd, EbpfError> {
    let errno = match load_with_log(name, instructions, attach, target, &mut []) {
        Ok(program) => return Ok(program),
        Err(errno @ (Errno::PERM | Errno::NOMEM)) => {
            return Err(EbpfError::of_call("loading a program", errno));
        }
        Err(errno) => errno,
    };
    // What the verifier says costs time and memory, and is asked for only where it is of use.
    let mut log = vec![0; LOG_BYTES_MAX];
    match load_with_log(name, instructions, attach, target, &mut log) {
        Ok(program) => Ok(program),
        Err(_) => {
            let log = end_of_log(&log);
            match log.is_empty() {
                true => Err(EbpfError::of_call("loading a program", errno)),
                false => Err(EbpfError::Refused { program: name, log }),
            }
        }
    }
}

fn load_with_log(
    name: &'static str,
    instructions: &[u64],
    attach: Attach,
    target: u32,
    log: &mut [u8],
) -> Result<OwnedFd, Errno> {
    let count = u32::try_from(instructions.len()).map_err(|_| Errno::TOOBIG)?;
    let log_bytes = u32::try_from(log.len()).map_err(|_| Errno::TOOBIG)?;
    let mut attributes = Attributes::new();
    attributes.put(0, PROGRAM_TYPE_TRACING);
    attributes.put(4, count);
    attributes.put_address(8, instructions.as_ptr().expose_provenance());
    attributes.put_address(16, LICENCE.as_ptr().expose_provenance());
    if log_bytes > 0 {
        attributes.put(24, 1);
        attributes.put(28, log_bytes);
        attributes.put_address(32, log.as_mut_ptr().expose_provenance());
    }
    attributes.put_name(48, name);
    attributes.put(68, attach as u32);
    attributes.put(108, target);
    // SAFETY: the kernel reads `count` instructions of eight bytes and a text that ends with a zero, and
    // writes at most `log_bytes` bytes; all three are borrowed until after the call.
    #[expect(unsafe_code, reason = "a system call that no safe wrapper offers")]
    unsafe {
        create(COMMAND_PROGRAM_LOAD, &mut attributes)
    }
}

/// The last lines of what the verifier said, in one line.
pub(super) fn end_of_log(log: &[u8]) -> String {
    let text = log.split(|byte| *byte == 0).next().unwrap_or_default();
    let from = text.len().saturating_sub(LOG_KEPT_BYTES_MAX);
    let text = String::from_utf8_lossy(text.get(from..).unwrap_or_default());
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        // The last line counts what was done.
        .filter(|line| !line.is_empty() && !line.starts_with("processed "))
        .collect();
    lines.join("; ")
}

/// Attaches a program to the tracepoint that it was loaded for, until the answer is dropped.
pub(crate) fn attach_tracepoint(program: BorrowedFd<'_>) -> Result<OwnedFd, EbpfError> {
    let mut attributes = Attributes::new();
    attributes.put(8, number_of(program));
    // SAFETY: the command only reads the attributes; the address in them, a name, is null: the program
    // itself says where it belongs.
    #[expect(unsafe_code, reason = "a system call that no safe wrapper offers")]
    unsafe { create(COMMAND_RAW_TRACEPOINT_OPEN, &mut attributes) }
        .map_err(|errno| EbpfError::of_call("attaching a program to a tracepoint", errno))
}

/// Attaches a program to the iterator that it was loaded for, until the answer is dropped.
pub(crate) fn attach_iterator(program: BorrowedFd<'_>) -> Result<OwnedFd, EbpfError> {
    let mut attributes = Attributes::new();
    attributes.put(0, number_of(program));
    attributes.put(8, Attach::Iterator as u32);
    // SAFETY: the command only reads the attributes; the address in them, what to iterate over, is null.
    #[expect(unsafe_code, reason = "a system call that no safe wrapper offers")]
    unsafe { create(COMMAND_LINK_CREATE, &mut attributes) }
        .map_err(|errno| EbpfError::of_call("attaching a program to an iterator", errno))
}

/// A file whose content is made by the iterator's program as it is read.
pub(crate) fn open_iterator(link: BorrowedFd<'_>) -> Result<OwnedFd, EbpfError> {
    let mut attributes = Attributes::new();
    attributes.put(0, number_of(link));
    // SAFETY: the command only reads the attributes, and none of them is an address.
    #[expect(unsafe_code, reason = "a system call that no safe wrapper offers")]
    unsafe { create(COMMAND_ITERATOR_CREATE, &mut attributes) }
        .map_err(|errno| EbpfError::of_call("opening an iterator", errno))
}

/// `union bpf_attr`: what a command is given.
#[repr(C, align(8))]
struct Attributes([u8; ATTRIBUTES_BYTES]);

impl Attributes {
    const fn new() -> Self {
        Self([0; ATTRIBUTES_BYTES])
    }

    fn put(&mut self, at: usize, number: u32) {
        self.put_bytes(at, &number.to_ne_bytes());
    }

    fn put_address(&mut self, at: usize, address: usize) {
        // Addresses are 64 bits wide on every machine.
        self.put_bytes(at, &(address as u64).to_ne_bytes());
    }

    fn put_name(&mut self, at: usize, name: &str) {
        let kept = name.len().min(NAME_BYTES - 1);
        self.put_bytes(at, name.as_bytes().get(..kept).unwrap_or_default());
    }

    fn put_bytes(&mut self, at: usize, bytes: &[u8]) {
        let place = self.0.get_mut(at..at + bytes.len());
        debug_assert!(place.is_some(), "no attribute stands at {at}");
        if let Some(place) = place {
            place.copy_from_slice(bytes);
        }
    }
}

fn number_of(fd: impl AsFd) -> u32 {
    // A descriptor that is owned or borrowed is not below zero.
    u32::try_from(fd.as_fd().as_raw_fd()).unwrap_or(u32::MAX)
}

/// Calls the kernel for a command that answers with a new descriptor.
///
/// # Safety
/// As for [`call`].
#[expect(unsafe_code, reason = "a system call that no safe wrapper offers")]
unsafe fn create(command: i32, attributes: &mut Attributes) -> Result<OwnedFd, Errno> {
    // SAFETY: what the caller promises is what `call` asks for.
    let fd = unsafe { call(command, attributes) }?;
    // SAFETY: the command answers with a descriptor that it has just made, closed at an exec, and nobody
    // else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Calls the kernel.
///
/// # Safety
/// Every address in the attributes must be null, or of memory that is valid for what the command reads
/// and writes there until this returns.
#[expect(unsafe_code, reason = "a system call that no safe wrapper offers")]
unsafe fn call(command: i32, attributes: &mut Attributes) -> Result<i32, Errno> {
    // SAFETY: the kernel reads and writes as many bytes of the attributes as it is told that there are;
    // what lies behind addresses in them is the caller's promise.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_mut(attributes),
            ATTRIBUTES_BYTES,
        )
    };
    match i32::try_from(answer) {
        Ok(answer) if answer >= 0 => Ok(answer),
        _ => {
            let number = std::io::Error::last_os_error().raw_os_error();
            Err(Errno::from_raw_os_error(number.unwrap_or(libc::EIO)))
        }
    }
}
