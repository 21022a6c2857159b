//! An example: keeps the processes that run out of somebody's home folder, or hold over 1 GiB.

weir_guest::export! {
    filter over process { executable: text, memory_bytes: u64 }
    keep |row| {
        row.executable().is_some_and(|path| path.starts_with("/home/"))
            || row.memory_bytes() > Some(1 << 30)
    }
}
