//! The headline and the story: the report's data put into sentences.

use crate::anomalies::{self, Entry};
use crate::faults::Surroundings;
use crate::report::{Anomaly, Example, Judgement, Report, Sentence, Verdict};
use crate::words;
use perjury_history::{Configuration, History, SubVia};

/// What the sentences are made of.
pub(crate) struct Teller<'a> {
    pub(crate) history: &'a History,
    pub(crate) around: &'a Surroundings,
}

/// The configuration in a few words: `acks=all, idempotence, RF 3, min.ISR 2`.
fn configuration(config: &Configuration) -> String {
    let mut parts = Vec::new();
    if let Some(acks) = config.acks {
        parts.push(format!("acks={acks}"));
    }
    match config.idempotence {
        Some(true) => parts.push("idempotence".into()),
        Some(false) => parts.push("no idempotence".into()),
        None => {}
    }
    if config.transactional == Some(true) {
        parts.push("transactions".into());
    }
    if let Some(level) = config.isolation_level {
        parts.push(level.as_str().into());
    }
    if let Some(n) = config.replication_factor {
        parts.push(format!("RF {n}"));
    }
    if let Some(n) = config.min_insync_replicas {
        parts.push(format!("min.ISR {n}"));
    }
    if config.unclean_leader_election == Some(true) {
        parts.push("unclean election".into());
    }
    if parts.is_empty() {
        return "configuration not stated".into();
    }
    parts.join(", ")
}

/// The violations of the report, the worst first.
fn violations(report: &Report) -> Vec<(&'static Entry, &Anomaly)> {
    let ranked = anomalies::all().filter_map(|e| Some((e, report.anomalies.get(e.name)?)));
    let mut all: Vec<_> = ranked.filter(|(_, a)| a.judgement == Judgement::Violation).collect();
    // That a model excludes a circle says no more than the circle itself.
    let definite = |name: &str| !name.ends_with("-cycle-exists");
    if all.iter().any(|(e, _)| definite(e.name)) {
        all.retain(|(e, _)| definite(e.name));
    }
    all
}

fn counted(entry: &Entry, anomaly: &Anomaly) -> String {
    words::counted(anomaly.count, entry.counted.0, entry.counted.1)
}

/// "on orders-2 (offsets 118–120)", as far as the examples agree.
fn place(anomaly: &Anomaly) -> String {
    let mut keys: Vec<&str> = anomaly.examples.iter().filter_map(|e| e.key.as_deref()).collect();
    keys.sort_unstable();
    keys.dedup();
    match keys.as_slice() {
        [] => String::new(),
        [key] => {
            let mut offsets: Vec<i64> = anomaly.examples.iter().filter_map(|e| e.offset).collect();
            offsets.sort_unstable();
            if offsets.is_empty() {
                return format!(" on {key}");
            }
            let more = anomaly.count > anomaly.examples.len() as u64;
            let text = words::offsets(&offsets, 4);
            format!(" on {key} ({text}{})", if more { ", …" } else { "" })
        }
        several => {
            let all = anomaly.count == anomaly.examples.len() as u64;
            let n = several.len() as u64;
            let at_least = if all { "" } else { "at least " };
            format!(" on {at_least}{}", words::counted(n, "partition", "partitions"))
        }
    }
}

