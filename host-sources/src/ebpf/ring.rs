//! The reader of a ring buffer: memory that the kernel writes records to, and that is shared with it.
//!
//! The data is mapped twice, one copy after the other, so that a record that goes over the end lies in
//! one piece. The invariant: a record is lent out only while the kernel can't write over it, which is
//! until the consumer's position has passed it.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use rustix::io::Errno;

use super::EbpfError;

/// Bytes before each record: its length and flags, and a number that is the kernel's own.
const HEADER_BYTES: usize = 8;
/// Records begin at multiples of this.
const ALIGNMENT: usize = 8;
/// The record is still being written: `BPF_RINGBUF_BUSY_BIT`.
const BUSY: u32 = 1 << 31;
/// The record was given up: `BPF_RINGBUF_DISCARD_BIT`.
const DISCARDED: u32 = 1 << 30;

/// Where the next record is, as the header of one says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It isn't written yet.
    Wait,
    /// So many bytes follow the header, and are a record if `is_record`; the next is `advance` bytes further.
    Record {
        bytes: usize,
        advance: usize,
        is_record: bool,
    },
    /// No kernel writes such a header.
    Broken,
}

/// What a header says, in a ring of `ring_bytes`.
pub(super) fn step(header: u32, ring_bytes: usize) -> Step {
    if header & BUSY != 0 {
        return Step::Wait;
    }
    let bytes = usize::try_from(header & !(BUSY | DISCARDED)).unwrap_or(usize::MAX);
    let advance = bytes
        .checked_add(HEADER_BYTES)
        .and_then(|bytes| bytes.checked_next_multiple_of(ALIGNMENT))
        .filter(|advance| *advance <= ring_bytes);
    match advance {
        Some(advance) => Step::Record {
            bytes,
            advance,
            is_record: header & DISCARDED == 0,
        },
        None => Step::Broken,
    }
}

/// A ring, mapped.
#[derive(Debug)]
pub(crate) struct Ring {
    /// The reader's position, which the kernel reads.
    consumer: Mapping,
    /// The kernel's position, and after that page the data, twice.
    producer: Mapping,
    ring_bytes: usize,
    page_bytes: usize,
}

impl Ring {
    /// Maps the ring `map`, of `ring_bytes`: a power of two, and whole pages.
    pub(crate) fn map(map: BorrowedFd<'_>, ring_bytes: usize) -> Result<Self, EbpfError> {
        let page_bytes = rustix::param::page_size();
        let is_fit = ring_bytes.is_power_of_two() && ring_bytes.is_multiple_of(page_bytes);
        let all_bytes = ring_bytes.checked_mul(2);
        let all_bytes = all_bytes.and_then(|bytes| bytes.checked_add(page_bytes));
        let failed = |errno| EbpfError::of_call("mapping a ring", errno);
        let (true, Some(all_bytes)) = (is_fit, all_bytes) else {
            return Err(failed(Errno::INVAL));
        };
        Ok(Self {
            consumer: Mapping::new(map, 0, page_bytes, true).map_err(failed)?,
            producer: Mapping::new(map, page_bytes, all_bytes, false).map_err(failed)?,
            ring_bytes,
            page_bytes,
        })
    }

    /// Hands each record that waits to `each`, and makes room for others. False if one was still being written: it
    /// and what follows it wait for the next time.
    ///
    /// # Errors
    /// If the kernel's memory isn't a ring's.
    pub(crate) fn read(&mut self, mut each: impl FnMut(&[u8])) -> Result<bool, EbpfError> {
        let mut position = self.consumer.number(0).load(Ordering::Relaxed);
        // As far as it is now: a kernel that writes without a pause is read again later.
        let end = self.producer.number(0).load(Ordering::Acquire);
        while position < end {
            let at = self.page_bytes + (position & (self.ring_bytes - 1));
            let header = self.producer.header(at).load(Ordering::Acquire);
            match step(header, self.ring_bytes) {
                Step::Wait => return Ok(false),
                Step::Broken => {
                    return Err(EbpfError::of_call("reading a ring", Errno::ILSEQ));
                }
                Step::Record {
                    bytes,
                    advance,
                    is_record,
                } => {
                    if is_record {
                        each(self.producer.bytes(at + HEADER_BYTES, bytes));
                    }
                    position += advance;
                    self.consumer.number(0).store(position, Ordering::Release);
                }
            }
        }
        Ok(true)
    }
}

/// Memory that is shared with the kernel.
#[derive(Debug)]
struct Mapping {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: the memory belongs to the process, not to a thread, and who has the mapping alone reads it.
#[expect(unsafe_code, reason = "memory that is shared with the kernel")]
unsafe impl Send for Mapping {}

#[expect(unsafe_code, reason = "memory that is shared with the kernel")]
impl Mapping {
    fn new(
        map: BorrowedFd<'_>,
        offset: usize,
        bytes: usize,
        is_written: bool,
    ) -> Result<Self, Errno> {
        let offset = libc::off_t::try_from(offset).map_err(|_| Errno::INVAL)?;
        let protection = match is_written {
            true => libc::PROT_READ | libc::PROT_WRITE,
            false => libc::PROT_READ,
        };
        // SAFETY: the kernel chooses the place, so that no memory in use is replaced, and the arguments
        // are numbers and a descriptor that is open.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                protection,
                libc::MAP_SHARED,
                map.as_raw_fd(),
                offset,
            )
        };
        let failed = start == libc::MAP_FAILED;
        match NonNull::new(start.cast()).filter(|_| !failed) {
            Some(start) => Ok(Self { start, bytes }),
            None => {
                let number = std::io::Error::last_os_error().raw_os_error();
                Err(Errno::from_raw_os_error(number.unwrap_or(libc::EIO)))
            }
        }
    }

    /// A position, at `at`.
    fn number(&self, at: usize) -> &AtomicUsize {
        assert!(at.is_multiple_of(align_of::<AtomicUsize>()));
        assert!(at + size_of::<AtomicUsize>() <= self.bytes);
        // SAFETY: the place lies within the mapping, which lives as long as `self`, and is aligned, for the
        // mapping begins at a page; the kernel reads and writes it as one number too.
        unsafe { self.start.add(at).cast().as_ref() }
    }

    /// The header of a record, at `at`.
    fn header(&self, at: usize) -> &AtomicU32 {
        assert!(at.is_multiple_of(align_of::<AtomicU32>()));
        assert!(at + size_of::<AtomicU32>() <= self.bytes);
        // SAFETY: as for `number`. The page may be one that isn't written here, and it is only loaded from.
        unsafe { self.start.add(at).cast().as_ref() }
    }

    /// The bytes of a record, at `at`. Only for a record that the kernel has finished, and until the
    /// consumer's position has passed it.
    fn bytes(&self, at: usize, bytes: usize) -> &[u8] {
        assert!(at.checked_add(bytes).is_some_and(|end| end <= self.bytes));
        // SAFETY: the bytes lie within the mapping, which lives as long as `self`; they are initialised, for
        // the kernel clears pages; and `Ring::read`, the only caller, moves the consumer's position after the
        // bytes were given back, until when the kernel doesn't write there.
        unsafe { std::slice::from_raw_parts(self.start.add(at).as_ptr(), bytes) }
    }
}

#[expect(unsafe_code, reason = "memory that is shared with the kernel")]
impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping was made with this start and length, and nothing borrows from it any more. An
        // error would mean that it isn't there.
        unsafe {
            libc::munmap(self.start.as_ptr().cast(), self.bytes);
        }
    }
}
