//! RPM packages, made by rpmbuild from the same list as Debian's. The same tree makes the same
//! bytes.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::contents::{self, Content, Entry, Package};
use super::stage;
use crate::debian::programs;
use crate::{program, tree};

/// The scriptlets of a package, as far as it has them: files of `packaging/NAME/rpm`.
const SCRIPTLETS: [&str; 4] = ["post", "preun", "postun", "posttrans"];
/// What only Debian has a use for. Of the tools that make an initrd, the others have dracut.
const OF_DEBIAN: [&str; 2] = ["/usr/share/lintian/", "/usr/share/initramfs-tools/"];
/// What has another place in distributions that use RPM.
const MOVED: [(&str, &str); 2] = [
    ("/usr/share/zsh/vendor-completions/_kjump", "/usr/share/zsh/site-functions/_kjump"),
    ("/usr/bin/makedumpfile", "/usr/sbin/makedumpfile"),
];
/// In a spec, the files of the package, which rpmbuild gets in a directory that this names.
const INSTALL: &str = r#"
%install
cp --archive "$KJUMP_STAGE/." "$RPM_BUILD_ROOT"
find "$RPM_BUILD_ROOT" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
"#;

/// Makes `NAME-VERSION-1.ARCHITECTURE.rpm` in a directory. Returns its path.
///
/// # Errors
/// A file cannot be read or written, the changelog is of another version, or rpmbuild cannot be
/// fetched or fails.
pub(crate) fn build(package: &Package, dir: &Path) -> Result<PathBuf> {
    let entries = entries(package);
    let work = std::path::absolute(dir)?.join("rpmbuild").join(package.name);
    tree::recreate(&work)?;
    let (stage, made) = (work.join("stage"), work.join("made"));
    stage::fill(&stage, &entries)?;
    let spec = work.join("spec");
    fs::write(&spec, text_of_spec(package, &entries)?)?;
    for name in ["BUILD", "tmp"] {
        fs::create_dir(work.join(name))?;
    }
    let mut rpmbuild = programs::rpm("rpmbuild", &work)?;
    rpmbuild.env("KJUMP_STAGE", &stage).env("SOURCE_DATE_EPOCH", stage::date()?);
    rpmbuild.args(["-bb", "--quiet", "--target", "x86_64-linux"]);
    let (work, made_in) = (work.display(), made.display());
    for definition in [
        format!("_topdir {work}"),
        format!("_tmppath {work}/tmp"),
        format!("_rpmdir {made_in}"),
        "_rpmfilename %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm".to_owned(),
        "_buildhost localhost".to_owned(),
        "use_source_date_epoch_as_buildtime 1".to_owned(),
        // The files are what they should be: nothing is stripped or compressed.
        "__os_install_post %{nil}".to_owned(),
        // Links that would lead debuggers to symbols, which are not packaged.
        "_build_id_links none".to_owned(),
        "_binary_payload w12.zstdio".to_owned(),
        "_binary_filedigest_algorithm 8".to_owned(),
    ] {
        rpmbuild.arg("--define").arg(definition);
    }
    program::quiet(rpmbuild.arg(&spec))?;
    moved(&made, dir)
}

/// The entries of a package for distributions that use RPM.
pub(crate) fn entries(package: &Package) -> Vec<Entry> {
    let papers = ["copyright", "changelog.gz"].map(|name| format!("/usr/share/doc/{}/{name}", package.name));
    let stays = |path: &str| {
        !OF_DEBIAN.iter().any(|place| path.starts_with(place)) && !papers.iter().any(|paper| paper == path)
    };
    let of_debian = package.entries.iter().filter(|entry| stays(&entry.path));
    let mut entries: Vec<Entry> = of_debian.map(in_its_place).collect();
    let licenses: &[&str] = match package.name {
        "kjump-dkms" => &["module/LICENSE-GPL-2.0"],
        _ => &["LICENSE-APACHE", "LICENSE-MIT"],
    };
    entries.extend(licenses.iter().map(|file| {
        let name = file.rsplit('/').next().unwrap_or_default();
        let path = format!("/usr/share/licenses/{}/{name}", package.name);
        Entry { path, content: Content::File(tree::root().join(file)) }
    }));
    entries
}

