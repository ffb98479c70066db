//! The stories of `lab/tests/stories`, each a step of its own for every kernel it holds on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, bail};
use lab::stage::{INVENTORY, Inventory, kernels_of};
use serde_json::Value;

use crate::build::product;
use crate::check::step::{Step, Verdict};
use crate::debian::{kernels, reference};
use crate::{program, tree};

/// The stories whose step's name contains the filter; long ones only if they are asked for.
///
/// # Errors
/// The stories do not build.
pub(crate) fn all(filter: &str, soak: bool) -> Result<Vec<Step>> {
    let program = build()?;
    let told: Vec<_> = list(&program)?.into_iter().filter(|told| told.step().contains(filter)).collect();
    let (told, long): (Vec<_>, Vec<_>) = told.into_iter().partition(|told| soak || !told.long);
    let kernels: Vec<String> = told.iter().map(|told| told.kernel.clone()).collect();
    let shelf = Arc::new(Shelf { program, kernels, inventory: Mutex::new(None) });
    let steps = told.into_iter().map(|told| told.into_step(&shelf));
    let skipped = long
        .into_iter()
        .map(|told| Step::new(told.step(), || Verdict::Skipped("it takes long: --soak".to_owned())));
    Ok(steps.chain(skipped).collect())
}

struct Told {
    name: String,
    kernel: String,
    long: bool,
}

impl Told {
    fn step(&self) -> String {
        format!("vm/{}/{}", self.kernel, self.name)
    }

    fn into_step(self, shelf: &Arc<Shelf>) -> Step {
        let (name, shelf) = (self.step(), Arc::clone(shelf));
        let tell = move || match shelf.inventory() {
            Err(error) => Verdict::Failed(format!("{error:#}")),
            Ok(inventory) => Verdict::of(
                Command::new(&shelf.program).env(INVENTORY, inventory).args([&self.name, &self.kernel]),
            ),
        };
        // All processors of a guest are one thread of the host.
        Step::new(name, tell).concurrent()
    }
}

/// What the stories need, fetched and built when the first of them is told.
struct Shelf {
    /// The program that tells them.
    program: PathBuf,
    kernels: Vec<String>,
    inventory: Mutex<Option<PathBuf>>,
}

impl Shelf {
    fn inventory(&self) -> Result<PathBuf> {
        let mut inventory = self.inventory.lock().unwrap_or_else(PoisonError::into_inner);
        if inventory.is_none() {
            *inventory = Some(self.fill()?);
        }
        inventory.clone().context("the inventory was just made")
    }

    fn fill(&self) -> Result<PathBuf> {
        let mut built = BTreeMap::new();
        for name in self.kernels.iter().flat_map(|on| kernels_of(on)) {
            if !built.contains_key(name) {
                let kernel = kernels::get(name)?;
                built.insert(name.to_owned(), (kernel.dir().to_owned(), product::product_for(&kernel)?));
            }
        }
        let path = tree::target().join(format!("stories-{}.json", std::process::id()));
        Inventory { kit: product::kit()?, kexec_tools: Some(reference::KEXEC.directory()?), kernels: built }
            .write(&path)?;
        Ok(path)
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        if let Ok(Some(path)) = self.inventory.get_mut() {
            // Nobody reads it any more.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Builds the program that tells the stories, and answers with its path.
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
    let said = program::read(&mut cargo)?;
    let messages = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let built = messages.filter(|message| message["target"]["name"] == "stories");
    let mut programs = built.filter_map(|message| message["executable"].as_str().map(PathBuf::from));
    programs.next().context("cargo does not say where it put the program of stories")
}

fn list(program: &Path) -> Result<Vec<Told>> {
    let text = program::read(Command::new(program).env(INVENTORY, "none").arg("--list"))?;
    text.lines().map(told).collect()
}

fn told(line: &str) -> Result<Told> {
    match line.split(' ').collect::<Vec<_>>()[..] {
        [name, kernel, length] => {
            Ok(Told { name: name.to_owned(), kernel: kernel.to_owned(), long: length == "long" })
        }
        _ => bail!("a story is listed as {line:?}"),
    }
}
