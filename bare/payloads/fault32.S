/*
 * fault32(vector): 0 divide, 1 debug, 3 breakpoint, 6 invalid opcode, 13 general protection. Anything else returns 0.
 * There are no page faults without paging. Registers hold 0x1111, 0x2222 ... for whoever looks.
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
debug:  pushfl
        orl     $0x100, (%esp)
        popfl
        nop
breakpoint:
        int3
opcode: ud2
protection:
        mov     $0xffff, %eax
        mov     %eax, %ds
