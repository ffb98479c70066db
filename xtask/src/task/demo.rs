//! `cargo xtask demo`: calls on a stock kernel, with their results.
//!
//! The guest runs [`SCRIPT`]. Its output is explained here as it arrives, and checked against
//! values that are computed here.

mod bios;
mod chapters;
mod facts;
mod hibernate;
mod install;
mod report;
mod switch;
mod trial;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use lab::{Job, Listener, Vm};

use crate::build::product;
use crate::debian::kernels;
use crate::debian::system::Release;
use crate::{program, tree};
use chapters::CHAPTERS;
use facts::Facts;
use report::Report;

/// Call images on a stock kernel in a virtual machine, and show the results
#[derive(Args)]
pub(crate) struct DemoArgs {
    /// The kernel: see `cargo xtask lab --list`
    #[arg(long, default_value = "6.1")]
    kernel: String,
    #[command(subcommand)]
    demo: Option<Demo>,
}

#[derive(Subcommand)]
enum Demo {
    Switch(SwitchArgs),
    Hibernate(HibernateArgs),
    Bios(BiosArgs),
    Install(InstallArgs),
    /// Try four kernels next to the running one: good, without a driver, panicking, hanging
    Trial,
}

/// Boot a second stock kernel from the first, and switch between the two
#[derive(Args)]
struct SwitchArgs {
    /// The second kernel
    #[arg(long, default_value = "6.12")]
    beside: String,
}

/// Hibernate a kernel with work under way, and resume it after a power cycle
#[derive(Args)]
struct HibernateArgs {}

/// Call the BIOS out of a stock kernel, end a call that hangs, and test the kernel's own memory
#[derive(Args)]
struct BiosArgs {}

/// Install the packages on a Debian system, use them, and remove them
#[derive(Args)]
struct InstallArgs {
    /// The release of Debian
    #[arg(long, default_value = "12")]
    debian: Release,
}

/// Memory that the kernel does not use, so that its contents are known: a window of 2 MiB at 256
/// MiB.
const WINDOW: &str = "memmap=2M$0x10000000";
const WINDOW_BYTES: u64 = 2 << 20;
const DISK_BYTES: u64 = 8 << 20;

/// Every part starts with a line that names it for [`CHAPTERS`].
const SCRIPT: &str = r#"
cd /lib/kjump/payloads
part() { echo "==== $1"; }
window() { dd if=/dev/mem bs=4096 skip=65536 count=512 2>/dev/null | sha256sum; }
part kernel; uname -r; nproc; kjump check
part disk-before; sha256sum < /dev/vda
part window-before; dd if=/window of=/dev/mem bs=4096 seek=65536 2>/dev/null; window
part sum64; kjump call --json --repeat 1000 --vouch 0x10000000-0x10200000 sum64-high 1 2 3 4 5 6
part window-after-64; window
part sum32; kjump call --json --repeat 1000 --vouch 0x10000000-0x10200000 sum32-high 1 2 3 4 5 6
part window-after-32; window
part buffer; printf stressed > /tmp/text
kjump call --in /tmp/text@0x261000 --out /tmp/back@0x261000:8 reverse64 0x261000 8; cat /tmp/back; echo
part fault64-json; kjump call --json fault64 14
part fault64; kjump call fault64 14; echo "exit status $?"
part fault32-json; kjump call --json fault32 6
part fault32; kjump call fault32 6; echo "exit status $?"
part after-faults; kjump call --json --repeat 100 sum64 1 2 3 4 5 6
(while [ ! -e /tmp/stop ]; do echo 3 > /proc/sys/vm/drop_caches; sha256sum < /dev/vda; done > /tmp/readings) &
part suspend; kjump call --json --repeat 10 --quiesce suspend sum64 1 2 3 4 5 6
part underneath; underneath 64 --json
part kexec; kexec --load-preserve-context --args-none phy_mode && kexec -e && kexec -e; echo "exit status $?"
part cpus; nproc
part readings; touch /tmp/stop; wait; sort /tmp/readings | uniq -c
part disk-after; echo 3 > /proc/sys/vm/drop_caches; sha256sum < /dev/vda
part end
"#;

/// Builds, boots, runs and checks, and prints as it goes. Returns whether every check passed.
///
/// # Errors
/// A part does not build, or the guest cannot be prepared.
pub(crate) fn run(args: &DemoArgs) -> Result<bool> {
    match &args.demo {
        None => calls(args),
        Some(Demo::Bios(BiosArgs {})) => bios::run(&args.kernel),
        Some(Demo::Switch(switch)) => switch::run(&args.kernel, &switch.beside),
        Some(Demo::Hibernate(HibernateArgs {})) => hibernate::run(&args.kernel),
        Some(Demo::Install(install)) => install::run(install.debian),
        Some(Demo::Trial) => trial::run(&args.kernel),
    }
}

fn calls(args: &DemoArgs) -> Result<bool> {
    println!("Building kjump, its module for Debian's kernel {}, and the images to call.", args.kernel);
    let vm = product::vm(&args.kernel)?;
    let (window, disk) = (random_file("window", WINDOW_BYTES)?, random_file("disk", DISK_BYTES)?);
    let release = kernels::get(&args.kernel)?.release;
    let facts = Facts { release, window: sha256(&window)?, disk: sha256(&disk)?, ..Facts::default() };
    println!("Booting Debian's unmodified kernel in QEMU with 2 CPUs and a disk.");
    let vm = vm.smp(2).file(&window, "/window").append(WINDOW).timeout(Duration::from_secs(170));
    show(&vm, &Job::shell(SCRIPT), &disk, Report::new(facts, CHAPTERS), chapters::kernel_log)
}

/// Runs the job in the machine with this disk, and shows the results. Returns whether every check
/// passed.
fn show(
    vm: &Vm,
    job: &Job,
    disk: &Path,
    mut report: Report,
    check_log: fn(&mut Report, &str),
) -> Result<bool> {
    let start = Instant::now();
    match vm.clone().disk(disk).stream(job, &mut report) {
        Ok(ended) => {
            let outcome = ended.into_outcome();
            check_log(&mut report, &outcome.kernel_log());
            report.check_end(outcome.status, &sha256(disk)?);
            let seconds = start.elapsed().as_secs_f64();
            println!("\nThe machine ran for {seconds:.0} s. The kernel's log is {}", outcome.log.display());
        }
        Err(error) => report.fail("the virtual machine", &error.to_string()),
    }
    Ok(report.verdict())
}

/// A file of random bytes.
fn random_file(name: &str, bytes: u64) -> Result<PathBuf> {
    let dir = tree::target().join("demo");
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let path = dir.join(name);
    let source = fs::File::open("/dev/urandom").context("/dev/urandom")?;
    let mut file = fs::File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    io::copy(&mut io::Read::take(source, bytes), &mut file).with_context(|| path.display().to_string())?;
    Ok(path)
}

fn sha256(file: &Path) -> Result<String> {
    let line = program::read(std::process::Command::new("sha256sum").arg(file))?;
    Ok(line.split(' ').next().unwrap_or_default().to_owned())
}

impl Listener for Report {
    fn out(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.receive(&String::from_utf8_lossy(bytes));
        Ok(())
    }

    fn err(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.errors += &String::from_utf8_lossy(bytes);
        Ok(())
    }

    fn note(&mut self, _: &str) {}
}
