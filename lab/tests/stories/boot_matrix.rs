//! Kernels that kexec starts: under BIOS and UEFI, by either system call, in every file format.

use std::time::Duration;

use lab::stage::{REFERENCE, kexec_tools, release_of_last, vm};
use lab::story::Story;
use lab::{Ended, Error, Job, Result, stories};

use crate::kexec::OPTIONS;

pub(crate) const STORIES: &[Story] = stories! {
    &["6.1+6.12"] => kexec_load_works_under_uefi,
    &["6.12+6.1"], long => kexec_file_load_works_under_uefi,
    &["6.1+6.12"] => the_framebuffer_survives_kexec,
    &["6.1+newest", "6.12+newest"], long => the_newest_kernel_is_started,
    &["newest+6.12", "5.10+6.12", "6.12+5.10"], long => kexec_works_on_kernels_without_the_module,
    &["6.1"], long => compressed_kernels_are_started,
    &["6.1"] => multiboot_kernels_find_their_modules,
    &["6.1"], long => kexec_test_finds_the_expected_machine_state,
    &["6.1", "6.12"] => kexec_behaves_as_kselftest_and_ltp_expect,
};

/// The next kernel reports on itself and its firmware.
const REPORT: &str = "uname -r; cat /proc/cmdline
    ls /sys/firmware/efi/runtime && echo it has EFI
    [ -e /sys/firmware/acpi/tables/APIC ] && echo it has ACPI
    dmesg | grep -q 'EFI runtime services access via' && echo old mapping
    nproc";

fn follow_under_uefi(on: &str, way: &str) -> Result<()> {
    let load = format!("kexec -l {way} -d {OPTIONS} /boot/next || exit 9; kexec -e; exit 8");
    let outcome = vm(on).uefi().smp(2).mem(1024).successor(Job::shell(REPORT)).run(&load)?;
    outcome.succeeded().prints(&release_of_last(on)).prints("it has EFI").prints("it has ACPI").prints("2\n");
    Ok(())
}

fn kexec_load_works_under_uefi(on: &str) -> Result<()> {
    follow_under_uefi(on, "-c")
}

fn kexec_file_load_works_under_uefi(on: &str) -> Result<()> {
    follow_under_uefi(on, "-s")
}

/// The next kernel writes its messages to the framebuffer that the firmware set up.
fn the_framebuffer_survives_kexec(on: &str) -> Result<()> {
    const LOOK: &str = "[ \"$(cat /proc/fb)\" = '0 EFI VGA' ] || exit 7
        cat /sys/class/graphics/fb0/virtual_size
        grep -A9 'PCI Bus' /proc/iomem | grep efifb";
    let load = format!(
        "{LOOK}
        kexec -l -c --initrd /boot/next.cpio --append 'console=ttyS0 console=tty0 no_timer_check' \\
            /boot/next || exit 9
        kexec -e; exit 8"
    );
    let written = "[ $(tr -d '\\0' < /dev/fb0 | wc -c) -gt 10000 ] && echo it has text";
    let look = format!("{LOOK}; {written}");
    let outcome = vm(on)
        .uefi()
        .mem(1024)
        .append("console=tty0")
        .qemu("-vga")
        .qemu("std")
        .successor(Job::shell(&look))
        .run(&load)?;
    outcome.succeeded().prints("it has text");
    Ok(())
}

fn follow(on: &str, load: &str) -> Result<Ended> {
    let job = format!("{load} || exit 9; kexec -e; exit 8");
    vm(on).smp(2).mem(1024).successor(Job::shell(REPORT)).run(&job)
}

fn the_newest_kernel_is_started(on: &str) -> Result<()> {
    for way in ["-c", "-s"] {
        let outcome = follow(on, &format!("kexec -l {way} {OPTIONS} /boot/next"))?;
        outcome.succeeded().prints(&release_of_last(on)).prints("console=ttyS0 no_timer_check marked\n");
    }
    Ok(())
}

/// The newest kernel and an old one: kexec does not need the module.
fn kexec_works_on_kernels_without_the_module(on: &str) -> Result<()> {
    for way in ["-c", "-s"] {
        let load =
            format!("kexec --check {way} -l /boot/next && kexec -l {way} {OPTIONS} /boot/next || exit 9");
        // 5.10 claims support for five levels of page tables at entry, but crashes, with
        // kexec-tools too.
        let cpu = if on.ends_with("+5.10") { "max,la57=off" } else { "max" };
        let vm = vm(on).cpu(cpu).smp(2).mem(1024).successor(Job::shell(REPORT));
        let outcome = vm.run(&format!("{load}; kexec -e; exit 8"))?;
        outcome.succeeded().prints(&release_of_last(on)).prints("console=ttyS0 no_timer_check marked\n");
    }
    Ok(())
}

