//! The table as an algebra: whatever is seen, missed and told, each socket is opened once and closed once.

use std::collections::HashMap;
use std::net::IpAddr;

use proptest::prelude::*;

use super::super::diag::{Bytes, Seen, State, Transport};
use super::super::holders::Holder;
use super::super::owners::Owner;
use super::super::row::Lifecycle;
use super::super::table::{Answer, Question, Table};
use super::*;
use crate::ebpf::programs::sockets::What;

fn seen(cookie: u64, state: State) -> Seen {
    Seen {
        transport: Transport::Tcp,
        state,
        source: (IpAddr::from([127, 0, 0, 1]), 1_000),
        destination: Some((IpAddr::from([127, 0, 0, 2]), 2_000)),
        cookie,
        inode: 5,
        user_id: 0,
        bytes: Some(Bytes {
            sent: 1,
            received: 2,
        }),
    }
}

const NAMESPACE: u64 = 4;

/// A look that sees these sockets, and what its rows say.
fn look(table: &mut Table, sockets: &[Seen]) -> Vec<(u64, Lifecycle)> {
    look_in_part(table, sockets, true)
}

fn look_in_part(table: &mut Table, sockets: &[Seen], is_whole: bool) -> Vec<(u64, Lifecycle)> {
    table.begin();
    for socket in sockets {
        table.see(NAMESPACE, socket);
    }
    table.end(|_, _| is_whole, |namespace| namespace == NAMESPACE);
    rows(table)
}

fn rows(table: &Table) -> Vec<(u64, Lifecycle)> {
    let gone = table
        .gone()
        .iter()
        .map(|known| (known.seen.cookie, Lifecycle::Closed));
    let present = table
        .present()
        .map(|known| (known.seen.cookie, Lifecycle::of(known)));
    gone.chain(present).collect()
}

#[test]
fn a_socket_is_opened_changed_observed_and_closed() {
    let mut table = Table::new(9);
    let (sent, open) = (seen(1, State::SynSent), seen(1, State::Established));
    assert_eq!(
        look(&mut table, &[seen(7, State::Listen)]),
        [(7, Lifecycle::Observed)]
    );
    let rows = look(&mut table, &[seen(7, State::Listen), sent]);
    assert_eq!(rows, [(7, Lifecycle::Observed), (1, Lifecycle::Opened)]);
    assert_eq!(look(&mut table, &[open]), [(1, Lifecycle::Changed)]);
    // The listener wasn't seen twice: it is gone.
    let more_bytes = Seen {
        bytes: Some(Bytes {
            sent: 9,
            received: 9,
        }),
        ..open
    };
    assert_eq!(
        look(&mut table, &[more_bytes]),
        [(7, Lifecycle::Closed), (1, Lifecycle::Observed)]
    );
    let ended = table.ended(NAMESPACE, &open).unwrap();
    assert!(ended.was_known);
    assert!(look(&mut table, &[]).is_empty());
    assert!(look(&mut table, &[]).is_empty());
}

#[test]
fn what_a_dump_leaves_out_once_is_not_gone() {
    let mut table = Table::new(9);
    let socket = seen(1, State::Established);
    look(&mut table, &[socket]);
    assert!(look(&mut table, &[]).is_empty());
    assert_eq!(look(&mut table, &[socket]), [(1, Lifecycle::Observed)]);
    // Nor what wasn't looked at, however often.
    for _ in 0..3 {
        assert!(look_in_part(&mut table, &[], false).is_empty());
    }
    assert_eq!(look(&mut table, &[socket]), [(1, Lifecycle::Observed)]);
    // Seen twice in one dump it is there once.
    assert_eq!(
        look(&mut table, &[socket, socket]),
        [(1, Lifecycle::Observed)]
    );
}

#[test]
fn a_socket_that_nobody_saw_has_its_end_told_without_an_owner() {
    let mut table = Table::new(9);
    look(&mut table, &[]);
    let ended = table.ended(NAMESPACE, &seen(3, State::Close)).unwrap();
    assert!(!ended.was_known);
    assert_eq!((ended.known.user_id, ended.known.owner), (None, None));
    // One that never was bound nor connected is nothing.
    let nothing = Seen {
        source: (IpAddr::from([0, 0, 0, 0]), 0),
        destination: None,
        ..seen(4, State::Close)
    };
    assert!(table.ended(NAMESPACE, &nothing).is_none());
}

#[test]
fn the_table_is_bounded_and_says_what_it_left_out() {
    let mut table = Table::new(2);
    let sockets = [1, 2, 3, 4].map(|cookie| seen(cookie, State::Listen));
    assert_eq!(look(&mut table, &sockets).len(), 2);
    assert_eq!(table.over_limit(), 2);
    table.ended(NAMESPACE, &sockets[0]);
    assert_eq!(look(&mut table, &sockets[1..]).len(), 2);
    assert_eq!(table.over_limit(), 1);
}

#[test]
fn a_namespace_that_is_gone_takes_its_sockets_with_it() {
    let mut table = Table::new(9);
    look(&mut table, &[seen(1, State::Listen)]);
    table.begin();
    table.end(|_, _| true, |_| false);
    assert_eq!(rows(&table), [(1, Lifecycle::Closed)]);
}

