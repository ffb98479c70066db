//! Linux's own headers, as Debian installs them (`linux-libc-dev`), are compiled and compared with
//! this crate. Without them nothing is compared, and the test prints that.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use abi::{boot_params, e820, elf, errno, kexec, setup_data, setup_header};

/// A C expression, and what it must be.
type Fact = (String, u64);

macro_rules! fields {
    ($structure:literal, $prefix:literal, [$($c:ident = $field:expr),* $(,)?]) => {[$(
        (
            format!("offsetof(struct {}, {}{})", $structure, $prefix, stringify!($c)),
            $field.offset() as u64,
        ),
        (
            format!("sizeof(((struct {} *)0)->{}{})", $structure, $prefix, stringify!($c)),
            ($field.end() - $field.offset()) as u64,
        ),
    )*]};
}

macro_rules! numbers {
    ($($c:literal = $rust:expr),* $(,)?) => {[$(($c.to_owned(), u64::try_from($rust).unwrap())),*]};
}

fn setup_header_fields() -> Vec<Fact> {
    use setup_header as h;
    fields!(
        "boot_params",
        "hdr.",
        [
            setup_sects = h::SETUP_SECTS,
            root_flags = h::ROOT_FLAGS,
            syssize = h::SYSSIZE,
            ram_size = h::RAM_SIZE,
            vid_mode = h::VID_MODE,
            root_dev = h::ROOT_DEV,
            boot_flag = h::BOOT_FLAG,
            jump = h::JUMP,
            header = h::HEADER,
            version = h::VERSION,
            realmode_swtch = h::REALMODE_SWTCH,
            start_sys_seg = h::START_SYS_SEG,
            kernel_version = h::KERNEL_VERSION,
            type_of_loader = h::TYPE_OF_LOADER,
            loadflags = h::LOADFLAGS,
            setup_move_size = h::SETUP_MOVE_SIZE,
            code32_start = h::CODE32_START,
            ramdisk_image = h::RAMDISK_IMAGE,
            ramdisk_size = h::RAMDISK_SIZE,
            bootsect_kludge = h::BOOTSECT_KLUDGE,
            heap_end_ptr = h::HEAP_END_PTR,
            ext_loader_ver = h::EXT_LOADER_VER,
            ext_loader_type = h::EXT_LOADER_TYPE,
            cmd_line_ptr = h::CMD_LINE_PTR,
            initrd_addr_max = h::INITRD_ADDR_MAX,
            kernel_alignment = h::KERNEL_ALIGNMENT,
            relocatable_kernel = h::RELOCATABLE_KERNEL,
            min_alignment = h::MIN_ALIGNMENT,
            xloadflags = h::XLOADFLAGS,
            cmdline_size = h::CMDLINE_SIZE,
            hardware_subarch = h::HARDWARE_SUBARCH,
            hardware_subarch_data = h::HARDWARE_SUBARCH_DATA,
            payload_offset = h::PAYLOAD_OFFSET,
            payload_length = h::PAYLOAD_LENGTH,
            setup_data = h::SETUP_DATA,
            pref_address = h::PREF_ADDRESS,
            init_size = h::INIT_SIZE,
            handover_offset = h::HANDOVER_OFFSET,
            kernel_info_offset = h::KERNEL_INFO_OFFSET,
        ]
    )
    .into()
}

