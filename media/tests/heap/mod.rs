//! An allocator that notices who asks for memory, or gives some back, from within a callback of the sound system.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::rt;

#[global_allocator]
static WATCHFUL: Watchful = Watchful;

static EVERYWHERE: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static HERE: Cell<usize> = const { Cell::new(0) };
}

/// How often that was, on this thread and on all.
pub(crate) fn within_callbacks() -> (usize, usize) {
    (HERE.get(), EVERYWHERE.load(Ordering::Relaxed))
}

struct Watchful;

fn notice() {
    if rt::is_real_time() {
        EVERYWHERE.fetch_add(1, Ordering::Relaxed);
        let _ = HERE.try_with(|here| here.set(here.get() + 1));
    }
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Watchful {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        notice();
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        notice();
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(pointer, layout) }
    }
}
