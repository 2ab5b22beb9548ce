//! Damage to the log files of a node that does not run. What is damaged is copied before.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// How deep below the data folder log files are looked for.
const MAX_DEPTH: u32 = 4;
/// The part of a file that no bit is flipped in, so that what is hit are records and not the start.
const SPARED_BYTES: u64 = 64;

/// What was done to one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Damage {
    pub(super) file: PathBuf,
    /// Bytes before.
    pub(super) before: u64,
    /// Bytes after.
    pub(super) after: u64,
    /// How many bits of what is left differ from the copy.
    pub(super) flipped: u64,
}

/// The newest log file of each folder: the last by name, since a segment is named by the offset of
/// its first record, padded with zeros. Empty files are left out.
pub(super) fn newest_logs(data: &Path, suffix: &str) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    collect(data, suffix, MAX_DEPTH, &mut found)?;
    found.sort();
    Ok(found)
}

fn collect(dir: &Path, suffix: &str, depth: u32, found: &mut Vec<PathBuf>) -> io::Result<()> {
    let mut newest: Option<PathBuf> = None;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() && depth > 0 {
            collect(&path, suffix, depth - 1, found)?;
        } else if kind.is_file()
            && path.to_string_lossy().ends_with(suffix)
            && entry.metadata()?.len() > 0
        {
            newest = newest.max(Some(path));
        }
    }
    found.extend(newest);
    Ok(())
}

/// Copies `file` of `data` into `originals`, under the same name.
fn keep(file: &Path, data: &Path, originals: &Path) -> io::Result<PathBuf> {
    let copy = originals.join(file.strip_prefix(data).unwrap_or(file));
    if let Some(dir) = copy.parent() {
        fs::create_dir_all(dir)?;
    }
    fs::copy(file, &copy)?;
    Ok(copy)
}

/// Cuts `percent` of each newest log file off its end. What lies in a folder of one of the names `forced` is on the disk
/// before anything follows from it, so that a loss of power takes nothing of it away.
pub(super) fn cut_tails(
    data: &Path,
    suffix: &str,
    percent: u8,
    forced: &[&str],
    originals: &Path,
) -> io::Result<Vec<Damage>> {
    let mut all = Vec::new();
    let safe = |file: &Path| {
        let folder = file.parent().and_then(Path::file_name).and_then(|name| name.to_str());
        folder.is_some_and(|name| forced.contains(&name))
    };
    for file in newest_logs(data, suffix)?.into_iter().filter(|file| !safe(file)) {
        let copy = keep(&file, data, originals)?;
        let before = fs::metadata(&copy)?.len();
        let rest = before * u64::from(100 - percent.min(100)) / 100;
        OpenOptions::new().write(true).open(&file)?.set_len(rest)?;
        let after = fs::metadata(&file)?.len();
        all.push(Damage { file, before, after, flipped: 0 });
    }
    Ok(all)
}

/// Flips `flips` bits, spread over the newest log files by the drawn number `pick`.
pub(super) fn flip_bits(
    data: &Path,
    suffix: &str,
    flips: u32,
    pick: u64,
    originals: &Path,
) -> io::Result<Vec<Damage>> {
    let mut files = newest_logs(data, suffix)?;
    files.retain(|file| fs::metadata(file).is_ok_and(|meta| meta.len() > SPARED_BYTES));
    let mut hit: Vec<PathBuf> = Vec::new();
    let mut drawn = pick;
    for _ in 0..flips {
        let Some(at) = choose(&mut drawn, files.len() as u64) else { break };
        let file = &files[usize::try_from(at).unwrap_or(0)];
        if !hit.contains(file) {
            keep(file, data, originals)?;
            hit.push(file.clone());
        }
        let length = fs::metadata(file)?.len() - SPARED_BYTES;
        let byte = SPARED_BYTES + choose(&mut drawn, length).unwrap_or(0);
        let bit = choose(&mut drawn, 8).unwrap_or(0);
        flip(file, byte, bit)?;
    }
    hit.into_iter()
        .map(|file| {
            let copy = originals.join(file.strip_prefix(data).unwrap_or(&file));
            let flipped = differing_bits(&copy, &file)?;
            let (before, after) = (fs::metadata(&copy)?.len(), fs::metadata(&file)?.len());
            Ok(Damage { file, before, after, flipped })
        })
        .collect()
}

