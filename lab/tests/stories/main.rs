//! Stories that run in virtual machines: `cargo xtask test vm`. A new chapter gets a line here.
#![forbid(unsafe_code)]

mod bios;
mod boot_anything;
mod boot_matrix;
mod calling;
mod concurrent_calls;
mod controllers;
mod crashing;
mod deadlines;
mod debugging;
mod failed_switches;
mod guarding;
mod hibernating;
mod initramfs;
mod kexec;
mod lab_itself;
mod looking_back;
mod machines;
mod memtest;
mod on_bochs;
mod page_mover;
mod paging_levels;
mod power_cuts;
mod refused_requests;
mod running_disks;
mod saving;
mod suspended_calls;
mod switching;
mod taking_turns;
mod trying;
mod virtual_machines;

fn main() -> std::process::ExitCode {
    lab::story::main(&[
        calling::STORIES,
        suspended_calls::STORIES,
        bios::STORIES,
        running_disks::STORIES,
        memtest::STORIES,
        concurrent_calls::STORIES,
        deadlines::STORIES,
        refused_requests::STORIES,
        crashing::STORIES,
        machines::STORIES,
        on_bochs::STORIES,
        initramfs::STORIES,
        kexec::STORIES,
        boot_anything::STORIES,
        boot_matrix::STORIES,
        switching::STORIES,
        failed_switches::STORIES,
        saving::STORIES,
        taking_turns::STORIES,
        trying::STORIES,
        virtual_machines::STORIES,
        looking_back::STORIES,
        debugging::STORIES,
        guarding::STORIES,
        hibernating::STORIES,
        power_cuts::STORIES,
        page_mover::STORIES,
        paging_levels::STORIES,
        lab_itself::STORIES,
    ])
}
