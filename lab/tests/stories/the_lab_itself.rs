//! What everything else relies on: status, bytes and disks come through, and sleep does no harm.

use lab::story::{EVERY, FULL, Scratch, Story, vm};
use lab::{Error, Job, Result};

pub(crate) const STORIES: &[Story] = &[
    Story::new("an_exit_status_comes_through", EVERY, an_exit_status_comes_through),
    Story::new("arguments_and_bytes_come_through_intact", EVERY, arguments_and_bytes_come_through_intact),
    Story::new("a_disk_is_there_and_keeps_what_is_written", EVERY, a_disk_is_there_and_keeps_what_is_written),
    Story::new("a_panic_is_told_from_a_failing_command", EVERY, a_panic_is_told_from_a_failing_command),
    Story::new("no_byte_is_lost_while_the_machine_sleeps", FULL, no_byte_is_lost_while_the_machine_sleeps),
];

fn an_exit_status_comes_through(on: &str) -> Result<()> {
    vm(on).smp(2).run("nproc; exit 42")?.exited(42).says("2\n").kernel_is_content();
    Ok(())
}

fn arguments_and_bytes_come_through_intact(on: &str) -> Result<()> {
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let file = Scratch::new("bytes", &bytes)?;
    let cat = Job::command(vec!["cat".into(), "/a file; with \"a\" $name".into()]);
    let outcome = vm(on).file(&file, "/a file; with \"a\" $name").run_job(&cat)?.succeeded();
    assert!(outcome.out == bytes, "{} bytes came back of {}", outcome.out.len(), bytes.len());
    Ok(())
}

fn a_disk_is_there_and_keeps_what_is_written(on: &str) -> Result<()> {
    let disk = Scratch::new("disk", &[0x5a; 1 << 20])?;
    vm(on)
        .disk(&disk)
        .run("head -c 4 /dev/vda && printf moon | dd of=/dev/vda bs=1 seek=4096")?
        .succeeded()
        .says("ZZZZ");
    assert_eq!(disk.bytes()?[4094..4102], *b"ZZmoonZZ");
    Ok(())
}

fn a_panic_is_told_from_a_failing_command(on: &str) -> Result<()> {
    match vm(on).run("echo c > /proc/sysrq-trigger") {
        Err(Error::GuestEnded { why, .. }) => assert!(why.contains("sysrq triggered crash"), "{why}"),
        other => panic!("a panic was taken for {other:?}"),
    }
    Ok(())
}

fn no_byte_is_lost_while_the_machine_sleeps(on: &str) -> Result<()> {
    let bytes: Vec<u8> = (0..=250).cycle().take(2 << 20).collect();
    let sleep = "echo core > /sys/power/pm_test && echo 0 > /sys/module/suspend/parameters/pm_test_delay
        (while [ ! -e /tmp/stop ]; do cat /bytes; done) &
        for n in $(seq 30); do echo mem > /sys/power/state || exit 1; done
        touch /tmp/stop; wait";
    let file = Scratch::new("bytes", &bytes)?;
    let outcome = vm(on).smp(2).file(&file, "/bytes").run(sleep)?.succeeded().kernel_is_content();
    assert_eq!(outcome.kernel_log().matches("PM: suspend exit").count(), 30);
    assert!(!outcome.out.is_empty() && outcome.out.chunks(bytes.len()).all(|copy| copy == bytes));
    Ok(())
}
