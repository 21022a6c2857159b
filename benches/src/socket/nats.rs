//! The peer nats-server: its text protocol over TCP on 127.0.0.1, with its own defaults.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context as _, bail};

use super::line::Line;
use super::load::{Message, TOPIC};
use super::process::Program;
use super::side::{Address, Heard, Role, Side};

/// What a client says of itself; without `verbose` the server doesn't confirm every message.
const CONNECT: &str = "CONNECT {\"verbose\":false,\"pedantic\":false,\"name\":\"weir-bench\"}\r\n";
const END_OF_LINE: &[u8] = b"\r\n";

/// The server, and where it will listen: a port that is free now.
pub(super) fn program() -> anyhow::Result<(Program, Address)> {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("a free port")?;
    let port = free.local_addr()?.port();
    let arguments = ["--addr", "127.0.0.1", "--port", &port.to_string()];
    Ok((
        Program::of_package("nats-server", &arguments)?,
        Address::Port(port),
    ))
}

/// A client of nats-server.
#[derive(Default)]
pub(super) struct Nats;

impl Side for Nats {
    fn greet(&mut self, line: &mut Line, role: Role) -> anyhow::Result<()> {
        let mut text = CONNECT.to_owned();
        if role != Role::Publisher {
            text += &format!("SUB {TOPIC} 1\r\n");
        }
        text += "PING\r\n";
        line.say(text.as_bytes())?;
        line.until_ready(self)
    }

    fn message(message: &Message, into: &mut Vec<u8>) -> anyhow::Result<()> {
        let payload = message.payload();
        into.extend(format!("PUB {TOPIC} {}\r\n", payload.len()).as_bytes());
        into.extend(payload);
        into.extend(END_OF_LINE);
        Ok(())
    }

    #[inline]
    fn next<'a>(&mut self, bytes: &'a [u8]) -> anyhow::Result<Option<(usize, Heard<'a>)>> {
        let Some(end) = memchr::memchr(b'\n', bytes) else {
            return Ok(None);
        };
        let (Some(line), start) = (bytes.get(..end.saturating_sub(1)), end + 1) else {
            bail!("an empty line");
        };
        if line.starts_with(b"MSG ") {
            let size = number_at_end(line);
            let Some(payload) = bytes.get(start..start + size) else {
                return Ok(None);
            };
            let whole = start + size + END_OF_LINE.len();
            return Ok(
                (bytes.len() >= whole).then_some((whole, Heard::Message { payload, rows: 1 }))
            );
        }
        let heard = match line {
            b"PING" => Heard::Answer(b"PONG\r\n".to_vec()),
            b"PONG" => Heard::Ready,
            _ if line.starts_with(b"INFO ") => Heard::Nothing,
            _ => bail!("nats-server says {}", String::from_utf8_lossy(line)),
        };
        Ok(Some((start, heard)))
    }
}

/// The number that a line ends with.
fn number_at_end(line: &[u8]) -> usize {
    let digits = line.iter().rev().take_while(|byte| byte.is_ascii_digit());
    let mut number = 0;
    let mut weight = 1;
    for digit in digits {
        number += usize::from(digit - b'0') * weight;
        weight *= 10;
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_heard_when_it_is_whole() {
        let bytes = b"MSG events.inventory.hardware 1 3\r\nabc\r\nPING\r\n";
        let message_bytes = bytes.len() - b"PING\r\n".len();
        for short in 0..message_bytes {
            assert!(Nats.next(&bytes[..short]).is_ok_and(|next| next.is_none()));
        }
        let heard = Nats.next(bytes).expect("it is whole");
        let Some((
            taken,
            Heard::Message {
                payload: b"abc",
                rows: 1,
            },
        )) = heard
        else {
            panic!("{heard:?}");
        };
        assert_eq!(taken, message_bytes);
        let heard = Nats.next(&bytes[taken..]).expect("a ping");
        assert!(matches!(heard, Some((6, Heard::Answer(_)))), "{heard:?}");
        assert!(Nats.next(b"-ERR 'Slow Consumer'\r\n").is_err());
    }
}
