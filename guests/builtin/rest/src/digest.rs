//! A digest of the fields whose change is news: all but CPU, memory and the lifecycle.
//!
//! SipHash, over bytes, rather than one of the faster hashes: those can be run backwards, and who
//! chooses his own command line must not be able to choose one that looks as if nothing changed.

use super::process::{Columns, Row};
use std::hash::{DefaultHasher, Hasher};
use weir_guest::{TextColumn, TextListColumn};

/// What stands for a null: no length and no number is that.
const NULL: u64 = u64::MAX;

/// The digest of a row.
pub(crate) fn digest(columns: &Columns, row: Row<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
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
    hasher.write_u64(flags);
    hasher.write_u64(row.ppid().map_or(NULL, u64::from));
    hasher.write_u64(row.user_id().map_or(NULL, u64::from));
    hasher.write_u64(row.parent_start_time().map_or(NULL, i64::cast_unsigned));
    let texts: [&TextColumn; 9] = [
        &columns.parent_name,
        &columns.parent_executable,
        &columns.name,
        &columns.executable,
        &columns.cgroup,
        &columns.container_id,
        &columns.executable_hash,
        &columns.hash_algorithm,
        &columns.hash_baseline,
    ];
    for column in texts {
        write_text(&mut hasher, column.bytes(index));
    }
    write_list(&mut hasher, &columns.command_line, index);
    hasher.finish()
}

/// The length first, so that no two rows run together to the same bytes.
fn write_text(hasher: &mut DefaultHasher, text: Option<&[u8]>) {
    match text {
        Some(text) => {
            hasher.write_u64(text.len() as u64);
            hasher.write(text);
        }
        None => hasher.write_u64(NULL),
    }
}

/// The texts lie one after the other: their lengths, then all their bytes at once.
fn write_list(hasher: &mut DefaultHasher, column: &TextListColumn, index: usize) {
    let Some((first, end)) = column.range(index) else {
        return;
    };
    hasher.write_u64((end - first) as u64);
    let texts = column.texts();
    let mut bytes = None;
    for (from, to) in (first..end).filter_map(|text| texts.range(text)) {
        hasher.write_u64((to - from) as u64);
        bytes = Some((bytes.map_or(from, |(start, _)| start), to));
    }
    if let Some(bytes) = bytes.and_then(|(start, to)| texts.values().get(start..to)) {
        hasher.write(bytes);
    }
}
