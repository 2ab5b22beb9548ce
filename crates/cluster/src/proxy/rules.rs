//! What a link does to frames of one API.

use std::collections::BTreeSet;
use std::time::Duration;

/// A direction of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the node.
    Up,
    /// From the node to the client.
    Down,
}

/// What is done to a frame. A stream cannot lose a piece from its middle, so what is dropped takes
/// its connection with it, as when a connection breaks at that moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameAction {
    /// It is not handed on, and the connection ends.
    Drop,
    /// It, and what follows on its connection, waits until the rule is gone.
    Hold,
    /// It, and what follows on its connection, comes later by this.
    Delay(Duration),
    /// A request is handed on twice, and the second answer is kept back.
    Duplicate,
    /// A Produce request is answered and not handed on.
    Forge,
    /// A Fetch response loses its records.
    Cut,
}

/// Which frames, and what is done to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameRule {
    /// The number of the API in the Kafka protocol.
    pub api: i16,
    /// Requests or responses.
    pub direction: Direction,
    /// What is done.
    pub action: FrameAction,
    /// How many frames are hit; all of them when absent.
    pub frames: Option<u32>,
}

/// The rules of one link.
#[derive(Debug, Default)]
pub(super) struct Rules {
    next: u64,
    rules: Vec<(u64, FrameRule, u32)>,
}

impl Rules {
    pub(super) fn add(&mut self, rule: FrameRule) -> u64 {
        self.next += 1;
        self.rules.push((self.next, rule, 0));
        self.next
    }

    pub(super) fn remove(&mut self, rule: FrameRule) {
        if let Some(at) = self.rules.iter().position(|(_, other, _)| *other == rule) {
            self.rules.remove(at);
        }
    }

    pub(super) fn clear(&mut self) {
        self.rules.clear();
    }

    /// The numbers of the rules in force, for frames that wait for the end of theirs.
    pub(super) fn in_force(&self) -> BTreeSet<u64> {
        self.rules.iter().map(|(number, ..)| *number).collect()
    }

    /// The first rule that still hits such a frame, with its number. Counts the frame.
    pub(super) fn hit(&mut self, api: i16, direction: Direction) -> Option<(u64, FrameAction)> {
        let found = self.rules.iter_mut().find(|(_, rule, hit)| {
            rule.api == api
                && rule.direction == direction
                && rule.frames.is_none_or(|frames| *hit < frames)
        })?;
        found.2 += 1;
        Some((found.0, found.1.action))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_hits_its_api_and_direction_as_often_as_it_says() {
        let mut rules = Rules::default();
        let rule = FrameRule {
            api: 0,
            direction: Direction::Down,
            action: FrameAction::Drop,
            frames: Some(2),
        };
        let number = rules.add(rule);
        assert_eq!(rules.hit(1, Direction::Down), None);
        assert_eq!(rules.hit(0, Direction::Up), None);
        let hits: Vec<_> = (0..3).map(|_| rules.hit(0, Direction::Down)).collect();
        assert_eq!(
            hits,
            [Some((number, FrameAction::Drop)), Some((number, FrameAction::Drop)), None]
        );
        assert!(rules.in_force().contains(&number));
        rules.clear();
        assert!(rules.in_force().is_empty());
        assert!(rules.add(rule) > number, "a number is never used again");
    }
}
