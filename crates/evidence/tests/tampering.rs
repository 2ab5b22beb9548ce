//! Whoever changes a byte is found, and what was changed is named.
#![expect(clippy::unwrap_used, reason = "tests")]

#[expect(dead_code, reason = "each test file uses its part")]
mod support;

use perjury_evidence::{Opened, PublicKey, Signing, Wanted, bundle, report_page, verify};
use proptest::prelude::*;
use std::ops::Range;
use std::sync::LazyLock;

static KEY: LazyLock<Signing> = LazyLock::new(|| Signing::generate().unwrap());

static BUNDLE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let (_dir, source) = support::run_source();
    bundle(source, &Wanted::default(), Some(&KEY)).unwrap().bytes
});

static PAGE: LazyLock<String> = LazyLock::new(|| {
    let (_dir, source) = support::run_source();
    report_page(source, &Wanted::default(), None).unwrap().0
});

/// The members of a zip file with the range of their local header and content, read from the directory at its end.
fn spans(file: &[u8]) -> Vec<(String, Range<usize>)> {
    let u16 = |at: usize| usize::from(u16::from_le_bytes([file[at], file[at + 1]]));
    let u32 = |at: usize| u16(at) + (u16(at + 2) << 16);
    let end = file.len() - 22;
    let (count, mut at) = (u16(end + 10), u32(end + 16));
    let mut spans = Vec::new();
    for _ in 0..count {
        let name = String::from_utf8(file[at + 46..at + 46 + u16(at + 28)].to_vec()).unwrap();
        let start = u32(at + 42);
        let stop = start + 30 + name.len() + u32(at + 20);
        at += 46 + name.len();
        spans.push((name, start..stop));
    }
    spans
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_flipped_bit_in_any_member_is_found_and_the_member_named(
        member in any::<prop::sample::Index>(),
        byte in any::<prop::sample::Index>(),
        bit in 0u8..8,
    ) {
        let spans = spans(&BUNDLE);
        let (name, span) = &spans[member.index(spans.len())];
        let mut file = BUNDLE.clone();
        file[span.start + byte.index(span.len())] ^= 1 << bit;
        let found = verify(&file, "x.zip", None).unwrap();
        prop_assert!(!found.is_verified(), "{name}");
        let named = found.breaches.iter().any(|b| b.member == *name);
        // A directory entry and a header that contradict each other are named by whichever is read.
        prop_assert!(named, "{name}: {:?}", found.breaches);
    }

    #[test]
    fn a_flipped_bit_anywhere_in_the_file_is_found(byte in any::<prop::sample::Index>(), bit in 0u8..8) {
        let mut file = BUNDLE.clone();
        let at = byte.index(file.len());
        file[at] ^= 1 << bit;
        prop_assert!(!verify(&file, "x.zip", None).unwrap().is_verified(), "byte {at}");
    }

    #[test]
    fn a_flipped_bit_anywhere_in_a_page_is_found(byte in any::<prop::sample::Index>(), bit in 0u8..8) {
        let mut file = PAGE.clone().into_bytes();
        let at = byte.index(file.len());
        file[at] ^= 1 << bit;
        let found = verify(&file, "x.html", None);
        prop_assert!(found.is_ok_and(|v| !v.is_verified()), "byte {at}");
    }
}

#[test]
fn every_byte_of_the_directory_counts() {
    let last = spans(&BUNDLE).last().unwrap().1.end;
    for at in last..BUNDLE.len() {
        let mut file = BUNDLE.clone();
        file[at] ^= 0x10;
        assert!(!verify(&file, "x.zip", None).unwrap().is_verified(), "byte {at}");
    }
}

/// The page with another text in its data.
fn altered(from: &str, to: &str) -> String {
    assert!(PAGE.contains(from), "{from}");
    PAGE.replace(from, to)
}

#[test]
fn a_changed_operation_of_a_page_is_named() {
    let send = r#"{"index":3,"time":40000000,"process":0,"type":"ok","f":"send","value":[["send","payments.eu-0",[1,"#;
    let other = send.replace("[1,", "[9,");
    let found = verify(altered(send, &other).as_bytes(), "x.html", None).unwrap();
    assert!(!found.is_verified());
    let named: Vec<&str> = found.breaches.iter().map(|b| b.member.as_str()).collect();
    assert_eq!(named, ["operation 3 (send ok)"]);
}

