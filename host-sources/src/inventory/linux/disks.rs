//! Disks: `/sys/block`. One without a medium — a loop device that holds no file — isn't told.

use std::path::PathBuf;

use super::{Hand, Part, names};
use crate::kernel_files::Roots;
use crate::kernel_files::text::number;

const CLASS: &str = "disk";
/// The file counts sectors of 512 bytes, whatever the disk's own are.
const SECTOR_BYTES: u64 = 512;
/// Attribute and file.
const FILES: [(&str, &str); 6] = [
    ("rotational", "queue/rotational"),
    ("removable", "removable"),
    ("read_only", "ro"),
    ("block_bytes", "queue/logical_block_size"),
    ("vendor", "device/vendor"),
    ("model", "device/model"),
];

pub(super) struct Disks {
    folder: PathBuf,
}

impl Disks {
    pub(super) fn new(roots: &Roots) -> Self {
        Self {
            folder: roots.sys.join("block"),
        }
    }
}

impl Part for Disks {
    fn name(&self) -> &'static str {
        "disks"
    }

    fn look(&mut self, hand: &mut Hand<'_>) {
        for (name, folder) in names(&self.folder, "disks", hand) {
            let sectors = hand.text(&folder.join("size"));
            let bytes = sectors.and_then(|text| number(text.as_bytes())?.checked_mul(SECTOR_BYTES));
            let Some(bytes) = bytes.filter(|bytes| *bytes > 0) else {
                continue;
            };
            // `!` stands for the `/` of names like cciss/c0d0.
            let item = name.to_string_lossy().replace('!', "/");
            hand.facts
                .say(CLASS, &item, "size_bytes", &bytes.to_string());
            for (attribute, file) in FILES {
                let Some(text) = hand.text(&folder.join(file)) else {
                    continue;
                };
                let value = match (attribute, text.as_str()) {
                    ("rotational" | "removable" | "read_only", "0") => "no",
                    ("rotational" | "removable" | "read_only", "1") => "yes",
                    (_, text) => text,
                };
                hand.facts.say(CLASS, &item, attribute, value);
            }
        }
    }
}
