//! Kafka's frames: a length, and then a header that says which API, version and request it is.

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::ApiKey;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Kafka's own bound of a request (`socket.request.max.bytes`) with room for a header.
const MAX_FRAME_BYTES: usize = 101 * 1024 * 1024;
/// How much is read at once.
const READ_BYTES: usize = 64 * 1024;
/// The bytes of a frame's length.
const LENGTH: usize = 4;

/// What a request's header says first, in every version of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequestHead {
    pub(super) api: i16,
    pub(super) version: i16,
    pub(super) correlation: i32,
}

/// A frame with its length, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame(pub(super) Bytes);

impl Frame {
    /// A frame around `message`.
    pub(super) fn around(message: &[u8]) -> Self {
        let mut bytes = BytesMut::with_capacity(message.len() + LENGTH);
        // Messages are bounded far below 2 GiB by whoever read them.
        bytes.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend_from_slice(message);
        Self(bytes.freeze())
    }

    /// The message without the length.
    pub(super) fn message(&self) -> Bytes {
        self.0.slice(LENGTH..)
    }

    /// The head of a request; absent when the frame is too short for one.
    pub(super) fn request_head(&self) -> Option<RequestHead> {
        let mut message = self.message();
        (message.len() >= 8).then(|| RequestHead {
            api: message.get_i16(),
            version: message.get_i16(),
            correlation: message.get_i32(),
        })
    }

    /// The number of the request that a response answers.
    pub(super) fn correlation(&self) -> Option<i32> {
        let mut message = self.message();
        (message.len() >= 4).then(|| message.get_i32())
    }
}

/// Reads frames off a stream.
#[derive(Debug)]
pub(super) struct FrameReader<R> {
    stream: R,
    buffer: BytesMut,
    /// Whatever comes is handed on as it comes, without looking for frames.
    opaque: bool,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub(super) fn new(stream: R, opaque: bool) -> Self {
        Self { stream, buffer: BytesMut::new(), opaque }
    }

    /// The next frame (or, on an opaque stream, the next bytes); nothing at the end of the stream.
    pub(super) async fn next(&mut self) -> io::Result<Option<Frame>> {
        loop {
            if let Some(frame) = self.buffered()? {
                return Ok(Some(frame));
            }
            self.buffer.reserve(READ_BYTES);
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }

    fn buffered(&mut self) -> io::Result<Option<Frame>> {
        if self.opaque {
            let whole = self.buffer.split();
            return Ok((!whole.is_empty()).then(|| Frame(whole.freeze())));
        }
        let Some(length) = self.buffer.first_chunk::<LENGTH>() else { return Ok(None) };
        let length = u32::from_be_bytes(*length) as usize;
        if length > MAX_FRAME_BYTES {
            let problem = format!("a frame of {length} bytes; this is not the Kafka protocol");
            return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
        }
        let whole = length + LENGTH;
        if self.buffer.len() < whole {
            self.buffer.reserve(whole - self.buffer.len());
            return Ok(None);
        }
        Ok(Some(Frame(self.buffer.split_to(whole).freeze())))
    }
}

/// The number of an API by the name that the Kafka protocol gives it, such as `Produce`.
///
/// # Errors
/// A sentence that lists some names.
pub fn api_number(name: &str) -> Result<i16, String> {
    (0..=100)
        .find(|number| {
            ApiKey::try_from(*number).is_ok_and(|api| {
                let known = format!("{api:?}");
                known.eq_ignore_ascii_case(name)
                    || known.eq_ignore_ascii_case(&format!("{name}Key"))
            })
        })
        .ok_or_else(|| {
            format!(
                "the Kafka protocol has no API {name:?}; it has Produce, Fetch, Metadata, EndTxn, \
                 InitProducerId, AddPartitionsToTxn, OffsetCommit, FindCoordinator and others"
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_are_cut_where_they_end_and_opaque_bytes_are_not() {
        let bytes = [&Frame::around(b"12345678ab").0[..], &Frame::around(b"").0, b"\0\0"].concat();
        let mut reader = FrameReader::new(&bytes[..], false);
        let first = reader.next().await.unwrap().unwrap();
        assert_eq!(&first.message()[..], b"12345678ab");
        assert_eq!(first.request_head().unwrap().api, i16::from_be_bytes(*b"12"));
        let second = reader.next().await.unwrap().unwrap();
        assert_eq!((second.request_head(), second.correlation()), (None, None));
        assert_eq!(reader.next().await.unwrap(), None);
        let mut opaque = FrameReader::new(&bytes[..], true);
        assert_eq!(opaque.next().await.unwrap().unwrap().0, bytes);
        let mut text = FrameReader::new(&b"HTTP/1.1 200 OK"[..], false);
        assert!(text.next().await.unwrap_err().to_string().contains("not the Kafka protocol"));
    }

    #[test]
    fn apis_are_known_by_name() {
        assert_eq!(api_number("Produce"), Ok(0));
        assert_eq!(api_number("endtxn"), Ok(26));
        assert!(api_number("Teleport").unwrap_err().contains("Produce"));
    }
}
