//! Promises of redaction: what of a command line is kept, and what nobody sees.

use std::time::Instant;

use proptest::prelude::*;

use super::*;

fn words(line: &[&str]) -> Vec<String> {
    line.iter().map(|word| (*word).to_owned()).collect()
}

#[track_caller]
fn check_by(redaction: &Redaction, line: &[&str], expected: &[&str]) {
    let redacted = redaction.redact(words(line));
    assert_eq!(redacted.arguments, expected, "{line:?}");
    assert_eq!(redacted.marks > 0, line != expected, "{line:?}");
    assert!(!redacted.is_cut);
    // What has no secret any more stays as it is.
    let again = redaction.redact(redacted.arguments);
    assert_eq!(again.arguments, expected, "{line:?} again");
}

#[track_caller]
fn check(line: &[&str], expected: &[&str]) {
    check_by(&Redaction::builtin(), line, expected);
}

#[test]
fn secrets_in_command_lines_that_people_write_are_replaced() {
    check(
        &["x", "--password=hunter2", "-v"],
        &["x", "--password=***", "-v"],
    );
    check(
        &["x", "--password", "hunter2", "-v"],
        &["x", "--password", "***", "-v"],
    );
    check(&["x", "-password", "hunter2"], &["x", "-password", "***"]);
    check(&["x", "--PASSWORD=a=b&c;d"], &["x", "--PASSWORD=***"]);
    check(&["x", "--db-passwd", "-x!"], &["x", "--db-passwd", "***"]);
    check(&["x", "--token=abc"], &["x", "--token=***"]);
    check(&["x", "--auth-token", "abc"], &["x", "--auth-token", "***"]);
    check(
        &["x", "--client-secret", "abc"],
        &["x", "--client-secret", "***"],
    );
    check(
        &["x", "--api-key=abc", "--apikey", "d"],
        &["x", "--api-key=***", "--apikey", "***"],
    );
    check(
        &["x", "--pass", "abc", "--pwd=d"],
        &["x", "--pass", "***", "--pwd=***"],
    );
    check(
        &["env", "PGPASSWORD=hunter2", "psql"],
        &["env", "PGPASSWORD=***", "psql"],
    );
    check(
        &["env", "DB_PASS=a", "MYSQL_PWD=b"],
        &["env", "DB_PASS=***", "MYSQL_PWD=***"],
    );
    check(
        &["env", "SSHPASS=a", "RESTIC_PASSWORD=b"],
        &["env", "SSHPASS=***", "RESTIC_PASSWORD=***"],
    );
    check(
        &["env", "AWS_SECRET_ACCESS_KEY=a/b+c", "SECRET_KEY_BASE=d"],
        &["env", "AWS_SECRET_ACCESS_KEY=***", "SECRET_KEY_BASE=***"],
    );
    check(
        &["java", "-Djavax.net.ssl.keyStorePassword=changeit", "Main"],
        &["java", "-Djavax.net.ssl.keyStorePassword=***", "Main"],
    );
    check(
        &["openssl", "rsa", "-passin", "pass:abc"],
        &["openssl", "rsa", "-passin", "pass:***"],
    );
}

