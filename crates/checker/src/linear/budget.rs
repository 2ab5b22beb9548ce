//! How much an undecided question may cost.
//!
//! The checker reads no clock: whoever calls it decides what a step is worth. A searching algorithm calls
//! [`Budget::step`] for every unit of work, in the middle of its loops, with the bytes that it has taken or given back
//! since the last call.

/// What ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exhausted {
    /// The time that was given.
    Time,
    /// The memory that was given.
    Memory,
}

impl Exhausted {
    /// The reason code of an unknown verdict: `budget-time` or `budget-memory`.
    pub fn code(self) -> &'static str {
        match self {
            Exhausted::Time => "budget-time",
            Exhausted::Memory => "budget-memory",
        }
    }
}

/// Time and memory that a caller grants. A closure `FnMut(i64) -> Result<(), Exhausted>` is one too.
pub trait Budget {
    /// One unit of work that changed the memory in use by `bytes_delta`. In searches that is one configuration, less
    /// than a few microseconds; the near-linear monitors, which cannot run away, call it once a pass.
    ///
    /// # Errors
    /// What ran out. The algorithm stops and its answer is *unknown*.
    fn step(&mut self, bytes_delta: i64) -> Result<(), Exhausted>;
}

impl<F: FnMut(i64) -> Result<(), Exhausted>> Budget for F {
    fn step(&mut self, bytes_delta: i64) -> Result<(), Exhausted> {
        self(bytes_delta)
    }
}

/// No limit. Only for questions that are known to be small.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unlimited;

impl Budget for Unlimited {
    fn step(&mut self, _bytes_delta: i64) -> Result<(), Exhausted> {
        Ok(())
    }
}

/// A limit in steps and in bytes. The same history under the same limits always gets the same answer.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    steps_left: u64,
    bytes: i64,
    bytes_max: i64,
}

impl Limits {
    /// At most `steps` units of work and `bytes` of memory at any moment.
    pub fn new(steps: u64, bytes: u64) -> Self {
        Limits { steps_left: steps, bytes: 0, bytes_max: i64::try_from(bytes).unwrap_or(i64::MAX) }
    }
}

impl Budget for Limits {
    fn step(&mut self, bytes_delta: i64) -> Result<(), Exhausted> {
        self.bytes = self.bytes.saturating_add(bytes_delta);
        if self.bytes > self.bytes_max {
            return Err(Exhausted::Memory);
        }
        self.steps_left = self.steps_left.checked_sub(1).ok_or(Exhausted::Time)?;
        Ok(())
    }
}
