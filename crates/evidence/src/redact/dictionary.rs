//! Which original has which pseudonym.

use crate::redact::Redaction;
use perjury_history::{Event, History, Mop, Payload, Process, Scalar};
use regex::Regex;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

/// Names of settings whose texts are hosts or addresses, possibly several separated by commas.
const HOST_NAMES: [&str; 11] = [
    "address",
    "addresses",
    "advertised.listeners",
    "advertised_listeners",
    "bootstrap",
    "bootstrap.servers",
    "bootstrap_servers",
    "host",
    "hostname",
    "listen",
    "listeners",
];

/// Addresses that give themselves away in running text: IPv4, IPv6 in brackets, and names with dots before a port.
static ADDRESS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"\b(?:\d{1,3}\.){3}\d{1,3}\b|\[[0-9a-fA-F]*:[0-9a-fA-F:.]*:[0-9a-fA-F:.]*\]|\b(?:[a-zA-Z0-9-]+\.)+[a-zA-Z][a-zA-Z0-9-]*(?::\d{2,5}\b)",
    )
    .ok()
});

/// Endings of file names: `node.rs:35` is a place in a program, not a host.
const SOURCE_ENDINGS: [&str; 12] =
    ["c", "cc", "cpp", "go", "h", "java", "js", "kt", "py", "rs", "scala", "ts"];

/// Originals and their pseudonyms.
#[derive(Debug, Clone, Default)]
pub(crate) struct Dictionary {
    pub(crate) redaction: Redaction,
    /// Whether operations other than Kafka's sends and polls hold values. In a history of Kafka they hold offsets,
    /// members and generations, which say nothing of the data and are judged by their order.
    pub(crate) is_general: bool,
    topics: BTreeMap<String, String>,
    /// Whole topic-partitions that occur as keys of the history.
    keys: BTreeMap<String, String>,
    record_keys: BTreeMap<String, String>,
    hosts: BTreeMap<String, String>,
    texts: HashMap<String, String>,
    integers: HashMap<i64, i64>,
}

/// `a`, …, `z`, `aa`, `ab`, ….
fn letters(mut n: usize) -> String {
    let mut out = Vec::new();
    loop {
        out.push(char::from(b'a' + u8::try_from(n % 26).unwrap_or_default()));
        if n < 26 {
            break;
        }
        n = n / 26 - 1;
    }
    out.iter().rev().collect()
}

/// Topic and partition of a key such as `orders-2`.
pub(crate) fn split_key(key: &str) -> Option<(&str, &str)> {
    let (topic, partition) = key.rsplit_once('-')?;
    let number = !partition.is_empty() && partition.bytes().all(|b| b.is_ascii_digit());
    (number && !topic.is_empty()).then_some((topic, partition))
}

impl Dictionary {
    /// The pseudonyms for everything that this history names; `model` is what it was judged as.
    pub(crate) fn of(history: &History, model: &str, redaction: Redaction) -> Dictionary {
        let is_general = model != "kafka";
        let mut dictionary = Dictionary { redaction, is_general, ..Dictionary::default() };
        for event in history.events() {
            dictionary.event(&event);
        }
        dictionary
    }

    fn event(&mut self, event: &Event) {
        match &event.value {
            Payload::Mops(mops) => mops.iter().for_each(|mop| self.mop(mop)),
            Payload::Keys(keys) => keys.iter().for_each(|key| self.key(key)),
            Payload::Json(value) if event.process.is_none_or(Process::is_client) => {
                if self.is_general { self.operation(value) } else { self.figures(value) }
            }
            Payload::Json(value) => self.cluster(value),
            Payload::None => {}
        }
    }

    fn mop(&mut self, mop: &Mop) {
        match mop {
            Mop::Send { key, value, .. } => {
                self.key(key);
                self.value(value);
            }
            Mop::Poll(groups) => {
                for (key, records) in groups.iter().flatten() {
                    self.key(key);
                    for record in records {
                        self.value(&record.value);
                        if let Some(key) = record.meta.as_ref().and_then(|m| m.key.as_deref()) {
                            self.record_key(key);
                        }
                    }
                }
            }
        }
    }

