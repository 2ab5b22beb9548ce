//! Clusters that want TLS, a client's certificate or a password: one node of Apache Kafka with a listener of each kind,
//! attached to with properties in librdkafka's names and in Java's. The certificates are signed by an authority that the
//! test makes.
//!
//! Left out unless the environment variable PERJURY_TEST_KAFKA is set. What needs TLS is asked of a build with the feature
//! `tls` alone; other builds have to say what they lack.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

mod support;

use perjury_cluster::drivers::kafka;
use serde_json::Value;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;
use support::{alone, binary, ended, latest, perjury, stderr, stdout};

/// What must be seen nowhere: the passwords of the stores of keys, of a user by SCRAM, and of a user by PLAIN.
const STORES: &str = "word-of-the-stores-70";
const ALICES: &str = "word-of-alice-93";
const BOBS: &str = "word-of-bob-51";
/// The listeners' names and protocols, in the order of their ports.
const LISTENERS: [(&str, &str); 6] = [
    ("CONTROLLER", "PLAINTEXT"),
    ("INNER", "PLAINTEXT"),
    ("TLS", "SSL"),
    ("MUTUAL", "SSL"),
    ("LOGIN", "SASL_SSL"),
    ("OPEN", "SASL_PLAINTEXT"),
];

fn done(command: &mut Command) {
    let output = ended(command);
    assert!(output.status.success(), "{command:?}: {}{}", stdout(&output), stderr(&output));
}

/// An authority, and stores with a key that it signed for the broker and one for the client.
fn certificates(dir: &Path) {
    let keytool = |store: &str, args: &str| {
        let mut command = Command::new("keytool");
        command.current_dir(dir).args(["-storetype", "PKCS12", "-storepass", STORES]);
        command.args(["-keystore", store]).args(args.split(' '));
        done(&mut command);
    };
    let key = "-keyalg EC -groupname secp256r1 -validity 30";
    keytool("authority.p12", &format!("-genkeypair -alias ca -dname CN=authority -ext bc:c {key}"));
    keytool("authority.p12", "-exportcert -alias ca -rfc -file authority.pem");
    keytool("trust.p12", "-importcert -noprompt -alias ca -file authority.pem");
    for name in ["broker", "client"] {
        let store = format!("{name}.p12");
        keytool(&store, &format!("-genkeypair -alias {name} -dname CN={name} {key}"));
        keytool(&store, &format!("-certreq -alias {name} -file {name}.csr"));
        let signed = format!("-rfc -validity 30 -infile {name}.csr -outfile {name}.pem");
        keytool("authority.p12", &format!("-gencert -alias ca -ext san=ip:127.0.0.1 {signed}"));
        keytool(&store, "-importcert -noprompt -alias ca -file authority.pem");
        keytool(&store, &format!("-importcert -noprompt -alias {name} -file {name}.pem"));
    }
}

fn server_properties(dir: &Path, ports: &[u16]) -> String {
    let listeners: Vec<String> = LISTENERS
        .iter()
        .zip(ports)
        .map(|((name, _), port)| format!("{name}://127.0.0.1:{port}"))
        .collect();
    let protocols = LISTENERS.map(|(name, protocol)| format!("{name}:{protocol}")).join(",");
    let login = "org.apache.kafka.common.security";
    let mut text = format!(
        "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:{}\n\
         controller.listener.names=CONTROLLER\ninter.broker.listener.name=INNER\n\
         listeners={}\nadvertised.listeners={}\nlistener.security.protocol.map={protocols}\n\
         listener.name.mutual.ssl.client.auth=required\n\
         listener.name.login.sasl.enabled.mechanisms=SCRAM-SHA-256\n\
         listener.name.login.scram-sha-256.sasl.jaas.config={login}.scram.ScramLoginModule required;\n\
         listener.name.open.sasl.enabled.mechanisms=PLAIN\n\
         listener.name.open.plain.sasl.jaas.config={login}.plain.PlainLoginModule required user_bob=\"{BOBS}\";\n\
         log.dirs={}\nauto.create.topics.enable=false\noffsets.topic.num.partitions=1\n",
        ports[0],
        listeners.join(","),
        listeners[1..].join(","),
        dir.join("data").display(),
    );
    for (what, store) in [("keystore", "broker.p12"), ("truststore", "trust.p12")] {
        let path = dir.join(store);
        let _ = write!(
            text,
            "ssl.{what}.type=PKCS12\nssl.{what}.location={}\nssl.{what}.password={STORES}\n",
            path.display()
        );
    }
    let _ = writeln!(text, "ssl.key.password={STORES}");
    for topic in ["offsets.topic", "transaction.state.log", "share.coordinator.state.topic"] {
        let _ = writeln!(text, "{topic}.replication.factor=1");
    }
    for topic in ["transaction.state.log", "share.coordinator.state.topic"] {
        let _ = writeln!(text, "{topic}.min.isr=1");
    }
    text
}

