//! What is refused at load, word for word: what, which value, where, and what would be right.

use super::batch::raw;
use crate::conditions::Conditions;
use crate::settings::{RawCondition, RawThreshold};

/// A condition, and what is said of it.
#[rustfmt::skip]
const CASES: &[(&str, &str)] = &[
    ("cpu > 1", "character 1: no column `cpu` in process events; did you mean `cpu_usage`?"),
    ("", "it is empty; a condition is a test such as pid > 1000"),
    ("  ", "it is empty; a condition is a test such as pid > 1000"),
    ("pid", "character 1: `pid` is a whole number, and no test: compare it, as in pid > 0"),
    ("name", "character 1: `name` is a text, and no test: compare it, as in name = 'text'"),
    ("command_line", "character 1: `command_line` is a list of texts, and no test: look into it, as in 'text' = ANY(command_line)"),
    ("timestamp", "character 1: `timestamp` is a time, and no test: compare it, as in timestamp > '2026-01-31T12:00:00Z'"),
    ("NULL", "character 1: `NULL` is NULL, and no test: it would never match"),
    ("pid = 'x'", "character 7: `pid` is a whole number and `'x'` is a text, which can't be compared; write a number, without quotes"),
    ("name > 5", "character 8: `name` is a text and `5` is a whole number, which can't be compared; write a text, as in '5'"),
    ("pid > 1 AND", "character 12: expected an expression, found the end of the text"),
    ("pid >", "character 6: expected an expression, found the end of the text"),
    ("(pid > 1", "character 1: this ( has no ) before the text ends at character 9"),
    ("pid > 1)", "character 8: this ) closes nothing; a ( is missing"),
    ("((pid > 1)", "character 1: this ( has no ) before the text ends at character 11"),
    ("name = 'x", "character 8: the text in quotes that begins here has no end: a ' is missing"),
    ("name = \"x", "character 8: what begins here has no end: a closing quote or */ is missing"),
    ("pid > 1; pid > 2", "character 8: a condition is one expression: nothing stands behind it, no `;` either"),
    ("pid > 1;", "character 8: a condition is one expression: nothing stands behind it, no `;` either"),
    ("SELECT 1", "character 1: a condition has no subqueries: it looks at one row of one kind"),
    ("pid IN (SELECT 1)", "character 9: a condition has no subqueries: it looks at one row of one kind"),
    ("EXISTS (SELECT 1)", "character 1: a condition has no subqueries: it looks at one row of one kind"),
    ("pid = (SELECT max(pid) FROM t)", "character 8: a condition has no subqueries: it looks at one row of one kind"),
    ("lowr(name) = 'x'", "character 1: no function `lowr`; did you mean `lower`?"),
    ("foo(name)", "character 1: no function `foo`; there are lower, upper, length, starts_with, ends_with, contains, regexp_like, coalesce, basename, cidr_contains, any"),
    ("count(*) > 1", "character 1: a condition has no aggregate functions: it looks at one row; a `threshold` counts rows"),
    ("sum(pid) > 1", "character 1: a condition has no aggregate functions: it looks at one row; a `threshold` counts rows"),
    ("lower(name) OVER () = 'x'", "character 13: a condition has no window functions: it looks at one row"),
    ("lower(name, name) = 'x'", "character 1: lower has 2 arguments here; write lower(text)"),
    ("lower() = 'x'", "character 1: lower has 0 arguments here; write lower(text)"),
    ("lower(pid) = 'x'", "character 7: `pid` is a whole number, and lower takes a text"),
    ("starts_with(name) ", "character 1: starts_with has 1 argument here; write starts_with(text, prefix)"),
    ("coalesce(name) = 'x'", "character 1: coalesce has 1 argument here; write coalesce(first, second, …)"),
    ("pid = ?", "character 7: `?`: a condition has no placeholders; write the value"),
    ("pid = $1", "character 7: `$1`: a condition has no placeholders; write the value"),
    ("pid = :pid", "character 7: `:`: a condition has no placeholders; write the value"),
    ("pid = @pid", "character 7: `@`: a condition has no placeholders; write the value"),
    ("pid = 18446744073709551616", "character 7: 18446744073709551616 is beyond 64 bits; the largest whole number is 18446744073709551615"),
    ("cpu_usage > 1e999", "character 13: 1e999 is larger than any number with a fraction can be, which is 1.7976931348623157e308"),
    ("name LIKE 'a!' ESCAPE '!'", "character 11: the pattern ends in its escape character `!`, which needs a character to follow; double it to mean itself"),
    ("name LIKE 'a' ESCAPE 'ab'", "character 22: ESCAPE takes one character in quotes, as in ESCAPE '!'"),
    ("name LIKE parent_name", "character 11: the pattern of LIKE is a text in quotes; for others there are starts_with, ends_with and contains"),
    ("pid LIKE '1%'", "character 1: `pid` is a whole number, and LIKE takes a text"),
    ("command_line LIKE '%x%'", "character 1: `command_line` is a list of texts, and LIKE takes a text; write any(command_line) for one of its texts"),
    ("command_line = 'x'", "character 16: `command_line` is a list of texts and `'x'` is a text, which can't be compared; write any(command_line) for one of its texts"),
    ("name LIKE ANY ('a', 'b')", "character 11: there is no LIKE ANY; write several LIKE with OR, or any(list) LIKE 'pattern' to look into a list"),
    ("name SIMILAR TO 'a'", "character 6: there is no such operator; write LIKE, ILIKE or regexp_like(text, 'pattern')"),
    ("name ~ 'a'", "character 6: there is no operator `~`; write regexp_like(text, 'pattern')"),
    ("name REGEXP 'a'", "character 6: there is no such operator; write LIKE, ILIKE or regexp_like(text, 'pattern')"),
    ("name COLLATE nocase = 'a'", "character 6: there are no collations: texts are compared byte by byte"),
    ("regexp_like(name, '(a')", "character 19: the regular expression '(a': character 1 of it: unclosed group"),
    ("regexp_like(name, '[z-a]')", "character 19: the regular expression '[z-a]': character 2 of it: invalid character class range, the start must be <= the end"),
    ("regexp_like(name, 'a{1000}{1000}')", "character 19: the regular expression 'a{1000}{1000}' is too large: compiled it has more than 262144 bytes; repeat less, or write [a-z0-9_] for \\w"),
    ("regexp_like(name, parent_name)", "character 19: the pattern of regexp_like is a text in quotes"),
    ("regexp_like(name, 'a', 'q')", "character 24: the flags of regexp_like are 'i' (any case), 'm' (^ and $ at lines) and 's' (. is a line's end, too)"),
    ("regexp_like(name, '(?=a)b')", "character 19: the regular expression '(?=a)b': character 1 of it: look-around, including look-ahead and look-behind, is not supported"),
    ("regexp_like(name, '(a)\\1')", "character 19: the regular expression '(a)\\1': character 4 of it: backreferences are not supported"),
    ("cidr_contains('10.0.0.1/8', name)", "character 15: '10.0.0.1/8' has bits set past its prefix; the network is '10.0.0.0/8'"),
    ("cidr_contains('10.0.0.0/33', name)", "character 15: '10.0.0.0/33' has no prefix of 0 to 32 bits; write one as '10.0.0.0/8' or '2001:db8::/32'"),
    ("cidr_contains('x', name)", "character 15: 'x' is no network; write one as '10.0.0.0/8' or '2001:db8::/32'"),
    ("cidr_contains(name, '10.0.0.0/8')", "character 15: the network comes first, as a text in quotes: cidr_contains('10.0.0.0/8', source_address)"),
    ("process.pid = 1", "character 1: a column stands alone: write pid"),
    ("pid == 1 && name = 'x'", "character 10: there is no operator `&&`; write AND"),
    ("pid = 1 || name = 'x'", "character 7: `1` is a whole number, and || takes a text"),
    ("! accessible", "character 1: there is no operator `!`; write NOT"),
    ("pid > 1 pid < 2", "character 9: `pid` can't follow what is before it; between two tests stands AND or OR"),
    ("pid BETWEEN 1", "character 14: expected AND, found the end of the text"),
    ("pid IN ()", "character 1: IN needs at least one value: IN ('a', 'b')"),
    ("pid IN (1, 'x')", "character 12: `pid` is a whole number and `'x'` is a text, which can't be compared; write a number, without quotes"),
    ("accessible = 1", "character 14: `accessible` is true or false and `1` is a whole number, which can't be compared; true and false are no numbers or texts: write true, false, or the test alone"),
    ("accessible + 1 = 2", "character 1: `accessible` is true or false, and + takes numbers"),
    ("name + 'x' = 'y'", "character 1: `name` is a text, and + takes numbers; texts are joined with ||"),
    ("cpu_usage % 2 = 1", "character 1: `cpu_usage` is a number with a fraction, and % takes whole numbers"),
    ("timestamp > 'yesterday'", "character 13: 'yesterday' is no time; write one as '2026-01-31T12:00:00Z'"),
    ("timestamp > 1.5", "character 13: `timestamp` is a time and `1.5` is a number, which can't be compared; a time is compared with a time, '2026-01-31T12:00:00Z', or whole nanoseconds"),
    ("timestamp * 2 > 1", "character 1: `timestamp` is a time, and * takes numbers"),
    ("CAST(pid AS text) = '1'", "character 1: no function `CAST`; there are lower, upper, length, starts_with, ends_with, contains, regexp_like, coalesce, basename, cidr_contains, any"),
    ("pid::text = '1'", "character 4: there are no casts"),
    ("substr(name, 1, 2) = 'ab'", "character 1: no function `substr`; there are lower, upper, length, starts_with, ends_with, contains, regexp_like, coalesce, basename, cidr_contains, any"),
    ("CASE WHEN accessible THEN 1 ELSE 'x' END = 1", "character 34: `'x'` is a text, and what stands before it is a whole number: all values of CASE are of one type"),
    ("CASE WHEN pid THEN true END", "character 11: `pid` is a whole number, and WHEN takes tests, such as pid IS NOT NULL"),
    ("CASE WHEN true THEN 1", "character 1: this CASE has no END before the text ends at character 22"),
    ("END", "character 1: this END ends no CASE"),
    ("pid = ALL(command_line)", "character 7: there is no ALL; write NOT (… = ANY(list)) with the opposite test"),
    ("'x' = ANY(name)", "character 11: `name` is a text, and ANY takes a list: command_line"),
    ("any(pid) = 'x'", "character 5: `pid` is a whole number, and ANY takes a list: command_line"),
    ("any(command_line)", "character 1: `any(command_line)` is a text, and no test: compare it, as in any(command_line) = 'text'"),
    ("NOT pid", "character 5: `pid` is a whole number, and NOT takes tests, such as pid IS NOT NULL"),
    ("pid AND true", "character 1: `pid` is a whole number, and AND takes tests, such as pid IS NOT NULL"),
    ("-name = 'x'", "character 2: `name` is a text, and - takes a number"),
    ("pid IS 5", "character 8: after IS stands [NOT] NULL, TRUE, FALSE, UNKNOWN or DISTINCT FROM"),
    ("(1, 2) = (1, 2)", "character 2: a list in parentheses stands behind IN only"),
    ("interval '1 day' > pid", "character 1: conditions have no INTERVAL"),
    ("x'ff' = name", "character 1: `X'ff'` has no place in a condition"),
    ("name = E'x'", "character 9: `'x'` can't follow what is before it; between two tests stands AND or OR"),
    ("pid[1] = 1", "character 4: `[` has no place in a condition"),
    ("{a}", "character 1: `{` has no place in a condition"),
    ("9223372036854775807 * 9223372036854775807 * 9223372036854775807 > 1", "character 1: the number that begins here is beyond 128 bits"),
    ("name = 'a'\nAND cpu = 1", "line 2, character 5: no column `cpu` in process events; did you mean `cpu_usage`?"),
    ("\0 = 1", "character 1: ` ` has no place in a condition"),
    ("/* x", "character 5: what begins here has no end: a closing quote or */ is missing"),
    ("IN (1)", "character 1: no function `in`; there are lower, upper, length, starts_with, ends_with, contains, regexp_like, coalesce, basename, cidr_contains, any"),
    ("pid NOT 5", "character 5: `NOT` can't follow what is before it; between two tests stands AND or OR"),
    ("coalesce(name, pid) = 'x'", "character 16: `pid` is a whole number, and what stands before it is a text: all values of coalesce are of one type"),
    ("any(command_line) IS DISTINCT FROM 'x'", "character 1: IS DISTINCT FROM looks into no list; the texts of a list are never NULL: write = or <>"),
    ("lower(*) = 'x'", "character 1: lower is called as lower(text)"),
    ("lower(DISTINCT name) = 'x'", "character 1: lower is called as lower(text)"),
    ("current_timestamp > 5", "character 1: no function `current_timestamp`; there are lower, upper, length, starts_with, ends_with, contains, regexp_like, coalesce, basename, cidr_contains, any"),
    ("name = 'x' AND nam = 'y'", "character 16: no column `nam` in process events; did you mean `name`?"),
    ("name LIKE '%a", "character 11: the text in quotes that begins here has no end: a ' is missing"),
    ("pid > 1 XOR pid > 2", "character 9: conditions have no XOR"),
];

