//! The facts that an intercepted load would have passed to the next kernel, by name and independent
//! of addresses.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use abi::setup_header as header;
use abi::{Field, boot_params, e820, setup_data};
use anyhow::{Context, Result};

pub(crate) type Facts = BTreeMap<String, String>;

/// Smaller segments belong to the programs themselves, such as purgatory.
const LARGE: usize = 64 << 10;

/// Memory as it would be loaded: address, size, bytes.
struct Memory(Vec<(u64, u64, Vec<u8>)>);

pub(crate) fn of(directory: &Path) -> Result<Facts> {
    let call = fs::read_to_string(directory.join("call"))
        .with_context(|| format!("{}: no call", directory.display()))?;
    let mut lines = call.lines();
    let name = lines.next().unwrap_or_default().to_owned();
    let flags = lines.next().unwrap_or_default().to_owned();
    let mut facts = Facts::from([("call".to_owned(), name.clone()), ("flags".to_owned(), flags)]);
    if name == "kexec_file_load" {
        for part in ["kernel", "initrd", "command-line"] {
            let bytes = fs::read(directory.join(part)).unwrap_or_default();
            facts.insert(part.to_owned(), digest(&bytes));
        }
        return Ok(facts);
    }
    let memory = Memory::read(directory)?;
    memory.large(&mut facts);
    if let Some(params) = memory.params() {
        memory.add_boot_params(&params, &mut facts);
    }
    Ok(facts)
}

