//! The lock file of a new project: what of the guests' own lock it needs, so that it builds with
//! the very same dependencies, and needs no index of a registry to find them.

use std::collections::BTreeSet;

use serde::Deserialize;

/// What stands before every package.
const PACKAGE: &str = "[[package]]\n";

/// One package of a lock file.
#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    #[serde(default)]
    dependencies: Vec<String>,
}

/// The packages of a lock file, each with its own text.
fn packages(lock: &str) -> Vec<(Package, &str)> {
    let blocks = lock.split(PACKAGE).skip(1);
    blocks
        .filter_map(|text| Some((toml::from_str(text).ok()?, text)))
        .collect()
}

/// The version of a package that a lock file has; none if it has none.
pub(super) fn version_of(lock: &str, name: &str) -> Option<String> {
    let mut found = packages(lock).into_iter();
    let (package, _) = found.find(|(package, _)| package.name == name)?;
    Some(package.version)
}

/// The lock file of a package that depends on `dependencies`: of the guests' lock, those and all
/// that they need.
pub(super) fn lock_for(lock: &str, name: &str, dependencies: &[&str]) -> String {
    let packages = packages(lock);
    let mut needed = BTreeSet::new();
    let mut open: Vec<&str> = dependencies.to_vec();
    while let Some(wanted) = open.pop() {
        // `name`, or `name version` where there are several.
        let mut words = wanted.split(' ');
        let (wanted_name, version) = (words.next(), words.next());
        for (index, (package, _)) in packages.iter().enumerate() {
            let is_wanted = wanted_name == Some(package.name.as_str())
                && version.is_none_or(|version| version == package.version);
            if is_wanted && needed.insert(index) {
                open.extend(package.dependencies.iter().map(String::as_str));
            }
        }
    }
    let own = own_package(name, dependencies);
    let mut blocks: Vec<(&str, &str)> = needed
        .into_iter()
        .filter_map(|index| packages.get(index))
        .map(|(package, text)| (package.name.as_str(), text.trim_end()))
        .collect();
    blocks.push((name, own.trim_end()));
    blocks.sort_by_key(|(name, _)| *name);
    let head = lock.split(PACKAGE).next().unwrap_or_default().trim_end();
    let mut text = head.to_owned();
    for (_, block) in blocks {
        text.push_str("\n\n");
        text.push_str(PACKAGE);
        text.push_str(block);
    }
    text.push('\n');
    text
}

fn own_package(name: &str, dependencies: &[&str]) -> String {
    let mut sorted = dependencies.to_vec();
    sorted.sort_unstable();
    let lines: String = sorted
        .iter()
        .map(|name| format!(" \"{name}\",\n"))
        .collect();
    format!("name = \"{name}\"\nversion = \"0.1.0\"\ndependencies = [\n{lines}]\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = "# made\nversion = 4\n\n\
        [[package]]\nname = \"a\"\nversion = \"1.0.0\"\ndependencies = [\n \"b 2.0.0\",\n]\n\n\
        [[package]]\nname = \"b\"\nversion = \"1.0.0\"\n\n\
        [[package]]\nname = \"b\"\nversion = \"2.0.0\"\n\n\
        [[package]]\nname = \"other\"\nversion = \"0.1.0\"\n";

    #[test]
    fn a_project_gets_what_it_needs_of_the_lock_and_no_more() {
        let expected = "# made\nversion = 4\n\n\
            [[package]]\nname = \"a\"\nversion = \"1.0.0\"\ndependencies = [\n \"b 2.0.0\",\n]\n\n\
            [[package]]\nname = \"b\"\nversion = \"2.0.0\"\n\n\
            [[package]]\nname = \"mine\"\nversion = \"0.1.0\"\ndependencies = [\n \"a\",\n]\n";
        assert_eq!(lock_for(LOCK, "mine", &["a"]), expected);
        assert_eq!(version_of(LOCK, "a").as_deref(), Some("1.0.0"));
        assert_eq!(version_of(LOCK, "c"), None);
    }
}
