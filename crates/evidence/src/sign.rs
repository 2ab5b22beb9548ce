//! Signatures: ed25519 over the bytes of a manifest.

use crate::error::EvidenceError;
use crate::hash::{hex, unhex};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use rand::TryRngCore;
use serde::{Deserialize, Serialize};

/// What separates signatures of manifests from signatures of anything else under the same key.
const CONTEXT: &[u8] = b"perjury evidence manifest 1\n";

/// A secret key that signs evidence.
#[derive(Debug, Clone)]
pub struct Signing(SigningKey);

/// A public key that shows who signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

/// A signature and the key that it was made with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed {
    /// Always `ed25519`.
    pub algorithm: String,
    /// The public key, 64 hexadecimal digits.
    pub public_key: String,
    /// The signature, 128 hexadecimal digits.
    pub signature: String,
}

impl Signing {
    /// A new key from the system's source of randomness.
    ///
    /// # Errors
    /// [`EvidenceError::BadKey`] when the system gives no random bytes.
    pub fn generate() -> Result<Signing, EvidenceError> {
        let mut seed = [0u8; 32];
        rand::rngs::OsRng.try_fill_bytes(&mut seed).map_err(|e| EvidenceError::BadKey {
            name: "a new key".into(),
            why: format!("the system gives no random bytes: {e}"),
        })?;
        Ok(Signing(SigningKey::from_bytes(&seed)))
    }

    /// Reads a key from its text: 64 hexadecimal digits. `name` is for messages; the text never appears in one.
    ///
    /// # Errors
    /// [`EvidenceError::BadKey`].
    pub fn read(text: &str, name: &str) -> Result<Signing, EvidenceError> {
        let seed = unhex(text).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let seed = seed.ok_or_else(|| EvidenceError::BadKey {
            name: name.to_owned(),
            why: "a secret key is 64 hexadecimal digits".into(),
        })?;
        Ok(Signing(SigningKey::from_bytes(&seed)))
    }

    /// The key's text, to be kept where only its owner can read it.
    pub fn secret_text(&self) -> String {
        hex(&self.0.to_bytes())
    }

    /// The public key.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    pub(crate) fn sign(&self, manifest: &[u8]) -> Signed {
        let signature = self.0.sign(&[CONTEXT, manifest].concat());
        Signed {
            algorithm: "ed25519".into(),
            public_key: self.public().to_string(),
            signature: hex(&signature.to_bytes()),
        }
    }
}

impl std::fmt::Display for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex(self.0.as_bytes()))
    }
}

impl std::str::FromStr for PublicKey {
    type Err = EvidenceError;

    fn from_str(text: &str) -> Result<PublicKey, EvidenceError> {
        let bad = || EvidenceError::BadKey {
            name: format!("{:?}", text.trim()),
            why: "a public key is 64 hexadecimal digits that name a point of the curve".into(),
        };
        let bytes =
            unhex(text).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()).ok_or_else(bad)?;
        VerifyingKey::from_bytes(&bytes).map(PublicKey).map_err(|_| bad())
    }
}

impl Signed {
    /// Whose signature it is, when it is one of this manifest.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub(crate) fn check(&self, manifest: &[u8]) -> Result<PublicKey, String> {
        if self.algorithm != "ed25519" {
            return Err(format!("{:?} is not a known kind of signature", self.algorithm));
        }
        let key: PublicKey = self.public_key.parse().map_err(|e: EvidenceError| e.to_string())?;
        let bytes = unhex(&self.signature).and_then(|b| <[u8; 64]>::try_from(b).ok());
        let bytes = bytes.ok_or("the signature is not 128 hexadecimal digits")?;
        // Strict: keys of small order, under which one signature fits many texts, are refused.
        let message = [CONTEXT, manifest].concat();
        let fits = key.0.verify_strict(&message, &Signature::from_bytes(&bytes));
        fits.map(|()| key).map_err(|_| "the signature does not fit the manifest".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_fits_only_its_manifest_and_key() {
        let key = Signing::generate().unwrap();
        let signed = key.sign(b"one");
        assert_eq!(signed.check(b"one").unwrap(), key.public());
        assert!(signed.check(b"two").is_err());
        let other = Signing::generate().unwrap();
        let forged = Signed { public_key: other.public().to_string(), ..signed.clone() };
        assert!(forged.check(b"one").is_err());
        let again = Signing::read(&key.secret_text(), "test").unwrap();
        assert_eq!(again.public(), key.public());
        assert_eq!(key.public().to_string().parse::<PublicKey>().unwrap(), key.public());
        assert!(Signing::read("short", "FILE").unwrap_err().to_string().contains("FILE"));
    }
}
