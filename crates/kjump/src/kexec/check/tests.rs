use std::ffi::OsString;
use std::sync::atomic::{AtomicUsize, Ordering};

use kernel_file::testing::bzimage;

use super::*;
use crate::kexec::args::read;
use crate::kexec::request::Action;

fn load(line: &str) -> (Load, Wanted) {
    let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
    let Ok(Action::Work(work)) = read(&words) else { panic!("{line}") };
    (work.load.unwrap(), work.wanted)
}

/// The findings about a load on a machine of the test data.
fn found(machine: &str, options: &str) -> String {
    let machine = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/machines").join(machine);
    found_on(&Machine::probe(&machine), options)
}

fn found_on(machine: &Machine, options: &str) -> String {
    // Tests run at the same time, some with the same options.
    static FILES: AtomicUsize = AtomicUsize::new(0);
    let number = FILES.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("kjump-check-{}-{number}", std::process::id()));
    std::fs::write(&path, bzimage((1 << 20) - 0x400, 60 << 20)).unwrap();
    let (load, wanted) = load(&format!("--check {options} --append quiet {}", path.display()));
    let findings = of_load(&load, wanted, &path, machine);
    std::fs::remove_file(&path).unwrap();
    let lines =
        findings.iter().map(|finding| format!("{:?} {}: {}\n", finding.level, finding.about, finding.text));
    lines.collect::<String>().replace(&path.display().to_string(), "FILE")
}

#[test]
fn a_stock_machine_takes_it_either_way() {
    insta::assert_snapshot!(found("debian-6.1-cloud", "-l"));
}

#[test]
fn a_locked_down_machine_takes_no_file_without_a_signature() {
    insta::assert_snapshot!(found("debian-6.12-secure-boot", "-l -i"));
}

#[test]
fn without_privileges_the_plan_is_not_known() {
    let text = found("not-root", "-l -c");
    assert!(text.contains("No load: the kernel shows no addresses in /proc/iomem"), "{text}");
}

#[test]
fn a_crash_kernel_needs_memory_that_is_reserved_for_it() {
    let text = found("debian-6.1-cloud", "-p");
    let refusals: Vec<_> = text.lines().filter(|line| line.starts_with("No ")).collect();
    let [by_file, by_load] = refusals.as_slice() else { panic!("{text}") };
    assert!(by_file.starts_with("No file_load: no memory is reserved for a crash kernel"), "{text}");
    assert!(by_load.starts_with("No load: no memory is reserved for a crash kernel"), "{text}");
}

#[test]
fn hidden_boot_parameters_are_worth_a_warning() {
    let root = std::env::temp_dir().join(format!("kjump-check-hidden-{}", std::process::id()));
    std::fs::create_dir_all(root.join("proc")).unwrap();
    std::fs::write(
        root.join("proc/iomem"),
        "00001000-0009ffff : System RAM\n00100000-3fffffff : System RAM\n",
    )
    .unwrap();
    let machine = Machine::probe(&root);
    std::fs::remove_dir_all(&root).unwrap();
    let text = found_on(&machine, "-l -c -i");
    assert!(text.contains("Warn parameters: /sys/kernel/boot_params/data does not exist, so"), "{text}");
}

#[test]
fn no_room_is_reported_with_the_numbers() {
    let text = found("debian-6.1-cloud", "-l --mem-max=0x1ffffff");
    assert!(text.contains("No load: no room for kernel: 60 MiB"), "{text}");
}

#[test]
fn a_missing_file_is_the_only_finding() {
    let (load, wanted) = load("--check /nonexistent");
    let machine = Machine::probe(Path::new("/nowhere"));
    let findings = of_load(&load, wanted, Path::new("/nonexistent"), &machine);
    assert_eq!((findings.len(), findings[0].level), (1, Level::No));
}

#[test]
fn memory_is_counted_as_the_kernel_counts_it() {
    // MemTotal is 2,030,648 kB, and System RAM 2,096,620 kB: the load takes more than half of the
    // one and less than half of the other.
    let initrd = std::env::temp_dir().join(format!("kjump-check-initrd-{}", std::process::id()));
    std::fs::File::create(&initrd).unwrap().set_len(945 << 20).unwrap();
    let text = found("debian-6.1-cloud", &format!("-l --initrd {}", initrd.display()));
    std::fs::remove_file(&initrd).unwrap();
    for syscall in ["file_load", "load"] {
        let refusal = format!("No {syscall}: the load takes ");
        assert!(
            text.contains(&refusal) && text.contains("more than half of the 1.9 GiB that this kernel"),
            "{text}"
        );
    }
}

#[test]
fn a_load_of_more_than_what_is_available_is_refused() {
    let mut machine = Machine::probe(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/machines/debian-6.1-cloud"),
    );
    let amounts = Amounts { available: 40 << 20, ..*machine.amounts.as_ref().unwrap() };
    machine.amounts = Ok(amounts);
    let text = found_on(&machine, "-l");
    let refusal = "Warn load: the load: it takes 60 MiB, and 40 MiB of memory are available";
    // kexec_file_load copies the small file, and leaves the rest to the kernel.
    assert!(text.contains(refusal), "{text}");
    machine.amounts = Ok(Amounts { swap: 30 << 20, ..amounts });
    assert!(!found_on(&machine, "-l").contains("are available"));
}

#[test]
fn a_machine_that_shows_only_half_of_efi_is_worth_a_warning() {
    let mut machine = Machine::probe(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/machines/debian-6.1-cloud"),
    );
    machine.efi = Err(machine::Error::Absent { path: "/sys/firmware/efi/runtime-map".into() });
    let text = found_on(&machine, "-l");
    let warning =
        "Warn parameters: /sys/firmware/efi/runtime-map does not exist, so the next kernel does not get EFI";
    assert!(text.contains(warning), "{text}");
    assert!(!found_on(&machine, "-l --noefi").contains("Warn parameters"));
}
