//! Dry runs and checks on saved machines: they depend on the saved machine alone, and work where
//! the host's `/proc` and `/sys` are not mounted.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use kernel_file::testing::bzimage;

const MACHINES: [&str; 6] = [
    "amd-sme-active",
    "debian-6.1-cloud",
    "debian-6.12-secure-boot",
    "kexec-load-disabled",
    "not-root",
    "xen-pv-guest",
];

/// A machine with memory for a crash kernel, of 6.6 or newer.
const CRASH: [(&str, &str); 3] = [
    (
        "/proc/iomem",
        "00001000-0009fbff : System RAM\n00100000-7fffffff : System RAM\n  30000000-3fffffff : Crash \
         kernel\n",
    ),
    ("/proc/cmdline", "BOOT_IMAGE=/vmlinuz root=/dev/saved crashkernel=256M\n"),
    ("/sys/kernel/crash_elfcorehdr_size", "12288\n"),
];

/// A directory that goes away.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("kjump-saved-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("bzImage"), bzimage((1 << 20) - 0x400, 60 << 20)).unwrap();
        Self(path)
    }

    /// Saves a machine with these files, as `kjump machine save` does.
    fn save(&self, name: &str, files: impl IntoIterator<Item = (String, serde_json::Value)>) -> PathBuf {
        let files: BTreeMap<String, serde_json::Value> = files.into_iter().collect();
        let path = self.0.join(name);
        fs::write(&path, serde_json::json!({ "kjump_machine": 1, "files": files }).to_string()).unwrap();
        path
    }

    fn crash_machine(&self) -> PathBuf {
        let text = |(path, text): (&str, &str)| (path.to_owned(), serde_json::json!({ "text": text }));
        self.save("crash", CRASH.map(text))
    }

    fn test_machines(&self) -> Vec<PathBuf> {
        let save = |name: &&str| {
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/machines").join(name);
            let mut files = Vec::new();
            walk(&root, &root, &mut files);
            self.save(name, files)
        };
        MACHINES.iter().map(save).collect()
    }

    /// `kexec` with these options on a saved machine.
    fn kexec(&self, machine: &Path, options: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kjump"));
        let kernel = self.0.join("bzImage");
        command.arg("kexec").args(options.split(' ')).arg("--machine").arg(machine).arg(kernel);
        command
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn walk(root: &Path, directory: &Path, files: &mut Vec<(String, serde_json::Value)>) {
    let entries: Vec<PathBuf> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    let name = |path: &Path| format!("/{}", path.strip_prefix(root).unwrap().display());
    let mut names: Vec<_> =
        entries.iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort();
    files.push((name(directory), serde_json::json!({ "folder": names })));
    for path in entries {
        if path.is_dir() {
            walk(root, &path, files);
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        let entry = match String::from_utf8(bytes) {
            Ok(text) => serde_json::json!({ "text": text }),
            Err(error) => {
                let digits: String = error.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
                serde_json::json!({ "bytes": digits })
            }
        };
        files.push((name(&path), entry));
    }
}

fn text(output: &Output) -> String {
    let [out, err] =
        [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    format!("status {:?}\n{out}{err}", output.status.code())
}

/// The same command where `/proc` and `/sys` are empty; `None` if this process may not mount.
fn hidden(command: &Command) -> Option<Command> {
    const MOUNT: &str = "mount -t tmpfs none /sys && mount -t tmpfs none /proc && exec \"$@\"";
    let namespace = |arguments: &[&str]| {
        let mut hidden = Command::new("unshare");
        hidden.args(arguments).args(["sh", "-c", MOUNT, "sh"]);
        hidden
    };
    let works =
        |mut unshare: Command| unshare.arg("true").output().is_ok_and(|output| output.status.success());
    let ways: [&[&str]; 2] = [&["--mount"], &["--user", "--map-root-user", "--mount"]];
    let way = ways.into_iter().find(|way| works(namespace(way)))?;
    let mut hidden = namespace(way);
    hidden.arg(command.get_program()).args(command.get_args());
    Some(hidden)
}

#[test]
fn the_command_line_of_the_saved_machine_is_used_again() {
    let directory = Directory::new("cmdline");
    let output = directory
        .kexec(&directory.crash_machine(), "--dry-run -c -l --reuse-cmdline --append quiet")
        .output()
        .unwrap();
    let text = text(&output);
    assert!(text.contains("\ncommand line: root=/dev/saved crashkernel=256M quiet\n"), "{text}");
}

#[test]
fn the_saved_machine_names_the_size_of_an_elfcorehdr_that_its_kernel_rewrites() {
    let directory = Directory::new("hotplug");
    let planned = |options| text(&directory.kexec(&directory.crash_machine(), options).output().unwrap());
    let text = planned("--dry-run -c -p --hotplug");
    // Three pages, and without the option one.
    assert!(text.contains("elfcorehdr") && text.contains("3000"), "{text}");
    assert_ne!(text, planned("--dry-run -c -p"));
    let old = directory.save("old", [("/proc/iomem".to_owned(), serde_json::json!({ "text": CRASH[0].1 }))]);
    let refusal = self::text(&directory.kexec(&old, "--dry-run -c -p --hotplug").output().unwrap());
    assert!(
        refusal.contains("/sys/kernel/crash_elfcorehdr_size does not exist; --hotplug needs a kernel of 6.6"),
        "{refusal}"
    );
}

#[test]
fn dry_runs_read_nothing_of_the_machine_they_run_on() {
    let directory = Directory::new("hidden");
    let machines = directory.test_machines().into_iter().chain([directory.crash_machine()]);
    let mut compared = 0;
    for machine in machines {
        for options in [
            "--dry-run -c -l",
            "--dry-run -l --reuse-cmdline",
            "--dry-run -c -l --noefi --reuse-cmdline --cmdline-remove root",
            "--dry-run -c -p --hotplug --reuse-cmdline",
            "--dry-run -p",
            "--dry-run -c -l -i --entry-32bit --mem-max=0x3fffffff",
            "--check -l --reuse-cmdline",
            "--check -p --hotplug",
            "--check --json -l -c",
        ] {
            let mut command = directory.kexec(&machine, options);
            let Some(mut hidden) = hidden(&command) else {
                eprintln!(
                    "skipped: dry_runs_read_nothing_of_the_machine_they_run_on: no mount namespaces here"
                );
                return;
            };
            let [seen, unseen] = [&mut command, &mut hidden].map(|command| text(&command.output().unwrap()));
            assert_eq!(seen, unseen, "{} {options}", machine.display());
            compared += 1;
        }
    }
    assert_eq!(compared, (MACHINES.len() + 1) * 9);
}

/// Where a string in the sources begins with a path below `/proc` or `/sys`, and why that does not
/// read the machine.
const ALLOWED: [(&str, &str, &str); 9] = [
    ("device/suspend_failure.rs", "/sys/power/pm_test is", "a message"),
    ("hibernate/resume.rs", "/proc/sys/vm/min_free_kbytes", "written, to make room"),
    ("hibernate/resume.rs", "/proc/sys/vm/drop_caches", "written, to make room"),
    ("hibernate/save.rs", "/proc/vmcore", "a memory image, which no saved machine has"),
    ("initramfs.rs", "/proc\", \"/sys\"", "directories of the archive"),
    ("initramfs/host.rs", "/proc/self/exe", "this program's own file"),
    ("kernel/kcore.rs", "/proc/kcore", "a memory image, which no saved machine has"),
    ("peer/view.rs", "/proc/vmcore of the new kernel", "a message"),
    ("terminal/output_file.rs", "/proc\")", "whether an output is a descriptor of a process"),
];

#[test]
fn only_the_crate_machine_reads_proc_and_sys() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    walk(&sources, &sources, &mut files);
    let mut used = [false; ALLOWED.len()];
    for (name, entry) in files {
        let Some(source) = entry["text"].as_str().filter(|_| name.ends_with(".rs")) else { continue };
        let name = name.trim_start_matches('/');
        // Tests of a file stand at its end, or in a file of their own.
        let source = source.split("#[cfg(test)]\nmod ").next().unwrap();
        if name.ends_with("tests.rs") {
            continue;
        }
        for line in source.lines().filter(|line| !line.trim_start().starts_with("//")) {
            if !["\"/proc", "\"/sys"].iter().any(|path| line.contains(path)) {
                continue;
            }
            let allowed = ALLOWED
                .iter()
                .position(|(file, text, _)| *file == name && line.contains(&format!("\"{text}")));
            let at = allowed.unwrap_or_else(|| panic!("{name} reads the machine by itself: {}", line.trim()));
            used[at] = true;
        }
    }
    assert_eq!(used, [true; ALLOWED.len()], "something is allowed that is not there");
}
