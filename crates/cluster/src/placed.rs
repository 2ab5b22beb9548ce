//! Where the nodes of [`LocalProcesses`] are found: addresses, data folders, what they live on.

use crate::driver::DriverError;
use crate::fault::FaultKind;
use crate::local::LocalProcesses;
use crate::node::NodeId;
use crate::planes::{PlaneError, Stage};
use crate::undo::UndoJournal;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

impl LocalProcesses {
    pub(crate) async fn set_up(
        &self,
        journal: &Arc<UndoJournal>,
    ) -> Result<Arc<Stage>, DriverError> {
        let context = self.context();
        let nodes: Vec<(NodeId, PathBuf)> =
            self.nodes().into_iter().map(|node| (node, context.node_dir(node))).collect();
        let (placement, journal) = (context.placement, Arc::clone(journal));
        let stage = tokio::task::spawn_blocking(move || Stage::set_up(placement, &nodes, &journal));
        Ok(Arc::new(stage.await.map_err(|_| PlaneError::Panicked)??))
    }

    pub(crate) fn stage(&self) -> Result<Arc<Stage>, DriverError> {
        self.stage_now().ok_or(DriverError::NotPrepared)
    }

    /// Whether nodes that live where these do can have a fault.
    ///
    /// # Errors
    /// The reason why not, and what to do.
    pub fn supports(&self, fault: FaultKind) -> Result<(), String> {
        if fault == FaultKind::Pause && self.context().guard.is_none() {
            return Err("there is no guard that would end it after a crash".to_owned());
        }
        self.context().placement.supports(fault, self.has_peer_links())
    }

    /// The address that a node has to bind its listeners to: its own where it lives in a namespace,
    /// else 127.0.0.1. Known after [`LocalProcesses::arm`].
    #[must_use]
    pub fn bind_address(&self, node: NodeId) -> IpAddr {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        self.stage_now().map_or(loopback, |stage| stage.bind_address(node))
    }

    /// Whether every node has all ports for itself, so that none has to be looked for.
    #[must_use]
    pub fn has_own_ports(&self) -> bool {
        self.context().placement.namespaces
    }

    /// The address that node `from` has to be given for a listener of node `to`: the listener's own,
    /// or that of the link before it. Must be called within a tokio runtime, after
    /// [`LocalProcesses::arm`].
    ///
    /// # Errors
    /// [`DriverError::Plane`] when no port can be had.
    pub fn peer_address(
        &self,
        from: NodeId,
        to: NodeId,
        listener: SocketAddr,
    ) -> Result<SocketAddr, DriverError> {
        let stage = self.stage_now();
        let proxy = stage.as_ref().and_then(|stage| stage.proxy.as_ref());
        match proxy.filter(|_| from != to && !self.has_own_ports()) {
            Some(proxy) => Ok(proxy.peer_link(from, to, listener).map_err(PlaneError::Proxy)?),
            None => Ok(listener),
        }
    }

    /// Where a node's data belongs: on its own disk where it has one, else in `data` of its folder.
    /// The folder need not exist.
    #[must_use]
    pub fn data_dir(&self, node: NodeId) -> PathBuf {
        let own = self.stage_now().and_then(|stage| stage.data_dir(node));
        own.unwrap_or_else(|| self.context().node_dir(node).join("data"))
    }

    /// Says where a node listens for clients (`host:port`), and puts the proxy before it where there
    /// is one. Must be called within a tokio runtime.
    pub fn set_address(&self, node: NodeId, address: String) {
        let stage = self.stage_now();
        let proxy = stage.as_ref().and_then(|stage| stage.proxy.as_ref());
        if let (Some(proxy), Ok(listener)) = (proxy, address.parse())
            && let Err(error) = proxy.client_link(node, listener)
        {
            tracing::error!(%node, %error, "the node has no link, its clients reach it directly");
        }
        self.note_address(node, address);
    }

    /// Where clients reach a node: `host:port`.
    #[must_use]
    pub fn address(&self, node: NodeId) -> Option<String> {
        let stage = self.stage_now();
        let proxy = stage.as_ref().and_then(|stage| stage.proxy.as_ref());
        match proxy.and_then(|proxy| proxy.of_clients(node)) {
            Some(link) => Some(link.address().to_string()),
            None => self.direct_address(node),
        }
    }

    /// The proxy before the nodes, where there is one.
    #[must_use]
    pub fn proxy(&self) -> Option<Arc<crate::proxy::Proxy>> {
        self.stage_now()?.proxy.clone()
    }

    /// The namespaces of the nodes, where they have such.
    #[must_use]
    pub fn namespaces(&self) -> Option<Arc<crate::net::Namespaces>> {
        self.stage_now()?.namespaces.clone()
    }
}
