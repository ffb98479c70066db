//! The stories of `lab/tests/stories`, each a step of its own for every kernel that it runs on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, bail};
use lab::stage::{INVENTORY, Inventory, kernels_of};
use serde_json::Value;

use crate::build::product;
use crate::check::step::{Step, Verdict};
use crate::debian::{kernels, loaders, packages, reference};
use crate::{program, tree};

/// The stories whose step's name contains the filter. Long ones are skipped unless `soak`.
///
/// # Errors
/// The stories do not build.
pub(crate) fn all(filter: &str, soak: bool) -> Result<Vec<Step>> {
    let program = build()?;
    let stories = list(&program)?.into_iter().filter(|story| story.step().contains(filter));
    let (chosen, long): (Vec<_>, Vec<_>) = stories.partition(|story| soak || !story.is_long);
    let kernels: Vec<String> = chosen.iter().map(|story| story.kernel.clone()).collect();
    let bochs = chosen.iter().any(|story| story.name.contains("bochs"));
    let supplies = Arc::new(Supplies { program, kernels, bochs, inventory: Mutex::new(None) });
    let steps = chosen.into_iter().map(|story| story.into_step(&supplies));
    let skipped = long.into_iter().map(|story| {
        Step::new(story.step(), || {
            Verdict::Skipped(
                "takes minutes, or differs little from another kernel: run it with --soak".to_owned(),
            )
        })
    });
    Ok(steps.chain(skipped).collect())
}

/// A story on one kernel.
struct Listed {
    name: String,
    kernel: String,
    is_long: bool,
}

impl Listed {
    fn step(&self) -> String {
        format!("vm/{}/{}", self.kernel, self.name)
    }

    fn into_step(self, supplies: &Arc<Supplies>) -> Step {
        let (name, supplies) = (self.step(), Arc::clone(supplies));
        let run = move || match supplies.inventory() {
            Err(error) => Verdict::Failed(format!("{error:#}")),
            Ok(inventory) => Verdict::of(
                Command::new(&supplies.program).env(INVENTORY, inventory).args([&self.name, &self.kernel]),
            ),
        };
        // All CPUs of a guest are one thread of the host.
        Step::new(name, run).concurrent()
    }
}

/// Everything that the stories need, fetched and built when the first of them runs.
struct Supplies {
    /// The program that contains the stories.
    program: PathBuf,
    kernels: Vec<String>,
    /// Whether one of them runs on Bochs, by its name.
    bochs: bool,
    inventory: Mutex<Option<PathBuf>>,
}

impl Supplies {
    fn inventory(&self) -> Result<PathBuf> {
        let mut inventory = self.inventory.lock().unwrap_or_else(PoisonError::into_inner);
        if inventory.is_none() {
            *inventory = Some(self.fill()?);
        }
        inventory.clone().context("the inventory was just made")
    }

    fn fill(&self) -> Result<PathBuf> {
        if self.bochs {
            packages::for_bochs()?;
        }
        let mut built = BTreeMap::new();
        for name in self.kernels.iter().flat_map(|on| kernels_of(on)) {
            if !built.contains_key(name) {
                let kernel = kernels::get(name)?;
                built.insert(name.to_owned(), (kernel.dir().to_owned(), product::product_for(&kernel)?));
            }
        }
        let path = tree::target().join(format!("stories-{}.json", std::process::id()));
        let inventory = Inventory {
            kit: product::kit()?,
            kexec_tools: Some(reference::KEXEC.directory()?),
            loaders: Some(loaders::directory()?),
            kernels: built,
        };
        inventory.write(&path)?;
        Ok(path)
    }
}

impl Drop for Supplies {
    fn drop(&mut self) {
        if let Ok(Some(path)) = self.inventory.get_mut() {
            // A file that stays behind does no harm.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Builds the program that contains the stories, and returns its path.
fn build() -> Result<PathBuf> {
    let mut cargo = program::cargo();
    cargo.args([
        "test",
        "--quiet",
        "--package",
        "lab",
        "--test",
        "stories",
        "--no-run",
        "--message-format=json",
    ]);
    let output = program::read(&mut cargo)?;
    let messages = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let built = messages.filter(|message| message["target"]["name"] == "stories");
    let mut programs = built.filter_map(|message| message["executable"].as_str().map(PathBuf::from));
    programs.next().context("cargo does not report the path of the stories' program")
}

fn list(program: &Path) -> Result<Vec<Listed>> {
    let text = program::read(Command::new(program).env(INVENTORY, "none").arg("--list"))?;
    text.lines().map(listed).collect()
}

fn listed(line: &str) -> Result<Listed> {
    match line.split(' ').collect::<Vec<_>>()[..] {
        [name, kernel, length] => {
            Ok(Listed { name: name.to_owned(), kernel: kernel.to_owned(), is_long: length == "long" })
        }
        _ => bail!("cannot parse a line of the list of stories: {line:?}"),
    }
}
