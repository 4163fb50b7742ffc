//! What ALSA's library says when a device is missing: lines for its authors, on standard error. They go to the log.

/// Does what may make ALSA's library speak on this thread.
#[cfg(target_os = "linux")]
pub(super) fn quietly<T>(work: impl FnOnce() -> T) -> T {
    // It takes the place of the one before it, and holds what is said until the next.
    let said = alsa::Output::local_error_handler();
    let result = work();
    if let Ok(said) = said {
        let said = said.borrow().to_string();
        if !said.is_empty() {
            tracing::debug!(%said, "ALSA complains");
        }
    }
    result
}

/// Does that.
#[cfg(not(target_os = "linux"))]
pub(super) fn quietly<T>(work: impl FnOnce() -> T) -> T {
    work()
}
