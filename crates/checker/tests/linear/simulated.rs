//! The simulator's histories of objects: linearizable unless they have a flaw.

use perjury_checker::linear::{Answer, Decision, Limits, ModelName, Options, decide};
use perjury_sim::general::{Flaw, Model, ObjectOptions, objects};

fn expected(model: Model) -> ModelName {
    match model {
        Model::Register | Model::CasRegister => ModelName::CasRegister,
        Model::Kv => ModelName::Kv,
        Model::Queue => ModelName::Queue,
        Model::Mutex => ModelName::Mutex,
        Model::Log => ModelName::Log,
    }
}

/// Decides and compares; whether an answer was found.
fn agrees(options: &ObjectOptions) -> bool {
    let history = objects(options);
    let mut limits = Limits::new(1_000_000, 1 << 30);
    let outcome = decide(&history, &Options::default(), &mut limits);
    assert_eq!(outcome.model, Some(expected(options.model)), "{options:?}");
    let wanted = match options.flaw {
        None => Decision::Linearizable,
        Some(_) => Decision::NotLinearizable,
    };
    if outcome.decision == Decision::Unknown {
        return false;
    }
    assert_eq!(outcome.decision, wanted, "{options:?}: {:?}", outcome.violations().next());
    for object in &outcome.objects {
        if let Answer::NotLinearizable(violation) = &object.answer {
            assert!(violation.sentence.ends_with('.'), "{}", violation.sentence);
            assert!(violation.prefix_end < history.len() as u64);
        }
    }
    true
}

#[test]
fn objects_are_linearizable_unless_they_have_a_flaw() {
    let (mut asked, mut answered) = (0, 0);
    for model in Model::ALL {
        for seed in 0..60u64 {
            for flaw in [None, Some(Flaw::Stale), Some(Flaw::Phantom)] {
                for values in [0, 4] {
                    if values > 0 && flaw == Some(Flaw::Stale) {
                        continue;
                    }
                    let info_rate = if seed % 3 == 0 { 0.0 } else { 0.05 * (seed % 3) as f64 };
                    let keys = 1 + u32::from(seed % 4 == 3) * 3;
                    let base = ObjectOptions::seeded(model, seed);
                    let options = ObjectOptions { flaw, values, info_rate, keys, ..base };
                    asked += 1;
                    answered += u32::from(agrees(&options));
                }
            }
        }
    }
    assert!(answered * 100 >= asked * 97, "{answered} of {asked} were decided");
}

#[test]
fn large_logs_and_registers_are_decided() {
    for model in [Model::Log, Model::Register] {
        for flaw in [None, Some(Flaw::Stale)] {
            let base = ObjectOptions::seeded(model, 7);
            let options =
                ObjectOptions { operations: 30_000, processes: 50, info_rate: 0.1, flaw, ..base };
            assert!(agrees(&options), "{options:?}");
        }
    }
}
