//! The sequential objects that histories are held against.

use super::op::Op;
use super::queue::QueueCall;
use super::register::RegisterCall;
use super::search::{Model, Role};
use std::collections::VecDeque;

/// A register with read, write and compare-and-set. Values are codes; `name` shows them.
pub struct CasRegister<'a> {
    /// The value at first.
    pub initial: u32,
    /// Shows a value's code.
    pub name: &'a dyn Fn(u32) -> String,
}

impl Model for CasRegister<'_> {
    type State = u32;
    type Call = RegisterCall;

    fn initial(&self) -> u32 {
        self.initial
    }

    fn apply(&self, state: &u32, call: &RegisterCall) -> Option<u32> {
        match *call {
            RegisterCall::Read(v) => (*state == v).then_some(v),
            RegisterCall::Write(v) => Some(v),
            RegisterCall::Cas(from, to) => (*state == from).then_some(to),
            RegisterCall::Differs(v) => (*state != v).then_some(*state),
        }
    }

    fn role(&self, call: &RegisterCall) -> Role {
        match call {
            RegisterCall::Read(_) | RegisterCall::Differs(_) => Role::Observer,
            RegisterCall::Write(_) => Role::Overwrite,
            RegisterCall::Cas(_, _) => Role::Update,
        }
    }

    fn show_state(&self, state: &u32) -> String {
        (self.name)(*state)
    }

    fn show_call(&self, call: &RegisterCall) -> String {
        let name = self.name;
        match *call {
            RegisterCall::Read(v) => format!("read {}", name(v)),
            RegisterCall::Write(v) => format!("wrote {}", name(v)),
            RegisterCall::Cas(a, b) => format!("replaced {} by {}", name(a), name(b)),
            RegisterCall::Differs(v) => format!("found a value other than {}", name(v)),
        }
    }
}

/// What is asked of one key of a string store.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum KvCall {
    /// The key held this string.
    Get(Box<str>),
    /// The key shall hold this string.
    Put(Box<str>),
    /// This string is appended.
    Append(Box<str>),
}

/// One key of a string store with get, put and append; at first empty.
#[derive(Debug, Clone, Copy, Default)]
pub struct Kv;

impl Model for Kv {
    type State = Box<str>;
    type Call = KvCall;

    fn initial(&self) -> Box<str> {
        Box::default()
    }

    fn apply(&self, state: &Box<str>, call: &KvCall) -> Option<Box<str>> {
        match call {
            KvCall::Get(v) => (state == v).then(|| state.clone()),
            KvCall::Put(v) => Some(v.clone()),
            KvCall::Append(v) => Some(format!("{state}{v}").into_boxed_str()),
        }
    }

    fn role(&self, call: &KvCall) -> Role {
        match call {
            KvCall::Get(_) => Role::Observer,
            KvCall::Put(_) => Role::Overwrite,
            KvCall::Append(_) => Role::Update,
        }
    }

    fn weight(&self, state: &Box<str>) -> usize {
        state.len() + 16
    }

    fn show_state(&self, state: &Box<str>) -> String {
        shorten(state)
    }

    fn show_call(&self, call: &KvCall) -> String {
        match call {
            KvCall::Get(v) => format!("got {}", shorten(v)),
            KvCall::Put(v) => format!("put {}", shorten(v)),
            KvCall::Append(v) => format!("appended {}", shorten(v)),
        }
    }
}

/// A [`Kv`] that knows which strings were read in a history, which makes its states few.
///
/// A state that begins no string that was read cannot be observed before the next put, whatever is appended to it. All
/// such states are one. The others are beginnings of strings that were read.
#[derive(Debug, Clone, Default)]
pub struct ReadKv {
    /// The strings that were read, in order.
    read: Vec<Box<str>>,
}

/// A state of [`ReadKv`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KvState {
    /// The first `len` bytes of a string that was read: the first in order that begins so.
    Beginning {
        /// Its position among the strings that were read.
        first: u32,
        /// The length in bytes.
        len: u32,
    },
    /// Something that begins no string that was read.
    Other,
}

