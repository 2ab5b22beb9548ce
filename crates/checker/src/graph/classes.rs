//! The classes of circles and what they imply.

use super::explain::Rel;

/// The class of a circle by its dependencies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Only `ww`.
    G0,
    /// `ww` and at least one `wr`.
    G1c,
    /// Exactly one `rw`.
    GSingle,
    /// Several `rw`, no two in a row.
    GNonadjacent,
    /// Several `rw`, two in a row.
    G2Item,
}

/// What beside dependencies a circle needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Variant {
    /// Nothing.
    Plain,
    /// At least one edge of process order, none of real time.
    Process,
    /// At least one real-time edge.
    Realtime,
}

impl Class {
    /// All classes in the order in which they are searched.
    pub const ALL: [Class; 5] =
        [Class::G0, Class::G1c, Class::GSingle, Class::GNonadjacent, Class::G2Item];

    /// The name that Elle gives to a circle of this class.
    pub fn name(self, variant: Variant) -> &'static str {
        let at = self as usize * 3 + variant as usize;
        ALL_NAMES[at]
    }

    /// Whether a circle of this class may have such an edge.
    pub(super) fn allows(self, rel: Rel) -> bool {
        match rel {
            Rel::Ww | Rel::Process | Rel::Realtime => true,
            Rel::Wr => self != Class::G0,
            Rel::Rw => self >= Class::GSingle,
        }
    }

    /// The edge without which there is no circle of this class.
    pub(super) fn needs(self) -> Rel {
        match self {
            Class::G0 => Rel::Ww,
            Class::G1c => Rel::Wr,
            _ => Rel::Rw,
        }
    }

    /// Whether a circle of this class and variant is also one of the other (Elle's implied anomalies).
    pub(super) fn implies(self, variant: Variant, other: Class, other_variant: Variant) -> bool {
        if variant > other_variant {
            return false;
        }
        match (self, other) {
            (a, b) if a == b => variant < other_variant,
            (Class::G0, Class::G1c) | (Class::GSingle, Class::GNonadjacent) => true,
            _ => false,
        }
    }
}

impl Variant {
    /// All variants in the order in which they are searched.
    pub const ALL: [Variant; 3] = [Variant::Plain, Variant::Process, Variant::Realtime];

    /// Whether a circle of this variant may have such an edge.
    pub(super) fn allows(self, rel: Rel) -> bool {
        match rel {
            Rel::Process => self != Variant::Plain,
            Rel::Realtime => self == Variant::Realtime,
            _ => true,
        }
    }
}

/// Every name that a search for circles can give; those of circles come first, class by class and variant by variant.
pub const ALL_NAMES: [&str; 29] = [
    "G0",
    "G0-process",
    "G0-realtime",
    "G1c",
    "G1c-process",
    "G1c-realtime",
    "G-single",
    "G-single-process",
    "G-single-realtime",
    "G-nonadjacent",
    "G-nonadjacent-process",
    "G-nonadjacent-realtime",
    "G2-item",
    "G2-item-process",
    "G2-item-realtime",
    "PL-1-cycle-exists",
    "PL-2-cycle-exists",
    "PL-SI-cycle-exists",
    "PL-3-cycle-exists",
    "strong-session-PL-1-cycle-exists",
    "strong-session-PL-2-cycle-exists",
    "strong-session-snapshot-isolation-cycle-exists",
    "strong-session-serializable-cycle-exists",
    "strong-PL-1-cycle-exists",
    "strong-PL-2-cycle-exists",
    "strong-snapshot-isolation-cycle-exists",
    "PL-SS-cycle-exists",
    "empty-transaction-graph",
    "cycle-search-timeout",
];
