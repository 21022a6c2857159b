//! Looks keys up by path, and finds the one that was meant.
//!
//! Invariant: a search is bounded, however long the text that is looked for.

use super::super::raw::DEPTH_MAX;
use super::{Key, NAME_SEGMENT, Takes, all};

/// Names of sources, slots, sinks and access rules have at most so many bytes: they become tokens of topics, which have 255.
pub(crate) const NAME_BYTES_MAX: usize = 64;

/// Texts above this aren't compared with known keys: no key is half as long, and the comparison is quadratic.
const COMPARED_BYTES_MAX: usize = 64;

/// What stands at a path.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Found {
    /// A key.
    Key(&'static Key),
    /// Something inside a free table.
    Inside(&'static Key),
    /// A table that holds keys.
    Table,
    /// A table whose keys are names that the operator chooses.
    NamedTable,
    /// Nothing.
    Unknown,
}

/// Finds what stands at `path`, in which names stand for [`NAME_SEGMENT`].
pub(crate) fn find(path: &[String]) -> Found {
    let mut table = false;
    for key in all() {
        let known: Vec<&str> = key.segments().collect();
        let shared = known.len().min(path.len());
        let fits = known
            .iter()
            .zip(path)
            .all(|(known, given)| *known == NAME_SEGMENT || known == given);
        if !fits {
            continue;
        }
        if shared < known.len() {
            if known.get(shared) == Some(&NAME_SEGMENT) {
                return Found::NamedTable;
            }
            table = true;
        } else if path.len() == known.len() {
            return Found::Key(key);
        } else if key.takes == Takes::Free {
            return Found::Inside(key);
        }
    }
    if table { Found::Table } else { Found::Unknown }
}

/// The places of the segments of `path` that are names which the operator chose, from left to right.
pub(crate) fn places_of_names(path: &[String]) -> impl Iterator<Item = usize> {
    // No key is so deep; within a free table a path may be of any length.
    (1..path.len().min(DEPTH_MAX)).filter(|place| {
        path.get(..*place)
            .is_some_and(|table| matches!(find(table), Found::NamedTable))
    })
}

/// Whether a source, slot, sink or access rule may have this name.
pub(crate) fn name_is_good(name: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// The known key that an unknown path most likely meant: a sibling with nearly the same name, else the same name elsewhere.
pub(crate) fn nearest_key(path: &[String]) -> Option<String> {
    let (last, parents) = path.split_last()?;
    let siblings = children(parents);
    if let Some(near) = nearest_of(last, siblings.iter().map(String::as_str)) {
        let mut path = parents.to_vec();
        path.push(near.to_owned());
        return Some(path.join("."));
    }
    let mut elsewhere = all().filter(|key| key.split().1 == last);
    let found = elsewhere.next()?;
    // The same name in several tables says nothing about which was meant, unless they share the first.
    if elsewhere.next().is_some() && parents.first().map(String::as_str) != found.segments().next()
    {
        return None;
    }
    let segments = found.segments().enumerate().map(|(place, segment)| {
        let given = (segment == NAME_SEGMENT).then(|| parents.get(place));
        given.flatten().map_or(segment, String::as_str)
    });
    Some(segments.collect::<Vec<_>>().join("."))
}

/// The segments that may follow `parents`, without repetition; none where a name is to be chosen.
pub(crate) fn children(parents: &[String]) -> Vec<String> {
    let mut children: Vec<String> = Vec::new();
    for key in all() {
        let known: Vec<&str> = key.segments().collect();
        let fits = known
            .iter()
            .zip(parents)
            .all(|(known, given)| *known == NAME_SEGMENT || known == given);
        if let Some(next) = known.get(parents.len())
            && fits
            && *next != NAME_SEGMENT
            && !children.iter().any(|child| child == next)
        {
            children.push((*next).to_owned());
        }
    }
    children
}

/// The text among `known` that `given` is a slip of the keyboard away from.
pub(crate) fn nearest_of<'a>(given: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if given.len() > COMPARED_BYTES_MAX {
        return None;
    }
    let given = given.to_ascii_lowercase().replace('-', "_");
    known
        .map(|known| {
            let folded = known.to_ascii_lowercase().replace('-', "_");
            let slips = strsim::damerau_levenshtein(&given, &folded);
            // A third of the letters may be wrong, or one is the beginning of the other ("timeout", "timeout_ms").
            let begins = given.len().min(folded.len()) >= 4
                && (given.starts_with(&folded) || folded.starts_with(&given));
            (known, slips, slips <= (folded.len() / 3).max(1) || begins)
        })
        .filter(|(_, _, near)| *near)
        .min_by_key(|(_, slips, _)| *slips)
        .map(|(known, _, _)| known)
}
