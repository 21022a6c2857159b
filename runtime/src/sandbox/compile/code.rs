//! Machine code that may be run, and the one place that takes bytes for it.
//!
//! Invariant: a [`Code`] holds exactly what this program's compiler wrote. It is made in two ways
//! only: from the child that has just compiled, and from an entry of the cache whose seal holds.

use std::hash::{Hash, Hasher};

use sha2::{Digest as _, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use super::super::module::Module;
use crate::digest::Digest;

/// What the child's answer starts with, so that another program's is never taken for code.
const MAGIC: [u8; 8] = *b"weircode";
/// Bytes of a SHA-256.
const DIGEST_BYTES: usize = 32;

/// What code is for: a module, and an engine with its version, settings and processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct CodeKey {
    wasm: Digest,
    engine: Digest,
}

impl CodeKey {
    pub(in super::super) fn new(engine: &Engine, module: &Module) -> Self {
        Self::of(engine, module.digest)
    }

    pub(super) fn of(engine: &Engine, wasm: Digest) -> Self {
        Self {
            wasm,
            engine: engine_digest(engine),
        }
    }

    /// What the code is called in a cache.
    pub(in super::super) fn name(&self) -> Digest {
        self.seal(&[])
    }

    /// A digest over module, engine and code.
    fn seal(&self, code: &[u8]) -> Digest {
        let mut sha = Sha256::new();
        // The first two have a fixed length, so that no other three parts give these bytes.
        sha.update(self.wasm.0);
        sha.update(self.engine.0);
        sha.update(code);
        Digest(sha.finalize().into())
    }
}

/// Machine code that may be run.
pub(in super::super) struct Code {
    bytes: Vec<u8>,
    key: CodeKey,
}

impl Code {
    /// Bytes before the code in the child's answer: magic, module, engine.
    pub(super) const HEADER_BYTES: usize = MAGIC.len() + 2 * DIGEST_BYTES;

    /// What the child writes before the code.
    pub(super) fn header(key: &CodeKey) -> [u8; Self::HEADER_BYTES] {
        let mut header = [0; Self::HEADER_BYTES];
        let parts = MAGIC.iter().chain(&key.wasm.0).chain(&key.engine.0);
        for (byte, part) in header.iter_mut().zip(parts) {
            *byte = *part;
        }
        header
    }

    /// The code of a child's answer, if it speaks of this module and this engine.
    pub(super) fn of_child(mut answer: Vec<u8>, key: &CodeKey) -> Result<Self, &'static str> {
        let header = Self::header(key);
        if !answer.starts_with(&MAGIC) {
            return Err("it answers with something else");
        }
        if !answer.starts_with(&header) {
            return Err("it compiles for another engine, or compiled another module");
        }
        answer.drain(..header.len());
        Ok(Self {
            bytes: answer,
            key: *key,
        })
    }

    /// The code of a cache's entry, if the seal that was kept elsewhere is that of these bytes.
    pub(in super::super) fn of_entry(entry: Vec<u8>, key: &CodeKey, seal: Digest) -> Option<Self> {
        (key.seal(&entry) == seal).then_some(Self {
            bytes: entry,
            key: *key,
        })
    }

    /// To be kept apart from the code, where nobody else can write.
    pub(in super::super) fn seal(&self) -> Digest {
        self.key.seal(&self.bytes)
    }

    /// What a cache writes down.
    pub(in super::super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Loads the code into the engine that it was made for.
    ///
    /// # Errors
    ///
    /// What the engine says: it is of another version or other settings.
    #[expect(
        unsafe_code,
        reason = "the one place where bytes become machine code; the argument stands in it"
    )]
    pub(in super::super) fn component(&self, engine: &Engine) -> Result<Component, String> {
        // SAFETY: wasmtime asks that these be the unmodified bytes of `precompile_component`, of
        // any version of it. They are, in both ways of making a `Code`. (1) From the child: our own
        // program, or the one that the operator names, wrote them to a pipe that only we read, after
        // saying that it is Weir's compiler, for this module and an engine like ours. (2) From the
        // cache: the bytes were read once, into memory of our own, and what was read has the SHA-256
        // that was taken when (1) gave them; that digest was read from a file of mode 0600 that is
        // the daemon's user's, in a folder that no other can write. Whoever can change that file is
        // that user, or root, and could replace this program as well. `deserialize` copies; nothing
        // changes the bytes after the check.
        let component = unsafe { Component::deserialize(engine, &self.bytes) };
        component.map_err(|error| format!("{error:#}"))
    }
}

/// All that wasmtime says decides whether code fits an engine, as a SHA-256.
fn engine_digest(engine: &Engine) -> Digest {
    let mut all = HashAll(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut all);
    Digest(all.0.finalize().into())
}

/// Takes what is hashed in full, where a hasher of 64 bits would let two engines fall together.
struct HashAll(Sha256);

impl Hasher for HashAll {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest: [u8; DIGEST_BYTES] = self.0.clone().finalize().into();
        let [a, b, c, d, e, f, g, h, ..] = digest;
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}
