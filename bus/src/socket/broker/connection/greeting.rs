//! The first words: who connects, what it calls itself, and whether it goes on with what it had before.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use interprocess::local_socket::tokio::Stream as Socket;
use tokio::io::ReadHalf;

use super::super::super::reader::FrameReader;
use super::super::super::{NAME_BYTES_MAX, Peer, bounded};
use super::super::House;
use super::fault::Fault;
use super::shared::Shared;
use crate::pubsub::PublisherId;
use crate::wire::{
    FRAME_BYTES_MAX, FrameType, Hello, HelloMore, VERSION, Welcome, WelcomeMore, decode_with_more,
};

/// What a connection begins with.
pub(super) struct Greeted {
    pub(super) publisher: PublisherId,
    /// Its session; none where it can't come back.
    pub(super) session: Option<u128>,
}

/// Hears the first frame and answers it; none where the peer left without one.
pub(super) async fn greet(
    house: &House,
    shared: &Arc<Shared>,
    peer: &Peer,
    reader: &mut FrameReader,
    socket: &mut ReadHalf<Socket>,
) -> Result<Option<Greeted>, Fault> {
    let (hello, more) = loop {
        if let Some(piece) = reader.next()? {
            let frame_type = piece.prefix().frame_type;
            if frame_type != FrameType::Hello {
                return Err(Fault::Order {
                    found: frame_type.as_str(),
                    when: "before hello",
                });
            }
            break decode_with_more::<Hello, HelloMore>(frame_type, piece.header())?;
        }
        match reader.fill(socket).await {
            Ok(0) | Err(_) if reader.is_within_a_frame() => return Err(Fault::Truncated),
            Ok(0) | Err(_) => return Ok(None),
            Ok(_) => {}
        }
    };
    check(&hello)?;
    drop(shared.name.set(hello.name));
    let greeted = begin(house, shared, peer, more);
    welcome(house, shared, greeted.session);
    Ok(Some(greeted))
}

fn check(hello: &Hello) -> Result<(), Fault> {
    if hello.version != VERSION {
        return Err(Fault::Version {
            asked: hello.version,
        });
    }
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if !(1..=NAME_BYTES_MAX).contains(&hello.name.len()) || !hello.name.bytes().all(is_name) {
        return Err(Fault::Name(bounded(&hello.name.escape_debug().to_string())));
    }
    Ok(())
}

/// Goes on with a session of this user, or begins one: who names one that isn't there isn't told whether
/// it is gone or another's.
fn begin(house: &House, shared: &Arc<Shared>, peer: &Peer, more: HelloMore) -> Greeted {
    let sessions = &house.connections.sessions;
    let own = |name: &crate::wire::SessionName| name.incarnation == house.incarnation;
    if let Some(name) = more.resume.filter(own)
        && let Some(claimed) = sessions.claim(name.session, peer.uid, shared)
    {
        shared.frames.store(claimed.frames, Ordering::Relaxed);
        return Greeted {
            publisher: claimed.publisher,
            session: Some(name.session),
        };
    }
    let publisher = PublisherId::unique();
    Greeted {
        publisher,
        session: sessions.open(peer.uid, publisher, shared),
    }
}

fn welcome(house: &House, shared: &Shared, session: Option<u128>) {
    let options = &house.options;
    let welcome = Welcome {
        version: VERSION,
        component: options.component.clone(),
        source: shared.source.as_ref().to_owned(),
        incarnation: house.incarnation,
        heartbeat_ms: u32::try_from(options.heartbeat.as_millis()).unwrap_or(u32::MAX),
        frame_bytes_max: u32::try_from(FRAME_BYTES_MAX).unwrap_or(u32::MAX),
        capabilities: house.responder.capabilities(),
    };
    let more = WelcomeMore {
        session,
        frames: shared.frames(),
    };
    shared.answer(FrameType::Welcome, &(welcome, more));
}
