//! A campaign's plan file: TOML that says which runs to make, and its expansion into resolved plans.
//!
//! The runs are cluster × version × workload × faults × client settings × seeds × repeats. Repeats are outermost, then
//! seeds, so that a campaign that is cancelled half-way has tried every cell.

use crate::plan::RunPlan;
use crate::settings::Settings;
use perjury_store::Retention;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// No campaign has more runs.
pub const RUNS_MAX: usize = 10_000;
/// No plan file is larger, in bytes.
pub const PLAN_BYTES_MAX: usize = 256 * 1024;

/// The seeds: a list, or so many from a first one on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Seeds {
    /// These.
    List(Vec<u64>),
    /// `count` from `from` on.
    Range {
        /// The first.
        from: u64,
        /// How many.
        count: u64,
    },
}

impl Default for Seeds {
    fn default() -> Seeds {
        Seeds::List(vec![1])
    }
}

impl Seeds {
    fn all(&self) -> Vec<u64> {
        match self {
            Seeds::List(list) => list.clone(),
            // Bounded before anything is made of it: a range can name more numbers than fit into memory.
            Seeds::Range { from, count } => {
                let count = (*count).min(RUNS_MAX as u64 + 1);
                (0..count).map(|n| from.wrapping_add(n)).collect()
            }
        }
    }
}

/// What is varied. An axis that is left out varies nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Matrix {
    /// Clusters, each as settings.
    pub cluster: Vec<Settings>,
    /// Versions of the cluster.
    pub version: Vec<String>,
    /// Workloads.
    pub workload: Vec<String>,
    /// Sets of faults, each as settings.
    pub faults: Vec<Settings>,
    /// Sets of client settings.
    pub client: Vec<Settings>,
}

/// Which runs of a plan stay. A run goes when every rule that is given lets it go; one that broke a promise, that is pinned or
/// that nobody judged never goes. With an empty table all stay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Keep {
    /// Runs that started within so many days stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub days: Option<u32>,
    /// The newest so many runs stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newest: Option<usize>,
}

impl From<Keep> for Retention {
    fn from(keep: Keep) -> Retention {
        Retention { days: keep.days, newest: keep.newest }
    }
}

/// A plan file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CampaignPlan {
    /// The campaign's name: letters, digits, dots, underscores and dashes. Runs are called after it.
    pub name: String,
    /// What it is for, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// The seeds; every cell of the matrix is run with each.
    #[serde(default)]
    pub seeds: Seeds,
    /// How often the same cell is run with the same seed: what differs between them is chance.
    #[serde(default = "one")]
    pub repeats: u32,
    /// Whether a run that was interrupted by a crash or a restart of the service is made again.
    #[serde(default)]
    pub rerun_interrupted: bool,
    /// Which of its runs the service keeps, instead of what it is told to keep of all others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<Keep>,
    /// The settings of every run.
    #[serde(default)]
    pub run: Settings,
    /// What is varied.
    #[serde(default)]
    pub matrix: Matrix,
    /// A run, `<name>/<time>`, whose plan is run again exactly. With it only `name` and `repeats` count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<String>,
}

fn one() -> u32 {
    1
}

/// Something in a plan file that makes no sense, with its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlanError {
    /// The field, such as `matrix.client[1]`; empty for the whole file.
    pub path: String,
    /// The line, from 1, where it is known.
    pub line: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
}

impl std::fmt::Display for PlanError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(self.message.trim_end())?;
        if self.hint.is_empty() { Ok(()) } else { write!(f, " ({})", self.hint) }
    }
}

impl std::error::Error for PlanError {}

impl PlanError {
    fn new(path: &str, message: impl Into<String>, hint: &str) -> PlanError {
        PlanError { path: path.into(), line: None, message: message.into(), hint: hint.into() }
    }
}

/// One run of a campaign, ready to be started.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Resolved {
    /// The run's name.
    pub name: String,
    /// The cell of the matrix, the seed and the repeat, for people.
    pub summary: String,
    /// Its seed.
    pub seed: u64,
    /// Its plan.
    pub plan: RunPlan,
}

/// Gives the plan of an earlier run, for [`CampaignPlan::replay`]; a sentence when there is none.
pub type Earlier<'a> = &'a dyn Fn(&str) -> Result<Value, String>;

/// The JSON Schema of a plan file.
pub fn plan_schema() -> Value {
    schemars::schema_for!(CampaignPlan).to_value()
}

/// Reads a plan file.
///
/// # Errors
/// What is wrong, with its line.
pub fn parse(text: &str) -> Result<CampaignPlan, PlanError> {
    if text.len() > PLAN_BYTES_MAX {
        let message =
            format!("the plan has {} bytes; at most {PLAN_BYTES_MAX} are read", text.len());
        return Err(PlanError::new("", message, "split the campaign"));
    }
    toml::from_str(text).map_err(|e| {
        let line = e.span().map(|span| {
            let before = text.get(..span.start).unwrap_or(text);
            before.bytes().filter(|b| *b == b'\n').count() + 1
        });
        let hint = "perjury campaign schema prints what a plan may say";
        PlanError { line, ..PlanError::new("", e.message(), hint) }
    })
}

