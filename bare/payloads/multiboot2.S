/*
 * A multiboot 2 kernel. Prints its command line and its modules, as the loader passed them, on the
 * first serial port, and powers the machine off if that is QEMU's PC.
 *
 * In: 32-bit mode without paging, %eax = the loader's magic, %ebx = the boot information.
 */
        .code32
        .set    MAGIC, 0xe85250d6
        .set    LOADER_MAGIC, 0x36d76289

        .balign 8
header: .long   MAGIC, 0, header_end - header, -(MAGIC + header_end - header)
        .word   1, 0                    /* requested: command line, modules, memory map */
        .long   20, 1, 3, 6
        .balign 8
        .word   0, 0                    /* the end */
        .long   8
header_end:

        .globl  _start
_start: mov     $stack, %esp
        cmp     $LOADER_MAGIC, %eax
        jne     wrong
        mov     $hello, %esi
        call    print
        lea     8(%ebx), %ebp           /* the first tag */
next:   mov     (%ebp), %eax
        test    %eax, %eax
        jz      off
        lea     8(%ebp), %esi
        cmp     $1, %eax                /* the command line */
        je      line
        cmp     $3, %eax                /* a module: start, end, arguments */
        jne     skip
        push    %esi
        lea     8(%esi), %esi
        call    print
        mov     $holds, %esi
        call    print
        pop     %esi
        mov     (%esi), %esi            /* the module is text that ends in a zero */
        call    print
        mov     $end_of_line, %esi
        call    print
        jmp     skip
line:   call    print
        mov     $end_of_line, %esi
        call    print
skip:   mov     4(%ebp), %eax           /* its size; the next tag is at a multiple of 8 */
        add     $7, %eax
        and     $~7, %eax
        add     %eax, %ebp
        jmp     next

wrong:  mov     $unknown, %esi
        call    print
/*
 * ACPI's PM1a control register of QEMU's PC: sleep type 0, which is S5 there, and sleep enable
 * (ACPI 4.8.3.2).
 */
off:    mov     $0x604, %dx
        mov     $0x2000, %ax
        out     %ax, (%dx)
.Lhalt: hlt
        jmp     .Lhalt

        .include "print32.inc"

hello:  .asciz  "multiboot 2: entered\r\n"
unknown: .asciz "multiboot 2: another magic\r\n"
holds:  .asciz  " holds "
end_of_line: .asciz "\r\n"
        .balign 16
        .space  4096
stack:
