//! The tasks of the workspace: `cargo xtask` lists them.
#![forbid(unsafe_code)]

mod bench;
mod build;
mod check;
mod debian;
mod guest;
mod package;
mod program;
mod task;
mod tree;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "The tasks of this workspace")]
struct Xtask {
    #[command(subcommand)]
    task: Option<Task>,
}

/// The one table of tasks.
#[derive(Subcommand)]
enum Task {
    Demo(task::demo::DemoArgs),
    Test(task::test::TestArgs),
    Lab(Box<task::lab::LabArgs>),
    Bench(task::bench::BenchArgs),
    Vmcore(task::vmcore::VmcoreArgs),
    Fuzz(task::fuzz::FuzzArgs),
    Build(task::build::BuildArgs),
    Docs(task::docs::DocsArgs),
    Package(task::package::PackageArgs),
    Fetch(task::fetch::FetchArgs),
    Material(task::material::MaterialArgs),
}

fn main() -> ExitCode {
    let task = match Xtask::try_parse() {
        Ok(Xtask { task: Some(task) }) => task,
        Ok(Xtask { task: None }) => {
            return code(Xtask::command().print_help().map(|()| true).map_err(Into::into));
        }
        Err(error) => return usage(&error),
    };
    match task {
        Task::Demo(args) => code(task::demo::run(&args)),
        Task::Test(args) => code(task::test::run(&args)),
        Task::Lab(args) => task::lab::run(*args),
        Task::Bench(args) => code(task::bench::run(&args).map(|()| true)),
        Task::Vmcore(args) => code(task::vmcore::run(&args).map(|()| true)),
        Task::Fuzz(args) => code(task::fuzz::run(&args).map(|()| true)),
        Task::Build(args) => code(task::build::run(&args).map(|()| true)),
        Task::Docs(args) => code(task::docs::run(&args).map(|()| true)),
        Task::Package(args) => code(task::package::run(&args)),
        Task::Fetch(args) => code(task::fetch::run(&args).map(|()| true)),
        Task::Material(args) => code(task::material::run(&args).map(|()| true)),
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

/// Prints what is wrong with the command line, or help. The lab has an exit status of its own for
/// that, so that it is not taken for the status of the guest's command.
fn usage(error: &clap::Error) -> ExitCode {
    let in_the_lab = std::env::args().nth(1).is_some_and(|task| task == "lab");
    // If standard error cannot be written to, the exit status remains.
    let _ = error.print();
    match u8::try_from(error.exit_code()) {
        Ok(0) => ExitCode::SUCCESS,
        _ if in_the_lab => ExitCode::from(task::lab::LAB_FAILED),
        Ok(code) => ExitCode::from(code),
        Err(_) => ExitCode::FAILURE,
    }
}
