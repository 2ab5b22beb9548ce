//! The formats of others: each by example, and EDN by its round trip.

mod common;

use common::events;
use perjury_history::formats::{detect, read_any};
use perjury_history::{
    Event, F, Format, Header, History, HistoryBuilder, Kind, Mop, Payload, ProblemKind, Process,
    ReadOptions, Record, Scalar, edn, wellformed,
};
use proptest::prelude::*;
use serde_json::json;

fn read(text: &str, name: &str) -> History {
    read_any(text.as_bytes(), name, None).expect("a history")
}

fn poll(key: impl Into<Scalar>, records: &[(i64, i64)]) -> Mop {
    let records =
        records.iter().map(|(o, v)| Record { offset: Some(*o), value: (*v).into(), meta: None });
    Mop::Poll(Some(vec![(key.into(), records.collect())]))
}

fn send(key: impl Into<Scalar>, value: i64, offset: Option<Option<i64>>) -> Mop {
    Mop::Send { key: key.into(), value: value.into(), offset }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn edn_keeps_every_event(events in events()) {
        let mut header = Header { workload: Some("queue".into()), ..Header::default() };
        header.config.idempotence = Some(true);
        let mut builder = HistoryBuilder::new(header);
        events.iter().for_each(|e| builder.push(e));
        let history = builder.finish();
        let mut text = Vec::new();
        edn::write_edn(&history, &mut text).unwrap();
        let again = edn::read_edn(text.as_slice(), "test.edn", &ReadOptions::default());
        if events.is_empty() {
            return Ok(());
        }
        let again = again.unwrap();
        prop_assert_eq!(&again.header, &history.header);
        for (ours, theirs) in history.events().zip(again.events()) {
            prop_assert_eq!(with_keywords(ours), theirs);
        }
        prop_assert_eq!(again.len(), history.len());
    }

    #[test]
    fn a_cut_keeps_every_whole_operation(events in events(), cut in any::<prop::sample::Index>()) {
        let mut builder = HistoryBuilder::default();
        events.iter().for_each(|e| builder.push(e));
        let mut text = Vec::new();
        edn::write_edn(&builder.finish(), &mut text).unwrap();
        let cut = cut.index(text.len() + 1);
        let whole = text[..cut].iter().filter(|b| **b == b'\n').count();
        match edn::read_edn(&text[..cut], "test.edn", &ReadOptions::default()) {
            Ok(history) => prop_assert!(history.len() == whole || history.len() == whole + 1),
            Err(e) => prop_assert!(whole == 0, "{e}"),
        }
    }
}

/// The names of general micro-operations are keywords in EDN.
fn with_keywords(mut event: Event) -> Event {
    if let (F::Txn, Payload::Json(serde_json::Value::Array(mops))) = (&event.f, &mut event.value) {
        for mop in mops {
            if mop[0] == "append" {
                mop[0] = json!(":append");
            }
        }
    }
    event
}

#[test]
fn jepsen_records_and_maps_are_read_alike() {
    let records = "#jepsen.history.Op{:index 0, :time 3291485317, :type :invoke, :process 0, :f :txn, :value [[:send 5 1] [:poll]]}\n\
        #jepsen.history.Op{:index 1, :time 3291485318, :type :info, :process :nemesis, :f :kill, :value {\"n1\" :killed}}\n\
        #jepsen.history.Op{:index 2, :time 3391485317, :type :ok, :process 0, :f :txn, :value [[:send 5 [12 1]] [:poll {5 [[11 7] [nil 8]], 6 []}]], :rebalance-log [{:keys [5 6], :op :assigned}]}\n";
    let history = read(records, "history.edn");
    assert_eq!((history.len(), history.operations()), (3, 1));
    let Payload::Mops(mops) = history.event(2).value else { panic!("micro-operations") };
    assert_eq!(mops[0], send(5, 1, Some(Some(12))));
    let unknown = Record { offset: None, value: 8.into(), meta: None };
    let Mop::Poll(Some(groups)) = &mops[1] else { panic!("an answered poll") };
    assert_eq!((groups.len(), &groups[0].1[1]), (2, &unknown));
    assert_eq!(history.process(1), Some(Process::Nemesis));
    assert_eq!(history.json(1), Some(&json!({"n1": ":killed"})));
    assert_eq!(history.event(2).ext["rebalance_log"], json!([{"keys": [5, 6], "op": "assigned"}]));
    let maps = records.replace("#jepsen.history.Op", "");
    assert!(read(&maps, "history.edn").events().eq(history.events()));
    let vector = format!("; a comment\n[{}]\n", maps.replace('\n', " "));
    assert!(read(&vector, "history.edn").events().eq(history.events()));
}

