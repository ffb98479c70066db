//! Plans for Linux.

use abi::device::SlotRun;
use abi::elf;
use abi::setup_header::{self as header, xload_flag};
use abi::{boot_params, e820, setup_data};
use kernel_file::testing::bzimage;
use kernel_file::{BzImage, Mode, Program};
use phys::{PhysRange, RangeSet};
use plan::elfcorehdr::NoteAt;
use plan::linux::{Home, Initrd, Kernel, Request, plan, window};
use plan::{CpuMode, Efi, Error, Interface, LoadPlan, Machine, MemoryKind, MemoryRange, SetupData, View};
use proptest::prelude::*;

use crate::support::{MIB, QUIET, memory, pages, range, request};

const GIB: u64 = 1 << 30;

/// A kernel of 10 MiB that needs 60 MiB.
fn kernel_file() -> Vec<u8> {
    let mut file = bzimage(10 * MIB as usize, 60 << 20);
    assert!(header::SETUP_DATA.write(&mut file, 0xdead));
    file
}

/// A machine with a BIOS and 2 GiB.
fn small_machine() -> Machine {
    Machine {
        ram: vec![pages(0x1000, 0x9_f000), pages(MIB, 0x7ffe_0000)],
        firmware: vec![
            range(0, 0x9_fbff, MemoryKind::Ram),
            range(0x9_fc00, 0x9_ffff, MemoryKind::Reserved),
            range(0xf_0000, 0xf_ffff, MemoryKind::Reserved),
            range(MIB, 0x7ffd_ffff, MemoryKind::Ram),
            range(0x7ffe_0000, 0x7fff_ffff, MemoryKind::Reserved),
            range(0xfffc_0000, 0xffff_ffff, MemoryKind::Reserved),
        ],
        rsdp: Some(0xf_52a0),
        screen: Some([0x5c; 64]),
        ..Machine::default()
    }
}

/// A machine with 16 GiB, of which the running kernel does not use 1 GiB at 8 GiB (`memmap=1G$8G`).
fn large_machine() -> Machine {
    let mut machine = small_machine();
    machine.ram.extend([pages(4 * GIB, 8 * GIB), pages(9 * GIB, 18 * GIB)]);
    machine.firmware.push(range(4 * GIB, 18 * GIB - 1, MemoryKind::Ram));
    machine
}

fn part(plan: &LoadPlan<'_>, name: &str) -> (u64, u64) {
    let part = plan.parts().iter().find(|part| part.name == name).unwrap_or_else(|| panic!("no part {name}"));
    (part.address, part.size)
}

fn params(plan: &LoadPlan<'_>) -> Vec<u8> {
    memory(plan, part(plan, "boot_params").0, boot_params::SIZE)
}

fn wide(params: &[u8], low: abi::Field<u32>, high: abi::Field<u32>) -> u64 {
    u64::from(low.read(params).unwrap()) | u64::from(high.read(params).unwrap()) << 32
}

/// The memory map as the kernel reads it: the table, then the setup_data.
fn memory_map(plan: &LoadPlan<'_>) -> Vec<(u64, u64, u32)> {
    let params = params(plan);
    let count = boot_params::E820_ENTRIES.read(&params).unwrap().into();
    let table = params[boot_params::E820_TABLE..].chunks(e820::SIZE).take(count).map(<[u8]>::to_vec);
    let mut entries: Vec<Vec<u8>> = table.collect();
    let more = header::SETUP_DATA.read(&params).unwrap();
    if more != 0 {
        let data = memory(plan, more, setup_data::HEADER_SIZE);
        assert_eq!(setup_data::NEXT.read(&data), Some(0));
        assert_eq!(setup_data::KIND.read(&data), Some(setup_data::kind::E820_EXT));
        let length = setup_data::LENGTH.read(&data).unwrap() as usize;
        let bytes = memory(plan, more + setup_data::HEADER_SIZE as u64, length);
        entries.extend(bytes.chunks(e820::SIZE).map(<[u8]>::to_vec));
    }
    let number = |entry: &[u8], field: abi::Field<u64>| field.read(entry).unwrap();
    entries
        .iter()
        .map(|entry| {
            (number(entry, e820::ADDR), number(entry, e820::LENGTH), e820::KIND.read(entry).unwrap())
        })
        .collect()
}

