//! Evidence on the command line: made, verified, refused, and posted to trackers that are played by a small server whose
//! requests and answers have the shapes that the trackers document.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod support;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::{Arc, Mutex};
use support::{binary, ended, perjury, stderr, stdout};

const TOKEN: &str = "t0ken-of-the-test-which-no-output-may-show";

/// A history that lost a write.
fn lost_write() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../histories/lost-write/passed-over.jsonl")
}

fn arg(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn evidence_is_made_verified_and_refused_when_it_is_changed() {
    let dir = tempfile::tempdir().unwrap();
    let (zip, html) = (dir.path().join("e.zip"), dir.path().join("e.html"));
    let key = dir.path().join("perjury.key");
    let made = perjury(&["keygen", arg(&key)]);
    let public = stdout(&made).trim().to_owned();
    assert_eq!((made.status.code(), public.len()), (Some(0), 64), "{}", stderr(&made));
    assert_eq!(
        perjury(&["keygen", arg(&key)]).status.code(),
        Some(254),
        "keys are never overwritten"
    );
    for out in [&zip, &html] {
        let made = perjury(&["evidence", arg(&lost_write()), "-o", arg(out), "--sign", arg(&key)]);
        assert_eq!(made.status.code(), Some(0), "{}", stderr(&made));
        let good = perjury(&["verify", arg(out), "--key", &public]);
        assert_eq!(good.status.code(), Some(0), "{}", stdout(&good));
        assert!(stdout(&good).starts_with("VERIFIED"), "{}", stdout(&good));
        let other = perjury(&["verify", arg(out), "--key", &"1".repeat(64)]);
        assert_ne!(other.status.code(), Some(0));
    }
    let mut bytes = std::fs::read(&zip).unwrap();
    // The name stands before its content; forty bytes on, the content has begun.
    let name = b"history.jsonl";
    let at = bytes.windows(name.len()).position(|w| w == name).unwrap() + 40;
    bytes[at] ^= 1;
    std::fs::write(&zip, bytes).unwrap();
    let bad = perjury(&["verify", arg(&zip), "--output", "json"]);
    assert_eq!(bad.status.code(), Some(1), "{}", stdout(&bad));
    let found: Value = serde_json::from_str(&stdout(&bad)).unwrap();
    assert_eq!(found["verified"], false);
    assert_eq!(found["breaches"][0]["member"], "history.jsonl", "{found}");
}

#[test]
fn bad_arguments_say_what_to_do() {
    let history = lost_write();
    let history = arg(&history);
    for (args, expected) in [
        (vec!["evidence", "no-such-run"], "no-such-run"),
        (vec!["evidence", history, "--anomaly", "G2"], "lost-write"),
        (vec!["evidence", history, "--redact", "names"], "values, hosts, keys"),
        (vec!["evidence", history, "--sign", "/absent/key"], "/absent/key"),
        (vec!["verify", "/nonexistent.zip"], "/nonexistent.zip"),
        (vec!["verify", history], "perjury evidence"),
        (vec!["verify", history, "--key", "abc"], "64 hexadecimal digits"),
        (
            vec![
                "ticket",
                history,
                "--tracker",
                "gitea",
                "--url",
                "http://git.example",
                "--project",
                "a/b",
            ],
            "https",
        ),
    ] {
        let output = perjury(&args);
        assert_eq!(output.status.code(), Some(254), "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{args:?}: {}", stderr(&output));
    }
}

/// One request that the tracker was sent.
#[derive(Debug, Clone)]
struct Asked {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

#[derive(Clone, Default)]
struct Mock {
    asked: Arc<Mutex<Vec<Asked>>>,
    /// Answers with this status and nothing useful.
    refuse: Option<StatusCode>,
}

/// Answers as the trackers do: GitHub and Gitea with number and address, Jira with a key.
async fn tracker(
    State(mock): State<Mock>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri.path().to_owned();
    mock.asked.lock().unwrap().push(Asked {
        method,
        path: path.clone(),
        headers,
        body: body.to_vec(),
    });
    if let Some(status) = mock.refuse {
        return (status, [("location", "https://elsewhere.example/")], "{\"message\":\"no\"}")
            .into_response();
    }
    let html = "https://tracker.example/team/broker/issues/42";
    let answer = match path.as_str() {
        "/repos/team/broker/issues" | "/api/v1/repos/team/broker/issues" => {
            json!({"id": 9001, "number": 42, "html_url": html, "state": "open"})
        }
        "/api/v1/repos/team/broker/issues/42/assets" => {
            json!({"id": 3, "name": "x.zip", "size": 1})
        }
        "/rest/api/2/issue" => json!({"id": "10000", "key": "KAFKA-42", "self": html}),
        "/rest/api/2/issue/KAFKA-42/attachments" => json!([{"id": "10001", "filename": "x.zip"}]),
        _ => return (StatusCode::NOT_FOUND, "{\"message\":\"Not Found\"}").into_response(),
    };
    (StatusCode::CREATED, Json(answer)).into_response()
}

/// Runs `perjury ticket` against a tracker on loopback; gives its output and what it asked.
fn ticket(
    kind: &str,
    project: &str,
    refuse: Option<StatusCode>,
    more: &[&str],
) -> (Output, Vec<Asked>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mock = Mock { refuse, ..Mock::default() };
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let app = axum::Router::new().fallback(tracker).with_state(mock.clone());
    runtime.spawn(async move { axum::serve(listener, app).await });
    let history = lost_write();
    let mut command = binary();
    command.args(["ticket", arg(&history), "--tracker", kind, "--url", &url, "--project", project]);
    command.args(more);
    for variable in ["PERJURY_GITHUB_TOKEN", "PERJURY_GITEA_TOKEN", "PERJURY_JIRA_TOKEN"] {
        command.env(variable, TOKEN);
    }
    command.env_remove("PERJURY_JIRA_USER");
    if kind == "jira" && refuse.is_none() {
        command.env("PERJURY_JIRA_USER", "probe@example.org");
    }
    let output = ended(&mut command);
    let said = stdout(&output) + &stderr(&output);
    assert!(!said.contains(TOKEN), "the token is shown: {said}");
    let asked = mock.asked.lock().unwrap().clone();
    (output, asked)
}

fn header<'a>(asked: &'a Asked, name: &str) -> &'a str {
    asked.headers.get(name).map_or("", |v| v.to_str().unwrap())
}

