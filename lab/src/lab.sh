# Shell functions for the jobs of stories. A job starts with `. /lib/lab.sh`.

# boot [OPTION...]: boots $kernel (or else /boot/b) with /boot/b.cpio in a window of 192 MiB, and
# with $append at the end of its command line.
boot() {
    kjump boot --kernel ${kernel:-/boot/b} --initrd /boot/b.cpio --memory 192M \
        --append "console=ttyS0 quiet panic=0 no_timer_check $append" "$@"
}

# damaged FILE BYTES: writes a copy of /boot/b whose 64-bit entry point starts with these bytes.
damaged() {
    cp /boot/b $1
    setup_sectors=$(od -An -tu1 -j497 -N1 $1)
    printf "$2" | dd of=$1 bs=1 seek=$(((setup_sectors + 1) * 512 + 512)) conv=notrunc 2> /dev/null
}

# The sum of a disk, read from the disk itself.
sum_of() {
    echo 3 > /proc/sys/vm/drop_caches
    sha256sum < $1
}

# The offset of the kernel's clocks to the real-time clock, which runs while the kernel does not.
rtc() { cat /sys/class/rtc/rtc0/since_epoch; }
clock_ahead() { echo $(($(date +%s) - $(rtc))); }
uptime_ahead() { echo $(($(cut -d. -f1 /proc/uptime) - $(rtc))); }
near() { [ $(($1 - $2)) -ge -2 ] && [ $(($1 - $2)) -le 2 ]; }

# remember: records the state that the functions below compare with.
remember() {
    disk_then=$(sum_of /dev/vda)
    cpus_then=$(nproc)
    clock_then=$(clock_ahead)
    uptime_then=$(uptime_ahead)
}

# works EVENT: the disk, the CPUs and the network are as before the event, or else it prints `wrong: ...`.
works() {
    [ "$disk_then" = "$(sum_of /dev/vda)" ] || echo "wrong: disk after $1"
    [ $cpus_then = $(nproc) ] || echo "wrong: CPUs after $1"
    ping -c 1 -W 9 10.0.2.2 > /dev/null || echo "wrong: network after $1"
}

# clean: the kernel logged no complaint, as the host judges it; prints what it logged.
clean() { dmesg | complaints; [ $? = 1 ]; }

# fine EVENT: the same, the clocks count the time that the event took, and the kernel logged no warning.
fine() {
    works "$1"
    near $(clock_ahead) $clock_then || echo "wrong: clock after $1"
    near $(uptime_ahead) $uptime_then || echo "wrong: uptime after $1"
    clean || echo "wrong: kernel log after $1"
    echo "fine after $1"
}
