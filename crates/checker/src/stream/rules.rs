//! The rules that are definite at once.

use super::live::Live;
use super::places::Place;
use crate::anomalies;
use crate::contract::Promises;
use crate::options::Options;
use crate::report::Judgement;
use perjury_history::{Acks, Event, Header, HistoryBuilder, Mop, Record, Scalar, SubVia};
use rustc_hash::FxHashSet;
use std::collections::BTreeSet;

/// What counts as a violation.
#[derive(Debug)]
pub(super) struct Rules {
    promises: Promises,
    violations: BTreeSet<&'static str>,
    /// Whether the header says that consumers are assigned their topic-partitions and never subscribe.
    pub(super) assigned: bool,
}

impl Rules {
    pub(super) fn new(header: &Header, options: &Options) -> Self {
        let promises = Promises::new(HistoryBuilder::new(header.clone()).so_far(), options);
        let broken = |e: &&anomalies::Entry| {
            options.rules.looks_for(e.name)
                && promises.rule(e.name, e.clause).judgement == Judgement::Violation
        };
        let violations = anomalies::all().filter(broken).map(|e| e.name).collect();
        let via = &promises.config.sub_via;
        let assigned = !via.is_empty() && !via.contains(&SubVia::Subscribe);
        Rules { violations, assigned, promises }
    }

    pub(super) fn is_violation(&self, anomaly: &str) -> bool {
        self.violations.contains(anomaly)
    }

    /// Whether the acknowledgement of this operation promises that the record stays.
    pub(super) fn is_durable(&self, event: &Event) -> bool {
        let acks = event.ext.get("acks").and_then(|acks| match acks.as_i64() {
            Some(n) => n.to_string().parse::<Acks>().ok(),
            None => acks.as_str()?.parse().ok(),
        });
        self.promises.durable(acks)
    }

    fn is_durable_by_default(&self) -> bool {
        self.promises.durable(None)
    }
}

impl Live {
    /// A value was seen at an offset.
    pub(super) fn place(&mut self, n: usize, offset: i64, value: &Scalar, polled: bool) {
        let event = self.at();
        let durable = self.rules().is_durable_by_default();
        let key = self.keys.get_mut(n);
        if key.is_forgotten(offset) {
            return;
        }
        let place = key.places.get_or_insert(offset, || Place {
            value: value.clone(),
            event,
            polled,
            torn: false,
        });
        if place.value == *value {
            place.polled |= polled;
        } else if !place.torn && (durable || (place.polled && polled)) {
            place.torn = true;
            let (before, seen) = (place.event, place.value.clone());
            let how = |polled| if polled { "polled" } else { "acknowledged" };
            let text = format!(
                "Offset {offset} of {} held value {seen} ({} by operation {before}) and then value {value} ({} by \
                 operation {event}).",
                self.keys.name(n),
                how(self.keys.get(n).places.get(offset).is_some_and(|p| p.polled)),
                how(polled),
            );
            self.keys.get_mut(n).is_odd = true;
            let about = (n, Some(offset), Some(value));
            self.violate("inconsistent-offsets", vec![before, event], about, text);
        } else if !place.polled && polled {
            *place = Place { value: value.clone(), event, polled, torn: place.torn };
        }
        self.stand(n, offset, value);
    }

    /// A value stands at an offset: does it stand elsewhere as well?
    fn stand(&mut self, n: usize, offset: i64, value: &Scalar) {
        let event = self.at();
        let known = self.keys.value(n, value);
        let Some(other) = known.offset.filter(|other| *other != offset) else {
            known.offset = Some(offset);
            return;
        };
        if known.twice || known.again {
            return;
        }
        known.twice = true;
        let sender = known.sent;
        let text = format!(
            "Value {value} of {} stands at offset {other} and, as operation {event} shows, at offset {offset}.",
            self.keys.name(n),
        );
        self.keys.get_mut(n).is_odd = true;
        let ops = sender.into_iter().chain([event]).collect();
        self.violate("duplicate", ops, (n, Some(offset), Some(value)), text);
    }

    /// A value was read although its send failed.
    pub(super) fn aborted(&mut self, n: usize, value: &Scalar, read: u64, failed: u64) {
        let text = format!(
            "Operation {read} returned value {value} of {}, although operation {failed} had failed to send it.",
            self.keys.name(n),
        );
        self.violate("G1a", vec![read, failed], (n, None, Some(value)), text);
    }

    /// An acknowledged send stands before one that was acknowledged before it was invoked.
    pub(super) fn real_time(
        &mut self,
        n: usize,
        value: &Scalar,
        offset: i64,
        (above, acknowledged): (i64, u64),
        again: bool,
    ) {
        if offset >= above || again || self.keys.get(n).is_odd {
            return;
        }
        let text = format!(
            "Operation {acknowledged} was acknowledged at offset {above} of {} before value {value} was sent, which \
             stands before it, at offset {offset}.",
            self.keys.name(n),
        );
        let ops = vec![acknowledged, self.at()];
        self.violate("realtime-order", ops, (n, Some(offset), Some(value)), text);
    }

