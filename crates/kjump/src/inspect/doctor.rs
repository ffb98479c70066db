//! `kjump doctor`: everything that a bug report needs, in one file.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use machine::{Machine, Snapshot};
use serde::Serialize;
use serde_json::Value;
use sys::Device;

use super::args::DoctorArgs;
use super::findings;
use super::saved_machine::Saved;
use super::status;
use super::verdict::Verdict;
use crate::terminal::output_file;
use crate::terminal::quantity;
use crate::terminal::report::{self, Outcome};

/// A saved machine with the rest of the report, so that `--machine FILE` reads it.
#[derive(Serialize)]
struct Doctor {
    #[serde(flatten)]
    machine: Saved,
    doctor: Report,
}

#[derive(Serialize)]
struct Report {
    /// The version of this program.
    program: &'static str,
    check: Value,
    status: Value,
    /// Lines of the kernel's log about kexec and kjump.
    log: Vec<String>,
    /// What could not be found out, and why.
    missing: Vec<String>,
}

pub(crate) fn run(args: &DoctorArgs) -> anyhow::Result<Outcome> {
    let (machine, files) = Machine::record(Path::new("/"));
    let report = report_on(&machine)?;
    let (lines, missing) = (report.log.len(), report.missing.clone());
    let doctor = Doctor { machine: Saved::of(without_secrets(files)), doctor: report };
    output_file::write_bytes(&args.file, serde_json::to_string_pretty(&doctor)?.as_bytes())?;
    let lines = quantity::count(lines as u64, "line");
    report::print(&format!("{}: the machine, and {lines} of the kernel's log\n", args.file.display()))?;
    for reason in missing {
        report::inform(&format!("not in the report: {reason}\n"));
    }
    Ok(Outcome::Done)
}

fn report_on(machine: &Machine) -> anyhow::Result<Report> {
    let mut missing = Vec::new();
    let answer = Device::open().and_then(|device| Ok(device.info()?));
    let verdict = Verdict { what: "A call", findings: findings::of(machine, &answer) };
    let check = serde_json::to_value(verdict.to_json(machine, answer.as_ref().ok()))?;
    let status = status::to_json().unwrap_or_else(|error| {
        missing.push(format!("loaded images: {error:#}"));
        Value::Null
    });
    let log = kernel_log().unwrap_or_else(|error| {
        missing.push(format!("{LOG}: {error}"));
        String::new()
    });
    let log = log.lines().filter(|line| is_ours(line)).map(redact).collect();
    Ok(Report { program: env!("CARGO_PKG_VERSION"), check, status, log, missing })
}

const LOG: &str = "/dev/kmsg";

/// All records that the kernel still has, a line each (Documentation/ABI/testing/dev-kmsg).
fn kernel_log() -> std::io::Result<String> {
    // O_NONBLOCK of x86-64, asm-generic/fcntl.h: without it the last read would wait for new
    // records.
    let mut file = OpenOptions::new().read(true).custom_flags(0o4000).open(LOG)?;
    let (mut log, mut record) = (String::new(), vec![0; 8192]);
    loop {
        match file.read(&mut record) {
            Ok(0) => return Ok(log),
            Ok(length) => {
                let text = String::from_utf8_lossy(&record[..length]);
                log += text.lines().next().unwrap_or_default();
                log.push('\n');
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(log),
            // EPIPE: records were overwritten before they were read; the next read goes on after
            // them.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn is_ours(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    ["kjump", "kexec", "crash kernel", "crashkernel", "lockdown", "secure boot"]
        .iter()
        .any(|word| line.contains(word))
}

fn without_secrets(mut files: Snapshot) -> Snapshot {
    files.rewrite_command_line(redact);
    files
}

/// Parts of the names of parameters whose values may be secrets.
const SECRET: [&str; 6] = ["pass", "secret", "token", "key", "credential", "auth"];

/// Replaces the values of such parameters in a command line, or in a line that contains one.
fn redact(text: &str) -> String {
    text.split(' ').map(redact_parameter).collect::<Vec<_>>().join(" ")
}

fn redact_parameter(parameter: &str) -> String {
    let Some((name, value)) = parameter.split_once('=') else { return parameter.to_owned() };
    let lower = name.to_ascii_lowercase();
    if SECRET.iter().any(|part| lower.contains(part)) {
        let end = if value.ends_with('\n') { "\n" } else { "" };
        format!("{name}=(left out){end}")
    } else {
        parameter.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_may_be_secret_are_left_out() {
        let line = "root=/dev/vda1 rd.luks.key=/boot/k systemd.set_credential=a:b wifi.password=x quiet\n";
        assert_eq!(
            redact(line),
            "root=/dev/vda1 rd.luks.key=(left out) systemd.set_credential=(left out) \
             wifi.password=(left out) quiet\n"
        );
        assert_eq!(redact("apitoken=abc\n"), "apitoken=(left out)\n");
    }

    #[test]
    fn a_report_is_a_machine_that_can_be_replayed() {
        let path = std::env::temp_dir().join(format!("kjump-doctor-{}", std::process::id()));
        run(&DoctorArgs { file: path.clone() }).unwrap();
        let (here, there) =
            (Machine::probe(Path::new("/")), super::super::saved_machine::read(&path).unwrap());
        assert_eq!(here.release.unwrap(), there.release.unwrap());
        let report: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert!(report["doctor"]["check"]["findings"].is_array());
        std::fs::remove_file(&path).unwrap();
    }
}
