//! The arguments of `kjump bios`.

use std::path::PathBuf;

use clap::builder::TypedValueParser;
use clap::{Args, Subcommand, ValueHint};
use firmware::{Call, Kind, Registers};

use super::run::args::RunArgs;
use crate::call::args::Quiesce;
use crate::terminal::number;
use crate::terminal::report::UsageError;

/// Call the BIOS in real mode, and return
///
/// WHAT is the number of an interrupt (0x15), a far address in hexadecimal (SEGMENT:OFFSET), or one
/// of these names, which choose registers and level and decode the result: e820 (memory map), vbe
/// (video modes), edid (monitor), edd (disks), pci, smbios, list (all names). Registers are 0
/// unless given, DS and ES the segment of the buffer. Prints the registers that the BIOS returned.
///
/// Interrupts of the BIOS's clock reach it during the call, and end it at its deadline; the
/// kernel's own wait. Afterwards low memory, interrupt controllers, timers and the clock are as
/// before, and what is not is printed. If an exception in real mode ends the call, the exit status
/// is 3; at the deadline it is 5.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct BiosArgs {
    #[command(subcommand)]
    pub(crate) command: Option<BiosCommand>,
    /// An interrupt, a far address, or a name
    #[arg(value_name = "WHAT", required = true)]
    what: Option<String>,
    #[command(flatten)]
    pub(crate) registers: RegisterArgs,
    /// Repeat the interrupt until EBX is 0 or the carry flag is set; EBX is passed on
    #[arg(long = "loop")]
    pub(crate) looped: bool,
    /// With --loop: added to EDI each time
    #[arg(long, value_name = "N", default_value_t = 24)]
    pub(crate) step: u16,
    /// Bytes of the buffer that are copied back
    #[arg(long, value_name = "N", value_parser = number::unsigned, default_value = "0")]
    pub(crate) buffer: u64,
    /// Copy a file into the buffer before the call
    #[arg(long = "in", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) input: Option<PathBuf>,
    /// Copy the buffer into a file after the call
    #[arg(long = "out", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
    /// Milliseconds after which a call that has not returned is ended, in steps of 55
    #[arg(long, value_name = "MS", default_value_t = Call::DEADLINE, value_parser = milliseconds())]
    pub(crate) deadline: u32,
    /// How much of the system is stopped during the call [default: what the call needs]
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t, hide_default_value = true)]
    pub(crate) quiesce: Quiesce,
    /// Make the call N times, but stop where one does not return
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = number::at_least_one)]
    pub(crate) repeat: u64,
    /// Permit calls that write to a disk
    #[arg(long)]
    pub(crate) allow_disk_writes: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// What is not one call.
#[derive(Debug, Subcommand)]
pub(crate) enum BiosCommand {
    Run(RunArgs),
}

/// The registers.
#[derive(Debug, Default, Args)]
pub(crate) struct RegisterArgs {
    /// EAX
    #[arg(long, value_name = "N", value_parser = register)]
    pub(crate) eax: Option<u32>,
    /// EBX
    #[arg(long, value_name = "N", value_parser = register)]
    pub(crate) ebx: Option<u32>,
    /// ECX
    #[arg(long, value_name = "N", value_parser = register)]
    pub(crate) ecx: Option<u32>,
    /// EDX
    #[arg(long, value_name = "N", value_parser = register)]
    pub(crate) edx: Option<u32>,
    /// ESI
    #[arg(long, value_name = "N", value_parser = register)]
    pub(crate) esi: Option<u32>,
    /// EDI
    #[arg(long, value_name = "N", value_parser = register)]
    pub(crate) edi: Option<u32>,
    /// EBP
    #[arg(long, value_name = "N", value_parser = register)]
    pub(crate) ebp: Option<u32>,
    /// DS; @ is the buffer's segment
    #[arg(long, value_name = "N", value_parser = segment)]
    pub(crate) ds: Option<u16>,
    /// ES; @ is the buffer's segment
    #[arg(long, value_name = "N", value_parser = segment)]
    pub(crate) es: Option<u16>,
}

/// Most times that --loop repeats an interrupt.
const MOST: u16 = 1000;

impl BiosArgs {
    /// What is called.
    pub(crate) fn what(&self) -> &str {
        self.what.as_deref().unwrap_or_default()
    }

    /// The call of an interrupt or a far address.
    pub(crate) fn call(&self) -> Result<Call, UsageError> {
        let usual = Registers::default();
        let given = &self.registers;
        let registers = Registers {
            eax: given.eax.unwrap_or(0),
            ebx: given.ebx.unwrap_or(0),
            ecx: given.ecx.unwrap_or(0),
            edx: given.edx.unwrap_or(0),
            esi: given.esi.unwrap_or(0),
            edi: given.edi.unwrap_or(0),
            ebp: given.ebp.unwrap_or(0),
            ds: given.ds.unwrap_or(usual.ds),
            es: given.es.unwrap_or(usual.es),
            ..usual
        };
        Ok(Call { kind: self.kind()?, registers, deadline: self.deadline })
    }

