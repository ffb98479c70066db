//! Destinations that are in use, that are reserved from the kernel, and that lie above 4 GiB.

use std::fs;

use abi::device::{Call, Range, quiesce, reason, status};
use anyhow::{Context as _, Result, ensure};
use kernel_file::Mode;
use rustix::io::Errno;

use crate::image::{Image, Plan, level, refused};
use crate::numbers::argument;

/// `mov %rdi,%rax; ret`: returns its argument.
const ECHO: [u8; 4] = [0x48, 0x89, 0xf8, 0xc3];
/// The same for 32 bits: `mov 4(%esp),%eax; xor %edx,%edx; ret`.
const ECHO_32: [u8; 7] = [0x8b, 0x44, 0x24, 0x04, 0x31, 0xd2, 0xc3];
/// copy(to, from, length): `mov %rdx,%rcx; rep movsb; ret`.
const COPY: [u8; 6] = [0x48, 0x89, 0xd1, 0xf3, 0xa4, 0xc3];

/// `in-use`: an image over memory in use can be called only while the system is suspended; another
/// level is refused with the address of a page in use.
pub(crate) fn in_use(_: &[String]) -> Result<()> {
    let plan = Plan::payload("sum64")?.unclaimed();
    let image = plan.load()?;
    let address = plan.segments[0].0;
    ensure!(image.load.claimed == 0 && image.load.in_use == plan.pages(), "{:x?}", image.load);
    refused_as_in_use(&image, [address, plan.pages(), plan.pages()])?;
    let call = image.call(&[1], quiesce::AUTO)?;
    ensure!((call.value, call.quiesced) == (1001, quiesce::SUSPEND), "{call:x?}");
    kernel_text()
}

/// One page of the kernel's text requires a suspend, whether or not the other pages are claimed.
fn kernel_text() -> Result<()> {
    let text = system_ram("Kernel code")?.start + (1 << 20);
    let plan = Plan::code(&ECHO, 0x30_0000, Mode::Long)?.with(text, 0x3000);
    let image = plan.load()?;
    ensure!(image.load.claimed == 1 && image.load.in_use == 3, "{:x?}", image.load);
    refused_as_in_use(&image, [text, 3, 4])?;
    for level in [quiesce::AUTO, quiesce::SUSPEND] {
        let call = image.call(&[level + 77], level)?;
        ensure!((call.value, call.quiesced) == (level + 77, quiesce::SUSPEND), "{call:x?}");
    }
    println!("called with {text:#x}, which the kernel runs from, exchanged");
    Ok(())
}

fn refused_as_in_use(image: &Image, numbers: [u64; 3]) -> Result<()> {
    for level in [quiesce::NONE, quiesce::STOP] {
        let refusal = refused(image.device.call([0; 6], level), Errno::BUSY, reason::PAGE_IN_USE)?;
        ensure!(refusal.diagnosis.numbers[..3] == numbers, "{refusal:x?}");
    }
    Ok(())
}

/// The range of this name in `/proc/iomem`.
pub(crate) fn system_ram(name: &str) -> Result<Range> {
    let text = fs::read_to_string("/proc/iomem")?;
    let line = text.lines().find(|line| line.ends_with(&format!(": {name}")));
    let line = line.with_context(|| format!("/proc/iomem has no {name}"))?;
    let (range, _) = line.split_once(" : ").context("no name")?;
    let (start, last) = range.trim().split_once('-').context("no range")?;
    Ok(Range { start: u64::from_str_radix(start, 16)?, end: u64::from_str_radix(last, 16)? + 1 })
}

/// `vouched START END LEVEL...`: a range that is reserved from the kernel needs no claim, keeps its
/// content between images, and is exchanged like other memory when it is a destination. Code in it
/// need not belong to a segment.
pub(crate) fn vouched(arguments: &[String]) -> Result<()> {
    let (start, end) = (argument(arguments, 0, "START")?, argument(arguments, 1, "END")?);
    let there = |plan: Plan| plan.unclaimed().vouching(start, end);
    refused(Plan::code(&ECHO, start, Mode::Long)?.load_into(&sys::Device::open()?), Errno::ADDRNOTAVAIL, 4)?;
    for word in &arguments[2..] {
        let level = level(word)?;
        let image = there(Plan::code(&ECHO, start, Mode::Long)?).load()?;
        ensure!(image.load.in_use == 0 && image.load.claimed == 0, "{:x?}", image.load);
        image.gives(0xabcd_ef01_2345_6789, &[0xabcd_ef01_2345_6789], level)?;
        stays(there, start, level).with_context(|| word.clone())?;
    }
    println!("code and data at {start:#x}");
    Ok(())
}

