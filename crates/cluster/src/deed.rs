//! What is done to the machine, by what has to be taken back, and how that is done.

use crate::node::NodeId;
use crate::procfs::ProcessIdentity;
use crate::sync::locked;
use crate::tool::{self, ToolError};
use crate::undo::{UndoError, UndoJournal};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How often a busy mount is tried, and how long the pause is.
const UNMOUNT_TRIES: u32 = 20;
const UNMOUNT_PAUSE: Duration = Duration::from_millis(50);

/// Something that was done and has to be taken back. The order of the variants is the order in
/// which they are taken back: a process that waits for a frozen disk cannot be killed, a mount is
/// busy while a process uses it, and a namespace lives as long as a process in it. A link goes before
/// its namespace, which may keep it for as long as closed connections have data to deliver.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "deed")]
#[non_exhaustive]
pub enum Deed {
    /// A process was stopped by SIGSTOP; SIGCONT takes it back.
    Stopped {
        /// The process.
        process: ProcessIdentity,
    },
    /// A file system was frozen; thawing takes it back.
    Frozen {
        /// Where it is mounted.
        path: PathBuf,
    },
    /// A process was started; SIGKILL takes it back.
    Started {
        /// The process.
        process: ProcessIdentity,
    },
    /// Packet rules were set within a namespace; deleting their table takes it back.
    Rules {
        /// The namespace.
        namespace: String,
    },
    /// The bandwidth of a device was limited; deleting the queueing discipline takes it back.
    Shaped {
        /// The namespace of the device; absent for the host's own.
        namespace: Option<String>,
        /// The device.
        device: String,
    },
    /// A file system was mounted; unmounting takes it back.
    Mounted {
        /// Where.
        path: PathBuf,
    },
    /// A file was made that nobody else knows; removing it takes it back.
    File {
        /// The file.
        path: PathBuf,
    },
    /// A bridge (or another device) was made; deleting takes it back.
    Device {
        /// Its name.
        name: String,
    },
    /// A network namespace was made; deleting takes it back.
    Namespace {
        /// Its name.
        name: String,
    },
}

impl Deed {
    /// The process that it was done to, if it was done to one.
    #[must_use]
    pub fn process(&self) -> Option<ProcessIdentity> {
        match self {
            Self::Stopped { process } | Self::Started { process } => Some(*process),
            _ => None,
        }
    }

    /// Takes back what was done to the machine and not to a process. Says whether there was
    /// anything left of it.
    ///
    /// # Errors
    /// What the system's tool, or the file system, said.
    pub(crate) fn take_back_thing(&self) -> Result<bool, String> {
        let said = |done: Result<String, ToolError>| match done {
            Ok(_) => Ok(true),
            Err(error) => Err(error.to_string()),
        };
        match self {
            Self::Stopped { .. } | Self::Started { .. } => Ok(false),
            Self::Frozen { path } if !is_mounted(path) => Ok(false),
            // A file system that is not frozen cannot be thawed: then nothing is left of the deed.
            Self::Frozen { path } => {
                let thaw = || tool::run("fsfreeze", &["-u", &path.to_string_lossy()], "").is_ok();
                let first = thaw();
                // A tool that a killed process had just started may freeze it once more.
                std::thread::sleep(UNMOUNT_PAUSE);
                Ok(thaw() || first)
            }
            Self::Rules { namespace } => {
                let table = |verb| {
                    tool::run(
                        "ip",
                        &[
                            "netns",
                            "exec",
                            namespace,
                            "nft",
                            verb,
                            "table",
                            "inet",
                            crate::net::TABLE,
                        ],
                        "",
                    )
                };
                if !namespace_exists(namespace) || table("list").is_err() {
                    return Ok(false);
                }
                said(table("delete"))
            }
            Self::Shaped { namespace, device } => {
                let mut args = Vec::new();
                if let Some(namespace) = namespace {
                    if !namespace_exists(namespace) {
                        return Ok(false);
                    }
                    args.extend(["-n", namespace.as_str()]);
                }
                args.extend(["qdisc", "del", "dev", device, "root"]);
                // An error says that the device, or its queueing discipline, is not there any more.
                Ok(tool::run("tc", &args, "").is_ok())
            }
            Self::Mounted { path } => unmount(path),
            Self::File { path } => match std::fs::remove_file(path) {
                Ok(()) => Ok(true),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
                Err(error) => Err(format!("cannot remove {}: {error}", path.display())),
            },
            Self::Namespace { name } if !namespace_exists(name) => Ok(false),
            Self::Namespace { name } => said(tool::run("ip", &["netns", "delete", name], "")),
            Self::Device { name } if !Path::new("/sys/class/net").join(name).exists() => Ok(false),
            Self::Device { name } => said(tool::run("ip", &["link", "delete", name], "")),
        }
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped { process } => write!(f, "{process} was stopped"),
            Self::Frozen { path } => write!(f, "the disk at {} was frozen", path.display()),
            Self::Started { process } => write!(f, "{process} was started"),
            Self::Rules { namespace } => write!(f, "packet rules were set in {namespace}"),
            Self::Shaped { device, .. } => write!(f, "the bandwidth of {device} was limited"),
            Self::Mounted { path } => write!(f, "a disk was mounted at {}", path.display()),
            Self::File { path } => write!(f, "{} was made", path.display()),
            Self::Namespace { name } => write!(f, "the network namespace {name} was made"),
            Self::Device { name } => write!(f, "the network device {name} was made"),
        }
    }
}

