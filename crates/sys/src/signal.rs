//! Signals.
// UNSAFETY: signal(2) has no safe wrapper.
#![allow(unsafe_code)]

/// Lets a write beyond the limit of file sizes (`ulimit -f`) fail with `EFBIG` instead of killing
/// the program.
pub fn ignore_file_size_limit() {
    // SAFETY: ignoring a signal installs no handler.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}