impl CampaignPlan {
    /// All runs, in the order in which they are made.
    ///
    /// # Errors
    /// Everything that makes no sense, at most 20.
    pub fn expand(&self, earlier: Earlier<'_>) -> Result<Vec<Resolved>, Vec<PlanError>> {
        let mut errors = self.basics();
        if !errors.is_empty() {
            return Err(errors);
        }
        if let Some(id) = &self.replay {
            return self.replayed(id, earlier).map_err(|e| vec![e]);
        }
        let (cells, seeds) = (self.cells(), self.seeds.all());
        let total = [cells.len(), seeds.len(), self.repeats as usize]
            .into_iter()
            .try_fold(1usize, usize::checked_mul)
            .filter(|n| *n <= RUNS_MAX);
        if total.is_none() {
            let message = format!(
                "{} cells × {} seeds × {} repeats are more than {RUNS_MAX} runs",
                cells.len(),
                seeds.len(),
                self.repeats
            );
            return Err(vec![PlanError::new(
                "matrix",
                message,
                "vary less, or split the campaign",
            )]);
        }
        let mut runs = Vec::new();
        for repeat in 1..=self.repeats {
            for &seed in &seeds {
                for cell in &cells {
                    match self.resolved(cell, seed, repeat) {
                        Ok(run) => runs.push(run),
                        Err(error) if errors.len() < 20 && !errors.contains(&error) => {
                            errors.push(error)
                        }
                        Err(_) => {}
                    }
                }
            }
            if !errors.is_empty() {
                return Err(errors);
            }
        }
        Ok(runs)
    }

    fn basics(&self) -> Vec<PlanError> {
        let mut errors = Vec::new();
        if let Err(e) = perjury_store::RunId::new(&self.name, "t") {
            errors.push(PlanError::new("name", e.to_string(), "choose another name"));
        } else if self.name.len() > 80 {
            errors.push(PlanError::new(
                "name",
                "the name is longer than 80 characters",
                "shorten it",
            ));
        }
        if self.repeats == 0 {
            errors.push(PlanError::new("repeats", "0 repeats make no run", "give 1 or more"));
        }
        if self.replay.is_none() && self.seeds.all().is_empty() {
            errors.push(PlanError::new("seeds", "no seed makes no run", "give one or more"));
        }
        errors
    }

    fn replayed(&self, id: &str, earlier: Earlier<'_>) -> Result<Vec<Resolved>, PlanError> {
        let wrong = |message: String| {
            PlanError::new("replay", message, "name a run of the store that has a plan.json")
        };
        let plan = earlier(id).map_err(wrong)?;
        let mut plan: RunPlan = serde_json::from_value(plan)
            .map_err(|e| wrong(format!("the plan.json of {id} is not readable: {e}")))?;
        plan.name.clone_from(&self.name);
        plan.validate().map_err(wrong)?;
        let again = |n: u32| Resolved {
            name: plan.name.clone(),
            summary: format!("replay of {id} ({n} of {})", self.repeats),
            seed: plan.worker.seed,
            plan: plan.clone(),
        };
        if self.repeats as usize > RUNS_MAX {
            return Err(wrong(format!("{} repeats are more than {RUNS_MAX} runs", self.repeats)));
        }
        Ok((1..=self.repeats).map(again).collect())
    }

    /// The product of all axes. A label is what distinguishes the cell.
    fn cells(&self) -> Vec<(String, Settings)> {
        let mut cells = vec![(String::new(), self.run.clone())];
        let m = &self.matrix;
        let of_version =
            |v: &String| Settings { cluster_version: Some(v.clone()), ..Settings::default() };
        let of_workload =
            |w: &String| Settings { workload: Some(w.clone()), ..Settings::default() };
        let axes: [Vec<Settings>; 5] = [
            m.cluster.clone(),
            m.version.iter().map(of_version).collect(),
            m.workload.iter().map(of_workload).collect(),
            m.faults.clone(),
            m.client.clone(),
        ];
        for axis in axes.iter().filter(|a| !a.is_empty()) {
            let mut next = Vec::new();
            for (label, settings) in &cells {
                for (at, entry) in axis.iter().enumerate() {
                    // Stops one beyond the bound, which `expand` then names.
                    if next.len() > RUNS_MAX {
                        break;
                    }
                    let part = if axis.len() > 1 { describe(entry, at) } else { String::new() };
                    let parts = [label.as_str(), &part].into_iter().filter(|p| !p.is_empty());
                    next.push((parts.collect::<Vec<_>>().join("-"), settings.with(entry)));
                }
            }
            cells = next;
        }
        cells
    }

    fn resolved(
        &self,
        (label, settings): &(String, Settings),
        seed: u64,
        repeat: u32,
    ) -> Result<Resolved, PlanError> {
        let mut name = self.name.clone();
        if !label.is_empty() {
            name = format!("{name}-{label}");
        }
        name.truncate(150);
        let plan = settings.resolve(&name, seed).map_err(|message| {
            let cell =
                if label.is_empty() { "run".to_owned() } else { format!("matrix ({label})") };
            PlanError::new(&cell, message, "")
        })?;
        let mut summary = format!("{} {}", plan.cluster.driver, plan.worker.workload.as_str());
        if !label.is_empty() {
            summary = format!("{summary} · {label}");
        }
        summary = format!("{summary} · seed {seed}");
        if self.repeats > 1 {
            summary = format!("{summary} · repeat {repeat}");
        }
        Ok(Resolved { name, summary, seed, plan })
    }
}

/// What an entry is called in names: its label, else its content, else its place.
fn describe(entry: &Settings, at: usize) -> String {
    let lists = [&entry.bugs, &entry.nemesis].into_iter().flatten().map(|list| list.join("+"));
    let acks = entry.acks.as_ref().map(|a| format!("acks-{a}"));
    let singles =
        [&entry.cluster, &entry.cluster_version, &entry.workload, &acks].into_iter().flatten();
    let content: Vec<String> = singles.cloned().chain(lists).filter(|p| !p.is_empty()).collect();
    let text = match &entry.label {
        Some(label) => label.clone(),
        None if content.is_empty() => format!("{}", at + 1),
        None => content.join("-"),
    };
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._".contains(c) { c } else { '-' };
    text.chars().take(60).map(plain).collect()
}
