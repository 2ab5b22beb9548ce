//! Tansu: one broker that keeps its records in memory or in a database.

use crate::doctor::{self, Finding};
use crate::driver::DriverError;
use crate::drivers::recipe::{Place, PreparedNode, Recipe};
use crate::node::NodeId;
use crate::process::ProcessSpec;
use async_trait::async_trait;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The recipe of a Tansu broker.
#[derive(Clone, Debug)]
pub struct Tansu {
    /// The program `tansu`.
    pub program: PathBuf,
    /// Where records are kept, such as `memory://tansu/`; a SQLite file in the node's folder when absent, so that
    /// something outlives a kill.
    pub storage: Option<String>,
}

#[async_trait]
impl Recipe for Tansu {
    fn name(&self) -> &'static str {
        "tansu"
    }

    fn version(&self) -> String {
        "unknown".to_owned()
    }

    fn nodes(&self) -> Vec<NodeId> {
        vec![NodeId(1)]
    }

    fn can_move_ports(&self) -> bool {
        true
    }

    fn names_controller(&self) -> bool {
        false
    }

    async fn preflight(&self, _own_ports: bool) -> Vec<Finding> {
        doctor::check_program(&self.program).into_iter().collect()
    }

    async fn prepare(&self, place: Place<'_>) -> Result<Vec<PreparedNode>, DriverError> {
        let node = NodeId(1);
        let reserved: Vec<_> =
            place.addresses(&[node], &[9092])?.into_iter().flat_map(|(_, at)| at).collect();
        let address = reserved.first().map(ToString::to_string).unwrap_or_default();
        let data_dir = place.data_dir(node)?;
        // A name in the working directory, which is the node's data folder.
        let storage = self.storage.clone().unwrap_or_else(|| "sqlite://tansu.db".to_owned());
        let listener = format!("tcp://{address}");
        let args = ["broker", "--listener-url", &listener, "--advertised-listener-url", &listener];
        let mut args: Vec<String> = args.map(str::to_owned).to_vec();
        // An address of a database may carry a password; only the kind goes into the history.
        let kind = storage.split("://").next().unwrap_or_default().to_owned();
        args.extend(["--storage-engine".to_owned(), storage]);
        let env = BTreeMap::from([("NO_COLOR".to_owned(), "1".to_owned())]);
        let spec =
            ProcessSpec { program: self.program.clone(), args, env, current_dir: Some(data_dir) };
        let ports = reserved.iter().map(std::net::SocketAddr::port).collect();
        Ok(vec![PreparedNode { node, address, ports, spec, config: json!({ "storage": kind }) }])
    }

    fn describe(&self) -> Value {
        json!({})
    }
}
