//! The tokens: `<store>/.access/tokens.json`, readable by its owner alone, and only as hashes.
//!
//! A token is 256 random bits, so there is nothing that a dictionary or a guess could find: one SHA-256 is as good a
//! lock as a slow password hash, and does not make each request cost a tenth of a second.

use crate::access::Role;
use chrono::{DateTime, Utc};
use perjury_store::{StoreError, write_whole};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;
use subtle::ConstantTimeEq;

/// Every token begins so, that scanners for leaked secrets can know it.
const PREFIX: &str = "perjury_";
/// No more tokens are kept.
const TOKENS_MAX: usize = 1000;

/// Why tokens cannot be read or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The file system.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file does not hold tokens.
    #[error("{} is not readable: {source}; remove it to be rid of all tokens", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// There is none of this name.
    #[error("there is no token {0:?}; `perjury token list` names them")]
    NoSuchToken(String),
    /// The name is taken or no name.
    #[error("{0}")]
    BadName(String),
}

/// What is known of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenInfo {
    /// What people call it.
    pub name: String,
    /// What its bearer may do.
    pub role: Role,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// SHA-256 of the token, in hexadecimal digits.
    sha256: String,
}

/// A token that was just made: the only moment at which it can be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToken {
    /// The token itself.
    pub secret: String,
    /// What is kept of it.
    pub info: TokenInfo,
}

/// What tells one content of the file from another: each is written to a new file, which is renamed.
type Stamp = (SystemTime, u64);
type Cached = (Option<Stamp>, Vec<TokenInfo>);

/// The tokens of a store. The file is read again when it changed, so that `perjury token` works on a running server.
#[derive(Debug)]
pub struct Tokens {
    path: PathBuf,
    cache: Mutex<Option<Cached>>,
}

impl Tokens {
    /// The tokens of the store with this root.
    ///
    /// # Errors
    /// [`TokenError`] when there is a file that cannot be read: nobody is let in on account of it.
    pub fn open(store_root: &Path) -> Result<Tokens, TokenError> {
        let folder = folder(store_root)?;
        let tokens = Tokens { path: folder.join("tokens.json"), cache: Mutex::default() };
        tokens.list()?;
        Ok(tokens)
    }

    /// All tokens, the oldest first.
    ///
    /// # Errors
    /// [`TokenError`] when the file is there and cannot be read.
    pub fn list(&self) -> Result<Vec<TokenInfo>, TokenError> {
        let changed = fs::metadata(&self.path).and_then(|m| Ok((m.modified()?, m.ino()))).ok();
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, tokens)) = cache.as_ref()
            && *at == changed
        {
            return Ok(tokens.clone());
        }
        let tokens = read(&self.path)?;
        *cache = Some((changed, tokens.clone()));
        Ok(tokens)
    }

    /// Makes a token.
    ///
    /// # Errors
    /// [`TokenError::BadName`] when the name is taken or empty, [`TokenError::Store`] when it cannot be written.
    pub fn create(&self, name: &str, role: Role) -> Result<NewToken, TokenError> {
        let mut tokens = self.list()?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-@".contains(c);
        if name.is_empty() || name.len() > 100 || !name.chars().all(plain) {
            return Err(TokenError::BadName(format!(
                "{name:?} is no name for a token: give 1 to 100 letters, digits, '.', '_', '-' and '@'"
            )));
        }
        if tokens.iter().any(|t| t.name == name) {
            return Err(TokenError::BadName(format!(
                "there is a token {name:?} already; revoke it or choose another name"
            )));
        }
        if tokens.len() >= TOKENS_MAX {
            return Err(TokenError::BadName(format!("there are {TOKENS_MAX} tokens; revoke some")));
        }
        let secret = format!("{PREFIX}{}", hex(&rand::random::<[u8; 32]>()));
        let info =
            TokenInfo { name: name.into(), role, created: Utc::now(), sha256: hash(&secret) };
        tokens.push(info.clone());
        self.write(&tokens)?;
        Ok(NewToken { secret, info })
    }

    /// Revokes a token; sessions that it was exchanged for end with it.
    ///
    /// # Errors
    /// [`TokenError::NoSuchToken`].
    pub fn revoke(&self, name: &str) -> Result<(), TokenError> {
        let mut tokens = self.list()?;
        let before = tokens.len();
        tokens.retain(|t| t.name != name);
        if tokens.len() == before {
            return Err(TokenError::NoSuchToken(name.to_owned()));
        }
        self.write(&tokens)
    }

    /// The token that this is; none when it is not one. A file that cannot be read lets nobody in.
    pub(crate) fn find(&self, secret: &str) -> Option<TokenInfo> {
        let given = hash(secret);
        // Every one is compared in full, so that the time tells nothing.
        let mut found = None;
        for token in self.list().unwrap_or_default() {
            if bool::from(token.sha256.as_bytes().ct_eq(given.as_bytes())) {
                found = Some(token);
            }
        }
        found
    }

    /// Whether there is a token of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.list().is_ok_and(|tokens| tokens.iter().any(|t| t.name == name))
    }

    /// Whether there is any. A file that cannot be read counts as one: it must not open the server.
    pub(crate) fn any(&self) -> bool {
        self.list().map_or(true, |tokens| !tokens.is_empty())
    }

    fn write(&self, tokens: &[TokenInfo]) -> Result<(), TokenError> {
        let json = |source| TokenError::Json { path: self.path.clone(), source };
        let text = serde_json::to_vec_pretty(tokens).map_err(json)?;
        write_whole(&self.path, &text)?;
        *self.cache.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(())
    }
}

/// The folder of everything secret, made if need be; nobody but its owner may look into it.
pub(super) fn folder(store_root: &Path) -> Result<PathBuf, StoreError> {
    let path = store_root.join(".access");
    let made = fs::create_dir_all(&path)
        .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o700)));
    match made {
        Ok(()) => Ok(path),
        Err(source) => Err(StoreError::Io { action: "create", path, source }),
    }
}

fn read(path: &Path) -> Result<Vec<TokenInfo>, TokenError> {
    match fs::read(path) {
        Ok(text) => serde_json::from_slice(&text)
            .map_err(|source| TokenError::Json { path: path.into(), source }),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(StoreError::Io { action: "read", path: path.into(), source }.into()),
    }
}

fn hash(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_kept_as_a_hash_and_can_be_revoked() {
        let dir = tempfile::tempdir().unwrap();
        let tokens = Tokens::open(dir.path()).unwrap();
        assert!(!tokens.any());
        let made = tokens.create("ci", Role::Run).unwrap();
        let on_disk = fs::read_to_string(dir.path().join(".access/tokens.json")).unwrap();
        assert!(!on_disk.contains(made.secret.trim_start_matches(PREFIX)));
        assert_eq!(tokens.find(&made.secret).map(|t| t.role), Some(Role::Run));
        assert!(tokens.find("perjury_0").is_none() && tokens.find("").is_none());
        assert!(
            tokens.create("ci", Role::Read).is_err() && tokens.create("a b", Role::Read).is_err()
        );
        tokens.revoke("ci").unwrap();
        assert!(tokens.find(&made.secret).is_none());
        assert!(matches!(tokens.revoke("ci"), Err(TokenError::NoSuchToken(_))));
        let mode = fs::metadata(dir.path().join(".access")).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{mode:o}");
    }

    #[test]
    fn a_broken_file_opens_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let tokens = Tokens::open(dir.path()).unwrap();
        fs::write(dir.path().join(".access/tokens.json"), "[").unwrap();
        assert!(tokens.any() && tokens.find("x").is_none());
        assert!(Tokens::open(dir.path()).is_err());
    }
}
