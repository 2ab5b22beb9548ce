//! The history inside a one-file report, from which the verdict is drawn again.

use crate::hash::sha256;
use crate::prepared::Prepared;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use std::io::{Read, Write};

/// A larger history is not tried: its compressed form would not fit.
const WHOLE_BYTES_MAX: usize = 64 << 20;

/// A history in its native form, compressed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Proof {
    /// `whole`, or `shrunk`: only what shows the anomaly.
    pub(crate) history: String,
    /// How many bytes it has, unpacked.
    pub(crate) bytes: u64,
    /// Its SHA-256, unpacked.
    pub(crate) sha256: String,
    /// Always `gzip+base64`.
    pub(crate) encoding: String,
    /// The history.
    pub(crate) jsonl: String,
}

impl Proof {
    /// The whole history; `None` when it is too large for a page.
    pub(crate) fn whole(prepared: &Prepared) -> Option<Proof> {
        (prepared.text.len() <= WHOLE_BYTES_MAX)
            .then(|| Proof::of("whole", &prepared.text))
            .flatten()
    }

    /// What shows the anomaly; `None` when there is none.
    pub(crate) fn shrunk(prepared: &Prepared) -> Option<Proof> {
        Proof::of("shrunk", &prepared.shrunk.as_ref()?.text)
    }

    fn of(history: &str, text: &[u8]) -> Option<Proof> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(text).ok()?;
        Some(Proof {
            history: history.to_owned(),
            bytes: text.len() as u64,
            sha256: sha256(&[text]),
            encoding: "gzip+base64".into(),
            jsonl: STANDARD.encode(gzip.finish().ok()?),
        })
    }

    /// The history's text.
    ///
    /// # Errors
    /// A sentence that says what is damaged.
    pub(crate) fn text(&self) -> Result<Vec<u8>, String> {
        if self.encoding != "gzip+base64" {
            return Err(format!("{:?} is not a known encoding", self.encoding));
        }
        let packed = STANDARD.decode(&self.jsonl).map_err(|e| format!("it is not base64: {e}"))?;
        let mut text = Vec::new();
        let max = WHOLE_BYTES_MAX as u64;
        if self.bytes > max {
            return Err(format!("it unpacks to {} bytes; at most {max} are read", self.bytes));
        }
        let mut unpack = GzDecoder::new(packed.as_slice()).take(self.bytes + 1);
        unpack
            .read_to_end(&mut text)
            .map_err(|e| format!("its compressed content is damaged: {e}"))?;
        if text.len() as u64 != self.bytes || sha256(&[&text]) != self.sha256 {
            return Err("its content does not match its hash".into());
        }
        Ok(text)
    }
}