/// An image copies code to `start`; other images are loaded there and unloaded; the code can still
/// be called.
fn stays(there: impl Fn(Plan) -> Plan, start: u64, level: u64) -> Result<()> {
    let source = 0x30_0000 + 0x800;
    let copier = Plan::code(&COPY, 0x30_0000, Mode::Long)?;
    let copier = Plan { vouched: there(copier.clone()).vouched, ..copier }.load()?;
    copier.device.write(source, &ECHO)?;
    copier.call(&[start + 0x1234, source, ECHO.len() as u64], level)?;
    there(Plan::code(&[0xc3; 0x3000], start, Mode::Long)?).load()?.call(&[], level)?;
    let empty =
        Plan { segments: Vec::new(), entry: start + 0x1234, ..there(Plan::code(&ECHO, start, Mode::Long)?) };
    empty.load()?.gives(12345, &[12345], level)
}

/// `above ADDRESS LEVEL...`: destinations above 4 GiB, code for 64-bit images and data for 32-bit
/// ones.
pub(crate) fn above(arguments: &[String]) -> Result<()> {
    let address = argument(arguments, 0, "ADDRESS")?;
    for word in &arguments[1..] {
        let level = level(word)?;
        let plan = Plan::code(&ECHO, address, Mode::Long)?.with(address + 0x5000, 0x10_0000);
        let plan = if level == quiesce::SUSPEND { plan.unclaimed() } else { plan };
        plan.load()?
            .gives(u64::MAX - 1, &[u64::MAX - 1], level)
            .with_context(|| format!("64-bit, {word}"))?;
        let plan = Plan::code(&ECHO_32, 0x30_0000, Mode::Protected)?.with(address, 0x2000);
        let image = plan.load()?;
        image.device.write(address + 0xff0, b"across a page's end")?;
        image.gives(0xffff_fffe, &[u64::MAX - 1], level).with_context(|| format!("32-bit, {word}"))?;
        let mut back = *b"-------------------";
        image.device.read(address + 0xff0, &mut back)?;
        ensure!(&back == b"across a page's end", "{back:x?}");
    }
    let high = Plan::code(&ECHO_32, address, Mode::Protected)?;
    refused(high.load_into(&sys::Device::open()?), Errno::ADDRNOTAVAIL, reason::ENTRY_TOO_HIGH)?;
    println!("called at {address:#x}");
    Ok(())
}

/// `wandering LEVEL...`: an image sets the entry point of its next call. An invalid one makes that
/// call fault, and the image can still be called.
pub(crate) fn wandering(arguments: &[String]) -> Result<()> {
    for word in arguments {
        let image = Plan::payload("next64")?.load()?;
        for value in [1, 2, 3, 1, 2, 3, 1] {
            image.gives(value, &[], level(word)?)?;
        }
        astray(level(word)?).with_context(|| word.clone())?;
    }
    println!("each call used the entry point that the previous one had set");
    Ok(())
}

/// `mov %rdi,8(%rsp); mov %rsi,%rax; ret`: enter at the first argument next time.
const GO: [u8; 9] = [0x48, 0x89, 0x7c, 0x24, 0x08, 0x48, 0x89, 0xf0, 0xc3];

fn astray(level: u64) -> Result<()> {
    let image = Plan::code(&GO, 0x30_0000, Mode::Long)?.load()?;
    image.gives(5, &[0x7fff_ffff_f000, 5], level)?;
    for _ in 0..2 {
        let call: Call = image.device.call([0; 6], level)?;
        let there = (call.fault.vector, call.fault.rip, call.fault.cr2);
        ensure!(
            call.status == status::FAULT && there == (14, 0x7fff_ffff_f000, 0x7fff_ffff_f000),
            "{call:x?}"
        );
    }
    Ok(())
}
