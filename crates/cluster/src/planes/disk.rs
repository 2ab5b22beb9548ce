//! A disk of a node's own: a file with a file system in it that can be full, slow and broken.

use crate::deed::{Deed, Ledger};
use crate::node::NodeId;
use crate::sync::locked;
use crate::tool::{self, ToolError};
use crate::undo::{UndoError, UndoJournal};
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::statvfs::statvfs;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What fills the disk.
const BALLAST: &str = "ballast";
/// What is written to see whether writing works.
const PROBE: &str = "probe";
/// How long a slow disk works between two stops.
const BREATH: Duration = Duration::from_millis(20);
/// How many bytes the probe writes: more than what an inode or a started block holds.
const PROBE_BYTES: usize = 64 * 1024;

/// A node's disk cannot be made or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiskError {
    /// A tool of the system failed.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// The undo journal cannot be written.
    #[error(transparent)]
    Undo(#[from] UndoError),
    /// A file of the disk cannot be written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the file system said.
        #[source]
        source: io::Error,
    },
}

#[derive(Debug)]
struct Slowness {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// A mounted disk. Dropping it unmounts and removes it.
#[derive(Debug)]
pub struct Disk {
    node: NodeId,
    image: PathBuf,
    mount: PathBuf,
    ledger: Ledger,
    slowness: Mutex<Option<Slowness>>,
}

impl Disk {
    /// Makes a disk of `mib` MiB in the file `disk.img` of `dir`, mounted at `disk` beside it.
    /// Blocks.
    ///
    /// # Errors
    /// [`DiskError`]; nothing is left mounted then.
    pub fn create(
        node: NodeId,
        dir: &Path,
        mib: u32,
        journal: Arc<UndoJournal>,
    ) -> Result<Self, DiskError> {
        let failed = |path: &Path| {
            let path = path.to_path_buf();
            move |source| DiskError::File { path, source }
        };
        fs::create_dir_all(dir).map_err(failed(dir))?;
        let dir = std::path::absolute(dir).map_err(failed(dir))?;
        let (image, mount) = (dir.join("disk.img"), dir.join("disk"));
        let ledger = Ledger::new(journal);
        let disk = Self { node, image, mount, ledger, slowness: Mutex::default() };
        disk.ledger.note(Deed::File { path: disk.image.clone() }, Some(node))?;
        let file = File::create(&disk.image).map_err(failed(&disk.image))?;
        file.set_len(u64::from(mib.max(8)) * 1024 * 1024).map_err(failed(&disk.image))?;
        // No blocks are kept for root, which the nodes may be.
        tool::run("mkfs.ext4", &["-q", "-F", "-m", "0", &disk.image.to_string_lossy()], "")?;
        fs::create_dir_all(&disk.mount).map_err(failed(&disk.mount))?;
        disk.mount()?;
        Ok(disk)
    }

    fn mounted(&self) -> Deed {
        Deed::Mounted { path: self.mount.clone() }
    }

    fn mount(&self) -> Result<(), DiskError> {
        self.ledger.note(self.mounted(), Some(self.node))?;
        let (image, mount) = (self.image.to_string_lossy(), self.mount.to_string_lossy());
        tool::run("mount", &["-t", "ext4", "-o", "loop", &image, &mount], "")?;
        Ok(())
    }

    /// Where the node's data belongs.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.mount.join("data")
    }

    /// Takes all the room that is left. Blocks.
    ///
    /// # Errors
    /// [`DiskError::File`] when the ballast cannot be made.
    pub fn fill(&self) -> Result<(), DiskError> {
        let path = self.mount.join(BALLAST);
        let failed = |source: io::Error| DiskError::File { path: path.clone(), source };
        let file = File::options().create(true).append(true).open(&path).map_err(failed)?;
        let (mut end, mut piece) = (file.metadata().map_err(failed)?.len(), self.free_bytes());
        let block = 4096;
        while piece >= block {
            let (from, length) = (i64::try_from(end), i64::try_from(piece));
            let (Ok(from), Ok(length)) = (from, length) else { break };
            match fallocate(&file, FallocateFlags::empty(), from, length) {
                Ok(()) => end += piece,
                Err(_) => piece = piece / 2 / block * block,
            }
        }
        Ok(())
    }

