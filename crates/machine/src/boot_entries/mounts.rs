//! `/proc/self/mountinfo`: which part of which file system is mounted where (proc(5)).

/// A mounted file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Major and minor number of its device, as in `8:1`. Btrfs has a number of its own.
    pub device: String,
    /// The directory of the file system that is mounted.
    pub root: String,
    /// Where it is mounted.
    pub point: String,
    /// Its device file.
    pub source: String,
}

/// Parses the list; lines of another form are left out.
#[must_use]
pub fn parse(text: &str) -> Vec<Mount> {
    text.lines().filter_map(mount).collect()
}

fn mount(line: &str) -> Option<Mount> {
    let (before, after) = line.split_once(" - ")?;
    let mut fields = before.split(' ').skip(2);
    let (device, root, point) = (fields.next()?, fields.next()?, fields.next()?);
    let source = after.split(' ').nth(1)?;
    Some(Mount {
        device: device.into(),
        root: unescaped(root),
        point: unescaped(point),
        source: unescaped(source),
    })
}

/// Replaces `\040` and the like.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let octal = |digits: &[u8; 3]| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok();
        match after.first_chunk().filter(|_| byte == b'\\').and_then(octal) {
            Some(escaped) => {
                bytes.push(escaped);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Mount {
    /// Where a file of this file system is on this machine, unless it is in another part of it.
    #[must_use]
    pub fn place_of(&self, path: &str) -> Option<String> {
        let inner = match self.root.as_str() {
            "/" => path,
            root => path.strip_prefix(root).filter(|inner| inner.starts_with('/'))?,
        };
        Some(format!("{}{inner}", self.point.trim_end_matches('/')))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_below_the_mount_point_of_its_part() {
        let text = "29 1 0:26 /@ / rw - btrfs /dev/sda2 rw\n31 29 8:1 / /boot\\040dir rw shared:1 - vfat \
                    /dev/sda1 rw\nshort\n";
        let mounts = parse(text);
        assert_eq!(mounts.len(), 2);
        assert_eq!(mounts[0].place_of("/@/boot/k").as_deref(), Some("/boot/k"));
        assert_eq!(mounts[0].place_of("/@home/k"), None);
        assert_eq!(mounts[1].place_of("/k").as_deref(), Some("/boot dir/k"));
        assert_eq!((mounts[1].device.as_str(), mounts[1].source.as_str()), ("8:1", "/dev/sda1"));
    }
}
