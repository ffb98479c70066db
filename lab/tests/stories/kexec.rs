//! Kernels that `kexec` loads and starts in place of the running one.

use lab::stage::{REFERENCE, kernel_file, kexec_tools, release_of_last, vm};
use lab::story::Story;
use lab::{Ended, Error, Job, Result, Scratch, stories};

pub(crate) const STORIES: &[Story] = stories! {
    &["6.1"] => the_next_kernel_gets_the_same_from_kexec_tools,
    &["6.1"], long => arguments_have_the_same_effect_as_with_kexec_tools,
    &["6.1+6.12"] => a_kernel_is_started_by_kexec_file_load,
    &["6.12+6.1"] => a_kernel_is_started_by_kexec_load,
    &["6.1", "6.1+6.12"] => a_prepared_kernel_is_started_at_random_addresses,
    &["6.1"] => kexec_works_where_the_module_cannot_be_used,
    &["6.1"] => a_kernel_is_entered_in_real_mode,
    &["6.12"], long => a_kernel_is_entered_in_32_bit_mode,
    &["6.1"], long => an_elf_kernel_is_started,
    &["6.1"], long => a_unified_kernel_image_is_started,
    &["6.1", "6.12"] => a_loaded_kernel_is_reported_and_unloaded,
    &["6.1"] => kexec_explains_every_refusal,
    &["6.1"] => missing_mounts_are_reported,
    &["6.1"] => kexec_without_permission_explains_the_refusal,
    &["6.1", "6.12"] => a_file_that_cannot_be_read_as_it_is_ends_the_load_with_its_name,
    &["6.1", "6.12"] => an_initrd_that_the_disk_cannot_read_is_named,
    &["6.1"] => a_start_that_fails_leaves_the_network_as_it_was,
    &["6.1"] => a_bootconfig_stays_at_the_end_of_the_initrd,
    &["6.1"] => the_boot_loaders_default_entry_is_started,
};

/// The next kernel reports its release, its command line, its memory map and added files.
const REPORT: &str = "uname -r; cat /proc/cmdline; dmesg | grep -c BIOS-e820; cat /added/*; true";
pub(crate) const OPTIONS: &str = "--initrd /boot/next.cpio --append 'console=ttyS0 no_timer_check marked'";

/// Runs a script that loads the next kernel, starts that kernel, and returns its report.
fn follow(on: &str, load: &str) -> Result<Ended> {
    vm(on).smp(2).mem(1024).successor(Job::shell(REPORT)).run(&format!("{load} || exit 9; kexec -e; exit 8"))
}

fn a_kernel_is_started_by_kexec_file_load(on: &str) -> Result<()> {
    let load = format!(
        "echo a secret > /tmp/key; kexec -l -d {OPTIONS} --initrd-add /tmp/key:/added/key /boot/next"
    );
    follow(on, &load)?
        .succeeded()
        .prints(&release_of_last(on))
        .prints("console=ttyS0 no_timer_check marked\n")
        .prints("a secret")
        .prints("by kexec_file_load");
    Ok(())
}

fn a_kernel_is_started_by_kexec_load(on: &str) -> Result<()> {
    let load = format!(
        "echo a secret > /tmp/key; kexec -l -c -d {OPTIONS} --initrd-add /tmp/key:/added/key /boot/next"
    );
    follow(on, &load)?
        .succeeded()
        .prints(&release_of_last(on))
        .prints("console=ttyS0 no_timer_check marked\n")
        .prints("a secret")
        .prints("kernel entry: 0x1000200 in 64-bit mode");
    Ok(())
}

/// The kernel and its compressed initrd are unpacked before the start.
fn a_prepared_kernel_is_started_at_random_addresses(on: &str) -> Result<()> {
    const LOOK: &str = "uname -r; cat /proc/cmdline
        virtual=$(grep ' T _text$' /proc/kallsyms | cut -d ' ' -f 1)
        physical=$(grep 'Kernel code' /proc/iomem)
        echo \"$virtual $physical\"
        case \"$virtual $physical\" in
            'ffffffff81000000   01000000-'*) echo not moved ;;
            *) echo moved ;;
        esac
        dmesg | grep -i 'initramfs unpacking failed'; nproc";
    let load = format!(
        "gzip -1 /boot/next.cpio; mv /boot/next.cpio.gz /boot/next.cpio
        kexec -l --prepare -d {OPTIONS} /boot/next || exit 9; kexec -e; exit 8"
    );
    let outcome = vm(on).smp(2).mem(1024).successor(Job::shell(LOOK)).run(&load)?.succeeded();
    outcome
        .prints("prepared: the kernel is unpacked, at random addresses; initrds unpacked: 1")
        .prints(&release_of_last(on))
        .prints("console=ttyS0 no_timer_check marked\n")
        .prints("\nmoved\n2\n");
    Ok(())
}

