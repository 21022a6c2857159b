//! Dead letters: rows that break a guest, and rows that a slot wants kept, each a line of JSON.
//!
//! One file for all slots, bounded and rotated, which only the daemon's user can read: rows are what
//! the host's processes say and do. Invariant: nothing here stops a slot. A letter that can't be
//! written is counted, and told once in a while.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;
use weir_bus::batch::Batch;

use crate::config::{DeadLetterSettings, SandboxSettings};
use crate::rows::json_line;
use crate::sandbox::{Fault, FaultReason};
use crate::sink::rotate::RotatingFile;
use crate::sink::{Rotation, SinkError};

/// What the file is called where the config says nothing.
const FILE_NAME: &str = "dead-letters.jsonl";
/// What a letter keeps of a fault's message: a guest's own words may be 4 MiB.
const MESSAGE_BYTES_MAX: usize = 4 << 10;
/// What it keeps of a frame: names are the module's.
const FRAME_BYTES_MAX: usize = 512;
/// What it keeps of stderr. A byte that is no UTF-8 was made three of.
const STDERR_BYTES_MAX: usize = 16 << 10;
/// A row whose line is longer is kept as the beginning of its text.
const ROW_BYTES_MAX: usize = 256 << 10;
/// How often it is told that letters can't be written.
const TOLD_EVERY: Duration = Duration::from_mins(1);

/// Who had a row when it went dead.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Holder<'a> {
    /// The slot.
    pub slot: &'a str,
    /// Its generation.
    pub generation: u64,
    /// The module as the config names it.
    pub module: &'a str,
    /// The module's digest.
    pub digest: &'a str,
}

/// A letter, but for its row.
#[derive(Serialize)]
struct Letter<'a> {
    time: String,
    #[serde(flatten)]
    holder: Holder<'a>,
    why: &'a str,
    fault: Option<FaultTold<'a>>,
}

#[derive(Serialize)]
struct FaultTold<'a> {
    reason: FaultReason,
    message: &'a str,
    backtrace: Vec<&'a str>,
    stderr: &'a str,
}

/// Where dead letters are written.
#[derive(Debug)]
pub struct DeadLetters {
    rotation: Rotation,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    file: Option<RotatingFile>,
    told: Option<Instant>,
    untold: u64,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("is_open", &self.file.is_some())
            .field("untold", &self.untold)
            .finish()
    }
}

impl DeadLetters {
    /// As the config says. Nothing is made before the first letter.
    #[must_use]
    pub fn new(settings: &DeadLetterSettings, sandbox: &SandboxSettings) -> Self {
        let path = settings.path.clone();
        Self {
            rotation: Rotation {
                path: path.unwrap_or_else(|| sandbox.state_folder.join(FILE_NAME)),
                bytes_max: settings.rotate_bytes_max,
                files_max: settings.rotate_files_max,
            },
            state: Mutex::default(),
        }
    }

    /// Where they are.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.rotation.path
    }

    /// Writes a letter for each of those rows: how many were written.
    pub(crate) fn write(
        &self,
        holder: Holder<'_>,
        why: &str,
        fault: Option<&Fault>,
        batch: &Batch,
        rows: impl Iterator<Item = usize>,
    ) -> u64 {
        let letter = Letter {
            time: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
            holder,
            why,
            fault: fault.map(told),
        };
        // Texts and numbers: there is nothing in it that JSON can't hold.
        let head = serde_json::to_string(&letter).unwrap_or_else(|_| "{}".to_owned());
        let lines = rows.filter_map(|row| Some(line(&head, &json_line(batch, 0, row)?)));
        let mut written = 0;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for line in lines {
            match self.write_line(&mut state, &line) {
                Ok(()) => written += 1,
                Err(error) => self.lost(&mut state, &error),
            }
        }
        if let Some(file) = &mut state.file
            && let Err(error) = file.flush()
        {
            written = 0;
            self.lost(&mut state, &error);
        }
        drop(state);
        written
    }

    fn write_line(&self, state: &mut State, line: &str) -> Result<(), SinkError> {
        let file = match &mut state.file {
            Some(file) => file,
            None => state.file.insert(self.open()?),
        };
        file.write(line.as_bytes())
    }

    fn open(&self) -> Result<RotatingFile, SinkError> {
        if let Some(folder) = self.rotation.path.parent() {
            make_private_folder(folder).map_err(|source| SinkError::Io {
                path: PathBuf::from(folder),
                source,
            })?;
        }
        RotatingFile::open_private(self.rotation.clone())
    }

    /// Tells that a letter is lost, now or with a later one. The file is opened anew for the next.
    fn lost(&self, state: &mut State, error: &SinkError) {
        state.file = None;
        let is_due = state.told.is_none_or(|told| told.elapsed() >= TOLD_EVERY);
        if !is_due {
            state.untold += 1;
            return;
        }
        state.told = Some(Instant::now());
        let untold = std::mem::take(&mut state.untold);
        tracing::warn!(%error, untold, "a dead letter can't be written");
    }
}

