//! EDN data as scalars and as JSON.

use super::cursor::Cursor;
use crate::event::Scalar;
use crate::read_error::Fault;
use serde_json::{Map, Number, Value};

/// How deeply data may nest.
const DEPTH_MAX: usize = 64;

/// Reads a datum as JSON. Keywords are strings with their colon; sets and lists are arrays; tags are left out; map keys
/// that are not strings or keywords are their text; what JSON does not know is its text.
pub(crate) fn json(c: &mut Cursor<'_>) -> Result<Value, Fault> {
    nested(c, DEPTH_MAX)
}

fn nested(c: &mut Cursor<'_>, depth: usize) -> Result<Value, Fault> {
    let first = c.pass_tags()?;
    if depth == 0 {
        return Err(Fault::edn(c.at, format!("data nest more than {DEPTH_MAX} levels deep")));
    }
    match first {
        b'"' => Ok(Value::String(c.string()?.into_owned())),
        b'[' => items(c, b']', depth).map(Value::Array),
        b'(' => items(c, b')', depth).map(Value::Array),
        b'#' => {
            // A set; tags are passed already.
            c.at += 1;
            if c.peek()? == b'{' { items(c, b'}', depth).map(Value::Array) } else { atom(c) }
        }
        b'{' => map(c, depth),
        _ => atom(c),
    }
}

fn items(c: &mut Cursor<'_>, close: u8, depth: usize) -> Result<Vec<Value>, Fault> {
    c.at += 1;
    let mut items = Vec::new();
    while !c.eat(close)? {
        items.push(nested(c, depth - 1)?);
    }
    Ok(items)
}

fn map(c: &mut Cursor<'_>, depth: usize) -> Result<Value, Fault> {
    c.at += 1;
    let mut map = Map::new();
    while !c.eat(b'}')? {
        let key = match nested(c, depth - 1)? {
            Value::String(s) => s,
            other => other.to_string(),
        };
        map.insert(key, nested(c, depth - 1)?);
    }
    Ok(Value::Object(map))
}

fn atom(c: &mut Cursor<'_>) -> Result<Value, Fault> {
    if let Some(i) = c.integer()? {
        return Ok(i.into());
    }
    if c.peek()? == b'\\' {
        return Ok(Value::String(c.character().to_owned()));
    }
    let symbolic = c.eat(b'#')?;
    let at = c.at;
    let token = c.token();
    match token {
        // What is no number keeps its text.
        "Inf" | "-Inf" | "NaN" if symbolic => Ok(Value::String(token.to_owned())),
        _ if symbolic => Err(Fault::edn(at, "only Inf, -Inf and NaN follow ##")),
        "" => {
            c.at = at;
            Err(c.unexpected("a datum"))
        }
        "nil" => Ok(Value::Null),
        "true" => Ok(Value::Bool(true)),
        "false" => Ok(Value::Bool(false)),
        _ => Ok(number(token).unwrap_or_else(|| Value::String(token.to_owned()))),
    }
}

fn number(token: &str) -> Option<Value> {
    let digits = token.trim_start_matches(['+', '-']);
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let plain = token.trim_start_matches('+');
    let digits = plain.strip_suffix('N').unwrap_or(plain);
    if let Ok(i) = digits.parse::<i64>() {
        return Some(i.into());
    }
    if let Ok(i) = digits.parse::<u64>() {
        return Some(i.into());
    }
    let fraction = plain.trim_end_matches('M').parse::<f64>().ok()?;
    // Only what is a fraction in EDN too; an integer beyond 64 bits keeps its digits as text.
    if !plain.contains(['.', 'e', 'E']) {
        return None;
    }
    Number::from_f64(fraction).map(Value::Number)
}

/// Reads a datum as a key or value: integers and strings as they are, everything else as its EDN text.
pub(crate) fn scalar(c: &mut Cursor<'_>) -> Result<Scalar, Fault> {
    if let Some(i) = c.integer()? {
        return Ok(Scalar::Int(i));
    }
    if c.pass_tags()? == b'"' {
        return Ok(Scalar::from(c.string()?.as_ref()));
    }
    let span = c.skip()?;
    Ok(Scalar::from(c.slice(span)))
}

/// The name that a keyword, symbol or string stands for.
pub(crate) fn name(text: &str) -> &str {
    text.strip_prefix(':').unwrap_or(text)
}

/// Takes the colons off the keywords that name the fields of maps, and off keywords that stand as values.
pub(crate) fn without_colons(value: Value) -> Value {
    match value {
        Value::String(s) => Value::String(name(&s).to_owned()),
        Value::Array(items) => items.into_iter().map(without_colons).collect(),
        Value::Object(fields) => {
            let plain = fields.into_iter().map(|(k, v)| (name(&k).to_owned(), without_colons(v)));
            Value::Object(plain.collect())
        }
        other => other,
    }
}