/// As after an upgrade of the program, with the old module still loaded.
fn kexec_works_where_the_module_cannot_be_used(on: &str) -> Result<()> {
    let load = format!(
        "rm /dev/kjump; touch /dev/kjump
        kexec -l {OPTIONS} /boot/next || exit 9
        kexec -S -l; [ $? = 1 ] || exit 9
        kexec -u && [ $(cat /sys/kernel/kexec_loaded) = 0 ] || exit 9
        kexec -S -l || exit 9
        kexec -e; [ $? = 1 ] || exit 9
        kexec -l -d {OPTIONS} /boot/next"
    );
    follow(on, &load)?
        .succeeded()
        .prints(&release_of_last(on))
        .prints("Nothing has been loaded!")
        .prints("continuing without kjump's module: ");
    Ok(())
}

fn a_kernel_is_entered_in_real_mode(on: &str) -> Result<()> {
    let outcome = follow(on, &format!("kexec -l -d --real-mode {OPTIONS} /boot/next"))?.succeeded();
    outcome
        .prints("in real mode")
        .prints(&release_of_last(on))
        .prints("console=ttyS0 no_timer_check marked\n");
    Ok(())
}

fn a_kernel_is_entered_in_32_bit_mode(on: &str) -> Result<()> {
    let outcome = follow(on, &format!("kexec -l -d --entry-32bit {OPTIONS} /boot/next"))?.succeeded();
    outcome
        .prints("in 32-bit mode")
        .prints(&release_of_last(on))
        .prints("console=ttyS0 no_timer_check marked\n");
    Ok(())
}

fn an_elf_kernel_is_started(on: &str) -> Result<()> {
    let load = format!("guest unpacked /boot/next /tmp/vmlinux && kexec -l -d {OPTIONS} /tmp/vmlinux");
    let outcome = follow(on, &load)?.succeeded();
    outcome.prints("ELF").prints(&release_of_last(on)).prints("console=ttyS0 no_timer_check marked\n");
    Ok(())
}

fn a_unified_kernel_image_is_started(on: &str) -> Result<()> {
    let kernel = std::fs::read(kernel_file(on)).map_err(|source| Error::Output { source })?;
    let sections: [(&[u8], &[u8]); 4] = [
        (b".osrel", b"PRETTY_NAME=\"The next\"\n"),
        (b".cmdline", b"console=ttyS0 no_timer_check from the image\n"),
        (b".uname", release_of_last(on).leak().as_bytes()),
        (b".linux", &kernel),
    ];
    let image = Scratch::new("uki.efi", &efi_program(&sections))?;
    let load = "kexec -l -c -d --initrd /boot/next.cpio /boot/uki.efi";
    let outcome = vm(on)
        .mem(1024)
        .successor(Job::shell(REPORT))
        .file(&image, "/boot/uki.efi")
        .run(&format!("{load} || exit 9; [ -z \"$(ls /tmp)\" ] || exit 7; kexec -e; exit 8"))?
        .succeeded();
    outcome.prints("The next").prints(&release_of_last(on)).prints("from the image\n");
    Ok(())
}

/// An EFI program with only these sections.
fn efi_program(sections: &[(&[u8], &[u8])]) -> Vec<u8> {
    const HEADERS: usize = 0x1000;
    let number = |number: usize| u32::try_from(number).expect("the file is small").to_le_bytes();
    let mut file = vec![0; HEADERS];
    file[..2].copy_from_slice(b"MZ");
    file[0x3c] = 0x40;
    file[0x40..0x44].copy_from_slice(b"PE\0\0");
    file[0x46..0x48].copy_from_slice(&number(sections.len())[..2]);
    for (place, (name, bytes)) in sections.iter().enumerate() {
        let header = 0x58 + place * 40;
        file[header..header + name.len()].copy_from_slice(name);
        file[header + 8..header + 12].copy_from_slice(&number(bytes.len()));
        file[header + 16..header + 20].copy_from_slice(&number(bytes.len()));
        let at = number(file.len());
        file[header + 20..header + 24].copy_from_slice(&at);
        file.extend_from_slice(bytes);
    }
    file
}

