//! Sessions, share links and tokens against forged requests: texts that this server signed.

use crate::access::Role;
use crate::access::tokens::{folder, hex};
use axum::http::{HeaderMap, header};
use chrono::Utc;
use hmac::{Hmac, Mac};
use perjury_store::{StoreError, write_whole};
use sha2::Sha256;
use std::fs;
use std::path::Path;
use subtle::ConstantTimeEq;

/// The name of the session cookie.
pub(crate) const COOKIE: &str = "perjury_session";

/// Signs with a key that only this store has.
#[derive(Clone)]
pub(crate) struct Signer {
    key: [u8; 32],
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer")
    }
}

/// What a session says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Opened {
    /// What its bearer may do.
    pub(crate) role: Role,
    /// The token's name that it was exchanged for; empty for that of a share link.
    pub(crate) token: String,
    /// The one run that it shows.
    pub(crate) only: Option<String>,
}

impl Signer {
    /// The signer of the store with this root; its key is made when there is none.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the key can be neither read nor made.
    pub(crate) fn open(store_root: &Path) -> Result<Signer, StoreError> {
        let path = folder(store_root)?.join("key");
        if let Ok(bytes) = fs::read(&path)
            && let Ok(key) = <[u8; 32]>::try_from(bytes.as_slice())
        {
            return Ok(Signer { key });
        }
        let key = rand::random::<[u8; 32]>();
        write_whole(&path, &key)?;
        Ok(Signer { key })
    }

    /// The signature of a text for one purpose: what is signed for one is worth nothing for another.
    fn sign(&self, purpose: &str, text: &str) -> String {
        // A key of any length is good for HMAC.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.key) else { return String::new() };
        mac.update(purpose.as_bytes());
        mac.update(&[0]);
        mac.update(text.as_bytes());
        hex(&mac.finalize().into_bytes())
    }

    fn is_signed(&self, purpose: &str, text: &str, signature: &str) -> bool {
        let right = self.sign(purpose, text);
        !right.is_empty() && bool::from(right.as_bytes().ct_eq(signature.as_bytes()))
    }

    /// A session for the bearer of a token, or for one run, that ends at this time (seconds since 1970).
    pub(crate) fn session(&self, opened: &Opened, expires: i64) -> String {
        let only = opened.only.as_deref().unwrap_or_default();
        let nonce = hex(&rand::random::<[u8; 8]>());
        let text = format!("{}~{}~{only}~{expires}~{nonce}", opened.role.as_str(), opened.token);
        format!("{text}~{}", self.sign("session", &text))
    }

    /// What a session says, if this server signed it and it has not ended.
    pub(crate) fn open_session(&self, session: &str) -> Option<Opened> {
        let (text, signature) = session.rsplit_once('~')?;
        if !self.is_signed("session", text, signature) {
            return None;
        }
        let parts: Vec<&str> = text.split('~').collect();
        let [role, token, only, expires, _nonce] = parts.as_slice() else { return None };
        if expires.parse::<i64>().ok()? <= Utc::now().timestamp() {
            return None;
        }
        let only = (!only.is_empty()).then(|| (*only).to_owned());
        Some(Opened { role: role.parse().ok()?, token: (*token).to_owned(), only })
    }

    /// A link's text that shows one run until this time (seconds since 1970).
    pub(crate) fn share(&self, run: &str, expires: i64) -> String {
        let text = format!("{}~{expires}", run.replace('/', "~"));
        format!("{text}~{}", self.sign("share", &text))
    }

    /// The run that a link shows and until when, if this server signed it and it has not ended.
    pub(crate) fn open_share(&self, link: &str) -> Option<(String, i64)> {
        let (text, signature) = link.rsplit_once('~')?;
        if !self.is_signed("share", text, signature) {
            return None;
        }
        let parts: Vec<&str> = text.split('~').collect();
        let [name, time, expires] = parts.as_slice() else { return None };
        let expires = expires.parse::<i64>().ok().filter(|e| *e > Utc::now().timestamp())?;
        Some((format!("{name}/{time}"), expires))
    }

    /// The token against forged requests of a session.
    pub(crate) fn csrf(&self, session: &str) -> String {
        self.sign("csrf", session)
    }

    /// Whether this is it.
    pub(crate) fn is_csrf(&self, session: &str, given: &str) -> bool {
        self.is_signed("csrf", session, given)
    }
}

/// The session that a request's cookies hold.
pub(crate) fn cookie_of(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(header::COOKIE).into_iter().filter_map(|v| v.to_str().ok());
    let mut pairs =
        cookies.flat_map(|line| line.split(';')).filter_map(|p| p.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer() -> Signer {
        Signer { key: [7; 32] }
    }

    #[test]
    fn a_session_is_worth_something_until_it_ends_and_as_it_was_signed() {
        let (signer, soon) = (signer(), Utc::now().timestamp() + 60);
        let opened = Opened { role: Role::Run, token: "ci".into(), only: None };
        let session = signer.session(&opened, soon);
        assert_eq!(signer.open_session(&session), Some(opened.clone()));
        assert_eq!(signer.open_session(&session.replace("run", "admin")), None);
        assert_eq!(signer.open_session(&signer.session(&opened, soon - 61)), None);
        assert_eq!(Signer { key: [8; 32] }.open_session(&session), None);
        for junk in ["", "~", "a~b", "~~~~~"] {
            assert_eq!(signer.open_session(junk), None, "{junk}");
        }
    }

    #[test]
    fn a_link_names_one_run_and_is_no_session() {
        let (signer, soon) = (signer(), Utc::now().timestamp() + 60);
        let link = signer.share("a/t", soon);
        assert_eq!(signer.open_share(&link), Some(("a/t".into(), soon)));
        assert_eq!(signer.open_share(&link.replacen('a', "b", 1)), None);
        assert_eq!(signer.open_share(&signer.share("a/t", 1)), None);
        assert_eq!(signer.open_session(&link), None);
        assert!(signer.is_csrf("s", &signer.csrf("s")) && !signer.is_csrf("t", &signer.csrf("s")));
    }
}
