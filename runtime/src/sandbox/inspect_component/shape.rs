//! Which names a guest may import and must export: the contract's worlds, and nothing else.
//!
//! Names come from outside: they are shown escaped and cut to a length, and never trusted to be
//! well formed.

use std::fmt;

/// The package of the contract.
const PACKAGE: &str = "weir:collector";
/// What every guest exports.
const LIFECYCLE: &str = "lifecycle";
/// What a guest with state in memory exports besides.
const SNAPSHOTS: &str = "snapshots";
/// What a trigger that can say why exports besides.
const EXPLAIN: &str = "explain";
/// The packages of WASI 0.2 that a guest gets, in a small form.
const WASI_PACKAGES: [&str; 5] = ["cli", "clocks", "filesystem", "io", "random"];
/// Major and minor version of the contract, and of WASI.
const CONTRACT_VERSION: (u64, u64) = (0, 1);
const WASI_VERSION: (u64, u64) = (0, 2);
/// How many characters of a name an error shows.
const SHOWN_CHARACTERS: usize = 120;
/// How many characters of the parser's words.
const WORDS_CHARACTERS: usize = 400;
/// How many of a component's exports an error shows.
const SHOWN_EXPORTS: usize = 5;

/// The contract's worlds: what a guest is for, and what it may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum World {
    /// Which rows go on. Log and data only.
    Filter,
    /// Which rows fire. Keeps state.
    Trigger,
    /// What a firing means. Keeps state, counts, and looks at the host.
    Stage,
}

impl World {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Filter, Self::Trigger, Self::Stage];

    /// As the config and the contract name it; also the interface that makes a guest one.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::Trigger => "trigger",
            Self::Stage => "stage",
        }
    }

    /// The interfaces of `weir:collector` that its guests may import.
    #[must_use]
    pub const fn imports(self) -> &'static [&'static str] {
        match self {
            Self::Filter => &["log", "batches"],
            Self::Trigger => &["log", "batches", "state"],
            Self::Stage => &["log", "batches", "state", "metrics", "inspect"],
        }
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a component is not one that Weir can load.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// The binary can't be read.
    #[error("the component is malformed at byte {offset}: {message}; build it again")]
    Malformed {
        /// Where.
        offset: usize,
        /// What is wrong.
        message: String,
    },
    /// It has more names than any honest one.
    #[error(
        "the component has more than {names_max} imports or exports, which is the most it may have"
    )]
    TooManyNames {
        /// The limit.
        names_max: usize,
    },
    /// It is of none of the worlds.
    #[error(
        "the component exports none of weir:collector/filter, weir:collector/trigger and weir:collector/stage (version 0.1), but {exports}; implement one of the worlds of weir:collector"
    )]
    NoWorld {
        /// What it exports.
        exports: String,
    },
    /// It is of more than one world.
    #[error(
        "the component exports both weir:collector/{first} and weir:collector/{second}, and a guest is exactly one of filter, trigger and stage: make two components of it"
    )]
    TwoWorlds {
        /// One.
        first: World,
        /// The other.
        second: World,
    },
    /// It doesn't say who it is.
    #[error(
        "the component exports weir:collector/{world} but not weir:collector/lifecycle, which every guest exports"
    )]
    NoLifecycle {
        /// Its world.
        world: World,
    },
    /// An interface of the contract, or of WASI, in a version that isn't this host's.
    #[error(
        "the component {verb} {name}, and this host has version {offered}: build the guest against that"
    )]
    Version {
        /// `imports` or `exports`.
        verb: &'static str,
        /// The interface, with its version.
        name: String,
        /// The host's, as `0.1.x`.
        offered: String,
    },
    /// An interface of the contract that this world doesn't get.
    #[error(
        "the component imports {name}, which a {world} may not: it gets {allowed} of weir:collector"
    )]
    NotOfThisWorld {
        /// The import.
        name: String,
        /// Its world.
        world: World,
        /// What it may import.
        allowed: String,
    },
    /// An import that no guest gets.
    #[error("the component imports {name}, which no guest gets: {remedy}")]
    NotOffered {
        /// The import.
        name: String,
        /// What would be right.
        remedy: &'static str,
    },
    /// An export under the contract's name that the contract doesn't know.
    #[error(
        "the component exports {name}, which is no interface of the contract: those are weir:collector/filter, trigger, stage, lifecycle, snapshots and explain"
    )]
    UnknownExport {
        /// The export.
        name: String,
    },
}

/// `namespace:package/interface@version`, as far as it is one.
struct InterfaceName<'a> {
    /// `namespace:package`.
    package: &'a str,
    interface: &'a str,
    version: Option<&'a str>,
}

impl<'a> InterfaceName<'a> {
    fn parse(name: &'a str) -> Option<Self> {
        let (path, version) = match name.split_once('@') {
            Some((path, version)) => (path, Some(version)),
            None => (name, None),
        };
        let (package, interface) = path.split_once('/')?;
        Some(Self {
            package,
            interface,
            version,
        })
    }