#[test]
fn a_changed_part_of_a_page_is_named() {
    for (from, to, member) in [
        (r#""perjury.evidence/1","run""#, r#""perjury.evidence/1" ,"run""#, "the data"),
        ("INVALID", "VALID", "part detail"),
        (r#""duration":80000000"#, r#""duration":80000001"#, "part timeline"),
        (
            r#""proof":{"history":"whole","bytes":"#,
            r#""proof":{"history":"whole","bytes":1"#,
            "part proof",
        ),
        ("</script>", "</script><!-- -->", "the page"),
    ] {
        let found = verify(altered(from, to).as_bytes(), "x.html", None).unwrap();
        let named = found.breaches.iter().any(|b| b.member == member);
        assert!(named, "{member}: {:#?}", found.breaches);
    }
}

#[test]
fn a_page_that_claims_another_verdict_than_its_history_gives_is_found() {
    // Whatever hashes a forger makes anew: the verdict is drawn from the history, not read from the claim.
    let file = PAGE.replace(r#""verdict":"invalid""#, r#""verdict":"valid""#);
    let found = verify(file.as_bytes(), "x.html", None).unwrap();
    let claims = found.breaches.iter().any(|b| b.what.contains("the evidence claims"));
    assert!(claims, "{:#?}", found.breaches);
}

#[test]
fn members_that_are_added_or_left_out_are_named() {
    let open = Opened::open(BUNDLE.clone(), "x.zip").unwrap();
    let repack = |leave_out: &str, add: Option<&str>| {
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let mut archive = zip::ZipArchive::new(std::io::Cursor::new(BUNDLE.clone())).unwrap();
        for i in 0..archive.len() {
            let member = archive.by_index_raw(i).unwrap();
            if member.name() != leave_out {
                zip.raw_copy_file(member).unwrap();
            }
        }
        if let Some(name) = add {
            let stored = zip::write::SimpleFileOptions::default()
                .compression_method(zip::CompressionMethod::Stored)
                .last_modified_time(zip::DateTime::default())
                .unix_permissions(0o644);
            zip.start_file(name, stored).unwrap();
        }
        zip.finish().unwrap().into_inner()
    };
    for name in open.names() {
        let found = verify(&repack(name, None), "x.zip", None).unwrap();
        let named = found.breaches.iter().any(|b| b.member == name);
        // Without its signature a bundle is one that was not signed: who wants one names the key.
        let optional = name == "manifest.sig.json";
        assert_eq!(named, !optional, "{name}: {:?}", found.breaches);
        assert_eq!(found.is_verified(), optional, "{name}");
        assert!(!verify(&repack(name, None), "x.zip", Some(KEY.public())).unwrap().is_verified());
    }
    let found = verify(&repack("", Some("more.txt")), "x.zip", None).unwrap();
    assert!(found.breaches.iter().any(|b| b.member == "more.txt"), "{:?}", found.breaches);
    for path in ["../evil", "/etc/cron.d/evil", "a/../../evil", ".ssh/key"] {
        assert!(!verify(&repack("", Some(path)), "x.zip", None).unwrap().is_verified(), "{path}");
        assert!(Opened::open(repack("", Some(path)), "x.zip").is_err(), "{path}");
    }
}

#[test]
fn a_signature_binds_the_key() {
    let right = verify(&BUNDLE, "x.zip", Some(KEY.public())).unwrap();
    assert!(right.is_verified(), "{:?}", right.breaches);
    assert_eq!(right.signed_by, Some(KEY.public().to_string()));
    let other: PublicKey = Signing::generate().unwrap().public();
    let wrong = verify(&BUNDLE, "x.zip", Some(other)).unwrap();
    assert!(wrong.breaches.iter().any(|b| b.member == "manifest.sig.json"), "{wrong:?}");
    let unsigned = verify(PAGE.as_bytes(), "x.html", Some(other)).unwrap();
    assert!(unsigned.breaches.iter().any(|b| b.what.contains("not signed")), "{unsigned:?}");
}
