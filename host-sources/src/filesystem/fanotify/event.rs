//! The kernel's fanotify events as views of their bytes: linux/fanotify.h.
//!
//! Nothing is opened or resolved here. The invariant: each event and each part of it lies within the bytes, and
//! the first that doesn't ends them.

use crate::netlink::{array_at, u8_at, u32_at, u64_at};

/// The masks of operations.
pub(super) mod mask {
    pub(in super::super) const ACCESS: u64 = 0x1;
    pub(in super::super) const MODIFY: u64 = 0x2;
    pub(in super::super) const CREATE: u64 = 0x100;
    pub(in super::super) const DELETE: u64 = 0x200;
    pub(in super::super) const OPEN_EXEC: u64 = 0x1000;
    pub(in super::super) const OVERFLOW: u64 = 0x4000;
    pub(in super::super) const RENAME: u64 = 0x1000_0000;
    pub(in super::super) const ON_FOLDER: u64 = 0x4000_0000;
}

/// The version of the layout: `FANOTIFY_METADATA_VERSION`.
const VERSION: u8 = 3;
/// Bytes of `struct fanotify_event_metadata`.
const METADATA_BYTES: usize = 24;
/// Bytes of `struct fanotify_event_info_header`, and of it with a file system's id.
const INFO_BYTES: usize = 4;
/// Where a handle begins in such a part: after the header and the file system's id.
const HANDLE_AT: usize = INFO_BYTES + 8;
/// Bytes of `struct file_handle` before its own.
const HANDLE_BYTES: usize = 8;

/// What a part of an event tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The file itself: `FID`.
    Target,
    /// The folder, and the name in it: `DFID_NAME`.
    Place,
    /// Where it was: `OLD_DFID_NAME`.
    OldPlace,
    /// Where it went: `NEW_DFID_NAME`.
    NewPlace,
}

impl Role {
    const fn of_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Target),
            2 => Some(Self::Place),
            10 => Some(Self::OldPlace),
            12 => Some(Self::NewPlace),
            _ => None,
        }
    }
}

/// What names a file or folder, whatever it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Handle<'a> {
    /// The file system.
    pub(super) filesystem: [u8; 8],
    pub(super) kind: i32,
    pub(super) bytes: &'a [u8],
}

/// A part of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part<'a> {
    pub(super) role: Role,
    pub(super) handle: Handle<'a>,
    /// The name, without its end; none where the part has none, or it is the folder itself.
    pub(super) name: Option<&'a [u8]>,
}

/// An event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Event<'a> {
    pub(super) mask: u64,
    /// None where its process isn't in this thread's pid namespace.
    pub(super) pid: Option<u32>,
    parts: &'a [u8],
}

impl<'a> Event<'a> {
    /// The first part of a role.
    pub(super) fn part(&self, role: Role) -> Option<Part<'a>> {
        Parts { rest: self.parts }.find(|part| part.role == role)
    }
}

/// The events that a read brought.
#[derive(Clone, Debug)]
pub(super) struct Events<'a> {
    rest: &'a [u8],
}

impl<'a> Events<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The bytes that aren't looked at yet.
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

/// What was read isn't a row of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MalformedEvent;

impl<'a> Iterator for Events<'a> {
    type Item = Result<Event<'a>, MalformedEvent>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let read = read(self.rest);
        self.rest = read.map_or(&[], |(_, rest)| rest);
        Some(read.map(|(event, _)| event).ok_or(MalformedEvent))
    }
}

fn read(bytes: &[u8]) -> Option<(Event<'_>, &[u8])> {
    let length = usize::try_from(u32_at(bytes, 0)?).ok()?;
    let metadata_length = usize::from(u16::from_ne_bytes(array_at(bytes, 6)?));
    if u8_at(bytes, 4)? != VERSION || metadata_length < METADATA_BYTES {
        return None;
    }
    let pid = i32::from_ne_bytes(array_at(bytes, 20)?);
    let event = Event {
        mask: u64_at(bytes, 8)?,
        pid: u32::try_from(pid).ok().filter(|pid| *pid > 0),
        parts: bytes.get(metadata_length..length)?,
    };
    Some((event, bytes.get(length..)?))
}

/// The parts that are known. One that lies about its length ends them.
struct Parts<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Parts<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Part<'a>> {
        loop {
            let length = usize::from(u16::from_ne_bytes(array_at(self.rest, 2)?));
            let number = u8_at(self.rest, 0)?;
            let (part, rest) = self.rest.split_at_checked(length.max(INFO_BYTES))?;
            self.rest = rest;
            let known = Role::of_number(number).and_then(|role| read_part(role, part));
            if known.is_some() {
                return known;
            }
        }
    }
}

fn read_part(role: Role, part: &[u8]) -> Option<Part<'_>> {
    let handle = part.get(HANDLE_AT..)?;
    let length = usize::try_from(u32_at(handle, 0)?).ok()?;
    let rest = handle.get(HANDLE_BYTES..)?;
    let (bytes, after) = rest.split_at_checked(length)?;
    // The kernel pads behind the name's end.
    let name = after.split(|byte| *byte == 0).next();
    Some(Part {
        role,
        handle: Handle {
            filesystem: array_at(part, INFO_BYTES)?,
            kind: i32::from_ne_bytes(array_at(handle, 4)?),
            bytes,
        },
        name: name.filter(|name| !name.is_empty() && *name != b"."),
    })
}
