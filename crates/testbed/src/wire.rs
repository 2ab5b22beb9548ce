//! Framing of the Kafka protocol, for both sides of a connection.

use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::config::HostPort;

/// Largest request or response in bytes (Kafka's `socket.request.max.bytes`).
pub(crate) const FRAME_LIMIT: usize = 100 * 1024 * 1024;

/// Reads one frame without its length; `None` when the other side closed between frames.
pub(crate) async fn read_frame<R: AsyncRead + Unpin>(reader: &mut R) -> io::Result<Option<Bytes>> {
    let length = match reader.read_i32().await {
        Ok(length) => length,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    let length = usize::try_from(length).ok().filter(|length| *length <= FRAME_LIMIT);
    let length = length.ok_or_else(|| io::Error::other("frame length out of bounds"))?;
    let mut frame = BytesMut::with_capacity(length);
    while frame.len() < length {
        let mut limited = (&mut *reader).take((length - frame.len()) as u64);
        if limited.read_buf(&mut frame).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(Some(frame.freeze()))
}

fn framed(body: impl FnOnce(&mut BytesMut) -> io::Result<()>) -> io::Result<Bytes> {
    let mut frame = BytesMut::new();
    frame.put_i32(0);
    body(&mut frame)?;
    let length = i32::try_from(frame.len() - 4).map_err(io::Error::other)?;
    frame[..4].copy_from_slice(&length.to_be_bytes());
    Ok(frame.freeze())
}

/// A response as a whole frame.
pub(crate) fn response_frame<M: Encodable>(
    correlation_id: i32,
    header_version: i16,
    message: &M,
    version: i16,
) -> io::Result<Bytes> {
    framed(|frame| {
        let header = ResponseHeader::default().with_correlation_id(correlation_id);
        header.encode(frame, header_version).map_err(io::Error::other)?;
        message.encode(frame, version).map_err(io::Error::other)
    })
}

/// A client's connection to one broker, as followers use it: one request at a time.
#[derive(Debug)]
pub(crate) struct KafkaClient {
    stream: TcpStream,
    client_id: StrBytes,
    correlation_id: i32,
}

impl KafkaClient {
    /// Connects.
    ///
    /// # Errors
    /// The broker does not accept.
    pub(crate) async fn connect(target: &HostPort, client_id: &str) -> io::Result<Self> {
        let stream = TcpStream::connect((target.host.as_str(), target.port)).await?;
        stream.set_nodelay(true)?;
        let client_id = StrBytes::from_string(client_id.to_owned());
        Ok(Self { stream, client_id, correlation_id: 0 })
    }

    /// Sends a request and waits for its response.
    ///
    /// # Errors
    /// The connection broke, or the answer cannot be decoded.
    pub(crate) async fn call<R: Request>(
        &mut self,
        request: &R,
        version: i16,
    ) -> io::Result<R::Response> {
        self.correlation_id = self.correlation_id.wrapping_add(1);
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation_id)
            .with_client_id(Some(self.client_id.clone()));
        let frame = framed(|frame| {
            header.encode(frame, R::header_version(version)).map_err(io::Error::other)?;
            request.encode(frame, version).map_err(io::Error::other)
        })?;
        self.stream.write_all(&frame).await?;
        let answer = read_frame(&mut self.stream).await?;
        let mut answer = answer.ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionReset))?;
        let header = ResponseHeader::decode(&mut answer, R::Response::header_version(version))
            .map_err(io::Error::other)?;
        if header.correlation_id != self.correlation_id {
            return Err(io::Error::other("answer to another request"));
        }
        let response = R::Response::decode(&mut answer, version).map_err(io::Error::other)?;
        if answer.has_remaining() {
            return Err(io::Error::other("bytes behind the answer"));
        }
        Ok(response)
    }
}
