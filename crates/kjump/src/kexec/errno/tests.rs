use super::*;

fn machine(name: &str) -> Machine {
    Machine::probe(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/machines").join(name))
}

fn explained_on(name: &str, call: Call, errno: i32) -> String {
    let attempt = Attempt { bytes: 300 << 20, span: Some((0x10_0000, 0x1fff_ffff)), ..Attempt::default() };
    why(call, errno, &attempt, &machine(name)).unwrap_or_default()
}

#[test]
fn each_reason_for_eperm_has_its_own_text() {
    for (name, text) in [
        ("not-root", "CAP_SYS_BOOT is missing"),
        ("kexec-load-disabled", "kernel.kexec_load_disabled is 1"),
        ("debian-6.12-secure-boot", "the kernel is locked down"),
        ("debian-6.1-cloud", "no known restriction applies"),
    ] {
        let why = explained_on(name, Call::Load, EPERM);
        assert!(why.starts_with(text), "{name}: {why}");
    }
    let mut limited = machine("debian-6.1-cloud");
    limited.load_limit_reboot = Ok(0);
    let why = why(Call::Load, EPERM, &Attempt::default(), &limited).unwrap();
    assert!(why.starts_with("kernel.kexec_load_limit_reboot is 0"), "{why}");
}

#[test]
fn lockdown_still_takes_signed_files() {
    assert!(explained_on("debian-6.12-secure-boot", Call::Load, EPERM).contains("use -s"));
    assert!(explained_on("debian-6.12-secure-boot", Call::FileLoad, EPERM).contains("sign it"));
}

#[test]
fn a_refusal_has_the_numbers() {
    let why = explained_on("debian-6.1-cloud", Call::Load, ENOMEM);
    assert!(why.starts_with("the load needs 300 MiB, and "), "{why}");
    let why = explained_on("debian-6.1-cloud", Call::Load, EADDRNOTAVAIL);
    assert_eq!(why, "0x100000-0x1fffffff is not entirely memory that a kernel can be loaded into");
    let crash = Attempt { crash: true, ..Attempt::default() };
    let why = super::why(Call::Load, EADDRNOTAVAIL, &crash, &machine("debian-6.1-cloud")).unwrap();
    assert!(why.contains("crashkernel=SIZE"), "{why}");
}

#[test]
fn a_missing_call_is_explained_by_the_kernels_configuration() {
    assert_eq!(
        explained_on("debian-6.1-cloud", Call::Load, ENOSYS),
        "this kernel is built with CONFIG_KEXEC; a seccomp filter (for example of a container) may \
         block the call"
    );
    assert_eq!(
        explained_on("no-such-machine", Call::FileLoad, ENOSYS),
        "this kernel seems to be built without CONFIG_KEXEC_FILE"
    );
}

#[test]
fn scripts_find_the_systems_words() {
    let error = io::Error::from_raw_os_error(ENOKEY);
    let text = explained(Call::FileLoad, &error, "", None).to_string();
    assert!(text.starts_with("kexec_file_load failed: Required key not available; "), "{text}");
    for errno in [ENOEXEC, EINVAL, EKEYREJECTED, ENODATA, ENOPKG, EBADMSG, EACCES, EBUSY, EFBIG, EOPNOTSUPP] {
        assert!(!explained_on("debian-6.1-cloud", Call::FileLoad, errno).is_empty(), "{errno}");
    }
    assert_eq!(explained_on("debian-6.1-cloud", Call::FileLoad, 5), "");
}

#[test]
fn a_load_of_more_than_half_of_the_managed_memory_is_explained() {
    let explained = |bytes| {
        let attempt = Attempt { bytes, ..Attempt::default() };
        why(Call::Load, EINVAL, &attempt, &machine("debian-6.1-cloud"))
    };
    let text = "the load takes 1 GiB, more than half of the 1.9 GiB that this kernel manages";
    assert_eq!(explained(1 << 30).as_deref(), Some(text));
    // MemTotal is 2,030,648 kB.
    assert_eq!((explained(1_015_324 << 10), explained((1_015_324 << 10) + 1).is_some()), (None, true));
}
