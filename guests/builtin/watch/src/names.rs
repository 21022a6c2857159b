//! Names of programs, and paths in folders.

/// Names, of which some have `*` for any run of characters.
#[derive(Clone, Debug)]
pub(crate) struct Names(Vec<String>);

impl Names {
    /// Takes the names.
    ///
    /// # Errors
    /// One of them is empty; the message names the settings' key.
    pub(crate) fn new(key: &str, names: &[String]) -> Result<Self, String> {
        match names.iter().position(String::is_empty) {
            Some(place) => Err(format!("settings: {key}[{place}]: it is empty")),
            None => Ok(Self(names.to_vec())),
        }
    }

    /// Whether a name is one of them.
    pub(crate) fn have(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| matches(pattern, name))
    }
}

/// `*` is any run of characters, and none, too.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((head, mut rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(mut name) = name.strip_prefix(head) else {
        return false;
    };
    // The first place where a part fits is as good as any: what is left of the name is longest.
    while let Some((part, next)) = rest.split_once('*') {
        let Some(at) = name.find(part) else {
            return false;
        };
        name = name.get(at + part.len()..).unwrap_or_default();
        rest = next;
    }
    name.ends_with(rest)
}

/// The last component of a path.
pub(crate) fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Folders; what is in one, at whatever depth, is found by whole components.
#[derive(Clone, Debug)]
pub(crate) struct Folders(Vec<String>);

impl Folders {
    /// Takes the folders.
    ///
    /// # Errors
    /// One of them is not absolute, or the root; the message names the settings' key.
    pub(crate) fn new(key: &str, folders: &[String]) -> Result<Self, String> {
        let mut all = Vec::with_capacity(folders.len());
        for (place, folder) in folders.iter().enumerate() {
            let trimmed = folder.trim_end_matches('/');
            if !trimmed.starts_with('/') {
                return Err(format!(
                    "settings: {key}[{place}]: {folder:?} is not a folder's absolute path"
                ));
            }
            all.push(format!("{trimmed}/"));
        }
        Ok(Self(all))
    }

    /// The folder that a path is in.
    pub(crate) fn of(&self, path: &str) -> Option<&str> {
        let folder = self
            .0
            .iter()
            .find(|folder| path.starts_with(folder.as_str()))?;
        Some(folder.trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_run_of_characters() {
        let cases = [
            ("sh", "sh", true),
            ("sh", "bash", false),
            ("kworker/*", "kworker/0:1", true),
            ("kworker/*", "kworker", false),
            ("nvme-*-wq", "nvme-reset-wq", true),
            ("nvme-*-wq", "nvme-wq", false),
            ("*", "", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("a*a", "a", false),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
        assert!(Names::new("shells", &[String::new()]).is_err());
    }

    #[test]
    fn a_folder_holds_what_is_below_it_and_not_what_is_named_alike() {
        let folders = Folders::new("f", &["/tmp".to_owned(), "/dev/shm/".to_owned()]).unwrap();
        let cases = [
            ("/tmp/a", Some("/tmp")),
            ("/tmp/a/b", Some("/tmp")),
            ("/dev/shm/a", Some("/dev/shm")),
            ("/tmpfoo/a", None),
            ("/tmp", None),
            ("/home/tmp/a", None),
            ("", None),
        ];
        for (path, expected) in cases {
            assert_eq!(folders.of(path), expected, "{path}");
        }
        for folder in ["", "/", "tmp"] {
            assert!(Folders::new("f", &[folder.to_owned()]).is_err(), "{folder}");
        }
    }
}
