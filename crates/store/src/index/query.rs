//! A page of the list: searched, filtered, sorted, counted.

use crate::index::{Index, IndexError};
use crate::summary::RunSummary;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use serde::Serialize;
use std::str::FromStr;

/// By what the list is sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SortKey {
    /// Wall-clock start.
    #[default]
    Started,
    /// Name.
    Name,
    /// Verdict: invalid, unknown, valid, none.
    Verdict,
    /// How many operations were invoked.
    Operations,
    /// How many cases of anomalies are violations.
    Violations,
    /// Cluster driver and version.
    Cluster,
    /// Workload.
    Workload,
}

/// A key and its direction. As text: the key, with a minus before it for falling order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sort {
    /// By what.
    pub key: SortKey,
    /// The greatest first.
    pub falling: bool,
}

impl Default for Sort {
    fn default() -> Sort {
        Sort { key: SortKey::Started, falling: true }
    }
}

impl FromStr for Sort {
    type Err = String;

    fn from_str(text: &str) -> Result<Sort, String> {
        let (falling, name) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let key = match name {
            "started" => SortKey::Started,
            "name" => SortKey::Name,
            "verdict" => SortKey::Verdict,
            "operations" => SortKey::Operations,
            "violations" => SortKey::Violations,
            "cluster" => SortKey::Cluster,
            "workload" => SortKey::Workload,
            other => {
                return Err(format!(
                    "the list is not sorted by {other:?}; it is by started, name, verdict, operations, violations, \
                     cluster or workload, with a minus before it for falling order"
                ));
            }
        };
        Ok(Sort { key, falling })
    }
}

/// Which runs, in which order. What is absent does not restrict.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunQuery {
    /// Words that must all occur, in any column.
    pub q: Vec<String>,
    /// Verdicts, `none`, or statuses; any of them.
    pub verdict: Vec<String>,
    /// Statuses; any of them.
    pub status: Vec<String>,
    /// The run's name.
    pub name: Option<String>,
    /// The workload's name.
    pub workload: Option<String>,
    /// A part of the cluster driver and version.
    pub cluster: Option<String>,
    /// A fault that was asked for.
    pub nemesis: Option<String>,
    /// An anomaly that was found.
    pub anomaly: Option<String>,
    /// Started not before, milliseconds since 1970.
    pub since_ms: Option<i64>,
    /// Started not after, milliseconds since 1970.
    pub until_ms: Option<i64>,
    /// The order.
    pub sort: Sort,
    /// How many to pass over.
    pub offset: usize,
    /// How many at most.
    pub limit: usize,
}

/// How many runs have each verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct VerdictCounts {
    /// A promise was broken.
    pub invalid: usize,
    /// Nothing can be said.
    pub unknown: usize,
    /// Every promise was kept.
    pub valid: usize,
    /// There is no report.
    pub none: usize,
}

/// The runs of one name.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    /// The name.
    pub name: String,
    /// How many runs match.
    pub runs: usize,
    /// How many of them are invalid.
    pub invalid: usize,
    /// How many are valid.
    pub valid: usize,
    /// How many are unknown or have no report.
    pub unknown: usize,
    /// The newest of them.
    pub latest: RunSummary,
}

/// A part of the list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunPage {
    /// The runs of this part.
    pub runs: Vec<RunSummary>,
    /// How many runs match.
    pub total: usize,
    /// How many runs there are, whatever was asked.
    pub stored: usize,
    /// Of those that match everything but the wanted verdicts.
    pub verdicts: VerdictCounts,
}

/// Conditions in SQL and their values, in order.
#[derive(Default)]
struct Where {
    sql: String,
    values: Vec<Value>,
}

impl Where {
    fn and(&mut self, condition: &str, values: impl IntoIterator<Item = Value>) {
        self.sql.push_str(if self.sql.is_empty() { " WHERE " } else { " AND " });
        self.sql.push_str(condition);
        self.values.extend(values);
    }

    fn any_of(&mut self, columns: &[&str], wanted: &[String]) {
        let marks = vec!["?"; wanted.len()].join(", ");
        let parts: Vec<String> = columns.iter().map(|c| format!("{c} IN ({marks})")).collect();
        let values = columns.iter().flat_map(|_| wanted.iter().cloned().map(Value::Text));
        self.and(&format!("({})", parts.join(" OR ")), values);
    }
}

/// `LIKE` with every character of the text standing for itself.
fn containing(text: &str) -> Value {
    let mut pattern = String::from("%");
    for c in text.to_lowercase().chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    Value::Text(pattern)
}

/// All conditions but the one on verdicts.
fn conditions(query: &RunQuery) -> Where {
    let mut wheres = Where::default();
    for word in &query.q {
        wheres.and("words LIKE ? ESCAPE '\\'", [containing(word)]);
    }
    if !query.status.is_empty() {
        wheres.any_of(&["status"], &query.status);
    }
    for (column, wanted) in [("name", &query.name), ("workload", &query.workload)] {
        if let Some(wanted) = wanted {
            wheres.and(&format!("{column} = ?"), [Value::Text(wanted.clone())]);
        }
    }
    if let Some(cluster) = &query.cluster {
        wheres.and("lower(cluster) LIKE ? ESCAPE '\\'", [containing(cluster)]);
    }
    for (table, column, wanted) in
        [("nemeses", "nemesis", &query.nemesis), ("anomalies", "anomaly", &query.anomaly)]
    {
        if let Some(wanted) = wanted {
            let sql = format!("id IN (SELECT run FROM {table} WHERE {column} = ?)");
            wheres.and(&sql, [Value::Text(wanted.clone())]);
        }
    }
    if let Some(since) = query.since_ms {
        wheres.and("started_ms >= ?", [Value::Integer(since)]);
    }
    if let Some(until) = query.until_ms {
        wheres.and("started_ms <= ?", [Value::Integer(until)]);
    }
    wheres
}

