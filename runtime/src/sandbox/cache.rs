//! Compiled code that is kept between starts, so that a daemon compiles a module once.
//!
//! The code lies in a folder that only the daemon's user can write; a seal for each entry, a SHA-256
//! over module, engine and code, lies apart from it in the state folder, in one file of mode 0600.
//! Invariant: an entry is run only if its seal holds for the very bytes that were read; anything
//! else about it (missing, cut off, changed, another's) is a miss, which is said, and compiled anew.
//! A cache that can't be used costs time and nothing else.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};
use std::{io, thread};

use cap_std::fs::Dir;
use rustix::fd::OwnedFd;
use rustix::fs::FlockOperation;
use tracing::{debug, warn};
use wasmtime::Engine;
use wasmtime::component::Component;

use super::compile::{Code, CodeKey, CompileError, Compiler};
use super::module::Module;
use folder::{Opened, handle, open, read_own, write_own};
use index::{Entry, Index};

pub(crate) mod folder;
mod index;

/// Entries that are kept: two generations for each of at most 64 slots.
const ENTRIES_MAX: usize = 128;
/// Bytes of all entries: guests have 1 to 10 MB of code; one of the largest fits twice.
const BYTES_MAX: u64 = 512 << 20;
/// Files of the folder that are looked at when room is made. Nobody but us puts files there.
const LISTED_MAX: usize = 4_096;
/// The lock on the index is held for two writes; who can't get it in two seconds goes without.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Why a folder isn't used for compiled code, although it is there.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// Others can write it.
    #[error(
        "{path} (mode {mode:04o}, user {user}) is refused for compiled code: only the daemon's user ({daemon}) may write there; mend its mode and owner, or set {key}"
    )]
    Untrusted {
        /// The folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// Its owner's user id.
        user: u32,
        /// The daemon's user id.
        daemon: u32,
        /// The config key that names the folder.
        key: &'static str,
    },
}

/// Compiled code, kept between starts.
#[derive(Debug)]
pub struct Cache {
    store: Result<Store, String>,
}

impl Cache {
    /// The cache in these folders; they are made, for the daemon's user only, where they are missing.
    /// Where that can't be done the daemon works without a cache, and says so here, once.
    ///
    /// # Errors
    ///
    /// [`CacheError::Untrusted`] where others than the daemon's user can write one of the folders.
    pub fn open(cache_folder: &Path, state_folder: &Path) -> Result<Self, CacheError> {
        let code = open(cache_folder, "sandbox.cache_folder")?;
        let state = open(state_folder, "sandbox.state_folder")?;
        let store = match (code, state) {
            (Opened::Folder(code), Opened::Folder(state)) => Ok(Store::new(code, state)),
            (Opened::Not(reason), _) | (_, Opened::Not(reason)) => {
                warn!(
                    reason,
                    "guests are compiled at every start: there is no cache for their code"
                );
                Err(reason)
            }
        };
        Ok(Self { store })
    }

    /// Why there is no cache, if there is none.
    #[must_use]
    pub fn why_none(&self) -> Option<&str> {
        self.store.as_ref().err().map(String::as_str)
    }

    /// A module's code, out of the cache or fresh from the compiler. Blocks on the disk and on the
    /// compiler.
    pub(super) fn load_or_compile(
        &self,
        engine: &Engine,
        module: &Module,
        compiler: &Compiler,
    ) -> Result<Component, CompileError> {
        let key = CodeKey::new(engine, module);
        let kept = self.store.as_ref().ok().and_then(|store| store.load(&key));
        if let Some(code) = kept {
            match code.component(engine) {
                Ok(component) => return Ok(component),
                Err(error) => warn!(
                    module = module.name,
                    error, "the engine doesn't load compiled code from the cache: compiled anew"
                ),
            }
        }
        let code = compiler.compile(engine, module)?;
        let component = code
            .component(engine)
            .map_err(|message| CompileError::Load { message })?;
        if let Ok(store) = &self.store {
            store.keep(&key, &code);
        }
        Ok(component)
    }
}

/// The two folders. It keeps nothing in memory: another daemon may use the same ones.
#[derive(Debug)]
struct Store {
    code: Dir,
    state: Dir,
    entries_max: usize,
    bytes_max: u64,
    /// That nothing can be kept was said.
    said: AtomicBool,
}

