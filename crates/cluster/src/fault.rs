//! What can be done to a cluster: kinds of faults, their settings, and what is seen of them.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A kind of fault, or of what heals one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FaultKind {
    /// Start the process of a node that does not run.
    Start,
    /// SIGTERM, and SIGKILL when it does not end in time.
    Stop,
    /// SIGKILL.
    Kill,
    /// SIGSTOP.
    Pause,
    /// SIGCONT.
    Resume,
    /// Stop and start.
    Restart,
    /// Power loss: SIGKILL, and the end of the newest log files is cut off before the next start.
    LoseTail,
    /// SIGKILL, and bits of the log files are flipped before the next start.
    BitFlip,
    /// The victims and the other nodes no longer hear each other; clients reach all.
    Partition,
    /// The victims hear neither nodes nor clients, and are not heard.
    Isolate,
    /// The victims no longer hear the other nodes, but are heard.
    OneWayIn,
    /// The victims are no longer heard by the other nodes, but hear them.
    OneWayOut,
    /// The nodes split into a majority and a minority that holds the victim.
    Halves,
    /// Every node hears a majority, and no two the same one (Jepsen's majorities-ring).
    Ring,
    /// A share of all packets to the victims is lost.
    Loss,
    /// Everything between the victims and their clients takes longer.
    Delay,
    /// Connections take different times, so that requests of different connections overtake.
    Reorder,
    /// The victims' links carry little.
    Bandwidth,
    /// Requests of one API are lost with their connection before the victim sees them.
    DropRequest,
    /// Responses of one API are lost with their connection.
    DropResponse,
    /// Requests of one API are held back.
    HoldRequest,
    /// Responses of one API are held back.
    HoldResponse,
    /// Requests of one API reach the victim twice.
    DuplicateRequest,
    /// Produce requests are acknowledged and never reach the victim.
    ForgeResponse,
    /// Fetch responses are cut to nothing, as if the log ended where the client stands.
    CutFetch,
    /// The disk of the victims' data is full.
    DiskFull,
    /// The disk of the victims' data answers slowly.
    DiskSlow,
    /// Writes to the disk of the victims' data fail.
    DiskError,
    /// The victims' wall clock jumps.
    ClockSkew,
}

/// What a fault needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Plane {
    /// Signals.
    Process,
    /// The files of a node that does not run.
    Files,
    /// Links between nodes, and between nodes and clients.
    Network,
    /// A proxy before the node that knows Kafka's frames.
    Frames,
    /// A disk of the node's own.
    Disk,
    /// A clock of the node's own.
    Clock,
}

impl FaultKind {
    /// All kinds that break something, each with the name that it has in plans.
    pub const BREAKING: [Self; 27] = [
        Self::Stop,
        Self::Kill,
        Self::Pause,
        Self::Restart,
        Self::LoseTail,
        Self::BitFlip,
        Self::Partition,
        Self::Isolate,
        Self::OneWayIn,
        Self::OneWayOut,
        Self::Halves,
        Self::Ring,
        Self::Loss,
        Self::Delay,
        Self::Reorder,
        Self::Bandwidth,
        Self::DropRequest,
        Self::DropResponse,
        Self::HoldRequest,
        Self::HoldResponse,
        Self::DuplicateRequest,
        Self::ForgeResponse,
        Self::CutFetch,
        Self::DiskFull,
        Self::DiskSlow,
        Self::DiskError,
        Self::ClockSkew,
    ];

    /// Whether a node that this is done to stops serving, if only for a moment.
    #[must_use]
    pub fn takes_down(self) -> bool {
        matches!(
            self,
            Self::Stop | Self::Kill | Self::Pause | Self::Restart | Self::LoseTail | Self::BitFlip
        )
    }

    /// What it needs.
    #[must_use]
    pub fn plane(self) -> Plane {
        match self {
            Self::Start | Self::Stop | Self::Kill | Self::Pause | Self::Resume | Self::Restart => {
                Plane::Process
            }
            Self::LoseTail | Self::BitFlip => Plane::Files,
            Self::Partition
            | Self::Isolate
            | Self::OneWayIn
            | Self::OneWayOut
            | Self::Halves
            | Self::Ring
            | Self::Loss
            | Self::Bandwidth => Plane::Network,
            Self::Delay
            | Self::Reorder
            | Self::DropRequest
            | Self::DropResponse
            | Self::HoldRequest
            | Self::HoldResponse
            | Self::DuplicateRequest
            | Self::ForgeResponse
            | Self::CutFetch => Plane::Frames,
            Self::DiskFull | Self::DiskSlow | Self::DiskError => Plane::Disk,
            Self::ClockSkew => Plane::Clock,
        }
    }

