//! Rows and conditions out of random numbers: of all that the dialect has, with values that are likely
//! to be dealt with wrongly.

use super::super::Random;
use super::super::batch::Row;
use crate::columns::Cell;

/// A condition, ours and SQLite's.
pub(super) struct Condition {
    pub(super) ours: String,
    pub(super) theirs: String,
    /// What SQLite calculates with whole numbers: where one is no whole number, it left 64 bits.
    pub(super) calculations: Vec<String>,
}

/// An expression, ours and SQLite's.
#[derive(Clone)]
struct Pair(String, String);

impl Pair {
    fn same(text: impl Into<String>) -> Self {
        let text = text.into();
        Self(text.clone(), text)
    }

    /// The same around both; `{}` stands for the parts, in order.
    fn of(shape: &str, parts: &[&Self]) -> Self {
        let fill = |side: fn(&Self) -> &str| {
            let mut pieces = shape.split("{}");
            let mut text = pieces.next().unwrap().to_owned();
            for (piece, part) in pieces.zip(parts) {
                text.push_str(side(part));
                text.push_str(piece);
            }
            text
        };
        Self(fill(|pair| &pair.0), fill(|pair| &pair.1))
    }

    fn in_parentheses(&self) -> Self {
        Self::of("({})", &[self])
    }
}

const INTEGER_COLUMNS: [&str; 5] = ["pid", "ppid", "exit_code", "sequence", "memory_bytes"];
const TEXT_COLUMNS: [&str; 4] = ["name", "executable", "parent_name", "cgroup"];
const BOOL_COLUMNS: [&str; 3] = ["accessible", "executable_deleted", "file_exists"];
const SIGNS: [&str; 6] = ["=", "<>", "<", "<=", ">", ">="];
/// What SQLite reads as the same floats; a test looks.
pub(super) const LITERAL_FLOATS: [&str; 14] = [
    "0.0",
    "0.5",
    "1.5",
    "50.0",
    "99.0",
    "0.1",
    "7.0",
    "1e3",
    "1e18",
    "9007199254740992.0",
    "9223372036854775808.0",
    "4294967295.0",
    "1e300",
    "2147483647.5",
];
const LITERAL_INTEGERS: [i64; 14] = [
    0,
    1,
    2,
    7,
    50,
    99,
    1_000,
    65_535,
    2_147_483_647,
    4_294_967_295,
    9_007_199_254_740_993,
    i64::MAX,
    i64::MAX - 1,
    4_611_686_018_427_387_904,
];
const TEXTS: [&str; 18] = [
    "",
    "a",
    "A",
    "b",
    "ab",
    "aB",
    "é",
    "É",
    "日本",
    "%",
    "_",
    "a%b",
    "a_b",
    "/usr/bin/x",
    "/tmp/",
    "x/y/",
    "'",
    "\\",
];
const LETTERS: [&str; 10] = ["a", "b", "A", "é", "É", "日", "%", "_", "/", "\\"];

fn pick<T: Copy>(random: &mut Random, from: &[T]) -> T {
    from[random.below(from.len() as u64)]
}

fn a_text(random: &mut Random) -> String {
    if random.below(2) == 0 {
        return pick(random, &TEXTS).to_owned();
    }
    (0..random.below(6))
        .map(|_| pick(random, &LETTERS))
        .collect()
}

fn an_integer(random: &mut Random) -> i64 {
    match random.below(4) {
        0 => random.next().cast_signed(),
        1 => i64::try_from(random.below(100)).unwrap(),
        _ => pick(random, &LITERAL_INTEGERS),
    }
}

fn a_float(random: &mut Random) -> f64 {
    match random.below(6) {
        0 => f64::from_bits(random.next()),
        1 => pick(
            random,
            &[
                f64::INFINITY,
                f64::NEG_INFINITY,
                f64::NAN,
                -0.0,
                f64::MIN_POSITIVE,
                f64::MAX,
                5e-324,
            ],
        ),
        _ => pick(random, &LITERAL_FLOATS).parse().unwrap(),
    }
}

