//! The tasks of the workspace: `cargo xtask` lists them.
#![forbid(unsafe_code)]

mod apt;
mod compiler;
mod fetch_task;
mod kernels;
mod lab_task;
mod module;
mod packages;
mod payloads;
mod product;
mod program;
mod tree;

use std::process::ExitCode;

use anyhow::Result;
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
    Lab(Box<lab_task::LabArgs>),
    Fetch(fetch_task::FetchArgs),
}

fn main() -> ExitCode {
    match Xtask::parse().task {
        Task::Lab(args) => lab_task::run(*args),
        Task::Fetch(args) => code(fetch_task::run(&args)),
    }
}

fn code(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
