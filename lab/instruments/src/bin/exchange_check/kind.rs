use std::fmt;

/// What a page list is like.
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
            Self::OwnSources => "some their own source",
            Self::Disordered => "pages named several times",
            Self::Mixed => "some of everything",
            Self::Kimage => "as kimage builds them",
        })
    }
}
