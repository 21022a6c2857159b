//! The grammar's tables, and the matcher against a naive one.

use proptest::prelude::*;

use super::*;
use crate::caps::SourceCaps;
use crate::event::Kind;

#[test]
fn a_valid_topic_or_pattern_keeps_its_text() {
    let check = |text: &str, is_topic: bool| {
        assert_eq!(TopicPattern::parse(text).unwrap().as_str(), text);
        match Topic::parse(text) {
            Ok(topic) => {
                assert!(is_topic, "{text}");
                assert_eq!(topic.as_str(), text);
                let json = serde_json::to_string(&topic).unwrap();
                assert_eq!(json, format!("\"{text}\""));
                assert_eq!(serde_json::from_str::<Topic>(&json).unwrap(), topic);
            }
            Err(error) => assert!(!is_topic, "{error}"),
        }
    };
    check("a", true);
    check("events.process.started", true);
    check("A-1._.b_2", true);
    check(&["t"; TOPIC_TOKENS_MAX].join("."), true);
    check(&"x".repeat(TOPIC_BYTES_MAX), true);
    check("*", false);
    check(">", false);
    check("events.*.started", false);
    check("*.*.>", false);
}

#[test]
fn an_error_says_what_is_wrong_where_and_what_would_be_right() {
    let check = |text: &str, topic_error: &str, pattern_error: &str| {
        let shown = |error: Option<TopicError>| error.map(|e| e.to_string()).unwrap_or_default();
        assert_eq!(shown(Topic::parse(text).err()), topic_error);
        assert_eq!(shown(TopicPattern::parse(text).err()), pattern_error);
    };
    let both = |text: &str, error: &str| check(text, error, error);
    both(
        "",
        "the topic is empty; write 1 to 16 tokens with dots between them, as in `events.process.started`",
    );
    both(
        &"x".repeat(256),
        "the topic has 256 bytes, at most 255 are allowed; shorten its tokens",
    );
    both(
        "1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17",
        "`1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17` has 17 tokens, at most 16 are allowed; join some with `-` or `_`",
    );
    both(
        ".a",
        "token 1 of `.a` is empty (byte 0); take the dot out, or write a token there",
    );
    both(
        "a..b",
        "token 2 of `a..b` is empty (byte 2); take the dot out, or write a token there",
    );
    both(
        "a.b.",
        "token 3 of `a.b.` is empty (byte 4); take the dot out, or write a token there",
    );
    both(
        "ab.c d",
        "token 2 of `ab.c d` has ' ' at byte 4; tokens are made of A-Z, a-z, 0-9, `_` and `-`",
    );
    both(
        "ab.é\n",
        "token 2 of `ab.é\n` has 'é' at byte 3; tokens are made of A-Z, a-z, 0-9, `_` and `-`",
    );
    check(
        "a.*",
        "`a.*` has the wildcard `*` at byte 2; only patterns have wildcards, a topic names one thing",
        "",
    );
    check(
        "a.b*.c",
        "`a.b*.c` has the wildcard `*` at byte 3; only patterns have wildcards, a topic names one thing",
        "token 2 of `a.b*.c` mixes `*` with other characters (byte 3); a wildcard is a token of its own, as in `events.*.started` or `events.>`",
    );
    check(
        "a.>.c",
        "`a.>.c` has the wildcard `>` at byte 2; only patterns have wildcards, a topic names one thing",
        "`>` is token 2 of `a.>.c` (byte 2) and not its last; use `*` for one token, or end the pattern there",
    );
}

#[test]
fn a_star_is_one_token_and_a_rest_is_one_or_more() {
    let check = |pattern: &str, topic: &str, expected: bool| {
        let pattern = TopicPattern::parse(pattern).unwrap();
        let topic = Topic::parse(topic).unwrap();
        assert_eq!(pattern.matches(&topic), expected, "{pattern} {topic}");
        let mut matcher = TopicMatcher::new();
        matcher.insert(&pattern, ());
        assert_eq!(!matcher.matches(&topic).is_empty(), expected);
    };
    check("a.b", "a.b", true);
    check("a.b", "a", false);
    check("a.b", "a.b.c", false);
    check("a.b", "A.b", false);
    check("*", "a", true);
    check("*", "a.b", false);
    check("a.*", "a", false);
    check("a.*.c", "a.b.c", true);
    check("a.*.c", "a.b.d", false);
    check(">", "a", true);
    check(">", "a.b.c", true);
    check("a.>", "a", false);
    check("a.>", "a.b", true);
    check("a.>", "a.b.c.d", true);
    check("*.>", "a", false);
    check("*.>", "a.b", true);
}

