//! The router, asked without a socket.

mod api;
mod security;
mod support;