/// Rows of processes, with nulls, extreme numbers and odd texts.
pub(super) fn rows(random: &mut Random, count: usize) -> Vec<Row> {
    let some = |random: &mut Random, cell: &dyn Fn(&mut Random) -> Cell| match random.below(5) {
        0 => Cell::Null,
        _ => cell(random),
    };
    let within = |low: i64, high: i64| {
        move |random: &mut Random| {
            let value = an_integer(random);
            let value = if (low..=high).contains(&value) {
                value
            } else {
                pick(random, &[low, high, low + 1])
            };
            Cell::Integer(value.into())
        }
    };
    let rows = (0..count).map(|_| {
        let mut row: Row = vec![
            ("pid", within(0, u32::MAX.into())(random)),
            ("ppid", some(random, &within(0, u32::MAX.into()))),
            (
                "exit_code",
                some(random, &within(i32::MIN.into(), i32::MAX.into())),
            ),
            ("sequence", within(0, i64::MAX)(random)),
            ("memory_bytes", some(random, &within(0, i64::MAX))),
            (
                "cpu_usage",
                some(random, &|random| Cell::Float(a_float(random))),
            ),
            ("timestamp", Cell::Time(an_integer(random))),
            (
                "command_line",
                some(random, &|random| {
                    Cell::Texts((0..random.below(4)).map(|_| a_text(random)).collect())
                }),
            ),
        ];
        for column in TEXT_COLUMNS {
            row.push((column, some(random, &|random| Cell::Text(a_text(random)))));
        }
        for column in BOOL_COLUMNS {
            row.push((
                column,
                some(random, &|random| Cell::Bool(random.below(2) == 0)),
            ));
        }
        row
    });
    rows.collect()
}

/// Writes a condition.
pub(super) struct Generator<'a> {
    random: &'a mut Random,
    calculations: Vec<String>,
    /// How deep it may go yet.
    depth: usize,
}

impl<'a> Generator<'a> {
    pub(super) fn new(random: &'a mut Random) -> Self {
        let depth = random.below(4);
        Self {
            random,
            calculations: Vec::new(),
            depth,
        }
    }

    pub(super) fn condition(mut self) -> Condition {
        let Pair(ours, theirs) = self.truth();
        Condition {
            ours,
            theirs,
            calculations: self.calculations,
        }
    }

    fn below(&mut self, most: u64) -> usize {
        self.random.below(most)
    }

    fn deeper<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> T {
        self.depth -= 1;
        let made = make(self);
        self.depth += 1;
        made
    }

