#!/bin/bash
# Adds what resumes a hibernated kernel to an initrd of dracut.

check() {
    . /usr/lib/kjump/hibernate-common
    configure
    is_configured
}

installkernel() {
    instmods kjump
}

install() {
    . /usr/lib/kjump/hibernate-common
    configure
    inst_multiple kjump stty cat grep sleep modprobe
    inst_multiple -o systemd-ask-password
    inst_simple /usr/lib/kjump/hibernate-common
    inst_script /usr/lib/kjump/resume-at-boot /usr/lib/kjump/resume-at-boot
    inst_simple /etc/kjump/hibernate.conf
    if [[ $ENCRYPTION == key-file ]]; then
        inst_simple "$KEY_FILE"
    fi
    if dracut_module_included systemd; then
        inst_simple "$moddir/kjump-resume.service" "$systemdsystemunitdir/kjump-resume.service"
        $SYSTEMCTL -q --root "$initdir" add-wants initrd.target kjump-resume.service
    else
        inst_hook pre-mount 10 /usr/lib/kjump/resume-at-boot
    fi
}