fn boot_params_fields() -> Vec<Fact> {
    use boot_params as b;
    use boot_params::{efi_info as e, screen_info as s};
    let whole = fields!(
        "boot_params",
        "",
        [
            tboot_addr = b::TBOOT_ADDR,
            acpi_rsdp_addr = b::ACPI_RSDP_ADDR,
            ext_ramdisk_image = b::EXT_RAMDISK_IMAGE,
            ext_ramdisk_size = b::EXT_RAMDISK_SIZE,
            ext_cmd_line_ptr = b::EXT_CMD_LINE_PTR,
            cc_blob_address = b::CC_BLOB_ADDRESS,
            alt_mem_k = b::ALT_MEM_K,
            e820_entries = b::E820_ENTRIES,
            eddbuf_entries = b::EDDBUF_ENTRIES,
            edd_mbr_sig_buf_entries = b::EDD_MBR_SIG_BUF_ENTRIES,
            secure_boot = b::SECURE_BOOT,
            sentinel = b::SENTINEL,
        ]
    );
    let screen = fields!(
        "boot_params",
        "screen_info.",
        [
            orig_video_isVGA = s::ORIG_VIDEO_IS_VGA,
            lfb_width = s::LFB_WIDTH,
            lfb_height = s::LFB_HEIGHT,
            lfb_depth = s::LFB_DEPTH,
            lfb_base = s::LFB_BASE,
            lfb_size = s::LFB_SIZE,
            lfb_linelength = s::LFB_LINELENGTH,
            capabilities = s::CAPABILITIES,
            ext_lfb_base = s::EXT_LFB_BASE,
        ]
    );
    let efi = fields!(
        "boot_params",
        "efi_info.",
        [
            efi_loader_signature = e::LOADER_SIGNATURE,
            efi_systab = e::SYSTAB,
            efi_memdesc_size = e::MEMDESC_SIZE,
            efi_memdesc_version = e::MEMDESC_VERSION,
            efi_memmap = e::MEMMAP,
            efi_memmap_size = e::MEMMAP_SIZE,
            efi_systab_hi = e::SYSTAB_HI,
            efi_memmap_hi = e::MEMMAP_HI,
        ]
    );
    whole.into_iter().chain(screen).chain(efi).collect()
}

fn entry_fields() -> Vec<Fact> {
    let e820 = fields!("boot_e820_entry", "", [addr = e820::ADDR, size = e820::LENGTH, type = e820::KIND]);
    let data = fields!("setup_data", "", [
        next = setup_data::NEXT, type = setup_data::KIND, len = setup_data::LENGTH,
    ]);
    e820.into_iter().chain(data).collect()
}

macro_rules! elf_class {
    ($class:expr, $header:literal, $program:literal, $section:literal, $symbol:literal) => {{
        let (h, p, s, y) = ($class.file_header, $class.program_header, $class.section_header, $class.symbol);
        let header = fields!(
            $header,
            "",
            [
                e_type = h.kind,
                e_machine = h.machine,
                e_version = h.version,
                e_entry = h.entry,
                e_phoff = h.program_headers,
                e_shoff = h.section_headers,
                e_flags = h.flags,
                e_ehsize = h.header_size,
                e_phentsize = h.program_header_size,
                e_phnum = h.program_header_count,
                e_shentsize = h.section_header_size,
                e_shnum = h.section_header_count,
                e_shstrndx = h.section_names,
            ]
        );
        let program = fields!(
            $program,
            "",
            [
                p_type = p.kind,
                p_flags = p.flags,
                p_offset = p.offset,
                p_vaddr = p.virt,
                p_paddr = p.phys,
                p_filesz = p.file_size,
                p_memsz = p.memory_size,
                p_align = p.align,
            ]
        );
        let section = fields!(
            $section,
            "",
            [
                sh_name = s.name,
                sh_type = s.kind,
                sh_flags = s.flags,
                sh_addr = s.address,
                sh_offset = s.offset,
                sh_size = s.bytes,
                sh_link = s.link,
                sh_info = s.info,
                sh_addralign = s.align,
                sh_entsize = s.entry_size,
            ]
        );
        let symbol = fields!(
            $symbol,
            "",
            [st_name = y.name, st_info = y.info, st_shndx = y.section, st_value = y.value, st_size = y.bytes,]
        );
        let sizes = [($header, h.size), ($program, p.size), ($section, s.size), ($symbol, y.size)];
        let sizes = sizes.map(|(name, size)| (format!("sizeof(struct {name})"), size as u64));
        header.into_iter().chain(program).chain(section).chain(symbol).chain(sizes).collect::<Vec<Fact>>()
    }};
}

fn elf_fields() -> Vec<Fact> {
    let wide = elf_class!(elf::CLASS_64, "elf64_hdr", "elf64_phdr", "elf64_shdr", "elf64_sym");
    let narrow = elf_class!(elf::CLASS_32, "elf32_hdr", "elf32_phdr", "elf32_shdr", "elf32_sym");
    let note = fields!(
        "elf64_note",
        "",
        [n_namesz = elf::note::NAME_SIZE, n_descsz = elf::note::CONTENT_SIZE, n_type = elf::note::KIND]
    );
    wide.into_iter().chain(narrow).chain(note).collect()
}

