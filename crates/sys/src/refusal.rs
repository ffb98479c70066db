//! Explanations of the module's refusals: what is wrong, and what the user can change.

use std::fmt;
use std::io;

use abi::device::{Diagnosis, reason};
use abi::errno::{EBUSY, EEXIST, ENOENT, ENOTTY};

/// What was asked of `/dev/kjump`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the ioctl of its name in abi::device")]
pub enum Request {
    Info,
    Load,
    Read,
    Write,
    Call,
    Unload,
    Keep,
    Attach,
    Images,
    Ranges,
    Slots,
    Note,
}

/// A request that the module, or the kernel before it, did not carry out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Refusal {
    /// What was asked.
    pub request: Request,
    /// The error number of `errno(3)`.
    pub errno: i32,
    /// The reason with its numbers, as the module wrote it.
    pub diagnosis: Diagnosis,
}

impl Refusal {
    /// Whether the reason is an error of the image builder, whose words are those of the crate
    /// `kimage`.
    #[must_use]
    pub const fn is_of_image(&self) -> bool {
        matches!(self.diagnosis.reason, reason::IMAGE_FIRST..=reason::IMAGE_LAST)
    }

    /// What can be done about it, if anything.
    #[must_use]
    pub const fn advice(&self) -> Option<&'static str> {
        Some(match self.diagnosis.reason {
            reason::BAD_SIZE | reason::BAD_FIELD => "use a module and a program of the same version",
            reason::LOCKED_DOWN => {
                "boot without lockdown: secure boot off in the firmware, no lockdown= on the command line"
            }
            reason::LOAD_DISABLED => {
                "reboot, and do not set the sysctl: it cannot be cleared in a running system"
            }
            reason::LOAD_DISABLED_UNKNOWN => "mount /proc; the kernel needs CONFIG_KEXEC for this file",
            reason::NOT_PERMITTED => "run as root",
            reason::NOT_LOADED => "load an image first",
            reason::UNDER_WAY => "try again when that is done",
            reason::PAGE_IN_USE => {
                "quiesce with `suspend`, let pages be claimed, or use an address outside of the kernel's \
                 memory"
            }
            reason::SUSPEND_FAILED => "the kernel log names the task or the device that did not stop",
            reason::WOKEN_UP => "try again; /sys/kernel/debug/wakeup_sources shows what wakes the system",
            reason::NOT_IN_IMAGE => "`kjump map` shows the image's addresses",
            reason::BAD_NAME if self.is_kept_itself() => "`kjump status` shows its name",
            reason::BAD_NAME => "choose another name, or unload the image that has it",
            reason::NO_SUCH_IMAGE => "`kjump status` lists the images",
            reason::NO_MEMORY => "free memory or load a smaller image",
            reason::ENTRY_TOO_HIGH => "place the image below 4 GiB or enter it in 64-bit mode",
            reason::ALREADY_LOADED => "unload it first",
            reason::VOUCHED_RAM => {
                "reserve the range from the kernel, as with memmap=SIZE$START on its command line"
            }
            reason::VIRTUALIZATION_ON => {
                "stop the virtual machines and unload kvm_intel or kvm_amd, or quiesce with `suspend`"
            }
            reason::NO_GUARD => {
                "guarding takes a second CPU, and a kernel that runs on the one that the machine started with"
            }
            reason::DEAD => "its memory can be read; unload it, and load it again",
            reason::NOT_WRITTEN => "write every page of it as a whole first",
            reason::CPU_NOT_STARTED => "call it without a guard, or offline that CPU and load it again",
            reason::NO_DEADLINE if self.diagnosis.numbers[1] != 0 => "choose an earlier deadline",
            reason::NO_DEADLINE => {
                "call it without a deadline; one takes an HPET or, unless the system is suspended, a second \
                 CPU"
            }
            _ => return self.advice_by_errno(),
        })
    }

    /// Whether the image was to be given a name, and has one.
    const fn is_kept_itself(&self) -> bool {
        self.errno == EEXIST && self.diagnosis.numbers[0] == 1
    }

    /// UNLOAD has no structure to put a reason into: its errno is all there is.
    const fn advice_by_errno(&self) -> Option<&'static str> {
        match (self.request, self.errno) {
            (Request::Unload, EBUSY) => Some("try again when that is done"),
            (Request::Unload, ENOENT) => Some("load an image first"),
            (_, ENOTTY) => Some("use a module and a program of the same version"),
            _ => None,
        }
    }
}