#[test]
fn unit_test_style_lacks_what_it_lacks() {
    let history = read(
        "[{:type :ok, :f :poll, :value [[:poll {:x [[0 :a] [1 :b]]}]]} #_ {:type :ok}\n\
          {:type :fail :f :send :value [[:send :x :c]] :error [:timeout \"no answer\"]}]",
        "unit.edn",
    );
    assert_eq!(history.len(), 2);
    assert!(!history.has_invocations());
    assert_eq!((history.process(0), history.time(0)), (None, None));
    let error = history.error(1).expect("an error");
    assert_eq!((error.code.as_str(), error.message.as_str()), ("timeout", "no answer"));
    let expected = Mop::Send { key: ":x".into(), value: ":c".into(), offset: None };
    assert_eq!(history.event(1).value, Payload::Mops(vec![expected]));
}

#[test]
fn jepsen_text_is_read() {
    let history = read(
        "0\t:invoke\t:send\t[[:send 1 2]]\n:nemesis\t:info\t:kill\tnil\n\
         0\t:info\t:send\t[[:send 1 2]]\t:timeout\n1  :ok  :assign  [1 2]\n2\t:invoke\t:crash\tnil\n",
        "history.txt",
    );
    assert_eq!(history.len(), 5);
    assert_eq!(history.event(0).value, Payload::Mops(vec![send(1, 2, None)]));
    assert_eq!(history.pair(2), Some(0));
    assert_eq!(history.error(2).expect("an error").code, "timeout");
    assert_eq!(history.keys_of(3), Some(&[Scalar::Int(1), Scalar::Int(2)][..]));
    assert_eq!(history.event(4).value, Payload::None);
}

#[test]
fn etcd_logs_are_read_between_other_lines() {
    let history = read(
        "INFO  jepsen.core - Running test\nINFO  jepsen.util - 2\t:invoke\t:cas\t[3 0]\n\
         INFO  jepsen.util - 2\t:fail\t:cas\t[3 0]\nWARN  something - else\n\
         INFO  jepsen.util - 4\t:invoke\t:read\tnil\nINFO  jepsen.util - 4\t:fail\t:read\t:timed-out\n",
        "etcd_000.log",
    );
    assert_eq!(history.len(), 4);
    assert_eq!(history.json(0), Some(&json!([3, 0])));
    assert_eq!((history.f(0).as_str(), history.kind(1)), ("cas", Kind::Fail));
    assert_eq!(history.error(3).expect("an error").code, "timed-out");
    assert_eq!(history.json(3), None);
}

#[test]
fn porcupine_logs_are_read() {
    let history = read(
        "{:process 0, :type :invoke, :f :append, :key \"0\", :value \"x 0 0 y\"}\n\
         {:process 0, :type :ok, :f :append, :key \"0\", :value \"x 0 0 y\"}\n",
        "c01.txt",
    );
    assert_eq!(history.json(0), Some(&json!("x 0 0 y")));
    assert_eq!(history.event(1).ext["key"], "0");
    assert_eq!(
        detect(b"{:process 0, :type :invoke, :f :get, :key \"0\", :value nil}", "x"),
        Some(Format::PorcupineKv)
    );
}

#[test]
fn knossos_and_elle_data_are_read() {
    let knossos = read(
        "[{:type :invoke, :f :release, :process 1, :time 341187643, :index 0}\n {:type :ok, :f :release, :process 1}]",
        "data.edn",
    );
    assert_eq!((knossos.len(), knossos.f(0).as_str()), (2, "release"));
    let elle = "[{\"index\":0,\"type\":\"invoke\",\"process\":0,\"value\":[[\"append\",\"x\",1],[\"r\",\"y\",null]]},\n\
                 {\"index\":1,\"type\":\"ok\",\"process\":0,\"f\":\"txn\",\"value\":[[\"append\",\"x\",1],[\"r\",\"y\",[1,2]]]}]";
    for text in [elle, &elle.replace('\n', " "), elle.trim_matches(['[', ']'])] {
        let history = read(text, "history.json");
        assert_eq!(history.json(1), Some(&json!([["append", "x", 1], ["r", "y", [1, 2]]])));
        assert_eq!((history.f(0), history.len(), history.torn), (&F::Txn, 2, false));
    }
    let edn = read("{:index 0 :type :invoke :process 0 :value [[:append 1 1]]}\n", "elle.edn");
    assert_eq!(edn.json(0), Some(&json!([[":append", 1, 1]])));
}

