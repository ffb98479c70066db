//! Calls that return: results, arguments, state, buffers.

use abi::device::{mode, quiesce};
use anyhow::{Context as _, Result, ensure};

use crate::image::{Image, Plan, level};
use crate::numbers::{Numbers, argument};

/// `calls COUNT LEVEL...`: a 64-bit and a 32-bit image return right results for any arguments and
/// keep their state between calls, at every level.
pub(crate) fn calls(arguments: &[String]) -> Result<()> {
    let count = argument(arguments, 0, "COUNT")?;
    for name in ["sum64", "sum32"] {
        let plan = Plan::payload(name)?;
        let mut summer = Summer { image: plan.load()?, mode: plan.mode, made: 0, numbers: Numbers(1) };
        all_claimed(&summer.image)?;
        for word in &arguments[1..] {
            summer.sum(count, level(word)?).with_context(|| format!("{name}, {word}"))?;
        }
        println!("{name}: {} calls", summer.made);
    }
    Ok(())
}

/// Every destination page was claimed, so nothing is exchanged.
fn all_claimed(image: &Image) -> Result<()> {
    let load = &image.load;
    ensure!(load.claimed == load.pages && load.in_use == 0, "not all pages were claimed: {load:x?}");
    ensure!(load.first_in_use == u64::MAX, "no page is in use, but an address is reported: {load:x?}");
    Ok(())
}

/// A loaded `sum64` or `sum32`.
struct Summer {
    image: Image,
    mode: u64,
    made: u64,
    numbers: Numbers,
}

impl Summer {
    fn sum(&mut self, count: u64, level: u64) -> Result<()> {
        let mut times = Vec::new();
        for _ in 0..count {
            self.made += 1;
            let arguments = [(); 6].map(|()| self.numbers.next());
            let call = self.image.call(&arguments, level)?;
            ensure!(call.value == self.expected(arguments), "{:#x} for {arguments:x?}", call.value);
            ensure!(call.calls == self.made, "call {} counts as number {}", self.made, call.calls);
            let quiesced = if level == quiesce::AUTO { quiesce::NONE } else { level };
            ensure!(call.quiesced == quiesced, "quiesced by {} instead of {quiesced}", call.quiesced);
            let ticks = call.ticks;
            ensure!(
                ticks.exchange <= ticks.enter + ticks.leave && ticks.run > 0,
                "inconsistent ticks: {ticks:?}"
            );
            times.push(ticks.quiesce + ticks.enter + ticks.run + ticks.leave + ticks.resume);
        }
        times.sort_unstable();
        println!("level {level}: median {} ticks", times.get(times.len() / 2).unwrap_or(&0));
        Ok(())
    }

    /// a + 2b + 3c + 4d + 5e + 6f + 1000 times the calls; 32-bit code sees the low halves of the
    /// arguments.
    fn expected(&self, arguments: [u64; 6]) -> u64 {
        let seen =
            |argument: u64| if self.mode == mode::PROTECTED { argument & 0xffff_ffff } else { argument };
        let terms = arguments.into_iter().zip(1..).map(|(argument, n)| seen(argument).wrapping_mul(n));
        terms.fold(1000 * self.made, u64::wrapping_add)
    }
}

/// `buffers LEVEL...`: an image works on bytes written into it, and the result can be read.
pub(crate) fn buffers(arguments: &[String]) -> Result<()> {
    for name in ["reverse64", "reverse32"] {
        let plan = Plan::payload(name)?;
        let image = plan.load()?;
        for (word, seed) in arguments.iter().zip(1..) {
            reverse(&image, plan.end() - BUFFER, level(word)?, Numbers(seed))
                .with_context(|| format!("{name}, {word}"))?;
        }
    }
    println!("{BUFFER} bytes reversed, in parts and whole");
    Ok(())
}

/// The buffer at the end of `reverse64` and `reverse32`.
const BUFFER: u64 = 65536;

/// Parts that start and end in the middle of pages, and all of it.
fn reverse(image: &Image, buffer: u64, level: u64, mut numbers: Numbers) -> Result<()> {
    for (offset, length) in [(0, BUFFER), (1, 1), (4095, 2), (100, 20_001), (BUFFER - 5000, 5000), (7, 0)] {
        let mut bytes: Vec<u8> = (0..length).map(|_| numbers.next().to_le_bytes()[0]).collect();
        image.device.write(buffer + offset, &bytes)?;
        let sum = bytes.iter().map(|&byte| u64::from(byte)).sum();
        image.gives(sum, &[buffer + offset, length], level)?;
        let mut reversed = vec![0; bytes.len()];
        image.device.read(buffer + offset, &mut reversed)?;
        bytes.reverse();
        ensure!(reversed == bytes, "{length} bytes at {offset} did not come back reversed");
    }
    Ok(())
}