    /// Its name in plans, histories and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Kill => "kill",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Restart => "restart",
            Self::LoseTail => "lose-tail",
            Self::BitFlip => "bit-flip",
            Self::Partition => "partition",
            Self::Isolate => "isolate",
            Self::OneWayIn => "one-way-in",
            Self::OneWayOut => "one-way-out",
            Self::Halves => "halves",
            Self::Ring => "ring",
            Self::Loss => "loss",
            Self::Delay => "delay",
            Self::Reorder => "reorder",
            Self::Bandwidth => "bandwidth",
            Self::DropRequest => "drop-request",
            Self::DropResponse => "drop-response",
            Self::HoldRequest => "hold-request",
            Self::HoldResponse => "hold-response",
            Self::DuplicateRequest => "duplicate-request",
            Self::ForgeResponse => "forge-response",
            Self::CutFetch => "cut-fetch",
            Self::DiskFull => "disk-full",
            Self::DiskSlow => "disk-slow",
            Self::DiskError => "disk-error",
            Self::ClockSkew => "clock-skew",
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for FaultKind {
    type Err = String;

    /// Reads the name of a kind that breaks something.
    fn from_str(text: &str) -> Result<Self, String> {
        let all = Self::BREAKING.iter();
        let names = || all.clone().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ");
        all.clone()
            .find(|kind| kind.as_str() == text)
            .copied()
            .ok_or_else(|| format!("there is no fault {text:?}; the faults are: {}", names()))
    }
}

/// How strong a fault is. What a kind does not use is ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct FaultSettings {
    /// [`FaultKind::Loss`]: the share of packets that are lost, in percent.
    pub loss_percent: u8,
    /// [`FaultKind::Delay`] and [`FaultKind::Reorder`]: the (longest) delay each way, in
    /// milliseconds.
    pub delay_ms: u64,
    /// [`FaultKind::Bandwidth`]: kilobits per second.
    pub bandwidth_kbit: u32,
    /// The faults of one API: the API's name in the Kafka protocol, such as `Produce` or `EndTxn`.
    /// With [`FaultKind::Delay`] only its frames are delayed.
    pub api: Option<String>,
    /// The faults of one API: how many frames are hit; all of them when 0.
    pub frames: u32,
    /// [`FaultKind::LoseTail`]: the share of each newest log file that is cut off, in percent.
    pub tail_percent: u8,
    /// [`FaultKind::BitFlip`]: how many bits are flipped.
    pub flips: u32,
    /// [`FaultKind::LoseTail`] and [`FaultKind::BitFlip`]: how the names of log files end.
    pub log_suffix: String,
    /// [`FaultKind::ClockSkew`]: by how much the clock jumps, in milliseconds.
    pub skew_ms: i64,
    /// A number that the caller drew from its seed, for choices such as which bit.
    pub pick: u64,
}

impl Default for FaultSettings {
    fn default() -> Self {
        Self {
            loss_percent: 30,
            delay_ms: 200,
            bandwidth_kbit: 256,
            api: None,
            frames: 1,
            tail_percent: 40,
            flips: 1,
            log_suffix: ".log".to_owned(),
            skew_ms: 60_000,
            pick: 0,
        }
    }
}

/// A fault with its settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultSpec {
    /// What is done.
    pub kind: FaultKind,
    /// How strong it is.
    #[serde(default)]
    pub settings: FaultSettings,
}

impl From<FaultKind> for FaultSpec {
    fn from(kind: FaultKind) -> Self {
        Self { kind, settings: FaultSettings::default() }
    }
}

/// One observation that is independent of an injection: the same question asked before and after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sight {
    /// What was looked at, such as `tcp connect from node 1 to node 2`.
    pub what: String,
    /// The answer before the fault; absent when it was not asked.
    pub before: Option<String>,
    /// The answer after it.
    pub after: String,
    /// When the last answer came: nanoseconds on the run's clock.
    pub at_ns: u64,
    /// Whether the answers are those that the fault, and only the fault, explains.
    pub shows: bool,
}

impl fmt::Display for Sight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.before {
            Some(before) => write!(f, "{}: {before}, then {}", self.what, self.after),
            None => write!(f, "{}: {}", self.what, self.after),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_unknown_ones_are_told_what_exists() {
        for kind in &FaultKind::BREAKING {
            assert_eq!(kind.as_str().parse(), Ok(*kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
        let complaint = "earthquake".parse::<FaultKind>().unwrap_err();
        assert!(complaint.contains("kill") && complaint.contains("clock-skew"), "{complaint}");
        assert!("start".parse::<FaultKind>().is_err(), "a start breaks nothing");
    }
}
