//! Bundles are whole, redacted, free of secrets, and verified to the same verdict.
#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use perjury_checker::{Options, check};
use perjury_evidence::{
    Opened, Outcome, PAGE_BYTES_MAX, Rechecked, Redaction, Signing, Source, Verification, Wanted,
    bundle, report_page, verify,
};
use perjury_history::jsonl::{self, ReadOptions};

fn verified(file: &[u8], name: &str) -> Verification {
    let verification = verify(file, name, None).unwrap();
    assert!(verification.is_verified(), "{name}: {:#?}", verification.breaches);
    verification
}

fn all() -> Redaction {
    Redaction { values: true, hosts: true, keys: true }
}

#[test]
fn a_bundle_of_a_run_has_everything_and_is_verified() {
    let (_dir, source) = support::run_source();
    let made = bundle(source, &Wanted::default(), None).unwrap();
    let found = verified(&made.bytes, "x.zip");
    assert_eq!(found.rechecked, Rechecked::Whole);
    assert_eq!(found.found, found.claimed);
    assert_eq!(found.signed_by, None);
    assert_eq!(made.manifest.anomaly.as_deref(), Some("lost-write"));
    let open = Opened::open(made.bytes.clone(), "x.zip").unwrap();
    let names: Vec<&str> = open.names().collect();
    for name in [
        "README.txt",
        "report.html",
        "report.json",
        "report.md",
        "report.jira.txt",
        "history.jsonl",
        "shrunk.jsonl",
        "plan.json",
        "seed.txt",
        "schedule.json",
        "versions.json",
        "config.json",
        "reproduce.txt",
        "logs/node-1.log",
        "nodes/1/server.properties",
        "manifest.json",
    ] {
        assert!(names.contains(&name), "{name} is not among {names:?}");
    }
    let text = |name: &str| String::from_utf8(open.content(name).unwrap()).unwrap();
    assert!(!text("logs/node-1.log").contains("long after"), "only two seconds round the anomaly");
    assert!(text("reproduce.txt").contains("kcat -b $B -C -t payments.eu -p 0 -o 1 -c 1"));
    assert_eq!(text("seed.txt"), "7\n");
    assert_eq!(open.plan().unwrap()["seed"], 7);
    let (_again, again) = support::run_source();
    let again = bundle(again, &Wanted::default(), None).unwrap();
    let different = again.manifest.members.iter().zip(&made.manifest.members).find(|(a, b)| a != b);
    assert_eq!(different, None, "the same files give the same members");
    assert!(again.bytes == made.bytes, "and the same bytes");
}

#[test]
fn a_password_given_as_client_property_is_nowhere_in_a_bundle() {
    for redaction in [Redaction::default(), all()] {
        let (_dir, source) = support::run_source();
        let made = bundle(source, &Wanted { redaction, anomaly: None }, None).unwrap();
        let open = Opened::open(made.bytes, "x.zip").unwrap();
        let mut removed = 0;
        for name in open.names() {
            let text = String::from_utf8(open.content(name).unwrap()).unwrap();
            assert!(!text.contains(support::PASSWORD), "{name}");
            removed += usize::from(text.contains(perjury_secrets::REMOVED));
        }
        assert!(removed >= 4, "header, plan, configuration and log say that something was removed");
        let proof = contained_history(&open);
        assert!(!proof.contains(support::PASSWORD));
    }
}

/// The history inside the page of a bundle.
fn contained_history(open: &Opened) -> String {
    use base64::Engine;
    let page = String::from_utf8(open.content("report.html").unwrap()).unwrap();
    let data =
        page.split("id=\"perjury-data\">").nth(1).unwrap().split("</script>").next().unwrap();
    let data: serde_json::Value = serde_json::from_str(data).unwrap();
    let packed = data["proof"]["jsonl"].as_str().unwrap();
    let packed = base64::engine::general_purpose::STANDARD.decode(packed).unwrap();
    let mut text = String::new();
    let mut unpack = flate2::read::GzDecoder::new(packed.as_slice());
    std::io::Read::read_to_string(&mut unpack, &mut text).unwrap();
    text
}

