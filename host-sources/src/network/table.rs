//! All sockets that are known, from look to look: which are new, which have changed, which are gone.
//!
//! It asks nobody and has no clock: it is told what was seen, what ended and who owns what. The invariant: a
//! socket is (namespace, cookie), has at most one `opened` and exactly one `closed`, and nothing after that.
//!
//! A dump is no photograph: a socket that changes its state meanwhile can be left out. So a socket is gone when
//! its end was told, or when two looks in a row didn't see it.

use std::fmt::Write as _;

use rustc_hash::FxHashMap;

use weir_bus::Timestamp;

use super::diag::{End, Seen, State, Transport};
use super::holders::Holder;
use super::owners::Owner;

/// Looks in which each owner is once made sure of: a descriptor may be handed on, or its process replaced.
const VERIFY_LOOKS: u64 = 64;
/// The longest pause between two searches for an owner that isn't found, in looks.
const SEARCH_PAUSE_LOOKS_MAX: u64 = 64;

/// What names a socket.
pub(super) type Key = (u64, u64);

/// A socket as it was last seen.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) namespace: u64,
    pub(super) seen: Seen,
    /// The name in rows.
    pub(super) id: String,
    pub(super) source_address: String,
    pub(super) destination_address: Option<String>,
    /// None where it isn't known: a socket that was first told of at its end.
    pub(super) user_id: Option<u32>,
    /// Whose descriptor a look has found.
    pub(super) owner: Option<Owner>,
    /// Who had it in hand last, as the kernel told it.
    pub(super) holder: Option<Holder>,
    /// Whose it was at the look before, and whether anybody's ever.
    told: Option<(u32, Timestamp)>,
    was_owned: bool,
    /// The look at which its owner is searched for next, and how often that was in vain.
    search_at: u64,
    searches: u32,
    /// The look that saw it last.
    look: u64,
    pub(super) is_new: bool,
    pub(super) is_changed: bool,
}

impl Known {
    fn new(namespace: u64, seen: &Seen, look: u64) -> Self {
        let text = |end: &End| end.0.to_string();
        Self {
            namespace,
            seen: *seen,
            id: format!("{namespace}-{:x}", seen.cookie),
            source_address: text(&seen.source),
            destination_address: seen.destination.as_ref().map(text),
            user_id: Some(seen.user_id),
            owner: None,
            holder: None,
            told: None,
            was_owned: false,
            search_at: look,
            searches: 0,
            look,
            is_new: false,
            is_changed: false,
        }
    }

    /// Whose it is, as pid and start of the process: of who closed it, else of who holds a descriptor, else of who
    /// connected it or made it listen.
    pub(super) fn process(&self) -> Option<(u32, Timestamp)> {
        let of_holder = |holder: Holder| (holder.pid, holder.start_time);
        let closed = self.holder.filter(Holder::has_let_go);
        let owner = self.owner.map(|owner| (owner.pid, owner.start_time));
        closed
            .map(of_holder)
            .or(owner)
            .or(self.holder.map(of_holder))
    }

    /// Takes in who had it in hand.
    pub(super) fn hold(&mut self, holder: Holder) {
        self.holder = Some(holder.after(self.holder));
        self.user_id = self.user_id.or(Some(holder.user_id));
    }

    /// Another process than at the look before is a change.
    fn settle_owner(&mut self) {
        let now = self.process();
        let before = std::mem::replace(&mut self.told, now);
        self.is_changed |= now != before && self.was_owned;
        self.was_owned |= now.is_some();
    }

    /// Takes in what is seen now; whether more than counters changed.
    fn refresh(&mut self, seen: &Seen) -> bool {
        let before = std::mem::replace(&mut self.seen, *seen);
        self.user_id = Some(seen.user_id);
        if before.source.0 != seen.source.0 {
            self.source_address.clear();
            // Writing to a text can't fail.
            let _ = write!(self.source_address, "{}", seen.source.0);
        }
        let (peer_before, peer) = (before.destination, seen.destination);
        if peer_before != peer {
            self.destination_address = peer.map(|(address, _)| address.to_string());
        }
        before.state != seen.state || before.source != seen.source || peer_before != peer
    }

