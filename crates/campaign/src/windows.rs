//! Windows of a long history on disk, and the index that they are read from: `windows.idx` in the run directory, made when it
//! is not there or of another history.

use perjury_history::History;
use perjury_store::RunDir;
use perjury_view::paged::{Paged, PagedError, ReadAt, Settings, build, build_from};
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// How much of a history is read at once while its index is made.
const READ_BUFFER_BYTES: usize = 1 << 20;

/// A file that is read from any place, or its beginning: what is appended later is not part of it.
#[derive(Debug)]
struct Disk {
    file: File,
    bytes_max: u64,
}

impl Disk {
    fn whole(file: File) -> Box<Disk> {
        Box::new(Disk { file, bytes_max: u64::MAX })
    }
}

impl ReadAt for Disk {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len().min(self.bytes_max))
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, at)
    }
}

/// Counts what was read.
struct Counted<'c, R> {
    inner: R,
    read: &'c AtomicU64,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.read.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

/// The windows of a run's history. The index is made if it is not there, which takes about as long as reading the history once and no
/// more memory than a block of it; in a directory that cannot be written, it is made in a file without a name. `read` grows by
/// each byte of the history that is read meanwhile.
///
/// # Errors
/// [`PagedError::History`] with line and column when the history is none, [`PagedError::Io`] when it or the index cannot be
/// read or written.
pub fn windows(run: &RunDir, read: &AtomicU64) -> Result<Paged, PagedError> {
    let name = format!("{}/history.jsonl", run.id());
    let history = || File::open(run.history_path());
    let path = run.windows_path();
    if let Ok(index) = File::open(&path)
        && let Some(paged) = Paged::open(Disk::whole(history()?), Disk::whole(index), &name)?
    {
        return Ok(paged);
    }
    tracing::info!(run = %run.id(), "making the index of the history");
    let index = match make(&history()?, &name, &path, read) {
        Err(PagedError::Io(error)) => {
            tracing::debug!(%error, "the index has no place in the run directory");
            let scratch = tempfile::tempfile()?;
            read.store(0, Ordering::Relaxed);
            index_into(&history()?, &name, &scratch, read)?;
            scratch
        }
        made => made?,
    };
    let changed = || PagedError::Damaged("the history changed meanwhile".into());
    Paged::open(Disk::whole(history()?), Disk::whole(index), &name)?.ok_or_else(changed)
}

/// The windows of the first so many bytes of a history that is still growing. Its index is thrown away with them, since the run
/// writes one of the whole when it is over.
///
/// # Errors
/// As [`windows`].
pub fn windows_so_far(run: &RunDir, bytes: u64, read: &AtomicU64) -> Result<Paged, PagedError> {
    let name = format!("{}/history.jsonl", run.id());
    let scratch = tempfile::tempfile_in(run.path()).or_else(|_| tempfile::tempfile())?;
    let history = File::open(run.history_path())?;
    index_into((&history).take(bytes), &name, &scratch, read)?;
    let history = Box::new(Disk { file: history, bytes_max: bytes });
    let shorter = || PagedError::Damaged("the history became shorter meanwhile".into());
    Paged::open(history, Disk::whole(scratch), &name)?.ok_or_else(shorter)
}

/// Keeps the index of a run's history that was read into memory and not changed since.
pub(crate) fn keep_windows(run: &RunDir, history: &History) -> Result<(), PagedError> {
    let name = format!("{}/history.jsonl", run.id());
    let source = BufReader::with_capacity(READ_BUFFER_BYTES, File::open(run.history_path())?);
    placed(&run.windows_path(), |index| {
        let out = BufWriter::with_capacity(READ_BUFFER_BYTES, index);
        build_from(history, source, &name, out, &Settings::default())
    })?;
    Ok(())
}

fn make(history: &File, name: &str, path: &Path, read: &AtomicU64) -> Result<File, PagedError> {
    placed(path, |index| index_into(history, name, index, read))
}

/// Makes the index beside its place and moves it there when it is whole.
fn placed(
    path: &Path,
    fill: impl FnOnce(&File) -> Result<(), PagedError>,
) -> Result<File, PagedError> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    // Who may read the history may read its index.
    let mode = fs::Permissions::from_mode(0o666);
    let made =
        tempfile::Builder::new().prefix(".windows-").permissions(mode).tempfile_in(folder)?;
    fill(made.as_file())?;
    Ok(made.persist(path).map_err(|e| e.error)?)
}

fn index_into(
    history: impl Read,
    name: &str,
    index: &File,
    read: &AtomicU64,
) -> Result<(), PagedError> {
    let inner = BufReader::with_capacity(READ_BUFFER_BYTES, history);
    let out = BufWriter::with_capacity(READ_BUFFER_BYTES, index);
    build(Counted { inner, read }, name, out, &Settings::default())
}
