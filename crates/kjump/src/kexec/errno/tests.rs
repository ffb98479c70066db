use super::*;

fn machine(name: &str) -> Machine {
    Machine::probe(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/machines").join(name))
}

fn told(name: &str, call: Call, errno: i32) -> String {
    let attempt = Attempt { bytes: 300 << 20, span: Some((0x10_0000, 0x1fff_ffff)), ..Attempt::default() };
    why(call, errno, &attempt, &machine(name)).unwrap_or_default()
}

#[test]
fn each_reason_to_forbid_a_load_is_told_from_the_others() {
    for (name, text) in [
        ("not-root", "CAP_SYS_BOOT is missing"),
        ("kexec-load-disabled", "kernel.kexec_load_disabled is 1"),
        ("debian-6.12-secure-boot", "the kernel is locked down"),
        ("debian-6.1-cloud", "nothing that is known of this machine forbids it"),
    ] {
        let why = told(name, Call::Load, EPERM);
        assert!(why.starts_with(text), "{name}: {why}");
    }
    let mut limited = machine("debian-6.1-cloud");
    limited.load_limit_reboot = Ok(0);
    let why = why(Call::Load, EPERM, &Attempt::default(), &limited).unwrap();
    assert!(why.starts_with("kernel.kexec_load_limit_reboot is 0"), "{why}");
}

#[test]
fn lockdown_still_takes_signed_files() {
    assert!(told("debian-6.12-secure-boot", Call::Load, EPERM).contains("use -s"));
    assert!(told("debian-6.12-secure-boot", Call::FileLoad, EPERM).contains("sign it"));
}

#[test]
fn a_refusal_has_the_numbers() {
    let why = told("debian-6.1-cloud", Call::Load, ENOMEM);
    assert!(why.starts_with("300 MiB are to be loaded, and "), "{why}");
    let why = told("debian-6.1-cloud", Call::Load, EADDRNOTAVAIL);
    assert_eq!(why, "0x100000-0x1fffffff is not all memory that this kernel lets be loaded");
    let crash = Attempt { crash: true, ..Attempt::default() };
    let why = super::why(Call::Load, EADDRNOTAVAIL, &crash, &machine("debian-6.1-cloud")).unwrap();
    assert!(why.contains("crashkernel=SIZE"), "{why}");
}

#[test]
fn a_missing_call_is_told_by_the_kernels_configuration() {
    assert_eq!(
        told("debian-6.1-cloud", Call::Load, ENOSYS),
        "this kernel is built with CONFIG_KEXEC: a filter of system calls (a container's) may hide it"
    );
    assert_eq!(
        told("no-such-machine", Call::FileLoad, ENOSYS),
        "this kernel seems to be built without CONFIG_KEXEC_FILE"
    );
}

#[test]
fn scripts_find_the_systems_words() {
    let error = io::Error::from_raw_os_error(ENOKEY);
    let text = explained(Call::FileLoad, &error, "", None).to_string();
    assert!(text.starts_with("kexec_file_load failed: Required key not available; "), "{text}");
    for errno in [ENOEXEC, EINVAL, EKEYREJECTED, ENODATA, ENOPKG, EBADMSG, EACCES, EBUSY, EFBIG, EOPNOTSUPP] {
        assert!(!told("debian-6.1-cloud", Call::FileLoad, errno).is_empty(), "{errno}");
    }
    assert_eq!(told("debian-6.1-cloud", Call::FileLoad, 5), "");
}
