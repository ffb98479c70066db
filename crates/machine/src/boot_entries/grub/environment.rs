//! GRUB's environment block, `grubenv`: variables that outlive a boot.

use std::collections::BTreeMap;

use crate::Garbled;

/// Parses an environment block.
///
/// # Errors
/// [`Garbled`] if it does not start with GRUB's line.
pub fn parse(text: &str) -> Result<BTreeMap<String, String>, Garbled> {
    const SIGNATURE: &str = "# GRUB Environment Block\n";
    let Some(text) = text.strip_prefix(SIGNATURE) else {
        return Err(Garbled { line: 1, wanted: "`# GRUB Environment Block`" });
    };
    let mut variables = BTreeMap::new();
    let mut line = String::new();
    let mut rest = text.chars();
    while let Some(next) = rest.next() {
        match next {
            '\\' => line.extend(rest.next()),
            '\n' => note(&mut variables, &std::mem::take(&mut line)),
            _ => line.push(next),
        }
    }
    // The rest is padding.
    note(&mut variables, &line);
    Ok(variables)
}

fn note(variables: &mut BTreeMap<String, String>, line: &str) {
    if let Some((name, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) {
        variables.insert(name.into(), value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_end_at_the_padding() {
        let text = "# GRUB Environment Block\nsaved_entry=a>b\nkernelopts=root=/dev/vda1 ro\\\\x\n#######";
        let variables = parse(text).unwrap();
        assert_eq!(variables.get("saved_entry").unwrap(), "a>b");
        assert_eq!(variables.get("kernelopts").unwrap(), "root=/dev/vda1 ro\\x");
        assert_eq!(variables.len(), 2);
        assert!(parse("saved_entry=1\n").is_err());
    }
}
