//! `kjump check`: whether a call can work on this machine, and what prevents it.

use std::path::Path;

use machine::Machine;
use sys::Device;

use crate::inspect::args::CheckArgs;
use crate::terminal::Terminal;
use crate::terminal::report::{self, Outcome};

use super::findings;
use super::verdict::Verdict;

/// The subject of `kjump check`.
const CALL: &str = "A call";

pub(crate) fn run(args: &CheckArgs) -> anyhow::Result<Outcome> {
    let machine = Machine::probe(Path::new("/"));
    let answer = Device::open().and_then(|device| Ok(device.info()?));
    let verdict = Verdict { what: CALL, findings: findings::of(&machine, &answer) };
    if args.json {
        report::print_json(&verdict.to_json(&machine, answer.as_ref().ok()))?;
    } else {
        report::print(&verdict.text(Terminal::of_stdout()))?;
    }
    Ok(if verdict.works() { Outcome::Done } else { Outcome::No })
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::device::{Info, feature};
    use machine::module::{Certificate, ModuleFile};
    use sys::Error;

    fn verdict(machine: &str, answer: &Result<Info, Error>) -> (Verdict, Machine) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/machines").join(machine);
        let machine = Machine::probe(&root);
        (Verdict { what: CALL, findings: findings::of(&machine, answer) }, machine)
    }

    fn absent() -> Result<Info, Error> {
        Err(Error::Absent { path: "/dev/kjump".into() })
    }

    fn answering() -> Result<Info, Error> {
        let features = feature::SUSPEND | feature::SUSPEND_OPS_KEPT | feature::CLAIM;
        Ok(Info { version: 1, features, paging_levels: 4, mover: 2, tsc_khz: 2_400_000, ..Info::default() })
    }

    fn text(machine: &str, answer: &Result<Info, Error>) -> String {
        verdict(machine, answer).0.text(Terminal::plain(80))
    }

    #[test]
    fn a_call_can_work_if_the_module_answers() {
        insta::assert_snapshot!(text("debian-6.1-cloud", &answering()));
    }

    #[test]
    fn secure_boot_prevents_calls_with_lockdown_and_without_a_module() {
        insta::assert_snapshot!(text("debian-6.12-secure-boot", &absent()));
    }

    #[test]
    fn only_a_key_that_is_not_enrolled_is_to_be_enrolled() {
        let (_, mut machine) = verdict("debian-6.12-secure-boot", &absent());
        let path = "/lib/modules/6.12/updates/dkms/kjump.ko.xz".to_owned();
        machine.module_file = Ok(Some(ModuleFile { path, listed: true }));
        let mut advice = |certificate| {
            machine.packages.certificate = certificate;
            let findings = findings::of(&machine, &absent());
            findings.into_iter().find(|finding| finding.about == "module").unwrap()
        };
        let of_unknown = advice(Certificate::Unknown).advice.unwrap();
        assert!(of_unknown.contains("mokutil --import /var/lib/dkms/mok.pub"), "{of_unknown}");
        let of_enrolled = advice(Certificate::Enrolled);
        assert!(of_enrolled.text.starts_with("not loaded yet; the first call loads"), "{}", of_enrolled.text);
        assert_eq!(of_enrolled.advice, None);
    }

    #[test]
    fn xen_prevents_calls() {
        insta::assert_snapshot!(text("xen-pv-guest", &absent()));
    }

    #[test]
    fn active_encryption_prevents_calls_and_a_missing_module_can_be_built() {
        insta::assert_snapshot!(text("amd-sme-active", &absent()));
    }

    #[test]
    fn a_disabled_load_prevents_calls_and_little_memory_is_worth_a_warning() {
        insta::assert_snapshot!(text("kexec-load-disabled", &absent()));
    }

    #[test]
    fn without_privileges_the_module_cannot_be_queried() {
        let denied = Err(Error::Open {
            path: "/dev/kjump".into(),
            error: std::io::ErrorKind::PermissionDenied.into(),
        });
        insta::assert_snapshot!(text("not-root", &denied));
    }

    #[test]
    fn nothing_is_claimed_about_a_machine_that_cannot_be_read() {
        let (verdict, _) = verdict("no-such-machine", &absent());
        assert!(!verdict.works());
        insta::assert_snapshot!(verdict.text(Terminal::plain(80)));
    }

    #[test]
    fn json_contains_the_same() {
        let (verdict, machine) = verdict("debian-6.1-cloud", &answering());
        let json = verdict.to_json(&machine, answering().as_ref().ok());
        insta::assert_snapshot!(serde_json::to_string_pretty(&json).unwrap());
    }
}