#[test]
fn github_gets_an_issue_that_names_the_evidence() {
    let (output, asked) = ticket("github", "team/broker", None, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stdout(&output).trim(), "https://tracker.example/team/broker/issues/42");
    let [issue] = asked.as_slice() else { panic!("{asked:?}") };
    assert_eq!((&issue.method, issue.path.as_str()), (&Method::POST, "/repos/team/broker/issues"));
    assert_eq!(header(issue, "authorization"), format!("Bearer {TOKEN}"));
    assert_eq!(header(issue, "accept"), "application/vnd.github+json");
    assert_eq!(header(issue, "x-github-api-version"), "2022-11-28");
    let body: Value = serde_json::from_slice(&issue.body).unwrap();
    assert!(body["title"].as_str().unwrap().starts_with("INVALID"), "{body}");
    let text = body["body"].as_str().unwrap();
    for part in ["## INVALID", "**lost-write**", "kcat -b $B -C -t t -p 0 -o 1", "SHA-256"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert!(stderr(&output).contains("by hand"));
}

#[test]
fn gitea_gets_issue_and_evidence() {
    let (output, asked) = ticket("gitea", "team/broker", None, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let [issue, file] = asked.as_slice() else { panic!("{asked:?}") };
    assert_eq!(issue.path, "/api/v1/repos/team/broker/issues");
    assert_eq!(header(issue, "authorization"), format!("token {TOKEN}"));
    assert_eq!(header(issue, "content-type"), "application/json");
    assert_eq!(file.path, "/api/v1/repos/team/broker/issues/42/assets");
    attached(file, "attachment");
}

#[test]
fn jira_gets_issue_and_evidence() {
    let (output, asked) = ticket("jira", "KAFKA", None, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).trim().ends_with("/browse/KAFKA-42"));
    let [issue, file] = asked.as_slice() else { panic!("{asked:?}") };
    assert_eq!(issue.path, "/rest/api/2/issue");
    assert!(header(issue, "authorization").starts_with("Basic "));
    let fields = serde_json::from_slice::<Value>(&issue.body).unwrap()["fields"].clone();
    assert_eq!(fields["project"]["key"], "KAFKA");
    assert_eq!(fields["issuetype"]["name"], "Bug");
    assert!(fields["description"].as_str().unwrap().starts_with("h2. INVALID"), "{fields}");
    assert_eq!(file.path, "/rest/api/2/issue/KAFKA-42/attachments");
    assert_eq!(header(file, "x-atlassian-token"), "no-check");
    attached(file, "file");
}

/// The multipart body holds the bundle, whole and verified.
fn attached(file: &Asked, field: &str) {
    let boundary =
        header(file, "content-type").split("boundary=").nth(1).unwrap().trim_matches('"');
    let text = String::from_utf8_lossy(&file.body);
    assert!(text.contains(&format!("name=\"{field}\"")), "{}", &text[..200]);
    let position = |what: &[u8]| file.body.windows(what.len()).position(|w| w == what).unwrap();
    let from = position(b"\r\n\r\n") + 4;
    let to = position(format!("\r\n--{boundary}--").as_bytes());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("attached.zip");
    std::fs::write(&path, &file.body[from..to]).unwrap();
    let verified = perjury(&["verify", arg(&path)]);
    assert_eq!(verified.status.code(), Some(0), "{}", stdout(&verified));
}

#[test]
fn a_dry_run_shows_the_requests_and_sends_nothing() {
    for (kind, project, parts) in [
        (
            "github",
            "team/broker",
            vec!["POST ", "/repos/team/broker/issues", "$PERJURY_GITHUB_TOKEN"],
        ),
        (
            "gitea",
            "team/broker",
            vec!["/issues/ISSUE/assets", "token $PERJURY_GITEA_TOKEN", "attachment=@"],
        ),
        (
            "jira",
            "KAFKA",
            vec!["/rest/api/2/issue", "$PERJURY_JIRA_TOKEN", "X-Atlassian-Token: no-check"],
        ),
    ] {
        let (output, asked) = ticket(kind, project, None, &["--dry-run"]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(asked.is_empty(), "{asked:?}");
        for part in parts {
            assert!(stdout(&output).contains(part), "{part} is not in {}", stdout(&output));
        }
    }
}

#[test]
fn a_refusal_says_what_to_change_and_a_redirect_is_not_followed() {
    for (status, expected) in [
        (StatusCode::UNAUTHORIZED, "token"),
        (StatusCode::NOT_FOUND, "--project"),
        (StatusCode::MOVED_PERMANENTLY, "redirect"),
    ] {
        let (output, asked) = ticket("gitea", "team/broker", Some(status), &[]);
        assert_eq!(output.status.code(), Some(254), "{}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
        assert_eq!(asked.len(), 1);
    }
    let (output, _) = ticket("gitea", "team/broker", Some(StatusCode::BAD_GATEWAY), &[]);
    assert_eq!(output.status.code(), Some(255), "{}", stderr(&output));
}

#[test]
fn reports_for_trackers_and_continuous_integration() {
    let history = lost_write();
    let say = |form: &str| {
        let output = perjury(&["check", arg(&history), "--output", form]);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        stdout(&output)
    };
    assert!(say("jira").starts_with("h2. INVALID"));
    assert!(say("junit").contains("<failure type=\"lost-write\""));
    let dir = tempfile::tempdir().unwrap();
    let summary = dir.path().join("summary.md");
    let output = ended(
        binary()
            .args(["check", arg(&history), "--output", "github"])
            .env("GITHUB_STEP_SUMMARY", &summary),
    );
    assert!(stdout(&output).starts_with("::error title=lost-write × 1::"), "{}", stdout(&output));
    assert!(std::fs::read_to_string(&summary).unwrap().starts_with("## INVALID"));
}
