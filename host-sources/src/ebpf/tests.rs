//! Promises of the programs, in the kernel that this runs on.

use super::programs::tasks::{self, Task};
use super::*;

#[test]
fn one_read_shows_all_processes() {
    let tasks = match TaskIterator::open() {
        Ok(tasks) => tasks,
        Err(reason) if !rustix::process::geteuid().is_root() => {
            println!("no task iterator for an ordinary user: {reason}");
            return;
        }
        Err(reason) => panic!("{reason}"),
    };
    let mut records = Vec::new();
    tasks.read(&mut records).unwrap();
    let (mut rest, mut found) = (records.as_slice(), false);
    while let Some((task, next)) = tasks::read(rest) {
        found |= matches!(task, Task::Process(process) if process.pid == std::process::id());
        rest = next;
    }
    assert!(found && rest.is_empty());
}