fn with_verdicts(query: &RunQuery) -> Where {
    let mut wheres = conditions(query);
    if !query.verdict.is_empty() {
        wheres.any_of(&["verdict", "status"], &query.verdict);
    }
    wheres
}

fn order(sort: Sort) -> String {
    let column = match sort.key {
        SortKey::Started => "started_ms",
        SortKey::Name => "name",
        SortKey::Verdict => "severity",
        SortKey::Operations => "operations",
        SortKey::Violations => "violations",
        SortKey::Cluster => "cluster",
        SortKey::Workload => "workload",
    };
    let direction = if sort.falling { "DESC" } else { "ASC" };
    let newest = if sort.key == SortKey::Started { "" } else { "started_ms DESC, " };
    format!(" ORDER BY {column} {direction}, {newest}id")
}

impl Index {
    /// A part of the list. Does not refresh.
    ///
    /// # Errors
    /// [`IndexError::Sqlite`] or [`IndexError::Row`].
    pub fn list(&self, query: &RunQuery) -> Result<RunPage, IndexError> {
        let db = self.locked();
        let wheres = with_verdicts(query);
        let total = count(&db, &wheres)?;
        let mut values = wheres.values;
        let number = |n: usize| Value::Integer(i64::try_from(n).unwrap_or(i64::MAX));
        values.extend([number(query.limit), number(query.offset)]);
        let sql =
            format!("SELECT summary FROM runs{}{} LIMIT ? OFFSET ?", wheres.sql, order(query.sort));
        let runs = summaries(&db, &sql, values)?;
        let stored = count(&db, &Where::default())?;
        Ok(RunPage { runs, total, stored, verdicts: verdicts(&db, query)? })
    }

    /// The runs that match by name, the name with the newest run first.
    ///
    /// # Errors
    /// As [`Index::list`].
    pub fn groups(&self, query: &RunQuery) -> Result<Vec<Group>, IndexError> {
        let db = self.locked();
        let Where { sql, values } = with_verdicts(query);
        // SQLite takes the other columns of a group from the row with the greatest start.
        let sql = format!(
            "SELECT name, count(*), sum(verdict = 'invalid'), sum(verdict = 'valid'), summary, max(started_ms) AS newest
             FROM runs{sql} GROUP BY name ORDER BY newest DESC, name"
        );
        let mut statement = db.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        let mut groups = Vec::new();
        while let Some(row) = rows.next()? {
            let (runs, invalid, valid) = (size(row, 1)?, size(row, 2)?, size(row, 3)?);
            let latest = serde_json::from_str(&row.get::<_, String>(4)?)?;
            let unknown = runs - invalid - valid;
            groups.push(Group { name: row.get(0)?, runs, invalid, valid, unknown, latest });
        }
        Ok(groups)
    }

    /// Every run of the index, newest first. For comparisons with the directories and for retention.
    ///
    /// # Errors
    /// As [`Index::list`].
    pub fn all(&self) -> Result<Vec<RunSummary>, IndexError> {
        summaries(
            &self.locked(),
            "SELECT summary FROM runs ORDER BY started_ms DESC, id",
            Vec::new(),
        )
    }
}

/// A count that SQLite gave.
fn size(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<usize> {
    Ok(usize::try_from(row.get::<_, i64>(at)?).unwrap_or(0))
}

fn count(db: &Connection, wheres: &Where) -> Result<usize, IndexError> {
    let sql = format!("SELECT count(*) FROM runs{}", wheres.sql);
    let mut statement = db.prepare_cached(&sql)?;
    Ok(statement.query_row(params_from_iter(&wheres.values), |row| size(row, 0))?)
}

fn verdicts(db: &Connection, query: &RunQuery) -> Result<VerdictCounts, IndexError> {
    let Where { sql, values } = conditions(query);
    let sql = format!("SELECT verdict, count(*) FROM runs{sql} GROUP BY verdict");
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut counts = VerdictCounts::default();
    while let Some(row) = rows.next()? {
        let n = size(row, 1)?;
        match row.get_ref(0)?.as_str().unwrap_or_default() {
            "invalid" => counts.invalid += n,
            "unknown" => counts.unknown += n,
            "valid" => counts.valid += n,
            _ => counts.none += n,
        }
    }
    Ok(counts)
}

fn summaries(
    db: &Connection,
    sql: &str,
    values: Vec<Value>,
) -> Result<Vec<RunSummary>, IndexError> {
    let mut statement = db.prepare_cached(sql)?;
    let rows = statement.query_map(params_from_iter(values), |row| row.get::<_, String>(0))?;
    rows.map(|text| Ok(serde_json::from_str(&text?)?)).collect()
}
