//! The patterns that come with the daemon: forms in which secrets are given to programs, whatever the program.
//!
//! What only one program writes so — `-p` and the password in one word — isn't here, for elsewhere it is a port or a
//! folder. The invariant: no pattern needs anything behind a secret but a bound (`@`, a quote), and the quote may be
//! missing: what was cut off is found as well.

/// A pattern with what it is for.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// Which form.
    pub name: &'static str,
    /// The regular expression.
    pub pattern: &'static str,
}

/// A value, in quotes or up to the next blank.
macro_rules! value {
    () => {
        r#"(?:"((?:[^"\\]|\\[\s\S])*)|'([^']*)|([^\s"']\S*))"#
    };
}

/// The same behind an option's name; another option is no value.
macro_rules! word {
    () => {
        r#"(?:"((?:[^"\\]|\\[\s\S])*)|'([^']*)|(-?[^\s"'-]\S*))"#
    };
}

/// What secrets are called, whatever stands before.
macro_rules! name {
    () => {
        "(?:passw(?:or)?d|passphrase|passcode|secret|token|(?:access|account|api|auth|encryption|master|secret|signing)[_-]?key(?:[_-]?base)?)"
    };
}

/// All of them.
pub const BUILTIN_PATTERNS: &[Known] = &[
    Known {
        name: "a name and a value: --password=X, PGPASSWORD=X, \"token\": \"X\", X-Api-Key: X",
        pattern: concat!("(?i)", name!(), r#"["']?\s?(?:=|:=)\s?"#, value!()),
    },
    Known {
        name: "the same with a colon, but for a path of modules (token::parse)",
        pattern: concat!(
            "(?i)",
            name!(),
            r#"["']?\s?:\s?"#,
            r#"(?:"((?:[^"\\]|\\[\s\S])*)|'([^']*)|([^\s"':]\S*))"#
        ),
    },
    Known {
        name: "short names, which end longer words as well: --pass=X, DB_PASS=X, MYSQL_PWD=X, pass:X",
        pattern: concat!(
            r#"(?:(?:^|[^0-9A-Za-z])(?i:pass)|[0-9A-Z]PASS|[_?&;-](?i:pwd|pw))["']?\s?[=:]\s?"#,
            value!()
        ),
    },
    Known {
        name: "an option and its value: --password X, -token X, --db-pass X",
        pattern: concat!(
            r#"(?i)(?:^|[\s"'])--?(?:[a-z0-9_.-]*"#,
            name!(),
            r#"|(?:[a-z0-9_.-]*[_.-])?(?:pass|pwd|pw))["']?,?\s"#,
            word!()
        ),
    },
    Known {
        name: "headers: Authorization: Bearer X, Cookie: X",
        pattern: r#"(?i)(?:authorization|cookie)["']?\s?[:=]\s?["']?(?:(?:apikey|basic|bearer|bot|digest|negotiate|token)\s)?(\S+)"#,
    },
    Known {
        name: "Bearer X by itself",
        pattern: r#"(?i)(?-u:\b)bearer\s([^\s"']+)"#,
    },
    Known {
        name: "who logs in: -u NAME:X, --user NAME:X, but for two numbers",
        pattern: r#"(?:^|\s)(?:-u|-U|--user|--proxy-user)[\s=]["']?(?:[0-9]*[^\s:/@0-9"'][^\s:/@]*:([^\s/]\S*)|[0-9]+:([0-9]*[^\s0-9/]\S*))"#,
    },
    Known {
        name: "addresses: SCHEME://NAME:X@HOST",
        pattern: r#"://[^\s/@:]*:([^\s/]+)@"#,
    },
    Known {
        name: "tokens that say what they are, and JSON web tokens",
        pattern: r"(?-u:\b)(?:gh[oprsu]_[0-9A-Za-z]{20,}|github_pat_[0-9A-Za-z_]{20,}|glpat-[0-9A-Za-z_-]{20,}|xox[abeoprs]-[0-9A-Za-z-]{10,}|sk-[0-9A-Za-z_-]{32,}|eyJ[0-9A-Za-z_-]{8,}\.[0-9A-Za-z_-]+(?:\.[0-9A-Za-z_-]*)?)",
    },
    Known {
        name: "private keys",
        pattern: r"-----BEGIN [A-Z ]*PRIVATE KEY-----([^-]+)",
    },
];