fn digest(bytes: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    format!("{} bytes, {:016x}", bytes.len(), hasher.finish())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Memory {
    fn read(directory: &Path) -> Result<Self> {
        let mut segments = Vec::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some((address, size)) = name.split_once('-') else { continue };
            let numbers = (u64::from_str_radix(address, 16), u64::from_str_radix(size, 16));
            if let (Ok(address), Ok(size)) = numbers {
                segments.push((address, size, fs::read(entry.path())?));
            }
        }
        segments.sort();
        Ok(Self(segments))
    }

    fn at(&self, address: u64, size: usize) -> Vec<u8> {
        let segment = self.0.iter().find(|(start, length, _)| *start <= address && address < start + length);
        let Some((start, _, bytes)) = segment else { return Vec::new() };
        let rest = bytes.get((address - start) as usize..).unwrap_or(&[]);
        (0..size).map(|place| rest.get(place).copied().unwrap_or(0)).collect()
    }

    /// The bytes of the large segments: the kernel and the initrds.
    fn large(&self, facts: &mut Facts) {
        let large = self.0.iter().filter(|(_, _, bytes)| bytes.len() >= LARGE);
        for (number, bytes) in large
            .map(|(_, _, bytes)| digest(bytes))
            .collect::<std::collections::BTreeSet<_>>()
            .iter()
            .enumerate()
        {
            facts.insert(format!("large segment {number}"), bytes.clone());
        }
    }

    /// The `boot_params`: at the start of a segment, or of the page that it starts with.
    fn params(&self) -> Option<Vec<u8>> {
        self.0.iter().find_map(|(_, _, bytes)| {
            let is_boot_params = header::HEADER.read(bytes) == Some(header::HEADER_MAGIC)
                && header::TYPE_OF_LOADER
                    .read(bytes)
                    .is_some_and(|loader| loader >> 4 == header::loader::KEXEC);
            is_boot_params.then(|| bytes.get(..boot_params::SIZE).map(<[u8]>::to_vec)).flatten()
        })
    }

    fn add_boot_params(&self, params: &[u8], facts: &mut Facts) {
        let mut put = |name: &str, value: String| facts.insert(name.to_owned(), value);
        let wide = |low: Field<u32>, high: Field<u32>| {
            u64::from(low.read(params).unwrap_or(0)) | u64::from(high.read(params).unwrap_or(0)) << 32
        };
        let line = self.at(wide(header::CMD_LINE_PTR, boot_params::EXT_CMD_LINE_PTR), 4096);
        put(
            "command line",
            String::from_utf8_lossy(line.split(|byte| *byte == 0).next().unwrap_or(&[])).into_owned(),
        );
        let (initrd, size) = (
            wide(header::RAMDISK_IMAGE, boot_params::EXT_RAMDISK_IMAGE),
            wide(header::RAMDISK_SIZE, boot_params::EXT_RAMDISK_SIZE),
        );
        put("initrd", digest(&self.at(initrd, size as usize)));
        let bytes = |start: usize, end: usize| hexadecimal(params.get(start..end).unwrap_or(&[]));
        put("screen_info", bytes(0, boot_params::SCREEN_INFO_SIZE));
        put("efi_info", bytes(boot_params::EFI_INFO, boot_params::EFI_INFO + boot_params::EFI_INFO_SIZE));
        put("eddbuf entries", bytes(boot_params::EDDBUF_ENTRIES.offset(), boot_params::EDDBUF_ENTRIES.end()));
        put("acpi_rsdp_addr", bytes(boot_params::ACPI_RSDP_ADDR.offset(), boot_params::ACPI_RSDP_ADDR.end()));
        put("secure_boot", bytes(boot_params::SECURE_BOOT.offset(), boot_params::SECURE_BOOT.end()));
        put("alt_mem_k", bytes(boot_params::ALT_MEM_K.offset(), boot_params::ALT_MEM_K.end()));
        for (name, start, end) in HEADER {
            put(name, bytes(*start, *end));
        }
        let count = boot_params::E820_ENTRIES.read(params).unwrap_or(0);
        for (number, entry) in params
            .get(boot_params::E820_TABLE..)
            .unwrap_or(&[])
            .chunks(e820::SIZE)
            .take(count.into())
            .enumerate()
        {
            let (start, size) = (e820::ADDR.read(entry).unwrap_or(0), e820::LENGTH.read(entry).unwrap_or(0));
            put(
                &format!("e820 {number:03}"),
                format!("{start:#x}+{size:#x} {}", e820::KIND.read(entry).unwrap_or(0)),
            );
        }
        self.chain(header::SETUP_DATA.read(params).unwrap_or(0), facts);
    }

    fn chain(&self, mut next: u64, facts: &mut Facts) {
        for _ in 0..64 {
            let head = self.at(next, setup_data::HEADER_SIZE);
            let (Some(kind), Some(length)) = (setup_data::KIND.read(&head), setup_data::LENGTH.read(&head))
            else {
                return;
            };
            let bytes = self.at(next + setup_data::HEADER_SIZE as u64, length as usize);
            // A random seed always differs.
            let value =
                if kind == setup_data::kind::RNG_SEED { format!("{length} bytes") } else { digest(&bytes) };
            facts.insert(format!("setup_data {kind}"), value);
            next = setup_data::NEXT.read(&head).unwrap_or(0);
        }
    }
}

/// Fields of the setup header that are not addresses.
const HEADER: &[(&str, usize, usize)] = &[
    ("setup_sects", 0x1f1, 0x1f2),
    ("root_flags", 0x1f2, 0x1f4),
    ("syssize", 0x1f4, 0x1f8),
    ("vid_mode", 0x1fa, 0x1fc),
    ("root_dev", 0x1fc, 0x1fe),
    ("version", 0x206, 0x208),
    ("type_of_loader", 0x210, 0x211),
    ("loadflags", 0x211, 0x212),
    ("initrd_addr_max", 0x22c, 0x230),
    ("kernel_alignment", 0x230, 0x234),
    ("relocatable_kernel", 0x234, 0x235),
    ("xloadflags", 0x236, 0x238),
    ("cmdline_size", 0x238, 0x23c),
    ("hardware_subarch", 0x23c, 0x240),
    ("payload", 0x248, 0x250),
    ("pref_address", 0x258, 0x260),
    ("init_size", 0x260, 0x264),
    ("handover_offset", 0x264, 0x268),
];