    /// Learns a key of the history.
    pub(crate) fn key(&mut self, key: &Scalar) {
        if let Scalar::Str(text) = key
            && self.redaction.keys
            && !self.keys.contains_key(text.as_ref())
        {
            let pseudonym = match split_key(text) {
                Some((topic, partition)) => format!("{}-{partition}", self.topic(topic)),
                None => self.topic(text),
            };
            self.keys.insert(text.to_string(), pseudonym);
        }
    }

    /// Learns a topic.
    pub(crate) fn topic(&mut self, topic: &str) -> String {
        let next = self.topics.len();
        let pseudonym = self.topics.entry(topic.to_owned());
        pseudonym.or_insert_with(|| format!("topic-{}", letters(next))).clone()
    }

    fn record_key(&mut self, key: &str) {
        let next = self.record_keys.len() + 1;
        if self.redaction.keys {
            self.record_keys.entry(key.to_owned()).or_insert_with(|| format!("key-{next}"));
        }
    }

    fn value(&mut self, value: &Scalar) {
        if !self.redaction.values {
            return;
        }
        match value {
            Scalar::Int(n) => {
                let next = i64::try_from(self.integers.len()).unwrap_or(i64::MAX).saturating_add(1);
                self.integers.entry(*n).or_insert(next);
            }
            Scalar::Str(text) => {
                let next = self.texts.len() + 1;
                self.texts.entry(text.to_string()).or_insert_with(|| format!("value-{next}"));
            }
        }
    }

    /// Learns from the value of an operation that is not Kafka's: micro-operations `[f, k, v]`, or plain values.
    fn operation(&mut self, value: &Value) {
        match value {
            Value::Array(items) => match micro(items) {
                Some((key, rest)) => {
                    self.json_key(key);
                    rest.iter().for_each(|v| self.operation(v));
                }
                None => items.iter().for_each(|v| self.operation(v)),
            },
            Value::Object(fields) => {
                for (name, value) in fields {
                    if name == "key" { self.json_key(value) } else { self.operation(value) }
                }
            }
            Value::String(text) => self.value(&Scalar::from(text.as_str())),
            Value::Number(n) => {
                if let Some(n) = n.as_i64() {
                    self.value(&Scalar::Int(n));
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    /// Learns the topic-partitions that name the figures of a `list-offsets`, `commit` or the like.
    fn figures(&mut self, value: &Value) {
        match value {
            Value::Array(items) => items.iter().for_each(|v| self.figures(v)),
            Value::Object(fields) => {
                for (name, value) in fields {
                    self.topic_partition(name);
                    self.figures(value);
                }
            }
            Value::String(text) => self.topic_partition(text),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn topic_partition(&mut self, text: &str) {
        if split_key(text).is_some() {
            self.key(&Scalar::from(text));
        }
    }

    fn json_key(&mut self, key: &Value) {
        if let Some(text) = key.as_str() {
            self.key(&Scalar::from(text));
        }
    }

    /// Learns from an event of the nemesis or of the cluster, or from settings: topics and hosts.
    pub(crate) fn cluster(&mut self, value: &Value) {
        match value {
            Value::Array(items) => items.iter().for_each(|v| self.cluster(v)),
            Value::Object(fields) => {
                for (name, value) in fields {
                    match value.as_str() {
                        Some(topic) if name == "topic" && self.redaction.keys => {
                            self.topic(topic);
                        }
                        Some(address) if HOST_NAMES.contains(&name.to_lowercase().as_str()) => {
                            address.split(',').for_each(|part| self.host(part));
                        }
                        Some(text) => self.running_text(text),
                        None => self.cluster(value),
                    }
                }
            }
            Value::String(text) => self.running_text(text),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// Learns the addresses in a line of text.
    pub(crate) fn running_text(&mut self, text: &str) {
        let Some(address) = ADDRESS.as_ref().filter(|_| self.redaction.hosts) else { return };
        for found in address.find_iter(text) {
            let host = found.as_str().split(':').next().unwrap_or_default();
            let ending = host.rsplit('.').next().unwrap_or_default();
            if !SOURCE_ENDINGS.contains(&ending) {
                self.host(found.as_str());
            }
        }
    }

    /// Learns a host from `name`, `name:port` or `SCHEME://name:port`.
    fn host(&mut self, address: &str) {
        let address = address.trim().rsplit("//").next().unwrap_or_default();
        let host = match address.strip_prefix('[') {
            Some(six) => six.split(']').next().unwrap_or_default(),
            None => address.rsplit_once(':').map_or(address, |(host, _)| host),
        };
        let plain = !host.is_empty() && !host.contains(char::is_whitespace);
        if self.redaction.hosts && plain && !is_pseudonym(host) {
            let next = self.hosts.len() + 1;
            self.hosts.entry(host.to_owned()).or_insert_with(|| format!("node-{next}"));
        }
    }

    /// The pseudonym of a key of the history.
    pub(crate) fn key_of(&self, key: &Scalar) -> Scalar {
        match key {
            Scalar::Str(text) => match self.keys.get(text.as_ref()) {
                Some(pseudonym) => Scalar::from(pseudonym.as_str()),
                None => key.clone(),
            },
            Scalar::Int(_) => key.clone(),
        }
    }

    /// The pseudonym of a value.
    pub(crate) fn value_of(&self, value: &Scalar) -> Scalar {
        match value {
            Scalar::Int(n) => Scalar::Int(self.integers.get(n).copied().unwrap_or(*n)),
            Scalar::Str(text) => match self.texts.get(text.as_ref()) {
                Some(pseudonym) => Scalar::from(pseudonym.as_str()),
                None => value.clone(),
            },
        }
    }

    /// The pseudonym of a record's key.
    pub(crate) fn record_key_of(&self, key: &str) -> Option<&str> {
        self.record_keys.get(key).map(String::as_str)
    }

    /// The pseudonym of a whole text that is a topic-partition, topic, host or record key, whatever its length.
    pub(crate) fn exactly(&self, text: &str) -> Option<&str> {
        let maps = [&self.keys, &self.topics, &self.hosts];
        maps.iter().find_map(|map| map.get(text)).map(String::as_str)
    }

    /// The pseudonym of a topic-partition that names a field of JSON.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.keys.get(name).map(String::as_str)
    }

    /// Everything that running text must not hold, with what it holds instead; in a stable order.
    pub(crate) fn words(&self) -> Vec<(&str, &str)> {
        let maps = [&self.keys, &self.topics, &self.hosts, &self.record_keys];
        let named = maps.into_iter().flatten().map(|(o, p)| (o.as_str(), p.as_str()));
        let mut values: Vec<(&str, &str)> =
            self.texts.iter().map(|(o, p)| (o.as_str(), p.as_str())).collect();
        values.sort_unstable();
        named.chain(values).collect()
    }
}

/// Whether this is a pseudonym already.
fn is_pseudonym(host: &str) -> bool {
    host.strip_prefix("node-").is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()))
}

/// Key and arguments of a micro-operation `[f, k, v…]` of a transaction.
pub(crate) fn micro(items: &[Value]) -> Option<(&Value, &[Value])> {
    const NAMES: [&str; 8] = ["r", "w", ":r", ":w", "append", ":append", "read", "write"];
    match items {
        [Value::String(f), key, rest @ ..] if NAMES.contains(&f.as_str()) => Some((key, rest)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_go_on_after_z() {
        assert_eq!([0, 25, 26, 27, 701, 702].map(letters), ["a", "z", "aa", "ab", "zz", "aaa"]);
    }

    #[test]
    fn addresses_are_found_in_running_text_and_places_in_programs_are_not() {
        let mut d = Dictionary {
            redaction: Redaction { hosts: true, ..Redaction::default() },
            ..Dictionary::default()
        };
        d.running_text(
            "127.0.0.1:9092 lost broker-7.corp.example:9093 at src/node.rs:35, [fe80::1]:80",
        );
        let hosts: Vec<&str> = d.hosts.keys().map(String::as_str).collect();
        assert_eq!(hosts, ["127.0.0.1", "broker-7.corp.example", "fe80::1"]);
    }
}
