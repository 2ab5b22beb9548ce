//! Windows of a long history on disk, and the index that they are read from: `windows.idx` in the run directory, made when it
//! is not there or of another history.

use perjury_store::RunDir;
use perjury_view::paged::{Paged, PagedError, ReadAt, Settings, build};
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;

/// How much of a history is read at once while its index is made.
const READ_BUFFER_BYTES: usize = 1 << 20;

/// A file that is read from any place.
#[derive(Debug)]
struct Disk(File);

impl ReadAt for Disk {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        self.0.read_exact_at(buffer, at)
    }
}

/// The windows of a run's history. The index is made if it is not there, which takes about as long as reading the history once and no
/// more memory than a block of it; in a directory that cannot be written, it is made in a file without a name.
///
/// # Errors
/// [`PagedError::History`] with line and column when the history is none, [`PagedError::Io`] when it or the index cannot be
/// read or written.
pub fn windows(run: &RunDir) -> Result<Paged, PagedError> {
    let name = format!("{}/history.jsonl", run.id());
    let history = || File::open(run.history_path());
    let path = run.windows_path();
    if let Ok(index) = File::open(&path)
        && let Some(paged) = Paged::open(Box::new(Disk(history()?)), Box::new(Disk(index)), &name)?
    {
        return Ok(paged);
    }
    tracing::info!(run = %run.id(), "making the index of the history");
    let index = match make(&history()?, &name, &path) {
        Err(PagedError::Io(error)) => {
            tracing::debug!(%error, "the index has no place in the run directory");
            let scratch = tempfile::tempfile()?;
            index_into(&history()?, &name, &scratch)?;
            scratch
        }
        made => made?,
    };
    let changed = || PagedError::Damaged("the history changed meanwhile".into());
    Paged::open(Box::new(Disk(history()?)), Box::new(Disk(index)), &name)?.ok_or_else(changed)
}

/// Makes the index beside its place and moves it there when it is whole.
fn make(history: &File, name: &str, path: &Path) -> Result<File, PagedError> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    // Who may read the history may read its index.
    let mode = fs::Permissions::from_mode(0o666);
    let made =
        tempfile::Builder::new().prefix(".windows-").permissions(mode).tempfile_in(folder)?;
    index_into(history, name, made.as_file())?;
    Ok(made.persist(path).map_err(|e| e.error)?)
}

fn index_into(history: &File, name: &str, index: &File) -> Result<(), PagedError> {
    let source = BufReader::with_capacity(READ_BUFFER_BYTES, history);
    build(source, name, BufWriter::with_capacity(READ_BUFFER_BYTES, index), &Settings::default())
}

/// Whether a run's history is long enough for its windows to be read from disk: that of a run under way is not, since it
/// changes all the time.
///
/// # Errors
/// When the run directory cannot be read.
pub fn is_long(run: &RunDir, bytes_min: u64) -> io::Result<bool> {
    let bytes = fs::metadata(run.history_path())?.len();
    let at_work = run.status().ok().flatten().is_some_and(|s| s.is_at_work());
    Ok(bytes >= bytes_min && !at_work)
}