    /// Gives the room back. Blocks.
    ///
    /// # Errors
    /// [`DiskError::File`].
    pub fn drain(&self) -> Result<(), DiskError> {
        let path = self.mount.join(BALLAST);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(DiskError::File { path, source })
            }
            _ => Ok(()),
        }
    }

    /// How many bytes are free.
    #[must_use]
    pub fn free_bytes(&self) -> u64 {
        #[expect(
            clippy::useless_conversion,
            reason = "the width of these fields differs between platforms"
        )]
        statvfs(&self.mount).map_or(0, |stats| {
            u64::from(stats.blocks_available()).saturating_mul(u64::from(stats.fragment_size()))
        })
    }

    /// Lets every write fail from now on, as after an error of the device. Blocks.
    ///
    /// # Errors
    /// [`DiskError::Tool`].
    pub fn fail(&self) -> Result<(), DiskError> {
        // `abort` is ext4's own way to try out what follows an error of the device.
        tool::run("mount", &["-o", "remount,abort", &self.mount.to_string_lossy()], "")?;
        Ok(())
    }

    /// Mounts a failed disk anew. No process may use it. Blocks.
    ///
    /// # Errors
    /// [`DiskError`].
    pub fn repair(&self) -> Result<(), DiskError> {
        self.ledger.take_back(&self.mounted());
        // It ends with 1 when it has repaired something; what it could not repair, mounting names.
        let _ = tool::run("e2fsck", &["-p", "-f", &self.image.to_string_lossy()], "");
        self.mount()
    }

    /// Lets everything that waits for the disk wait up to `stop` again and again. Blocks shortly.
    ///
    /// # Errors
    /// [`DiskError::Undo`], or [`DiskError::Tool`] when the file system cannot be stopped.
    pub fn slow(&self, stop: Duration) -> Result<(), DiskError> {
        if locked(&self.slowness).is_some() {
            return Ok(());
        }
        let path = self.mount.clone();
        self.ledger.note(Deed::Frozen { path: path.clone() }, Some(self.node))?;
        freeze(&path, "-f")?;
        let ended = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&ended);
        let thread = std::thread::spawn(move || {
            while !flag.load(Ordering::Relaxed) {
                std::thread::sleep(stop);
                let _ = freeze(&path, "-u");
                std::thread::sleep(BREATH);
                if flag.load(Ordering::Relaxed) || freeze(&path, "-f").is_err() {
                    break;
                }
            }
            let _ = freeze(&path, "-u");
        });
        *locked(&self.slowness) = Some(Slowness { stop: ended, thread });
        Ok(())
    }

    /// Ends that. Blocks for at most one stop.
    pub fn quicken(&self) {
        let Some(slowness) = locked(&self.slowness).take() else { return };
        slowness.stop.store(true, Ordering::Relaxed);
        if slowness.thread.join().is_err() {
            tracing::error!(mount = %self.mount.display(), "what slowed the disk panicked");
        }
        self.ledger.take_back(&Deed::Frozen { path: self.mount.clone() });
    }

    /// Unmounts and removes the disk with all that is on it. Can be repeated. Blocks.
    pub fn remove(&self) {
        self.quicken();
        self.ledger.take_back_all();
        let _ = fs::remove_dir(&self.mount);
    }

    /// Writes a small file and forces it to the disk. Blocks. Gives how long it took.
    ///
    /// # Errors
    /// What the file system said.
    pub fn probe(&self) -> io::Result<Duration> {
        let began = Instant::now();
        let path = self.mount.join(PROBE);
        let mut file = File::create(&path)?;
        let outcome = file.write_all(&[b'p'; PROBE_BYTES]).and_then(|()| file.sync_all());
        drop(file);
        let _ = fs::remove_file(&path);
        outcome.map(|()| began.elapsed())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.remove();
    }
}

fn freeze(mount: &Path, how: &str) -> Result<String, ToolError> {
    tool::run("fsfreeze", &[how, &mount.to_string_lossy()], "")
}
