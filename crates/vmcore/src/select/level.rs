/// A dump level: the kinds of pages to exclude, as makedumpfile's sum of powers of two, 0 to 31.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Level(u8);

impl Level {
    /// Nothing is excluded.
    pub const ALL_PAGES: Self = Self(0);

    /// All kinds are excluded.
    pub const ALL_KINDS: Self = Self(31);

    /// The level of this number, or `None` above 31.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if number <= 31 { Some(Self(number)) } else { None }
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// 1: pages of zeros.
    #[must_use]
    pub const fn zero_pages(self) -> bool {
        self.0 & 1 != 0
    }

    /// 2: page cache without private data.
    #[must_use]
    pub const fn cache(self) -> bool {
        self.0 & 2 != 0
    }

    /// 4: page cache with or without private data.
    #[must_use]
    pub const fn private_cache(self) -> bool {
        self.0 & 4 != 0
    }

    /// 8: memory of processes.
    #[must_use]
    pub const fn user(self) -> bool {
        self.0 & 8 != 0
    }

    /// 16: free pages.
    #[must_use]
    pub const fn free(self) -> bool {
        self.0 & 16 != 0
    }

    /// Whether page structures are needed to exclude pages, and not the pages' contents alone. Then
    /// poisoned and offline pages are excluded too.
    #[must_use]
    pub const fn needs_page_structures(self) -> bool {
        self.0 > 1
    }
}