/// Makes a folder that only its owner can look into, where there is none.
fn make_private_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn told(fault: &Fault) -> FaultTold<'_> {
    let frames = fault.backtrace.iter();
    FaultTold {
        reason: fault.reason,
        message: cut(&fault.message, MESSAGE_BYTES_MAX),
        backtrace: frames.map(|frame| cut(frame, FRAME_BYTES_MAX)).collect(),
        stderr: cut_front(&fault.stderr, STDERR_BYTES_MAX),
    }
}

/// A letter's line: what is told of it, and its row.
fn line(head: &str, row: &str) -> String {
    let head = head.strip_suffix('}').unwrap_or(head);
    if row.len() <= ROW_BYTES_MAX {
        return format!("{head},\"row\":{row}}}\n");
    }
    let beginning = serde_json::Value::from(cut(row, ROW_BYTES_MAX));
    format!("{head},\"row\":null,\"row_begins\":{beginning}}}\n")
}

/// The beginning of a text, of so many bytes at most.
fn cut(text: &str, bytes_max: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes_max))
        .unwrap_or(text)
}

/// The end of a text, of so many bytes at most.
fn cut_front(text: &str, bytes_max: usize) -> &str {
    let from = text.len().saturating_sub(bytes_max);
    text.get(text.ceil_char_boundary(from)..).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use weir_bus::event::ProcessEvent;
    use weir_bus::{CollectionEvent, Topic};

    const HOLDER: Holder<'static> = Holder {
        slot: "judge",
        generation: 2,
        module: "judge.wasm",
        digest: "00",
    };

    fn batch(names: &[&str]) -> Batch {
        let events: Vec<CollectionEvent> = names
            .iter()
            .map(|name| {
                CollectionEvent::from(ProcessEvent {
                    name: (*name).to_owned(),
                    ..ProcessEvent::default()
                })
            })
            .collect();
        let topic = Topic::parse("events.process.test").unwrap();
        Batch::of_events(topic, "test", 0, &events).unwrap()
    }

    fn letters(path: &Path, bytes_max: u64) -> DeadLetters {
        DeadLetters {
            rotation: Rotation {
                path: path.to_owned(),
                bytes_max,
                files_max: 2,
            },
            state: Mutex::default(),
        }
    }

    fn fault(message: &str, stderr: &str) -> Fault {
        let mut fault = Fault::of(FaultReason::Trap, message);
        fault.backtrace = vec!["keep".to_owned()];
        fault.stderr = stderr.to_owned();
        fault
    }

    #[test]
    fn a_letter_has_its_row_its_guest_and_its_fault() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state").join(FILE_NAME);
        let (fault, batch) = (
            fault("it\nbroke", "last \u{1b}[2J words"),
            batch(&["a", "b"]),
        );
        let written =
            letters(&path, 1 << 20).write(HOLDER, "poisonous", Some(&fault), &batch, 1..2);
        assert_eq!(written, 1);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 1);
        assert!(!text.contains('\u{1b}'));
        let letter: Value = serde_json::from_str(&text).unwrap();
        for (key, expected) in [
            ("/slot", Value::from("judge")),
            ("/generation", 2.into()),
            ("/why", "poisonous".into()),
            ("/fault/reason", "trap".into()),
            ("/fault/message", "it\nbroke".into()),
            ("/fault/backtrace/0", "keep".into()),
            ("/row/name", "b".into()),
            ("/row/topic", "events.process.test".into()),
        ] {
            assert_eq!(letter.pointer(key), Some(&expected), "{key}: {text}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn only_its_owner_can_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state").join(FILE_NAME);
        letters(&path, 10).write(HOLDER, "rejected", None, &batch(&["a", "b"]), 0..2);
        for path in [path, folder.path().join("state/dead-letters.jsonl.1")] {
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{path:?}");
        }
    }

    #[test]
    fn what_a_guest_says_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        let long = "\u{1}é".repeat(100_000);
        let (fault, batch) = (fault(&long, &format!("{long}end")), batch(&[&long]));
        letters(&path, 1 << 30).write(HOLDER, "poisonous", Some(&fault), &batch, 0..1);
        let letter: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let size = |key: &str| letter.pointer(key).unwrap().as_str().unwrap().len();
        assert!(size("/fault/message") <= MESSAGE_BYTES_MAX);
        assert!(size("/fault/stderr") <= STDERR_BYTES_MAX);
        assert!(size("/row_begins") <= ROW_BYTES_MAX);
        let stderr = letter.pointer("/fault/stderr").unwrap().as_str().unwrap();
        assert!(stderr.ends_with("end"));
    }

    #[test]
    fn a_letter_that_cant_be_written_is_no_more_than_that() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("no-folder");
        std::fs::write(&file, "").unwrap();
        let letters = letters(&file.join(FILE_NAME), 1 << 20);
        assert_eq!(
            letters.write(HOLDER, "rejected", None, &batch(&["a"]), 0..1),
            0
        );
    }
}
