//! Questions of a client, and their answers.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::super::super::bounded;
use super::super::Refusal;
use super::Connection;
use super::shared::Shared;
use crate::topic::Topic;
use crate::wire::{FrameType, Reply, Request, frame_with_payload};

/// Questions of one connection that may be open.
const REQUESTS_MAX: u32 = 16;

/// A question waits at most so long, whatever it says.
const REQUEST_DEADLINE_MAX: Duration = Duration::from_secs(60);

/// Has a question answered; nothing waits for it.
pub(super) fn request(connection: &Connection, request: &Request, body: &[u8]) {
    let shared = Arc::clone(&connection.shared);
    let id = request.id;
    let topic = match may_ask(&shared, &request.topic) {
        Ok(topic) => topic,
        Err(refusal) => return reply(&shared, id, Err(refusal)),
    };
    if shared.requests.fetch_add(1, Ordering::Relaxed) >= REQUESTS_MAX {
        shared.requests.fetch_sub(1, Ordering::Relaxed);
        let message = format!("{REQUESTS_MAX} requests are open on this connection; wait for one");
        let code = "limit";
        return reply(&shared, id, Err(Refusal { code, message }));
    }
    let asked = Duration::from_millis(request.deadline_ms.into());
    let deadline = asked.min(REQUEST_DEADLINE_MAX);
    let body = trimmed(body).to_vec();
    let responder = Arc::clone(&connection.house.responder);
    let peer = Arc::clone(&connection.peer);
    let house = Arc::clone(&connection.house);
    tokio::spawn(async move {
        let answer = responder.respond(&topic, &body, &peer);
        let answer = house.clock.timeout(deadline, answer).await;
        let answer = answer.unwrap_or_else(|| {
            let message = format!("no answer within {} ms", deadline.as_millis());
            let code = "deadline";
            Err(Refusal { code, message })
        });
        shared.requests.fetch_sub(1, Ordering::Relaxed);
        reply(&shared, id, answer);
    });
}

fn may_ask(shared: &Shared, topic: &str) -> Result<Topic, Refusal> {
    let topic = Topic::parse(topic).map_err(|error| Refusal {
        code: "invalid",
        message: error.to_string(),
    })?;
    shared
        .rights
        .check_publish(&topic)
        .map_err(|denied| Refusal {
            code: "denied",
            message: denied.to_string(),
        })?;
    Ok(topic)
}

/// A body without the zeros that fill up its frame: no JSON text ends with one.
fn trimmed(body: &[u8]) -> &[u8] {
    let end = body
        .iter()
        .rposition(|&byte| byte != 0)
        .map_or(0, |last| last + 1);
    body.get(..end).unwrap_or_default()
}

fn reply(shared: &Shared, id: u32, answer: Result<Vec<u8>, Refusal>) {
    let (code, body) = match answer {
        Ok(body) => ("ok", body),
        Err(refusal) => {
            let text = serde_json::Value::from(bounded(&refusal.message));
            (refusal.code, text.to_string().into_bytes())
        }
    };
    let header = |code: &str| Reply {
        id,
        code: code.to_owned(),
    };
    let frame = frame_with_payload(FrameType::Reply, &header(code), &body);
    let frame = frame.or_else(|error| {
        let text = serde_json::Value::from(format!("the answer is {error}"));
        frame_with_payload(
            FrameType::Reply,
            &header("failed"),
            text.to_string().as_bytes(),
        )
    });
    if let Ok(frame) = frame
        && !shared.outgoing.answer(frame)
    {
        shared.end_now();
    }
}