/// Runs both programs with the same arguments on the same machine. Nothing is loaded; the intended
/// loads are compared.
fn the_next_kernel_gets_the_same_from_kexec_tools(on: &str) -> Result<()> {
    let job = "cd /tmp; head -c 300000 /boot/next > initrd
        same() {
            rm -rf ours theirs; echo \"--- $*\"
            swallow run ours kexec \"$@\" && swallow run theirs /reference/kexec \"$@\" &&
                swallow compare ours theirs || exit 9
        }
        same -c -l /boot/next
        same -c -l /boot/next --initrd initrd --append 'a b  c'
        same -c -l /boot/next --reuse-cmdline --append x --command-line last --ramdisk initrd
        same -s -l /boot/next --initrd initrd --append 'a b  c'
        same -s -l /boot/next --reuse-cmdline";
    vm(on)
        .mem(1024)
        .file(kernel_file(on), "/boot/next")
        .file(kexec_tools(), REFERENCE)
        .run(job)?
        .succeeded()
        .prints("facts are the same, 0 differ unintendedly")
        .never_prints("DIFFERS");
    Ok(())
}

/// Exit statuses and system calls of both programs for each line of a table, on a machine where
/// nothing is loaded.
fn arguments_have_the_same_effect_as_with_kexec_tools(on: &str) -> Result<()> {
    let table = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/kjump/src/kexec/args");
    let job = "cp /boot/small /k; cp /boot/small /l; printf initrd > /i; printf initrd > /j; printf tree > /d
        swallow vectors /table/vectors.txt kexec /reference/kexec";
    let small = Scratch::new("small", &small_kernel())?;
    let outcome = vm(on)
        .timeout(std::time::Duration::from_secs(900))
        .file(&small, "/boot/small")
        .file(table, "/table")
        .file(kexec_tools(), REFERENCE)
        .run(job)?
        .succeeded();
    println!("{}", outcome.text());
    Ok(())
}

/// The smallest file that both programs accept as a bzImage.
fn small_kernel() -> Vec<u8> {
    let mut file = vec![0; 0x8000];
    let mut put = |offset: usize, bytes: &[u8]| file[offset..offset + bytes.len()].copy_from_slice(bytes);
    put(0x1f1, &[1]);
    put(0x1fe, &[0x55, 0xaa, 0xeb, 0x6a]);
    put(0x202, b"HdrS\x0f\x02");
    put(0x211, &[1]);
    put(0x22c, &0x7fff_ffff_u32.to_le_bytes());
    put(0x230, &0x20_0000_u32.to_le_bytes());
    put(0x234, &[1, 21, 0x3f, 0]);
    put(0x238, &2047_u32.to_le_bytes());
    put(0x258, &0x100_0000_u64.to_le_bytes());
    put(0x260, &0x10_0000_u32.to_le_bytes());
    file
}

fn a_loaded_kernel_is_reported_and_unloaded(on: &str) -> Result<()> {
    let job = "loaded() {
            [ $(cat /sys/kernel/kexec_loaded) = $1 ] || exit 9
            kexec -S -l; [ $? = $1 ] || exit 9
        }
        loaded 0
        for way in -s -c -a; do
            kexec $way -l --append x /boot/next || exit 9; loaded 1
            kexec $way -u || exit 9; loaded 0
        done
        kexec -su && kexec -u || exit 9
        kexec -S; echo crash $?
        kexec -e; echo nothing $?
        kexec -l --append x /boot/next &&
            kexec --load-preserve-context --args-none /lib/kjump/payloads/phy_mode
        kexec -S -l; echo image $?
        kexec -e; echo back $?
        kexec -l -c --append x /boot/next; kexec -u; loaded 0
        kexec -p --append x /boot/next; echo unreserved $?
        dd if=/boot/next bs=1M 2>/dev/null | gzip > /tmp/packed
        kexec -l --append x /tmp/packed || exit 9; loaded 1";
    vm(on)
        .mem(1024)
        .file(kernel_file(on), "/boot/next")
        .run(job)?
        .succeeded()
        .prints("crash 0")
        .prints("Nothing has been loaded!")
        .prints("nothing 1")
        .prints("image 1")
        .prints("kexec: call 1 returned 0x")
        .prints("back 0")
        .prints("crashkernel=")
        .prints("unreserved 254")
        .kernel_log_is_clean();
    Ok(())
}

