//! What the other machine executes: a few lines for any POSIX shell. They read a stream and its
//! trailer, check them, and print lines that start with [`MARK`].

use std::fmt::Write;

/// Starts each line that is an answer; a login shell may print others.
pub(super) const MARK: &str = "kjump: ";
/// The answer when the file was made: the stream may begin.
pub(super) const READY: &str = "ready";
/// The answer when the file has its name; the checksum was compared.
pub(super) const SAVED: &str = "saved";
/// The same, but there is no program for the checksum.
pub(super) const SAVED_UNCHECKED: &str = "saved unchecked";

/// Bytes of the trailer: a SHA-256 digest, the length in 20 columns, a space and a line's end.
const TRAILER: usize = 64 + 1 + 20 + 1;

/// The stream's last bytes, which the other machine removes: its digest, and its length in bytes.
pub(super) fn trailer(digest: &str, length: u64) -> String {
    format!("{digest} {length:>20}\n")
}

/// The command for ssh. The other machine's login shell may be any: it finds one word in single
/// quotes, without quotes, exclamation marks and line ends in it. In that word, the path is in
/// octal.
pub(super) fn command(path: &[u8]) -> String {
    let octal = path.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "\\{byte:03o}");
        text
    });
    let lines = [
        format!("umask 077; f=$(printf \"{octal}x\"); f=${{f%x}}; t=$f.incomplete"),
        format!("say() {{ printf \"{MARK}%s\\n\" \"$1\"; }}"),
        "fail() { say \"$1\"; exit 3; }".to_owned(),
        "if [ -e \"$f\" ]; then [ -f \"$f\" ] || fail \"it exists and is not a regular file\"; fi".to_owned(),
        // Another user may have put a link there.
        "rm -f \"$t\"; set -C; true > \"$t\" || fail \"the file cannot be made\"".to_owned(),
        format!("say {READY}; cat >> \"$t\" || fail \"the file cannot be written\""),
        format!("n=$(wc -c < \"$t\"); n=$((n - {TRAILER}))"),
        format!("set -- $(tail -c {TRAILER} \"$t\" | tr -c 0-9a-f \" \")"),
        "case \"$#/$2\" in \"2/$n\") ;; *) fail \"the stream was cut off\" ;; esac".to_owned(),
        "dd if=/dev/null of=\"$t\" bs=1 seek=\"$n\" count=0 2> /dev/null || fail \"the file cannot be \
         shortened\""
            .to_owned(),
        format!("a=\"{SAVED_UNCHECKED}\"; if command -v sha256sum > /dev/null"),
        format!("then set -- \"$1\" $(sha256sum < \"$t\"); a={SAVED}"),
        "[ \"$1\" = \"$2\" ] || fail \"the checksum of what arrived is wrong\"; fi".to_owned(),
        "sync \"$t\" 2> /dev/null || sync".to_owned(),
        "mv -f \"$t\" \"$f\" || fail \"the file cannot be renamed\"; say \"$a\"".to_owned(),
    ];
    format!("exec sh -c '{}'", lines.join("; "))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;
    use std::process::{Command, Stdio};

    use super::*;
    use crate::dump::sink::counted::Counted;

    /// Runs the command by a shell, as sshd does; returns its answers, and whether it succeeded.
    fn run(path: &[u8], stream: &[u8]) -> (String, bool) {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(command(path)).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = shell.spawn().unwrap();
        // It may have ended without reading.
        let _ = child.stdin.take().unwrap().write_all(stream);
        let output = child.wait_with_output().unwrap();
        (String::from_utf8(output.stdout).unwrap(), output.status.success())
    }

    fn with_trailer(bytes: &[u8]) -> Vec<u8> {
        let mut counted = Counted::new(Vec::new());
        counted.write_all(bytes).unwrap();
        [bytes, trailer(&counted.digest(), counted.count()).as_bytes()].concat()
    }

    fn directory(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("kjump-ssh-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        dir
    }

    #[test]
    fn a_path_of_any_bytes_is_written_and_nothing_in_it_is_executed() {
        let dir = directory("paths");
        let all: Vec<u8> = (1..=255).filter(|byte| *byte != b'/').collect();
        let names =
            [b"a", &all[..200], &all[200..], b"$(touch x)", b"'; touch x; '", b"-rf", b"line\n", b"!!"];
        for name in names {
            let path = [dir.as_os_str().as_bytes(), b"/", name].concat();
            let bytes = [b"stream \0\xff\n", name].concat();
            assert_eq!(run(&path, &with_trailer(&bytes)), ("kjump: ready\nkjump: saved\n".to_owned(), true));
            let file = dir.join(std::ffi::OsStr::from_bytes(name));
            assert_eq!(std::fs::read(&file).unwrap(), bytes);
            assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), names.len());
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_stream_that_is_cut_off_or_damaged_keeps_another_name() {
        let dir = directory("cut");
        let (path, target) = (dir.join("dump"), dir.join("target"));
        std::fs::write(&path, "old").unwrap();
        std::fs::write(&target, "other").unwrap();
        std::os::unix::fs::symlink(&target, dir.join("dump.incomplete")).unwrap();
        let whole = with_trailer(&[7; 1000]);
        let mut damaged = whole.clone();
        damaged[500] ^= 1;
        for (stream, answer) in [
            (&whole[..], "saved"),
            (&whole[..900], "the stream was cut off"),
            (&whole[..1085], "the stream was cut off"),
            (b"", "the stream was cut off"),
            (&damaged, "the checksum of what arrived is wrong"),
        ] {
            std::fs::write(&path, "old").unwrap();
            let is_saved = answer == "saved";
            let expected = (format!("kjump: ready\nkjump: {answer}\n"), is_saved);
            assert_eq!(run(path.as_os_str().as_bytes(), stream), expected);
            assert_eq!(std::fs::read(&path).unwrap() == b"old", !is_saved);
            assert_eq!(dir.join("dump.incomplete").exists(), !is_saved);
        }
        assert_eq!(std::fs::read(&target).unwrap(), b"other", "a link was followed");
        for (path, answer) in [
            (dir.clone(), "kjump: it exists and is not a regular file\n"),
            (dir.join("none/dump"), "kjump: the file cannot be made\n"),
        ] {
            assert_eq!(run(path.as_os_str().as_bytes(), &whole), (answer.to_owned(), false));
        }
        std::fs::remove_dir_all(dir).unwrap();
    }
}
