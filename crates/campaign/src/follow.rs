//! Follows a history that grows: the recorder appends, and a verdict runs along in bounded memory.
//!
//! The file is the only thing between the run and whoever watches it, so that watching works for any run that grows in
//! the store, and a watcher that dies takes nothing with it.

use perjury_checker::{Live, LiveOptions, Options};
use perjury_history::Event;
use perjury_history::jsonl::{self, ReadOptions};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// How much is read at a time; a long history is caught up with over several looks.
const BYTES_A_LOOK: u64 = 16 << 20;

/// How many values the running verdict remembers: minutes of a busy run, and about 13 MB. What is older is judged at the
/// end, from the whole history.
const WINDOW: usize = 65_536;

/// A growing history, as far as it was read.
#[derive(Debug)]
pub struct Follower {
    path: PathBuf,
    options: Options,
    read: u64,
    live: Option<Live>,
    /// Lines that are no events.
    unreadable: u64,
}

impl Follower {
    /// Nothing read yet. The file need not exist.
    #[must_use]
    pub fn new(path: &Path, options: Options) -> Follower {
        Follower { path: path.into(), options, read: 0, live: None, unreadable: 0 }
    }

    /// The verdict that runs along; none before the header was read.
    #[must_use]
    pub fn live(&self) -> Option<&Live> {
        self.live.as_ref()
    }

    /// How many lines could not be read as events. A verdict that missed some may have missed violations.
    #[must_use]
    pub fn unreadable(&self) -> u64 {
        self.unreadable
    }

    /// Reads what was appended, at most 16 MiB of it, and hands each event to `each`. Says whether all was read. A line
    /// that is not whole yet is read the next time.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn look(&mut self, mut each: impl FnMut(&Event)) -> io::Result<bool> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(true),
            Err(e) => return Err(e),
        };
        file.seek(SeekFrom::Start(self.read))?;
        let mut reader = BufReader::with_capacity(256 << 10, file.take(BYTES_A_LOOK));
        let (mut line, mut seen) = (Vec::new(), 0u64);
        loop {
            line.clear();
            let n = reader.read_until(b'\n', &mut line)? as u64;
            if n == 0 || line.last() != Some(&b'\n') {
                // What is longer than a whole look is passed over, so that a look always gets on.
                if seen == 0 && n == BYTES_A_LOOK {
                    self.read += n;
                    self.unreadable += 1;
                }
                return Ok(seen + n < BYTES_A_LOOK);
            }
            seen += n;
            self.read += n;
            self.line(&line, &mut each);
        }
    }

    fn line(&mut self, line: &[u8], each: &mut impl FnMut(&Event)) {
        let Some(live) = &mut self.live else {
            let name = self.path.display().to_string();
            match jsonl::read_header(line, &name, &ReadOptions::default()) {
                Ok(header) => {
                    let bounds = LiveOptions { window: WINDOW, ..LiveOptions::default() };
                    self.live = Some(Live::new(&header, &self.options, bounds));
                }
                Err(_) => self.unreadable += 1,
            }
            return;
        };
        match serde_json::from_slice::<Event>(line) {
            Ok(event) => {
                live.push(&event);
                each(&event);
            }
            Err(_) => self.unreadable += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const HEADER: &str = r#"{"perjury":"history","format":"1.0","config":{"acks":"all","idempotence":true,"sub_via":["assign"]}}"#;

    fn sent(index: u64, process: u32, value: i64, offset: i64) -> String {
        format!(
            "{{\"index\":{index},\"time\":{index},\"process\":{process},\"type\":\"ok\",\"f\":\"send\",\"value\":[[\"send\",\"t-0\",[{offset},{value}]]]}}"
        )
    }

    #[test]
    fn a_violation_is_known_with_the_event_that_completes_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.jsonl");
        let mut follower = Follower::new(&path, Options::default());
        assert!(follower.look(|_| ()).unwrap(), "a history that is not there yet is no error");
        let mut file = File::create(&path).unwrap();
        writeln!(file, "{HEADER}").unwrap();
        writeln!(file, "{}", sent(0, 0, 1, 7)).unwrap();
        let second = sent(1, 1, 2, 7);
        let (start, rest) = second.split_at(40);
        write!(file, "{start}").unwrap();
        let mut events = 0;
        assert!(follower.look(|_| events += 1).unwrap());
        assert_eq!((events, follower.live().unwrap().violations().len()), (1, 0));
        writeln!(file, "{rest}").unwrap();
        writeln!(file, "no event").unwrap();
        assert!(follower.look(|_| events += 1).unwrap());
        let found = &follower.live().unwrap().violations()[0];
        assert_eq!((found.anomaly, found.event), ("inconsistent-offsets", 1));
        assert_eq!((events, follower.unreadable()), (2, 1));
    }
}
