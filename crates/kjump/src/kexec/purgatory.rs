//! What the words say of purgatory, and the digest that it checks.

use std::num::NonZero;
use std::thread;

use abi::purgatory::{DIGEST_SIZE, KEY_SIZE};
use plan::LoadPlan;
use plan::purgatory::Purgatory;
use purgatory::digest::{Digest, PAGE, Schedule, Tag};

use super::words::Load;

/// The first serial port of a PC.
const TTY_S0: u16 = 0x3f8;
/// Long enough to read what it says.
const PAUSE: u64 = 10;

/// Purgatory as the words want it.
pub(super) fn of(load: &Load) -> Purgatory<'static> {
    let words = &load.between;
    let port = words.serial.unwrap_or(TTY_S0);
    Purgatory {
        image: purgatory::IMAGE,
        check: !load.no_checks,
        serial: words.console_serial.then(|| (port, words.baud.unwrap_or(0))),
        vga: words.console_vga,
        reset_vga: words.reset_vga,
        pause: words.pause.unwrap_or(PAUSE),
    }
}

/// Puts the digest in, unless nobody will check it.
pub(super) fn seal(plan: &mut LoadPlan<'_>, load: &Load) {
    if !load.no_checks {
        // A key that is known finds damage as well; it only does not surprise anybody.
        let key = sys::system::random().unwrap_or([0; KEY_SIZE]);
        plan.seal(&key, |told, regions| digest(&key, told, regions));
    }
}

/// What a CPU does at a time.
const UNIT: usize = 4 << 20;

/// The digest, made by all CPUs.
fn digest(key: &[u8; KEY_SIZE], told: [&[u8]; 2], regions: &[&[u8]]) -> [u8; DIGEST_SIZE] {
    let schedule = Schedule::new(key);
    let tags = |bytes: &[u8]| -> Vec<Tag> { bytes.chunks(PAGE).map(|page| schedule.tag(page)).collect() };
    let mut digest = Digest::new();
    told.into_iter().for_each(|part| digest.describe(part));
    let units: Vec<&[u8]> = regions.iter().flat_map(|region| region.chunks(UNIT)).collect();
    let cpus = thread::available_parallelism().map_or(1, NonZero::get);
    for wave in units.chunks(cpus) {
        thread::scope(|scope| {
            let Some((first, others)) = wave.split_first() else { return };
            let others: Vec<_> = others.iter().map(|unit| scope.spawn(|| tags(unit))).collect();
            digest.tags(&tags(first));
            for other in others {
                digest.tags(&other.join().unwrap_or_default());
            }
        });
    }
    digest.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_cpus_together_make_the_digest_of_one() {
        let regions = [vec![1; 3 * UNIT + 5], Vec::new(), vec![2; 4095], vec![3; UNIT]];
        let regions: Vec<&[u8]> = regions.iter().map(Vec::as_slice).collect();
        let key = [5; KEY_SIZE];
        let mut alone = Digest::new();
        alone.describe(b"told");
        alone.describe(b"more");
        let schedule = Schedule::new(&key);
        for page in regions.iter().flat_map(|region| region.chunks(PAGE)) {
            alone.tags(&[schedule.tag(page)]);
        }
        assert_eq!(digest(&key, [b"told", b"more"], &regions), alone.finish());
    }
}
