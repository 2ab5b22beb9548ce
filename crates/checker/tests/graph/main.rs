//! Circles of dependencies: against an enumeration, and in Kafka histories.

mod kafka;
mod oracle;
