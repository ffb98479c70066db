/*
 * A disk with a program in real mode, as the BIOS boots it. Uses the disk, the clock, the memory
 * map and the A20 gate as DOS and its programs do. Prints what it finds on the first serial port,
 * and keeps it on the disk, in sectors 6 and 7, counted from 0. Sector 5 starts with the number of
 * times that it has run, and then one of the characters below: how it ends.
 *
 * In: real mode at 0x7c00, %dl = the BIOS's number of the disk.
 */
        .code16
        .set    CODE, 4                 /* sectors of code after the first */
        .set    STATE, 0x9000           /* sector 5 in memory */
        .set    AGAIN, 0x9200           /* the same, read again */
        .set    TEXT, 0x9400            /* sectors 6 and 7 */
        .set    TEXT_END, TEXT + 1024
        .set    RANGE, 0x9800           /* a range of the memory map */
        .set    PACKET, 0x9840          /* parameters of an extended read or write */
        .set    TABLE, 0x9880           /* descriptors for a block move */
        .set    SIGNATURE, 0x534d4150   /* "SMAP" */
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
        mov     %dl, drive
        /* Function 2: sectors from cylinder 0, sector 2, head 0 on. */
        mov     $0x0200 + CODE, %ax
        mov     $0x0002, %cx
        mov     $0, %dh
        mov     $second, %bx
        int     $0x13
        jc      .Lstop
        cmp     $CODE, %al
        je      second
.Lstop: int     $0x18
drive:  .byte   0
        .org    510
        .word   0xaa55

second: movw    $TEXT, text_at
        mov     $TEXT, %di
        mov     $512, %cx
        xor     %ax, %ax
        rep stosw
        mov     $entered, %si
        call    print
        mov     drive, %al
        call    byte
        call    line

        /* Hard disks have extended functions, by sector numbers; others by cylinder and head. */
        mov     $0x41, %ah
        mov     $0x55aa, %bx
        mov     drive, %dl
        int     $0x13
        jc      .Lno_extensions
        movb    $1, extended
        mov     $extensions, %si
        call    print
        mov     %bh, %al
        call    byte
        call    line
.Lno_extensions:
        mov     $5, %al
        mov     $STATE, %bx
        mov     $0x02, %ah
        call    sector
        incl    STATE
        mov     $5, %al
        mov     $STATE, %bx
        mov     $0x03, %ah
        call    sector
        mov     $5, %al
        mov     $AGAIN, %bx
        mov     $0x02, %ah
        call    sector
        mov     $STATE, %si
        mov     $AGAIN, %di
        mov     $256, %cx
        repe cmpsw
        jne     wrong
        mov     $times, %si
        call    print
        mov     STATE, %al
        call    byte
        call    line
        /* Beyond the end of every disk: an error. */
        mov     $0x0201, %ax
        mov     $0xffff, %cx
        mov     $0xff, %dh
        mov     drive, %dl
        mov     $AGAIN, %bx
        int     $0x13
        jnc     wrong
        /* Another disk. */
        mov     $0x0201, %ax
        mov     $0x0001, %cx
        mov     $0, %dh
        mov     drive, %dl
        inc     %dl
        int     $0x13
        jnc     wrong
        /* Into the stub at the top of base memory. */
        int     $0x12
        shl     $6, %ax
        mov     %ax, %es
        mov     $0x0201, %ax
        mov     $0x0001, %cx
        mov     drive, %dl
        mov     $0, %dh
        xor     %bx, %bx
        int     $0x13
        jnc     wrong
        push    %ds
        pop     %es

        /* Five ticks by the BIOS's count. */
        xor     %ah, %ah
        int     $0x1a
        mov     %dx, %bp
.Ltick: hlt
        xor     %ah, %ah
        int     $0x1a
        sub     %bp, %dx
        cmp     $5, %dx
        jb      .Ltick
        mov     $ticks, %si
        call    print

        /* RAM from 1 MiB on, in MiB, and the number of ranges. */
        xor     %ebx, %ebx
        xor     %ebp, %ebp
        movb    $0, count
.Lrange:
        mov     $0xe820, %eax
        mov     $SIGNATURE, %edx
        mov     $20, %ecx
        mov     $RANGE, %di
        int     $0x15
        jc      wrong
        cmp     $SIGNATURE, %eax
        jne     wrong
        incb    count
        cmpl    $1, RANGE + 16
        jne     .Lnext
        cmpl    $0x100000, RANGE
        jb      .Lnext
        mov     RANGE + 8, %eax
        shr     $20, %eax
        add     %eax, %ebp
.Lnext: test    %ebx, %ebx
        jnz     .Lrange
        mov     $map, %si
        call    print
        mov     %bp, %ax
        call    byte
        call    line
        mov     $0xe801, %ax
        int     $0x15
        jc      wrong
        shr     $10, %ax
        cmp     %ax, %bp
        jne     wrong
        mov     $0x88, %ah
        int     $0x15
        jc      wrong
        shr     $10, %ax
        cmp     %ax, %bp
        jne     wrong
        int     $0x12
        mov     $base, %si
        call    print
        push    %ax
        mov     %ah, %al
        call    byte
        pop     %ax
        call    byte
        call    line

        /* A block move to memory of the running kernel is refused, one to our own is not. */
        mov     $0x4000, %ax
        call    move
        jnc     wrong
        test    %bp, %bp
        jz      .Lmoved
        mov     $0x0020, %ax
        call    move
        jc      wrong
