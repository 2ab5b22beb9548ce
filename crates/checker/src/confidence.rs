//! What the size of a run proves.
//!
//! If an event did not happen in `n` independent trials, its probability is at most `3 / n` at 95 % confidence (the rule
//! of three). Writes under one fault are not independent of each other, so the same bound is given for faults as trials.
//! Only acknowledged writes that an ok operation read count as trials: of the others nobody knows.

use crate::report::Confidence;
use crate::words;

/// The rule of three says something from here on.
const TRIALS_MIN: u64 = 4;

/// The statement for this many acknowledged values, of which `unread` were read by nobody, witnessed leader kills and lost
/// values.
pub(crate) fn state(
    acknowledged: u64,
    unread: u64,
    leader_kills: u64,
    lost: u64,
) -> Option<Confidence> {
    let read = acknowledged.saturating_sub(unread);
    if read == 0 {
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
    let per_write = (read >= TRIALS_MIN).then(|| bound(read));
    let per_kill = (leader_kills > 0).then(|| bound(leader_kills));
    let of_writes = match per_write {
        None => "too few to bound anything".to_owned(),
        Some(_) => format!("at 95 % confidence at most 1 in {} writes", words::count(read / 3)),
    };
    let of_kills = match per_kill {
        None => "; without a witnessed leader kill this says nothing of failovers".into(),
        Some(p) if p < 1.0 => format!(" and {:.0} % of kills", p * 100.0),
        Some(_) => "; fewer than four leader kills say little of failovers".into(),
    };
    let aside = match unread {
        0 => String::new(),
        n => format!(", {} of them read by nobody", words::count(n)),
    };
    Some(Confidence {
        acknowledged,
        leader_kills,
        lost,
        per_write,
        per_kill,
        statement: format!("0 lost of {writes}{aside} over {kills}: {of_writes}{of_kills}"),
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
        let stated = state(24_113, 0, 4, 0).expect("something was acknowledged");
        assert_eq!(
            stated.statement,
            "0 lost of 24,113 acknowledged writes over 4 leader kills: at 95 % confidence at most 1 in 8,037 writes \
             and 75 % of kills"
        );
        assert_eq!(stated.per_kill, Some(0.75));
        assert_eq!(state(0, 0, 4, 0), None);
        assert_eq!(state(10, 2, 1, 2).and_then(|c| c.per_write), None);
    }
}
