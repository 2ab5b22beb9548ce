//! Takes passwords, tokens and private keys out of everything that is written to a file.
//!
//! Client properties, node configurations, error messages and logs pass through here on their way to disk: plan, header,
//! captured output of nodes, evidence bundles. Two things find a secret:
//! - its *name*: `sasl.password`, `ssl.key.pem`, `sasl.jaas.config` and whatever else names a secret in Kafka's, librdkafka's
//!   and HTTP's settings ([`is_secret_name`]). Values under such names are removed, and remembered: wherever else the same
//!   text appears, it goes too;
//! - its *shape* in running text: `password="…"`, `Authorization: Bearer …`, a PEM private key, a URL with a password, a
//!   token with a well-known prefix.
//!
//! What is removed leaves [`REMOVED`] behind, so that a reader knows that something was there. Pure: no I/O.
#![warn(clippy::disallowed_methods)]

use regex::{Captures, Regex};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// What stands in the place of a secret.
pub const REMOVED: &str = "[removed]";

/// A remembered secret that is shorter would tear holes into innocent text.
const REMEMBERED_CHARS_MIN: usize = 4;

/// Names that are secrets as a whole, in lower case with `.` between words.
const WHOLE_NAMES: [&str; 14] = [
    "api.key",
    "authorization",
    "cookie",
    "csrf",
    "passwd",
    "passphrase",
    "password",
    "private.key",
    "pwd",
    "sasl.jaas.config",
    "sasl.oauthbearer.config",
    "secret",
    "ssl.key.pem",
    "token",
];

/// Endings of names that are secrets, in lower case with `.` between words.
const NAME_ENDINGS: [&str; 12] = [
    ".access.key",
    ".api.key",
    ".authorization",
    ".jaas.config",
    ".key.pem",
    ".keystore.key",
    ".passphrase",
    ".password",
    ".private.key",
    ".pwd",
    ".secret",
    ".token",
];

/// The name in lower case, with `.` wherever a word ends: `saslPassword`, `SASL_PASSWORD` and `sasl-password` are one.
fn canonical(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    let mut lower_before = false;
    for c in name.chars() {
        if matches!(c, '_' | '-' | ' ' | '.' | '/') {
            if !out.ends_with('.') {
                out.push('.');
            }
            lower_before = false;
            continue;
        }
        if c.is_uppercase() && lower_before {
            out.push('.');
        }
        lower_before = c.is_lowercase() || c.is_ascii_digit();
        out.extend(c.to_lowercase());
    }
    out
}

/// Whether a setting of this name holds a secret, whatever way its words are joined. Names that end in `password`,
/// `secret`, `token` or the like count; `ssl.certificate.pem`, `ssl.key.location` and `sasl.username` do not: they are
/// public or say only where a secret is.
///
/// ```
/// assert!(perjury_secrets::is_secret_name("sasl.password"));
/// assert!(perjury_secrets::is_secret_name("SASL_OAUTHBEARER_CLIENT_SECRET"));
/// assert!(!perjury_secrets::is_secret_name("ssl.key.location"));
/// ```
pub fn is_secret_name(name: &str) -> bool {
    let name = canonical(name);
    WHOLE_NAMES.contains(&name.as_str()) || NAME_ENDINGS.iter().any(|end| name.ends_with(end))
}

/// What gives a secret in running text away. In each the group `s` is the secret.
static SHAPES: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    const SHAPES: [&str; 7] = [
        // name=value, name: value, "name":"value", name=\"value\" inside JSON; a quoted value may hold blanks.
        r#"(?i)(?:passw(?:or)?d|passphrase|secret|access[._-]?key|api[._-]?key|auth[._-]?token|access[._-]?token|client[._-]?secret)\\?["']?\s*[=:]\s*(?:\\?["'](?<s>[^"'\\]+)|(?<t>[^\s"'\\,;&}\])]+))"#,
        r"(?i)\b(?:bearer|basic)\s+(?<s>[A-Za-z0-9._~+/=-]{8,})",
        r#"(?i)(?:\bauthorization|\bx-api-key)\\?["']?\s*[=:]\s*\\?["']?(?:(?:token|bearer|basic)\s+)?(?<s>[^\s"'\\,;]{6,})"#,
        // User and password inside an address.
        r#"\b[a-zA-Z][a-zA-Z0-9+.-]*://[^\s/:@"'\\]+:(?<s>[^\s/@"'\\]+)@"#,
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?<s>[\s\S]*?)(?:-----END [A-Z ]*PRIVATE KEY-----|$)",
        // Tokens with a prefix that their issuers gave them for this purpose.
        r"\b(?<s>(?:gh[pousr]_|github_pat_|glpat-|xox[baprs]-|AKIA|ASIA)[A-Za-z0-9_-]{12,})",
        // A JSON web token.
        r"\b(?<s>eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*)",
    ];
    SHAPES.iter().filter_map(|shape| Regex::new(shape).ok()).collect()
});

/// Whether a value says where a secret is to be had, such as `env:NAME`, and is none itself: a plan that keeps it can be
/// replayed.
fn is_reference(value: &str) -> bool {
    ["env:", "file:", "config:"].iter().any(|prefix| value.starts_with(prefix))
}

