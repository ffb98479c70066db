/*
 * fault32(vector): raises an exception: 0 divide, 1 debug, 3 breakpoint, 6 invalid opcode, 13
 * general protection. Any other vector returns 0. Without paging there are no page faults.
 * Registers hold 0x1111, 0x2222 and so on, which the report of the exception must show.
 */
        .code32
        .globl  _start
_start:
        mov     4(%esp), %eax
        mov     $0x1111, %ebx
        mov     $0x2222, %ecx
        mov     $0x3333, %edx
        mov     $0x5555, %ebp
        mov     $0x6666, %esi
        mov     $0x7777, %edi
        cmp     $0, %eax
        je      divide
        cmp     $1, %eax
        je      debug
        cmp     $3, %eax
        je      breakpoint
        cmp     $6, %eax
        je      opcode
        cmp     $13, %eax
        je      protection
        xor     %eax, %eax
        xor     %edx, %edx
        ret
divide: xor     %ecx, %ecx
        xor     %edx, %edx
        div     %ecx
/* The trap flag raises a debug exception after the next instruction but one. */
debug:  pushfl
        orl     $0x100, (%esp)
        popfl
        nop
breakpoint:
        int3
opcode: ud2
/* A selector beyond the GDT. */
protection:
        mov     $0xffff, %eax
        mov     %eax, %ds
