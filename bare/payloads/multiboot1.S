/*
 * A multiboot 1 kernel. Says on the first serial port what it was told of itself and of its modules, and switches the
 * machine off, if that is QEMU's PC.
 *
 * In: 32-bit mode without paging, %eax = the loader's magic, %ebx = the boot information.
 */
        .code32
        .set    MAGIC, 0x1badb002
        .set    LOADER_MAGIC, 0x2badb002
        .set    WANTED, 0x3             /* modules at pages, and how much memory there is */
        /* The boot information. */
        .set    FLAGS, 0
        .set    COMMAND_LINE, 16
        .set    MODULE_COUNT, 20
        .set    MODULES, 24             /* of each: start, end, words, nothing */

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
        mov     (%ebp), %esi            /* the module is a text with a zero behind it */
        call    print
        mov     $end_of_line, %esi
        call    print
        add     $16, %ebp
        dec     %edi
        jmp     next

wrong:  mov     $unknown, %esi
        call    print
off:    mov     $0x604, %dx             /* ACPI: sleep type 0, which is off there, and go */
        mov     $0x2000, %ax
        out     %ax, (%dx)
1:      hlt
        jmp     1b

        .include "print32.inc"

hello:  .asciz  "multiboot 1: entered\r\n"
unknown: .asciz "multiboot 1: another magic, or not all that it needs\r\n"
holds:  .asciz  " holds "
end_of_line: .asciz "\r\n"
        .balign 16
        .space  4096
stack:
