/*
 * From 64-bit mode to real mode and back. Position-independent; the linker puts this section first
 * in the code, so that its first byte is the entry point. The block with the calls is the page
 * below.
 *
 * 32-bit code has no addresses relative to the instruction pointer. It finds the variables, which
 * are in pages of their own, by their distance from bios_start.
 * The names in braces are constants of abi::bios and of image/mod.rs.
 *
 * SDM is the Intel 64 and IA-32 Architectures Software Developer's Manual, volume 3; APM is the
 * AMD64 Architecture Programmer's Manual, volume 2.
 */
        .section .text.start, "ax"
        .globl bios_start, bios_enter_real_mode, bios_back
        .globl bios_descriptors, bios_descriptors_end
        .code64

/*
 * bios_start: entered from the running kernel.
 * In:  64-bit mode, all memory and the registers of the devices that the block names
 *      identity-mapped, interrupts off, a stack with a return address.
 * Out: returns; %rax = one of abi::bios::why.
 */
bios_start:
        cli
        cld
        /*
         * The caller's stack may lie above 4 GiB, where 32-bit code cannot reach it: ours is in the
         * image, which lies below.
         */
        mov     %rsp, kernel_rsp(%rip)
        lea     stack_end(%rip), %rsp
        lea     block(%rip), %rdi
        xor     %ebp, %ebp
        call    bios_main
        mov     kernel_rsp(%rip), %rsp
        ret

/*
 * bios_enter_real_mode: runs the stub in low memory, and returns when it has stored its results. A
 * System V function.
 * In:  64-bit mode, interrupts off, stack below 4 GiB; the stub in low memory; the tables' root in
 *      %rdi: page tables below 4 GiB that map the code here at its own address.
 */
bios_enter_real_mode:
        push    %rbx
        push    %rbp
        push    %r12
        push    %r13
        push    %r14
        push    %r15
        mov     %edi, tables(%rip)
        /*
         * Everything that a mode switch or the BIOS changes in the CPU and that returning needs:
         * control registers, EFER, descriptor tables, selectors.
         */
        mov     %rsp, old_rsp(%rip)
        mov     %cr0, %rax
        mov     %rax, old_cr0(%rip)
        mov     %cr3, %rax
        mov     %rax, old_cr3(%rip)
        mov     %cr4, %rax
        mov     %rax, old_cr4(%rip)
        mov     ${EFER}, %ecx
        rdmsr
        mov     %eax, old_efer(%rip)
        mov     %edx, old_efer + 4(%rip)
        sgdt    old_gdt(%rip)
        sidt    old_idt(%rip)
        mov     %cs, old_cs(%rip)
        mov     %ss, old_ss(%rip)
        /*
         * Our descriptors: the kernel's may lie above 4 GiB, and have none for 16-bit code. The
         * base of the table depends on where the image lies.
         */
        lea     bios_descriptors(%rip), %rax
        mov     %rax, descriptors_pointer + 2(%rip)
        movw    $bios_descriptors_end - bios_descriptors - 1, descriptors_pointer(%rip)
        lgdt    descriptors_pointer(%rip)
        /*
         * An empty table: no gate fits every mode. Until the stub has loaded the BIOS's table an
         * exception or an NMI resets the machine.
         */
        lidt    no_idt(%rip)
        lea     bios_start(%rip), %rbx
        /*
         * Paging can be turned off in compatibility mode only: %cs gets a descriptor with L clear
         * and D set. SDM 10.8.5.4, APM 14.7.
         */
        pushq   ${CODE_32}
        lea     .Lcompatibility_mode(%rip), %rax
        push    %rax
        lretq
        .code32
