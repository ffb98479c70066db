//! `/dev/kjump`: ioctl numbers and the structures they point at.
//!
//! The same layout stands in C in `module/kjump_abi.h`; a test compiles that header and compares.
//!
//! Every structure starts with `size`, its size in bytes as the caller knows it: a caller with an
//! older, shorter structure is served, a longer structure must have zeros in the fields that the
//! module does not know. Every field is 64 bits wide. Addresses are physical unless a field is
//! documented otherwise. Fields under *out* are written by the module, also when the call fails
//! with a [reason](Diagnosis).

/// The path of the device node; owned by root, mode 0600.
pub const PATH: &str = "/dev/kjump";
/// The version of this interface; [`Info::version`] is that of the module.
pub const VERSION: u64 = 1;

/// Asks what the module and the machine can do: [`Info`].
pub const INFO: u32 = request(0);
/// Loads an image into this open file: [`Load`].
pub const LOAD: u32 = request(1);
/// Copies bytes of the loaded image to the caller: [`Transfer`].
pub const READ: u32 = request(2);
/// Copies bytes of the caller into the loaded image: [`Transfer`].
pub const WRITE: u32 = request(3);
/// Calls the loaded image: [`Call`].
pub const CALL: u32 = request(4);
/// Unloads the image of this open file. No structure.
pub const UNLOAD: u32 = request(5);
/// Gives the image of this open file a name, under which it outlives the file: [`Name`].
pub const KEEP: u32 = request(6);
/// Makes the image kept under a name that of this open file: [`Name`].
pub const ATTACH: u32 = request(7);
/// Lists the images of all open files and all kept ones: [`List`] of [`ImageInfo`].
pub const IMAGES: u32 = request(8);
/// Lists the destination ranges of one image: [`List`] of [`Range`], [`List::id`] names the image.
pub const RANGES: u32 = request(9);
/// Lists the slots of one image, those of neighbouring pages in one entry: [`List`] of [`SlotRun`],
/// [`List::id`] names the image.
pub const SLOTS: u32 = request(10);
/// Passes the address where the running kernel keeps the note about the CPU that calls the loaded
/// image: [`Note`].
pub const NOTE: u32 = request(11);
/// Copies bytes of the caller into many places of the loaded image: [`List`] of [`Piece`];
/// [`List::count`] is the number of pieces that were written as a whole.
pub const WRITE_LIST: u32 = request(12);

/// `_IO(0xb9, number)` of `include/uapi/asm-generic/ioctl.h`: sizes travel in the structures, not
/// in the number.
const fn request(number: u32) -> u32 {
    0xb9 << 8 | number
}

/// Bytes and the destination they are to be at: `struct kexec_segment` of
/// `include/uapi/linux/kexec.h`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// Virtual address of the bytes in the caller's memory.
    pub buf: u64,
    /// Number of bytes; the rest of `memsz` is filled with zeros.
    pub bufsz: u64,
    /// Physical address of the destination, a multiple of the page size.
    pub mem: u64,
    /// Size of the destination in bytes, a multiple of the page size.
    pub memsz: u64,
}

/// Physical addresses from `start` up to, not including, `end`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// First byte.
    pub start: u64,
    /// First byte after the range.
    pub end: u64,
}

/// Neighbouring destination pages, and the neighbouring pages where they wait between calls; during
/// a call these hold what was in the destinations. Both are the same where the image has its
/// destinations for itself.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlotRun {
    /// Physical address of the first destination.
    pub destination: u64,
    /// Physical address of its source.
    pub source: u64,
    /// How many pages.
    pub pages: u64,
}

/// Why a request failed, beyond its errno.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Diagnosis {
    /// One of [`reason`], 0 if there is none.
    pub reason: u64,
    /// The numbers that go with the reason.
    pub numbers: [u64; 5],
}

