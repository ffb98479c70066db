//! `cargo xtask demo hibernate`: a kernel with work under way is hibernated and resumed after a
//! power cycle; then everything that must not be resumed is refused.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use lab::{Error, Outcome, Vm};

use crate::build::product;
use crate::tree;

/// Bytes of the disk for the image.
const IMAGE_BYTES: u64 = 400 << 20;

/// The work of the hibernated kernel: a computation, an open file, a tmpfs, a TCP connection to
/// itself.
const WORK: &str = "
set -e
guest remember 150 /tmp/memory &
until [ -e /tmp/memory ]; do sleep 0.1; done
(n=0; while :; do n=$((n + 1)); echo $n > /tmp/count; sleep 0.05; done) &
exec 5> /tmp/open; echo 'written before' >&5
mkfifo /tmp/to; nc -l -p 77 < /dev/null > /tmp/received & sleep 0.5
nc 127.0.0.1 77 < /tmp/to > /dev/null & exec 6> /tmp/to; echo 'sent before' >&6
sleep 0.5
before=$(cat /tmp/count)
echo \"the computation is at step $before\"
kjump hibernate --to /dev/vda --key-file /key $options || { echo \"exit status $?\"; }
sleep 0.5
[ $(cat /tmp/count) -gt $before ] && echo 'the computation goes on'
touch /tmp/memory.check; until [ -e /tmp/memory.checked ]; do sleep 0.1; done
echo \"150 MiB of memory: $(cat /tmp/memory.checked)\"
echo 'written after' >&5; [ $(wc -l < /tmp/open) = 2 ] && echo 'the open file is written on'
echo 'sent after' >&6; sleep 0.5; [ $(wc -l < /tmp/received) = 2 ] && echo 'the TCP connection carries on'
";

/// One step of the demonstration.
struct Step<'a> {
    heading: &'a str,
    /// What the guest has to print.
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
    let mut right = demo.hibernates()?;
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

    fn hibernates(&self) -> Result<bool> {
        self.new_image(IMAGE_BYTES)?;
        println!("\n# kjump hibernate --to /dev/vda --key-file /key");
        let ended = self.vm().run(WORK);
        let off = matches!(&ended, Err(Error::GuestEnded { why, .. }) if why == "it powered off");
        if let Err(error) = &ended
            && !off
        {
            println!("{error}");
        }
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
            kjump image verify /dev/vda --key-file /key
            dd if=/tmp/page of=/dev/vda bs=4k seek=500 count=1 2> /dev/null
            kjump image verify /dev/vda --key-file /key
            kjump image info /dev/vda";
        let outcome = self.vm().run(JOB)?.into_outcome();
        Ok(Step {
            heading: "A wrong key, and an image in which one page was changed:",
            wanted: &[
                "the key is wrong",
                "was changed after it was written",
                "are what was written",
                "complete",
            ],
        }
        .show(&outcome))
    }

    fn resumes(&self) -> Result<bool> {
        let job = "kjump resume --from /dev/vda --key-file /key";
        let outcome = self.vm().resumes().run(job)?.into_outcome();
        Ok(Step {
            heading: "# kjump resume --from /dev/vda --key-file /key",
            wanted: &[
                "hibernated and resumed",
                "the computation goes on",
                "150 MiB of memory: all as it was",
                "the open file is written on",
                "the TCP connection carries on",
            ],
        }
        .show(&outcome))
    }

    /// The image was used, and then the disk is too small for another.
    fn says_why_not(&self) -> Result<bool> {
        let outcome = self.vm().run("kjump resume --from /dev/vda --key-file /key")?.into_outcome();
        let used = Step { heading: "Again:", wanted: &["there is no complete image: the file is used"] };
        let right = used.show(&outcome);
        self.new_image(8 << 20)?;
        let outcome = self.vm().run(WORK)?.into_outcome();
        let small = Step {
            heading: "A disk of 8 MiB:",
            wanted: &["not hibernated, and this kernel goes on: no room", "150 MiB of memory: all as it was"],
        };
        Ok(right & small.show(&outcome))
    }

    fn takes_snapshots(&self) -> Result<bool> {
        self.new_image(IMAGE_BYTES)?;
        const JOB: &str = "
            echo 'a line of the first snapshot' > /dev/kmsg
            kjump snapshot -d 31 /dev/vda
            kjump dump dmesg /dev/vda | grep 'a line of'
            echo 'a line of the second snapshot' > /dev/kmsg
            kjump snapshot -d 31 /dev/vda
            kjump dump dmesg /dev/vda | grep 'a line of the second'
            kjump dump verify /dev/vda && echo verified";
        let outcome = self.vm().run(JOB)?.into_outcome();
        Ok(Step {
            heading: "# kjump snapshot -d 31 /dev/vda, twice",
            wanted: &["a line of the first snapshot", "a line of the second snapshot", "verified"],
        }
        .show(&outcome))
    }
}

impl Step<'_> {
    fn show(&self, outcome: &Outcome) -> bool {
        println!("\n{}", self.heading);
        let text = [outcome.out.as_slice(), &outcome.err].map(String::from_utf8_lossy).concat();
        for line in text.lines() {
            println!("    {line}");
        }
        self.wanted.iter().filter(|wanted| !check(wanted, text.contains(**wanted))).count() == 0
    }
}

fn check(what: &str, right: bool) -> bool {
    println!("{}  {what}", if right { "ok   " } else { "WRONG" });
    right
}

/// Removes the large file.
impl Drop for Demo {
    fn drop(&mut self) {
        let _ = fs::remove_file(Path::new(&self.image));
    }
}
