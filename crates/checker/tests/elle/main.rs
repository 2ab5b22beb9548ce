//! General transactional histories: every anomaly by hand, and simulated stores.

mod lists;
mod registers;
mod simple;
mod simulated;
mod store;
mod support;