/// Values of [`Diagnosis::reason`].
pub mod reason {
    /// No reason.
    pub const NONE: u64 = 0;
    /// Reasons from here up to [`IMAGE_LAST`] are `kimage`'s errors in their word form.
    pub const IMAGE_FIRST: u64 = 1;
    /// The last of `kimage`'s errors.
    pub const IMAGE_LAST: u64 = 99;
    /// `size` is less than the module needs or has bytes set that it does not know. Numbers: size,
    /// least, greatest.
    pub const BAD_SIZE: u64 = 100;
    /// A field has a value that the module does not know. Numbers: byte offset of the field, value.
    pub const BAD_FIELD: u64 = 101;
    /// The kernel is locked down (`LOCKDOWN_KEXEC`).
    pub const LOCKED_DOWN: u64 = 102;
    /// `kernel.kexec_load_disabled` is 1.
    pub const LOAD_DISABLED: u64 = 103;
    /// `kernel.kexec_load_disabled` could not be read (is `/proc` mounted?).
    pub const LOAD_DISABLED_UNKNOWN: u64 = 104;
    /// The caller lacks `CAP_SYS_BOOT`.
    pub const NOT_PERMITTED: u64 = 105;
    /// This open file has no image.
    pub const NOT_LOADED: u64 = 106;
    /// Another call, load or transfer is under way. 1: of this image, 2: of another image.
    pub const UNDER_WAY: u64 = 107;
    /// The quiesce level is not sufficient: a destination page is in use by the kernel.
    /// Numbers: physical address of the first such page, how many there are, pages in all.
    pub const PAGE_IN_USE: u64 = 108;
    /// The system did not suspend. Numbers: errno (positive).
    pub const SUSPEND_FAILED: u64 = 109;
    /// The system suspended, but resumed before the image was called (a wakeup event).
    pub const WOKEN_UP: u64 = 110;
    /// A signal ended the request. Numbers: pages done, pages in all.
    pub const INTERRUPTED: u64 = 111;
    /// The caller's memory could not be read or written. Numbers: virtual address.
    pub const BAD_POINTER: u64 = 112;
    /// The bytes asked for are not in the image. Numbers: physical address, length.
    pub const NOT_IN_IMAGE: u64 = 113;
    /// The name is empty or not text; or, with EEXIST, 1: this image is kept already, 2: another
    /// has this name.
    pub const BAD_NAME: u64 = 114;
    /// No image is kept under that name, or none has that id.
    pub const NO_SUCH_IMAGE: u64 = 115;
    /// No memory for something other than the image's pages. Numbers: bytes.
    pub const NO_MEMORY: u64 = 116;
    /// The entry point is not below 4 GiB, as 32-bit mode needs. Numbers: entry point.
    pub const ENTRY_TOO_HIGH: u64 = 117;
    /// This file has an image already; unload it first.
    pub const ALREADY_LOADED: u64 = 118;
    /// An image must be called from the task context of a CPU that sleeps may happen on.
    pub const WRONG_CONTEXT: u64 = 119;
    /// A range that the caller vouches for is System RAM, which the kernel uses. Numbers: number of
    /// the range, start, end.
    pub const VOUCHED_RAM: u64 = 120;
    /// A range that the caller vouches for is not a range of whole pages. Numbers: number of the
    /// range, start, end.
    pub const BAD_VOUCHED: u64 = 121;
    /// 32-bit mode at this quiesce level needs a CPU that is not a hypervisor's: virtual machines
    /// are running.
    pub const VIRTUALIZATION_ON: u64 = 122;
    /// An image cannot be guarded here: there is no other CPU, or the first is not the one the
    /// machine started with, or no way to start another is known.
    pub const NO_GUARD: u64 = 123;
    /// The image was taken down at its deadline, or ended in an exception while it was guarded: it
    /// cannot be called.
    pub const DEAD: u64 = 124;
    /// The CPU that was to run the image did not start. Numbers: its APIC identifier.
    pub const CPU_NOT_STARTED: u64 = 125;
    /// The image was loaded unfilled, and some of its pages were not written yet. Numbers: how
    /// many, pages in all.
    pub const NOT_WRITTEN: u64 = 126;
    /// There is no System RAM with room for the note in one page. Numbers: physical address,
    /// length.
    pub const BAD_NOTE: u64 = 130;
    /// Nothing can stop the image at this deadline. Numbers: the deadline, the longest possible
    /// one, both in milliseconds; 0 if none is.
    pub const NO_DEADLINE: u64 = 140;
}

/// What the module and the machine can do.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// Size of this structure.
    pub size: u64,
    /// *Out:* [`VERSION`] of the module.
    pub version: u64,
    /// *Out:* bits of [`feature`].
    pub features: u64,
    /// *Out:* page-table levels in use, 4 or 5.
    pub paging_levels: u64,
    /// *Out:* images loaded.
    pub images: u64,
    /// *Out:* page frames held by them, of every kind.
    pub frames: u64,
    /// *Out:* calls made since the module was loaded.
    pub calls: u64,
    /// *Out:* time stamp counter ticks per millisecond, 0 if the kernel does not know.
    pub tsc_khz: u64,
    /// *Out:* how pages are moved, one of [`super::control::mover`].
    pub mover: u64,
    /// *Out:* with [`feature::GUARD`], the APIC identifier of the CPU that guards: another kernel
    /// must leave it alone. Callers of the first version do not have this field.
    pub guard_cpu: u64,
}

impl Info {
    /// Bytes of the structure as the first version had it.
    pub const FIRST_SIZE: u64 = 72;
}

/// Bits of [`Info::features`].
pub mod feature {
    /// The kernel can be suspended around a call ([`super::quiesce::SUSPEND`]).
    pub const SUSPEND: u64 = 1 << 0;
    /// The machine's own suspend operations are put back after a call (found through kallsyms).
    pub const SUSPEND_OPS_KEPT: u64 = 1 << 1;
    /// Destination pages can be claimed from the kernel by address.
    pub const CLAIM: u64 = 1 << 2;
    /// 1 GiB pages are used in the identity map.
    pub const GIGABYTE_PAGES: u64 = 1 << 3;
    /// An image can be guarded ([`super::load_flag::GUARD`]).
    pub const GUARD: u64 = 1 << 4;
    /// An image that is not guarded can be stopped at a deadline while other CPUs are up.
    pub const WATCH: u64 = 1 << 8;
    /// An image that is not guarded can be stopped at a deadline by a timer, at every level.
    pub const TIMER: u64 = 1 << 9;
}

/// Loads an image.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Size of this structure.
    pub size: u64,
    /// Virtual address of an array of [`Segment`].
    pub segments: u64,
    /// How many there are.
    pub segment_count: u64,
    /// Virtual address of an array of [`Range`]: memory beyond System RAM that the caller vouches
    /// for, which the kernel does not use and which may be a destination.
    pub vouched: u64,
    /// How many there are.
    pub vouched_count: u64,
    /// Physical address that is called.
    pub entry: u64,
    /// One of [`mode`].
    pub mode: u64,
    /// Bits of [`load_flag`].
    pub flags: u64,
    /// *Out:* number of the image, unique while the module is loaded.
    pub id: u64,
    /// *Out:* destination pages.
    pub pages: u64,
    /// *Out:* those of them that the image has for itself: nothing is exchanged for them.
    pub claimed: u64,
    /// *Out:* those that the kernel uses: calls need [`quiesce::SUSPEND`] if there are any.
    pub in_use: u64,
    /// *Out:* physical address of the first page in use, or all ones.
    pub first_in_use: u64,
    /// *Out:* page frames for the page list, page tables, stack and control page.
    pub support_frames: u64,
    /// *Out:* physical address of the control page.
    pub control_page: u64,
    /// *Out:* physical address that a peer kernel calls to come back, in 64-bit mode with this page
    /// identity-mapped: the first argument is the value of the call, and the return address the
    /// peer's own next entry point.
    pub jump_back: u64,
    /// *Out:* why it failed.
    pub diagnosis: Diagnosis,
}

/// CPU modes an image can be entered in: values of [`Load::mode`].
pub mod mode {
    /// 64-bit mode, paging on, all memory identity-mapped; System V call: arguments in
    /// `rdi rsi rdx rcx r8 r9`, result in `rax`.
    pub const LONG: u64 = 64;
    /// 32-bit protected mode, paging off, flat segments; cdecl: arguments on the stack, result in
    /// `edx:eax`.
    pub const PROTECTED: u64 = 32;
}

