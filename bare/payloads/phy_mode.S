/* phy_mode(): a program in physical mode. Prints a line on the first serial port and returns 0. */
        .code32
        .globl  _start
_start:
        push    %esi
        mov     $text, %esi
        mov     $0x3f8, %edx
.Lbyte: lodsb
        test    %al, %al
        jz      .Lend
        mov     %al, %cl
        add     $5, %edx
        /* Line status, bit 5: the transmitter has room for a byte. */
.Lroom: in      (%dx), %al
        test    $0x20, %al
        jz      .Lroom
        sub     $5, %edx
        mov     %cl, %al
        out     %al, (%dx)
        jmp     .Lbyte
.Lend:  xor     %eax, %eax
        xor     %edx, %edx
        pop     %esi
        ret
text:   .asciz  "phy_mode: paging is off\r\n"
