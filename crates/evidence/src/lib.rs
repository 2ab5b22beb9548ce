//! Evidence for bug tickets: bundles that a stranger opens, believes and checks again.
//!
//! - [`bundle()`] makes a zip file of a run: one-file report, history whole and shrunk, plan, seed, schedule, versions,
//!   configurations, log slices, commands, and a manifest with the SHA-256 of everything; [`report_page`] makes the one-file
//!   report alone. Secrets are removed always, values, hosts and keys on request; the verdict stays.
//! - [`verify`] checks either from the file alone: hashes, signature, and the verdict drawn again from the contained
//!   history. Whatever differs is named: the file of the bundle, the part of the page, the operation.
//! - [`ticket`] turns a report into requests to bug trackers.
//!
//! Everything that comes in is a stranger's: archives are read within limits, and no byte of one goes unexplained.
//!
//! ```no_run
//! use perjury_evidence::{Source, Wanted, bundle, verify};
//!
//! let source = Source::history(std::path::Path::new("history.jsonl"))?;
//! let made = bundle(source, &Wanted::default(), None)?;
//! assert!(verify(&made.bytes, "evidence.zip", None)?.is_verified());
//! # Ok::<(), perjury_evidence::EvidenceError>(())
//! ```

mod bundle;
mod container;
mod data;
mod error;
mod hash;
mod judged;
mod opened;
mod page;
mod prepared;
mod proof;
mod redact;
mod shrunk;
mod sign;
mod source;
mod texts;
pub mod ticket;
mod verify;
mod verify_page;

pub use bundle::{Bundle, Listed, Manifest, bundle, report_page};
pub use container::{BUNDLE_BYTES_MAX, MEMBER_BYTES_MAX};
pub use data::PAGE_BYTES_MAX;
pub use error::EvidenceError;
pub use judged::{Judged, Outcome};
pub use opened::Opened;
pub use page::page_is_built;
pub use prepared::Wanted;
pub use redact::{BadRedaction, Redaction};
pub use sign::{PublicKey, Signed, Signing};
pub use source::Source;
pub use verify::{Breach, Rechecked, Verification, verify};
