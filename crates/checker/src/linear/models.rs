//! The sequential objects that histories are held against.

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
