//! The zip file itself: written the same way every time, and read so strictly that no byte of it goes unexplained.
//!
//! A zip file says most things twice (before each member and in the directory at its end) and has room for what nobody
//! asked for: comments, extra fields, gaps, members that only one of the two lists names. Here all of that is refused, and
//! every field must be what the writer writes; so a flipped byte anywhere in the file is found and the member named.

use crate::error::EvidenceError;
use flate2::{Decompress, FlushDecompress, Status};
use std::collections::BTreeSet;
use std::io::{Cursor, Write};
use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// The largest file that is read as a bundle.
pub const BUNDLE_BYTES_MAX: u64 = 1 << 30;
/// The largest member, unpacked.
pub const MEMBER_BYTES_MAX: u64 = 1 << 30;
/// All members together, unpacked.
const TOTAL_BYTES_MAX: u64 = 3 << 29;
/// How many members a bundle may have.
const MEMBERS_MAX: usize = 2000;
/// The longest name of a member.
const NAME_BYTES_MAX: usize = 300;

const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
const LOCAL_BYTES: usize = 30;
const CENTRAL_BYTES: usize = 46;
const END_BYTES: usize = 22;
const STORED: u16 = 0;
const DEFLATED: u16 = 8;

/// What the writer puts into the fields that say nothing about the content: version needed, flags, time and date (the
/// beginning of 1980, where the clock of zip files starts), version made by, and the file's mode.
const NEEDED: u16 = 20;
const NEEDED_STORED: u16 = 10;
const FLAGS: u16 = 0;
const TIME: u16 = 0;
const DATE: u16 = 0x0021;
const MADE_BY: [u16; 2] = [0x0300 | 20, 0x0300 | 10];
const MODE: u32 = 0o100_644 << 16;

/// One member of a zip file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    /// Its name: plain parts joined by slashes.
    pub(crate) name: String,
    /// Where its local header begins in the file.
    pub(crate) start: usize,
    /// Where its packed content begins.
    pub(crate) data: usize,
    /// Where its packed content ends.
    pub(crate) end: usize,
    /// The size of its content.
    pub(crate) bytes: u64,
    method: u16,
    crc: u32,
}

/// What is wrong with a zip file, and in which member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flaw {
    /// The member, or what stands for the file itself.
    pub(crate) member: String,
    /// What is wrong.
    pub(crate) what: String,
}

fn flaw<T>(member: &str, what: impl Into<String>) -> Result<T, Flaw> {
    Err(Flaw { member: member.to_owned(), what: what.into() })
}

/// The name of the directory at the end in messages.
const DIRECTORY: &str = "the zip directory";

fn failed(member: &str) -> impl FnOnce(ZipError) -> EvidenceError {
    let member = member.to_owned();
    move |source| EvidenceError::Pack { member, source }
}

/// Packs members in this order, compressed.
///
/// # Errors
/// [`EvidenceError::Pack`] names the member.
pub(crate) fn pack(members: &[(String, Vec<u8>)]) -> Result<Vec<u8>, EvidenceError> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in members {
        add(&mut zip, name, bytes, CompressionMethod::Deflated)?;
    }
    Ok(zip.finish().map_err(failed(DIRECTORY))?.into_inner())
}

/// The same file with further members at its end, which are not compressed. Those that were there keep their place and
/// their bytes.
///
/// # Errors
/// [`EvidenceError::Pack`] names the member.
pub(crate) fn extend(
    packed: Vec<u8>,
    members: &[(String, Vec<u8>)],
) -> Result<Vec<u8>, EvidenceError> {
    let mut before = ZipArchive::new(Cursor::new(packed)).map_err(failed(DIRECTORY))?;
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for i in 0..before.len() {
        let member = before.by_index_raw(i).map_err(failed(DIRECTORY))?;
        zip.raw_copy_file(member).map_err(failed(DIRECTORY))?;
    }
    for (name, bytes) in members {
        add(&mut zip, name, bytes, CompressionMethod::Stored)?;
    }
    Ok(zip.finish().map_err(failed(DIRECTORY))?.into_inner())
}

