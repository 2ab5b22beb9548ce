//! What was seen of a fault, apart from the code that injected it.
//!
//! A fault counts only if something independent of its injection shows that it bit: `/proc` says
//! that the process is gone, stopped or another one, and its port refuses or does not answer. What
//! the other nodes then say of it is recorded beside that. [`FaultWitness::judge`] decides from the
//! recorded facts alone, so a reader of a history can decide again.

pub(crate) use crate::fault::FaultKind;
use crate::fault::Sight;
use crate::node::NodeId;
use crate::probe::ProbeError;
use crate::procfs::{ExitInfo, ProcessIdentity};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::net::TcpStream;

/// How a node's Kafka port took a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PortState {
    /// The kernel refused: nothing listens.
    Refused,
    /// The connection came about. The kernel does that for a stopped process too.
    Accepted,
    /// Nothing happened in time.
    TimedOut,
    /// Another error.
    Failed,
}

/// What a node's Kafka port did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortObservation {
    /// `host:port`.
    pub address: String,
    /// When: nanoseconds on the run's clock.
    pub at_ns: u64,
    /// How it took a TCP connection.
    pub state: PortState,
    /// Whether it answered an ApiVersions request; absent when none was sent.
    pub answered: Option<bool>,
}

/// What another node said of the cluster after the fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerView {
    /// The node that was asked.
    pub peer: NodeId,
    /// When it answered or failed to: nanoseconds on the run's clock.
    pub at_ns: u64,
    /// Whether its metadata lists the node that the fault hit among the brokers.
    pub lists_node: Option<bool>,
    /// How many partitions its metadata has that node lead.
    pub leads: Option<usize>,
    /// The controller in its metadata.
    pub controller: Option<NodeId>,
    /// Why it did not answer, when it did not.
    pub error: Option<String>,
}

/// The facts observed around one fault on one node. Times are nanoseconds on the run's clock; what
/// does not apply or was not observed is absent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultWitness {
    /// What was asked for.
    pub fault: FaultKind,
    /// On which node.
    pub node: NodeId,
    /// When it was asked for.
    pub asked_ns: u64,
    /// When the (first) signal was sent.
    pub signal_ns: Option<u64>,
    /// The node's process before.
    pub before: Option<ProcessIdentity>,
    /// Its state letter before, from `/proc/<pid>/stat`.
    pub state_before: Option<char>,
    /// When `/proc` no longer had that process (or had it as a zombie).
    pub gone_ns: Option<u64>,
    /// How that process ended.
    pub exit: Option<ExitInfo>,
    /// The node's process afterwards: a new one after a start, the same one after pause and resume.
    pub after: Option<ProcessIdentity>,
    /// Its state letter afterwards; `T` only if every thread was stopped.
    pub state_after: Option<char>,
    /// When `after` and its state were seen.
    pub after_ns: Option<u64>,
    /// What the node's Kafka port did afterwards.
    pub port: Option<PortObservation>,
    /// What the other live nodes said afterwards, ordered by node.
    pub peers: Vec<PeerView>,
    /// What was seen of a fault that is not a signal, in the order of looking.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sights: Vec<Sight>,
    /// Whether the facts show that the fault bit.
    pub witnessed: bool,
    /// The facts that decided it, as one sentence.
    pub why: String,
}

impl FaultWitness {
    /// A witness that has seen nothing yet.
    #[must_use]
    pub fn new(fault: FaultKind, node: NodeId, asked_ns: u64) -> Self {
        Self {
            fault,
            node,
            asked_ns,
            signal_ns: None,
            before: None,
            state_before: None,
            gone_ns: None,
            exit: None,
            after: None,
            state_after: None,
            after_ns: None,
            port: None,
            peers: Vec::new(),
            sights: Vec::new(),
            witnessed: false,
            why: "nothing was observed".to_owned(),
        }
    }

    /// Decides [`FaultWitness::witnessed`] and [`FaultWitness::why`] from the other fields.
    #[must_use]
    pub fn judge(mut self) -> Self {
        let verdict = match self.fault {
            FaultKind::Kill | FaultKind::Stop => self.judge_end(),
            FaultKind::Pause => self.judge_pause(),
            FaultKind::Resume => self.judge_resume(),
            FaultKind::Start => self.judge_start(),
            FaultKind::Restart => self
                .judge_end()
                .and_then(|end| self.judge_start().map(|start| format!("{end}; {start}"))),
            FaultKind::LoseTail | FaultKind::BitFlip => self
                .judge_end()
                .and_then(|end| self.judge_sights().map(|seen| format!("{end}; {seen}"))),
            _ => self.judge_sights(),
        };
        (self.witnessed, self.why) = match verdict {
            Ok(why) => (true, why),
            Err(why) => (false, why),
        };
        self
    }

