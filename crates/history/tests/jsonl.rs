//! The native reader against serde's reading of the same lines, and the round trip.

mod common;

use common::events;
use perjury_history::{
    Event, Header, History, HistoryBuilder, ReadError, ReadErrorKind, ReadOptions, jsonl,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn read(text: &[u8]) -> Result<History, ReadError> {
    jsonl::read(text, "test.jsonl", &ReadOptions::default())
}

/// A JSON text of the same meaning: fields in another order, white space, escapes.
fn disguise(value: &Value, seed: u64) -> String {
    let space = [" ", "", "\t", "  "][usize::try_from(seed % 4).expect("below four")];
    match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(|i| disguise(i, seed / 3)).collect();
            format!("[{space}{}{space}]", items.join(&format!("{space},{space}")))
        }
        Value::Object(fields) => {
            let mut parts: Vec<String> = fields
                .iter()
                .map(|(k, v)| {
                    format!("{}{space}:{space}{}", disguise(&json!(k), seed), disguise(v, seed / 3))
                })
                .collect();
            // Rotating by a seeded amount puts the value before the function now and then.
            if !parts.is_empty() && fields.contains_key("type") {
                let by = usize::try_from(seed % parts.len() as u64).expect("below a length");
                parts.rotate_left(by);
            }
            format!("{{{space}{}{space}}}", parts.join(&format!("{space},{space}")))
        }
        Value::String(s) if seed.is_multiple_of(5) => {
            let escaped: String = s.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
            format!("\"{escaped}\"")
        }
        other => other.to_string(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read(events in events()) {
        let mut builder = HistoryBuilder::new(Header::default());
        let mut text = Vec::new();
        jsonl::write_header(&mut text, &Header::default()).unwrap();
        for event in &events {
            builder.push(event);
            jsonl::write_event(&mut text, event).unwrap();
        }
        let built = builder.finish();
        let history = read(&text).unwrap();
        prop_assert!(history.events().eq(built.events()));
        let mut again = Vec::new();
        jsonl::write(&history, &mut again).unwrap();
        let twice: Vec<Event> = read(&again).unwrap().events().collect();
        prop_assert!(history.events().eq(twice));
    }

    #[test]
    fn rows_are_written_as_their_events_are(events in events()) {
        let mut builder = HistoryBuilder::new(Header::default());
        events.iter().for_each(|e| builder.push(e));
        let history = builder.finish();
        for i in 0..history.len() {
            let (mut row, mut event) = (Vec::new(), Vec::new());
            jsonl::write_row(&mut row, &history, i).unwrap();
            jsonl::write_event(&mut event, &history.event(i)).unwrap();
            prop_assert_eq!(String::from_utf8(row).unwrap(), String::from_utf8(event).unwrap());
        }
    }

    #[test]
    fn any_json_of_the_same_meaning_gives_the_same_rows(events in events(), seed in any::<u64>()) {
        let mut text = Vec::new();
        jsonl::write_header(&mut text, &Header::default()).unwrap();
        let mut by_serde = HistoryBuilder::default();
        for event in &events {
            let line = disguise(&serde_json::to_value(event).unwrap(), seed);
            by_serde.push(&serde_json::from_str::<Event>(&line).unwrap());
            text.extend_from_slice(line.as_bytes());
            text.push(b'\n');
        }
        let history = read(&text).unwrap();
        prop_assert!(history.events().eq(by_serde.finish().events()));
    }

    #[test]
    fn a_cut_anywhere_keeps_every_whole_line(events in events(), cut in any::<prop::sample::Index>()) {
        let mut text = Vec::new();
        jsonl::write_header(&mut text, &Header::default()).unwrap();
        let header = text.len();
        events.iter().for_each(|e| jsonl::write_event(&mut text, e).unwrap());
        let cut = header + cut.index(text.len() - header + 1);
        let history = read(&text[..cut]).unwrap();
        let whole = text[header..cut].iter().filter(|b| **b == b'\n').count();
        // A cut right before a line feed loses nothing.
        prop_assert!(history.len() == whole || (history.len() == whole + 1 && !history.torn));
        let kept = text[..cut].iter().rposition(|b| *b == b'\n').unwrap() + 1;
        let expected = if history.torn { (cut - kept) as u64 } else { 0 };
        prop_assert_eq!(history.torn_bytes, expected);
    }

    #[test]
    fn lines_that_serde_refuses_are_refused(
        events in events(), at in any::<prop::sample::Index>(), byte in any::<u8>()
    ) {
        for event in &events {
            let mut line = serde_json::to_vec(event).unwrap();
            let at = at.index(line.len());
            line[at] = byte;
            let ours = jsonl::read_event(&line, "test.jsonl", 1);
            let theirs = serde_json::from_slice::<Event>(&line);
            prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{}", String::from_utf8_lossy(&line));
            if let (Ok(ours), Ok(theirs)) = (ours, theirs) {
                let mut builder = HistoryBuilder::default();
                builder.push(&theirs);
                let mut through = builder.finish().event(0);
                through.index = theirs.index;
                prop_assert_eq!(ours, through);
            }
        }
    }
}

#[test]
fn a_last_line_without_line_feed_is_whole_when_it_parses() {
    let text = b"{\"perjury\":\"history\",\"format\":\"1.0\"}\n{\"index\":0,\"type\":\"invoke\",\"f\":\"poll\",\"value\":[[\"poll\"]]}";
    let history = read(text).unwrap();
    assert_eq!((history.len(), history.torn, history.torn_bytes), (1, false, 0));
}

#[test]
fn a_line_beyond_the_limit_is_refused_without_being_held() {
    /// Yields a header, then one endless line, and counts what was taken of it.
    struct Endless(u64, Vec<u8>);
    impl std::io::Read for Endless {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            unreachable!("the reader works on the buffer")
        }
    }
    impl std::io::BufRead for Endless {
        fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
            Ok(&self.1)
        }
        fn consume(&mut self, n: usize) {
            self.0 += n as u64;
            self.1.drain(..n);
            if self.1.is_empty() {
                self.1 = vec![b'x'; 4096];
            }
        }
    }
    let mut source = Endless(0, b"{\"perjury\":\"history\",\"format\":\"1.0\"}\n".to_vec());
    let options = ReadOptions { line_bytes_max: 1 << 20, ..ReadOptions::default() };
    let error = jsonl::read(&mut source, "endless.jsonl", &options).unwrap_err();
    assert!(matches!(error.kind, ReadErrorKind::LineTooLong { limit: 1048576 }));
    assert_eq!(error.line, 2);
    assert!(source.0 < (1 << 20) + 10_000, "{} bytes were taken", source.0);
}
