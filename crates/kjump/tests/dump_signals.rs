//! Dumps whose writer is ended by a signal, where files cannot be without a name.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;

mod support;

use support::{Directory, text, verified};

/// Without /proc, a file without a name cannot get one, as on file systems without `O_TMPFILE`.
const WITHOUT_PROC: &str = "mount -t tmpfs none /proc || exit 9\nexec \"$@\"";

/// Saves a dump without /proc, and sends a signal once its temporary file is there.
fn interrupted(dir: &Directory, shell: &str, signal: &str) -> ExitStatus {
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-c", &format!("{shell}{WITHOUT_PROC}"), "sh"]);
    command.arg(env!("CARGO_BIN_EXE_kjump"));
    command.args(["dump", "save", "--threads", "1", "--compress", "zlib"]);
    command.arg(dir.path("vmcore")).arg(dir.path("dump")).stdout(Stdio::null());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let temporary = format!(".dump.kjump-{}", child.id());
    loop {
        if dir.names().contains(&temporary) {
            break;
        }
        if child.try_wait().unwrap().is_some() {
            let output = child.wait_with_output().unwrap();
            panic!("{}: {}", output.status, text(&output.stderr));
        }
        thread::yield_now();
    }
    let sent = Command::new("kill").args([format!("-{signal}"), child.id().to_string()]).status();
    assert!(sent.unwrap().success());
    child.wait().unwrap()
}

#[test]
fn a_signal_removes_the_temporary_file() {
    let works = Command::new("unshare").args(["-rm", "sh", "-c", WITHOUT_PROC, "sh", "true"]).output();
    if !works.is_ok_and(|output| output.status.success()) {
        println!("left out: this user cannot mount a file system over /proc");
        return;
    }
    let dir = Directory::new("signals");
    dir.source();
    for (signal, number) in [("TERM", 15), ("INT", 2), ("HUP", 1)] {
        let status = interrupted(&dir, "", signal);
        assert_eq!(status.signal(), Some(number), "{signal}: {status}");
        assert_eq!(dir.names(), ["vmcore"], "{signal}");
    }
    // As under nohup(1).
    let status = interrupted(&dir, "trap '' HUP\n", "HUP");
    assert!(status.success(), "{status}");
    assert_eq!(dir.names(), ["dump", "vmcore"]);
    assert!(verified(&dir.path("dump")).status.success());
}
