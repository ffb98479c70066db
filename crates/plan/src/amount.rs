use std::fmt;

/// A number of bytes for people, in the largest unit of which there is at least one: three digits,
/// or the four of 1000 to 1023. A decimal that is zero is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amount(pub u64);

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(60, "EiB"), (50, "PiB"), (40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
        let Some((shift, unit)) = units.into_iter().find(|&(shift, _)| self.0 >> shift > 0) else {
            return write!(f, "{} B", self.0);
        };
        let tenths = (u128::from(self.0) * 10) >> shift;
        match (tenths / 10, tenths % 10) {
            (whole @ 0..100, tenth @ 1..) => write!(f, "{whole}.{tenth} {unit}"),
            (whole, _) => write!(f, "{whole} {unit}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_has_the_largest_unit_that_is_not_below_one() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (1536, "1.5 KiB"),
            (0x9_f000, "636 KiB"),
            (0x9_f200, "636 KiB"),
            (52 << 20, "52 MiB"),
            (1536 << 20, "1.5 GiB"),
            ((10 << 20) + (512 << 10), "10.5 MiB"),
            (u64::MAX, "15.9 EiB"),
        ] {
            assert_eq!(Amount(bytes).to_string(), text);
        }
    }
}
