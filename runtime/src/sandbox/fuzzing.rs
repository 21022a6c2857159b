//! What holds for any answer of a guest and for any component: the bodies of the fuzz targets in
//! `runtime/fuzz`.
//!
//! Here rather than there, so that the tests run them on their seeds. No part of the product. Both know
//! no engine: the fuzz targets take in these few files, and nobody waits for a compiler to be compiled.

use weir_bus::Selection;

use super::answer::{
    Bounds, Finding, Firing, Severity, Undecided, Unfit, Verdicts, findings_fit, selection_fits,
    verdicts_fit,
};
use super::inspect_component::inspect;

/// How long a line may be that says why a component is refused.
const LINE_BYTES_MAX: usize = 4 << 10;

/// Reads numbers and texts out of any bytes: what isn't there is 0 and empty.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn byte(&mut self) -> u8 {
        let first = self.0.split_off_first();
        first.copied().unwrap_or_default()
    }

    /// Small most of the time, and any number else.
    fn number(&mut self) -> u32 {
        match self.byte() {
            255 => u32::from_le_bytes([self.byte(), self.byte(), self.byte(), self.byte()]),
            small => u32::from(small),
        }
    }

    fn text(&mut self) -> String {
        let length = usize::from(self.byte()).min(self.0.len());
        let text = self.0.split_off(..length).unwrap_or_default();
        String::from_utf8_lossy(text).into_owned()
    }

    /// As many of them as the next byte says.
    fn many<T>(&mut self, mut one: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.byte()).map(|_| one(self)).collect()
    }
}

fn severity(number: u8) -> Severity {
    match number % 5 {
        0 => Severity::Info,
        1 => Severity::Low,
        2 => Severity::Medium,
        3 => Severity::High,
        _ => Severity::Critical,
    }
}

/// Which rows a selection keeps, the slow way; none where it keeps none that there are.
fn kept(selection: &Selection, rows: usize) -> Option<Vec<usize>> {
    match selection {
        Selection::All => Some((0..rows).collect()),
        Selection::None => Some(Vec::new()),
        Selection::Rows(list) => {
            let list: Vec<usize> = list.iter().map(|row| *row as usize).collect();
            let is_sorted = list.windows(2).all(|two| two[0] < two[1]);
            let is_within = list.last().is_none_or(|last| *last < rows);
            (is_sorted && is_within).then_some(list)
        }
        Selection::Mask(mask) => {
            let has = |row: &usize| mask[row / 8] >> (row % 8) & 1 == 1;
            (mask.len() == rows.div_ceil(8)).then(|| (0..rows).filter(has).collect())
        }
    }
}

/// An answer that is taken is within its bounds, and speaks of nothing that isn't there; one that is not
/// is refused for what is wrong with it. The first byte says of which world it is, then come the bounds.
///
/// # Panics
/// If that doesn't hold.
pub(super) fn answer(data: &[u8]) {
    let mut bytes = Bytes(data);
    let world = bytes.byte();
    let bounds = Bounds {
        rows: bytes.number() as usize % 4_096,
        entries_max: usize::from(bytes.byte()),
        bytes_max: bytes.number() as usize,
        must_fit: true,
    };
    match world % 3 {
        0 => selection(&bounds, &mut bytes),
        1 => verdicts(&bounds, &mut bytes),
        _ => findings(&bounds, &mut bytes),
    }
}

fn selection(bounds: &Bounds, bytes: &mut Bytes<'_>) {
    let selection = match bytes.byte() % 4 {
        0 => Selection::All,
        1 => Selection::None,
        2 => Selection::Rows(bytes.many(Bytes::number)),
        _ => Selection::Mask(bytes.many(Bytes::byte)),
    };
    let size = match &selection {
        Selection::Rows(list) => 4 * list.len(),
        Selection::Mask(mask) => mask.len(),
        _ => 0,
    };
    let kept = kept(&selection, bounds.rows);
    match selection_fits(bounds, &selection) {
        Ok(()) => {
            let kept = kept.expect("it fits");
            assert_eq!(selection.count(bounds.rows), Ok(kept.len()));
            assert!(size <= bounds.bytes_max);
        }
        Err(Unfit::Large(_)) => assert!(size > bounds.bytes_max),
        Err(Unfit::Invalid(_)) => assert!(kept.is_none()),
    }
}

