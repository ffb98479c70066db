//! The stories of `lab/tests/stories`, each a step of its own for every kernel it holds on.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;

use anyhow::{Context as _, Result, bail};
use lab::story::{INVENTORY, Inventory};

use crate::checks::said;
use crate::test_task::{Step, Verdict};
use crate::{kernels, product, program, tree};

/// The stories whose step's name contains the filter; long ones only if they are asked for.
///
/// # Errors
/// The stories do not build.
pub(crate) fn all(filter: &str, soak: bool) -> Result<Vec<Step>> {
    let told: Vec<_> = list()?.into_iter().filter(|told| told.step().contains(filter)).collect();
    let (told, long): (Vec<_>, Vec<_>) = told.into_iter().partition(|told| soak || !told.long);
    let kernels: Vec<String> = told.iter().map(|told| told.kernel.clone()).collect();
    let shelf = Rc::new(Shelf { kernels, inventory: OnceCell::new() });
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

    fn into_step(self, shelf: &Rc<Shelf>) -> Step {
        let shelf = Rc::clone(shelf);
        Step::new(self.step(), move || match shelf.inventory() {
            Err(error) => Verdict::Failed(format!("{error:#}")),
            Ok(inventory) => said(program_of_stories(inventory).args([&self.name, &self.kernel])),
        })
    }
}

/// What the stories need, fetched and built when the first of them is told.
struct Shelf {
    kernels: Vec<String>,
    inventory: OnceCell<PathBuf>,
}

impl Shelf {
    fn inventory(&self) -> Result<&Path> {
        if self.inventory.get().is_none() {
            let path = self.fill()?;
            return Ok(self.inventory.get_or_init(|| path));
        }
        self.inventory.get().map(PathBuf::as_path).context("the inventory was just made")
    }

    fn fill(&self) -> Result<PathBuf> {
        let mut built = BTreeMap::new();
        for name in &self.kernels {
            if !built.contains_key(name) {
                let kernel = kernels::get(name)?;
                built.insert(name.clone(), (kernel.dir().to_owned(), product::product_for(&kernel)?));
            }
        }
        let path = tree::target().join(format!("stories-{}.json", std::process::id()));
        Inventory { kit: product::kit()?, kernels: built }.write(&path)?;
        Ok(path)
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        if let Some(path) = self.inventory.get() {
            // Nobody reads it any more.
            let _ = std::fs::remove_file(path);
        }
    }
}

fn list() -> Result<Vec<Told>> {
    let text = program::read(program_of_stories(Path::new("none")).arg("--list"))?;
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

fn program_of_stories(inventory: &Path) -> Command {
    let mut cargo = program::cargo();
    cargo.args(["test", "--quiet", "--package", "lab", "--test", "stories", "--"]).env(INVENTORY, inventory);
    cargo
}
