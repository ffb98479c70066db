/*
 * A multiboot 1 kernel. Prints its command line and its modules, as the loader passed them, on the
 * first serial port, and powers the machine off if that is QEMU's PC.
 *
 * In: 32-bit mode without paging, %eax = the loader's magic, %ebx = the boot information.
 */
        .code32
        .set    MAGIC, 0x1badb002
        .set    LOADER_MAGIC, 0x2badb002
        .set    WANTED, 0x3             /* modules on page boundaries, and the size of memory */
        /* The boot information. */
        .set    FLAGS, 0
        .set    COMMAND_LINE, 16
        .set    MODULE_COUNT, 20
        .set    MODULES, 24             /* of each: start, end, arguments, reserved */

        .balign 4
header: .long   MAGIC, WANTED, -(MAGIC + WANTED)

        .globl  _start
_start: mov     $stack, %esp
        cmp     $LOADER_MAGIC, %eax
        jne     wrong
        mov     $hello, %esi
        call    print
        mov     FLAGS(%ebx), %eax
        and     $0xd, %eax              /* memory, command line, modules */
        cmp     $0xd, %eax
        jne     wrong
        mov     COMMAND_LINE(%ebx), %esi
        call    print
        mov     $end_of_line, %esi
        call    print
        mov     MODULE_COUNT(%ebx), %edi
        mov     MODULES(%ebx), %ebp
next:   test    %edi, %edi
        jz      off
        mov     8(%ebp), %esi
        call    print
        mov     $holds, %esi
        call    print
        mov     (%ebp), %esi            /* the module is text that ends in a zero */
        call    print
        mov     $end_of_line, %esi
        call    print
        add     $16, %ebp
        dec     %edi
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

hello:  .asciz  "multiboot 1: entered\r\n"
unknown: .asciz "multiboot 1: another magic, or not all that it needs\r\n"
holds:  .asciz  " holds "
end_of_line: .asciz "\r\n"
        .balign 16
        .space  4096
stack:
