//! Signals.
// UNSAFETY: signal(2), sigaction(2), sigwait(3), pthread_sigmask(3) and raise(3) have no safe
// wrappers.
#![allow(unsafe_code)]

use std::{io, mem, ptr, thread};

/// The signals that end a program which has unfinished work elsewhere.
const ENDING: [libc::c_int; 3] = [libc::SIGHUP, libc::SIGINT, libc::SIGTERM];

/// Lets a write beyond the limit of file sizes (`ulimit -f`) fail with `EFBIG` instead of killing
/// the program.
pub fn ignore_file_size_limit() {
    // SAFETY: ignoring a signal installs no handler.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// Executes `action` before SIGHUP, SIGINT or SIGTERM ends the program, in a thread of its own. A
/// second signal ends the program at once. Signals that are ignored stay ignored.
///
/// This thread and those that it starts later do not take these signals any more. Only one action
/// should be registered: of several, a signal has one executed.
///
/// # Errors
/// No thread can be started.
pub fn before_termination(action: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let signals = set();
    mask(libc::SIG_BLOCK, &signals);
    let waiter = thread::Builder::new().spawn(move || {
        let mut signal = 0;
        // SAFETY: both arguments are alive; the set is blocked in every thread that is here.
        while unsafe { libc::sigwait(&raw const signals, &raw mut signal) } != 0 {}
        mask(libc::SIG_UNBLOCK, &signals);
        action();
        // SAFETY: the signal has its default action, as no handler was installed for it.
        unsafe { libc::raise(signal) };
    });
    if waiter.is_err() {
        mask(libc::SIG_UNBLOCK, &signals);
    }
    waiter.map(drop)
}

/// The signals that end the program now. A blocked signal is kept even if it is ignored, so
/// `sigwait` would return those that are ignored.
fn set() -> libc::sigset_t {
    // SAFETY: a set is a plain array of integers; zeros are an empty set.
    let mut signals: libc::sigset_t = unsafe { mem::zeroed() };
    for signal in ENDING.into_iter().filter(|signal| !is_ignored(*signal)) {
        // SAFETY: the set is alive, and the number is a signal's.
        unsafe { libc::sigaddset(&raw mut signals, signal) };
    }
    signals
}

fn is_ignored(signal: libc::c_int) -> bool {
    // SAFETY: the structure is plain integers and an optional function: zeros are valid.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    // SAFETY: the structure is alive, and no new action is passed.
    let result = unsafe { libc::sigaction(signal, ptr::null(), &raw mut action) };
    result == 0 && action.sa_sigaction == libc::SIG_IGN
}

/// Changes which signals this thread takes.
fn mask(how: libc::c_int, signals: &libc::sigset_t) {
    // SAFETY: the set is alive; the old one is not requested.
    unsafe { libc::pthread_sigmask(how, ptr::from_ref(signals), ptr::null_mut()) };
}