/// A number below `bound` (none when that is 0), by Knuth's linear congruential generator.
fn choose(drawn: &mut u64, bound: u64) -> Option<u64> {
    *drawn = drawn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*drawn >> 16).checked_rem(bound)
}

fn flip(file: &Path, byte: u64, bit: u64) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).open(file)?;
    let mut value = [0];
    file.seek(SeekFrom::Start(byte))?;
    file.read_exact(&mut value)?;
    value[0] ^= 1 << bit;
    file.seek(SeekFrom::Start(byte))?;
    file.write_all(&value)
}

fn differing_bits(one: &Path, other: &Path) -> io::Result<u64> {
    let read = |path| {
        let mut bytes = Vec::new();
        File::open(path)?.read_to_end(&mut bytes)?;
        io::Result::Ok(bytes)
    };
    let pairs = read(one)?.into_iter().zip(read(other)?);
    Ok(pairs.map(|(a, b)| u64::from((a ^ b).count_ones())).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let partition = dir.path().join("data/t-0");
        fs::create_dir_all(&partition).unwrap();
        fs::write(partition.join("00000000000000000000.log"), [1; 500]).unwrap();
        fs::write(partition.join("00000000000000000500.log"), [2; 1000]).unwrap();
        fs::write(partition.join("00000000000000000900.log"), []).unwrap();
        fs::write(partition.join("00000000000000000900.index"), [3; 10]).unwrap();
        dir
    }

    #[test]
    fn only_the_newest_log_loses_its_tail_and_the_original_is_kept() {
        let dir = data();
        let (data, originals) = (dir.path().join("data"), dir.path().join("originals"));
        let metadata = data.join("forced-0");
        fs::create_dir_all(&metadata).unwrap();
        fs::write(metadata.join("00000000000000000000.log"), [4; 100]).unwrap();
        let damage = cut_tails(&data, ".log", 40, &["forced-0"], &originals).unwrap();
        assert_eq!(damage.len(), 1);
        assert_eq!((damage[0].before, damage[0].after), (1000, 600));
        let newest = "t-0/00000000000000000500.log";
        assert_eq!(fs::read(originals.join(newest)).unwrap(), [2; 1000]);
        assert_eq!(fs::read(data.join(newest)).unwrap(), [2; 600]);
        assert_eq!(fs::read(data.join("t-0/00000000000000000000.log")).unwrap(), [1; 500]);
        assert_eq!(fs::read(metadata.join("00000000000000000000.log")).unwrap(), [4; 100]);
    }

    #[test]
    fn bits_are_flipped_where_the_drawn_number_says_and_counted_in_the_file() {
        let flipped = |pick| {
            let dir = data();
            let (data, originals) = (dir.path().join("data"), dir.path().join("originals"));
            let damage = flip_bits(&data, ".log", 3, pick, &originals).unwrap();
            assert_eq!(damage.iter().map(|d| d.flipped).sum::<u64>(), 3, "pick {pick}");
            fs::read(data.join("t-0/00000000000000000500.log")).unwrap()
        };
        assert_eq!(flipped(7), flipped(7));
        assert_ne!(flipped(7), flipped(8));
        assert!(flipped(7)[..64].iter().all(|byte| *byte == 2));
    }

    #[test]
    fn nothing_to_damage_is_no_damage() {
        let dir = tempfile::tempdir().unwrap();
        let originals = dir.path().join("originals");
        assert_eq!(cut_tails(dir.path(), ".log", 40, &[], &originals).unwrap(), []);
        assert_eq!(flip_bits(dir.path(), ".log", 2, 1, &originals).unwrap(), []);
    }
}
