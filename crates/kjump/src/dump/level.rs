//! Dump levels and codecs, parsed from command lines.

use vmcore::codec::{Codec, Effort};
use vmcore::select::Level;
use vmcore::write::Compression;

/// The number of CPUs that this program may use.
pub(super) fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A codec and its level, or `auto`.
pub(super) fn compression(argument: &str) -> Result<Compression, String> {
    match argument {
        "auto" => Ok(Compression::Adaptive(sys::clock::nanoseconds_since_boot)),
        _ => effort(argument).map(Compression::Fixed),
    }
}

/// A codec, and its level if it has levels: `zstd`, `zstd:3`, `zlib:6`.
fn effort(argument: &str) -> Result<Effort, String> {
    let (name, level) = match argument.split_once(':') {
        Some((name, level)) => (name, Some(level)),
        None => (argument, None),
    };
    let codec = Codec::ALL.into_iter().find(|codec| codec.name() == name);
    let codec = codec.ok_or("expected raw, zlib, lzo, snappy, zstd or auto")?;
    let range = match codec {
        Codec::Zlib => Some(1..=12),
        Codec::Zstd => Some(-7..=19),
        Codec::Raw | Codec::Lzo | Codec::Snappy => None,
    };
    let Some(level) = level else { return Ok(Effort::usual(codec)) };
    let range = range.ok_or_else(|| format!("{name} has no levels"))?;
    match level.parse() {
        Ok(level) if range.contains(&level) => Ok(Effort { codec, level }),
        _ => Err(format!("the levels of {name} are {} to {}", range.start(), range.end())),
    }
}

/// Dump levels to try one after the other, as in `1,31`.
pub(super) type Levels = Vec<Level>;

/// One dump level.
pub(crate) fn level(argument: &str) -> Result<Level, String> {
    argument.parse().ok().and_then(Level::new).ok_or_else(|| "dump levels are 0 to 31".to_owned())
}

/// See [`Levels`].
pub(super) fn levels(argument: &str) -> Result<Levels, String> {
    let level = |part: &str| part.parse().ok().and_then(Level::new);
    let levels: Option<Vec<_>> = argument.split(',').map(level).collect();
    levels.ok_or_else(|| "dump levels are 0 to 31; several are separated by commas".to_owned())
}

/// These levels, followed by levels that exclude more than the last of them: zero pages, free
/// pages, everything.
pub(super) fn with_higher(mut levels: Levels) -> Levels {
    const HIGHER: [u8; 3] = [1, 17, 31];
    for excluded in HIGHER {
        let last = levels.last().copied().unwrap_or_default();
        levels.extend(Level::new(last.number() | excluded).filter(|level| *level != last));
    }
    levels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_effort_is_a_codec_with_an_optional_level() {
        assert_eq!(effort("lzo"), Ok(Effort::usual(Codec::Lzo)));
        assert_eq!(effort("zstd:-5"), Ok(Effort { codec: Codec::Zstd, level: -5 }));
        assert_eq!(effort("zlib:13"), Err("the levels of zlib are 1 to 12".to_owned()));
        assert_eq!(effort("raw:1"), Err("raw has no levels".to_owned()));
        assert!(effort("lz4").is_err());
        assert!(matches!(compression("auto"), Ok(Compression::Adaptive(_))));
        assert!(compression("auto:1").is_err());
    }

    #[test]
    fn higher_levels_exclude_more() {
        for (given, expected) in [
            ("0", "0,1,17,31"),
            ("1,31", "1,31"),
            ("8", "8,9,25,31"),
            ("16", "16,17,31"),
            ("31,2", "31,2,3,19,31"),
        ] {
            assert_eq!(with_higher(levels(given).unwrap()), levels(expected).unwrap(), "{given}");
        }
    }

    #[test]
    fn levels_are_0_to_31() {
        assert_eq!(levels("1,31").unwrap(), [Level::new(1).unwrap(), Level::new(31).unwrap()]);
        for word in ["32", "", "1,", "-1", "x"] {
            assert!(levels(word).is_err(), "{word}");
        }
    }
}