/// A compressed file, and a self-extracting EFI program (zboot), whose header has `zimg`, offset
/// and size of the compressed bytes, and the name of the compression.
fn compressed_kernels_are_started(on: &str) -> Result<()> {
    let word = "byte() { printf \"\\\\$(printf %03o $(($1 & 255)))\"; }
        word() { byte $1; byte $(($1 >> 8)); byte $(($1 >> 16)); byte 0; }";
    for pack in [
        "gzip < /boot/next > /tmp/k",
        "bzip2 < /boot/next > /tmp/k",
        "gzip < /boot/next > /tmp/z
         { printf 'MZ\\0\\0zimg'; word 64; word $(stat -c %s /tmp/z); printf '\\0\\0\\0\\0\\0\\0\\0\\0gzip'
           head -c 36 /dev/zero; cat /tmp/z; } > /tmp/k",
    ] {
        let outcome = follow(on, &format!("{word}\n{pack}\nkexec -l -d {OPTIONS} /tmp/k"))?;
        outcome.succeeded().prints(&release_of_last(on)).prints("console=ttyS0 no_timer_check marked\n");
    }
    Ok(())
}

fn multiboot_kernels_find_their_modules(on: &str) -> Result<()> {
    for version in [1, 2] {
        let job = format!(
            "printf 'the first\\0' > /tmp/a; printf 'the second\\0' | gzip > /tmp/b
            kexec -l --module '/tmp/a with words' --module /tmp/b --command-line 'of its own' \\
                /lib/kjump/payloads/multiboot{version} || exit 9
            kexec -e; exit 8"
        );
        let log = match vm(on).run(&job) {
            Err(Error::GuestEnded { log, .. }) => log,
            other => panic!("the machine did not end: {other:?}"),
        };
        for text in [
            format!("multiboot {version}: entered"),
            format!("/lib/kjump/payloads/multiboot{version} of its own"),
            "/tmp/a with words holds the first".into(),
            "/tmp/b holds the second".into(),
        ] {
            assert!(log.contains(&text), "{text:?} was not printed\n{log}");
        }
    }
    Ok(())
}

/// The test program of kexec-tools switches from 32-bit to real mode, calls the BIOS, switches back
/// and halts.
fn kexec_test_finds_the_expected_machine_state(on: &str) -> Result<()> {
    let job = format!("kexec -l {REFERENCE}/kexec_test.static --args-none || exit 9; kexec -e; exit 8");
    let log = match vm(on).file(kexec_tools(), REFERENCE).timeout(Duration::from_secs(60)).run(&job) {
        Err(Error::Timeout { log, .. }) => log,
        other => panic!("the machine did not halt: {other:?}"),
    };
    for text in [
        "kexec_test 2.0.25 starting...",
        "eax: 00000000 ebx: 00000000 ecx: 00000000 edx: 00000000",
        "In real mode.",
        "E820 Memory Map.",
        "000000000009FC00 @ 0000000000000000 type: 00000001",
        "In protected mode.",
        "Halting.",
    ] {
        assert!(log.contains(text), "{text:?} was not printed\n{log}");
    }
    Ok(())
}

/// The expectations of the kernel's selftests and of LTP: a load needs neither a command line nor
/// an initrd, short options can be combined, and the scripts search the texts of help and version.
fn kexec_behaves_as_kselftest_and_ltp_expect(on: &str) -> Result<()> {
    let job = "
        is() { \"$@\" || { echo \"wrong: $*\"; exit 9; }; }
        loaded() { [ $(cat /sys/kernel/kexec_loaded) = $1 ] || { echo \"wrong: loaded\"; exit 9; }; }
        kexec -v | grep -q '^kexec-tools ' || { echo wrong: version; exit 9; }
        kexec -h 2>&1 | grep -q reuse-cmdline || { echo wrong: help; exit 9; }
        is kexec --load /boot/next; loaded 1
        is kexec --unload; loaded 0
        is kexec --load --kexec-file-syscall /boot/next; loaded 1
        is kexec --unload --kexec-file-syscall; loaded 0
        for option in --reuse-cmdline --append=foo --command-line=bar; do
            is kexec -s -l /boot/next $option; loaded 1
            is kexec -su; loaded 0
        done
        is kexec -l -s --reuse-cmdline /boot/next --initrd=/boot/next; loaded 1
        is kexec -u
        kexec -d -s -l /boot/next --reuse-cmdline 2>&1 | grep 'command line:' > /tmp/line
        sed -e 's/BOOT_IMAGE=[^ ]* //' -e 's/^/kexec: command line: /' /proc/cmdline > /tmp/wanted
        grep -qxF \"$(cat /tmp/wanted)\" /tmp/line ||
            { cat /tmp/line /tmp/wanted; echo wrong: command line; exit 9; }
        kexec -u; echo 1 > /proc/sys/kernel/kexec_load_disabled
        kexec --load /boot/next && { echo wrong: loaded although disabled; exit 9; }
        echo all found";
    vm(on)
        .mem(768)
        .file(lab::stage::kernel_file(on), "/boot/next")
        .run(job)?
        .succeeded()
        .prints("all found")
        .never_prints("wrong")
        .kernel_log_is_clean();
    Ok(())
}
