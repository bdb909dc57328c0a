//! Broken variants, for the simulator alone: it proves with them that its invariants can fail.
//!
//! Without the feature `mutants`, which only the simulator switches on, [`active`] is constant and leaves no trace in
//! what is built.

/// Whether this thread runs the broken variant of this name.
#[cfg(not(feature = "mutants"))]
#[inline(always)]
pub const fn active(_name: &str) -> bool {
    false
}

/// Whether this thread runs the broken variant of this name.
#[cfg(feature = "mutants")]
pub fn active(name: &str) -> bool {
    ACTIVE.with(|active| active.get() == name)
}

/// From now on this thread runs the broken variant of this name; none has the empty name.
#[cfg(feature = "mutants")]
pub fn activate(name: &'static str) {
    ACTIVE.with(|active| active.set(name));
}

#[cfg(feature = "mutants")]
thread_local! {
    static ACTIVE: std::cell::Cell<&'static str> = const { std::cell::Cell::new("") };
}
