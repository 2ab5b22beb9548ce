//! Histories of objects and of transactions, written in each form and read again.

use super::forms::{WRITTEN, again};
use super::{bytes, for_each, judge, seeds};
use perjury_checker::{Contract, Verdict};
use perjury_history::History;
use perjury_sim::general::{
    Flaw, Isolation, Model, ObjectOptions, Phenomenon, StoreOptions, Workload, objects,
    transactions,
};

/// The report of a history must not depend on the form in which it was kept.
fn same_in_each_form(history: &History) -> Vec<String> {
    let one = bytes(&judge(history, Contract::Kafka));
    let forms = WRITTEN.into_iter();
    let differs = forms.filter(|f| bytes(&judge(&again(history, *f), Contract::Kafka)) != one);
    differs.map(|f| format!("as {f} it is judged otherwise")).collect()
}

#[test]
fn objects_are_judged_alike_in_each_form() {
    for_each(seeds("histories of objects", 3), |seed| {
        let model = Model::ALL[usize::try_from(seed).unwrap() % Model::ALL.len()];
        let flaw =
            [None, Some(Flaw::Phantom), Some(Flaw::Stale)][usize::try_from(seed % 3).unwrap()];
        let keys = if seed % 5 == 0 { 3 } else { 1 };
        let options =
            ObjectOptions { operations: 40, flaw, keys, ..ObjectOptions::seeded(model, seed) };
        let history = objects(&options);
        let mut wrong = same_in_each_form(&history);
        let report = judge(&history, Contract::Kafka);
        // Logs are judged as Kafka histories, whose catalogue says more than whether an order exists.
        if model != Model::Log && (report.verdict == Verdict::Invalid) != flaw.is_some() {
            wrong.push(format!("{} with {flaw:?}", report.verdict));
        }
        wrong.into_iter().map(|w| format!("{model:?}, seed {seed}: {w}")).collect()
    });
}

#[test]
fn transactions_are_judged_alike_in_each_form() {
    for_each(seeds("histories of transactions", 3), |seed| {
        let workload =
            [Workload::ListAppend, Workload::RwRegister][usize::try_from(seed % 2).unwrap()];
        let at = usize::try_from(seed / 2).unwrap() % (Phenomenon::ALL.len() + 1);
        let staged = Phenomenon::ALL.get(at).filter(|p| p.fits(workload));
        let options = StoreOptions {
            workload,
            isolation: Isolation::StrictSerializable,
            operations: 60,
            phenomena: staged.into_iter().copied().collect(),
            ..StoreOptions::seeded(seed)
        };
        let (history, truth) = transactions(&options);
        let report = judge(&history, Contract::Kafka);
        let missing = truth.must.keys().filter(|n| !report.anomalies.contains_key(**n));
        let mut wrong: Vec<String> = missing.map(|n| format!("{n} was not found")).collect();
        if staged.is_none() && report.verdict == Verdict::Invalid {
            wrong.push(format!("{:?}", report.anomalies.keys()));
        }
        wrong.extend(same_in_each_form(&history));
        wrong.into_iter().map(|w| format!("{workload:?}, seed {seed}, {staged:?}: {w}")).collect()
    });
}
