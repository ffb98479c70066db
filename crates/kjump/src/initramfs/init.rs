//! The init of an initramfs: a script for busybox.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::args::Disk;

/// The start of the script, before the commands of this initramfs.
const START: &str = r#"#!/bin/busybox sh
# Init, made by `kjump initramfs`.
export PATH=/sbin:/bin:/usr/sbin:/usr/bin HOME=/root

say() { echo "<5>kjump initramfs: $*" >/dev/kmsg; }

# When init exits, the kernel panics, and a panic returns to the kernel that jumped here.
fail() { echo "<3>kjump initramfs: $*" >/dev/kmsg; exit 1; }

can_return() {
    case " $(cat /proc/cmdline) " in *" kexec_jump_back_entry="*) ;; *) return 1 ;; esac
}

# This comes first: from then on, a panic returns.
prepare_return() {
    insmod "$1" || fail 'kjump.ko cannot be loaded'
    can_return || return 0
    kjump return --prepare </dev/null || fail "kjump return --prepare ended with status $?"
}

# A driver may fail to load for lack of a device. If the device is needed, its user fails later.
load() { insmod "$1" || say "$1 was not loaded"; }

block_device() {
    for block in /sys/block/*; do
        case ${block##*/} in ram*|loop*|zram*|'*') continue ;; esac
        [ "$(cat "$block/size")" != 0 ] && echo "/dev/${block##*/}" && return
    done
    return 1
}

wait_for() {
    tries=0
    until DISK=$("$@" 2>/dev/null) && [ -b "$DISK" ]; do
        tries=$((tries + 1))
        [ $tries -lt 300 ] || fail "no disk $disk within 30 s"
        sleep 0.1
    done
    export DISK
}

/bin/busybox --install -s /bin
mount -t proc proc /proc && mount -t sysfs sysfs /sys && mount -t devtmpfs devtmpfs /dev || exit 1
"#;

/// The end of the script.
const END: &str = r#"
can_return || {
    [ -n "$commanded" ] || fail 'no kernel jumped here, and there is no command'
    say 'no kernel jumped here to go back to'
    poweroff -f
}
while kjump return 0 </dev/null; do :; done
fail "kjump return ended with status $?"
"#;

/// The end of the script that writes an image each time the kernel is entered with a message. A
/// failure is reported to the kernel at rest, which prints its reason and may try again.
const HIBERNATE: &str = r#"
can_return || fail 'no kernel jumped here, so there is nothing to save'
# The kernel at rest may have changed them since this one was entered last.
read_partition_tables() {
    for disk in /sys/block/*; do blockdev --rereadpt "/dev/${disk##*/}" 2>/dev/null; done
}
while read_partition_tables; next=$(kjump image save </dev/null) || next=failed; do
    sync
    case $next in
        poweroff|reboot) "$next" -f; sleep 60; fail 'the machine does not power off' ;;
        return) kjump return 0 </dev/null ;;
        *) kjump return 1 </dev/null ;;
    esac || fail "kjump return ended with status $?"
done
"#;

/// The end of the script that opens a shell on a terminal each time the kernel is entered. The
/// shell has the terminal to itself, so that keys interrupt its commands.
const SHELL: &str = r#"
can_return || fail 'no kernel jumped here, so there is nothing to debug'
export PS1='debug# ' ENV=/etc/kjump-debug
cat > $ENV <<'THERE'
echo
echo 'The other kernel is at rest. Its memory is /proc/vmcore, and a copy opens in crash and drgn.'
echo '    kjump dump dmesg /proc/vmcore     prints its log'
echo '    kjump dump info /proc/vmcore      describes it'
echo '    exit                              lets it continue'
THERE
until [ -c "$terminal" ]; do
    tries=$((tries + 1))
    [ $tries -lt 100 ] || fail "there is no $terminal within 10 s"
    sleep 0.1
done
if [ "$rests" = yes ]; then
    kjump return 0 </dev/null || fail "kjump return ended with status $?"
fi
while setsid -c sh -i <"$terminal" >"$terminal" 2>&1; status=$?; sync
    kjump return $status </dev/null; do :; done
fail "kjump return ended with status $?"
"#;

/// What the script is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Job<'a> {
    /// Wait for the disk, and run the command.
    Command { disk: Option<&'a Disk>, command: &'a [OsString] },
    /// Write a hibernation file.
    Hibernate,
    /// Open a shell on this terminal, a name in /dev, each time the kernel is entered. The first
    /// time, return at once if it `rests`.
    Shell { terminal: &'a str, rests: bool },
}

