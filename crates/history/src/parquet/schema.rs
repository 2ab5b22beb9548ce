//! The columns, by number and by name.

use ::parquet::schema::types::Type;

/// The message type, in Parquet's own notation.
pub(super) const MESSAGE: &str = "message history {
    optional int64 time;
    optional int64 process;
    required binary type (utf8);
    required binary f (utf8);
    optional binary extra (utf8);
    repeated group item {
        required int32 what;
        optional int64 key;
        optional binary key_text (utf8);
        optional int64 offset;
        optional int64 value;
        optional binary value_text (utf8);
        optional binary meta (utf8);
    }
}";

/// The metadata entry that holds the header.
pub(super) const HEADER: &str = "perjury";
/// The metadata entry that counts the bytes of a torn last line.
pub(super) const TORN: &str = "perjury.torn";

/// The process codes that are no clients.
pub(super) const NEMESIS: i64 = -1;
/// See [`NEMESIS`].
pub(super) const CLUSTER: i64 = -2;

/// Columns in the order of the schema.
pub(super) mod column {
    pub(in super::super) const TIME: usize = 0;
    pub(in super::super) const PROCESS: usize = 1;
    pub(in super::super) const TYPE: usize = 2;
    pub(in super::super) const F: usize = 3;
    pub(in super::super) const EXTRA: usize = 4;
    pub(in super::super) const WHAT: usize = 5;
    pub(in super::super) const KEY: usize = 6;
    pub(in super::super) const KEY_TEXT: usize = 7;
    pub(in super::super) const OFFSET: usize = 8;
    pub(in super::super) const VALUE: usize = 9;
    pub(in super::super) const VALUE_TEXT: usize = 10;
    pub(in super::super) const META: usize = 11;
    /// How many columns there are.
    pub(in super::super) const COUNT: usize = 12;
}

/// What an item is.
pub(super) mod what {
    pub(in super::super) const SEND: i32 = 0;
    pub(in super::super) const SENT: i32 = 1;
    pub(in super::super) const POLL: i32 = 2;
    pub(in super::super) const POLLED: i32 = 3;
    pub(in super::super) const KEY: i32 = 4;
    pub(in super::super) const RECORD: i32 = 5;
}

/// The parsed message type.
pub(super) fn message() -> ::parquet::errors::Result<Type> {
    ::parquet::schema::parser::parse_message_type(MESSAGE)
}
