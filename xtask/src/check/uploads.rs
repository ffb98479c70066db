//! Dumps that are saved on another machine: OpenSSH's client and server in a guest, over loopback;
//! servers of S3 and HTTP on loopback.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use lab::cpio::Tree;

use crate::build::product;
use crate::check::step::{Step, Verdict};
use crate::debian::programs;
use crate::{program, tree};

/// The steps; they take minutes.
pub(crate) fn steps() -> Vec<Step> {
    vec![
        Step::new("dump/ssh", || check().into()),
        Step::new("dump/s3/clippy", || {
            Verdict::of(with_http("clippy").args(["--all-targets", "--", "-D", "warnings"]))
        }),
        Step::new("dump/s3/uploads", uploads),
    ]
}

/// Works on the program with uploads by HTTP, in a target directory of its own: other steps use the
/// program without them.
fn with_http(task: &str) -> Command {
    let mut cargo = program::cargo();
    cargo.args([task, "--package", "kjump", "--features", "https", "--target-dir"]);
    cargo.arg(tree::target().join("https"));
    cargo
}

/// One of the tests uploads to the server `s3s-fs`.
fn uploads() -> Verdict {
    match program::of_crate("s3s-fs@0.14.1", &["--features", "binary"]) {
        Ok(server) => {
            let tests = ["--lib", "--test", "uploads", "--", "--include-ignored"];
            Verdict::of(with_http("test").args(tests).env("S3S_FS", server))
        }
        Err(error) => Verdict::Failed(format!("{error:#}")),
    }
}

/// Where Debian keeps libraries.
const LIBRARIES: &str = "lib/x86_64-linux-gnu";

/// A server with a key of its own, a client that knows it, and a dump to send. Files of the server
/// are on a disk of 64 MiB.
const SETUP: &str = r#"set -e
    cd / && cpio -i -d -u < /dev/vda 2> /dev/null
    ip link set lo up
    mkdir -p /run/sshd /etc/ssh /root /far
    echo 'root:x:0:0::/root:/bin/sh' > /etc/passwd
    echo 'sshd:x:100:100::/run/sshd:/bin/false' >> /etc/passwd
    echo 'root:x:0:' > /etc/group
    chmod 700 /root
    for key in server client other; do
        ssh-keygen -q -t ed25519 -N '' -f /root/$key
    done
    cp /root/client.pub /root/authorized
    echo "[127.0.0.1]:2222 $(cut -d' ' -f1,2 /root/server.pub)" > /root/known
    echo "[127.0.0.1]:2222 $(cut -d' ' -f1,2 /root/other.pub)" > /root/wrong
    printf '%s\n' 'Port 2222' 'ListenAddress 127.0.0.1' 'HostKey /root/server' 'UsePAM no' \
        'AuthorizedKeysFile /root/authorized' 'StrictModes no' 'PidFile /run/sshd.pid' > /root/sshd_config
    printf '%s\n' 'IdentityFile /root/client' 'UserKnownHostsFile /root/known' 'BatchMode yes' > /root/config
    sed s/known/wrong/ /root/config > /root/config.wrong
    mount -t tmpfs -o size=64m none /far
    mount -t tmpfs -o size=400m none /mnt
    /usr/sbin/sshd -f /root/sshd_config
    kjump dump save -d 31 /proc/kcore /mnt/dump || [ $? = 1 ]
    save() {
        kjump dump save --ssh-config /root/config --to "ssh://root@127.0.0.1:2222/far/$1" $2 /mnt/dump
    }
"#;

/// A whole dump under a name of strange bytes; a full disk, and a higher level that fits; a
/// connection that breaks; a wrong key; no server.
const JOB: &str = r#"
    save 'a%27%20$(reboot)%0a' '-d 31'
    name=$(printf "/far/a' \$(reboot)\nx")
    kjump dump verify --against /mnt/dump "${name%x}"
    [ $(stat -c %a "${name%x}") = 600 ]
    rm "${name%x}"
    head -c 40000000 /dev/urandom > /far/filler
    save full '-d 31 -c raw' && exit 1
    ls /far/full.incomplete
    kjump dump info /far/full.incomplete
    rm -f /far/full.incomplete /far/filler
    save broken '-d 31 -c raw' &
    saver=$!
    until [ -s /far/broken.incomplete ]; do sleep 0.1; done
    kill $(pgrep -f 'sshd: root@notty')
    wait $saver && exit 1
    [ -e /far/broken ] && exit 1
    kjump dump info /far/broken.incomplete || [ $? = 1 ]
    kjump dump save --ssh-config /root/config.wrong --to ssh://127.0.0.1:2222/far/wrong /mnt/dump && exit 1
    ls -A /far
    kjump dump save --ssh-config /root/config --to ssh://127.0.0.1:1/far/none /mnt/dump && exit 1
    echo 'all were right'
"#;

fn check() -> Result<()> {
    let vm = product::vm("6.1")?.smp(2).mem(768).disk(&archive()?).without_module();
    let outcome = vm.timeout(Duration::from_secs(900)).run(&[SETUP, JOB].concat())?.into_outcome();
    let output = outcome.text() + &String::from_utf8_lossy(&outcome.err);
    for text in [
        "all checksums are right",
        "No space left on device",
        "Host key verification failed",
        "no connection: trying again in 8 s",
        "all were right",
    ] {
        ensure!(output.contains(text), "no {text:?} in: {output}");
    }
    ensure!(!output.contains("trying again in 16 s"), "tried too often: {output}");
    Ok(())
}

/// The programs and their libraries.
fn archive() -> Result<PathBuf> {
    let programs = programs::openssh()?;
    let mut archive = Tree::default();
    for name in ["/etc", "/lib", "/lib/x86_64-linux-gnu", "/lib64", "/usr", "/usr/bin", "/usr/sbin"] {
        archive.directory(name, 0o755);
    }
    for name in ["usr/bin/ssh", "usr/bin/ssh-keygen", "usr/sbin/sshd", "lib64/ld-linux-x86-64.so.2"] {
        archive.host_file(&format!("/{name}"), &programs.join(name))?;
    }
    for dir in [PathBuf::from(LIBRARIES), PathBuf::from("usr").join(LIBRARIES)] {
        for entry in fs::read_dir(programs.join(&dir))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.contains(".so") && entry.path().is_file() {
                archive.host_file(&format!("/{LIBRARIES}/{name}"), &entry.path())?;
            }
        }
    }
    let dir = tree::target().join("material");
    fs::create_dir_all(&dir)?;
    let file = dir.join("openssh.cpio");
    archive.write(&file)?;
    Ok(file)
}