/// The script that loads these modules, the last of which is kjump.ko, and does its job.
pub(crate) fn script(modules: &[String], job: Job<'_>) -> Vec<u8> {
    let mut script = START.as_bytes().to_vec();
    let (kjump, drivers) = modules.split_last().map_or(("", modules), |(last, rest)| (last.as_str(), rest));
    line(&mut script, &["prepare_return", kjump]);
    for driver in drivers {
        line(&mut script, &["load", driver]);
    }
    let (disk, command) = match job {
        Job::Command { disk, command } => (disk, command),
        Job::Hibernate => {
            script.extend(HIBERNATE.as_bytes());
            return script;
        }
        Job::Shell { terminal, rests } => {
            script.extend([b"tries=0 terminal=/dev/", quoted(OsStr::new(terminal)).as_slice()].concat());
            script.extend(if rests { b" rests=yes\n".as_slice() } else { b" rests=no\n" });
            script.extend(SHELL.as_bytes());
            return script;
        }
    };
    if let Some(disk) = disk {
        wait(&mut script, disk);
    }
    if !command.is_empty() {
        let words: Vec<_> = command.iter().map(|word| quoted(word)).collect();
        script.extend(b"commanded=yes\n");
        script.extend(words.join(&b' '));
        script.extend(b" </dev/null || fail \"the command ended with status $?\"\nsync\n");
    }
    script.extend(END.as_bytes());
    script
}

fn wait(script: &mut Vec<u8>, disk: &Disk) {
    let (name, command) = match disk {
        Disk::First => ("at all".to_owned(), vec!["block_device"]),
        Disk::Device(path) => (path.clone(), vec!["echo", path]),
        Disk::Tagged(tag) => (tag.clone(), vec!["findfs", tag]),
    };
    script.extend([b"disk=", quoted(OsStr::new(&name)).as_slice(), b"\n"].concat());
    line(script, &[&["wait_for"], command.as_slice()].concat());
}

fn line(script: &mut Vec<u8>, words: &[&str]) {
    let words: Vec<_> = words.iter().map(|word| quoted(OsStr::new(word))).collect();
    script.extend(words.join(&b' '));
    script.push(b'\n');
}

/// A word, quoted for the shell.
fn quoted(word: &OsStr) -> Vec<u8> {
    let mut quoted = vec![b'\''];
    for byte in word.as_bytes() {
        match byte {
            b'\'' => quoted.extend(br"'\''"),
            byte => quoted.push(*byte),
        }
    }
    quoted.push(b'\'');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn the_shell_understands_every_script() {
        let modules = ["/lib/modules/6.1/a'b.ko".to_owned(), "/lib/modules/6.1/kjump.ko".to_owned()];
        is_understood(&script(&modules, Job::Hibernate));
        is_understood(&script(&modules, Job::Shell { terminal: "ttyS0", rests: true }));
        for disk in [None, Some(Disk::First), Some(Disk::Tagged("LABEL=it's $HOME".into()))] {
            for command in [&[][..], &["echo".into(), "a 'b' $c".into()]] {
                is_understood(&script(&modules, Job::Command { disk: disk.as_ref(), command }));
            }
        }
    }

    fn is_understood(script: &[u8]) {
        let parsed = Command::new("sh").arg("-nc").arg(OsStr::from_bytes(script)).output().unwrap();
        assert!(parsed.status.success(), "{}", String::from_utf8_lossy(&parsed.stderr));
    }

    #[test]
    fn a_word_reaches_a_command_unchanged() {
        let word = OsStr::from_bytes(b"it's \"a\" $word; \\ with\nlines and \xff");
        let mut line = b"printf %s ".to_vec();
        line.extend(quoted(word));
        let output = Command::new("sh").arg("-c").arg(OsStr::from_bytes(&line)).output().unwrap();
        assert_eq!(OsStr::from_bytes(&output.stdout), word);
    }

    #[test]
    fn returning_is_prepared_before_anything_can_fail_and_the_disk_precedes_the_command() {
        let script = script(
            &["/d.ko".into(), "/kjump.ko".into()],
            Job::Command { disk: Some(&Disk::First), command: &["true".into()] },
        );
        let text = String::from_utf8(script).unwrap();
        let places =
            ["'prepare_return' '/kjump.ko'", "'load' '/d.ko'", "'wait_for' 'block_device'", "'true' <"];
        assert!(places.map(|part| text.find(part).unwrap()).is_sorted(), "{text}");
    }
}
