//! The dependencies of a kernel's modules, as depmod lists them, and the order to load some of them
//! in.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, bail};

/// A kernel's modules.
#[derive(Debug, Default)]
pub(super) struct Modules {
    modules: Vec<Module>,
    /// Indices in the list.
    by_name: BTreeMap<String, usize>,
    builtin: BTreeSet<String>,
    soft: BTreeMap<String, Soft>,
}

#[derive(Debug)]
struct Module {
    path: String,
    /// Indices in the list, in the order of the line: the module to load first is the last.
    needs: Vec<usize>,
}

/// Modules that should be loaded before and after a module, if possible.
#[derive(Debug, Default)]
struct Soft {
    before: Vec<String>,
    after: Vec<String>,
}

/// A step of the walk through dependencies.
enum Step {
    Enter(usize),
    /// As `Enter`, for a soft dependency.
    Offer(usize),
    Leave(usize),
}

/// The state of the walk when a soft dependency was entered.
struct Offer {
    steps: usize,
    opened: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Unseen,
    Open,
    Done,
}

impl Modules {
    /// Reads `modules.dep`, `modules.softdep` and `modules.builtin`.
    ///
    /// # Errors
    /// A line of `modules.dep` is malformed, or names a file outside the modules' directory, a
    /// module a second time, or a module that has no line.
    pub(super) fn parse(dep: &str, softdep: &str, builtin: &str) -> anyhow::Result<Self> {
        let mut found = Self { builtin: builtin.lines().filter_map(name_of).collect(), ..Self::default() };
        let lines: Vec<_> = lines(dep).collect();
        for &(number, line) in &lines {
            found.add(line).with_context(|| format!("modules.dep, line {number}"))?;
        }
        for (place, &(number, line)) in lines.iter().enumerate() {
            found.link(place, line).with_context(|| format!("modules.dep, line {number}"))?;
        }
        for (_, line) in self::lines(softdep) {
            found.soften(line);
        }
        Ok(found)
    }

    /// The modules of these names and all their dependencies, by their paths below the modules'
    /// directory, in the order to load them. Built-in modules need no loading.
    ///
    /// # Errors
    /// There is no such module, or a module depends on itself.
    pub(super) fn in_order<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> anyhow::Result<Vec<&str>> {
        let mut states = vec![State::Unseen; self.modules.len()];
        let mut order = Vec::new();
        for name in names {
            match self.by_name.get(&spelled(name)) {
                Some(place) => self.walk(*place, &mut states, &mut order)?,
                None if self.builtin.contains(&spelled(name)) => {}
                None => bail!("no module {name} in modules.dep, and none is built in (modules.builtin)"),
            }
        }
        Ok(order)
    }

    /// Whether there is a module of this name that is not built in.
    pub(super) fn has(&self, name: &str) -> bool {
        self.by_name.contains_key(&spelled(name))
    }

    /// The paths of a module's dependencies, in the order of its line.
    pub(super) fn needs(&self, path: &str) -> impl Iterator<Item = &str> {
        let place =
            name_of(path).and_then(|name| self.by_name.get(&name)).and_then(|at| self.modules.get(*at));
        let needs = place.map_or(&[][..], |module| &module.needs);
        needs.iter().filter_map(|place| Some(self.modules.get(*place)?.path.as_str()))
    }

