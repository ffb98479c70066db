/*
 * sum32(a, b, c, d, e, f): as sum64, with 32-bit arguments and the result in edx:eax; -1 if paging
 * is on.
 */
        .code32
        .globl  _start
_start:
        mov     %cr0, %eax
        test    %eax, %eax
        js      paging
        incl    calls
        mov     $1000, %eax
        mull    calls
        mov     $1, %ecx
.Lterm: push    %edx
        push    %eax
        mov     %ecx, %eax
        mull    8(%esp, %ecx, 4)
        add     (%esp), %eax
        adc     4(%esp), %edx
        add     $8, %esp
        inc     %ecx
        cmp     $6, %ecx
        jbe     .Lterm
        ret
paging: mov     $-1, %eax
        cltd
        ret
        .data
calls:  .long   0
