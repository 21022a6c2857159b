//! Frames written by hand: who lies about where it was, and who loses very many connections.

use super::*;

#[tokio::test]
async fn a_hostile_client_gets_nothing_by_lying_about_where_it_was() {
    let house = House::new();
    let subscribe = everything("there").to_wire(1, "there".to_owned());
    let mut honest = house.raw();
    let (welcome, more) = introduce(&mut honest, None);
    ask(&mut honest, &subscribe, None);
    publish(&house, &["one"]);
    drop(honest);
    until("it is away", || is_away(&house, "raw/there")).await;
    let own = more.session.unwrap();
    let incarnation = welcome.incarnation;
    let point = |incarnation, position, rows| {
        Some(ResumePoint {
            incarnation,
            position,
            rows,
        })
    };
    // What isn't there is a new session, whatever is claimed of it.
    for session in [own.wrapping_add(1), 0, u128::MAX] {
        let mut liar = house.raw();
        let name = Some(SessionName {
            incarnation,
            session,
        });
        let (_, more) = introduce(&mut liar, name);
        assert!(more.session.is_some_and(|new| new != own && new != session));
        assert_eq!(more.frames, 0);
        ask(&mut liar, &subscribe, point(incarnation, 0, 0));
        assert_eq!(gap(&mut liar).0.missed, None);
    }
    // A position that nothing was published under.
    let mut liar = house.raw();
    let name = |session| {
        Some(SessionName {
            incarnation,
            session,
        })
    };
    introduce(&mut liar, name(own));
    let code = try_ask(&mut liar, &subscribe, point(incarnation, 99, 0));
    assert_eq!(code.as_deref(), Some("resume"));
    // What waited under that number is given up; it can be subscribed anew.
    ask(&mut liar, &subscribe, point(incarnation, 1, u64::MAX));
    publish(&house, &["two"]);
    assert_eq!(
        next_frame(&mut liar).unwrap().frame_type(),
        FrameType::Deliver
    );
    // Rows of what it wasn't sent, of another life, a thousand times.
    for round in 0..1_000_u64 {
        let mut next = house.raw();
        introduce(&mut next, name(own));
        let point = match round % 3 {
            0 => point(incarnation, 1, round),
            1 => point(round.into(), u64::MAX, u64::MAX),
            _ => point(incarnation, 0, 0),
        };
        ask(&mut next, &subscribe, point);
        assert!(house.bus.statistics().balances());
    }
    assert!(house.bus.statistics().subscribers.len() <= 1_001);
    assert!(house.view().status().away.len() <= 100);
    publish(&house, &["three"]);
}

#[tokio::test]
async fn who_loses_a_thousand_connections_leaves_a_hundred_waiting() {
    let house = House::new();
    let mut last = None;
    for _ in 0..300 {
        let mut raw = house.raw();
        let (welcome, more) = introduce(&mut raw, None);
        for id in 1..=3 {
            ask(
                &mut raw,
                &everything("there").to_wire(id, format!("there {id}")),
                None,
            );
        }
        last = Some((welcome.incarnation, more.session.unwrap()));
        drop(raw);
    }
    until("all are lost", || {
        house.view().status().connections.is_empty()
    })
    .await;
    let statistics = house.bus.statistics();
    assert!(
        statistics.subscribers.len() <= 256,
        "{}",
        statistics.subscribers.len()
    );
    assert_eq!(statistics.ring.away, statistics.subscribers.len() as u64);
    assert!(house.view().status().away.len() <= 100);
    // The last is among them.
    let (incarnation, session) = last.unwrap();
    let mut raw = house.raw();
    introduce(
        &mut raw,
        Some(SessionName {
            incarnation,
            session,
        }),
    );
    let subscribe = everything("there").to_wire(2, "there 2".to_owned());
    publish(&house, &["missed"]);
    let point = ResumePoint {
        incarnation,
        position: 0,
        rows: 0,
    };
    ask(&mut raw, &subscribe, Some(point));
    assert_eq!(
        next_frame(&mut raw).unwrap().frame_type(),
        FrameType::Deliver
    );
}
