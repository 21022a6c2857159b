//! Which paths are reported: those below the folders that an include lets in and no exclude keeps out.
//!
//! It touches no file. The invariant: no path or pattern is known here but those of the options.

use std::path::{Path, PathBuf};

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};

/// Patterns of one list, so that matching stays cheap.
pub const PATTERNS_MAX: usize = 256;
/// Folders that are watched.
pub const FOLDERS_MAX: usize = 64;

/// What is wrong with the options of the filesystem source.
#[derive(Debug, thiserror::Error)]
pub enum FilesystemOptionsError {
    /// A pattern is none.
    #[error("`{pattern}` is no pattern for paths: {problem}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A list is too long.
    #[error("{count} {what} are more than the {max} that there may be: join some of them")]
    TooMany {
        /// How many there are.
        count: usize,
        /// What they are.
        what: &'static str,
        /// How many there may be.
        max: usize,
    },
    /// A folder isn't absolute.
    #[error("the folder `{}` to watch is not absolute: write it from `/`", .0.display())]
    Relative(PathBuf),
}

/// The choice of paths.
#[derive(Debug)]
pub(super) struct Paths {
    folders: Vec<PathBuf>,
    /// Empty: everything.
    include: GlobSet,
    exclude: GlobSet,
}

impl Paths {
    pub(super) fn new(
        folders: &[PathBuf],
        include: &[String],
        exclude: &[String],
    ) -> Result<Self, FilesystemOptionsError> {
        at_most(folders.len(), "folders to watch", FOLDERS_MAX)?;
        if let Some(relative) = folders.iter().find(|folder| !folder.is_absolute()) {
            return Err(FilesystemOptionsError::Relative(relative.clone()));
        }
        // A folder within another is watched with it.
        let mut folders: Vec<PathBuf> = folders
            .iter()
            .map(|folder| folder.components().collect())
            .collect();
        folders.sort();
        folders.dedup_by(|inner, outer| inner.starts_with(outer));
        Ok(Self {
            folders,
            include: set(include)?,
            exclude: set(exclude)?,
        })
    }

    /// The folders, none within another.
    pub(super) fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    /// Whether what happens to a path is reported.
    pub(super) fn wants(&self, path: &Path) -> bool {
        self.has(path)
            && (self.include.is_empty() || self.include.is_match(path))
            && !self.exclude.is_match(path)
    }

    /// Whether anything below a folder may be reported.
    pub(super) fn wants_below(&self, folder: &Path) -> bool {
        self.has(folder) && !self.exclude.is_match(folder)
    }

    fn has(&self, path: &Path) -> bool {
        self.folders.iter().any(|folder| path.starts_with(folder))
    }
}

/// Checks one pattern of `include` or `exclude`.
///
/// # Errors
/// [`FilesystemOptionsError::Pattern`].
pub fn check_pattern(pattern: &str) -> Result<(), FilesystemOptionsError> {
    set(&[pattern.to_owned()]).map(drop)
}

fn at_most(count: usize, what: &'static str, max: usize) -> Result<(), FilesystemOptionsError> {
    if count > max {
        return Err(FilesystemOptionsError::TooMany { count, what, max });
    }
    Ok(())
}

/// A pattern also stands for all that is below what it matches.
fn set(patterns: &[String]) -> Result<GlobSet, FilesystemOptionsError> {
    at_most(patterns.len(), "patterns", PATTERNS_MAX)?;
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(glob(pattern, pattern)?);
        let below = format!("{}/**", pattern.trim_end_matches('/'));
        set.add(glob(pattern, &below)?);
    }
    set.build().map_err(|error| invalid("all of them", &error))
}

fn glob(told: &str, pattern: &str) -> Result<Glob, FilesystemOptionsError> {
    GlobBuilder::new(pattern)
        .literal_separator(true)
        .backslash_escape(true)
        .build()
        .map_err(|error| invalid(told, &error))
}

fn invalid(pattern: &str, error: &globset::Error) -> FilesystemOptionsError {
    FilesystemOptionsError::Pattern {
        pattern: pattern.to_owned(),
        problem: error.kind().to_string(),
    }
}
