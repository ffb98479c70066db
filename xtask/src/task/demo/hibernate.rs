//! `cargo xtask demo hibernate`: a kernel with work under way is hibernated and resumed after a
//! power cycle; then everything that must not be resumed is refused.

use std::fs;
use std::io;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use lab::{Error, Job, Listener, POWER_CUT, Vm};

use crate::build::product;
use crate::tree;

/// Bytes of the disk for the image.
const IMAGE_BYTES: u64 = 400 << 20;

const HIBERNATE: &str = "# kjump hibernate --to /dev/vda --key-file /key";
const RESUME: &str = "kjump resume --from /dev/vda --key-file /key";

/// The work of the hibernated kernel: a computation, an open file in a tmpfs, a TCP connection to
/// itself.
const WORK: &str = "
set -e
guest remember 150 /tmp/memory &
until [ -e /tmp/memory ]; do sleep 0.1; done
(n=0; while :; do n=$((n + 1)); echo $n > /tmp/step; mv /tmp/step /tmp/count; sleep 0.05; done) &
until [ -e /tmp/count ]; do sleep 0.1; done
exec 5> /tmp/open; echo 'written before' >&5
mkfifo /tmp/to /tmp/idle; exec 6<> /tmp/to 7<> /tmp/idle
nc -l -p 77 < /tmp/idle > /tmp/received &
until netstat -tln | grep -q ':77 '; do sleep 0.1; done
nc 127.0.0.1 77 < /tmp/to > /dev/null &
echo 'sent before' >&6
until [ -s /tmp/received ]; do sleep 0.1; done
before=$(cat /tmp/count)
echo \"the computation is at step $before\"
kjump hibernate --to /dev/vda --key-file /key || echo \"exit status $?\"
until [ $(cat /tmp/count) -gt $before ]; do sleep 0.1; done
echo 'the computation goes on'
touch /tmp/memory.check; until [ -e /tmp/memory.checked ]; do sleep 0.1; done
echo \"150 MiB of memory: $(cat /tmp/memory.checked)\"
echo 'written after' >&5; [ $(wc -l < /tmp/open) = 2 ]; echo 'the open file is written on'
echo 'sent after' >&6; until [ $(wc -l < /tmp/received) = 2 ]; do sleep 0.1; done
echo 'the TCP connection carries on'
";

/// One step of the demonstration.
struct Step<'a> {
    heading: &'a str,
    job: &'a str,
    /// Its exit status.
    status: u8,
    /// What it has to print.
    wanted: &'a [&'a str],
}

/// Runs everything; returns whether each step went as it has to.
///
/// # Errors
/// A part does not build, or the guest cannot be prepared.
pub(super) fn run(kernel: &str) -> Result<bool> {
    println!("Building kjump and its module for Debian's kernel {kernel}.");
    let vm = product::beside(product::vm(kernel)?, kernel)?;
    let dir = tree::target().join("demo");
    fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
    let (image, key) = (dir.join("image"), dir.join("key"));
    fs::write(&key, "the key file of this demonstration")?;
    let demo = Demo { vm: vm.smp(2).file(&key, "/key"), image };
    let mut right = demo.loses_power()?;
    right &= demo.hibernates()?;
    right &= demo.refuses()?;
    right &= demo.resumes()?;
    right &= demo.says_why_not()?;
    right &= demo.takes_snapshots()?;
    println!("\ndemo: {}", if right { "PASS" } else { "FAIL" });
    Ok(right)
}

struct Demo {
    vm: Vm,
    image: PathBuf,
}

impl Demo {
    fn vm(&self) -> Vm {
        self.vm.clone().mem(640).disk(&self.image)
    }

    fn new_image(&self, bytes: u64) -> Result<()> {
        let file = fs::File::create(&self.image).with_context(|| self.image.display().to_string())?;
        Ok(file.set_len(bytes)?)
    }

    /// The disk is left with half an image, which the next step overwrites.
    fn loses_power(&self) -> Result<bool> {
        self.new_image(IMAGE_BYTES)?;
        println!("\n{HIBERNATE}  (and the power fails at 30 %)");
        let cut = ends(&self.vm().power_cut_after("saved 30 %"), POWER_CUT);
        let cut = check("the power is cut while the image is written", cut);
        let after = Step {
            heading: "The next boot:",
            job: &format!("kjump image info /dev/vda; {RESUME}"),
            status: 1,
            wanted: &["state: unfinished", "the machine stopped before the image was complete"],
        };
        Ok(cut & after.run(&self.vm())?)
    }

    fn hibernates(&self) -> Result<bool> {
        println!("\n{HIBERNATE}");
        let off = ends(&self.vm(), "it powered off");
        Ok(check("the kernel is hibernated, and the machine is off", off))
    }

