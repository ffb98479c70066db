//! The order of versions (UAPI.10): numbers by their value, letters before digits.

use std::cmp::Ordering;

/// Compares two versions.
#[must_use]
pub fn compare(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (left.as_bytes(), right.as_bytes());
    loop {
        (left, right) = (valid(left), valid(right));
        let (first, second) = (left.first().copied(), right.first().copied());
        // A tilde is before everything, even the end; then come the other separators.
        for separator in [b'~', b'-', b'^', b'.'] {
            let (a, b) = (first == Some(separator), second == Some(separator));
            // Only a tilde is before the end of the version.
            let ended = first.is_none() || second.is_none();
            if a != b && (separator == b'~' || !ended) {
                return if a { Ordering::Less } else { Ordering::Greater };
            }
            if a && b {
                break;
            }
        }
        match (left.split_first(), right.split_first()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some((a, rest)), Some((b, other))) if a == b && !a.is_ascii_alphanumeric() => {
                (left, right) = (rest, other);
            }
            _ => {
                let order = part(&mut left, &mut right);
                if order != Ordering::Equal {
                    return order;
                }
            }
        }
    }
}

fn valid(text: &[u8]) -> &[u8] {
    let is_valid = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'~' | b'-' | b'^' | b'.');
    text.get(text.iter().take_while(|byte| !is_valid(byte)).count()..).unwrap_or_default()
}

/// Compares and removes a number or a run of letters at the start.
fn part(left: &mut &[u8], right: &mut &[u8]) -> Ordering {
    let is_number = |text: &[u8]| text.first().is_some_and(u8::is_ascii_digit);
    if is_number(left) || is_number(right) {
        let (a, b) = (take(left, u8::is_ascii_digit), take(right, u8::is_ascii_digit));
        let digits = |number: &[u8]| number.iter().skip_while(|&&digit| digit == b'0').count();
        let significant = |number: &'_ [u8]| number[number.len() - digits(number)..].to_vec();
        return (!a.is_empty())
            .cmp(&!b.is_empty())
            .then_with(|| digits(a).cmp(&digits(b)))
            .then_with(|| significant(a).cmp(&significant(b)));
    }
    take(left, u8::is_ascii_alphabetic).cmp(take(right, u8::is_ascii_alphabetic))
}

fn take<'a>(text: &mut &'a [u8], is_part: impl Fn(&u8) -> bool) -> &'a [u8] {
    let (part, rest) = text.split_at(text.iter().take_while(|byte| is_part(byte)).count());
    *text = rest;
    part
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn versions_are_in_order() {
        let rising = [
            "",
            "0-rescue",
            "5.3",
            "6.1.0-9-amd64",
            "6.1.0-35-amd64",
            "6.10~rc1",
            "6.10",
            "6.10-1",
            "6.10.0-1.fc39.x86_64",
            "6.10.1",
            "11.a",
            "11.1",
        ];
        for pair in rising.windows(2) {
            assert_eq!(compare(pair[0], pair[1]), Ordering::Less, "{pair:?}");
            assert_eq!(compare(pair[1], pair[0]), Ordering::Greater, "{pair:?}");
        }
        assert_eq!(compare("6.1_0", "6.1+0"), Ordering::Equal);
        assert_eq!(compare("6.01", "6.1"), Ordering::Equal);
    }

    proptest! {
        #[test]
        fn the_order_is_consistent(a in "[a1~.^-]{0,8}", b in "[a1~.^-]{0,8}", c in "[a1~.^-]{0,8}") {
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            prop_assert_eq!(compare(&a, &a), Ordering::Equal);
            if compare(&a, &b).is_le() && compare(&b, &c).is_le() {
                prop_assert!(compare(&a, &c).is_le());
            }
        }
    }
}
