//! The story of every history of the corpus, as it was read aloud.

mod support;

use perjury_checker::render;

#[test]
fn every_history_has_a_story() {
    for case in support::corpus() {
        let (history, report) = case.judged();
        let story = render::explain(&report, &history);
        assert!(story.lines().all(|l| l.chars().count() <= 130), "{}:\n{story}", case.name);
        for (name, anomaly) in report.violations() {
            let told = story.contains(name) && story.contains("What would have made it legal");
            assert!(told, "{}: {name}", case.name);
            let ops = &anomaly.examples[0].ops;
            assert!(ops.iter().all(|op| story.contains(&format!("[{op}]"))), "{}", case.name);
        }
        for reason in &report.reasons {
            assert!(story.contains(reason.as_str()), "{}: {reason}", case.name);
        }
        insta::assert_snapshot!(case.name.replace('/', "__"), story);
    }
}
