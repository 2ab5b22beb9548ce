//! What would keep a cluster from forming, found before anything is started.

use crate::diagnosis::LikelyCause;
use crate::procfs::{port_is_listened_on, port_owners};
use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, access};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The cluster may run into trouble.
    Warning,
    /// The cluster cannot form.
    Error,
}

/// Something that is wrong, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, as a sentence fragment.
    pub what: String,
    /// What to change.
    pub fix: String,
    /// The same in a form that a program can match on.
    pub cause: LikelyCause,
}

impl Finding {
    /// A finding that says of `cause` what the cause says of itself.
    #[must_use]
    pub fn new(severity: Severity, cause: LikelyCause) -> Self {
        Self { severity, what: cause.to_string(), fix: cause.fix(), cause }
    }
}

/// Where a program is: itself when its path has a slash, else the first match in `PATH`.
#[must_use]
pub fn find_program(program: &Path) -> Option<PathBuf> {
    if program.components().count() > 1 || program.is_absolute() {
        return program.exists().then(|| program.to_path_buf());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// Checks that a program is there and may be run.
#[must_use]
pub fn check_program(program: &Path) -> Option<Finding> {
    let shown = program.display().to_string();
    let cause = match find_program(program) {
        None => LikelyCause::ProgramMissing { path: shown },
        Some(file) if file.is_dir() || access(&file, AccessFlags::X_OK).is_err() => {
            LikelyCause::ProgramNotExecutable { path: shown }
        }
        Some(_) => return None,
    };
    Some(Finding::new(Severity::Error, cause))
}

/// Checks that a folder, or the nearest existing one above it, can be written to.
#[must_use]
pub fn check_writable(dir: &Path) -> Option<Finding> {
    let existing = nearest_existing(dir)?;
    let usable =
        existing.is_dir() && access(existing, AccessFlags::W_OK | AccessFlags::X_OK).is_ok();
    (!usable).then(|| {
        let text = format!("{} cannot be written to", existing.display());
        Finding::new(Severity::Error, LikelyCause::DataDir { text })
    })
}

/// Checks that the file system of a folder has at least `least_mib` MiB left for this user.
#[must_use]
pub fn check_space(dir: &Path, least_mib: u64) -> Option<Finding> {
    let existing = nearest_existing(dir)?;
    let stats = statvfs(existing).ok()?;
    #[expect(
        clippy::useless_conversion,
        reason = "the width of these fields differs between platforms"
    )]
    let (blocks, size) = (u64::from(stats.blocks_available()), u64::from(stats.fragment_size()));
    let free_mib = blocks.saturating_mul(size) / (1024 * 1024);
    (free_mib < least_mib).then(|| {
        let path = existing.display().to_string();
        Finding::new(Severity::Error, LikelyCause::DiskFull { path, free_mib, least_mib })
    })
}

/// Checks that nobody listens on a port.
#[must_use]
pub fn check_port(port: u16) -> Option<Finding> {
    if !port_is_listened_on(port) {
        return None;
    }
    let owner = port_owners(port).into_iter().next();
    Some(Finding::new(Severity::Error, LikelyCause::PortTaken { port, owner }))
}

/// Checks that the machine has at least `least_mib` MiB of memory to give (`MemAvailable` of `/proc/meminfo`).
#[must_use]
pub fn check_memory(least_mib: u64) -> Option<Finding> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let free_mib = line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? / 1024;
    (free_mib < least_mib).then(|| {
        let text = format!("{free_mib} MiB of memory are left, {least_mib} MiB are needed");
        let cause =
            LikelyCause::known("little-memory", text, "end other programs, or use fewer nodes");
        Finding::new(Severity::Warning, cause)
    })
}

/// Checks that the wall clock is not before the day on which this program was installed: certificates, log times and
/// record timestamps would all be wrong.
#[must_use]
pub fn check_clock() -> Option<Finding> {
    let installed = std::env::current_exe().ok()?.metadata().ok()?.modified().ok()?;
    let ahead = installed.duration_since(std::time::SystemTime::now()).ok()?;
    (ahead > ONE_DAY).then(|| {
        let days = ahead.as_secs() / ONE_DAY.as_secs();
        let text = format!("the wall clock is {days} days before this program's own files");
        let cause =
            LikelyCause::known("clock-wrong", text, "set the clock, or start the time service");
        Finding::new(Severity::Error, cause)
    })
}

/// How far clocks may be apart before that is worth a word.
const ONE_DAY: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

fn nearest_existing(dir: &Path) -> Option<&Path> {
    dir.ancestors()
        .map(|dir| if dir.as_os_str().is_empty() { Path::new(".") } else { dir })
        .find(|dir| dir.exists())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn programs_are_found_missing_or_not_executable() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("server");
        let missing = check_program(&file).unwrap();
        assert!(matches!(missing.cause, LikelyCause::ProgramMissing { .. }));
        std::fs::write(&file, "#!/bin/sh\n").unwrap();
        let plain = check_program(&file).unwrap();
        assert!(matches!(plain.cause, LikelyCause::ProgramNotExecutable { .. }));
        assert!(plain.fix.contains("chmod"), "{}", plain.fix);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(check_program(&file), None);
        assert_eq!(check_program(Path::new("sh")), None);
        assert!(check_program(Path::new("no-such-program-in-the-path")).is_some());
        assert!(check_program(dir.path()).is_some());
    }

    #[test]
    fn a_file_in_place_of_the_folder_is_found() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(check_writable(&dir.path().join("not/yet/there")), None);
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let finding = check_writable(&file.join("below")).unwrap();
        assert!(matches!(finding.cause, LikelyCause::DataDir { .. }));
    }

    #[test]
    fn space_is_compared_with_the_need() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(check_space(dir.path(), 0), None);
        let finding = check_space(&dir.path().join("later"), u64::MAX).unwrap();
        assert!(matches!(finding.cause, LikelyCause::DiskFull { least_mib: u64::MAX, .. }));
    }

    #[test]
    fn a_taken_port_is_found_with_its_owner() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let finding = check_port(port).unwrap();
        let own = std::process::id();
        assert!(finding.what.contains(&format!("pid {own}")), "{}", finding.what);
        let LikelyCause::PortTaken { owner: Some(owner), .. } = finding.cause else {
            panic!("{finding:?}");
        };
        assert_eq!(owner.process.pid, own);
    }
}