/// A node of Apache Kafka that nobody of the runs under test started.
struct Broker {
    child: Child,
    dir: tempfile::TempDir,
    ports: Vec<u16>,
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Broker {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (cache, say) = (kafka::cache_dir(), |text: &str| eprintln!("{text}"));
        let install = kafka::install(kafka::DEFAULT_VERSION, &cache, &say);
        let jars = format!("{}/*", runtime.block_on(install).unwrap().display());
        let dir = tempfile::tempdir().unwrap();
        certificates(dir.path());
        let free: Vec<TcpListener> =
            LISTENERS.iter().map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports: Vec<u16> = free.iter().map(|l| l.local_addr().unwrap().port()).collect();
        drop(free);
        let settings = dir.path().join("server.properties");
        std::fs::write(&settings, server_properties(dir.path(), &ports)).unwrap();
        let java = |args: &[&str]| {
            let mut command = Command::new(kafka::java().unwrap());
            command.args(["-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
            command.args(["-cp", &jars]).args(args);
            command
        };
        let user = format!("SCRAM-SHA-256=[name=alice,password={ALICES}]");
        let format =
            ["kafka.tools.StorageTool", "format", "--cluster-id", "cGVyanVyeS1zZWN1cmVkMQ"];
        let settings = settings.to_str().unwrap();
        done(java(&format).args(["--config", settings, "--add-scram", &user]));
        let log = File::create(dir.path().join("broker.log")).unwrap();
        let mut server = java(&["kafka.Kafka", settings]);
        server.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let broker = Self { child: server.spawn().unwrap(), dir, ports };
        broker.wait();
        broker
    }

    fn wait(&self) {
        for _ in 0..1_800 {
            let listens = |port: &u16| TcpStream::connect(("127.0.0.1", *port)).is_ok();
            if self.ports.iter().all(listens) {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let log = std::fs::read_to_string(self.dir.path().join("broker.log")).unwrap();
        panic!("not all of its listeners are there after three minutes: {log}");
    }

    fn address(&self, listener: &str) -> String {
        let at = LISTENERS.iter().position(|(name, _)| *name == listener).unwrap();
        format!("127.0.0.1:{}", self.ports[at])
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }
}

/// A way to reach a listener: properties for the command line, and lines of a properties file.
struct Way {
    listener: &'static str,
    options: Vec<String>,
    file: String,
}

impl Way {
    fn tls(&self) -> bool {
        self.listener != "OPEN"
    }
}

/// Every listener, in both dialects.
fn ways(broker: &Broker) -> Vec<Way> {
    let (authority, client) = (broker.path("authority.pem"), broker.path("client.p12"));
    let ours = |listener, lines: &[&str], more: &[String]| {
        let options = lines.iter().map(ToString::to_string).chain(more.iter().cloned()).collect();
        Way { listener, options, file: String::new() }
    };
    let java = |listener, file: String| Way { listener, options: Vec::new(), file };
    let ca = format!("ssl.ca.location={authority}");
    let key = format!("ssl.keystore.location={client}");
    let login = "org.apache.kafka.common.security";
    let trusted = format!("ssl.truststore.type=PEM\nssl.truststore.location={authority}\n");
    let scram = ["security.protocol=sasl_ssl", "sasl.mechanisms=SCRAM-SHA-256"];
    let alice = ["sasl.username=alice", "sasl.password=env:ALICES"];
    let word = broker.path("bobs-word");
    std::fs::write(&word, format!("{BOBS}\n")).unwrap();
    let bob = ["security.protocol=sasl_plaintext", "sasl.mechanisms=PLAIN", "sasl.username=bob"];
    vec![
        ours("OPEN", &bob, &[format!("sasl.password=file:{word}")]),
        java(
            "OPEN",
            format!(
                "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\n\
             sasl.jaas.config={login}.plain.PlainLoginModule required username=\"bob\" password=\"{BOBS}\";\n"
            ),
        ),
        ours("TLS", &["security.protocol=ssl"], std::slice::from_ref(&ca)),
        java("TLS", format!("security.protocol=SSL\n{trusted}")),
        ours(
            "MUTUAL",
            &["security.protocol=ssl", "ssl.keystore.password=env:STORES"],
            &[ca.clone(), key],
        ),
        java(
            "MUTUAL",
            format!(
                "security.protocol=SSL\n{trusted}ssl.keystore.type=PKCS12\nssl.keystore.location={client}\n\
             ssl.keystore.password={STORES}\nssl.key.password={STORES}\n"
            ),
        ),
        ours("LOGIN", &[scram, alice].concat(), &[ca]),
        java(
            "LOGIN",
            format!(
                "security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-256\n{trusted}\
             sasl.jaas.config={login}.scram.ScramLoginModule required username=\"alice\" password=\"{ALICES}\";\n"
            ),
        ),
    ]
}

/// Runs against a listener.
fn attached(store: &Path, address: &str, options: &[String], file: Option<&Path>) -> Output {
    let mut command = binary();
    command.env("ALICES", ALICES).env("STORES", STORES).env("WRONG", "some-other-word");
    command.args(["run", "--cluster", "attach", "-b", address, "--output", "json"]);
    command.args(["--store", store.to_str().unwrap(), "--nodes", "1", "--replication-factor", "1"]);
    command.args(["--nemesis", "none", "--time-limit", "4s", "--rate", "60", "--concurrency", "2"]);
    command.args(["--partitions", "1", "--seed", "1"]);
    for option in options {
        command.args(["-X", option]);
    }
    if let Some(file) = file {
        command.arg("--command-config").arg(file);
    }
    ended(&mut command)
}

/// Whether one of the secrets is in these bytes.
fn tells(bytes: &[u8]) -> bool {
    let has = |word: &str| bytes.windows(word.len()).any(|window| window == word.as_bytes());
    [STORES, ALICES, BOBS].into_iter().any(has)
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries
        .filter(|path| !path.is_symlink())
        .flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] })
        .collect()
}

/// No file of the store, and none of the bundle that is made of its newest run, tells a secret.
fn secrets_are_kept(store: &Path, broker: &Broker) {
    let files = files_below(store);
    assert!(files.iter().any(|file| file.ends_with("plan.json")));
    for file in files {
        assert!(!tells(&std::fs::read(&file).unwrap()), "{}", file.display());
    }
    let bundle = broker.path("evidence.zip");
    let made = perjury(&["evidence", latest(store).to_str().unwrap(), "-o", &bundle]);
    assert!(made.status.success(), "{}", stderr(&made));
    let mut bundle = zip::ZipArchive::new(File::open(bundle).unwrap()).unwrap();
    assert!(!bundle.is_empty());
    for n in 0..bundle.len() {
        let mut entry = bundle.by_index(n).unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        assert!(!tells(&bytes), "{} of the bundle", entry.name());
    }
}

/// What is wrong, the listener, the properties, and what has to be said of it.
fn mistakes(broker: &Broker) -> Vec<(&'static str, Vec<String>, &'static str)> {
    let ca = format!("ssl.ca.location={}", broker.path("authority.pem"));
    let of = |lines: &[&str]| lines.iter().map(ToString::to_string).collect::<Vec<_>>();
    let plain = ["security.protocol=sasl_plaintext", "sasl.mechanisms=PLAIN"];
    let wrong = ["sasl.username=bob", "sasl.password=env:WRONG"];
    let mut all = vec![
        ("OPEN", of(&[plain, wrong].concat()), "sasl.password"),
        ("OPEN", Vec::new(), "security.protocol"),
        ("TLS", Vec::new(), "security.protocol"),
    ];
    let tls = of(&["security.protocol=ssl"]);
    if !cfg!(feature = "tls") {
        all.push(("TLS", tls, "--features tls"));
        return all;
    }
    let scram = ["security.protocol=sasl_ssl", "sasl.mechanisms=SCRAM-SHA-256", &ca];
    let alice = ["sasl.username=alice", "sasl.password=env:WRONG"];
    all.extend([
        ("TLS", tls, "ssl.ca.location"),
        ("MUTUAL", of(&["security.protocol=ssl", &ca]), "ssl.keystore.location"),
        ("LOGIN", of(&[&scram[..], &alice].concat()), "sasl.password"),
    ]);
    all
}

#[test]
fn secured_listeners_are_attached_to_in_both_dialects_and_no_secret_is_told() {
    if std::env::var_os("PERJURY_TEST_KAFKA").is_none_or(|value| value.is_empty()) {
        eprintln!("skipped: PERJURY_TEST_KAFKA is not set; java and mvn are needed then");
        return;
    }
    let _turn = alone();
    let (store, broker) = (tempfile::tempdir().unwrap(), Broker::start());
    for (n, way) in ways(&broker).into_iter().enumerate() {
        if way.tls() && !cfg!(feature = "tls") {
            eprintln!("skipped: {}: this build has no TLS: --features tls", way.listener);
            continue;
        }
        let file = broker.dir.path().join(format!("client-{n}.properties"));
        std::fs::write(&file, &way.file).unwrap();
        let file = (!way.file.is_empty()).then_some(file.as_path());
        let output = attached(store.path(), &broker.address(way.listener), &way.options, file);
        let said = stderr(&output);
        assert!(!tells(&output.stdout) && !tells(&output.stderr), "{said}");
        let report: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{} {n}: no JSON ({error}): {said}", way.listener));
        assert_eq!(report["reasons"][0], "no-fault-witnessed", "{said}\n{report:#}");
        assert_eq!(report["coverage"]["final_read"], "completed", "{said}\n{report:#}");
        assert!(report["counts"]["acknowledged"].as_u64().unwrap() > 20, "{said}");
    }
    secrets_are_kept(store.path(), &broker);
    for (listener, options, named) in mistakes(&broker) {
        let output = attached(store.path(), &broker.address(listener), &options, None);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(254), "{listener} {options:?}: {said}");
        assert!(said.contains(named), "{listener} {options:?}: {named} is not in: {said}");
    }
}