/// Whether a named network namespace exists.
#[must_use]
pub(crate) fn namespace_exists(name: &str) -> bool {
    Path::new("/run/netns").join(name).exists()
}

/// Whether something is mounted at `path`.
#[must_use]
pub(crate) fn is_mounted(path: &Path) -> bool {
    let path = path.to_string_lossy();
    let table = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    // The kernel writes a blank within a path as an octal escape.
    let escaped = path.replace('\\', "\\134").replace(' ', "\\040");
    table.lines().any(|line| line.split(' ').nth(1) == Some(escaped.as_str()))
}

/// Unmounts, waiting a little for processes that are just ending; lazily when it stays busy.
pub(crate) fn unmount(path: &Path) -> Result<bool, String> {
    if !is_mounted(path) {
        return Ok(false);
    }
    let shown = path.to_string_lossy();
    for _ in 0..UNMOUNT_TRIES {
        if tool::run("umount", &[&shown], "").is_ok() {
            return Ok(true);
        }
        std::thread::sleep(UNMOUNT_PAUSE);
    }
    tool::run("umount", &["-l", &shown], "").map(|_| true).map_err(|error| error.to_string())
}

/// What a part of this process has done and not yet taken back, written down in the undo journal.
#[derive(Debug)]
pub(crate) struct Ledger {
    journal: Arc<UndoJournal>,
    /// With the journal's numbers, in the order of doing.
    open: Mutex<Vec<(u64, Deed)>>,
}

impl Ledger {
    pub(crate) fn new(journal: Arc<UndoJournal>) -> Self {
        Self { journal, open: Mutex::default() }
    }

    /// Writes down a deed that is about to be done.
    pub(crate) fn note(&self, deed: Deed, node: Option<NodeId>) -> Result<(), UndoError> {
        let seq = self.journal.record(deed.clone(), node)?;
        locked(&self.open).push((seq, deed));
        Ok(())
    }

    /// Takes back the newest deed that equals `deed`, if there is one. What cannot be taken back
    /// stays in the journal for the next replay.
    pub(crate) fn take_back(&self, deed: &Deed) {
        let found = {
            let mut open = locked(&self.open);
            let at = open.iter().rposition(|(_, other)| other == deed);
            at.map(|at| open.remove(at))
        };
        let Some((seq, deed)) = found else { return };
        match deed.take_back_thing() {
            Ok(_) => {
                if let Err(error) = self.journal.undone(seq) {
                    tracing::error!(%error, "the undo journal keeps an entry that is undone");
                }
            }
            Err(error) => tracing::error!(%deed, %error, "cannot be taken back"),
        }
    }

    /// Takes back everything, in the order in which a replay would.
    pub(crate) fn take_back_all(&self) {
        let mut deeds: Vec<Deed> =
            locked(&self.open).iter().map(|(_, deed)| deed.clone()).collect();
        deeds.sort();
        deeds.iter().for_each(|deed| self.take_back(deed));
    }
}