.Lcompatibility_mode:
        mov     ${DATA_32}, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %ss
        /* Paging off ends long mode. Code goes on at the same address: the map is the identity. */
        mov     %cr0, %eax
        and     $~{CR0_PG}, %eax
        mov     %eax, %cr0
        /* LME off, or else a BIOS that turns paging on would be in long mode. */
        mov     ${EFER}, %ecx
        rdmsr
        and     $~{EFER_LME}, %eax
        wrmsr
        /* PAE and all other extensions off, as after a reset. */
        xor     %eax, %eax
        mov     %eax, %cr4
        /* Segments of 64 KiB: the limits stay in force in real mode, and the BIOS expects these. */
        mov     ${DATA_16}, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %ss
        mov     %eax, %fs
        mov     %eax, %gs
        /*
         * PE may be cleared only in a code segment of 16-bit size with a limit of 64 KiB: the stub
         * in low memory has one. SDM 10.9.2.
         */
        ljmp    ${CODE_16}, $0

/*
 * bios_back: the stub ended.
 * In:  32-bit protected mode without paging, %ebx = bios_start, no stack, interrupts off.
 * Out: to back_64.
 */
bios_back:
        mov     ${DATA_32}, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %ss
        mov     %eax, %fs
        mov     %eax, %gs
        mov     old_rsp - bios_start(%ebx), %esp
        /*
         * The order is given by SDM 10.8.5 and APM 14.6: PAE, CR3, LME, paging. CR4 is the old
         * one, with LA57 as it was: it cannot change in long mode.
         */
        mov     old_cr4 - bios_start(%ebx), %eax
        mov     %eax, %cr4
        /* 32-bit code loads 32 bits of CR3: our tables lie below 4 GiB, unlike the kernel's. */
        mov     tables - bios_start(%ebx), %eax
        mov     %eax, %cr3
        /* LMA is the CPU's to set, once paging is on. */
        mov     ${EFER}, %ecx
        mov     old_efer - bios_start(%ebx), %eax
        mov     old_efer + 4 - bios_start(%ebx), %edx
        and     $~{EFER_LMA}, %eax
        wrmsr
        mov     old_cr0 - bios_start(%ebx), %eax
        mov     %eax, %cr0
        /* A code segment with L set makes it 64-bit mode. */
        pushl   ${CODE_64}
        lea     back_64 - bios_start(%ebx), %eax
        push    %eax
        lretl

/*
 * back_64: puts back what bios_enter_real_mode kept.
 * In:  64-bit mode on our tables.
 */
        .code64
back_64:
        mov     old_cr3(%rip), %rax
        mov     %rax, %cr3
        mov     old_rsp(%rip), %rsp
        lgdt    old_gdt(%rip)
        lidt    old_idt(%rip)
        pushq   old_cs(%rip)
        lea     .Lown_segments(%rip), %rax
        push    %rax
        lretq
.Lown_segments:
        mov     old_ss(%rip), %eax
        mov     %eax, %ss
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %fs
        mov     %eax, %gs
        pop     %r15
        pop     %r14
        pop     %r13
        pop     %r12
        pop     %rbp
        pop     %rbx
        ret

/*
 * Null, unused, 32-bit code and data, 16-bit code and data, 64-bit code; all with the accessed bit
 * set, so that the CPU does not write to them. SDM 3.4.5. The base of the 16-bit ones is the stub's
 * page, which image/mod.rs fills in.
 */
        .balign 16
bios_descriptors:
        .quad   0, 0
        .quad   0x00cf9b000000ffff
        .quad   0x00cf93000000ffff
        .quad   0x00009b000000ffff
        .quad   0x000093000000ffff
        .quad   0x00af9b000000ffff
bios_descriptors_end:

        .bss
        .balign 16
descriptors_pointer:
        .skip   16
no_idt:
        .skip   16
old_gdt:
        .skip   16
old_idt:
        .skip   16
kernel_rsp:
        .skip   8
old_rsp:
        .skip   8
old_cr0:
        .skip   8
old_cr3:
        .skip   8
old_cr4:
        .skip   8
old_efer:
        .skip   8
old_cs:
        .skip   8
old_ss:
        .skip   8
tables:
        .skip   8
        .balign 16
        .skip   {STACK}
stack_end:
