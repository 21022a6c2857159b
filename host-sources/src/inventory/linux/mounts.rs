//! Mounts: `/proc/self/mountinfo`.
//!
//! An item is a mount point, as the daemon's mount namespace shows it; of several on the same point the last, which
//! hides the others. Options can hold secrets: values that look like one are left out.

use std::borrow::Cow;

use super::{Hand, ITEMS_MAX, Part};
use crate::kernel_files::text::{lines, lossy};
use crate::kernel_files::{FileError, KeptFile, Roots};
use crate::schedule::Tier;

const CLASS: &str = "mount";
/// Bytes that are read of the file: 4,096 mounts with the longest lines that overlays have.
const FILE_BYTES_MAX: usize = 16 << 20;
/// An option with one of these in its name may hold a secret.
const SECRET_WORDS: [&str; 5] = ["pass", "secret", "token", "key", "cred"];
/// What stands for one.
const LEFT_OUT: &str = "…";

/// One mount; texts with their escapes undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::inventory) struct MountLine<'a> {
    /// What of the file system is mounted: `/`, or a folder of it.
    pub(in crate::inventory) root: Cow<'a, [u8]>,
    /// Where.
    pub(in crate::inventory) point: Cow<'a, [u8]>,
    /// The mount's own options.
    pub(in crate::inventory) options: Cow<'a, [u8]>,
    /// The file system's type.
    pub(in crate::inventory) kind: Cow<'a, [u8]>,
    /// The device, or what the file system takes for one.
    pub(in crate::inventory) device: Cow<'a, [u8]>,
    /// The file system's options.
    pub(in crate::inventory) super_options: Cow<'a, [u8]>,
}

/// The lines; none for one that doesn't read as it should.
pub(in crate::inventory) fn mount_lines(
    bytes: &[u8],
) -> impl Iterator<Item = Option<MountLine<'_>>> {
    lines(bytes).map(|line| {
        // A single space each, for a field may be empty.
        let mut fields = line.split(|byte| *byte == b' ');
        let mut next = || fields.next().map(unescaped);
        let (_id, _parent, _device) = (next()?, next()?, next()?);
        let (root, point, options) = (next()?, next()?, next()?);
        // Any number of fields that only the kernel needs.
        fields.find(|field| *field == b"-")?;
        let mut next = || fields.next().map(unescaped);
        Some(MountLine {
            root,
            point,
            options,
            kind: next()?,
            device: next()?,
            super_options: next().unwrap_or_default(),
        })
    })
}

/// White space, `\` and `#` are written as three octal digits behind a `\`.
fn unescaped(field: &[u8]) -> Cow<'_, [u8]> {
    if !field.contains(&b'\\') {
        return Cow::Borrowed(field);
    }
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        match (*first == b'\\').then(|| octal(after)).flatten() {
            Some((byte, after)) => {
                bytes.push(byte);
                rest = after;
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    Cow::Owned(bytes)
}

fn octal(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let (digits, rest) = bytes.split_at_checked(3)?;
    let byte = digits.iter().try_fold(0_u16, |number, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 8)?;
        Some(number * 8 + u16::from(digit))
    })?;
    Some((u8::try_from(byte).ok()?, rest))
}

/// Options without the values that may be secrets.
fn without_secrets(options: &str) -> String {
    let masked = options
        .split(',')
        .map(|option| match option.split_once('=') {
            Some((name, _)) if is_secret(name) => Cow::Owned(format!("{name}={LEFT_OUT}")),
            _ => Cow::Borrowed(option),
        });
    let masked: Vec<Cow<'_, str>> = masked.collect();
    masked.join(",")
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

/// A device without the password of a user in its address.
fn without_password(device: &str) -> Cow<'_, str> {
    let masked = || {
        let (scheme, rest) = device.split_once("://")?;
        let (user, host) = rest.split_once('@')?;
        let (name, _) = user.split_once(':').filter(|_| !user.contains('/'))?;
        Some(format!("{scheme}://{name}:{LEFT_OUT}@{host}"))
    };
    masked().map_or(Cow::Borrowed(device), Cow::Owned)
}

