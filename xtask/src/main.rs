//! The tasks of the workspace: `cargo xtask` lists them.
#![forbid(unsafe_code)]

mod apt;
mod bench_task;
mod build_task;
mod call_bench;
mod capture_bench;
mod checks;
mod compiler;
mod crash_kernel;
mod debian_tools;
mod demo_task;
mod docs_task;
mod dump_bench;
mod dump_debuggers;
mod dump_readers;
mod fetch_task;
mod fuzz_task;
mod kdump_tools;
mod kernels;
mod lab_task;
mod load_bench;
mod material;
mod module;
mod packages;
mod payloads;
mod peer_readers;
mod peers;
mod product;
mod program;
mod stories;
mod switch_bench;
mod test_task;
mod timed;
mod tree;
mod vmcore_task;

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
    Demo(demo_task::DemoArgs),
    Test(test_task::TestArgs),
    Lab(Box<lab_task::LabArgs>),
    Bench(bench_task::BenchArgs),
    Vmcore(vmcore_task::VmcoreArgs),
    Fuzz(fuzz_task::FuzzArgs),
    Build(build_task::BuildArgs),
    Docs(docs_task::DocsArgs),
    Fetch(fetch_task::FetchArgs),
    Material(material::MaterialArgs),
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
        Task::Demo(args) => code(demo_task::run(&args)),
        Task::Test(args) => code(test_task::run(&args)),
        Task::Lab(args) => lab_task::run(*args),
        Task::Bench(args) => code(bench_task::run(&args).map(|()| true)),
        Task::Vmcore(args) => code(vmcore_task::run(&args).map(|()| true)),
        Task::Fuzz(args) => code(fuzz_task::run(&args).map(|()| true)),
        Task::Build(args) => code(build_task::run(&args).map(|()| true)),
        Task::Docs(args) => code(docs_task::run(&args).map(|()| true)),
        Task::Fetch(args) => code(fetch_task::run(&args).map(|()| true)),
        Task::Material(args) => code(material::run(&args).map(|()| true)),
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

/// Says what is wrong with the command line, or helps. What the lab exits with tells it from the guest's command.
fn usage(said: &clap::Error) -> ExitCode {
    let in_the_lab = std::env::args().nth(1).is_some_and(|task| task == "lab");
    // Nobody is left to be told that there is nobody to be told.
    let _ = said.print();
    match u8::try_from(said.exit_code()) {
        Ok(0) => ExitCode::SUCCESS,
        _ if in_the_lab => ExitCode::from(lab_task::LAB_FAILED),
        Ok(code) => ExitCode::from(code),
        Err(_) => ExitCode::FAILURE,
    }
}