fn elf_constants() -> Vec<Fact> {
    use elf::{file_type, ident, machine, note, program_type, section_index};
    numbers!(
        "EI_NIDENT" = ident::SIZE,
        "EI_CLASS" = ident::CLASS.offset(),
        "EI_DATA" = ident::DATA.offset(),
        "EI_VERSION" = ident::VERSION.offset(),
        "ELFCLASS32" = ident::CLASS_32,
        "ELFCLASS64" = ident::CLASS_64,
        "ELFDATA2LSB" = ident::LITTLE_ENDIAN,
        "EV_CURRENT" = elf::VERSION,
        "ET_EXEC" = file_type::EXECUTABLE,
        "ET_DYN" = file_type::SHARED,
        "ET_CORE" = file_type::CORE,
        "EM_386" = machine::I386,
        "EM_X86_64" = machine::X86_64,
        "PN_XNUM" = elf::MANY_PROGRAM_HEADERS,
        "PT_LOAD" = program_type::LOAD,
        "PT_DYNAMIC" = program_type::DYNAMIC,
        "PT_INTERP" = program_type::INTERPRETER,
        "PT_NOTE" = program_type::NOTE,
        "SHN_UNDEF" = section_index::UNDEFINED,
        "NT_PRSTATUS" = note::PRSTATUS,
        "sizeof(struct elf64_note)" = note::HEADER_SIZE,
    )
    .into()
}

macro_rules! errnos {
    ($($name:ident),* $(,)?) => {vec![$(
        (stringify!($name).to_owned(), u64::try_from(errno::$name).unwrap()),
    )*]};
}

fn error_numbers() -> Vec<Fact> {
    errnos![
        EPERM,
        ENOENT,
        EINTR,
        EIO,
        ENOEXEC,
        ENOMEM,
        EACCES,
        EFAULT,
        EBUSY,
        EEXIST,
        EINVAL,
        ENOTTY,
        EFBIG,
        ENOSPC,
        ENOSYS,
        ENODATA,
        ENOPKG,
        EBADMSG,
        ELIBBAD,
        EMSGSIZE,
        EOPNOTSUPP,
        EADDRNOTAVAIL,
        EDQUOT,
        ENOKEY,
        EKEYREJECTED,
        EOWNERDEAD,
    ]
}

fn layouts() -> Vec<Fact> {
    use boot_params as b;
    numbers!(
        "sizeof(struct boot_params)" = b::SIZE,
        "sizeof(struct screen_info)" = b::SCREEN_INFO_SIZE,
        "sizeof(struct edid_info)" = b::EDID_INFO_SIZE,
        "sizeof(struct efi_info)" = b::EFI_INFO_SIZE,
        "sizeof(struct boot_e820_entry)" = e820::SIZE,
        "sizeof(struct setup_data)" = setup_data::HEADER_SIZE,
        "sizeof(struct setup_header)" = setup_header::END - setup_header::START,
        "offsetof(struct boot_params, edid_info)" = b::EDID_INFO,
        "offsetof(struct boot_params, efi_info)" = b::EFI_INFO,
        "offsetof(struct boot_params, edd_mbr_sig_buffer)" = b::EDD_MBR_SIG_BUFFER,
        "offsetof(struct boot_params, e820_table)" = b::E820_TABLE,
        "offsetof(struct boot_params, eddbuf)" = b::EDDBUF,
        "E820_MAX_ENTRIES_ZEROPAGE" = b::E820_ENTRIES_MAX,
    )
    .into()
}

