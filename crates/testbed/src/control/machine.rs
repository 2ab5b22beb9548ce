//! The Raft state machine: applies commands to the [`Image`] and publishes it.
//!
//! The image is small, so it lives in memory and is rebuilt at start from the last snapshot and the
//! log behind it.

use std::fs;
use std::io::{self, Cursor};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use openraft::storage::{RaftSnapshotBuilder, RaftStateMachine, Snapshot};
use openraft::{EntryPayload, OptionalSend, SnapshotMeta, StorageIOError};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::commands::Outcome;
use super::image::Image;
use super::raft::{Entry, LogId, NodeId, StorageError, StoredMembership, TypeConfig};

/// The image with what openraft wants to know about it; also the snapshot's file form.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct State {
    applied: Option<LogId>,
    membership: StoredMembership,
    image: Image,
}

/// The state machine.
#[derive(Debug)]
pub(crate) struct Machine {
    state: State,
    path: PathBuf,
    published: watch::Sender<Arc<Image>>,
}

/// A frozen copy of the state, to be written as a snapshot.
#[derive(Debug)]
pub(crate) struct Builder {
    state: State,
    path: PathBuf,
}

impl Machine {
    /// Loads the last snapshot of a directory, if any, and a channel on which images appear.
    ///
    /// # Errors
    /// The snapshot exists and cannot be read.
    pub(crate) fn open(dir: &Path) -> io::Result<(Self, watch::Receiver<Arc<Image>>)> {
        let path = dir.join("raft.snapshot.json");
        let state: State = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => State::default(),
            Err(error) => return Err(error),
        };
        let (published, receiver) = watch::channel(Arc::new(state.image.clone()));
        Ok((Self { state, path, published }, receiver))
    }
}

fn snapshot_of(state: &State, bytes: Vec<u8>) -> Snapshot<TypeConfig> {
    let snapshot_id = state.applied.map_or_else(String::new, |id| id.to_string());
    Snapshot {
        meta: SnapshotMeta {
            last_log_id: state.applied,
            last_membership: state.membership.clone(),
            snapshot_id,
        },
        snapshot: Box::new(Cursor::new(bytes)),
    }
}

fn write_error(error: &io::Error) -> StorageError {
    StorageIOError::<NodeId>::write_snapshot(None, error).into()
}

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    async fn build_snapshot(&mut self) -> Result<Snapshot<TypeConfig>, StorageError> {
        let bytes = serde_json::to_vec(&self.state)
            .map_err(|error| write_error(&io::Error::from(error)))?;
        let (path, copy) = (self.path.clone(), bytes.clone());
        tokio::task::spawn_blocking(move || crate::log::replace_file(&path, &copy))
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
            .map_err(|error| write_error(&error))?;
        Ok(snapshot_of(&self.state, bytes))
    }
}

impl RaftStateMachine<TypeConfig> for Machine {
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), StorageError> {
        Ok((self.state.applied, self.state.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Outcome>, StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut outcomes = Vec::new();
        for entry in entries {
            let index = entry.log_id.index;
            self.state.applied = Some(entry.log_id);
            outcomes.push(match entry.payload {
                EntryPayload::Blank => Outcome::Done,
                EntryPayload::Normal(command) => self.state.image.apply(index, &command),
                EntryPayload::Membership(membership) => {
                    self.state.membership = StoredMembership::new(Some(entry.log_id), membership);
                    Outcome::Done
                }
            });
            self.state.image.applied_index = index;
        }
        self.published.send_replace(Arc::new(self.state.image.clone()));
        Ok(outcomes)
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder { state: self.state.clone(), path: self.path.clone() }
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Cursor<Vec<u8>>>, StorageError> {
        Ok(Box::new(Cursor::new(Vec::new())))
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta<NodeId, openraft::BasicNode>,
        snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), StorageError> {
        let bytes = snapshot.into_inner();
        let state: State = serde_json::from_slice(&bytes)
            .map_err(|error| StorageIOError::<NodeId>::read_snapshot(None, &error))?;
        crate::log::replace_file(&self.path, &bytes).map_err(|error| write_error(&error))?;
        self.state = State {
            applied: meta.last_log_id,
            membership: meta.last_membership.clone(),
            image: state.image,
        };
        self.published.send_replace(Arc::new(self.state.image.clone()));
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<TypeConfig>>, StorageError> {
        let read_error = |error: &io::Error| StorageIOError::<NodeId>::read_snapshot(None, error);
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(read_error(&error).into()),
        };
        let state: State =
            serde_json::from_slice(&bytes).map_err(|error| read_error(&io::Error::from(error)))?;
        Ok(Some(snapshot_of(&state, bytes)))
    }
}
