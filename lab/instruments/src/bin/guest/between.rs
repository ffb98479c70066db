//! Purgatory, called as a jump load is: what it checks, where it hands over, and how it comes back.

use abi::Field;
use abi::device::quiesce;
use abi::purgatory::{
    COMMAND_LINE_END, COMMAND_LINE_ROOM, DIGEST, ENTRY, FLAGS, GOAL, KEY, MAGIC, MAGIC_NUMBER, MEMORY,
    REGION_COUNT, REGIONS, flag, region, register, register_field, verdict,
};
use anyhow::{Context as _, Result, ensure};
use purgatory::digest::{Digest, PAGE, Schedule};
use purgatory::{Block, IMAGE};
use sys::Device;

use crate::image::Plan;

/// Where purgatory is put.
const PLACE: u64 = 0x30_0000;
/// The command line's offset in the page of the goal, and what the goal returns.
const LINE: u64 = 0x100;
const VALUE: u64 = 0x5eed;

/// `between COUNT`: purgatory hands over to an image that finds its way back in the command line; and comes back by itself,
/// with an error, if a bit of the image is not as it was.
pub(crate) fn between(arguments: &[String]) -> Result<()> {
    let count = crate::numbers::argument(arguments, 0, "COUNT")?;
    for damage in [None, Some(0x80)] {
        let image = plan(damage)?.load()?;
        let value = if damage.is_some() { verdict::DAMAGED } else { VALUE };
        for _ in 0..count {
            image.gives(value, &[], quiesce::AUTO)?;
        }
        println!("{count} calls gave {value:#x}");
    }
    Ok(())
}

/// Purgatory and its goal, of which a byte changes after the digest was made.
fn plan(damage: Option<usize>) -> Result<Plan> {
    let mut plan = Plan::payload("wayback64")?;
    let goal = plan.segments.first_mut().context("the goal has a segment")?;
    let block = block(goal.0, goal.2.get(..LINE as usize).context("the goal reaches to its command line")?);
    if let Some(byte) = damage.and_then(|offset| goal.2.get_mut(offset)) {
        *byte ^= 1;
    }
    let code = IMAGE.get(ENTRY..).context("purgatory has code")?;
    plan.segments.push((PLACE, MEMORY as u64, [block.as_slice(), code].concat()));
    plan.entry = PLACE + ENTRY as u64;
    Ok(plan)
}

fn block(goal: u64, code: &[u8]) -> [u8; ENTRY] {
    let mut block = [0; ENTRY];
    let mut put = |field: Field<u64>, number: u64| assert!(field.write(&mut block, number));
    put(MAGIC, MAGIC_NUMBER);
    put(FLAGS, flag::CHECK | flag::COMES_BACK);
    put(GOAL, goal);
    put(COMMAND_LINE_END, goal + LINE + 4);
    put(COMMAND_LINE_ROOM, 60);
    put(register_field(register::RSI), goal + LINE);
    put(register_field(register::RDI), VALUE);
    put(register_field(register::RBX), PLACE + ENTRY as u64);
    put(REGION_COUNT, 1);
    put(Field::at(REGIONS + region::START.offset()), goal);
    put(Field::at(REGIONS + region::BYTES.offset()), code.len() as u64);
    block[KEY..KEY + 4].copy_from_slice(b"key!");
    let digest = digest(&block, code);
    block[DIGEST..DIGEST + 32].copy_from_slice(&digest);
    block
}

fn digest(block: &[u8; ENTRY], code: &[u8]) -> [u8; 32] {
    let mut digest = Digest::new();
    if let Some(told) = Block::new(block) {
        told.description().into_iter().for_each(|part| digest.describe(part));
        let schedule = Schedule::new(told.key());
        code.chunks(PAGE).for_each(|page| digest.tags(&[schedule.tag(page)]));
    }
    digest.finish()
}

/// `damage NAME ADDRESS`: turns over a bit of a kept image, wherever it waits.
pub(crate) fn damage(arguments: &[String]) -> Result<()> {
    let device = Device::open()?;
    device.attach(&arguments.first().context("NAME is missing")?.parse()?)?;
    let address = crate::numbers::argument(arguments, 1, "ADDRESS")?;
    let mut byte = [0];
    device.read(address, &mut byte)?;
    Ok(device.write(address, &[byte[0] ^ 1])?)
}

/// `hash MIB`: how fast one CPU makes the digest, here and in purgatory.
pub(crate) fn hash(arguments: &[String]) -> Result<()> {
    let size = crate::numbers::argument(arguments, 0, "MIB")? << 20;
    let bytes = vec![0x5a; size as usize];
    let schedule = Schedule::new(&[1; 32]);
    let start = std::time::Instant::now();
    let mut digest = Digest::new();
    bytes.chunks(PAGE).for_each(|page| digest.tags(&[schedule.tag(page)]));
    ensure!(digest.finish() != [0; 32], "no digest is all zero");
    println!("here: {} bytes in {:?}", size, start.elapsed());
    let mut plan = plan(None)?;
    if let Some((_, _, bytes)) = plan.segments.last_mut() {
        ensure!(Field::<u64>::at(REGIONS + region::START.offset()).write(bytes, 16 << 20), "no region");
        ensure!(Field::<u64>::at(REGIONS + region::BYTES.offset()).write(bytes, size), "no region");
    }
    let image = plan.load()?;
    for _ in 0..3 {
        let call = image.call(&[], quiesce::AUTO)?;
        ensure!(
            [call.value, call.value_high] == [verdict::DAMAGED; 2],
            "memory that nobody hashed has a digest"
        );
        println!("purgatory: {} bytes in {} ticks", size, call.ticks.run);
    }
    Ok(())
}