fn in_its_place(entry: &Entry) -> Entry {
    let place = MOVED.iter().find(|(from, _)| *from == entry.path);
    match (place, &entry.content) {
        (None, content) => Entry { path: entry.path.clone(), content: content.clone() },
        // Next to the program.
        (Some((_, to)), Content::Link(_)) => Entry { path: (*to).into(), content: Content::Link("kjump") },
        (Some((_, to)), content) => Entry { path: (*to).into(), content: content.clone() },
    }
}

/// The spec of a package: its own beginning, the files and the scriptlets.
fn text_of_spec(package: &Package, entries: &[Entry]) -> Result<String> {
    let beginning = contents::template(package.name, "rpm/spec")?;
    let mut spec = beginning.replace("@MAINTAINER@", &stage::maintainer()?);
    // The packages need nothing but what they name.
    spec = format!("AutoReqProv: no\n{spec}{INSTALL}\n%files\n%defattr(-, root, root, 0755)\n");
    let configuration = contents::configuration(package.name)?;
    for directory in directories(entries) {
        writeln!(spec, "%dir {directory}")?;
    }
    for Entry { path, .. } in entries {
        let kind = match path {
            path if configuration.contains(path) => "%config(noreplace) ",
            path if path.starts_with("/usr/share/licenses/") => "%license ",
            _ => "",
        };
        writeln!(spec, "{kind}{path}")?;
    }
    let sources = tree::root().join("packaging").join(package.name).join("rpm");
    for name in SCRIPTLETS.iter().filter(|name| sources.join(name).exists()) {
        let text = contents::template(package.name, &format!("rpm/{name}"))?;
        // No macros are in them.
        write!(spec, "\n%{name}\n{}", text.replace('%', "%%"))?;
    }
    Ok(spec)
}

/// The directories that are kjump's own, and are removed with the package.
fn directories(entries: &[Entry]) -> Vec<&str> {
    let above =
        |path| std::iter::successors(Some(path), |path: &&str| Some(path.rsplit_once('/')?.0)).skip(1);
    let mut own: Vec<&str> = entries.iter().flat_map(|entry| above(entry.path.as_str())).collect();
    own.retain(|path| path.contains("kjump"));
    own.sort_unstable();
    own.dedup();
    own
}

/// Moves the one package in a directory to another directory.
fn moved(from: &Path, to: &Path) -> Result<PathBuf> {
    let made = fs::read_dir(from)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    let [made] = made.as_slice() else { anyhow::bail!("rpmbuild made {} packages, not one", made.len()) };
    let place = to.join(made.file_name().unwrap_or_default());
    fs::rename(made, &place)?;
    Ok(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str) -> Entry {
        Entry { path: path.into(), content: Content::Text(String::new()) }
    }

    #[test]
    fn only_directories_of_kjump_are_owned() {
        let entries = ["/usr/sbin/kjump", "/usr/lib/kjump/bin/kexec", "/usr/lib/dracut/modules.d/95kjump/a"];
        let entries = entries.map(entry);
        let own = ["/usr/lib/dracut/modules.d/95kjump", "/usr/lib/kjump", "/usr/lib/kjump/bin"];
        assert_eq!(directories(&entries), own);
    }

    #[test]
    fn debians_papers_stay_and_the_commands_are_where_fedora_has_them() {
        let link = Entry { path: "/usr/bin/makedumpfile".into(), content: Content::Link("../sbin/kjump") };
        let papers = ["/usr/share/doc/kjump/copyright", "/usr/share/lintian/overrides/kjump"].map(entry);
        let package =
            Package { name: "kjump", entries: papers.into_iter().chain([link, entry("/usr/x")]).collect() };
        let entries = entries(&package);
        let paths: Vec<_> = entries.iter().map(|entry| entry.path.as_str()).collect();
        let licenses = ["/usr/share/licenses/kjump/LICENSE-APACHE", "/usr/share/licenses/kjump/LICENSE-MIT"];
        assert_eq!(paths, ["/usr/sbin/makedumpfile", "/usr/x", licenses[0], licenses[1]]);
        assert!(matches!(entries[0].content, Content::Link("kjump")));
    }
}
