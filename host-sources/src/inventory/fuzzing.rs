//! What holds for any bytes: the bodies of fuzz targets, and of the property tests.
//!
//! No part of the product: only tests and the feature `fuzzing` have it.

use super::linux::parsers::{CPUS_MAX, assignments, cpu_info, cpu_list, mount_lines};

/// `/proc/self/mountinfo`: no text of a mount is longer than its line.
///
/// # Panics
/// If that doesn't hold.
pub fn mountinfo(data: &[u8]) {
    for line in mount_lines(data).flatten() {
        let texts = [
            &line.root,
            &line.point,
            &line.options,
            &line.kind,
            &line.device,
            &line.super_options,
        ];
        assert!(texts.iter().map(|text| text.len()).sum::<usize>() <= data.len());
    }
}

/// `/proc/cpuinfo` and lists of cpus: no attribute comes twice, and no list has more cpus than are followed.
///
/// # Panics
/// If that doesn't hold.
pub fn cpus(data: &[u8]) {
    let mut attributes: Vec<&str> = cpu_info(data).into_iter().map(|(name, _)| name).collect();
    let all = attributes.len();
    attributes.sort_unstable();
    attributes.dedup();
    assert_eq!(attributes.len(), all);
    if let Some((count, first)) = cpu_list(data) {
        let first = first.len() as u64;
        assert!(first <= count && first <= CPUS_MAX);
    }
}

/// `os-release`: names are names.
///
/// # Panics
/// If that doesn't hold.
pub fn os_release(data: &[u8]) {
    for (name, _) in assignments(data) {
        assert!(!name.is_empty() && name.is_ascii());
    }
}
