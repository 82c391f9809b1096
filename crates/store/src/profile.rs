//! The names of generations: the links below `/nix/var/nix/profiles` that make a store path a numbered system.
//!
//! Nix takes the time of a generation from the link itself, so an image must fix that time.

use std::path::PathBuf;

use crate::StorePath;

/// Where the links are, below the root.
pub const PROFILES_DIR: &str = "nix/var/nix/profiles";

/// Where the roots of garbage collection are, below the root.
pub const GCROOTS_DIR: &str = "nix/var/nix/gcroots";

/// The profile's name: the link to the generation that is current.
pub const SYSTEM: &str = "system";

/// A symbolic link to be made.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Link {
    /// Where, below the root: `nix/var/nix/profiles/system`.
    pub path: PathBuf,
    /// What it says.
    pub target: String,
}

/// The name of a generation's link: `system-3-link`.
#[must_use]
pub fn link_name(generation: u64) -> String {
    format!("{SYSTEM}-{generation}-link")
}

/// The number in a generation's link name; nothing for any other name, odd spellings of a number among them.
#[must_use]
pub fn generation(link_name: &str) -> Option<u64> {
    let number = link_name.strip_prefix(SYSTEM)?.strip_prefix('-')?.strip_suffix("-link")?;
    number.parse().ok().filter(|n: &u64| n.to_string() == number)
}

/// The link of one generation: absolute, as Nix makes it.
#[must_use]
pub fn generation_link(generation: u64, system: &StorePath) -> Link {
    Link { path: PathBuf::from(PROFILES_DIR).join(link_name(generation)), target: system.to_string() }
}

/// The link that says which generation is current: relative, as Nix makes it.
#[must_use]
pub fn current_link(generation: u64) -> Link {
    Link { path: PathBuf::from(PROFILES_DIR).join(SYSTEM), target: link_name(generation) }
}

/// The root of garbage collection that keeps all generations.
#[must_use]
pub fn gcroot_link() -> Link {
    Link { path: PathBuf::from(GCROOTS_DIR).join("profiles"), target: format!("/{PROFILES_DIR}") }
}

/// All links of a new system that has one generation.
#[must_use]
pub fn links(generation: u64, system: &StorePath) -> Vec<Link> {
    vec![gcroot_link(), current_link(generation), generation_link(generation, system)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_number_comes_back_from_its_link_name() {
        assert_eq!(generation(&link_name(12)), Some(12));
        for name in ["system", "system-link", "system--link", "system-01-link", "system-+1-link", "user-1-link"] {
            assert_eq!(generation(name), None, "{name}");
        }
    }

    #[test]
    fn a_new_system_has_three_links() {
        let system = StorePath::from_basename("9qxbjpzswk14yhndpqi63h7c97gyjl9d-nixos-system-lab-26.05").unwrap();
        let links: Vec<String> =
            links(1, &system).iter().map(|l| format!("{} -> {}", l.path.display(), l.target)).collect();
        assert_eq!(
            links,
            [
                "nix/var/nix/gcroots/profiles -> /nix/var/nix/profiles",
                "nix/var/nix/profiles/system -> system-1-link",
                "nix/var/nix/profiles/system-1-link -> \
                 /nix/store/9qxbjpzswk14yhndpqi63h7c97gyjl9d-nixos-system-lab-26.05",
            ]
        );
    }
}
