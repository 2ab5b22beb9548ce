use super::*;

const SESSION: Duration = Duration::from_secs(6);

type JoinReceiver = oneshot::Receiver<Result<Joined, ResponseError>>;

struct Bench {
    group: Group,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        Self { group: Group::default(), now: Instant::now() }
    }

    fn join(&mut self, id: &str, protocols: &[&str]) -> JoinReceiver {
        let known = self.group.members.contains_key(id);
        if !known {
            self.group.promise(id.to_owned(), self.now);
        }
        let (sender, receiver) = oneshot::channel();
        let named = |name: &&str| ((*name).to_owned(), Bytes::copy_from_slice(id.as_bytes()));
        let request = JoinRequest {
            member_id: id.to_owned(),
            session_timeout: SESSION,
            rebalance_timeout: SESSION * 2,
            protocol_type: "consumer".to_owned(),
            protocols: protocols.iter().map(named).collect(),
        };
        self.group.join(request, self.now, sender, false);
        receiver
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.group.tick(self.now);
    }

    fn sync(
        &mut self,
        id: &str,
        generation: i32,
    ) -> oneshot::Receiver<Result<Synced, ResponseError>> {
        let (sender, receiver) = oneshot::channel();
        let all = self.group.members.keys();
        let assignments: BTreeMap<String, Bytes> =
            all.map(|id| (id.clone(), Bytes::from(format!("for {id}")))).collect();
        if let SyncStep::Assign(record) =
            self.group.sync(id, generation, &assignments, self.now, sender)
        {
            for (sender, answer) in self.group.assigned(&record) {
                let _ = sender.send(Ok(answer));
            }
        }
        receiver
    }

    /// A stable group of `a` and `b` in generation 1.
    fn stable() -> Self {
        let mut bench = Self::new();
        let (mut a, mut b) = (bench.join("a", &["range"]), bench.join("b", &["range"]));
        bench.pass(INITIAL_DELAY);
        assert_eq!(a.try_recv().unwrap().unwrap().generation, 1);
        assert_eq!(b.try_recv().unwrap().unwrap().generation, 1);
        bench.sync("b", 1);
        bench.sync("a", 1);
        bench
    }
}

#[test]
fn two_members_join_choose_a_common_assignor_and_are_assigned() {
    let mut bench = Bench::new();
    let mut a = bench.join("a", &["sticky", "range"]);
    bench.pass(INITIAL_DELAY / 2);
    let mut b = bench.join("b", &["range"]);
    assert!(a.try_recv().is_err(), "the first rebalance waits for others");
    bench.pass(INITIAL_DELAY / 2);
    let (a, b) = (a.try_recv().unwrap().unwrap(), b.try_recv().unwrap().unwrap());
    assert_eq!((a.leader.as_str(), a.protocol.as_str(), a.members.len()), ("a", "range", 2));
    assert_eq!((b.generation, b.members.len()), (1, 0));
    let mut waits = bench.sync("b", 1);
    assert!(waits.try_recv().is_err());
    let mut leads = bench.sync("a", 1);
    assert_eq!(waits.try_recv().unwrap().unwrap().assignment, "for b");
    assert_eq!(leads.try_recv().unwrap().unwrap().assignment, "for a");
    assert_eq!(bench.group.heartbeat("a", 1, bench.now), Ok(()));
    assert_eq!(bench.group.heartbeat("a", 2, bench.now), Err(ResponseError::IllegalGeneration));
    assert_eq!(bench.group.heartbeat("x", 1, bench.now), Err(ResponseError::UnknownMemberId));
}