fn kexec_explains_every_refusal(on: &str) -> Result<()> {
    let job = "mount -t securityfs securityfs /sys/kernel/security
        no() {
            echo \"--- $*\"; kexec \"$@\"; echo status $?
            [ $(cat /sys/kernel/kexec_loaded) = 0 ] || exit 9
        }
        : > /tmp/empty; printf MZ > /tmp/two; head -c 100000 /boot/next > /tmp/cut
        no -l /tmp/empty
        no -l /tmp/two
        no -l /tmp/cut
        no -l /nonexistent
        no -l /boot/next --initrd /nonexistent
        no -l /boot/next --initrd /tmp/empty
        no -c -l /boot/next --append \"$(printf '%3000s' x)\"
        no -c -l /boot/next --mem-max 0x4ffffff --initrd /boot/next --initrd /boot/next
        no -s -l /lib/kjump/payloads/multiboot2
        no -l /bin/busybox --args-none --append x
        no -f
        no -e --append x
        ls /tmp | wc -l
        echo 1 > /proc/sys/kernel/kexec_load_disabled
        no -l /boot/next
        no -c -l /boot/next";
    vm(on)
        .mem(768)
        .file(kernel_file(on), "/boot/next")
        .run(job)?
        .succeeded()
        .prints("/tmp/empty: the file is empty")
        .prints("/tmp/two: unrecognised file format")
        .prints("the protected-mode code needs")
        .prints("Cannot open /nonexistent")
        .prints("Could not open initrd file /nonexistent")
        .prints("initrd /tmp/empty: the file is empty")
        .prints("the command line has 3000 bytes, the kernel accepts at most 2047")
        .prints("no room for initrd")
        .prints("kexec_file_load takes bzImages only")
        .prints("3\n--- -l /boot/next\n")
        .prints("kernel.kexec_load_disabled is 1")
        .never_prints("status 0")
        .kernel_log_is_clean();
    Ok(())
}

/// Without /sys the next kernel gets less information, with a warning; without /proc it has no
/// memory map.
fn missing_mounts_are_reported(on: &str) -> Result<()> {
    let job = "no() { echo \"--- $*\"; kexec \"$@\"; echo status $?; }
        umount -l /sys
        no -S
        no -p -c --append x /boot/next
        no --print-ckr-size
        no -e
        kexec --check -l -c --append x /boot/next
        kexec -l -c --append x /boot/next && kexec -u || exit 9
        umount -l /proc
        no -l -c --append x /boot/next
        no -l --reuse-cmdline /boot/next";
    vm(on)
        .mem(768)
        .file(kernel_file(on), "/boot/next")
        .run(job)?
        .succeeded()
        .prints("there is no /sys/kernel/kexec_crash_loaded: mount sysfs at /sys")
        .prints("there is no /sys/kernel/kexec_crash_size: mount sysfs at /sys")
        .prints("there is no /sys/kernel/kexec_loaded: mount sysfs at /sys")
        .prints("status 254")
        .prints(
            "kexec: /sys/kernel/boot_params/data does not exist, so the next kernel does not get the screen",
        )
        .prints("warn  parameters     /sys/kernel/boot_params/data does not exist")
        .prints("/proc/iomem does not exist")
        .prints("--reuse-cmdline: /proc/cmdline does not exist")
        .never_prints("status 0")
        .kernel_log_is_clean();
    Ok(())
}

