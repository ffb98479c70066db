//! The tasks of the workspace: `cargo xtask` lists them.
#![forbid(unsafe_code)]

mod apt;
mod checks;
mod compiler;
mod fetch_task;
mod kernels;
mod lab_task;
mod module;
mod packages;
mod payloads;
mod product;
mod program;
mod stories;
mod test_task;
mod tree;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The tasks of this workspace", arg_required_else_help = true)]
struct Xtask {
    #[command(subcommand)]
    task: Task,
}

/// The one table of tasks.
#[derive(Subcommand)]
enum Task {
    Test(test_task::TestArgs),
    Lab(Box<lab_task::LabArgs>),
    Fetch(fetch_task::FetchArgs),
}

fn main() -> ExitCode {
    match Xtask::parse().task {
        Task::Test(args) => code(test_task::run(&args)),
        Task::Lab(args) => lab_task::run(*args),
        Task::Fetch(args) => code(fetch_task::run(&args).map(|()| true)),
    }
}

fn code(result: anyhow::Result<bool>) -> ExitCode {
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