/// Bits of [`Load::flags`].
pub mod load_flag {
    /// Try to claim destination pages from the kernel, moving their users elsewhere, so that quick
    /// calls work.
    pub const CLAIM: u64 = 1 << 0;
    /// Call this image when the kernel panics: it is the jump-back entry of the kernel that started
    /// this one. Its third argument is then the address of a [`Handoff`](super::Handoff).
    pub const CALL_ON_PANIC: u64 = 1 << 1;
    /// The image, in 64-bit mode, runs on another CPU, while this one watches: it can be taken down
    /// at a [deadline](super::Call::deadline), and may come back on any CPU. Calls need
    /// [`quiesce::SUSPEND`](super::quiesce::SUSPEND).
    pub const GUARD: u64 = 1 << 2;
    /// With [`CALL_ON_PANIC`]: the kernel in this image loaded this one with [`GUARD`]. It
    /// takes care of the other CPUs and the devices, and it does not matter which CPU panics.
    pub const GUARDED_FROM_THERE: u64 = 1 << 3;
    /// No page is filled, which takes longest for an image as large as memory. Until each page has
    /// been written as a whole, the image can be neither read nor called. Segments have no bytes.
    pub const UNFILLED: u64 = 1 << 4;
}

/// What a peer kernel leaves in its memory when it gives up.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Handoff {
    /// [`Handoff::MAGIC`].
    pub magic: u64,
    /// Physical address of the end of its kernel log, as text.
    pub log: u64,
    /// Bytes of it.
    pub log_length: u64,
}

impl Handoff {
    /// `kjpanic` and a zero, the first letter lowest.
    pub const MAGIC: u64 = u64::from_le_bytes(*b"kjpanic\0");
}

/// Moves bytes between the caller and the loaded image.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transfer {
    /// Size of this structure.
    pub size: u64,
    /// Physical address in the image, any alignment.
    pub address: u64,
    /// Virtual address in the caller's memory.
    pub buffer: u64,
    /// Bytes.
    pub length: u64,
    /// *Out:* why it failed.
    pub diagnosis: Diagnosis,
}

/// Bytes of [`WRITE_LIST`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Piece {
    /// Physical address in the image, any alignment.
    pub address: u64,
    /// Virtual address in the caller's memory.
    pub buffer: u64,
    /// Bytes.
    pub length: u64,
}

/// Where the running kernel keeps the ELF note about its first CPU for readers of its memory:
/// its `crash_notes`. Before each call that suspends the system, the CPU's registers and task are
/// written there (`NT_PRSTATUS`, as `crash_save_cpu` of `kernel/crash_core.c` has it), and zeros
/// afterwards.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Note {
    /// Size of this structure.
    pub size: u64,
    /// Physical address in System RAM, a multiple of 4.
    pub address: u64,
    /// Bytes, all in one page; [`Note::ROOM`] at least.
    pub length: u64,
    /// *Out:* why it failed.
    pub diagnosis: Diagnosis,
}

impl Note {
    /// Bytes that are written.
    pub const ROOM: u64 = 368;
}

/// Calls the loaded image.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// Size of this structure.
    pub size: u64,
    /// What the image is called with; the low 32 bits of each in 32-bit mode.
    pub arguments: [u64; 6],
    /// One of [`quiesce`].
    pub quiesce: u64,
    /// *Out:* what the image returned.
    pub value: u64,
    /// *Out:* its `rdx` on return, in 64-bit mode: the upper half of a result of 128 bits, or
    /// from a peer kernel the physical address of a [`Handoff`], or 0.
    pub value_high: u64,
    /// *Out:* one of [`status`].
    pub status: u64,
    /// *Out:* the level used, where `quiesce` was [`quiesce::AUTO`].
    pub quiesced: u64,
    /// *Out:* the exception, where `status` is [`status::FAULT`]; the registers at the deadline,
    /// where it is [`status::DEADLINE`] and the image is not guarded.
    pub fault: super::control::Fault,
    /// *Out:* time stamp counter ticks spent in each phase.
    pub ticks: Ticks,
    /// *Out:* calls made of this image, this one included.
    pub calls: u64,
    /// *Out:* why it failed.
    pub diagnosis: Diagnosis,
    /// Milliseconds after which the image is stopped, 0 for never. An image that is not
    /// [guarded](load_flag::GUARD) is stopped by an NMI, as long as it keeps its interrupt
    /// descriptor table. Callers of the first version do not have this field.
    pub deadline: u64,
}

