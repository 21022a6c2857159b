//! Who is at the other end of a connection: the kernel's word, never the peer's own.

use std::io;

use interprocess::local_socket::tokio::Stream;
use interprocess::local_socket::traits::StreamCommon as _;
use serde::Serialize;

/// A process at the other end of a connection, as it was when it connected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Peer {
    /// Its effective user; none where the kernel doesn't say, or the id doesn't map here.
    pub uid: Option<u32>,
    /// Its process.
    pub pid: Option<u32>,
    /// Its groups, the effective one included.
    pub groups: Vec<u32>,
}

/// What the kernel writes for an id that has no number in this user namespace: nobody at all.
const UNMAPPED_ID: u32 = u32::MAX;

/// What a user namespace shows for every id that it doesn't know (`/proc/sys/kernel/overflowuid`), and on the
/// host itself the user and group of nobody.
const OVERFLOW_ID: u32 = 65_534;

/// Whether an id says who somebody is. Named attack: in a container whose user namespace maps a few ids, all
/// strangers from outside look like `nobody`, and would have what a rule gives that one.
fn is_somebody(id: u32) -> bool {
    id != UNMAPPED_ID && (id != OVERFLOW_ID || knows_all_ids())
}

#[cfg(target_os = "linux")]
fn knows_all_ids() -> bool {
    use std::sync::OnceLock;

    /// `user_namespaces(7)`: the map of who is in no namespace of its own, or in one that maps all.
    const ALL: [&str; 3] = ["0", "0", "4294967295"];
    static KNOWS: OnceLock<bool> = OnceLock::new();
    let maps_all =
        |path: &str| std::fs::read_to_string(path).is_ok_and(|map| map.split_whitespace().eq(ALL));
    *KNOWS.get_or_init(|| maps_all("/proc/self/uid_map") && maps_all("/proc/self/gid_map"))
}

#[cfg(not(target_os = "linux"))]
const fn knows_all_ids() -> bool {
    true
}

impl Peer {
    /// Asks the kernel.
    ///
    /// # Errors
    /// If it doesn't answer.
    pub(super) fn of(stream: &Stream) -> io::Result<Self> {
        let credentials = stream.peer_creds()?;
        let mapped = |id: Option<u32>| id.filter(|&id| is_somebody(id));
        let uid = mapped(credentials.euid());
        let mut groups: Vec<u32> = mapped(credentials.egid()).into_iter().collect();
        groups.extend(groups_of(stream, &credentials));
        groups.retain(|&group| is_somebody(group));
        groups.sort_unstable();
        groups.dedup();
        Ok(Self {
            uid,
            pid: credentials.pid().and_then(|pid| u32::try_from(pid).ok()),
            groups,
        })
    }

    /// What this peer's batches are said to come from. It has a `:`, which no source's name has.
    #[must_use]
    pub fn source(&self) -> String {
        let or_unknown = |id: Option<u32>| id.map_or_else(|| "?".to_owned(), |id| id.to_string());
        format!("uid:{},pid:{}", or_unknown(self.uid), or_unknown(self.pid))
    }
}

#[cfg(target_os = "linux")]
fn groups_of(stream: &Stream, _credentials: &interprocess::local_socket::PeerCreds) -> Vec<u32> {
    use std::os::fd::{AsFd as _, AsRawFd as _};
    let Stream::UdSocket(socket) = stream;
    linux::supplementary_groups(socket.as_fd().as_raw_fd())
}

#[cfg(not(target_os = "linux"))]
fn groups_of(_stream: &Stream, credentials: &interprocess::local_socket::PeerCreds) -> Vec<u32> {
    credentials.groups().map(<[_]>::to_vec).unwrap_or_default()
}

#[cfg(target_os = "linux")]
mod linux {
    use std::os::fd::RawFd;

    /// `NGROUPS_MAX` of Linux (`include/uapi/linux/limits.h`): no process has more groups.
    const GROUPS_MAX: usize = 65_536;

    /// `SO_PEERGROUPS` (Linux 4.13): the groups of the process that connected, from the same moment as
    /// `SO_PEERCRED`. No crate of the house offers it. None where the kernel doesn't know it.
    #[expect(unsafe_code, reason = "one system call that no safe wrapper offers")]
    pub(super) fn supplementary_groups(socket: RawFd) -> Vec<u32> {
        const FIRST_GUESS: usize = 64;
        let mut room = FIRST_GUESS;
        while room <= GROUPS_MAX {
            let mut groups = vec![0_u32; room];
            let Ok(mut bytes) = libc::socklen_t::try_from(size_of_val(groups.as_slice())) else {
                break;
            };
            // SAFETY: `socket` is open, the stream that it is of is borrowed by the caller. `groups` is
            // writable memory of `bytes` bytes for plain 32-bit ids, and lives longer than the call; the
            // kernel writes at most `bytes`, and writes into `bytes` how many.
            let answer = unsafe {
                libc::getsockopt(
                    socket,
                    libc::SOL_SOCKET,
                    libc::SO_PEERGROUPS,
                    groups.as_mut_ptr().cast(),
                    &raw mut bytes,
                )
            };
            if answer == 0 {
                let count = usize::try_from(bytes).unwrap_or(0) / size_of::<u32>();
                groups.truncate(count);
                return groups;
            }
            if std::io::Error::last_os_error().raw_os_error() != Some(libc::ERANGE) {
                break;
            }
            room = room.saturating_mul(8);
        }
        Vec::new()
    }
}
