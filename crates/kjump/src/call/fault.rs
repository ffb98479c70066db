//! The report of an exception in an image. Names are those of the Intel SDM, volume 3, table 6-1.

use std::fmt::Write;

use abi::control::Fault;
use abi::device::mode;
use serde::{Serialize, Serializer};

/// Names of the exception vectors, and their mnemonics; empty if there is none.
const VECTORS: [(&str, &str); 32] = [
    ("divide error", "#DE"),
    ("debug exception", "#DB"),
    ("non-maskable interrupt", "NMI"),
    ("breakpoint", "#BP"),
    ("overflow", "#OF"),
    ("bound range exceeded", "#BR"),
    ("invalid opcode", "#UD"),
    ("device not available", "#NM"),
    ("double fault", "#DF"),
    ("coprocessor segment overrun", ""),
    ("invalid task state segment", "#TS"),
    ("segment not present", "#NP"),
    ("stack fault", "#SS"),
    ("general protection fault", "#GP"),
    ("page fault", "#PF"),
    ("", ""),
    ("x87 floating-point error", "#MF"),
    ("alignment check", "#AC"),
    ("machine check", "#MC"),
    ("SIMD floating-point exception", "#XM"),
    ("virtualization exception", "#VE"),
    ("control protection exception", "#CP"),
    ("", ""),
    ("", ""),
    ("", ""),
    ("", ""),
    ("", ""),
    ("", ""),
    ("hypervisor injection exception", "#HV"),
    ("VMM communication exception", "#VC"),
    ("security exception", "#SX"),
    ("", ""),
];

const PAGE_FAULT: u64 = 14;
/// Vectors whose error code is a selector.
const SELECTOR_VECTORS: [u64; 4] = [10, 11, 12, 13];

const NAMES_64: [&str; 16] = [
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
    "r15",
];
const NAMES_32: [&str; 8] = ["eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"];

const FLAGS: [(u32, &str); 9] =
    [(0, "CF"), (2, "PF"), (4, "AF"), (6, "ZF"), (7, "SF"), (8, "TF"), (9, "IF"), (10, "DF"), (11, "OF")];

/// An exception that ended an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct FaultReport {
    vector: u64,
    name: &'static str,
    error_code: u64,
    rip: u64,
    rflags: u64,
    cs: u64,
    cr2: u64,
    /// Names and values, in the order of the registers' numbers.
    #[serde(serialize_with = "as_object")]
    registers: Vec<(&'static str, u64)>,
    #[serde(skip)]
    wide: bool,
}

impl FaultReport {
    /// The exception in an image that runs in one of [`mode`].
    pub(crate) fn new(fault: &Fault, image_mode: u64) -> Self {
        let wide = image_mode != mode::PROTECTED;
        let names: &[&str] = if wide { &NAMES_64 } else { &NAMES_32 };
        let name = if is_interrupt(fault.vector) { "interrupt" } else { vector_entry(fault.vector).0 };
        Self {
            vector: fault.vector,
            name: if name.is_empty() { "reserved exception" } else { name },
            error_code: fault.error_code,
            rip: fault.rip,
            rflags: fault.rflags,
            cs: fault.cs,
            cr2: fault.cr2,
            registers: names.iter().copied().zip(fault.registers).collect(),
            wide,
        }
    }

    /// The first line: the exception, and its address.
    pub(crate) fn headline(&self) -> String {
        let (_, mnemonic) = vector_entry(self.vector);
        let mnemonic = if mnemonic.is_empty() { String::new() } else { format!("{mnemonic}, ") };
        let instruction = if self.wide { "rip" } else { "eip" };
        if is_interrupt(self.vector) {
            return format!("{} {} at {instruction} {:#x}", self.name, self.vector, self.rip);
        }
        format!("{} ({mnemonic}vector {}) at {instruction} {:#x}", self.name, self.vector, self.rip)
    }

    /// The first line for an image that was stopped after a number of milliseconds.
    pub(super) fn stopped_headline(&self, milliseconds: u64) -> String {
        let instruction = if self.wide { "rip" } else { "eip" };
        let seconds = std::time::Duration::from_millis(milliseconds).as_secs_f64();
        format!("took longer than {seconds} s, stopped at {instruction} {:#x}", self.rip)
    }