    fn not(&mut self) -> &'static str {
        ["", "NOT "][self.below(2)]
    }

    /// Tests joined, with and without parentheses: both read them in the same order.
    fn truth(&mut self) -> Pair {
        if self.depth == 0 {
            return self.atom();
        }
        match self.below(8) {
            0..=3 => self.deeper(|this| {
                let mut joined = this.truth();
                for _ in 0..1 + this.below(3) {
                    let word = ["AND", "OR"][this.below(2)];
                    let not = this.not();
                    let next = this.truth();
                    let next = if not.is_empty() {
                        next
                    } else {
                        next.in_parentheses()
                    };
                    joined = Pair::of(&format!("{{}} {word} {not}{{}}"), &[&joined, &next]);
                }
                if this.below(2) == 0 {
                    joined.in_parentheses()
                } else {
                    joined
                }
            }),
            4 => self.deeper(|this| {
                let inner = this.truth();
                let not = this.not();
                let (one, other) = [
                    ("TRUE", "TRUE"),
                    ("FALSE", "FALSE"),
                    ("UNKNOWN", "NULL"),
                    ("NULL", "NULL"),
                ][this.below(4)];
                Pair(
                    format!("({}) IS {not}{one}", inner.0),
                    format!("({}) IS {not}{other}", inner.1),
                )
            }),
            5 => self.deeper(|this| {
                let (when, then, other) = (this.truth(), this.truth(), this.truth());
                Pair::of(
                    "(CASE WHEN {} THEN {} ELSE {} END)",
                    &[&when, &then, &other],
                )
            }),
            _ => self.atom(),
        }
    }

    /// One test.
    fn atom(&mut self) -> Pair {
        let sign = pick(self.random, &SIGNS);
        match self.below(16) {
            0..=3 => {
                let (left, right) = (self.number(), self.number());
                Pair::of(&format!("{{}} {sign} {{}}"), &[&left, &right])
            }
            4 => {
                let (value, low, high, not) =
                    (self.number(), self.number(), self.number(), self.not());
                Pair::of(
                    &format!("{{}} {not}BETWEEN {{}} AND {{}}"),
                    &[&value, &low, &high],
                )
            }
            5 => {
                let (value, not) = (self.number(), self.not());
                let items = self.items(Self::number);
                Pair::of(&format!("{{}} {not}IN ({{}})"), &[&value, &items])
            }
            6 | 7 => {
                let (left, right) = (self.text(), self.text());
                Pair::of(&format!("{{}} {sign} {{}}"), &[&left, &right])
            }
            8 => {
                let (value, not) = (self.text(), self.not());
                let items = self.items(Self::text);
                Pair::of(&format!("{{}} {not}IN ({{}})"), &[&value, &items])
            }
            9 | 10 => self.like(),
            11 => {
                let value = if self.below(2) == 0 {
                    self.text()
                } else {
                    self.number()
                };
                let not = self.not();
                Pair::of(&format!("{{}} IS {not}NULL"), &[&value])
            }
            12 => {
                let (one, other) = match self.below(2) {
                    0 => (self.text(), self.text()),
                    _ => (self.number(), self.number()),
                };
                let not = self.not();
                Pair::of(
                    &format!("({{}}) IS {not}DISTINCT FROM ({{}})"),
                    &[&one, &other],
                )
            }
            13 => {
                let column = Pair::same(pick(self.random, &BOOL_COLUMNS));
                match self.below(4) {
                    0 => Pair::of("{} = true", &[&column]),
                    1 => Pair::of("false <> {}", &[&column]),
                    2 => Pair::same(["true", "false", "(NULL OR false)"][self.below(3)]),
                    _ => column,
                }
            }
            14 => self.search(),
            _ => self.any(),
        }
    }

    fn items(&mut self, item: fn(&mut Self) -> Pair) -> Pair {
        let mut items = item(self);
        for _ in 0..self.below(5) {
            let next = if self.below(8) == 0 {
                Pair::same("NULL")
            } else {
                item(self)
            };
            items = Pair::of("{}, {}", &[&items, &next]);
        }
        items
    }

    fn like(&mut self) -> Pair {
        let (value, not) = (self.text(), self.not());
        let mut pattern: String = (0..self.below(6))
            .map(|_| pick(self.random, &LETTERS))
            .collect();
        let folded = self.below(2) == 0;
        let mut escape = "";
        if self.below(3) == 0 && !pattern.is_empty() {
            // Not at the end: that is refused.
            pattern = pattern.replace('\\', "\\%") + "b";
            escape = " ESCAPE '\\'";
        }
        if folded {
            return Pair(
                format!("{} {not}ILIKE '{pattern}'{escape}", value.0),
                format!("lower({}) {not}LIKE lower('{pattern}'){escape}", value.1),
            );
        }
        Pair::of(&format!("{{}} {not}LIKE '{pattern}'{escape}"), &[&value])
    }

    /// The functions that SQLite has not, as it would say them.
    fn search(&mut self) -> Pair {
        let (text, part) = (self.text(), self.text());
        let (Pair(t, theirs), Pair(p, wanted)) = (&text, &part);
        match self.below(4) {
            0 => Pair(
                format!("starts_with({t}, {p})"),
                format!("substr({theirs}, 1, length({wanted})) = {wanted}"),
            ),
            1 => Pair(
                format!("ends_with({t}, {p})"),
                format!(
                    "(CASE WHEN length({theirs}) < length({wanted}) THEN 0 ELSE substr({theirs}, length({theirs}) - length({wanted}) + 1) = {wanted} END)"
                ),
            ),
            2 => Pair(
                format!("contains({t}, {p})"),
                format!("instr({theirs}, {wanted}) > 0"),
            ),
            _ => {
                // Of letters that mean themselves.
                let word: String = (0..1 + self.below(3))
                    .map(|_| pick(self.random, &["a", "b", "é", "/"]))
                    .collect();
                let (regex, like) = [
                    (word.clone(), format!("%{word}%")),
                    (format!("^{word}"), format!("{word}%")),
                    (format!("{word}$"), format!("%{word}")),
                    (format!("^a.*{word}$"), format!("a%{word}")),
                    (format!("{word}.+b"), format!("%{word}_%b%")),
                ][self.below(5)]
                .clone();
                Pair(
                    format!("regexp_like({t}, '{regex}', 's')"),
                    format!("{theirs} LIKE '{like}'"),
                )
            }
        }
    }

    /// A test of the texts of a list.
    fn any(&mut self) -> Pair {
        let (not, other) = (self.not(), self.text());
        let Pair(ours, theirs) = match self.below(5) {
            0 => {
                let sign = pick(self.random, &SIGNS);
                Pair(
                    format!("{} {sign} ANY(command_line)", other.0),
                    format!("{} {sign} element", other.1),
                )
            }
            1 => {
                let pattern: String = (0..self.below(4))
                    .map(|_| pick(self.random, &LETTERS))
                    .collect();
                Pair(
                    format!("any(command_line) {not}LIKE '{pattern}'"),
                    format!("element {not}LIKE '{pattern}'"),
                )
            }
            2 => {
                let items = self.items(Self::text);
                Pair(
                    format!("any(command_line) {not}IN ({})", items.0),
                    format!("element {not}IN ({})", items.1),
                )
            }
            3 => {
                let length = self.below(4);
                Pair(
                    format!("length(lower(any(command_line))) > {length}"),
                    format!("length(element) > {length}"),
                )
            }
            _ => Pair(
                format!("any(command_line) || 'x' BETWEEN 'a' AND {}", other.0),
                format!("element || 'x' BETWEEN 'a' AND {}", other.1),
            ),
        };
        // True of one: true. Else unknown where it is unknown of one.
        let theirs = format!(
            "(CASE WHEN command_line IS NULL THEN NULL ELSE (SELECT CASE WHEN sum(x) > 0 THEN 1 WHEN sum(x IS NULL) > 0 THEN NULL ELSE 0 END FROM (SELECT ({theirs}) AS x FROM e WHERE e.row = t.row)) END)"
        );
        Pair(ours, theirs)
    }

    fn number(&mut self) -> Pair {
        match self.below(8) {
            0..=4 => self.integer(),
            5 => Pair::same("cpu_usage"),
            6 => Pair::same(pick(self.random, &LITERAL_FLOATS)),
            _ if self.depth == 0 => Pair::same("cpu_usage"),
            _ => self.deeper(|this| {
                let operator = ["+", "-", "*", "/"][this.below(4)];
                let (left, right) = (this.number(), Pair::same("cpu_usage"));
                Pair::of(&format!("({{}} {operator} {{}})"), &[&left, &right])
            }),
        }
    }

    fn integer(&mut self) -> Pair {
        match self.below(10) {
            0..=4 => Pair::same(pick(self.random, &INTEGER_COLUMNS)),
            5 => Pair::same(an_integer(self.random).to_string()),
            6 => {
                let text = self.text();
                Pair::of("length({})", &[&text])
            }
            _ if self.depth == 0 => Pair::same(pick(self.random, &LITERAL_INTEGERS).to_string()),
            7 => self.deeper(|this| {
                let (one, other) = (this.integer(), this.integer());
                Pair::of("coalesce({}, {})", &[&one, &other])
            }),
            _ => self.deeper(|this| {
                let mut sum = this.integer();
                for _ in 0..1 + this.below(2) {
                    let operator = ["+", "-", "*", "/", "%"][this.below(5)];
                    let next = this.integer();
                    // A sign before a number must not follow another one.
                    sum = Pair::of(&format!("({{}} {operator} ({{}}))"), &[&sum, &next]);
                    this.calculations.push(sum.1.clone());
                }
                if this.below(4) == 0 {
                    sum = Pair::of("(-{})", &[&sum]);
                    this.calculations.push(sum.1.clone());
                }
                sum
            }),
        }
    }

    fn text(&mut self) -> Pair {
        match self.below(10) {
            0..=4 => Pair::same(pick(self.random, &TEXT_COLUMNS)),
            5 | 6 => Pair::same(format!("'{}'", a_text(self.random).replace('\'', "''"))),
            _ if self.depth == 0 => Pair::same(pick(self.random, &TEXT_COLUMNS)),
            7 => self.deeper(|this| {
                let text = this.text();
                match this.below(3) {
                    0 => Pair::of("lower({})", &[&text]),
                    1 => Pair::of("upper({})", &[&text]),
                    // What is left without all that is no slash, taken off the front.
                    _ => {
                        let x = &text.1;
                        Pair(
                            format!("basename({})", text.0),
                            format!("substr({x}, length(rtrim({x}, replace({x}, '/', ''))) + 1)"),
                        )
                    }
                }
            }),
            8 => self.deeper(|this| {
                let (one, other) = (this.text(), this.text());
                Pair::of(
                    ["coalesce({}, {})", "({} || {})"][this.below(2)],
                    &[&one, &other],
                )
            }),
            _ => self.deeper(|this| {
                let (when, one, other) = (this.atom(), this.text(), this.text());
                Pair::of("(CASE WHEN {} THEN {} ELSE {} END)", &[&when, &one, &other])
            }),
        }
    }
}