/// An ordinary user, root of a container, and root with invalid arguments and sizes.
fn kexec_without_permission_explains_the_refusal(on: &str) -> Result<()> {
    let job =
        "no() { echo \"--- $*\"; \"$@\"; echo status $?; [ $(cat /sys/kernel/kexec_loaded) = 0 ] || exit 9; }
        echo 'nobody:x:65534:65534::/:/bin/sh' >> /etc/passwd
        no su nobody -s /bin/sh -c 'kexec -l --append x /boot/next'
        no su nobody -s /bin/sh -c 'kexec -l -c --append x /boot/next'
        no unshare -U -r kexec -l -s --append x /boot/next
        no kexec -l --bogus /boot/next
        no kexec -l --mem-min 0x2000000 --mem-max 0x1000000 /boot/next
        truncate -s 1500M /tmp/big
        no kexec -l -c --append x --initrd /tmp/big /boot/next
        [ \"$(ls /tmp)\" = big ] || exit 7";
    vm(on)
        .mem(768)
        .file(kernel_file(on), "/boot/next")
        .run(job)?
        .succeeded()
        .prints("CAP_SYS_BOOT is missing: run as root")
        .prints("CAP_SYS_BOOT counts only inside this container")
        .prints("unrecognized option '--bogus'")
        .prints("--mem-min 0x2000000 is above --mem-max 0x1000000")
        .prints("/tmp/big: it takes 1.4 GiB, and ")
        .never_prints("status 0")
        .never_prints("panicked")
        .kernel_log_is_clean();
    Ok(())
}

/// Files without an end, larger than memory, or that another program writes to, cuts short or makes
/// grow while they are read.
fn a_file_that_cannot_be_read_as_it_is_ends_the_load_with_its_name(on: &str) -> Result<()> {
    let job = "no() {
            echo \"--- $*\"; timeout -s KILL 60 \"$@\"; echo status $?
            [ $(cat /sys/kernel/kexec_loaded) = 0 ] || exit 9
        }
        truncate -s 4G /tmp/disk; cp /boot/next /tmp/elf; truncate -s 3G /tmp/elf
        no kexec -l /tmp/disk
        no kexec -l /tmp/elf
        no kexec -l /boot/next --initrd /dev/zero
        no kexec -l -c /boot/next --initrd /tmp/disk
        no kexec -l -s /boot/next --initrd /tmp/disk
        no kexec -l -c /boot/next --dtb /dev/zero
        no kexec -l /lib/kjump/payloads/multiboot2 --module '/dev/zero x'
        no kjump call /dev/zero
        no kjump boot --kernel /boot/next --initrd /dev/zero
        cat /dev/zero | no kexec -l /boot/next --initrd /proc/self/fd/0
        rm /tmp/disk /tmp/elf
        dd if=/dev/zero of=/tmp/i bs=1M count=100 2> /dev/null
        changing() { while :; do echo x | dd of=/tmp/i seek=90000000 bs=1 conv=notrunc 2> /dev/null; done; }
        for way in -c -s; do
            changing & writer=$!
            kexec -l $way /boot/next --initrd /tmp/i; echo changing $way $?
            kill $writer; wait $writer
            cut() { while ! readlink /proc/[0-9]*/fd/* | grep -qx /tmp/i; do :; done; truncate -s 0 /tmp/i; }
            cut 2> /dev/null & cutter=$!
            kexec -l $way /boot/next --initrd /tmp/i; status=$?
            kill $cutter 2> /dev/null; wait $cutter
            [ $status = 0 -o $status = 255 ] || { echo status $status; exit 9; }
            kexec -u; dd if=/dev/zero of=/tmp/i bs=1M count=100 2> /dev/null
        done";
    let killed = ["status 137", "status 135", "Bus error", "status 0\n"];
    let outcome = vm(on).smp(2).mem(768).file(kernel_file(on), "/boot/next").run(job)?.succeeded();
    killed
        .into_iter()
        .fold(outcome, lab::Outcome::never_prints)
        .prints("/tmp/disk: it is all zeros at its beginning")
        .prints("/tmp/elf: it takes 3 GiB, and ")
        .prints("Could not open initrd file /dev/zero: it is a character device")
        .prints("/tmp/disk: it takes 4 GiB, and ")
        .prints("the load: it takes 8 GiB, and ")
        .prints("--dtb /dev/zero: it is a character device")
        .prints("--module /dev/zero: it is a character device")
        .prints("kjump: /dev/zero: it is a character device")
        .prints("initrd /dev/zero: it is a character device")
        .prints("the most that can be read here")
        .prints("changing -c 255")
        .prints("/tmp/i: it was changed while it was read")
        .never_prints("Out of memory")
        .kernel_log_is_clean();
    Ok(())
}

/// A bad sector below an initrd. It can be written: otherwise ext4 may leave the place marked as
/// not yet written, and read zeros without asking the disk.
fn an_initrd_that_the_disk_cannot_read_is_named(on: &str) -> Result<()> {
    let rules = "[inject-error]\nevent = \"read_aio\"\niotype = \"read\"\nerrno = \"5\"\n\
                 sector = \"61440\"\nonce = \"off\"\n";
    let rules = Scratch::new("rules", rules.as_bytes())?;
    let disk = Scratch::ext4("disk", 64)?;
    let drive = format!(
        "driver=raw,file.driver=blkdebug,file.config={},file.image.driver=file,file.image.filename={},\
         id=bad,if=none",
        std::path::PathBuf::from(&rules).display(),
        std::path::PathBuf::from(&disk).display()
    );
    let job = "mkdir /d; mount /dev/vda /d; dd if=/dev/zero of=/d/i bs=1M count=50 2> /dev/null
        umount /d; mount -o ro /dev/vda /d
        for way in -c -s -a; do
            timeout -s KILL 60 kexec -l $way /boot/next --initrd /d/i; echo $way $?
            [ $(cat /sys/kernel/kexec_loaded) = 0 ] || exit 9
        done";
    vm(on)
        .mem(768)
        .file(kernel_file(on), "/boot/next")
        .driver("virtio_blk")
        .driver("ext4")
        .qemu("-drive")
        .qemu(drive)
        .qemu("-device")
        .qemu("virtio-blk-pci,drive=bad")
        .run(job)?
        .succeeded()
        .prints("kexec: /d/i: Input/output error")
        .prints("-c 255")
        .prints("-s 255")
        .prints("-a 255");
    Ok(())
}

/// The start fails in another namespace of processes, when the interfaces are down already.
fn a_start_that_fails_leaves_the_network_as_it_was(on: &str) -> Result<()> {
    let job = "card=$(ls /sys/class/net | grep -v lo); ip link set $card up
        ip address show dev $card | grep -q 'inet ' || ip address add 10.0.2.15/24 dev $card
        ip route add 10.9.0.0/16 via 10.0.2.2 2> /dev/null
        ip -6 address add fd00::5/64 dev $card
        ip route > /tmp/then; cat /tmp/then
        kexec -l /boot/next || exit 9
        unshare -p -f kexec -e; echo status $?
        ip route > /tmp/now; diff /tmp/then /tmp/now || exit 8
        ip -6 address show dev $card | grep fd00::5 || exit 7
        ping -c 1 -W 9 10.0.2.2 > /dev/null && echo reachable";
    vm(on)
        .mem(768)
        .file(kernel_file(on), "/boot/next")
        .run(job)?
        .succeeded()
        .prints("10.9.0.0/16 via 10.0.2.2")
        .prints("is up again\n")
        .prints("status 255")
        .prints("reachable");
    Ok(())
}

/// A bootconfig stays at the end of the initrd, where the next kernel looks for it.
fn a_bootconfig_stays_at_the_end_of_the_initrd(on: &str) -> Result<()> {
    let load = "text='kernel.from = bootconfig'; sum=0
        for byte in $(printf \"$text\" | od -An -v -tu1); do sum=$((sum + byte)); done
        word() { printf \"$(printf '\\\\%03o' $(($1 & 255)) $((($1 >> 8) & 255)) 0 0)\"; }
        (cat /boot/next.cpio; printf \"$text\"; word ${#text}; word $sum; echo '#BOOTCONFIG') > /tmp/i
        echo a secret > /tmp/key
        kexec -l -c -d --initrd /tmp/i --append 'console=ttyS0 no_timer_check marked' \\
            --initrd-add /tmp/key:/added/key /boot/next";
    follow(on, load)?.succeeded().prints("a secret");
    Ok(())
}

/// The default is in a submenu, by the environment block; `--append` adds to its command line.
fn the_boot_loaders_default_entry_is_started(on: &str) -> Result<()> {
    let load = "mkdir /boot/grub
        printf '# GRUB Environment Block\\nsaved_entry=More>other\\n######' > /boot/grub/grubenv
        cat > /boot/grub/grub.cfg << 'END'
if [ -s $prefix/grubenv ]; then load_env; fi
set default=\"${saved_entry}\"
menuentry 'First' { linux /absent wrong; }
submenu 'More' {
    menuentry 'Other' --id 'other' {
        linux /next console=ttyS0 no_timer_check marked
        initrd /next.cpio
    }
}
END
        kexec --list-entries || exit 9
        kexec -l --boot-entry=First && exit 9
        kexec -l -d --boot-entry --append appended";
    follow(on, load)?
        .succeeded()
        .prints("*  other  /boot/next   More>Other\n")
        .prints("boot entry `0`: /absent is in no mounted file system")
        .prints("console=ttyS0 no_timer_check marked appended\n");
    Ok(())
}
