//! Which system call loads a kernel: one decision, made here and nowhere else.

use abi::errno::{EINVAL, ENODATA, ENOEXEC, ENOPKG, ENOSYS, EOPNOTSUPP};

use super::request::{Load, Wanted};
use crate::kernel::file::Loader;

/// A system call that loads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Syscall {
    FileLoad,
    Load,
}

impl Syscall {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::FileLoad => "kexec_file_load",
            Self::Load => "kexec_load",
        }
    }
}

/// The system call to try first, the one to try if the kernel refuses that, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) first: Syscall,
    pub(super) then: Option<Syscall>,
    pub(super) why: String,
}

/// Chooses for a load. Options that contradict the system call asked for were refused earlier.
/// `kexec_file_load` is left out for what it does not take, and for bzImages that run at one
/// address only (`is_fixed`): it loads them at another.
pub(super) fn choose(load: &Load, wanted: Wanted, loader: Loader, is_fixed: bool) -> Result<Choice, String> {
    let only = |first, why: String| Ok(Choice { first, then: None, why });
    let unsuitable = match loader {
        Loader::BzImage if is_fixed => Some("loads at any address, and this bzImage runs at one only"),
        Loader::BzImage => None,
        _ => Some("takes bzImages only on x86"),
    };
    match (wanted, unsuitable) {
        (Wanted::FileLoad, Some(why)) => {
            Err(format!("kexec_file_load {why}; leave out -s to use kexec_load"))
        }
        (Wanted::FileLoad, None) => only(Syscall::FileLoad, "-s was given".into()),
        (Wanted::Load, _) => only(Syscall::Load, "-c was given".into()),
        (Wanted::Either, _) => match (load.needs_load, load.needs_file_load, unsuitable) {
            (Some(option), _, _) => only(Syscall::Load, format!("--{option} needs it")),
            (None, Some(option), Some(why)) => Err(format!("--{option} needs kexec_file_load, which {why}")),
            (None, Some(option), None) => only(Syscall::FileLoad, format!("--{option} needs it")),
            (None, None, Some(why)) => only(Syscall::Load, format!("kexec_file_load {why}")),
            (None, None, None) => Ok(Choice {
                first: Syscall::FileLoad,
                then: Some(Syscall::Load),
                why: "kexec_load is tried if the kernel refuses".into(),
            }),
        },
    }
}

/// Whether `kexec_load` can work where `kexec_file_load` failed with this error: the kernel lacks
/// the call, does not take the file, or the file is not signed. A bad signature is final, and so is
/// what forbids both calls.
pub(super) const fn falls_back(errno: i32) -> bool {
    matches!(errno, ENOSYS | EINVAL | ENOEXEC | EOPNOTSUPP | ENODATA | ENOPKG)
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::errno::{EBUSY, EKEYREJECTED, ENOKEY, EPERM};

    fn first(load: &Load, wanted: Wanted, loader: Loader) -> Result<(Syscall, Option<Syscall>), String> {
        choose(load, wanted, loader, false).map(|choice| (choice.first, choice.then))
    }

    #[test]
    fn both_are_tried_where_both_can_work() {
        let plain = Load::default();
        let both = Ok((Syscall::FileLoad, Some(Syscall::Load)));
        assert_eq!(first(&plain, Wanted::Either, Loader::BzImage), both);
        assert_eq!(first(&plain, Wanted::FileLoad, Loader::BzImage), Ok((Syscall::FileLoad, None)));
        assert_eq!(first(&plain, Wanted::Load, Loader::BzImage), Ok((Syscall::Load, None)));
    }

    #[test]
    fn files_and_options_decide_where_only_one_can_work() {
        let plain = Load::default();
        let load = Load { needs_load: Some("mem-max"), ..Load::default() };
        let file = Load { needs_file_load: Some("no-cma"), ..Load::default() };
        assert_eq!(first(&plain, Wanted::Either, Loader::Elf), Ok((Syscall::Load, None)));
        assert_eq!(first(&load, Wanted::Either, Loader::BzImage), Ok((Syscall::Load, None)));
        assert_eq!(first(&file, Wanted::Either, Loader::BzImage), Ok((Syscall::FileLoad, None)));
        first(&plain, Wanted::FileLoad, Loader::Elf).unwrap_err();
        first(&file, Wanted::Either, Loader::Elf).unwrap_err();
    }

    #[test]
    fn a_kernel_for_one_address_is_not_left_to_the_kernel_to_place() {
        let choice = |load: &Load, wanted| choose(load, wanted, Loader::BzImage, true);
        let chosen = choice(&Load::default(), Wanted::Either).unwrap();
        assert_eq!((chosen.first, chosen.then), (Syscall::Load, None));
        assert!(choice(&Load::default(), Wanted::FileLoad).unwrap_err().contains("runs at one only"));
        let file = Load { needs_file_load: Some("no-cma"), ..Load::default() };
        choice(&file, Wanted::Either).unwrap_err();
    }

    #[test]
    fn a_bad_signature_and_a_ban_are_final() {
        assert!([ENOSYS, EINVAL, ENOEXEC, EOPNOTSUPP, ENODATA, ENOPKG].into_iter().all(falls_back));
        assert!(![EPERM, EBUSY, EKEYREJECTED, ENOKEY].into_iter().any(falls_back));
    }
}
