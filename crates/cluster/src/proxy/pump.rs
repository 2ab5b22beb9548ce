//! One connection through a link: two streams of frames, each read, decided about and written.

use super::frame::{Frame, FrameReader, RequestHead};
use super::link::LinkState;
use super::rewrite;
use super::rules::{Direction, FrameAction};
use crate::sync::locked;
use bytes::Buf;
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// How many frames wait in each direction of a connection before its sender has to wait too.
const QUEUE: usize = 256;
/// Kafka's API number of Produce, whose requests may want no answer.
const PRODUCE: i16 = 0;

/// A frame on its way out.
#[derive(Debug)]
struct Outgoing {
    frame: Frame,
    /// Not before this.
    due: Option<Instant>,
    /// Not while this rule is in force.
    held_by: Option<u64>,
}

/// An answer that is to come.
#[derive(Debug)]
enum Awaited {
    /// From the node, and meant for the client.
    Answer(RequestHead),
    /// From the node, to a request that the client asked only once.
    Second(RequestHead),
    /// Forged, and waiting for its turn.
    Forged(Frame),
}

type Pending = Mutex<VecDeque<Awaited>>;

/// Carries one connection until either side ends it.
pub(super) async fn carry(
    client: TcpStream,
    node: TcpStream,
    state: Arc<LinkState>,
    number: u64,
) -> io::Result<()> {
    // Small frames must not wait to fill a segment.
    client.set_nodelay(true)?;
    node.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_node, to_node) = node.into_split();
    let (up, upward) = mpsc::channel(QUEUE);
    let (down, downward) = mpsc::channel(QUEUE);
    let pending = Pending::default();
    let connection = Connection { state: &state, pending: &pending, number };
    // The way down ends with the node, not with whoever may forge an answer.
    let forger = down.downgrade();
    let upwards = async {
        let (read, written) = tokio::join!(
            connection.requests(from_client, up, forger),
            connection.write(Direction::Up, upward, to_node),
        );
        read.and(written)
    };
    let downwards = async {
        let (read, written) = tokio::join!(
            connection.responses(from_node, down),
            connection.write(Direction::Down, downward, to_client),
        );
        read.and(written)
    };
    // The end of one side ends the other: half a Kafka connection is of no use.
    tokio::select! {
        outcome = upwards => outcome,
        outcome = downwards => outcome,
    }
}

struct Connection<'a> {
    state: &'a LinkState,
    pending: &'a Pending,
    number: u64,
}

/// The reader's side is closed: the connection ends.
fn ended<T>(_: T) -> io::Error {
    io::ErrorKind::BrokenPipe.into()
}

impl Connection<'_> {
    fn outgoing(&self, frame: Frame) -> Outgoing {
        Outgoing { frame, due: self.state.due(self.number), held_by: None }
    }

    /// Reads requests until the client ends the connection or one is dropped.
    async fn requests(
        &self,
        stream: impl AsyncRead + Unpin,
        up: mpsc::Sender<Outgoing>,
        down: mpsc::WeakSender<Outgoing>,
    ) -> io::Result<()> {
        let mut reader = FrameReader::new(stream, self.state.opaque);
        while let Some(frame) = reader.next().await? {
            self.state.count_in(Direction::Up, &frame);
            let mut outgoing = self.outgoing(frame);
            let head = outgoing.frame.request_head().filter(|_| !self.state.opaque);
            let Some(head) = head else {
                up.send(outgoing).await.map_err(ended)?;
                continue;
            };
            let hit = self.state.hit(head.api, Direction::Up);
            match hit {
                Some((_, FrameAction::Drop)) => {
                    self.state.counters.dropped.fetch_add(1, Ordering::Relaxed);
                    return Ok(());
                }
                Some((_, FrameAction::Forge))
                    if self.forge(head, &outgoing.frame, &down).await? =>
                {
                    continue;
                }
                Some((rule, FrameAction::Hold)) => outgoing.held_by = Some(rule),
                Some((_, FrameAction::Delay(delay))) => delay_by(&mut outgoing, delay),
                _ => {}
            }
            if wants_answer(head, &outgoing.frame) {
                locked(self.pending).push_back(Awaited::Answer(head));
            }
            let second = matches!(hit, Some((_, FrameAction::Duplicate)));
            let copy = second.then(|| outgoing.frame.clone());
            up.send(outgoing).await.map_err(ended)?;
            if let Some(frame) = copy {
                if wants_answer(head, &frame) {
                    locked(self.pending).push_back(Awaited::Second(head));
                }
                self.state.counters.added.fetch_add(1, Ordering::Relaxed);
                up.send(self.outgoing(frame)).await.map_err(ended)?;
            }
        }
        Ok(())
    }

    /// Answers a request in the node's place; says whether that was possible.
    async fn forge(
        &self,
        head: RequestHead,
        request: &Frame,
        down: &mpsc::WeakSender<Outgoing>,
    ) -> io::Result<bool> {
        let answer = match rewrite::forge_produce(head, request) {
            Ok(answer) => answer,
            Err(error) => {
                tracing::warn!(%error, "a request cannot be answered in the node's place");
                return Ok(false);
            }
        };
        self.state.counters.dropped.fetch_add(1, Ordering::Relaxed);
        let Some(answer) = answer else { return Ok(true) };
        let at_once = {
            let mut pending = locked(self.pending);
            if pending.is_empty() {
                Some(answer)
            } else {
                // Answers come in the order of their requests.
                pending.push_back(Awaited::Forged(answer));
                None
            }
        };
        if let (Some(answer), Some(down)) = (at_once, down.upgrade()) {
            down.send(self.outgoing(answer)).await.map_err(ended)?;
        }
        Ok(true)
    }

    /// Reads responses until the node ends the connection or one is dropped.
    async fn responses(
        &self,
        stream: impl AsyncRead + Unpin,
        down: mpsc::Sender<Outgoing>,
    ) -> io::Result<()> {
        let mut reader = FrameReader::new(stream, self.state.opaque);
        while let Some(frame) = reader.next().await? {
            self.state.count_in(Direction::Down, &frame);
            if self.state.opaque {
                down.send(self.outgoing(frame)).await.map_err(ended)?;
                continue;
            }
            match frame.correlation().and_then(|correlation| self.asked(correlation)) {
                None => down.send(self.outgoing(frame)).await.map_err(ended)?,
                Some(Awaited::Answer(head)) => {
                    if !self.answer(head, frame, &down).await? {
                        return Ok(());
                    }
                }
                Some(_) => {
                    self.state.counters.dropped.fetch_add(1, Ordering::Relaxed);
                }
            }
            while let Some(forged) = self.forged_in_front() {
                down.send(self.outgoing(forged)).await.map_err(ended)?;
            }
        }
        Ok(())
    }

    /// Hands a response on, as rules and addresses want it; says whether the connection goes on.
    async fn answer(
        &self,
        head: RequestHead,
        frame: Frame,
        down: &mpsc::Sender<Outgoing>,
    ) -> io::Result<bool> {
        let mut outgoing = self.outgoing(self.readdressed(head, frame));
        match self.state.hit(head.api, Direction::Down) {
            Some((_, FrameAction::Drop)) => {
                self.state.counters.dropped.fetch_add(1, Ordering::Relaxed);
                return Ok(false);
            }
            Some((_, FrameAction::Cut)) => match rewrite::cut_fetch(head, &outgoing.frame) {
                Ok(cut) => {
                    let changed = cut != outgoing.frame;
                    self.state.counters.changed.fetch_add(changed.into(), Ordering::Relaxed);
                    outgoing.frame = cut;
                }
                Err(error) => tracing::warn!(%error, "a response cannot be cut"),
            },
            Some((rule, FrameAction::Hold)) => outgoing.held_by = Some(rule),
            Some((_, FrameAction::Delay(delay))) => delay_by(&mut outgoing, delay),
            _ => {}
        }
        down.send(outgoing).await.map_err(ended)?;
        Ok(true)
    }

    fn readdressed(&self, head: RequestHead, frame: Frame) -> Frame {
        if !rewrite::concerns(head.api) {
            return frame;
        }
        let detours = self.state.detours();
        match rewrite::response(head, &frame, &detours) {
            Ok(Some(changed)) => changed,
            Ok(None) => frame,
            Err(error) => {
                self.state.counters.unread.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(%error, "a response goes on as it is");
                frame
            }
        }
    }

    /// The request that has this number. Those before it were never answered and never will be.
    fn asked(&self, correlation: i32) -> Option<Awaited> {
        let mut pending = locked(self.pending);
        let at = pending.iter().position(|awaited| match awaited {
            Awaited::Answer(head) | Awaited::Second(head) => head.correlation == correlation,
            Awaited::Forged(_) => false,
        })?;
        pending.drain(..at);
        pending.pop_front()
    }

    fn forged_in_front(&self) -> Option<Frame> {
        let mut pending = locked(self.pending);
        match pending.pop_front() {
            Some(Awaited::Forged(frame)) => Some(frame),
            Some(other) => {
                pending.push_front(other);
                None
            }
            None => None,
        }
    }

    /// Writes what comes, each frame at its time.
    async fn write(
        &self,
        direction: Direction,
        mut queue: mpsc::Receiver<Outgoing>,
        mut stream: impl AsyncWrite + Unpin,
    ) -> io::Result<()> {
        while let Some(Outgoing { frame, due, held_by }) = queue.recv().await {
            if let Some(due) = due {
                tokio::time::sleep_until(due).await;
            }
            self.state.wait_for_passage(direction, held_by).await;
            stream.write_all(&frame.0).await?;
            self.state.count_out(direction, &frame);
            if let Some(pause) = self.state.pause_after(frame.0.len()) {
                tokio::time::sleep(pause).await;
            }
        }
        stream.shutdown().await
    }
}

