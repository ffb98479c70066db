use std::fmt;

/// A number of bytes for people: in the largest unit of which there is at least one, with one
/// decimal if it is not zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amount(pub u64);

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
        let Some((shift, unit)) = units.into_iter().find(|&(shift, _)| self.0 >> shift > 0) else {
            return write!(f, "{} B", self.0);
        };
        let tenths = (u128::from(self.0) * 10) >> shift;
        match tenths % 10 {
            0 => write!(f, "{} {unit}", tenths / 10),
            tenth => write!(f, "{}.{tenth} {unit}", tenths / 10),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_has_the_largest_unit_that_is_not_below_one() {
        let texts = [0, 1023, 1024, 1536, 52 << 20, u64::MAX].map(|bytes| Amount(bytes).to_string());
        assert_eq!(texts, ["0 B", "1023 B", "1 KiB", "1.5 KiB", "52 MiB", "16777215.9 TiB"]);
    }
}
