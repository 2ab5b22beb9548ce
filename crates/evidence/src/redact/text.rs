//! Secrets and redacted words taken out of text and JSON.

use crate::redact::dictionary::Dictionary;
use aho_corasick::{AhoCorasick, MatchKind};
use perjury_secrets::Secrets;
use regex::Regex;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::sync::LazyLock;

/// Shorter words are replaced only where they are the whole of a text: elsewhere they are part of prose.
pub(crate) const WORD_CHARS_MIN: usize = 3;

/// An absolute path of at least two components; the last one says what it is, the others whose machine it is.
static PATH: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"(^|[\s"'=(\[,:])(?:/[A-Za-z0-9._@+~-]+)+/([A-Za-z0-9._@+~-]+)"#).ok()
});

/// Cleans whatever goes into a bundle.
#[derive(Debug)]
pub(crate) struct Cleaner {
    secrets: Secrets,
    dictionary: Dictionary,
    words: Option<AhoCorasick>,
    pseudonyms: Vec<String>,
}

impl Cleaner {
    /// A cleaner that knows these secrets and pseudonyms.
    pub(crate) fn new(secrets: Secrets, dictionary: Dictionary) -> Cleaner {
        let long = |word: &&(&str, &str)| word.0.chars().count() >= WORD_CHARS_MIN;
        let all = dictionary.words();
        let words: Vec<&(&str, &str)> = all.iter().filter(long).collect();
        let pseudonyms = words.iter().map(|(_, p)| (*p).to_owned()).collect();
        let originals = words.iter().map(|(o, _)| *o);
        let matcher = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(originals)
            .ok()
            .filter(|_| !words.is_empty());
        Cleaner { secrets, words: matcher, pseudonyms, dictionary }
    }

    /// The pseudonyms.
    pub(crate) fn dictionary(&self) -> &Dictionary {
        &self.dictionary
    }

    /// Takes secrets out, and nothing else.
    pub(crate) fn without_secrets<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.secrets.text(text)
    }

    /// Running text without secrets and with pseudonyms.
    pub(crate) fn text(&self, text: &str) -> String {
        let clean = self.secrets.text(text);
        let mut out = self.replaced(&clean);
        if self.dictionary.redaction.hosts
            && let Some(path) = PATH.as_ref()
        {
            out = path.replace_all(&out, "${1}<path>/${2}").into_owned();
        }
        out
    }

    fn replaced(&self, text: &str) -> String {
        let Some(words) = &self.words else { return text.to_owned() };
        let mut out = String::with_capacity(text.len());
        let mut done = 0;
        for found in words.find_iter(text) {
            let joins = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
            let before = text[..found.start()].chars().next_back();
            let after = text[found.end()..].chars().next();
            let word = &text[found.range()];
            let inside = joins(before) && joins(word.chars().next())
                || joins(after) && joins(word.chars().next_back());
            if inside {
                continue;
            }
            out.push_str(&text[done..found.start()]);
            out.push_str(&self.pseudonyms[found.pattern().as_usize()]);
            done = found.end();
        }
        out.push_str(&text[done..]);
        out
    }

    /// Settings, events of the cluster, answers of the server: without secrets and with pseudonyms.
    pub(crate) fn json(&self, value: &mut Value) {
        self.secrets.json(value);
        if !self.dictionary.redaction.is_none() {
            self.pseudonymous(value);
        }
    }

    fn pseudonymous(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                let known = self.dictionary.exactly(text);
                *text = known.map_or_else(|| self.text(text), str::to_owned);
            }
            Value::Array(items) => items.iter_mut().for_each(|v| self.pseudonymous(v)),
            Value::Object(fields) => {
                let old = std::mem::take(fields);
                let renamed = old.into_iter().map(|(name, mut value)| {
                    self.pseudonymous(&mut value);
                    (self.dictionary.field(&name).map_or(name, str::to_owned), value)
                });
                *fields = renamed.collect::<Map<_, _>>();
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}