/// Whether this is what Kafka's protocol calls an api key: the number of a kind of request, or its name.
fn is_kafka_api(value: &str) -> bool {
    let name: String =
        value.chars().filter(|c| *c != '_').map(|c| c.to_ascii_lowercase()).collect();
    let is_number = name.len() <= 3 && name.bytes().all(|b| b.is_ascii_digit());
    is_number || KAFKA_APIS.split(' ').any(|api| api == name)
}

/// Kafka's kinds of requests, in small letters and without underscores.
const KAFKA_APIS: &str = "\
    produce fetch listoffsets metadata leaderandisr stopreplica updatemetadata controlledshutdown offsetcommit \
    offsetfetch findcoordinator joingroup heartbeat leavegroup syncgroup describegroups listgroups saslhandshake \
    apiversions createtopics deletetopics deleterecords initproducerid offsetforleaderepoch addpartitionstotxn \
    addoffsetstotxn endtxn writetxnmarkers txnoffsetcommit describeacls describeconfigs alterconfigs \
    incrementalalterconfigs describelogdirs saslauthenticate createpartitions deletegroups electleaders \
    alterpartitionreassignments listpartitionreassignments offsetdelete vote beginquorumepoch endquorumepoch \
    describequorum alterpartition updatefeatures fetchsnapshot describecluster describeproducers \
    brokerregistration brokerheartbeat unregisterbroker describetransactions listtransactions allocateproducerids \
    consumergroupheartbeat consumergroupdescribe";

/// What is known to be secret, and takes it out of text and JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Secrets {
    known: BTreeSet<String>,
}

impl Secrets {
    /// Nothing is known yet: only names and shapes give secrets away.
    pub fn new() -> Secrets {
        Secrets::default()
    }

    /// Remembers a secret, to be removed wherever it appears. Texts of fewer than four characters are not remembered.
    pub fn remember(&mut self, secret: &str) {
        let secret = secret.trim();
        let short = secret.chars().count() < REMEMBERED_CHARS_MIN;
        if !short && secret != REMOVED && !is_reference(secret) {
            self.known.insert(secret.to_owned());
        }
    }

    /// Remembers every text under a secret's name anywhere in the JSON.
    pub fn learn(&mut self, value: &Value) {
        match value {
            Value::Object(map) => {
                for (name, value) in map {
                    if is_secret_name(name) {
                        self.remember_all(value);
                    } else {
                        self.learn(value);
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.learn(item)),
            _ => {}
        }
    }

    fn remember_all(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.remember(text),
            Value::Array(items) => items.iter().for_each(|item| self.remember_all(item)),
            Value::Object(map) => map.values().for_each(|item| self.remember_all(item)),
            _ => {}
        }
    }

    /// Whether no secret is remembered.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// The text without secrets; borrowed when it holds none. What is inserted contains no quote and no backslash, so a
    /// line of JSON stays JSON.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut out = Cow::Borrowed(text);
        for known in &self.known {
            if out.contains(known.as_str()) {
                out = Cow::Owned(out.replace(known.as_str(), REMOVED));
            }
            // The same text as a JSON string writes it.
            let quoted = Value::from(known.as_str()).to_string();
            let inner = quoted.trim_matches('"');
            if inner != known && out.contains(inner) {
                out = Cow::Owned(out.replace(inner, REMOVED));
            }
        }
        for shape in SHAPES.iter() {
            if shape.is_match(&out) {
                out = Cow::Owned(shape.replace_all(&out, blank).into_owned());
            }
        }
        out
    }

    /// Takes secrets out of JSON: values under secret names whole, all other texts as [`Secrets::text`] does. Null and
    /// empty texts stay: that nothing was set is no secret.
    pub fn json(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Cow::Owned(clean) = self.text(text) {
                    *text = clean;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.json(item)),
            Value::Object(map) => self.object(map),
            _ => {}
        }
    }

    fn object(&self, map: &mut Map<String, Value>) {
        for (name, value) in map {
            let says_nothing = value.is_null() || value.is_boolean() || *value == "";
            let secret = !says_nothing && !value.as_str().is_some_and(is_reference);
            if is_secret_name(name) && secret {
                *value = REMOVED.into();
            } else {
                self.json(value);
            }
        }
    }
}

/// The match with its secret taken out.
fn blank(found: &Captures<'_>) -> String {
    let whole = found.get(0).map_or("", |m| m.as_str());
    let Some(secret) = found.name("s").or_else(|| found.name("t")) else { return whole.to_owned() };
    // The brackets may be cut off by a shape that ends at one.
    let text = secret.as_str();
    let names_api = whole.to_ascii_lowercase().starts_with("api") && is_kafka_api(text);
    if text.starts_with("[removed") || is_reference(text) || names_api {
        return whole.to_owned();
    }
    let from = found.get(0).map_or(0, |m| m.start());
    let (before, after) = (secret.start() - from, secret.end() - from);
    format!("{}{REMOVED}{}", &whole[..before], &whole[after..])
}

/// JSON without secrets, each removed where its name or shape gives it away and wherever else it appears in the same JSON.
///
/// ```
/// let plan = serde_json::json!({"sasl.password": "hunter22", "note": "log in with hunter22"});
/// let clean = perjury_secrets::clean(plan);
/// assert_eq!(clean, serde_json::json!({"sasl.password": "[removed]", "note": "log in with [removed]"}));
/// ```
pub fn clean(mut value: Value) -> Value {
    let mut secrets = Secrets::new();
    secrets.learn(&value);
    secrets.json(&mut value);
    value
}

#[cfg(test)]
mod tests;