impl ReadKv {
    /// The model for these operations.
    pub fn new(ops: &[Op<KvCall>]) -> Self {
        let read = ops.iter().filter_map(|op| match &op.call {
            KvCall::Get(v) => Some(v.clone()),
            _ => None,
        });
        let mut read: Vec<Box<str>> = read.collect();
        read.sort_unstable();
        read.dedup();
        ReadKv { read }
    }

    /// The state whose string is the first `len` bytes of `head` and then `tail`. The strings that begin with `head`
    /// stand together from position `from` on.
    fn find(&self, from: u32, len: u32, tail: &str) -> KvState {
        let (from, at) = (from as usize, len as usize);
        let strings = &self.read[from..];
        let Some(head) = strings.first().map(|r| &r[..at]) else { return KvState::Other };
        let before = |r: &str| match r.get(..at) {
            Some(h) if h == head => &r[at..] < tail,
            Some(h) => h < head,
            None => r < head,
        };
        let skip = strings.partition_point(|r| before(r));
        let begins = |r: &str| r.starts_with(head) && r[at..].starts_with(tail);
        match strings.get(skip) {
            Some(found) if begins(found) => {
                let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
                KvState::Beginning { first: small(from + skip), len: small(at + tail.len()) }
            }
            _ => KvState::Other,
        }
    }
}

impl Model for ReadKv {
    type State = KvState;
    type Call = KvCall;

    fn initial(&self) -> KvState {
        self.find(0, 0, "")
    }

    fn apply(&self, state: &KvState, call: &KvCall) -> Option<KvState> {
        match (call, *state) {
            (KvCall::Get(v), KvState::Beginning { first, len }) => {
                (self.read[first as usize][..len as usize] == **v).then_some(*state)
            }
            (KvCall::Get(_), KvState::Other) => None,
            (KvCall::Put(v), _) => Some(self.find(0, 0, v)),
            (KvCall::Append(v), KvState::Beginning { first, len }) => {
                Some(self.find(first, len, v))
            }
            (KvCall::Append(_), KvState::Other) => Some(KvState::Other),
        }
    }

    fn role(&self, call: &KvCall) -> Role {
        Kv.role(call)
    }

    fn may_be_seen(&self, state: &KvState) -> bool {
        *state != KvState::Other
    }

    fn show_state(&self, state: &KvState) -> String {
        match *state {
            KvState::Beginning { first, len } => {
                shorten(&self.read[first as usize][..len as usize])
            }
            KvState::Other => "a string that no get returned".into(),
        }
    }

    fn show_state_after(&self, calls: &[&KvCall], _state: &KvState) -> String {
        let mut string = Kv.initial();
        for call in calls {
            string = Kv.apply(&string, call).unwrap_or(string);
        }
        shorten(&string)
    }

    fn show_call(&self, call: &KvCall) -> String {
        Kv.show_call(call)
    }
}

/// A string in quotes, its middle left out when it is long.
fn shorten(s: &str) -> String {
    const ENDS: usize = 24;
    let chars: Vec<char> = s.chars().collect();
    if chars.len() <= 3 * ENDS {
        return format!("{s:?}");
    }
    let head: String = chars[..ENDS].iter().collect();
    let tail: String = chars[chars.len() - ENDS..].iter().collect();
    format!("{head:?} … {tail:?} ({} characters)", chars.len())
}

/// What is asked of a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MutexCall {
    /// The lock was free and is now held.
    Acquire,
    /// The lock was held and is now free.
    Release,
}

/// A lock, at first free.
pub struct Mutex;

impl Model for Mutex {
    type State = bool;
    type Call = MutexCall;

    fn initial(&self) -> bool {
        false
    }

    fn apply(&self, held: &bool, call: &MutexCall) -> Option<bool> {
        match call {
            MutexCall::Acquire => (!held).then_some(true),
            MutexCall::Release => held.then_some(false),
        }
    }

    fn role(&self, _call: &MutexCall) -> Role {
        Role::Update
    }

    fn show_state(&self, held: &bool) -> String {
        if *held { "the lock held".into() } else { "the lock free".into() }
    }

