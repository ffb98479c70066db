//! The memory of this program.

/// The most memory that this program has used so far, in bytes. Files that it has mapped count as
/// far as they were read. `None` if /proc is not mounted.
#[must_use]
pub fn peak() -> Option<u64> {
    parse(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn parse(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_grows_with_what_is_used() {
        let before = peak().unwrap();
        let memory = vec![1_u8; 64 << 20];
        assert!(peak().unwrap() > before + (32 << 20), "{}", memory.len());
    }

    #[test]
    fn a_status_without_it_has_no_peak() {
        assert_eq!(parse("Name:\tcat\nVmHWM:\t    1234 kB\nVmRSS:\t 5 kB\n"), Some(1234 << 10));
        assert_eq!(parse("Name:\tcat\n"), None);
    }
}