fn refused(condition: &str) -> String {
    let error = Conditions::compile(&[raw(condition)]).expect_err(condition);
    let line = error.strip_prefix("trigger.x.condition: ");
    line.unwrap_or_else(|| panic!("{error}")).to_owned()
}

#[test]
fn what_is_no_condition_is_refused_with_its_place_and_what_would_be_right() {
    let wrong: Vec<(&str, String)> = CASES
        .iter()
        .map(|(condition, expected)| (*condition, *expected, refused(condition)))
        .filter(|(_, expected, said)| said != expected)
        .map(|(condition, _, said)| (condition, said))
        .collect();
    assert_eq!(wrong, []);
}

#[test]
fn what_is_too_large_is_refused() {
    let regexes: Vec<RawCondition> = (0..65)
        .map(|number| RawCondition {
            name: number.to_string(),
            ..raw(&format!("regexp_like(name, 'x{number}')"))
        })
        .collect();
    let error = Conditions::compile(&regexes).unwrap_err();
    assert_eq!(
        error,
        "trigger.64.condition: character 19: more than 64 regular expressions in all conditions; LIKE, starts_with, ends_with and contains are not counted"
    );
    let parts: Vec<RawCondition> = (0..200)
        .map(|number| RawCondition {
            name: number.to_string(),
            ..raw(&format!("pid > {number}{}", " AND pid > ppid".repeat(50)))
        })
        .collect();
    let error = Conditions::compile(&parts).unwrap_err();
    assert!(
        error.starts_with(
            "trigger.130.condition: all conditions together have more than 20000 parts"
        ),
        "{error}"
    );
    let many: Vec<RawCondition> = (0..1_001).map(|_| raw("true")).collect();
    let error = Conditions::compile(&many).unwrap_err();
    assert_eq!(
        error,
        "trigger: there are 1001 conditions, and there may be 1000"
    );
    let cases = [
        (
            format!("pid > 1{}", " AND pid > 1".repeat(300)),
            "character 2405: more than 400 operators; make several conditions of it, or use IN",
        ),
        (
            format!("{}true{}", "(".repeat(30), ")".repeat(30)),
            "character 25: more than 24 within each other, parentheses and CASE",
        ),
        (
            format!("{}true", "NOT ".repeat(30)),
            "character 33: more than 8 of NOT, - and + in a row",
        ),
        (
            format!("name = '{}'", "x".repeat(17_000)),
            "it has 17009 bytes, and a condition may have 16384",
        ),
    ];
    for (condition, expected) in cases {
        assert_eq!(refused(&condition), expected);
    }
}

