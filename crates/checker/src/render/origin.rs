//! Where a report comes from: what a report does not know and a ticket must say.

/// The run behind a report. What is absent is left out of the text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The campaign's or plan's name; the test suite in continuous integration.
    pub suite: Option<String>,
    /// The run: `<name>/<time>`.
    pub run: Option<String>,
    /// The seed from which operations and faults follow.
    pub seed: Option<u64>,
    /// The cluster: driver, version and switched bugs in one line.
    pub cluster: Option<String>,
    /// Versions of everything that took part, name and version.
    pub versions: Vec<(String, String)>,
    /// The evidence bundle, as a file name or address.
    pub bundle: Option<String>,
}

impl Origin {
    /// What the header of a history says of its run. Foreign histories say little.
    pub fn of(header: &perjury_history::Header) -> Origin {
        let text = |value: &serde_json::Value| match value {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let cluster = &header.cluster;
        let named = cluster["driver"].as_str().map(|driver| {
            let version = cluster["version"].as_str().map(|v| format!(" {v}"));
            let bugs: Vec<String> =
                cluster["bugs"].as_array().into_iter().flatten().map(text).collect();
            let bugs =
                if bugs.is_empty() { String::new() } else { format!(" with {}", bugs.join(", ")) };
            format!("{driver}{}{bugs}", version.unwrap_or_default())
        });
        Origin {
            suite: header.name.clone(),
            run: None,
            seed: header.seed,
            cluster: named,
            versions: header.versions.iter().map(|(n, v)| (n.clone(), text(v))).collect(),
            bundle: None,
        }
    }

    /// The versions in one line; empty when none is known.
    pub(super) fn versions_line(&self) -> String {
        let all: Vec<String> = self.versions.iter().map(|(n, v)| format!("{n} {v}")).collect();
        all.join(", ")
    }
}
