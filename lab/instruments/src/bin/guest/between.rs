//! Purgatory, called as in a jump load: its checks, entering the image, and returning.

use abi::Field;
use abi::device::quiesce;
use abi::purgatory::{
    DIGEST, ENTRY, FLAGS, GOAL, JUMP_BACK, KEY, MAGIC, MAGIC_NUMBER, MEMORY, REGION_COUNT, REGIONS, flag,
    region, register, register_field, verdict,
};
use anyhow::{Context as _, Result, ensure};
use purgatory::digest::{Digest, PAGE, Schedule};
use purgatory::{Block, IMAGE};
use sys::Device;

use crate::image::Plan;

/// The address of purgatory.
const PLACE: u64 = 0x30_0000;
/// The offset of the command line in the image's page, and the value that the image returns.
const LINE: u64 = 0x100;
const VALUE: u64 = 0x5eed;

/// `between COUNT`: purgatory enters an image, which finds the jump-back entry in its command line
/// and returns; if a bit of the image has changed, purgatory returns with an error.
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

/// Purgatory and an image, of which a byte changes after the digest was computed.
fn plan(damage: Option<usize>) -> Result<Plan> {
    let mut plan = Plan::payload("wayback64")?;
    let image = plan.segments.first_mut().context("the image has a segment")?;
    let block =
        block(image.0, image.2.get(..LINE as usize).context("the image reaches to its command line")?);
    if let Some(byte) = damage.and_then(|offset| image.2.get_mut(offset)) {
        *byte ^= 1;
    }
    let code = IMAGE.get(ENTRY..).context("purgatory has code")?;
    plan.segments.push((PLACE, MEMORY as u64, [block.as_slice(), code].concat()));
    plan.entry = PLACE + ENTRY as u64;
    Ok(plan)
}

fn block(image: u64, code: &[u8]) -> [u8; ENTRY] {
    let mut block = [0; ENTRY];
    let mut put = |field: Field<u64>, number: u64| assert!(field.write(&mut block, number));
    put(MAGIC, MAGIC_NUMBER);
    put(FLAGS, flag::CHECK | flag::COMES_BACK);
    put(GOAL, image);
    put(JUMP_BACK, image + LINE + "word ".len() as u64);
    put(register_field(register::RSI), image + LINE);
    put(register_field(register::RDI), VALUE);
    put(register_field(register::RBX), PLACE + ENTRY as u64);
    put(REGION_COUNT, 1);
    put(Field::at(REGIONS + region::START.offset()), image);
    put(Field::at(REGIONS + region::BYTES.offset()), code.len() as u64);
    block[KEY..KEY + 4].copy_from_slice(b"key!");
    let digest = digest(&block, code);
    block[DIGEST..DIGEST + 32].copy_from_slice(&digest);
    block
}

fn digest(block: &[u8; ENTRY], code: &[u8]) -> [u8; 32] {
    let mut digest = Digest::new();
    if let Some(fields) = Block::new(block) {
        fields.description().into_iter().for_each(|part| digest.describe(part));
        let schedule = Schedule::new(fields.key());
        code.chunks(PAGE).for_each(|page| digest.tags(&[schedule.tag(page)]));
    }
    digest.finish()
}

/// `damage NAME ADDRESS`: inverts a bit of a kept image, in its source page.
pub(crate) fn damage(arguments: &[String]) -> Result<()> {
    let device = Device::open()?;
    device.attach(&arguments.first().context("NAME is missing")?.parse()?)?;
    let address = crate::numbers::argument(arguments, 1, "ADDRESS")?;
    let mut byte = [0];
    device.read(address, &mut byte)?;
    Ok(device.write(address, &[byte[0] ^ 1])?)
}

/// `hash MIB`: measures the digest on one CPU, in this program and in purgatory.
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
        ensure!([call.value, call.value_high] == [verdict::DAMAGED; 2], "purgatory accepted a wrong digest");
        println!("purgatory: {} bytes in {} ticks", size, call.ticks.run);
    }
    Ok(())
}