fn add(
    zip: &mut ZipWriter<Cursor<Vec<u8>>>,
    name: &str,
    bytes: &[u8],
    method: CompressionMethod,
) -> Result<(), EvidenceError> {
    let options = SimpleFileOptions::default()
        .compression_method(method)
        .last_modified_time(zip::DateTime::default())
        .unix_permissions(0o644);
    zip.start_file(name, options).map_err(failed(name))?;
    zip.write_all(bytes).map_err(|e| failed(name)(ZipError::Io(e)))
}

/// Reads little-endian fields one after the other.
struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let part = self.bytes.get(self.at..self.at.checked_add(n)?)?;
        self.at += n;
        Some(part)
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.take(2)?.try_into().ok()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }
}

/// What both headers of a member say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Common {
    needed: u16,
    flags: u16,
    method: u16,
    time: u16,
    date: u16,
    crc: u32,
    packed: u32,
    bytes: u32,
    name: u16,
    extra: u16,
}

fn common(fields: &mut Fields<'_>) -> Option<Common> {
    Some(Common {
        needed: fields.u16()?,
        flags: fields.u16()?,
        method: fields.u16()?,
        time: fields.u16()?,
        date: fields.u16()?,
        crc: fields.u32()?,
        packed: fields.u32()?,
        bytes: fields.u32()?,
        name: fields.u16()?,
        extra: fields.u16()?,
    })
}

/// The members in the order in which they stand. Every byte outside their packed contents has been checked.
///
/// # Errors
/// The first [`Flaw`]: what is not as the writer writes it, or larger than the limits.
pub(crate) fn members(file: &[u8]) -> Result<Vec<Member>, Flaw> {
    if file.len() as u64 > BUNDLE_BYTES_MAX {
        return flaw(DIRECTORY, format!("the file is larger than {BUNDLE_BYTES_MAX} bytes"));
    }
    let (count, directory) = end(file)?;
    let mut fields = Fields { bytes: file, at: directory };
    let mut found: Vec<Member> = Vec::with_capacity(count.min(MEMBERS_MAX));
    let mut names = BTreeSet::new();
    let mut total = 0u64;
    let mut next = 0;
    for n in 0..count {
        let label = format!("{DIRECTORY}, entry {}", n + 1);
        let member = central(file, &mut fields, next, &label)?;
        if !names.insert(member.name.clone()) {
            return flaw(&member.name, "the file has two members of this name");
        }
        total += member.bytes;
        if total > TOTAL_BYTES_MAX {
            return flaw(
                &member.name,
                format!("the members unpack to more than {TOTAL_BYTES_MAX} bytes"),
            );
        }
        next = member.end;
        found.push(member);
    }
    if next != directory {
        return flaw(DIRECTORY, "there are bytes between the members that belong to none");
    }
    if fields.at + END_BYTES != file.len() {
        return flaw(DIRECTORY, "it is not where the end of the file says");
    }
    Ok(found)
}

/// The record at the end of the file: how many members there are, and where their directory begins.
fn end(file: &[u8]) -> Result<(usize, usize), Flaw> {
    let Some(at) = file.len().checked_sub(END_BYTES) else {
        return flaw(DIRECTORY, "the file is too short for a zip file");
    };
    let mut f = Fields { bytes: file, at };
    let read = (|| {
        let signature = f.u32()?;
        let disks = (f.u16()?, f.u16()?);
        let counts = (f.u16()?, f.u16()?);
        let (size, offset, comment) = (f.u32()?, f.u32()?, f.u16()?);
        Some((signature, disks, counts, size, offset, comment))
    })();
    let Some((END, (0, 0), (here, all), size, offset, 0)) = read else {
        return flaw(DIRECTORY, "the file does not end as a zip file without comment does");
    };
    let (size, offset) = (size as usize, offset as usize);
    if here != all || offset.checked_add(size) != Some(at) {
        return flaw(DIRECTORY, "the record at the end contradicts the file's size");
    }
    if usize::from(all) > MEMBERS_MAX {
        return flaw(DIRECTORY, format!("{all} members; a bundle has at most {MEMBERS_MAX}"));
    }
    Ok((usize::from(all), offset))
}