#[test]
fn a_newcomer_waits_until_the_others_joined_again() {
    let mut bench = Bench::stable();
    let mut c = bench.join("c", &["range"]);
    assert!(c.try_recv().is_err());
    assert_eq!(bench.group.heartbeat("a", 1, bench.now), Err(ResponseError::RebalanceInProgress));
    // What was processed may still be committed.
    assert_eq!(bench.group.check_committer("a", 1, bench.now), Ok(()));
    let mut a = bench.join("a", &["range"]);
    assert!(a.try_recv().is_err());
    bench.join("b", &["range"]);
    assert_eq!(c.try_recv().unwrap().unwrap().generation, 2);
    assert_eq!(a.try_recv().unwrap().unwrap().members.len(), 3);
    let late = bench.group.check_committer("a", 1, bench.now);
    assert_eq!(late, Err(ResponseError::IllegalGeneration));
}

#[test]
fn silent_members_are_left_out() {
    let mut bench = Bench::stable();
    bench.pass(SESSION / 2);
    assert_eq!(bench.group.heartbeat("b", 1, bench.now), Ok(()));
    bench.pass(SESSION / 2);
    assert_eq!(bench.group.heartbeat("b", 1, bench.now), Err(ResponseError::RebalanceInProgress));
    let mut b = bench.join("b", &["range"]);
    let joined = b.try_recv().unwrap().unwrap();
    assert_eq!((joined.generation, joined.leader.as_str(), joined.members.len()), (2, "b", 1));
}

#[test]
fn a_member_that_does_not_rejoin_in_time_is_left_out() {
    let mut bench = Bench::stable();
    let mut c = bench.join("c", &["range"]);
    bench.join("a", &["range"]);
    for _ in 0..4 {
        bench.pass(SESSION / 2);
        let _ = bench.group.heartbeat("b", 1, bench.now);
    }
    assert_eq!(c.try_recv().unwrap().unwrap().generation, 2);
    assert_eq!(bench.group.heartbeat("b", 1, bench.now), Err(ResponseError::UnknownMemberId));
}

#[test]
fn the_last_one_to_leave_leaves_an_empty_group() {
    let mut bench = Bench::stable();
    assert_eq!(bench.group.leave("a", bench.now), Ok(()));
    let mut b = bench.join("b", &["range"]);
    assert_eq!(b.try_recv().unwrap().unwrap().generation, 2);
    assert_eq!(bench.group.leave("b", bench.now), Ok(()));
    assert_eq!(bench.group.leave("b", bench.now), Err(ResponseError::UnknownMemberId));
    assert_eq!(bench.group.check_committer("", -1, bench.now), Ok(()));
}

#[test]
fn a_successor_goes_on_with_the_generation() {
    let bench = Bench::stable();
    let record = bench.group.record(|_, member| member.assignment.to_vec());
    let mut group = Group::from_record(record);
    assert_eq!(group.heartbeat("a", 1, Instant::now()), Ok(()));
    let (sender, mut receiver) = oneshot::channel();
    group.sync("b", 1, &BTreeMap::new(), Instant::now(), sender);
    assert_eq!(receiver.try_recv().unwrap().unwrap().assignment, "for b");
}

#[test]
fn strangers_and_foreign_protocols_are_refused() {
    let mut bench = Bench::stable();
    let mut other = bench.join("c", &["sticky"]);
    let refused = other.try_recv().unwrap().unwrap_err();
    assert_eq!(refused, ResponseError::InconsistentGroupProtocol);
}

#[test]
fn double_assignment_leaves_the_others_with_what_they_have() {
    let mut bench = Bench::stable();
    bench.group.promise("c".to_owned(), bench.now);
    let (sender, mut receiver) = oneshot::channel();
    let request = JoinRequest {
        member_id: "c".to_owned(),
        session_timeout: SESSION,
        rebalance_timeout: SESSION,
        protocol_type: "consumer".to_owned(),
        protocols: vec![("range".to_owned(), Bytes::new())],
    };
    bench.group.join(request, bench.now, sender, true);
    let joined = receiver.try_recv().unwrap().unwrap();
    assert_eq!((joined.generation, joined.members.len()), (2, 1));
    // Those who were left behind are told that all is well.
    assert_eq!(bench.group.heartbeat("a", 1, bench.now), Ok(()));
    assert_eq!(bench.group.heartbeat("b", 1, bench.now), Ok(()));
}