fn delay_by(outgoing: &mut Outgoing, delay: Duration) {
    outgoing.due = Some(outgoing.due.unwrap_or_else(Instant::now) + delay);
}

/// Whether the node will answer. Only a Produce request with `acks=0` gets no answer.
fn wants_answer(head: RequestHead, frame: &Frame) -> bool {
    head.api != PRODUCE || produce_acks(head.version, frame) != Some(0)
}

/// The `acks` of a Produce request, which follow the header and, from version 3 on, the
/// transactional id; version 9 began the compact form (KIP-482).
fn produce_acks(version: i16, frame: &Frame) -> Option<i16> {
    let mut rest = frame.message();
    let skip =
        |rest: &mut bytes::Bytes, count: usize| (rest.len() >= count).then(|| rest.advance(count));
    let short = |rest: &mut bytes::Bytes| (rest.len() >= 2).then(|| rest.get_i16());
    skip(&mut rest, 8)?;
    let client_id = short(&mut rest)?;
    skip(&mut rest, usize::try_from(client_id).unwrap_or(0))?;
    if version >= 9 {
        // No tagged fields are defined for the request header; a compact string's length is one more.
        let tagged = (rest.len() >= 2).then(|| rest.get_u8())?;
        let length = rest.get_u8();
        if tagged != 0 || length >= 0x80 {
            return None;
        }
        skip(&mut rest, usize::from(length).saturating_sub(1))?;
    } else if version >= 3 {
        let length = short(&mut rest)?;
        skip(&mut rest, usize::try_from(length).unwrap_or(0))?;
    }
    short(&mut rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;
    use kafka_protocol::messages::{ProduceRequest, RequestHeader, TransactionalId};
    use kafka_protocol::protocol::{Encodable, HeaderVersion, StrBytes};

    #[test]
    fn the_acks_of_a_produce_request_are_found_in_every_version() {
        for version in 3..=12 {
            for (acks, id) in [(0, None), (-1, None), (1, Some("an-id"))] {
                let header = RequestHeader::default()
                    .with_request_api_version(version)
                    .with_client_id(Some(StrBytes::from_static_str("somebody")));
                let id = id.map(|id| TransactionalId(StrBytes::from_static_str(id)));
                let body = ProduceRequest::default().with_acks(acks).with_transactional_id(id);
                let mut message = BytesMut::new();
                header.encode(&mut message, ProduceRequest::header_version(version)).unwrap();
                body.encode(&mut message, version).unwrap();
                let frame = Frame::around(&message);
                assert_eq!(produce_acks(version, &frame), Some(acks), "version {version}");
            }
        }
    }
}
