//! Writes that are either done or not done.

use crate::error::StoreError;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// Tells apart the temporary files of one process.
static COUNTER: AtomicU64 = AtomicU64::new(0);

fn temporary(path: &Path) -> std::path::PathBuf {
    let n = COUNTER.fetch_add(1, Ordering::Relaxed);
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("file");
    path.with_file_name(format!(".{name}.{}.{n}.tmp", std::process::id()))
}

/// Writes the file so that a reader, also after a crash, sees the old content or the new, never a part: temporary file,
/// fsync, rename, fsync of the directory.
///
/// # Errors
/// [`StoreError::Io`] when the file system refuses; the old content stays.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let temp = temporary(path);
    let written = (|| {
        let mut file = File::create_new(&temp)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temp, path)
    })();
    if let Err(source) = written {
        // The temporary file may not exist; what matters is the first error.
        let _ = fs::remove_file(&temp);
        return Err(StoreError::Io { action: "write", path: path.into(), source });
    }
    sync_parent(path)
}

/// Points the symbolic link at `target`, replacing an older link in one step.
pub(crate) fn symlink(target: &Path, link: &Path) -> Result<(), StoreError> {
    let temp = temporary(link);
    let linked = std::os::unix::fs::symlink(target, &temp).and_then(|()| fs::rename(&temp, link));
    if let Err(source) = linked {
        let _ = fs::remove_file(&temp);
        return Err(StoreError::Io { action: "link", path: link.into(), source });
    }
    sync_parent(link)
}

/// Makes a rename or a new entry in the directory of `path` durable.
pub(crate) fn sync_parent(path: &Path) -> Result<(), StoreError> {
    let Some(parent) = path.parent() else { return Ok(()) };
    File::open(parent).and_then(|d| d.sync_all()).map_err(StoreError::io("sync", parent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_replaces_and_leaves_no_temporary_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("report.json");
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_write_leaves_the_old_content() {
        let dir = tempfile::tempdir().unwrap();
        // A directory cannot be replaced by a file.
        let path = dir.path().join("taken");
        fs::create_dir(&path).unwrap();
        assert!(write(&path, b"x").is_err());
        assert!(path.is_dir());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_moves_in_one_step() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("latest");
        symlink(Path::new("a"), &link).unwrap();
        symlink(Path::new("b"), &link).unwrap();
        assert_eq!(fs::read_link(&link).unwrap(), Path::new("b"));
    }
}