#[test]
fn a_kernel_takes_the_place_of_another() {
    let (file, initrd) = (kernel_file(), vec![1; 5 << 20]);
    let plan = plan(&request(&file, &[&initrd], Home::ANYWHERE), &small_machine()).unwrap();
    insta::assert_snapshot!(plan);
    let params = params(&plan);
    assert_eq!(params[..64], [0x5c; 64]);
    assert_eq!(params[0x1f1..0x210], file[0x1f1..0x210]);
    assert_eq!(header::TYPE_OF_LOADER.read(&params), Some(0xd0));
    assert_eq!(boot_params::SENTINEL.read(&params), Some(0));
    assert_eq!(boot_params::ACPI_RSDP_ADDR.read(&params), Some(0xf_52a0));
    assert_eq!(header::SETUP_DATA.read(&params), Some(0), "what the file has there is not for this kernel");
    let initrd_at = wide(&params, header::RAMDISK_IMAGE, boot_params::EXT_RAMDISK_IMAGE);
    assert_eq!(wide(&params, header::RAMDISK_SIZE, boot_params::EXT_RAMDISK_SIZE), 5 << 20);
    assert!(memory(&plan, initrd_at, 5 << 20) == initrd);
    let command_line = wide(&params, header::CMD_LINE_PTR, boot_params::EXT_CMD_LINE_PTR);
    assert_eq!(memory(&plan, command_line, 20), b"console=ttyS0 quiet\0");
    assert_eq!(memory_map(&plan).len(), 6);
}

#[test]
fn a_peer_lives_in_a_window_of_the_running_kernels_ram() {
    let (file, initrd) = (kernel_file(), vec![1; 5 << 20]);
    let window = pages(0x2000_0000, 0x3000_0000);
    let home = Home::Peer { window, view: Some(View { vmcoreinfo: 2500, mailbox: 0 }) };
    let plan = plan(&request(&file, &[&initrd], home), &small_machine()).unwrap();
    insta::assert_snapshot!(plan);
    let mut covered: Vec<_> = plan.segments().iter().map(|segment| segment.range).collect();
    let own = [pages(0x1000, 0x9_f000), window];
    assert_eq!(RangeSet::sort(&mut covered).ranges(), own, "all that the peer may write to is exchanged");
    let [.., rsi, _] = plan.kernel_entry().registers;
    assert_eq!(rsi, part(&plan, "boot_params").0);
    assert_eq!(params(&plan)[..64], [0; 64], "the screen stays with the running kernel");
}

/// The segment that is not RAM for a peer.
const VIEW: &str = "view of the running kernel";

#[test]
fn a_peer_sees_the_running_kernels_memory_at_its_present_place() {
    let file = kernel_file();
    let cpu_note = NoteAt { address: 0x2002_3400, size: 368 };
    let machine = Machine { cpu_notes: vec![cpu_note], ..small_machine() };
    let window = pages(0x2000_0000, 0x3000_0000);
    let home = Home::Peer { window, view: Some(View { vmcoreinfo: 2500, mailbox: 0 }) };
    let plan = plan(&request(&file, &[], home), &machine).unwrap();
    let view = plan.view().unwrap();
    let line = String::from_utf8(plan.command_line().to_vec()).unwrap();
    let expected = format!("quiet elfcorehdr={:#x} kexec_jump_back_entry=0x0000000000000000", view.header());
    assert!(line.ends_with(&expected), "{line}");
    let is_ram = |address: u64| {
        let map = memory_map(&plan);
        map.iter()
            .any(|&(first, size, kind)| kind == e820::kind::RAM && first <= address && address < first + size)
    };
    assert_eq!(
        [view.header() - 0x2000, view.header(), view.vmcoreinfo().unwrap().address].map(is_ram),
        [true, false, false]
    );

    let run = |destination, source, pages| SlotRun { destination, source, pages };
    let slots = [
        run(0x1000, 0x4000_0000, 0x9e),
        run(0x2000_0000, 0x2000_0000, 2),
        run(0x2000_2000, 0x5000_0000, 0xfffe),
    ];
    let header = view.elfcorehdr(&machine, &slots).unwrap();
    let program_header = elf::CLASS_64.program_header;
    let count = usize::from(elf::CLASS_64.file_header.program_header_count.read(&header).unwrap());
    let field = |number: usize, field: abi::Field<u64>| {
        field.read(&header[elf::CLASS_64.file_header.size + number * program_header.size..]).unwrap()
    };
    let headers: Vec<_> = (0..count)
        .map(|number| {
            [program_header.phys, program_header.offset, program_header.file_size].map(|it| field(number, it))
        })
        .collect();
    let note = |note: NoteAt| [note.address, note.address, note.size];
    assert_eq!(
        headers,
        [
            note(NoteAt { address: 0x5002_1400, ..cpu_note }),
            note(view.vmcoreinfo().unwrap()),
            [0x1000, 0x4000_0000, 0x9_e000],
            [MIB, MIB, 511 * MIB],
            [0x2000_2000, 0x5000_0000, 0xfffe000],
            [0x3000_0000, 0x3000_0000, 0x4ffe_0000],
        ]
    );

    let scattered: Vec<_> =
        (0..0x8000).map(|page| run((0x2_0000 + page) << 12, (0x6_0000 - 2 * page) << 12, 1)).collect();
    let text = view.elfcorehdr(&machine, &scattered).unwrap_err().to_string();
    assert!(text.starts_with("32773 notes and memory ranges for an elfcorehdr, at most 46"), "{text}");
}

