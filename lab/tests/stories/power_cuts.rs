//! The power is cut while a kernel is hibernated, and while it is resumed. All writes to the disk
//! of one hibernation are recorded; from them, the disk is made as a power cut at any moment leaves
//! it, without what was not flushed. Then it has a complete image, or it says why not.

use std::fs;
use std::path::PathBuf;

use lab::stage::vm;
use lab::story::Story;
use lab::{Ended, Error, Result, Scratch, Vm, WriteLog, stories};

pub(crate) const STORIES: &[Story] = stories! {
    &["6.1+6.1"] => a_power_cut_leaves_a_complete_image_or_the_reason,
    &["6.1+6.1"], long => a_power_cut_at_one_of_many_moments_leaves_an_image_or_the_reason,
};

const DISK: u64 = 300;
/// Disks that one machine has room for.
const DISKS: usize = 8;

const SAVE: &str = "
set -e
guest remember 64 /tmp/memory &
until [ -e /tmp/memory ]; do sleep 0.1; done
kjump hibernate --to /dev/vda --key-file /key
touch /tmp/memory.check; until [ -e /tmp/memory.checked ]; do sleep 0.1; done
echo \"memory: $(cat /tmp/memory.checked)\"
";
const RESUME: &str = "kjump resume --from /dev/vda --key-file /key; exit 99";

/// Prints a line for each disk: its state, and whether its image is whole. None is resumed here.
const LOOK: &str = "
for disk in /dev/vd?; do
    state=$(kjump image info $disk | sed -n 's/^state: //p')
    reason=$(kjump image info $disk | sed -n 's/^reason: //p')
    if kjump image verify $disk --key-file /key > /tmp/out 2> /tmp/err; then whole=whole
    else whole=refused; kjump resume --from $disk --key-file /key 2>> /tmp/err && exit 1; fi
    echo \"$disk: $state, $whole: $reason\"
    cat /tmp/err >&2
done
";

fn a_power_cut_leaves_a_complete_image_or_the_reason(on: &str) -> Result<()> {
    power_cuts(on, 2)
}

fn a_power_cut_at_one_of_many_moments_leaves_an_image_or_the_reason(on: &str) -> Result<()> {
    power_cuts(on, 50)
}

struct Machine<'a> {
    on: &'a str,
    key: Scratch,
}

impl Machine<'_> {
    fn vm(&self) -> Vm {
        vm(self.on).smp(2).mem(512).file(&self.key, "/key")
    }

    /// Hibernates a kernel; returns the disk, and what was written to it.
    fn hibernated(&self) -> Result<(Scratch, WriteLog)> {
        let (disk, log) = (Scratch::empty("disk", DISK)?, Scratch::new("writes", &[])?);
        match self.vm().recorded_disk(&disk, &log).run(SAVE) {
            Err(Error::GuestEnded { why, .. }) if why == "it powered off" => {}
            Err(other) => return Err(other),
            Ok(ended) => panic!("it was not hibernated: {:?}", ended.into_outcome()),
        }
        Ok((disk, WriteLog::open(&PathBuf::from(&log))?))
    }

    /// The lines that the next boot prints about these disks.
    fn looks_at(&self, disks: &[Scratch]) -> Result<Vec<String>> {
        let machine = disks.iter().fold(self.vm(), |vm, disk| vm.disk(disk));
        let outcome = machine.run(LOOK)?.succeeded();
        let lines: Vec<_> = outcome.text().lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), disks.len(), "{lines:?}");
        Ok(lines)
    }
}

/// At the first and the last writes, and at so many between them.
fn power_cuts(on: &str, between: usize) -> Result<()> {
    let machine = Machine { on, key: Scratch::new("key", b"a key file of this story")? };
    let (whole, writes) = machine.hibernated()?;
    let states: Vec<_> = writes.at(0).collect();
    let complete = *states.last().expect("a state was written");
    assert!(states.len() >= 2 && complete > between + 4, "{states:?} of {}", writes.count());
    let mut moments: Vec<_> = (1..=between).map(|n| n * complete / (between + 1)).collect();
    moments.extend([0, 1, complete - 2, complete - 1, complete]);
    for moments in moments.chunks(DISKS) {
        let disks = moments
            .iter()
            .map(|moment| after(&writes, *moment, &format!("at{moment}")))
            .collect::<Result<Vec<_>>>()?;
        for (moment, line) in moments.iter().zip(machine.looks_at(&disks)?) {
            let wanted = match moment {
                0 => ": empty, refused: ",
                moment if *moment < complete => {
                    ": unfinished, refused: the machine stopped before the image was complete"
                }
                _ => ": complete, whole: ",
            };
            assert!(line.ends_with(wanted), "after {moment} of {complete} writes: {line}");
        }
    }
    resumed_once(&machine, &whole)
}

/// The disk after a power cut, once this many writes were made to an empty one.
fn after(writes: &WriteLog, count: usize, name: &str) -> Result<Scratch> {
    let disk = Scratch::empty(name, DISK)?;
    writes.cut_after(count, &PathBuf::from(&disk))?;
    Ok(disk)
}

/// Resumes the image, and looks at what power cuts leave of it: until it is used, it can be
/// resumed, and then never again.
fn resumed_once(machine: &Machine<'_>, whole: &Scratch) -> Result<()> {
    let before = copy(whole, "before")?;
    let log = Scratch::new("resumes", &[])?;
    goes_on(machine.vm().recorded_disk(whole, &log).resumes().run(RESUME)?);
    let writes = WriteLog::open(&PathBuf::from(&log))?;
    assert_eq!(writes.count(), writes.at(0).count(), "resuming writes nothing but states");
    let mut resuming = None;
    let mut disks = Vec::new();
    for moment in 1..=writes.count() {
        let disk = copy(&before, &format!("resume{moment}"))?;
        writes.cut_after(moment, &PathBuf::from(&disk))?;
        disks.push(disk);
    }
    for (disk, line) in disks.iter().zip(machine.looks_at(&disks)?) {
        match resuming {
            None if line.contains(": being resumed, whole: ") => resuming = Some(disk),
            _ => assert!(line.ends_with(": used, refused: it was resumed"), "{line}"),
        }
    }
    let resuming = resuming.expect("a state says that the image is being resumed");
    goes_on(machine.vm().disk(resuming).resumes().run(RESUME)?);
    Ok(())
}

fn copy(disk: &Scratch, name: &str) -> Result<Scratch> {
    let to = Scratch::new(name, &[])?;
    let (from, path) = (PathBuf::from(disk), PathBuf::from(&to));
    fs::copy(&from, &path).map_err(|source| Error::File { action: "copy", path: from, source })?;
    Ok(to)
}

fn goes_on(ended: Ended) {
    let outcome = ended.succeeded();
    outcome.prints("hibernated and resumed").prints("memory: all as it was").kernel_log_is_clean();
}