    /// False for a connection that nobody has accepted yet, and for one whose descriptors are closed and that goes
    /// on for a while: that one stays its last owner's.
    fn has_descriptor(&self) -> bool {
        self.seen.inode != 0
    }
}

/// A socket's end, and whether it had been in a row before.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) known: Known,
    pub(super) was_known: bool,
}

/// The sockets.
pub(super) struct Table {
    sockets_max: usize,
    places: FxHashMap<Key, usize>,
    /// The sockets, each at its place, so that a look searches for each once. Places that are free are used again.
    known: Vec<Option<Known>>,
    free: Vec<usize>,
    /// The places of the last look's sockets, in the kernel's order.
    order: Vec<usize>,
    gone: Vec<Known>,
    look: u64,
    over_limit: usize,
}

impl Table {
    pub(super) fn new(sockets_max: usize) -> Self {
        Self {
            sockets_max,
            places: FxHashMap::default(),
            known: Vec::new(),
            free: Vec::new(),
            order: Vec::new(),
            gone: Vec::new(),
            look: 0,
            over_limit: 0,
        }
    }

    /// Begins a look.
    pub(super) fn begin(&mut self) {
        self.look += 1;
        self.order.clear();
        self.gone.clear();
        self.over_limit = 0;
    }

    /// Notes a socket that this look sees. Seen again within it, only its counters count.
    pub(super) fn see(&mut self, namespace: u64, seen: &Seen) {
        let key = (namespace, seen.cookie);
        let place = self.places.get(&key).copied();
        if let Some((place, known)) =
            place.and_then(|place| Some((place, known_at(&mut self.known, place)?)))
        {
            let is_first = known.look != self.look;
            let changed = known.refresh(seen);
            known.is_changed = changed || (known.is_changed && !is_first);
            if is_first {
                known.is_new = false;
                known.look = self.look;
                self.order.push(place);
            }
            return;
        }
        if self.places.len() >= self.sockets_max {
            self.over_limit += 1;
            return;
        }
        let mut known = Known::new(namespace, seen, self.look);
        known.is_new = self.look > 1;
        let place = self.put(known);
        self.places.insert(key, place);
        self.order.push(place);
    }

    fn put(&mut self, known: Known) -> usize {
        let free = self.free.pop();
        if let Some((place, slot)) =
            free.and_then(|place| Some((place, self.known.get_mut(place)?)))
        {
            *slot = Some(known);
            return place;
        }
        self.known.push(Some(known));
        self.known.len() - 1
    }

    /// Ends a look. `was_seen_whole`: whether all of a namespace's sockets of a transport were dumped, so that what
    /// wasn't seen isn't there; and `is_there`: whether there still is such a namespace.
    pub(super) fn end(
        &mut self,
        was_seen_whole: impl Fn(u64, Transport) -> bool,
        is_there: impl Fn(u64) -> bool,
    ) {
        let look = self.look;
        let is_gone = |known: &mut Known| {
            if known.look == look {
                return false;
            }
            if !is_there(known.namespace) {
                return true;
            }
            if !was_seen_whole(known.namespace, known.seen.transport) {
                // As if it had been seen: nothing is known.
                known.look = known.look.max(look.saturating_sub(1));
                return false;
            }
            known.look + 1 < look
        };
        for (place, slot) in self.known.iter_mut().enumerate() {
            if let Some(known) = slot.take_if(|known| is_gone(known)) {
                self.places.remove(&(known.namespace, known.seen.cookie));
                self.free.push(place);
                self.gone.push(known);
            }
        }
        self.gone
            .sort_unstable_by_key(|known| (known.namespace, known.seen.cookie));
    }

    /// Takes a socket out that has ended; none if it never was anything that a row could tell.
    pub(super) fn ended(&mut self, namespace: u64, seen: &Seen) -> Option<Ended> {
        let place = self.places.remove(&(namespace, seen.cookie));
        let known = place.and_then(|place| {
            let known = self.known.get_mut(place)?.take();
            self.free.push(place);
            known
        });
        let Some(mut known) = known else {
            // A socket that never was bound nor connected.
            if seen.source.1 == 0 && seen.destination.is_none() {
                return None;
            }
            let mut known = Known::new(namespace, seen, self.look);
            // The notice doesn't say whose it was.
            known.user_id = None;
            return Some(Ended {
                known,
                was_known: false,
            });
        };
        if seen.bytes.is_some() && known.seen.state != State::Listen {
            known.seen.bytes = seen.bytes;
        }
        Some(Ended {
            known,
            was_known: true,
        })
    }