.Lmoved:
        /* With the A20 gate closed, a service works, and the gate stays as it is. */
        mov     $0x2400, %ax
        int     $0x15
        jc      .Lopen
        mov     $5, %al
        mov     $AGAIN, %bx
        mov     $0x02, %ah
        call    sector
        mov     $0xffff, %ax
        mov     %ax, %fs
        mov     %fs:0x9010, %ax         /* 0x100000 + 0x9000, or STATE if addresses wrap */
        notw    STATE
        cmp     %fs:0x9010, %ax
        notw    STATE
        je      wrong
        mov     $a20, %si
        call    print
        mov     $0x2401, %ax
        int     $0x15
.Lopen:
        /* The extended BIOS data area and the table of vectors are the program's for now. */
        mov     $0x500, %di
        mov     $0x5555, %ax
        mov     $(0x7000 - 0x500) / 2, %cx
        rep stosw
        mov     $done, %si
        call    print
        mov     $6, %al
        mov     $TEXT, %bx
        mov     $0x03, %ah
        call    sector
        mov     $7, %al
        mov     $TEXT + 512, %bx
        mov     $0x03, %ah
        call    sector

        mov     STATE + 4, %al
        cmp     $'8', %al
        je      .Lstop
        cmp     $'h', %al
        je      hang
        cmp     $'x', %al
        je      exception
        cmp     $'r', %al
        je      restart
        cmp     $'k', %al
        je      keys
        int     $0x19
hang:   hlt
        jmp     hang
exception:
        ud2
restart:
        ljmp    $0xf000, $0xfff0
/* Ctrl, Alt, Del. */
keys:   mov     $0x1d, %al
        call    type
        mov     $0x38, %al
        call    type
        mov     $0x53, %al
        call    type
        jmp     hang

wrong:  mov     $bad, %si
        call    print
        int     $0x18

/* Reads (function 2) or writes (function 3) one sector. In: %al its number, 5 to 7; %bx, %ah. */
sector: mov     drive, %dl
        cmpb    $0, extended
        jne     .Lextended
        xor     %dh, %dh
        mov     %al, %cl
        inc     %cl
        xor     %ch, %ch
        mov     $1, %al
        int     $0x13
        jc      wrong
        ret
.Lextended:
        movl    $0x00010010, PACKET
        mov     %bx, PACKET + 4
        movw    $0, PACKET + 6
        movl    $0, PACKET + 8
        mov     %al, PACKET + 8
        movl    $0, PACKET + 12
        mov     $PACKET, %si
        or      $0x40, %ah
        xor     %al, %al
        int     $0x13
        jc      wrong
        ret

/* Moves 256 words from STATE to an address. In: %ax = that divided by 64 KiB. Out: carry. */
move:   mov     $TABLE, %di
        mov     $24, %cx
        push    %ax
        xor     %ax, %ax
        rep stosw
        pop     %ax
        movw    $0xffff, TABLE + 0x10
        movl    $STATE | 0x93 << 24, TABLE + 0x12
        movw    $0xffff, TABLE + 0x18
        movl    $0x93 << 24, TABLE + 0x1a
        mov     %al, TABLE + 0x1c
        mov     %ah, TABLE + 0x1f
        mov     $TABLE, %si
        mov     $256, %cx
        mov     $0x87, %ah
        int     $0x15
        ret

/* Has the keyboard send a code. In: %al. Bit 1 of the status: the controller has a byte to read. */
type:   push    %ax
        mov     $AS_IF_TYPED, %al
        call    room
        out     %al, $COMMAND
        pop     %ax
        call    room
        out     %al, $DATA
        hlt
        ret
room:   push    %ax
.Lfull: in      $COMMAND, %al
        test    $2, %al
        jnz     .Lfull
        pop     %ax
        ret

/* Prints a byte in hexadecimal. In: %al. */
byte:   push    %ax
        shr     $4, %al
        call    .Ldigit
        pop     %ax
        and     $0xf, %al
.Ldigit:
        add     $'0', %al
        cmp     $'9', %al
        jbe     put
        add     $'a' - '0' - 10, %al
        jmp     put
line:   mov     $end, %si
/* Prints text. In: %si. */
print:  push    %ax
.Lprint:
        lodsb
        test    %al, %al
        jz      .Lprinted
        call    put
        jmp     .Lprint
.Lprinted:
        pop     %ax
        ret
/* Keeps a character and sends it. In: %al. Line status, bit 5: there is room for a byte. */
put:    push    %bx
        push    %dx
        mov     text_at, %bx
        cmp     $TEXT_END, %bx
        jae     .Lsend
        mov     %al, (%bx)
        incw    text_at
.Lsend: mov     %al, %bl
        mov     $0x3fd, %dx
.Lroom: in      %dx, %al
        test    $0x20, %al
        jz      .Lroom
        mov     $0x3f8, %dx
        mov     %bl, %al
        out     %al, %dx
        pop     %dx
        pop     %bx
        ret

text_at:
        .word   TEXT
extended:
        .byte   0
count:  .byte   0
entered:
        .asciz  "disk program: entered from disk 0x"
extensions:
        .asciz  "disk program: extensions 0x"
times:  .asciz  "disk program: times run 0x"
ticks:  .asciz  "disk program: the clock ticks\r\n"
map:    .asciz  "disk program: MiB above the first 0x"
base:   .asciz  "disk program: KiB of base memory 0x"
a20:    .asciz  "disk program: the A20 gate is closed\r\n"
done:   .asciz  "disk program: done\r\n"
bad:    .asciz  "disk program: wrong\r\n"
end:    .asciz  "\r\n"
        .org    512 * (1 + CODE)
        /* Sector 5, and two that are written. */
        .long   0
        .byte   '9'
        .org    512 * 8
