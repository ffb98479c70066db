//! `cargo xtask docs`: manual pages and completions, made of the programs' own tables of options.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::{Args, Command};
use clap_complete::Shell;

use crate::tree;

/// Make manual pages and completions of shells
#[derive(Args)]
pub(crate) struct DocsArgs {
    /// Folder to make them in, instead of target/docs
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// The shells there are completions for, and the folders that the completions are packaged from.
const SHELLS: [(Shell, &str); 3] = [(Shell::Bash, "bash"), (Shell::Fish, "fish"), (Shell::Zsh, "zsh")];

/// Makes everything, and says where it lies.
///
/// # Errors
/// The folder cannot be written to.
pub(crate) fn run(args: &DocsArgs) -> Result<()> {
    let dir = args.dir.clone().unwrap_or_else(|| tree::target().join("docs"));
    for program in [kjump::cli::command(), kjump::kexec::command(), kjump::dump::makedumpfile::command()] {
        make(program, &dir).with_context(|| dir.display().to_string())?;
    }
    println!("{}", dir.display());
    Ok(())
}

fn make(program: Command, dir: &Path) -> Result<()> {
    let name = program.get_name().to_owned();
    for (shell, folder) in SHELLS {
        let folder = dir.join(folder);
        fs::create_dir_all(&folder)?;
        clap_complete::generate_to(shell, &mut program.clone(), &name, folder)?;
    }
    write_pages(program, &dir.join("man"))
}

/// A page for the program and one for each of its commands, in the section of programs for the administrator.
fn write_pages(program: Command, dir: &Path) -> Result<()> {
    fs::create_dir_all(dir)?;
    // The command `help` has nothing to say that the pages do not.
    let mut program = program.disable_help_subcommand(true);
    program.build();
    for command in program.get_subcommands().chain([&program]) {
        let page = clap_mangen::Man::new(command.clone()).section("8");
        page.generate_to(dir)?;
    }
    Ok(())
}