#[test]
fn a_family_refuses_what_is_not_one_token() {
    let check = |topic: Result<Topic, TopicError>, expected: &str| {
        let shown = topic.map_or_else(|error| error.to_string(), String::from);
        assert_eq!(shown, expected);
    };
    check(
        families::event(Kind::Process, "started"),
        "events.process.started",
    );
    check(families::control_trigger("hash"), "control.trigger.hash");
    check(
        families::control_config("refused"),
        "control.config.refused",
    );
    check(
        families::control_guest("my-slot", "fault"),
        "control.guest.my-slot.fault",
    );
    check(families::control_health("bus"), "control.health.bus");
    check(families::findings("lineage"), "findings.lineage");
    for (name, shown, at) in [
        ("a.b", "'.'", 1),
        ("*", "'*'", 0),
        ("a>", "'>'", 1),
        ("a b", "' '", 1),
        ("a\tb", "'\\t'", 1),
    ] {
        check(
            families::findings(name),
            &format!(
                "`{name}` can't be one token of a topic under `findings`: {shown} at byte {at}; tokens are made of A-Z, a-z, 0-9, `_` and `-`"
            ),
        );
    }
    check(
        families::control_guest("slot", ""),
        "an empty text can't be a token of a topic under `control.guest`; give it a name",
    );
    check(
        families::findings(&"x".repeat(250)),
        "the topic has 259 bytes, at most 255 are allowed; shorten its tokens",
    );
}

#[test]
fn the_texts_that_are_not_checked_are_valid() {
    for topic in [families::bus_health(), families::log()] {
        assert_eq!(Topic::parse(topic.as_str()), Ok(topic));
    }
    for kind in Kind::ALL {
        let pattern = families::all_events(kind);
        assert_eq!(TopicPattern::parse(pattern.as_str()), Ok(pattern.clone()));
        for leaf in ["started", "a.b", "*", "é>", "", &"x".repeat(300)] {
            let topic = of_event(kind, leaf);
            assert_eq!(Topic::parse(topic.as_str()), Ok(topic.clone()));
            assert!(pattern.matches(&topic));
            if let Ok(checked) = families::event(kind, leaf) {
                assert_eq!(topic, checked);
            }
        }
    }
}

#[test]
fn capabilities_give_default_patterns() {
    let check = |caps: SourceCaps, expected: &[&str]| {
        let patterns = default_patterns(caps);
        assert_eq!(
            patterns
                .iter()
                .map(TopicPattern::as_str)
                .collect::<Vec<_>>(),
            expected
        );
    };
    check(SourceCaps::empty(), &[]);
    check(
        SourceCaps::REALTIME | SourceCaps::KERNEL_LEVEL | SourceCaps::SYSTEM_WIDE,
        &[],
    );
    check(
        SourceCaps::PROCESS | SourceCaps::REALTIME,
        &["events.process.>"],
    );
    check(
        SourceCaps::all(),
        &[
            "events.process.>",
            "events.network.>",
            "events.filesystem.>",
            "events.performance.>",
        ],
    );
}

#[test]
fn a_value_is_found_once_and_its_removal_is_seen_at_once() {
    let (topic, all) = (
        Topic::parse("a.b").unwrap(),
        TopicPattern::parse(">").unwrap(),
    );
    let star = TopicPattern::parse("a.*").unwrap();
    let mut matcher = TopicMatcher::new();
    for (pattern, value) in [(&all, 2), (&star, 2), (&star, 1), (&star, 1)] {
        matcher.insert(pattern, value);
    }
    assert_eq!(*matcher.matches(&topic), [1, 2]);
    assert!(matcher.remove(&star, &1));
    assert!(!matcher.remove(&star, &1));
    assert_eq!(*matcher.matches(&topic), [2]);
    assert!(matcher.remove(&star, &2));
    assert_eq!(*matcher.matches(&topic), [2]);
    assert!(matcher.remove(&all, &2));
    assert!(matcher.matches(&topic).is_empty());
    assert!(matcher.is_empty());
}

