//! Time and memory of commands in a guest, by busybox's `time -v`.

use std::collections::BTreeMap;

/// Time and memory of one command over several runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Timed {
    /// The shortest time.
    pub(crate) seconds: f64,
    /// The largest memory use.
    pub(crate) peak_mebibytes: f64,
}

/// A shell command that prints a line `= NAME` and then the time and memory of `line`.
pub(crate) fn command(name: &str, line: &str) -> String {
    format!("echo \"= {name}\"; time -v {line} 2>&1 | grep -E 'Elapsed|Maximum|rror|annot'\n")
}

/// The commands by name; `None` if the text cannot be parsed.
pub(crate) fn runs(text: &str) -> Option<BTreeMap<String, Timed>> {
    let mut found = BTreeMap::new();
    let (mut name, mut seconds) = ("", None);
    for line in text.lines() {
        if let Some(next) = line.strip_prefix("= ") {
            name = next;
        } else if let Some((_, time)) = line.split_once("Elapsed (wall clock) time (h:mm:ss or m:ss): ") {
            seconds = Some(in_seconds(time)?);
        } else if let Some((_, size)) = line.split_once("Maximum resident set size (kbytes): ") {
            // Busybox multiplies by the 4 KiB of a page a number that is in KiB already.
            let run =
                Timed { seconds: seconds.take()?, peak_mebibytes: size.trim().parse::<f64>().ok()? / 4096.0 };
            found.entry(name.to_owned()).and_modify(|known: &mut Timed| known.add(run)).or_insert(run);
        }
    }
    Some(found)
}

impl Timed {
    fn add(&mut self, run: Self) {
        self.seconds = self.seconds.min(run.seconds);
        self.peak_mebibytes = self.peak_mebibytes.max(run.peak_mebibytes);
    }
}

/// `0m 5.30s`, busybox's format.
fn in_seconds(time: &str) -> Option<f64> {
    let (minutes, seconds) = time.trim().split_once("m ")?;
    Some(minutes.parse::<f64>().ok()? * 60.0 + seconds.trim_end_matches('s').parse::<f64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_time_and_the_largest_peak_count() {
        let measured = |name: &str, time: &str, size: u32| {
            format!(
                "= {name}\n\tElapsed (wall clock) time (h:mm:ss or m:ss): {time}\n\
                 \tMaximum resident set size (kbytes): {size}\n"
            )
        };
        let text = measured("a b", "0m 5.30s", 2048)
            + &measured("a b", "1m 1.00s", 4096)
            + &measured("c", "0m 1.00s", 1);
        let found = runs(&text).unwrap();
        assert_eq!(found["a b"], Timed { seconds: 5.3, peak_mebibytes: 1.0 });
        assert_eq!(found.len(), 2);
        assert_eq!(runs("= c\nMaximum resident set size (kbytes): 1\n"), None);
    }
}
