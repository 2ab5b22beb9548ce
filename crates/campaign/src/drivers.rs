//! From a plan's cluster to its driver.

use crate::execute::{CampaignError, Say};
use crate::plan::ClusterPlan;
use perjury_cluster::drivers::LocalDriver;
use perjury_cluster::drivers::attach::ForeignDriver;
use perjury_cluster::drivers::chronik::{Chronik, ChronikOptions, Layout, Profile};
use perjury_cluster::drivers::command::CommandLayout;
use perjury_cluster::drivers::kafka::{self, Kafka, KafkaOptions};
use perjury_cluster::drivers::tansu::Tansu;
use perjury_cluster::drivers::testbed::{self, TestbedOptions};
use perjury_cluster::{ClusterOptions, Driver, KafkaProbe, MetadataProbe, RunContext};
use perjury_worker::client_probe::ClientProbe;
use perjury_worker::plan::ClientSettings;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long a question to a node takes at most.
const PROBE_LIMIT: Duration = Duration::from_millis(400);
/// The same where a handshake and a login come before it.
const SECURED_PROBE_LIMIT: Duration = Duration::from_secs(5);
/// How long a node of a JVM may take to answer after it was started, on a busy machine.
const SLOW_START: Duration = Duration::from_secs(60);

/// Makes the driver of a plan. What it needs and can be fetched is fetched, and `say` is told.
///
/// `this` is the running `perjury`, which is also the testbed's node.
///
/// # Errors
/// [`CampaignError::Preflight`] when something is missing.
pub async fn driver(
    plan: &ClusterPlan,
    clients: &ClientSettings,
    this: &Path,
    mut context: RunContext,
    say: &dyn Say,
) -> Result<Arc<dyn Driver>, CampaignError> {
    context.probe = probe(clients);
    let missing = |error: &dyn std::fmt::Display| CampaignError::Preflight(error.to_string());
    match plan.driver.as_str() {
        "kafka" => {
            let version = plan.version.as_deref().unwrap_or(kafka::DEFAULT_VERSION);
            let java = kafka::java().map_err(|e| missing(&e))?;
            let libs = kafka::install(version, &kafka::cache_dir(), &|text| say.say(text))
                .await
                .map_err(|e| missing(&e))?;
            let mut options = KafkaOptions::new(version, libs, java);
            options.nodes = plan.nodes as usize;
            options.settings.clone_from(&plan.settings);
            Ok(Arc::new(LocalDriver::new(Arc::new(Kafka::new(options)), context)))
        }
        "chronik" => {
            let profile = match (&plan.layout, plan.profile.as_deref()) {
                (Some(layout), _) => Profile::Given(Layout::read(layout).map_err(|e| missing(&e))?),
                (None, Some("variables")) => Profile::Variables,
                (None, _) => Profile::Files,
            };
            let options = ChronikOptions {
                program: program(plan)?,
                nodes: plan.nodes as usize,
                profile,
                env: plan.settings.clone(),
            };
            Ok(Arc::new(LocalDriver::new(Arc::new(Chronik::new(options).await), context)))
        }
        "tansu" => {
            let storage = plan.settings.get("storage").cloned();
            let tansu = Tansu { program: program(plan)?, storage };
            Ok(Arc::new(LocalDriver::new(Arc::new(tansu), context)))
        }
        "attach" => {
            let layout = plan.layout.as_deref().map(CommandLayout::read).transpose();
            let layout = layout.map_err(|e| missing(&e))?;
            let bootstrap = plan.bootstrap.as_deref().unwrap_or_default();
            let found = ForeignDriver::attach(bootstrap, layout.as_ref(), plan.own, context).await;
            Ok(Arc::new(found.map_err(|e| missing(&e))?))
        }
        "command" => {
            let path = plan.layout.as_deref().unwrap_or(Path::new(""));
            let layout = CommandLayout::read(path).map_err(|e| missing(&e))?;
            let driver = ForeignDriver::commanded(&layout, context).map_err(|e| missing(&e))?;
            Ok(Arc::new(driver))
        }
        "testbed" => Ok(Arc::new(testbed::driver(options_of_testbed(plan, this), context))),
        other => Err(CampaignError::Plan(format!("there is no cluster driver {other:?}"))),
    }
}

/// How nodes are asked for metadata: by requests of our own, or through librdkafka where the cluster wants credentials.
fn probe(clients: &ClientSettings) -> Arc<dyn MetadataProbe> {
    let protocol = clients.properties.get("security.protocol").map(|value| value.to_uppercase());
    match protocol.as_deref() {
        None | Some("PLAINTEXT") => Arc::new(KafkaProbe::new(PROBE_LIMIT)),
        Some(_) => Arc::new(ClientProbe::new(clients.clone(), SECURED_PROBE_LIMIT)),
    }
}

/// The program of a node.
fn program(plan: &ClusterPlan) -> Result<PathBuf, CampaignError> {
    plan.binary.clone().ok_or_else(|| {
        CampaignError::Plan(format!("the driver {} needs the program of a node", plan.driver))
    })
}

fn options_of_testbed(plan: &ClusterPlan, this: &Path) -> TestbedOptions {
    let program = plan.binary.clone().unwrap_or_else(|| this.into());
    let mut options = TestbedOptions::new(program, vec!["testbed".into(), "node".into()]);
    options.nodes = plan.nodes as usize;
    options.bugs.clone_from(&plan.bugs);
    for (name, value) in &plan.settings {
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value.clone()));
        options.settings.insert(name.clone(), value);
    }
    options
}

/// How a cluster of this plan is watched.
#[must_use]
pub fn options(plan: &ClusterPlan, clients: &ClientSettings) -> ClusterOptions {
    let mut options = ClusterOptions { probe: probe(clients), ..ClusterOptions::default() };
    if matches!(plan.driver.as_str(), "kafka" | "command") {
        options.ready_timeout = SLOW_START;
    }
    options
}