    /// Takes in who had the last look's sockets in hand, and those that have gone.
    pub(super) fn take_holders(&mut self, mut holder: impl FnMut(Key) -> Option<Holder>) {
        for place in &self.order {
            let Some(known) = known_at(&mut self.known, *place) else {
                continue;
            };
            if let Some(holder) = holder((known.namespace, known.seen.cookie)) {
                known.hold(holder);
            }
        }
        for gone in &mut self.gone {
            if let Some(holder) = holder((gone.namespace, gone.seen.cookie)) {
                gone.hold(holder);
            }
        }
    }

    /// Calls `each` for every socket of the last look whose owner has to be searched for, or made sure of.
    pub(super) fn ask_owners(&mut self, mut each: impl FnMut(u32, Question<'_>)) {
        let look = self.look;
        for place in &self.order {
            let Some(known) = known_at(&mut self.known, *place) else {
                continue;
            };
            if !known.has_descriptor() {
                continue;
            }
            let inode = known.seen.inode;
            match &known.owner {
                Some(owner) => {
                    let is_due = look
                        .wrapping_add(known.seen.cookie)
                        .is_multiple_of(VERIFY_LOOKS);
                    if is_due && !known.is_new {
                        each(inode, Question::StillHolds(owner));
                    }
                }
                None if known.search_at <= look => {
                    each(inode, Question::Who(known.holder.map(|holder| holder.pid)));
                }
                None => {}
            }
        }
    }

    /// Notes what became of the questions: `answer` is asked for each socket of the last look, by its inode.
    pub(super) fn answer_owners(&mut self, mut answer: impl FnMut(u32) -> Option<Answer>) {
        let look = self.look;
        for place in &self.order {
            let Some(known) = known_at(&mut self.known, *place) else {
                continue;
            };
            if !known.has_descriptor() {
                continue;
            }
            match answer(known.seen.inode) {
                None | Some(Answer::Unasked) => {}
                Some(Answer::Owner(owner)) => {
                    known.searches = 0;
                    known.owner = Some(owner);
                }
                Some(Answer::Nobody) => {
                    let pause = 1_u64 << known.searches.min(SEARCH_PAUSE_LOOKS_MAX.ilog2());
                    known.search_at = look + pause;
                    known.searches = known.searches.saturating_add(1);
                    known.owner = None;
                }
            }
        }
    }

    /// Ends the questions: whose a socket is now stands in its row.
    pub(super) fn settle_owners(&mut self) {
        for place in &self.order {
            if let Some(known) = known_at(&mut self.known, *place) {
                known.settle_owner();
            }
        }
    }

    /// The sockets of the last look, in the kernel's order.
    pub(super) fn present(&self) -> impl Iterator<Item = &Known> {
        let known = |place: &usize| self.known.get(*place)?.as_ref();
        self.order.iter().filter_map(known)
    }

    /// The sockets that have gone without a word.
    pub(super) fn gone(&self) -> &[Known] {
        &self.gone
    }

    /// Sockets of the last look that aren't followed.
    pub(super) const fn over_limit(&self) -> usize {
        self.over_limit
    }
}

fn known_at(known: &mut [Option<Known>], place: usize) -> Option<&mut Known> {
    known.get_mut(place)?.as_mut()
}

/// What is asked about a socket's owner.
pub(super) enum Question<'a> {
    /// Who holds it? Perhaps this pid, which had it in hand.
    Who(Option<u32>),
    /// Does this process still hold it?
    StillHolds(&'a Owner),
}

/// What was found.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answer {
    Owner(Owner),
    /// Everywhere was looked, and nobody has it.
    Nobody,
    /// Not everywhere was looked yet.
    Unasked,
}

/// The state in a row: at the end `closed`, whatever the kernel said last.
pub(super) const fn state_at_end() -> &'static str {
    State::Close.as_str(Transport::Tcp)
}
