//! Evidence that the server hands out is verified by the file alone.

use crate::support::{RUN, Served};
use axum::http::StatusCode;
use perjury_evidence::verify;

#[tokio::test]
async fn what_is_handed_out_is_saved_and_verified() {
    let served = Served::with_runs();
    for (part, mime, ending) in [
        ("/evidence?redact=values,keys", "application/zip", ".zip\""),
        ("/report.html", "text/html; charset=utf-8", ".html\""),
    ] {
        let answer = served.get(&format!("{RUN}{part}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", String::from_utf8_lossy(&answer.bytes));
        assert_eq!(answer.header("content-type"), mime);
        let saved_as = answer.header("content-disposition");
        assert!(saved_as.starts_with("attachment; filename=\"lost-"), "{saved_as}");
        assert!(saved_as.ends_with(ending), "{saved_as}");
        let name = saved_as.trim_matches('"');
        let found = verify(&answer.bytes, name, None).unwrap();
        assert!(found.is_verified(), "{part}: {:#?}", found.breaches);
    }
}

#[tokio::test]
async fn what_cannot_be_had_says_what_to_ask_for() {
    let served = Served::with_runs();
    for (part, status) in [
        ("/evidence?redact=names", StatusCode::BAD_REQUEST),
        ("/report.html?anomaly=G2", StatusCode::UNPROCESSABLE_ENTITY),
        ("/markdown?flavor=trac", StatusCode::BAD_REQUEST),
    ] {
        let answer = served.get(&format!("{RUN}{part}")).await;
        assert_eq!(answer.status, status, "{part}");
        answer.error();
    }
    for (flavor, begin) in [("github", "## "), ("jira", "h2. ")] {
        let answer = served.get(&format!("{RUN}/markdown?flavor={flavor}")).await;
        let text = String::from_utf8(answer.bytes).unwrap();
        assert!(text.starts_with(begin) && text.lines().count() <= 60, "{text}");
    }
}