#[test]
fn secrets_in_headers_addresses_and_by_their_shape_are_replaced() {
    check(
        &[
            "curl",
            "-H",
            "Authorization: Bearer abc.def",
            "https://host/",
        ],
        &["curl", "-H", "Authorization: Bearer ***", "https://host/"],
    );
    check(
        &["curl", "-HAuthorization:Basic dTpw", "-H", "X-Api-Key: abc"],
        &["curl", "-HAuthorization:Basic ***", "-H", "X-Api-Key: ***"],
    );
    check(
        &[
            "curl",
            "-H",
            "Cookie: a=b; session=c",
            "-H",
            "authorization: raw",
        ],
        &["curl", "-H", "Cookie: ***", "-H", "authorization: ***"],
    );
    check(
        &["wget", "--header=Bearer abc"],
        &["wget", "--header=Bearer ***"],
    );
    check(
        &["curl", "-u", "me:hunter2", "host"],
        &["curl", "-u", "me:***", "host"],
    );
    check(&["curl", "--user=me:1234"], &["curl", "--user=me:***"]);
    check(
        &["psql", "postgres://me:hunter2@host:5432/db"],
        &["psql", "postgres://me:***@host:5432/db"],
    );
    check(&["x", "redis://:a@b@host/0"], &["x", "redis://:***@host/0"]);
    check(
        &["curl", "-d", r#"{"user":"me","password":"a b\" c","n":1}"#],
        &["curl", "-d", r#"{"user":"me","password":"***","n":1}"#],
    );
    check(
        &["curl", "https://host/?access_token=abc"],
        &["curl", "https://host/?access_token=***"],
    );
    check(
        &["git", "clone", "https://ghp_0123456789abcdefghij@host/x"],
        &["git", "clone", "https://***@host/x"],
    );
    check(
        &["x", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-_", "y"],
        &["x", "***", "y"],
    );
    check(
        &[
            "x",
            "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----",
        ],
        &[
            "x",
            "-----BEGIN RSA PRIVATE KEY-----***-----END RSA PRIVATE KEY-----",
        ],
    );
}

#[test]
fn what_is_no_secret_stays() {
    for line in [
        &["cargo", "test", "token::parse", "--", "--nocapture"][..],
        &[
            "x",
            "--password-file",
            "/run/secrets/x",
            "--token-auth-file=/etc/x",
        ],
        &["x", "--password-stdin", "--no-password"],
        &["x", "--password", "--verbose"],
        &["docker", "run", "-u", "1000:1000", "--user", "0:0", "image"],
        &["mkdir", "-p", "/home/me/passwords"],
        &["ssh", "-p", "22", "git@host:path/token"],
        &["curl", "https://host:443/secret/@scope/x"],
        &["env", "PWD=/home/me", "OLDPWD=/", "PASSWORD_STORE_DIR=/x"],
        &["/usr/bin/passwd", "root"],
        &["vi", "/etc/shadow", "secret.txt", "token"],
        &["x", "compass=1", "-pass", "--bypass", "x"],
        &["", "", "x"],
        &[],
    ] {
        check(line, line);
    }
}

#[test]
fn a_value_with_blanks_is_replaced_to_the_end_of_its_argument_and_a_script_keeps_the_rest() {
    check(
        &["x", "--password", "my long secret", "y"],
        &["x", "--password", "***", "y"],
    );
    check(
        &["x", "--password=my long secret", "y"],
        &["x", "--password=***", "y"],
    );
    check(
        &["docker", "run", "-e", "DB_PASSWORD=correct horse", "image"],
        &["docker", "run", "-e", "DB_PASSWORD=***", "image"],
    );
    check(
        &["sh", "-c", "PGPASSWORD=hunter2 psql -h host"],
        &["sh", "-c", "PGPASSWORD=*** psql -h host"],
    );
    check(
        &["sh", "-lc", "x --password 'a b' -v && y --token=c | z"],
        &["sh", "-lc", "x --password '***' -v && y --token=*** | z"],
    );
    check(
        &["ssh", "host", "x --password=hunter2 --verbose"],
        &["ssh", "host", "x --password=*** --verbose"],
    );
    check(
        &["daemon: password=hunter2 of me"],
        &["daemon: password=*** of me"],
    );
}

#[test]
fn of_a_pattern_with_groups_the_first_that_took_part_is_replaced_and_else_the_whole_match() {
    let own = |patterns: &[&str]| Redaction::new(false, &words(patterns)).unwrap();
    let check = |patterns: &[&str], line: &[&str], expected: &[&str]| {
        check_by(&own(patterns), line, expected);
    };
    check(
        &["hunter[0-9]"],
        &["a hunter2 b", "hunter3"],
        &["a *** b", "***"],
    );
    check(
        &[r"--password[= ](\S+)"],
        &["x", "--password=a", "b"],
        &["x", "--password=***", "b"],
    );
    check(
        &[r"--password[= ](\S+)"],
        &["x", "--password", "b c"],
        &["x", "--password", "***"],
    );
    check(&["a(?:b(c)|d(e))f"], &["abcf adef"], &["ab***f ad***f"]);
    check(&["one|two(3)"], &["one two3"], &["*** two***"]);
    check(&["a(b)?c"], &["ac abc"], &["*** a***c"]);
    check(&["x*"], &["axb"], &["a***b"]);
    check(&["(x*)y"], &["y"], &["y"]);
    // Of several patterns, overlapping or side by side, one mark is left.
    check(&["abcd", "cdef", "gh"], &["xabcdefghy"], &["x***y"]);
    // Over the ends of arguments: as many arguments as before.
    check(
        &["b c d e"],
        &["a", "b", "c d", "e f"],
        &["a", "***", "***", "***"],
    );
    check(&["é+"], &["aéé", "é"], &["a***", "***"]);
    check(&[], &["--password=x"], &["--password=x"]);
    let all = Redaction::new(true, &words(&["hunter2"])).unwrap();
    check_by(&all, &["--token=x", "hunter2"], &["--token=***", "***"]);
    check_by(&Redaction::none(), &["--token=x"], &["--token=x"]);
}

#[test]
fn a_cut_is_made_after_secrets_were_looked_for() {
    let redaction = Redaction::builtin();
    let check = |line: &[&str], bytes_max, expected: &[&str]| {
        let redacted = redaction.redact_and_cut(words(line), bytes_max);
        assert_eq!(redacted.arguments, expected, "{line:?} at {bytes_max}");
        assert!(redacted.is_cut, "{line:?} at {bytes_max}");
    };
    let line = ["a", "x://u:secret@h", "é"];
    check(&line, 0, &["…"]);
    check(&line, 1, &["a…"]);
    check(&line, 2, &["a…"]);
    check(&line, 8, &["a", "x://u:…"]);
    check(&line, 9, &["a", "x://u:***…"]);
    check(&line, 13, &["a", "x://u:***…"]);
    check(&line, 15, &["a", "x://u:***@…"]);
    check(&line, 16, &["a", "x://u:***@h…"]);
    check(&line, 18, &["a", "x://u:***@h…"]);
}

#[test]
fn a_pattern_that_cannot_be_used_is_refused_in_the_words_of_who_parses_it() {
    let check = |pattern: &str, expected: &str| {
        let error = check_pattern(pattern).unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert_eq!(
            Redaction::new(true, &[pattern.to_owned()]).unwrap_err(),
            error
        );
    };
    check("a(b", "`a(b` is no regular expression: unclosed group");
    check(
        "a{2,1}",
        "`a{2,1}` is no regular expression: invalid repetition count range, the start must be <= the end",
    );
    check(
        "(?=a)",
        "`(?=a)` is no regular expression: look-around, including look-ahead and look-behind, is not supported",
    );
    check(
        "(?:a{1000}){1000}",
        "`(?:a{1000}){1000}` needs more than 1048576 bytes once compiled: repeat less often, or a smaller class",
    );
    check(
        &"a".repeat(PATTERN_BYTES_MAX + 1),
        "a pattern of 4097 bytes is longer than 4096: make two of it",
    );
    assert_eq!(check_pattern(r"--password[= ](\S+)"), Ok(()));
    let refused = |patterns: Vec<String>| Redaction::new(false, &patterns).unwrap_err().to_string();
    assert_eq!(
        refused(vec!["a".to_owned(); PATTERNS_MAX + 1]),
        "65 patterns are more than the 64 that there may be: join some of them"
    );
    let large = (0..PATTERNS_MAX).map(|number| format!("{number}(?:[a-z]{{900}}){{5}}"));
    assert_eq!(
        refused(large.collect()),
        "all patterns together need more than 8388608 bytes once compiled: take out some"
    );
}

/// Where a secret may stand, with `{}` in its place; arguments end at `|`.
const PLACES: &[&str] = &[
    "x|--password={}|y",
    "x|--password|{}|y",
    "x|--db-secret|{}",
    "x|--api_key={}",
    "TOKEN={}|x",
    "A_PASS={}|x",
    "x|-H|Authorization: Bearer {}|y",
    "x|-H|Cookie: {}",
    "x|--header|X-Auth-Token: {}",
    "x|https://me:{}@host/path",
    "x|-u|me:{}",
    "sh|-c|x --passphrase {} && y",
    "sh|-c|x --token='{}'; y",
    "x|{\"password\": \"{}\"}",
];

proptest! {
    #[test]
    fn no_secret_of_a_known_form_is_in_what_comes_out(
        place in 0..PLACES.len(),
        before in prop::collection::vec("[ -~]{0,12}", 0..4),
        // Not what ends it there: a quote, a blank, a slash of the address.
        secret in "[A-Za-z0-9!#$%&()*+,.:;<=>?@^_`{|}~-]{0,20}[A-Z][0-9]{6}",
    ) {
        prop_assume!(!secret.starts_with("--") && !secret.starts_with(':'));
        let known = PLACES[place].split('|').map(|word| word.replace("{}", &secret));
        // An option that waits for a value would take the next word, and what begins a text in quotes goes on.
        let before = before.into_iter().map(|word| word.replace(['"', '\''], "x"));
        let line: Vec<String> = before.chain(["--".to_owned()]).chain(known).collect();
        let count = line.len();
        let redacted = Redaction::builtin().redact(line.clone());
        let seen = redacted.arguments.join(" ");
        prop_assert!(!seen.contains(&secret), "{secret} in {seen} of {line:?}");
        prop_assert_eq!(redacted.arguments.len(), count);
        prop_assert!(redacted.marks > 0);
    }

    #[test]
    fn any_line_by_any_pattern_keeps_what_is_not_replaced(
        line in prop::collection::vec("[ab =é]{0,6}", 0..5),
        patterns in prop::collection::vec("[ab]{0,2}(\\([ab =]\\)|[ab=]\\+|é\\*)?", 0..4),
        bytes_max in prop_oneof![Just(usize::MAX), 0_usize..40],
    ) {
        let redaction = Redaction::new(false, &patterns).unwrap();
        let redacted = redaction.redact_and_cut(line.clone(), bytes_max);
        let whole = redaction.redact(line.clone());
        prop_assert_eq!(whole.arguments.len(), line.len());
        if whole.marks == 0 {
            prop_assert_eq!(&whole.arguments, &line);
        }
        let joined = line.join(" ");
        prop_assert_eq!(redacted.is_cut, joined.len() > bytes_max);
        if !redacted.is_cut {
            prop_assert_eq!(&redacted, &whole);
        }
        // Marks aside nothing is there that wasn't, in the order in which it was.
        let mut rest = joined.as_str();
        for argument in &redacted.arguments {
            for part in argument.trim_end_matches(CUT_MARK).split(MARK) {
                let at = rest.find(part);
                prop_assert!(at.is_some(), "{part:?} of {redacted:?}");
                rest = &rest[at.unwrap() + part.len()..];
            }
        }
    }
}

#[test]
fn a_line_costs_time_in_proportion_to_its_length_whatever_is_in_it() {
    let redaction = Redaction::builtin();
    let cost_ns = |line: &[String]| {
        let turns = (0..10).map(|_| {
            let began = Instant::now();
            for _ in 0..4 {
                std::hint::black_box(redaction.redact(line.to_vec()));
            }
            began.elapsed().as_nanos() / 4
        });
        turns.min().unwrap_or_default()
    };
    let plain = words(&[
        "/usr/lib/jvm/java-21/bin/java",
        "-Xmx2g",
        "-Dserver.port=8080",
        "-cp",
        "/opt/service/lib/*",
        "com.example.service.Main",
        "--config",
        "/etc/service/config.yaml",
    ]);
    let short = words(&["/usr/sbin/sshd", "-D"]);
    let secret = words(&["psql", "postgres://me:hunter2@host:5432/db", "--password=x"]);
    for (what, line) in [("short", &short), ("plain", &plain), ("secrets", &secret)] {
        println!(
            "{what}: {} bytes, {} ns",
            line.join(" ").len(),
            cost_ns(line)
        );
    }
    // What somebody may write to make it slow: each word begins what may become a secret.
    for word in [
        "password",
        "password=a",
        "--token",
        "x://a:",
        "eyJaaaaaaaa.",
        "-----BEGIN PRIVATE KEY-----",
        "\"token\":\"",
        "-u a:b",
    ] {
        let of = |bytes: usize| {
            let apart = vec![word.to_owned(); bytes / (word.len() + 1)];
            let joined = vec![word.repeat(bytes / word.len())];
            let far = vec!["x".repeat(bytes) + &apart.join(" ")];
            [cost_ns(&apart), cost_ns(&joined), cost_ns(&far)]
        };
        let (small, large) = (of(1024), of(32 * 1024));
        println!("{word}: {small:?} ns of 1 KiB, {large:?} ns of 32 KiB");
        for (small, large) in small.iter().zip(large) {
            // A square would be 1,024 times as much; long matches are looked at more slowly.
            assert!(
                large < small * 32 * 10,
                "{word}: {small} ns, then {large} ns"
            );
        }
    }
}
