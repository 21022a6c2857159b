//! Boundary data: answers that point out of their memory, that are too long, of no kind that there is, or
//! small for the guest and huge when they are lifted.

use weir::sandbox::FaultReason::{Output, Trap};
use weir::sandbox::{Limit, World};

use super::super::cases::Harm;
use super::Meets::{AtLoad, InCalls, Nothing};
use super::{CALL, DESCRIBE, INIT, KEEP_LIFT, TextCase, case, ends};

/// A byte of the answer, which lies from 448 on.
fn byte(place: u32, value: u32) -> String {
    format!("(i32.store8 (i32.const {place}) (i32.const {value}))")
}

/// A word of the answer.
fn word(place: u32, value: i64) -> String {
    format!("(i32.store (i32.const {place}) (i32.const {value}))")
}

/// A selection of a list: the case (2: rows, 3: a bitmap), where it lies, and how long it is.
fn list(case: u32, pointer: i64, length: i64) -> String {
    [byte(452, case), word(456, pointer), word(460, length)].concat()
}

/// `reject`, with a text of so many units there.
fn reject(pointer: i64, length: i64) -> String {
    byte(448, 1) + &list(1, pointer, length)
}

/// That encoding for the texts of `keep`; empty: UTF-8.
fn lift_with(encoding: &str) -> String {
    if encoding.is_empty() {
        return KEEP_LIFT.to_owned();
    }
    let option = format!("string-encoding={encoding} (memory $memory)");
    KEEP_LIFT.replace("(memory $memory)", &option)
}

pub(super) fn cases() -> Vec<TextCase> {
    let mut cases = of_filters();
    cases.extend(of_texts());
    cases.extend(of_lifecycle());
    cases.extend(of_others());
    cases
}

/// What the engine says of lists and texts that don't lie in the guest's memory.
const LIST: &str = "list pointer/length out of bounds of memory";
const TEXT: &str = "string pointer/length out of bounds of memory";

/// What a filter's answer can be besides a selection.
fn of_filters() -> Vec<TextCase> {
    let away =
        |place: i64| format!("(call $drop (local.get $events)) (return (i32.const {place}))");
    let past_the_end = "pointer out of bounds of memory";
    [
        (
            "result-discriminant",
            byte(448, 7),
            "invalid expected discriminant",
        ),
        (
            "selection-discriminant",
            byte(452, 9),
            "unexpected discriminant: 9",
        ),
        ("rows-length", list(2, 0, 0xffff_ffff), LIST),
        ("rows-past-the-end", list(2, 131_068, 2), LIST),
        ("rows-pointer", list(2, 0xffff_fffc, 1), LIST),
        (
            "rows-unaligned",
            list(2, 2, 1),
            "list pointer is not aligned",
        ),
        ("mask-length", list(3, 0, 0xffff_ffff), LIST),
        ("mask-past-the-end", list(3, 131_071, 2), LIST),
        ("error-length", reject(0, 0xffff_ffff), TEXT),
        ("answer-past-the-end", away(131_068), past_the_end),
        ("answer-pointer", away(-4), past_the_end),
        ("answer-unaligned", away(449), "return pointer not aligned"),
        (
            "handle-twice",
            "(call $drop (local.get $events))".to_owned(),
            "unknown handle index 1",
        ),
        (
            "handle-forged",
            "(call $drop (i32.const 12345))".to_owned(),
            "unknown handle index 12345",
        ),
        (
            "handle-kept",
            "(return (i32.const 448))".to_owned(),
            "borrow handles still remain at the end of the call",
        ),
    ]
    .into_iter()
    .map(|(name, by, words)| ends(name, &[(CALL, &by)], words))
    .collect()
}

/// Texts that are none.
fn of_texts() -> Vec<TextCase> {
    let at_600 =
        |value: i64, pointer: i64, length: i64| word(600, value) + &reject(pointer, length);
    [
        (
            "error-utf8",
            "",
            at_600(0x00ff_feff, 600, 3),
            "invalid utf-8 sequence",
        ),
        (
            "error-utf16-surrogate",
            "utf16",
            at_600(0xd800, 600, 1),
            "unpaired surrogate found: d800",
        ),
        ("error-utf16-length", "utf16", reject(0, 0x7fff_ffff), TEXT),
        (
            "error-utf16-unaligned",
            "utf16",
            reject(601, 1),
            "string pointer not aligned to 2",
        ),
        (
            "error-latin1-length",
            "latin1+utf16",
            reject(0, 0xffff_ffff),
            TEXT,
        ),
    ]
    .into_iter()
    .map(|(name, encoding, by, words)| {
        let lift = lift_with(encoding);
        ends(name, &[(CALL, &by), (KEEP_LIFT, &lift)], words)
    })
    .collect()
}