fn verdicts(bounds: &Bounds, bytes: &mut Bytes<'_>) {
    let rules = bytes.number() as usize;
    let verdicts = Verdicts {
        firings: bytes.many(|bytes| Firing {
            row: bytes.number(),
            rule: bytes.number(),
            message: (bytes.byte() % 2 == 1).then(|| bytes.text()),
        }),
        undecided: bytes.many(|bytes| Undecided {
            row: bytes.number(),
            rule: bytes.number(),
            part: bytes.text(),
            reason: bytes.text(),
        }),
    };
    let (firings, undecided) = (&verdicts.firings, &verdicts.undecided);
    let entries = firings.len() + undecided.len();
    let messages = firings.iter().map(|one| one.message.as_ref());
    let messages = messages.map(|text| text.map_or(0, String::len));
    let words = undecided
        .iter()
        .map(|one| one.part.len() + one.reason.len());
    let size: usize = messages.chain(words).sum();
    let named = firings.iter().map(|one| (one.row, one.rule));
    let named = named.chain(undecided.iter().map(|one| (one.row, one.rule)));
    let are_there = named
        .into_iter()
        .all(|(row, rule)| (row as usize) < bounds.rows && (rule as usize) < rules);
    let is_large = entries > bounds.entries_max || size > bounds.bytes_max;
    match verdicts_fit(bounds, rules, &verdicts) {
        Ok(()) => assert!(are_there && !is_large),
        Err(Unfit::Large(_)) => assert!(is_large),
        Err(Unfit::Invalid(_)) => assert!(!are_there),
    }
}

fn findings(bounds: &Bounds, bytes: &mut Bytes<'_>) {
    let findings = bytes.many(|bytes| Finding {
        severity: severity(bytes.byte()),
        title: bytes.text(),
        subject: bytes.text(),
        evidence: bytes.many(|bytes| (bytes.text(), bytes.text())),
    });
    let sizes = findings.iter().map(|finding| {
        let evidence = finding.evidence.iter();
        let evidence = evidence.map(|(name, value)| name.len() + value.len());
        finding.title.len() + finding.subject.len() + evidence.sum::<usize>()
    });
    let size: usize = sizes.sum();
    let is_large = findings.len() > bounds.entries_max || size > bounds.bytes_max;
    let fits = findings_fit(bounds, &findings);
    assert_eq!(fits.is_err(), is_large, "{fits:?}");
}

/// A component is one that can be loaded, or the refusal is one short line that no terminal obeys.
///
/// # Panics
/// If that doesn't hold.
pub(super) fn component(data: &[u8]) {
    match inspect(data) {
        Ok(shape) => {
            let again = shape.interfaces.clone().shape();
            assert_eq!(again.as_ref(), Ok(&shape));
        }
        Err(error) => {
            let line = error.to_string();
            assert!(line.len() <= LINE_BYTES_MAX, "{} bytes", line.len());
            assert!(!line.contains(char::is_control), "{line:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every seed of a target, by its file's name.
    fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/seeds");
        let entries = std::fs::read_dir(format!("{folder}/{target}")).expect("the seeds");
        let seeds: Vec<_> = entries
            .map(|entry| {
                let path = entry.expect("a seed").path();
                let bytes = std::fs::read(&path).expect("a seed can be read");
                (path.display().to_string(), bytes)
            })
            .collect();
        assert!(!seeds.is_empty(), "{target} has no seeds");
        seeds
    }

    /// Each seed, each of its beginnings, and each with one byte changed.
    fn check(target: &str, holds: fn(&[u8])) {
        for (_, seed) in seeds(target) {
            holds(&seed);
            for place in 0..seed.len() {
                holds(&seed[..place]);
                let mut changed = seed.clone();
                for flip in [1, 0x80, 0xff] {
                    changed[place] = seed[place] ^ flip;
                    holds(&changed);
                }
            }
        }
    }

    #[test]
    fn what_holds_for_any_answer_holds_for_the_seeds() {
        check("answer", answer);
    }

    #[test]
    fn what_holds_for_any_component_holds_for_the_seeds() {
        check("component", component);
        let good = seeds("component").into_iter();
        let good = good.filter(|(_, seed)| inspect(seed).is_ok()).count();
        assert!(good >= 3, "only {good} of the seeds can be loaded");
    }
}
