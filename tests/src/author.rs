//! Somebody who writes guests: a folder outside of the repository, and `weir` on the path.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::build::{target_folder, weir_binary};

/// What the build of the tests themselves says to cargo, and nobody else's.
const OUTER_PREFIXES: [&str; 6] = [
    "CARGO_",
    "RUSTFLAGS",
    "RUSTDOCFLAGS",
    "CLIPPY",
    "RUSTC_",
    "WEIR_",
];
/// Of these an author has the same: where cargo's own things lie, and how to reach a registry.
const KEPT_PREFIXES: [&str; 5] = [
    "CARGO_HOME",
    "CARGO_HTTP",
    "CARGO_NET",
    "CARGO_REGISTR",
    "CARGO_SOURCE",
];

/// An author at work.
pub struct Author {
    home: tempfile::TempDir,
}

/// What a command came to.
pub struct Done {
    /// Its exit code.
    pub code: Option<i32>,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }
}

impl Done {
    /// Stdout of a command that must have ended with that code.
    ///
    /// # Panics
    /// If it ended with another.
    pub fn ended(&self, code: i32) -> &str {
        let (found, out, err) = (self.code, &self.stdout, &self.stderr);
        assert_eq!(found, Some(code), "stdout:\n{out}\nstderr:\n{err}");
        &self.stdout
    }
}

impl Author {
    /// An author with an empty folder.
    ///
    /// # Panics
    /// If there is no place for it.
    #[must_use]
    pub fn new() -> Self {
        let home = tempfile::tempdir().expect("a temporary folder");
        let program = home.path().join("bin");
        std::fs::create_dir(&program).expect("a folder for `weir`");
        let link = program.join("weir");
        std::os::unix::fs::symlink(weir_binary(), link).expect("`weir` on the path");
        let author = Self { home };
        std::fs::create_dir(author.folder()).expect("a folder to work in");
        author
    }

    /// The folder that commands run in.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.home.path().join("work")
    }

    /// Writes a file into that folder, and gives its path.
    ///
    /// # Panics
    /// If it can't be written.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder().join(name);
        let folder = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).expect("the file's folder");
        std::fs::write(&path, text).expect("the file");
        path
    }

    /// A program in that folder, with a machine of its own around it: no config, an empty cache.
    ///
    /// # Panics
    /// If the path can't be put together.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            let starts = |prefixes: &[&str]| {
                let name = name.to_string_lossy();
                prefixes.iter().any(|prefix| name.starts_with(prefix))
            };
            if starts(&OUTER_PREFIXES) && !starts(&KEPT_PREFIXES) {
                command.env_remove(&name);
            }
        }
        let own = self.home.path();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::iter::once(own.join("bin")).chain(std::env::split_paths(&path));
        command
            .current_dir(self.folder())
            .env("PATH", std::env::join_paths(path).expect("a path"))
            .env("XDG_CONFIG_HOME", own.join("config"))
            .env("WEIR_BUS__SOCKET", own.join("weir.sock"))
            .env("WEIR_SANDBOX__CACHE_FOLDER", own.join("cache"))
            .env("WEIR_SANDBOX__STATE_FOLDER", own.join("state"));
        command
    }

    /// Runs `weir` with these arguments. Guests are built in a folder that all authors share, so
    /// that their dependencies are built once.
    ///
    /// # Panics
    /// If it can't be started.
    pub fn weir<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Done {
        let mut command = self.command("weir");
        command
            .env("CARGO_TARGET_DIR", target_folder().join("authoring"))
            .args(arguments);
        command.output().expect("`weir` can be started").into()
    }
}

impl Default for Author {
    fn default() -> Self {
        Self::new()
    }
}
