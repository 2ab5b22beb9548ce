//! The contract as a table: which configuration prohibits what.

mod support;

use perjury_checker::{Contract, Judgement, Options, check};
use perjury_history::{Acks, Configuration, Header, HistoryBuilder, IsolationLevel, SubVia};

use Judgement::{Allowed, Unspecified, Violation};

fn judged(header: Header, contract: Contract, anomaly: &str) -> Judgement {
    let history = HistoryBuilder::new(header).finish();
    let report = check(&history, &Options { contract, ..Options::default() });
    let rule = report.contract.rules.iter().find(|r| r.anomaly == anomaly);
    let rule = rule.unwrap_or_else(|| panic!("{anomaly} has no rule"));
    assert!(rule.rule.ends_with('.'), "{}", rule.rule);
    rule.judgement
}

fn kafka(config: Configuration, anomaly: &str) -> Judgement {
    judged(Header { config, ..Header::default() }, Contract::Kafka, anomaly)
}

fn acks(acks: Acks) -> Configuration {
    Configuration { acks: Some(acks), ..Configuration::default() }
}

fn unclean() -> Configuration {
    Configuration { unclean_leader_election: Some(true), ..acks(Acks::All) }
}

fn transactions(level: Option<IsolationLevel>) -> Configuration {
    let base = Configuration { transactional: Some(true), ..Configuration::default() };
    Configuration { isolation_level: level, ..base }
}

#[test]
fn acknowledgements_last_as_far_as_acks_promise() {
    for anomaly in ["lost-write", "lost-tail", "realtime-order"] {
        assert_eq!(kafka(acks(Acks::All), anomaly), Violation, "{anomaly}");
        assert_eq!(kafka(Configuration::default(), anomaly), Violation, "{anomaly}");
        assert_eq!(kafka(acks(Acks::Leader), anomaly), Allowed, "{anomaly}");
        assert_eq!(kafka(acks(Acks::None), anomaly), Allowed, "{anomaly}");
        assert_eq!(kafka(unclean(), anomaly), Allowed, "{anomaly}");
    }
}

#[test]
fn storage_faults_need_a_second_copy() {
    let with = |min_isr, fsync| {
        let config = Configuration {
            min_insync_replicas: min_isr,
            fsync_before_ack: fsync,
            replication_factor: Some(3),
            ..acks(Acks::All)
        };
        let nemesis = vec!["lose-unsynced".to_owned()];
        judged(Header { config, nemesis, ..Header::default() }, Contract::Kafka, "lost-write")
    };
    assert_eq!(with(Some(2), None), Violation);
    assert_eq!(with(Some(1), None), Unspecified);
    assert_eq!(with(None, None), Unspecified);
    assert_eq!(with(Some(1), Some(true)), Violation);
    let killed = Configuration { min_insync_replicas: Some(1), ..acks(Acks::All) };
    assert_eq!(kafka(killed, "lost-write"), Violation, "a killed process loses no data");
}

#[test]
fn visible_records_stay_whatever_the_producer_asked() {
    let all = ["inconsistent-offsets", "truncated-log", "stale-read", "resurrected-write"];
    for anomaly in all {
        assert_eq!(kafka(acks(Acks::None), anomaly), Violation, "{anomaly}");
        assert_eq!(kafka(unclean(), anomaly), Allowed, "{anomaly}");
    }
}

#[test]
fn one_send_is_one_record_for_idempotent_producers() {
    let idempotence = |on| Configuration { idempotence: on, ..Configuration::default() };
    assert_eq!(kafka(idempotence(Some(true)), "duplicate"), Violation);
    assert_eq!(kafka(idempotence(Some(false)), "duplicate"), Allowed);
    assert_eq!(kafka(idempotence(None), "duplicate"), Violation);
    assert_eq!(kafka(idempotence(Some(false)), "int-nonmonotonic-send"), Allowed);
    assert_eq!(kafka(idempotence(Some(false)), "nonmonotonic-send"), Violation);
}