#[test]
fn each_bad_condition_has_a_line_that_names_its_key_and_the_good_ones_have_none() {
    let threshold = |count, window_ms, by: &str| {
        Some(RawThreshold {
            count,
            window_ms,
            by: vec![by.to_owned()],
        })
    };
    let good = |name: &str| RawCondition {
        name: name.to_owned(),
        ..raw("pid > 1")
    };
    let conditions = [
        good("good"),
        RawCondition {
            condition: "cpu > 1".to_owned(),
            ..good("a")
        },
        RawCondition {
            kind: "proces".to_owned(),
            ..good("b")
        },
        RawCondition {
            priority: Some("urgent".to_owned()),
            ..good("c")
        },
        RawCondition {
            message: Some("{name} has {cpu}".to_owned()),
            ..good("d")
        },
        RawCondition {
            message: Some("{name".to_owned()),
            ..good("e")
        },
        RawCondition {
            message: Some("name}".to_owned()),
            ..good("f")
        },
        RawCondition {
            threshold: threshold(0, 1, "name"),
            ..good("g")
        },
        RawCondition {
            threshold: threshold(5, 0, "name"),
            ..good("h")
        },
        RawCondition {
            threshold: threshold(5, 60_000, "nam"),
            ..good("i")
        },
        good(""),
        good("good"),
        RawCondition {
            target: "x".repeat(300),
            ..good("j")
        },
        RawCondition {
            priority: Some("hi".to_owned()),
            ..good("k")
        },
        good("good2"),
    ];
    let error = Conditions::compile(&conditions).unwrap_err();
    let expected = [
        "trigger.a.condition: character 1: no column `cpu` in process events; did you mean `cpu_usage`?",
        "trigger.b.kind: no kind `proces`; did you mean `process`?",
        "trigger.c.priority: no priority `urgent`; there are critical, high, normal, low",
        "trigger.d.message: character 12: no column `cpu` in process events; did you mean `cpu_usage`?",
        "trigger.e.message: character 1: this { has no }; for a brace write {{",
        "trigger.f.message: character 5: this } closes nothing; for a brace write }}",
        "trigger.g.threshold.count: 0 is not within 1 to 10000",
        "trigger.h.threshold.window_ms: 0 is not within 1 to 604800000",
        "trigger.i.threshold.by: no column `nam` in process events; did you mean `name`?",
        "trigger[10].name: it is empty; a trigger has a name",
        "trigger.good.name: another trigger is called that already; each has a name of its own",
        "trigger.j.target: it has 300 bytes, and a target may have 200",
        "trigger.k.priority: no priority `hi`; there are critical, high, normal, low",
    ];
    assert_eq!(error.lines().collect::<Vec<_>>(), expected);
    // The next good one loads.
    assert!(Conditions::compile(&[good("good")]).is_ok());
    assert!(Conditions::compile(&[]).is_ok());
}

#[test]
fn words_that_sql_knows_are_texts_within_quotes() {
    for condition in [
        "name LIKE '%from%'",
        "name = 'selector'",
        "name = 'SELECT 1; DROP TABLE t'",
        "name = 'it''s'",
        "name IN ('and', 'OR')",
        "/* a note */ pid > 1 -- and another",
    ] {
        assert!(
            Conditions::compile(&[raw(condition)]).is_ok(),
            "{condition}"
        );
    }
}
