//! The init of a trial: a script for busybox, which runs nothing of the initrd but modprobe.

/// The start of every line that it logs.
pub(super) const MARK: &str = "kjump trial: ";

/// The script. It finds everything in /kjump-trial.
pub(super) const SCRIPT: &str = r#"#!/kjump-trial/busybox sh
# Init, made by `kjump try`.
own=/kjump-trial
$own/busybox mkdir -p $own/bin $own/root /proc /sys /dev /run
$own/busybox --install -s $own/bin
# Of the initrd, only modprobe and the shared libraries it needs are used.
export PATH=$own/bin
modprobe=$own/bin/modprobe
for found in /sbin/modprobe /usr/sbin/modprobe /bin/modprobe /usr/bin/modprobe; do
    [ -x $found ] && modprobe=$found && break
done
# Without the commands that its configuration may name in place of a driver.
case $(readlink -f $modprobe) in */kmod) modprobe="$modprobe --ignore-install" ;; esac
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs devtmpfs /dev

say() { echo "<5>kjump trial: $*" > /dev/kmsg; }
# When init exits, the kernel panics, and a panic returns to the kernel that tries this one.
fail() { echo "<3>kjump trial: $*" > /dev/kmsg; exit 1; }

[ -d /sys/module/kjump ] || insmod $own/kjump.ko || fail 'kjump.ko cannot be loaded'
$own/kjump return --prepare < /dev/null || fail "kjump return --prepare ended with status $?"

# Nothing writes to a disk before this: no program of the initrd runs.
protect() {
    for block in /sys/class/block/*; do
        # cciss!c0d0 is /dev/cciss/c0d0.
        node=/dev/$(echo "${block##*/}" | tr '!' /)
        [ -b "$node" ] && blockdev --setro "$node" 2> /dev/null
    done
}

# As udev does when it starts: a driver for every device that names itself.
load_drivers() {
    find /sys/devices -name modalias -exec cat {} + 2> /dev/null | sort -u | while read -r alias; do
        $modprobe -q "$alias" 2> /dev/null
    done
    protect
}

has_driver() {
    count=0
    for device in /sys/bus/$1/drivers/$2/*/modalias; do
        [ -e "$device" ] && [ "$(cat "$device")" = "$3" ] && count=$((count + 1))
    done
    [ $count -ge $4 ]
}

has_link() {
    for card in /sys/class/net/*; do
        [ "$(cat $card/address)" = "$1" ] || continue
        ip link set ${card##*/} up 2> /dev/null
        [ "$(cat $card/carrier 2> /dev/null)" = 1 ] && return 0
    done
    return 1
}

has_root() {
    case $1 in
        /dev/*) disk=$1 ;;
        *) disk=$(findfs "$1" 2> /dev/null) ;;
    esac
    [ -b "$disk" ] || return 1
    protect
    # Without a replay of their journals: that would write.
    for try in ext4:noload xfs:norecovery btrfs:rescue=nologreplay f2fs:norecovery squashfs:ro; do
        $modprobe -q "${try%:*}" 2> /dev/null
        mount -t "${try%:*}" -o "ro,${try#*:}" "$disk" $own/root 2> /dev/null || continue
        ls $own/root > /dev/null && umount $own/root
        return
    done
    return 1
}

meets() {
    case $1 in
        driver) has_driver "$2" "$3" "$4" "$5" ;;
        link) has_link "$2" ;;
        root) has_root "$2" ;;
    esac
}

unmet() {
    while read -r what a b c d; do
        meets "$what" "$a" "$b" "$c" "$d" || echo "$what $a $b $c"
    done < $own/expected
}

# Drivers find devices at their own pace, and devices need further drivers.
tries=0
while load_drivers; missing=$(unmet); [ -n "$missing" ] && [ $tries -lt 8 ]; do
    tries=$((tries + 1)); sleep 1
done
differences=0
if [ -n "$missing" ]; then
    differences=$(echo "$missing" | wc -l)
    echo "$missing" | while read -r line; do say "missing $line"; done
fi
if [ -e $own/health ]; then
    protect
    sh $own/health < /dev/null > /run/health 2>&1
    status=$?
    while read -r line; do say "health $line"; done < /run/health
    if [ $status != 0 ]; then
        say "failed $status"; differences=$((differences + 1))
    fi
fi
say done
while $own/kjump return $differences < /dev/null; do :; done
fail "kjump return ended with status $?"
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shell_understands_the_script_and_it_marks_what_it_logs() {
        let parsed = std::process::Command::new("sh").arg("-nc").arg(SCRIPT).output().unwrap();
        assert!(parsed.status.success(), "{}", String::from_utf8_lossy(&parsed.stderr));
        assert!(SCRIPT.contains(MARK));
    }

    #[test]
    fn disks_are_protected_before_anything_is_mounted() {
        let mounts = SCRIPT.find("mount -t \"${try").unwrap();
        let protects = SCRIPT[..mounts].rfind("    protect\n").unwrap();
        assert!(SCRIPT[protects..mounts].lines().count() < 12);
    }
}