    fn kind(&self) -> Result<Kind, UsageError> {
        let invalid = || {
            let text = "is neither an interrupt (0x15), nor a far address in hexadecimal (c000:0003), nor a \
                        name; `kjump bios list` prints the names";
            UsageError(format!("{:?} {text}", self.what()))
        };
        if let Some((before, after)) = self.what().split_once(':') {
            if self.looped {
                return Err(UsageError("--loop is for interrupts".into()));
            }
            let hexadecimal = |word: &str| match word {
                "@" => Some(Registers::BUFFER),
                _ => u16::from_str_radix(word, 16).ok().filter(|_| !word.starts_with('+')),
            };
            let (segment, offset) = (hexadecimal(before), hexadecimal(after));
            let (segment, offset) = segment.zip(offset).ok_or_else(invalid)?;
            return Ok(Kind::Far { segment, offset });
        }
        let number = number::unsigned(self.what()).ok().and_then(|number| u8::try_from(number).ok());
        let number = number.ok_or_else(invalid)?;
        let Self { looped, step, .. } = *self;
        Ok(if looped { Kind::Loop { number, most: MOST, step } } else { Kind::Interrupt(number) })
    }

    /// The first option given that is for calls by number alone.
    pub(crate) fn first_raw_option(&self) -> Option<&'static str> {
        let RegisterArgs { eax, ebx, ecx, edx, esi, edi, ebp, ds, es } = self.registers;
        let options = [
            ("--eax", eax.is_some()),
            ("--ebx", ebx.is_some()),
            ("--ecx", ecx.is_some()),
            ("--edx", edx.is_some()),
            ("--esi", esi.is_some()),
            ("--edi", edi.is_some()),
            ("--ebp", ebp.is_some()),
            ("--ds", ds.is_some()),
            ("--es", es.is_some()),
            ("--loop", self.looped),
            ("--buffer", self.buffer != 0),
            ("--in", self.input.is_some()),
            ("--out", self.output.is_some()),
        ];
        options.into_iter().find(|(_, given)| *given).map(|(option, _)| option)
    }
}

/// At most an hour.
fn milliseconds() -> impl TypedValueParser<Value = u32> {
    clap::value_parser!(u32).range(1..=3_600_000)
}

/// 32 bits, also as a negative number.
fn register(word: &str) -> Result<u32, String> {
    let number = number::either_sign(word)?;
    let narrow = u32::try_from(number).ok();
    let negative = || i32::try_from(number.cast_signed()).ok().map(i32::cast_unsigned);
    narrow.or_else(negative).ok_or_else(|| format!("{word:?} has more than 32 bits"))
}

fn segment(word: &str) -> Result<u16, String> {
    if word == "@" {
        return Ok(Registers::BUFFER);
    }
    let number = number::unsigned(word)?;
    u16::try_from(number).map_err(|_| format!("{word:?} has more than 16 bits"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;

    fn args(line: &str) -> BiosArgs {
        match Cli::try_parse_from(line.split(' ')).unwrap().command {
            Command::Bios(args) => *args,
            _ => panic!("not bios"),
        }
    }

    #[test]
    fn a_disk_image_is_run_by_a_command_of_its_own() {
        let all = args("kjump bios run a.img --as floppy --memory 0 --deadline 500 --write-back");
        let Some(BiosCommand::Run(run)) = all.command else { panic!("not run") };
        assert_eq!((run.memory, run.deadline, run.write_back), (Some(0), Some(500), true));
        for line in [
            "kjump bios run",
            "kjump bios",
            "kjump bios --eax 1 run a.img",
            "kjump bios run a.img --write-back --disk-out b.img",
            "kjump bios run a.img --memory 1000",
            "kjump bios run a.img --deadline 0",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }

    #[test]
    fn a_call_has_its_registers() {
        let call = args("kjump bios 0x15 --eax 0xe820 --edx 0x534d4150 --ecx 24 --loop").call().unwrap();
        assert_eq!(call.kind, Kind::Loop { number: 0x15, most: MOST, step: 24 });
        assert_eq!((call.registers.eax, call.registers.es), (0xe820, Registers::BUFFER));
        let call = args("kjump bios @:10 --ds 0x40 --ebx=-1 --deadline 500").call().unwrap();
        assert_eq!(call.kind, Kind::Far { segment: Registers::BUFFER, offset: 0x10 });
        assert_eq!((call.registers.ds, call.registers.ebx, call.deadline), (0x40, u32::MAX, 500));
    }

    #[test]
    fn what_cannot_be_called_is_refused() {
        for line in
            ["kjump bios 256", "kjump bios e821", "kjump bios c000:10000", "kjump bios :", "kjump bios +1:0"]
        {
            assert!(args(line).call().unwrap_err().to_string().contains("kjump bios list"), "{line}");
        }
        assert!(args("kjump bios c000:3 --loop").call().is_err());
        for word in ["0x100000000", "-2147483649", "x"] {
            assert!(register(word).is_err(), "{word}");
        }
        assert!(segment("0x10000").is_err());
    }
}
