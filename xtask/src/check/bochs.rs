//! What cannot be tested on Bochs, by name and with the reason, so that no summary hides it. What
//! is tested is in `lab/tests/stories/on_bochs.rs`.

use crate::check::step::{Step, Verdict};

const NOT_THERE: &[(&str, &str)] = &[
    ("disks", "the lab gives Bochs a CD only; stories with disks need virtio"),
    ("network", "the stories' network is virtio"),
    ("uefi", "Bochs has a BIOS only"),
    ("five-levels", "Linux does not boot on tigerlake, the model of Bochs 2.7 that has LA57"),
    ("hibernation", "it needs a disk that stays, and the lab gives Bochs a CD only"),
];

/// One skipped step for each.
pub(crate) fn steps() -> Vec<Step> {
    let skipped = |&(name, reason): &(&str, &'static str)| {
        Step::new(format!("bochs/{name}"), move || Verdict::Skipped(reason.to_owned()))
    };
    NOT_THERE.iter().map(skipped).collect()
}