#[test]
fn a_peer_lives_above_4_gib_in_unused_memory() {
    let (file, initrd) = (kernel_file(), vec![1; 5 << 20]);
    let window = pages(8 * GIB, 8 * GIB + 256 * MIB);
    let plan =
        plan(&request(&file, &[&initrd, &initrd], Home::Peer { window, view: None }), &large_machine())
            .unwrap();
    insta::assert_snapshot!(plan);
    let params = params(&plan);
    let initrd_at = wide(&params, header::RAMDISK_IMAGE, boot_params::EXT_RAMDISK_IMAGE);
    assert!(
        initrd_at > 8 * GIB && wide(&params, header::CMD_LINE_PTR, boot_params::EXT_CMD_LINE_PTR) > 8 * GIB
    );
    assert_eq!(plan.vouched(), [window]);
}

#[test]
fn several_initrds_follow_one_another_with_zeros_between() {
    let file = kernel_file();
    let initrds: [&[u8]; 3] = [&[1; 5000], &[2; 4096], &[3; 1]];
    let plan = plan(&request(&file, &initrds, Home::ANYWHERE), &small_machine()).unwrap();
    let (address, size) = part(&plan, "initrd");
    assert_eq!(size, 0x2000 + 0x1000 + 1);
    assert_eq!(wide(&params(&plan), header::RAMDISK_SIZE, boot_params::EXT_RAMDISK_SIZE), size);
    let at = |offset| memory(&plan, address + offset, 1)[0];
    assert_eq!([at(4999), at(5000), at(0x1fff), at(0x2000), at(0x2fff), at(0x3000)], [1, 0, 0, 2, 2, 3]);
}

#[test]
fn a_memory_map_of_more_than_128_ranges_is_passed_completely() {
    let mut machine = small_machine();
    let many = (0..300)
        .map(|index| range(GIB * 8 + index * MIB, GIB * 8 + index * MIB + 0xfff, MemoryKind::AcpiNvs));
    machine.firmware.extend(many);
    let file = kernel_file();
    let plan = plan(&request(&file, &[], Home::ANYWHERE), &machine).unwrap();
    let expected: Vec<_> =
        machine.firmware.iter().map(|range| (range.first(), range.size(), range.kind().number())).collect();
    assert_eq!(memory_map(&plan), expected);
}

#[test]
fn impossible_requests_are_rejected_with_the_numbers() {
    let (file, initrd) = (kernel_file(), vec![1; 40 << 20]);
    let text = |initrds: &[&[u8]], home, machine: &Machine| {
        plan(&request(&file, initrds, home), machine).unwrap_err().to_string()
    };
    let window = |start, end| Home::Peer { window: pages(start, end), view: None };
    let machine = small_machine();
    assert_eq!(
        text(&[], window(0x10_0000, 0x100_0000), &machine),
        "no room for kernel: 60 MiB, aligned 2 MiB, between 0x1000000 and 0xffffff; largest hole 0 B"
    );
    assert_eq!(
        text(&[&initrd], window(0x1000_0000, 0x1600_0000), &machine),
        "no room for initrd: 40 MiB, aligned 4 KiB, between 0x10000000 and 0x15ffffff; largest hole 35.9 MiB"
    );
    assert_eq!(
        text(&[], window(0x7000_0000, 0x8000_0000), &machine),
        "window 0x70000000-0x7fffffff overlaps 0x7ffe0000-0x7fffffff, which the firmware reports as reserved"
    );
    assert_eq!(
        text(&[], window(0x9000_0000, 0xa000_0000), &machine),
        "window 0x90000000-0x9fffffff overlaps memory beyond the end of RAM, 0x7ffe0000"
    );
    assert_eq!(
        text(&[], window(8 * GIB - MIB, 9 * GIB), &large_machine()),
        "window 0x1fff00000-0x23fffffff overlaps the end of the running kernel's RAM; it must lie inside \
         or outside as a whole"
    );
    assert_eq!(text(&[&[]], Home::ANYWHERE, &machine), "initrd initrd.img is empty");
    let nothing = "no firmware memory map found; the next kernel needs one";
    assert_eq!(text(&[], Home::ANYWHERE, &Machine::default()), nothing);
}

