//! What holds for any bytes: the bodies of fuzz targets, and of the property tests.
//!
//! No part of the product: only tests and the feature `fuzzing` have it.

use super::linux::parsers::{
    MemoryInfo, OwnStat, cpu_lines, cpu_stat, disk_lines, interface_lines, io_stat, load,
    paging_counters, pressure_lines,
};

/// `/proc/stat`: names are those of cpus, and lie within the bytes.
///
/// # Panics
/// If that doesn't hold.
pub fn proc_stat(data: &[u8]) {
    for line in cpu_lines(data).flatten() {
        assert!(line.name.starts_with(b"cpu"));
        assert_eq!(line.is_sum(), line.name.len() == 3);
        assert!(within(line.name, data));
    }
}

/// `/proc/diskstats`: a name is no empty text, and has no white space.
///
/// # Panics
/// If that doesn't hold.
pub fn diskstats(data: &[u8]) {
    for line in disk_lines(data).flatten() {
        assert!(within(line.name, data) && !line.name.is_empty());
        assert!(!line.name.iter().any(u8::is_ascii_whitespace));
    }
}

/// `/proc/net/dev`: a name is no empty text.
///
/// # Panics
/// If that doesn't hold.
pub fn net_dev(data: &[u8]) {
    for line in interface_lines(data).flatten() {
        assert!(within(line.name, data) && !line.name.is_empty());
    }
}

/// `/proc/pressure/*`: averages are shares.
///
/// # Panics
/// If that doesn't hold.
pub fn pressure(data: &[u8]) {
    for line in pressure_lines(data).flatten() {
        assert!(
            line.averages
                .iter()
                .all(|share| (0.0..=1.0).contains(share))
        );
        assert!(line.kind == b"some" || line.kind == b"full");
    }
}

/// Files of one value each or of named values: `/proc/meminfo`, `/proc/loadavg`, `/proc/vmstat`, `/proc/self/stat`, and
/// `cpu.stat` and `io.stat` of a control group.
///
/// # Panics
/// If a number is none.
pub fn named_values(data: &[u8]) {
    let _ = (MemoryInfo::parse(data), paging_counters(data));
    let _ = (OwnStat::parse(data), cpu_stat(data), io_stat(data));
    let averages = load(data);
    assert!(averages.is_none_or(|all| all.iter().all(|average| average.is_finite())));
}

fn within(part: &[u8], whole: &[u8]) -> bool {
    let (part, whole) = (part.as_ptr_range(), whole.as_ptr_range());
    whole.start <= part.start && part.end <= whole.end
}
