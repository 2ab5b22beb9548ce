//! Which anomalies are looked for.

use crate::anomalies;
use crate::words;
use std::collections::BTreeSet;

/// Which anomalies of the catalogue are looked for: all of them, unless some are left out.
///
/// What is left out does not appear in a report, whether it is there or not, and cannot make it invalid; a note says
/// so.
///
/// ```
/// use perjury_checker::Rules;
///
/// let rules = Rules::without(["unseen"])?;
/// assert!(rules.looks_for("lost-write") && !rules.looks_for("unseen"));
/// assert!(Rules::only(["lost-rite"]).is_err());
/// # Ok::<(), perjury_checker::UnknownAnomaly>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    left_out: BTreeSet<&'static str>,
}

/// A name that the catalogue does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is not an anomaly; there are {known}")]
pub struct UnknownAnomaly {
    /// The name.
    pub name: String,
    /// The names of the catalogue.
    pub known: String,
}

impl Rules {
    /// All but these.
    ///
    /// # Errors
    /// Names the first that is no anomaly.
    pub fn without<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Rules, UnknownAnomaly> {
        Ok(Rules { left_out: names.into_iter().map(named).collect::<Result<_, _>>()? })
    }

    /// None but these.
    ///
    /// # Errors
    /// Names the first that is no anomaly.
    pub fn only<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Rules, UnknownAnomaly> {
        let kept: BTreeSet<&str> = names.into_iter().map(named).collect::<Result<_, _>>()?;
        let all = anomalies::all().map(|e| e.name);
        Ok(Rules { left_out: all.filter(|n| !kept.contains(n)).collect() })
    }

    /// Whether this anomaly is looked for.
    pub fn looks_for(&self, name: &str) -> bool {
        !self.left_out.contains(name)
    }

    /// The note about what was left out, if anything was.
    pub(crate) fn note(&self) -> Option<String> {
        let all = || anomalies::all().map(|e| e.name);
        let kept: Vec<String> = all().filter(|n| self.looks_for(n)).map(str::to_owned).collect();
        let left_out: Vec<String> = self.left_out.iter().map(|n| (*n).to_owned()).collect();
        if left_out.is_empty() {
            None
        } else if kept.len() < left_out.len() {
            Some(format!("As asked, nothing was looked for but {}.", words::list(&kept)))
        } else {
            Some(format!("As asked, nobody looked for {}.", words::list(&left_out)))
        }
    }
}

fn named(name: &str) -> Result<&'static str, UnknownAnomaly> {
    anomalies::entry(name).map(|e| e.name).ok_or_else(|| UnknownAnomaly {
        name: name.to_owned(),
        known: anomalies::all().map(|e| e.name).collect::<Vec<_>>().join(", "),
    })
}