    /// Whether its version is `major.minor.` and a number.
    fn is_version(&self, (major, minor): (u64, u64)) -> bool {
        let Some(version) = self.version else {
            return false;
        };
        let mut parts = version.split('.').map(number);
        [parts.next(), parts.next()] == [Some(Some(major)), Some(Some(minor))]
            && matches!(parts.next(), Some(Some(_)))
            && parts.next().is_none()
    }
}

/// A number of a version: digits only, where `parse` would also take a sign.
fn number(digits: &str) -> Option<u64> {
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}

/// What a guest exports besides its world.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Besides {
    /// Its state can be taken and put back (`weir:collector/snapshots`).
    pub snapshots: bool,
    /// It can say why its rules fire (`weir:collector/explain`).
    pub explain: bool,
}

/// The world that the exports make, and what there is besides.
pub(super) fn judge_exports(exports: &[String]) -> Result<(World, Besides), ShapeError> {
    let (mut world, mut lifecycle, mut besides) = (None, false, Besides::default());
    for export in exports {
        let Some(name) = InterfaceName::parse(export).filter(|name| name.package == PACKAGE) else {
            // What a language's toolchain exports besides is never called.
            continue;
        };
        check_version("exports", export, &name, CONTRACT_VERSION)?;
        let found = World::ALL
            .into_iter()
            .find(|w| w.as_str() == name.interface);
        match (found, world) {
            (Some(second), Some(first)) => return Err(ShapeError::TwoWorlds { first, second }),
            (Some(_), None) => world = found,
            (None, _) if name.interface == LIFECYCLE => lifecycle = true,
            (None, _) if name.interface == SNAPSHOTS => besides.snapshots = true,
            (None, _) if name.interface == EXPLAIN => besides.explain = true,
            (None, _) => {
                let name = shown(export);
                return Err(ShapeError::UnknownExport { name });
            }
        }
    }
    let Some(world) = world else {
        let exports = some_of(exports);
        return Err(ShapeError::NoWorld { exports });
    };
    if !lifecycle {
        return Err(ShapeError::NoLifecycle { world });
    }
    Ok((world, besides))
}

/// Whether a guest of that world gets all these imports.
pub(super) fn judge_imports(imports: &[String], world: World) -> Result<(), ShapeError> {
    imports
        .iter()
        .try_for_each(|import| judge_import(import, world))
}

fn judge_import(import: &str, world: World) -> Result<(), ShapeError> {
    let not_offered = |remedy| ShapeError::NotOffered {
        name: shown(import),
        remedy,
    };
    let Some(name) = InterfaceName::parse(import) else {
        return Err(not_offered(
            "guests import interfaces of weir:collector and wasi, and no bare functions or instances",
        ));
    };
    if name.package == PACKAGE {
        check_version("imports", import, &name, CONTRACT_VERSION)?;
        if world.imports().contains(&name.interface) {
            return Ok(());
        }
        let is_known = World::ALL
            .iter()
            .any(|w| w.imports().contains(&name.interface));
        return Err(if is_known {
            ShapeError::NotOfThisWorld {
                name: shown(import),
                world,
                allowed: world.imports().join(", "),
            }
        } else {
            not_offered(
                "of weir:collector there are log, batches, state, metrics and inspect to import",
            )
        });
    }
    let Some(wasi) = name.package.strip_prefix("wasi:") else {
        return Err(not_offered(
            "guests import interfaces of weir:collector and wasi only; compose the component with what it needs",
        ));
    };
    if WASI_PACKAGES.contains(&wasi) {
        return check_version("imports", import, &name, WASI_VERSION);
    }
    Err(not_offered(match wasi {
        "sockets" | "http" => {
            "guests reach no network; docs/guests.md has the build flags that keep a toolchain from importing it"
        }
        _ => "of wasi there are cli, clocks, filesystem, io and random in version 0.2",
    }))
}

fn check_version(
    verb: &'static str,
    full: &str,
    name: &InterfaceName<'_>,
    wanted: (u64, u64),
) -> Result<(), ShapeError> {
    if name.is_version(wanted) {
        return Ok(());
    }
    Err(ShapeError::Version {
        verb,
        name: shown(full),
        offered: format!("{}.{}.x", wanted.0, wanted.1),
    })
}

/// What the parser says, as an error shows it: it goes over several lines, and has names in it.
pub(super) fn shown_words(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    cut(&words.join(" "), WORDS_CHARACTERS)
}

/// A name as an error shows it: on one line, and not longer than a line.
fn shown(name: &str) -> String {
    cut(name, SHOWN_CHARACTERS)
}

fn cut(text: &str, characters: usize) -> String {
    let mut line: String = text.escape_debug().take(characters).collect();
    if line.len() < text.len() {
        line.push('…');
    }
    line
}

fn some_of(exports: &[String]) -> String {
    if exports.is_empty() {
        return "nothing".to_owned();
    }
    let names: Vec<_> = exports
        .iter()
        .take(SHOWN_EXPORTS)
        .map(|e| shown(e))
        .collect();
    let more = exports.len().saturating_sub(SHOWN_EXPORTS);
    match more {
        0 => names.join(", "),
        _ => format!("{} and {more} more", names.join(", ")),
    }
}