impl Teller<'_> {
    /// "0.4 s after node 2 was killed while leader", for the first event of an example.
    fn when(&self, example: &Example) -> Option<String> {
        let fault = self.around.faults.iter().find(|f| Some(f.id) == example.fault)?;
        let row = usize::try_from(*example.ops.first()?).ok()?;
        let after = self.history.time(row)?.saturating_sub(fault.start?);
        let side = if after < 0 { "before" } else { "after" };
        Some(format!("{} {side} {}", words::duration(after), fault.phrase()))
    }

    /// The verdict in one line.
    pub(crate) fn headline(&self, report: &Report) -> String {
        match report.verdict {
            Verdict::Invalid => self.invalid_headline(report),
            Verdict::Unknown => {
                let first = report.reason_details.first();
                let first = first.map_or("the reason is not known", |r| r.message.as_str());
                let more = report.reasons.len().saturating_sub(1) as u64;
                let more = match more {
                    0 => String::new(),
                    n => format!(" · {}", words::counted(n, "more reason", "more reasons")),
                };
                format!("UNKNOWN · {}{more}", first.trim_end_matches('.'))
            }
            Verdict::Valid => self.valid_headline(report),
        }
    }

    fn invalid_headline(&self, report: &Report) -> String {
        let found = violations(report);
        let Some((entry, anomaly)) = found.first() else {
            return "INVALID".into();
        };
        let first = anomaly.examples.first().and_then(|e| self.when(e));
        let first = first.map_or_else(String::new, |w| format!(", first {w}"));
        let others: Vec<String> = found[1..].iter().map(|(e, a)| counted(e, a)).collect();
        let others = match others.len() {
            0 => String::new(),
            _ => format!(" · also {}", words::list_some(&others, 3)),
        };
        format!(
            "INVALID · {}{}{first} · {} · violates {}{others}",
            counted(entry, anomaly),
            place(anomaly),
            self.terms(report),
            self.promise(report, entry),
        )
    }

    fn valid_headline(&self, report: &Report) -> String {
        if !report.contract.models.is_empty() {
            let n = words::counted(report.operations, "operation", "operations");
            let models = words::list(&report.contract.models);
            return format!("VALID · {n} of {} agree with {models}", report.model);
        }
        let mut parts = vec!["VALID".to_owned()];
        let counts = &report.counts;
        let acked =
            words::counted(counts.acknowledged, "acknowledged record", "acknowledged records");
        parts.push(match counts.unseen {
            0 => format!("{acked}, every one of them read"),
            n => format!("{acked}, {} of them not read yet", words::count(n)),
        });
        let coverage = &report.coverage;
        if coverage.faults_injected > 0 {
            parts.push(format!(
                "{} of {} witnessed, {}",
                coverage.faults_witnessed,
                words::counted(coverage.faults_injected, "fault", "faults"),
                words::counted(coverage.leader_kills, "leader kill", "leader kills")
            ));
        }
        parts.push(configuration(&report.contract.config));
        let legal: Vec<String> = self.legal(report);
        if !legal.is_empty() {
            parts.push(format!("not counted against it: {}", words::list_some(&legal, 3)));
        }
        parts.join(" · ")
    }

    /// What was found and is no violation, `unseen` aside.
    fn legal(&self, report: &Report) -> Vec<String> {
        let ranked = anomalies::all().filter_map(|e| Some((e, report.anomalies.get(e.name)?)));
        let legal =
            ranked.filter(|(e, a)| a.judgement != Judgement::Violation && e.name != "unseen");
        legal.map(|(e, a)| counted(e, a)).collect()
    }

    /// The verdict in three to eight sentences.
    pub(crate) fn story(&self, report: &Report) -> Vec<Sentence> {
        let mut story = vec![self.promised(report), self.done(report)];
        let found = violations(report);
        if let Some((entry, anomaly)) = found.first() {
            self.broken(entry, anomaly, &mut story);
            if found.len() > 1 {
                let others: Vec<String> = found[1..]
                    .iter()
                    .map(|(e, a)| format!("{} ({})", counted(e, a), e.name))
                    .collect();
                let ops = found[1..].iter().filter_map(|(_, a)| a.examples.first());
                story.push(Sentence {
                    text: format!("Besides: {}.", words::list(&others)),
                    ops: ops.flat_map(|e| e.ops.iter().copied()).take(8).collect(),
                });
            }
            let counsel = anomalies::counsel(entry, report.contract.models.is_empty());
            let legal = match counsel.legal_if {
                "" => "No configuration makes it legal.".to_owned(),
                legal => format!("It would be legal under {legal}."),
            };
            let rule = format!("{} {legal}", anomaly.rule);
            story.push(Sentence { text: rule, ops: Vec::new() });
            let causes = words::list(counsel.causes);
            let text = format!("Usual causes are {causes}. {}", counsel.advice);
            story.push(Sentence { text, ops: Vec::new() });
        } else {
            story.push(self.kept(report));
        }
        for reason in report.reason_details.iter().take(8usize.saturating_sub(story.len())) {
            story.push(Sentence { text: reason.message.clone(), ops: Vec::new() });
        }
        story
    }

    fn promise(&self, report: &Report, entry: &Entry) -> String {
        if report.contract.models.is_empty() {
            return entry.clause.promise().into();
        }
        words::list(&report.contract.models)
    }

    fn terms(&self, report: &Report) -> String {
        if report.contract.models.is_empty() {
            return configuration(&report.contract.config);
        }
        report.model.clone()
    }

    fn promised(&self, report: &Report) -> Sentence {
        if !report.contract.models.is_empty() {
            let models = words::list(&report.contract.models);
            let text = format!("What was promised: {} under {models}.", report.model);
            return Sentence { text, ops: Vec::new() };
        }
        let config = &report.contract.config;
        let read = match (config.sub_via.contains(&SubVia::Subscribe), config.sub_via.is_empty()) {
            (true, _) => ", read by consumers that subscribe",
            (false, false) => ", read by consumers with assigned partitions",
            (false, true) => "",
        };
        let contract = match report.contract.name.as_str() {
            "jepsen" => "judged by the set of anomalies that Jepsen's tests.kafka allows",
            _ => "judged by what Apache Kafka documents for it",
        };
        let text = format!("What was promised: {}{read}; {contract}.", configuration(config));
        Sentence { text, ops: Vec::new() }
    }

    fn done(&self, report: &Report) -> Sentence {
        let (counts, coverage) = (&report.counts, &report.coverage);
        if !report.contract.models.is_empty() {
            let n = words::counted(report.operations, "operation", "operations");
            return Sentence { text: format!("What was done: {n}."), ops: Vec::new() };
        }
        let mut text = format!(
            "What was done: {}, in which {} acknowledged and {} polled",
            words::counted(report.operations, "operation", "operations"),
            words::counted(counts.acknowledged, "record was", "records were"),
            words::counted(counts.polled_records, "record was", "records were"),
        );
        if coverage.faults_injected > 0 {
            let mut kinds: Vec<String> = self.around.faults.iter().map(|f| f.f.clone()).collect();
            kinds.sort_unstable();
            kinds.dedup();
            text.push_str(&format!(
                "; {} injected ({}), {} witnessed, {} a leader",
                words::counted(coverage.faults_injected, "fault was", "faults were"),
                words::list(&kinds),
                words::counted_or_none(coverage.faults_witnessed, "was", "were"),
                words::counted_or_none(coverage.leader_kills, "killed", "killed"),
            ));
        }
        text.push('.');
        let ops = self.around.faults.iter().take(8).map(|f| f.row as u64).collect();
        Sentence { text, ops }
    }

    fn broken(&self, entry: &Entry, anomaly: &Anomaly, story: &mut Vec<Sentence>) {
        if let Some(first) = anomaly.examples.first() {
            story.push(Sentence { text: first.sentence.clone(), ops: first.ops.clone() });
        }
        if anomaly.count > 1 {
            let ops = anomaly.examples.iter().skip(1).filter_map(|e| e.ops.first().copied());
            story.push(Sentence {
                text: format!("In all there are {}{}.", counted(entry, anomaly), place(anomaly)),
                ops: ops.take(8).collect(),
            });
        }
    }

    fn kept(&self, report: &Report) -> Sentence {
        let legal = self.legal(report);
        let aside = match legal.len() {
            0 => String::new(),
            _ => format!(" What was found is no violation here: {}.", words::list_some(&legal, 4)),
        };
        let sure =
            report.confidence.as_ref().map_or_else(String::new, |c| format!(" {}.", c.statement));
        let text = format!("No promise was seen to be broken.{aside}{sure}");
        Sentence { text, ops: Vec::new() }
    }
}
