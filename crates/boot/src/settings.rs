//! What the machine file says about the boot menu, in this crate's own words.

/// Everything about the menu that is not a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Seconds that the menu is shown.
    pub timeout: u32,
    /// How many generations have an entry, besides those that must have one.
    pub limit: usize,
    /// How often a new generation is tried before the last good one takes over; 0: it counts as good at once.
    pub tries: u32,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { timeout: 3, limit: 10, tries: 3 }
    }
}
