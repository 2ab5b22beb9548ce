//! What the size of a run proves.
//!
//! If an event did not happen in `n` independent trials, its probability is at most `3 / n` at 95 % confidence (the rule
//! of three). Writes under one fault are not independent of each other, so the same bound is given for faults as trials.

use crate::report::Confidence;
use crate::words;

/// The statement for this many acknowledged values, witnessed leader kills and lost values.
pub(crate) fn state(acknowledged: u64, leader_kills: u64, lost: u64) -> Option<Confidence> {
    if acknowledged == 0 {
        return None;
    }
    let writes = words::counted(acknowledged, "acknowledged write", "acknowledged writes");
    let kills = words::counted(leader_kills, "leader kill", "leader kills");
    if lost > 0 {
        return Some(Confidence {
            acknowledged,
            leader_kills,
            lost,
            per_write: None,
            per_kill: None,
            statement: format!("{} lost of {writes} over {kills}", words::count(lost)),
        });
    }
    let per_write = bound(acknowledged);
    let per_kill = (leader_kills > 0).then(|| bound(leader_kills));
    let one_in = (acknowledged / 3).max(1);
    let of_kills = per_kill.map_or_else(
        || "; without a witnessed leader kill this says nothing of failovers".into(),
        |p| format!(" and {:.0} % of kills", p * 100.0),
    );
    Some(Confidence {
        acknowledged,
        leader_kills,
        lost,
        per_write: Some(per_write),
        per_kill,
        statement: format!(
            "0 lost of {writes} over {kills}: at 95 % confidence at most 1 in {} writes{of_kills}",
            words::count(one_in)
        ),
    })
}

#[expect(clippy::cast_precision_loss, reason = "a bound with two significant digits")]
fn bound(n: u64) -> f64 {
    (3.0 / n as f64).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_lost_bounds_the_chance_by_three_over_n() {
        let stated = state(24_113, 4, 0).expect("something was acknowledged");
        assert_eq!(
            stated.statement,
            "0 lost of 24,113 acknowledged writes over 4 leader kills: at 95 % confidence at most 1 in 8,037 writes \
             and 75 % of kills"
        );
        assert_eq!(stated.per_kill, Some(0.75));
        assert_eq!(state(0, 4, 0), None);
        assert_eq!(state(10, 1, 2).and_then(|c| c.per_write), None);
    }
}