    /// The image is as before afterwards.
    fn refuses(&self) -> Result<bool> {
        const JOB: &str = "
            echo 'another key, as long as that' > /tmp/wrong
            kjump resume --from /dev/vda --key-file /tmp/wrong
            dd if=/dev/vda of=/tmp/page bs=4k skip=500 count=1 2> /dev/null
            tr '\\000-\\377' '\\001-\\377\\000' < /tmp/page \\
                | dd of=/dev/vda bs=4k seek=500 count=1 2> /dev/null
            kjump resume --from /dev/vda --key-file /key
            dd if=/tmp/page of=/dev/vda bs=4k seek=500 count=1 2> /dev/null
            kjump image verify /dev/vda --key-file /key
            kjump image info /dev/vda";
        Step {
            heading: "A wrong key, and an image in which one page was changed:",
            job: JOB,
            status: 0,
            wanted: &[
                "the key is wrong",
                "not resumed; the image is unchanged: block 6 was changed after it was written",
                "blocks verified",
                "state: complete",
            ],
        }
        .run(&self.vm())
    }

    fn resumes(&self) -> Result<bool> {
        Step {
            heading: &format!("# {RESUME}"),
            job: &format!("{RESUME}; exit 99"),
            status: 0,
            wanted: &[
                "hibernated and resumed",
                "the computation goes on",
                "150 MiB of memory: all as it was",
                "the open file is written on",
                "the TCP connection carries on",
            ],
        }
        .run(&self.vm().resumes())
    }

    /// The image was used, and then the disk is too small for another.
    fn says_why_not(&self) -> Result<bool> {
        let used = Step {
            heading: "Again:",
            job: RESUME,
            status: 1,
            wanted: &["there is no complete image: the file is used"],
        };
        let right = used.run(&self.vm())?;
        self.new_image(8 << 20)?;
        let small = Step {
            heading: "A disk of 8 MiB:",
            job: WORK,
            status: 0,
            wanted: &[
                "not hibernated, and this kernel goes on: no room",
                "150 MiB of memory: all as it was",
                "the TCP connection carries on",
            ],
        };
        Ok(right & small.run(&self.vm())?)
    }

    fn takes_snapshots(&self) -> Result<bool> {
        self.new_image(IMAGE_BYTES)?;
        const JOB: &str = "
            set -e
            echo 'a line of the first snapshot' > /dev/kmsg
            kjump snapshot -d 31 /dev/vda
            kjump dump dmesg /dev/vda | grep 'a line of'
            echo 'a line of the second snapshot' > /dev/kmsg
            kjump snapshot -d 31 /dev/vda
            kjump dump dmesg /dev/vda | grep 'a line of the second'
            kjump dump verify /dev/vda
            echo verified";
        Step {
            heading: "# kjump snapshot -d 31 /dev/vda, twice",
            job: JOB,
            status: 0,
            wanted: &["a line of the first snapshot", "a line of the second snapshot", "verified"],
        }
        .run(&self.vm())
    }
}

/// Runs the work, which hibernates. Whether the machine ended in this way.
fn ends(vm: &Vm, wanted: &str) -> bool {
    let mut shown = Shown::default();
    match vm.stream(&Job::shell(WORK), &mut shown) {
        Err(Error::GuestEnded { why, log, .. }) if why == wanted => {
            for line in log.lines().filter(|line| line.starts_with("kjump hibernate: ")) {
                println!("    {line}");
            }
            true
        }
        Err(error) => {
            println!("{error}");
            false
        }
        Ok(_) => false,
    }
}

impl Step<'_> {
    fn run(&self, vm: &Vm) -> Result<bool> {
        println!("\n{}", self.heading);
        let mut shown = Shown::default();
        let status = vm.stream(&Job::shell(self.job), &mut shown)?.into_outcome().status;
        let mut right =
            self.wanted.iter().filter(|text| !check(text, shown.text.contains(**text))).count() == 0;
        if status != self.status {
            right = check(&format!("exit status {status} instead of {}", self.status), false);
        }
        Ok(right)
    }
}

/// Prints what the guest prints, as it arrives.
#[derive(Default)]
struct Shown {
    text: String,
    lines: usize,
}

impl Shown {
    fn add(&mut self, bytes: &[u8]) {
        self.text += &String::from_utf8_lossy(bytes);
        let whole = self.text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        for line in whole.lines().skip(self.lines) {
            println!("    {line}");
            self.lines += 1;
        }
    }
}

impl Listener for Shown {
    fn out(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.add(bytes);
        Ok(())
    }

    fn err(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.add(bytes);
        Ok(())
    }

    fn note(&mut self, _: &str) {}
}

fn check(what: &str, right: bool) -> bool {
    println!("{}  {what}", if right { "ok   " } else { "WRONG" });
    right
}

/// Removes the large file.
impl Drop for Demo {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.image);
    }
}
