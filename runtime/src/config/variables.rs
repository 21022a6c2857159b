//! The layers that are single settings: `WEIR_A__B` variables, and flags.
//!
//! Knows how a variable's name becomes a key. Invariant: a `WEIR_` variable or a flag that names no key is an error.

use super::error::ConfigError;
use super::keys::{
    Found, NAME_SEGMENT, all, children, find, nearest_key, nearest_of, places_of_names,
};
use super::layer::{KeyPath, Layered, Reader};
use super::origin::{Layer, Origin, shown};
use super::raw::{At, DEPTH_MAX, Entry, Raw, parse_free, parse_line};

/// How the name of every variable begins that sets a key.
pub(crate) const PREFIX: &str = "WEIR_";

/// Reads the variables whose name begins with [`PREFIX`], in the order of their names.
pub(crate) fn read_environment(into: &mut Layered, environment: &[(String, String)]) {
    let mut ours: Vec<(&str, &str, &str)> = environment
        .iter()
        .filter_map(|(name, value)| {
            let rest = name.strip_prefix(PREFIX)?;
            Some((rest, name.as_str(), value.as_str()))
        })
        .collect();
    ours.sort_unstable();
    for (rest, name, value) in ours {
        let path = rest.split("__").map(str::to_ascii_lowercase).collect();
        let path = with_known_name(into, path);
        let origin = Origin::variable(Layer::Environment, name);
        if !read(into, &path, value, &origin) {
            into.errors.push(ConfigError::UnknownKey {
                key: shown(&path.join(".")),
                given: format!("\"{}\"", shown(value)),
                remedy: variable_remedy(&path, rest),
                origin,
            });
        }
    }
}

/// Reads flags: pairs of a dotted key and a value.
pub(crate) fn read_flags(into: &mut Layered, flags: &[(String, String)]) {
    for (name, value) in flags {
        let path: KeyPath = name.split('.').map(str::to_owned).collect();
        let origin = Origin::variable(Layer::Flag, name);
        if !read(into, &path, value, &origin) {
            let remedy = nearest_key(&path).map_or_else(
                || "`weir config` shows all keys".to_owned(),
                |near| format!("did you mean {near}?"),
            );
            into.errors.push(ConfigError::UnknownKey {
                key: shown(name),
                given: format!("\"{}\"", shown(value)),
                remedy,
                origin,
            });
        }
    }
}

/// Reads one setting; false where there is no such key.
fn read(into: &mut Layered, path: &KeyPath, text: &str, origin: &Origin) -> bool {
    if path.len() > DEPTH_MAX {
        return false;
    }
    let value = match find(path) {
        Found::Key(key) => parse_line(text, &key.takes),
        Found::Inside(_) => parse_free(text),
        Found::Table | Found::NamedTable | Found::Unknown => return false,
    };
    // Wrapped in its tables, so that names are noted and checked as in a file.
    let nested = path.iter().skip(1).rev().fold(value, |value, segment| {
        Raw::Table(vec![entry(segment, value)])
    });
    let Some(first) = path.first() else {
        return false;
    };
    Reader {
        into,
        origin: &|_| origin.clone(),
        folder: None,
    }
    .table(&Vec::new(), &[entry(first, nested)]);
    true
}

fn entry(key: &str, value: Raw) -> Entry {
    Entry {
        key: At {
            value: key.to_owned(),
            offset: 0,
        },
        value: At { value, offset: 0 },
    }
}

/// Variables have no upper and lower case and no `-`: where a lower layer has a source, slot, sink or access rule of
/// which the variable's name is such a form, that one is meant.
fn with_known_name(layered: &Layered, mut path: KeyPath) -> KeyPath {
    let folded = |name: &str| name.to_ascii_lowercase().replace('-', "_");
    // From left to right: the names of stages are looked for in the chain that is meant.
    let places: Vec<usize> = places_of_names(&path).collect();
    for place in places {
        let (table, rest) = path.split_at_mut(place);
        let Some(name) = rest.first_mut() else {
            continue;
        };
        let mut known = layered
            .names
            .keys()
            .filter_map(|known| known.split_last())
            .filter(|(_, parents)| *parents == &*table)
            .map(|(known, _)| known);
        if known.clone().all(|known| known != name)
            && let Some(known) = known.find(|known| folded(known) == folded(name))
        {
            name.clone_from(known);
        }
    }
    path
}

/// What the variable should have been called.
fn variable_remedy(path: &KeyPath, rest: &str) -> String {
    let as_variable =
        |key: &str| format!("{PREFIX}{}", key.replace('.', "__").to_ascii_uppercase());
    if let Found::Table = find(path) {
        let keys: Vec<String> = children(path)
            .iter()
            .map(|child| as_variable(&format!("{}.{child}", path.join("."))))
            .collect();
        return format!("there are {}", keys.join(", "));
    }
    let is_key = |near: &String| {
        let near: KeyPath = near.split('.').map(str::to_owned).collect();
        matches!(find(&near), Found::Key(_))
    };
    let near = nearest_key(path).filter(is_key).or_else(|| {
        // One `_` where two belong.
        let known: Vec<&str> = all().map(|key| key.path).collect();
        let flat: Vec<String> = known.iter().map(|key| key.replace('.', "__")).collect();
        let near = nearest_of(rest, flat.iter().map(String::as_str))?;
        let place = flat.iter().position(|key| key == near)?;
        let near = *known.get(place)?;
        (!near.contains(NAME_SEGMENT)).then(|| near.to_owned())
    });
    near.map_or_else(
        || "`weir config` shows all keys; a dot of a key is `__` in a variable".to_owned(),
        |near| format!("did you mean {}?", as_variable(&near)),
    )
}
