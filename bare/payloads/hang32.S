/* hang32(manner): as hang64. */
        .code32
        .globl  _start
_start:
        cli
        mov     4(%esp), %eax
        test    %eax, %eax
        jz      .Lhalt
        cmp     $1, %eax
        je      .Lspin
        sti
.Lspin: jmp     .Lspin
.Lhalt: hlt
        jmp     .Lhalt