    /// A send stands at or before the one that its process made before it.
    pub(super) fn sends_back(
        &mut self,
        anomaly: &'static str,
        n: usize,
        (event, before): (u64, i64),
        (value, offset): (&Scalar, i64),
    ) {
        if self.keys.get(n).is_odd {
            return;
        }
        let text = format!(
            "Operation {event} sent to offset {before} of {}, and the next send of the process, value {value} in \
             operation {}, stands at offset {offset}.",
            self.keys.name(n),
            self.at(),
        );
        self.violate(anomaly, vec![event, self.at()], (n, Some(offset), Some(value)), text);
    }

    /// The next record that an operation or a process read of a topic-partition.
    pub(super) fn step(
        &mut self,
        [skip, back]: [&'static str; 2],
        n: usize,
        (event, before): (u64, i64),
        (value, offset): (&Scalar, i64),
    ) {
        if self.keys.get(n).is_odd || self.keys.get(n).is_forgotten(before) {
            return;
        }
        let name = self.keys.name(n);
        let at = self.at();
        let about = (n, Some(offset), Some(value));
        if offset <= before {
            let text = format!(
                "After offset {before} of {name} (operation {event}), operation {at} read value {value} at offset \
                 {offset}."
            );
            return self.violate(back, vec![event, at], about, text);
        }
        let Some((missed, place)) = self.keys.get(n).between(before, offset) else { return };
        let text = format!(
            "From offset {before} of {name} (operation {event}) operation {at} went on at offset {offset}; value {} \
             stands at offset {missed}, as operation {} showed.",
            place.value, place.event,
        );
        let ops = vec![event, place.event, at];
        self.violate(skip, ops, about, text);
    }

    /// One polled record.
    pub(super) fn record(&mut self, n: usize, ok: bool, record: &Record) {
        let (at, value) = (self.at(), &record.value);
        let is_new = !self.keys.get(n).values.contains_key(value);
        let known = self.keys.value(n, value);
        if let Some(failed) = known.failed.filter(|_| ok && !known.again) {
            self.aborted(n, value, at, failed);
        }
        let known = self.keys.value(n, value);
        if ok && known.read.is_none() {
            known.read = Some(at);
            let (acked, passed) = (known.acknowledged.is_some(), known.passed);
            let status = self.status_mut();
            status.unread -= u64::from(acked && status.unread > 0);
            status.passed_over -= u64::from(passed && status.passed_over > 0);
        }
        if let Some(offset) = record.offset {
            self.place(n, offset, value, true);
            if ok {
                self.reach(n, offset);
            }
        }
        let unsent = is_new && self.has_invocations() && !self.keys.get(n).is_hazy;
        if unsent {
            let text = format!(
                "Operation {at} returned value {value} of {}, which no operation had sent.",
                self.keys.name(n)
            );
            self.violate("phantom-read", vec![at], (n, record.offset, Some(value)), text);
        }
        if let Some(what) = record.meta.as_ref().and_then(|m| m.corrupt.as_deref()) {
            let text = format!(
                "Operation {at} returned value {value} of {}; its {what} is not what was sent.",
                self.keys.name(n)
            );
            self.violate("corrupt-record", vec![at], (n, record.offset, Some(value)), text);
        }
    }

    /// Ok reads reached this offset: counts the acknowledged values below it that nobody has read.
    fn reach(&mut self, n: usize, offset: i64) {
        let key = self.keys.get_mut(n);
        let from = match key.reached {
            Some(reached) if reached >= offset => return,
            Some(reached) => reached.saturating_add(1),
            None => i64::MIN,
        };
        key.reached = Some(offset);
        let mut passed = 0;
        for place in key.places.range(from, offset).map(|(_, place)| &place.value) {
            if let Some(known) = key.values.get_mut(place)
                && known.acknowledged.is_some()
                && known.read.is_none()
                && !known.passed
            {
                known.passed = true;
                passed += 1;
            }
        }
        self.status_mut().passed_over += passed;
    }

    /// A transaction must not read what it sent itself. One case at most for each.
    pub(super) fn own_reads(&mut self, mops: &[Mop], own: &FxHashSet<(usize, &Scalar)>) {
        let groups = mops.iter().filter_map(|mop| match mop {
            Mop::Poll(Some(groups)) => Some(groups),
            _ => None,
        });
        for (key, records) in groups.flatten() {
            let n = self.keys.number(key);
            if let Some(record) = records.iter().find(|r| own.contains(&(n, &r.value))) {
                let at = self.at();
                let text = format!(
                    "Operation {at} polled value {} of {key}, which it sent itself.",
                    record.value
                );
                let about = (n, record.offset, Some(&record.value));
                return self.violate("precommitted-read", vec![at], about, text);
            }
        }
    }
}
