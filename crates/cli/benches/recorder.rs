//! What recording costs: sends a second that are recorded as a history, against the same number of librdkafka producers
//! that send without recording, on the same cluster, with the same settings, in alternating rounds of one run.
//!
//! Arguments: the driver (`testbed` or `kafka`), and how many clients send at a time.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark is run and read by hand"
)]

use perjury_campaign::{ClusterPlan, Say, driver, options};
use perjury_cluster::probe::NewTopic;
use perjury_cluster::{Cluster, FaultSettings, GuardCommand, RunContext};
use perjury_history::Header;
use perjury_worker::client::{LogContext, base_config};
use perjury_worker::generator::OpStream;
use perjury_worker::plan::{ClientSettings, TopicSettings, WorkerPlan, Workload};
use perjury_worker::progress::Progress;
use perjury_worker::recorder::Recorder;
use perjury_worker::session::{Session, Shared};
use rdkafka::producer::{FutureProducer, FutureRecord};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long each round lasts.
const ROUND: Duration = Duration::from_secs(4);
/// How many rounds each side has.
const ROUNDS: usize = 5;

struct Stderr;

impl Say for Stderr {
    fn say(&self, text: &str) {
        tracing::info!("{text}");
    }
}

fn main() {
    let mut given = std::env::args().skip(1).filter(|a| !a.starts_with("--"));
    let name = given.next().unwrap_or_else(|| "testbed".into());
    let clients: u32 = given.next().map_or(32, |n| n.parse().expect("a number of clients"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(measure(&name, clients));
}

async fn measure(name: &str, clients: u32) {
    let dir = tempfile::tempdir().unwrap();
    let this = PathBuf::from(env!("CARGO_BIN_EXE_perjury"));
    let guard = GuardCommand { program: this.clone(), args: vec!["guard".into()] };
    let context = RunContext::new(dir.path().into(), Instant::now()).with_guard(guard);
    let plan = ClusterPlan::new(name, 3);
    let settings = ClientSettings::default();
    let driver = driver(&plan, &settings, &this, context, &Stderr).await.unwrap();
    let cluster = Cluster::new(driver, options(&plan, &settings));
    cluster.form(Duration::from_secs(120)).await.unwrap();
    let shared = shared(&cluster, dir.path(), settings, clients).await;
    println!(
        "{name}, {clients} clients, each waits for its acknowledgement, acks=all, idempotence"
    );
    println!("{:>6} {:>14} {:>14} {:>7}", "round", "librdkafka /s", "recorded /s", "ratio");
    let mut ratios = Vec::new();
    for round in 1..=ROUNDS {
        let plain = each(clients, |thread| plain(shared.clone(), thread)).await;
        let recorded = each(clients, |thread| recorded(shared.clone(), thread)).await;
        println!("{round:>6} {plain:>14.0} {recorded:>14.0} {:>7.2}", recorded / plain);
        ratios.push(recorded / plain);
    }
    ratios.sort_by(f64::total_cmp);
    println!("median of the ratios: {:.2}", ratios[ROUNDS / 2]);
    cluster.shutdown().await;
}

async fn shared(
    cluster: &Cluster,
    dir: &Path,
    client: ClientSettings,
    concurrency: u32,
) -> Arc<Shared> {
    let topic = TopicSettings::default();
    let new = NewTopic {
        name: topic.topic.clone(),
        partitions: topic.partitions,
        replication_factor: 3,
        configs: [("min.insync.replicas".to_owned(), "2".to_owned())].into(),
    };
    cluster.create_topic(&new, Duration::from_secs(30)).await.unwrap();
    let recorder =
        Recorder::create(&dir.join("history.jsonl"), &Header::default(), Instant::now()).unwrap();
    let plan = WorkerPlan {
        seed: 1,
        workload: Workload::Queue,
        concurrency,
        rate: 1e6,
        poll_ratio: 0.0,
        time_limit_ms: 60_000,
        recovery_limit_ms: 10_000,
        final_time_limit_ms: 10_000,
        transaction_timeout_ms: 10_000,
        topic,
        client,
        nemesis: Vec::new(),
        targets: Vec::new(),
        nemesis_interval_ms: 0,
        fault_duration_ms: 0,
        fault_settings: FaultSettings::default(),
        disarmed: false,
        schedule: Vec::new(),
    };
    let bootstrap = cluster.driver().bootstrap_servers();
    let progress = Arc::new(Progress::default());
    Arc::new(Shared::new(plan, bootstrap, Arc::new(recorder), progress))
}

/// Runs one side with all its clients and gives acknowledged sends a second.
async fn each<T>(clients: u32, run: impl Fn(u32) -> T) -> f64
where
    T: Future<Output = (u64, Duration)> + Send + 'static,
{
    let all: Vec<_> = (0..clients).map(|thread| tokio::spawn(run(thread))).collect();
    let mut rate = 0.0;
    for one in all {
        let (sent, took) = one.await.unwrap();
        #[expect(clippy::cast_precision_loss, reason = "a count of sends is far below 2^53")]
        let sent = sent as f64;
        rate += sent / took.as_secs_f64();
    }
    rate
}

/// librdkafka alone: the producer of the worker's clients, without a history.
async fn plain(shared: Arc<Shared>, thread: u32) -> (u64, Duration) {
    let settings = &shared.plan.client;
    let producer: FutureProducer<LogContext> = base_config(&shared.bootstrap, settings)
        .set("acks", settings.acks.to_string())
        .set("enable.idempotence", settings.idempotence.to_string())
        .set("message.timeout.ms", settings.send_timeout_ms.to_string())
        .set("request.timeout.ms", "3000")
        .set("linger.ms", "0")
        .create_with_context(LogContext)
        .unwrap();
    let topic = &shared.plan.topic;
    let partition = i32::try_from(thread).unwrap() % topic.partitions;
    let payload = "x".repeat(48);
    let send = || {
        let record = FutureRecord::to(&topic.topic).partition(partition).key("k").payload(&payload);
        producer.send(record, Duration::ZERO)
    };
    // The first send finds the leader and the producer id, which is no throughput.
    send().await.unwrap();
    let (began, mut sent) = (Instant::now(), 0);
    while began.elapsed() < ROUND {
        send().await.unwrap();
        sent += 1;
    }
    (sent, began.elapsed())
}

/// The worker: the same, and two events on disk for each send.
async fn recorded(shared: Arc<Shared>, thread: u32) -> (u64, Duration) {
    let partition = i32::try_from(thread).unwrap() % shared.plan.topic.partitions;
    let mut stream = OpStream::new(&shared.plan, thread);
    let mut session = Session::new(shared, thread).unwrap();
    session.send(partition, stream.next_value()).await.unwrap();
    let (began, mut sent) = (Instant::now(), 0);
    while began.elapsed() < ROUND {
        sent += u64::from(session.send(partition, stream.next_value()).await.unwrap().is_some());
    }
    let took = began.elapsed();
    session.close().await;
    (sent, took)
}
