//! Load averages and the uptime: `/proc/loadavg`, `/proc/uptime`.

use super::super::metric::{LOAD_1M, LOAD_5M, LOAD_15M, UPTIME};
use super::{FILE_BYTES_MAX, First, Hand, Part, Trouble};
use crate::kernel_files::text::{decimal, fields};
use crate::kernel_files::{FileError, KeptFile, Roots};

/// The averages over 1, 5 and 15 minutes; none if they don't read as they should.
pub(in crate::performance) fn load(bytes: &[u8]) -> Option<[f64; 3]> {
    let mut fields = fields(bytes);
    let mut next = || decimal(fields.next()?);
    Some([next()?, next()?, next()?])
}

pub(super) struct Load {
    averages: KeptFile,
    uptime: KeptFile,
}

impl Load {
    pub(super) fn new(roots: &Roots) -> Self {
        let file = |name| KeptFile::new(roots.proc.join(name), FILE_BYTES_MAX);
        Self {
            averages: file("loadavg"),
            uptime: file("uptime"),
        }
    }
}

impl Part for Load {
    fn name(&self) -> &'static str {
        "load"
    }

    fn look(&mut self, hand: &mut Hand<'_>) -> Result<(), Trouble> {
        let mut trouble = First::default();
        match self.averages.read().map(|contents| load(contents.bytes)) {
            Ok(Some(averages)) => {
                for (metric, average) in [LOAD_1M, LOAD_5M, LOAD_15M].iter().zip(averages) {
                    hand.rows.push(metric, average);
                }
            }
            Ok(None) => {
                trouble.note(FileError::malformed(self.averages.path(), "three averages"));
            }
            Err(error) => trouble.note(error),
        }
        let uptime = self.uptime.read();
        match uptime.map(|contents| fields(contents.bytes).next().and_then(decimal)) {
            Ok(Some(seconds)) => hand.rows.push(&UPTIME, seconds),
            Ok(None) => trouble.note(FileError::malformed(self.uptime.path(), "seconds")),
            Err(error) => trouble.note(error),
        }
        trouble.result()
    }
}
