//! The peer redis: publish and subscribe over a Unix socket, nothing saved to disk.

use std::path::Path;

use anyhow::bail;

use super::line::Line;
use super::load::{Message, TOPIC};
use super::process::Program;
use super::side::{Address, Heard, Role, Side};

const END_OF_LINE: &[u8] = b"\r\n";
/// Elements of what a subscriber is told: what it is, the channel, the payload or a count.
const PUSH_ELEMENTS: usize = 3;

/// The server, and where it will listen.
pub(super) fn program(folder: &Path) -> anyhow::Result<(Program, Address)> {
    let socket = folder.join("redis.sock");
    let Some(path) = socket.to_str() else {
        bail!("a temporary folder's path is no text");
    };
    let arguments = [
        "--port",
        "0",
        "--unixsocket",
        path,
        "--save",
        "",
        "--appendonly",
        "no",
    ];
    Ok((
        Program::of_package("redis-server", &arguments)?,
        Address::Path(socket),
    ))
}

/// A client of redis.
#[derive(Default)]
pub(super) struct Redis;

impl Side for Redis {
    fn greet(&mut self, line: &mut Line, role: Role) -> anyhow::Result<()> {
        let mut bytes = Vec::new();
        match role {
            Role::Subscriber | Role::Stalled => {
                command(&[b"SUBSCRIBE", TOPIC.as_bytes()], &mut bytes);
            }
            Role::Publisher => command(&[b"PING"], &mut bytes),
        }
        line.say(&bytes)?;
        line.until_ready(self)?;
        if role == Role::Publisher {
            // No system confirms a message; that this one would is not held against it.
            bytes.clear();
            command(&[b"CLIENT", b"REPLY", b"OFF"], &mut bytes);
            line.say(&bytes)?;
        }
        Ok(())
    }

    fn message(message: &Message, into: &mut Vec<u8>) -> anyhow::Result<()> {
        command(&[b"PUBLISH", TOPIC.as_bytes(), &message.payload()], into);
        Ok(())
    }

    #[inline]
    fn next<'a>(&mut self, bytes: &'a [u8]) -> anyhow::Result<Option<(usize, Heard<'a>)>> {
        let mut at = 0;
        let Some((sort, elements)) = head(bytes, &mut at)? else {
            return Ok(None);
        };
        match sort {
            b'*' if elements == PUSH_ELEMENTS => {}
            b'+' => return Ok(Some((at, Heard::Ready))),
            _ => bail!("redis says {}", String::from_utf8_lossy(bytes)),
        }
        let Some(what) = text(bytes, &mut at)? else {
            return Ok(None);
        };
        let Some(_channel) = text(bytes, &mut at)? else {
            return Ok(None);
        };
        match what {
            b"message" => {
                let payload = text(bytes, &mut at)?;
                Ok(payload.map(|payload| (at, Heard::Message { payload, rows: 1 })))
            }
            b"subscribe" => {
                let count = head(bytes, &mut at)?;
                Ok(count.map(|_| (at, Heard::Ready)))
            }
            _ => bail!("redis pushes {}", String::from_utf8_lossy(what)),
        }
    }
}

/// A command is a list of texts, each with its length before it.
fn command(parts: &[&[u8]], into: &mut Vec<u8>) {
    into.extend(format!("*{}\r\n", parts.len()).as_bytes());
    for part in parts {
        into.extend(format!("${}\r\n", part.len()).as_bytes());
        into.extend(*part);
        into.extend(END_OF_LINE);
    }
}

/// A line's first byte, which says what it is, and the number behind it: 0 where there is a word.
/// `at` goes on behind the line.
#[inline]
fn head(bytes: &[u8], at: &mut usize) -> anyhow::Result<Option<(u8, usize)>> {
    let Some((sort, rest)) = bytes.get(*at..).and_then(<[u8]>::split_first) else {
        return Ok(None);
    };
    let mut number = 0_usize;
    for (place, byte) in rest.iter().enumerate() {
        match byte {
            b'0'..=b'9' => {
                let digit = usize::from(byte - b'0');
                number = number.saturating_mul(10).saturating_add(digit);
            }
            b'\n' => {
                // The sort's byte, and the end of the line.
                *at += 1 + place + 1;
                return Ok(Some((*sort, number)));
            }
            _ if *sort == b'-' => bail!("redis says {}", String::from_utf8_lossy(rest)),
            _ => {}
        }
    }
    Ok(None)
}

/// A text with its length before it. `at` goes on behind it.
#[inline]
fn text<'a>(bytes: &'a [u8], at: &mut usize) -> anyhow::Result<Option<&'a [u8]>> {
    let Some((sort, size)) = head(bytes, at)? else {
        return Ok(None);
    };
    if sort != b'$' {
        bail!("redis pushes something that is no text");
    }
    let text = bytes.get(*at..*at + size);
    *at += size + END_OF_LINE.len();
    Ok(text.filter(|_| bytes.len() >= *at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_heard_when_it_is_whole() {
        let mut bytes = Vec::new();
        command(&[b"message", TOPIC.as_bytes(), b"a\nb"], &mut bytes);
        let whole = bytes.len();
        bytes.extend(b"*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n+PONG\r\n");
        for short in 0..whole {
            assert!(Redis.next(&bytes[..short]).is_ok_and(|next| next.is_none()));
        }
        let heard = Redis.next(&bytes).expect("it is whole");
        let Some((
            taken,
            Heard::Message {
                payload: b"a\nb",
                rows: 1,
            },
        )) = heard
        else {
            panic!("{heard:?}");
        };
        assert_eq!(taken, whole);
        let heard = Redis.next(&bytes[whole..]).expect("subscribed");
        assert!(matches!(heard, Some((30, Heard::Ready))), "{heard:?}");
        assert!(Redis.next(b"-ERR unknown command\r\n").is_err());
    }
}