#[test]
fn a_flood_of_topics_leaves_the_answers_right() {
    let mut matcher = TopicMatcher::new();
    matcher.insert(&TopicPattern::parse("t.*").unwrap(), 1);
    for round in 0..2 {
        for number in 0..3_000 {
            let topic = Topic::parse(&format!("t.{number}")).unwrap();
            assert_eq!(*matcher.matches(&topic), [1], "{round}");
            let other = Topic::parse(&format!("u.{number}")).unwrap();
            assert!(matcher.matches(&other).is_empty());
        }
    }
}

/// The definition, as plainly as it can be said.
fn naive(pattern: &[String], topic: &[String]) -> bool {
    match (pattern, topic) {
        ([], []) => true,
        ([last], [_, ..]) if last == ">" => true,
        ([p, pattern @ ..], [t, topic @ ..]) => (p == "*" || p == t) && naive(pattern, topic),
        _ => false,
    }
}

fn tokens(token: &'static str) -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(token, 1..6)
}

fn pattern_tokens() -> impl Strategy<Value = Vec<String>> {
    (tokens("[ab*]"), any::<bool>()).prop_map(|(mut tokens, rest)| {
        if rest {
            tokens.push(">".to_owned());
        }
        tokens
    })
}

proptest! {
    #[test]
    fn the_matcher_equals_a_naive_one(
        patterns in prop::collection::vec((pattern_tokens(), 0_u8..8, any::<bool>()), 0..24),
        topics in prop::collection::vec(tokens("[ab]"), 1..16),
    ) {
        let mut matcher = TopicMatcher::new();
        for (pattern, value, _) in &patterns {
            matcher.insert(&TopicPattern::parse(&pattern.join(".")).unwrap(), *value);
        }
        let mut kept = patterns.clone();
        for round in 0..2 {
            for topic in &topics {
                let parsed = Topic::parse(&topic.join(".")).unwrap();
                let mut expected: Vec<u8> = kept.iter()
                    .filter(|(pattern, _, _)| naive(pattern, topic))
                    .map(|(_, value, _)| *value)
                    .collect();
                expected.sort_unstable();
                expected.dedup();
                prop_assert_eq!(&*matcher.matches(&parsed), &expected[..], "round {}", round);
                for (pattern, _, _) in &kept {
                    let single = TopicPattern::parse(&pattern.join(".")).unwrap();
                    prop_assert_eq!(single.matches(&parsed), naive(pattern, topic));
                }
            }
            // The second round is after removals.
            for (pattern, value, _) in patterns.iter().filter(|(_, _, goes)| *goes) {
                matcher.remove(&TopicPattern::parse(&pattern.join(".")).unwrap(), value);
                kept.retain(|(other, v, _)| !(other == pattern && v == value));
            }
        }
    }

    #[test]
    fn an_intersection_selects_just_what_both_select(
        one in pattern_tokens(),
        other in pattern_tokens(),
        topics in prop::collection::vec(tokens("[ab]"), 1..32),
    ) {
        let parse = |tokens: &[String]| TopicPattern::parse(&tokens.join(".")).unwrap();
        let both = parse(&one).intersection(&parse(&other));
        if let Some(both) = &both {
            prop_assert!(TopicPattern::parse(both.as_str()).is_ok_and(|parsed| parsed == *both));
        }
        for topic in &topics {
            let parsed = Topic::parse(&topic.join(".")).unwrap();
            let expected = naive(&one, topic) && naive(&other, topic);
            let found = both.as_ref().is_some_and(|both| both.matches(&parsed));
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn no_text_panics(text in ".{0,300}") {
        let topic = Topic::parse(&text);
        let pattern = TopicPattern::parse(&text);
        prop_assert!(topic.is_err() || pattern.is_ok());
    }
}
