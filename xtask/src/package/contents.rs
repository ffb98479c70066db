//! The packages and their files: one list, whatever format the packages have in the end.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::build::{module, payloads, product};
use crate::task::docs;
use crate::tree;

/// A package before it has a format.
pub(crate) struct Package {
    /// Its name, and that of its directory below `packaging/`.
    pub(crate) name: &'static str,
    /// Files and links, in no order.
    pub(crate) entries: Vec<Entry>,
}

/// One file or link of a package.
pub(crate) struct Entry {
    /// Absolute path on the user's machine.
    pub(crate) path: String,
    pub(crate) content: Content,
}

/// Where the bytes of an [`Entry`] come from.
#[derive(Clone)]
pub(crate) enum Content {
    /// A program: mode 0755.
    Program(PathBuf),
    /// A file: mode 0644.
    File(PathBuf),
    /// A file to compress with gzip, for manual pages and changelogs: mode 0644.
    Compressed(PathBuf),
    /// Text made here: mode 0644.
    Text(String),
    /// A symbolic link to this.
    Link(&'static str),
}

impl Entry {
    fn new(path: impl Into<String>, content: Content) -> Entry {
        Entry { path: path.into(), content }
    }
}

/// The commands that kjump answers to in place of another package's: the path it has there since
/// Debian 13, and the link.
const COMMANDS: [(&str, &str); 3] = [
    ("/usr/sbin/kexec", "kjump"),
    ("/usr/sbin/vmcore-dmesg", "kjump"),
    ("/usr/bin/makedumpfile", "../sbin/kjump"),
];
/// Payloads to try a call with; the others are for tests.
const PAYLOADS: [&str; 3] = ["sum64", "reverse64", "phy_mode"];

/// Every package, with everything in it built.
///
/// # Errors
/// A part does not build.
pub(crate) fn packages() -> Result<Vec<Package>> {
    let docs = tree::target().join("packages/docs");
    docs::write(&docs)?;
    let mut packages = vec![program(&docs)?, dkms()?, commands(&docs), hibernation()];
    for package in &mut packages {
        package.entries.extend(papers(package.name)?);
    }
    Ok(packages)
}

/// The paths that `kjump-kexec-tools` diverts, under both names that a directory of programs can
/// have.
pub(crate) fn diverted() -> Vec<String> {
    let programs = COMMANDS.iter().map(|(path, _)| (*path).to_owned());
    // Debian 12's kexec-tools has its programs in /sbin.
    let old = COMMANDS.iter().filter_map(|(path, _)| path.strip_prefix("/usr/sbin"));
    programs.chain(old.map(|name| format!("/sbin{name}"))).chain(COMMANDS.iter().map(|c| page(c.0))).collect()
}

fn program(docs: &Path) -> Result<Package> {
    let program = product::static_program("kjump", "kjump")?;
    let mut entries = vec![Entry::new("/usr/sbin/kjump", Content::Program(program))];
    for (path, _) in COMMANDS {
        let name = path.rsplit('/').next().unwrap_or_default();
        entries.push(Entry::new(format!("/usr/lib/kjump/bin/{name}"), Content::Link("../../../sbin/kjump")));
    }
    let built = payloads::build()?;
    for name in PAYLOADS {
        entries
            .push(Entry::new(format!("/usr/lib/kjump/payloads/{name}"), Content::Program(built.join(name))));
    }
    for file in files(&docs.join("man"))? {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some((page, section)) = name.rsplit_once('.') else { bail!("{} has no section", file.display()) };
        if page.starts_with("kjump") {
            entries.push(Entry::new(
                format!("/usr/share/man/man{section}/{name}.gz"),
                Content::Compressed(file.clone()),
            ));
        }
    }
    for (file, path) in [
        ("bash/kjump.bash", "/usr/share/bash-completion/completions/kjump"),
        ("zsh/_kjump", "/usr/share/zsh/vendor-completions/_kjump"),
        ("fish/kjump.fish", "/usr/share/fish/vendor_completions.d/kjump.fish"),
    ] {
        entries.push(Entry::new(path, Content::File(docs.join(file))));
    }
    entries.extend(fast_reboot());
    entries.push(documentation(&tree::root().join("README.md")));
    entries.extend(files(&tree::root().join("docs"))?.iter().map(|file| documentation(file)));
    Ok(Package { name: "kjump", entries })
}

/// The unit that makes a reboot a kexec, and its two scripts: as the system goes down, and at last.
fn fast_reboot() -> [Entry; 3] {
    let source = |name| tree::root().join("packaging/kjump").join(name);
    [
        Entry::new("/usr/lib/systemd/system/kjump-load.service", Content::File(source("kjump-load.service"))),
        Entry::new("/usr/lib/kjump/load-at-reboot", Content::Program(source("load-at-reboot"))),
        Entry::new("/usr/lib/systemd/system-shutdown/kjump", Content::Program(source("start-at-reboot"))),
    ]
}

/// The configuration, units and hooks of hibernation.
fn hibernation() -> Package {
    const UNITS: &str = "/usr/lib/systemd/system";
    const DRACUT: &str = "/usr/lib/dracut/modules.d/95kjump";
    let source = |name| tree::root().join("packaging/kjump-hibernate").join(name);
    let file = |path: String, name| Entry::new(path, Content::File(source(name)));
    let program = |path: String, name| Entry::new(path, Content::Program(source(name)));
    let entries = vec![
        file("/etc/kjump/hibernate.conf".into(), "hibernate.conf"),
        file("/usr/lib/kjump/hibernate-common".into(), "hibernate-common"),
        program("/usr/lib/kjump/hibernate".into(), "hibernate"),
        program("/usr/lib/kjump/resume-at-boot".into(), "resume-at-boot"),
        file(format!("{UNITS}/kjump-hibernate.service"), "kjump-hibernate.service"),
        file("/usr/share/kjump-hibernate/logind.conf".into(), "logind.conf"),
        program("/usr/share/initramfs-tools/hooks/kjump".into(), "initramfs-hook"),
        program("/usr/share/initramfs-tools/scripts/local-premount/kjump".into(), "initramfs-script"),
        program(format!("{DRACUT}/module-setup.sh"), "module-setup.sh"),
        file(format!("{DRACUT}/kjump-resume.service"), "kjump-resume.service"),
    ];
    Package { name: "kjump-hibernate", entries }
}

fn documentation(file: &Path) -> Entry {
    let name = file.file_name().unwrap_or_default().display();
    Entry::new(format!("/usr/share/doc/kjump/{name}"), Content::File(file.to_owned()))
}

/// The module's C half as source and its Rust half as an object, where DKMS looks for them.
fn dkms() -> Result<Package> {
    let directory = format!("/usr/src/kjump-{}", version());
    let mut entries = Vec::new();
    for file in module::sources()? {
        let path = format!("{directory}/{}", file.display());
        entries.push(Entry::new(path, Content::File(tree::root().join("module").join(file))));
    }
    let object = module::rust_object()?;
    entries.push(Entry::new(format!("{directory}/kjump_rust.o_shipped"), Content::File(object)));
    let conf = template("kjump-dkms", "dkms.conf")?;
    entries.push(Entry::new(format!("{directory}/dkms.conf"), Content::Text(conf)));
    Ok(Package { name: "kjump-dkms", entries })
}

/// Links and manual pages in the places of kexec-tools' and makedumpfile's.
fn commands(docs: &Path) -> Package {
    let mut entries = Vec::new();
    for (path, target) in COMMANDS {
        entries.push(Entry::new(path, Content::Link(target)));
        let name = path.rsplit('/').next().unwrap_or_default();
        entries.push(Entry::new(page(path), Content::Compressed(docs.join(format!("man/{name}.8")))));
    }
    Package { name: "kjump-kexec-tools", entries }
}

/// The manual page of the program at a path.
fn page(program: &str) -> String {
    format!("/usr/share/man/man8/{}.8.gz", program.rsplit('/').next().unwrap_or_default())
}

/// What every package of Debian's has: copyright, changelog, and the reasons for what lintian would
/// complain of.
fn papers(package: &str) -> Result<Vec<Entry>> {
    let packaging = tree::root().join("packaging");
    let doc = format!("/usr/share/doc/{package}");
    let mut entries = vec![
        Entry::new(format!("{doc}/copyright"), Content::File(packaging.join("copyright"))),
        Entry::new(format!("{doc}/changelog.gz"), Content::Compressed(packaging.join("changelog"))),
    ];
    let overrides = packaging.join(package).join("lintian-overrides");
    if overrides.exists() {
        let path = format!("/usr/share/lintian/overrides/{package}");
        entries.push(Entry::new(path, Content::File(overrides)));
    }
    Ok(entries)
}

/// The files of a package that its users change: an upgrade keeps their changes.
///
/// # Errors
/// The list cannot be read.
pub(crate) fn configuration(package: &str) -> Result<Vec<String>> {
    let path = tree::root().join("packaging").join(package).join("conffiles");
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// The version that every package has.
pub(crate) fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// A file of a package's directory below `packaging/`, with what is known here filled in.
///
/// # Errors
/// It cannot be read.
pub(crate) fn template(package: &str, file: &str) -> Result<String> {
    let path = tree::root().join("packaging").join(package).join(file);
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    Ok(text.replace("@VERSION@", version()).replace("@DIVERTED@", &diverted().join(" ")))
}

fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir).with_context(|| dir.display().to_string())?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_diverted_under_both_names_and_their_pages_once() {
        let diverted = diverted();
        for path in
            ["/usr/sbin/kexec", "/sbin/kexec", "/usr/bin/makedumpfile", "/usr/share/man/man8/kexec.8.gz"]
        {
            assert_eq!(diverted.iter().filter(|diverted| *diverted == path).count(), 1, "{path}");
        }
        assert!(!diverted.contains(&"/bin/makedumpfile".to_owned()));
    }

    #[test]
    fn no_template_keeps_a_field_that_nobody_fills_in() {
        for (package, file) in [
            ("kjump-dkms", "dkms.conf"),
            ("kjump-dkms", "postinst"),
            ("kjump-dkms", "prerm"),
            ("kjump-kexec-tools", "preinst"),
            ("kjump-kexec-tools", "postrm"),
            ("kjump-hibernate", "prerm"),
            ("kjump", "prerm"),
            ("kjump-dkms", "rpm/posttrans"),
            ("kjump-dkms", "rpm/preun"),
        ] {
            let text = template(package, file).unwrap();
            assert!(!text.contains('@'), "{package}/{file}");
        }
    }
}
