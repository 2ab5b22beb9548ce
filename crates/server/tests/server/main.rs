//! The router, asked without a socket.
#![expect(clippy::unwrap_used, reason = "the helpers of a test fail it by panicking")]

mod access;
mod api;
mod campaigns;
mod evidence;
mod paged;
mod security;
mod support;
mod table;
