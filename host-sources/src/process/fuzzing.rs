//! What holds for any bytes that come from `/proc` or the kernel: the bodies of fuzz targets, and of the
//! property tests.

use super::details::{cgroup, stat};
use super::events::connector;
use crate::redaction::Redacting;

/// `stat`, `statm` and `cgroup` of any bytes.
pub(crate) fn proc_files(data: &[u8]) {
    if let Some(stat) = stat::Stat::parse(data) {
        assert!(stat.name.len() < data.len());
        assert_eq!(stat::start_ticks(data), Some(stat.start_ticks));
    }
    let _ = (stat::resident_pages(data), stat::turns_taken(data));
    let text = String::from_utf8_lossy(data);
    if let Some(path) = cgroup::path(&text) {
        assert!(text.contains(path));
        let id = cgroup::container_id(path);
        assert!(id.is_none_or(|id| id.len() == 64 && path.contains(id)));
    }
    let mut details = super::details::Details::default();
    let redacting = Redacting::default();
    for is_all in [true, false] {
        details.set_arguments(data, is_all, &redacting);
        let bytes: usize = details.command_line.iter().map(String::len).sum();
        // A secret of one byte is replaced by the mark.
        assert!(bytes <= 3 * data.len() + 3);
        details.set_name(data);
    }
}

/// Datagrams of the proc connector and of taskstats.
pub(crate) fn kernel_messages(data: &[u8]) {
    let _ = connector::read(data);
    super::tier::fuzz_taskstats(data);
}