    /// Walks through dependencies without recursion: a hostile file can make them as deep as it is
    /// long.
    fn walk<'s>(
        &'s self,
        first: usize,
        states: &mut [State],
        order: &mut Vec<&'s str>,
    ) -> anyhow::Result<()> {
        let (mut steps, mut opened, mut offers) = (vec![Step::Enter(first)], Vec::new(), Vec::<Offer>::new());
        while let Some(step) = steps.pop() {
            while offers.last().is_some_and(|offer| offer.steps > steps.len()) {
                offers.pop();
            }
            match step {
                Step::Leave(place) => {
                    states[place] = State::Done;
                    order.push(&self.modules[place].path);
                }
                Step::Enter(place) if states[place] == State::Open => {
                    let Some(offer) = offers.pop() else {
                        let path = &self.modules[place].path;
                        bail!("{path} depends on itself through others in modules.dep");
                    };
                    // The soft dependency depends on the module that has it, so it cannot be loaded
                    // earlier.
                    steps.truncate(offer.steps);
                    opened.drain(offer.opened..).for_each(|place: usize| {
                        if states[place] == State::Open {
                            states[place] = State::Unseen;
                        }
                    });
                }
                Step::Enter(place) | Step::Offer(place) if states[place] == State::Unseen => {
                    if matches!(step, Step::Offer(_)) {
                        offers.push(Offer { steps: steps.len(), opened: opened.len() });
                    }
                    states[place] = State::Open;
                    opened.push(place);
                    self.add_steps(place, &mut steps);
                }
                Step::Enter(_) | Step::Offer(_) => {}
            }
        }
        Ok(())
    }

    /// Adds the steps of a module; the last one is taken first.
    fn add_steps(&self, place: usize, steps: &mut Vec<Step>) {
        let module = &self.modules[place];
        let soft = name_of(&module.path).and_then(|name| self.soft.get(&name));
        let offers = |names: &[String]| {
            let places = names.iter().rev().filter_map(|name| self.by_name.get(name));
            places.map(|place| Step::Offer(*place)).collect::<Vec<_>>()
        };
        steps.extend(soft.map(|soft| offers(&soft.after)).unwrap_or_default());
        steps.push(Step::Leave(place));
        steps.extend(module.needs.iter().map(|need| Step::Enter(*need)));
        steps.extend(soft.map(|soft| offers(&soft.before)).unwrap_or_default());
    }

    fn add(&mut self, line: &str) -> anyhow::Result<()> {
        let (path, _) =
            line.split_once(':').with_context(|| format!("{:?} is not MODULE: NEEDS...", start(line)))?;
        check_path(path)?;
        let name = name_of(path).with_context(|| format!("{:?} does not end in .ko", start(path)))?;
        if let Some(other) = self.by_name.insert(name, self.modules.len()) {
            bail!("{} and {} have the same name", self.modules[other].path, path);
        }
        self.modules.push(Module { path: path.to_owned(), needs: Vec::new() });
        Ok(())
    }

    /// Looks up the dependencies of the module at this index.
    fn link(&mut self, place: usize, line: &str) -> anyhow::Result<()> {
        let needs = line.split_once(':').map_or("", |(_, needs)| needs).split_whitespace();
        let needs = needs.map(|path| {
            let there = name_of(path).and_then(|name| self.by_name.get(&name).copied());
            let there = there.filter(|place| self.modules[*place].path == path);
            there.with_context(|| format!("{:?} is a dependency without a line", start(path)))
        });
        self.modules[place].needs = needs.collect::<anyhow::Result<_>>()?;
        Ok(())
    }

    /// Reads `softdep NAME pre: A B post: C`. A malformed line is ignored: soft dependencies are
    /// optional.
    fn soften(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        let (Some("softdep"), Some(name)) = (words.next(), words.next()) else { return };
        let soft = self.soft.entry(spelled(name)).or_default();
        let mut list = None;
        for word in words {
            match (word, &mut list) {
                ("pre:", _) => list = Some(true),
                ("post:", _) => list = Some(false),
                (name, Some(true)) => soft.before.push(spelled(name)),
                (name, Some(false)) => soft.after.push(spelled(name)),
                (_, None) => {}
            }
        }
    }
}

/// `virtio-rng` is `virtio_rng` in the kernel.
pub(super) fn spelled(name: &str) -> String {
    name.replace('-', "_")
}

/// The path without the extension of its compression.
pub(super) fn uncompressed(path: &str) -> &str {
    [".xz", ".zst", ".gz"].iter().find_map(|end| path.strip_suffix(end)).unwrap_or(path)
}

fn name_of(path: &str) -> Option<String> {
    let file = path.rsplit('/').next()?;
    Some(spelled(uncompressed(file).strip_suffix(".ko").filter(|name| !name.is_empty())?))
}

fn check_path(path: &str) -> anyhow::Result<()> {
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) || path.contains('\0') {
        bail!("{:?} is not a path below the modules' directory", start(path));
    }
    Ok(())
}

/// Lines that are neither empty nor comments, with their numbers.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'))
}

