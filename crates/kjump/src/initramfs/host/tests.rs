use super::*;

use clap::Parser;

use crate::cli::{Cli, Command};
use crate::initramfs::init::Job;
use crate::initramfs::{archive, plan};

const VERSION: &str = "6.1.0-1-amd64";

/// A host with modules, in a directory that is removed when it is dropped.
struct Host(PathBuf);

impl Host {
    fn new(name: &str, dep: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("kjump-initramfs-{name}-{}", std::process::id()));
        let host = Self(directory);
        host.write("modules/modules.dep", dep.as_bytes());
        host.write("modules/modules.builtin", b"kernel/fs/ext4.ko\n");
        host.write("busybox", &program(false));
        host.write("program", &program(false));
        host
    }

    /// A host with two drivers and kjump.ko.
    fn usual(name: &str) -> Self {
        let host = Self::new(name, "kernel/ring.ko:\nkernel/net.ko: kernel/ring.ko\nextra/kjump.ko:\n");
        for name in ["kernel/ring", "kernel/net", "extra/kjump"] {
            host.write(&format!("modules/{name}.ko"), &module(VERSION));
        }
        host
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn args(&self, more: &str) -> InitramfsArgs {
        let host = self.0.display();
        let mut line = format!(
            "kjump initramfs -o {host}/out --kernel-version {VERSION} --module-dir {host}/modules {} ",
            more.replace("HOST", &host.to_string())
        );
        let (options, command) = line.split_once("-- ").unwrap_or((&line, ""));
        let others =
            ["busybox", "program"].into_iter().filter(|name| !options.contains(&format!("--{name}")));
        let others: String = others.map(|name| format!("--{name} {host}/{name} ")).collect();
        line = format!("{options} {others} -- {command}");
        match Cli::try_parse_from(line.split_whitespace()).unwrap().command {
            Command::Initramfs(args) => *args,
            _ => panic!("no initramfs"),
        }
    }

    fn read(&self, more: &str) -> Result<Parts, String> {
        Parts::read(&self.args(more))
            .map_err(|error| format!("{error:#}").replace(&self.0.display().to_string(), "HOST"))
    }

    fn complaint(&self, more: &str) -> String {
        self.read(more).map(|_| "none").unwrap_err()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

/// The headers of a program, with or without a dynamic linker.
fn program(dynamic: bool) -> Vec<u8> {
    let mut bytes = vec![0; 64 + 56 * 2];
    bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
    (bytes[32], bytes[54], bytes[56]) = (64, 56, 2);
    bytes[64 + 56] = if dynamic { 3 } else { 1 };
    bytes
}

fn module(version: &str) -> Vec<u8> {
    format!("\x7fELF license=GPL\0vermagic={version} SMP preempt mod_unload \0").into_bytes()
}

#[test]
fn drivers_come_with_their_dependencies_and_kjump_comes_last() {
    let host = Host::usual("usual");
    let parts = host.read("--driver kjump --driver net --driver ext4 --driver ring").unwrap();
    let paths: Vec<_> = parts.modules.iter().map(|module| module.path.as_str()).collect();
    assert_eq!(paths, ["kernel/ring.ko", "kernel/net.ko", "extra/kjump.ko"]);
    assert_eq!(parts.modules[1].needs, ["kernel/ring.ko"]);
}

#[test]
fn the_same_input_makes_the_same_bytes() {
    let host = Host::usual("same");
    host.write("more/z", b"last");
    host.write("more/a/b", b"first");
    std::os::unix::fs::symlink("..", host.0.join("more/up")).unwrap();
    let pack = || {
        let args = host.args("--driver net --add HOST/more:/etc/more --disk first -- echo");
        let parts = Parts::read(&args).unwrap();
        let entries =
            plan(parts, VERSION, Job::Command { disk: args.disk.as_ref(), command: &args.command }).unwrap();
        let names: Vec<_> = entries.iter().map(|(name, _)| name.to_owned()).collect();
        (names, archive::pack(&entries).unwrap())
    };
    let (names, bytes) = pack();
    assert_eq!((names.clone(), bytes), pack());
    for name in
        ["init", "sbin/kexec", "etc/more/a/b", "etc/more/up", "lib/modules/6.1.0-1-amd64/kernel/net.ko"]
    {
        assert!(names.iter().any(|found| found == name), "{name} is not among {names:?}");
    }
}

#[test]
fn a_compressed_module_is_decompressed() {
    let host = Host::new("compressed", "kernel/a.ko.gz:\n");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, &module(VERSION)).unwrap();
    host.write("modules/kernel/a.ko.gz", &gzip.finish().unwrap());
    host.write("mine.ko", &module(VERSION));
    let parts = host.read("--driver a --module HOST/mine.ko").unwrap();
    assert_eq!((parts.modules[0].path.as_str(), &parts.modules[0].bytes), ("kernel/a.ko", &module(VERSION)));
    assert_eq!(parts.modules[1].path, "extra/kjump.ko");
}

#[test]
fn files_that_would_not_work_in_the_guest_are_refused() {
    let host = Host::usual("refused");
    host.write("dynamic", &program(true));
    host.write("script", b"#!/bin/sh");
    assert!(host.complaint("--busybox HOST/dynamic").starts_with("HOST/dynamic: dynamically linked"));
    assert!(host.complaint("--program HOST/script").starts_with("HOST/script: not a 64-bit ELF program"));
    assert!(
        host.complaint("--busybox HOST/none")
            .starts_with("HOST/none; install Debian's package busybox-static")
    );
    host.write("old.ko", &module("5.10.0-1-amd64"));
    let complaint = host.complaint("--module HOST/old.ko");
    assert_eq!(complaint, "HOST/old.ko: built for kernel 5.10.0-1-amd64, not 6.1.0-1-amd64");
    assert!(host.complaint("--module HOST/script").ends_with("not a kernel module: it has no vermagic"));
}

#[test]
fn missing_files_are_named() {
    let host = Host::usual("missing");
    assert!(host.complaint("--driver e1001").contains("no module e1001 in modules.dep"));
    assert!(host.complaint("--add HOST/none:/none").starts_with("HOST/none: "));
    fs::remove_file(host.0.join("modules/kernel/ring.ko")).unwrap();
    assert!(host.complaint("--driver net").starts_with("HOST/modules/kernel/ring.ko: "));
    let bare = Host::new("bare", "");
    assert!(bare.complaint("").starts_with("HOST/modules has no kjump.ko"));
    fs::remove_file(bare.0.join("modules/modules.dep")).unwrap();
    assert!(bare.complaint("").starts_with("HOST/modules/modules.dep; run depmod to create it"));
}

#[test]
fn hostile_lists_are_refused() {
    for (name, dep) in [
        ("absolute", "/etc/shadow.ko:\n"),
        ("above", "../../etc/x.ko:\n"),
        ("circle", "net.ko: kjump.ko\nkjump.ko: net.ko\n"),
    ] {
        let host = Host::new(name, dep);
        assert!(host.complaint("--driver net").starts_with("HOST/modules"), "{name}");
    }
}

#[test]
fn truncated_headers_are_not_valid() {
    let whole = program(true);
    assert_eq!(has_interpreter(&whole), Some(true));
    for end in 0..64 + 56 {
        assert_eq!(has_interpreter(&whole[..end]), None, "{end}");
    }
}
