//! Events of every kind, drawn at random.

use perjury_history::{Event, F, Kind, Mop, OpError, Payload, Process, Record, RecordMeta, Scalar};
use proptest::prelude::*;
use serde_json::{Value, json};

pub(crate) fn scalar() -> impl Strategy<Value = Scalar> {
    prop_oneof![
        (i64::MIN + 1..=i64::MAX).prop_map(Scalar::Int),
        (0..50i64).prop_map(Scalar::Int),
        "[a-z\"\\\\é\n:-]{0,6}".prop_map(Scalar::from),
    ]
}

pub(crate) fn key() -> impl Strategy<Value = Scalar> {
    // A field name in canonical decimal form is an integer key, so such text cannot be told from one.
    prop_oneof![
        (-3..9i64).prop_map(Scalar::Int),
        "[a-z]{1,6}-[0-9]".prop_map(Scalar::from),
        "[a-z\"\\\\ö]{1,3}".prop_map(Scalar::from),
    ]
}

pub(crate) fn meta() -> impl Strategy<Value = Option<Box<RecordMeta>>> {
    prop::option::weighted(
        0.2,
        (prop::option::of(0..9i64), prop::option::of("[a-z]{0,3}"), prop::option::of(0..3i32))
            .prop_map(|(ts, key, epoch)| {
                Box::new(RecordMeta { ts, key, epoch, corrupt: Some("checksum".into()) })
            }),
    )
}

pub(crate) fn record() -> impl Strategy<Value = Record> {
    (prop::option::weighted(0.9, -5..500i64), scalar(), meta())
        .prop_map(|(offset, value, meta)| Record { offset, value, meta })
}

pub(crate) fn mop() -> impl Strategy<Value = Mop> {
    prop_oneof![
        (key(), scalar(), prop::option::of(prop::option::of(0..99i64)))
            .prop_map(|(key, value, offset)| Mop::Send { key, value, offset }),
        Just(Mop::Poll(None)),
        prop::collection::btree_map(key(), prop::collection::vec(record(), 0..4), 0..3)
            .prop_map(|m| Mop::Poll(Some(m.into_iter().collect()))),
    ]
}

pub(crate) fn datum() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e6f64..1e6).prop_map(Value::from),
        "[a-z\"\\\\]{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[a-z]{1,4}", inner), 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

pub(crate) fn body() -> impl Strategy<Value = (F, Payload)> {
    prop_oneof![
        4 => (
            prop_oneof![Just(F::Send), Just(F::Poll), Just(F::Txn)],
            prop::collection::vec(mop(), 0..4)
        )
            .prop_map(|(f, mops)| (f, Payload::Mops(mops))),
        1 => prop::collection::vec(key(), 0..4).prop_map(|keys| (F::Assign, Payload::Keys(keys))),
        1 => datum().prop_map(|d| {
            (F::Other("kill".into()), if d.is_null() { Payload::None } else { Payload::Json(d) })
        }),
        1 => prop::collection::vec((datum(), datum()), 1..3).prop_map(|list| {
            let mops = list.into_iter().map(|(k, v)| json!(["append", k, v]));
            (F::Txn, Payload::Json(mops.collect()))
        }),
    ]
}

pub(crate) fn event() -> impl Strategy<Value = Event> {
    let process = prop::option::weighted(
        0.9,
        prop_oneof![
            4 => (0..5u32).prop_map(Process::Client),
            1 => Just(Process::Nemesis),
            1 => Just(Process::Cluster),
        ],
    );
    let kind = prop_oneof![Just(Kind::Invoke), Just(Kind::Ok), Just(Kind::Fail), Just(Kind::Info)];
    let error = prop::option::weighted(
        0.2,
        ("[A-Z_]{1,5}", "[a-z ]{0,5}").prop_map(|(code, message)| OpError { code, message }),
    );
    let ext = prop::collection::vec(("x[a-z]{0,3}", datum()), 0..3);
    (prop::option::of(0..1000i64), process, kind, body(), error, ext).prop_map(
        |(time, process, kind, (f, value), error, ext)| Event {
            index: 0,
            time,
            process,
            kind,
            f,
            value,
            error,
            ext: ext.into_iter().collect(),
        },
    )
}

pub(crate) fn events() -> impl Strategy<Value = Vec<Event>> {
    prop::collection::vec(event(), 0..8).prop_map(|mut events| {
        let mut times: Vec<i64> = events.iter().filter_map(|e| e.time).collect();
        times.sort_unstable();
        let mut times = times.into_iter();
        for (i, event) in events.iter_mut().enumerate() {
            event.index = i as u64;
            event.time = event.time.and_then(|_| times.next());
        }
        events
    })
}
