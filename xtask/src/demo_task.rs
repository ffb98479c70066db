//! `cargo xtask demo`: the main job, done once on a stock kernel, and what happened.
//!
//! The guest runs what stands in [`SCRIPT`]; what it printed is checked here, against values that are computed here.

mod checks;

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Args;
use lab::Job;

use crate::{product, tree};
use checks::Account;

/// Call images on a stock kernel in a virtual machine, and print what happened
#[derive(Args)]
pub(crate) struct DemoArgs {
    /// The kernel: see `cargo xtask lab --list`
    #[arg(long, default_value = "6.1")]
    kernel: String,
}

/// Every part starts with a line of its own; [`Account`] knows them by these names.
const SCRIPT: &str = "
p=/lib/kjump/payloads
part() { echo \"==== $1\"; }
part kernel; uname -sr; nproc; kjump check
part disk-before; md5sum < /dev/vda
part sum64; kjump call --json --repeat 1000 $p/sum64 1 2 3 4 5 6
part sum32; kjump call --json --repeat 1000 $p/sum32 1 2 3 4 5 6
part fault64-json; kjump call --json $p/fault64 14
part fault64; kjump call $p/fault64 14; echo \"exit status $?\"
part fault32-json; kjump call --json $p/fault32 6
part fault32; kjump call $p/fault32 6; echo \"exit status $?\"
part after-faults; kjump call --json $p/sum64 1 2 3 4 5 6
part suspend; kjump call --json --repeat 10 --quiesce suspend $p/sum64 1 2 3 4 5 6
part underneath; underneath 64
part processors; nproc
part disk-after; echo 3 > /proc/sys/vm/drop_caches; md5sum < /dev/vda
part log; dmesg | grep -E 'BUG:|WARNING:|Oops|Call Trace' || true
part end
";

/// Builds, boots, runs and judges. Prints as it goes; answers whether all was as it must be.
///
/// # Errors
/// Something does not build, or the guest does not run to its end.
pub(crate) fn run(args: &DemoArgs) -> Result<bool> {
    println!("Building kjump, its module and its payloads for Debian's kernel {} ...", args.kernel);
    let machine = product::vm(&args.kernel)?;
    let disk = disk()?;
    println!("Booting it in QEMU with 2 processors and a disk, unmodified, and calling images ...");
    let start = Instant::now();
    let ended = machine.smp(2).disk(&disk).timeout(Duration::from_secs(170)).run_job(&Job::shell(SCRIPT));
    let outcome = ended.context("the virtual machine")?.somehow();
    let mut account = Account::new(&outcome.text(), std::io::stdout().is_terminal());
    account.tell();
    account.check_status(outcome.status, &String::from_utf8_lossy(&outcome.err));
    println!(
        "\nThe virtual machine ran for {:.0} s; its kernel's log: {}",
        start.elapsed().as_secs_f64(),
        outcome.log.display()
    );
    Ok(account.verdict())
}

/// A disk of bytes that no two sectors share.
fn disk() -> Result<std::path::PathBuf> {
    let path = tree::target().join("lab/demo-disk");
    let words = (0..2_u64 << 20).map(|word| word.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let bytes: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
    std::fs::create_dir_all(tree::target().join("lab"))?;
    std::fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}
