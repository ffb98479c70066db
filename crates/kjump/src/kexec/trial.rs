//! `--trial`: the kernel is tried next to this one, as `kjump try` does.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::Context;

use super::request::{Load, Wanted};
use super::trouble::Trouble;
use super::{command_line, load, start};
use crate::kernel::file::KernelFile;
use crate::trial::{self, TryArgs};

/// Tries the kernel, and starts it if it is healthy and that is asked for. Returns the exit status.
pub(super) fn run(load: &Load, wanted: Wanted, json: bool) -> Result<u8, Trouble> {
    let args = TryArgs::parse(&arguments(load, json)?).map_err(Trouble::Usage)?;
    let outcome = trial::run_with(&args, |_| match start_for_good(load, wanted) {
        Ok(_) => Ok(()),
        Err(trouble) => anyhow::bail!("{}", trouble.text()),
    })?;
    Ok(outcome.status())
}

/// The arguments for `kjump try`.
fn arguments(load: &Load, json: bool) -> anyhow::Result<Vec<OsString>> {
    let file = load.file.clone().unwrap_or_default();
    let trial = &load.trial;
    let mut words =
        vec![word("--kernel=", file.as_os_str()), word("--append=", OsStr::from_bytes(&line(load, &file)?))];
    words.extend(load.initrds.iter().map(|path| word("--initrd=", path.as_os_str())));
    words.extend(trial.health.iter().map(|command| word("--health=", command)));
    words.extend(trial.deadline.iter().map(|seconds| word("--deadline=", seconds)));
    words.extend(json.then(|| "--json".into()));
    words.extend(trial.then_start.then(|| "--then-start".into()));
    Ok(words)
}

fn word(option: &str, value: &OsStr) -> OsString {
    let mut word = OsString::from(option);
    word.push(value);
    word
}

/// The command line that the kernel would be started with.
fn line(load: &Load, file: &Path) -> anyhow::Result<Vec<u8>> {
    let kernel = KernelFile::read(file).context("kernel")?;
    let running = match load.reuse {
        true => Some(machine::kernel::command_line(Path::new("/"))?),
        false => None,
    };
    Ok(command_line::of(load, running.as_deref(), kernel.command_line()))
}

fn start_for_good(load: &Load, wanted: Wanted) -> Result<u8, Trouble> {
    load::load(load, wanted)?;
    start::hand_over()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kexec::request::TrialOptions;

    #[test]
    fn the_options_of_a_trial_become_arguments_of_try() {
        let trial =
            TrialOptions { health: Some("-x; true".into()), deadline: Some("9.5".into()), then_start: true };
        let directory = std::env::temp_dir().join(format!("kjump-trial-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let file = directory.join("-kernel");
        std::fs::write(&file, b"\x7fELF\x02").unwrap();
        let load = Load {
            file: Some(file.clone()),
            initrds: vec!["-a".into(), "b".into()],
            command_line: Some("--quiet -- x".into()),
            trial,
            ..Load::default()
        };
        let args = TryArgs::parse(&arguments(&load, true).unwrap()).unwrap();
        std::fs::remove_dir_all(&directory).unwrap();
        assert_eq!((args.kernel, args.initrd), (file, vec!["-a".into(), "b".into()]));
        assert_eq!(args.append.unwrap(), "--quiet -- x");
        assert_eq!((args.health.unwrap().as_str(), args.deadline), ("-x; true", 9500));
        assert!(args.json && args.then_start);
    }
}
