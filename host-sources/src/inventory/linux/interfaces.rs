//! Network interfaces: `/sys/class/net`, of the network namespace that sysfs was mounted in.

use std::path::PathBuf;

use super::{Hand, Part, names};
use crate::kernel_files::Roots;
use crate::schedule::Tier;

const CLASS: &str = "interface";
/// Attribute and file. Speed and duplex can't be read while an interface is down.
const FILES: [(&str, &str); 5] = [
    ("mac", "address"),
    ("mtu", "mtu"),
    ("speed_mbit", "speed"),
    ("duplex", "duplex"),
    ("state", "operstate"),
];
/// What is told of a speed that isn't known.
const SPEED_UNKNOWN: &str = "-1";

pub(super) struct Interfaces {
    folder: PathBuf,
}

impl Interfaces {
    pub(super) fn new(roots: &Roots) -> Self {
        Self {
            folder: roots.sys.join("class/net"),
        }
    }
}

impl Part for Interfaces {
    fn name(&self) -> &'static str {
        "interfaces"
    }

    fn tier(&self) -> Tier {
        Tier::Slow
    }

    fn look(&mut self, hand: &mut Hand<'_>) {
        for (name, folder) in names(&self.folder, "interfaces", hand) {
            // Beside the interfaces lies a file of the bonding driver.
            if !folder.is_dir() {
                continue;
            }
            let item = name.to_string_lossy();
            for (attribute, file) in FILES {
                let text = hand.text(&folder.join(file));
                if let Some(text) = text.filter(|text| text != SPEED_UNKNOWN) {
                    hand.facts.say(CLASS, &item, attribute, &text);
                }
            }
            let driver = std::fs::read_link(folder.join("device/driver")).ok();
            let driver = driver.as_deref().and_then(|path| path.file_name());
            if let Some(driver) = driver {
                let driver = driver.to_string_lossy();
                hand.facts.say(CLASS, &item, "driver", &driver);
            }
            let is_virtual = folder.join("device").symlink_metadata().is_err();
            let is_virtual = if is_virtual { "yes" } else { "no" };
            hand.facts.say(CLASS, &item, "virtual", is_virtual);
        }
    }
}
