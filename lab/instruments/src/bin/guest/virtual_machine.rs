//! A virtual machine that computes while images are called and kernels take turns.
// UNSAFETY: KVM takes the guest's memory by its address.
#![allow(unsafe_code)]

use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use kvm_bindings::kvm_userspace_memory_region;
use kvm_ioctls::{Kvm, VcpuExit, VcpuFd};
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};

const PAGE: usize = 4096;
/// The guest's memory: page 0 is empty, the code is in page 1, the kept number in page 2.
const BYTES: usize = 3 * PAGE;
const CODE_AT: u64 = 0x1000;

/// Each round mixes `STEPS` numbers into esi and into memory, and reports the number of the round,
/// esi and the memory by three ports. In real mode, so that it needs no tables.
const CODE: [u8; 45] = [
    0x66, 0x43, // round: inc ebx
    0x66, 0xb9, 0x10, 0x27, 0, 0, // mov ecx, STEPS
    0x66, 0xc1, 0xc6, 0x05, // step: rol esi, 5
    0x66, 0x01, 0xce, // add esi, ecx
    0x66, 0x31, 0x36, 0x00, 0x20, // xor [0x2000], esi
    0x66, 0x49, // dec ecx
    0x75, 0xf0, // jnz step
    0x66, 0x89, 0xd8, // mov eax, ebx
    0x66, 0xe7, 0x10, // out 0x10, eax
    0x66, 0x89, 0xf0, // mov eax, esi
    0x66, 0xe7, 0x14, // out 0x14, eax
    0x66, 0xa1, 0x00, 0x20, // mov eax, [0x2000]
    0x66, 0xe7, 0x18, // out 0x18, eax
    0xeb, 0xd3, // jmp round
];
const STEPS: u32 = 10_000;
/// The rounds between two lines of output.
const ROUNDS_OF_A_LINE: u32 = 20;

/// `virtual-machine FILE`: runs until the file exists. Each round is compared with the same
/// computation here, and every twentieth prints a line.
pub(crate) fn virtual_machine(arguments: &[String]) -> Result<()> {
    let end = Path::new(arguments.first().context("FILE is missing")?);
    let kvm = Kvm::new().context("/dev/kvm")?;
    let vm = kvm.create_vm()?;
    let access = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: new memory, to which there is no other reference, never unmapped.
    let memory = unsafe {
        let start = mmap_anonymous(std::ptr::null_mut(), BYTES, access, MapFlags::PRIVATE)?;
        std::slice::from_raw_parts_mut(start.cast::<u8>(), BYTES)
    };
    memory[PAGE..PAGE + CODE.len()].copy_from_slice(&CODE);
    let region = kvm_userspace_memory_region {
        slot: 0,
        guest_phys_addr: 0,
        memory_size: BYTES as u64,
        userspace_addr: memory.as_ptr() as u64,
        flags: 0,
    };
    // SAFETY: the memory is never unmapped, and the slice is not used from here on.
    unsafe { vm.set_user_memory_region(region)? };
    let mut cpu = vm.create_vcpu(0)?;
    start(&cpu)?;
    let mut expected = Expected::default();
    while !end.exists() {
        expected.next();
        for (port, number) in [(0x10, expected.round), (0x14, expected.mixed), (0x18, expected.kept)] {
            let found = written(&mut cpu, port)?;
            ensure!(
                found == number,
                "round {}: {found:#x} from port {port:#x}, expected {number:#x}",
                expected.round
            );
        }
        if expected.round.is_multiple_of(ROUNDS_OF_A_LINE) {
            println!("{} rounds", expected.round);
        }
    }
    println!("all {} rounds of the virtual machine were right", expected.round);
    Ok(())
}

/// Sets the state in which the code starts.
fn start(cpu: &VcpuFd) -> Result<()> {
    let mut segments = cpu.get_sregs()?;
    segments.cs.base = 0;
    segments.cs.selector = 0;
    cpu.set_sregs(&segments)?;
    let mut registers = cpu.get_regs()?;
    registers.rip = CODE_AT;
    registers.rflags = 2;
    registers.rbx = 0;
    registers.rsi = 0;
    cpu.set_regs(&registers)?;
    Ok(())
}

/// Runs the virtual machine until it writes to a port, which must be this one.
fn written(cpu: &mut VcpuFd, port: u16) -> Result<u32> {
    loop {
        match cpu.run() {
            Ok(VcpuExit::IoOut(at, bytes)) if at == port => {
                return Ok(u32::from_le_bytes(bytes.try_into().context("not four bytes")?));
            }
            Ok(other) => bail!("the virtual machine ended with {other:?}"),
            // The freezer of a suspend interrupts the system call.
            Err(error) if error.errno() == libc::EINTR => {}
            Err(error) => return Err(error).context("KVM_RUN"),
        }
    }
}

/// What the virtual machine computes.
#[derive(Default)]
struct Expected {
    round: u32,
    mixed: u32,
    kept: u32,
}

impl Expected {
    fn next(&mut self) {
        self.round += 1;
        for step in (1..=STEPS).rev() {
            self.mixed = self.mixed.rotate_left(5).wrapping_add(step);
            self.kept ^= self.mixed;
        }
    }
}
