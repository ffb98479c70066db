/*
 * The first two sectors of a disk, as the BIOS boots them. Reads the second one by INT 13h, waits
 * for three ticks of the BIOS's clock (IRQ 0) and for a key (IRQ 1), prints each on the first
 * serial port, and powers the machine off if that is QEMU's PC.
 *
 * In: real mode at 0x7c00, %dl = the BIOS's number of the disk.
 */
        .code16
        .set    SECOND, 0x8000          /* address of the second sector */
        .set    TICKS, 0x46c            /* the BIOS's count of ticks */
        .set    SCAN_CODE, 0x1e         /* the key A */
        .set    KEY, 0x1e61             /* the same with its character */
        .set    DATA, 0x60              /* ports of the keyboard controller (8042) */
        .set    COMMAND, 0x64
        .set    AS_IF_TYPED, 0xd2       /* command: the next byte comes back as if from the keyboard */

        .globl  _start
_start: cli
        xor     %ax, %ax
        mov     %ax, %ds
        mov     %ax, %es
        mov     %ax, %ss
        mov     $_start, %sp
        sti
        cld
        push    %dx
        mov     $hello, %si
        call    print
        pop     %dx
        /* Function 2: one sector, cylinder 0, sector 2, head 0. */
        mov     $0x0201, %ax
        mov     $0x0002, %cx
        mov     $0, %dh
        mov     $SECOND, %bx
        int     $0x13
        jc      wrong
        mov     $SECOND, %si
        call    print

        mov     TICKS, %bx
        add     $3, %bx
.Ltick: hlt
        mov     TICKS, %ax
        sub     %bx, %ax
        js      .Ltick
        mov     $ticks, %si
        call    print

        mov     $AS_IF_TYPED, %al
        call    room
        out     %al, $COMMAND
        mov     $SCAN_CODE, %al
        call    room
        out     %al, $DATA
        xor     %ax, %ax
        int     $0x16
        cmp     $KEY, %ax
        jne     wrong
        mov     $key, %si
        call    print
off:    mov     $0x604, %dx
        mov     $0x2000, %ax
        out     %ax, %dx
.Lhalt: hlt
        jmp     .Lhalt

wrong:  mov     $bad, %si
        call    print
        jmp     off

/* Waits until the keyboard controller takes a byte. Its status, bit 1: it has one to read. */
room:   push    %ax
.Lfull: in      $COMMAND, %al
        test    $2, %al
        jnz     .Lfull
        pop     %ax
        ret

/* Writes text to the first serial port. In: %si. Line status, bit 5: there is room for a byte. */
print:  lodsb
        test    %al, %al
        jz      .Lprinted
        mov     %al, %cl
        mov     $0x3fd, %dx
.Lroom: in      %dx, %al
        test    $0x20, %al
        jz      .Lroom
        mov     $0x3f8, %dx
        mov     %cl, %al
        out     %al, %dx
        jmp     print
.Lprinted:
        ret

hello:  .asciz  "\r\nboot sector: entered\r\n"
ticks:  .asciz  "boot sector: the clock ticks\r\n"
key:    .asciz  "boot sector: a key was read\r\n"
bad:    .asciz  "boot sector: wrong\r\n"
        .org    510
        .word   0xaa55
        .asciz  "boot sector: the second sector was read\r\n"
        .org    1024
