//! The digest of everything that is loaded, which purgatory verifies.

use std::num::NonZero;
use std::thread;

use abi::purgatory::{DIGEST_SIZE, KEY_SIZE};
use plan::LoadPlan;
use plan::purgatory::Purgatory;
use purgatory::digest::{Digest, PAGE, Schedule, Tag};

use crate::terminal::progress::Progress;

/// A purgatory that verifies the digest, and prints only a failure, which it shows for 10 seconds.
pub(crate) const QUIET: Purgatory<'static> =
    Purgatory { image: purgatory::IMAGE, check: true, serial: None, vga: false, reset_vga: false, pause: 10 };

/// Puts the digest into a plan with this purgatory, if purgatory verifies it.
pub(crate) fn seal(plan: &mut LoadPlan<'_>, purgatory: &Purgatory<'_>) {
    if purgatory.check {
        // A constant key finds accidental damage as well. It only does not stop deliberate changes.
        let key = sys::system::random().unwrap_or([0; KEY_SIZE]);
        plan.seal(&key, |described, regions| digest(&key, described, regions));
    }
}

/// Bytes that a CPU digests at a time.
const UNIT: usize = 4 << 20;

/// The digest, computed by all CPUs.
fn digest(key: &[u8; KEY_SIZE], described: [&[u8]; 2], regions: &[&[u8]]) -> [u8; DIGEST_SIZE] {
    let schedule = Schedule::new(key);
    let tags = |bytes: &[u8]| -> Vec<Tag> { bytes.chunks(PAGE).map(|page| schedule.tag(page)).collect() };
    let mut digest = Digest::new();
    described.into_iter().for_each(|part| digest.describe(part));
    let units: Vec<&[u8]> = regions.iter().flat_map(|region| region.chunks(UNIT)).collect();
    let progress = Progress::start("computing the digest".to_owned(), units.len() as u64);
    let cpus = thread::available_parallelism().map_or(1, NonZero::get);
    for wave in units.chunks(cpus) {
        thread::scope(|scope| {
            let Some((first, others)) = wave.split_first() else { return };
            // A unit for which no thread can be started is done here.
            let mut started = Vec::new();
            for unit in others {
                started.push((unit, thread::Builder::new().spawn_scoped(scope, || tags(unit)).ok()));
            }
            digest.tags(&tags(first));
            for (unit, other) in started {
                digest.tags(&other.map_or_else(|| tags(unit), |other| other.join().unwrap_or_default()));
            }
        });
        progress.steps(wave.len() as u64);
    }
    digest.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_cpus_together_compute_the_digest_of_one() {
        let regions = [vec![1; 3 * UNIT + 5], Vec::new(), vec![2; 4095], vec![3; UNIT]];
        let regions: Vec<&[u8]> = regions.iter().map(Vec::as_slice).collect();
        let key = [5; KEY_SIZE];
        let mut alone = Digest::new();
        alone.describe(b"first");
        alone.describe(b"second");
        let schedule = Schedule::new(&key);
        for page in regions.iter().flat_map(|region| region.chunks(PAGE)) {
            alone.tags(&[schedule.tag(page)]);
        }
        assert_eq!(digest(&key, [b"first", b"second"], &regions), alone.finish());
    }
}
