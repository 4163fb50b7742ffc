//! Code that a sound system runs when it must: it takes no lock, asks for no memory, logs nothing and does not panic.

use std::cell::Cell;

thread_local! {
    static REAL_TIME: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` as a callback of the sound system; [`is_real_time`] says so meanwhile. Costs two writes.
pub fn within<T>(work: impl FnOnce() -> T) -> T {
    /// Ends with the work, however that ends.
    struct Within(bool);
    impl Drop for Within {
        fn drop(&mut self) {
            REAL_TIME.set(self.0);
        }
    }
    let _within = Within(REAL_TIME.replace(true));
    work()
}

/// Whether this thread runs a callback of ours at the moment: what an allocator or a log asks, to tell of one that should not
/// have been called.
#[must_use]
pub fn is_real_time() -> bool {
    REAL_TIME.try_with(Cell::get).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_within_for_as_long_as_its_callback() {
        assert!(!is_real_time());
        assert!(within(|| within(is_real_time) && is_real_time()));
        assert!(!is_real_time());
        let panicked = std::panic::catch_unwind(|| within(|| panic!("as a callback must not")));
        assert!(panicked.is_err() && !is_real_time());
    }
}
