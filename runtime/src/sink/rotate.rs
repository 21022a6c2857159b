//! Files that begin anew at a size, the older ones kept under numbers.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use super::SinkError;

/// When a file begins anew, and how many older ones are kept.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// The file that is written.
    pub path: PathBuf,
    /// Its size at which a new one begins.
    pub bytes_max: u64,
    /// Files kept in all, this one included.
    pub files_max: usize,
}

impl Rotation {
    fn error(&self, source: std::io::Error) -> SinkError {
        SinkError::Io {
            path: self.path.clone(),
            source,
        }
    }

    /// The name of the `number`th older file.
    fn older(&self, number: usize) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }

    /// Moves the file out of the way: `x` to `x.1`, `x.1` to `x.2`; the oldest is overwritten.
    pub(super) fn rotate(&self) -> Result<(), SinkError> {
        let kept = self.files_max.saturating_sub(1);
        for number in (1..kept).rev() {
            let older = self.older(number);
            if older.exists() {
                std::fs::rename(&older, self.older(number + 1))
                    .map_err(|error| self.error(error))?;
            }
        }
        if kept > 0 && self.path.exists() {
            std::fs::rename(&self.path, self.older(1)).map_err(|error| self.error(error))?;
        }
        Ok(())
    }
}

/// A file of lines.
pub(crate) struct RotatingFile {
    rotation: Rotation,
    private: bool,
    file: BufWriter<File>,
    bytes: u64,
}

impl RotatingFile {
    /// Opens the file and goes on at its end.
    pub(super) fn open(rotation: Rotation) -> Result<Self, SinkError> {
        Self::open_for(rotation, false)
    }

    /// The same for a file that only its owner may read.
    pub(crate) fn open_private(rotation: Rotation) -> Result<Self, SinkError> {
        Self::open_for(rotation, true)
    }

    fn open_for(rotation: Rotation, private: bool) -> Result<Self, SinkError> {
        let file = options(private)
            .append(true)
            .open(&rotation.path)
            .map_err(|error| rotation.error(error))?;
        let bytes = file
            .metadata()
            .map_err(|error| rotation.error(error))?
            .len();
        Ok(Self {
            rotation,
            private,
            file: BufWriter::new(file),
            bytes,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.rotation.path
    }

    /// Writes a line, to a new file where this one would grow past its size.
    pub(crate) fn write(&mut self, line: &[u8]) -> Result<(), SinkError> {
        let length = line.len() as u64;
        if self.bytes > 0 && self.bytes.saturating_add(length) > self.rotation.bytes_max {
            self.flush()?;
            self.rotation.rotate()?;
            let file = options(self.private)
                .write(true)
                .truncate(true)
                .open(&self.rotation.path)
                .map_err(|error| self.rotation.error(error))?;
            self.file = BufWriter::new(file);
            self.bytes = 0;
        }
        self.file
            .write_all(line)
            .map_err(|error| self.rotation.error(error))?;
        self.bytes = self.bytes.saturating_add(length);
        Ok(())
    }

    pub(crate) fn flush(&mut self) -> Result<(), SinkError> {
        self.file
            .flush()
            .map_err(|error| self.rotation.error(error))
    }
}

/// How such a file is made.
fn options(private: bool) -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true);
    #[cfg(unix)]
    if private {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_begins_anew_at_its_size_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("findings.jsonl");
        let rotation = Rotation {
            path: path.clone(),
            bytes_max: 10,
            files_max: 3,
        };
        let mut file = RotatingFile::open(rotation).unwrap();
        for line in ["one 1\n", "two 2\n", "three\n", "four \n"] {
            file.write(line.as_bytes()).unwrap();
        }
        file.flush().unwrap();
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let path = path.display();
        assert_eq!(read(&format!("{path}")), "four \n");
        assert_eq!(read(&format!("{path}.1")), "three\n");
        assert_eq!(read(&format!("{path}.2")), "two 2\n");
        assert_eq!(read(&format!("{path}.3")), "");
    }
}
