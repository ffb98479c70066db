//! A shell in another kernel looks at the kernel at rest.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use lab::stage::{kernel_file, release_of_last, vm};
use lab::story::Story;
use lab::{Result, stories};

pub(crate) const STORIES: &[Story] = stories! {
    &["6.1", "6.12"], first => a_shell_looks_at_the_kernel_at_rest,
};

/// The longest wait for what the shell prints, on a busy host.
const PATIENCE: Duration = Duration::from_secs(200);

/// A terminal of the guest, a serial port that QEMU connects to a socket.
struct Terminal {
    socket: UnixStream,
    text: String,
}

impl Terminal {
    fn open(path: &Path) -> io::Result<Self> {
        let end = Instant::now() + PATIENCE;
        loop {
            match UnixStream::connect(path) {
                Ok(socket) => {
                    socket.set_read_timeout(Some(PATIENCE))?;
                    return Ok(Self { socket, text: String::new() });
                }
                Err(error) if Instant::now() > end => return Err(error),
                Err(_) => thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    /// Waits for a text, and returns what was printed before it.
    fn wait_for(&mut self, wanted: &str) -> io::Result<String> {
        let mut bytes = [0; 1024];
        loop {
            if let Some((before, after)) = self.text.split_once(wanted) {
                let (before, after) = (before.to_owned(), after.to_owned());
                self.text = after;
                return Ok(before);
            }
            let count = self.socket.read(&mut bytes).map_err(|error| {
                io::Error::new(error.kind(), format!("no {wanted:?} after {:?}: {error}", self.text))
            })?;
            if count == 0 {
                return Err(io::Error::other(format!("the machine ended: no {wanted:?} in {:?}", self.text)));
            }
            self.text += &String::from_utf8_lossy(&bytes[..count]);
        }
    }

    fn enter(&mut self, line: &str) -> io::Result<()> {
        self.socket.write_all(format!("{line}\r").as_bytes())
    }
}

const PROMPT: &str = "debug# ";

/// What a person does, until the guest's job ends: looks at the log of the kernel at rest, lets it
/// continue, and comes again. Returns the log's line, and the times from command to prompt.
fn person(path: &Path) -> io::Result<(String, [Duration; 2])> {
    let mut terminal = Terminal::open(path)?;
    let mut times = [Duration::ZERO; 2];
    terminal.wait_for("here I come")?;
    let start = Instant::now();
    terminal.wait_for(PROMPT)?;
    times[0] = start.elapsed();
    terminal.enter("kjump dump dmesg /proc/vmcore | grep 'the marker'")?;
    let log = terminal.wait_for(PROMPT)?;
    terminal.enter("exit")?;
    terminal.wait_for("here I come")?;
    let start = Instant::now();
    terminal.wait_for(PROMPT)?;
    times[1] = start.elapsed();
    // A command that runs is interrupted from the terminal.
    terminal.enter("sleep 1000")?;
    terminal.wait_for("sleep 1000")?;
    thread::sleep(Duration::from_secs(1));
    terminal.enter("\x03")?;
    terminal.wait_for(PROMPT)?;
    terminal.enter("exit 7")?;
    Ok((log, times))
}

fn a_shell_looks_at_the_kernel_at_rest(on: &str) -> Result<()> {
    let path: PathBuf = std::env::temp_dir().join(format!("kjump-shell-{}", std::process::id()));
    let socket = format!("socket,id=shell,path={},server=on,wait=off", path.display());
    let release = release_of_last(on);
    let job = "set -e
        echo 'the marker of a' > /dev/kmsg
        kjump debug --console 'ttyS2 init=/x' && exit 1
        kjump debug --console ttyS2 --prepare --memory 192M --deadline 300
        kjump debug --prepare
        kjump debug --memory 256M && exit 1
        kjump peers
        for time in 1 2; do
            echo 'here I come' > /dev/ttyS2
            kjump debug
        done
        kjump drop debug";
    let person = {
        let path = path.clone();
        thread::spawn(move || person(&path))
    };
    let ended = vm(on)
        .smp(2)
        .mem(768)
        .file(kernel_file(on), format!("/boot/vmlinuz-{release}"))
        .qemu("-chardev")
        .qemu(socket)
        .qemu("-serial")
        .qemu("chardev:shell")
        .run(job);
    // QEMU leaves it.
    let _ = std::fs::remove_file(&path);
    let seen = person.join().expect("the person's thread ends");
    ended?
        .succeeded()
        .prints("is resident already")
        .prints("--memory is for booting the other kernel")
        .prints("debug returned 0x0 after")
        .prints("debug returned 0x7 after")
        .kernel_log_is_clean();
    let (log, times) = seen.expect("the shell answers");
    assert!(log.contains("the marker of a"), "{log}");
    println!("from command to prompt: {times:?}");
    Ok(())
}