#[test]
fn redaction_takes_every_original_out_and_keeps_the_verdict() {
    let (_dir, source) = support::run_source();
    let plain = bundle(source, &Wanted::default(), None).unwrap();
    let (_dir, source) = support::run_source();
    let made = bundle(source, &Wanted { redaction: all(), anomaly: None }, None).unwrap();
    assert_eq!(made.manifest.outcome, plain.manifest.outcome);
    assert_eq!(made.manifest.redacted, ["values", "hosts", "keys"]);
    verified(&made.bytes, "x.zip");
    let originals = |bytes: &[u8]| -> Vec<(String, &str)> {
        let open = Opened::open(bytes.to_vec(), "x.zip").unwrap();
        let mut texts: Vec<(String, String)> = open
            .names()
            .map(|n| (n.to_owned(), String::from_utf8(open.content(n).unwrap()).unwrap()))
            .collect();
        texts.push(("the page's history".into(), contained_history(&open)));
        let within = |(name, text): &(String, String)| {
            let left = support::ORIGINALS.into_iter().filter(|o| text.contains(o));
            left.map(|o| (name.clone(), o)).collect::<Vec<_>>()
        };
        texts.iter().flat_map(within).collect()
    };
    let before = originals(&plain.bytes);
    for original in support::ORIGINALS {
        assert!(before.iter().any(|(_, o)| *o == original), "{original} is in the plain bundle");
    }
    assert_eq!(originals(&made.bytes), []);
}

#[test]
fn every_invalid_history_of_the_corpus_is_proved_plain_and_redacted() {
    for path in support::invalid() {
        let name = path.display().to_string();
        let text = std::fs::read(&path).unwrap();
        let history = jsonl::read(text.as_slice(), &name, &ReadOptions::default()).unwrap();
        let expected = Outcome::of(&check(&history, &Options::default()));
        for redaction in [Redaction::default(), all()] {
            let source = Source::history(&path).unwrap();
            let made = bundle(source, &Wanted { redaction, anomaly: None }, None)
                .unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(made.manifest.outcome, expected, "{name}");
            let found = verify(&made.bytes, "x.zip", None).unwrap();
            assert!(found.is_verified(), "{name}: {:#?}", found.breaches);
            assert_eq!(found.found.as_ref(), Some(&expected), "{name}");
            let open = Opened::open(made.bytes, "x.zip").unwrap();
            assert!(open.names().any(|n| n == "shrunk.jsonl"), "{name} is not shrunk");
            if redaction.is_none() {
                assert_eq!(open.history().unwrap(), text, "{name}: the same bytes");
            }
        }
    }
}

#[test]
fn the_page_alone_is_verified_and_small() {
    let key = Signing::generate().unwrap();
    let (_dir, source) = support::run_source();
    let (page, name) = report_page(source, &Wanted::default(), Some(&key)).unwrap();
    assert!(page.len() <= PAGE_BYTES_MAX);
    assert!(name.ends_with("-lost-write.html"), "{name}");
    let found = verify(page.as_bytes(), &name, Some(key.public())).unwrap();
    assert!(found.is_verified(), "{:#?}", found.breaches);
    assert_eq!(found.rechecked, Rechecked::Whole);
    assert_eq!(found.signed_by, Some(key.public().to_string()));
}

#[test]
fn a_case_is_chosen_by_name_and_number() {
    let chosen = |anomaly: &str| {
        let (_dir, source) = support::run_source();
        let wanted = Wanted { anomaly: Some(anomaly.into()), ..Wanted::default() };
        bundle(source, &wanted, None).map(|b| b.manifest.anomaly)
    };
    assert_eq!(chosen("unseen").unwrap().as_deref(), Some("unseen"));
    assert_eq!(chosen("lost-write:1").unwrap().as_deref(), Some("lost-write"));
    for bad in ["lost-write:2", "lost-write:0", "lost-write:x", "G0", ""] {
        let error = chosen(bad).unwrap_err().to_string();
        assert!(error.contains("lost-write"), "{bad}: {error}");
    }
}

#[test]
fn what_is_no_evidence_is_refused_with_a_hint() {
    for (file, name) in [(&b"hello"[..], "x.html"), (b"", "x"), (b"{}", "report.json")] {
        let error = verify(file, name, None).unwrap_err().to_string();
        assert!(error.contains("perjury evidence"), "{error}");
    }
    assert!(!verify(b"PK\x03\x04 and so on", "x", None).unwrap().is_verified());
}
