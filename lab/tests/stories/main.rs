//! Stories that are told in virtual machines: `cargo xtask test vm`. A new chapter gets a line here.
#![forbid(unsafe_code)]

mod calling;
mod the_exchange;
mod the_lab_itself;

fn main() -> std::process::ExitCode {
    lab::story::main(&[calling::STORIES, the_exchange::STORIES, the_lab_itself::STORIES])
}