impl Call {
    /// Bytes of the structure as the first version had it.
    pub const FIRST_SIZE: u64 = 376;
}

/// How much of the system stops around a call: values of [`Call::quiesce`].
pub mod quiesce {
    /// The cheapest level that is allowed.
    pub const AUTO: u64 = 0;
    /// Interrupts are off on one CPU, the others run on. No destination page may be in use by the
    /// kernel.
    pub const NONE: u64 = 1;
    /// All other CPUs wait with interrupts off. No destination page may be in use by the kernel.
    pub const STOP: u64 = 2;
    /// Tasks are frozen, devices suspended, other CPUs offline. Any destination is possible.
    pub const SUSPEND: u64 = 3;
}

/// How a call ended: values of [`Call::status`].
pub mod status {
    /// The image was not entered.
    pub const NOT_CALLED: u64 = 0;
    /// The image returned.
    pub const RETURNED: u64 = 1;
    /// An exception ended the image.
    pub const FAULT: u64 = 2;
    /// The image was taken down at its deadline.
    pub const DEADLINE: u64 = 3;
}

/// Time stamp counter ticks spent in the phases of a call, in their order.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ticks {
    /// Putting the system to rest.
    pub quiesce: u64,
    /// Saving the CPU's state, changing modes and moving the image in.
    pub enter: u64,
    /// In the image.
    pub run: u64,
    /// Moving the image out and putting the CPU's state back.
    pub leave: u64,
    /// Waking the system up.
    pub resume: u64,
    /// In the exchange of pages alone, both ways; part of `enter` and `leave`.
    pub exchange: u64,
}

/// A name for a kept image.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Name {
    /// Size of this structure.
    pub size: u64,
    /// Up to 31 bytes of printable ASCII, filled up with zeros; eight bytes a word, the first the
    /// lowest.
    pub name: [u64; 4],
    /// *Out:* why it failed.
    pub diagnosis: Diagnosis,
}

/// Asks for a list.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// Size of this structure.
    pub size: u64,
    /// Virtual address of an array for the entries.
    pub entries: u64,
    /// How many it has room for.
    pub capacity: u64,
    /// The image asked about, for [`RANGES`] and [`SLOTS`].
    pub id: u64,
    /// *Out:* how many entries there are, which may be more than there was room for.
    pub count: u64,
    /// *Out:* why it failed.
    pub diagnosis: Diagnosis,
}

/// One image, as [`IMAGES`] lists it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImageInfo {
    /// Number of the image.
    pub id: u64,
    /// The name it is kept under, as in [`Name::name`]; zeros if none.
    pub name: [u64; 4],
    /// Process id (in the first namespace) that loaded it, 0 for a kernel module.
    pub loader: u64,
    /// One of [`mode`].
    pub mode: u64,
    /// Physical address that is called.
    pub entry: u64,
    /// Destination ranges.
    pub ranges: u64,
    /// Destination pages.
    pub pages: u64,
    /// Those of them the image has for itself.
    pub claimed: u64,
    /// Those in use by the kernel.
    pub in_use: u64,
    /// Page frames for the page list, page tables, stack and control page.
    pub support_frames: u64,
    /// Calls made.
    pub calls: u64,
    /// Calls that ended in a fault.
    pub faults: u64,
    /// When it was loaded, nanoseconds of `CLOCK_BOOTTIME`.
    pub loaded_at: u64,
    /// Ticks spent in it, over all calls.
    pub ticks_run: u64,
}

const _: () = {
    use core::mem::size_of;
    assert!(size_of::<Segment>() == 32);
    assert!(size_of::<Range>() == 16);
    assert!(size_of::<SlotRun>() == 24);
    assert!(size_of::<Diagnosis>() == 48);
    assert!(size_of::<Info>() == 80);
    assert!(size_of::<Load>() == 176);
    assert!(size_of::<Transfer>() == 80);
    assert!(size_of::<Piece>() == 24);
    assert!(size_of::<Note>() == 72);
    assert!(size_of::<Call>() == 384);
    assert!(size_of::<Handoff>() == 24);
    assert!(size_of::<Name>() == 88);
    assert!(size_of::<List>() == 88);
    assert!(size_of::<ImageInfo>() == 136);
};
