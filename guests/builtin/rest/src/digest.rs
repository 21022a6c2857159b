//! A digest of the fields whose change is news: all but CPU, memory and the lifecycle.
//!
//! SipHash, over bytes, rather than one of the faster hashes: those can be run backwards, and who
//! chooses his own command line must not be able to choose one that looks as if nothing changed.

use super::process::{Columns, Row};
use std::hash::{DefaultHasher, Hasher};
use weir_guest::{TextColumn, TextListColumn};

/// What stands for a null: no length and no number is that.
const NULL: u64 = u64::MAX;
/// What stands for a baseline that is the digest itself; no length is that either.
const SAME: u64 = u64::MAX - 1;

/// The digest of a row. `bytes` is room to put together what is hashed, at once: that is several times cheaper than
/// field by field.
pub(crate) fn digest(columns: &Columns, row: Row<'_>, bytes: &mut Vec<u8>) -> u64 {
    bytes.clear();
    let index = row.index();
    let flags = [
        row.executable_deleted(),
        row.accessible(),
        row.file_exists(),
    ];
    // Two bits a flag: it is there, and it is set.
    let flags = flags.iter().fold(0, |bits, flag| {
        bits << 2 | flag.map_or(0, |flag| 2 | u64::from(flag))
    });
    write_number(bytes, flags);
    write_number(bytes, row.ppid().map_or(NULL, u64::from));
    write_number(bytes, row.user_id().map_or(NULL, u64::from));
    let parent_start_time = row.parent_start_time().map_or(NULL, i64::cast_unsigned);
    write_number(bytes, parent_start_time);
    let texts: [&TextColumn; 8] = [
        &columns.parent_name,
        &columns.parent_executable,
        &columns.name,
        &columns.executable,
        &columns.cgroup,
        &columns.container_id,
        &columns.executable_hash,
        &columns.hash_algorithm,
    ];
    for column in texts {
        write_text(bytes, column.bytes(index));
    }
    // The first digest that was seen at the path is that of now, nearly always.
    let baseline = columns.hash_baseline.bytes(index);
    match baseline.is_some() && baseline == columns.executable_hash.bytes(index) {
        true => write_number(bytes, SAME),
        false => write_text(bytes, baseline),
    }
    write_list(bytes, &columns.command_line, index);
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

fn write_number(bytes: &mut Vec<u8>, number: u64) {
    bytes.extend_from_slice(&number.to_le_bytes());
}

/// The length first, so that no two rows run together to the same bytes.
fn write_text(bytes: &mut Vec<u8>, text: Option<&[u8]>) {
    match text {
        Some(text) => {
            write_number(bytes, text.len() as u64);
            bytes.extend_from_slice(text);
        }
        None => write_number(bytes, NULL),
    }
}

/// The texts lie one after the other: their lengths, then all their bytes at once.
fn write_list(bytes: &mut Vec<u8>, column: &TextListColumn, index: usize) {
    let Some((first, end)) = column.range(index) else {
        return;
    };
    write_number(bytes, (end - first) as u64);
    let texts = column.texts();
    let mut all = None;
    for (from, to) in (first..end).filter_map(|text| texts.range(text)) {
        write_number(bytes, (to - from) as u64);
        all = Some((all.map_or(from, |(start, _)| start), to));
    }
    if let Some(all) = all.and_then(|(start, to)| texts.values().get(start..to)) {
        bytes.extend_from_slice(all);
    }
}
