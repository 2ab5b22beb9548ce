//! Simulated objects and stores against exhaustive judges.

use perjury_history::{History, Kind, MopRef, wellformed};
use perjury_sim::general::{
    Flaw, Isolation, Model, ObjectOptions, Phenomenon, StoreOptions, Workload, objects,
    transactions,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// An operation for the exhaustive judge: function, argument, answer, interval.
struct Op {
    f: String,
    asked: Value,
    /// `None`: unknown.
    answer: Option<Value>,
    refused: bool,
    from: usize,
    to: usize,
}

fn datum(history: &History, i: usize) -> Value {
    if let Some(json) = history.json(i) {
        return json.clone();
    }
    let mut mops = history.mops(i);
    match mops.next() {
        Some(MopRef::Send { value, offset, .. }) => json!([value.0, offset]),
        Some(MopRef::Poll(Some(poll))) => {
            let records = poll.groups().flat_map(|g| g.iter().collect::<Vec<_>>());
            records.map(|(o, v)| json!([o, v.0])).collect()
        }
        _ => Value::Null,
    }
}

fn ops(history: &History) -> Vec<Op> {
    let mut ops = Vec::new();
    for i in (0..history.len()).filter(|i| history.kind(*i) == Kind::Invoke) {
        let end = history.pair(i);
        let kind = end.map_or(Kind::Info, |e| history.kind(e));
        if kind == Kind::Fail && end.is_some_and(|e| history.error(e).is_some()) {
            continue;
        }
        let known = kind != Kind::Info;
        ops.push(Op {
            f: history.f(i).as_str().into(),
            asked: datum(history, i),
            answer: end.filter(|_| known).map(|e| datum(history, e)),
            refused: kind == Kind::Fail,
            from: i,
            to: if known { end.expect("known") } else { usize::MAX },
        });
    }
    ops
}

/// The state after the operation, if it can take place with its answer in this state.
fn apply(op: &Op, state: &Value) -> Option<Value> {
    let fits = |value: &Value| op.answer.as_ref().is_none_or(|a| a == value);
    match op.f.as_str() {
        "read" | "get" => fits(state).then(|| state.clone()),
        "write" | "put" => Some(op.asked.clone()),
        "cas" => {
            let equal = *state == op.asked[0];
            if op.answer.is_some() && equal == op.refused {
                return None;
            }
            Some(if equal { op.asked[1].clone() } else { state.clone() })
        }
        "append" => Some(format!("{}{}", state.as_str()?, op.asked.as_str()?).into()),
        "enqueue" => {
            Some([state.as_array()?.as_slice(), std::slice::from_ref(&op.asked)].concat().into())
        }
        "dequeue" => {
            let list = state.as_array()?;
            let head = list.first().cloned().unwrap_or(Value::Null);
            fits(&head).then(|| list.iter().skip(1).cloned().collect())
        }
        "acquire" => {
            let held = state == &json!(true);
            (held == op.refused).then(|| json!(true))
        }
        "release" => Some(json!(false)),
        "send" => {
            let list = state.as_array()?;
            let at = json!([op.asked[0], list.len()]);
            fits(&at).then(|| [list.as_slice(), std::slice::from_ref(&op.asked[0])].concat().into())
        }
        "poll" => {
            let list = state.as_array()?;
            let holds = |r: &Value| {
                let at = r[0].as_u64().and_then(|o| usize::try_from(o).ok());
                at.and_then(|o| list.get(o)) == Some(&r[1])
            };
            let records = op.answer.as_ref().and_then(Value::as_array);
            records.is_none_or(|r| r.iter().all(holds)).then(|| state.clone())
        }
        "list-offsets" => fits(&json!({"0": state.as_array()?.len()})).then(|| state.clone()),
        other => panic!("{other}"),
    }
}

fn linearizable(ops: &[Op], initial: &Value) -> bool {
    let mut seen = HashSet::new();
    let mut open = vec![(0u64, initial.clone())];
    let required: u64 =
        ops.iter().enumerate().filter(|(_, o)| o.to < usize::MAX).map(|(i, _)| 1 << i).sum();
    while let Some((done, state)) = open.pop() {
        if done & required == required {
            return true;
        }
        if !seen.insert((done, state.to_string())) {
            continue;
        }
        let left = |i: &usize| done & (1 << i) == 0;
        let first_return = (0..ops.len()).filter(left).map(|i| ops[i].to).min().unwrap_or(0);
        for i in (0..ops.len()).filter(left).filter(|i| ops[*i].from < first_return) {
            if let Some(next) = apply(&ops[i], &state) {
                open.push((done | 1 << i, next));
            }
        }
    }
    false
}

fn initial(model: Model) -> Value {
    match model {
        Model::Register | Model::CasRegister => Value::Null,
        Model::Kv => json!(""),
        Model::Mutex => json!(false),
        Model::Queue | Model::Log => json!([]),
    }
}

#[test]
fn objects_are_linearizable_exactly_without_a_flaw() {
    for model in Model::ALL {
        for seed in 0..150 {
            for flaw in [None, Some(Flaw::Stale), Some(Flaw::Phantom)] {
                let options = ObjectOptions {
                    operations: 4 + seed % 9,
                    processes: 1 + u32::try_from(seed % 4).expect("small"),
                    info_rate: 0.2,
                    fail_rate: 0.1,
                    values: if flaw.is_none() && seed % 2 == 0 { 3 } else { 0 },
                    flaw,
                    ..ObjectOptions::seeded(model, seed)
                };
                let history = objects(&options);
                assert_eq!(wellformed::check(&history), [], "{model:?} {seed}");
                let right = linearizable(&ops(&history), &initial(model));
                let text: Vec<String> = history
                    .events()
                    .map(|e| serde_json::to_string(&e).expect("an event"))
                    .collect();
                assert_eq!(right, flaw.is_none(), "{options:?}\n{}", text.join("\n"));
            }
        }
    }
}

#[test]
fn objects_are_told_apart_by_key() {
    let options = ObjectOptions { keys: 3, ..ObjectOptions::seeded(Model::CasRegister, 1) };
    let history = objects(&options);
    let keys: BTreeSet<u64> =
        (0..history.len()).filter_map(|i| history.extra(i)?.ext.get("key")?.as_u64()).collect();
    assert_eq!(keys, BTreeSet::from([0, 1, 2]));
}

/// What is wrong with a history of lists: reads against the last read of each key, and the order that follows.
fn lists(history: &History) -> Vec<String> {
    let mut wrong = Vec::new();
    let rows: Vec<usize> =
        (0..history.len()).filter(|i| history.kind(*i) != Kind::Invoke).collect();
    let all =
        |i: usize| history.json(i).and_then(Value::as_array).expect("micro-operations").iter();
    let mut last: BTreeMap<u64, Vec<i64>> = BTreeMap::new();
    let ints = |v: &Value| -> Vec<i64> {
        v.as_array().into_iter().flatten().filter_map(Value::as_i64).collect()
    };
    for i in rows.iter().filter(|i| history.kind(**i) == Kind::Ok) {
        for mop in all(*i).filter(|m| m[0] == "r") {
            last.insert(mop[1].as_u64().expect("a key"), ints(&mop[2]));
        }
    }
    let mut writer: BTreeMap<(u64, i64), (usize, usize)> = BTreeMap::new();
    for (n, i) in rows.iter().enumerate() {
        for (at, mop) in all(*i).enumerate().filter(|(_, m)| m[0] == "append") {
            let key = (mop[1].as_u64().expect("a key"), mop[2].as_i64().expect("a value"));
            writer.insert(key, (n, at));
        }
    }
    let mut edges: BTreeSet<(usize, usize)> = BTreeSet::new();
    for (key, values) in &last {
        let distinct: BTreeSet<&i64> = values.iter().collect();
        if distinct.len() < values.len() {
            wrong.push(format!("a value of {key} stands twice"));
        }
        for pair in values.windows(2) {
            edges.insert((writer[&(*key, pair[0])].0, writer[&(*key, pair[1])].0));
        }
        for v in values {
            if history.kind(rows[writer[&(*key, *v)].0]) == Kind::Fail {
                wrong.push(format!("{v} of {key} was aborted"));
            }
        }
    }
    for (n, i) in rows.iter().enumerate().filter(|(_, i)| history.kind(**i) == Kind::Ok) {
        let mops: Vec<&Value> = all(*i).collect();
        for (at, mop) in mops.iter().enumerate().filter(|(_, m)| m[0] == "r") {
            let key = mop[1].as_u64().expect("a key");
            let seen = ints(&mop[2]);
            let order = &last[&key];
            if !order.starts_with(&seen) {
                wrong.push(format!("{seen:?} of {key} is no prefix of {order:?}"));
                continue;
            }
            let own = mops[..at].iter().filter(|m| m[0] == "append" && m[1] == mop[1]);
            let own: Vec<i64> = own.filter_map(|m| m[2].as_i64()).collect();
            if !seen.ends_with(&own) {
                wrong.push(format!("{seen:?} of {key} lacks its own {own:?}"));
            }
            if let Some(v) = seen.last() {
                let (w, place) = writer[&(key, *v)];
                edges.insert((w, n));
                let later = all(rows[w]).skip(place + 1);
                if w != n && later.into_iter().any(|m| m[0] == "append" && m[1] == mop[1]) {
                    wrong.push(format!("{v} of {key} is intermediate"));
                }
            }
            if let Some(next) = order.get(seen.len()) {
                edges.insert((n, writer[&(key, *next)].0));
            }
        }
    }
    if is_cyclic(history, &rows, &edges) {
        wrong.push("the order is cyclic".into());
    }
    wrong
}

fn is_cyclic(history: &History, rows: &[usize], edges: &BTreeSet<(usize, usize)>) -> bool {
    let after = |a: usize, b: usize| {
        history.kind(rows[a]) == Kind::Ok
            && history.pair(rows[b]).is_some_and(|invoked| invoked > rows[a])
    };
    let edge = |a: usize, b: usize| a != b && (edges.contains(&(a, b)) || after(a, b));
    let mut left: Vec<usize> = (0..rows.len()).collect();
    loop {
        let free: Vec<usize> =
            left.iter().copied().filter(|b| !left.iter().any(|a| edge(*a, *b))).collect();
        if free.is_empty() {
            return !left.is_empty();
        }
        left.retain(|n| !free.contains(n));
    }
}

#[test]
fn strictly_serializable_lists_have_one_order() {
    for seed in 0..30 {
        let options = StoreOptions { operations: 60, ..StoreOptions::seeded(seed) };
        let (history, truth) = transactions(&options);
        assert_eq!(wellformed::check(&history), []);
        assert_eq!(lists(&history), Vec::<String>::new(), "seed {seed}");
        assert!(truth.must.is_empty() && truth.may.is_empty());
    }
}

#[test]
fn weaker_isolation_shows_cycles_and_nothing_else() {
    for isolation in [Isolation::Snapshot, Isolation::ReadCommitted] {
        let mut cyclic = 0;
        for seed in 0..30 {
            let options = StoreOptions {
                isolation,
                operations: 80,
                keys: 3,
                fail_rate: 0.0,
                ..StoreOptions::seeded(seed)
            };
            let wrong = lists(&transactions(&options).0);
            assert!(
                wrong.iter().all(|w| w == "the order is cyclic"),
                "{isolation:?} {seed} {wrong:?}"
            );
            cyclic += wrong.len();
        }
        assert!(cyclic > 5, "{isolation:?}: {cyclic}");
    }
}

#[test]
fn each_phenomenon_is_on_stage() {
    for phenomenon in Phenomenon::ALL {
        for seed in 0..5 {
            let phenomena = vec![phenomenon];
            let options = StoreOptions { operations: 40, phenomena, ..StoreOptions::seeded(seed) };
            let (history, truth) = transactions(&options);
            assert_eq!(wellformed::check(&history), []);
            assert!(!lists(&history).is_empty(), "{phenomenon:?}");
            assert_eq!(truth.must[phenomenon.must()], 1);
        }
    }
}

#[test]
fn registers_of_transactions_have_values_of_their_own() {
    let options = StoreOptions {
        workload: Workload::RwRegister,
        phenomena: Phenomenon::ALL.to_vec(),
        ..StoreOptions::seeded(3)
    };
    let (history, truth) = transactions(&options);
    let fits: Vec<&str> = Phenomenon::ALL
        .into_iter()
        .filter(|p| p.fits(Workload::RwRegister))
        .map(Phenomenon::must)
        .collect();
    assert_eq!(truth.must.len(), fits.len());
    let mut written = BTreeSet::new();
    for i in (0..history.len()).filter(|i| history.kind(*i) == Kind::Invoke) {
        for mop in history.json(i).and_then(Value::as_array).expect("micro-operations") {
            if mop[0] == "w" {
                assert!(written.insert((mop[1].to_string(), mop[2].to_string())));
            }
        }
    }
    assert!(written.len() > 50);
}