    fn show_call(&self, call: &MutexCall) -> String {
        match call {
            MutexCall::Acquire => "acquired the lock".into(),
            MutexCall::Release => "released the lock".into(),
        }
    }
}

/// One access of a transaction: a register's number and a value's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// The register held this value.
    Read(u32, u32),
    /// The register shall hold this value.
    Write(u32, u32),
}

/// Several registers; a transaction reads and writes them in order at one moment.
pub struct MultiRegister<'a> {
    /// The values at first, by register.
    pub initial: Vec<u32>,
    /// Shows a register's number.
    pub key: &'a dyn Fn(u32) -> String,
    /// Shows a value's code.
    pub name: &'a dyn Fn(u32) -> String,
}

impl Model for MultiRegister<'_> {
    type State = Box<[u32]>;
    type Call = Box<[Access]>;

    fn initial(&self) -> Box<[u32]> {
        self.initial.clone().into()
    }

    fn apply(&self, state: &Box<[u32]>, call: &Box<[Access]>) -> Option<Box<[u32]>> {
        let mut after = state.clone();
        for access in call {
            match *access {
                Access::Read(k, v) => (after[k as usize] == v).then_some(())?,
                Access::Write(k, v) => after[k as usize] = v,
            }
        }
        Some(after)
    }

    fn role(&self, call: &Box<[Access]>) -> Role {
        let reads = call.iter().all(|a| matches!(a, Access::Read(_, _)));
        if reads { Role::Observer } else { Role::Update }
    }

    fn weight(&self, state: &Box<[u32]>) -> usize {
        4 * state.len() + 16
    }

    fn show_state(&self, state: &Box<[u32]>) -> String {
        let pairs: Vec<String> = (0u32..)
            .zip(state)
            .map(|(k, v)| format!("{} = {}", (self.key)(k), (self.name)(*v)))
            .collect();
        pairs.join(", ")
    }

    fn show_call(&self, call: &Box<[Access]>) -> String {
        let parts: Vec<String> = call
            .iter()
            .map(|a| match *a {
                Access::Read(k, v) => format!("read {} = {}", (self.key)(k), (self.name)(v)),
                Access::Write(k, v) => format!("wrote {} = {}", (self.key)(k), (self.name)(v)),
            })
            .collect();
        parts.join(" and ")
    }
}

/// A first-in first-out queue, at first empty.
pub struct Fifo<'a> {
    /// Shows a value's code.
    pub name: &'a dyn Fn(u32) -> String,
}

impl Model for Fifo<'_> {
    type State = VecDeque<u32>;
    type Call = QueueCall;

    fn initial(&self) -> VecDeque<u32> {
        VecDeque::new()
    }

    fn apply(&self, state: &VecDeque<u32>, call: &QueueCall) -> Option<VecDeque<u32>> {
        let mut after = state.clone();
        match *call {
            QueueCall::Enqueue(v) => after.push_back(v),
            QueueCall::Dequeue(v) => (after.pop_front() == Some(v)).then_some(())?,
            QueueCall::Empty => after.is_empty().then_some(())?,
            QueueCall::Take => {
                after.pop_front();
            }
        }
        Some(after)
    }

    fn role(&self, call: &QueueCall) -> Role {
        if *call == QueueCall::Empty { Role::Observer } else { Role::Update }
    }

    fn weight(&self, state: &VecDeque<u32>) -> usize {
        4 * state.len() + 32
    }

    fn show_state(&self, state: &VecDeque<u32>) -> String {
        match state.front() {
            None => "the queue empty".into(),
            Some(v) => format!("{} at the front of {}", (self.name)(*v), state.len()),
        }
    }

    fn show_call(&self, call: &QueueCall) -> String {
        match *call {
            QueueCall::Enqueue(v) => format!("enqueued {}", (self.name)(v)),
            QueueCall::Dequeue(v) => format!("dequeued {}", (self.name)(v)),
            QueueCall::Empty => "found the queue empty".into(),
            QueueCall::Take => "dequeued something".into(),
        }
    }
}