fn constants() -> Vec<Fact> {
    use boot_params::screen_info::{capability, video_type};
    use kexec::{arch, file_flag, flag, reboot};
    use setup_data::kind;
    use setup_header::{load_flag, xload_flag};
    numbers!(
        "LOADED_HIGH" = load_flag::LOADED_HIGH,
        "KASLR_FLAG" = load_flag::KASLR,
        "QUIET_FLAG" = load_flag::QUIET,
        "KEEP_SEGMENTS" = load_flag::KEEP_SEGMENTS,
        "CAN_USE_HEAP" = load_flag::CAN_USE_HEAP,
        "XLF_KERNEL_64" = xload_flag::KERNEL_64,
        "XLF_EFI_KEXEC" = xload_flag::EFI_KEXEC,
        "XLF_CAN_BE_LOADED_ABOVE_4G" = xload_flag::CAN_BE_LOADED_ABOVE_4G,
        "XLF_EFI_HANDOVER_32" = xload_flag::EFI_HANDOVER_32,
        "XLF_EFI_HANDOVER_64" = xload_flag::EFI_HANDOVER_64,
        "XLF_5LEVEL" = xload_flag::LEVELS_5,
        "XLF_5LEVEL_ENABLED" = xload_flag::LEVELS_5_ENABLED,
        "VIDEO_TYPE_VGAC" = video_type::VGAC,
        "VIDEO_TYPE_VLFB" = video_type::VLFB,
        "VIDEO_TYPE_EFI" = video_type::EFI,
        "VIDEO_CAPABILITY_64BIT_BASE" = capability::BASE_64_BIT,
        "SETUP_NONE" = kind::NONE,
        "SETUP_E820_EXT" = kind::E820_EXT,
        "SETUP_DTB" = kind::DTB,
        "SETUP_PCI" = kind::PCI,
        "SETUP_EFI" = kind::EFI,
        "SETUP_APPLE_PROPERTIES" = kind::APPLE_PROPERTIES,
        "SETUP_JAILHOUSE" = kind::JAILHOUSE,
        "SETUP_CC_BLOB" = kind::CC_BLOB,
        "SETUP_IMA" = kind::IMA,
        "SETUP_RNG_SEED" = kind::RNG_SEED,
        "(uint32_t)SETUP_INDIRECT" = setup_data::INDIRECT,
        "KEXEC_SEGMENT_MAX" = kexec::SEGMENT_MAX,
        "KEXEC_ON_CRASH" = flag::ON_CRASH,
        "KEXEC_PRESERVE_CONTEXT" = flag::PRESERVE_CONTEXT,
        "KEXEC_ARCH_DEFAULT" = arch::DEFAULT,
        "KEXEC_ARCH_386" = arch::I386,
        "KEXEC_ARCH_X86_64" = arch::X86_64,
        "KEXEC_FILE_UNLOAD" = file_flag::UNLOAD,
        "KEXEC_FILE_ON_CRASH" = file_flag::ON_CRASH,
        "KEXEC_FILE_NO_INITRAMFS" = file_flag::NO_INITRAMFS,
        "LINUX_REBOOT_MAGIC1" = reboot::MAGIC_1,
        "LINUX_REBOOT_MAGIC2" = reboot::MAGIC_2,
        "LINUX_REBOOT_CMD_KEXEC" = reboot::COMMAND_KEXEC,
    )
    .into()
}

/// What a C program that includes the headers prints for each expression.
fn ask(facts: &[Fact]) -> Vec<u64> {
    let mut source = String::from(
        "#include <stddef.h>\n#include <stdint.h>\n#include <stdio.h>\n#include <asm/bootparam.h>\n\
         #include <linux/elf.h>\n#include <linux/errno.h>\n#include <linux/kexec.h>\n\
         #include <linux/reboot.h>\nint main(void)\n{\n",
    );
    for (expression, _) in facts {
        writeln!(source, "\tprintf(\"%llu\\n\", (unsigned long long)({expression}));").unwrap();
    }
    source.push_str("\treturn 0;\n}\n");
    let binary = Path::new(env!("CARGO_TARGET_TMPDIR")).join("linux_headers");
    let mut compiler = Command::new("cc")
        .args(["-x", "c", "-o"])
        .arg(&binary)
        .arg("-")
        .stdin(Stdio::piped())
        .spawn()
        .expect("a C compiler named cc");
    compiler.stdin.take().unwrap().write_all(source.as_bytes()).unwrap();
    assert!(compiler.wait().unwrap().success(), "the program does not compile");
    let output = Command::new(&binary).output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(|line| line.parse().unwrap()).collect()
}

#[test]
fn linux_and_this_crate_lay_out_boot_parameters_alike() {
    let multiarch = Path::new("/usr/include/x86_64-linux-gnu/asm/bootparam.h");
    if !multiarch.exists() && !Path::new("/usr/include/asm/bootparam.h").exists() {
        eprintln!("not compared: Linux's headers for x86 (linux-libc-dev) are not installed");
        return;
    }
    let groups = [
        setup_header_fields(),
        boot_params_fields(),
        entry_fields(),
        layouts(),
        constants(),
        elf_fields(),
        elf_constants(),
        error_numbers(),
    ];
    let facts: Vec<Fact> = groups.into_iter().flatten().collect();
    let answers = ask(&facts);
    assert_eq!(answers.len(), facts.len());
    for ((expression, rust), c) in facts.iter().zip(answers) {
        assert_eq!(*rust, c, "{expression}: Rust left, C right");
    }
}