#[test]
fn isolation_decides_about_uncommitted_and_aborted_records() {
    let (committed, uncommitted) = (IsolationLevel::ReadCommitted, IsolationLevel::ReadUncommitted);
    for anomaly in ["G1a", "precommitted-read", "G1c"] {
        assert_eq!(kafka(transactions(Some(committed)), anomaly), Violation, "{anomaly}");
        assert_eq!(kafka(transactions(Some(uncommitted)), anomaly), Allowed, "{anomaly}");
    }
    assert_eq!(kafka(transactions(None), "G1a"), Unspecified);
    let without = Configuration { transactional: Some(false), ..Configuration::default() };
    assert_eq!(kafka(without.clone(), "precommitted-read"), Allowed);
    assert_eq!(kafka(without.clone(), "G1c"), Allowed);
    assert_eq!(kafka(without, "G1a"), Violation);
}

#[test]
fn a_subscribed_consumer_may_be_moved_between_polls_only() {
    let via = |sub_via: &[SubVia]| Configuration {
        sub_via: sub_via.to_vec(),
        ..Configuration::default()
    };
    for anomaly in ["poll-skip", "nonmonotonic-poll"] {
        assert_eq!(kafka(via(&[SubVia::Assign]), anomaly), Violation);
        assert_eq!(kafka(via(&[SubVia::Assign, SubVia::Subscribe]), anomaly), Allowed);
    }
    for anomaly in ["int-poll-skip", "int-nonmonotonic-poll"] {
        assert_eq!(kafka(via(&[SubVia::Subscribe]), anomaly), Violation);
    }
}

#[test]
fn what_kafka_never_promised_is_never_a_violation() {
    for anomaly in ["int-send-skip", "G0", "G0-realtime"] {
        assert_eq!(kafka(Configuration::default(), anomaly), Allowed, "{anomaly}");
    }
    for anomaly in ["unseen", "G-single", "G2-item", "slow-election", "availability-gap"] {
        assert_eq!(kafka(Configuration::default(), anomaly), Unspecified, "{anomaly}");
    }
}

#[test]
fn jepsens_set_is_jepsens() {
    let under = |sub_via: Vec<SubVia>, ww_deps: bool| {
        let options =
            Options { contract: Contract::Jepsen, sub_via, ww_deps, ..Options::default() };
        let report = check(&HistoryBuilder::default().finish(), &options);
        let allowed = report.contract.rules.into_iter().filter(|r| r.judgement == Allowed);
        allowed.map(|r| r.anomaly).collect::<Vec<_>>()
    };
    let always = [
        "G0",
        "G0-process",
        "G0-realtime",
        "PL-1-cycle-exists",
        "int-send-skip",
        "strong-PL-1-cycle-exists",
    ];
    assert_eq!(under(Vec::new(), false), always);
    let mut more = always.to_vec();
    more.extend(["nonmonotonic-poll", "poll-skip"]);
    more.sort_unstable();
    assert_eq!(under(vec![SubVia::Subscribe], false), more);
    let mut more = always.to_vec();
    more.extend([
        "G1c",
        "G1c-process",
        "G1c-realtime",
        "PL-2-cycle-exists",
        "strong-PL-2-cycle-exists",
    ]);
    more.sort_unstable();
    assert_eq!(under(Vec::new(), true), more);
    let ours = judged(Header::default(), Contract::Jepsen, "lost-tail");
    assert_eq!(ours, Unspecified, "ours are not Jepsen's");
}

#[test]
fn budgets_of_the_plan_are_promises() {
    let plan = serde_json::json!({"budgets": {"election_ms": 2000}});
    let header = Header { plan, ..Header::default() };
    assert_eq!(judged(header.clone(), Contract::Kafka, "slow-election"), Violation);
    assert_eq!(judged(header, Contract::Kafka, "availability-gap"), Unspecified);
}
