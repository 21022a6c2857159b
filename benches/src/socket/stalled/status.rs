//! What our broker counts for its stalled clients: its answer to `control.status`.

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;
use weir_bus::wire::{
    FrameType, PREFIX_BYTES, Prefix, Reply, Request, control_frame, decode_header,
};

use super::super::line::Line;
use super::super::load::Message;
use super::super::side::{Address, Heard, Role, Side};
use super::super::weir::{STALLED_NAME, Weir};

/// What is asked.
const STATUS: &str = "control.status";
/// How long the broker may take, in milliseconds.
const DEADLINE_MS: u32 = 5_000;
/// The client's number for its question.
const QUESTION: u32 = 1;

/// Rows of one subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) matched: u64,
    pub(super) delivered: u64,
    pub(super) dropped: u64,
    pub(super) queued: u64,
}

/// Asks the broker at that address.
pub(super) fn of_stalled(address: &Address) -> anyhow::Result<Vec<Counts>> {
    let mut asker = Asker::default();
    let mut line = Asker::open(address, Role::Publisher)?;
    asker.greet(&mut line, Role::Publisher)?;
    let request = Request {
        id: QUESTION,
        topic: STATUS.to_owned(),
        deadline_ms: DEADLINE_MS,
    };
    line.say(&control_frame(FrameType::Request, &request)?)?;
    line.until_ready(&mut asker)?;
    counts(&asker.answer)
}

#[derive(Default)]
struct Asker {
    weir: Weir,
    answer: Vec<u8>,
}

impl Side for Asker {
    fn greet(&mut self, line: &mut Line, role: Role) -> anyhow::Result<()> {
        self.weir.greet(line, role)
    }

    fn message(_: &Message, _: &mut Vec<u8>) -> anyhow::Result<()> {
        bail!("who asks doesn't publish")
    }

    fn next<'a>(&mut self, bytes: &'a [u8]) -> anyhow::Result<Option<(usize, Heard<'a>)>> {
        let prefix = Prefix::read(bytes)?;
        let Some(prefix) = prefix.filter(|prefix| prefix.frame_type == FrameType::Reply) else {
            return self.weir.next(bytes);
        };
        let Some(frame) = bytes.get(..prefix.bytes) else {
            return Ok(None);
        };
        let header = frame.get(PREFIX_BYTES..PREFIX_BYTES + prefix.header_bytes);
        let payload = frame.get(prefix.payload_offset()..);
        let (Some(header), Some(payload)) = (header, payload) else {
            bail!("a frame without its header");
        };
        let reply: Reply = decode_header(FrameType::Reply, header)?;
        ensure!(
            reply.code == "ok",
            "the broker answers `{}`: {}",
            reply.code,
            payload.escape_ascii()
        );
        // Zeros fill a frame up, and no JSON text ends with one.
        self.answer = payload.to_vec();
        while self.answer.pop_if(|byte| *byte == 0).is_some() {}
        Ok(Some((prefix.bytes, Heard::Ready)))
    }
}

fn counts(answer: &[u8]) -> anyhow::Result<Vec<Counts>> {
    let status: Value = serde_json::from_slice(answer).context("the broker's status")?;
    let subscribers = status.pointer("/bus/subscribers").and_then(Value::as_array);
    let subscribers = subscribers.context("the broker's status has no subscribers")?;
    let stalled = subscribers.iter().filter(|subscriber| {
        let name = subscriber.get("name").and_then(Value::as_str);
        name.is_some_and(|name| name.contains(STALLED_NAME))
    });
    stalled
        .map(|subscriber| {
            let counts = subscriber
                .get("counts")
                .context("a subscriber without counts")?;
            let rows = |of: &str| {
                let rows = counts.get(of).and_then(|count| count.get("rows")?.as_u64());
                rows.with_context(|| format!("a subscriber's counts without rows {of}"))
            };
            Ok(Counts {
                matched: rows("matched")?,
                delivered: rows("delivered")?,
                queued: rows("queued")?,
                dropped: dropped(counts)?,
            })
        })
        .collect()
}

/// For whatever reason.
fn dropped(counts: &Value) -> anyhow::Result<u64> {
    let by_reason = counts.get("dropped").and_then(Value::as_object);
    let by_reason = by_reason.context("a subscriber's counts without reasons of drops")?;
    let rows = by_reason.values().map(|count| {
        let rows = count.get("rows").and_then(Value::as_u64);
        rows.context("a reason without rows")
    });
    rows.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_are_those_of_stalled_clients() {
        let answer = r#"{"bus": {"subscribers": [
            {"name": "another", "counts": {}},
            {"name": "weir-bench-stalled", "counts": {
                "matched": {"rows": 9, "batches": 3}, "delivered": {"rows": 2, "batches": 1},
                "queued": {"rows": 3, "batches": 1},
                "dropped": {"queue-full": {"rows": 3, "batches": 1}, "closed": {"rows": 1, "batches": 0}}}}]}}"#;
        let expected = Counts {
            matched: 9,
            delivered: 2,
            dropped: 4,
            queued: 3,
        };
        let found = counts(answer.as_bytes());
        assert_eq!(found.expect("counts"), [expected]);
        assert!(counts(br#"{"bus": {}}"#).is_err());
    }
}
