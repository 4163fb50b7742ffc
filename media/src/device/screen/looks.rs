//! One look after another at what may hang.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Looks for names, one at a time: each takes a thread, and nothing ends one that hangs.
#[derive(Clone, Debug, Default)]
pub(super) struct Looks(Arc<(Mutex<Last>, Condvar)>);

#[derive(Debug, Default)]
struct Last {
    look: Look,
    /// What was seen at the last look that ended.
    names: Vec<String>,
}

/// Where a look is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Look {
    #[default]
    None,
    UnderWay,
    /// Somebody has waited for it in vain.
    Hangs,
}

impl Looks {
    /// What `look` sees, if that takes no longer than `patience`; what was known before, if it takes longer, or if another one hangs.
    pub(super) fn names(&self, patience: Duration, look: impl FnOnce() -> Vec<String> + Send + 'static) -> Vec<String> {
        let mut last = self.last();
        if last.look == Look::None {
            let looks = self.clone();
            let work = move || {
                // Where one fails, the next one may not.
                let names = catch_unwind(AssertUnwindSafe(look)).unwrap_or_default();
                *looks.last() = Last { look: Look::None, names };
                looks.0.1.notify_all();
            };
            match thread::Builder::new().name("screens".into()).spawn(work) {
                Ok(_) => last.look = Look::UnderWay,
                Err(error) => tracing::warn!(%error, "no thread to be had"),
            }
        }
        let under_way = |last: &mut Last| last.look == Look::UnderWay;
        let waited = self.0.1.wait_timeout_while(last, patience, under_way);
        let (mut last, outcome) = waited.unwrap_or_else(PoisonError::into_inner);
        if outcome.timed_out() {
            last.look = Look::Hangs;
        }
        last.names.clone()
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        // Names cannot be left half-changed.
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const SOON: Duration = Duration::from_millis(20);
    const LATE: Duration = Duration::from_secs(30);

    fn screen(name: &str) -> Vec<String> {
        vec![format!("screen:{name}")]
    }

    #[test]
    fn one_look_at_most_hangs() {
        let looks = Looks::default();
        assert_eq!(looks.names(LATE, || screen("A")), screen("A"));
        let (release, hold) = mpsc::channel::<()>();
        let hanging = move || {
            let _ = hold.recv();
            screen("B")
        };
        assert_eq!(looks.names(SOON, hanging), screen("A"), "what was known");
        for _ in 0..3 {
            // With so much patience this would not end if it waited.
            assert_eq!(looks.names(LATE, || screen("C")), screen("A"));
        }
        drop(release);
        while looks.last().look != Look::None {
            thread::yield_now();
        }
        assert_eq!(looks.last().names, screen("B"), "what the one that hung saw in the end");
        assert_eq!(looks.names(LATE, || screen("C")), screen("C"), "and then it is looked at again");
    }
}