/// A file of the code folder.
struct Listed {
    name: String,
    bytes: u64,
    written: SystemTime,
    /// Its place in the index, oldest first; what isn't in it is older than all.
    place: Option<usize>,
}

impl Store {
    const fn new(code: Dir, state: Dir) -> Self {
        Self {
            code,
            state,
            entries_max: ENTRIES_MAX,
            bytes_max: BYTES_MAX,
            said: AtomicBool::new(false),
        }
    }

    /// The code of that key, if it is there and its seal holds.
    fn load(&self, key: &CodeKey) -> Option<Code> {
        let name = key.name().to_string();
        let index = Index::read(&self.state);
        let Some(entry) = index.get(&name) else {
            debug!(
                entry = name,
                "no compiled code is kept for this module and engine"
            );
            return None;
        };
        let bytes = match read_own(&self.code, &name, entry.bytes) {
            Ok(bytes) => bytes,
            Err(error) => {
                warn!(entry = name, %error, "compiled code can't be read from the cache: compiled anew");
                return None;
            }
        };
        let code = Code::of_entry(bytes, key, entry.seal);
        if code.is_none() {
            warn!(
                entry = name,
                "compiled code in the cache is not what was written there: compiled anew"
            );
        }
        code
    }

    /// Keeps code; where it can't, that is said once.
    fn keep(&self, key: &CodeKey, code: &Code) {
        if let Err(error) = self.try_keep(key, code)
            && !self.said.swap(true, Ordering::Relaxed)
        {
            warn!(%error, "compiled code can't be kept: it will be compiled again at the next start");
        }
    }

    fn try_keep(&self, key: &CodeKey, code: &Code) -> io::Result<()> {
        let _lock = self.lock()?;
        let mut index = Index::read(&self.state);
        let name = key.name().to_string();
        // First the code, then its seal: killed in between, it is a miss.
        write_own(&self.code, &name, code.bytes())?;
        index.put(Entry {
            name,
            seal: code.seal(),
            bytes: code.bytes().len() as u64,
        });
        self.make_room(&mut index)?;
        index.write(&self.state)
    }

    /// One writer of the index at a time, in this process and in others.
    fn lock(&self) -> io::Result<OwnedFd> {
        let lock = handle(&self.state)?;
        for _ in 0..LOCK_TRIES {
            match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(lock),
                Err(rustix::io::Errno::WOULDBLOCK) => thread::sleep(LOCK_PAUSE),
                Err(error) => return Err(error.into()),
            }
        }
        Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "another process holds the lock on the state folder",
        ))
    }

    /// Removes the oldest files until the rest is within the bounds, and forgets what is gone.
    fn make_room(&self, index: &mut Index) -> io::Result<()> {
        let mut files = self.list(index)?;
        files.sort_by(|a, b| (a.place, a.written, &a.name).cmp(&(b.place, b.written, &b.name)));
        let mut count = files.len();
        let mut bytes: u64 = files.iter().map(|file| file.bytes).sum();
        files.retain(|file| {
            let goes = count > self.entries_max || bytes > self.bytes_max;
            if goes {
                count -= 1;
                bytes -= file.bytes;
                if let Err(error) = self.code.remove_file(&file.name) {
                    debug!(file = file.name, %error, "an old entry of the cache can't be removed");
                }
            }
            !goes
        });
        index.retain(|name| files.iter().any(|file| file.name == name));
        Ok(())
    }

    fn list(&self, index: &Index) -> io::Result<Vec<Listed>> {
        let mut files = Vec::new();
        for entry in self.code.entries()?.take(LISTED_MAX) {
            let entry = entry?;
            let metadata = entry.metadata()?;
            // What isn't named as we name things isn't ours.
            if let Ok(name) = entry.file_name().into_string()
                && metadata.is_file()
                && folder::is_ours(&name)
            {
                files.push(Listed {
                    bytes: metadata.len(),
                    written: metadata.modified()?.into_std(),
                    place: index.place(&name),
                    name,
                });
            }
        }
        Ok(files)
    }
}

#[cfg(test)]
mod tests;