    /// The whole report, several lines.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{}\n", self.headline());
        if self.vector == PAGE_FAULT {
            let _ = writeln!(text, "  {} at address (cr2) {:#x}", self.access(), self.cr2);
        } else if SELECTOR_VECTORS.contains(&self.vector) && self.error_code != 0 {
            let _ = writeln!(text, "  {}", self.selector());
        } else if is_interrupt(self.vector) {
            text.push_str("  the image enabled interrupts and has no gate for this one\n");
        }
        text + &self.state()
    }

    /// The flags and registers, several lines.
    pub(super) fn state(&self) -> String {
        let mut text = String::new();
        let flags = if self.wide { "rflags" } else { "eflags" };
        let _ = writeln!(
            text,
            "  error code {:#x}, cs {:#x}, cr2 {:#x}, {flags} {:#x}{}",
            self.error_code,
            self.cs,
            self.cr2,
            self.rflags,
            self.flag_names()
        );
        text + &self.register_columns()
    }

    /// The error code of a page fault: Intel SDM volume 3, figure 4-12.
    fn access(&self) -> String {
        let bit = |number: u32| self.error_code >> number & 1 == 1;
        let kind = match (bit(4), bit(1)) {
            (true, _) => "instruction fetch",
            (false, true) => "write",
            (false, false) => "read",
        };
        let cause = match (bit(3), bit(0)) {
            (true, _) => "a reserved bit is set in the page tables",
            (false, true) => "the page does not permit it",
            (false, false) => "the page is not present",
        };
        format!("{kind}, {cause},")
    }

    /// An error code with a selector: Intel SDM volume 3, figure 6-7.
    fn selector(&self) -> String {
        let table = match self.error_code >> 1 & 3 {
            0 => "GDT",
            2 => "LDT",
            _ => "IDT",
        };
        format!("the error code names entry {} of the {table}", self.error_code >> 3 & 0x1fff)
    }

    fn flag_names(&self) -> String {
        let set = FLAGS.iter().filter(|(bit, _)| self.rflags >> bit & 1 == 1);
        let names: Vec<&str> = set.map(|&(_, name)| name).collect();
        if names.is_empty() { String::new() } else { format!(" ({})", names.join(" ")) }
    }

    fn register_columns(&self) -> String {
        let digits = if self.wide { 16 } else { 8 };
        let columns = if self.wide { 3 } else { 4 };
        let mut text = String::new();
        for row in self.registers.chunks(columns) {
            let cells: Vec<String> =
                row.iter().map(|(name, value)| format!("{name:>3} {value:0digits$x}")).collect();
            let _ = writeln!(text, "  {}", cells.join("  "));
        }
        text
    }
}

/// Whether a vector is that of an interrupt, not of an exception.
const fn is_interrupt(vector: u64) -> bool {
    32 <= vector && vector < 256
}

/// Names and values as a JSON object.
fn as_object<S: Serializer>(registers: &[(&'static str, u64)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(registers.iter().copied())
}

fn vector_entry(vector: u64) -> (&'static str, &'static str) {
    usize::try_from(vector).ok().and_then(|vector| VECTORS.get(vector)).copied().unwrap_or(("", ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(vector: u64, error_code: u64) -> Fault {
        Fault {
            vector,
            error_code,
            rip: 0x10_0010,
            rflags: 0x10046,
            cs: 0x10,
            cr2: 0xdead_0000,
            registers: std::array::from_fn(|number| (number as u64 + 1) * 0x1111),
        }
    }

    #[test]
    fn a_page_fault_in_64_bit_mode_is_laid_out_in_columns() {
        insta::assert_snapshot!(FaultReport::new(&fault(14, 2), mode::LONG).text());
    }

    #[test]
    fn a_general_protection_fault_in_32_bit_mode_names_the_descriptor() {
        insta::assert_snapshot!(FaultReport::new(&fault(13, 0x42), mode::PROTECTED).text());
    }

    #[test]
    fn an_interrupt_has_its_number_and_its_cause() {
        let text = FaultReport::new(&fault(236, 0), mode::LONG).text();
        let start =
            "interrupt 236 at rip 0x100010\n  the image enabled interrupts and has no gate for this one\n";
        assert!(text.starts_with(start), "{text}");
    }

    #[test]
    fn a_vector_without_a_name_has_its_number() {
        let headline = |vector| FaultReport::new(&fault(vector, 0), mode::LONG).headline();
        assert_eq!(headline(15), "reserved exception (vector 15) at rip 0x100010");
        assert_eq!(headline(u64::MAX), format!("reserved exception (vector {}) at rip 0x100010", u64::MAX));
        assert_eq!(headline(9), "coprocessor segment overrun (vector 9) at rip 0x100010");
        assert_eq!(headline(6), "invalid opcode (#UD, vector 6) at rip 0x100010");
    }
}