    /// At least one sight, and all of them show the fault.
    fn judge_sights(&self) -> Result<String, String> {
        if let Some(other) = self.sights.iter().find(|sight| !sight.shows) {
            return Err(format!("{other}, which does not show the fault"));
        }
        match self.sights.as_slice() {
            [] => Err("nothing was observed".to_owned()),
            seen => Ok(seen.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")),
        }
    }

    fn process_before(&self) -> Result<ProcessIdentity, String> {
        self.before.ok_or_else(|| "no process of the node was running".to_owned())
    }

    fn judge_end(&self) -> Result<String, String> {
        let before = self.process_before()?;
        let signal_ns = self.signal_ns.ok_or_else(|| format!("no signal was sent to {before}"))?;
        let gone_ns = self.gone_ns.ok_or_else(|| format!("{before} is still in /proc"))?;
        if self.fault == FaultKind::Kill
            && let Some(exit) = self.exit
            && exit.signal != Some(9)
        {
            return Err(format!("{before} did not end by SIGKILL: {exit}"));
        }
        // After a restart the port belongs to the new process.
        let port = match (&self.port, self.fault) {
            (
                Some(port),
                FaultKind::Kill | FaultKind::Stop | FaultKind::LoseTail | FaultKind::BitFlip,
            ) => match port.state {
                PortState::Refused => format!(", {} refuses connections", port.address),
                PortState::Accepted => {
                    return Err(format!("{before} is gone, yet {} accepts", port.address));
                }
                PortState::TimedOut | PortState::Failed => String::new(),
            },
            _ => String::new(),
        };
        let after_us = gone_ns.saturating_sub(signal_ns) / 1000;
        let exit = self.exit.map(|exit| format!(", {exit}")).unwrap_or_default();
        Ok(format!("{before} gone from /proc {after_us} µs after the signal{exit}{port}"))
    }

    fn judge_pause(&self) -> Result<String, String> {
        let before = self.process_before()?;
        if self.after != self.before {
            return Err(format!("{before} is not there any more"));
        }
        match self.state_after {
            Some('T') => {}
            Some(state) => return Err(format!("{before} is in state {state}, not stopped")),
            None => return Err(format!("the state of {before} was not seen")),
        }
        match self.port.as_ref().and_then(|port| port.answered) {
            Some(true) => Err(format!("{before} is in state T, yet it answers")),
            Some(false) => {
                Ok(format!("every thread of {before} is in state T and it answers no request"))
            }
            None => Ok(format!("every thread of {before} is in state T")),
        }
    }

    fn judge_resume(&self) -> Result<String, String> {
        let before = self.process_before()?;
        if self.state_before != Some('T') {
            return Err(format!("{before} was not stopped"));
        }
        if self.after != self.before {
            return Err(format!("{before} is not there any more"));
        }
        match self.state_after {
            Some('T') => Err(format!("{before} is still stopped")),
            Some(state) => Ok(format!("{before} left state T for {state}")),
            None => Err(format!("the state of {before} was not seen")),
        }
    }

    fn judge_start(&self) -> Result<String, String> {
        let after = self.after.ok_or_else(|| "no new process was seen".to_owned())?;
        if self.before == Some(after) {
            return Err(format!("{after} is the old process"));
        }
        if matches!(self.state_after, None | Some('Z' | 'X')) {
            return Err(format!("{after} has ended again"));
        }
        match self.port.as_ref().map(|port| (&port.address, port.answered)) {
            Some((address, Some(false))) => {
                Err(format!("{after} runs, but {address} does not answer"))
            }
            Some((address, Some(true))) => Ok(format!("{after} runs and answers at {address}")),
            _ => Ok(format!("{after} runs")),
        }
    }
}

/// Tries a TCP connection to `address`, for at most `bound`.
pub async fn connect_state(address: &str, bound: Duration) -> PortState {
    match tokio::time::timeout(bound, TcpStream::connect(address)).await {
        Ok(Ok(_)) => PortState::Accepted,
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            PortState::Refused
        }
        Ok(Err(_)) => PortState::Failed,
        Err(_) => PortState::TimedOut,
    }
}

