//! The promises of the config, over [`load`] as the daemon calls it.

mod every_key;
mod faults;
mod layers;
mod property;
mod texts;
mod triggers;
mod trust;

use super::*;
use std::path::Path;

/// The user's file of a test, in a folder that is gone when it is dropped.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// Loads with a user's file of this text; an absent text means no file.
fn request(
    user: Option<&Path>,
    environment: &[(&str, &str)],
    flags: &[(&str, &str)],
) -> LoadRequest<'static> {
    let owned = |pairs: &[(&str, &str)]| {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    };
    LoadRequest {
        user: user.map(Path::to_path_buf),
        environment: owned(environment),
        flags: owned(flags),
        ..LoadRequest::default()
    }
}

/// Loads a text as the embedded default, without any other layer.
fn load_text(text: &str) -> Result<Loaded, ConfigErrors> {
    load_as(
        &LoadRequest {
            embedded_default: text,
            ..LoadRequest::default()
        },
        false,
    )
}

/// The one error of a load.
#[track_caller]
fn one_error(result: Result<Loaded, ConfigErrors>) -> String {
    let errors = result.expect_err("this config is wrong");
    let text = errors.to_string();
    assert_eq!(errors.errors().len(), 1, "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}
