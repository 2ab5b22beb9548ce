//! Values and keys as small dense numbers.

use perjury_history::Scalar;
use rustc_hash::FxHashMap;
use serde_json::Value;

/// The code of nil, the value of a register that was never written.
pub(crate) const NIL: u32 = 0;

/// A table of values.
#[derive(Debug, Clone)]
pub(crate) struct Codes {
    ints: FxHashMap<i64, u32>,
    texts: FxHashMap<String, u32>,
    names: Vec<String>,
}

impl Codes {
    /// A table that knows nil.
    pub(crate) fn new() -> Self {
        Codes {
            ints: FxHashMap::default(),
            texts: FxHashMap::default(),
            names: vec!["nil".to_owned()],
        }
    }

    /// The code of a value; nil is [`NIL`].
    pub(crate) fn code(&mut self, value: &Value) -> u32 {
        #[expect(clippy::cast_possible_truncation, reason = "a history has fewer than 2^32 values")]
        let next = self.names.len() as u32;
        if let Some(i) = value.as_i64() {
            return *self.ints.entry(i).or_insert_with(|| {
                self.names.push(i.to_string());
                next
            });
        }
        let text = match value {
            Value::Null => return NIL,
            Value::String(s) => s.clone(),
            other => other.to_string(),
        };
        *self.texts.entry(text).or_insert_with_key(|text| {
            self.names.push(text.clone());
            next
        })
    }

    /// The code of an integer that was seen.
    pub(crate) fn int(&self, value: i64) -> Option<u32> {
        self.ints.get(&value).copied()
    }

    /// The code of a scalar, new if it was not seen.
    pub(crate) fn scalar(&mut self, value: &Scalar) -> u32 {
        match value {
            Scalar::Int(i) => self.code(&Value::from(*i)),
            Scalar::Str(s) => self.code(&Value::from(&**s)),
        }
    }

    /// How people know a code.
    pub(crate) fn name(&self, code: u32) -> String {
        self.names.get(code as usize).cloned().unwrap_or_else(|| code.to_string())
    }

    /// How many codes there are, nil included.
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }
}
