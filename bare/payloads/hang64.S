/*
 * hang64(manner): never returns. 0: halts with interrupts off; 1: jumps to itself with interrupts
 * off; 2: jumps to itself with interrupts on.
 */
        .globl  _start
_start:
        cli
        test    %rdi, %rdi
        jz      .Lhalt
        cmp     $1, %rdi
        je      .Lspin
        sti
.Lspin: jmp     .Lspin
.Lhalt: hlt
        jmp     .Lhalt
