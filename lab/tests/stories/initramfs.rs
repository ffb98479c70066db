//! An initramfs made by kjump boots its kernel.

use lab::stage::vm;
use lab::story::Story;
use lab::{Error, Result, Scratch, stories};

pub(crate) const STORIES: &[Story] = stories! {
    &["6.1"] => an_initramfs_loads_its_drivers_and_runs_its_command,
    &["6.1"] => a_failing_command_ends_in_a_panic,
};

/// Makes an initramfs twice in a guest, compares both, and returns one.
fn made(on: &str, options: &str, command: &str) -> Result<Scratch> {
    let line = format!(
        "set -e
        make() {{ kjump initramfs -o $1 --kernel-version $(uname -r) {options} -- {command} >&2; }}
        make /tmp/one; make /tmp/two; cmp /tmp/one /tmp/two
        [ $(stat -c %a /tmp/one) = 600 ]
        cat /tmp/one"
    );
    let outcome = vm(on).run(&line)?.succeeded();
    Scratch::new("initramfs", &outcome.out)
}

/// Boots it instead of the lab's own. Returns why the machine ended, and its log.
fn end_of(on: &str, initramfs: &Scratch, disk: &Scratch) -> Result<(String, String)> {
    let file: std::path::PathBuf = initramfs.into();
    match vm(on).disk(disk).qemu("-initrd").qemu(file.to_string_lossy()).run("true") {
        Err(Error::GuestEnded { why, log, .. }) => Ok((why, log)),
        other => panic!("another guest booted: {other:?}"),
    }
}

fn an_initramfs_loads_its_drivers_and_runs_its_command(on: &str) -> Result<()> {
    let command =
        r#"sh -c 'echo "[$1]" $(lsmod | cut -d " " -f 1) end | dd of=$DISK conv=notrunc' sh "it's \$HOME""#;
    let initramfs =
        made(on, "--driver virtio_pci --driver virtio-net --driver virtio_blk --disk first", command)?;
    let disk = Scratch::new("disk", &[b'.'; 1 << 20])?;
    let (why, log) = end_of(on, &initramfs, &disk)?;
    assert_eq!(why, "it powered off", "{log}");
    assert!(log.contains("no kernel jumped here to go back to"), "{log}");
    let written = String::from_utf8_lossy(&disk.bytes()?[..512]).into_owned();
    assert!(written.starts_with("[it's $HOME] Module "), "{written:?}");
    for name in ["virtio_pci", "virtio_ring", "virtio_blk", "virtio_net", "kjump"] {
        assert!(written.contains(&format!(" {name} ")), "{name} is not loaded: {written:?}");
    }
    Ok(())
}

fn a_failing_command_ends_in_a_panic(on: &str) -> Result<()> {
    let initramfs = made(on, "--compress gzip", "sh -c 'exit 7'")?;
    let (why, log) = end_of(on, &initramfs, &Scratch::new("disk", &[0; 512])?)?;
    assert!(why.contains("Attempted to kill init"), "{why}\n{log}");
    assert!(log.contains("the command ended with status 7"), "{log}");
    Ok(())
}
