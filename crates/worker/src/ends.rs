//! Asking for the ends of logs: high watermark, last stable offset and leader epoch.
//!
//! Two kinds of clients ask. One speaks the protocol by itself and tells all figures; like every client since KIP-320 it
//! sends the highest leader epoch that it knows along, so that a leader that was deposed cannot answer it. The other is
//! librdkafka, of which applications get the high watermark alone.

use crate::plan::TopicSettings;
use perjury_cluster::NodeId;
use perjury_cluster::probe::{Connection, ProbeError};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// After so many questions the leaders are looked for again, as clients do whose metadata is old.
const QUESTIONS_MAX: u32 = 24;

/// How long one broker may take to answer.
const BROKER_LIMIT: Duration = Duration::from_millis(1500);

/// What was told of the end of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ends {
    /// The high watermark.
    pub high_watermark: Option<i64>,
    /// The last stable offset.
    pub last_stable: Option<i64>,
    /// The leader epoch in which the high watermark was told.
    pub leader_epoch: Option<i32>,
}

/// A client that speaks the protocol by itself.
#[derive(Debug)]
pub struct EndAsker {
    topic: String,
    bootstrap: Vec<String>,
    /// `host:port` of the leader of each partition.
    leaders: BTreeMap<i32, String>,
    epochs: BTreeMap<i32, i32>,
    connections: BTreeMap<String, Connection>,
    /// How many questions were asked since leaders were looked for.
    questions: u32,
}

impl EndAsker {
    /// A client that knows nothing yet. `bootstrap` is `host:port,…`.
    pub fn new(bootstrap: &str, topic: &TopicSettings) -> Self {
        EndAsker {
            topic: topic.topic.clone(),
            bootstrap: bootstrap.split(',').map(str::to_owned).collect(),
            leaders: BTreeMap::new(),
            epochs: BTreeMap::new(),
            connections: BTreeMap::new(),
            questions: 0,
        }
    }

    /// Asks the leaders of these partitions. Gives what was answered, and what went wrong with the others.
    pub async fn ask(&mut self, partitions: &[i32]) -> (BTreeMap<i32, Ends>, Vec<String>) {
        let mut troubles = Vec::new();
        self.questions += 1;
        let old = self.questions > QUESTIONS_MAX;
        if old || partitions.iter().any(|p| !self.leaders.contains_key(p)) {
            self.find_leaders(&mut troubles).await;
        }
        let mut by_leader: BTreeMap<String, BTreeSet<i32>> = BTreeMap::new();
        for partition in partitions {
            match self.leaders.get(partition) {
                Some(leader) => by_leader.entry(leader.clone()).or_default().insert(*partition),
                None => {
                    troubles.push(format!("{}-{partition} has no leader", self.topic));
                    continue;
                }
            };
        }
        let mut told = BTreeMap::new();
        for (leader, partitions) in by_leader {
            for committed in [false, true] {
                match self.ask_one(&leader, &partitions, committed, &mut told).await {
                    Ok(mut refused) => troubles.append(&mut refused),
                    Err(error) => {
                        troubles.push(error.to_string());
                        self.connections.remove(&leader);
                        self.leaders.retain(|_, at| *at != leader);
                        break;
                    }
                }
            }
        }
        (told, troubles)
    }

    /// Asks one broker one question, and gives the partitions' refusals.
    async fn ask_one(
        &mut self,
        leader: &str,
        partitions: &BTreeSet<i32>,
        committed: bool,
        told: &mut BTreeMap<i32, Ends>,
    ) -> Result<Vec<String>, ProbeError> {
        let deadline = Instant::now() + BROKER_LIMIT;
        let mut connection = match self.connections.remove(leader) {
            Some(connection) => connection,
            None => Connection::open(leader, deadline).await?,
        };
        let known = |p: &i32| (*p, self.epochs.get(p).copied().unwrap_or(-1));
        let asked = partitions.iter().map(known).collect();
        let answers = connection.list_ends(&self.topic, &asked, committed, deadline).await?;
        self.connections.insert(leader.to_owned(), connection);
        let mut refused = Vec::new();
        for (partition, answer) in answers {
            match answer {
                Ok(end) => {
                    let ends = told.entry(partition).or_default();
                    if committed {
                        ends.last_stable = Some(end.offset);
                    } else {
                        ends.high_watermark = Some(end.offset);
                        ends.leader_epoch = end.leader_epoch;
                    }
                    self.know(partition, end.leader_epoch);
                }
                Err(code) => {
                    self.leaders.remove(&partition);
                    refused.push(format!("{}-{partition}: Kafka error {code}", self.topic));
                }
            }
        }
        Ok(refused)
    }

    fn know(&mut self, partition: i32, epoch: Option<i32>) {
        let known = self.epochs.entry(partition).or_insert(-1);
        *known = epoch.unwrap_or(-1).max(*known);
    }

    /// Takes the leaders from the first broker that answers. What an older epoch says is left out.
    async fn find_leaders(&mut self, troubles: &mut Vec<String>) {
        for address in self.bootstrap.clone() {
            // The next question begins with another broker, so that no stale or silent one is asked for ever.
            self.bootstrap.rotate_left(1);
            let topics = [self.topic.clone()];
            match perjury_cluster::probe::metadata(&address, Some(&topics), BROKER_LIMIT).await {
                Ok(metadata) => {
                    let address: BTreeMap<NodeId, String> = metadata
                        .brokers
                        .iter()
                        .map(|b| (b.id, format!("{}:{}", b.host, b.port)))
                        .collect();
                    for p in &metadata.partitions {
                        let known = self.epochs.get(&p.partition).copied().unwrap_or(-1);
                        let leader = p.leader.and_then(|leader| address.get(&leader));
                        if let Some(leader) =
                            leader.filter(|_| p.leader_epoch.unwrap_or(known) >= known)
                        {
                            self.leaders.insert(p.partition, leader.clone());
                            self.know(p.partition, p.leader_epoch);
                        }
                    }
                    self.questions = 0;
                    return;
                }
                Err(error) => troubles.push(error.to_string()),
            }
        }
    }
}