#[test]
fn a_command_line_that_the_kernel_would_truncate_is_rejected() {
    let file = kernel_file();
    let mut request = request(&file, &[], Home::ANYWHERE);
    request.command_line = vec![b'x'; 2047];
    plan(&request, &small_machine()).unwrap();
    request.command_line.push(b'x');
    let error = Error::LongCommandLine { length: 2048, limit: 2047 };
    assert_eq!(plan(&request, &small_machine()), Err(error));
    request.command_line = b"a\0b".to_vec();
    assert_eq!(plan(&request, &small_machine()), Err(Error::ZeroInCommandLine { offset: 1 }));
}

#[test]
fn a_kernel_without_a_64_bit_entry_point_is_entered_in_32_bit_mode_and_cannot_be_a_peer() {
    let mut file = kernel_file();
    assert!(header::XLOADFLAGS.write(&mut file, 0));
    assert!(header::INITRD_ADDR_MAX.write(&mut file, 0x3fff_ffff));
    let plan_ = plan(&request(&file, &[&[1; 5000]], Home::ANYWHERE), &large_machine()).unwrap();
    insta::assert_snapshot!(plan_);
    assert_eq!(
        (plan_.kernel_entry().mode, plan_.kernel_entry().address),
        (CpuMode::Protected, part(&plan_, "kernel").0)
    );
    let window = Home::Peer { window: pages(0x2000_0000, 0x3000_0000), view: None };
    let error = plan(&request(&file, &[], window), &small_machine()).unwrap_err();
    assert_eq!(error, Error::NoEntry64 { protocol: "2.15".into() });
}

#[test]
fn in_real_mode_a_kernels_own_setup_code_runs() {
    let file = kernel_file();
    let mut request = request(&file, &[&[1; 5000]], Home::ANYWHERE);
    request.mode = Some(CpuMode::Real);
    let plan = plan(&request, &small_machine()).unwrap();
    insta::assert_snapshot!(plan);
    let (setup, _) = part(&plan, "setup code");
    let bytes = memory(&plan, setup, 0x400);
    assert_eq!(bytes[..0x1f0], file[..0x1f0]);
    let word = |field: abi::Field<u32>| u64::from(field.read(&bytes).unwrap());
    assert_eq!(word(header::CODE32_START), part(&plan, "kernel").0);
    assert_eq!((word(header::RAMDISK_IMAGE), word(header::RAMDISK_SIZE)), part(&plan, "initrd"));
    assert_eq!(memory(&plan, word(header::CMD_LINE_PTR), 20), b"console=ttyS0 quiet\0");
    assert_eq!(plan.kernel_entry().address, (setup / 16 + 0x20) << 16);
    assert!(plan.entry().get() < MIB);
}

#[test]
fn parameters_of_a_load_come_before_the_arguments_for_init() {
    let file = kernel_file();
    let machine = Machine { crash: vec![pages(0x3000_0000, 0x4000_0000)], ..small_machine() };
    let line = |home| {
        let mut request = request(&file, &[], home);
        request.command_line = b"quiet -- single".to_vec();
        String::from_utf8(plan(&request, &machine).unwrap().command_line().to_vec()).unwrap()
    };
    let crash = line(Home::Crash { update_size: None });
    assert!(crash.starts_with("quiet elfcorehdr=") && crash.ends_with("K -- single"), "{crash}");
    let window = pages(0x1000_0000, 0x2000_0000);
    let peer = line(Home::Peer { window, view: Some(View { vmcoreinfo: 2500, mailbox: 0 }) });
    assert!(peer.starts_with("quiet elfcorehdr=0x"), "{peer}");
    assert!(peer.ends_with(" kexec_jump_back_entry=0x0000000000000000 -- single"), "{peer}");
}

/// A kernel that is not relocatable, and whose memory is not a whole number of pages.
fn fixed_kernel_file() -> Vec<u8> {
    let mut file = bzimage(0x2345, 0x6_acf8);
    assert!(header::RELOCATABLE_KERNEL.write(&mut file, 0));
    assert!(header::PREF_ADDRESS.write(&mut file, MIB));
    file
}

#[test]
fn a_kernel_that_is_not_relocatable_is_loaded_at_its_address_in_every_mode() {
    let file = fixed_kernel_file();
    for mode in [CpuMode::Long, CpuMode::Protected, CpuMode::Real] {
        let request = Request { mode: Some(mode), ..request(&file, &[&[1; 5000]], Home::ANYWHERE) };
        let plan = plan(&request, &small_machine()).unwrap();
        assert_eq!(part(&plan, "kernel").0, MIB, "{mode:?}");
        let kernel = plan.segments().iter().find(|segment| segment.name == "kernel").unwrap();
        assert_eq!(kernel.range, pages(MIB, MIB + 0x6_b000));
    }
    let taken =
        Machine { ram: vec![pages(0x1000, 0x9_f000), pages(MIB + 0x1000, 0x7ffe_0000)], ..small_machine() };
    let error = plan(&request(&file, &[], Home::ANYWHERE), &taken).unwrap_err().to_string();
    assert!(error.starts_with("no room for kernel: 427 KiB, aligned 4 KiB, between 0x100000 and"), "{error}");
}

#[test]
fn no_page_extends_beyond_the_limits_of_a_request() {
    let file = kernel_file();
    let limits = Home::Replace { lowest: 0x1000_0001, highest: 0x2000_07ff };
    let plan = plan(&request(&file, &[&[1; 5000]], limits), &small_machine()).unwrap();
    let within = pages(0x1000_1000, 0x2000_0000);
    assert!(plan.segments().iter().all(|segment| within.contains_range(segment.range)));
}

/// A machine that booted by EFI, with setup_data of the running kernel.
fn efi_machine() -> Machine {
    let mut before = vec![0; boot_params::SIZE];
    before[boot_params::EDDBUF] = 0x80;
    assert!(boot_params::EDDBUF_ENTRIES.write(&mut before, 1));
    assert!(boot_params::efi_info::SYSTAB.write(&mut before, 0x7f00_0018));
    assert!(boot_params::efi_info::LOADER_SIGNATURE.write(&mut before, boot_params::efi_info::SIGNATURE_64));
    let fact = |kind, bytes: &[u8]| SetupData { kind, bytes: bytes.to_vec() };
    Machine {
        boot_params: Some(before),
        efi: Some(Efi { vendor: 1, runtime: 2, tables: 3, smbios: 4, map: vec![[7; 40], [8; 40]] }),
        setup_data: vec![
            fact(setup_data::kind::CC_BLOB, &[1; 5]),
            fact(setup_data::kind::RNG_SEED, &[2; 32]),
            fact(setup_data::kind::IMA, &[3; 16]),
            fact(setup_data::kind::PCI, &[4; 50]),
        ],
        ..small_machine()
    }
}

/// The list of setup_data as a kernel walks it.
fn chain(plan: &LoadPlan<'_>) -> Vec<(u32, Vec<u8>)> {
    let mut next = header::SETUP_DATA.read(&params(plan)).unwrap();
    let mut found = Vec::new();
    while next != 0 {
        assert_eq!(next % 16, 0);
        let head = memory(plan, next, setup_data::HEADER_SIZE);
        let length = setup_data::LENGTH.read(&head).unwrap() as usize;
        found.push((setup_data::KIND.read(&head).unwrap(), memory(plan, next + 16, length)));
        next = setup_data::NEXT.read(&head).unwrap();
    }
    found
}

