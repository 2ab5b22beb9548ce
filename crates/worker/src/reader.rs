//! A librdkafka consumer on a thread of its own.
//!
//! librdkafka can come to a deadlock with itself: when the leader of a partition goes away while it is asked for the end of
//! an epoch, two of its threads take the same two locks in opposite orders, and every later call of that consumer waits for
//! ever (confluentinc/librdkafka issue 5476). Killing leaders is what happens here, so nobody but the consumer's own thread
//! makes its calls. Whoever asks waits within a limit; a consumer that does not come back is left to its thread, and the
//! process that it belonged to is over.

use crate::client::{Polled, take};
use crate::outcome::{self, PollTrouble};
use perjury_history::OpError;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext};
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// How much longer than it was told to a call may take before the consumer counts as stuck.
pub(crate) const STUCK: Duration = Duration::from_secs(10);
/// How long a client may take to end before it is left to its thread.
pub(crate) const CLOSE_LIMIT: Duration = Duration::from_secs(10);

/// Why a consumer gave no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// librdkafka did not come back. The consumer is of no use any more.
    #[error("librdkafka did not come back within its own time limit and {} s more", STUCK.as_secs())]
    Stuck,
    /// librdkafka's answer is an error.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
}

impl AskError {
    /// A short stable name.
    pub(crate) fn code(&self) -> String {
        match self {
            AskError::Stuck => "client-stuck".into(),
            AskError::Kafka(error) => code_of(error),
        }
    }
}

impl From<AskError> for OpError {
    fn from(error: AskError) -> Self {
        OpError { code: error.code(), message: error.to_string() }
    }
}

type Job<C> = Box<dyn FnOnce(&BaseConsumer<C>) + Send>;

/// The consumer, and the way to its thread.
pub(crate) struct Reader<C: ConsumerContext + 'static> {
    jobs: Sender<Job<C>>,
    stuck: AtomicBool,
    ended: oneshot::Receiver<()>,
}

impl<C: ConsumerContext + 'static> Reader<C> {
    /// Creates the consumer and its thread. No connection is made yet.
    pub(crate) fn new(config: &ClientConfig, context: C) -> KafkaResult<Self> {
        let consumer = BaseConsumer::from_config_and_context(config, context)?;
        let (jobs, asked) = mpsc::channel::<Job<C>>();
        let work = move || {
            for job in asked {
                job(&consumer);
            }
            drop(consumer);
        };
        let ended = apart("consumer", work)
            .map_err(|error| KafkaError::ClientCreation(format!("no thread: {error}")))?;
        Ok(Reader { jobs, stuck: AtomicBool::new(false), ended })
    }

    /// Has the consumer's thread do something that should be over within `limit`, and waits for it.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        limit: Duration,
        job: impl FnOnce(&BaseConsumer<C>) -> T + Send + 'static,
    ) -> Result<T, AskError> {
        self.ask_within(limit + STUCK, job).await
    }

    async fn ask_within<T: Send + 'static>(
        &self,
        limit: Duration,
        job: impl FnOnce(&BaseConsumer<C>) -> T + Send + 'static,
    ) -> Result<T, AskError> {
        let (answer, answered) = oneshot::channel();
        let job: Job<C> = Box::new(move |consumer| {
            // Whoever asked may have given up meanwhile.
            let _ = answer.send(job(consumer));
        });
        if !self.stuck.load(Ordering::Relaxed) && self.jobs.send(job).is_ok() {
            if let Ok(Ok(answer)) = tokio::time::timeout(limit, answered).await {
                return Ok(answer);
            }
            self.stuck.store(true, Ordering::Relaxed);
            tracing::warn!(
                "a consumer of librdkafka does not come back (its issue 5476): it is left alone, and its process ends"
            );
        }
        Err(AskError::Stuck)
    }

    /// Whether it did not come back from a call.
    pub(crate) fn is_stuck(&self) -> bool {
        self.stuck.load(Ordering::Relaxed)
    }

    /// Does nothing for `silent`, and then ends. Nobody waits for it.
    pub(crate) fn abandon(self, silent: Duration) {
        // Without its thread there is nothing to keep silent.
        let _ = self.jobs.send(Box::new(move |_| std::thread::sleep(silent)));
    }

    /// Ends the consumer within bounded time.
    pub(crate) async fn close(self) {
        drop(self.jobs);
        if !self.stuck.into_inner() {
            let _ = tokio::time::timeout(CLOSE_LIMIT, self.ended).await;
        }
    }
}

/// Waits up to `wait` for a first record, then takes what is there, up to `most` records. Ends early when `interrupted`
/// says so; a record that came together with the interruption is given back apart from the others.
pub(crate) fn poll<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    polled: &mut Polled,
    (wait, most): (Duration, usize),
    interrupted: impl Fn() -> bool,
) -> Option<Polled> {
    let deadline = Instant::now() + wait;
    while polled.lost.is_none() && polled.len() < most {
        let waits = polled.is_empty() && !interrupted();
        let left = deadline.saturating_duration_since(Instant::now());
        let Some(next) = consumer.poll(if waits { left } else { Duration::ZERO }) else { break };
        match next {
            Ok(message) if interrupted() => {
                let mut held = Polled::default();
                take(&mut held, topic, &message);
                return Some(held);
            }
            Ok(message) => take(polled, topic, &message),
            Err(KafkaError::PartitionEOF(partition)) => polled.ends.push(partition),
            Err(error) => match outcome::of_poll(&error) {
                (PollTrouble::Passing, code) => polled.notes.push(code),
                (PollTrouble::Lost, code) => {
                    polled.lost = Some(OpError { code, message: error.to_string() });
                }
            },
        }
        if interrupted() || (Instant::now() >= deadline && !polled.is_empty()) {
            break;
        }
    }
    polled.notes.dedup();
    None
}

/// Runs what blocks in a thread of its own. Unlike the runtime's threads nobody waits for it at the end: a client whose
/// cluster is gone may never have done with its last words.
///
/// # Errors
/// When the machine has no thread to give. What was to run is dropped then, on the caller's thread.
pub(crate) fn apart<T: Send + 'static>(
    name: &str,
    run: impl FnOnce() -> T + Send + 'static,
) -> io::Result<oneshot::Receiver<T>> {
    let (sender, receiver) = oneshot::channel();
    std::thread::Builder::new().name(name.into()).spawn(move || {
        // Whoever asked may have given up meanwhile.
        let _ = sender.send(run());
    })?;
    Ok(receiver)
}

/// A short stable name of librdkafka's error.
pub(crate) fn code_of(error: &KafkaError) -> String {
    error.rdkafka_error_code().map_or_else(|| "unmapped".into(), |code| format!("{code:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::LogContext;

    #[tokio::test]
    async fn a_consumer_that_does_not_come_back_is_left_to_its_thread() {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", "127.0.0.1:1").set("group.id", "nobody");
        let reader = Reader::new(&config, LogContext).unwrap();
        assert_eq!(reader.ask(Duration::ZERO, |_| 7).await.unwrap(), 7);
        let (let_go, held) = mpsc::channel::<()>();
        let limit = Duration::from_millis(50);
        let answer = reader.ask_within(limit, move |_| held.recv().is_ok()).await;
        assert!(matches!(answer, Err(AskError::Stuck)), "{answer:?}");
        // Nobody waits for it a second time, neither for an answer nor at its end.
        let asked = Instant::now();
        assert!(matches!(reader.ask(Duration::ZERO, |_| 7).await, Err(AskError::Stuck)));
        reader.close().await;
        assert!(asked.elapsed() < STUCK);
        drop(let_go);
    }
}
