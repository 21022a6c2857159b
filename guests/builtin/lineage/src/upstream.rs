//! What the stages before this one found, as evidence.
//!
//! Invariant: a key that is there already stands for something else, and gets the stage's name before it;
//! the same said twice is told once.

use super::Settings;
use weir_guest::Upstream;

/// What stands where a text was cut.
const CUT_MARK: char = '…';

/// What the host tells and fills a screen without answering what a person asks first: lists and counts of
/// what is the same in most processes.
const LEAVE_OUT: [&str; 4] = ["threads", "file", "mapped_files", "open_files"];

/// What isn't told where nothing is said.
pub(super) fn leave_out() -> Vec<String> {
    LEAVE_OUT.map(str::to_owned).to_vec()
}

/// Adds the evidence of all findings, in their order.
pub(super) fn add(
    evidence: &mut Vec<(String, String)>,
    upstream: Upstream<'_>,
    settings: &Settings,
) {
    let findings = upstream.iter().flat_map(|(stage, findings)| {
        let told = findings.iter().flat_map(|finding| &finding.evidence);
        told.map(move |(key, text)| (stage, key, text))
    });
    let mut left = settings.upstream_entries_max;
    let mut untold: usize = 0;
    for (stage, key, text) in findings {
        if settings.leave_out.contains(key) || text.is_empty() {
            continue;
        }
        let Some(key) = key_for(evidence, stage, key, text) else {
            continue;
        };
        if left == 0 {
            untold += 1;
            continue;
        }
        left -= 1;
        evidence.push((key, cut(text, settings.upstream_chars_max)));
    }
    if untold > 0 {
        evidence.push(("more".to_owned(), format!("{untold} entries")));
    }
}

/// What a text goes by; none if it has been said.
fn key_for(evidence: &[(String, String)], stage: &str, key: &str, text: &str) -> Option<String> {
    let own = format!("{stage}.{key}");
    let numbered = (2_usize..).map(|number| format!("{own}.{number}"));
    let names = [key.to_owned(), own.clone()].into_iter().chain(numbered);
    for name in names {
        match evidence.iter().find(|(known, _)| *known == name) {
            None => return Some(name),
            Some((_, said)) if said == text => return None,
            Some(_) => {}
        }
    }
    None
}

fn cut(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        None => text.to_owned(),
        Some((end, _)) => {
            let mut cut = text.get(..end).unwrap_or_default().to_owned();
            cut.push(CUT_MARK);
            cut
        }
    }
}