/// Reads one entry of the directory and the local header that it points at, which must begin at `expected`.
fn central(file: &[u8], f: &mut Fields<'_>, expected: usize, label: &str) -> Result<Member, Flaw> {
    let read = (|| {
        let (signature, made_by) = (f.u32()?, f.u16()?);
        let common = common(f)?;
        let (comment, disk, internal) = (f.u16()?, f.u16()?, f.u16()?);
        let (external, offset) = (f.u32()?, f.u32()?);
        let name = f.take(usize::from(common.name))?;
        Some((signature, made_by, common, (comment, disk, internal), external, offset, name))
    })();
    let Some((CENTRAL, made_by, common, (0, 0, 0), external, offset, name)) = read else {
        return flaw(label, "it is not an entry as perjury writes it");
    };
    let name = checked_name(name, label)?;
    let known = (common.method == DEFLATED && common.needed == NEEDED
        || common.method == STORED && common.needed == NEEDED_STORED)
        && MADE_BY.contains(&made_by)
        && made_by & 0xff == common.needed
        && (common.flags, common.time, common.date, common.extra) == (FLAGS, TIME, DATE, 0)
        && external == MODE;
    if !known {
        return flaw(&name, "its entry in the zip directory is not as perjury writes it");
    }
    if offset as usize != expected {
        return flaw(&name, "it does not begin where the member before it ends");
    }
    local(file, &name, &common, expected)
}

fn local(file: &[u8], name: &str, directory: &Common, start: usize) -> Result<Member, Flaw> {
    let mut f = Fields { bytes: file, at: start };
    let read = (|| {
        let signature = f.u32()?;
        let common = common(&mut f)?;
        Some((signature, common, f.take(usize::from(common.name))?))
    })();
    match read {
        Some((LOCAL, common, own)) if common == *directory && own == name.as_bytes() => {}
        _ => return flaw(name, "its own header contradicts the zip directory"),
    }
    let data = start + LOCAL_BYTES + name.len();
    let end = data + directory.packed as usize;
    if end > file.len() - CENTRAL_BYTES.min(file.len()) {
        return flaw(name, "its content goes beyond the end of the file");
    }
    let bytes = u64::from(directory.bytes);
    if bytes > MEMBER_BYTES_MAX {
        return flaw(
            name,
            format!("it unpacks to {bytes} bytes; at most {MEMBER_BYTES_MAX} are read"),
        );
    }
    if directory.method == STORED && directory.packed != directory.bytes {
        return flaw(name, "it is not compressed and has two sizes");
    }
    let (method, crc) = (directory.method, directory.crc);
    Ok(Member { name: name.to_owned(), start, data, end, bytes, method, crc })
}

/// A name whose parts are plain: it cannot lead out of the folder into which a stranger unpacks the bundle.
fn checked_name(name: &[u8], label: &str) -> Result<String, Flaw> {
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
    };
    match std::str::from_utf8(name) {
        Ok(text) if name.len() <= NAME_BYTES_MAX && text.split('/').all(plain) => {
            Ok(text.to_owned())
        }
        _ => {
            let shown: String = String::from_utf8_lossy(name).chars().take(80).collect();
            flaw(label, format!("{shown:?} is not the name of a member of a bundle"))
        }
    }
}

