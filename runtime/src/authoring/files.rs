//! The files that new projects are made of, embedded as text by `build.rs`.

/// Path in the repository, and text; in the order of the paths.
static FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/authoring.rs"));

/// The guests' lock file.
pub(super) const LOCK: &str = "guests/Cargo.lock";
/// How guests are built: target and vectors.
pub(super) const CARGO_CONFIG: &str = "guests/.cargo/config.toml";
/// What every project gets, and what each world's gets.
pub(super) const TEMPLATES: &str = "guests/templates/";
/// The SDK, and the contract: their places to each other are kept in a project.
const KEPT: [&str; 2] = ["guests/sdk/", "wit/"];

/// The text of one file; empty if there is none, which a test rules out.
pub(super) fn text_of(path: &str) -> &'static str {
    let found = FILES.iter().find(|(name, _)| *name == path);
    found.map_or("", |&(_, text)| text)
}

/// The files under a folder: path from there, and text.
pub(super) fn under(folder: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    FILES
        .iter()
        .filter_map(move |&(name, text)| Some((name.strip_prefix(folder)?, text)))
}

/// The SDK and the contract, by their paths in the repository.
pub(super) fn sdk() -> impl Iterator<Item = (&'static str, &'static str)> {
    FILES
        .iter()
        .copied()
        .filter(|(name, _)| KEPT.iter().any(|folder| name.starts_with(folder)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_a_project_needs_is_embedded() {
        for path in [
            LOCK,
            CARGO_CONFIG,
            "guests/sdk/Cargo.toml",
            "guests/sdk/src/lib.rs",
            "wit/worlds.wit",
            "guests/templates/common/Cargo.toml.template",
        ] {
            assert!(!text_of(path).is_empty(), "{path}");
        }
        for world in ["filter", "trigger", "stage"] {
            let folder = format!("{TEMPLATES}{world}/");
            let names: Vec<_> = under(&folder).map(|(name, _)| name).collect();
            let expected = [
                "settings.json",
                "src/lib.rs",
                "tests/events.jsonl",
                "tests/expected.json",
            ];
            assert_eq!(names, expected, "{world}");
        }
        assert!(sdk().all(|(name, _)| !name.contains("/target/")));
    }
}