#[test]
fn an_owner_that_is_not_found_is_searched_for_less_and_less() {
    let mut table = Table::new(9);
    let mut searched = Vec::new();
    for number in 1..=40 {
        look(&mut table, &[seen(1, State::Listen)]);
        let mut asked = false;
        table.ask_owners(|_, _| asked = true);
        if asked {
            searched.push(number);
            table.answer_owners(|_| Some(Answer::Nobody));
        }
    }
    assert_eq!(searched, [1, 2, 4, 8, 16, 32]);
}

fn holder(pid: u32, what: What) -> Holder {
    Holder {
        pid,
        start_time: Timestamp(1),
        user_id: 7,
        what,
    }
}

#[test]
fn a_socket_is_of_who_closed_it_else_of_who_holds_it_else_of_who_connected_it() {
    let mut table = Table::new(9);
    // One look: what the kernel told, whom a walk found, and what the row says.
    let mut check =
        |told: Option<Holder>, found: Option<u32>, expected: (Option<u32>, Lifecycle)| {
            let mut told = told;
            table.begin();
            table.see(NAMESPACE, &seen(1, State::Established));
            table.end(|_, _| true, |_| true);
            table.take_holders(|_| told.take());
            let mut asked = Vec::new();
            table.ask_owners(|_, question| {
                if let Question::Who(likely) = question {
                    asked.extend(likely);
                }
            });
            table.answer_owners(|_| {
                Some(match found {
                    Some(pid) => Answer::Owner(Owner::of(pid)),
                    None => Answer::Nobody,
                })
            });
            table.settle_owners();
            let known = table.present().next().unwrap();
            let pid = known.process().map(|(pid, _)| pid);
            assert_eq!((pid, Lifecycle::of(known)), expected);
            asked
        };
    let (observed, changed) = (Lifecycle::Observed, Lifecycle::Changed);
    check(None, None, (None, observed));
    let asked = check(Some(holder(5, What::TakenUp)), None, (Some(5), observed));
    assert_eq!(asked, [5], "who connected it isn't looked at first");
    check(None, Some(5), (Some(5), observed));
    check(None, Some(6), (Some(6), changed));
    check(None, Some(6), (Some(6), observed));
    check(Some(holder(8, What::LetGo)), Some(6), (Some(8), changed));
    // Whoever finds it dead isn't who closed it.
    check(Some(holder(11, What::Destroyed)), None, (Some(8), observed));
    // It was shut down, and is connected anew.
    check(Some(holder(9, What::TakenUp)), None, (Some(9), changed));
    let mut ended = table.ended(NAMESPACE, &seen(1, State::Close)).unwrap();
    assert_eq!(ended.known.process().map(|(pid, _)| pid), Some(9));
    ended.known.hold(holder(10, What::Destroyed));
    assert_eq!(ended.known.process().map(|(pid, _)| pid), Some(10));
    // What a look has seen is said by the look.
    assert_eq!(ended.known.user_id, Some(0));
    let mut ended = table.ended(NAMESPACE, &seen(2, State::Close)).unwrap();
    ended.known.hold(holder(10, What::Destroyed));
    assert_eq!(ended.known.user_id, Some(7));
}

#[derive(Clone, Debug)]
enum Step {
    Look(Vec<u64>, bool),
    End(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let look = (proptest::collection::vec(0_u64..12, 0..12), any::<bool>());
    let step = prop_oneof![
        look.prop_map(|(cookies, is_whole)| Step::Look(cookies, is_whole)),
        (0_u64..12).prop_map(Step::End),
    ];
    proptest::collection::vec(step, 0..40)
}

proptest! {
    #[test]
    fn each_socket_is_opened_once_and_closed_once(steps in steps()) {
        let mut table = Table::new(8);
        // By socket: whether it is open. Cookies are never used twice by the kernel, so one that ended stays out.
        let mut open: HashMap<u64, bool> = HashMap::new();
        let mut over: Vec<u64> = Vec::new();
        let mut looks = 0;
        for step in steps {
            match step {
                Step::Look(mut cookies, is_whole) => {
                    looks += 1;
                    cookies.retain(|cookie| open.get(cookie) != Some(&false));
                    let sockets: Vec<_> = cookies.iter().map(|cookie| seen(*cookie, State::Listen)).collect();
                    for (cookie, lifecycle) in look_in_part(&mut table, &sockets, is_whole) {
                        let before = open.get(&cookie).copied();
                        match lifecycle {
                            Lifecycle::Closed => {
                                prop_assert_eq!(before, Some(true));
                                open.insert(cookie, false);
                            }
                            Lifecycle::Opened => prop_assert!(before.is_none() && looks > 1),
                            Lifecycle::Observed => prop_assert!(before.is_some() || looks == 1),
                            Lifecycle::Changed => prop_assert_eq!(before, Some(true)),
                        }
                        if lifecycle != Lifecycle::Closed {
                            open.insert(cookie, true);
                        }
                    }
                    cookies.sort_unstable();
                    cookies.dedup();
                    over.retain(|cookie| !cookies.contains(cookie));
                    prop_assert!(open.values().filter(|open| **open).count() <= 8);
                }
                Step::End(cookie) => {
                    if open.get(&cookie) == Some(&false) {
                        continue;
                    }
                    let ended = table.ended(NAMESPACE, &seen(cookie, State::Close)).unwrap();
                    prop_assert_eq!(ended.was_known, open.contains_key(&cookie));
                    open.insert(cookie, false);
                }
            }
        }
    }
}
