//! Regular expressions in linear time.
//!
//! A lazy automaton reads each byte once. Where it would have to throw its states away again and
//! again it gives up, and the slower simulation goes on, whose work is counted. A text that every
//! match must have is searched for first, in vectors.

use std::cell::RefCell;

use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson::pikevm::{self, PikeVM};
use regex_automata::nfa::thompson::{self, NFA, WhichCaptures};
use regex_automata::{Anchored, Input};
use regex_syntax::hir::{Hir, HirKind};
use sqlparser::tokenizer::Location;

use crate::errors::{Checked, Problem, quoted};

/// Bytes of a compiled expression. `\w` alone has 20 KiB of them: it knows all of Unicode.
const SIZE_BYTES_MAX: usize = 256 * 1024;
/// Bytes of an automaton's states, which it makes as it goes.
const STATES_BYTES_MAX: usize = 128 * 1024;
/// How often it may throw them away before it gives up.
const CLEARS_MAX: usize = 4;
/// The shortest text that is worth searching for first.
const REQUIRED_BYTES_MIN: usize = 2;

/// A regular expression, checked.
pub(crate) struct Regex {
    lazy: DFA,
    slow: PikeVM,
    caches: RefCell<(Cache, Option<pikevm::Cache>)>,
    /// A step of the simulation costs as much as there are states.
    states: u64,
    required: Option<String>,
}

impl std::fmt::Debug for Regex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Regex")
            .field("states", &self.states)
            .finish_non_exhaustive()
    }
}

impl Regex {
    /// Compiles a pattern that stands at `at`.
    pub(crate) fn new(pattern: &str, flags: &str, at: Location) -> Checked<Self> {
        let mut parser = regex_syntax::ParserBuilder::new();
        parser
            .nest_limit(50)
            .case_insensitive(flags.contains('i'))
            .multi_line(flags.contains('m'))
            .dot_matches_new_line(flags.contains('s'));
        let hir = parser.build().parse(pattern).map_err(|error| {
            let (why, place) = match &error {
                regex_syntax::Error::Parse(error) => {
                    (error.kind().to_string(), error.span().start.column)
                }
                regex_syntax::Error::Translate(error) => {
                    (error.kind().to_string(), error.span().start.column)
                }
                other => (other.to_string(), 1),
            };
            let text = format!(
                "the regular expression '{}': character {place} of it: {why}",
                quoted(pattern)
            );
            Problem::at(at, text)
        })?;
        let too_large = |_| {
            Problem::at(
                at,
                format!(
                    "the regular expression '{}' is too large: compiled it has more than {SIZE_BYTES_MAX} bytes; repeat less, or write [a-z0-9_] for \\w",
                    quoted(pattern)
                ),
            )
        };
        let config = thompson::Config::new()
            .nfa_size_limit(Some(SIZE_BYTES_MAX))
            .which_captures(WhichCaptures::None);
        let nfa = NFA::compiler()
            .configure(config)
            .build_from_hir(&hir)
            .map_err(too_large)?;
        Self::of(nfa, required(&hir)).map_err(|error| Problem::at(at, error))
    }

    fn of(nfa: NFA, required: Option<String>) -> Result<Self, String> {
        let config = DFA::config()
            .cache_capacity(STATES_BYTES_MAX)
            .skip_cache_capacity_check(true)
            .minimum_cache_clear_count(Some(CLEARS_MAX))
            .unicode_word_boundary(true);
        let states = u64::try_from(nfa.states().len()).unwrap_or(u64::MAX);
        let slow = PikeVM::new_from_nfa(nfa.clone()).map_err(|error| error.to_string())?;
        let lazy = DFA::builder()
            .configure(config)
            .build_from_nfa(nfa)
            .map_err(|error| error.to_string())?;
        let cache = lazy.create_cache();
        Ok(Self {
            lazy,
            slow,
            caches: RefCell::new((cache, None)),
            states,
            required,
        })
    }

    /// A text that every match has.
    pub(crate) fn required(&self) -> Option<&str> {
        self.required.as_deref()
    }

