//! Simulated topic-partition logs and their clients.
//!
//! The logs are linearizable by construction: an operation takes its whole effect at one instant between invocation and
//! completion (one of unknown outcome: at one instant after its invocation, or never). Polls see what was committed at
//! that instant, from where the consumer stands, and nothing of their own operation. Transactions leave a marker in each
//! log, which is a hole; aborted ones leave holes only. A consumer goes on behind its last ok poll, so that a failed
//! operation rewinds it. A new consumer never begins beyond what ok polls have read, so that no value is passed over.

mod client;
mod defect;
mod engine;
mod faults;
mod finals;
mod group;
mod inject;
mod joint;
mod log;
mod options;
mod tamper;
mod truth;
mod write;

pub use defect::Defect;
pub use engine::generate;
pub use options::{KeyNames, Loss, Mix, Options};
pub use truth::{Injection, Truth};