/// The fault and, after a semicolon, the remedy.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_cause(f)?;
        match self.advice() {
            Some(advice) => write!(f, "; {advice}"),
            None => Ok(()),
        }
    }
}

impl Refusal {
    fn write_cause(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, ..] = self.diagnosis.numbers;
        match self.diagnosis.reason {
            reason::BAD_SIZE => {
                write!(f, "the module takes structures of {b} to {c} bytes and was given {a}")
            }
            reason::BAD_FIELD => {
                write!(f, "the module does not know the value {b:#x} at byte {a} of the request")
            }
            reason::LOCKED_DOWN => f.write_str("the kernel is locked down"),
            reason::LOAD_DISABLED => f.write_str("kernel.kexec_load_disabled is 1"),
            reason::LOAD_DISABLED_UNKNOWN => f.write_str("kernel.kexec_load_disabled could not be read"),
            reason::NOT_PERMITTED => f.write_str("CAP_SYS_BOOT is missing"),
            reason::NOT_LOADED => f.write_str("no image is loaded"),
            reason::UNDER_WAY if a == 2 => f.write_str("a request for another image is under way"),
            reason::UNDER_WAY => f.write_str("another request for this image is under way"),
            reason::PAGE_IN_USE => {
                write!(f, "the kernel uses {b} of the image's {c} destination pages, the first at {a:#x}")
            }
            reason::SUSPEND_FAILED => write!(f, "the system did not suspend: {}", Errno(a)),
            reason::WOKEN_UP => f.write_str("the system was woken up before the image was called"),
            reason::INTERRUPTED => write!(f, "a signal ended it after {a} of {b} pages"),
            reason::BAD_POINTER => write!(f, "the module cannot reach the program's memory at {a:#x}"),
            reason::NOT_IN_IMAGE => write!(f, "the image does not have all of the {b:#x} bytes at {a:#x}"),
            reason::BAD_NAME if self.is_kept_itself() => {
                f.write_str("the image is kept under a name already")
            }
            reason::BAD_NAME if self.errno == EEXIST => f.write_str("an image of this name is kept already"),
            reason::BAD_NAME => f.write_str("invalid image name"),
            reason::NO_SUCH_IMAGE => f.write_str("there is no such image"),
            reason::NO_MEMORY => write!(f, "no memory for {a} bytes"),
            reason::ENTRY_TOO_HIGH => {
                write!(f, "entry point {a:#x} is not below 4 GiB, as 32-bit mode needs")
            }
            reason::ALREADY_LOADED => f.write_str("an image is loaded already"),
            reason::WRONG_CONTEXT => f.write_str("images are not called from where the kernel cannot sleep"),
            reason::VOUCHED_RAM => {
                write!(f, "range {} that was vouched for, {b:#x}-{c:#x}, is System RAM", a.saturating_add(1))
            }
            reason::BAD_VOUCHED => write!(
                f,
                "range {} that was vouched for, {b:#x}-{c:#x}, is not page-aligned (4 KiB)",
                a.saturating_add(1)
            ),
            reason::BAD_NOTE => {
                write!(f, "{a:#x} has no room for a note of {b} bytes in one page of System RAM")
            }
            reason::NOT_WRITTEN => write!(f, "{a} of the image's {b} pages have not been written yet"),
            reason::VIRTUALIZATION_ON => {
                f.write_str("32-bit mode cannot be entered while virtual machines run")
            }
            reason::NO_GUARD => f.write_str("no CPU can guard an image here"),
            reason::DEAD => f.write_str("the image crashed and cannot be called again"),
            reason::CPU_NOT_STARTED => {
                write!(f, "the CPU that was to run the image, with APIC identifier {a}, did not start")
            }
            reason::NO_DEADLINE if b != 0 => {
                write!(f, "a deadline of {a} ms is too late: the machine's timer counts {b} ms at most")
            }
            reason::NO_DEADLINE => {
                f.write_str("nothing can stop the image at a deadline at this level on this machine")
            }
            reason::NONE if self.request == Request::Unload && self.errno == ENOENT => {
                f.write_str("no image is loaded")
            }
            reason::NONE if self.request == Request::Unload && self.errno == EBUSY => {
                f.write_str("a request for this image is under way")
            }
            reason::NONE => write!(f, "{}", Errno(self.errno.unsigned_abs().into())),
            other => {
                write!(
                    f,
                    "reason {other} {:x?} ({})",
                    self.diagnosis.numbers,
                    Errno(self.errno.unsigned_abs().into())
                )
            }
        }
    }
}

