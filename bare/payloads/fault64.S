/*
 * fault64(vector): raises an exception: 0 divide, 1 debug, 3 breakpoint, 6 invalid opcode, 8 double
 * fault (a page fault without a gate), 13 general protection, 14 page fault at 0x7ffffffff000; 32
 * is a page fault on an unmapped stack. Any other vector returns 0. Registers hold 0x1111, 0x2222
 * and so on, which the report of the exception must show.
 */
        .globl  _start
_start:
        mov     %rdi, %rax
        mov     $0x1111, %ebx
        mov     $0x2222, %ecx
        mov     $0x3333, %edx
        mov     $0xcccc, %r12d
        mov     $0xdddd, %r13d
        mov     $0xeeee, %r14d
        mov     $0xffff, %r15d
        cmp     $0, %eax
        je      divide
        cmp     $1, %eax
        je      debug
        cmp     $3, %eax
        je      breakpoint
        cmp     $6, %eax
        je      opcode
        cmp     $8, %eax
        je      double
        cmp     $13, %eax
        je      protection
        cmp     $14, %eax
        je      page
        cmp     $32, %eax
        je      stack
        xor     %eax, %eax
        ret
divide: xor     %ecx, %ecx
        xor     %edx, %edx
        div     %ecx
/* The trap flag raises a debug exception after the next instruction but one. */
debug:  pushfq
        orq     $0x100, (%rsp)
        popfq
        nop
breakpoint:
        int3
opcode: ud2
/*
 * Without gates after 8, a page fault cannot be delivered, and becomes a double fault (SDM volume
 * 3, 6.15).
 */
double: sub     $16, %rsp
        sidt    (%rsp)
        movw    $9 * 16 - 1, (%rsp)     /* gates 0 to 8 */
        lidt    (%rsp)
        jmp     page
stack:  movabs  $0x7ffffffff000, %rsp
        push    %rax
/* A selector beyond the GDT. */
protection:
        mov     $0xffff, %eax
        mov     %eax, %ds
page:   movabs  $0x7ffffffff000, %rdi
        mov     (%rdi), %rax
        ret
