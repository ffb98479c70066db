use std::fmt;

/// The kind of a page list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Empty,
    Scattered,
    Runs,
    OwnSources,
    Disordered,
    Mixed,
    Kimage,
}

impl Kind {
    pub(crate) const ALL: [Self; 7] = [
        Self::Empty,
        Self::Scattered,
        Self::Runs,
        Self::OwnSources,
        Self::Disordered,
        Self::Mixed,
        Self::Kimage,
    ];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Empty => "empty lists",
            Self::Scattered => "scattered pages",
            Self::Runs => "runs of pages",
            Self::OwnSources => "some sources in place",
            Self::Disordered => "pages named several times",
            Self::Mixed => "a mixture",
            Self::Kimage => "built by kimage",
        })
    }
}
