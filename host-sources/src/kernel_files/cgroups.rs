//! Which control groups a host has, and where version 2 of them is.

use std::path::{Path, PathBuf};

use super::Roots;

/// The hierarchies of control groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cgroups {
    /// Version 2 only, at this folder.
    Unified(PathBuf),
    /// Version 2 at this folder, and version 1 with its controllers beside it.
    Hybrid(PathBuf),
    /// Version 1 only.
    Legacy,
    /// None that can be seen.
    None,
}

impl Cgroups {
    /// Looks where every distribution mounts them.
    pub(crate) fn find(roots: &Roots) -> Self {
        let unified = roots.sys.join("fs/cgroup");
        let hybrid = unified.join("unified");
        let is_version_2 = |folder: &Path| folder.join("cgroup.controllers").is_file();
        let is_version_1 =
            |controller: &str| unified.join(controller).join("cgroup.procs").is_file();
        if is_version_2(&unified) {
            Self::Unified(unified)
        } else if is_version_2(&hybrid) {
            Self::Hybrid(hybrid)
        } else if ["memory", "cpu", "pids", "systemd"]
            .into_iter()
            .any(is_version_1)
        {
            Self::Legacy
        } else {
            Self::None
        }
    }

    /// The folder of version 2.
    pub(crate) fn version_2(&self) -> Option<&Path> {
        match self {
            Self::Unified(folder) | Self::Hybrid(folder) => Some(folder),
            Self::Legacy | Self::None => None,
        }
    }

    /// The name that systemd gives it.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Unified(_) => "unified",
            Self::Hybrid(_) => "hybrid",
            Self::Legacy => "legacy",
            Self::None => "none",
        }
    }
}