/// What `describe` and `init` answer is lifted, too.
fn of_lifecycle() -> Vec<TextCase> {
    let describe = |by: String| DESCRIBE.replace("i32.const 256", &format!("{by} i32.const 256"));
    let init = |by: String| INIT.replace("i32.const 320", &format!("{by} i32.const 320"));
    // A thousand interests with the same list of a thousand columns, which are the same text of 10 bytes.
    let aliased = init(format!(
        "(local $at i32)
      (loop $again
        (i32.store offset=4096 (local.get $at) (i32.const 15))
        (i32.store offset=4100 (local.get $at) (i32.const 7))
        (i32.store offset=4104 (local.get $at) (i32.const 20480))
        (i32.store offset=4108 (local.get $at) (i32.const 1000))
        (i32.store offset=20480 (local.get $at) (i32.const 0))
        (i32.store offset=20484 (local.get $at) (i32.const 10))
        (i32.store offset=20488 (local.get $at) (i32.const 0))
        (i32.store offset=20492 (local.get $at) (i32.const 10))
        (local.set $at (i32.add (local.get $at) (i32.const 16)))
        (br_if $again (i32.lt_u (local.get $at) (i32.const 16000))))
      {}{}",
        word(324, 4_096),
        word(328, 1_000),
    ));
    // ESC [ 2 J, and all that lies behind.
    let lie = describe(word(4_096, 0x4a32_5b1b) + &word(256, 4_096) + &word(260, 100_000));
    let ends = |name, during, line, by: String, words| {
        case(name, &[(line, &by)], AtLoad(during, Trap, words)).engine(words)
    };
    vec![
        ends(
            "describe-length",
            "describe",
            DESCRIBE,
            describe(word(260, 0xffff_ffff)),
            TEXT,
        ),
        ends(
            "describe-utf8",
            "describe",
            DESCRIBE,
            describe(word(0, 0xffff_ffff)),
            "invalid utf-8 sequence",
        ),
        ends(
            "init-length",
            "init",
            INIT,
            init(word(328, 0xffff_ffff)),
            LIST,
        ),
        ends(
            "init-discriminant",
            "init",
            INIT,
            init(byte(320, 200)),
            "invalid expected discriminant",
        ),
        // It calls itself by a megabyte that a terminal would obey: kept short, and believed by nobody.
        case("describe-lies", &[(DESCRIBE, &lie)], Nothing),
        // Without the limit the whole of it is lifted, and read.
        case(
            "init-aliased",
            &[(INIT, &aliased)],
            AtLoad("init", Output, "limits.host_bytes_call_max"),
        )
        .without(&[Limit::OutputSize], Harm::Refused("1000 interests")),
    ]
}

/// The same for verdicts and findings.
fn of_others() -> Vec<TextCase> {
    // 2,000 rows that can't be decided for the same reason of 10,000 bytes.
    let undecided = format!(
        "(local $at i32)
      (loop $again
        (i32.store offset=4112 (local.get $at) (i32.const 70000))
        (i32.store offset=4116 (local.get $at) (i32.const 10000))
        (local.set $at (i32.add (local.get $at) (i32.const 24)))
        (br_if $again (i32.lt_u (local.get $at) (i32.const 48000))))
      {}{}",
        word(460, 4_096),
        word(464, 2_000),
    );
    // A finding with 2,000 pieces of evidence, which are the same text of 10,000 bytes.
    let evidence = format!(
        "(local $at i32)
      (loop $again
        (i32.store offset=40008 (local.get $at) (i32.const 100000))
        (i32.store offset=40012 (local.get $at) (i32.const 10000))
        (local.set $at (i32.add (local.get $at) (i32.const 16)))
        (br_if $again (i32.lt_u (local.get $at) (i32.const 32000))))
      {}{}{}{}",
        word(39_020, 40_000),
        word(39_024, 2_000),
        word(452, 39_000),
        word(456, 1),
    );
    let option = [byte(4_104, 7), word(452, 4_096), word(456, 1)].concat();
    let severity = [byte(39_000, 77), word(452, 39_000), word(456, 1)].concat();
    let large = InCalls(Output, "limits.host_bytes_call_max");
    vec![
        ends(
            "message-discriminant",
            &[(CALL, &option)],
            "invalid option discriminant",
        )
        .of(World::Trigger),
        ends("firings-length", &[(CALL, &word(456, 0xffff_ffff))], LIST).of(World::Trigger),
        case("undecided-aliased", &[(CALL, &undecided)], large)
            .of(World::Trigger)
            .without(&[Limit::OutputSize], Harm::Answered),
        ends(
            "severity-discriminant",
            &[(CALL, &severity)],
            "unexpected discriminant: 77",
        )
        .of(World::Stage),
        case("evidence-aliased", &[(CALL, &evidence)], large)
            .of(World::Stage)
            .without(&[Limit::OutputSize], Harm::Answered),
    ]
}