/// Asks for the API versions at `address`, for at most `bound`.
pub(crate) async fn answer_state(address: &str, bound: Duration) -> (PortState, bool) {
    match crate::probe::api_versions(address, bound).await {
        Ok(_) => (PortState::Accepted, true),
        Err(error) if error.is_connection_refused() => (PortState::Refused, false),
        Err(ProbeError::Connect { .. }) => (PortState::Failed, false),
        Err(_) => (PortState::Accepted, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: ProcessIdentity = ProcessIdentity { pid: 10, start_ticks: 100 };
    const NEW: ProcessIdentity = ProcessIdentity { pid: 11, start_ticks: 200 };

    fn port(state: PortState, answered: Option<bool>) -> Option<PortObservation> {
        Some(PortObservation { address: "127.0.0.1:1".into(), at_ns: 9, state, answered })
    }

    fn killed() -> FaultWitness {
        FaultWitness {
            before: Some(OLD),
            signal_ns: Some(1_000),
            gone_ns: Some(501_000),
            exit: Some(ExitInfo { code: None, signal: Some(9), at_ns: 400 }),
            port: port(PortState::Refused, None),
            ..FaultWitness::new(FaultKind::Kill, NodeId(1), 1)
        }
    }

    #[test]
    fn a_fault_that_left_no_trace_is_not_witnessed_whatever_it_was() {
        use FaultKind::{Kill, Pause, Restart, Resume, Start, Stop};
        for fault in [Start, Stop, Kill, Pause, Resume, Restart] {
            assert!(!FaultWitness::new(fault, NodeId(1), 1).judge().witnessed);
            // A no-op: the process is there before and after, in its usual state.
            let nothing = FaultWitness {
                signal_ns: Some(2),
                before: Some(OLD),
                state_before: Some('S'),
                after: Some(OLD),
                state_after: Some('S'),
                port: port(PortState::Accepted, Some(true)),
                ..FaultWitness::new(fault, NodeId(1), 1)
            };
            assert!(!nothing.judge().witnessed, "{fault}");
        }
    }

    #[test]
    fn a_kill_needs_the_process_gone_by_that_signal_and_its_port_closed() {
        let seen = killed().judge();
        assert!(seen.witnessed, "{}", seen.why);
        assert!(seen.why.contains("500 µs after the signal, ended by signal 9"), "{}", seen.why);
        let by_itself = ExitInfo { code: Some(0), signal: None, at_ns: 4 };
        let contradictions = [
            FaultWitness { gone_ns: None, ..killed() },
            FaultWitness { before: None, ..killed() },
            FaultWitness { signal_ns: None, ..killed() },
            FaultWitness { exit: Some(by_itself), ..killed() },
            FaultWitness { port: port(PortState::Accepted, None), ..killed() },
        ];
        for witness in contradictions {
            assert!(!witness.clone().judge().witnessed, "{witness:?}");
        }
    }

    #[test]
    fn a_pause_needs_every_thread_stopped_and_silence() {
        let paused = FaultWitness {
            signal_ns: Some(2),
            before: Some(OLD),
            state_before: Some('S'),
            after: Some(OLD),
            state_after: Some('T'),
            port: port(PortState::Accepted, Some(false)),
            ..FaultWitness::new(FaultKind::Pause, NodeId(1), 1)
        };
        assert!(paused.clone().judge().witnessed);
        let answers =
            FaultWitness { port: port(PortState::Accepted, Some(true)), ..paused.clone() };
        assert!(!answers.judge().witnessed);
        let resumed = FaultWitness {
            fault: FaultKind::Resume,
            state_before: Some('T'),
            state_after: Some('R'),
            ..paused
        };
        assert!(resumed.judge().witnessed);
    }

    #[test]
    fn a_restart_needs_the_old_process_gone_and_a_new_one() {
        let restarted = FaultWitness {
            fault: FaultKind::Restart,
            after: Some(NEW),
            state_after: Some('S'),
            port: port(PortState::Accepted, Some(true)),
            exit: Some(ExitInfo { code: Some(0), signal: None, at_ns: 4 }),
            ..killed()
        };
        let seen = restarted.clone().judge();
        assert!(seen.witnessed, "{}", seen.why);
        assert!(!FaultWitness { after: Some(OLD), ..restarted.clone() }.judge().witnessed);
        assert!(!FaultWitness { state_after: Some('Z'), ..restarted.clone() }.judge().witnessed);
        assert!(!FaultWitness { gone_ns: None, ..restarted }.judge().witnessed);
    }
}
