/* phy_mode(): a program in physical mode. Says so on the first serial port, and returns 0. */
        .code32
        .globl  _start
_start:
        push    %esi
        mov     $text, %esi
        mov     $0x3f8, %edx
1:      lodsb
        test    %al, %al
        jz      3f
        mov     %al, %cl
        add     $5, %edx
2:      in      (%dx), %al              /* line status: room for a byte? */
        test    $0x20, %al
        jz      2b
        sub     $5, %edx
        mov     %cl, %al
        out     %al, (%dx)
        jmp     1b
3:      xor     %eax, %eax
        xor     %edx, %edx
        pop     %esi
        ret
text:   .asciz  "phy_mode: paging is off\r\n"