    /// Whether it matches anywhere in the text. What it takes is taken off `steps`; where that comes
    /// to 0, the answer means nothing.
    pub(crate) fn matches(&self, text: &[u8], steps: &mut u64) -> bool {
        let bytes = u64::try_from(text.len())
            .unwrap_or(u64::MAX)
            .saturating_add(1);
        *steps = steps.saturating_sub(bytes);
        let mut caches = self.caches.borrow_mut();
        let (cache, slow_cache) = &mut *caches;
        let input = Input::new(text).anchored(Anchored::No).earliest(true);
        match self.lazy.try_search_fwd(cache, &input) {
            Ok(found) => found.is_some(),
            // It gave up, or met a text that it can't tell words in.
            Err(_) => {
                *steps = steps.saturating_sub(bytes.saturating_mul(self.states));
                if *steps == 0 {
                    return false;
                }
                let cache = slow_cache.get_or_insert_with(|| self.slow.create_cache());
                self.slow.is_match(cache, input)
            }
        }
    }
}

/// The longest text that stands in every match, where one is easily seen.
fn required(hir: &Hir) -> Option<String> {
    fn walk<'a>(hir: &'a Hir, best: &mut Option<&'a str>) {
        match hir.kind() {
            HirKind::Literal(literal) => {
                if let Ok(text) = str::from_utf8(&literal.0)
                    && text.len() >= REQUIRED_BYTES_MIN
                    && best.is_none_or(|best| text.len() > best.len())
                {
                    *best = Some(text);
                }
            }
            HirKind::Concat(parts) => parts.iter().for_each(|part| walk(part, best)),
            HirKind::Capture(capture) => walk(&capture.sub, best),
            HirKind::Repetition(repetition) if repetition.min > 0 => walk(&repetition.sub, best),
            _ => {}
        }
    }
    let mut best = None;
    walk(hir, &mut best);
    best.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regex(pattern: &str, flags: &str) -> Regex {
        Regex::new(pattern, flags, Location::empty()).unwrap()
    }

    #[test]
    fn it_matches_anywhere_unless_it_is_anchored() {
        let cases = [
            ("b+", "", "abbc", true),
            ("^b+", "", "abbc", false),
            ("^a.c$", "", "aéc", true),
            ("^A", "i", "abc", true),
            ("a.c", "", "a\nc", false),
            ("a.c", "s", "a\nc", true),
            ("^c", "m", "a\nc", true),
            (r"\bsh\b", "", "é sh", true),
            (r"\bsh\b", "", "ésh", false),
            (r"^\w+$", "", "日本", true),
            ("", "", "", true),
        ];
        for (pattern, flags, text, expected) in cases {
            let mut steps = 1_000_000;
            assert_eq!(
                regex(pattern, flags).matches(text.as_bytes(), &mut steps),
                expected,
                "{pattern} {text}"
            );
            assert!((1..1_000_000).contains(&steps));
        }
    }

    #[test]
    fn the_text_that_every_match_has_is_found() {
        let cases = [
            ("^/tmp/.*[.]sh$", Some("/tmp/")),
            ("(curl|wget).*[|] *(ba)?sh", Some("sh")),
            ("(?i)abc", None),
            ("a|b", None),
            ("(abc)+d?", Some("abc")),
            ("(abc)*", None),
        ];
        for (pattern, expected) in cases {
            assert_eq!(regex(pattern, "").required(), expected, "{pattern}");
        }
    }

    #[test]
    fn where_the_automaton_gives_up_the_work_is_counted() {
        let regex = regex("[ab]*a[ab]{200}c", "");
        let mut random = crate::tests::Random::new(3);
        let text: String = (0..20_000)
            .map(|_| if random.below(2) == 0 { 'a' } else { 'b' })
            .collect();
        let many = 1_000_000_000;
        let mut steps = many;
        assert!(!regex.matches(text.as_bytes(), &mut steps));
        assert!(many - steps > 100_000, "{steps}");
        let mut few = 100_000;
        regex.matches(text.as_bytes(), &mut few);
        assert_eq!(few, 0);
    }
}
