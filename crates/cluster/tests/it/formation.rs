//! Forming clusters of real processes, and saying at once why it does not work.

use crate::support::{LONG, Rig};
use perjury_cluster::{
    ClusterEventKind, Driver, FormationError, FormationStep, LikelyCause, NodeId,
};
use std::time::Duration;

/// Forms a cluster that cannot form and gives back the reason. Nothing may be left running.
async fn failure(rig: &Rig, timeout: Duration) -> Box<FormationError> {
    let error = rig.cluster.form(timeout).await.unwrap_err();
    for process in rig.processes().await {
        assert!(!process.is_alive(), "{process} is left over after: {error}");
    }
    error
}

/// The reason that is given once the time was enough to get as far as `step`. How long that takes is
/// up to the machine, so more and more time is given; the last try stands as it is.
async fn failure_at(step: FormationStep, rig: impl Fn() -> Rig) -> (Rig, Box<FormationError>) {
    for seconds in [2, 8] {
        let rig = rig();
        let error = failure(&rig, Duration::from_secs(seconds)).await;
        if error.step == step {
            return (rig, error);
        }
    }
    let rig = rig();
    let error = failure(&rig, LONG).await;
    (rig, error)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_forms_and_reports_its_progress() {
    let mut rig = Rig::new(&[]);
    let formation = rig.cluster.form(LONG).await.unwrap();
    assert_eq!(formation.attempts, 1);
    for progress in &formation.nodes {
        assert_eq!(progress.waiting_for, FormationStep::Ready);
        assert_eq!(progress.brokers.as_deref(), Some(&[NodeId(1), NodeId(2), NodeId(3)][..]));
        assert_eq!(progress.controller, Some(NodeId(1)));
    }
    let events = rig.events_so_far();
    let started = |kind: &ClusterEventKind| matches!(kind, ClusterEventKind::NodeStarted { .. });
    assert_eq!(events.iter().filter(|event| started(&event.kind)).count(), 3);
    let progress = events.iter().find_map(|event| match &event.kind {
        ClusterEventKind::FormationProgress { nodes, .. } => Some(nodes.len()),
        _ => None,
    });
    assert_eq!(progress, Some(3));
    let formed = ClusterEventKind::Formed { formation_ms: formation.formation_ms };
    assert!(events.iter().any(|event| event.kind == formed));
    for node in rig.driver.nodes() {
        let status = rig.driver.node_status(node).await.unwrap();
        assert!(rig.driver.ports(node).contains(&status.listening[0]), "{status:?}");
    }
    rig.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_ends_is_noticed_without_waiting_for_the_time_limit() {
    let mut rig = Rig::of_script(
        "i=0; while [ $i -lt 30 ]; do echo \"line $i\"; i=$((i+1)); done
         echo 'error: unexpected argument --kafka-port found' >&2; exit 7",
    );
    let error = failure(&rig, LONG * 10).await;
    assert_eq!(error.step, FormationStep::StayAlive);
    assert!(!error.timed_out && error.node.is_some());
    assert_eq!(error.exit.unwrap().code, Some(7));
    assert!(matches!(error.cause, LikelyCause::ConfigRejected { .. }), "{error}");
    assert_eq!(error.log_tail.len(), 20);
    // The complaint is found though the chatter of the other stream may have come in after it.
    assert!(error.cause.to_string().contains("--kafka-port"), "{error}");
    let text = error.to_string();
    assert!(text.contains("failed to stay alive") && text.contains("exit code 7"), "{text}");
    let event =
        rig.event(|event| matches!(event.kind, ClusterEventKind::FormationFailed { .. })).await;
    assert_eq!(event.node, error.node);
    let text = serde_json::to_string(&event).unwrap();
    assert_eq!(serde_json::from_str::<perjury_cluster::ClusterEvent>(&text).unwrap(), event);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_node_that_ends_with_success_fails_the_formation_too() {
    let rig = Rig::of_script("case \"$2\" in */nodes/2/*) exit 0;; esac; exec sleep 600");
    let error = failure(&rig, LONG * 10).await;
    assert_eq!((error.node, error.step), (Some(NodeId(2)), FormationStep::StayAlive));
    assert_eq!(error.exit.unwrap().code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_program_and_one_that_may_not_be_run_are_told_apart() {
    let rig = Rig::with(|options, dir| options.program = dir.join("nothing-here"));
    let error = failure(&rig, LONG).await;
    assert_eq!((error.node, error.step), (None, FormationStep::Preflight));
    assert!(matches!(error.cause, LikelyCause::ProgramMissing { .. }), "{error}");

    let rig = Rig::with(|options, dir| {
        options.program = dir.join("plain-file");
        std::fs::write(&options.program, "text").unwrap();
    });
    let error = failure(&rig, LONG).await;
    assert!(matches!(error.cause, LikelyCause::ProgramNotExecutable { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_interpreter_is_named_as_such() {
    use std::os::unix::fs::PermissionsExt;
    let rig = Rig::with(|options, dir| {
        options.program = dir.join("server");
        std::fs::write(&options.program, "#!/no/such/interpreter\n").unwrap();
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&options.program, executable).unwrap();
    });
    let error = failure(&rig, LONG).await;
    assert_eq!(error.step, FormationStep::Start);
    assert!(error.to_string().contains("interpreter"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fixed_port_that_is_taken_is_named_with_its_holder_before_anything_starts() {
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port();
    let rig = Rig::with(|options, _| {
        options.nodes = 1;
        options.ports = Some(vec![(port, port)]);
    });
    let error = failure(&rig, LONG).await;
    assert_eq!(error.step, FormationStep::Preflight);
    let LikelyCause::PortTaken { port: named, owner: Some(owner) } = &error.cause else {
        panic!("{error}");
    };
    assert_eq!((*named, owner.process.pid), (port, std::process::id()));
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_of_the_drivers_choice_that_are_taken_in_between_are_chosen_anew() {
    // The first start of node 1 acts as if somebody had taken its port in between.
    let mut rig = Rig::with(|options, dir| {
        let (script, mark) = (dir.join("server.sh"), dir.join("mark"));
        let fixture = crate::support::fixture();
        let text = format!(
            "case \"$2\" in */nodes/1/*) if ! [ -e '{mark}' ]; then touch '{mark}'
             port=$(sed -n 's/.*kafka_addr.*:\\([0-9]*\\)\".*/\\1/p' \"$2\")
             echo \"cannot listen on $port: Address already in use\"; exit 1; fi;; esac
             exec '{fixture}' node \"$@\"",
            mark = mark.display(),
            fixture = fixture.display(),
        );
        std::fs::write(&script, text).unwrap();
        options.program = "sh".into();
        options.args_prefix = vec![script.to_string_lossy().into_owned()];
    });
    let formation = rig.cluster.form(LONG).await.unwrap();
    assert_eq!(formation.attempts, 2);
    let retried = |kind: &_| matches!(kind, ClusterEventKind::FormationRetried { .. });
    assert!(rig.events_so_far().iter().any(|event| retried(&event.kind)));
    rig.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn time_over_names_the_node_that_came_least_far_and_what_it_did_not_do() {
    let rig = || {
        Rig::with(|options, dir| {
            let script = dir.join("server.sh");
            let fixture = crate::support::fixture();
            let text = format!(
                "case \"$2\" in */nodes/3/*) echo waiting for nothing; exec sleep 600;; esac
                 exec '{}' node \"$@\"",
                fixture.display()
            );
            std::fs::write(&script, text).unwrap();
            options.program = "sh".into();
            options.args_prefix = vec![script.to_string_lossy().into_owned()];
        })
    };
    // The others may need more time until node 3 alone is behind.
    let mut last = None;
    for seconds in [2, 8, 60] {
        let rig = rig();
        let error = failure(&rig, Duration::from_secs(seconds)).await;
        let found = error.node == Some(NodeId(3));
        last = Some((rig, error));
        if found {
            break;
        }
    }
    let (rig, error) = last.unwrap();
    assert!(error.timed_out);
    assert_eq!((error.node, error.step), (Some(NodeId(3)), FormationStep::Listen));
    assert_eq!(error.log_tail, ["waiting for nothing"]);
    let address = rig.driver.address(NodeId(3)).unwrap();
    assert_eq!(error.cause, LikelyCause::NotListening { address });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_listens_and_says_nothing_is_told_from_one_that_does_not_listen() {
    let (_rig, error) = failure_at(FormationStep::Answer, || Rig::new(&["--silent"])).await;
    assert_eq!(error.step, FormationStep::Answer);
    assert!(matches!(error.cause, LikelyCause::NotAnswering { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_do_not_know_each_other_are_not_ready() {
    // What every node says of the cluster lacks broker 3.
    let text = r#"{"cluster_id":null,"controller":1,"partitions":[],"topic_errors":{},
        "brokers":[{"id":1,"host":"h","port":1},{"id":2,"host":"h","port":2}]}"#;
    let rig = || {
        let rig = Rig::new(&[]);
        std::fs::write(rig.dir.path().join("metadata.json"), text).unwrap();
        rig
    };
    let (_rig, error) = failure_at(FormationStep::KnowAllBrokers, rig).await;
    assert_eq!((error.node, error.step), (Some(NodeId(1)), FormationStep::KnowAllBrokers));
    assert_eq!(error.cause, LikelyCause::BrokersMissing { missing: vec![NodeId(3)] });
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_of_the_driver_cannot_be_overridden() {
    let rig = Rig::with(|options, _| {
        options.settings.insert("peers".into(), serde_json::json!([]));
    });
    let error = failure(&rig, LONG).await;
    assert_eq!(error.step, FormationStep::Prepare);
    assert!(error.to_string().contains("peers"), "{error}");
}
