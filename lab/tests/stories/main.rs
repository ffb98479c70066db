//! Stories that are told in virtual machines: `cargo xtask test vm`. A new chapter gets a line here.
#![forbid(unsafe_code)]

mod asleep;
mod boot_matrix;
mod calling;
mod coming_to_nothing;
mod controllers;
mod crashing;
mod guarding;
mod initramfs;
mod kexec;
mod looking_back;
mod machines;
mod saving;
mod staying;
mod switching;
mod taking_turns;
mod the_exchange;
mod the_lab_itself;
mod together;

fn main() -> std::process::ExitCode {
    lab::story::main(&[
        calling::STORIES,
        asleep::STORIES,
        together::STORIES,
        coming_to_nothing::STORIES,
        crashing::STORIES,
        machines::STORIES,
        initramfs::STORIES,
        kexec::STORIES,
        boot_matrix::STORIES,
        switching::STORIES,
        staying::STORIES,
        saving::STORIES,
        taking_turns::STORIES,
        looking_back::STORIES,
        guarding::STORIES,
        the_exchange::STORIES,
        the_lab_itself::STORIES,
    ])
}