#[test]
fn what_kafkas_verifiable_clients_print_is_read() {
    let history = read(
        r#"{"timestamp":1000,"name":"startup_complete"}
{"timestamp":1005,"name":"producer_send_success","key":null,"value":"0","topic":"t","partition":1,"offset":7}
{"timestamp":1006,"name":"producer_send_error","key":null,"value":"1","topic":"t","exception":"class TimeoutException","message":"expired"}
{"timestamp":1010,"name":"partitions_assigned","partitions":[{"topic":"t","partition":1}]}
{"timestamp":1011,"name":"record_data","key":null,"value":"0","topic":"t","partition":1,"offset":7}
{"timestamp":1011,"name":"record_data","key":null,"value":"1","topic":"t","partition":1,"offset":8}
{"timestamp":1012,"name":"records_consumed","count":2,"partitions":[]}
{"timestamp":1013,"name":"offsets_committed","offsets":[],"success":true}
{"timestamp":1014,"name":"partitions_revoked","partitions":[{"topic":"t","partition":1}]}
"#,
        "producer.log",
    );
    let values: Vec<Payload> = history.events().map(|e| e.value).collect();
    let keys = |keys: &[&str]| Payload::Keys(keys.iter().map(|k| Scalar::from(*k)).collect());
    assert_eq!(
        values,
        [
            Payload::Mops(vec![send("t-1", 0, Some(Some(7)))]),
            // It was given up, and read all the same: there the partition shows.
            Payload::Mops(vec![send("t-1", 1, None)]),
            keys(&["t-1"]),
            Payload::Mops(vec![poll("t-1", &[(7, 0), (8, 1)])]),
            keys(&[]),
        ]
    );
    assert_eq!((history.kind(1), history.time(1)), (Kind::Info, Some(6_000_000)));
}

#[test]
fn what_is_not_known_is_said_so() {
    let error =
        |text: &[u8], name: &str| read_any(text, name, None).expect_err("no history").to_string();
    assert!(error(b"", "x.jsonl").contains("empty"));
    assert!(error(b"hello world\n", "notes.md").contains("it begins with \"hello world\""));
    assert!(error(b"\x1f\x8b\x08\x00", "history.edn.gz").contains("gzip"));
    assert!(
        error(b"{:type :ok :f :poll :value [[:poll {1 [[0 1] [2]]}]]}", "x.edn")
            .contains("line 1, column 48")
    );
    assert!("nonsense".parse::<Format>().is_err());
    for format in Format::ALL {
        assert_eq!(format.as_str().parse(), Ok(format));
    }
}

#[test]
fn what_verifiable_clients_print_one_after_the_other_is_put_in_order_of_time() {
    let line = |time: u64, value: u64, of_producer: bool| {
        let name = if of_producer { "producer_send_success" } else { "record_data" };
        format!(
            "{{\"timestamp\":{time},\"name\":\"{name}\",\"value\":\"{value}\",\"topic\":\"t\",\"partition\":0,\"offset\":{value}}}\n"
        )
    };
    let pause = "{\"timestamp\":1005,\"name\":\"records_consumed\",\"count\":1}\n";
    let producer = [line(1000, 0, true), line(1010, 1, true)].concat();
    let consumer = [line(1005, 0, false), pause.into(), line(1015, 1, false)].concat();
    let history = read(&[producer.clone(), consumer].concat(), "verifiable.log");
    let fs: Vec<&str> = (0..history.len()).map(|i| history.f(i).as_str()).collect();
    assert_eq!(fs, ["send", "poll", "send", "poll"]);
    assert_eq!(wellformed::check(&history), []);
    // A clock that went back is not mended.
    let consumer = [line(1015, 0, false), pause.into(), line(1005, 1, false)].concat();
    let history = read(&[producer, consumer].concat(), "verifiable.log");
    let problems = wellformed::check(&history);
    assert!(problems.iter().any(|p| p.kind == ProblemKind::ReversedTime), "{problems:?}");
}
