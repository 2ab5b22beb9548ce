//! Each route, asked as the pages ask it.

use crate::support::{RUN, S, SCRIPT, Served};
use axum::http::{Request, StatusCode};
use chrono::Utc;
use perjury_store::{Retention, Store};
use serde_json::{Value, json};
use std::fs;

fn names(list: &Value) -> Vec<&str> {
    list["runs"].as_array().unwrap().iter().map(|r| r["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn an_empty_store_lists_nothing() {
    let served = Served::new();
    let list = served.ok("/api/v1/runs").await;
    assert_eq!((&list["total"], &list["stored"]), (&json!(0), &json!(0)));
}

#[tokio::test]
async fn runs_are_listed_searched_filtered_and_paged() {
    let served = Served::with_runs();
    let all = served.ok("/api/v1/runs").await;
    assert_eq!(names(&all), ["lost", "broken", "clean"]);
    assert_eq!(all["verdicts"], json!({"invalid": 1, "unknown": 0, "valid": 1, "none": 1}));
    assert_eq!(all["runs"][0]["violations"], 1);
    assert_eq!(all["runs"][1]["status"], "unreadable");

    let of =
        async |query: &str| names(&served.ok(&format!("/api/v1/runs?{query}")).await).join(" ");
    assert_eq!(of("q=LOST/2026%20forget").await, "lost");
    assert_eq!(of("q=lost-write").await, "lost clean");
    assert_eq!(of("q=nothing").await, "");
    assert_eq!(of("verdict=valid").await, "clean");
    assert_eq!(of("verdict=invalid,unreadable").await, "lost broken");
    assert_eq!(of("limit=1&offset=1").await, "broken");
    let page = served.ok("/api/v1/runs?limit=1&verdict=valid").await;
    assert_eq!((&page["total"], &page["stored"]), (&json!(1), &json!(3)));
}

#[tokio::test]
async fn a_run_carries_all_that_its_page_needs() {
    let served = Served::with_runs();
    let run = served.ok(RUN).await;
    assert_eq!(run["summary"]["id"], "lost/20261123T120431.207Z");
    assert_eq!(run["report"]["anomalies"]["lost-write"]["examples"][0]["ops"], json!([3, 9]));
    assert_eq!(run["plan"], json!({"seed": 7}));
    assert_eq!(run["header"]["config"]["acks"], "all");
    assert_eq!(run["nodes"], json!(["2"]));
    let files: Vec<&str> =
        run["files"].as_array().unwrap().iter().map(|f| f["path"].as_str().unwrap()).collect();
    assert_eq!(files, ["history.jsonl", "report.json", "plan.json", "nodes/2/stdout.log"]);

    let broken = served.ok("/api/v1/runs/broken/20261122T000000.000Z").await;
    assert_eq!(broken["report"], Value::Null);
    assert!(broken["summary"]["problem"].as_str().unwrap().contains("report.json"));
}

#[tokio::test]
async fn the_timeline_has_points_rates_bands_and_leaders() {
    let served = Served::with_runs();
    let t = served.ok(&format!("{RUN}/timeline")).await;
    assert_eq!(t["duration"], 8 * S);
    assert_eq!((&t["operations"], &t["sampled"]), (&json!(5), &json!(false)));
    let points = t["points"].as_array().unwrap();
    assert_eq!(
        points[0],
        json!({"i": 1, "t": 0, "ms": 10.0, "f": "send", "type": "ok", "key": "orders-2"})
    );
    let open = points.last().unwrap();
    assert_eq!(
        (&open["i"], &open["ms"], &open["type"]),
        (&json!(12), &Value::Null, &json!("info"))
    );
    let band = &t["bands"][0];
    assert_eq!(
        (&band["start"], &band["injected"], &band["end"]),
        (&json!(2 * S), &json!(2 * S + 5), &json!(6 * S))
    );
    assert_eq!((&band["witnessed"], &band["nodes"]), (&json!(true), &json!([2])));
    assert_eq!(t["leaders"][0]["to"], 3);
    assert_eq!(t["marks"][0], json!({"t": 8 * S, "kind": "phase", "label": "done"}));
    let completed: u64 = t["rate"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|r| ["ok", "fail", "info"].map(|k| r[k].as_u64().unwrap()))
        .sum();
    assert_eq!(completed, 4);

    let window = served.ok(&format!("{RUN}/timeline?from={}&to={}&points=1", S / 2, 4 * S)).await;
    assert_eq!((&window["operations"], &window["sampled"]), (&json!(3), &json!(true)));
    assert_eq!(window["points"].as_array().unwrap().len(), 1);
    assert_eq!(window["bands"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn operations_are_found_by_index() {
    let served = Served::with_runs();
    // A completion and its own invocation are one operation; an index beyond the end is none.
    let found = served.ok(&format!("{RUN}/operations?index=3,2,10,4,99999")).await;
    let ops = found["operations"].as_array().unwrap();
    assert_eq!(ops.len(), 3);
    assert_eq!((&ops[0]["invoke"]["index"], &ops[0]["complete"]["index"]), (&json!(2), &json!(3)));
    assert_eq!(ops[0]["complete"]["value"], json!([["send", "orders-2", [1, 2]]]));
    assert_eq!(
        (&ops[1]["invoke"], &ops[1]["complete"]["process"]),
        (&Value::Null, &json!("nemesis"))
    );
    assert_eq!(ops[2]["complete"]["error"]["code"], "_MSG_TIMED_OUT");
    let bad = served.get(&format!("{RUN}/operations?index=1,x")).await;
    assert_eq!((bad.status, bad.error()), (StatusCode::BAD_REQUEST, "bad-request".into()));
}

#[tokio::test]
async fn operations_are_searched() {
    let served = Served::with_runs();
    let first = async |query: &str| -> Vec<u64> {
        let found = served.ok(&format!("{RUN}/operations?{query}")).await;
        let ops = found["operations"].as_array().unwrap();
        assert_eq!(found["total"], ops.len(), "{query}");
        let index =
            |op: &Value| op["invoke"]["index"].as_u64().or(op["complete"]["index"].as_u64());
        ops.iter().map(|op| index(op).unwrap()).collect()
    };
    assert_eq!(first("").await, [0, 2, 6, 8, 12]);
    assert_eq!(first("process=all").await.len(), 10);
    assert_eq!(first("process=nemesis&f=kill").await, [4, 5, 11]);
    assert_eq!(first("process=0").await, [0, 2]);
    assert_eq!(first("f=poll").await, [8, 12]);
    assert_eq!(first("type=info").await, [6]);
    assert_eq!(first("type=open").await, [12]);
    assert_eq!(first("key=orders-2&offset=0").await, [0, 8]);
    assert_eq!(first("key=orders-9").await, Vec::<u64>::new());
    assert_eq!(first("value=2").await, [2]);
    // An open poll has no key; nor does value 2 stand at offset 0.
    assert_eq!(first("key=orders-2").await, [0, 2, 6, 8]);
    assert_eq!(first("offset=0&value=2").await, Vec::<u64>::new());
    assert_eq!(first("error=timed").await, [6]);
    assert_eq!(first(&format!("since={S}&until={}", 4 * S)).await, [2, 6, 8]);
    for bad in ["process=x", "type=maybe", "offset=x", "limit=-1"] {
        let answer = served.get(&format!("{RUN}/operations?{bad}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{bad}");
        answer.error();
    }
}

#[tokio::test]
async fn a_search_is_paged_by_index() {
    let served = Served::with_runs();
    let (mut from, mut seen, mut pages) = (json!(0), Vec::new(), 0);
    while !from.is_null() && pages < 10 {
        let page = served.ok(&format!("{RUN}/operations?limit=2&from={from}")).await;
        assert_eq!((&page["total"], &page["before"]), (&json!(5), &json!(seen.len())));
        for op in page["operations"].as_array().unwrap() {
            seen.push(op["invoke"]["index"].clone());
        }
        from = page["next"].clone();
        pages += 1;
    }
    assert_eq!((seen, pages), (vec![json!(0), json!(2), json!(6), json!(8), json!(12)], 3));
}

#[tokio::test]
async fn a_log_shows_writers_readers_and_holes() {
    let served = Served::with_runs();
    let log = served.ok(&format!("{RUN}/log?key=orders-2&from=0&to=9")).await;
    assert_eq!((&log["highest"], &log["observers"]), (&json!(2), &json!([2])));
    let rows = log["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[1]["writes"][0]["value"], 2);
    assert_eq!(rows[1]["reads"], json!([]), "the acknowledged record that nobody read");
    assert_eq!(rows[2]["reads"][0]["final"], true);
    assert_eq!(served.get(&format!("{RUN}/log?key=nope")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(served.get(&format!("{RUN}/log")).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn long_polls_are_cut_in_searches_and_say_so() {
    let served = Served::with_runs();
    let run = served.place("long/20261120T000000.000Z");
    let records: Vec<Value> = (0..400).map(|o| json!([o, o + 1])).collect();
    let header = json!({"perjury": "history", "format": "1.0"});
    let poll = json!({"index": 0, "time": 1, "process": 0, "type": "ok", "f": "poll",
                      "value": [["poll", {"a": records, "b": [[0, 1]]}]]});
    fs::write(run.join("history.jsonl"), format!("{header}\n{poll}\n")).unwrap();
    let base = "/api/v1/runs/long/20261120T000000.000Z/operations";
    let cut = served.ok(base).await;
    assert_eq!(cut["operations"][0]["hidden_records"], 301);
    let whole = served.ok(&format!("{base}?index=0")).await;
    assert_eq!(whole["operations"][0]["complete"], poll);
}

#[tokio::test]
async fn node_logs_lie_on_the_axis_of_the_history() {
    let served = Served::with_runs();
    let all = served.ok(&format!("{RUN}/logs")).await;
    assert_eq!(all["lines"].as_array().unwrap().len(), 2);
    assert_eq!(all["lines"][1]["t"], 2 * S);
    assert_eq!(all["lines"][1]["text"], SCRIPT);
    let window = served.ok(&format!("{RUN}/logs?node=2&from={S}&limit=1")).await;
    assert_eq!(window["lines"][0]["t"], 2 * S);
    assert_eq!(window["more"], false);
    assert_eq!(served.ok(&format!("{RUN}/logs?node=9")).await["lines"], json!([]));
}

#[tokio::test]
async fn files_are_taken_away_whole_or_in_part() {
    let served = Served::with_runs();
    let answer = served.get(&format!("{RUN}/files/history.jsonl")).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("content-type"), "application/x-ndjson");
    let saved = answer.header("content-disposition");
    assert_eq!(saved, "attachment; filename=\"lost-20261123T120431.207Z-history.jsonl\"");
    let on_disk = served.dir.path().join("lost/20261123T120431.207Z/history.jsonl");
    assert_eq!(answer.bytes, fs::read(on_disk).unwrap());

    let part = Request::get(format!("{RUN}/files/plan.json")).header("range", "bytes=1-6");
    let part = served.send(part.body(axum::body::Body::empty()).unwrap()).await;
    assert_eq!(part.status, StatusCode::PARTIAL_CONTENT);
    assert_eq!(part.bytes, b"\"seed\"");
    assert_eq!(served.get(&format!("{RUN}/files/nodes/2/stdout.log")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_history_that_changed_is_read_again() {
    for served in [Served::with_runs(), Served::with_runs_paged()] {
        assert_eq!(served.ok(&format!("{RUN}/operations")).await["total"], 5);
        let path = served.dir.path().join("lost/20261123T120431.207Z/history.jsonl");
        let mut text = fs::read_to_string(&path).unwrap();
        text.push_str("{\"index\":14,\"time\":9000000000,\"process\":9,\"type\":\"invoke\",\"f\":\"poll\",\"value\":[[\"poll\"]]}\n");
        fs::write(&path, text).unwrap();
        assert_eq!(served.ok(&format!("{RUN}/operations")).await["total"], 6);
    }
}

#[tokio::test]
async fn a_history_that_is_none_says_where_and_why() {
    let served = Served::with_runs();
    for part in ["timeline", "operations", "log?key=a"] {
        let answer = served.get(&format!("/api/v1/runs/broken/20261122T000000.000Z/{part}")).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{part}");
        assert_eq!(answer.error(), "unreadable-history");
        assert!(answer.json()["error"]["message"].as_str().unwrap().contains("line 2"));
    }
    served.place("bare/20261122T000000.000Z");
    let bare = served.get("/api/v1/runs/bare/20261122T000000.000Z/timeline").await;
    assert_eq!((bare.status, bare.error()), (StatusCode::NOT_FOUND, "no-history".into()));
}

#[tokio::test]
async fn the_glossary_says_how_each_anomaly_is_found() {
    let glossary = Served::new().ok("/api/v1/glossary").await;
    let how = |e: &Value| e["how"].as_str().unwrap_or_default().to_owned();
    for entry in glossary["anomalies"].as_array().unwrap() {
        let paragraphs: Vec<String> = how(entry).split("\n\n").map(str::to_owned).collect();
        assert!(paragraphs[0].len() > 30 && !paragraphs[0].starts_with('`'), "{entry}");
    }
    let all = glossary["anomalies"].as_array().unwrap();
    let lost = how(all.iter().find(|e| e["name"] == "lost-write").unwrap());
    assert!(lost.starts_with("Per key with ok reads: the *bound* is"), "{lost}");
    assert!(lost.contains("\n\nA case is sound if"), "{lost}");
    let circle = how(all.iter().find(|e| e["name"] == "G1c").unwrap());
    assert!(circle.contains("close a circle"), "{circle}");
}

#[tokio::test]
async fn retention_says_what_would_go_and_takes_it_only_when_asked() {
    let served = Served::with_rules(Retention { days: None, newest: Some(0) });
    let clean = "fine/20261121T000000.000Z";
    let fine = json!({"schema": "perjury.report/1", "verdict": "valid", "operations": 5});
    fs::write(served.place(clean).join("report.json"), fine.to_string()).unwrap();
    let header = "{\"perjury\":\"history\",\"format\":\"1.0\"}\n";
    fs::write(served.place(clean).join("history.jsonl"), header).unwrap();
    let outlook = served.ok("/api/v1/retention").await;
    assert_eq!((&outlook["active"], &outlook["rules"]), (&json!(true), &json!({"newest": 0})));
    assert_eq!(outlook["would_go"], json!([clean]), "the others broke a promise or are unreadable");
    let ask = async |method: &str, uri: &str| {
        let request = Request::builder().method(method).uri(uri);
        served.send(request.body(axum::body::Body::empty()).unwrap()).await
    };
    let pin = format!("/api/v1/runs/{clean}/pin");
    assert_eq!(ask("PUT", &pin).await.status, StatusCode::NO_CONTENT);
    assert_eq!(served.ok(&format!("/api/v1/runs/{clean}")).await["pinned"], true);
    assert_eq!(served.ok("/api/v1/retention").await["total"], 0);
    assert_eq!(ask("POST", "/api/v1/retention").await.json()["gone"], 0);
    assert_eq!(ask("DELETE", &pin).await.status, StatusCode::NO_CONTENT);
    assert_eq!(ask("POST", "/api/v1/retention").await.json()["runs"], json!([clean]));
    assert_eq!(names(&served.ok("/api/v1/runs").await), ["lost", "broken", "clean"]);
    let trend = served.ok("/api/v1/trends?name=fine").await;
    assert_eq!((&trend["judged"], &trend["points"][0]["gone"]), (&json!(1), &json!(true)));
    let after = served.ok("/api/v1/retention").await;
    assert_eq!((&after["total"], &after["last"]["gone"]), (&json!(0), &json!(1)));
    let unruled = Served::with_runs().ok("/api/v1/retention").await;
    assert_eq!((&unruled["active"], &unruled["total"]), (&json!(false), &json!(0)));
}

#[tokio::test]
async fn health_and_readiness_differ() {
    let served = Served::new();
    assert_eq!(served.ok("/healthz").await["status"], "ok");
    assert_eq!(served.ok("/readyz").await["status"], "ok");
    fs::remove_dir_all(served.dir.path()).unwrap();
    assert_eq!(served.get("/healthz").await.status, StatusCode::OK);
    let unready = served.get("/readyz").await;
    assert_eq!(unready.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(unready.json()["problem"].as_str().unwrap().contains("cannot read the store"));
}

#[tokio::test]
async fn a_server_answers_on_its_socket_and_shuts_down() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let dir = tempfile::tempdir().unwrap();
    let bind = "127.0.0.1:0".parse().unwrap();
    let server =
        perjury_server::Server::bind(dir.path(), bind, crate::support::idle()).await.unwrap();
    let address = server.local_addr();
    assert_ne!(address.port(), 0);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(server.run(async { stopped.await.unwrap_or_default() }));
    let ask = async |host: &str| {
        let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!("GET /healthz HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        answer
    };
    assert!(ask(&address.to_string()).await.starts_with("HTTP/1.1 200"));
    assert!(ask("LOCALHOST:1").await.starts_with("HTTP/1.1 200"));
    assert!(ask("rebound.example").await.starts_with("HTTP/1.1 403"));
    let taken = perjury_server::Server::bind(dir.path(), address, crate::support::idle())
        .await
        .unwrap_err();
    assert!(taken.to_string().contains("choose another port"), "{taken}");
    stop.send(()).unwrap();
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn calibrations_are_listed_and_shown() {
    use perjury_campaign::calibrate::{Calibrations, Design, summarise};
    let served = Served::with_runs();
    assert_eq!(served.ok("/api/v1/calibrations").await["total"], 0);
    let none = served.get("/api/v1/calibrations/latest").await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
    assert!(none.json()["error"]["hint"].as_str().unwrap().contains("perjury calibrate"));
    let calibrations = Calibrations::of(&Store::open(served.dir.path()).unwrap());
    let design = Design { clean: 3, ..Design::quick(7) };
    let id = calibrations.create(&design, Utc::now()).unwrap();
    // Begun, without a result yet.
    assert_eq!(served.ok("/api/v1/calibrations").await["total"], 0);
    let made = summarise(&id, &design, &[], Utc::now(), (0, 1));
    calibrations.save(&made).unwrap();
    let list = served.ok("/api/v1/calibrations").await;
    assert_eq!((&list["total"], &list["items"][0]["id"]), (&json!(1), &json!(id)));
    assert_eq!(list["items"][0]["complete"], false);
    for name in [&*id, "latest"] {
        let one = served.ok(&format!("/api/v1/calibrations/{name}")).await;
        assert_eq!(one, json!(made), "{name}");
    }
    let page = served.get("/calibration").await;
    assert_eq!(page.status, StatusCode::OK);
}
