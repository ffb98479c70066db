//! `cargo xtask docs`: manual pages and completions, generated from the programs' tables of
//! options, and the book of docs/.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use clap::Args;
use clap_complete::Shell;

use crate::{program, tree};

/// Make manual pages and shell completions
#[derive(Args)]
pub(crate) struct DocsArgs {
    /// Directory to write to, instead of target/docs
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Make the book of docs/ as well, by mdbook
    #[arg(long)]
    book: bool,
}

const MDBOOK: &str = "mdbook@0.5.4";

/// The shells with completions, and the directories of the completions.
const SHELLS: [(Shell, &str); 3] = [(Shell::Bash, "bash"), (Shell::Fish, "fish"), (Shell::Zsh, "zsh")];

/// Writes everything and prints the directory.
///
/// # Errors
/// The directory cannot be written to.
pub(crate) fn run(args: &DocsArgs) -> Result<()> {
    let dir = args.dir.clone().unwrap_or_else(|| tree::target().join("docs"));
    write(&dir)?;
    if args.book {
        let mdbook = program::of_crate(MDBOOK, &["--no-default-features", "--features", "search"])?;
        let dest = std::path::absolute(&dir)?.join("book");
        program::quiet(
            Command::new(mdbook).arg("build").arg("--dest-dir").arg(dest).current_dir(tree::root()),
        )?;
    }
    println!("{}", dir.display());
    Ok(())
}

/// Writes everything to a directory.
///
/// # Errors
/// The directory cannot be written to.
pub(crate) fn write(dir: &Path) -> Result<()> {
    let programs = [
        kjump::cli::command(),
        kjump::kexec::command(),
        kjump::dump::makedumpfile::command(),
        kjump::dump::dmesg::command(),
    ];
    for program in programs {
        make(program, dir).with_context(|| dir.display().to_string())?;
    }
    Ok(())
}

fn make(program: clap::Command, dir: &Path) -> Result<()> {
    let name = program.get_name().to_owned();
    for (shell, name_of_shell) in SHELLS {
        let dir = dir.join(name_of_shell);
        fs::create_dir_all(&dir)?;
        clap_complete::generate_to(shell, &mut program.clone(), &name, dir)?;
    }
    write_pages(program, &dir.join("man"))
}

/// A page for the program and one for each of its commands.
fn write_pages(program: clap::Command, dir: &Path) -> Result<()> {
    fs::create_dir_all(dir)?;
    // The pages replace the command `help`.
    let mut program = program.disable_help_subcommand(true);
    program.build();
    write_page(&program, dir)
}

fn write_page(command: &clap::Command, dir: &Path) -> Result<()> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    let page = clap_mangen::Man::new(command.clone()).section(section(name));
    let mut text = Vec::new();
    page.render(&mut text)?;
    fs::write(dir.join(page.get_filename()), with_sections(&String::from_utf8(text)?))?;
    command.get_subcommands().try_for_each(|command| write_page(command, dir))
}

/// Commands for memory images are for all users, the others for the administrator.
fn section(name: &str) -> &'static str {
    if name.starts_with("kjump-dump") { "1" } else { "8" }
}

/// clap_mangen gives all references of a page the section of the page: corrects them.
fn with_sections(page: &str) -> String {
    let line = |line: &str| match line.strip_suffix("(8)").or_else(|| line.strip_suffix("(1)")) {
        Some(name) => format!("{name}({})\n", section(&name.replace('\\', ""))),
        None => format!("{line}\n"),
    };
    page.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_refer_to_the_section_that_the_others_are_in() {
        let page = ".TP\nkjump\\-dump(8)\nabout\n.TP\nkjump\\-boot(8)\n";
        assert_eq!(with_sections(page), page.replace("dump(8)", "dump(1)"));
    }

    #[test]
    fn every_command_has_a_page_and_every_shell_its_completions() {
        let dir = std::env::temp_dir().join(format!("kjump-docs-{}", std::process::id()));
        run(&DocsArgs { dir: Some(dir.clone()), book: false }).unwrap();
        for file in [
            "man/kexec.8",
            "man/makedumpfile.8",
            "man/vmcore-dmesg.8",
            "man/kjump.8",
            "man/kjump-boot.8",
            "man/kjump-dump.1",
            "man/kjump-dump-save.1",
            "bash/kexec.bash",
            "zsh/_makedumpfile",
            "fish/kjump.fish",
        ] {
            assert!(dir.join(file).exists(), "{file}");
        }
        fs::remove_dir_all(dir).unwrap();
    }

    /// The targets of the links in a Markdown file.
    fn links(text: &str) -> impl Iterator<Item = &str> {
        text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link)
    }

    fn pages() -> Vec<PathBuf> {
        let docs = fs::read_dir(tree::root().join("docs")).unwrap();
        let own = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"].map(|name| tree::root().join(name));
        docs.map(|entry| entry.unwrap().path()).chain(own).collect()
    }

    #[test]
    fn every_page_is_in_the_book() {
        let summary = fs::read_to_string(tree::root().join("docs/SUMMARY.md")).unwrap();
        let listed: Vec<&str> = links(&summary).collect();
        for page in pages().iter().filter(|page| page.parent() == Some(&tree::root().join("docs"))) {
            let name = page.file_name().unwrap().to_str().unwrap();
            assert!(name == "SUMMARY.md" || listed.contains(&name), "{name} is not in docs/SUMMARY.md");
        }
    }

    #[test]
    fn links_lead_to_files() {
        let mut count = 0;
        for page in pages() {
            let text = fs::read_to_string(&page).unwrap();
            for link in links(&text).filter(|link| !link.contains("://")) {
                let file = link.split('#').next().unwrap_or_default();
                let target = page.parent().unwrap().join(file);
                assert!(target.exists(), "{}: {link}", page.display());
                count += 1;
            }
        }
        assert!(count > 20, "{count} links");
    }
}
