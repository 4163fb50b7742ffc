//! An allocator that counts: what grows anywhere shows here, whether or not anybody thought of it, and so does what asks for
//! memory where nothing may.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

static LIVE: AtomicUsize = AtomicUsize::new(0);
static WATCHED: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    static WATCHED_HERE: Cell<usize> = const { Cell::new(0) };
}

/// Bytes allocated and not freed. What C libraries allocate is not among them.
#[must_use]
pub fn live() -> usize {
    LIVE.load(Ordering::Relaxed)
}

/// Runs `act` and says how often it allocated on this thread; memory that moved to grow counts as well.
pub fn allocations<R>(act: impl FnOnce() -> R) -> (usize, R) {
    let before = ALLOCATIONS.get();
    let result = act();
    (ALLOCATIONS.get() - before, result)
}

/// How often memory was asked for or given back by a thread that is watched: by this one, and by all.
#[must_use]
pub fn watched() -> (usize, usize) {
    (WATCHED_HERE.get(), WATCHED.load(Ordering::Relaxed))
}

/// The system's allocator, counted. A test has it by declaring a `#[global_allocator]` of this type.
#[derive(Debug)]
pub struct Heap {
    watches: fn() -> bool,
}

impl Heap {
    /// One that watches no thread.
    #[must_use]
    pub const fn new() -> Self {
        Self::watching(|| false)
    }

    /// One that watches the threads which `watches` says it should, when each of them asks for memory or gives some back. It
    /// must not allocate.
    #[must_use]
    pub const fn watching(watches: fn() -> bool) -> Self {
        Self { watches }
    }

    fn notice(&self) {
        if (self.watches)() {
            WATCHED.fetch_add(1, Ordering::Relaxed);
            WATCHED_HERE.set(WATCHED_HERE.get() + 1);
        }
    }
}

impl Default for Heap {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: every call goes to the system's allocator as it came. What is counted needs no memory: it is in statics and in
// thread-locals that are neither made lazily nor dropped.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        self.notice();
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        self.notice();
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(pointer, layout) }
    }
}
