//! Folders that look like the kernel's, for tests.

use std::path::Path;

use super::Roots;

/// A `/proc`, a `/sys` and an `/etc` of a test.
pub(crate) struct FakeRoots {
    folder: tempfile::TempDir,
}

impl FakeRoots {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["proc", "sys", "etc"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        Self { folder }
    }

    pub(crate) fn roots(&self) -> Roots {
        Roots {
            proc: self.folder.path().join("proc"),
            sys: self.folder.path().join("sys"),
            root: self.folder.path().to_owned(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file as in `proc/stat`, with its folders.
    pub(crate) fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    pub(crate) fn remove(&self, path: &str) {
        let path = self.folder.path().join(path);
        if path.is_dir() {
            std::fs::remove_dir_all(path).unwrap();
        } else {
            std::fs::remove_file(path).unwrap();
        }
    }
}