#[test]
fn a_kernel_gets_efi_and_the_setup_data_that_stays_true() {
    use setup_data::kind;
    let mut file = kernel_file();
    let flags = xload_flag::KERNEL_64 | xload_flag::CAN_BE_LOADED_ABOVE_4G | xload_flag::EFI_KEXEC;
    assert!(header::XLOADFLAGS.write(&mut file, flags));
    let mut request = request(&file, &[], Home::ANYWHERE);
    request.seed = Some([9; 32]);
    request.device_tree = Some(vec![6; 33]);
    let planned = plan(&request, &efi_machine()).unwrap();
    let chained = chain(&planned);
    let kinds: Vec<u32> = chained.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, [kind::EFI, kind::RNG_SEED, kind::DTB, kind::CC_BLOB, kind::PCI]);
    assert_eq!(chained[0].1[..32], [1_u64, 2, 3, 4].map(u64::to_le_bytes).concat());
    assert_eq!((&chained[1].1, &chained[4].1), (&vec![9; 32], &vec![4; 50]));
    let params_ = params(&planned);
    let map = wide(&params_, boot_params::efi_info::MEMMAP, boot_params::efi_info::MEMMAP_HI);
    assert_eq!(boot_params::efi_info::MEMMAP_SIZE.read(&params_), Some(80));
    assert_eq!(memory(&planned, map, 80), [[7; 40], [8; 40]].concat());
    assert_eq!(boot_params::efi_info::SYSTAB.read(&params_), Some(0x7f00_0018));
    assert_eq!((params_[boot_params::EDDBUF], boot_params::EDDBUF_ENTRIES.read(&params_)), (0x80, Some(1)));
    request.no_efi = true;
    let silent = plan(&request, &efi_machine()).unwrap();
    assert!(chain(&silent).iter().all(|(kind, _)| *kind != kind::EFI));
    let efi = boot_params::EFI_INFO..boot_params::EFI_INFO + boot_params::EFI_INFO_SIZE;
    assert_eq!(params(&silent)[efi], [0; boot_params::EFI_INFO_SIZE]);
}

#[test]
fn a_kernel_that_cannot_use_efi_after_kexec_does_not_get_it() {
    let file = kernel_file();
    let planned = plan(&request(&file, &[], Home::ANYWHERE), &efi_machine()).unwrap();
    assert!(chain(&planned).iter().all(|(kind, _)| *kind != setup_data::kind::EFI));
}

#[test]
fn an_executable_kernel_is_loaded_at_its_own_addresses() {
    let segment = |address, size, bytes: usize| kernel_file::Segment {
        name: "load header".into(),
        address,
        size,
        bytes: vec![0x90; bytes].into(),
    };
    let program = Program {
        segments: vec![segment(0x100_0000, 0x100_0000, 0x80_0000), segment(0x200_0000, 0x10_0000, 0)],
        entry: 0x100_0000,
        mode: Mode::Long,
    };
    let request = Request {
        kernel: Kernel::Executable(program),
        mode: None,
        initrds: vec![Initrd { name: "i", bytes: &[1; 5000] }],
        command_line: b"quiet".to_vec(),
        purgatory: QUIET,
        home: Home::ANYWHERE,
        no_efi: false,
        seed: None,
        device_tree: None,
    };
    let planned = plan(&request, &small_machine()).unwrap();
    insta::assert_snapshot!(planned);
    assert_eq!(header::HEADER.read(&params(&planned)), Some(header::HEADER_MAGIC));
    let taken =
        Machine { ram: vec![pages(MIB, 0x180_0000), pages(0x400_0000, 0x7ffe_0000)], ..small_machine() };
    let error = plan(&request, &taken).unwrap_err().to_string();
    assert!(error.starts_with("no room for kernel: 16 MiB"), "{error}");
}

#[test]
fn a_kernel_that_cannot_be_above_4_gib_is_not_put_there() {
    let mut file = kernel_file();
    assert!(header::XLOADFLAGS.write(&mut file, xload_flag::KERNEL_64));
    assert!(header::INITRD_ADDR_MAX.write(&mut file, 0x3fff_ffff));
    let initrd = [1; 5000];
    let plan = plan(&request(&file, &[&initrd], Home::ANYWHERE), &large_machine()).unwrap();
    assert!(plan.segments().iter().all(|segment| segment.range.end() <= 4 * GIB));
    let (address, size) = part(&plan, "initrd");
    assert!(address + size <= 0x4000_0000);
}

