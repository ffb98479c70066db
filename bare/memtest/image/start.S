/*
 * Into the memory test and out of it. Position-independent; the linker puts this section first in
 * the code, so that its first byte is the entry point. The block is below.
 */
        .section .text.start, "awx"
        .globl memtest_start
        .code64

/*
 * memtest_start: entered from the suspended kernel.
 * In:  64-bit mode, all memory identity-mapped, interrupts off, SSE on, a stack with a return
 *      address.
 * Out: returns; %rax = one of abi::memtest::verdict.
 */
memtest_start:
        cli
        cld
        /*
         * The caller's stack is tested too, so nothing may be on it but what comes back with its
         * page: the test runs on a stack of its own.
         */
        mov     %rsp, caller_rsp(%rip)
        lea     stack_end(%rip), %rsp
        lea     block(%rip), %rdi
        xor     %ebp, %ebp
        call    memtest_main
        mov     caller_rsp(%rip), %rsp
        ret
        .balign 8
caller_rsp:
        .quad   0

        .bss
        .balign 16
        .skip   0x3000
stack_end:
