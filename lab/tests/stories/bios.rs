//! The BIOS is called in real mode, and leaves the kernel as it was.

use std::path::PathBuf;
use std::time::Duration;

use lab::stage::vm;
use lab::story::{EVERY, Story};
use lab::{Machine, Result, Scratch, Vm, stories};

pub(crate) const STORIES: &[Story] = stories! {
    EVERY, first => the_bios_agrees_with_the_kernel_on_a_pc,
    EVERY, last => the_bios_agrees_with_the_kernel_on_a_q35,
    EVERY, last => a_bios_that_waits_returns_or_is_ended_at_its_deadline,
    EVERY, first => an_exception_in_real_mode_is_an_error,
    &["6.1"] => a_machine_without_a_bios_says_so,
    EVERY, first => a_machine_is_tested_through_its_bios,
    EVERY, last => a_q35_is_tested_through_its_bios,
    EVERY, long => machines_with_other_numbers_of_cpus_are_tested_through_their_bios,
    EVERY, first => disks_are_read_only_by_controllers_that_the_bios_still_has,
    EVERY, long => thousands_of_bios_calls_leave_the_machine_as_it_was,
};

/// Memory map, monitor and disks as Linux knows them, at every level; nothing is left changed.
fn agrees(vm: Vm) -> Result<()> {
    let disk = Scratch::numbered("disk", 8)?;
    vm.disk(&disk)
        .qemu("-vga")
        .qemu("std")
        .run(
            "for level in none stop suspend; do
                kjump bios e820 --quiesce $level || exit 1
            done
            kjump bios edid && kjump bios vbe > /tmp/vbe && head -1 /tmp/vbe || exit 1
            grep '^0x118 *1024 *768 *24 ' /tmp/vbe || exit 1
            kjump bios edd && kjump bios pci && kjump bios smbios || exit 1
            # The same as JSON, by every name in the list, with a value that the text above has.
            kjump bios list > /tmp/list && [ $(wc -l < /tmp/list) = 6 ] || exit 1
            for wanted in e820:'\"equal_to_kernels\": true' edid:'\"manufacturer\": \"RHT\"' \
                vbe:'\"width\": 1024' edd:'\"sectors\": 16384' pci:'\"last_bus\"' \
                smbios:'\"intact\": true'
            do
                name=${wanted%%:*}
                grep -q \"^$name \" /tmp/list && kjump bios $name --json > /tmp/json || exit 1
                grep -q \"${wanted#*:}\" /tmp/json || { echo no $wanted; cat /tmp/json; exit 1; }
            done
            # A loop ends with its limit, having added to EDI between turns, or with the carry flag.
            kjump bios 0x12 --ebx 1 --loop --step 3 > /tmp/loop || exit 1
            grep 'returned, 1000 times' /tmp/loop && grep 'edi 00000bb5' /tmp/loop || exit 1
            kjump bios 0x15 --eax 0xd0ff --ebx 1 --loop --quiesce none > /tmp/loop || exit 1
            grep 'returned with the carry flag set$' /tmp/loop || exit 1
            kjump bios 0x15 --eax 0xe820 --ecx 24 --edx 0x534d4150 --loop --buffer 512 --repeat 100",
        )?
        .succeeded()
        .prints("equal to /sys/firmware/memmap")
        .prints("VBE 3.0, 16 MiB of video memory")
        .prints("product       RHT 0x1234, EDID 1.4")
        .prints(" 16384    512 ")
        .prints(" vda\n")
        .prints("PCI BIOS 2.10")
        .prints("eax 534d4150")
        .prints("median of 100 calls")
        .never_prints("changed")
        .kernel_log_is_clean();
    Ok(())
}

fn the_bios_agrees_with_the_kernel_on_a_pc(on: &str) -> Result<()> {
    agrees(vm(on).smp(2))
}

fn the_bios_agrees_with_the_kernel_on_a_q35(on: &str) -> Result<()> {
    agrees(vm(on).smp(4).machine(Machine::Q35).mem(1024))
}

/// A wait of 200 ms by the clock's interrupt, and a key that nobody presses. An NMI from another
/// CPU is counted.
fn a_bios_that_waits_returns_or_is_ended_at_its_deadline(on: &str) -> Result<()> {
    vm(on)
        .smp(2)
        .run(
            ". /lib/lab.sh
            clock_then=$(clock_ahead)
            for level in none stop suspend; do
                kjump bios 0x15 --eax 0x8600 --ecx 3 --edx 0xd40 --quiesce $level || exit 1
                kjump bios 0x16 --deadline 300 --quiesce $level > /tmp/out
                [ $? = 5 ] && grep 'ended at f000:' /tmp/out && ! grep changed /tmp/out || exit 1
            done
            for time in $(seq 30); do
                kjump bios 0x16 --deadline 55 --quiesce none > /tmp/out
                [ $? = 5 ] || exit 1
                kjump bios e820 > /dev/null || exit 1
            done
            # A program that is killed while the BIOS has the CPU ends when its call does.
            kjump bios 0x16 --deadline 3000 --quiesce none & sleep 1; kill -9 $!; wait $!
            [ $? = 137 ] && kjump bios e820 > /dev/null || exit 1
            # The other CPU asks this one for a backtrace, by an NMI, and waits for it.
            for time in $(seq 5); do
                (sleep 2; taskset 2 sh -c 'echo l > /proc/sysrq-trigger') &
                kjump bios 0x16 --deadline 5000 --quiesce none > /tmp/out
                [ $? = 5 ] || exit 1
                wait
                grep NMIs /tmp/out && break
            done
            for each in 1 2; do timeout 20 taskset $each sleep 0.1 || exit 1; done
            near $(clock_ahead) $clock_then || { echo wrong: the clock; exit 1; }",
        )?
        .succeeded()
        .prints("NMIs  1")
        .never_prints("changed");
    Ok(())
}

/// Programs of a few bytes: a division by zero, an invalid instruction, an interrupt beyond the end
/// of a shortened table.
fn an_exception_in_real_mode_is_an_error(on: &str) -> Result<()> {
    vm(on)
        .smp(2)
        .run(
            r#"program() { printf "$1" > /tmp/program; kjump bios @:0 --in /tmp/program --quiesce $2; }
            # ends PROGRAM MESSAGE: 34 times, and once while the system is suspended
            ends() {
                for time in $(seq 34); do
                    program "$1" none > /tmp/out
                    [ $? = 3 ] && grep -q "$2" /tmp/out || { cat /tmp/out; exit 1; }
                    grep changed /tmp/out && exit 1
                done
                program "$1" suspend; [ $? = 3 ] || exit 1
            }
            ends '\x31\xc0\xf7\xf0\xcb' 'exception 0 (divide error) at 2000:0002'
            ends '\x0f\x0b' 'exception 6 (invalid opcode) at 2000:0000'
            ends '\x0f\x01\x1e\x08\x00\xcd\x55\xcb\x3f\x00\x00\x00\x00\x00' \
                'exception 13 (general protection fault) at 2000:0005'
            program '\xb8\x34\x12\xcb' none | grep 'eax 00001234'"#,
        )?
        .succeeded()
        .kernel_log_is_clean();
    Ok(())
}

fn a_machine_without_a_bios_says_so(on: &str) -> Result<()> {
    vm(on)
        .uefi()
        .run("kjump test-machine && exit 2; kjump bios e820")?
        .exited(1)
        .prints("this machine was booted by UEFI and has no BIOS to call")
        .kernel_log_is_clean();
    Ok(())
}

/// All is as the kernel knows it. Then programs in real mode make the BIOS report less memory than
/// there is, and have INT 12h wait for a key: both are found, named on the console, and the test
/// goes on.
fn a_machine_is_tested_through_its_bios(on: &str) -> Result<()> {
    let disk = Scratch::numbered("disk", 8)?;
    vm(on)
        .smp(2)
        .disk(&disk)
        .qemu("-vga")
        .qemu("std")
        .run(
            r#"test_machine() { : > /tmp/console; kjump test-machine --console /tmp/console "$@"; }
            program() {
                printf "$1" > /tmp/program
                kjump bios @:0 --in /tmp/program --quiesce none > /dev/null
            }
            test_machine --deadline 20000 > /tmp/out; status=$?
            cat /tmp/out; [ $status = 0 ] || exit 1
            [ $(grep -c ' \.\.\.' /tmp/console) = $(grep -c ': as exp\|: not comp' /tmp/console) ] || exit 1
            # 512 KiB of base memory.
            program '\x31\xc0\x8e\xd8\xc7\x06\x13\x04\x00\x02\xcb' || exit 1
            test_machine --deadline 20000 > /tmp/out; [ $? = 1 ] || exit 1
            grep '^base memory  *DIFFERENT .* 512 KiB  *639 KiB$' /tmp/out || exit 1
            # INT 12h is INT 16h.
            program '\x31\xc0\x8e\xd8\x66\xa1\x58\x00\x66\xa3\x48\x00\xcb' || exit 1
            test_machine --deadline 3000 > /tmp/out; [ $? = 5 ] || exit 1
            grep '^base memory  *NO ANSWER .* it was ended at f000:' /tmp/out || exit 1
            grep '^test-machine: base memory: NO ANSWER' /tmp/console || exit 1
            grep '^memory map (E820h)  *as expected' /tmp/out || exit 1
            kjump test-machine --json --deadline 3000 > /tmp/json; [ $? = 5 ] || exit 1
            grep '"verdict": "no answer"' /tmp/json || exit 1
            kjump test-machine --console /nowhere; [ $? = 1 ]"#,
        )?
        .succeeded()
        .prints("nothing was left changed")
        .prints("0 not, ")
        .kernel_log_is_clean();
    Ok(())
}

/// Every line of the report is good.
fn is_tested(vm: Vm) -> Result<()> {
    let disk = Scratch::numbered("disk", 8)?;
    let vm = vm.disk(&disk).qemu("-vga").qemu("std");
    vm.run("kjump test-machine --deadline 20000")?
        .succeeded()
        .prints("disk types (15h)              as expected")
        .prints("cursor                        as expected")
        .prints("clock (RTC)                   as expected")
        .prints("nothing was left changed")
        .prints(" as expected, 0 not, ")
        .kernel_log_is_clean();
    Ok(())
}

fn a_q35_is_tested_through_its_bios(on: &str) -> Result<()> {
    is_tested(vm(on).smp(4).machine(Machine::Q35))
}

fn machines_with_other_numbers_of_cpus_are_tested_through_their_bios(on: &str) -> Result<()> {
    for (machine, cpus) in [(Machine::Pc, 1), (Machine::Pc, 4), (Machine::Q35, 1), (Machine::Q35, 2)] {
        is_tested(vm(on).smp(cpus).machine(machine))?;
    }
    Ok(())
}

/// Sector 1000 is read through IDE, whose driver works by the same ports. Through virtio, whose
/// driver has its own queues, nothing is; nor through USB, of which the BIOS names no controller.
fn disks_are_read_only_by_controllers_that_the_bios_still_has(on: &str) -> Result<()> {
    let bytes: Vec<u8> = (0..8_u32 << 20).map(|at| (at / 512 + at).to_le_bytes()[0]).collect();
    let (ide, virtio) = (Scratch::new("ide", &bytes)?, Scratch::new("virtio", &bytes)?);
    let usb = Scratch::numbered("usb", 1)?;
    let drive = format!("file={},format=raw,if=ide", PathBuf::from(&ide).display());
    let stick = format!("file={},format=raw,if=none,id=stick", PathBuf::from(&usb).display());
    vm(on)
        .smp(2)
        .disk(&virtio)
        .qemu("-drive")
        .qemu(drive)
        .qemu("-drive")
        .qemu(stick)
        .qemu("-device")
        .qemu("qemu-xhci")
        .qemu("-device")
        .qemu("usb-storage,drive=stick")
        .run(
            r"kjump bios edd
            # A packet: 16 bytes, one sector, to 2000:0010, sector 1000.
            printf '\x10\x00\x01\x00\x10\x00\x00\x20\xe8\x03\x00\x00\x00\x00\x00\x00' > /tmp/packet
            read_by_bios() {
                kjump bios 0x13 --eax 0x4200 --edx $1 --in /tmp/packet --buffer 528 --out /tmp/back
            }
            ide=$(kjump bios edd | sed -n 's/^\(0x8[0-9]*\) .* ATA .*/\1/p')
            virtio=$(kjump bios edd | sed -n 's/^\(0x8[0-9]*\) .* vda$/\1/p' | grep -v ^$ide)
            read_by_bios $ide || exit 1
            dd if=/dev/vda bs=512 skip=1000 count=1 2> /dev/null > /tmp/wanted
            dd if=/tmp/back bs=16 skip=1 2> /dev/null | cmp - /tmp/wanted || exit 1
            read_by_bios $virtio; [ $? = 1 ] || exit 1
            usb=$(kjump bios edd | sed -n 's/^\(0x8[0-9]*\)  *2048 .*/\1/p')
            read_by_bios $usb; [ $? = 1 ] || exit 1
            kjump bios 0x13 --eax 0x4300 --edx $ide --in /tmp/packet --buffer 528; [ $? = 1 ]",
        )?
        .succeeded()
        .prints("is held by the driver virtio-pci")
        .prints("and the BIOS does not name its controller")
        .prints("--allow-disk-writes permits it")
        .never_prints("changed")
        .kernel_log_is_clean();
    assert!(ide.bytes()? == bytes, "the IDE disk has changed");
    Ok(())
}

fn thousands_of_bios_calls_leave_the_machine_as_it_was(on: &str) -> Result<()> {
    let disk = Scratch::numbered("disk", 8)?;
    vm(on)
        .smp(2)
        .disk(&disk)
        .timeout(Duration::from_secs(1500))
        .run(
            ". /lib/lab.sh
            ip link set eth0 up; ip addr add 10.0.2.15/24 dev eth0 2> /dev/null
            remember
            kjump bios 0x15 --eax 0xe820 --ecx 24 --edx 0x534d4150 --loop --buffer 512 --repeat 2000 || exit 1
            kjump bios 0x1a --repeat 1000 || exit 1
            kjump bios 0x13 --eax 0x4100 --ebx 0x55aa --edx 0x80 --repeat 1000 || exit 1
            kjump bios 0x15 --eax 0x8600 --edx 20000 --quiesce none --repeat 300 || exit 1
            kjump bios 0x15 --eax 0x8600 --edx 20000 --repeat 100 || exit 1
            kjump bios 0x12 --quiesce suspend --repeat 20 || exit 1
            fine calls",
        )?
        .succeeded()
        .prints("fine after calls")
        .never_prints("changed")
        .never_prints("wrong")
        .kernel_log_is_clean();
    Ok(())
}
