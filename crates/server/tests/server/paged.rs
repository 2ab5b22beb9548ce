//! Long histories are read a block at a time, and answered as short ones are.

use crate::support::{RUN, S, Served};
use axum::http::StatusCode;
use perjury_campaign::keep_first_screen;
use perjury_checker::{Options, check};
use perjury_history::jsonl;
use perjury_sim::Defect;
use perjury_store::Store;
use serde_json::{Value, json};
use std::fs;

#[tokio::test]
async fn windows_from_disk_are_those_from_memory() {
    let (memory, disk) = (Served::with_runs(), Served::with_runs_paged());
    let windows = [
        "timeline".to_owned(),
        "timeline?points=2".into(),
        format!("timeline?from={}&to={}&points=1", S / 2, 4 * S),
        "operations".into(),
        "operations?index=3,2,10,4,99999".into(),
        "operations?process=all&limit=3&from=4".into(),
        "operations?key=orders-2&offset=0".into(),
        "operations?value=2".into(),
        "operations?error=timed".into(),
        format!("operations?since={S}&until={}", 4 * S),
        "log?key=orders-2&from=0&to=9".into(),
    ];
    for window in windows {
        let uri = format!("{RUN}/{window}");
        assert_eq!(disk.ok(&uri).await, memory.ok(&uri).await, "{window}");
    }
    assert!(disk.dir.path().join("lost/20261123T120431.207Z/windows.idx").is_file());
    for refused in ["log?key=nope", "operations?index=1,x"] {
        let uri = format!("{RUN}/{refused}");
        assert_eq!(disk.get(&uri).await.status, memory.get(&uri).await.status, "{refused}");
    }
    let flawed = disk.get("/api/v1/runs/broken/20261122T000000.000Z/operations").await;
    assert_eq!(flawed.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(flawed.json()["error"]["message"].as_str().unwrap().contains("line 2"));
    let files = disk.ok(RUN).await["files"].to_string();
    assert!(!files.contains("windows.idx"), "{files}");
}

/// Asks until the index is made; gives the answer and how often it was told to wait.
async fn waited_for(served: &Served, uri: &str) -> (Value, usize) {
    for times in 0..2000 {
        let answer = served.get(uri).await;
        if answer.status != StatusCode::ACCEPTED {
            return (answer.json(), times);
        }
        let told = &answer.json()["preparing"];
        let (done, bytes) = (told["done_bytes"].as_u64(), told["bytes"].as_u64());
        assert!(done <= bytes && bytes > Some(0), "{told}");
        assert_eq!((answer.header("retry-after"), answer.header("etag")), ("1", ""));
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("the index is never made");
}

/// An index that takes longer than a request may last made the first request fail.
#[tokio::test]
async fn who_comes_before_the_index_is_made_is_told_how_far_it_is() {
    let (memory, disk) = (Served::with_runs(), Served::with_runs_paged_impatiently());
    for window in ["operations?type=ok", "timeline?from=1", "log?key=orders-2"] {
        let uri = format!("{RUN}/{window}");
        let (answer, times) = waited_for(&disk, &uri).await;
        assert_eq!(answer, memory.ok(&uri).await, "{window}");
        assert_eq!(times > 0, window.starts_with("operations"), "one index serves all");
    }
    let flawed = "/api/v1/runs/broken/20261122T000000.000Z/operations";
    let (answer, _) = waited_for(&disk, flawed).await;
    assert_eq!(answer["error"]["code"], "unreadable-history", "{answer}");
}

/// A history that grew beyond the bound was parsed whole with each look at it.
#[tokio::test]
async fn a_long_history_that_grows_is_read_from_disk_as_far_as_it_had_come() {
    let served = Served::with_runs_paged();
    let store = Store::open(served.dir.path()).unwrap();
    let run = store.create_run("growing", chrono::Utc::now()).unwrap();
    let poll = |i: u64| {
        format!(
            "{{\"index\":{i},\"time\":{i},\"process\":{i},\"type\":\"invoke\",\"f\":\"poll\",\"value\":[[\"poll\"]]}}\n"
        )
    };
    let head = "{\"perjury\":\"history\",\"format\":\"1.0\"}\n".to_owned();
    let uri = format!("/api/v1/runs/{}/operations", run.id());
    fs::write(run.history_path(), head.clone() + &poll(0) + "{\"index\":1,\"ti").unwrap();
    assert_eq!(served.ok(&uri).await["total"], 1, "the last line is not whole");
    assert!(!run.windows_path().exists(), "the run writes its index when it is over");
    fs::write(run.history_path(), head + &poll(0) + &poll(1)).unwrap();
    assert_eq!(served.ok(&uri).await["total"], 1, "what was read a moment ago still answers");
    run.mark_complete(chrono::Utc::now()).unwrap();
    assert_eq!(served.ok(&uri).await["total"], 2);
    assert!(run.windows_path().is_file());
}

/// The answers to what a report page asks first, in a store from which the history itself was taken away: only its length is
/// left.
#[tokio::test]
async fn the_first_screen_of_a_long_history_comes_without_the_history() {
    let served = Served::new();
    let store = Store::open(served.dir.path()).unwrap();
    let run = store.create_run("long", chrono::Utc::now()).unwrap();
    let defects = vec!["lose-acked".parse::<Defect>().unwrap()];
    let options = perjury_sim::Options { defects, ..perjury_sim::Options::sized(3000, 5) };
    let mut text = Vec::new();
    jsonl::write(&perjury_sim::generate(&options).0, &mut text).unwrap();
    fs::write(run.history_path(), &text).unwrap();
    let history = jsonl::read(&*text, "h", &jsonl::ReadOptions::default()).unwrap();
    let report = check(&history, &Options::default());
    run.write_report(&report).unwrap();
    keep_first_screen(&run, &history, &report, 0);
    run.mark_complete(chrono::Utc::now()).unwrap();
    let base = format!("/api/v1/runs/{}", run.id());
    let wanted = served.ok(&format!("{base}/timeline?from=0")).await;

    // Whoever parsed this would stumble over it.
    fs::write(run.history_path(), vec![b'x'; text.len()]).unwrap();
    assert_eq!(served.get(&format!("{base}/timeline?from=0")).await.status, 422);
    let whole = served.ok(&format!("{base}/timeline")).await;
    assert_eq!(whole["points"], wanted["points"]);
    let example = &json!(report)["anomalies"]["lost-write"]["examples"][0];
    let ops: Vec<String> =
        example["ops"].as_array().unwrap().iter().map(Value::to_string).collect();
    assert!(!ops.is_empty());
    let found = served.ok(&format!("{base}/operations?index={}", ops.join(","))).await;
    assert_eq!(found["total"], found["operations"].as_array().unwrap().len());
    let rows = found["operations"].to_string();
    assert!(ops.iter().all(|i| rows.contains(&format!("\"index\":{i},"))), "{rows}");
}
