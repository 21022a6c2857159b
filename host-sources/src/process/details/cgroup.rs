//! Control groups: a process's path, and the container that it names.
//!
//! It knows no container runtime. The invariant: a container id is a run of exactly 64 hex digits,
//! which is what all of them use, and nothing else is one.

/// Hex digits of a container id.
const CONTAINER_ID_DIGITS: usize = 64;

/// The path that a process's `cgroup` file says: that of the unified hierarchy, or where it is only
/// the root the longest of the others.
pub(crate) fn path(text: &str) -> Option<&str> {
    // hierarchy:controllers:path
    let paths = || {
        text.lines().filter_map(|line| {
            let (hierarchy, rest) = line.split_once(':')?;
            let (_, path) = rest.split_once(':')?;
            (!path.is_empty()).then_some((hierarchy, path))
        })
    };
    let unified = paths().find(|(hierarchy, path)| *hierarchy == "0" && *path != "/");
    let longest = || paths().max_by_key(|(_, path)| path.len());
    unified.or_else(longest).map(|(_, path)| path)
}

/// The container that a control group's path names: the last, where containers hold containers.
pub(in crate::process) fn container_id(path: &str) -> Option<&str> {
    path.rsplit(|character: char| !character.is_ascii_hexdigit())
        .find(|run| run.len() == CONTAINER_ID_DIGITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_the_one_that_says_most() {
        let check = |text, expected| assert_eq!(path(text), expected);
        check("", None);
        check("0::/\n", Some("/"));
        check("0::/init.scope\n", Some("/init.scope"));
        check("0::/a:b\n", Some("/a:b"));
        check("12:pids:/long/path\n0::/unit\n", Some("/unit"));
        check("12:pids:/a\n3:cpu,cpuacct:/a/b\n0::/\n", Some("/a/b"));
        check("nonsense\n:\n1:\n", None);
    }

    #[test]
    fn a_container_is_named_by_its_64_digits_and_by_nothing_else() {
        let id = "0123456789abcdef".repeat(4);
        let check = |path: &str, expected: Option<&str>| assert_eq!(container_id(path), expected);
        check(&format!("/x/{id}"), Some(&id));
        check(&format!("/x.slice/y-{id}.scope"), Some(&id));
        check(&format!("/{}/{id}/init", "f".repeat(64)), Some(&id));
        check(&format!("/x/{id}0"), None);
        check(&format!("/x/{}", &id[1..]), None);
        check("/user.slice", None);
        check("", None);
    }
}
