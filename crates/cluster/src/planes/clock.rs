//! A wall clock of a node's own, by libfaketime: a library that is loaded before all others, and a
//! file that says by how much the clock is off. The monotonic clock stays what it is.

use crate::process::ProcessSpec;
use crate::procfs::ProcessIdentity;
use crate::tool;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The library for programs with threads.
const LIBRARY: &str = "libfaketimeMT.so.1";
/// Where distributions keep libraries.
const ROOTS: [&str; 4] = ["/usr/lib", "/usr/lib64", "/usr/local/lib", "/lib"];
/// How long a process may go on with what the file said before.
pub(super) const CACHE: Duration = Duration::from_secs(1);

/// Where libfaketime is.
///
/// # Errors
/// What to install.
pub fn library() -> Result<PathBuf, String> {
    let below = |root: &Path| {
        let mut dirs = vec![root.join("faketime")];
        let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
        dirs.extend(entries.map(|entry| entry.path().join("faketime")));
        dirs.into_iter().map(|dir| dir.join(LIBRARY)).find(|file| file.is_file())
    };
    ROOTS.iter().find_map(|root| below(Path::new(root))).ok_or_else(|| {
        format!("{LIBRARY} is not below {}: install Debian's package libfaketime", ROOTS.join(", "))
    })
}

/// The clock of one node.
#[derive(Clone, Debug)]
pub struct SkewedClock {
    file: PathBuf,
    library: PathBuf,
}

impl SkewedClock {
    /// A clock that is right until it is moved, kept in the file `clock` of `dir`.
    ///
    /// # Errors
    /// When the file cannot be written or the library is missing.
    pub fn create(dir: &Path) -> io::Result<Self> {
        let library = library().map_err(io::Error::other)?;
        std::fs::create_dir_all(dir)?;
        let clock = Self { file: std::path::absolute(dir.join("clock"))?, library };
        clock.move_by(0)?;
        Ok(clock)
    }

    /// The environment of a process that goes by this clock.
    #[must_use]
    pub fn env(&self) -> BTreeMap<String, String> {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        BTreeMap::from([
            ("LD_PRELOAD".to_owned(), text(&self.library)),
            ("FAKETIME_TIMESTAMP_FILE".to_owned(), text(&self.file)),
            ("FAKETIME_CACHE_DURATION".to_owned(), CACHE.as_secs().to_string()),
            ("DONT_FAKE_MONOTONIC".to_owned(), "1".to_owned()),
        ])
    }

    /// How to start a process that goes by this clock.
    #[must_use]
    pub fn wind(&self, mut spec: ProcessSpec) -> ProcessSpec {
        spec.env.extend(self.env());
        spec
    }

    /// Lets the clock be off by so many milliseconds.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn move_by(&self, skew_ms: i64) -> io::Result<()> {
        let sign = if skew_ms < 0 { '-' } else { '+' };
        let (seconds, rest) = (skew_ms.unsigned_abs() / 1000, skew_ms.unsigned_abs() % 1000);
        // Renamed into place, since the process reads it at any moment.
        let draft = self.file.with_extension("draft");
        std::fs::write(&draft, format!("{sign}{seconds}.{rest:03}\n"))?;
        std::fs::rename(draft, &self.file)
    }

    /// By how many seconds the clock of another process with the same clock is off. Blocks.
    ///
    /// # Errors
    /// Why that is not known.
    pub fn twin_skew_s(&self) -> Result<i64, String> {
        let env = self.env();
        let settings: Vec<String> = env.iter().map(|(name, to)| format!("{name}={to}")).collect();
        let mut args: Vec<&str> = settings.iter().map(String::as_str).collect();
        args.extend(["date", "+%s"]);
        let said = tool::run("env", &args, "").map_err(|error| error.to_string())?;
        let there: i64 = said.trim().parse().map_err(|_| format!("date said {said:?}"))?;
        let here = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Ok(there - i64::try_from(here).unwrap_or(i64::MAX))
    }

    /// Whether a process has the library loaded.
    #[must_use]
    pub fn is_worn_by(process: ProcessIdentity) -> bool {
        std::fs::read_to_string(format!("/proc/{}/maps", process.pid))
            .is_ok_and(|maps| maps.contains(LIBRARY))
    }
}
