//! Wrong configurations of chronik-server, each explained with what to change. The server is played by a shell script
//! that prints what the real one was seen to print.

use crate::support::guard_command;
use perjury_cluster::doctor::{Finding, Severity};
use perjury_cluster::drivers::LocalDriver;
use perjury_cluster::drivers::chronik::{Chronik, ChronikOptions, Layout, Profile};
use perjury_cluster::{Cluster, ClusterOptions, Driver, LikelyCause, RunContext};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Knows the subcommands and options of version 2.10.4, prints the lines of its environment and lives or ends.
const SERVER: &str = r#"#!/bin/sh
case "$*" in
  *--help*)
    printf 'Usage\n\nCommands:\n  start    Start server\n  cluster  Manage\n  compact  Compact\n  version  Show\n\n'
    printf 'Options:\n  -d, --data-dir <DATA_DIR>\n  -l, --log-level <LOG_LEVEL>\n'
    [ "$1" = start ] && printf '  -c, --config <CONFIG>\n  --bind <BIND>\n  --advertise <A>\n  --node-id <N>\n'
    exit 0;;
  --version) echo 'chronik-server 2.10.4'; exit 0;;
esac
while [ -n "$WAIT" ] && ! [ -e "$WAIT" ]; do sleep 0.05; done
printf '%s\n' "$PLAY"
[ -n "$END" ] && exit "$END"
exec sleep 600
"#;

/// A driver whose nodes are the script with the nodes of this layout. Files of nodes lie beside it.
struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("chronik-server");
        std::fs::write(&program, SERVER).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self { dir }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The file of a node in a cluster of three with a block of ports each, changed by `change`.
    fn file(&self, node: u16, change: impl Fn(String) -> String) {
        let port = |node: u16, offset: u16| 21_000 + node * 10 + offset;
        let at = |n: u16| {
            let [kafka, wal, raft] = [0, 1, 2].map(|offset| port(n, offset));
            format!(
                "kafka = '127.0.0.1:{kafka}'\nwal = '127.0.0.1:{wal}'\nraft = '127.0.0.1:{raft}'\n"
            )
        };
        let mut text = format!(
            "enabled = true\nnode_id = {node}\ndata_dir = '{}/data{node}'\nreplication_factor = 3\n[bind]\n{}",
            self.path().display(),
            at(node)
        );
        for peer in 1..=3 {
            text += &format!("[[peers]]\nid = {peer}\n{}", at(peer));
        }
        std::fs::write(self.path().join(format!("node{node}.toml")), change(text)).unwrap();
    }

    async fn driver(&self, layout: &str) -> Arc<dyn Driver> {
        let file = self.path().join("layout.toml");
        std::fs::write(&file, layout).unwrap();
        let options = ChronikOptions {
            program: self.path().join("chronik-server"),
            nodes: 3,
            profile: Profile::Given(Layout::read(&file).unwrap()),
            env: std::collections::BTreeMap::new(),
        };
        let mut context =
            RunContext::new(self.path().join("run"), Instant::now()).with_guard(guard_command());
        context.stop_timeout = Duration::from_secs(1);
        Arc::new(LocalDriver::new(Arc::new(Chronik::new(options).await), context))
    }
}

/// Three nodes with these arguments and variables, which may say `{n}` for their number.
fn three(args: &str, env: &str) -> String {
    let node = |n: i32| {
        let number = n.to_string();
        let (args, env) = (args.replace("{n}", &number), env.replace("{n}", &number));
        format!("[[node]]\nid = {n}\nargs = [{args}]\nenv = {{ {env} }}\n")
    };
    (1..=3).map(node).collect()
}

fn rule(cause: &LikelyCause) -> &str {
    match cause {
        LikelyCause::Known { rule, .. } => rule,
        LikelyCause::PortTaken { .. } => "port-taken",
        _ => "other",
    }
}

fn errors(findings: &[Finding]) -> Vec<(String, String)> {
    let bad = findings.iter().filter(|finding| finding.severity == Severity::Error);
    bad.map(|finding| (rule(&finding.cause).to_owned(), finding.fix.clone())).collect()
}

const START: &str = "'start', '--config', 'node{n}.toml', '--bind', '127.0.0.1'";

/// Name, layout, change of the second node's file, rule, what the fix speaks of.
type Case = (&'static str, String, fn(String) -> String, &'static str, &'static str);

fn same(text: String) -> String {
    text
}

/// Clusters by arguments and variables.
fn told_by_variables() -> Vec<Case> {
    let old = "CHRONIK_CLUSTER_ENABLED = 'true', CHRONIK_NODE_ID = '{n}'";
    let peers = |list: &str| three("'start'", &format!("{old}, CHRONIK_CLUSTER_PEERS = '{list}'"));
    let three_fields = "localhost:21100:21103,localhost:21110:21113,localhost:21120:21123";
    let four_fields = "h:21100:21101:21102,h:21110:21111:21112,h:21120:21121:21122";
    let standalone = three("'--kafka-port', '21100', 'standalone'", old);
    let option = three("'start', '--kafka-port', '21100'", old);
    let raft_port = three("'start'", &format!("{old}, CHRONIK_RAFT_PORT = '21103'"));
    let misspelt = three(START, "CHRONIK_NODEID = '{n}'");
    vec![
        ("old subcommand", standalone, same, "unknown-subcommand", "start --config"),
        ("old option", option, same, "unknown-option", "start --config"),
        ("peers of three fields", peers(three_fields), same, "peers-entry", "[[peers]]"),
        ("no Raft port", peers("h:21100,h:21110,h:21120"), same, "peers-entry", "[[peers]]"),
        ("unread variable", raft_port, same, "unread-variable", "peers list"),
        ("misspelt variable", misspelt, same, "unread-variable", "CHRONIK_NODE_ID"),
        ("variables alone", peers(four_fields), same, "wal-address-missing", "[bind]"),
        ("no cluster", three("'start'", ""), same, "silently-single-node", "--config"),
    ]
}

/// Clusters by files, the second of which is wrong.
fn told_by_files() -> Vec<Case> {
    type Change = fn(String) -> String;
    let no_id: Change = |t| t.replace("node_id = 2\n", "");
    let same_id: Change = |t| t.replace("node_id = 2\n", "node_id = 1\n");
    let twice: Change = |t| t.replace("id = 3\n", "id = 1\n");
    let absent: Change = |t| t.replace("id = 2\nkafka", "id = 7\nkafka");
    let no_port: Change = |t| t.replace("raft = '127.0.0.1:21032'", "raft = '127.0.0.1'");
    let wrong: Change = |t| t.replace("raft = '127.0.0.1:21032'", "raft = '127.0.0.1:21039'");
    let collides: Change = |t| t.replace("21020", "21012");
    let no_data: Change =
        |t| t.lines().filter(|l| !l.starts_with("data_dir")).collect::<Vec<_>>().join("\n");
    let shared: Change = |t| t.replace("data2", "data1");
    let broken: Change = |t| t.replace("enabled = true", "enabled");
    let cases = [
        ("no node id", no_id, "node-id-missing", "node_id"),
        ("two nodes with one id", same_id, "two-nodes-one-id", "node_id"),
        ("one id twice among the peers", twice, "duplicate-id", "[[peers]]"),
        ("not among its own peers", absent, "own-entry-missing", "itself"),
        ("an address without its port", no_port, "address-without-port", "host:port"),
        ("a peer's wrong Raft port", wrong, "peer-wrong-port", "127.0.0.1:21032"),
        ("one's Kafka port is another's Raft port", collides, "port-collision", "gap"),
        ("no data folder", no_data, "field-missing", "data_dir"),
        ("one data folder for two", shared, "shared-data-folder", "own"),
        ("not TOML", broken, "file-unusable", "correct"),
    ];
    cases.map(|(name, change, rule, hint)| (name, three(START, ""), change, rule, hint)).to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_configurations_are_explained_before_anything_starts() {
    let cases = told_by_variables().into_iter().chain(told_by_files());
    for (name, layout, change, expected, hint) in cases {
        let bench = Bench::new();
        for node in 1..=3 {
            bench.file(node, |text| if node == 2 { change(text) } else { text });
        }
        let driver = bench.driver(&layout).await;
        let found = errors(&driver.preflight().await);
        let hit = found.iter().find(|(rule, _)| rule == expected);
        let Some((_, fix)) = hit else { panic!("{name}: {expected} is not among {found:?}") };
        assert!(fix.contains(hint), "{name}: {fix}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_configuration_is_not_complained_of() {
    let bench = Bench::new();
    (1..=3).for_each(|node| bench.file(node, |text| text));
    let driver = bench.driver(&three(START, "")).await;
    let found = errors(&driver.preflight().await);
    let wrong: Vec<_> = found.iter().filter(|(rule, _)| rule != "fixed-port-taken").collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_holds_a_port_is_named() {
    let bench = Bench::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().port().to_string();
    for node in 1..=3 {
        bench.file(node, |text| text.replace("21010", &taken));
    }
    let driver = bench.driver(&three(START, "")).await;
    let findings = driver.preflight().await;
    let held = findings.iter().find(|finding| rule(&finding.cause) == "port-taken").unwrap();
    let holder = format!("pid {}", std::process::id());
    assert!(held.what.contains(&taken) && held.what.contains(&holder), "{}", held.what);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_with_the_id_of_a_node_is_named_by_its_fixed_port() {
    // One of the ports that follow from a node's number; no other test has a node 7.
    let Ok(twin) = std::net::TcpListener::bind("0.0.0.0:13007") else {
        eprintln!("skipped: port 13007 is in use");
        return;
    };
    let bench = Bench::new();
    bench.file(7, |text| text);
    let layout = format!("[[node]]\nid = 7\nargs = [{}]\n", START.replace("{n}", "7"));
    let driver = bench.driver(&layout).await;
    let findings = driver.preflight().await;
    let held = findings.iter().find(|finding| finding.what.contains("13007")).unwrap();
    let holder = format!("pid {}", std::process::id());
    assert_eq!((rule(&held.cause), held.severity), ("fixed-port-taken", Severity::Error));
    assert!(held.what.contains("node 7") && held.what.contains(&holder), "{}", held.what);
    drop(twin);
}

/// As chronik-server does when its Kafka port is taken: every line of a node that is ready, one of an error, and no failure.
#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_was_taken_in_between_is_named_although_the_node_ends_without_failure() {
    let bench = Bench::new();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    bench.file(1, |text| text.replace("21010", &port.to_string()));
    let mark = bench.path().join("taken");
    let says = "INFO chronik_server: Unified API started on port 6092\\n\
                Error: Address already in use (os error 98)";
    let env = format!("PLAY = \"{says}\", END = '0', WAIT = '{}'", mark.display());
    let layout =
        format!("[[node]]\nid = 1\nargs = [{}]\nenv = {{ {env} }}\n", START.replace("{n}", "1"));
    let driver = bench.driver(&layout).await;
    let cluster = Cluster::new(driver.clone(), ClusterOptions::default());
    let take = async {
        crate::support::eventually("it runs", || driver.process_of(driver.nodes()[0]).is_some())
            .await;
        let taken = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
        std::fs::write(&mark, "").unwrap();
        taken
    };
    let (formed, taken) = tokio::join!(cluster.form(crate::support::LONG), take);
    let error = formed.unwrap_err();
    let LikelyCause::PortTaken { port: named, owner: Some(owner) } = &error.cause else {
        panic!("{error}");
    };
    assert_eq!((*named, owner.process.pid), (port, std::process::id()), "{error}");
    assert!(error.cause.fix().contains("end process"), "{}", error.cause.fix());
    assert!(error.log_tail.iter().any(|line| line.contains("Unified API started")), "{error}");
    drop(taken);
}

/// What is wrong shows only once the nodes run: name, what they print, how they end, rule, hint.
#[tokio::test(flavor = "multi_thread")]
async fn wrong_configurations_are_explained_by_what_the_nodes_say() {
    let lonely = "INFO raft::raft: starting a new election, raft_id: 1, term: 4\\n\
                  INFO chronik_server: Unified API started on port 6092\\n\
                  INFO raft::raft: starting a new election, raft_id: 1, term: 5";
    let cases = [
        (
            "error: unrecognized subcommand 'standalone'",
            "2",
            "unknown-subcommand",
            "start --config",
        ),
        (
            "error: unexpected argument '--kafka-port' found",
            "2",
            "unknown-option",
            "start --config",
        ),
        (
            "Error: WAL bind address not configured in cluster config",
            "1",
            "wal-address-missing",
            "[bind]",
        ),
        (
            "Error: Invalid cluster configuration: Duplicate node ID: 1",
            "1",
            "duplicate-id",
            "of its own",
        ),
        (
            "INFO chronik_server: Starting in SINGLE-NODE mode\\nError: Address already in use (os error 98)",
            "1",
            "silently-single-node",
            "start --config",
        ),
        (lonely, "", "no-quorum", "raft addresses"),
    ];
    for (says, end, expected, hint) in cases {
        let bench = Bench::new();
        (1..=3).for_each(|node| bench.file(node, |text| text));
        let layout = three(START, &format!("PLAY = \"{says}\", END = '{end}'"));
        let driver = bench.driver(&layout).await;
        let cluster = Cluster::new(driver.clone(), ClusterOptions::default());
        let error = cluster.form(Duration::from_secs(3)).await.unwrap_err();
        assert_eq!(rule(&error.cause), expected, "{error}");
        assert!(error.cause.fix().contains(hint), "{error}");
        assert!(error.node.is_some() && !error.log_tail.is_empty(), "{error}");
    }
}

/// Nodes that run on, and complain: what they print, rule.
#[tokio::test(flavor = "multi_thread")]
async fn complaints_of_running_nodes_are_understood() {
    let lost =
        "WARN Message sender: FAILED to send 8 to peer 3 after 10 retries - MESSAGE LOST: refused";
    let cases = [
        (
            "WARN Failed to pre-warm connection to peer 2 after 30 attempts (continuing anyway)"
                .to_owned(),
            "peer-raft-address",
        ),
        ("ERROR Failed to bind WAL receiver to 127.0.0.1:21011".to_owned(), "wal-port-taken"),
        (
            "ERROR Raft gRPC server error: transport error\\nINFO Raft gRPC server started"
                .to_owned(),
            "raft-port-taken",
        ),
        (format!("{lost}\\n{lost}\\n{lost}"), "peer-raft-port"),
    ];
    for (says, expected) in cases {
        let bench = Bench::new();
        (1..=3).for_each(|node| bench.file(node, |text| text));
        let driver = bench.driver(&three(START, &format!("PLAY = \"{says}\", END = ''"))).await;
        driver.prepare().await.unwrap();
        let node = driver.nodes()[0];
        driver.start(node).await.unwrap();
        let heard = driver.clone();
        crate::support::eventually("the node complains", || !heard.complaints().is_empty()).await;
        let found = driver.complaints();
        assert_eq!(rule(&found[0].cause), expected, "{found:?}");
        driver.shutdown().await;
    }
}