#[test]
fn a_window_avoids_pages_that_the_running_kernel_cannot_move() {
    let file = kernel_file();
    let kernel = BzImage::parse(&file).unwrap();
    let found = |pinned: &[PhysRange]| window(&kernel, 256 * MIB, &small_machine(), pinned).unwrap();
    let top = [pages(0x7fc0_0000, 0x7fe0_0000)];
    assert_eq!(found(&top), pages(0x6fc0_0000, 0x7fc0_0000));
    let everywhere: Vec<_> =
        (0..16).map(|n| pages(n * 128 * MIB, n * 128 * MIB + (16 - n) * 2 * MIB)).collect();
    assert_eq!(found(&everywhere), pages(0x6fe0_0000, 0x7fe0_0000), "the least of it is at the top");
    assert_eq!(found(&[pages(0, 0x8000_0000)]), pages(0x6fe0_0000, 0x7fe0_0000));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_plan_stays_where_it_may_and_tells_the_kernel_what_is_so(
        holes in prop::collection::vec((1_u64..900, 1_u64..300), 1..6),
        window in (1_u64..900, 1_u64..300), is_peer in any::<bool>(), sees in any::<bool>(),
        initrd_size in 1_usize..(40 << 20),
    ) {
        let mut ram = vec![pages(0x1000, 0x9_f000)];
        ram.extend(holes.iter().map(|&(start, size)| pages(start * MIB, (start + size) * MIB)));
        let ranges = RangeSet::sort(&mut ram).ranges().iter();
        let firmware = ranges.map(|&range| MemoryRange::of_pages(range, MemoryKind::Ram));
        let machine = Machine { firmware: firmware.collect(), ram: ram.clone(), ..Machine::default() };
        let window = pages(window.0 * MIB, (window.0 + window.1) * MIB);
        let view = sees.then_some(View { vmcoreinfo: 2500, mailbox: 0 });
        let home = if is_peer { Home::Peer { window, view } } else { Home::ANYWHERE };
        let (file, initrd) = (kernel_file(), vec![7; initrd_size]);
        let plan = plan(&request(&file, &[&initrd], home), &machine);
        prop_assume!(plan.is_ok());
        let plan = plan.unwrap();
        let usable = machine.usable_ram();
        let allowed = if is_peer { vec![usable[0], window] } else { usable };
        let mut sorted = allowed.clone();
        let allowed_set = RangeSet::sort(&mut sorted);
        for pair in plan.segments().windows(2) {
            prop_assert!(pair[0].range.end() <= pair[1].range.start().get());
        }
        for segment in plan.segments() {
            prop_assert!(allowed_set.contains_range(segment.range), "{}", segment.range);
        }
        let ram: Vec<_> =
            memory_map(&plan).into_iter().filter(|entry| entry.2 == e820::kind::RAM).collect();
        for segment in plan.segments().iter().filter(|segment| segment.name != VIEW) {
            let (start, end) = (segment.range.start().get(), segment.range.end());
            prop_assert!(ram.iter().any(|&(first, size, _)| first <= start && end <= first + size));
        }
        if is_peer {
            let mut covered: Vec<_> = plan.segments().iter().map(|segment| segment.range).collect();
            let covered = RangeSet::sort(&mut covered);
            let is_covered = |first, size| covered.contains_range(pages(first, first + size));
            prop_assert!(ram.iter().all(|&(first, size, _)| is_covered(first, size)));
        }
        for part in plan.parts() {
            memory(&plan, part.address, part.size.min(4096) as usize);
        }
        prop_assert_eq!(plan.interface(), if is_peer { Interface::Device } else { Interface::KexecLoad });
    }
}

#[test]
fn a_window_is_the_highest_that_fits_below_4_gib() {
    let file = kernel_file();
    let kernel = BzImage::parse(&file).unwrap();
    let machine = small_machine();
    assert_eq!(window(&kernel, 256 * MIB, &machine, &[]).unwrap(), pages(0x6fe0_0000, 0x7fe0_0000));
    let above = Machine {
        ram: vec![pages(MIB, 0x800_0000), pages(4 * GIB, 5 * GIB)],
        firmware: vec![range(MIB, 0x7ff_ffff, MemoryKind::Ram), range(4 * GIB, 5 * GIB - 1, MemoryKind::Ram)],
        ..Machine::default()
    };
    assert_eq!(window(&kernel, 256 * MIB, &above, &[]).unwrap(), pages(5 * GIB - 256 * MIB, 5 * GIB));
    let low = BzImage { above_4g: false, ..kernel };
    let error = window(&low, 256 * MIB, &above, &[]).unwrap_err().to_string();
    assert_eq!(
        error,
        "no room for the window: 256 MiB, aligned 2 MiB, between 0x1000000 and 0xffffffff; largest hole \
         112 MiB"
    );
}