impl Member {
    /// Its header and packed content, as they stand in the file.
    pub(crate) fn packed<'a>(&self, file: &'a [u8]) -> &'a [u8] {
        &file[self.start..self.end]
    }

    /// Its content, of exactly the size that was announced.
    ///
    /// # Errors
    /// A [`Flaw`] when it does not unpack to that.
    pub(crate) fn content(&self, file: &[u8]) -> Result<Vec<u8>, Flaw> {
        let packed = &file[self.data..self.end];
        let size = usize::try_from(self.bytes).unwrap_or(usize::MAX);
        let content = if self.method == STORED {
            packed.to_vec()
        } else {
            match inflate(packed, size) {
                Some(content) => content,
                None => return flaw(&self.name, "its compressed content is damaged"),
            }
        };
        if content.len() != size || crc32fast::hash(&content) != self.crc {
            return flaw(&self.name, "its content does not match its checksum");
        }
        Ok(content)
    }
}

/// Unpacks raw deflate to `size` bytes at most; `None` when it is damaged, longer, or followed by other bytes.
fn inflate(packed: &[u8], size: usize) -> Option<Vec<u8>> {
    // A liar who announces much pays with bytes: deflate cannot shrink anything below a thousandth.
    let room = size.min(packed.len().saturating_mul(1032) + 64);
    let mut out = Vec::with_capacity(room + 1);
    let mut state = Decompress::new(false);
    let status = state.decompress_vec(packed, &mut out, FlushDecompress::Finish).ok()?;
    let whole = status == Status::StreamEnd && state.total_in() == packed.len() as u64;
    (whole && out.len() == size).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str, bytes: &[u8]) -> (String, Vec<u8>) {
        (name.to_owned(), bytes.to_owned())
    }

    fn sample() -> Vec<u8> {
        let text = "line of a log\n".repeat(50);
        let one = pack(&[named("a/b.txt", text.as_bytes()), named("empty", b"")]).unwrap();
        let members = members(&one).unwrap();
        let two = extend(one.clone(), &[named("manifest.json", b"{}")]).unwrap();
        for member in members {
            assert_eq!(member.packed(&one), member.packed(&two));
        }
        two
    }

    #[test]
    fn what_is_packed_is_read() {
        let file = sample();
        let found = members(&file).unwrap();
        let names: Vec<&str> = found.iter().map(|m| m.name.as_str()).collect();
        assert_eq!(names, ["a/b.txt", "empty", "manifest.json"]);
        assert_eq!(found[0].content(&file).unwrap(), "line of a log\n".repeat(50).as_bytes());
        assert_eq!(found[2].content(&file).unwrap(), b"{}");
        assert_eq!(file, sample(), "the same members give the same bytes");
    }

    #[test]
    fn no_byte_outside_the_contents_may_differ() {
        let file = sample();
        let found = members(&file).unwrap();
        let in_content = |at: usize| found.iter().any(|m| (m.data..m.end).contains(&at));
        for at in (0..file.len()).filter(|at| !in_content(*at)) {
            for bit in 0..8 {
                let mut bad = file.clone();
                bad[at] ^= 1 << bit;
                let caught = match members(&bad) {
                    Err(_) => true,
                    // A checksum or size that both lists were given anew would be caught by the content.
                    Ok(m) => m.iter().any(|m| m.content(&bad).is_err()),
                };
                assert!(caught, "byte {at} bit {bit}");
            }
        }
    }

    #[test]
    fn other_archives_are_refused() {
        let paths = ["../x", "/etc/passwd", "a/../../b", ".hidden", "a\\b", "a//b"];
        for name in paths {
            let file = pack(&[named(name, b"x")]).unwrap();
            assert!(members(&file).is_err(), "{name}");
        }
        let mut long = sample();
        long.extend_from_slice(b"tail");
        assert!(members(&long).is_err());
        assert!(members(b"").is_err());
        assert!(members(&[0; 22]).is_err());
    }

    #[test]
    fn what_unpacks_to_more_than_it_says_is_refused() {
        let zeros = vec![0u8; 1 << 20];
        let file = pack(&[named("bomb", &zeros)]).unwrap();
        let mut member = members(&file).unwrap().remove(0);
        member.bytes = 1000;
        assert!(member.content(&file).is_err());
        member.bytes = 1 << 29;
        assert!(member.content(&file).is_err());
    }
}