pub(super) struct Mounts {
    file: KeptFile,
}

impl Mounts {
    pub(super) fn new(roots: &Roots) -> Self {
        let path = roots.proc.join("self/mountinfo");
        Self {
            file: KeptFile::new(path, FILE_BYTES_MAX),
        }
    }
}

impl Part for Mounts {
    fn name(&self) -> &'static str {
        "mounts"
    }

    fn tier(&self) -> Tier {
        Tier::Slow
    }

    fn look(&mut self, hand: &mut Hand<'_>) {
        let path = self.file.path().to_owned();
        let contents = match self.file.read() {
            Ok(contents) => contents,
            Err(error) => return hand.note(error),
        };
        if let Some(cut) = contents.cut {
            hand.note(cut);
        }
        let mut told: std::collections::BTreeMap<Vec<u8>, MountLine<'_>> = Default::default();
        for line in mount_lines(contents.bytes) {
            match line {
                None => hand.note(FileError::malformed(&path, "a line of a mount")),
                Some(line) if told.len() < ITEMS_MAX || told.contains_key(&*line.point) => {
                    told.insert(line.point.to_vec(), line);
                }
                Some(_) => hand.note(FileError::too_many(&path, "mounts", ITEMS_MAX)),
            }
        }
        for (point, line) in told {
            let item = lossy(&point);
            let device = lossy(&line.device);
            let options =
                [&line.options, &line.super_options].map(|of| without_secrets(&lossy(of)));
            let [options, super_options] = options;
            let mut say = |attribute, value: &str| hand.facts.say(CLASS, &item, attribute, value);
            say("device", &without_password(&device));
            say("type", &lossy(&line.kind));
            say("options", &options);
            say("super_options", &super_options);
            if *line.root != *b"/" {
                say("root", &lossy(&line.root));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_keep_spaces_newlines_and_backslashes() {
        let check = |line: &str, point: &[u8], device: &[u8]| {
            let mut found = mount_lines(line.as_bytes());
            let found = found.next().unwrap().unwrap();
            assert_eq!((&*found.point, &*found.device), (point, device), "{line}");
        };
        check(
            "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 shared:2 - ext3 /dev/root rw,errors=continue",
            b"/mnt2",
            b"/dev/root",
        );
        check(
            r"36 35 0:21 / /a\040b\011c\012d\134e\043 rw - tmpfs a\040b rw",
            b"/a b\tc\nd\\e#",
            b"a b",
        );
        // What isn't an escape stays.
        check(
            r"36 35 0:21 / /a\04 rw - tmpfs \999\ rw",
            br"/a\04",
            br"\999\",
        );
        check(
            r"36 35 0:21 / /a\777b rw - tmpfs none rw",
            br"/a\777b",
            b"none",
        );
        // Nothing for a device, and no options of the file system.
        check("36 35 0:21 / /x rw - tmpfs  rw", b"/x", b"");
        check("36 35 0:21 / /x rw - tmpfs none", b"/x", b"none");
        // A mount point called as what ends the optional fields.
        check("36 35 0:21 / - rw - - - rw", b"-", b"-");
    }

    #[test]
    fn lines_that_are_none_are_none() {
        for line in [
            "x",
            "36 35 98:0 / /x rw",
            "36 35 98:0 / /x rw shared:1",
            "36 35 98:0 / /x rw - tmpfs",
        ] {
            let found: Vec<_> = mount_lines(line.as_bytes()).collect();
            assert_eq!(found, [None], "{line}");
        }
    }

    #[test]
    fn what_may_be_a_secret_is_left_out() {
        assert_eq!(
            without_secrets("rw,Password=x=y,user=me,secretfile=/a,keyring,size=4k"),
            "rw,Password=…,user=me,secretfile=…,keyring,size=4k"
        );
        let check = |device, expected| assert_eq!(without_password(device), expected);
        check("https://me:pw@host/x", "https://me:…@host/x");
        check("https://host/a:b@c", "https://host/a:b@c");
        check("me@host:/x", "me@host:/x");
        check("//server/share", "//server/share");
    }
}
