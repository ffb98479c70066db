//! The properties of the lab that all stories rely on: status, output and disks, also across
//! suspends.

use lab::stage::vm;
use lab::story::{EVERY, FULL, Story};
use lab::{Error, Job, Result, Scratch, stories};

pub(crate) const STORIES: &[Story] = stories! {
    EVERY, first => an_exit_status_is_passed_on,
    EVERY, first => arguments_and_bytes_are_passed_on_intact,
    EVERY, first => a_disk_keeps_what_is_written,
    EVERY, last => a_panic_is_not_taken_for_a_failing_command,
    FULL => no_output_is_lost_across_suspends,
};

fn an_exit_status_is_passed_on(on: &str) -> Result<()> {
    vm(on).smp(2).run("nproc; exit 42")?.exited(42).prints("2\n").kernel_log_is_clean();
    Ok(())
}

fn arguments_and_bytes_are_passed_on_intact(on: &str) -> Result<()> {
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let file = Scratch::new("bytes", &bytes)?;
    let cat = Job::command(vec!["cat".into(), "/a file; with \"a\" $name".into()]);
    let outcome = vm(on).file(&file, "/a file; with \"a\" $name").run_job(&cat)?.succeeded();
    assert!(outcome.out == bytes, "{} bytes were returned of {}", outcome.out.len(), bytes.len());
    Ok(())
}

fn a_disk_keeps_what_is_written(on: &str) -> Result<()> {
    let disk = Scratch::new("disk", &[0x5a; 1 << 20])?;
    vm(on)
        .disk(&disk)
        .run("head -c 4 /dev/vda && printf moon | dd of=/dev/vda bs=1 seek=4096")?
        .succeeded()
        .prints("ZZZZ");
    assert_eq!(disk.bytes()?[4094..4102], *b"ZZmoonZZ");
    Ok(())
}

fn a_panic_is_not_taken_for_a_failing_command(on: &str) -> Result<()> {
    match vm(on).run("echo c > /proc/sysrq-trigger") {
        Err(Error::GuestEnded { why, .. }) => assert!(why.contains("sysrq triggered crash"), "{why}"),
        other => panic!("a panic was reported as {other:?}"),
    }
    Ok(())
}

fn no_output_is_lost_across_suspends(on: &str) -> Result<()> {
    let bytes: Vec<u8> = (0..=250).cycle().take(2 << 20).collect();
    let sleep = "echo core > /sys/power/pm_test && echo 0 > /sys/module/suspend/parameters/pm_test_delay
        (while [ ! -e /tmp/stop ]; do cat /bytes; done) &
        for n in $(seq 30); do echo mem > /sys/power/state || exit 1; done
        touch /tmp/stop; wait";
    let file = Scratch::new("bytes", &bytes)?;
    let outcome = vm(on).smp(2).file(&file, "/bytes").run(sleep)?.succeeded().kernel_log_is_clean();
    assert_eq!(outcome.kernel_log().matches("PM: suspend exit").count(), 30);
    assert!(!outcome.out.is_empty() && outcome.out.chunks(bytes.len()).all(|copy| copy == bytes));
    Ok(())
}