/// An error number that shows as the system's text for it.
struct Errno(u64);

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match i32::try_from(self.0) {
            Ok(number) => write!(f, "{}", io::Error::from_raw_os_error(number)),
            Err(_) => write!(f, "error {}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(reason: u64, numbers: [u64; 5]) -> Refusal {
        Refusal { request: Request::Call, errno: 16, diagnosis: Diagnosis { reason, numbers } }
    }

    #[test]
    fn a_refusal_names_the_numbers_and_what_can_be_done() {
        assert_eq!(
            refusal(reason::PAGE_IN_USE, [0x20_0000, 3, 16, 0, 0]).to_string(),
            "the kernel uses 3 of the image's 16 destination pages, the first at 0x200000; quiesce with \
             `suspend`, \
             let pages be claimed, or use an address outside of the kernel's memory"
        );
        assert_eq!(
            refusal(reason::SUSPEND_FAILED, [16, 0, 0, 0, 0]).to_string(),
            "the system did not suspend: Device or resource busy (os error 16); \
             the kernel log names the task or the device that did not stop"
        );
    }

    #[test]
    fn a_refusal_without_a_reason_is_its_errno() {
        assert_eq!(refusal(reason::NONE, [0; 5]).to_string(), "Device or resource busy (os error 16)");
    }

    #[test]
    fn an_unload_that_fails_tells_why_by_its_errno() {
        let unload = |errno| Refusal { request: Request::Unload, errno, ..refusal(reason::NONE, [0; 5]) };
        assert_eq!(unload(ENOENT).to_string(), "no image is loaded; load an image first");
        assert_eq!(
            unload(EBUSY).to_string(),
            "a request for this image is under way; try again when that is done"
        );
    }

    #[test]
    fn a_name_taken_by_another_is_told_from_an_image_with_a_name() {
        let keep = |whose| Refusal {
            request: Request::Keep,
            errno: EEXIST,
            ..refusal(reason::BAD_NAME, [whose, 0, 0, 0, 0])
        };
        assert_eq!(
            keep(1).to_string(),
            "the image is kept under a name already; `kjump status` shows its name"
        );
        assert_eq!(
            keep(2).to_string(),
            "an image of this name is kept already; choose another name, or unload the image that has it"
        );
    }

    #[test]
    fn every_reason_of_the_interface_has_words_of_its_own() {
        let header = std::fs::read_to_string("../../module/kjump_abi.h").unwrap();
        let definitions = header.lines().filter_map(|line| line.strip_prefix("#define KJUMP_REASON_"));
        let numbers = definitions.map(|line| line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap());
        let own: Vec<u64> = numbers.filter(|&number| number > reason::IMAGE_LAST).collect();
        assert!(own.len() > 20);
        for number in own {
            let text = refusal(number, [1, 2, 3, 4, 5]).to_string();
            assert!(!text.starts_with("reason"), "{number}: {text}");
        }
    }

    #[test]
    fn a_reason_of_a_later_module_keeps_its_numbers() {
        assert_eq!(
            refusal(7777, [1, 0x20, 3, 4, u64::MAX]).to_string(),
            "reason 7777 [1, 20, 3, 4, ffffffffffffffff] (Device or resource busy (os error 16))"
        );
        assert_eq!(
            refusal(reason::SUSPEND_FAILED, [u64::MAX, 0, 0, 0, 0]).to_string().split(';').next(),
            Some("the system did not suspend: error 18446744073709551615")
        );
    }
}
