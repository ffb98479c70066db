/*
 * tick64(count): takes this number of interrupts of the 8254, at 100 per second, through the 8259,
 * and returns the number it took. It needs the controllers as firmware leaves them.
 */
        .globl  _start
_start:
        sub     $16, %rsp
        sidt    (%rsp)
        /* One gate, for vector 32. SDM volume 3, figure 6-8. */
        lea     tick(%rip), %rax
        lea     gates + 32 * 16(%rip), %rcx
        mov     %ax, (%rcx)
        mov     %cs, 2(%rcx)
        movw    $0x8e00, 4(%rcx)
        shr     $16, %rax
        mov     %ax, 6(%rcx)
        shr     $16, %rax
        mov     %eax, 8(%rcx)
        lea     gates(%rip), %rax
        mov     %rax, gates_pointer + 2(%rip)
        lidt    gates_pointer(%rip)
        /* Both 8259: vectors from 32, only the timer is not masked. */
        lea     controllers(%rip), %rsi
        mov     $(controllers_end - controllers) / 2, %ecx
        call    write_ports
        sti
.Lwait: hlt
        cmp     %rdi, ticks(%rip)
        jb      .Lwait
        cli
        lea     masks(%rip), %rsi
        mov     $2, %ecx
        call    write_ports
        lidt    (%rsp)
        add     $16, %rsp
        mov     ticks(%rip), %rax
        ret
/* Pairs of a port and a value at %rsi, %ecx of them. */
write_ports:
        movzbl  (%rsi), %edx
        mov     1(%rsi), %al
        out     %al, %dx
        add     $2, %rsi
        dec     %ecx
        jnz     write_ports
        ret
tick:
        push    %rax
        incq    ticks(%rip)
        mov     $0x20, %al
        out     %al, $0x20
        pop     %rax
        iretq

        .data
        .balign 16
gates:  .fill   33 * 16, 1, 0
gates_pointer:
        .word   33 * 16 - 1
        .quad   0
ticks:  .quad   0
controllers:
        .byte   0x20, 0x11, 0x21, 32, 0x21, 4, 0x21, 1
        .byte   0xa0, 0x11, 0xa1, 40, 0xa1, 2, 0xa1, 1
        .byte   0x21, 0xfe, 0xa1, 0xff
        /* 8254, channel 0, mode 2: 1193182 Hz by 11932. */
        .byte   0x43, 0x34, 0x40, 11932 % 256, 0x40, 11932 / 256
controllers_end:
masks:  .byte   0x21, 0xff, 0xa1, 0xff