/// Enough of a text to recognise it.
fn start(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEP: &str = "kernel/ring.ko:
kernel/virtio.ko: kernel/ring.ko
kernel/virtio-pci.ko.xz: kernel/virtio.ko kernel/ring.ko
kernel/crc.ko:
kernel/fast-crc.ko:
kernel/fs.ko: kernel/crc.ko
";

    fn order(dep: &str, softdep: &str, names: &[&str]) -> Result<Vec<String>, String> {
        let modules = Modules::parse(dep, softdep, "kernel/ext4.ko\nkernel/usb-core.ko\n")
            .map_err(|error| format!("{error:#}"))?;
        let order = modules.in_order(names.iter().copied()).map_err(|error| format!("{error:#}"))?;
        Ok(order.into_iter().map(str::to_owned).collect())
    }

    #[test]
    fn dependencies_come_first_and_once() {
        let found = order(DEP, "", &["virtio_pci", "virtio", "fs"]).unwrap();
        assert_eq!(
            found,
            [
                "kernel/ring.ko",
                "kernel/virtio.ko",
                "kernel/virtio-pci.ko.xz",
                "kernel/crc.ko",
                "kernel/fs.ko"
            ]
        );
    }

    #[test]
    fn a_dash_is_an_underscore_in_a_name_and_the_other_way_round() {
        assert_eq!(order(DEP, "", &["virtio-pci"]), order(DEP, "", &["virtio_pci"]));
    }

    #[test]
    fn built_in_modules_need_no_loading() {
        assert_eq!(order(DEP, "", &["ext4", "usb_core", "usb-core"]).unwrap(), [""; 0]);
    }

    #[test]
    fn an_unknown_module_is_refused_by_name() {
        let error = order(DEP, "", &["virtio", "vitrio_net"]).unwrap_err();
        assert_eq!(error, "no module vitrio_net in modules.dep, and none is built in (modules.builtin)");
    }

    #[test]
    fn soft_dependencies_are_loaded_if_possible() {
        let soft = "# Soft dependencies\nsoftdep crc pre: fast_crc nothing post: ring\n\
                    softdep fast-crc pre: crc\nsoftdep\n";
        let found = order(DEP, soft, &["fs"]).unwrap();
        assert_eq!(found, ["kernel/fast-crc.ko", "kernel/crc.ko", "kernel/ring.ko", "kernel/fs.ko"]);
    }

    #[test]
    fn an_impossible_soft_dependency_is_ignored() {
        let dep = "a.ko: b.ko\nb.ko: c.ko\nc.ko:\nd.ko: a.ko\n";
        assert_eq!(order(dep, "softdep c pre: d\n", &["a"]).unwrap(), ["c.ko", "b.ko", "a.ko"]);
        assert_eq!(order(dep, "softdep c pre: d\n", &["c"]).unwrap(), ["c.ko"]);
        let circle = "a.ko:\nb.ko: c.ko\nc.ko: b.ko\n";
        assert_eq!(order(circle, "softdep a pre: b\n", &["a"]).unwrap(), ["a.ko"]);
    }

    #[test]
    fn a_circle_is_refused() {
        for dep in ["a.ko: a.ko", "a.ko: b.ko\nb.ko: c.ko\nc.ko: a.ko"] {
            let error = order(dep, "", &["a"]).unwrap_err();
            assert_eq!(error, "a.ko depends on itself through others in modules.dep");
        }
    }

    #[test]
    fn a_path_outside_the_directory_is_refused_with_its_line() {
        for path in ["/lib/a.ko", "../a.ko", "a/../../b.ko", "a//b.ko", "./a.ko", "a\0/b.ko"] {
            let error = order(&format!("ok.ko:\n{path}:\n"), "", &[]).unwrap_err();
            assert!(
                error.starts_with("modules.dep, line 2: ")
                    && error.ends_with("not a path below the modules' directory"),
                "{error}"
            );
            let error = order(&format!("ok.ko: {path}\n"), "", &[]).unwrap_err();
            assert!(error.ends_with("is a dependency without a line"), "{error}");
        }
    }

    #[test]
    fn malformed_lines_are_refused() {
        for (dep, complaint) in [
            ("a.ko", "\"a.ko\" is not MODULE: NEEDS..."),
            ("a.o:", "\"a.o\" does not end in .ko"),
            (".ko:", "\".ko\" does not end in .ko"),
            ("a/x-y.ko:\nb/x_y.ko.zst:", "a/x-y.ko and b/x_y.ko.zst have the same name"),
            ("a.ko: b.ko", "\"b.ko\" is a dependency without a line"),
        ] {
            let error = order(dep, "", &[]).unwrap_err();
            assert!(error.ends_with(complaint), "{error}");
        }
    }

    #[test]
    fn a_chain_as_long_as_a_file_may_be_is_walked() {
        let dep: String = (0..200_000).map(|n| format!("m{n}.ko: m{}.ko\n", n + 1)).collect();
        let found = order(&format!("{dep}m200000.ko:\n"), "", &["m0"]).unwrap();
        assert_eq!((found.len(), found[0].as_str()), (200_001, "m200000.ko"));
    }
}
