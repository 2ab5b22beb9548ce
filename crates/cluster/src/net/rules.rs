//! Packet rules within the nodes' namespaces, as nftables takes and shows them.

use super::split::{Cut, Member};
use crate::node::NodeId;
use crate::tool::ToolError;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::Ipv4Addr;

/// The table within each namespace that holds our rules.
pub(crate) const TABLE: &str = "perjury";

/// The rules of one namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RuleSet {
    /// Directions that are cut at this node.
    pub(super) cuts: Vec<Cut>,
    /// The share of incoming packets that are dropped, in percent.
    pub(super) loss_percent: u8,
}

impl RuleSet {
    pub(super) fn is_empty(&self) -> bool {
        self.cuts.is_empty() && self.loss_percent == 0
    }

    /// The script that replaces the table of `node` by these rules in one step, so that there is no
    /// moment without rules. A cut is made where the packet arrives; what is meant for clients is
    /// stopped where it leaves, since the clients have no namespace of their own.
    pub(super) fn script(
        &self,
        node: NodeId,
        address: impl Fn(Member) -> Option<Ipv4Addr>,
    ) -> String {
        let mut script = format!("table inet {TABLE}\ndelete table inet {TABLE}\n");
        if self.is_empty() {
            return script;
        }
        let (mut arriving, mut leaving) = (String::new(), String::new());
        for cut in &self.cuts {
            let name = comment(*cut);
            let (chain, field, other) = if cut.to == Member::Node(node) {
                (&mut arriving, "saddr", cut.from)
            } else {
                (&mut leaving, "daddr", cut.to)
            };
            if let Some(address) = address(other) {
                // Writing to a string cannot fail.
                let _ = writeln!(chain, "    ip {field} {address} counter drop comment \"{name}\"");
            }
        }
        if self.loss_percent > 0 {
            let percent = self.loss_percent.min(100);
            let _ = writeln!(
                arriving,
                "    numgen random mod 100 < {percent} counter drop comment \"{LOSS}\""
            );
        }
        let _ = write!(
            script,
            "table inet {TABLE} {{\n  chain arriving {{\n    type filter hook input priority 0; policy accept;\n{arriving}  }}\n  chain leaving {{\n    type filter hook output priority 0; policy accept;\n{leaving}  }}\n}}\n"
        );
        script
    }
}

/// The comment of the rule that loses packets at random.
pub(super) const LOSS: &str = "loss";

/// The comment of the rule that makes a cut.
pub(super) fn comment(cut: Cut) -> String {
    cut.to_string()
}

/// The dropped packets of each rule by its comment, from what `nft -j list table` says.
pub(super) fn counters(text: &str) -> Result<BTreeMap<String, u64>, ToolError> {
    let malformed = |problem: String| ToolError { command: "nft -j list table".into(), problem };
    let parsed: serde_json::Value =
        serde_json::from_str(text).map_err(|error| malformed(error.to_string()))?;
    let objects = parsed["nftables"].as_array().map(Vec::as_slice).unwrap_or_default();
    let rules = objects.iter().filter_map(|object| object.get("rule"));
    Ok(rules
        .filter_map(|rule| {
            let packets = rule["expr"]
                .as_array()?
                .iter()
                .find_map(|expr| expr.get("counter")?.get("packets")?.as_u64())?;
            Some((rule.get("comment")?.as_str()?.to_owned(), packets))
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(member: Member) -> Option<Ipv4Addr> {
        Some(match member {
            Member::Node(NodeId(id)) => Ipv4Addr::new(10, 0, 0, u8::try_from(id).unwrap()),
            Member::Clients => Ipv4Addr::new(10, 0, 0, 254),
        })
    }

    #[test]
    fn cuts_are_made_where_packets_arrive_and_for_clients_where_they_leave() {
        let node = Member::Node(NodeId(2));
        let cuts = vec![
            Cut { from: Member::Node(NodeId(1)), to: node },
            Cut { from: node, to: Member::Clients },
        ];
        let rules = RuleSet { cuts, loss_percent: 30 };
        let script = rules.script(NodeId(2), address);
        let (arriving, leaving) = script.split_once("chain leaving").unwrap();
        assert!(arriving.contains("ip saddr 10.0.0.1 counter drop comment \"node 1 to node 2\""));
        assert!(arriving.contains("numgen random mod 100 < 30 counter drop"));
        assert!(leaving.contains("ip daddr 10.0.0.254 counter drop"));
    }

    #[test]
    fn no_rules_leave_no_table() {
        let script = RuleSet::default().script(NodeId(1), address);
        assert_eq!(script, "table inet perjury\ndelete table inet perjury\n");
    }

    #[test]
    fn counters_are_read_by_comment() {
        let text = r#"{"nftables": [{"metainfo": {}}, {"rule": {"comment": "a", "expr":
            [{"match": {}}, {"counter": {"packets": 7, "bytes": 420}}, {"drop": null}]}}]}"#;
        assert_eq!(counters(text).unwrap(), BTreeMap::from([("a".to_owned(), 7)]));
        assert!(counters("no json").is_err());
    }
}
