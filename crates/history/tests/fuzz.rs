//! Every reader on damaged input of every format: no panic, no more rows than the input can hold, and every error names
//! a place. A case is one input, which every reader is given; `PERJURY_FUZZ_CASES` sets their number.

mod cases;

use perjury_history::formats::{detect, read_with};
use perjury_history::{Format, ReadOptions, edn, jsonl};
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const SEEDS: &[&str] = &[
    "{\"perjury\":\"history\",\"format\":\"1.0\",\"config\":{\"acks\":\"all\"}}\n\
     {\"index\":0,\"time\":5,\"process\":0,\"type\":\"invoke\",\"f\":\"txn\",\"value\":[[\"send\",\"a-0\",1],[\"poll\"]]}\n\
     {\"index\":1,\"time\":6,\"process\":0,\"type\":\"ok\",\"f\":\"txn\",\"value\":[[\"send\",\"a-0\",[0,1]],[\"poll\",{\"a-0\":[[0,1,{\"ts\":3,\"key\":\"k\"}],[1,2],[null,\"x\"]]}]],\"broker\":2,\"error\":{\"code\":\"X\",\"message\":\"y\"}}\n\
     {\"index\":2,\"time\":7,\"process\":\"nemesis\",\"type\":\"info\",\"f\":\"kill\",\"value\":{\"fault\":1,\"nodes\":[1,2.5e3]}}\n\
     {\"index\":3,\"process\":1,\"type\":\"invoke\",\"f\":\"assign\",\"value\":[\"a-0\",3],\"seek_to_beginning\":true}\n",
    "{:index 0, :time 12, :type :invoke, :process 0, :f :txn, :value [[:send 1 2] [:poll]]}\n\
     #jepsen.history.Op{:index 1, :type :ok, :process 0, :f :txn, :value [[:send 1 [3 2]] [:poll {1 [[3 2] [nil :a]]}]], :error [:x \"a\\n\\u0041b\"]}\n\
     {:index 2, :type :info, :process :nemesis, :f :kill, :value #{\"n1\" \\c #inst \"2020\" 1.5M 1/2 ##NaN}}\n",
    "[{:type :ok, :f :poll, :value [[:poll {:x [[0 1]]}]]} #_{:a 1} ; comment\n {:type :invoke, :f :assign, :value (1 2)}]",
    "0\t:invoke\t:send\t[[:send 1 2]]\n:nemesis\t:info\t:kill\tnil\n0\t:info\t:send\t[[:send 1 2]]\t:timeout\n",
    "INFO  jepsen.util - 2\t:invoke\t:cas\t[3 0]\nother\nINFO  jepsen.util - 2\t:fail\t:cas\t:timed-out\n",
    "{:process 0, :type :invoke, :f :append, :key \"0\", :value \"x 0 0 y\"}\n{:process 0, :type :ok, :f :get, :key \"0\", :value \"\"}\n",
    "[{\"index\":0,\"type\":\"invoke\",\"process\":0,\"value\":[[\"append\",\"x\",1]]},\n{\"type\":\"ok\",\"process\":0,\"f\":\"txn\",\"value\":[[\"r\",9,[1,2]]]}]",
    "{\"timestamp\":1,\"name\":\"producer_send_success\",\"value\":\"0\",\"topic\":\"t\",\"partition\":1,\"offset\":7}\n\
     {\"timestamp\":2,\"name\":\"producer_send_error\",\"value\":\"1\",\"topic\":\"t\",\"message\":\"m\"}\n\
     {\"timestamp\":3,\"name\":\"record_data\",\"value\":\"1\",\"topic\":\"t\",\"partition\":1,\"offset\":8}\n\
     {\"timestamp\":4,\"name\":\"partitions_assigned\",\"partitions\":[{\"topic\":\"t\",\"partition\":1}]}\n",
];

const TOKENS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    "\"",
    "\\",
    "\\u",
    ":",
    ",",
    "#",
    "#_",
    "#{",
    "##",
    "^",
    ";",
    "\n",
    "\t",
    " ",
    "nil",
    "null",
    "-",
    "-0",
    "0",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551616",
    "1e999",
    "1.5",
    "4294967295",
    ":send",
    "\"send\"",
    ":poll",
    "\"poll\"",
    "[[",
    "]]",
    "{}",
    "[]",
    "é",
    "\u{feff}",
    "\0",
    ":value",
    "\"value\":",
    ":f",
    ":type",
    "txn",
    "\\x",
    "true",
];

fn mutate(rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut text = SEEDS.choose(rng).expect("seeds").as_bytes().to_vec();
    if rng.random_bool(0.05) {
        let depth = rng.random_range(1..5000);
        let bracket =
            ["[", "{", "(", "#{", "#_", "#a ", "^", "{:a ", "{\"a\":"].choose(rng).expect("some");
        let at = rng.random_range(0..=text.len());
        text.splice(at..at, bracket.repeat(depth).into_bytes());
    }
    for _ in 0..rng.random_range(0..6) {
        let at = rng.random_range(0..=text.len());
        let end = (at + rng.random_range(0..30)).min(text.len());
        match rng.random_range(0..6) {
            0 => text.truncate(at),
            1 => drop(text.drain(at..end)),
            2 => {
                let part = text[at..end].to_vec();
                let to = rng.random_range(0..=text.len());
                text.splice(to..to, part);
            }
            3 if at < text.len() => text[at] = rng.random(),
            4 if at < end => text[at] = text[end - 1],
            _ => {
                let token = TOKENS.choose(rng).expect("tokens").bytes();
                text.splice(at..at, token);
            }
        }
    }
    text
}

/// What became of the inputs.
#[derive(Default)]
struct Tally {
    read: u64,
    refused: u64,
}

/// One reader on one input.
fn one(case: u64, text: &[u8], format: Option<Format>, options: &ReadOptions, tally: &mut Tally) {
    // A small buffer makes lines span several of them.
    let source = std::io::BufReader::with_capacity(1 + text.len() % 97, text);
    match read_with(source, "x", format, options) {
        Ok(history) => {
            tally.read += 1;
            assert!(history.len() <= text.len(), "case {case}, {format:?}");
            assert!(history.records_len() + history.mops_len() <= text.len());
            let mut native = Vec::new();
            jsonl::write(&history, &mut native).expect("memory takes it");
            let mut again = Vec::new();
            edn::write_edn(&history, &mut again).expect("memory takes it");
            let again = edn::read_edn(again.as_slice(), "again", options);
            let len = again.map_or(0, |h| h.len());
            let shown = String::from_utf8_lossy(text);
            assert_eq!(len, history.len(), "case {case}, {format:?}: {shown}");
        }
        Err(error) => {
            tally.refused += 1;
            assert!(error.line > 0 && error.column > 0, "case {case}, {format:?}: {error}");
            assert!(!error.to_string().is_empty());
        }
    }
}

#[test]
fn damaged_input_is_read_or_refused() {
    let options = ReadOptions { line_bytes_max: 1 << 16, ..ReadOptions::default() };
    // The Parquet reader has inputs of its own, in its own tests.
    let text = Format::ALL.into_iter().filter(|f| *f != Format::Parquet).map(Some);
    let formats: Vec<Option<Format>> = text.chain([None]).collect();
    let inputs = cases::cases(1_000_000);
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let tallies = std::thread::scope(|scope| {
        let work = |part: u64| {
            let (formats, options) = (&formats, &options);
            move || {
                let mut tally = Tally::default();
                for case in (part..inputs).step_by(usize::try_from(threads).expect("few")) {
                    let mut rng = ChaCha8Rng::seed_from_u64(case);
                    let text = mutate(&mut rng);
                    detect(&text, "x");
                    for format in formats {
                        one(case, &text, *format, options, &mut tally);
                    }
                }
                tally
            }
        };
        let parts: Vec<_> = (0..threads).map(|part| scope.spawn(work(part))).collect();
        parts.into_iter().map(|p| p.join()).collect::<Vec<_>>()
    });
    let tallies = tallies.into_iter().map(|t| t.expect("a case named above failed"));
    let (read, refused) = tallies.fold((0, 0), |(a, b), t| (a + t.read, b + t.refused));
    println!("{inputs} inputs to {} readers: {read} read, {refused} refused", formats.len());
    assert!(read > 0 && refused > 0, "both happen: {read} read, {refused} refused");
}
