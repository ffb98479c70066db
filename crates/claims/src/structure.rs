//! Structures that grow from version to version: how much of a caller's structure is read.

/// The largest structure that is looked at, in bytes.
const LARGEST: u64 = 4096;

/// Why a structure is refused without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Shorter than the first version's.
    TooShort,
    /// Longer than any structure could become.
    TooLong,
}

/// The bytes of a structure that caller and module both know. `size` is the caller's, `first` that
/// of the structure's first version, `known` the module's. If the caller's structure is longer, the
/// rest must be zeros.
///
/// # Errors
/// The size is too small or too large.
pub const fn common_size(size: u64, first: u64, known: u64) -> Result<u64, Refusal> {
    if size < first {
        Err(Refusal::TooShort)
    } else if size > LARGEST {
        Err(Refusal::TooLong)
    } else if size < known {
        Ok(size)
    } else {
        Ok(known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_caller_is_served() {
        assert_eq!(common_size(72, 72, 80), Ok(72));
        assert_eq!(common_size(79, 72, 80), Ok(79));
    }

    #[test]
    fn a_newer_caller_is_served_what_is_known() {
        assert_eq!(common_size(80, 72, 80), Ok(80));
        assert_eq!(common_size(4096, 72, 80), Ok(80));
    }

    #[test]
    fn other_sizes_are_refused() {
        assert_eq!(common_size(0, 72, 80), Err(Refusal::TooShort));
        assert_eq!(common_size(71, 72, 80), Err(Refusal::TooShort));
        assert_eq!(common_size(4097, 72, 80), Err(Refusal::TooLong));
        assert_eq!(common_size(u64::MAX, 72, 80), Err(Refusal::TooLong));
    }
}
